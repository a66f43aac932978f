//! The one batch shape.

use std::collections::BTreeMap;

use outrider_types::{
    BootEpoch, BusId, EventId, EventTime, EventTypeId, FieldKey, IngestTime, Lane, Seq, Severity, TenantId,
    UnixMicros, VehicleId, VehicleMicros,
};

use crate::catalogue;
use crate::column::{FieldColumn, FieldValues, TextColumn};
use crate::registry::{MonitoringStage, VehicleRecord};

/// Word in [`EventBatch::monitoring`] of a vehicle that nobody registered.
pub const UNREGISTERED: &str = "unregistered";

/// Value of one field of one event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FieldValue<'a> {
    /// Integer.
    Int(i64),
    /// Floating point.
    Float(f64),
    /// Text.
    Text(&'a str),
    /// Truth value.
    Bool(bool),
}

/// What a decoder knows of one event before enrichment.
#[derive(Debug, Clone, Copy)]
pub struct EventRow<'a> {
    /// Owner of the row.
    pub tenant: TenantId,
    /// Identity given by the vehicle.
    pub id: EventId,
    /// Type in the catalogue.
    pub event_type: EventTypeId,
    /// Severity as the vehicle or the catalogue states it.
    pub severity: Severity,
    /// When it happened, with the interval.
    pub time: EventTime,
    /// When the cloud received it.
    pub ingest: IngestTime,
    /// Monotonic time of the vehicle.
    pub mono: VehicleMicros,
    /// How many observations the row stands for; at least 1.
    pub count: u32,
    /// First and last observation of a folded row, monotonic.
    pub span: (VehicleMicros, VehicleMicros),
    /// Bus it was seen on, where there is one.
    pub bus: Option<BusId>,
    /// Raw context of the sensor; empty for none.
    pub context: &'a [u8],
}

/// A batch of security events as columns, one row an event, in order of arrival.
///
/// Every core column has [`EventBatch::rows`] entries. A field column exists only if some row has the field and
/// is as long as the batch after [`EventBatch::seal`]. The lake's columns have the names of these fields.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventBatch {
    /// Owner.
    pub tenant: Vec<u32>,
    /// Vehicle pseudonym.
    pub vehicle: Vec<VehicleId>,
    /// Boot epoch.
    pub epoch: Vec<u64>,
    /// Lane number ([`Lane::code`]).
    pub lane: Vec<u8>,
    /// Number in lane and boot.
    pub seq: Vec<u64>,
    /// Event type number.
    pub event_type: Vec<u16>,
    /// Severity number ([`Severity::code`]).
    pub severity: Vec<u8>,
    /// Best estimate of the event time, microseconds since 1970.
    pub event_time: Vec<i64>,
    /// Half the width of the event time's interval, microseconds.
    pub event_time_error_us: Vec<u64>,
    /// Ingest time, microseconds since 1970.
    pub ingest_time: Vec<i64>,
    /// Monotonic time of the vehicle, microseconds since boot.
    pub vehicle_us: Vec<u64>,
    /// Observations that the row stands for.
    pub count: Vec<u32>,
    /// First observation, microseconds since boot.
    pub first_us: Vec<u64>,
    /// Last observation, microseconds since boot.
    pub last_us: Vec<u64>,
    /// Bus number; -1 where there is none.
    pub bus: Vec<i16>,
    /// ECU name from the vehicle registry or the event.
    pub ecu: TextColumn,
    /// Model line from the registry.
    pub model_line: TextColumn,
    /// Platform from the registry.
    pub platform: TextColumn,
    /// Software release from the registry.
    pub release: TextColumn,
    /// Region from the registry.
    pub region: TextColumn,
    /// Model year from the registry; -1 where there is none.
    pub model_year: Vec<i16>,
    /// Stage of monitoring from the registry, or [`UNREGISTERED`].
    pub monitoring: TextColumn,
    /// H3 cell from the registry, privacy-rounded; 0 where there is none.
    pub h3: Vec<u64>,
    /// Raw context; row `i` is `context_bytes[context_ends[i-1]..context_ends[i]]`.
    pub context_bytes: Vec<u8>,
    /// End of each row's context in `context_bytes`.
    pub context_ends: Vec<u32>,
    /// Catalogue fields by key.
    pub fields: BTreeMap<FieldKey, FieldColumn>,
    /// Fields that the catalogue does not know, `namespace.name` → text column.
    pub extensions: BTreeMap<String, TextColumn>,
}

impl EventBatch {
    /// Creates an empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.seq.len()
    }

    /// Returns whether the batch has no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seq.is_empty()
    }

    /// Appends one row and returns its index; fields follow with [`EventBatch::set_field`].
    pub fn push(&mut self, row: &EventRow<'_>) -> usize {
        let index = self.rows();
        self.tenant.push(row.tenant.0);
        self.vehicle.push(row.id.vehicle);
        self.epoch.push(row.id.epoch.0);
        self.lane.push(row.id.lane.code());
        self.seq.push(row.id.seq.0);
        self.event_type.push(row.event_type.0);
        self.severity.push(row.severity.code());
        self.event_time.push(row.time.best.0);
        self.event_time_error_us.push(row.time.error_us);
        self.ingest_time.push(row.ingest.0.0);
        self.vehicle_us.push(row.mono.0);
        self.count.push(row.count.max(1));
        self.first_us.push(row.span.0.0);
        self.last_us.push(row.span.1.0);
        self.bus.push(row.bus.map_or(-1, |bus| i16::from(bus.0)));
        self.context_bytes.extend_from_slice(row.context);
        let end = u32::try_from(self.context_bytes.len()).expect("a batch holds less than 4 GiB of context");
        self.context_ends.push(end);
        self.h3.push(0);
        self.model_year.push(-1);
        index
    }

    /// Sets a field of the last row.
    ///
    /// An integer is accepted for a floating-point field. Returns false, and changes nothing, if the catalogue
    /// does not have the field, the type differs, or the row has the field already.
    pub fn set_field(&mut self, key: FieldKey, value: FieldValue<'_>) -> bool {
        let Some(row) = self.rows().checked_sub(1) else { return false };
        if let Some(column) = self.fields.get_mut(&key) {
            return column.set(row, value);
        }
        let Some(field) = catalogue::field(key) else { return false };
        let mut column = FieldColumn::new(field.kind);
        let is_set = column.set(row, value);
        if is_set {
            self.fields.insert(key, column);
        }
        is_set
    }

    /// Sets a foreign field of the last row, kept as text under its namespaced name.
    pub fn set_extension(&mut self, name: &str, value: &str) {
        let Some(row) = self.rows().checked_sub(1) else { return };
        let column = self.extensions.entry(name.to_owned()).or_default();
        if column.codes.len() <= row {
            column.pad_to(row);
            column.push(Some(value));
        }
    }

    /// Fills the enrichment columns of the last row. A vehicle that nobody registered is marked so in `monitoring`, and has
    /// no value in the others.
    pub fn enrich_last(&mut self, vehicle: Option<&VehicleRecord>, ecu: Option<&str>) {
        let Some(row) = self.rows().checked_sub(1) else { return };
        // A column without a value is padded by the next one, or by `seal`.
        let put = |column: &mut TextColumn, text: Option<&str>| {
            if let Some(text) = text {
                column.pad_to(row);
                column.push(Some(text));
            }
        };
        put(&mut self.ecu, ecu);
        put(&mut self.monitoring, Some(vehicle.map_or(UNREGISTERED, |vehicle| vehicle.stage.word())));
        let Some(vehicle) = vehicle else { return };
        put(&mut self.model_line, Some(&vehicle.model_line));
        put(&mut self.platform, Some(&vehicle.platform));
        put(&mut self.release, Some(&vehicle.release));
        put(&mut self.region, Some(&vehicle.region));
        if let Some(slot) = self.h3.last_mut() {
            *slot = vehicle.h3.unwrap_or(0);
        }
        if let Some(slot) = self.model_year.last_mut() {
            let year = Some(vehicle.model_year).filter(|year| *year > 0);
            *slot = year.and_then(|year| i16::try_from(year).ok()).unwrap_or(-1);
        }
    }

    /// Text columns that enrichment fills.
    const fn texts(&mut self) -> [&mut TextColumn; 6] {
        [
            &mut self.ecu,
            &mut self.model_line,
            &mut self.platform,
            &mut self.release,
            &mut self.region,
            &mut self.monitoring,
        ]
    }

    /// Returns whether the registry says that a row's vehicle is not monitored. Of one that nobody registered it says
    /// nothing.
    #[must_use]
    pub fn is_out_of_scope(&self, row: usize) -> bool {
        let stage = self.monitoring.get(row).and_then(MonitoringStage::from_word);
        stage.is_some_and(|stage| !stage.is_in_scope())
    }

    /// Pads every column to the length of the batch; call before reading columns.
    pub fn seal(&mut self) {
        let rows = self.rows();
        self.texts().into_iter().for_each(|column| column.pad_to(rows));
        self.fields.values_mut().for_each(|column| column.pad_to(rows));
        self.extensions.values_mut().for_each(|column| column.pad_to(rows));
    }

    /// Returns a view of one row.
    ///
    /// # Panics
    /// If `row` is not below [`EventBatch::rows`].
    #[must_use]
    pub fn row(&self, row: usize) -> RowRef<'_> {
        assert!(row < self.rows(), "row {row} of {}", self.rows());
        RowRef { batch: self, row }
    }

    /// Returns the raw context of one row; empty for none and for rows past the end.
    #[must_use]
    pub fn context(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).and_then(|before| self.context_ends.get(before)).copied().unwrap_or(0);
        let end = self.context_ends.get(row).copied().unwrap_or(start);
        self.context_bytes.get(start as usize..end as usize).unwrap_or(&[])
    }

    /// Appends all rows of another sealed batch.
    pub fn append(&mut self, other: &Self) {
        for row in 0..other.rows() {
            let view = other.row(row);
            self.push(&view.to_row());
            for (key, column) in &other.fields {
                if let Some(value) = field_of(column, row) {
                    self.set_field(*key, value);
                }
            }
            for (name, column) in &other.extensions {
                if let Some(text) = column.get(row) {
                    self.set_extension(name, text);
                }
            }
            for (to, from) in [
                (&mut self.ecu, &other.ecu),
                (&mut self.model_line, &other.model_line),
                (&mut self.platform, &other.platform),
                (&mut self.release, &other.release),
                (&mut self.region, &other.region),
                (&mut self.monitoring, &other.monitoring),
            ] {
                let before = self.seq.len() - 1;
                to.pad_to(before);
                to.push(from.get(row));
            }
            if let Some(slot) = self.h3.last_mut() {
                *slot = other.h3.get(row).copied().unwrap_or(0);
            }
            if let Some(slot) = self.model_year.last_mut() {
                *slot = other.model_year.get(row).copied().unwrap_or(-1);
            }
        }
        self.seal();
    }
}

fn field_of(column: &FieldColumn, row: usize) -> Option<FieldValue<'_>> {
    if !column.presence.get(row) {
        return None;
    }
    match &column.values {
        FieldValues::Int(values) => values.get(row).copied().map(FieldValue::Int),
        FieldValues::Float(values) => values.get(row).copied().map(FieldValue::Float),
        FieldValues::Text(values) => values.get(row).map(FieldValue::Text),
        FieldValues::Bool(values) => values.values.get(row).copied().map(FieldValue::Bool),
    }
}

/// View of one row of a batch; cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct RowRef<'a> {
    batch: &'a EventBatch,
    row: usize,
}

impl<'a> RowRef<'a> {
    /// Returns the row's index in the batch.
    #[must_use]
    pub const fn index(self) -> usize {
        self.row
    }

    /// Returns the identity.
    #[must_use]
    pub fn id(self) -> EventId {
        let batch = self.batch;
        EventId {
            vehicle: batch.vehicle[self.row],
            epoch: BootEpoch(batch.epoch[self.row]),
            lane: Lane::from_code(batch.lane[self.row]).expect("push took a lane"),
            seq: Seq(batch.seq[self.row]),
        }
    }

    /// Returns the event type.
    #[must_use]
    pub fn event_type(self) -> EventTypeId {
        EventTypeId(self.batch.event_type[self.row])
    }

    /// Returns the severity.
    #[must_use]
    pub fn severity(self) -> Severity {
        Severity::from_code(self.batch.severity[self.row]).expect("push took a severity")
    }

    /// Returns the event time with its interval.
    #[must_use]
    pub fn time(self) -> EventTime {
        EventTime {
            best: UnixMicros(self.batch.event_time[self.row]),
            error_us: self.batch.event_time_error_us[self.row],
        }
    }

    /// Returns the ingest time.
    #[must_use]
    pub fn ingest(self) -> IngestTime {
        IngestTime(UnixMicros(self.batch.ingest_time[self.row]))
    }

    /// Returns a catalogue field.
    #[must_use]
    pub fn field(self, key: FieldKey) -> Option<FieldValue<'a>> {
        self.batch.fields.get(&key).and_then(|column| field_of(column, self.row))
    }

    /// Returns every catalogue field that the row has, in order of keys.
    pub fn fields(self) -> impl Iterator<Item = (FieldKey, FieldValue<'a>)> {
        let row = self.row;
        self.batch
            .fields
            .iter()
            .filter_map(move |(key, column)| field_of(column, row).map(|value| (*key, value)))
    }

    /// Returns the core of the row as it was pushed.
    #[must_use]
    pub fn to_row(self) -> EventRow<'a> {
        let batch = self.batch;
        EventRow {
            tenant: TenantId(batch.tenant[self.row]),
            id: self.id(),
            event_type: self.event_type(),
            severity: self.severity(),
            time: self.time(),
            ingest: self.ingest(),
            mono: VehicleMicros(batch.vehicle_us[self.row]),
            count: batch.count[self.row],
            span: (VehicleMicros(batch.first_us[self.row]), VehicleMicros(batch.last_us[self.row])),
            bus: u8::try_from(batch.bus[self.row]).ok().map(BusId),
            context: batch.context(self.row),
        }
    }
}

#[cfg(test)]
mod tests;
