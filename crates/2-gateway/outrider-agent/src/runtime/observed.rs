//! What the detectors saw, as events; and what they say of themselves.

use std::collections::BTreeMap;

use outrider_gateway::{FieldValue, SecurityEvent, Storage};
use outrider_ids::gates::Kind;
use outrider_ids::{ALARMS_PER_HOUR, Observation, Phase, Used};
use outrider_types::{BusId, Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::Vehicle;
use crate::edge::{Edge, Operation, basis_word};

/// Open episodes remembered; the detectors' own tables are smaller.
const EPISODES_MAX: usize = 1024;
/// Sensors tell of themselves this long after the start, when they have seen ordinary traffic…
const FIRST_US: u64 = 60 * 1_000_000;
/// …and then this often.
const EVERY_US: u64 = 3600 * 1_000_000;
/// Alarms an hour that the CAN detectors of a bus may raise on their own, all together: what we aim at. Detectors by
/// habit are held to [`ALARMS_PER_HOUR`] each; those by rule say every breach.
const CAN_BUDGET_PER_HOUR: u64 = 1;

/// What sensors have said of themselves so far.
#[derive(Debug, Default)]
pub(super) struct Told {
    begun: Option<VehicleMicros>,
    next: Option<VehicleMicros>,
    /// Frames and losses at the last time, by bus.
    counts: BTreeMap<BusId, (u64, u64)>,
    alarms: BTreeMap<BusId, u64>,
    /// What was withheld and gated at the last time, by bus, and what each detector had used.
    operated: BTreeMap<BusId, (u64, u64)>,
    used: BTreeMap<(BusId, Kind), Used>,
}

impl Told {
    /// Counts an alarm: an episode that begins at medium severity or above, or rises to it.
    pub(super) fn note(&mut self, observation: &Observation) {
        let begins = matches!(observation.phase, Phase::Opened | Phase::Escalated);
        if begins && observation.severity >= Severity::Medium {
            *self.alarms.entry(observation.bus).or_default() += 1;
        }
    }

    /// Adds how a bus is operated, and what that and the budgets took away since the last time.
    fn operated(&mut self, operation: &Operation, state: SecurityEvent) -> SecurityEvent {
        let withheld = operation.used.iter().map(|(_, used)| u64::from(used.withheld)).sum();
        let before = self.operated.insert(operation.bus, (withheld, operation.gated)).unwrap_or_default();
        state
            .with(field::OPERATING_MODE, FieldValue::Text(operation.mode.word().to_owned()))
            .with(field::WITHHELD, FieldValue::Uint(withheld.saturating_sub(before.0)))
            .with(field::GATED, FieldValue::Uint(operation.gated.saturating_sub(before.1)))
    }

    /// Tells the account of one detector, unless nobody has used it since the start.
    fn account(
        &mut self,
        operation: &Operation,
        kind: Kind,
        used: Used,
        now: VehicleMicros,
    ) -> Option<SecurityEvent> {
        if used.alarms == 0 && used.withheld == 0 {
            return None;
        }
        let before = self.used.insert((operation.bus, kind), used).unwrap_or_default();
        let since = |now: u32, before: u32| FieldValue::Uint(now.saturating_sub(before).into());
        let state = SecurityEvent::new(event::SENSOR_STATE, now)
            .with(field::COMPONENT, FieldValue::Text(format!("can.{}", kind.word())))
            .with(field::ALARMS, since(used.alarms, before.alarms))
            .with(field::ALARM_BUDGET_PER_HOUR, FieldValue::Uint(ALARMS_PER_HOUR.into()))
            .with(field::BUDGET_LEFT, FieldValue::Uint(used.left.into()))
            .with(field::WITHHELD, since(used.withheld, before.withheld))
            .with(field::DEMOTED, FieldValue::Flag(used.is_demoted))
            .with(field::ALARMED_US, FieldValue::Uint(used.alarmed_us.saturating_sub(before.alarmed_us)));
        Some(state)
    }
}

impl<S: Storage> Vehicle<S> {
    /// Tells the state of the CAN detectors when that is due.
    pub(super) fn tell_sensors(&mut self, now: VehicleMicros) {
        let next = *self.told.next.get_or_insert_with(|| now.saturating_add(FIRST_US));
        if now < next {
            self.told.begun.get_or_insert(now);
            return;
        }
        let begun = self.told.begun.replace(now).unwrap_or(now);
        self.told.next = Some(now.saturating_add(EVERY_US));
        let span_us = now.micros_since(begun);
        let operations: Vec<Operation> = self.edge.iter().flat_map(Edge::operations).collect();
        let can = self.edge.iter().flat_map(|edge| edge.states().collect::<Vec<_>>());
        let can = can.map(|(bus, mode, stats)| ("can", bus, mode, (stats.frames, stats.dropped)));
        let scheduled = self.scheduled.states().map(|state| {
            let [frames, _, _, dropped] = state.counts();
            (state.medium(), state.bus, basis_word(state.basis), (frames, dropped))
        });
        let states: Vec<_> = can.chain(scheduled).collect();
        for (component, bus, mode, counts) in states {
            let (frames, dropped) = counts;
            let before = self.told.counts.insert(bus, counts).unwrap_or_default();
            let alarms = self.told.alarms.remove(&bus).unwrap_or(0);
            let mut state = SecurityEvent::new(event::SENSOR_STATE, now)
                .with(field::COMPONENT, FieldValue::Text(component.to_owned()))
                .with(field::SENSOR_MODE, FieldValue::Text(mode.to_owned()))
                .with(field::FRAMES, FieldValue::Uint(frames.saturating_sub(before.0)))
                .with(field::ALARMS, FieldValue::Uint(alarms))
                .with(field::ALARM_BUDGET_PER_HOUR, FieldValue::Uint(CAN_BUDGET_PER_HOUR))
                .with(field::DROPPED, FieldValue::Uint(dropped.saturating_sub(before.1)))
                .with(field::DURATION_US, FieldValue::Uint(span_us));
            if let Some(operation) = operations.iter().find(|operation| operation.bus == bus) {
                state = self.told.operated(operation, state);
            }
            state.bus = Some(bus);
            self.store(state, now);
        }
        for operation in &operations {
            for (kind, used) in operation.used {
                let Some(state) = self.told.account(operation, kind, used, now) else { continue };
                let mut state = state
                    .with(field::SENSOR_MODE, FieldValue::Text("habit".to_owned()))
                    .with(field::DURATION_US, FieldValue::Uint(span_us));
                state.bus = Some(operation.bus);
                self.store(state, now);
            }
        }
    }

    /// Turns an observation into an event that counts what its episode has not reported yet.
    pub(super) fn qualify(&mut self, observation: &Observation) -> Option<SecurityEvent> {
        let key = (observation.bus, observation.event_type, observation.episode);
        let reported = self.reported.get(&key).copied().unwrap_or(0);
        match observation.phase {
            Phase::Closed => {
                self.reported.remove(&key);
            }
            Phase::Opened | Phase::Escalated | Phase::Ongoing => {
                self.reported.insert(key, observation.count);
                // Episodes are closed by their detectors; the bound only holds a broken one.
                while self.reported.len() > EPISODES_MAX {
                    self.reported.pop_first();
                }
            }
        }
        let news = observation.count.saturating_sub(reported);
        if news == 0 && observation.phase != Phase::Escalated {
            return None;
        }
        let mut event = SecurityEvent::new(observation.event_type, observation.first);
        event.severity = Some(observation.severity);
        event.bus = Some(observation.bus);
        event.last = observation.last.max(observation.first);
        event.count = u64::from(news.max(1));
        if let Some(id) = observation.can_id {
            event = event.with(field::CAN_ID, FieldValue::Uint(u64::from(id.value())));
        }
        for (key, value) in observation.fields.iter().filter(|(key, _)| *key != field::CAN_ID) {
            let value = match value {
                outrider_ids::FieldValue::Int(value) => FieldValue::int(value),
                outrider_ids::FieldValue::Bool(value) => FieldValue::Flag(value),
                outrider_ids::FieldValue::Text(text) => FieldValue::Text(text.to_owned()),
                outrider_ids::FieldValue::Ip(address) => FieldValue::Text(address.to_string()),
                outrider_ids::FieldValue::Mac(address) => FieldValue::Text(address.to_string()),
            };
            event = event.with(key, value);
        }
        Some(event)
    }
}
