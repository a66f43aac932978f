//! Policies and artifacts: what they can say, and what they cannot.

use outrider_types::{EventTypeId, Lane, Severity, TenantId, UnixMicros, VehicleId};
use outrider_wire::catalogue::{DEFAULTS, event};
use outrider_wire::policy::{
    CRITICAL_BYTES_PER_DAY_MIN, POLICY_BYTES_MAX, POLICY_KEEPS_MAX, Policy, PolicyHead, PolicyRule, may_take,
};
use outrider_wire::{Artifact, ArtifactHead, ArtifactKind, FrameError, SealedArtifact};
use proptest::prelude::*;

use crate::{Key, properties};

fn rule(event_type: EventTypeId) -> PolicyRule {
    PolicyRule { event_type, bus: None, severity: None, lane: None, window_ms: None, keep: false }
}

fn emit(head: &PolicyHead, rules: &[PolicyRule]) -> Result<Vec<u8>, FrameError> {
    let mut out = vec![0; POLICY_BYTES_MAX];
    let length = Policy::emit(head, rules, &mut out)?;
    out.truncate(length);
    Ok(out)
}

pub(crate) fn sample() -> Vec<u8> {
    let rules = [
        PolicyRule {
            bus: Some(1),
            severity: Some(Severity::High),
            lane: Some(Lane::Critical),
            ..rule(event::CAN_UNKNOWN_ID)
        },
        PolicyRule { lane: Some(Lane::Deferred), window_ms: Some(60_000), ..rule(event::CAN_CYCLE_TIME) },
        PolicyRule { keep: true, ..rule(event::BOOT_INTEGRITY_FAILURE) },
    ];
    emit(&PolicyHead::default(), &rules).expect("a legal policy")
}

pub(crate) fn artifact(payload: &[u8]) -> Vec<u8> {
    let head = ArtifactHead {
        kind: ArtifactKind::Policy,
        tenant: TenantId(42),
        version: 7,
        made_at: UnixMicros(100),
        platform: None,
        vehicle: Some(VehicleId([4; 16])),
        key: [9; 8],
    };
    let mut out = vec![0; Artifact::frame_bytes(payload.len())];
    assert_eq!(Artifact::emit(&head, payload, &Key::new(6), &mut out), Ok(out.len()));
    out
}

#[test]
fn a_policy_lowers_no_type_that_the_catalogue_holds_and_raises_any() {
    let lower = PolicyRule { lane: Some(Lane::Deferred), ..rule(event::BOOT_INTEGRITY_FAILURE) };
    let refused = emit(&PolicyHead::default(), &[lower]);
    assert_eq!(refused, Err(FrameError::Value { offset: 88 + 5, got: 2 }));
    let raise = PolicyRule { lane: Some(Lane::Critical), ..rule(event::GATEWAY_BOOT) };
    assert!(emit(&PolicyHead::default(), &[raise]).is_ok());
    let held = DEFAULTS.iter().filter(|one| !one.lowerable).count();
    assert!(held > 20, "{held} types are held");
    for defaults in &DEFAULTS {
        for lane in Lane::ALL {
            let is_lower = lane > defaults.lane;
            assert_eq!(may_take(defaults.event_type, lane), !is_lower || defaults.lowerable);
        }
    }
    // A type of a later catalogue has a lane that this vehicle does not know, so it is not lowered.
    assert!(!may_take(EventTypeId(60_000), Lane::Deferred) && may_take(EventTypeId(60_000), Lane::Critical));
}

#[test]
fn a_policy_cannot_silence_the_critical_lane() {
    let mut head = PolicyHead::default();
    head.lanes[0].bytes_per_day = CRITICAL_BYTES_PER_DAY_MIN;
    assert!(emit(&head, &[]).is_ok());
    head.lanes[0].bytes_per_day -= 1;
    assert!(matches!(emit(&head, &[]), Err(FrameError::Value { offset: 24, .. })));
    let mut head = PolicyHead::default();
    head.hours.unmetered_only = [true, false, false];
    assert!(matches!(emit(&head, &[]), Err(FrameError::Value { offset: 80, .. })));
    let mut head = PolicyHead::default();
    head.hours.workshop_only = [true, true, true];
    assert!(matches!(emit(&head, &[]), Err(FrameError::Value { offset: 81, .. })));
    let mut head = PolicyHead::default();
    head.lanes[0].window_ms = 60_001;
    assert!(matches!(emit(&head, &[]), Err(FrameError::Cap { offset: 8, .. })));
    let mut head = PolicyHead::default();
    head.lanes[1].rows_per_hour = 59;
    assert!(matches!(emit(&head, &[]), Err(FrameError::Value { offset: 36, .. })));
}

#[test]
fn rules_are_in_one_order_none_twice_and_few_are_exempt() {
    let twice = [rule(event::CAN_FLOOD), rule(event::CAN_FLOOD)];
    assert!(matches!(emit(&PolicyHead::default(), &twice), Err(FrameError::Value { offset: 100, .. })));
    let turned = [rule(event::CAN_FLOOD), rule(event::CAN_UNKNOWN_ID)];
    assert!(matches!(emit(&PolicyHead::default(), &turned), Err(FrameError::Value { offset: 100, .. })));
    let keeps = |count: usize| -> Vec<PolicyRule> {
        let types = DEFAULTS.iter().take(count);
        types.map(|one| PolicyRule { keep: true, ..rule(one.event_type) }).collect()
    };
    assert!(emit(&PolicyHead::default(), &keeps(POLICY_KEEPS_MAX)).is_ok());
    let many = emit(&PolicyHead::default(), &keeps(POLICY_KEEPS_MAX + 1));
    assert!(matches!(many, Err(FrameError::Cap { .. })), "{many:?}");
}

#[test]
fn what_a_later_version_may_mean_is_refused_today() {
    for (offset, what) in [(82, "reserved"), (98, "flags"), (99, "reserved of a rule")] {
        let mut bytes = sample();
        bytes[offset] = 0x82;
        assert!(Policy::parse(&bytes).is_err(), "{what}");
    }
    let mut longer = sample();
    longer.push(0);
    assert!(matches!(Policy::parse(&longer), Err(FrameError::Length { .. })));
    let mut reserved = artifact(b"x");
    reserved[36] = 1;
    assert!(matches!(SealedArtifact::parse(&reserved), Err(FrameError::Value { offset: 36, .. })));
}

#[test]
fn no_bit_of_an_artifact_can_change() {
    let good = artifact(&sample());
    assert!(SealedArtifact::parse(&good).and_then(|sealed| sealed.open(&Key::new(6))).is_ok());
    assert!(SealedArtifact::parse(&good).and_then(|sealed| sealed.open(&Key::new(7))).is_err());
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let read = SealedArtifact::parse(&bytes).and_then(|sealed| sealed.open(&Key::new(6)).map(|_| ()));
        assert!(read.is_err(), "bit {bit}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_policy_that_is_written_again_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        properties::policy(&bytes);
        properties::artifact(&bytes);
    }

    #[test]
    fn a_policy_with_changed_bytes_still_lowers_nothing_that_is_held(at in 0usize..124, byte: u8) {
        let mut bytes = sample();
        bytes[at] = byte;
        properties::policy(&bytes);
        properties::artifact(&artifact(&bytes));
    }
}
