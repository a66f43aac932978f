//! Unusable times, limits that are hit, and forgetting.

use outrider_model::{Finding, Stage, TextColumn, Watermark};
use outrider_types::{IngestTime, UnixMicros};

use super::events::{DAY, Event, HOUR, SECOND, START, batch_of, rules, run, standing};
use crate::{Detector, DetectorConfig, reason};

const THREE: &str =
    "type: event_count\nrules: [denied]\ngroup-by: [model_line]\ntimespan: 1h\ncondition:\n  gte: 3";

fn dropped(detector: &Detector, reason: &str) -> u64 {
    detector.balance().dropped().get(reason).copied().unwrap_or(0)
}

fn watermark(detector: &mut Detector, at: i64) -> Vec<Finding> {
    let mut findings = Vec::new();
    detector.on_watermark(Watermark(UnixMicros(at)), IngestTime(UnixMicros(at)), &mut findings);
    findings
}

#[test]
fn unusable_times_are_counted_and_never_fire() {
    let config = DetectorConfig::default();
    let mut detector = Detector::new(rules(&[THREE], false), config.clone());
    let edge = |seq, at, ingest, error_us| Event { ingest, error_us, ..Event::new(1, seq, at) };
    let findings = run(
        &mut detector,
        &[vec![
            edge(1, START, START + config.horizon_us, 0),
            edge(2, START, START + config.horizon_us + 1, 0),
            edge(3, START, START - config.future_us, 0),
            edge(4, START, START - config.future_us - 1, 0),
            edge(5, START, START, HOUR.unsigned_abs() / 2 + 1),
            edge(6, i64::MAX, START, 0),
            edge(7, i64::MIN, START, 0),
            edge(8, i64::MAX, i64::MIN, u64::MAX),
        ]],
    );
    assert!(findings.is_empty());
    assert_eq!(detector.balance().passed(), 2);
    assert_eq!(dropped(&detector, reason::BEYOND_HORIZON), 2);
    assert_eq!(dropped(&detector, reason::FUTURE), 3);
    assert_eq!(dropped(&detector, reason::TIME_UNCERTAIN), 1);
    assert!(detector.degraded().is_empty());
}

#[test]
fn vehicles_that_are_not_monitored_count_nowhere_and_are_counted() {
    for (word, expected) in [
        ("out_of_scope", 0),
        ("planned", 0),
        ("pilot", 1),
        ("full", 1),
        ("unregistered", 1),
        ("word of later", 1),
    ] {
        let events: Vec<Event> = (1..=3).map(|seq| Event::new(1, seq, START)).collect();
        let mut batch = batch_of(&events);
        batch.monitoring = TextColumn::default();
        events.iter().for_each(|_| batch.monitoring.push(Some(word)));
        let mut detector = Detector::new(rules(&[THREE], false), DetectorConfig::default());
        let mut findings = Vec::new();
        detector.on_batch(&batch, IngestTime(UnixMicros(START + SECOND)), &mut findings);
        assert_eq!(findings.len(), expected, "{word}");
        assert_eq!(dropped(&detector, reason::OUT_OF_SCOPE), if expected == 0 { 3 } else { 0 }, "{word}");
    }
}

#[test]
fn an_uncertain_clock_counts_at_its_best_estimate_and_is_marked() {
    let events = |error_us| -> Vec<Event> {
        (1..=3)
            .map(|seq| Event { error_us, ..Event::new(1, seq, START + i64::try_from(seq).expect("small")) })
            .collect()
    };
    for (error_us, marks) in [(1000, 0), (HOUR.unsigned_abs() / 2, 1)] {
        let mut detector = Detector::new(rules(&[THREE], false), DetectorConfig::default());
        let findings = run(&mut detector, &[events(error_us)]);
        let marked = findings[0].evidence.matched.iter().filter(|it| it.operator == "uncertain").count();
        assert_eq!((findings.len(), marked), (1, marks));
    }
}

#[test]
fn a_limit_that_is_hit_is_visible() {
    let event = |vehicle, seq| Event::new(vehicle, seq, START + i64::from(vehicle));
    let tight = [
        (DetectorConfig { groups_max: 2, ..DetectorConfig::default() }, reason::GROUPS_FULL),
        (DetectorConfig { entries_max: 2, ..DetectorConfig::default() }, reason::ENTRIES_FULL),
    ];
    for (config, reason) in tight {
        let mut detector = Detector::new(rules(&[], false), config);
        run(&mut detector, &[vec![event(1, 1), event(2, 1), event(3, 1), event(1, 1)]]);
        assert_eq!((dropped(&detector, reason), dropped(&detector, reason::DUPLICATE)), (1, 1));
        assert_eq!(detector.degraded().len(), 1);
    }
    let config = DetectorConfig { pane_entries_max: 2, ..DetectorConfig::default() };
    let mut detector = Detector::new(rules(&[], false), config);
    run(&mut detector, &[vec![event(1, 1), event(1, 2), event(1, 3)]]);
    assert_eq!(dropped(&detector, reason::PANE_FULL), 1);
}

#[test]
fn repeats_of_a_plain_rule_raise_the_revision_of_one_finding_an_hour() {
    let mut detector = Detector::new(rules(&[], false), DetectorConfig::default());
    let event = |seq, at| Event::new(1, seq, START + at);
    let batches =
        [vec![event(1, 5)], vec![event(2, 1), event(2, 1)], vec![event(1, 5)], vec![event(3, HOUR)]];
    let findings = run(&mut detector, &batches);
    let revisions: Vec<(u32, u64)> = findings.iter().map(|it| (it.revision, it.event_count)).collect();
    assert_eq!(revisions, [(1, 1), (2, 2), (1, 1)]);
    assert_eq!(findings[0].id, findings[1].id);
    assert_ne!(findings[0].id, findings[2].id);
    assert!(!findings[0].evidence.matched.is_empty(), "the rule's conditions are shown");
}

#[test]
fn forgetting_frees_the_state_and_keeps_the_findings() {
    let mut detector = Detector::new(rules(&[THREE], true), DetectorConfig::default());
    let event = |seq: u64, at| Event::new(1, seq, START + at);
    let findings = run(&mut detector, &[vec![event(1, 0), event(2, 1), event(3, 2)]]);
    assert_eq!(standing(&findings).len(), 2);
    assert!(watermark(&mut detector, START + 30 * DAY).is_empty());
    assert_eq!(detector.loads().iter().map(|load| load.entries).sum::<u64>(), 6);
    assert!(watermark(&mut detector, START + 31 * DAY).is_empty());
    assert_eq!(detector.loads().iter().map(|load| load.entries).sum::<u64>(), 0);
    run(&mut detector, &[vec![event(4, 0)]]);
    assert_eq!(dropped(&detector, reason::BEYOND_HORIZON), 2, "its state is gone");
}

#[test]
fn an_episode_longer_than_the_horizon_is_closed_and_goes_on_as_a_new_finding() {
    let config = DetectorConfig { horizon_us: DAY, ..DetectorConfig::default() };
    let mut detector = Detector::new(rules(&[THREE], false), config);
    let mut findings = Vec::new();
    for hour in 0..72i64 {
        let events: Vec<Event> = (0..4)
            .map(|part| {
                Event::new(1, (hour * 4 + part).unsigned_abs() + 1, START + hour * HOUR + part * 900 * SECOND)
            })
            .collect();
        findings.extend(run(&mut detector, &[events]));
        findings.extend(watermark(&mut detector, START + hour * HOUR));
    }
    assert!(findings.iter().all(|finding| !finding.withdrawn));
    assert!((2..=4).contains(&standing(&findings).len()), "{}", standing(&findings).len());
    assert!(detector.loads()[0].entries < 4 * 52, "the state stays below two horizons");
}

#[test]
fn group_numbers_survive_the_clearing_of_empty_groups() {
    let mut detector = Detector::new(rules(&[], false), DetectorConfig::default());
    let old: Vec<Event> = (0..3000).map(|vehicle| Event::new(vehicle, 1, START)).collect();
    let new: Vec<Event> = (0..10).map(|vehicle| Event::new(vehicle * 300, 2, START + 40 * DAY)).collect();
    let first = run(&mut detector, &[old, new.clone()]);
    watermark(&mut detector, START + 40 * DAY);
    assert_eq!(detector.loads()[0].groups, 10);
    let more: Vec<Event> = new.iter().map(|it| Event { seq: 3, at: it.at + 1, ..*it }).collect();
    let second = run(&mut detector, &[new, more]);
    assert_eq!(second.len(), 10);
    for finding in &second {
        assert_eq!(finding.revision, 2);
        assert!(first.iter().any(|it| it.id == finding.id && it.group == finding.group));
    }
}
