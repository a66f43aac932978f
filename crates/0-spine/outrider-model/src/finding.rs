//! What a cloud detector states, with its evidence.

use std::fmt;
use std::str::FromStr;

use outrider_types::{EventId, HexError, Severity, TenantId, UnixMicros, VehicleId, hex_decode};

/// Stable identity of a detection rule (UUID text of the Sigma document).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub String);

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Values of a rule's group-by fields, in the rule's order: field name and value as text.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey(pub Vec<(String, String)>);

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{name}={value}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Event-time window of a finding; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// First event time.
    pub from: UnixMicros,
    /// Last event time.
    pub to: UnixMicros,
}

/// Identity of a finding: the first 16 bytes of SHA-256 over rule, group and start of the window (DET-2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FindingId(pub [u8; 16]);

impl fmt::Display for FindingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for FindingId {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        hex_decode::<16>(text).map(Self)
    }
}

/// One condition of a rule and the value that met it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matched {
    /// Field name.
    pub field: String,
    /// Operator as the rule spells it, such as `equals` or `gte`.
    pub operator: String,
    /// What the rule asks for.
    pub expected: String,
    /// What the event had.
    pub observed: String,
}

/// Why a finding exists: values and examples, bounded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Conditions that were met, at most 16.
    pub matched: Vec<Matched>,
    /// Lowest event identities that contributed, at most [`Evidence::EVENTS_MAX`], ascending.
    pub events: Vec<EventId>,
    /// Lowest vehicles that contributed, at most [`Evidence::VEHICLES_MAX`], ascending.
    pub vehicles: Vec<VehicleId>,
}

impl Evidence {
    /// Events kept as examples.
    pub const EVENTS_MAX: usize = 50;
    /// Vehicles kept as examples.
    pub const VEHICLES_MAX: usize = 100;
}

/// Immutable statement of a cloud detector; a later revision replaces it as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Identity.
    pub id: FindingId,
    /// Owner.
    pub tenant: TenantId,
    /// Rule that states it.
    pub rule: RuleId,
    /// Group that it is about.
    pub group: GroupKey,
    /// Event-time window.
    pub window: Window,
    /// From 1; grows when late events change the finding.
    pub revision: u32,
    /// Whether a late event raised or changed it; late findings never start a response by themselves.
    pub late: bool,
    /// Severity.
    pub severity: Severity,
    /// Threshold that the rule sets, if it counts.
    pub threshold: Option<u64>,
    /// Value that the rule computed, if it counts.
    pub value: Option<u64>,
    /// Contributing events.
    pub event_count: u64,
    /// Contributing vehicles.
    pub vehicle_count: u64,
    /// Model line, if all evidence agrees on one.
    pub model_line: Option<String>,
    /// Values and examples.
    pub evidence: Evidence,
    /// When the detector stated this revision (ingest clock).
    pub detected_at: UnixMicros,
    /// Whether this revision takes the finding back: late events moved its start or joined it to another one,
    /// which now speaks for its events. A withdrawn finding never returns.
    pub withdrawn: bool,
}
