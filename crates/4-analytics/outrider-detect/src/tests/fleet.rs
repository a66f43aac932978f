//! Fifty vehicles of one model line within a day: the rule that the product is measured by.

use outrider_model::{Finding, invariants};
use outrider_types::Seed;

use super::events::{DAY, Event, SECOND, START, rules, run, shuffle, standing};
use crate::{Detector, DetectorConfig};

const FIFTY: &str = "type: value_count\nrules: [denied]\ngroup-by: [model_line]\ntimespan: 24h\ncondition:\n  \
                     field: vehicle_id\n  gte: 50";

/// Spreads vehicles over exactly one day, both ends taken; every third arrives three weeks late.
fn campaign(vehicles: u32) -> Vec<Event> {
    let step = DAY / i64::from(vehicles - 1);
    (0..vehicles)
        .map(|number| {
            let at = if number + 1 == vehicles { START + DAY } else { START + i64::from(number) * step };
            let ingest = at + if number % 10 < 3 { 21 * DAY } else { SECOND };
            Event { ingest, ..Event::new(number, 1, at) }
        })
        .collect()
}

/// Runs the events as they would arrive, shuffled and repeated, one batch each.
fn arrive(events: &[Event], seed: u64) -> (Detector, Vec<Finding>) {
    let mut seed = Seed::new(seed);
    let mut mixed: Vec<Event> = events.iter().chain(events).copied().collect();
    shuffle(&mut mixed, &mut seed);
    mixed.sort_by_key(|event| event.ingest / DAY);
    let batches: Vec<Vec<Event>> = mixed.chunks(7).map(<[Event]>::to_vec).collect();
    let mut detector = Detector::new(rules(&[FIFTY], false), DetectorConfig::default());
    let findings = run(&mut detector, &batches);
    (detector, findings)
}

#[test]
fn fifty_vehicles_within_a_day_fire_and_forty_nine_do_not() {
    let (_, fifty) = arrive(&campaign(50), 1);
    let found = standing(&fifty);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].value, found[0].vehicle_count, found[0].threshold), (Some(50), 50, Some(50)));
    assert_eq!((found[0].window.from.0, found[0].window.to.0), (START, START + DAY));
    assert_eq!(found[0].model_line.as_deref(), Some("line-0"));
    assert!(found[0].late, "the last vehicles came three weeks late");
    let (detector, none) = arrive(&campaign(49), 1);
    assert!(none.is_empty());
    let near = detector.below_threshold(&detector.loads()[0].rule, 10);
    assert_eq!((near.len(), near[0].value, near[0].threshold), (1, 49, 50));
    assert_eq!(near[0].group.to_string(), "model_line=line-0");
}

#[test]
fn a_microsecond_beyond_the_day_does_not_fire() {
    let mut events = campaign(50);
    events[49].at += 1;
    assert!(arrive(&events, 2).1.is_empty());
}

#[test]
fn every_order_of_arrival_states_the_same_campaign() {
    let mut events = campaign(120);
    events.extend(campaign(60).into_iter().map(|event| Event {
        vehicle: event.vehicle + 500,
        model: 1,
        ..event
    }));
    let (_, first) = arrive(&events, 0);
    assert_eq!(standing(&first).len(), 2);
    for seed in 1..20 {
        let (_, other) = arrive(&events, seed);
        assert_eq!(invariants::same_findings(&first, &other), Ok(()));
    }
}

#[test]
fn a_campaign_with_four_thousand_vehicles_is_one_finding() {
    let events: Vec<Event> = (0..4000u32)
        .map(|number| Event { ..Event::new(number, 1, START + i64::from(number) * 40 * SECOND) })
        .collect();
    let mut shuffled = events.clone();
    shuffle(&mut shuffled, &mut Seed::new(3));
    let batches: Vec<Vec<Event>> = shuffled.chunks(250).map(<[Event]>::to_vec).collect();
    let mut detector = Detector::new(rules(&[FIFTY], false), DetectorConfig::default());
    let findings = run(&mut detector, &batches);
    let standing = standing(&findings);
    assert_eq!((standing.len(), standing[0].vehicle_count), (1, 4000));
}
