//! Fair shares: what one sensor reports cannot push out what the others report.
//!
//! Behind the folding, in front of the spool. Each sensor has a token bucket in each lane, so that it has a share of
//! flash and uplink however long it shouts; rows within their share wait in short queues for a lane's turn, which is
//! given in deficit round robin (Shreedhar and Varghese, 1996), so that a burst of one delays the others by one quantum.
//! What exceeds the share is folded into one row a type and minute, with count, first and last time and the first context.
//!
//! A critical event never waits. The first of its type and sensor in a minute passes whatever the share.
//!
//! **Invariant** BAL-1: received = passed + folded + waiting, in observations; nothing is dropped here. **Bounds:** a
//! fixed number of classes ([`Sensor`]), [`QUEUE_ROWS_MAX`] rows and [`TYPES_MAX`] sums for each.

use std::collections::{BTreeMap, VecDeque};

use outrider_types::{EcuId, EventTypeId, Lane, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use crate::fold::{FoldBalance, IDENTITY_FIELDS};
use crate::lanes::LanePolicies;
use crate::sensor::Sensor;
use crate::{FieldValue, SecurityEvent};

/// Rows that wait of one sensor in a lane: what a bus off and its aftermath give at once (guess).
pub const QUEUE_ROWS_MAX: usize = 32;
/// Types that are summed up apart for one sensor; the largest family of the catalogue has fewer.
pub const TYPES_MAX: usize = 32;
/// Time over which what exceeds a share is summed up, and after which a critical type is first again.
pub const SUM_US: u64 = 60_000_000;
/// Bytes that each sensor may pass in a turn: a row with 256 bytes of context.
const QUANTUM_BYTES: u64 = 512;
/// Unit of tokens: a millionth of a row, so that a microsecond of a slow share counts.
const ROW: u64 = 1_000_000;

/// A bucket of tokens.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    tokens: u64,
    at: VehicleMicros,
    is_begun: bool,
}

impl Bucket {
    /// Fills up for the time that passed; a clock that stands or goes back adds nothing.
    fn fill(&mut self, now: VehicleMicros, rows_per_hour: u64, burst_rows: u64) {
        let full = burst_rows.saturating_mul(ROW);
        if !self.is_begun {
            (self.is_begun, self.tokens, self.at) = (true, full, now);
            return;
        }
        let added = u128::from(now.micros_since(self.at)) * u128::from(rows_per_hour) / 3600;
        if added > 0 {
            self.at = self.at.max(now);
            self.tokens = self.tokens.saturating_add(u64::try_from(added).unwrap_or(u64::MAX));
        }
        self.tokens = self.tokens.min(full);
    }

    const fn take(&mut self) -> bool {
        match self.tokens.checked_sub(ROW) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }
}

/// One sensor in one lane.
#[derive(Debug, Default)]
struct State {
    share: Bucket,
    queue: VecDeque<SecurityEvent>,
    deficit: u64,
    /// What exceeds the share, by type.
    sums: BTreeMap<EventTypeId, SecurityEvent>,
    sums_since: VehicleMicros,
    /// When a critical type of it was last first.
    firsts: BTreeMap<EventTypeId, VehicleMicros>,
    passed: u64,
}

/// Counts of one sensor in one lane, for the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Lane.
    pub lane: Lane,
    /// Sensor.
    pub sensor: String,
    /// Rows passed.
    pub passed: u64,
    /// Observations above its share that wait for the end of the minute.
    pub waiting: u64,
}

/// Shares of all sensors.
#[derive(Debug, Default)]
pub struct FairShare {
    states: BTreeMap<(Lane, Sensor), State>,
    /// Sensors with rows in their queue, in the order of their turns, and whether the turn has begun.
    turns: BTreeMap<Lane, VecDeque<(Sensor, bool)>>,
    lanes: BTreeMap<Lane, Bucket>,
    balance: FoldBalance,
    throttled: u64,
}

impl FairShare {
    /// Returns the balance.
    #[must_use]
    pub const fn balance(&self) -> FoldBalance {
        self.balance
    }

    /// Returns how many observations were above a share in this boot.
    #[must_use]
    pub const fn throttled(&self) -> u64 {
        self.throttled
    }

    /// Returns the sensors that were heard, ascending.
    pub fn shares(&self) -> impl Iterator<Item = Share> + '_ {
        self.states.iter().map(|((lane, sensor), state)| Share {
            lane: *lane,
            sensor: sensor.to_string(),
            passed: state.passed,
            waiting: state.sums.values().map(|sum| sum.count).sum(),
        })
    }

    /// Takes a row; appends what passes to `out`. O(log classes + fields).
    pub fn receive(
        &mut self,
        row: SecurityEvent,
        policies: &LanePolicies,
        now: VehicleMicros,
        out: &mut Vec<SecurityEvent>,
    ) {
        self.balance.received = self.balance.received.saturating_add(row.count);
        self.balance.waiting = self.balance.waiting.saturating_add(row.count);
        let (lane, sensor) = (row.lane, Sensor::of(&row));
        let share = policies.lane(lane);
        let state = self.states.entry((lane, sensor)).or_default();
        state.share.fill(now, share.rows_per_hour.into(), share.burst_rows.into());
        if policies.handling(&row).keep || (lane == Lane::Critical && state.is_first(&row, now)) {
            // It uses the share up, too, if there is one left: the next ones are no firsts.
            let _ = state.share.take();
            state.passed = state.passed.saturating_add(1);
            return self.pass(row, out);
        }
        if !state.share.take() || state.queue.len() >= QUEUE_ROWS_MAX {
            self.throttled = self.throttled.saturating_add(row.count);
            state.sum(row, now);
            return;
        }
        state.passed = state.passed.saturating_add(1);
        if lane == Lane::Critical {
            return self.pass(row, out);
        }
        if state.queue.is_empty() {
            self.turns.entry(lane).or_default().push_back((sensor, false));
        }
        state.queue.push_back(row);
        self.give_turns(lane, policies, now, out);
    }

    /// Lets time pass: gives turns, ends minutes.
    pub fn tick(&mut self, policies: &LanePolicies, now: VehicleMicros, out: &mut Vec<SecurityEvent>) {
        for lane in [Lane::Batched, Lane::Deferred] {
            self.give_turns(lane, policies, now, out);
        }
        self.say_sums(now, SUM_US, out);
    }

    /// Passes on everything, before a shutdown.
    pub fn flush(&mut self, now: VehicleMicros, out: &mut Vec<SecurityEvent>) {
        let rows: Vec<SecurityEvent> =
            self.states.values_mut().flat_map(|state| state.queue.drain(..)).collect();
        self.turns.clear();
        rows.into_iter().for_each(|row| self.pass(row, out));
        self.say_sums(now, 0, out);
    }

    /// Serves the sensors of a lane in turns while the lane takes rows.
    fn give_turns(
        &mut self,
        lane: Lane,
        policies: &LanePolicies,
        now: VehicleMicros,
        out: &mut Vec<SecurityEvent>,
    ) {
        let rows_per_second = u64::from(policies.lane(lane).lane_rows_per_second);
        let bucket = self.lanes.entry(lane).or_default();
        bucket.fill(now, rows_per_second.saturating_mul(3600), rows_per_second);
        let mut served = Vec::new();
        let Some(turns) = self.turns.get_mut(&lane) else { return };
        'lane: while let Some((sensor, has_begun)) = turns.pop_front() {
            let Some(state) = self.states.get_mut(&(lane, sensor)) else { continue };
            if !has_begun {
                state.deficit = state.deficit.saturating_add(QUANTUM_BYTES);
            }
            while let Some(row) = state.queue.front() {
                let cost = cost_bytes(row);
                if cost > state.deficit {
                    turns.push_back((sensor, false));
                    continue 'lane;
                }
                if !bucket.take() {
                    // Its turn goes on when the lane takes rows again.
                    turns.push_front((sensor, true));
                    break 'lane;
                }
                state.deficit -= cost;
                served.extend(state.queue.pop_front());
            }
            state.deficit = 0;
        }
        served.into_iter().for_each(|row| self.pass(row, out));
    }

    /// Passes on the sums that are `age_us` old, and says which sensors they are of.
    fn say_sums(&mut self, now: VehicleMicros, age_us: u64, out: &mut Vec<SecurityEvent>) {
        let mut said = Vec::new();
        for ((lane, sensor), state) in &mut self.states {
            if state.sums.is_empty() || now.micros_since(state.sums_since) < age_us {
                continue;
            }
            let sums = std::mem::take(&mut state.sums);
            let folded = sums.values().map(|sum| sum.count).fold(0, u64::saturating_add);
            let mut note = SecurityEvent::new(event::GATEWAY_SENSOR_THROTTLED, state.sums_since)
                .with(field::COMPONENT, FieldValue::Text(format!("{sensor}, {}", lane.word())))
                .with(field::FOLDED, FieldValue::Uint(folded))
                .with(field::PASSED, FieldValue::Uint(state.passed))
                .with(field::DURATION_US, FieldValue::Uint(now.micros_since(state.sums_since)));
            note.last = now.max(note.first);
            said.push((sums, note));
        }
        for (sums, note) in said {
            sums.into_values().for_each(|sum| self.pass(sum, out));
            self.balance.received = self.balance.received.saturating_add(1);
            self.balance.waiting = self.balance.waiting.saturating_add(1);
            self.pass(note, out);
        }
    }

    fn pass(&mut self, row: SecurityEvent, out: &mut Vec<SecurityEvent>) {
        self.balance.waiting = self.balance.waiting.saturating_sub(row.count);
        self.balance.passed = self.balance.passed.saturating_add(1);
        self.balance.folded = self.balance.folded.saturating_add(row.count.saturating_sub(1));
        out.push(row);
    }
}

impl State {
    /// Returns whether a critical row is the first of its type in a minute.
    fn is_first(&mut self, row: &SecurityEvent, now: VehicleMicros) -> bool {
        let is_known = self.firsts.contains_key(&row.event_type);
        if !is_known && self.firsts.len() >= TYPES_MAX {
            return false;
        }
        let begun = self.firsts.entry(row.event_type).or_insert(now);
        let is_first = !is_known || now.micros_since(*begun) >= SUM_US;
        if is_first {
            *begun = now;
        }
        is_first
    }

    /// Adds a row to the sum of its type.
    fn sum(&mut self, row: SecurityEvent, now: VehicleMicros) {
        if self.sums.is_empty() {
            self.sums_since = now;
        }
        let is_known = self.sums.contains_key(&row.event_type);
        let key = if is_known || self.sums.len() < TYPES_MAX { row.event_type } else { EventTypeId(0) };
        if let Some(sum) = self.sums.get_mut(&key) {
            add(sum, &row);
            return;
        }
        let mut sum = row;
        if key.0 == 0 {
            // More types than are told apart: the count goes on under the event that says so.
            sum = SecurityEvent { event_type: event::GATEWAY_SENSOR_THROTTLED, fields: Vec::new(), ..sum };
        }
        self.sums.insert(key, sum.with(field::THROTTLED, FieldValue::Flag(true)));
    }
}

/// Adds a row to a sum: count and times grow, the first context stays, identity fields that differ go.
fn add(sum: &mut SecurityEvent, row: &SecurityEvent) {
    sum.first = sum.first.min(row.first);
    sum.last = sum.last.max(row.last);
    sum.count = sum.count.saturating_add(row.count);
    sum.severity = sum.severity.max(row.severity);
    if sum.bus != row.bus {
        sum.bus = None;
    }
    if sum.ecu != row.ecu {
        sum.ecu = EcuId(0);
    }
    sum.fields.retain(|one| !IDENTITY_FIELDS.contains(&one.0) || row.fields.contains(one));
}

/// Returns about what a row costs in the spool.
fn cost_bytes(row: &SecurityEvent) -> u64 {
    let fields: usize = row
        .fields
        .iter()
        .map(|(_, value)| match value {
            FieldValue::Text(text) => 4 + text.len(),
            FieldValue::Bytes(bytes) => 4 + bytes.len(),
            FieldValue::Uint(_) | FieldValue::Sint(_) | FieldValue::Double(_) | FieldValue::Flag(_) => 8,
        })
        .sum();
    64 + (fields + row.context.len()) as u64
}

#[cfg(test)]
mod tests;
