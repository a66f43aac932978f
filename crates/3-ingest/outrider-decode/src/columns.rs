//! Decoded events as rows of a batch.

use std::collections::BTreeMap;

use outrider_model::catalogue;
use outrider_model::{EventBatch, EventRow, FieldColumn, FieldValue, TextColumn, VehicleRecord};
use outrider_types::{
    BusId, EventId, EventTime, EventTypeId, FieldKey, IngestTime, Severity, TenantId, VehicleMicros,
};

use crate::lines::Extension;
use crate::map::{EventRef, ValueRef};
use crate::record::Record;

/// What a decoder cannot know of an event, and a row of a batch has.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Owner.
    pub tenant: TenantId,
    /// Identity.
    pub id: EventId,
    /// Type; for a name that the catalogue does not have, the one that stands for those.
    pub event_type: EventTypeId,
    /// Severity.
    pub severity: Severity,
    /// When it happened, with the interval.
    pub time: EventTime,
    /// When the cloud received it.
    pub ingest: IngestTime,
    /// Monotonic time of the vehicle, if the source has one; else 0.
    pub mono: VehicleMicros,
    /// The vehicle in the registry.
    pub vehicle: Option<&'a VehicleRecord>,
    /// A foreign field to keep beside those of the source, such as the source's word for an unknown type.
    pub extension: Option<(&'a str, &'a str)>,
}

/// Says whose an event is and when it happened.
pub trait Host {
    /// Places the event of a document, numbered from 0; `None` keeps it out of the batch, and is counted.
    fn place<'a>(&'a mut self, document: usize, event: &'a EventRef<'_>) -> Option<Place<'a>>;
}

/// Appends events to a batch. Columns are kept apart while it works, so that a value costs no look-up of its column.
pub(crate) struct Columns<'a> {
    batch: &'a mut EventBatch,
    host: &'a mut dyn Host,
    fields: Vec<(FieldKey, FieldColumn)>,
    /// Place in `fields` plus one, by the number of the key; 0 for none yet.
    by_key: Vec<u16>,
    extensions: Vec<(String, TextColumn)>,
    by_name: BTreeMap<String, usize>,
    /// Place in `extensions` plus one, by the number that a line reader gives a name; 0 for none yet.
    by_number: Vec<usize>,
    rows: u64,
    declined: u64,
}

impl<'a> Columns<'a> {
    pub(crate) fn new(batch: &'a mut EventBatch, host: &'a mut dyn Host) -> Self {
        Self {
            batch,
            host,
            fields: Vec::new(),
            by_key: Vec::new(),
            extensions: Vec::new(),
            by_name: BTreeMap::new(),
            by_number: Vec::new(),
            rows: 0,
            declined: 0,
        }
    }

    /// Puts the columns into the batch; returns how many rows were appended and how many events were declined.
    pub(crate) fn finish(self) -> (u64, u64) {
        self.batch.fields.extend(self.fields);
        self.batch.extensions.extend(self.extensions);
        (self.rows, self.declined)
    }

    /// Appends an event with its foreign fields.
    pub(crate) fn event(
        &mut self,
        document: usize,
        event: &EventRef<'_>,
        extensions: &mut dyn Iterator<Item = Extension<'_>>,
    ) {
        let Some(extension) = self.row(document, event) else { return };
        for (number, name, text) in extensions {
            if self.by_number.len() <= number {
                self.by_number.resize(number + 1, 0);
            }
            let place = match self.by_number.get(number).and_then(|place| place.checked_sub(1)) {
                Some(place) => place,
                None => {
                    let place = self.extension(name);
                    self.by_number[number] = place + 1;
                    place
                }
            };
            self.set_extension(place, &text);
        }
        self.more(extension);
    }

    /// Appends a record.
    pub(crate) fn record(&mut self, document: usize, record: &Record) {
        let Some(extension) = self.row(document, &EventRef::from(record)) else { return };
        for (name, text) in &record.extensions {
            let place = self.extension(name);
            self.set_extension(place, text);
        }
        self.more(extension);
    }

    /// Sets the foreign field that the host added; one of the source with the same name stays.
    fn more(&mut self, extension: Option<(String, String)>) {
        if let Some((name, text)) = extension {
            let place = self.extension(&name);
            self.set_extension(place, &text);
        }
    }

    /// Appends the row of an event and its catalogue fields; `None` if the host does not place it. Returns what the host
    /// added.
    fn row(&mut self, document: usize, event: &EventRef<'_>) -> Option<Option<(String, String)>> {
        let Some(place) = self.host.place(document, event) else {
            self.declined += 1;
            return None;
        };
        self.rows += 1;
        let row = self.batch.push(&EventRow {
            tenant: place.tenant,
            id: place.id,
            event_type: place.event_type,
            severity: place.severity,
            time: place.time,
            ingest: place.ingest,
            mono: place.mono,
            count: event.count,
            span: (place.mono, place.mono),
            bus: event.bus.map(BusId),
            context: &event.context,
        });
        self.batch.enrich_last(place.vehicle, event.ecu.as_deref());
        let extension = place.extension.map(|(name, text)| (name.to_owned(), text.to_owned()));
        for (key, value) in &event.fields {
            let value = match value {
                ValueRef::Int(value) => FieldValue::Int(*value),
                ValueRef::Float(value) => FieldValue::Float(*value),
                ValueRef::Text(value) => FieldValue::Text(value),
                ValueRef::Bool(value) => FieldValue::Bool(*value),
            };
            if let Some(column) = self.field(*key) {
                column.set(row, value);
            }
        }
        Some(extension)
    }

    /// Returns a field's column, which is fetched or made if it is not here yet; `None` for a key that the catalogue does
    /// not have.
    fn field(&mut self, key: FieldKey) -> Option<&mut FieldColumn> {
        let number = usize::from(key.0);
        let place = match self.by_key.get(number) {
            Some(place @ 1..) => usize::from(*place) - 1,
            Some(0) | None => {
                let made = || catalogue::field(key).map(|field| FieldColumn::new(field.kind));
                let column = self.batch.fields.remove(&key).or_else(made)?;
                self.fields.push((key, column));
                if self.by_key.len() <= number {
                    self.by_key.resize(number + 1, 0);
                }
                self.by_key[number] = u16::try_from(self.fields.len()).ok()?;
                self.fields.len() - 1
            }
        };
        self.fields.get_mut(place).map(|(_, column)| column)
    }

    /// Returns the place of a foreign field's column, which is fetched or made if it is not here yet.
    fn extension(&mut self, name: &str) -> usize {
        if let Some(place) = self.by_name.get(name) {
            return *place;
        }
        let column = self.batch.extensions.remove(name).unwrap_or_default();
        self.by_name.insert(name.to_owned(), self.extensions.len());
        self.extensions.push((name.to_owned(), column));
        self.extensions.len() - 1
    }

    /// Sets a foreign field of the last row; of two values the first stays.
    fn set_extension(&mut self, place: usize, text: &str) {
        let Some(row) = self.batch.rows().checked_sub(1) else { return };
        if let Some((_, column)) = self.extensions.get_mut(place)
            && column.codes.len() <= row
        {
            column.pad_to(row);
            column.push(Some(text));
        }
    }
}
