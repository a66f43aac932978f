//! Decoded events as rows of a batch.

use std::collections::BTreeMap;

use outrider_model::catalogue;
use outrider_model::{EventBatch, EventRow, FieldColumn, FieldValue, TextColumn, VehicleRecord};
use outrider_types::{
    BusId, EventId, EventTime, EventTypeId, FieldKey, IngestTime, Severity, TenantId, VehicleMicros,
};

use crate::lines::Extension;
use crate::map::EventRef;
use crate::record::Record;

/// Texts that a host may set of a row.
pub const HOST_FIELDS_MAX: usize = 3;

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
    /// Catalogue fields that the host knows, such as the source's word for an unknown type; what the source says of the
    /// same fields becomes foreign fields.
    pub fields: [Option<(FieldKey, &'a str)>; HOST_FIELDS_MAX],
}

/// What is kept of events, and under which names the rest is counted.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Namespace of the foreign fields that say what was not kept as it came.
    pub namespace: &'static str,
    /// Bytes of context; a longer one is cut, and its length is kept in `NAMESPACE.context_bytes`.
    pub context_bytes_max: usize,
    /// Names of foreign fields in one batch, each a column as long as the batch; the fields of an event that are beyond are
    /// counted in `NAMESPACE.more_fields`.
    pub extension_names_max: usize,
}

/// Says whose an event is and when it happened.
pub trait Host {
    /// Returns what is kept.
    fn bounds(&self) -> Bounds;

    /// Places the event of a document, numbered from 0; `None` keeps it out of the batch, and is counted.
    fn place<'a>(&'a mut self, document: usize, event: &'a EventRef<'_>) -> Option<Place<'a>>;
}

/// Appends events to a batch. The batch's columns are here while it works, so that a value costs no look-up of its column;
/// they are back when it is finished or dropped.
pub struct Columns<'a> {
    batch: &'a mut EventBatch,
    host: &'a mut dyn Host,
    bounds: Bounds,
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

impl std::fmt::Debug for Columns<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Columns({} rows)", self.rows)
    }
}

impl Drop for Columns<'_> {
    fn drop(&mut self) {
        self.batch.fields.extend(std::mem::take(&mut self.fields));
        self.batch.extensions.extend(std::mem::take(&mut self.extensions));
    }
}

impl<'a> Columns<'a> {
    /// Begins to append.
    #[must_use]
    pub fn new(batch: &'a mut EventBatch, host: &'a mut dyn Host) -> Self {
        let bounds = host.bounds();
        Self {
            batch,
            host,
            bounds,
            fields: Vec::new(),
            by_key: Vec::new(),
            extensions: Vec::new(),
            by_name: BTreeMap::new(),
            by_number: Vec::new(),
            rows: 0,
            declined: 0,
        }
    }

    /// Puts the columns back into the batch; returns how many rows were appended and how many events were declined.
    #[must_use]
    pub fn finish(self) -> (u64, u64) {
        (self.rows, self.declined)
    }

    /// Appends an event with its foreign fields.
    pub(crate) fn event(
        &mut self,
        document: usize,
        event: &EventRef<'_>,
        extensions: &mut dyn Iterator<Item = Extension<'_>>,
    ) {
        let Some(more) = self.row(document, event) else { return };
        let mut beyond = 0;
        for (number, name, text) in extensions {
            let known = self.by_number.get(number).and_then(|place| place.checked_sub(1));
            let Some(place) = known.or_else(|| self.number(number, name)) else {
                beyond += 1;
                continue;
            };
            self.set_extension(place, &text);
        }
        self.more(more, beyond);
    }

    /// Appends a record.
    pub fn record(&mut self, document: usize, record: &Record) {
        let Some(more) = self.row(document, &EventRef::from(record)) else { return };
        let mut beyond = 0;
        for (name, text) in &record.extensions {
            match self.extension(name) {
                Some(place) => self.set_extension(place, text),
                None => beyond += 1,
            }
        }
        self.more(more, beyond);
    }

    /// Sets the foreign fields that say what was not kept as it came; one of the source with the same name stays.
    fn more(&mut self, more: BTreeMap<String, String>, mut beyond: u64) {
        for (name, text) in &more {
            match self.extension(name) {
                Some(place) => self.set_extension(place, text),
                None => beyond += 1,
            }
        }
        if beyond > 0 {
            let place = self.named(&format!("{}.more_fields", self.bounds.namespace));
            self.set_extension(place, &beyond.to_string());
        }
    }

    /// Appends the row of an event and its catalogue fields; `None` if the host does not place it. Returns what could not be
    /// kept as it came.
    fn row(&mut self, document: usize, event: &EventRef<'_>) -> Option<BTreeMap<String, String>> {
        let Some(place) = self.host.place(document, event) else {
            self.declined += 1;
            return None;
        };
        self.rows += 1;
        let kept = event.context.len().min(self.bounds.context_bytes_max);
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
            context: event.context.get(..kept).unwrap_or_default(),
        });
        self.batch.enrich_last(place.vehicle, event.ecu.as_deref());
        let mut own =
            Fields { fields: &mut self.fields, by_key: &mut self.by_key, of: &mut self.batch.fields };
        for (key, text) in place.fields.into_iter().flatten() {
            own.set(row, key, FieldValue::Text(text));
        }
        let mut more = BTreeMap::new();
        for (key, value) in &event.fields {
            if !own.set(row, *key, value.into()) {
                more.insert(format!("{}.field_{key}", self.bounds.namespace), value.to_string());
            }
        }
        if kept < event.context.len() {
            let name = format!("{}.context_bytes", self.bounds.namespace);
            more.insert(name, event.context.len().to_string());
        }
        Some(more)
    }

    /// Returns the place of the column that a line reader's number stands for from now on; `None` if there are too many.
    fn number(&mut self, number: usize, name: &str) -> Option<usize> {
        let place = self.extension(name)?;
        if self.by_number.len() <= number {
            self.by_number.resize(number + 1, 0);
        }
        self.by_number[number] = place + 1;
        Some(place)
    }

    /// Returns the place of a foreign field's column; `None` if the batch has it not, and as many others as it may have.
    fn extension(&mut self, name: &str) -> Option<usize> {
        let names = self.extensions.len() + self.batch.extensions.len();
        let is_there = || self.by_name.contains_key(name) || self.batch.extensions.contains_key(name);
        (names < self.bounds.extension_names_max || is_there()).then(|| self.named(name))
    }

    /// Returns the place of a foreign field's column, which is fetched or made if it is not here yet.
    fn named(&mut self, name: &str) -> usize {
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

/// The columns of catalogue fields.
struct Fields<'c> {
    fields: &'c mut Vec<(FieldKey, FieldColumn)>,
    by_key: &'c mut Vec<u16>,
    /// Those of the batch that are not here yet.
    of: &'c mut BTreeMap<FieldKey, FieldColumn>,
}

impl Fields<'_> {
    /// Sets a field of a row; false if the catalogue does not have it, it is of another kind, or the row has it already.
    fn set(&mut self, row: usize, key: FieldKey, value: FieldValue<'_>) -> bool {
        self.column(key).is_some_and(|column| column.set(row, value))
    }

    /// Returns a field's column, which is fetched or made if it is not here yet; `None` for a key that the catalogue does
    /// not have.
    fn column(&mut self, key: FieldKey) -> Option<&mut FieldColumn> {
        let number = usize::from(key.0);
        let place = match self.by_key.get(number) {
            Some(place @ 1..) => usize::from(*place) - 1,
            Some(0) | None => {
                let made = || catalogue::field(key).map(|field| FieldColumn::new(field.kind));
                let column = self.of.remove(&key).or_else(made)?;
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
}
