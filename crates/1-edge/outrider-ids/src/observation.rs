//! What a detector says.

use outrider_bus::can::CanId;
use outrider_bus::ether::{IpAddress, Mac};
use outrider_types::{BusId, EventTypeId, FieldKey, Severity, VehicleMicros};

/// Value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValue {
    /// A whole number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
    /// A word of this crate.
    Text(&'static str),
    /// An IP address.
    Ip(IpAddress),
    /// An Ethernet address.
    Mac(Mac),
}

/// Up to eight fields in the order they were put in; further ones are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fields {
    slots: [Option<(FieldKey, FieldValue)>; 8],
}

impl Fields {
    /// Creates an empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: [None; 8] }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, key: FieldKey, value: FieldValue) -> Self {
        if let Some(slot) = self.slots.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some((key, value));
        }
        self
    }

    /// Adds a whole number, held at the ends of the range.
    #[must_use]
    pub fn int(self, key: FieldKey, value: u64) -> Self {
        self.with(key, FieldValue::Int(i64::try_from(value).unwrap_or(i64::MAX)))
    }

    /// Adds a word.
    #[must_use]
    pub fn text(self, key: FieldKey, value: &'static str) -> Self {
        self.with(key, FieldValue::Text(value))
    }

    /// Replaces a field or adds it.
    pub fn set(&mut self, key: FieldKey, value: FieldValue) {
        let same = |slot: &&mut Option<(FieldKey, FieldValue)>| slot.is_none_or(|(have, _)| have == key);
        if let Some(slot) = self.slots.iter_mut().find(same) {
            *slot = Some((key, value));
        }
    }

    /// Returns a field, or `None` if it is not there.
    #[must_use]
    pub fn value(&self, key: FieldKey) -> Option<FieldValue> {
        self.iter().find(|(have, _)| *have == key).map(|(_, value)| value)
    }

    /// Returns the fields in order.
    pub fn iter(&self) -> impl Iterator<Item = (FieldKey, FieldValue)> + '_ {
        self.slots.iter().flatten().copied()
    }
}

/// Where in its episode an observation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The first of an episode: report it.
    Opened,
    /// The episode turned out worse: the severity rose.
    Escalated,
    /// The episode goes on; said once a minute.
    Ongoing,
    /// The episode is over; `count` and `last` are final.
    Closed,
}

/// What one detector saw, with repeats folded: everything of one episode has the same `episode` number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Number of the episode, unique for this detector, from 1.
    pub episode: u32,
    /// Where in the episode this is.
    pub phase: Phase,
    /// When it was said.
    pub at: VehicleMicros,
    /// First occurrence of the episode.
    pub first: VehicleMicros,
    /// Latest occurrence of the episode.
    pub last: VehicleMicros,
    /// Occurrences so far.
    pub count: u32,
    /// The bus.
    pub bus: BusId,
    /// What it is (`outrider_wire::catalogue::event`).
    pub event_type: EventTypeId,
    /// How bad it is.
    pub severity: Severity,
    /// Identifier it is about, or `None` if it is about the bus.
    pub can_id: Option<CanId>,
    /// Details (`outrider_wire::catalogue::field`).
    pub fields: Fields,
}
