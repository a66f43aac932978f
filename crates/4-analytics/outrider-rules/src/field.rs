//! Fields that rules can name: core columns and catalogue fields.

use std::borrow::Cow;
use std::fmt;

use outrider_model::catalogue::{self, FieldKind};
use outrider_model::{EventBatch, FieldValues, TextColumn};
use outrider_types::{EventTypeId, FieldKey, Lane, Severity, UnixMicros};

use crate::taxonomy::FOREIGN_FIRST;

/// Core column of the event batch that every event has or may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CoreField {
    /// Vehicle pseudonym.
    VehicleId,
    /// Name of the event type.
    EventType,
    /// Severity word; `gte` and its like compare by badness.
    Severity,
    /// Lane word.
    Lane,
    /// Bus number; absent where there is none.
    Bus,
    /// ECU name.
    Ecu,
    /// Model line.
    ModelLine,
    /// Platform.
    Platform,
    /// Software release.
    Release,
    /// Region.
    Region,
    /// Model year; absent where the registry has none.
    ModelYear,
    /// Stage of monitoring, or `unregistered`.
    Monitoring,
    /// H3 cell as lower-case hexadecimal text; absent where there is none.
    H3,
    /// Observations that the event stands for.
    Count,
    /// When it happened; rules compare parts of it, such as the hour in UTC.
    EventTime,
}

impl CoreField {
    /// All core fields, in the order of the documentation.
    pub const ALL: [Self; 15] = [
        Self::VehicleId,
        Self::EventType,
        Self::Severity,
        Self::Lane,
        Self::Bus,
        Self::Ecu,
        Self::ModelLine,
        Self::Platform,
        Self::Release,
        Self::Region,
        Self::ModelYear,
        Self::Monitoring,
        Self::H3,
        Self::Count,
        Self::EventTime,
    ];

    /// Returns the name in rules; the lake's column has the same.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VehicleId => "vehicle_id",
            Self::EventType => "event_type",
            Self::Severity => "severity",
            Self::Lane => "lane",
            Self::Bus => "bus",
            Self::Ecu => "ecu",
            Self::ModelLine => "model_line",
            Self::Platform => "platform",
            Self::Release => "release",
            Self::Region => "region",
            Self::ModelYear => "model_year",
            Self::Monitoring => "monitoring",
            Self::H3 => "h3",
            Self::Count => "count",
            Self::EventTime => "event_time",
        }
    }
}

/// What kind of values a field has, as the checker sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ValueKind {
    /// Integer.
    Int,
    /// Floating point.
    Float,
    /// Text.
    Text,
    /// True or false.
    Bool,
    /// Severity word.
    Severity,
    /// Lane word.
    Lane,
    /// Name of an event type.
    EventType,
    /// Point in time.
    Time,
}

impl ValueKind {
    /// Returns the word used in messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "text",
            Self::Bool => "bool",
            Self::Severity => "severity",
            Self::Lane => "lane",
            Self::EventType => "event type",
            Self::Time => "time",
        }
    }
}

/// A field that a rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FieldRef {
    /// Core column.
    Core(CoreField),
    /// Field of the catalogue; numbers far above it are columns of foreign events ([`crate::Taxonomy::Foreign`]).
    Catalogue(FieldKey),
}

impl FieldRef {
    /// Finds a field by the name that rules use, O(n) in the number of fields.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if let Some(core) = CoreField::ALL.into_iter().find(|core| core.name() == name) {
            return Some(Self::Core(core));
        }
        catalogue::field_by_name(name).map(|field| Self::Catalogue(field.key))
    }

    /// Returns whether it is a column of foreign events.
    pub(crate) const fn is_foreign(self) -> bool {
        matches!(self, Self::Catalogue(key) if key.0 >= FOREIGN_FIRST)
    }

    /// Returns the name in rules, API and lake.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Core(core) => core.name(),
            Self::Catalogue(key) => catalogue::field(key).map_or("unknown", |field| field.name),
        }
    }

    /// Returns the kind of the field's values.
    #[must_use]
    pub fn kind(self) -> ValueKind {
        match self {
            Self::Core(core) => match core {
                CoreField::EventType => ValueKind::EventType,
                CoreField::EventTime => ValueKind::Time,
                CoreField::Severity => ValueKind::Severity,
                CoreField::Lane => ValueKind::Lane,
                CoreField::Bus | CoreField::Count | CoreField::ModelYear => ValueKind::Int,
                CoreField::VehicleId
                | CoreField::Ecu
                | CoreField::ModelLine
                | CoreField::Platform
                | CoreField::Release
                | CoreField::Region
                | CoreField::Monitoring
                | CoreField::H3 => ValueKind::Text,
            },
            Self::Catalogue(key) => match catalogue::field(key).map(|field| field.kind) {
                Some(FieldKind::Int) => ValueKind::Int,
                Some(FieldKind::Float) => ValueKind::Float,
                Some(FieldKind::Bool) => ValueKind::Bool,
                Some(FieldKind::Text) | None => ValueKind::Text,
            },
        }
    }

    /// Returns whether an event of this type may carry the field; core fields are on every event.
    #[must_use]
    pub fn carried_by(self, event_type: &catalogue::EventType) -> bool {
        match self {
            Self::Core(_) => true,
            Self::Catalogue(key) => event_type.fields.contains(&key),
        }
    }

    /// Returns the value of a row as text, or `None` if the row has none or is past the end.
    ///
    /// The batch must be sealed. Borrows text columns; other kinds allocate. Two values are equal exactly if
    /// their texts are, so the text can serve as a group key.
    #[must_use]
    pub fn text_of(self, batch: &EventBatch, row: usize) -> Option<Cow<'_, str>> {
        if row >= batch.rows() {
            return None;
        }
        match self {
            Self::Core(core) => core_text(core, batch, row),
            Self::Catalogue(key) => {
                let column = batch.fields.get(&key)?;
                if !column.presence.get(row) {
                    return None;
                }
                match &column.values {
                    FieldValues::Int(values) => values.get(row).map(|value| Cow::Owned(value.to_string())),
                    FieldValues::Float(values) => values.get(row).map(|value| Cow::Owned(value.to_string())),
                    FieldValues::Text(values) => values.get(row).map(Cow::Borrowed),
                    FieldValues::Bool(values) => values
                        .values
                        .get(row)
                        .map(|value| Cow::Borrowed(if *value { "true" } else { "false" })),
                }
            }
        }
    }
}

impl fmt::Display for FieldRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Returns the text column of a core field that has one.
pub(crate) const fn core_text_column(core: CoreField, batch: &EventBatch) -> Option<&TextColumn> {
    match core {
        CoreField::Ecu => Some(&batch.ecu),
        CoreField::ModelLine => Some(&batch.model_line),
        CoreField::Platform => Some(&batch.platform),
        CoreField::Release => Some(&batch.release),
        CoreField::Region => Some(&batch.region),
        CoreField::Monitoring => Some(&batch.monitoring),
        CoreField::VehicleId
        | CoreField::EventType
        | CoreField::Severity
        | CoreField::Lane
        | CoreField::Bus
        | CoreField::ModelYear
        | CoreField::H3
        | CoreField::Count
        | CoreField::EventTime => None,
    }
}

fn core_text(core: CoreField, batch: &EventBatch, row: usize) -> Option<Cow<'_, str>> {
    if let Some(column) = core_text_column(core, batch) {
        return column.get(row).map(Cow::Borrowed);
    }
    match core {
        CoreField::VehicleId => batch.vehicle.get(row).map(|vehicle| Cow::Owned(vehicle.to_string())),
        CoreField::EventType => batch
            .event_type
            .get(row)
            .and_then(|id| catalogue::event_type(EventTypeId(*id)))
            .map(|entry| Cow::Borrowed(entry.name)),
        CoreField::Severity => batch
            .severity
            .get(row)
            .and_then(|code| Severity::from_code(*code))
            .map(|severity| Cow::Borrowed(severity.word())),
        CoreField::Lane => {
            batch.lane.get(row).and_then(|code| Lane::from_code(*code)).map(|lane| Cow::Borrowed(lane.word()))
        }
        CoreField::Bus => batch.bus.get(row).filter(|bus| **bus >= 0).map(|bus| Cow::Owned(bus.to_string())),
        CoreField::ModelYear => {
            batch.model_year.get(row).filter(|year| **year >= 0).map(|year| Cow::Owned(year.to_string()))
        }
        CoreField::H3 => {
            batch.h3.get(row).filter(|cell| **cell != 0).map(|cell| Cow::Owned(format!("{cell:x}")))
        }
        CoreField::Count => batch.count.get(row).map(|count| Cow::Owned(count.to_string())),
        CoreField::EventTime => batch.event_time.get(row).map(|at| Cow::Owned(UnixMicros(*at).to_string())),
        CoreField::Ecu
        | CoreField::ModelLine
        | CoreField::Platform
        | CoreField::Release
        | CoreField::Region
        | CoreField::Monitoring => None,
    }
}
