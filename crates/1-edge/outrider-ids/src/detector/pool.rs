//! What all steady identifiers of a bus show together: how late the latest frame is.
//!
//! An identifier that came ten times says little about its own worst gap. A bus has tens of thousands of gaps, and
//! what makes one late (a lost frame, a task that hangs, arbitration) does not ask for the identifier.

use super::limits;

/// Cycles up to this long are one band, longer ones the other, in microseconds: a hanging task costs a fast
/// identifier several cycles and a slow one none.
const FAST_US: u32 = 30_000;
/// Parts of a cycle that are told apart.
const PARTS: u32 = 8;
/// Buckets: one cycle, then an eighth more each, up to four and all above.
const BUCKETS: usize = 26;
/// One gap in so many may be longer than what counts as the longest.
const TAIL_ONE_IN: u32 = 1000;

#[derive(Debug, Clone, Copy)]
struct Band {
    gaps: u32,
    longer: [u32; BUCKETS],
    /// Longest ordinary gap, in eighths of the cycle; 0 while too few are known.
    longest_q3: u32,
}

impl Band {
    const EMPTY: Self = Self { gaps: 0, longer: [0; BUCKETS], longest_q3: 0 };

    fn settle(&mut self) {
        if self.gaps < limits::POOL_GAPS {
            return;
        }
        let mut above = 0u32;
        let mut longest = PARTS;
        for (index, count) in self.longer.iter().enumerate().rev() {
            above = above.saturating_add(*count);
            if above.saturating_mul(TAIL_ONE_IN) > self.gaps {
                longest = PARTS.saturating_add(u32::try_from(index).unwrap_or(0)).saturating_add(1);
                break;
            }
        }
        self.longest_q3 = longest;
    }
}

/// Gaps of the steady identifiers of one bus.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pool {
    fast: Band,
    slow: Band,
}

impl Pool {
    pub(super) const EMPTY: Self = Self { fast: Band::EMPTY, slow: Band::EMPTY };

    /// Counts one gap of a steady identifier.
    #[inline]
    pub(super) fn add(&mut self, cycle_us: u32, gap_us: u32) {
        let band = if cycle_us <= FAST_US { &mut self.fast } else { &mut self.slow };
        band.gaps = band.gaps.saturating_add(1);
        let late = gap_us.saturating_sub(cycle_us);
        if late <= cycle_us / PARTS {
            return;
        }
        let parts = late.saturating_mul(PARTS).checked_div(cycle_us).unwrap_or(0);
        let index = usize::try_from(parts).unwrap_or(BUCKETS).min(BUCKETS.saturating_sub(1));
        if let Some(count) = band.longer.get_mut(index) {
            *count = count.saturating_add(1);
        }
    }

    /// Draws the longest ordinary gaps anew; O(1).
    pub(super) fn settle(&mut self) {
        self.fast.settle();
        self.slow.settle();
    }

    /// Returns the silence that is too long for a cycle on this bus, in microseconds; `None` while too little is known.
    #[inline]
    pub(super) fn silence_us(&self, cycle_us: u32) -> Option<u32> {
        let band = if cycle_us <= FAST_US { &self.fast } else { &self.slow };
        if band.longest_q3 == 0 {
            return None;
        }
        // Twice the longest ordinary gap, and most of a cycle; where hardly a frame is lost, behind the third one that
        // should have come, since two in a row are lost now and then.
        let parts =
            band.longest_q3.saturating_mul(2).saturating_add(PARTS.saturating_sub(1)).max(PARTS * 3 + 1);
        let silence = (cycle_us / PARTS).saturating_mul(parts);
        Some(silence.max(limits::POOL_SILENCE_MIN_US))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_gaps_say_nothing_many_say_how_late_frames_come_and_one_odd_gap_does_not_count() {
        let mut pool = Pool::EMPTY;
        let mut add = |count: u32, gap_us| {
            (0..count).for_each(|_| pool.add(100_000, gap_us));
            pool.settle();
            pool.silence_us(100_000)
        };
        assert_eq!(add(limits::POOL_GAPS - 1, 100_000), None);
        assert_eq!(add(2000, 101_000), Some(312_500));
        assert_eq!(add(1, 330_000), Some(312_500));
        // One frame in a hundred is lost: two in a row now and then.
        assert_eq!(add(25, 200_000), Some(512_500));
        assert_eq!(pool.silence_us(10_000), None, "the fast ones are asked apart");
    }
}
