//! The safety gate: a pure function from intent and knowledge to a permit or every reason against it.
//!
//! Decision table for class V0 (observe), all rows must hold:
//!
//! | condition | refusal |
//! | --- | --- |
//! | requester's role is analyst, engineer or admin and the account is enabled | `requester_disabled` |
//! | the vehicle is in the registry and belongs to the intent's tenant | `unknown_vehicle`, `wrong_tenant` |
//! | the vehicle states that it can do the action | `not_capable` |
//! | the event belongs to this vehicle and is stored | `foreign_event`, `unknown_event` |
//! | the event is not older than the vehicle keeps captures | `event_too_old` |
//! | the window is within its bounds and not empty | `window_too_wide`, `window_empty` |
//! | no other command for this vehicle is in flight | `command_in_flight` |
//! | commands to this vehicle, and to the fleet, stay below their limits of the last 24 hours | `vehicle_limit`, `fleet_limit` |
//! | the emergency stop is not set | `stopped` |
//! | the intent is fresh: not from the future, not older than five minutes | `stale_intent` |
//!
//! For class V2 (changes what the vehicle detects and reports, no driving function) the rows about events and windows fall
//! away, and these hold as well. The cloud cannot tell what a model or a filter stops seeing, so a second person is asked
//! for every one:
//!
//! | condition | refusal |
//! | --- | --- |
//! | requester's role is engineer or admin | `role_too_low` |
//! | another enabled engineer or admin has confirmed it | `not_confirmed` |
//! | the artifact is stored and of the stated kind, version and length | `unknown_artifact` |
//!
//! The state of motion is not asked for: a V0 or V2 action touches no driving function, and the vehicle decides
//! again when it receives the command.

use outrider_types::{TenantId, UnixMicros, VehicleId};

use crate::intent::{Action, EffectClass, EvidenceWindow, Intent, IntentHash};
use crate::words::Role;

/// Identity of a permit, given by the caller from a random source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PermitId(pub [u8; 16]);

/// Leave to send exactly one command for exactly one intent; only [`SafetyGate::judge`] makes one (RSP-1).
///
/// It cannot be written down by hand:
///
/// ```compile_fail,E0451
/// use outrider_respond::{Action, IntentHash, Permit, PermitId};
/// use outrider_types::{TenantId, UnixMicros, VehicleId};
///
/// fn forge(action: Action) -> Permit {
///     Permit {
///         id: PermitId([0; 16]),
///         intent: IntentHash([0; 32]),
///         tenant: TenantId(1),
///         vehicle: VehicleId([0; 16]),
///         action,
///         expires: UnixMicros(0),
///     }
/// }
/// ```
///
/// nor used twice:
///
/// ```compile_fail,E0382
/// use outrider_respond::{Command, CommandSequence, Permit};
/// use outrider_types::UnixMicros;
///
/// fn twice(permit: Permit) {
///     let first = Command::new(permit, [0; 16], CommandSequence(1), UnixMicros(0));
///     let second = Command::new(permit, [1; 16], CommandSequence(2), UnixMicros(0));
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    id: PermitId,
    intent: IntentHash,
    tenant: TenantId,
    vehicle: VehicleId,
    action: Action,
    expires: UnixMicros,
}

impl Permit {
    /// Returns the permit's identity.
    #[must_use]
    pub const fn id(&self) -> PermitId {
        self.id
    }

    /// Returns the hash of the intent that was judged.
    #[must_use]
    pub const fn intent(&self) -> IntentHash {
        self.intent
    }

    /// Returns the owner of the vehicle.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Returns the one vehicle that the command may go to.
    #[must_use]
    pub const fn vehicle(&self) -> VehicleId {
        self.vehicle
    }

    /// Returns what the command may ask for.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// Returns the first time at which the permit is void.
    #[must_use]
    pub const fn expires(&self) -> UnixMicros {
        self.expires
    }
}

/// Why the gate says no; closed list, append-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalCode {
    /// The account that asks is disabled.
    RequesterDisabled,
    /// The registry does not have the vehicle.
    UnknownVehicle,
    /// The vehicle belongs to another tenant.
    WrongTenant,
    /// The vehicle does not state that it can do this.
    NotCapable,
    /// The event belongs to another vehicle.
    ForeignEvent,
    /// The event is not stored.
    UnknownEvent,
    /// The event is older than the vehicle keeps captures.
    EventTooOld,
    /// The window is wider than the bound.
    WindowTooWide,
    /// The window has no length.
    WindowEmpty,
    /// Another command for this vehicle is in flight.
    CommandInFlight,
    /// The vehicle has had its share of commands in the last 24 hours.
    VehicleLimit,
    /// The fleet has had its share of commands in the last 24 hours.
    FleetLimit,
    /// The emergency stop is set.
    Stopped,
    /// The intent is from the future or too old.
    StaleIntent,
    /// The requester's role is below what the effect class asks for.
    RoleTooLow,
    /// No second person has confirmed it.
    NotConfirmed,
    /// The artifact is not stored, or is another one.
    UnknownArtifact,
}

impl RefusalCode {
    /// Returns the code in API, database and audit.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::RequesterDisabled => "requester_disabled",
            Self::UnknownVehicle => "unknown_vehicle",
            Self::WrongTenant => "wrong_tenant",
            Self::NotCapable => "not_capable",
            Self::ForeignEvent => "foreign_event",
            Self::UnknownEvent => "unknown_event",
            Self::EventTooOld => "event_too_old",
            Self::WindowTooWide => "window_too_wide",
            Self::WindowEmpty => "window_empty",
            Self::CommandInFlight => "command_in_flight",
            Self::VehicleLimit => "vehicle_limit",
            Self::FleetLimit => "fleet_limit",
            Self::Stopped => "stopped",
            Self::StaleIntent => "stale_intent",
            Self::RoleTooLow => "role_too_low",
            Self::NotConfirmed => "not_confirmed",
            Self::UnknownArtifact => "unknown_artifact",
        }
    }
}

/// Every reason against an intent, ascending, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reasons.
    pub reasons: Vec<RefusalCode>,
}

/// What is known when the gate judges; unknown means unsafe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateContext {
    /// Now, by the cloud's clock.
    pub now: UnixMicros,
    /// Whether the requester's account is enabled.
    pub requester_enabled: bool,
    /// Tenant of the vehicle in the registry; `None` if it is not there.
    pub vehicle_tenant: Option<TenantId>,
    /// Whether the vehicle states that it can do the action.
    pub is_capable: bool,
    /// Event time of the event, if it is stored.
    pub event_at: Option<UnixMicros>,
    /// Commands for this vehicle without an end.
    pub in_flight: u32,
    /// Commands to this vehicle in the last 24 hours.
    pub vehicle_commands: u32,
    /// Commands to all vehicles in the last 24 hours.
    pub fleet_commands: u32,
    /// Whether anybody has set the emergency stop.
    pub is_stopped: bool,
    /// Who confirmed it, if it is a configuration: name and role of an enabled account.
    pub confirmed_by: Option<(String, Role)>,
    /// Whether the artifact is stored and is the one that the intent names.
    pub has_artifact: bool,
}

/// Limits that the gate applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatePolicy {
    /// Widest window on either side, in seconds.
    pub window_s_max: u16,
    /// Age at which a vehicle has overwritten its capture, in microseconds.
    pub event_age_us_max: i64,
    /// Commands a vehicle in 24 hours.
    pub vehicle_commands_max: u32,
    /// Commands a fleet in 24 hours.
    pub fleet_commands_max: u32,
    /// How long a permit, and the command made from it, is good, in microseconds.
    pub permit_us: i64,
    /// How old an intent may be, in microseconds.
    pub intent_age_us_max: i64,
}

impl Default for GatePolicy {
    /// Guesses until a fleet says otherwise: a minute on either side, captures kept for 30 days, eight commands a
    /// vehicle and 2,000 a fleet in 24 hours, a day for a car in a garage to answer, five minutes to decide.
    fn default() -> Self {
        const DAY_US: i64 = 24 * 3600 * 1_000_000;
        Self {
            window_s_max: 60,
            event_age_us_max: 30 * DAY_US,
            vehicle_commands_max: 8,
            fleet_commands_max: 2000,
            permit_us: DAY_US,
            intent_age_us_max: 5 * 60 * 1_000_000,
        }
    }
}

/// Judge of intents. Pure: same intent, same context, same policy, same verdict.
#[derive(Debug, Clone, Copy, Default)]
pub struct SafetyGate {
    /// Limits.
    pub policy: GatePolicy,
}

impl SafetyGate {
    /// Judges an intent.
    ///
    /// # Errors
    /// [`Refusal`] with every reason of the decision table that applies.
    pub fn judge(&self, intent: &Intent, context: &GateContext, id: PermitId) -> Result<Permit, Refusal> {
        let mut reasons = self.general(intent, context);
        match intent.action.effect_class() {
            EffectClass::Observe => {}
            EffectClass::NoDriving => Self::two_persons(intent, context, &mut reasons),
        }
        match &intent.action {
            Action::RequestEvidence(window) => self.evidence(intent, window, context, &mut reasons),
            Action::Configure(_) if context.has_artifact => {}
            Action::Configure(_) => reasons.push(RefusalCode::UnknownArtifact),
        }
        if !reasons.is_empty() {
            reasons.sort_unstable();
            return Err(Refusal { reasons });
        }
        Ok(Permit {
            id,
            intent: intent.hash(),
            tenant: intent.tenant,
            vehicle: intent.vehicle,
            action: intent.action,
            expires: context.now.saturating_add(self.policy.permit_us),
        })
    }

    fn general(&self, intent: &Intent, context: &GateContext) -> Vec<RefusalCode> {
        let age = context.now.micros_since(intent.requested_at);
        let checks = [
            (!context.requester_enabled, RefusalCode::RequesterDisabled),
            (context.vehicle_tenant.is_none(), RefusalCode::UnknownVehicle),
            (context.vehicle_tenant.is_some_and(|tenant| tenant != intent.tenant), RefusalCode::WrongTenant),
            (!context.is_capable, RefusalCode::NotCapable),
            (context.in_flight > 0, RefusalCode::CommandInFlight),
            (context.vehicle_commands >= self.policy.vehicle_commands_max, RefusalCode::VehicleLimit),
            (context.fleet_commands >= self.policy.fleet_commands_max, RefusalCode::FleetLimit),
            (context.is_stopped, RefusalCode::Stopped),
            (age < 0 || age > self.policy.intent_age_us_max, RefusalCode::StaleIntent),
        ];
        checks.into_iter().filter_map(|(applies, code)| applies.then_some(code)).collect()
    }

    /// Two different persons, both of whom may configure.
    fn two_persons(intent: &Intent, context: &GateContext, reasons: &mut Vec<RefusalCode>) {
        if intent.role < Role::Engineer {
            reasons.push(RefusalCode::RoleTooLow);
        }
        let confirmed = context.confirmed_by.as_ref();
        if !confirmed.is_some_and(|(name, role)| *name != intent.requester && *role >= Role::Engineer) {
            reasons.push(RefusalCode::NotConfirmed);
        }
    }

    fn evidence(
        &self,
        intent: &Intent,
        window: &EvidenceWindow,
        context: &GateContext,
        reasons: &mut Vec<RefusalCode>,
    ) {
        if window.event.vehicle != intent.vehicle {
            reasons.push(RefusalCode::ForeignEvent);
        }
        match context.event_at {
            None => reasons.push(RefusalCode::UnknownEvent),
            Some(at) if context.now.micros_since(at) > self.policy.event_age_us_max => {
                reasons.push(RefusalCode::EventTooOld);
            }
            Some(_) => {}
        }
        if window.before_s > self.policy.window_s_max || window.after_s > self.policy.window_s_max {
            reasons.push(RefusalCode::WindowTooWide);
        }
        if window.before_s == 0 && window.after_s == 0 {
            reasons.push(RefusalCode::WindowEmpty);
        }
    }
}

#[cfg(test)]
mod tests;
