//! What must be found on a bus that nobody trained, from its first second on.

use super::*;

/// Time at which something begins: the list of identifiers is open until 2 s.
const EARLY: u64 = 1_300_000;

fn learned(frames: Vec<(u64, Frame)>) -> Vec<(EventTypeId, Option<u32>, u64)> {
    let mut detector = Box::new(BusDetector::untrained(BusId(0)));
    let mut frames = frames;
    frames.sort_by_key(|(at, _)| *at);
    let (mut seen, mut tick) = (Vec::new(), 0);
    for (at, frame) in frames {
        while tick <= at {
            detector.tick(VehicleMicros(tick));
            tick += 100_000;
        }
        detector.receive(VehicleMicros(at), &frame);
        seen.extend(core::iter::from_fn(|| detector.pop()));
    }
    seen.retain(|one| one.severity > Severity::Low && one.phase != Phase::Closed);
    seen.iter().map(|one| (one.event_type, one.can_id.map(CanId::value), one.at.0)).collect()
}

/// Questions every 25 ms from a time on, each refused 3 ms later on the identifier eight above if `refused`.
fn asked(from: u64, id: u32, questions: impl Iterator<Item = Vec<u8>>, refused: bool) -> Vec<(u64, Frame)> {
    let mut out = Vec::new();
    for (number, question) in (0u64..).zip(questions) {
        let (at, service) = (from + number * 25_000, question[0]);
        let length = u8::try_from(question.len()).expect("a single frame");
        out.push((at, frame(id, &[&[length], question.as_slice()].concat())));
        if refused {
            out.push((at + 3_000, frame(id + 8, &[3, 0x7F, service, 0x11])));
        }
    }
    out
}

fn with(extra: Vec<(u64, Frame)>) -> Vec<(u64, Frame)> {
    let mut frames = ordinary(0, 6 * SECOND, &[], 0);
    frames.extend(extra);
    frames
}

#[test]
fn a_scan_for_services_is_found_while_the_bus_is_learned_whether_it_is_answered_or_not() {
    let services = || (0..=0xFFu8).map(|service| vec![service]);
    let shuffled = || (0..40u8).map(|n| vec![(n * 5 + 3) % 64]);
    let seen = learned(with(asked(EARLY, 0x701, shuffled(), true)));
    assert!(seen.iter().all(|one| (one.0, one.1) == (event::DIAG_SERVICE_SCAN, Some(0x701))), "{seen:?}");
    assert!(
        seen.first().is_some_and(|one| one.2 <= EARLY + 600_000),
        "in any order, if they are refused: {seen:?}"
    );
    for (id, refused, within) in [(0x7E1, true, 130_000), (0x701, true, 130_000), (0x7DF, false, 420_000)] {
        let seen = learned(with(asked(EARLY, id, services().take(40), refused)));
        let first = seen.first().expect("it is found");
        assert_eq!((first.0, first.1), (event::DIAG_SERVICE_SCAN, Some(id)), "{seen:?}");
        assert!(first.2 <= EARLY + within, "{seen:?}");
    }
}

#[test]
fn a_tester_that_polls_is_no_scan() {
    // Engine speed and vehicle speed in turn, and a memory write with a sign of life between its parts.
    let values = (0..160u8).map(|n| vec![0x22, 0xF4, 0x0C + n % 2]);
    assert_eq!(learned(with(asked(EARLY, 0x7E0, values, false))), []);
    let writes = (0..60).map(|n| if n % 2 == 0 { vec![0x3D, 0x11, 0x10, 0x01] } else { vec![0x3E, 0] });
    assert_eq!(learned(with(asked(EARLY, 0x7E0, writes, false))), []);
}

#[test]
fn a_tester_that_was_there_first_and_was_refused_once_is_followed_although_it_has_a_cycle() {
    let polled = (0..120).map(|_| vec![0x22, 0xF1, 0x90]);
    let scan = (0..40u8).map(|n| vec![0x22, 0x10, n]);
    let mut frames = asked(0, 0x7E2, polled.chain(scan), false);
    frames.push((3_000, frame(0x7EA, &[3, 0x7F, 0x22, 0x31])));
    let seen = learned(with(frames));
    assert_eq!(
        seen.first().map(|one| (one.0, one.1)),
        Some((event::DIAG_SERVICE_SCAN, Some(0x7E2))),
        "{seen:?}"
    );
}

/// When each of some identifiers that stop is said to be silent, from its last frame on; what else is said.
fn stopped(gone: &[u32]) -> Vec<(EventTypeId, Option<u32>, u64)> {
    let stop = 4 * SECOND;
    let mut frames = ordinary(0, stop, &[], 0);
    frames.extend(ordinary(stop, 6 * SECOND, gone, 0));
    let seen = learned(frames.clone());
    let last = |id: Option<u32>| {
        let of_it = frames.iter().filter(|(_, frame)| frame.id().map(CanId::value) == id);
        of_it.map(|(at, _)| *at).max().unwrap_or(stop)
    };
    seen.into_iter().map(|(kind, id, at)| (kind, id, at.saturating_sub(last(id)))).collect()
}

#[test]
fn who_keeps_its_cycle_to_the_letter_is_missed_behind_its_third_frame_if_all_others_are_on_time() {
    // A few milliseconds until the watchdog looks.
    for (id, within) in [(0x103, 130_000), (0x203, 330_000)] {
        let seen = stopped(&[id]);
        assert_eq!(
            seen.iter().map(|one| (one.0, one.1)).collect::<Vec<_>>(),
            [(event::CAN_SUSPENSION, Some(id))]
        );
        let [(_, _, silent_us)] = seen[..] else { unreachable!("just compared") };
        assert!((within - 30_000..=within).contains(&silent_us), "{id:X}: {silent_us}");
    }
}

#[test]
fn two_that_stop_together_wait_for_others_and_an_ecu_that_stops_is_one_event() {
    for (_, id, silent_us) in stopped(&[0x103, 0x104]) {
        assert!((0x103..=0x104).contains(&id.expect("each is named")) && silent_us >= 180_000, "{silent_us}");
    }
    let ecu = stopped(&[0x103, 0x104, 0x105, 0x106, 0x107]);
    assert_eq!(ecu.iter().map(|one| (one.0, one.1)).collect::<Vec<_>>(), [(event::CAN_SUSPENSION, None)]);
}

#[test]
fn two_frames_in_a_row_may_be_lost() {
    for id in [0x103, 0x203] {
        let mut frames = ordinary(0, 6 * SECOND, &[], 0);
        let lost = 4 * SECOND..4 * SECOND + if id < 0x200 { 20_000 } else { 200_000 };
        frames.retain(|(at, frame)| frame.id().map(CanId::value) != Some(id) || !lost.contains(at));
        assert_eq!(learned(frames), [], "{id:X}");
    }
}
