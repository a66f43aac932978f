use outrider_types::{BootEpoch, EventId, Lane, Seq};
use proptest::prelude::*;

use super::*;
use crate::intent::{ConfigKind, Configuration, IntentId};
use crate::words::Role;

const NOW: UnixMicros = UnixMicros(1_800_000_000_000_000);
const VEHICLE: VehicleId = VehicleId([3; 16]);

fn intent(vehicle: VehicleId, before_s: u16, after_s: u16, requested_at: UnixMicros) -> Intent {
    let event = EventId { vehicle: VEHICLE, epoch: BootEpoch(1), lane: Lane::Critical, seq: Seq(5) };
    Intent {
        id: IntentId([1; 16]),
        tenant: TenantId(1),
        vehicle,
        action: Action::RequestEvidence(EvidenceWindow { event, before_s, after_s }),
        requester: "ada".to_owned(),
        role: Role::Analyst,
        requested_at,
    }
}

fn context() -> GateContext {
    GateContext {
        now: NOW,
        requester_enabled: true,
        vehicle_tenant: Some(TenantId(1)),
        is_capable: true,
        event_at: Some(NOW.saturating_add(-1_000_000)),
        in_flight: 0,
        vehicle_commands: 0,
        fleet_commands: 0,
        is_stopped: false,
        confirmed_by: None,
        has_artifact: false,
    }
}

fn reasons(intent: &Intent, context: &GateContext) -> Vec<RefusalCode> {
    SafetyGate::default()
        .judge(intent, context, PermitId([9; 16]))
        .map_or_else(|refusal| refusal.reasons, |_| Vec::new())
}

#[test]
fn a_permit_is_bound_to_intent_vehicle_and_time() {
    let intent = intent(VEHICLE, 5, 5, NOW);
    let permit =
        SafetyGate::default().judge(&intent, &context(), PermitId([9; 16])).expect("nothing is against it");
    assert_eq!((permit.vehicle(), permit.intent()), (VEHICLE, intent.hash()));
    assert_eq!(permit.expires(), NOW.saturating_add(24 * 3600 * 1_000_000));
}

#[test]
fn each_row_of_the_table_refuses_alone() {
    let good = intent(VEHICLE, 5, 5, NOW);
    let policy = GatePolicy::default();
    let with = |change: fn(&mut GateContext)| {
        let mut context = context();
        change(&mut context);
        context
    };
    let cases: Vec<(Intent, GateContext, RefusalCode)> = vec![
        (good.clone(), with(|c| c.requester_enabled = false), RefusalCode::RequesterDisabled),
        (good.clone(), with(|c| c.vehicle_tenant = None), RefusalCode::UnknownVehicle),
        (good.clone(), with(|c| c.vehicle_tenant = Some(TenantId(2))), RefusalCode::WrongTenant),
        (good.clone(), with(|c| c.is_capable = false), RefusalCode::NotCapable),
        (intent(VehicleId([4; 16]), 5, 5, NOW), context(), RefusalCode::ForeignEvent),
        (good.clone(), with(|c| c.event_at = None), RefusalCode::UnknownEvent),
        (
            good.clone(),
            with(|c| c.event_at = Some(NOW.saturating_add(-GatePolicy::default().event_age_us_max - 1))),
            RefusalCode::EventTooOld,
        ),
        (intent(VEHICLE, policy.window_s_max + 1, 0, NOW), context(), RefusalCode::WindowTooWide),
        (intent(VEHICLE, 0, policy.window_s_max + 1, NOW), context(), RefusalCode::WindowTooWide),
        (intent(VEHICLE, 0, 0, NOW), context(), RefusalCode::WindowEmpty),
        (good.clone(), with(|c| c.in_flight = 1), RefusalCode::CommandInFlight),
        (good.clone(), with(|c| c.vehicle_commands = 8), RefusalCode::VehicleLimit),
        (good.clone(), with(|c| c.fleet_commands = 2000), RefusalCode::FleetLimit),
        (good.clone(), with(|c| c.is_stopped = true), RefusalCode::Stopped),
        (intent(VEHICLE, 5, 5, NOW.saturating_add(1)), context(), RefusalCode::StaleIntent),
        (
            intent(VEHICLE, 5, 5, NOW.saturating_add(-policy.intent_age_us_max - 1)),
            context(),
            RefusalCode::StaleIntent,
        ),
    ];
    for (intent, context, code) in cases {
        assert_eq!(reasons(&intent, &context), [code]);
    }
    let edge = with(|c| {
        c.vehicle_commands = 7;
        c.fleet_commands = 1999;
        c.event_at = Some(NOW.saturating_add(-GatePolicy::default().event_age_us_max));
    });
    let widest = intent(
        VEHICLE,
        policy.window_s_max,
        policy.window_s_max,
        NOW.saturating_add(-policy.intent_age_us_max),
    );
    assert!(reasons(&widest, &edge).is_empty(), "each boundary from the other side");
}

#[test]
fn all_reasons_are_told_at_once() {
    let mut context = context();
    context.is_stopped = true;
    context.event_at = None;
    let expected = [RefusalCode::UnknownEvent, RefusalCode::WindowEmpty, RefusalCode::Stopped];
    assert_eq!(reasons(&intent(VEHICLE, 0, 0, NOW), &context), expected);
}

#[test]
fn every_field_of_an_intent_is_in_its_hash() {
    let base = intent(VEHICLE, 5, 5, NOW);
    let mut others = vec![
        Intent { id: IntentId([2; 16]), ..base.clone() },
        Intent { tenant: TenantId(2), ..base.clone() },
        Intent { vehicle: VehicleId([4; 16]), ..base.clone() },
        Intent { requester: "eve".to_owned(), ..base.clone() },
        Intent { role: Role::Admin, ..base.clone() },
        Intent { requested_at: UnixMicros(1), ..base.clone() },
        intent(VEHICLE, 6, 5, NOW),
        intent(VEHICLE, 5, 6, NOW),
    ];
    others.push(base.clone());
    let hashes: std::collections::BTreeSet<_> = others.iter().map(Intent::hash).collect();
    assert_eq!(hashes.len(), others.len());
}

proptest! {
    /// Against a second reading of the decision table, written as one expression.
    #[test]
    fn a_permit_exists_exactly_when_every_row_holds(
        enabled in any::<bool>(), tenant in proptest::option::of(1u32..3), capable in any::<bool>(),
        event_age in proptest::option::of(0i64..4_000_000_000_000), in_flight in 0u32..2, vehicle_commands in 0u32..12,
        fleet_commands in 1990u32..2010, stopped in any::<bool>(), before in 0u16..80, after in 0u16..80,
        intent_age in -10_000_000i64..400_000_000, own in any::<bool>(),
    ) {
        let intent = intent(if own { VEHICLE } else { VehicleId([4; 16]) }, before, after, NOW.saturating_add(-intent_age));
        let context = GateContext {
            now: NOW, requester_enabled: enabled, vehicle_tenant: tenant.map(TenantId), is_capable: capable,
            event_at: event_age.map(|age| NOW.saturating_add(-age)), in_flight, vehicle_commands, fleet_commands,
            is_stopped: stopped, confirmed_by: None, has_artifact: false,
        };
        let allowed = enabled && tenant == Some(1) && capable && own && !stopped && in_flight == 0
            && event_age.is_some_and(|age| age <= 2_592_000_000_000) && vehicle_commands < 8 && fleet_commands < 2000
            && (1..=120).contains(&(before + after)) && before <= 60 && after <= 60
            && (0..=300_000_000).contains(&intent_age);
        prop_assert_eq!(SafetyGate::default().judge(&intent, &context, PermitId([0; 16])).is_ok(), allowed);
    }
}

#[test]
fn a_configuration_needs_two_persons_who_may_configure() {
    let configuration = Configuration { kind: ConfigKind::Policy, version: 3, sha256: [4; 32], bytes: 900 };
    let good = Intent {
        action: Action::Configure(configuration),
        role: Role::Engineer,
        ..intent(VEHICLE, 5, 5, NOW)
    };
    let confirmed = |name: &str, role| GateContext {
        confirmed_by: Some((name.to_owned(), role)),
        has_artifact: true,
        event_at: None,
        ..context()
    };
    assert_eq!(reasons(&good, &confirmed("bob", Role::Engineer)), []);
    assert_eq!(
        reasons(&good, &confirmed("ada", Role::Admin)),
        [RefusalCode::NotConfirmed],
        "the same person"
    );
    assert_eq!(reasons(&good, &confirmed("bob", Role::Analyst)), [RefusalCode::NotConfirmed]);
    let alone = GateContext { confirmed_by: None, ..confirmed("bob", Role::Engineer) };
    assert_eq!(reasons(&good, &alone), [RefusalCode::NotConfirmed]);
    let analyst = Intent { role: Role::Analyst, ..good.clone() };
    assert_eq!(reasons(&analyst, &confirmed("bob", Role::Engineer)), [RefusalCode::RoleTooLow]);
    let missing = GateContext { has_artifact: false, ..confirmed("bob", Role::Engineer) };
    assert_eq!(reasons(&good, &missing), [RefusalCode::UnknownArtifact]);
    let stopped = GateContext { is_stopped: true, ..confirmed("bob", Role::Engineer) };
    assert_eq!(reasons(&good, &stopped), [RefusalCode::Stopped]);
    let other = Configuration { version: 4, ..configuration };
    assert_ne!(good.hash(), Intent { action: Action::Configure(other), ..good.clone() }.hash());
}
