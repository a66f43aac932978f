//! Numbers that go together, out of a vehicle model and into one.
//!
//! Neither the sums over pairs (a minute) nor the fingerprints (minutes) are carried: both follow the moment.

use outrider_bus::can::CanId;

use super::{Predictor, SIGNALS_MAX, Signal, Signals};
use crate::model::habits::{LineHabit, NumberHabit};

impl Signals {
    /// Returns what a model says of the number with this name, which is this one of a payload, or `None` if it was never
    /// sampled.
    pub(crate) fn stored(&self, name: u8, id: CanId, field: u8) -> Option<NumberHabit> {
        let signal = self.signals.get(usize::from(name)).filter(|signal| signal.used)?;
        let number = NumberHabit {
            id,
            field,
            drop: signal.drop,
            low: u32::try_from(signal.low).ok()?,
            high: u32::try_from(signal.high).ok()?,
            change_max: signal.change_max,
            lively_s: signal.lively_s,
        };
        number.is_consistent().then_some(number)
    }

    /// Returns the lines that are judged, by the names of the numbers.
    pub(crate) fn stored_lines(&self) -> impl Iterator<Item = LineHabit> + '_ {
        (0..u8::MAX).zip(&self.signals).filter(|(_, signal)| signal.used).flat_map(|(target, signal)| {
            let lines = signal.predictors.iter().filter_map(move |line| line.stored(target));
            lines.filter(|line| line.is_consistent(SIGNALS_MAX))
        })
    }

    /// Takes a number of a model under this name.
    pub(crate) fn load(&mut self, name: u8, number: &NumberHabit) {
        let Some(slot) = self.signals.get_mut(usize::from(name)) else { return };
        let edge = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        *slot = Signal {
            used: true,
            drop: number.drop,
            low: edge(number.low),
            high: edge(number.high),
            change_max: number.change_max,
            lively_s: number.lively_s,
            ..Signal::EMPTY
        };
        self.len = self.len.max(usize::from(name).saturating_add(1));
    }

    /// Takes a line of a model between two names; returns whether there are such numbers, and room.
    pub(crate) fn load_line(&mut self, line: &LineHabit) -> bool {
        let is_used = |name: u8| self.signals.get(usize::from(name)).is_some_and(|signal| signal.used);
        if line.target == line.source || !is_used(line.source) || !is_used(line.target) {
            return false;
        }
        let Some(target) = self.signals.get_mut(usize::from(line.target)) else { return false };
        let Some(free) = target.predictors.iter_mut().find(|slot| !slot.is_used()) else { return false };
        *free = Predictor::of_model(line);
        true
    }

    /// Waits for the next value of each number before anything is compared; what was learned stays.
    pub(crate) fn part(&mut self) {
        self.signals.iter_mut().take(self.len).for_each(|signal| signal.seen = false);
        self.samples = 0;
    }
}
