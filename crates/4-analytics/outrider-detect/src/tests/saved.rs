//! Snapshots: restoring changes nothing, and damage is refused.

use outrider_model::{SaveError, Stage, Watermark};
use outrider_types::{IngestTime, Seed, UnixMicros};
use proptest::prelude::*;

use super::events::{DAY, Event, START, eager, rules, run};
use super::order::{cut, events};
use crate::{Detector, DetectorConfig};

const VEHICLES: &str = "type: value_count\nrules: [denied]\ngroup-by: [model_line]\ntimespan: 24h\ncondition:\n  \
                        field: vehicle_id\n  gte: 3";
const SERVICES: &str = "type: value_count\nrules: [denied]\ngroup-by: [vehicle_id]\ntimespan: 10s\ncondition:\n  \
                        field: uds_nrc\n  gt: 1";

fn detector() -> Detector {
    Detector::new(rules(&[VEHICLES, SERVICES], true), eager())
}

fn saved(detector: &Detector) -> Vec<u8> {
    let mut bytes = Vec::new();
    detector.save(&mut bytes);
    bytes
}

/// Replaces the checksum, so that damage reaches the checks behind it.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.len().checked_sub(4) {
        let check = crc32c::crc32c(&bytes[..end]);
        bytes[end..].copy_from_slice(&check.to_le_bytes());
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_restart_at_any_point_changes_nothing(events in events(), seed: u64, at in 0..8usize) {
        let batches = cut(&events, &mut Seed::new(seed));
        let at = at.min(batches.len());
        let mut straight = detector();
        let mut whole = run(&mut straight, &batches[..at]);
        let mut restarted = detector();
        restarted.load(&saved(&straight)).expect("what was saved loads");
        prop_assert_eq!(saved(&straight), saved(&restarted));
        let after = run(&mut restarted, &batches[at..]);
        let before = whole.len();
        whole.extend(run(&mut straight, &batches[at..]));
        prop_assert_eq!(&whole[before..], &after[..]);
        prop_assert_eq!(saved(&straight), saved(&restarted));
    }

    #[test]
    fn rebuilding_the_dictionary_changes_no_finding(events in events(), seed: u64, at in 0..8usize, gone in 0..4i64) {
        let batches = cut(&events, &mut Seed::new(seed));
        let at = at.min(batches.len());
        let (mut plain, mut rebuilt) = (detector(), detector());
        run(&mut plain, &batches[..at]);
        run(&mut rebuilt, &batches[..at]);
        // A watermark that forgets some of the panes leaves names without use.
        let now = UnixMicros(START + (31 + gone) * DAY);
        for detector in [&mut plain, &mut rebuilt] {
            detector.on_watermark(Watermark(now), IngestTime(now), &mut Vec::new());
        }
        rebuilt.compact();
        rebuilt.load(&saved(&rebuilt)).expect("what was saved loads");
        prop_assert_eq!(run(&mut plain, &batches[at..]), run(&mut rebuilt, &batches[at..]));
    }

    #[test]
    fn a_damaged_snapshot_is_refused_or_harmless(
        events in events(), place in any::<prop::sample::Index>(), byte: u8, length in any::<prop::sample::Index>(),
    ) {
        let mut source = detector();
        run(&mut source, std::slice::from_ref(&events));
        let mut bytes = saved(&source);
        let before = bytes.clone();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let mut target = detector();
        let result = target.load(&bytes);
        prop_assert!(bytes == before || result.is_err(), "the checksum notices any byte");
        bytes.truncate(length.index(bytes.len() + 1));
        for bytes in [sealed(bytes), sealed(before[..place].to_vec())] {
            let mut target = detector();
            let empty = saved(&target);
            match target.load(&bytes) {
                Ok(()) => {
                    run(&mut target, std::slice::from_ref(&events));
                    let mut findings = Vec::new();
                    let now = UnixMicros(START + 90 * DAY);
                    target.on_watermark(Watermark(now), IngestTime(now), &mut findings);
                }
                Err(_) => prop_assert_eq!(saved(&target), empty, "a failed load changes nothing"),
            }
        }
    }

    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(detector().load(&bytes).is_err());
        let _ = detector().load(&sealed(bytes));
    }
}

#[test]
fn another_version_is_named() {
    let mut bytes = saved(&detector());
    bytes[0] = 2;
    assert_eq!(detector().load(&bytes), Err(SaveError::Version { expected: 1, got: 2 }));
    assert_eq!(detector().load(&[]), Err(SaveError::Damaged { offset: 0 }));
}

#[test]
fn the_state_of_a_rule_that_now_asks_for_something_else_is_left_out() {
    let events: Vec<Event> = (0..2).map(|number| Event::new(number, 1, START + i64::from(number))).collect();
    let mut source = detector();
    run(&mut source, &[events]);
    let changed = VEHICLES.replace("gte: 3", "gte: 2");
    let mut target = Detector::new(rules(&[&changed, SERVICES], true), eager());
    target.load(&saved(&source)).expect("the snapshot is whole");
    let entries: Vec<u64> = target.loads().iter().map(|load| load.entries).collect();
    assert_eq!(entries, [2, 0, 2], "the plain rule and the unchanged correlation keep their events");
}

#[test]
fn a_snapshot_takes_few_bytes_an_event() {
    let events: Vec<Event> =
        (0..20_000u32).map(|it| Event::new(it, 1, START + i64::from(it) * 1000)).collect();
    let mut detector = Detector::new(rules(&[VEHICLES], false), DetectorConfig::default());
    run(&mut detector, &[events]);
    let bytes = saved(&detector).len();
    assert!(bytes < 20_000 * 80, "{bytes}");
}

#[test]
fn a_snapshot_loads_under_other_limits() {
    let events: Vec<Event> = (0..40).map(|number| Event::new(number, 1, START + i64::from(number))).collect();
    let rules = rules(&[VEHICLES, SERVICES], true);
    for (from, to) in [(1, 128), (128, 1)] {
        let with = |dense_above| {
            Detector::new(rules.clone(), DetectorConfig { dense_above, ..DetectorConfig::default() })
        };
        let mut source = with(from);
        run(&mut source, std::slice::from_ref(&events));
        let mut target = with(to);
        target.load(&saved(&source)).expect("limits are not part of the state");
        let more: Vec<Event> = events.iter().map(|it| Event { seq: 2, at: it.at + 100, ..*it }).collect();
        assert_eq!(run(&mut source, std::slice::from_ref(&more)), run(&mut target, &[more]));
    }
}
