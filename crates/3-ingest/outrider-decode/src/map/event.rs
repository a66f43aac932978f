//! One event as a mapping understood it, borrowed from the input that it came from.

use std::borrow::Cow;
use std::fmt;

use outrider_model::FieldValue;
use outrider_types::{EventTypeId, FieldKey, Severity, UnixMicros, VehicleId};

use crate::record::{Record, TypeName, Value, VehicleName};

/// How a foreign source names a vehicle. No `Debug` or error shows the name (PRIV-1).
#[derive(Clone, PartialEq, Eq)]
pub enum NameRef<'a> {
    /// Vehicle identification number, ISO 3779, upper case.
    Vin(Cow<'a, str>),
    /// The pseudonym of this installation.
    Id(VehicleId),
    /// The source's own name, unique within the source.
    Foreign(Cow<'a, str>),
}

impl fmt::Debug for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        VehicleName::from(self).fmt(f)
    }
}

impl From<&NameRef<'_>> for VehicleName {
    fn from(name: &NameRef<'_>) -> Self {
        match name {
            NameRef::Vin(vin) => Self::Vin(vin.clone().into_owned()),
            NameRef::Id(id) => Self::Id(*id),
            NameRef::Foreign(name) => Self::Foreign(name.clone().into_owned()),
        }
    }
}

impl<'a> From<&'a VehicleName> for NameRef<'a> {
    fn from(name: &'a VehicleName) -> Self {
        match name {
            VehicleName::Vin(vin) => Self::Vin(Cow::Borrowed(vin)),
            VehicleName::Id(id) => Self::Id(*id),
            VehicleName::Foreign(name) => Self::Foreign(Cow::Borrowed(name)),
        }
    }
}

/// Type of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypeRef<'a> {
    /// Type of the catalogue.
    Known(EventTypeId),
    /// Name that the catalogue does not have.
    Unknown(Cow<'a, str>),
}

/// Value of a catalogue field.
#[derive(Debug, Clone, PartialEq)]
pub enum ValueRef<'a> {
    /// Integer.
    Int(i64),
    /// Floating point.
    Float(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// Truth value.
    Bool(bool),
}

impl fmt::Display for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
            Self::Bool(value) => value.fmt(f),
        }
    }
}

impl<'a> From<&'a ValueRef<'_>> for FieldValue<'a> {
    fn from(value: &'a ValueRef<'_>) -> Self {
        match value {
            ValueRef::Int(value) => Self::Int(*value),
            ValueRef::Float(value) => Self::Float(*value),
            ValueRef::Text(value) => Self::Text(value),
            ValueRef::Bool(value) => Self::Bool(*value),
        }
    }
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Int(value) => Self::Int(value),
            ValueRef::Float(value) => Self::Float(value),
            ValueRef::Text(value) => Self::Text(value.into_owned()),
            ValueRef::Bool(value) => Self::Bool(value),
        }
    }
}

/// One event as a decoder understood it: a [`Record`] whose texts stay where they are. Fields that the catalogue does not
/// have follow apart.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRef<'a> {
    /// Vehicle; `None` where the session already says it.
    pub vehicle: Option<NameRef<'a>>,
    /// Wall time that the source states; `None` becomes a wide interval, never "now" (TIME-1).
    pub time: Option<UnixMicros>,
    /// Half the interval around `time`, microseconds, if the source states it; the feed's own otherwise.
    pub time_error_us: Option<u64>,
    /// Type.
    pub event_type: TypeRef<'a>,
    /// Severity; the catalogue's if absent.
    pub severity: Option<Severity>,
    /// Observations that it stands for, at least 1.
    pub count: u32,
    /// Number of the bus.
    pub bus: Option<u8>,
    /// Name of the ECU.
    pub ecu: Option<Cow<'a, str>>,
    /// The source's own key of the event: two events of one source with one key are one event.
    pub key: Option<Cow<'a, str>>,
    /// Catalogue fields, in the order of the table; none twice.
    pub fields: Vec<(FieldKey, ValueRef<'a>)>,
    /// Bytes to keep with the event.
    pub context: Cow<'a, [u8]>,
}

impl EventRef<'_> {
    /// Makes a record of it, without extensions.
    pub(crate) fn to_record(&self) -> Record {
        Record {
            vehicle: self.vehicle.as_ref().map(VehicleName::from),
            time: self.time,
            time_error_us: self.time_error_us,
            event_type: match &self.event_type {
                TypeRef::Known(id) => TypeName::Known(*id),
                TypeRef::Unknown(name) => TypeName::Unknown(name.clone().into_owned()),
            },
            severity: self.severity,
            count: self.count,
            bus: self.bus,
            ecu: self.ecu.clone().map(Cow::into_owned),
            key: self.key.clone().map(Cow::into_owned),
            fields: self.fields.iter().map(|(key, value)| (*key, value.clone().into())).collect(),
            extensions: Vec::new(),
            context: self.context.clone().into_owned(),
        }
    }
}

impl<'a> From<&'a Record> for EventRef<'a> {
    fn from(record: &'a Record) -> Self {
        let value = |value: &'a Value| match value {
            Value::Int(value) => ValueRef::Int(*value),
            Value::Float(value) => ValueRef::Float(*value),
            Value::Text(value) => ValueRef::Text(Cow::Borrowed(value)),
            Value::Bool(value) => ValueRef::Bool(*value),
        };
        Self {
            vehicle: record.vehicle.as_ref().map(NameRef::from),
            time: record.time,
            time_error_us: record.time_error_us,
            event_type: match &record.event_type {
                TypeName::Known(id) => TypeRef::Known(*id),
                TypeName::Unknown(name) => TypeRef::Unknown(Cow::Borrowed(name)),
            },
            severity: record.severity,
            count: record.count,
            bus: record.bus,
            ecu: record.ecu.as_deref().map(Cow::Borrowed),
            key: record.key.as_deref().map(Cow::Borrowed),
            fields: record.fields.iter().map(|(key, of)| (*key, value(of))).collect(),
            context: Cow::Borrowed(&record.context),
        }
    }
}
