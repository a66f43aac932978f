//! Two stages in many processes state what one detector states.

use core::num::NonZeroU32;
use std::sync::Arc;

use outrider_model::{Finding, Stage, Watermark, invariants};
use outrider_rules::RuleSet;
use outrider_types::{IngestTime, Seed, UnixMicros};
use proptest::prelude::*;

use super::events::{DAY, Event, START, batch_of, eager, rules, run, shuffle, standing};
use super::order::{EVENTS, SERVICES, VEHICLES, cut, events};
use crate::{Correlator, Detector, DetectorConfig, Route, Sightings, Spotter, reason};

pub(super) fn three() -> Arc<RuleSet> {
    rules(&[EVENTS, VEHICLES, SERVICES], true)
}

/// What a spotter says of events, as bytes.
pub(super) fn said(rules: &Arc<RuleSet>, config: &DetectorConfig, events: &[Event]) -> Vec<Vec<u8>> {
    let mut spotter = Spotter::new(Arc::clone(rules), config.clone());
    let parts = spotter.on_batch(&batch_of(events));
    assert!(spotter.balances().all(|(_, balance)| balance.difference() == 0), "BAL-1");
    parts.iter().map(Sightings::encode).collect()
}

/// A row of correlators, each with its part of the ring.
struct Ring {
    rules: Arc<RuleSet>,
    config: DetectorConfig,
    members: Vec<Correlator>,
}

impl Ring {
    fn new(rules: &Arc<RuleSet>, config: &DetectorConfig, members: u32) -> Self {
        let member = |_| Correlator::new(rules, config.clone());
        let members = (0..members).map(member).collect();
        Self { rules: Arc::clone(rules), config: config.clone(), members }
    }

    fn parts(&self) -> NonZeroU32 {
        NonZeroU32::new(u32::try_from(self.members.len()).expect("few")).expect("not empty")
    }

    fn take(&mut self, bytes: &[u8], findings: &mut Vec<Finding>) {
        let parts = self.parts();
        let whole = Sightings::decode(bytes).expect("what was encoded decodes");
        for (part, some) in whole.split(parts) {
            let again = Sightings::decode(&some.encode()).expect("what was encoded decodes");
            assert_eq!(again, some);
            assert!(some.routes().all(|place| place.part(parts) == part));
            let member = &mut self.members[part as usize];
            member.on_sightings(&again, IngestTime(UnixMicros(START)), findings);
            assert!(member.balances().all(|(_, balance)| balance.difference() == 0), "BAL-1");
            assert_eq!(member.strangers().received(), 0);
        }
    }

    /// Hands the state over to another number of correlators, each export twice.
    fn resized(&self, members: u32) -> Self {
        let mut ring = Self::new(&self.rules, &self.config, members);
        let (old, new) = (self.parts(), ring.parts());
        for (part, member) in (0..).zip(&mut ring.members) {
            let range = Route::range(part, new);
            for (from, giver) in (0..).zip(&self.members) {
                let theirs = Route::range(from, old);
                let shared = *range.start().max(theirs.start())..=*range.end().min(theirs.end());
                if shared.is_empty() {
                    continue;
                }
                let mut bytes = Vec::new();
                giver.export(&shared, &mut bytes);
                for _ in 0..2 {
                    member.import(&shared, &bytes).expect("what was exported is taken");
                }
            }
        }
        let entries = |ring: &Self| -> u64 {
            ring.members.iter().flat_map(Correlator::loads).map(|load| load.entries).sum()
        };
        assert_eq!(entries(self), entries(&ring), "nothing is lost or counted twice");
        ring
    }
}

fn check(events: &[Event], seed: u64, config: &DetectorConfig) -> Result<(), TestCaseError> {
    compare(&three(), events, seed, config)
}

/// Compares one detector with many processes, whose number changes on the way.
pub(super) fn compare(
    rules: &Arc<RuleSet>,
    events: &[Event],
    seed: u64,
    config: &DetectorConfig,
) -> Result<(), TestCaseError> {
    let one = run(&mut Detector::new(Arc::clone(rules), config.clone()), &[events.to_vec()]);
    let mut seed = Seed::new(seed);
    let spotters = seed.below(4) + 1;
    let mut messages = Vec::new();
    for spotter in 0..spotters {
        let mine: Vec<Event> =
            events.iter().filter(|it| u64::from(it.vehicle) % spotters == spotter).copied().collect();
        for batch in cut(&mine, &mut seed) {
            messages.extend(said(rules, config, &batch));
        }
    }
    // A worker that crashed says some of it again, cut otherwise.
    let again: Vec<Event> = events.iter().filter(|_| seed.chance(1, 2)).copied().collect();
    messages.extend(said(rules, config, &again));
    shuffle(&mut messages, &mut seed);
    let mut ring = Ring::new(rules, config, u32::try_from(seed.below(4) + 1).expect("small"));
    let at = usize::try_from(seed.below(messages.len() as u64 + 1)).expect("small");
    let mut many = Vec::new();
    for (number, bytes) in messages.iter().enumerate() {
        if number == at {
            ring = ring.resized(u32::try_from(seed.below(4) + 1).expect("small"));
        }
        ring.take(bytes, &mut many);
    }
    if let Err(violation) = invariants::same_findings(&one, &many) {
        return Err(TestCaseError::fail(format!("{}: {}", violation.invariant, violation.seen)));
    }
    let explained = |findings: &[Finding]| -> Vec<_> {
        standing(findings).into_iter().map(|finding| (finding.id, finding.evidence)).collect()
    };
    prop_assert_eq!(explained(&one), explained(&many));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn many_processes_state_what_one_detector_states(events in events(), seed: u64) {
        check(&events, seed, &DetectorConfig::default())?;
    }

    #[test]
    fn many_processes_with_sets_state_what_one_detector_states(events in events(), seed: u64) {
        check(&events, seed, &eager())?;
    }
}

#[test]
fn a_part_that_went_elsewhere_is_forgotten_here() {
    let events: Vec<Event> = (0..40)
        .map(|number| Event {
            model: u8::try_from(number % 2).expect("0 or 1"),
            ..Event::new(number, 1, START)
        })
        .collect();
    let mut ring = Ring::new(&three(), &DetectorConfig::default(), 1);
    said(&ring.rules, &ring.config, &events).iter().for_each(|bytes| ring.take(bytes, &mut Vec::new()));
    let groups = |it: &Correlator| it.loads().iter().map(|load| load.groups).sum::<usize>();
    let all = groups(&ring.members[0]);
    let halves = NonZeroU32::new(2).expect("not 0");
    ring.members[0].forget(&Route::range(0, halves));
    let left = groups(&ring.members[0]);
    assert!(left > 0 && left < all, "{left} of {all}");
    ring.members[0].forget(&Route::range(1, halves));
    assert_eq!(groups(&ring.members[0]), 0);
    let now = UnixMicros(START + DAY);
    ring.members[0].on_watermark(Watermark(now), IngestTime(now), &mut Vec::new());
}

#[test]
fn a_damaged_export_changes_nothing() {
    let mut ring = Ring::new(&three(), &DetectorConfig::default(), 1);
    let events: Vec<Event> = (0..9).map(|number| Event::new(number, 1, START)).collect();
    said(&ring.rules, &ring.config, &events).iter().for_each(|bytes| ring.take(bytes, &mut Vec::new()));
    let mut export = Vec::new();
    ring.members[0].export(&Route::ALL, &mut export);
    let middle = export.len() / 2;
    export[middle] ^= 1;
    let saved = |it: &Correlator| {
        let mut bytes = Vec::new();
        it.save(&mut bytes);
        bytes
    };
    let before = saved(&ring.members[0]);
    assert!(ring.members[0].import(&Route::ALL, &export).is_err());
    assert_eq!(saved(&ring.members[0]), before);
}

#[test]
fn sightings_of_other_rules_are_counted_and_count_nowhere() {
    let events: Vec<Event> = (0..4).map(|number| Event::new(number, 1, START)).collect();
    let config = DetectorConfig::default();
    let theirs = rules(&[VEHICLES, &SERVICES.replace("gt: 1", "gt: 2")], true);
    let cases = [
        // The second correlation has another threshold.
        (rules(&[VEHICLES, SERVICES], true), [(reason::OTHER_VERSION, 4)].to_vec()),
        // It is not there at all.
        (rules(&[VEHICLES], true), [(reason::UNKNOWN_RULE, 4)].to_vec()),
        (Arc::clone(&theirs), Vec::new()),
    ];
    for (ours, dropped) in cases {
        let mut correlator = Correlator::new(&ours, config.clone());
        let mut findings = Vec::new();
        for bytes in said(&theirs, &config, &events) {
            let sightings = Sightings::decode(&bytes).expect("what was encoded decodes");
            correlator.on_sightings(&sightings, IngestTime(UnixMicros(START)), &mut findings);
        }
        let strange: Vec<_> = correlator.strangers().dropped().iter().map(|it| (*it.0, *it.1)).collect();
        assert_eq!(strange, dropped);
        assert_eq!(correlator.strangers().difference(), 0, "BAL-1");
        assert_eq!(standing(&findings).len(), 4 + 1, "the plain rule and the first correlation");
    }
    let other_windows = DetectorConfig { bucket_us: DAY, ..config };
    let mut correlator = Correlator::new(&theirs, other_windows);
    for bytes in said(&theirs, &DetectorConfig::default(), &events) {
        let sightings = Sightings::decode(&bytes).expect("what was encoded decodes");
        correlator.on_sightings(&sightings, IngestTime(UnixMicros(START)), &mut Vec::new());
    }
    assert_eq!(correlator.strangers().dropped().get(reason::OTHER_VERSION), Some(&12));
}

#[test]
fn values_that_are_too_long_are_counted_and_count_nowhere() {
    let longest = Sightings::TEXT_BYTES_MAX - 4 - 4;
    for (bytes, dropped) in [(longest, 0), (longest + 1, 2)] {
        let events = [Event::new(1, 1, START), Event::new(2, 1, START)];
        let mut batch = batch_of(&events);
        batch.model_line = outrider_model::TextColumn::default();
        (0..2).for_each(|_| batch.model_line.push(Some(&"m".repeat(bytes))));
        batch.seal();
        let mut detector = Detector::new(rules(&[EVENTS], false), DetectorConfig::default());
        detector.on_batch(&batch, IngestTime(UnixMicros(START)), &mut Vec::new());
        let count = detector.balance().dropped().get(reason::TOO_LONG).copied().unwrap_or(0);
        assert_eq!((count, detector.balance().difference()), (dropped, 0));
    }
}
