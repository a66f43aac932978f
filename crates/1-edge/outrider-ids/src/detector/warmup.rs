//! From which moment a bus is judged, and by what: the model, or what it showed itself.

use outrider_types::VehicleMicros;

use super::limits;

/// By what a bus is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    /// There is a model, and it is not yet clear whether it is one of this bus.
    Matching,
    /// The model.
    Model,
    /// Its own first seconds, which are not over.
    WarmUp,
    /// What it showed in its own first seconds.
    Learned,
}

/// Progress of one bus.
#[derive(Debug, Clone, Copy)]
pub(super) struct WarmUp {
    pub(super) basis: Basis,
    /// First frame of the time that counts.
    since: Option<VehicleMicros>,
    /// When the latest new identifier came.
    newest: VehicleMicros,
    frames: u64,
    /// Different identifiers that the model has and does not have.
    known: u32,
    strange: u32,
}

/// What changed with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing.
    Same,
    /// The model is one of this bus.
    Matched,
    /// The model is of another bus; numbers of identifiers it has and does not have.
    Foreign(u32, u32),
    /// The list of identifiers is complete.
    Complete,
}

impl WarmUp {
    pub(super) const fn new(has_model: bool) -> Self {
        let basis = if has_model { Basis::Matching } else { Basis::WarmUp };
        Self { basis, since: None, newest: VehicleMicros(0), frames: 0, known: 0, strange: 0 }
    }

    /// Begins the warm-up again, as after a model of another vehicle.
    pub(super) const fn begin(&mut self) {
        *self = Self::new(false);
    }

    /// Returns how long the bus has been seen, in microseconds.
    pub(super) fn age_us(&self, at: VehicleMicros) -> u64 {
        self.since.map_or(0, |since| at.micros_since(since))
    }

    /// Returns whether what is seen may still widen limits of timing.
    pub(super) fn widens(&self, at: VehicleMicros) -> bool {
        match self.basis {
            Basis::Matching | Basis::Model => false,
            Basis::WarmUp => true,
            Basis::Learned => self.age_us(at) < limits::WARM_UP_US,
        }
    }

    /// Returns whether identifiers are learned from this bus.
    pub(super) const fn learns(&self) -> bool {
        match self.basis {
            Basis::Matching | Basis::Model => false,
            Basis::WarmUp | Basis::Learned => true,
        }
    }

    /// Notes the first frame of an identifier that the model has, or has not.
    pub(super) const fn first_of(&mut self, at: VehicleMicros, known: bool) {
        self.newest = at;
        if known {
            self.known = self.known.saturating_add(1);
        } else {
            self.strange = self.strange.saturating_add(1);
        }
    }

    /// Notes a frame and decides what can be decided.
    #[inline]
    pub(super) fn frame(&mut self, at: VehicleMicros) -> Turn {
        self.since.get_or_insert(at);
        match self.basis {
            Basis::Model | Basis::Learned => Turn::Same,
            Basis::Matching => self.match_model(),
            Basis::WarmUp => self.complete(at),
        }
    }

    fn match_model(&mut self) -> Turn {
        self.frames = self.frames.saturating_add(1);
        let clear = self.known >= self.strange.saturating_mul(2);
        if self.frames >= limits::MATCH_FRAMES_MIN && clear
            || self.frames >= limits::MATCH_FRAMES
                && self.known.saturating_mul(2) >= self.strange.saturating_mul(3)
        {
            self.basis = Basis::Model;
            return Turn::Matched;
        }
        if self.frames >= limits::MATCH_FRAMES {
            return Turn::Foreign(self.known, self.strange);
        }
        Turn::Same
    }

    fn complete(&mut self, at: VehicleMicros) -> Turn {
        let age = self.age_us(at);
        let calm = at.micros_since(self.newest);
        let done = age >= limits::WARM_UP_MIN_US
            && calm >= age.checked_div(limits::WARM_UP_CALM_DIVISOR).unwrap_or(0);
        if done || age >= limits::WARM_UP_US {
            self.basis = Basis::Learned;
            return Turn::Complete;
        }
        Turn::Same
    }
}
