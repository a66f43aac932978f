//! What a mode of operation changes for the detectors, and what it does not.

use super::*;
use crate::detector::mode;
use crate::gates::Kind;

/// A programming session asked for and granted on 0x7E0 and 0x7E8.
fn programming(at: u64) -> Vec<(u64, Frame)> {
    vec![(at, frame(0x7E0, &[2, 0x10, 2])), (at + 10_000, frame(0x7E8, &[6, 0x50, 2, 0, 0x32, 1, 0xF4]))]
}

/// Blocks of a download, twice a second.
fn blocks(from: u64, to: u64) -> Vec<(u64, Frame)> {
    (from..to).step_by(500_000).map(|at| (at, frame(0x7E8, &[2, 0x76, 1]))).collect()
}

/// Lets a bus hear frames, in the order of time and with ticks between them; returns all that was said.
fn hear(detector: &mut BusDetector, mut frames: Vec<(u64, Frame)>) -> Vec<Observation> {
    frames.sort_by_key(|(at, _)| *at);
    let mut seen = Vec::new();
    let mut tick = 0;
    for (at, frame) in frames {
        while tick <= at {
            detector.tick(VehicleMicros(tick));
            tick += 100_000;
        }
        detector.receive(VehicleMicros(at), &frame);
        seen.extend(core::iter::from_fn(|| detector.pop()));
    }
    seen
}

fn told(frames: Vec<(u64, Frame)>) -> (Box<BusDetector>, Vec<Observation>) {
    let mut detector = detector();
    let seen = hear(&mut detector, frames);
    (detector, seen)
}

fn worst(seen: &[Observation], kind: EventTypeId, value: u32) -> Option<Severity> {
    episodes(seen)
        .into_iter()
        .find(|seen| (seen.0, seen.1) == (kind, Some(value)))
        .map(|(.., severity)| severity)
}

/// A flash that begins at 10 s; 0x105 stops right after, 0x106 ten seconds later.
fn flash(kmh: u16) -> (Box<BusDetector>, Vec<Observation>) {
    let begin = 10 * SECOND;
    let mut frames = ordinary(0, begin + 500_000, &[], kmh);
    frames.extend(programming(begin));
    frames.extend(blocks(begin + SECOND, 30 * SECOND));
    frames.extend(ordinary(begin + 500_000, 20 * SECOND, &[0x105], kmh));
    frames.extend(ordinary(20 * SECOND, 30 * SECOND, &[0x105, 0x106], kmh));
    told(frames)
}

#[test]
fn a_flash_excuses_what_stops_when_it_begins_and_nothing_that_stops_later() {
    let (detector, seen) = flash(0);
    assert_eq!(detector.mode(), Mode::Flashing);
    assert_eq!(worst(&seen, event::CAN_SUSPENSION, 0x105), Some(Severity::Low));
    assert_eq!(worst(&seen, event::CAN_SUSPENSION, 0x106), Some(Severity::High));
    let service = seen.iter().find(|one| one.event_type == event::VEHICLE_SERVICE_MODE).expect("it is said");
    assert_eq!(service.fields.value(field::OPERATING_MODE), Some(crate::FieldValue::Text("flashing")));
    assert_eq!(service.fields.value(field::CAN_ID), Some(crate::FieldValue::Int(0x7E0)));
}

#[test]
fn a_flash_while_the_vehicle_drives_excuses_nothing_and_is_said() {
    let (detector, seen) = flash(60);
    assert_eq!(detector.mode(), Mode::Driving);
    for value in [0x105, 0x106] {
        assert_eq!(worst(&seen, event::CAN_SUSPENSION, value), Some(Severity::High), "{value:X}");
    }
    assert_eq!(worst(&seen, event::DIAG_SESSION_WHILE_DRIVING, 0x7E0), Some(Severity::High));
    assert_eq!(detector.gated(), 0);
}

#[test]
fn floods_unknown_identifiers_and_wrong_lengths_are_said_in_every_service_mode() {
    let begin = 10 * SECOND;
    let mut frames = ordinary(0, 20 * SECOND, &[], 0);
    frames.extend(programming(begin));
    frames.extend(blocks(begin + SECOND, 20 * SECOND));
    frames.extend((0..40).map(|n| (12 * SECOND + n * 100_000 + 7, frame(0x3AA, &[1]))));
    let short = Frame::classic(id(0x204), &[1, 2]).expect("two bytes fit");
    frames.extend((0..4).map(|n| (13 * SECOND + n * 100_000 + 9, short)));
    frames.extend((0..900).map(|n| (17 * SECOND + n * 1_000 + 3, frame(0x102, &[0]))));
    let (detector, seen) = told(frames);
    assert_eq!(detector.mode(), Mode::Flashing);
    assert_eq!(worst(&seen, event::CAN_UNKNOWN_ID, 0x3AA), Some(Severity::Medium));
    assert_eq!(worst(&seen, event::CAN_WRONG_DLC, 0x204), Some(Severity::Medium));
    assert_eq!(worst(&seen, event::CAN_FLOOD, 0x102), Some(Severity::High));
}

#[test]
fn the_tester_floods_with_its_own_identifiers_only_while_an_ecu_is_written() {
    let burst = |from: u64| (0..900).map(move |n| (from + n * 1_000 + 3, frame(0x7E0, &[0x21, 1, 2, 3])));
    let mut frames = ordinary(0, 20 * SECOND, &[], 0);
    frames.extend(burst(5 * SECOND));
    let (_, seen) = told(frames.clone());
    assert_eq!(worst(&seen, event::CAN_FLOOD, 0x7E0), Some(Severity::High), "nobody granted anything");
    frames.retain(|(_, frame)| frame.id() != CanId::standard(0x7E0));
    frames.extend(programming(10 * SECOND));
    frames.extend(blocks(11 * SECOND, 20 * SECOND));
    frames.extend(burst(15 * SECOND));
    let (_, seen) = told(frames);
    assert_eq!(worst(&seen, event::CAN_FLOOD, 0x7E0), Some(Severity::Low));
}

#[test]
fn resets_and_silence_that_belong_to_a_flash_are_low_and_others_are_not() {
    let reset = |begin: bool, kmh: u16| {
        let mut frames = ordinary(0, 14 * SECOND, &[], kmh);
        if begin {
            frames.extend(programming(10 * SECOND));
            frames.extend(blocks(11 * SECOND, 12 * SECOND));
        }
        let at = 12 * SECOND + 100_000;
        frames.extend([(at, frame(0x7E0, &[2, 0x11, 1])), (at + 10_000, frame(0x7E8, &[2, 0x51, 1]))]);
        worst(&told(frames).1, event::DIAG_ECU_RESET, 0x7E0)
    };
    assert_eq!(reset(true, 0), Some(Severity::Low));
    assert_eq!(reset(false, 0), Some(Severity::Medium));
    assert_eq!(reset(true, 80), Some(Severity::Medium));
}

#[test]
fn what_wakes_late_is_not_missed_and_what_never_wakes_is() {
    let wake = 60 * SECOND;
    let mut frames = ordinary(0, 5 * SECOND, &[], 0);
    frames.extend(ordinary(wake, wake + SECOND, &[0x100, 0x101, 0x205], 0));
    frames.extend(ordinary(wake + SECOND, wake + 20 * SECOND, &[0x205], 0));
    let (detector, seen) = told(frames);
    assert_eq!(detector.mode(), Mode::Standing);
    let above: Vec<_> =
        episodes(&seen).into_iter().filter(|(.., severity)| *severity > Severity::Low).collect();
    assert_eq!(above, [(event::CAN_SUSPENSION, Some(0x205), Severity::High)], "{seen:?}");
    let said = seen.iter().find(|one| one.severity > Severity::Low).expect("above low");
    assert!(said.at.0 >= wake + mode::START_MIN_US, "not before the start-up is over");
    let time = detector.mode_time_us();
    assert!(time[Mode::Sleep.index()] > 40 * SECOND, "{time:?}");
    assert!((mode::START_MIN_US..mode::START_MAX_US).contains(&time[Mode::StartUp.index()]), "{time:?}");
}

/// Identifier 0x300 with a number that goes up and down by threes, every 10 ms.
fn number(from: u64, to: u64, value: impl Fn(u64) -> u16) -> Vec<(u64, Frame)> {
    (from..to)
        .step_by(10_000)
        .map(|at| (at + 6000, frame(0x300, &value(at / 10_000).to_be_bytes())))
        .collect()
}

fn swing(step: u64) -> u16 {
    let place = u16::try_from(step % 800).unwrap_or(0);
    20_000 + 3 * place.min(800 - place)
}

/// Learns on the road, sleeps a minute, wakes with invalid values for a second, and jumps eight seconds later.
fn woken(jump: u16) -> Vec<Observation> {
    let mut detector = Box::new(BusDetector::untrained(BusId(2)));
    let (sleep, wake) = (40 * SECOND, 100 * SECOND);
    let mut frames = ordinary(0, sleep, &[], 0);
    frames.extend(ordinary(wake, wake + 12 * SECOND, &[], 0));
    frames.extend(number(0, sleep, swing));
    frames.extend(number(wake, wake + SECOND, |_| u16::MAX));
    // It rests where nobody left it.
    let parked = |step: u64| swing(step) + 9_000;
    frames.extend(number(wake + SECOND, wake + 8 * SECOND, parked));
    frames.extend(number(wake + 8 * SECOND, wake + 12 * SECOND, |step| parked(step) + jump));
    let mut seen = hear(&mut detector, frames);
    seen.retain(|one| Kind::of(one.event_type, &one.fields).budgeted().is_some());
    seen
}

#[test]
fn a_start_up_breaks_no_habit_and_teaches_none() {
    assert_eq!(woken(0), [], "invalid values and another rest are what a start-up brings");
    let seen = woken(20_000);
    assert!(seen.iter().any(|one| one.can_id == CanId::standard(0x300)), "a jump is still one: {seen:?}");
}

#[test]
fn nothing_is_learned_while_an_ecu_is_written() {
    let mut detector = Box::new(BusDetector::untrained(BusId(2)));
    let mut frames = ordinary(0, 20 * SECOND, &[], 0);
    frames.extend(programming(6 * SECOND));
    frames.extend(blocks(7 * SECOND, 20 * SECOND));
    frames.sort_by_key(|(at, _)| *at);
    for (index, (at, frame)) in frames.into_iter().enumerate() {
        if index % 100 == 0 {
            detector.tick(VehicleMicros(at));
        }
        assert_eq!(detector.teaches_timing(), detector.mode() != Mode::Flashing, "{at}");
        detector.receive(VehicleMicros(at), &frame);
    }
    assert_eq!(detector.mode(), Mode::Flashing);
}
