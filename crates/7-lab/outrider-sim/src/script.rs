//! What happens: background noise and attacks with ground truth.

use std::collections::BTreeSet;

use outrider_gateway::{FieldValue, SecurityEvent};
use outrider_model::Connectivity;
use outrider_types::{BusId, EcuId, EventTypeId, FieldKey, Seed, UnixMicros, VehicleId, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use crate::fleet::FleetPlan;

/// A minute in microseconds.
pub const MINUTE_US: i64 = 60_000_000;
/// An hour in microseconds.
pub const HOUR_US: i64 = 60 * MINUTE_US;

/// Kind of a scripted attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AttackKind {
    /// Frames injected on a vehicle's CAN bus.
    CanInjection,
    /// UDS SecurityAccess tried until it opens.
    DiagnosticBruteForce,
    /// A SecOC key of one model line is out; forged PDUs in many of its vehicles.
    SecocKeyCompromise,
}

impl AttackKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::CanInjection, Self::DiagnosticBruteForce, Self::SecocKeyCompromise];

    /// Returns the name in results and scenario files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::CanInjection => "can_injection",
            Self::DiagnosticBruteForce => "diagnostic_brute_force",
            Self::SecocKeyCompromise => "secoc_key_compromise",
        }
    }
}

/// Ground truth of one attack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attack {
    /// Kind.
    pub kind: AttackKind,
    /// Vehicles under attack.
    pub vehicles: BTreeSet<VehicleId>,
    /// Model line, if the attack is against one.
    pub model_line: Option<String>,
    /// True time of the first malicious act.
    pub from: UnixMicros,
    /// True time of the last malicious act.
    pub to: UnixMicros,
}

/// Something that one vehicle's sensors see at a true time.
#[derive(Debug, Clone)]
pub struct Planned {
    /// True time.
    pub at: UnixMicros,
    /// Index in [`FleetPlan::vehicles`].
    pub vehicle: usize,
    /// What is seen; its times are set by the vehicle.
    pub event: SecurityEvent,
}

/// Everything that happens to the statistical vehicles, and the truth about all attacks.
#[derive(Debug, Clone)]
pub struct Script {
    /// Start of the world.
    pub start: UnixMicros,
    /// End of the world.
    pub end: UnixMicros,
    /// Planned sights, ascending by time.
    pub planned: Vec<Planned>,
    /// Attacks.
    pub attacks: Vec<Attack>,
}

/// Model line whose SecOC key is compromised.
const COMPROMISED_LINE: &str = "Alder";
/// Vehicles with forged PDUs, at most; the shipped fleet rule asks for 50.
const COMPROMISED_MAX: usize = 80;
/// Mean time between two harmless events of one vehicle: two a day, the middle of what the sizing states.
const NOISE_EVERY_US: i64 = 12 * HOUR_US;

impl Script {
    /// Writes the script of `hours` hours from `start`.
    #[must_use]
    pub fn new(seed: Seed, fleet: &FleetPlan, start: UnixMicros, hours: u32) -> Self {
        let end = start.saturating_add(i64::from(hours) * HOUR_US);
        let mut script = Self { start, end, planned: Vec::new(), attacks: Vec::new() };
        script.noise(seed.fork(10), fleet);
        script.can_injection(seed.fork(11), fleet);
        script.brute_force(seed.fork(12), fleet);
        script.secoc(seed.fork(13), fleet);
        script.planned.sort_by_key(|planned| (planned.at, planned.vehicle));
        script
    }

    fn push(&mut self, at: UnixMicros, vehicle: usize, event: SecurityEvent) {
        if at >= self.start && at < self.end {
            self.planned.push(Planned { at, vehicle, event });
        }
    }

    /// Harmless events that every fleet has: bad reception, worn connectors, refused packets.
    fn noise(&mut self, mut seed: Seed, fleet: &FleetPlan) {
        for vehicle in 0..fleet.vehicles.len() {
            let mut at = self.start;
            loop {
                at = at.saturating_add(random_us(&mut seed, 2 * NOISE_EVERY_US));
                if at >= self.end {
                    break;
                }
                let noise = harmless(&mut seed);
                self.push(at, vehicle, noise);
            }
        }
    }

    /// Statistical vehicles whose detectors report injected frames; full-stack ones see real frames instead.
    fn can_injection(&mut self, mut seed: Seed, fleet: &FleetPlan) {
        let from = self.start.saturating_add((self.end.micros_since(self.start)) * 3 / 4);
        let chosen = choose(&mut seed, fleet, 2, |_| true);
        let mut to = from;
        for vehicle in &chosen {
            for index in 0..40 {
                let at = from.saturating_add(index * 3_000_000 + random_us(&mut seed, 1_000_000));
                let gap = 2_000 + seed.below(500);
                let seen = seen(event::CAN_CYCLE_TIME, EcuId(3), Some(BusId(0)))
                    .with(field::CAN_ID, FieldValue::Uint(0x118))
                    .with(field::GAP_US, FieldValue::Uint(gap))
                    .with(field::GAP_EXPECTED_US, FieldValue::Uint(10_000))
                    .with(field::DETECTOR, FieldValue::Text("cycle_time".to_owned()));
                self.push(at, *vehicle, seen);
                to = to.max(at);
            }
        }
        self.attack(AttackKind::CanInjection, fleet, &chosen, None, (from, to));
    }

    fn brute_force(&mut self, mut seed: Seed, fleet: &FleetPlan) {
        let from = self.start.saturating_add((self.end.micros_since(self.start)) * 2 / 3);
        let chosen = choose(&mut seed, fleet, 2, |_| true);
        let mut to = from;
        for vehicle in &chosen {
            for index in 0..12u64 {
                let at = from.saturating_add(i64::try_from(index).unwrap_or(0) * 20_000_000);
                let seen = seen(event::DIAG_SECURITY_ACCESS_BRUTE_FORCE, EcuId(1), Some(BusId(0)))
                    .with(field::SECURITY_LEVEL, FieldValue::Uint(1))
                    .with(field::ATTEMPTS, FieldValue::Uint(5 + index))
                    .with(field::UDS_NRC, FieldValue::Uint(0x35))
                    .with(field::TARGET_ADDRESS, FieldValue::Uint(0x7E8))
                    .with(field::TESTER_ADDRESS, FieldValue::Uint(0x7E0));
                self.push(at, *vehicle, seen);
                to = to.max(at);
            }
        }
        self.attack(AttackKind::DiagnosticBruteForce, fleet, &chosen, None, (from, to));
    }

    /// Forged secured PDUs in many vehicles of one line within 20 hours, cellular or not.
    fn secoc(&mut self, mut seed: Seed, fleet: &FleetPlan) {
        let length = self.end.micros_since(self.start).min(20 * HOUR_US) * 9 / 10;
        let from = self.end.saturating_add(-length);
        let chosen = choose(&mut seed, fleet, COMPROMISED_MAX, |line| line == COMPROMISED_LINE);
        let mut to = from;
        for vehicle in &chosen {
            let begin = from.saturating_add(random_us(&mut seed, length * 8 / 10));
            for _ in 0..3 {
                let at = begin.saturating_add(random_us(&mut seed, 5 * MINUTE_US));
                let seen = seen(event::SECOC_MAC_FAILURE, EcuId(3), Some(BusId(0)))
                    .with(field::SECOC_DATA_ID, FieldValue::Uint(0x21))
                    .with(field::CAN_ID, FieldValue::Uint(0x220))
                    .with(field::ATTEMPTS, FieldValue::Uint(1 + seed.below(4)));
                self.push(at, *vehicle, seen);
                to = to.max(at);
            }
        }
        self.attack(
            AttackKind::SecocKeyCompromise,
            fleet,
            &chosen,
            Some(COMPROMISED_LINE.to_owned()),
            (from, to),
        );
    }

    fn attack(
        &mut self,
        kind: AttackKind,
        fleet: &FleetPlan,
        chosen: &[usize],
        model_line: Option<String>,
        span: (UnixMicros, UnixMicros),
    ) {
        let vehicles: BTreeSet<VehicleId> =
            chosen.iter().map(|index| fleet.vehicles[*index].record.vehicle).collect();
        if !vehicles.is_empty() {
            self.attacks.push(Attack { kind, vehicles, model_line, from: span.0, to: span.1 });
        }
    }
}

/// Returns a number of microseconds in `0..bound`; 0 for a bound that is not positive.
fn random_us(seed: &mut Seed, bound: i64) -> i64 {
    let bound = u64::try_from(bound).unwrap_or(0);
    i64::try_from(seed.below(bound)).unwrap_or(0)
}

/// Chooses statistical vehicles with a mobile connection, at most `count`, of the lines that `wanted` accepts.
fn choose(seed: &mut Seed, fleet: &FleetPlan, count: usize, wanted: impl Fn(&str) -> bool) -> Vec<usize> {
    let mut candidates: Vec<usize> = (0..fleet.vehicles.len())
        .filter(|index| {
            let vehicle = &fleet.vehicles[*index];
            !vehicle.is_full_stack
                && vehicle.record.connectivity != Connectivity::Workshop
                && vehicle.clock == crate::fleet::ClockFault::None
                && wanted(&vehicle.record.model_line)
        })
        .collect();
    let mut chosen = Vec::new();
    while chosen.len() < count && !candidates.is_empty() {
        let index = usize::try_from(seed.below(candidates.len() as u64)).unwrap_or(0);
        chosen.push(candidates.swap_remove(index));
    }
    chosen.sort_unstable();
    chosen
}

/// Creates a sight without time.
fn seen(event_type: EventTypeId, ecu: EcuId, bus: Option<BusId>) -> SecurityEvent {
    SecurityEvent { ecu, bus, ..SecurityEvent::new(event_type, VehicleMicros(0)) }
}

/// Draws an event that every fleet has.
pub(crate) fn harmless(seed: &mut Seed) -> SecurityEvent {
    let number = |value: u64| FieldValue::Uint(value);
    let with = |event: SecurityEvent, fields: &[(FieldKey, FieldValue)]| {
        fields.iter().fold(event, |event, (key, value)| event.with(*key, value.clone()))
    };
    match seed.below(7) {
        0 => with(
            seen(event::GNSS_JAMMING, EcuId(9), None),
            &[
                (field::SATELLITES, number(seed.below(4))),
                (field::DURATION_US, number(1_000_000 + seed.below(60_000_000))),
            ],
        ),
        1 => with(
            seen(event::FW_PACKET_BLOCKED, EcuId(9), None),
            &[
                (field::FIREWALL_RULE, number(1 + seed.below(20))),
                (field::DESTINATION_PORT, number(1024 + seed.below(60_000))),
                (field::PROTOCOL, FieldValue::Text("udp".to_owned())),
            ],
        ),
        2 => with(
            seen(event::CAN_ERROR_PASSIVE, EcuId(6), Some(BusId(1))),
            &[(field::TX_ERRORS, number(128 + seed.below(20))), (field::RX_ERRORS, number(seed.below(100)))],
        ),
        3 => with(
            seen(event::BLUETOOTH_PAIRING_REJECTED, EcuId(10), None),
            &[(field::ATTEMPTS, number(1 + seed.below(2)))],
        ),
        4 => with(
            seen(event::OTA_SERVER_UNREACHABLE, EcuId(9), None),
            &[(field::REASON, FieldValue::Text("timeout".to_owned()))],
        ),
        5 => with(
            seen(event::HOST_ACCESS_DENIED, EcuId(10), None),
            &[
                (field::PROCESS_NAME, FieldValue::Text("mediad".to_owned())),
                (field::SYSCALL, FieldValue::Text("openat".to_owned())),
            ],
        ),
        _ => with(
            seen(event::DIAG_DTC_CLEARED, EcuId(1), Some(BusId(0))),
            &[(field::TESTER_ADDRESS, number(0x7E0)), (field::TARGET_ADDRESS, number(0x7E8))],
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixMicros = UnixMicros(1_767_571_200_000_000);

    #[test]
    fn a_script_is_sorted_inside_its_bounds_and_repeatable() {
        let fleet = FleetPlan::new(Seed::new(3), 400, 1);
        let script = Script::new(Seed::new(3), &fleet, START, 36);
        assert!(script.planned.is_sorted_by_key(|planned| planned.at));
        assert!(script.planned.iter().all(|planned| planned.at >= script.start && planned.at < script.end));
        let again = Script::new(Seed::new(3), &fleet, START, 36);
        assert_eq!(script.planned.len(), again.planned.len());
        assert_eq!(script.attacks, again.attacks);
    }

    #[test]
    fn all_three_attacks_are_there_and_the_secoc_one_reaches_fifty_vehicles_of_its_line() {
        let fleet = FleetPlan::new(Seed::new(3), 400, 1);
        let script = Script::new(Seed::new(3), &fleet, START, 36);
        let kinds: Vec<_> = script.attacks.iter().map(|attack| attack.kind).collect();
        assert_eq!(kinds, AttackKind::ALL);
        let secoc = &script.attacks[2];
        assert!(secoc.vehicles.len() >= 50, "{}", secoc.vehicles.len());
        assert!(secoc.to.micros_since(secoc.from) < 24 * HOUR_US);
        for vehicle in &secoc.vehicles {
            let entry = fleet.find(*vehicle).expect("it is in the fleet");
            assert_eq!(Some(&entry.record.model_line), secoc.model_line.as_ref());
        }
    }
}
