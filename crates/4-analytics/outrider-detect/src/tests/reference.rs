//! The slow evaluator: sorts by event time and looks at every window.

use std::collections::{BTreeMap, BTreeSet};

use outrider_types::{EventId, VehicleId};

use super::events::Event;

/// What a finding must say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Expected {
    pub(super) group: String,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) value: u64,
    pub(super) events: u64,
    pub(super) vehicles: u64,
    pub(super) low_events: Vec<EventId>,
    pub(super) low_vehicles: Vec<VehicleId>,
}

/// Evaluates one correlation by brute force, O(n²).
pub(super) fn evaluate(
    events: &[Event],
    group_of: impl Fn(&Event) -> String,
    counted: impl Fn(&Event) -> String,
    length: i64,
    need: usize,
) -> Vec<Expected> {
    let mut groups: BTreeMap<String, Vec<&Event>> = BTreeMap::new();
    for event in events {
        let group = groups.entry(group_of(event)).or_default();
        if !group.iter().any(|other| other.id() == event.id()) {
            group.push(event);
        }
    }
    let mut all = Vec::new();
    for (group, mut events) in groups {
        events.sort_by_key(|event| event.at);
        let mut episodes: Vec<(i64, i64)> = Vec::new();
        for start in &events {
            let inside: Vec<&&Event> =
                events.iter().filter(|it| it.at >= start.at && it.at - start.at <= length).collect();
            let distinct: BTreeSet<String> = inside.iter().map(|event| counted(event)).collect();
            if distinct.len() < need {
                continue;
            }
            let to = inside.iter().map(|event| event.at).max().expect("the start is inside");
            match episodes.last_mut() {
                Some(last) if start.at <= last.1 => last.1 = last.1.max(to),
                Some(_) | None => episodes.push((start.at, to)),
            }
        }
        for (from, to) in episodes {
            let inside: Vec<&&Event> = events.iter().filter(|it| it.at >= from && it.at <= to).collect();
            let ids: BTreeSet<EventId> = inside.iter().map(|event| event.id()).collect();
            let vehicles: BTreeSet<VehicleId> = ids.iter().map(|id| id.vehicle).collect();
            let distinct: BTreeSet<String> = inside.iter().map(|event| counted(event)).collect();
            all.push(Expected {
                group: group.clone(),
                from,
                to,
                value: distinct.len() as u64,
                events: ids.len() as u64,
                vehicles: vehicles.len() as u64,
                low_events: ids.into_iter().take(50).collect(),
                low_vehicles: vehicles.into_iter().take(100).collect(),
            });
        }
    }
    all.sort();
    all
}
