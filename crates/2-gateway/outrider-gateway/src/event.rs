//! A security event inside the gateway, owned.

use outrider_types::{BusId, EcuId, EventTypeId, FieldKey, Lane, Seq, Severity, VehicleMicros};
use outrider_wire::{EventHead, Field, Value, catalogue};

/// Owned value of a field; the catalogue's `int` travels as `Uint` unless it is negative.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// Unsigned number.
    Uint(u64),
    /// Signed number.
    Sint(i64),
    /// Text of at most [`outrider_wire::limits::VALUE_BYTES_MAX`] bytes.
    Text(String),
    /// Raw bytes, same cap.
    Bytes(Vec<u8>),
    /// Floating-point number.
    Double(f64),
    /// Truth value.
    Flag(bool),
}

impl FieldValue {
    /// Returns the value of an `int` field.
    #[must_use]
    pub const fn int(value: i64) -> Self {
        if value < 0 { Self::Sint(value) } else { Self::Uint(value.cast_unsigned()) }
    }

    /// Returns the value as the wire takes it.
    #[must_use]
    pub fn wire(&self) -> Value<'_> {
        match self {
            Self::Uint(value) => Value::Uint(*value),
            Self::Sint(value) => Value::Sint(*value),
            Self::Text(text) => Value::Text(text),
            Self::Bytes(bytes) => Value::Bytes(bytes),
            Self::Double(value) => Value::Double(*value),
            Self::Flag(flag) => Value::Flag(*flag),
        }
    }
}

/// A security event before it has a number.
#[derive(Debug, Clone, PartialEq)]
pub struct SecurityEvent {
    /// Number in the event catalogue.
    pub event_type: EventTypeId,
    /// Lane it travels in.
    pub lane: Lane,
    /// Severity, or `None` for the catalogue's default.
    pub severity: Option<Severity>,
    /// Bus it was seen on.
    pub bus: Option<BusId>,
    /// ECU it is about; 0 means unknown.
    pub ecu: EcuId,
    /// When it was first seen.
    pub first: VehicleMicros,
    /// When it was last seen.
    pub last: VehicleMicros,
    /// How often, at least 1.
    pub count: u64,
    /// Typed fields.
    pub fields: Vec<(FieldKey, FieldValue)>,
    /// Raw bytes seen the first time.
    pub context: Vec<u8>,
}

impl SecurityEvent {
    /// Creates an event seen once, in the catalogue's lane for its type, or batched if the catalogue has no such type.
    #[must_use]
    pub fn new(event_type: EventTypeId, at: VehicleMicros) -> Self {
        Self {
            event_type,
            lane: catalogue::defaults(event_type).map_or(Lane::Batched, |defaults| defaults.lane),
            severity: None,
            bus: None,
            ecu: EcuId(0),
            first: at,
            last: at,
            count: 1,
            fields: Vec::new(),
            context: Vec::new(),
        }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, key: FieldKey, value: FieldValue) -> Self {
        self.fields.push((key, value));
        self
    }

    /// Returns the row's head once it has a number.
    #[must_use]
    pub const fn head(&self, seq: Seq) -> EventHead {
        EventHead {
            event_type: self.event_type,
            lane: self.lane,
            seq,
            severity: self.severity,
            bus: self.bus,
            ecu: self.ecu,
            first: self.first,
            last: self.last,
            count: self.count,
        }
    }

    /// Returns the fields as the wire takes them.
    pub fn wire_fields(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        self.fields.iter().map(|(key, value)| Field { key: *key, value: value.wire() })
    }
}
