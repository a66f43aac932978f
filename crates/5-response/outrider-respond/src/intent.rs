//! What a person asks for, before anybody has judged it.

use std::fmt;

use outrider_types::{BootEpoch, EventId, Seq, TenantId, UnixMicros, VehicleId};
use sha2::{Digest, Sha256};

use crate::words::Role;

/// Identity of an intent, given by the caller from a random source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntentId(pub [u8; 16]);

/// SHA-256 over the intent's canonical bytes; a permit is bound to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntentHash(pub [u8; 32]);

impl fmt::Display for IntentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How far an action can reach into a vehicle.
///
/// V1, V3 and V4 (back end only, operational effect, powertrain and assistance) have no action yet; whoever adds one
/// extends the gate's decision table first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EffectClass {
    /// V0: observes, changes nothing in the vehicle.
    Observe,
    /// V2: changes the vehicle, but no driving function: what it detects and reports.
    NoDriving,
}

impl EffectClass {
    /// Returns the class's name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Observe => "V0",
            Self::NoDriving => "V2",
        }
    }
}

/// Window of evidence around one event of the vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EvidenceWindow {
    /// Event in the vehicle's own numbering.
    pub event: EventId,
    /// Seconds before the event's first time.
    pub before_s: u16,
    /// Seconds after the event's last time.
    pub after_s: u16,
}

/// What a configuration is about; numbers as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigKind {
    /// Lanes, windows, fair shares, budgets.
    Policy,
    /// Filters of qualification and patterns of logs.
    Rules,
    /// Vehicle model.
    Model,
}

impl ConfigKind {
    /// Returns the number on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Policy => 1,
            Self::Rules => 2,
            Self::Model => 3,
        }
    }
}

/// A signed configuration that a vehicle shall use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Configuration {
    /// What it is about.
    pub kind: ConfigKind,
    /// Version.
    pub version: u64,
    /// SHA-256 of the artifact.
    pub sha256: [u8; 32],
    /// Its length in bytes.
    pub bytes: u32,
}

/// What shall happen in the vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Cut the capture around an observation and upload it.
    RequestEvidence(EvidenceWindow),
    /// Fetch a signed configuration, use it on trial, and return if it harms.
    Configure(Configuration),
}

impl Action {
    /// Returns the action's effect class.
    #[must_use]
    pub const fn effect_class(&self) -> EffectClass {
        match self {
            Self::RequestEvidence(_) => EffectClass::Observe,
            Self::Configure(_) => EffectClass::NoDriving,
        }
    }

    /// Returns the action's word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::RequestEvidence(_) => "request_evidence",
            Self::Configure(_) => "configure",
        }
    }
}

/// One request for an action in one vehicle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Identity.
    pub id: IntentId,
    /// Owner of the vehicle, as the requester's session knows it.
    pub tenant: TenantId,
    /// Vehicle.
    pub vehicle: VehicleId,
    /// What shall happen.
    pub action: Action,
    /// Who asks.
    pub requester: String,
    /// In which role.
    pub role: Role,
    /// When.
    pub requested_at: UnixMicros,
}

impl Intent {
    /// Returns the hash that permits are bound to: SHA-256 over a fixed encoding of every field.
    #[must_use]
    pub fn hash(&self) -> IntentHash {
        let mut hasher = Sha256::new();
        hasher.update(b"outrider-intent/1");
        hasher.update(self.id.0);
        hasher.update(self.tenant.0.to_le_bytes());
        hasher.update(self.vehicle.0);
        match &self.action {
            Action::RequestEvidence(window) => {
                let EventId { vehicle, epoch: BootEpoch(epoch), lane, seq: Seq(seq) } = window.event;
                hasher.update([1, lane.code()]);
                hasher.update(vehicle.0);
                hasher.update(epoch.to_le_bytes());
                hasher.update(seq.to_le_bytes());
                hasher.update(window.before_s.to_le_bytes());
                hasher.update(window.after_s.to_le_bytes());
            }
            Action::Configure(configuration) => {
                hasher.update([2]);
                hasher.update(configuration.kind.code().to_le_bytes());
                hasher.update(configuration.version.to_le_bytes());
                hasher.update(configuration.sha256);
                hasher.update(configuration.bytes.to_le_bytes());
            }
        }
        hasher.update((self.requester.len() as u64).to_le_bytes());
        hasher.update(self.requester.as_bytes());
        hasher.update(self.role.word().as_bytes());
        hasher.update(self.requested_at.0.to_le_bytes());
        IntentHash(hasher.finalize().into())
    }
}
