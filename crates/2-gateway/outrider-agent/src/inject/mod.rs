//! Puts attacks into recorded traffic, with labels that say exactly what was done.
//!
//! **In:** the frames of a capture and an [`AttackPlan`]. **Out:** the frames as an attacker on the bus would have
//! left them, and [`Labels`]. **Never:** an ambient clock or ambient randomness: the same seed gives the same
//! frames. **Start reading** at [`inject`].

mod diagnosis;
mod flood;
mod survey;
#[cfg(test)]
mod tests;

use outrider_bus::can::{CanId, Frame, FrameKind, TimedFrame};
use outrider_types::{BusId, Seed, VehicleMicros};

pub use survey::IdSurvey;

/// Share of a capture that stays clean before an attack that names no start, in percent.
const START_PERCENT: u64 = 40;
/// Longest attack when none is asked for, in microseconds.
const LENGTH_US: u64 = 5_000_000;
/// Most frames an attack may add: a full 1 Mbit/s bus for ten minutes.
const FRAMES_MAX: u64 = 5_000_000;

/// Kind of attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attack {
    /// Extra frames with another payload on an identifier that is there.
    Fabricate,
    /// No frame of an identifier any more.
    Suspend,
    /// One identifier of the highest priority takes the bus.
    Flood,
    /// A tester guesses keys.
    UdsBruteForce,
}

impl Attack {
    /// All attacks.
    pub const ALL: [Self; 4] = [Self::Fabricate, Self::Suspend, Self::Flood, Self::UdsBruteForce];

    /// Returns the word on the command line and in labels.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fabricate => "fabricate",
            Self::Suspend => "suspend",
            Self::Flood => "flood",
            Self::UdsBruteForce => "uds-bruteforce",
        }
    }
}

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct AttackPlan {
    /// Kind of attack.
    pub attack: Attack,
    /// Source of every choice that is left open.
    pub seed: u64,
    /// Time from the first frame to the attack; by default two fifths of the capture.
    pub start_us: Option<u64>,
    /// Length of the attack; by default to the end, at most five seconds.
    pub length_us: Option<u64>,
    /// Identifier to attack, or to ask on; by default one that the traffic offers.
    pub id: Option<CanId>,
    /// Frames a second to add, or keys a second; by default what suits the attack.
    pub rate_hz: Option<u32>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// Kind of attack.
    pub attack: Attack,
    /// Seed of the plan.
    pub seed: u64,
    /// The bus.
    pub bus: BusId,
    /// Identifiers attacked or used.
    pub ids: Vec<CanId>,
    /// First moment of the attack, in the capture's time.
    pub start: VehicleMicros,
    /// Last moment of the attack.
    pub end: VehicleMicros,
    /// Frames added.
    pub injected: u64,
    /// Frames taken away, those that a full bus never let through among them.
    pub removed: u64,
    /// Frames a second that were added.
    pub rate_hz: u32,
}

/// Why an attack cannot be put in.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InjectError {
    /// The capture has no frame.
    #[error("capture contains no frames")]
    NoFrames,
    /// The attack would begin after the last frame.
    #[error("attack starts {start_us} µs into a capture of {capture_us} µs")]
    Start {
        /// Start asked for.
        start_us: u64,
        /// Length of the capture.
        capture_us: u64,
    },
    /// The attack has no length.
    #[error("attack has no length")]
    Length,
    /// The identifier asked for is not in the capture.
    #[error("identifier {id} does not come often enough in the capture")]
    Id {
        /// The identifier.
        id: CanId,
    },
    /// No identifier of the capture suits the attack.
    #[error("no identifier of the capture suits the attack")]
    NoTarget,
    /// The attack would add more frames than the bound.
    #[error("attack would add {frames} frames, at most {limit} are added")]
    TooManyFrames {
        /// Frames asked for.
        frames: u64,
        /// The bound.
        limit: u64,
    },
}

impl InjectError {
    /// Returns the error's code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoFrames => "inject.no_frames",
            Self::Start { .. } => "inject.start",
            Self::Length => "inject.length",
            Self::Id { .. } => "inject.id",
            Self::NoTarget => "inject.no_target",
            Self::TooManyFrames { .. } => "inject.too_many_frames",
        }
    }
}

/// From when to when, both in the capture's time.
#[derive(Debug, Clone, Copy)]
struct Window {
    start: u64,
    end: u64,
}

impl Window {
    const fn contains(&self, at: VehicleMicros) -> bool {
        at.0 >= self.start && at.0 <= self.end
    }
}

/// Puts an attack into a capture and says what it did. The bus is the one with the most frames.
///
/// # Errors
/// [`InjectError`]: nothing to attack, or a plan that does not fit the capture.
pub fn inject(frames: &[TimedFrame], plan: &AttackPlan) -> Result<(Vec<TimedFrame>, Labels), InjectError> {
    let survey = survey::Survey::of(frames).ok_or(InjectError::NoFrames)?;
    let window = window(&survey, plan)?;
    let seed = Seed::new(plan.seed);
    let context = Context { frames, survey: &survey, window, plan, seed };
    match plan.attack {
        Attack::Fabricate => context.fabricate(),
        Attack::Suspend => context.suspend(),
        Attack::Flood => context.flood(),
        Attack::UdsBruteForce => context.brute_force(),
    }
}

fn window(survey: &survey::Survey, plan: &AttackPlan) -> Result<Window, InjectError> {
    let span = survey.last.saturating_sub(survey.first);
    let offset = plan.start_us.unwrap_or(span * START_PERCENT / 100);
    if offset >= span {
        return Err(InjectError::Start { start_us: offset, capture_us: span });
    }
    let start = survey.first.saturating_add(offset);
    let rest = survey.last.saturating_sub(start);
    let length = plan.length_us.unwrap_or(LENGTH_US.min(rest)).min(rest);
    if length == 0 {
        return Err(InjectError::Length);
    }
    Ok(Window { start, end: start.saturating_add(length) })
}

struct Context<'a> {
    frames: &'a [TimedFrame],
    survey: &'a survey::Survey,
    window: Window,
    plan: &'a AttackPlan,
    seed: Seed,
}

impl Context<'_> {
    fn labels(&self, ids: Vec<CanId>, injected: u64, removed: u64, rate_hz: u32) -> Labels {
        Labels {
            attack: self.plan.attack,
            seed: self.plan.seed,
            bus: self.survey.bus,
            ids,
            start: VehicleMicros(self.window.start),
            end: VehicleMicros(self.window.end),
            injected,
            removed,
            rate_hz,
        }
    }

    fn check_count(&self, rate_hz: u32) -> Result<(), InjectError> {
        let length = self.window.end.saturating_sub(self.window.start);
        let frames = length.saturating_mul(rate_hz.into()) / 1_000_000;
        if frames > FRAMES_MAX {
            return Err(InjectError::TooManyFrames { frames, limit: FRAMES_MAX });
        }
        Ok(())
    }

    /// Chooses an identifier with a cycle of at most `cycle_us_max`, or takes the one asked for.
    fn target(&self, cycle_us_max: u64) -> Result<IdSurvey, InjectError> {
        if let Some(id) = self.plan.id {
            return self.survey.id(id).ok_or(InjectError::Id { id });
        }
        let choices: Vec<IdSurvey> = self.survey.periodic(cycle_us_max).collect();
        let count = u64::try_from(choices.len()).unwrap_or(u64::MAX);
        let index = usize::try_from(self.seed.fork(1).below(count)).unwrap_or(0);
        choices.get(index).copied().ok_or(InjectError::NoTarget)
    }

    fn is_of(&self, timed: &TimedFrame, id: CanId) -> bool {
        timed.bus == self.survey.bus && timed.frame.id() == Some(id)
    }

    /// Adds frames of the target between its own, the payload changed in one to three bytes.
    fn fabricate(&self) -> Result<(Vec<TimedFrame>, Labels), InjectError> {
        let target = self.target(200_000)?;
        let mut seed = self.seed.fork(2);
        // Published fabrication attacks send three to ten times as often as the victim.
        let times = 3 + seed.below(8);
        let own_hz = 1_000_000 / target.cycle_us.max(1);
        let by_default = u32::try_from(own_hz.saturating_mul(times)).unwrap_or(u32::MAX).clamp(1, 1000);
        let rate_hz = self.plan.rate_hz.unwrap_or(by_default).max(1);
        self.check_count(rate_hz)?;
        let period = 1_000_000 / u64::from(rate_hz);
        let mut out = Vec::with_capacity(self.frames.len());
        let mut next = self.window.start;
        let mut injected = 0;
        let mut latest: Option<Frame> = None;
        let fallback = self.frames.iter().find(|timed| self.is_of(timed, target.id)).map(|timed| timed.frame);
        let mask = forgery(&mut seed);
        for timed in self.frames {
            while next <= timed.at.0 && next <= self.window.end {
                let Some(frame) = latest.or(fallback).and_then(|frame| forged(&frame, mask)) else { break };
                out.push(TimedFrame { at: VehicleMicros(next), bus: self.survey.bus, frame });
                injected += 1;
                // Ten per cent of jitter, as a program that sleeps has.
                let jitter = seed.below(period / 5 + 1);
                next = next.saturating_add((period - period / 10 + jitter).max(1));
            }
            if self.is_of(timed, target.id) {
                latest = Some(timed.frame);
            }
            out.push(*timed);
        }
        Ok((out, self.labels(vec![target.id], injected, 0, rate_hz)))
    }

    /// Takes every frame of the target away.
    fn suspend(&self) -> Result<(Vec<TimedFrame>, Labels), InjectError> {
        let target = self.target(100_000)?;
        let gone = |timed: &&TimedFrame| self.is_of(timed, target.id) && self.window.contains(timed.at);
        let out: Vec<TimedFrame> = self.frames.iter().filter(|timed| !gone(timed)).copied().collect();
        let removed = u64::try_from(self.frames.len() - out.len()).unwrap_or(u64::MAX);
        if removed == 0 {
            return Err(InjectError::Id { id: target.id });
        }
        Ok((out, self.labels(vec![target.id], 0, removed, 0)))
    }
}

/// What to change: up to three (byte, exclusive-or) pairs.
type Forgery = [(u64, u8); 3];

fn forgery(seed: &mut Seed) -> Forgery {
    let count = 1 + seed.below(3);
    let mut mask = [(0, 0); 3];
    for (index, slot) in mask.iter_mut().enumerate() {
        let byte = u8::try_from(1 + seed.below(255)).unwrap_or(1);
        *slot = (seed.next_u64(), if index as u64 >= count { 0 } else { byte });
    }
    mask
}

fn forged(frame: &Frame, mask: Forgery) -> Option<Frame> {
    let mut data = frame.data().to_vec();
    let len = u64::try_from(data.len()).unwrap_or(0);
    for (position, change) in mask {
        let index = position.checked_rem(len).and_then(|index| usize::try_from(index).ok());
        if let Some(byte) = index.and_then(|index| data.get_mut(index)) {
            *byte ^= change;
        }
    }
    match frame.kind() {
        FrameKind::Classic | FrameKind::Fd => frame.with_data(&data),
        FrameKind::Remote => Some(*frame),
        FrameKind::Error => None,
    }
}

/// Merges two lists that are each in the order of time; of equals the first list's come first.
fn merge(first: &[TimedFrame], second: &[TimedFrame]) -> Vec<TimedFrame> {
    let mut out: Vec<TimedFrame> = first.iter().chain(second).copied().collect();
    out.sort_by_key(|timed| timed.at);
    out
}
