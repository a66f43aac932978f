//! Leaky counters: how far something is ahead of what is allowed.

use outrider_types::VehicleMicros;

/// One, in the fixed-point numbers of this module.
pub(crate) const ONE_Q16: u32 = 1 << 16;

/// Leak per microsecond, in 2⁻³² units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Leak(u32);

impl Leak {
    /// Leak of `count` units in `seconds`; `seconds` is at least 1.
    pub(crate) const fn per_seconds(count: u32, seconds: u32) -> Self {
        let micros = (if seconds == 0 { 1 } else { seconds } as u64).saturating_mul(1_000_000);
        Self::ratio(count as u64, micros)
    }

    /// Leak of `numerator / denominator` units a microsecond.
    pub(crate) const fn ratio(numerator: u64, denominator: u64) -> Self {
        let Some(value) = (numerator << 32).checked_div(denominator) else { return Self(u32::MAX) };
        // Held at the end of the range: nothing here leaks a whole unit a microsecond.
        Self(if value > u32::MAX as u64 { u32::MAX } else { (value & 0xFFFF_FFFF) as u32 })
    }

    /// Time in which one unit leaks, in microseconds.
    pub(crate) fn period_us(self) -> u32 {
        u32::try_from((1u64 << 32).checked_div(self.0.into()).unwrap_or(0)).unwrap_or(u32::MAX)
    }

    /// What leaks in a time, in 1/65536 units.
    fn over(self, micros: u64) -> u32 {
        // Capped at 2³² µs (71 minutes), after which every meter of this crate is empty.
        let product = micros.min(u64::from(u32::MAX)).saturating_mul(u64::from(self.0));
        u32::try_from(product >> 16).unwrap_or(u32::MAX)
    }
}

/// Leaky counter in 1/65536 units: fills by one an occurrence, drains with time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Meter {
    level_q16: u32,
}

impl Meter {
    /// A meter that never counted.
    pub(crate) const EMPTY: Self = Self { level_q16: 0 };

    /// Counts one occurrence `gap_us` after the one before it and returns the level, held at `cap_q16`.
    #[inline]
    pub(crate) fn add(&mut self, gap_us: u64, leak: Leak, cap_q16: u32) -> u32 {
        let drained = self.level_q16.saturating_sub(leak.over(gap_us));
        self.level_q16 = drained.saturating_add(ONE_Q16).min(cap_q16);
        self.level_q16
    }

    /// Empties the counter.
    pub(crate) fn clear(&mut self) {
        self.level_q16 = 0;
    }
}

/// Leaky counter that remembers when it was fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TimedMeter {
    meter: Meter,
    last: VehicleMicros,
}

impl TimedMeter {
    /// A meter that never counted.
    pub(crate) const EMPTY: Self = Self { meter: Meter::EMPTY, last: VehicleMicros(0) };

    /// Counts one occurrence and returns whether the level is at least `limit` units.
    pub(crate) fn add(&mut self, at: VehicleMicros, leak: Leak, limit: u32) -> bool {
        let cap = limit.saturating_mul(ONE_Q16).saturating_add(ONE_Q16);
        let level = self.meter.add(at.micros_since(self.last), leak, cap);
        self.last = at;
        level >= limit.saturating_mul(ONE_Q16)
    }

    /// Empties the counter.
    pub(crate) fn clear(&mut self) {
        self.meter.clear();
    }
}

/// One-sided cumulative sum over the gaps of one identifier: how many frames it is ahead of its cycle.
///
/// Each frame adds one; a cycle's worth of time takes 1.25 away (1.1 for cycles up to 25 ms, whose senders are
/// never event driven in the traffic seen so far). A doubled rate thus gains 0.75 a cycle, while the few extra
/// frames of a user's action drain within a few cycles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CycleMeter {
    leak: Leak,
    meter: Meter,
}

impl CycleMeter {
    /// Longest cycle with the smaller slack, in microseconds.
    const FAST_US: u32 = 25_000;

    /// Creates a meter for a cycle in microseconds; 0 counts as 1.
    #[must_use]
    pub const fn new(cycle_us: u32) -> Self {
        let slack_percent = if cycle_us <= Self::FAST_US { 110 } else { 125 };
        let cycle = if cycle_us == 0 { 1 } else { cycle_us as u64 };
        Self { leak: Leak::ratio(slack_percent, cycle.saturating_mul(100)), meter: Meter { level_q16: 0 } }
    }

    /// Counts a frame that came `gap_us` after the one before it and returns how many frames the identifier is
    /// ahead of its cycle, in 1/65536, held at `cap_q16`.
    #[inline]
    pub fn add(&mut self, gap_us: u64, cap_q16: u32) -> u32 {
        // The frame itself is due: it fills the meter only as far as its gap was too short to earn it.
        self.meter.level_q16 = self.meter.level_q16.saturating_add(ONE_Q16);
        self.meter.level_q16 = self.meter.level_q16.saturating_sub(self.leak.over(gap_us)).min(cap_q16);
        self.meter.level_q16
    }

    /// Forgets what was.
    pub fn clear(&mut self) {
        self.meter.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level_after(meter: &mut CycleMeter, gaps: &[u64]) -> u32 {
        gaps.iter().map(|&gap| meter.add(gap, u32::MAX)).last().expect("some gaps")
    }

    #[test]
    fn a_frame_on_time_adds_nothing_and_a_doubled_rate_adds_up() {
        let mut meter = CycleMeter::new(100_000);
        assert_eq!(level_after(&mut meter, &[100_000; 50]), 0);
        assert_eq!(level_after(&mut meter, &[92_000; 50]), 0);
        let doubled = level_after(&mut meter, &[50_000; 16]);
        assert!((5 * ONE_Q16..=7 * ONE_Q16).contains(&doubled), "{doubled}");
    }

    #[test]
    fn extra_frames_of_one_action_drain() {
        let mut meter = CycleMeter::new(100_000);
        let burst = level_after(&mut meter, &[100_000, 5000, 5000, 5000]);
        assert!(burst > 2 * ONE_Q16, "{burst}");
        assert_eq!(level_after(&mut meter, &[100_000; 12]), 0);
    }

    #[test]
    fn a_timed_meter_needs_its_limit_within_the_leak() {
        let leak = Leak::per_seconds(2, 1);
        let mut slow = TimedMeter::default();
        assert!(!(0..100).any(|n| slow.add(VehicleMicros(n * 500_000), leak, 8)));
        let mut fast = TimedMeter::default();
        let hit = (0..100).position(|n| fast.add(VehicleMicros(n * 100_000), leak, 8));
        assert_eq!(hit, Some(9), "net gain 0.8 a frame");
    }
}
