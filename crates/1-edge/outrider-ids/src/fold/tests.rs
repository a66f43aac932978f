extern crate std;

use super::*;

const KIND: EventTypeId = EventTypeId(1);

fn strike(severity: Severity) -> Strike {
    Strike { event_type: KIND, can_id: None, severity, fields: Fields::new() }
}

#[test]
fn repeats_fold_a_rise_is_said_and_quiet_ends() {
    let mut fold = <Fold>::new(BusId(3));
    for n in 0..10 {
        fold.strike(VehicleMicros(n * 1000), strike(Severity::Low));
    }
    fold.strike(VehicleMicros(10_000), strike(Severity::High));
    fold.strike(VehicleMicros(11_000), strike(Severity::Low));
    fold.sweep(VehicleMicros(11_000 + HOLD_OFF_US - 1));
    let phases: [_; 3] = core::array::from_fn(|_| fold.pop().map(|seen| (seen.phase, seen.count)));
    assert_eq!(phases, [Some((Phase::Opened, 1)), Some((Phase::Escalated, 11)), None]);
    fold.sweep(VehicleMicros(11_000 + HOLD_OFF_US));
    let closed = fold.pop().expect("the hold-off is over");
    assert_eq!((closed.phase, closed.count, closed.severity), (Phase::Closed, 12, Severity::High));
    assert_eq!((closed.first, closed.last), (VehicleMicros(0), VehicleMicros(11_000)));
    assert!(!fold.is_open(KIND, None));
}

#[test]
fn what_does_not_fit_is_counted() {
    let mut fold = <Fold>::new(BusId(0));
    for n in 0..200u32 {
        let can_id = CanId::standard(n);
        fold.strike(VehicleMicros(0), Strike { can_id, ..strike(Severity::Low) });
    }
    assert_eq!(fold.dropped, 200 - 48);
    fold.finish(VehicleMicros(1));
    assert_eq!(core::iter::from_fn(|| fold.pop()).count(), 64);
    assert_eq!(fold.dropped, 200 - 48 + 2 * 48 - 64);
}
const SECOND: u64 = 1_000_000;
const ALARM: Severity = Severity::Medium;

fn about(event_type: EventTypeId, value: u32, severity: Severity, detector: &'static str) -> Strike {
    let fields = Fields::new().text(field::DETECTOR, detector);
    Strike { event_type, can_id: CanId::standard(value), severity, fields }
}

fn payload(value: u32) -> Strike {
    about(event::CAN_PAYLOAD_ANOMALY, value, ALARM, "payload")
}

fn drain(fold: &mut Fold) -> std::vec::Vec<Observation> {
    core::iter::from_fn(|| fold.pop()).collect()
}

/// Says an alarm at a time and ends it.
fn once(fold: &mut Fold, at: u64, strike: Strike) -> std::vec::Vec<Observation> {
    fold.strike(VehicleMicros(at), strike);
    let seen = drain(fold);
    fold.sweep(VehicleMicros(at + HOLD_OFF_US));
    drain(fold);
    seen
}

#[test]
fn an_alarm_beyond_the_budget_is_low_and_one_event_says_why() {
    let mut fold = <Fold>::new(BusId(0));
    let said: std::vec::Vec<_> = (0..5)
        .flat_map(|n| once(&mut fold, n * 10 * SECOND, payload(1)))
        .map(|seen| (seen.event_type, seen.severity))
        .collect();
    let (alarm, low) = ((event::CAN_PAYLOAD_ANOMALY, ALARM), (event::CAN_PAYLOAD_ANOMALY, Severity::Low));
    let over = (event::SENSOR_OVER_BUDGET, Severity::Low);
    assert_eq!(said, [alarm, alarm, over, low, low, low]);
    assert!(!fold.is_alarmed());
    let used = fold.used(VehicleMicros(50 * SECOND))[1];
    assert_eq!((used.alarms, used.withheld, used.is_over), (2, 3, true));
    let hour = VehicleMicros(2 * 3600 * SECOND);
    fold.settle_budget(hour, |_| {});
    let ended = fold.pop().expect("the budget recovered");
    assert_eq!((ended.event_type, ended.phase), (event::SENSOR_OVER_BUDGET, Phase::Closed));
    assert_eq!(once(&mut fold, hour.0, payload(1))[0].severity, ALARM);
}

#[test]
fn a_withheld_alarm_does_not_rise_by_repeating_and_a_graver_one_does() {
    let mut fold = <Fold>::new(BusId(0));
    (0..2).for_each(|n| drop(once(&mut fold, n * 10 * SECOND, payload(1))));
    let at = VehicleMicros(60 * SECOND);
    (0..50).for_each(|_| fold.strike(at, payload(1)));
    let alarms = drain(&mut fold).into_iter().filter(|seen| seen.severity > Severity::Low).count();
    assert_eq!((alarms, fold.used(at)[1].withheld), (0, 1));
    fold.strike(at, about(event::CAN_PAYLOAD_ANOMALY, 1, Severity::High, "payload"));
    let graver = fold.pop().expect("graver than before");
    assert_eq!((graver.phase, graver.severity), (Phase::Escalated, Severity::High));
    assert!(fold.is_alarmed());
}

#[test]
fn a_cheap_detector_uses_up_neither_the_budget_nor_the_place_of_a_critical_one() {
    let mut fold = <Fold>::new(BusId(0));
    let at = VehicleMicros(SECOND);
    // Every identifier of a small bus cries, and each cries again and again.
    for round in 0..3 {
        for value in 0..200 {
            fold.strike(VehicleMicros(at.0 + round), payload(value));
            fold.strike(
                VehicleMicros(at.0 + round),
                about(event::CAN_UNKNOWN_ID, 0x400 + value, Severity::Low, "unknown_id"),
            );
            drain(&mut fold);
        }
    }
    assert!(fold.used(at)[1].is_over || fold.dropped > 0, "the attack did what it could");
    let critical = [
        (event::CAN_FLOOD, Severity::High, "id_flood"),
        (event::CAN_UNKNOWN_ID, ALARM, "novel_ids"),
        (event::CAN_CHECKSUM_MISMATCH, ALARM, "checksum"),
        (event::CAN_SEGMENT_VIOLATION, Severity::High, "segment"),
        (event::CAN_SUSPENSION, Severity::High, "silence"),
        (event::CAN_CYCLE_TIME, ALARM, "cycle_cusum"),
        (event::DIAG_SECURITY_ACCESS_BRUTE_FORCE, Severity::High, "security_access_failures"),
        (event::CAN_MASQUERADE, Severity::High, "stuck"),
    ];
    for (event_type, severity, detector) in critical {
        fold.strike(at, about(event_type, 7, severity, detector));
        let said = drain(&mut fold).into_iter().find(|seen| seen.event_type == event_type);
        assert_eq!(
            said.map(|seen| (seen.phase, seen.severity)),
            Some((Phase::Opened, severity)),
            "{detector}"
        );
    }
}

#[test]
fn small_things_make_room_for_alarms_and_alarms_for_nothing_smaller() {
    let mut fold = <Fold>::new(BusId(0));
    for value in 0..48 {
        fold.strike(
            VehicleMicros(u64::from(value)),
            about(event::CAN_FLOOD, value, Severity::High, "id_flood"),
        );
    }
    drain(&mut fold);
    fold.strike(VehicleMicros(100), about(event::CAN_UNKNOWN_ID, 99, Severity::Low, "unknown_id"));
    fold.strike(VehicleMicros(100), payload(99));
    assert_eq!((drain(&mut fold).len(), fold.dropped), (0, 2));
    let mut fold = <Fold>::new(BusId(0));
    for value in 0..48 {
        fold.strike(
            VehicleMicros(u64::from(value)),
            about(event::CAN_UNKNOWN_ID, value, Severity::Low, "unknown_id"),
        );
    }
    drain(&mut fold);
    fold.strike(VehicleMicros(100), payload(99));
    let seen = drain(&mut fold);
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert_eq!(
        (seen[0].phase, seen[0].can_id),
        (Phase::Closed, CanId::standard(0)),
        "the oldest of the least"
    );
    assert_eq!((seen[1].phase, seen[1].severity), (Phase::Opened, ALARM));
    assert_eq!(fold.dropped, 1);
}

#[test]
fn a_detector_that_is_always_on_becomes_low_and_its_identifiers_are_named() {
    let mut fold = <Fold>::new(BusId(0));
    let mut demoted = std::vec::Vec::new();
    let mut seen = std::vec::Vec::new();
    for second in 0..400u64 {
        let at = VehicleMicros(second * SECOND);
        fold.strike(at, payload(5));
        fold.strike(at, about(event::CAN_SUSPENSION, 6, ALARM, "silence"));
        fold.sweep(at);
        fold.settle_budget(at, |id| demoted.push((second, id)));
        seen.extend(drain(&mut fold));
    }
    assert_eq!(demoted, [(67, CanId::standard(5))]);
    let about_five: std::vec::Vec<_> = seen
        .iter()
        .filter(|one| one.can_id == CanId::standard(5))
        .map(|one| (one.phase, one.severity))
        .collect();
    assert_eq!(
        about_five[..4],
        [
            (Phase::Opened, ALARM),
            (Phase::Ongoing, ALARM),
            (Phase::Closed, ALARM),
            (Phase::Opened, Severity::Low),
        ]
    );
    assert!(about_five[4..].iter().all(|one| *one == (Phase::Ongoing, Severity::Low)), "{about_five:?}");
    let told =
        seen.iter().filter(|one| (one.event_type, one.phase) == (event::SENSOR_ALWAYS_ON, Phase::Opened));
    assert_eq!(told.count(), 1);
    assert!(fold.is_alarmed(), "a rule that is broken is said for as long as it is");
    assert_eq!(fold.used(VehicleMicros(400 * SECOND))[1].alarmed_us / SECOND, 67);
    // Another identifier is not hidden by that.
    fold.strike(VehicleMicros(400 * SECOND), payload(8));
    assert_eq!(fold.pop().map(|one| one.severity), Some(ALARM));
}

#[test]
fn what_a_mode_leaves_out_is_counted_and_opens_nothing() {
    let mut fold = <Fold>::new(BusId(0));
    fold.gates.set(crate::detector::Mode::StartUp, None);
    fold.strike(VehicleMicros(0), payload(1));
    fold.strike(VehicleMicros(0), about(event::CAN_CYCLE_TIME, 1, ALARM, "cycle_cusum"));
    assert_eq!(
        drain(&mut fold).iter().map(|one| one.severity).collect::<std::vec::Vec<_>>(),
        [Severity::Low]
    );
    assert_eq!(fold.gates.gated, 2);
    fold.gates.set(crate::detector::Mode::Driving, None);
    fold.strike(VehicleMicros(1), payload(1));
    assert_eq!(fold.pop().map(|one| one.severity), Some(ALARM));
}
