//! Learns on the road how an identifier comes.

use super::limits;
use super::table::Pace;
use crate::meter::ONE_Q16;
use crate::model::CycleClass;

/// Latest gaps kept: enough for a median that a few extra frames do not move.
const RECENT: usize = 16;

/// Gaps of one identifier so far, 96 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PaceLearner {
    recent: [u32; RECENT],
    gaps: u32,
    /// Gaps judged against the cycle, and those of them that were near it.
    judged: u32,
    near: u32,
    gap_max_us: u32,
    ahead_max_q16: u32,
    /// Highest lead of the excursion that goes on: it is habit only once it ended without an alarm.
    excursion_q16: u32,
    cycle_us: u32,
    /// Gaps at which the cycle is chosen again.
    next_choice: u32,
    /// Times the cycle turned out to be another.
    changes: u8,
}

impl PaceLearner {
    pub(crate) const EMPTY: Self = Self {
        recent: [0; RECENT],
        gaps: 0,
        judged: 0,
        near: 0,
        gap_max_us: 0,
        ahead_max_q16: 0,
        excursion_q16: 0,
        cycle_us: 0,
        next_choice: 8,
        changes: 0,
    };

    /// Takes one gap and how far the identifier was ahead after it; returns the pace when it is time to draw the
    /// limits anew, which is at about 8, 16, 32 … gaps, and when an extreme grew.
    pub(crate) fn add(&mut self, gap_us: u64, ahead_q16: u32) -> Option<Pace> {
        let gap = u32::try_from(gap_us).unwrap_or(u32::MAX);
        let index = usize::try_from(self.gaps).unwrap_or(0) & (RECENT - 1);
        if let Some(slot) = self.recent.get_mut(index) {
            *slot = gap;
        }
        self.gaps = self.gaps.saturating_add(1);
        let mut grown = gap > self.gap_max_us;
        self.gap_max_us = self.gap_max_us.max(gap);
        if self.cycle_us > 0 {
            self.judged = self.judged.saturating_add(1);
            let near = gap.abs_diff(self.cycle_us) <= self.cycle_us / 4;
            self.near = self.near.saturating_add(u32::from(near));
            self.excursion_q16 = self.excursion_q16.max(ahead_q16);
            if ahead_q16 < ONE_Q16 {
                grown |= self.excursion_q16 > self.ahead_max_q16;
                self.ahead_max_q16 = self.ahead_max_q16.max(self.excursion_q16);
                self.excursion_q16 = 0;
            }
        }
        // Not in an excursion, which would make an injection the cycle, unless it does not end.
        let settled = self.cycle_us == 0 || ahead_q16 < ONE_Q16;
        let choice = self.next_choice;
        if self.gaps >= choice && (settled || self.gaps >= choice.saturating_mul(4)) {
            self.next_choice = self.gaps.saturating_mul(2);
            self.choose_cycle();
            return Some(self.pace());
        }
        (grown && self.cycle_us > 0).then(|| self.pace())
    }

    /// Returns the number of gaps seen.
    pub(crate) const fn gaps(&self) -> u32 {
        self.gaps
    }

    /// Forgets an excursion that was an attack.
    pub(crate) const fn reject(&mut self) {
        self.excursion_q16 = 0;
    }

    /// Chooses the cycle from the latest gaps: their median, or their mean if frames come in groups.
    fn choose_cycle(&mut self) {
        let count = usize::try_from(self.gaps).unwrap_or(RECENT).min(RECENT);
        let mut sorted = self.recent;
        let Some(sorted) = sorted.get_mut(..count) else { return };
        sorted.sort_unstable();
        let median = sorted.get(count / 2).copied().unwrap_or(0);
        let sum: u64 = sorted.iter().fold(0, |sum, &gap| sum.saturating_add(gap.into()));
        let mean = sum.checked_div(u64::try_from(count).unwrap_or(1)).unwrap_or(0);
        let mean = u32::try_from(mean).unwrap_or(u32::MAX);
        let grouped = u64::from(mean).saturating_mul(4) < u64::from(median).saturating_mul(3);
        let cycle = if grouped { mean } else { median }.max(1);
        // A cycle that held so far is kept: refining it would only follow the jitter.
        if self.cycle_us == 0 || cycle.abs_diff(self.cycle_us) > self.cycle_us / 5 {
            self.changes = self.changes.saturating_add(u8::from(self.cycle_us != 0));
            self.cycle_us = cycle;
            self.judged = 0;
            self.near = 0;
            self.ahead_max_q16 = 0;
            self.excursion_q16 = 0;
        }
    }

    /// Returns how the identifier comes, as far as is known.
    pub(crate) fn pace(&self) -> Pace {
        let near_percent = u64::from(self.near)
            .saturating_mul(100)
            .checked_div(u64::from(self.judged))
            .unwrap_or(if self.changes == 0 { 100 } else { 0 });
        let wild = self.ahead_max_q16 >= limits::AHEAD_LEARNED_MAX.saturating_mul(ONE_Q16);
        let class = if self.cycle_us == 0 || self.gaps < 8 {
            CycleClass::Listed
        } else if wild || self.changes >= limits::CYCLE_CHANGES_MAX || near_percent < 50 {
            CycleClass::Event
        } else if near_percent < 95 {
            CycleClass::Mixed
        } else {
            CycleClass::Periodic
        };
        let steady = class == CycleClass::Periodic
            && self.changes == 0
            && self.judged >= limits::STEADY_GAPS
            && near_percent >= 98
            && u64::from(self.gap_max_us).saturating_mul(10) <= u64::from(self.cycle_us).saturating_mul(18);
        Pace {
            class,
            cycle_us: self.cycle_us,
            gap_max_us: self.gap_max_us,
            ahead_max_q16: self.ahead_max_q16,
            frames: self.gaps,
            steady,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(gaps: impl Iterator<Item = u64>) -> Pace {
        let mut learner = PaceLearner::EMPTY;
        for gap in gaps {
            learner.add(gap, 0);
        }
        learner.pace()
    }

    #[test]
    fn a_cycle_with_jitter_is_periodic_and_steady_and_one_with_pauses_is_not_steady() {
        let cycle = learned((0..40).map(|n| 100_000 + n % 7 * 1000));
        assert_eq!((cycle.class, cycle.steady), (CycleClass::Periodic, true));
        assert!((100_000..=106_000).contains(&cycle.cycle_us));
        let pauses = learned((0..200).map(|n| if n % 50 == 49 { 900_000 } else { 100_000 }));
        assert_eq!((pauses.class, pauses.steady), (CycleClass::Periodic, false));
        assert_eq!(pauses.gap_max_us, 900_000);
    }

    #[test]
    fn pairs_of_frames_get_the_mean_and_events_have_no_cycle() {
        let pairs = learned((0..64).map(|n| if n % 2 == 0 { 1000 } else { 99_000 }));
        assert_eq!((pairs.class, pairs.steady), (CycleClass::Event, false));
        let events = learned((0..64).map(|n| 1 << (10 + n * 7 % 13)));
        assert_eq!(events.class, CycleClass::Event);
        assert_eq!(learned((0..5).map(|_| 1000)).class, CycleClass::Listed);
    }
}
