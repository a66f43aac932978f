//! Puts attacks into recorded traffic and says of every frame what was done to it.
//!
//! **In:** the frames of a capture and an [`AttackPlan`]. **Out:** a [`Stretch`]: the frames as an attacker on the
//! bus would have left them, a [`Truth`] for each, and [`Labels`] for the whole. **Never:** an ambient clock or
//! ambient randomness: the same seed gives the same frames. **Start reading** at [`Injector`].

mod added;
mod attack;
mod busoff;
mod checks;
mod diagnosis;
mod fields;
mod flood;
mod masquerade;
pub mod scheduled;
mod survey;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use outrider_bus::can::{CanId, TimedFrame};
use outrider_types::{BusId, Seed, VehicleMicros};

pub use attack::{Attack, Masquerade};
pub use survey::IdSurvey;

/// Share of a capture that stays clean before an attack that names no start, in percent.
const START_PERCENT: u64 = 40;
/// Longest attack when none is asked for, in microseconds.
const LENGTH_US: u64 = 5_000_000;
/// Most frames an attack may add: a full 1 Mbit/s bus for ten minutes.
const FRAMES_MAX: u64 = 5_000_000;

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
    /// Frames a second to add, or keys or questions a second; by default what suits the attack.
    pub rate_hz: Option<u32>,
    /// Whether a masquerade leaves checksums as they were, even those that it could make valid.
    pub breaks_checks: bool,
}

impl AttackPlan {
    /// Creates a plan that leaves everything but the kind of attack to the seed.
    #[must_use]
    pub const fn new(attack: Attack, seed: u64) -> Self {
        Self { attack, seed, start_us: None, length_us: None, id: None, rate_hz: None, breaks_checks: false }
    }
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
    /// Identifiers attacked or used; none where they are random.
    pub ids: Vec<CanId>,
    /// First moment of the attack, in the capture's time.
    pub start: VehicleMicros,
    /// Last moment of the attack.
    pub end: VehicleMicros,
    /// When the first frame was added, changed or taken away.
    pub first: VehicleMicros,
    /// Frames added.
    pub injected: u64,
    /// Frames whose payload was changed.
    pub altered: u64,
    /// Frames taken away, those that a full bus never let through among them.
    pub removed: u64,
    /// Frames a second that were added.
    pub rate_hz: u32,
}

/// What happened to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Truth {
    /// Nothing: it is as its sender sent it.
    Clean,
    /// The attacker added it.
    Added,
    /// The attacker changed its payload.
    Altered,
    /// An honest ECU sent it because of the attack: an answer to the attacker, an error. Neither right nor wrong.
    Answer,
}

impl Truth {
    /// Returns whether the frame is the attacker's.
    #[must_use]
    pub const fn is_attack(self) -> bool {
        matches!(self, Self::Added | Self::Altered)
    }
}

/// The part of a capture that an attack touched, in the order of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Index of the first frame of the capture that this replaces.
    pub from: usize,
    /// Index behind the last one.
    pub to: usize,
    /// What stands in their place.
    pub frames: Vec<TimedFrame>,
    /// What happened to each of [`Self::frames`].
    pub truth: Vec<Truth>,
    /// What was done.
    pub labels: Labels,
}

impl Stretch {
    /// Returns the whole capture with this stretch in its place.
    #[must_use]
    pub fn applied(&self, clean: &[TimedFrame]) -> Vec<TimedFrame> {
        let before = clean.get(..self.from).unwrap_or(clean);
        let after = clean.get(self.to..).unwrap_or(&[]);
        before.iter().chain(&self.frames).chain(after).copied().collect()
    }
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

/// Puts an attack into a capture. The bus is the one with the most frames.
///
/// # Errors
/// As [`Injector::attack`].
pub fn inject(frames: &[TimedFrame], plan: &AttackPlan) -> Result<(Vec<TimedFrame>, Labels), InjectError> {
    let stretch = Injector::new(frames).ok_or(InjectError::NoFrames)?.attack(plan)?;
    Ok((stretch.applied(frames), stretch.labels))
}

/// A capture, looked at once and attacked as often as wanted.
#[derive(Debug)]
pub struct Injector<'a> {
    frames: &'a [TimedFrame],
    survey: survey::Survey,
    /// Taken apart when the first attack needs it.
    anatomy: std::cell::OnceCell<BTreeMap<CanId, masquerade::Anatomy>>,
}

impl<'a> Injector<'a> {
    /// Surveys a capture; `None` without a frame. Every attack is on the bus with the most frames.
    #[must_use]
    pub fn new(frames: &'a [TimedFrame]) -> Option<Self> {
        Some(Self { frames, survey: survey::Survey::of(frames)?, anatomy: std::cell::OnceCell::new() })
    }

    /// Returns the time from which starts of attacks are counted.
    #[must_use]
    pub const fn first(&self) -> VehicleMicros {
        VehicleMicros(self.survey.first)
    }

    /// Puts one attack into the capture, which stays as it is.
    ///
    /// # Errors
    /// [`InjectError`]: nothing to attack, or a plan that does not fit the capture.
    pub fn attack(&self, plan: &AttackPlan) -> Result<Stretch, InjectError> {
        let window = self.window(plan)?;
        let seed = Seed::new(plan.seed);
        let from =
            self.frames.iter().position(|timed| timed.at.0 >= window.start).ok_or(InjectError::Length)?;
        let rest = self.frames.get(from..).unwrap_or(&[]);
        let within = rest.iter().position(|timed| timed.at.0 > window.end).unwrap_or(rest.len());
        let context = Context {
            frames: self.frames,
            within: rest.get(..within).unwrap_or(rest),
            from,
            survey: &self.survey,
            anatomy: self.anatomy.get_or_init(|| masquerade::anatomies(self.frames, self.survey.bus)),
            window,
            plan,
            seed,
        };
        match plan.attack {
            Attack::Fabricate => context.fabricate(),
            Attack::Suspend => context.suspend(),
            Attack::Replay => context.replay(),
            Attack::Fuzz => context.fuzz(),
            Attack::Flood => context.flood(),
            Attack::Masquerade(how) => context.masquerade(how),
            Attack::Modify => context.modify(),
            Attack::BusOff => context.bus_off(),
            Attack::UdsBruteForce => context.brute_force(),
            Attack::UdsScan => context.scan(),
        }
    }

    fn window(&self, plan: &AttackPlan) -> Result<Window, InjectError> {
        let span = self.survey.last.saturating_sub(self.survey.first);
        let offset = plan.start_us.unwrap_or(span * START_PERCENT / 100);
        if offset >= span {
            return Err(InjectError::Start { start_us: offset, capture_us: span });
        }
        let start = self.survey.first.saturating_add(offset);
        let rest = self.survey.last.saturating_sub(start);
        let length = plan.length_us.unwrap_or(LENGTH_US.min(rest)).min(rest);
        if length == 0 {
            return Err(InjectError::Length);
        }
        Ok(Window { start, end: start.saturating_add(length) })
    }
}

struct Context<'a> {
    frames: &'a [TimedFrame],
    /// The frames of the window, and the index of the first of them.
    within: &'a [TimedFrame],
    from: usize,
    survey: &'a survey::Survey,
    anatomy: &'a BTreeMap<CanId, masquerade::Anatomy>,
    window: Window,
    plan: &'a AttackPlan,
    seed: Seed,
}

/// Frames with what happened to each.
type Told = Vec<(TimedFrame, Truth)>;

impl Context<'_> {
    /// Finishes a stretch: sorts by time, counts, and tells when it began.
    fn stretch(
        &self,
        told: Told,
        ids: Vec<CanId>,
        gone: &[TimedFrame],
        rate_hz: u32,
    ) -> Result<Stretch, InjectError> {
        self.stretch_to(self.from + self.within.len(), told, ids, gone, rate_hz)
    }

    fn stretch_to(
        &self,
        to: usize,
        mut told: Told,
        ids: Vec<CanId>,
        gone: &[TimedFrame],
        rate_hz: u32,
    ) -> Result<Stretch, InjectError> {
        told.sort_by_key(|(timed, _)| timed.at);
        let count = |wanted: Truth| told.iter().filter(|(_, truth)| *truth == wanted).count() as u64;
        let changed = told.iter().filter(|(_, truth)| truth.is_attack()).map(|(timed, _)| timed.at);
        let first = changed.chain(gone.iter().map(|timed| timed.at)).min().ok_or(InjectError::NoTarget)?;
        let labels = Labels {
            attack: self.plan.attack,
            seed: self.plan.seed,
            bus: self.survey.bus,
            ids,
            start: VehicleMicros(self.window.start),
            end: VehicleMicros(self.window.end),
            first,
            injected: count(Truth::Added) + count(Truth::Answer),
            altered: count(Truth::Altered),
            removed: gone.len() as u64,
            rate_hz,
        };
        let (frames, truth) = told.into_iter().unzip();
        Ok(Stretch { from: self.from, to, frames, truth, labels })
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
        pick(&choices, &mut self.seed.fork(1)).ok_or(InjectError::NoTarget)
    }

    fn is_of(&self, timed: &TimedFrame, id: CanId) -> bool {
        timed.bus == self.survey.bus && timed.frame.id() == Some(id)
    }

    /// The frames of the window as they were.
    fn clean(&self) -> Told {
        self.within.iter().map(|timed| (*timed, Truth::Clean)).collect()
    }
}

/// Draws one of a list; `None` from an empty one.
pub(crate) fn pick<T: Copy>(choices: &[T], seed: &mut Seed) -> Option<T> {
    let index = usize::try_from(seed.below(choices.len() as u64)).unwrap_or(0);
    choices.get(index).copied()
}
