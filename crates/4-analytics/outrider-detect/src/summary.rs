//! Counts and examples of one episode.

use std::collections::BTreeSet;

use outrider_model::{Evidence, Matched};
use outrider_types::{EventId, VehicleId};
use roaring::RoaringBitmap;

use crate::cell::{Agreed, Body, Counted, keep_lowest};
use crate::names::{EventKey, Names};
use crate::spec::{Spec, Windows};
use crate::sweep::Span;
use crate::table::{Group, Stated};

/// What a finding says about its events.
pub(crate) struct Summary {
    pub(crate) stated: Stated,
    pub(crate) vehicles: u64,
    pub(crate) distinct: u64,
    pub(crate) model_line: Option<String>,
    pub(crate) evidence: Evidence,
}

/// Sums up the events of a span; O(events in it), dense cells O(sets).
pub(crate) fn summarise(group: &Group, spec: &Spec, span: Span, names: &Names) -> Summary {
    let pane_us = spec.pane_us;
    let panes = group.panes.range(span.from.div_euclid(pane_us)..=span.to.div_euclid(pane_us));
    let mut events = 0u64;
    let mut values = RoaringBitmap::new();
    let mut vehicles = RoaringBitmap::new();
    let mut low = LowEvents::default();
    let mut low_vehicles: Vec<VehicleId> = Vec::new();
    let mut sparse_vehicles = RoaringBitmap::new();
    let mut uncertain = false;
    let mut model = Agreed::NONE;
    // One event may be there for several rules.
    let mut by_rule = BTreeSet::new();
    for (pane, cell) in panes {
        uncertain |= cell.uncertain;
        model = model.and(cell.model);
        match &cell.body {
            Body::Sparse(entries) => {
                let start = pane * pane_us;
                for entry in entries {
                    let time = start + i64::from(entry.time);
                    if time < span.from || time > span.to {
                        continue;
                    }
                    if spec.shape.counted.is_by_rule() && !by_rule.insert(entry.event) {
                        values.insert(entry.value);
                        continue;
                    }
                    events += 1;
                    values.insert(entry.value);
                    sparse_vehicles.insert(names.vehicle_of(entry.event.stream));
                    low.offer(entry.event, names);
                }
            }
            // A dense cell that an episode reaches into lies in it whole: its own window qualifies.
            Body::Dense(dense) => {
                events += dense.events.len() as u64;
                values |= &dense.values;
                vehicles |= &dense.vehicles;
                dense.low_events.iter().for_each(|(_, key)| low.offer(*key, names));
                dense
                    .low_vehicles
                    .iter()
                    .for_each(|id| keep_lowest(&mut low_vehicles, *id, Evidence::VEHICLES_MAX));
            }
        }
    }
    for vehicle in &sparse_vehicles {
        keep_lowest(&mut low_vehicles, names.vehicle(vehicle), Evidence::VEHICLES_MAX);
    }
    vehicles |= sparse_vehicles;
    let distinct = match spec.shape.counted {
        Counted::Events => events,
        Counted::Vehicles => vehicles.len(),
        Counted::Values | Counted::Steps | Counted::OrderedSteps => values.len(),
    };
    let matched = match spec.windows {
        Windows::Sliding => vec![counted_condition(spec, distinct)],
        Windows::Fixed => explained(group, spec, span),
    };
    let mut evidence = Evidence { matched, events: low.into_ids(), vehicles: low_vehicles };
    if uncertain {
        evidence.matched.truncate(15);
        evidence.matched.push(uncertain_time(pane_us));
    }
    let stated = Stated { events, model, uncertain };
    Summary {
        stated,
        vehicles: vehicles.len(),
        distinct,
        model_line: model.model().and_then(|model| names.model(model)),
        evidence,
    }
}

fn counted_condition(spec: &Spec, distinct: u64) -> Matched {
    Matched {
        field: format!("distinct {}", spec.counted_name),
        operator: "gte".to_owned(),
        expected: spec.need.to_string(),
        observed: distinct.to_string(),
    }
}

fn explained(group: &Group, spec: &Spec, span: Span) -> Vec<Matched> {
    group
        .explained
        .get(&span.from.div_euclid(spec.pane_us))
        .map_or_else(Vec::new, |explained| explained.matched.clone())
}

/// Says that some event's clock leaves more room than a pane; it was counted at its best estimate.
fn uncertain_time(pane_us: i64) -> Matched {
    Matched {
        field: "event_time".to_owned(),
        operator: "uncertain".to_owned(),
        expected: format!("±{} s", pane_us / 2_000_000),
        observed: "wider".to_owned(),
    }
}

/// The lowest events so far.
#[derive(Default)]
struct LowEvents(Vec<EventId>);

impl LowEvents {
    fn offer(&mut self, key: EventKey, names: &Names) {
        keep_lowest(&mut self.0, names.event_id(key), Evidence::EVENTS_MAX);
    }

    fn into_ids(self) -> Vec<EventId> {
        self.0
    }
}
