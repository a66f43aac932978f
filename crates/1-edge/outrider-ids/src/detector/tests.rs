use outrider_bus::can::{CanId, Dlc, ErrorClass, Frame};
use outrider_types::{BusId, EventTypeId, Severity, VehicleMicros};
use proptest::prelude::*;

use super::*;
use crate::model::{BusDraft, BusFacts, GapFacts, IdEntry, IdFlags, ModelDraft, VehicleModel, write};
use crate::observation::{Observation, Phase};

mod operating;
mod untrained;

extern crate std;
use std::boxed::Box;
use std::vec;
use std::vec::Vec;

const SECOND: u64 = 1_000_000;

fn id(value: u32) -> CanId {
    CanId::standard(value).expect("eleven bits")
}

fn periodic(value: u32, cycle_us: u32) -> IdEntry {
    let gaps = GapFacts {
        min_us: cycle_us - cycle_us / 20,
        p05_us: cycle_us,
        median_us: cycle_us,
        p95_us: cycle_us,
        max_us: cycle_us + cycle_us / 20,
    };
    IdEntry {
        id: id(value),
        dlc_mask: 1 << 8,
        class: CycleClass::Periodic,
        flags: IdFlags { steady: true, ..IdFlags::default() },
        gaps,
        ahead_max_q16: 0,
        frames: 1000,
        captures: 1,
    }
}

/// A bus with identifiers 0x100 to 0x109 in cycles of 10 ms and 0x200 to 0x209 of 100 ms; speed in 0x100.
fn detector() -> Box<BusDetector> {
    let mut ids: Vec<IdEntry> = (0..10).map(|n| periodic(0x100 + n, 10_000)).collect();
    ids.extend((0..10).map(|n| periodic(0x200 + n, 100_000)));
    let speed = SpeedSignal {
        id: id(0x100),
        start_bit: 0,
        bits: 16,
        big_endian: false,
        signed: false,
        scale_nano_kmh: 10_000_000,
        offset_nano_kmh: 0,
    };
    let facts = BusFacts {
        bus: BusId(2),
        captures: 1,
        rate_hz: 1100,
        rate_max_hz: 1200,
        bit_rate: 500_000,
        speed: Some(speed),
    };
    let buses = [BusDraft { facts, ids: &ids, ..BusDraft::default() }];
    let draft = ModelDraft { buses: &buses, ..ModelDraft::default() };
    let mut bytes = vec![0; crate::model::encoded_bytes(&draft)];
    write(&draft, &mut bytes).expect("consistent facts");
    let model = VehicleModel::parse(&bytes).expect("just written");
    Box::new(BusDetector::new(&model.bus(BusId(2)).expect("just written")))
}

/// One frame at a time, payload of the given bytes padded to eight.
fn frame(value: u32, bytes: &[u8]) -> Frame {
    let mut data = [0u8; 8];
    data[..bytes.len()].copy_from_slice(bytes);
    Frame::classic(id(value), &data).expect("eight bytes fit")
}

/// Ordinary traffic of the bus from `from` to `to`, without the identifiers in `without`, at `kmh`.
fn ordinary(from: u64, to: u64, without: &[u32], kmh: u16) -> Vec<(u64, Frame)> {
    let mut out = Vec::new();
    for at in (from..to).step_by(10_000) {
        let fast = (0..10u32).map(|n| (at + u64::from(n) * 300, 0x100 + n));
        let slow = (0..10u32).filter(|n| (at / 10_000) % 10 == u64::from(*n)).map(|n| (at + 5000, 0x200 + n));
        for (at, value) in fast.chain(slow).filter(|(_, value)| !without.contains(value)) {
            out.push((at, frame(value, &(kmh * 100).to_le_bytes())));
        }
    }
    out
}

fn run(detector: &mut BusDetector, mut frames: Vec<(u64, Frame)>) -> Vec<Observation> {
    frames.sort_by_key(|(at, _)| *at);
    let mut seen = Vec::new();
    for (at, frame) in frames {
        detector.receive(VehicleMicros(at), &frame);
        seen.extend(core::iter::from_fn(|| detector.pop()));
    }
    seen
}

/// Every opened episode with the worst it became.
fn episodes(seen: &[Observation]) -> Vec<(EventTypeId, Option<u32>, Severity)> {
    let opened = seen.iter().filter(|one| one.phase == Phase::Opened);
    opened
        .map(|one| {
            let worst = seen.iter().filter(|other| other.episode == one.episode).map(|other| other.severity);
            (one.event_type, one.can_id.map(CanId::value), worst.max().unwrap_or(one.severity))
        })
        .collect()
}

#[test]
fn ordinary_traffic_is_silent() {
    let mut detector = detector();
    let seen = run(&mut detector, ordinary(0, 10 * SECOND, &[], 80));
    assert!(seen.is_empty(), "{seen:?}");
    assert_eq!(detector.stats().frames, 11_000);
    assert_eq!(detector.speed().map(|reading| reading.kmh), Some(80));
}

#[test]
fn frames_between_those_of_a_cycle_are_an_injection_and_a_few_are_not() {
    let mut few = ordinary(0, 4 * SECOND, &[], 0);
    few.extend((0..4).map(|n| (2 * SECOND + n * 3000 + 1, frame(0x203, &[9]))));
    assert_eq!(episodes(&run(&mut detector(), few)), []);
    let mut many = ordinary(0, 4 * SECOND, &[], 0);
    many.extend((0..20).map(|n| (2 * SECOND + n * 30_000 + 1, frame(0x203, &[9]))));
    let expected = [(event::CAN_CYCLE_TIME, Some(0x203), Severity::Medium)];
    assert_eq!(episodes(&run(&mut detector(), many)), expected);
}

#[test]
fn an_identifier_that_stops_is_missed_and_one_frame_lost_is_not() {
    let lost = ordinary(0, 4 * SECOND, &[], 0);
    let lost =
        lost.into_iter().filter(|(at, one)| one.id() != Some(id(0x105)) || at / 30_000 != 60).collect();
    assert_eq!(episodes(&run(&mut detector(), lost)), []);
    let mut stopped = ordinary(0, 2 * SECOND, &[], 0);
    stopped.extend(ordinary(2 * SECOND, 4 * SECOND, &[0x105], 0));
    let seen = run(&mut detector(), stopped);
    assert_eq!(episodes(&seen), [(event::CAN_SUSPENSION, Some(0x105), Severity::High)]);
    let delay = seen[0].at.0 - 2 * SECOND;
    assert!((100_000..400_000).contains(&delay), "{delay}");
}

#[test]
fn an_ecu_that_stops_is_one_event_and_a_bus_that_sleeps_is_none() {
    let gone = [0x200, 0x201, 0x202, 0x203, 0x204];
    let mut ecu = ordinary(0, 2 * SECOND, &[], 0);
    ecu.extend(ordinary(2 * SECOND, 5 * SECOND, &gone, 0));
    let seen = run(&mut detector(), ecu);
    let network = episodes(&seen).into_iter().filter(|(kind, ..)| *kind == event::CAN_SUSPENSION).count();
    assert!((1..=3).contains(&network), "{seen:?}");
    assert!(episodes(&seen).iter().any(|(_, can_id, _)| can_id.is_none()));
    let mut sleep = ordinary(0, 2 * SECOND, &[], 0);
    sleep.extend(ordinary(20 * SECOND, 22 * SECOND, &[], 0));
    assert_eq!(episodes(&run(&mut detector(), sleep)), []);
}

#[test]
fn an_unknown_identifier_is_low_until_it_is_frequent() {
    let mut rare = ordinary(0, 4 * SECOND, &[], 0);
    rare.extend((0..4).map(|n| (n * SECOND + 7, frame(0x3AA, &[1]))));
    assert_eq!(episodes(&run(&mut detector(), rare)), [(event::CAN_UNKNOWN_ID, Some(0x3AA), Severity::Low)]);
    let mut often = ordinary(0, 4 * SECOND, &[], 0);
    often.extend((0..40).map(|n| (n * 100_000 + 7, frame(0x3AA, &[1]))));
    assert_eq!(
        episodes(&run(&mut detector(), often)),
        [(event::CAN_UNKNOWN_ID, Some(0x3AA), Severity::Medium)]
    );
}

#[test]
fn a_flood_is_one_event_above_low_and_excuses_what_it_delays() {
    let mut frames: Vec<_> = ordinary(0, 4 * SECOND, &[], 0)
        .into_iter()
        .filter(|(at, _)| !(2 * SECOND..3 * SECOND).contains(at))
        .collect();
    frames.extend((0..3900).map(|n| (2 * SECOND + n * 256, frame(0, &[0xFF]))));
    let seen = run(&mut detector(), frames);
    let bad: Vec<_> =
        episodes(&seen).into_iter().filter(|(.., severity)| *severity > Severity::Low).collect();
    assert_eq!(bad, [(event::CAN_FLOOD, Some(0), Severity::High)]);
}

#[test]
fn a_wrong_length_is_low_once_and_medium_when_it_repeats() {
    let short = Frame::classic(id(0x204), &[1, 2]).expect("two bytes fit");
    let mut frames = ordinary(0, SECOND, &[], 0);
    frames.push((500_000, short));
    assert_eq!(
        episodes(&run(&mut detector(), frames.clone())),
        [(event::CAN_WRONG_DLC, Some(0x204), Severity::Low)]
    );
    frames.extend((0..3).map(|n| (600_000 + n, short)));
    assert_eq!(
        episodes(&run(&mut detector(), frames)),
        [(event::CAN_WRONG_DLC, Some(0x204), Severity::Medium)]
    );
}

/// Seed, key and refusal on 0x7E0 and 0x7E8, `count` times.
fn guesses(from: u64, count: u64, nrc: u8) -> Vec<(u64, Frame)> {
    (0..count)
        .flat_map(|n| {
            let at = from + n * 200_000;
            [
                (at, frame(0x7E0, &[2, 0x27, 1])),
                (at + 10_000, frame(0x7E8, &[6, 0x67, 1, 1, 2, 3, 4])),
                (at + 20_000, frame(0x7E0, &[6, 0x27, 2, 5, 6, 7, 8])),
                (at + 30_000, frame(0x7E8, &[3, 0x7F, 0x27, nrc])),
            ]
        })
        .collect()
}

#[test]
fn refused_keys_are_a_brute_force_and_a_single_one_is_a_refusal() {
    let kinds = |count, nrc| {
        let mut frames = ordinary(0, 12 * SECOND, &[], 0);
        frames.extend(guesses(2 * SECOND, count, nrc));
        let seen = episodes(&run(&mut detector(), frames));
        seen.into_iter().filter(|(kind, ..)| *kind != event::CAN_UNKNOWN_ID).collect::<Vec<_>>()
    };
    assert_eq!(kinds(1, 0x35), [(event::DIAG_SECURITY_ACCESS_DENIED, Some(0x7E0), Severity::Medium)]);
    assert_eq!(kinds(5, 0x35), [(event::DIAG_SECURITY_ACCESS_BRUTE_FORCE, Some(0x7E0), Severity::High)]);
    assert_eq!(kinds(1, 0x36), [(event::DIAG_SECURITY_ACCESS_BRUTE_FORCE, Some(0x7E0), Severity::High)]);
}

#[test]
fn a_tester_with_an_accepted_key_is_a_workshop_until_it_drives_or_the_session_lapses() {
    let reset = |kmh, key: bool, pause_us| {
        let mut frames = ordinary(0, 12 * SECOND, &[], kmh);
        let at = 2 * SECOND;
        if key {
            frames.extend([
                (at, frame(0x7E0, &[2, 0x27, 1])),
                (at + 10_000, frame(0x7E8, &[6, 0x67, 1, 1, 2, 3, 4])),
                (at + 20_000, frame(0x7E0, &[6, 0x27, 2, 5, 6, 7, 8])),
                (at + 30_000, frame(0x7E8, &[2, 0x67, 2])),
            ]);
        }
        let at = at + 20_000 + pause_us;
        frames.extend([(at, frame(0x7E0, &[2, 0x11, 1])), (at + 10_000, frame(0x7E8, &[2, 0x51, 1]))]);
        let seen = episodes(&run(&mut detector(), frames));
        seen.iter().find(|(kind, ..)| *kind == event::DIAG_ECU_RESET).map(|(.., severity)| *severity)
    };
    assert_eq!(reset(0, true, SECOND), Some(Severity::Low));
    assert_eq!(reset(0, false, SECOND), Some(Severity::Medium), "no key");
    assert_eq!(reset(80, true, SECOND), Some(Severity::Medium), "it drives");
    assert_eq!(reset(0, true, 5 * SECOND), Some(Severity::Low));
    assert_eq!(reset(0, true, 5 * SECOND + 1), Some(Severity::Medium), "the session has lapsed");
}

#[test]
fn a_session_counts_only_while_the_vehicle_drives() {
    for (kmh, expected) in [(80, 1), (0, 0)] {
        let mut frames = ordinary(0, 2 * SECOND, &[], kmh);
        frames.push((SECOND, frame(0x7E0, &[2, 0x10, 3])));
        frames.push((SECOND + 50_000, frame(0x7E1, &[2, 0x10, 1])));
        let seen = episodes(&run(&mut detector(), frames));
        let sessions = seen.iter().filter(|(kind, ..)| *kind == event::DIAG_SESSION_WHILE_DRIVING).count();
        assert_eq!(sessions, expected, "{kmh} km/h");
    }
}

#[test]
fn a_clock_that_steps_back_restarts_without_a_false_event() {
    let mut detector = detector();
    let mut seen = Vec::new();
    for start in [100 * SECOND, 0] {
        for (at, frame) in ordinary(start, start + 3 * SECOND, &[], 0) {
            detector.receive(VehicleMicros(at), &frame);
            seen.extend(core::iter::from_fn(|| detector.pop()));
        }
    }
    assert!(seen.is_empty(), "{seen:?}");
    assert_eq!(detector.stats().clock_steps, 1);
}

fn error(class: ErrorClass, detail: [u8; 8]) -> Frame {
    Frame::error(class, &detail).expect("eight bytes fit")
}

/// 32 errors from 2 s on, then two seconds of ordinary traffic without some identifiers, then all of it again.
fn bus_off(gone: &[u32], errors: u64) -> Vec<(u64, Frame)> {
    let mut frames = ordinary(0, 2 * SECOND, &[], 0);
    frames.extend((0..errors).map(|n| (2 * SECOND + n * 180 + 2, error(ErrorClass::BUS_ERROR, [0; 8]))));
    frames.extend(ordinary(2 * SECOND, 4 * SECOND, gone, 0));
    frames.extend(ordinary(4 * SECOND, 9 * SECOND, &[], 0));
    frames
}

/// As [`run`], with ten ticks a second.
fn run_ticking(detector: &mut BusDetector, mut frames: Vec<(u64, Frame)>) -> Vec<Observation> {
    frames.sort_by_key(|(at, _)| *at);
    let (mut seen, mut tick) = (Vec::new(), 0);
    for (at, frame) in frames {
        if at >= tick {
            detector.tick(VehicleMicros(at));
            tick = at + 100_000;
        }
        detector.receive(VehicleMicros(at), &frame);
        seen.extend(core::iter::from_fn(|| detector.pop()));
    }
    seen
}

#[test]
fn identifiers_that_fall_silent_behind_errors_are_named_and_their_return_ends_it() {
    let seen = run_ticking(&mut detector(), bus_off(&[0x103, 0x104], 32));
    let off = [0x103, 0x104].map(|value| (event::CAN_BUS_OFF, Some(value), Severity::High));
    let said: Vec<_> =
        episodes(&seen).into_iter().filter(|(kind, ..)| *kind != event::CAN_ERROR_BURST).collect();
    assert_eq!(said, off, "one event each, and no suspension beside it");
    let first = seen.iter().find(|one| one.event_type == event::CAN_BUS_OFF).expect("as asserted");
    assert!(first.at.0 - 2 * SECOND < 200_000, "{:?}", first.at);
    assert_eq!(first.fields.value(field::KNOWN_IDS), Some(crate::observation::FieldValue::Int(2)));
    let ended = |one: &&Observation| one.event_type == event::CAN_BUS_OFF && one.phase == Phase::Closed;
    let last = seen.iter().rfind(ended).expect("they came back").last.0;
    assert!((3_900_000..4_100_000).contains(&last), "{last}");
}

#[test]
fn a_few_errors_or_a_silence_of_many_is_no_bus_off() {
    let kinds = |frames| -> Vec<EventTypeId> {
        episodes(&run_ticking(&mut detector(), frames)).into_iter().map(|(kind, ..)| kind).collect()
    };
    assert_eq!(kinds(bus_off(&[0x103], 7)), [event::CAN_SUSPENSION]);
    let half: Vec<u32> = (0x100..0x10A).collect();
    assert!(!kinds(bus_off(&half, 32)).contains(&event::CAN_BUS_OFF));
    assert_eq!(kinds(bus_off(&[], 20)), []);
}

#[test]
fn errors_right_before_frames_of_one_identifier_point_to_it() {
    let with_errors = |before: &dyn Fn(u64) -> u64| {
        let mut frames = ordinary(0, 4 * SECOND, &[], 0);
        let errors =
            (0..20u64).map(|n| (2 * SECOND + n * 50_000 + before(n), error(ErrorClass::BUS_ERROR, [0; 8])));
        frames.extend(errors);
        episodes(&run(&mut detector(), frames))
    };
    // 0x105 comes 1500 µs into every 10 ms.
    assert_eq!(with_errors(&|_| 1400), [(event::CAN_ERROR_BURST, Some(0x105), Severity::Medium)]);
    assert_eq!(with_errors(&|n| n % 9 * 300), []);
}

#[test]
fn a_controller_says_its_state_and_its_counters() {
    let both =
        |one: ErrorClass, other: ErrorClass| ErrorClass::new(one.bits() | other.bits()).expect("29 bits");
    let mut frames = ordinary(0, SECOND, &[], 0);
    frames.push((
        100_000,
        error(both(ErrorClass::CONTROLLER, ErrorClass::COUNTERS), [0, 0x20, 0, 0, 0, 0, 136, 3]),
    ));
    frames
        .push((200_000, error(both(ErrorClass::BUS_OFF, ErrorClass::COUNTERS), [0, 0, 0, 0, 0, 0, 248, 0])));
    let seen = run(&mut detector(), frames);
    let off = (event::CAN_BUS_OFF, None, Severity::High);
    assert_eq!(episodes(&seen), [(event::CAN_ERROR_PASSIVE, None, Severity::Low), off]);
    let tx: Vec<_> = seen.iter().filter_map(|one| one.fields.value(field::TX_ERRORS)).collect();
    assert_eq!(tx, [136, 248].map(crate::observation::FieldValue::Int));
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let value = prop_oneof![0u32..0x800, 0x7E0u32..0x7F0, 0x100u32..0x10A];
    let kind = 0u8..6;
    (value, kind, proptest::collection::vec(any::<u8>(), 0..9)).prop_map(|(value, kind, data)| {
        let extended = CanId::extended(0x18DA_0000 | value).expect("29 bits");
        match kind {
            0 => Frame::remote(id(value), Dlc::new(8).expect("a code")),
            1 => Frame::error(ErrorClass::new(value).expect("29 bits"), &data).expect("eight bytes fit"),
            2 => Frame::classic(extended, &data).expect("eight bytes fit"),
            3 => Frame::fd(id(value), Default::default(), &data).expect("lengths up to eight are legal"),
            _ => Frame::classic(id(value), &data).expect("eight bytes fit"),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_frames_at_any_times_are_counted_and_never_panic(
        frames in proptest::collection::vec((any_frame(), prop_oneof![0u64..2000, any::<u64>()]), 1..300),
    ) {
        let mut detector = detector();
        let mut at = 0u64;
        for (index, (frame, gap)) in frames.iter().enumerate() {
            at = if *gap < 2000 { at.saturating_add(*gap) } else { *gap };
            detector.receive(VehicleMicros(at), frame);
            if index % 7 == 0 {
                detector.tick(VehicleMicros(at.saturating_add(*gap)));
            }
        }
        detector.finish();
        let stats = detector.stats();
        prop_assert_eq!(stats.frames, frames.len() as u64);
        prop_assert_eq!(stats.frames, stats.known + stats.unknown + stats.errors);
        let mut opened = 0u32;
        let mut closed = 0u32;
        while let Some(seen) = detector.pop() {
            prop_assert!(seen.first <= seen.last || stats.clock_steps > 0);
            opened += u32::from(seen.phase == Phase::Opened);
            closed += u32::from(seen.phase == Phase::Closed);
        }
        if stats.dropped == 0 {
            prop_assert_eq!(opened, closed);
        }
    }
}
