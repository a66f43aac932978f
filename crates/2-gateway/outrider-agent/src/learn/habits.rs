//! What the edge's own detectors learn of a bus's habits, for the sections of a model.
//!
//! One detector a bus goes through all captures, one after the other, and keeps what it learned: the second drive is held
//! against what the first taught, as it would be in the vehicle. So the calibration has, for each drive after the first,
//! what a drive does for the first time that drives before it did not do: whole drives are the blocks, nothing is held
//! out and lost, and short captures add up to what none of them shows alone. Nothing is compared across a boundary.

use std::collections::BTreeSet;

use outrider_bus::can::{CanId, TimedFrame};
use outrider_ids::BusDetector;
use outrider_ids::model::habits::{
    LineHabit, NumberHabit, PAYLOAD_BYTES_MAX, PAYLOADS_MAX, POOL_BYTES_MAX, PayloadHabit, payload_head,
    pool_head, together_head,
};
use outrider_types::{BusId, VehicleMicros};

/// Time between two ticks, in microseconds, as in the vehicle.
const TICK_US: u64 = 100_000;
/// Time from the end of a capture to the beginning of the next, in microseconds: a second of the calibration is over.
const APART_US: u64 = 1_000_000;

/// Clean seconds that say enough: after less, another drive is full of first times that no calibration has counted, and
/// a vehicle that learns it anew does better.
const SECONDS_MIN: u16 = 300;

/// Detector of one bus that is taught.
#[derive(Debug)]
pub(super) struct HabitLearner {
    detector: Box<BusDetector>,
    /// What is added to the times of the capture, so that they go on.
    shift_us: Option<u64>,
    now: VehicleMicros,
    next_tick: VehicleMicros,
}

/// Sections of one bus, each empty if there is nothing to say.
#[derive(Debug, Default)]
pub(super) struct HabitSections {
    pub(super) payload: Vec<u8>,
    pub(super) together: Vec<u8>,
    pub(super) calibration: Vec<u8>,
    /// Payloads, numbers that are compared, lines between them.
    pub(super) counts: (u32, u32, u32),
}

impl HabitLearner {
    pub(super) fn new(bus: BusId) -> Self {
        let start = VehicleMicros(0);
        Self { detector: Box::new(BusDetector::pupil(bus)), shift_us: None, now: start, next_tick: start }
    }

    /// Takes a frame of the current capture.
    pub(super) fn add(&mut self, timed: &TimedFrame) {
        let shift_us = *self.shift_us.get_or_insert_with(|| {
            let begin = self.now.saturating_add(APART_US);
            self.detector.begin_capture(begin);
            begin.0.wrapping_sub(timed.at.0)
        });
        // A capture whose clock was set back goes on where it was.
        let at = VehicleMicros(timed.at.0.wrapping_add(shift_us)).max(self.now);
        self.now = at;
        if at >= self.next_tick {
            self.detector.tick(at);
            self.next_tick = at.saturating_add(TICK_US);
        }
        self.detector.receive(at, &timed.frame);
        while self.detector.pop().is_some() {}
    }

    /// Ends the current capture.
    pub(super) fn end_capture(&mut self) {
        self.shift_us = None;
    }

    /// Returns whether enough was seen to be of use in another drive.
    pub(super) fn is_enough(&self) -> bool {
        self.detector.pool_habits().any(|pool| pool.seconds >= SECONDS_MIN)
    }

    /// Returns what was learned of these identifiers.
    pub(super) fn sections(&self, ids: &BTreeSet<CanId>) -> HabitSections {
        let known = |id: &CanId| ids.contains(id);
        let mut payloads: Vec<PayloadHabit> =
            self.detector.payload_habits().filter(|habit| known(&habit.id)).collect();
        payloads.sort_by_key(|habit| habit.id);
        payloads.truncate(PAYLOADS_MAX);
        let (numbers, lines) = self.together(&payloads);
        let pools: Vec<_> = self.detector.pool_habits().filter(|pool| pool.seconds > 0).collect();
        let mut sections = HabitSections {
            counts: (size(payloads.len()), size(numbers.len()), size(lines.len())),
            ..HabitSections::default()
        };
        if !payloads.is_empty() {
            sections.payload.extend(payload_head(payloads.len()).expect("truncated to what fits"));
            let mut record = [0; PAYLOAD_BYTES_MAX];
            for habit in &payloads {
                let bytes = habit.write(&mut record);
                sections.payload.extend(&record[..bytes]);
            }
        }
        if !numbers.is_empty() {
            let head = together_head(numbers.len(), lines.len()).expect("the detectors have no more");
            sections.together.extend(head);
            numbers.iter().for_each(|number| sections.together.extend(number.record()));
            lines.iter().for_each(|line| sections.together.extend(line.record()));
        }
        if !pools.is_empty() {
            sections.calibration.extend(pool_head(pools.len()).expect("one a habit"));
            let mut record = [0; POOL_BYTES_MAX];
            for pool in &pools {
                let bytes = pool.write(&mut record);
                sections.calibration.extend(&record[..bytes]);
            }
        }
        sections
    }

    /// Returns the numbers of these payloads, ascending, and the lines between them by their places.
    fn together(&self, payloads: &[PayloadHabit]) -> (Vec<NumberHabit>, Vec<LineHabit>) {
        let has = |number: &NumberHabit| {
            let found = payloads.binary_search_by_key(&number.id, |habit| habit.id).ok();
            found.is_some_and(|index| payloads[index].fields[usize::from(number.field)].is_some())
        };
        let mut numbers: Vec<(NumberHabit, u8)> = self
            .detector
            .number_habits()
            .filter(|(_, number)| has(number))
            .map(|(name, number)| (number, name))
            .collect();
        numbers.sort_unstable();
        let place = |name: u8| {
            let place = numbers.iter().position(|(_, other)| *other == name);
            place.and_then(|place| u8::try_from(place).ok())
        };
        let mut lines: Vec<LineHabit> = self
            .detector
            .line_habits()
            .filter_map(|line| {
                Some(LineHabit { target: place(line.target)?, source: place(line.source)?, ..line })
            })
            .collect();
        lines.sort_by_key(|line| (line.target, line.source));
        (numbers.into_iter().map(|(number, _)| number).collect(), lines)
    }
}

fn size(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
