//! Learns on the road how an identifier comes.

use super::limits;
use super::table::Pace;
use crate::meter::ONE_Q16;
use crate::model::CycleClass;

/// Latest gaps kept: enough for a median that a few extra frames do not move.
const RECENT: usize = 16;
/// The same number, of gaps.
const RECENT_GAPS: u32 = 16;

/// Gaps after which a cycle is looked for first: fewer say nothing, and slow identifiers take seconds for more.
const FIRST_CHOICE: u32 = 4;
/// Gaps after which a cycle is believed whatever the gaps look like; before, all of them must be alike.
const SECOND_CHOICE: u32 = 8;
/// Gaps up to which a cycle is made finer: by then it is drawn from a whole ring three times.
const REFINED_GAPS: u32 = 64;
/// Frames whose span is held against as many cycles: jitter and coarse stamps even out, pauses do not.
const SPAN: u32 = 4;

/// Gaps of one identifier so far, 104 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PaceLearner {
    recent: [u32; RECENT],
    gaps: u32,
    /// Gaps judged against the cycle, those of them that were near it, and those that were too long.
    judged: u32,
    near: u32,
    late: u32,
    /// Time from the first frame to the latest, in microseconds, held at 71 minutes.
    span_us: u32,
    gap_max_us: u32,
    ahead_max_q16: u32,
    /// Highest lead of the excursion that goes on: it is habit only once it ended without an alarm.
    excursion_q16: u32,
    cycle_us: u32,
    /// Gaps at which the cycle is chosen again.
    next_choice: u32,
    /// Times the cycle turned out to be another.
    changes: u8,
    /// Whether the gaps before it was found steady were taken.
    is_taken: bool,
}

impl PaceLearner {
    pub(crate) const EMPTY: Self = Self {
        recent: [0; RECENT],
        gaps: 0,
        judged: 0,
        near: 0,
        late: 0,
        span_us: 0,
        gap_max_us: 0,
        ahead_max_q16: 0,
        excursion_q16: 0,
        cycle_us: 0,
        next_choice: FIRST_CHOICE,
        changes: 0,
        is_taken: false,
    };

    /// Takes one gap and how far the identifier was ahead after it; returns the pace when it is time to draw the
    /// limits anew, which is at about 4, 8, 16, 32 … gaps, and when an extreme grew. `grain_us` is how coarse the
    /// stamps of the bus are.
    pub(crate) fn add(&mut self, gap_us: u64, ahead_q16: u32, grain_us: u32) -> Option<Pace> {
        let gap = u32::try_from(gap_us).unwrap_or(u32::MAX);
        let index = self.ring(0);
        if let Some(slot) = self.recent.get_mut(index) {
            *slot = gap;
        }
        self.gaps = self.gaps.saturating_add(1);
        self.span_us = self.span_us.saturating_add(gap);
        let mut grown = gap > self.gap_max_us;
        self.gap_max_us = self.gap_max_us.max(gap);
        if self.cycle_us > 0 {
            self.judge(gap, grain_us);
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
            self.choose_cycle(grain_us);
            return Some(self.pace());
        }
        let may_be_steady = [limits::STEADY_GAPS, limits::STEADY_GAPS_SLOW].contains(&self.gaps);
        (grown && self.cycle_us > 0 || may_be_steady).then(|| self.pace())
    }

    /// Place in the ring of the gap `back` before the next one.
    fn ring(&self, back: u32) -> usize {
        usize::try_from(self.gaps.wrapping_sub(back)).unwrap_or(0) & (RECENT - 1)
    }

    /// Holds the latest gap against the cycle: alone, and together with those before it.
    fn judge(&mut self, gap: u32, grain_us: u32) {
        self.judged = self.judged.saturating_add(1);
        let cycle = self.cycle_us;
        let room = (cycle / 4).saturating_add(grain_us);
        let alone = gap.abs_diff(cycle) <= room;
        let near = alone || {
            let span = (1..=SPAN).fold(0u32, |sum, back| {
                sum.saturating_add(self.recent.get(self.ring(back)).copied().unwrap_or(0))
            });
            self.gaps >= SPAN && span.abs_diff(cycle.saturating_mul(SPAN)) <= cycle
        };
        self.near = self.near.saturating_add(u32::from(near));
        let is_late = gap > cycle.saturating_add(cycle / 2).saturating_add(grain_us);
        self.late = self.late.saturating_add(u32::from(is_late));
    }

    /// Takes the latest gaps before the last one, up to fifteen; none when they were taken before.
    pub(crate) fn take_before(&mut self) -> impl Iterator<Item = u32> {
        let count = if self.is_taken { 0 } else { self.gaps.min(RECENT_GAPS) };
        self.is_taken = true;
        (2..=count).map(|back| self.recent.get(self.ring(back)).copied().unwrap_or(0))
    }

    /// Returns the number of gaps seen.
    pub(crate) const fn gaps(&self) -> u32 {
        self.gaps
    }

    /// Returns the time from the first frame to the latest, in microseconds.
    pub(crate) const fn span_us(&self) -> u32 {
        self.span_us
    }

    /// Forgets an excursion that was an attack.
    pub(crate) const fn reject(&mut self) {
        self.excursion_q16 = 0;
    }

    /// Chooses the cycle from the latest gaps: the mean of their middle half, made finer by all that are near it.
    /// Neither a few extra frames nor a few lost ones move that, and coarse stamps even out.
    fn choose_cycle(&mut self, grain_us: u32) {
        let count = usize::try_from(self.gaps).unwrap_or(RECENT).min(RECENT);
        let mut sorted = self.recent;
        let Some(sorted) = sorted.get_mut(..count) else { return };
        sorted.sort_unstable();
        let cut = count / 4;
        let Some(middle) = sorted.get(cut..count.saturating_sub(cut)) else { return };
        let rough = mean(middle.iter().copied());
        let close = |gap: &u32| {
            u64::from(gap.abs_diff(rough)).saturating_mul(5) <= u64::from(rough).saturating_mul(3)
        };
        let fine = mean(sorted.iter().copied().filter(close));
        let cycle = if fine == 0 { rough } else { fine }.max(1);
        let room = (cycle / 4).saturating_add(grain_us);
        if self.gaps < SECOND_CHOICE && sorted.iter().any(|gap| gap.abs_diff(cycle) > room) {
            self.next_choice = SECOND_CHOICE;
            return;
        }
        // A cycle that held so far is made finer while it is young (four gaps with jitter are wrong by more than the
        // slack of the meter), then kept: refining it further would only follow the jitter.
        if self.cycle_us == 0 || cycle.abs_diff(self.cycle_us) > self.cycle_us / 5 {
            self.changes = self.changes.saturating_add(u8::from(self.cycle_us != 0));
            self.cycle_us = cycle;
            self.judged = 0;
            self.near = 0;
            self.late = 0;
            self.ahead_max_q16 = 0;
            self.excursion_q16 = 0;
        } else if self.gaps <= REFINED_GAPS {
            self.cycle_us = cycle;
        }
    }

    /// Returns how the identifier comes, as far as is known.
    pub(crate) fn pace(&self) -> Pace {
        let near_percent = u64::from(self.near)
            .saturating_mul(100)
            .checked_div(u64::from(self.judged))
            .unwrap_or(if self.changes == 0 { 100 } else { 0 });
        let wild = self.ahead_max_q16 >= limits::AHEAD_LEARNED_MAX.saturating_mul(ONE_Q16);
        let class = if self.cycle_us == 0 {
            CycleClass::Listed
        } else if wild || self.changes >= limits::CYCLE_CHANGES_MAX || near_percent < 50 {
            CycleClass::Event
        } else if near_percent < 95 {
            CycleClass::Mixed
        } else {
            CycleClass::Periodic
        };
        let cyclic = match class {
            CycleClass::Periodic | CycleClass::Mixed => true,
            CycleClass::Listed | CycleClass::Event => false,
        };
        // Extra frames say nothing against an identifier that never pauses, and a lost frame now and then little.
        let needed = if self.cycle_us <= limits::SUSPEND_FAST_US {
            limits::STEADY_GAPS
        } else {
            limits::STEADY_GAPS_SLOW
        };
        let steady = cyclic
            && self.gaps >= needed
            && self.judged >= limits::STEADY_JUDGED
            && u64::from(self.late).saturating_mul(limits::STEADY_LATE_ONE_IN)
                <= u64::from(self.judged).saturating_add(limits::STEADY_LATE_ONE_IN)
            && u64::from(self.gap_max_us)
                <= u64::from(self.cycle_us).saturating_mul(limits::STEADY_CYCLES_MAX);
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

/// Mean of some times; 0 of none.
fn mean(gaps: impl Iterator<Item = u32>) -> u32 {
    let (count, sum) = gaps
        .fold((0u64, 0u64), |(count, sum), gap| (count.saturating_add(1), sum.saturating_add(gap.into())));
    u32::try_from(sum.checked_div(count).unwrap_or(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(gaps: impl Iterator<Item = u64>) -> Pace {
        let mut learner = PaceLearner::EMPTY;
        for gap in gaps {
            learner.add(gap, 0, 0);
        }
        learner.pace()
    }

    #[test]
    fn a_cycle_with_jitter_is_periodic_and_steady_and_one_with_pauses_is_not_steady() {
        let cycle = learned((0..40).map(|n| 100_000 + n % 7 * 1000));
        assert_eq!((cycle.class, cycle.steady), (CycleClass::Periodic, true));
        assert!((100_000..=106_000).contains(&cycle.cycle_us));
        let lost = learned((0..200).map(|n| if n % 50 == 49 { 200_000 } else { 100_000 }));
        assert_eq!((lost.class, lost.steady, lost.gap_max_us), (CycleClass::Periodic, true, 200_000));
        let pauses = learned((0..200).map(|n| if n % 50 == 49 { 900_000 } else { 100_000 }));
        assert_eq!((pauses.class, pauses.steady), (CycleClass::Periodic, false));
        assert_eq!(pauses.gap_max_us, 900_000);
    }

    #[test]
    fn pairs_of_frames_get_the_mean_and_are_not_steady_and_events_have_no_cycle() {
        let pairs = learned((0..64).map(|n| if n % 2 == 0 { 1000 } else { 99_000 }));
        assert_eq!((pairs.cycle_us, pairs.class, pairs.steady), (50_000, CycleClass::Periodic, false));
        let events = learned((0..64).map(|n| 1 << (10 + n * 7 % 13)));
        assert_eq!((events.class, events.steady), (CycleClass::Event, false));
        assert_eq!(learned((0..3).map(|_| 1000)).class, CycleClass::Listed);
        assert_eq!(learned([1000, 9000, 1000, 80_000].into_iter()).class, CycleClass::Listed);
    }

    #[test]
    fn the_gaps_before_the_last_one_are_taken_once() {
        let mut learner = PaceLearner::EMPTY;
        for gap in 1..=20 {
            learner.add(gap, 0, 0);
        }
        assert!(learner.take_before().eq((5..=19).rev()));
        assert_eq!(learner.take_before().next(), None);
    }

    #[test]
    fn four_gaps_alike_are_a_cycle_and_coarse_or_jittery_stamps_do_not_hide_one() {
        assert_eq!(learned((0..4).map(|_| 100_000)).cycle_us, 100_000);
        let coarse = learned((0..64).map(|n| if n % 2 == 0 { 20_000 } else { 30_000 }));
        assert_eq!((coarse.cycle_us, coarse.class, coarse.steady), (25_000, CycleClass::Periodic, true));
        // The first gaps mislead by an eighth.
        let misled = learned((0..64).map(|n| if n < 4 { 11_250 } else { 10_000 }));
        assert_eq!(misled.cycle_us, 10_000);
        let jittery = learned((0..64).map(|n| [5000, 15_000, 10_000, 13_000, 7000][n % 5]));
        assert!(jittery.cycle_us.abs_diff(10_000) < 400, "well below the slack of a tenth: {jittery:?}");
        assert_eq!(jittery.class, CycleClass::Periodic);
    }
}
