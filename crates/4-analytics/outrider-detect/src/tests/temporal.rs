//! Temporal correlations against a slow evaluator, in any order, with any duplicates, over many processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use outrider_model::Finding;
use outrider_rules::{RuleFile, RuleSet, load};
use outrider_types::{EventId, Seed};
use proptest::prelude::*;

use super::events::{Event, SECOND, START, batch_of, run, standing};
use super::order::{cut, events};
use super::stages;
use crate::{Detector, DetectorConfig, sweep::flaw};

/// Codes that the rules of each name match; `ab` matches what two others match.
const RULES: [(&str, &[i64]); 4] = [("a", &[0]), ("b", &[1]), ("c", &[2]), ("ab", &[0, 1])];

/// Type, rules in their order, condition or nothing, how many must match.
const KINDS: [(&str, &[usize], &str, usize); 6] = [
    ("temporal", &[0, 1], "", 2),
    ("temporal", &[0, 1, 2], "", 3),
    ("temporal", &[0, 1, 2, 3], "{gte: 3}", 3),
    ("temporal_ordered", &[0, 1], "", 2),
    ("temporal_ordered", &[2, 1, 0], "", 3),
    ("temporal_ordered", &[1, 3, 2], "", 3),
];

fn rules(kind: usize, seconds: i64) -> Arc<RuleSet> {
    let (word, steps, condition, _) = KINDS[kind];
    let head = |number: usize, title: &str| {
        format!(
            "title: {title}\nid: 00000000-0000-4000-8000-00000000000{number}\nname: {title}\nstatus: test\ndescription: t\n\
             author: t\ndate: 2026-01-05\nlevel: low\ntags:\n  - unr155.18.3\n"
        )
    };
    let mut text = String::new();
    for (number, (name, codes)) in RULES.iter().enumerate().filter(|(number, _)| steps.contains(number)) {
        text.push_str(&format!(
            "{}logsource:\n  product: vehicle\n  category: diag\ndetection:\n  selection:\n    event_type: \
             diag.security_access_denied\n    uds_nrc: {codes:?}\n  condition: selection\n---\n",
            head(number, name)
        ));
    }
    let names: Vec<&str> = steps.iter().map(|step| RULES[*step].0).collect();
    let condition = if condition.is_empty() { String::new() } else { format!("  condition: {condition}\n") };
    text.push_str(&format!(
        "{}correlation:\n  type: {word}\n  rules: [{}]\n  group-by: [model_line]\n  timespan: {seconds}s\n{condition}",
        head(9, "together"),
        names.join(", ")
    ));
    let loaded = load(&[RuleFile { name: "test.yml", text: &text }]);
    assert_eq!(loaded.problems, [], "{text}");
    Arc::new(loaded.rules)
}

/// What a finding must say: group, first and last event, rules, events, lowest events.
type Expected = (String, i64, i64, u64, u64, Vec<EventId>);

/// Sorts by event time and looks at every window, O(n²).
fn reference(events: &[Event], kind: usize, length: i64) -> Vec<Expected> {
    let (word, steps, _, need) = KINDS[kind];
    let matches = |event: &Event, step: usize| RULES[step].1.contains(&event.service);
    let mut groups: BTreeMap<String, BTreeMap<EventId, Event>> = BTreeMap::new();
    for event in events.iter().filter(|it| steps.iter().any(|step| matches(it, *step))) {
        groups.entry(event.model_line()).or_default().insert(event.id(), *event);
    }
    let mut all = Vec::new();
    for (group, events) in groups {
        let mut events: Vec<Event> = events.into_values().collect();
        events.sort_by_key(|event| event.at);
        let seen = |inside: &[&Event]| {
            steps.iter().filter(|step| inside.iter().any(|event| matches(event, **step))).count()
        };
        let holds = |inside: &[&Event]| match word {
            "temporal" => seen(inside) >= need,
            _ => {
                let mut at = i64::MIN;
                steps.iter().all(|step| {
                    let next = inside.iter().find(|event| event.at >= at && matches(event, *step));
                    at = next.map_or(at, |event| event.at);
                    next.is_some()
                })
            }
        };
        let mut episodes: Vec<(i64, i64)> = Vec::new();
        for start in &events {
            let inside: Vec<&Event> =
                events.iter().filter(|it| it.at >= start.at && it.at - start.at <= length).collect();
            if !holds(&inside) {
                continue;
            }
            let to = inside.iter().map(|event| event.at).max().expect("the start is inside");
            match episodes.last_mut() {
                Some(last) if start.at <= last.1 => last.1 = last.1.max(to),
                Some(_) | None => episodes.push((start.at, to)),
            }
        }
        for (from, to) in episodes {
            let inside: Vec<&Event> = events.iter().filter(|it| it.at >= from && it.at <= to).collect();
            let ids: BTreeSet<EventId> = inside.iter().map(|event| event.id()).collect();
            let count = ids.len() as u64;
            let low = ids.into_iter().take(50).collect();
            all.push((group.clone(), from, to, seen(&inside) as u64, count, low));
        }
    }
    all.sort();
    all
}

fn said(findings: &[Finding]) -> Vec<Expected> {
    let mut said: Vec<Expected> = standing(findings)
        .into_iter()
        .map(|it| {
            let value = it.value.expect("a correlation counts");
            let group = it.group.0[0].1.clone();
            (group, it.window.from.0, it.window.to.0, value, it.event_count, it.evidence.events)
        })
        .collect();
    said.sort();
    said
}

fn check(events: &[Event], kind: usize, seconds: i64, seed: u64) -> Result<(), TestCaseError> {
    let rules = rules(kind, seconds);
    let expected = reference(events, kind, seconds * SECOND);
    let mut seed = Seed::new(seed);
    let mut mixed = events.to_vec();
    mixed.extend(events.iter().filter(|_| seed.chance(1, 2)));
    super::events::shuffle(&mut mixed, &mut seed);
    let mut detector = Detector::new(Arc::clone(&rules), super::events::eager());
    prop_assert_eq!(said(&run(&mut detector, &cut(&mixed, &mut seed))), expected);
    stages::compare(&rules, events, seed.next_u64(), &DetectorConfig::default())
}

fn pairs() -> impl Strategy<Value = (Vec<Event>, i64, u64)> {
    let seconds = prop_oneof![Just(1i64), Just(10), Just(150), Just(3600), Just(86_400)];
    (events(), seconds, any::<u64>())
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn temporal_is_what_the_reference_says(pair in pairs(), kind in 0..3usize) {
        check(&pair.0, kind, pair.1, pair.2)?;
    }

    #[test]
    fn tuples_are_what_the_reference_says(pair in pairs()) {
        let seconds = pair.1;
        let block = format!(
            "type: value_count\nrules: [denied]\ngroup-by: [model_line]\ntimespan: {seconds}s\ncondition:\n  field: \
             [vehicle_id, uds_nrc]\n  gte: 4"
        );
        let rules = super::events::rules(&[&block], false);
        let mut detector = Detector::new(Arc::clone(&rules), super::events::eager());
        let batches = cut(&pair.0, &mut Seed::new(pair.2));
        let tuple = |event: &Event| format!("{} {}", event.vehicle, event.service);
        let expected =
            super::reference::evaluate(&pair.0, Event::model_line, tuple, seconds * SECOND, 4);
        prop_assert_eq!(super::order::said(&run(&mut detector, &batches), "100"), expected);
        stages::compare(&rules, &pair.0, pair.2, &DetectorConfig::default())?;
    }

    #[test]
    fn temporal_ordered_is_what_the_reference_says(pair in pairs(), kind in 3..6usize) {
        check(&pair.0, kind, pair.1, pair.2)?;
    }
}

/// The property can fail, and reaches findings of every kind.
#[test]
fn an_excluded_window_edge_is_noticed_by_every_kind() {
    let code = |seq: u64, service: i64, at: i64| Event { service, ..Event::new(1, seq, START + at * SECOND) };
    let events = [code(1, 2, 0), code(2, 1, 5), code(3, 0, 10), code(4, 1, 15), code(5, 2, 20)];
    for (kind, length) in [(0, 5), (1, 10), (2, 5), (3, 5), (4, 10), (5, 15)] {
        assert!(!reference(&events, kind, length * SECOND).is_empty(), "{kind}");
        check(&events, kind, length, 1).expect("as the reference says");
        flaw::EDGE_EXCLUDED.set(true);
        let result = check(&events, kind, length, 1);
        flaw::EDGE_EXCLUDED.set(false);
        assert!(result.is_err(), "{kind}");
    }
}

#[test]
fn order_and_equal_times() {
    let code = |seq: u64, service: i64, at: i64| Event { service, ..Event::new(1, seq, START + at) };
    for (first, second, fires) in [(0, 1, true), (0, 0, true), (1, 0, false)] {
        let rules = rules(3, 1);
        let mut detector = Detector::new(rules, DetectorConfig::default());
        let findings = run(&mut detector, &[vec![code(1, 0, first), code(2, 1, second)]]);
        assert_eq!(!findings.is_empty(), fires, "a at {first}, b at {second}");
    }
}

#[test]
fn one_event_may_match_several_rules_and_is_counted_once() {
    let events =
        [Event { service: 1, ..Event::new(1, 1, START) }, Event { service: 2, ..Event::new(1, 2, START) }];
    let mut detector = Detector::new(rules(5, 1), DetectorConfig::default());
    let finding = run(&mut detector, &[events.to_vec()]).pop().expect("b, ab, c in order");
    assert_eq!((finding.value, finding.threshold, finding.event_count), (Some(3), Some(3), 2));
    let seen: Vec<_> = finding.evidence.matched.iter().map(|it| (&*it.field, &*it.expected)).collect();
    assert_eq!(seen, [("distinct rules in order", "3")]);
    assert_eq!(batch_of(&events).rows(), 2);
}
