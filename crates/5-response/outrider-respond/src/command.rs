//! Commands: built from a permit, and from nothing else (RSP-1).

use outrider_types::{TenantId, UnixMicros, VehicleId};

use crate::gate::{Permit, PermitId};
use crate::intent::{Action, IntentHash};

/// Number of a command in a vehicle's series, from 1; the vehicle refuses one that is not above the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandSequence(pub u64);

/// How far a vehicle's trusted clock may be behind the cloud's without refusing a fresh command: a minute.
const CLOCK_SLACK_US: i64 = 60_000_000;

/// Why a permit does not become a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The permit is void.
    #[error("permit expired at {expired}, it is {now}")]
    PermitExpired {
        /// When it became void.
        expired: UnixMicros,
        /// Now.
        now: UnixMicros,
    },
    /// Sequence 0 is no number of a command.
    #[error("sequence starts at 1")]
    Sequence,
}

impl CommandError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::PermitExpired { .. } => "command.permit_expired",
            Self::Sequence => "command.sequence",
        }
    }
}

/// A command that may be signed and sent: what, to whom, until when, under which permit.
///
/// It cannot be written down by hand:
///
/// ```compile_fail,E0451
/// use outrider_respond::{Action, Command, CommandSequence, IntentHash, PermitId};
/// use outrider_types::{TenantId, UnixMicros, VehicleId};
///
/// fn forge(action: Action) -> Command {
///     Command {
///         id: [0; 16],
///         sequence: CommandSequence(1),
///         not_before: UnixMicros(0),
///         expires: UnixMicros(0),
///         permit: PermitId([0; 16]),
///         intent: IntentHash([0; 32]),
///         tenant: TenantId(1),
///         vehicle: VehicleId([0; 16]),
///         action,
///     }
/// }
/// ```
///
/// nor made without a permit:
///
/// ```compile_fail,E0308
/// use outrider_respond::{Command, CommandSequence, PermitId};
/// use outrider_types::UnixMicros;
///
/// let command = Command::new(PermitId([0; 16]), [0; 16], CommandSequence(1), UnixMicros(0));
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    id: [u8; 16],
    sequence: CommandSequence,
    not_before: UnixMicros,
    expires: UnixMicros,
    permit: PermitId,
    intent: IntentHash,
    tenant: TenantId,
    vehicle: VehicleId,
    action: Action,
}

impl Command {
    /// Turns a permit into the one command it is good for.
    ///
    /// # Errors
    /// [`CommandError`]; the permit is gone either way.
    pub fn new(
        permit: Permit,
        id: [u8; 16],
        sequence: CommandSequence,
        now: UnixMicros,
    ) -> Result<Self, CommandError> {
        if now >= permit.expires() {
            return Err(CommandError::PermitExpired { expired: permit.expires(), now });
        }
        if sequence.0 == 0 {
            return Err(CommandError::Sequence);
        }
        Ok(Self {
            id,
            sequence,
            not_before: now.saturating_add(-CLOCK_SLACK_US),
            expires: permit.expires(),
            permit: permit.id(),
            intent: permit.intent(),
            tenant: permit.tenant(),
            vehicle: permit.vehicle(),
            action: permit.action(),
        })
    }

    /// Returns the command's identity.
    #[must_use]
    pub const fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Returns the number in the vehicle's series.
    #[must_use]
    pub const fn sequence(&self) -> CommandSequence {
        self.sequence
    }

    /// Returns the first time at which the vehicle may obey.
    #[must_use]
    pub const fn not_before(&self) -> UnixMicros {
        self.not_before
    }

    /// Returns the first time at which the command is void.
    #[must_use]
    pub const fn expires(&self) -> UnixMicros {
        self.expires
    }

    /// Returns the permit that it was made from.
    #[must_use]
    pub const fn permit(&self) -> PermitId {
        self.permit
    }

    /// Returns the hash of the judged intent.
    #[must_use]
    pub const fn intent(&self) -> IntentHash {
        self.intent
    }

    /// Returns the owner of the vehicle.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Returns the vehicle.
    #[must_use]
    pub const fn vehicle(&self) -> VehicleId {
        self.vehicle
    }

    /// Returns what it asks for.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }
}

#[cfg(test)]
mod tests {
    use outrider_types::{BootEpoch, EventId, Lane, Seq};

    use super::*;
    use crate::gate::{GateContext, SafetyGate};
    use crate::intent::{EvidenceWindow, Intent, IntentId};
    use crate::words::Role;

    const NOW: UnixMicros = UnixMicros(1_800_000_000_000_000);

    fn permit() -> Permit {
        let vehicle = VehicleId([3; 16]);
        let event = EventId { vehicle, epoch: BootEpoch(1), lane: Lane::Critical, seq: Seq(5) };
        let intent = Intent {
            id: IntentId([1; 16]),
            tenant: TenantId(1),
            vehicle,
            action: Action::RequestEvidence(EvidenceWindow { event, before_s: 1, after_s: 1 }),
            requester: "ada".to_owned(),
            role: Role::Analyst,
            requested_at: NOW,
        };
        let context = GateContext {
            now: NOW,
            requester_enabled: true,
            vehicle_tenant: Some(TenantId(1)),
            is_capable: true,
            event_at: Some(NOW),
            in_flight: 0,
            vehicle_commands: 0,
            fleet_commands: 0,
            is_stopped: false,
            confirmed_by: None,
            has_artifact: false,
        };
        SafetyGate::default().judge(&intent, &context, PermitId([7; 16])).expect("nothing is against it")
    }

    #[test]
    fn a_command_carries_what_the_permit_says() {
        let expires = permit().expires();
        let command = Command::new(permit(), [5; 16], CommandSequence(1), NOW).expect("the permit is fresh");
        assert_eq!((command.permit(), command.expires()), (PermitId([7; 16]), expires));
        assert_eq!(command.not_before(), NOW.saturating_add(-60_000_000));
        assert_eq!(command.vehicle(), VehicleId([3; 16]));
    }

    #[test]
    fn a_permit_is_void_from_the_moment_it_expires() {
        let expires = permit().expires();
        assert!(Command::new(permit(), [5; 16], CommandSequence(1), expires.saturating_add(-1)).is_ok());
        let late = Command::new(permit(), [5; 16], CommandSequence(1), expires);
        assert_eq!(late, Err(CommandError::PermitExpired { expired: expires, now: expires }));
        assert_eq!(Command::new(permit(), [5; 16], CommandSequence(0), NOW), Err(CommandError::Sequence));
    }
}
