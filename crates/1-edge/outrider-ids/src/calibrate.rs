//! How surprising an excess is on this bus: conformal p-values over whole seconds of its own clean traffic.
//!
//! Detectors of habits compare what a frame does with the most that its identifier ever did, as a ratio. Ratios of
//! all identifiers are comparable, so one pool a habit holds them all: for each second of clean traffic the largest of
//! that second (whole blocks, because frames next to each other are alike; Vovk, Gammerman, Shafer: "Algorithmic
//! Learning in a Random World", 2005). The p-value of an excess is the share of seconds with one at least as large.
//! Beyond what was often seen, the tail is continued as an exponential one of the logarithm of the ratio, that is a
//! Pareto tail, with the mean that the bus itself showed (Hill: "A Simple General Approach to Inference About the Tail
//! of a Distribution", 1975). A bus whose numbers keep to their limits so gets narrow ones, a rough one wide ones, and
//! nothing depends on what a vehicle's signals mean.

mod stored;

use outrider_types::VehicleMicros;

/// Habits that are calibrated, each in a pool of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Habit {
    /// A number that moves through its range makes a step.
    Step,
    /// A number that rested or only flickered makes a step.
    Leap,
    /// A number goes back on a large step by another.
    Swing,
    /// A number with noise is without.
    Calm,
    /// A number disagrees with those that it goes together with.
    Discord,
    /// A number repeats what it said before.
    Echo,
    /// A number that goes through its values one by one, at leisure, leaves some out.
    Skip,
    /// The same of numbers that have made few steps, nearly all of which are larger than any before.
    EarlyStep,
    EarlyLeap,
}

impl Habit {
    /// Returns whether it is about steps of numbers of which many were seen.
    pub(crate) const fn is_mature(self) -> bool {
        matches!(self, Self::Step | Self::Leap | Self::Skip)
    }

    /// Returns whether it is about the size of a step.
    const fn is_step(self) -> bool {
        !matches!(self, Self::Swing | Self::Calm | Self::Discord | Self::Echo)
    }
}

/// Number of habits.
pub(crate) const HABITS: usize = 9;
/// Steps of an excess: quarters of octaves from a sixteenth of what was usual up to 4096 times.
pub(crate) const STEPS: usize = 64;
/// Step of what was just as large as ever.
const EVEN: u32 = 16;
/// Excesses from which the empirical share is taken; with fewer the tail is fitted.
const TAIL_MIN: u32 = 8;
/// The tail before anything was seen: this many excesses …
const PRIOR_COUNT: u32 = 4;
/// … of one octave, in quarters: a step twice as large as any before is common, four times is not.
const PRIOR_Q2: u32 = 4;
/// Shortest mean of a tail that is believed, in 1/256 quarters: numbers of few steps seem to have none at all …
const MEAN_Q8_MIN: u32 = 256;
/// … those that go through their values one by one leave hardly any out …
const MEAN_Q8_SKIP: u32 = 136;
/// … and numbers in motion, of which most seconds show nothing new, until a gear is changed or a pedal is pressed hard.
const MEAN_Q8_MOTION: u32 = 400;
/// Clean seconds before a p-value means anything.
pub(crate) const SECONDS_MIN: u32 = 8;
/// Seconds after which all counts are halved, so that the pool follows the vehicle: an hour.
pub(crate) const SECONDS_MAX: u32 = 3600;
/// Clean seconds in a model from which its pool is that of a vehicle that is known: as few as halving leaves.
const KNOWN_SECONDS: u32 = SECONDS_MAX / 2;
/// Length of a block, in microseconds.
const BLOCK_US: u64 = 1_000_000;
/// Surprise in quarters of a bit per quarter of an octave and mean excess of one quarter: 4 · log2(e).
const NATS_Q8: u32 = 1477;

/// How something compares with the most that was usual: quarters of octaves of the ratio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Excess(u8);

impl Excess {
    /// Just as much as ever.
    pub(crate) const EVEN: Self = Self(16);
    /// Twice as much as ever.
    pub(crate) const NOVEL: Self = Self(20);
    /// Nothing worth mentioning.
    pub(crate) const NONE: Self = Self(0);
    /// Largest excess that is told from others.
    const MAX: u8 = 63;

    /// Returns what is so many quarters of octaves beyond what was usual.
    pub(crate) fn above(quarters: u32) -> Self {
        let quarters = quarters.saturating_add(EVEN).min(Self::MAX.into());
        Self(u8::try_from(quarters).unwrap_or(Self::MAX))
    }

    /// Returns how a size compares with what was usual.
    #[inline]
    pub(crate) fn of(size: u32, usual: u32) -> Self {
        let quarters = octaves_q2(size).saturating_add(EVEN).saturating_sub(octaves_q2(usual.max(1)));
        let quarters = if size == 0 { 0 } else { quarters };
        Self(u8::try_from(quarters.min(Self::MAX.into())).unwrap_or(Self::MAX))
    }
}

/// Logarithm to base two in quarters, rounded down; 0 of 0.
#[inline]
pub(crate) fn octaves_q2(value: u32) -> u32 {
    let zeros = (value | 1).leading_zeros();
    // The two bits behind the highest.
    let fraction = value.wrapping_shl(zeros) >> 29 & 3;
    (31u32.wrapping_sub(zeros) << 2) | fraction
}

/// How unlikely an excess is by chance, as bits: 10 bits are once in 1024 seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Surprise {
    /// Quarters of a bit.
    pub(crate) quarter_bits: u16,
}

impl Surprise {
    /// Once in eighteen hours of one habit, if the tail is what was fitted. Generated days show several times as many:
    /// what a vehicle does for the first time has a heavier tail than what it does every day.
    pub(crate) const ALARM: Self = Self { quarter_bits: 4 * 16 };
    /// The same on a bus whose first times a model has counted for long ([`KNOWN_SECONDS`]): nothing but the end of the
    /// tail is fitted then.
    const ALARM_KNOWN: Self = Self { quarter_bits: 4 * 13 };
    /// Once an hour of one habit: worth a line of low severity, which others may add up.
    pub(crate) const HINT: Self = Self { quarter_bits: 4 * 12 };

    /// Nothing worth mentioning.
    pub(crate) const NONE: Self = Self { quarter_bits: 0 };

    /// Returns how surprising two things are together that have nothing to do with each other by chance.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self { quarter_bits: self.quarter_bits.saturating_add(other.quarter_bits) }
    }

    /// Returns the p-value of a second, in parts of 10⁹, at least 1.
    pub(crate) fn p_value_ppb(self) -> u64 {
        // 2^(-1/4), 2^(-2/4) and 2^(-3/4) in 10⁻⁹.
        let whole = 1_000_000_000u64.checked_shr(u32::from(self.quarter_bits / 4)).unwrap_or(0);
        let permille = match self.quarter_bits & 3 {
            0 => 1000,
            1 => 841,
            2 => 707,
            _ => 595,
        };
        (whole.saturating_mul(permille) / 1000).max(1)
    }
}

/// Largest excesses of clean seconds of one habit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pool {
    pub(crate) seconds: u32,
    pub(crate) counts: [u16; STEPS],
    /// Largest excess of the second that goes on.
    open: u8,
    /// Whether anything was judged in it.
    active: bool,
    /// Whether a model has counted for long.
    known: bool,
}

impl Pool {
    const EMPTY: Self = Self { seconds: 0, counts: [0; STEPS], open: 0, active: false, known: false };

    /// Seconds with an excess of at least `step`, and the sum of how far they were above it.
    fn tail(&self, step: usize) -> (u32, u32) {
        let above = (0u32..).zip(self.counts.iter().skip(step));
        above.fold((0, 0), |(count, sum), (over, &seconds)| {
            let seconds = u32::from(seconds);
            (count.saturating_add(seconds), sum.saturating_add(over.saturating_mul(seconds)))
        })
    }

    /// Returns how surprising an excess is if no tail is shorter than `shortest_q8`.
    fn surprise(&self, excess: Excess, shortest_q8: u32) -> Surprise {
        let step = usize::from(excess.0);
        let all = octaves_q2(self.seconds.saturating_add(1));
        let empirical = |count: u32| all.saturating_sub(octaves_q2(count.saturating_add(1)));
        let (count, _) = self.tail(step);
        let quarter_bits = if count >= TAIL_MIN {
            empirical(count)
        } else {
            // The highest step that still has enough excesses above it, or the lowest.
            let mut from = step.max(1);
            let (mut seen, mut sum) = self.tail(from);
            while seen < TAIL_MIN && from > 1 {
                // One step lower, all of them are one step farther above it.
                from = from.saturating_sub(1);
                sum = sum.saturating_add(seen);
                seen = seen.saturating_add(self.counts.get(from).copied().unwrap_or(0).into());
            }
            let weight = seen.saturating_add(PRIOR_COUNT);
            let mean_q8 = sum
                .saturating_add(PRIOR_COUNT.saturating_mul(PRIOR_Q2))
                .saturating_mul(256)
                .checked_div(weight)
                .unwrap_or(shortest_q8)
                .max(shortest_q8);
            let over = u32::try_from(step.saturating_sub(from)).unwrap_or(0);
            let tail = over.saturating_mul(NATS_Q8).checked_div(mean_q8).unwrap_or(0);
            let fitted = empirical(seen).saturating_add(tail);
            if count > 0 { fitted.min(empirical(count)) } else { fitted }
        };
        Surprise { quarter_bits: u16::try_from(quarter_bits).unwrap_or(u16::MAX) }
    }

    fn close(&mut self) {
        if !self.active {
            return;
        }
        self.active = false;
        if let Some(count) = self.counts.get_mut(usize::from(self.open)) {
            *count = count.saturating_add(1);
        }
        self.open = 0;
        self.seconds = self.seconds.saturating_add(1);
        if self.seconds >= SECONDS_MAX {
            self.seconds /= 2;
            for count in &mut self.counts {
                *count /= 2;
            }
        }
    }
}

/// The pools of one bus, below a kilobyte.
#[derive(Debug, Clone)]
pub(crate) struct Calibration {
    pools: [Pool; HABITS],
    block_end: VehicleMicros,
}

impl Calibration {
    pub(crate) const fn new() -> Self {
        Self { pools: [Pool::EMPTY; HABITS], block_end: VehicleMicros(0) }
    }

    fn pool(&mut self, habit: Habit) -> Option<&mut Pool> {
        self.pools.get_mut(habit as usize)
    }

    /// Weighs what is beyond the usual: returns its surprise and whether it is an attack's, and
    /// notes it if it is not.
    #[inline(never)]
    pub(crate) fn weigh(&mut self, habit: Habit, excess: Excess, learns: bool) -> (Surprise, bool) {
        let surprise = if excess > Excess::EVEN { self.surprise(habit, excess) } else { None };
        let surprise = surprise.unwrap_or_default();
        // What few steps were seen of is worth a hint at most.
        let is_early = matches!(habit, Habit::EarlyStep | Habit::EarlyLeap);
        let surprise = if is_early { surprise.min(Surprise::HINT) } else { surprise };
        let is_alarm = surprise >= self.alarm(habit);
        if !is_alarm && learns {
            self.note(habit, excess);
        }
        (surprise, is_alarm)
    }

    /// Returns how surprising an excess is, or `None` while too little was seen to say. A number that begins to move
    /// through its range is held against those that rest until others have done the same.
    pub(crate) fn surprise(&mut self, habit: Habit, excess: Excess) -> Option<Surprise> {
        let motion = MEAN_Q8_MOTION;
        let (alike, shortest_q8) = match habit {
            Habit::Step => ([Habit::EarlyStep, Habit::Leap], motion),
            Habit::Leap => ([Habit::EarlyLeap, Habit::Step], motion),
            Habit::EarlyStep => ([Habit::EarlyLeap; 2], motion),
            Habit::EarlyLeap => ([Habit::EarlyStep; 2], motion),
            Habit::Swing | Habit::Calm | Habit::Discord | Habit::Echo => ([habit; 2], MEAN_Q8_MIN),
            Habit::Skip => ([habit; 2], MEAN_Q8_SKIP),
        };
        let [early, other] = alike;
        for habit in [habit, early, other] {
            if let Some(pool) = self.pool(habit).filter(|pool| pool.seconds >= SECONDS_MIN) {
                return Some(pool.surprise(excess, shortest_q8));
            }
        }
        None
    }

    /// Returns from which surprise on a habit is held to be broken by an attack.
    pub(crate) fn alarm(&mut self, habit: Habit) -> Surprise {
        let known = self.pool(habit).is_some_and(|pool| pool.known);
        if known { Surprise::ALARM_KNOWN } else { Surprise::ALARM }
    }

    /// Notes that a habit was kept, or broken by no more than belongs to this bus.
    #[inline]
    pub(crate) fn note(&mut self, habit: Habit, excess: Excess) {
        if let Some(pool) = self.pool(habit) {
            pool.active = true;
            pool.open = pool.open.max(excess.0);
        }
        // Whoever steps could have gone back on a step before.
        if habit.is_step()
            && let Some(swings) = self.pool(Habit::Swing)
        {
            swings.active = true;
        }
    }

    /// Notes that a habit was kept: `size` is at most `usual`. Once something as large as ever was noted in this second,
    /// how much smaller it is does not matter.
    #[inline]
    pub(crate) fn keep(&mut self, habit: Habit, size: u32, usual: u32) {
        let is_known = self.pool(habit).is_some_and(|pool| pool.open >= Excess::EVEN.0);
        if !is_known {
            self.note(habit, Excess::of(size, usual));
        }
    }

    /// Ends the second at hand with the next frame after the clock was set back.
    pub(crate) const fn restart(&mut self, at: VehicleMicros) {
        self.block_end = at;
    }

    /// Lets time pass; `clean` says that nothing suspicious is open.
    #[inline]
    pub(crate) fn advance(&mut self, now: VehicleMicros, clean: bool) {
        if now < self.block_end {
            return;
        }
        self.block_end = now.saturating_add(BLOCK_US);
        for pool in &mut self.pools {
            if clean {
                pool.close();
            } else {
                (pool.open, pool.active) = (0, false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> VehicleMicros {
        VehicleMicros(n * BLOCK_US)
    }

    /// Clean seconds whose largest excess is given by their number.
    fn lived(seconds: u64, excess: impl Fn(u64) -> u8) -> Calibration {
        let mut calibration = Calibration::new();
        for n in 0..seconds {
            calibration.advance(second(n), true);
            calibration.note(Habit::Step, Excess(excess(n)));
        }
        calibration.advance(second(seconds), true);
        calibration
    }

    fn bits(calibration: &mut Calibration, excess: u8) -> u16 {
        calibration.surprise(Habit::Step, Excess(excess)).expect("enough was seen").quarter_bits / 4
    }

    #[test]
    fn an_excess_is_a_logarithm_of_the_ratio() {
        assert_eq!([1, 2, 3, 4, 1000].map(octaves_q2), [0, 4, 6, 8, 39]);
        assert_eq!(Excess::of(80, 10), Excess(16 + 12));
        assert_eq!(Excess::of(5, 10), Excess(16 - 4));
        assert_eq!(Excess::of(10, 10), Excess::EVEN);
        assert_eq!((Excess::of(0, 10), Excess::of(u32::MAX, 0)), (Excess::NONE, Excess(Excess::MAX)));
    }

    #[test]
    fn nothing_is_said_before_enough_was_seen() {
        assert_eq!(lived(7, |_| 0).surprise(Habit::Step, Excess(40)), None);
        assert!(lived(8, |_| 0).surprise(Habit::Step, Excess(40)).is_some());
    }

    #[test]
    fn a_share_that_was_seen_is_the_p_value() {
        // Every sixteenth second had a step twice as large as any before.
        let mut calibration = lived(1024, |n| if n % 16 == 0 { 4 } else { 0 });
        assert_eq!(bits(&mut calibration, 4), 4);
        assert!(bits(&mut calibration, 12) > 8, "three octaves were never seen");
    }

    #[test]
    fn a_rough_bus_is_harder_to_surprise_than_a_quiet_one() {
        let mut quiet = lived(60, |n| u8::from(n % 10 == 0));
        let mut rough = lived(60, |n| u8::try_from(n % 20).expect("small"));
        for excess in [12, 20, 30] {
            assert!(bits(&mut quiet, excess) > bits(&mut rough, excess) + 3, "{excess}");
        }
        let (mut before, mut steps) = (0, 0);
        for excess in 0..=Excess::MAX {
            let now = bits(&mut rough, excess);
            assert!(now >= before, "a larger excess is never less surprising");
            (before, steps) = (now, steps + u32::from(now > before));
        }
        assert!(steps > 5);
    }

    #[test]
    fn suspicious_seconds_teach_nothing() {
        let mut calibration = lived(60, |_| 0);
        let before = bits(&mut calibration, 20);
        for n in 61..90 {
            calibration.note(Habit::Step, Excess(30));
            calibration.advance(second(n), false);
        }
        assert_eq!(bits(&mut calibration, 20), before);
    }

    #[test]
    fn the_pool_follows_the_vehicle_and_does_not_overflow() {
        let mut calibration = lived(10_000, |n| if n < 3000 { 20 } else { 0 });
        assert!(calibration.pools[0].seconds <= SECONDS_MAX);
        assert!(bits(&mut calibration, 20) >= 1);
    }
}
