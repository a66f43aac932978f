//! Numbers of a bus that go together, and numbers that say again what they said before.
//!
//! Wheel speeds, engine speed and yaw rate follow from one motion. An attacker who replaces one of them in its own
//! frames, at their own times, with smooth values, is seen only by the others. Which numbers belong together is
//! learned from how they change within a second ([`pairs`]); then each is predicted from up to three others
//! ([`predict`]), and the residual is held against what it was. A recording played back is smooth, too, and perhaps
//! agrees with others; but noise does not repeat itself ([`echo`]).

mod echo;
mod pairs;
mod predict;
mod stored;
#[cfg(test)]
mod tests;

use outrider_types::VehicleMicros;

use crate::calibrate::{Calibration, Excess, Habit, Surprise};
use echo::{Echo, Memory};
use pairs::Pairs;
use predict::{Own, Predictor};

/// Most numbers that are compared with each other: 780 pairs, whose sums fit seven kilobytes.
pub(crate) const SIGNALS_MAX: usize = 40;
/// Most predictors of a number; with three, one that is itself attacked is outvoted.
pub(crate) const PREDICTORS_MAX: usize = 3;
/// Name of no number.
pub(crate) const NO_SIGNAL: u8 = u8::MAX;
/// Time between two samples of all numbers, in microseconds.
const SAMPLE_US: u64 = 90_000;
/// Samples over which a change is taken: about a second, so that noise and the age of values weigh little.
const LAG: usize = 10;
/// Quarters of octaves beyond everything usual before an alarm is raised, however light the tail: lines hold until a
/// gear is changed or a wheel spins, which is no matter of noise.
const FAR_Q2: u32 = 8;
/// Seconds in which a number must have moved by a quarter of its largest change before it is compared: one event that
/// moved two numbers once says nothing about them.
const LIVELY_S: u8 = 6;

/// One number.
#[derive(Debug, Clone, Copy)]
struct Signal {
    used: bool,
    /// Bits that are dropped so that sixteen are left.
    drop: u8,
    /// Latest value, and its step.
    value: i32,
    step: u32,
    seen: bool,
    past: [i32; LAG],
    /// Largest change within a second, when it was last near that, and in how many seconds.
    change_max: u32,
    lively_at: VehicleMicros,
    lively_s: u8,
    low: i32,
    high: i32,
    predictors: [Predictor; PREDICTORS_MAX],
    discord: Excursion,
    echo: Echo,
    repeats: Excursion,
}

/// Time during which something is beyond everything usual. It becomes usual only when it is over: what grows slowly
/// is one excursion, not a row of small ones.
#[derive(Debug, Clone, Copy)]
struct Excursion {
    peak: Excess,
    alarmed: bool,
}

impl Excursion {
    const NONE: Self = Self { peak: Excess::NONE, alarmed: false };

    /// Weighs an excess; returns its surprise if it is worth a word, and whether an excursion is over.
    fn follow(
        &mut self,
        habit: Habit,
        excess: Excess,
        learns: bool,
        calibration: &mut Calibration,
    ) -> (Option<Surprise>, bool) {
        if excess > Excess::EVEN {
            self.peak = self.peak.max(excess);
            let surprise = calibration.surprise(habit, excess).filter(|surprise| *surprise >= Surprise::HINT);
            let far = excess >= Excess::above(FAR_Q2);
            let surprise = surprise.map(|surprise| if far { surprise } else { surprise.min(Surprise::HINT) });
            self.alarmed |= surprise.is_some_and(|surprise| surprise >= calibration.alarm(habit));
            return (surprise, false);
        }
        let over = self.peak > Excess::EVEN;
        if learns && !self.alarmed {
            calibration.note(habit, self.peak.max(excess));
        }
        (None, over)
    }
}

impl Signal {
    const EMPTY: Self = Self {
        used: false,
        drop: 0,
        value: 0,
        step: 0,
        seen: false,
        past: [0; LAG],
        change_max: 0,
        lively_at: VehicleMicros(0),
        lively_s: 0,
        low: i32::MAX,
        high: i32::MIN,
        predictors: [Predictor::NONE; PREDICTORS_MAX],
        discord: Excursion::NONE,
        echo: Echo::NEW,
        repeats: Excursion::NONE,
    };

    /// Takes the change of the latest second and follows how lively the number is.
    fn note_change(&mut self, now: VehicleMicros, change: i32) {
        let size = change.unsigned_abs();
        if size > self.change_max {
            if size > self.change_max.saturating_mul(4) {
                self.lively_s = 0;
            }
            self.change_max = size;
        }
        if size >= (self.change_max / 4).max(2) && now.micros_since(self.lively_at) >= 1_000_000 {
            self.lively_at = now;
            self.lively_s = self.lively_s.saturating_add(1);
        }
    }
}

/// What a number did that speaks against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Conflict {
    pub(crate) habit: Habit,
    pub(crate) surprise: Surprise,
    /// Whether it is enough to say it aloud.
    pub(crate) alarm: bool,
    /// Value that the others predict; for a repetition, the value itself.
    pub(crate) expected: u32,
}

/// All numbers of a bus that are compared; about 23 KiB.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    signals: [Signal; SIGNALS_MAX],
    len: usize,
    pairs: Pairs,
    memory: Memory,
    sampled: VehicleMicros,
    cursor: usize,
    /// Place in the past of the next sample.
    place: usize,
    /// Samples since the set of numbers was last changed.
    samples: u32,
}

impl Signals {
    pub(crate) const fn new() -> Self {
        Self {
            signals: [Signal::EMPTY; SIGNALS_MAX],
            len: 0,
            pairs: Pairs::new(),
            memory: Memory::new(),
            sampled: VehicleMicros(0),
            cursor: 0,
            place: 0,
            samples: 0,
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
        self.samples = 0;
        self.pairs.clear();
        self.memory.clear();
    }

    /// Samples anew after the clock was set back.
    pub(crate) const fn restart(&mut self, at: VehicleMicros) {
        self.sampled = at;
        self.samples = 0;
    }

    /// Takes a number in and returns its name; `bits` is its width with everything it may grow into.
    pub(crate) fn enroll(&mut self, bits: u8) -> Option<u8> {
        let used = self.signals.iter().take(self.len);
        let free = (0u8..).zip(used).find(|(_, signal)| !signal.used).map(|(name, _)| name);
        let name = free.or_else(|| u8::try_from(self.len).ok())?;
        let slot = self.signals.get_mut(usize::from(name))?;
        *slot = Signal { used: true, drop: bits.saturating_sub(16), ..Signal::EMPTY };
        self.len = self.len.max(usize::from(name).saturating_add(1));
        // Sums over different times cannot be compared.
        self.pairs.clear();
        self.samples = 0;
        Some(name)
    }

    /// Takes a number out; its name may be given to another, so nobody is predicted from it any more.
    pub(crate) fn release(&mut self, name: u8) {
        let Some(signal) = self.signals.get_mut(usize::from(name)) else { return };
        *signal = Signal::EMPTY;
        let predictors = self.signals.iter_mut().flat_map(|signal| &mut signal.predictors);
        for predictor in predictors.filter(|predictor| predictor.other() == Some(usize::from(name))) {
            *predictor = Predictor::NONE;
        }
    }

    /// Takes the next value of a number and says what speaks against it.
    #[inline]
    pub(crate) fn receive(
        &mut self,
        name: u8,
        raw: u32,
        learns: bool,
        calibration: &mut Calibration,
    ) -> Option<Conflict> {
        let index = usize::from(name);
        let signal = self.signals.get_mut(index)?;
        let value = i32::try_from(raw.checked_shr(signal.drop.into()).unwrap_or(0)).unwrap_or(i32::MAX);
        // Neither is negative.
        let step = value.wrapping_sub(signal.value).unsigned_abs();
        signal.step = if signal.seen { step } else { 0 };
        signal.value = value;
        signal.seen = true;
        let echoed = signal.echo.receive(name, value, &mut self.memory).and_then(|excess| {
            let (surprise, over) = signal.repeats.follow(Habit::Echo, excess, learns, calibration);
            if over {
                signal.repeats = Excursion::NONE;
                signal.echo.forgive();
            }
            surprise.map(|surprise| {
                let alarm = surprise >= calibration.alarm(Habit::Echo);
                Conflict { habit: Habit::Echo, surprise, alarm, expected: raw }
            })
        });
        let discord = self.predict(index, learns, calibration);
        match (echoed, discord) {
            (Some(echo), Some(discord)) => {
                Some(if echo.surprise > discord.surprise { echo } else { discord })
            }
            (one, other) => one.or(other),
        }
    }

    /// Holds a number against what others predict.
    fn predict(&mut self, index: usize, learns: bool, calibration: &mut Calibration) -> Option<Conflict> {
        let own = self.signals.get(index)?;
        let mut others: [Option<(i32, u32)>; PREDICTORS_MAX] = [None; PREDICTORS_MAX];
        for (slot, predictor) in others.iter_mut().zip(&own.predictors) {
            let other =
                predictor.other().and_then(|other| self.signals.get(other)).filter(|other| other.seen);
            *slot = other.map(|other| (other.value, other.step));
        }
        if others.iter().all(Option::is_none) {
            return None;
        }
        let own = self.signals.get_mut(index)?;
        let moved = Own { value: own.value, step: own.step, low: own.low, high: own.high };
        let mut votes: [Option<(Excess, i32)>; PREDICTORS_MAX] = [None; PREDICTORS_MAX];
        for ((vote, predictor), other) in votes.iter_mut().zip(&mut own.predictors).zip(others) {
            *vote = other.and_then(|other| predictor.receive(moved, other, learns));
        }
        let (excess, expected) = majority(&votes)?;
        let (surprise, over) = own.discord.follow(Habit::Discord, excess, learns, calibration);
        if over {
            own.predictors.iter_mut().for_each(Predictor::forgive);
            own.discord = Excursion::NONE;
        }
        let raw = expected.max(0).unsigned_abs().checked_shl(own.drop.into()).unwrap_or(0);
        // One against one: who lies is open.
        let alone = own.predictors.iter().filter(|predictor| predictor.is_used()).nth(1).is_none();
        let surprise = surprise.map(|told| if alone { told.min(Surprise::HINT) } else { told });
        let alarm = surprise.is_some_and(|surprise| surprise >= calibration.alarm(Habit::Discord));
        surprise.map(|surprise| Conflict { habit: Habit::Discord, surprise, alarm, expected: raw })
    }

    /// Takes what was held against a number as usual after all.
    pub(crate) fn forgive(&mut self, name: u8) {
        if let Some(signal) = self.signals.get_mut(usize::from(name)) {
            signal.predictors.iter_mut().for_each(Predictor::forgive);
            signal.discord = Excursion::NONE;
            signal.repeats = Excursion::NONE;
            signal.echo.forgive();
        }
    }

    /// Samples all numbers and looks for others that one of them goes together with; O(pairs), in no frame.
    pub(crate) fn tick(&mut self, now: VehicleMicros, clean: bool) {
        if self.len < 2 || now.micros_since(self.sampled) < SAMPLE_US {
            return;
        }
        self.sampled = now;
        if !clean {
            return;
        }
        self.samples = self.samples.saturating_add(1);
        let mut changes = [0i32; SIGNALS_MAX];
        let full = self.samples > u32::try_from(LAG).unwrap_or(u32::MAX);
        for (signal, change) in self.signals.iter_mut().take(self.len).zip(&mut changes) {
            if let Some(past) = signal.past.get_mut(self.place) {
                *change = if full { signal.value.saturating_sub(*past) } else { 0 };
                *past = signal.value;
            }
            signal.low = signal.low.min(signal.value);
            signal.high = signal.high.max(signal.value);
            if full {
                signal.note_change(now, *change);
            }
        }
        self.place = self.place.saturating_add(1).checked_rem(LAG).unwrap_or(0);
        if full && let Some(changes) = changes.get(..self.len) {
            self.pairs.add(changes);
            self.look(self.cursor);
            self.cursor = self.cursor.saturating_add(1).checked_rem(self.len).unwrap_or(0);
        }
    }

    /// Looks for others that predict one number.
    fn look(&mut self, index: usize) {
        let lively = |signal: &Signal| signal.lively_s >= LIVELY_S;
        let Some(mut own) = self.signals.get(index).copied().filter(lively) else { return };
        for other in (0..self.len).filter(|&other| other != index) {
            if !self.signals.get(other).is_some_and(lively) {
                continue;
            }
            if let Some(fit) = self.pairs.fit(other, index) {
                predict::consider(&mut own.predictors, other, fit);
            }
        }
        if let Some(slot) = self.signals.get_mut(index) {
            *slot = own;
        }
    }
}

/// Returns what most predictors say: of two the milder, of three the middle one.
fn majority(votes: &[Option<(Excess, i32)>; PREDICTORS_MAX]) -> Option<(Excess, i32)> {
    let [one, two, three] = *votes;
    match (one, two, three) {
        (Some(one), Some(two), Some(three)) => Some(one.min(two).max(one.max(two).min(three))),
        (one, two, three) => one.into_iter().chain(two).chain(three).reduce(Ord::min),
    }
}
