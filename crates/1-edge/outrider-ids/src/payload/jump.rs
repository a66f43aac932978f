//! Jumps of numbers: one that is enough for an alarm, and two that are together.

use super::field::{Move, When};
use crate::calibrate::{Calibration, Excess, Habit, Surprise};

/// Stretches after a jump during which its field is suspect, if it does not jump back: twenty seconds (published attacks
/// last up to half a minute).
const SUSPECT_STRETCHES: u8 = 10;
/// Stretches within which a jump there and one back belong together: fourteen seconds.
const JUMP_STRETCHES: u8 = 6;
/// Frames within which a large step follows another in a storm: no ECU replaces a value for so short a time …
const STORM_FRAMES: u8 = 4;
/// … and frames without one after which it is over.
pub(super) const STORM_OVER_FRAMES: u8 = 8;
/// Place of no field.
pub(super) const NOBODY: u8 = u8::MAX;

/// A field that an attacker may speak through, since it jumped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Suspect {
    field: u8,
    /// The latest large step, as it was, and the frames since, held at 255.
    rises: bool,
    size: u32,
    frames: u8,
    /// Large steps follow each other: values without any order.
    storms: bool,
    /// Stretch of the first.
    since: u8,
}

impl Suspect {
    /// Creates the suspicion of a field that jumped in a stretch; `None` if `step`, the one behind the jump, went back.
    pub(super) fn of(moved: &Move, (field, since): (u8, u8), step: i32) -> Option<Self> {
        let (rises, size) = (moved.to > moved.from, moved.to.abs_diff(moved.from));
        let mut suspect = Self { field, rises, size, frames: 0, storms: false, since };
        let is_over = moved.when == When::Before && suspect.is_over(step);
        (!is_over).then_some(suspect)
    }

    /// Place of the field.
    pub(super) fn field(&self) -> usize {
        self.field.into()
    }

    /// Takes the next step of the field and returns whether it says again what its own sender does: it went back after a
    /// while, or the storm is over.
    pub(super) fn is_over(&mut self, step: i32) -> bool {
        self.frames = self.frames.saturating_add(1);
        if step.unsigned_abs() < self.size / 2 {
            return self.storms && self.frames >= STORM_OVER_FRAMES;
        }
        let rises = step > 0;
        let soon = self.frames <= STORM_FRAMES;
        let back = rises != self.rises && !soon && !self.storms;
        (self.rises, self.frames, self.storms) = (rises, 0, self.storms || soon);
        back
    }

    /// Returns whether it was so long ago that nobody is suspected any more.
    pub(super) const fn is_old(&self, stretch: u8) -> bool {
        stretch.wrapping_sub(self.since) >= SUSPECT_STRETCHES
    }
}

/// The latest jump of a number that was no alarm: once may be its way, there and back is an attack's beginning and end.
/// Until that is known nobody learns from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Jump {
    /// Place of the field, [`NOBODY`] for none.
    field: u8,
    /// In which stretch, and where to.
    stretch: u8,
    rises: bool,
    habit: Habit,
    excess: Excess,
    surprise: Surprise,
}

impl Jump {
    pub(super) const NONE: Self = Self {
        field: NOBODY,
        stretch: 0,
        rises: false,
        habit: Habit::Skip,
        excess: Excess::NONE,
        surprise: Surprise::NONE,
    };

    /// Place of the field, of none if there was no jump.
    pub(super) const fn field(&self) -> u8 {
        self.field
    }

    /// Weighs what a field did in a stretch, with its jump before if it is one: returns how surprising that is, and
    /// whether it is an attack's.
    pub(super) fn weigh(
        &mut self,
        moved: &Move,
        (field, stretch): (u8, u8),
        learns: bool,
        calibration: &mut Calibration,
    ) -> (Surprise, bool) {
        let (habit, excess) = (moved.habit, moved.excess());
        if moved.when == When::Now || excess <= Excess::EVEN {
            return calibration.weigh(habit, excess, learns);
        }
        if !habit.is_mature() {
            // It is noted once it is known to be no start.
            return calibration.weigh(habit, excess, learns && moved.when == When::Before);
        }
        let surprise = calibration.surprise(habit, excess).unwrap_or_default();
        let jump = Self { field, stretch, rises: moved.to > moved.from, habit, excess, surprise };
        let surprise = jump.after(self);
        let refused = surprise >= calibration.alarm(habit);
        if moved.when == When::Waits {
            return (if refused { surprise } else { Surprise::NONE }, refused);
        }
        if refused {
            *self = Self::NONE;
        } else {
            self.settle(calibration, learns);
            *self = jump;
        }
        (surprise, refused)
    }

    /// Lets time pass: what stands alone for long is the number's way.
    pub(super) fn pass(&mut self, stretch: u8, calibration: &mut Calibration) {
        if stretch.wrapping_sub(self.stretch) > JUMP_STRETCHES {
            self.settle(calibration, true);
            *self = Self::NONE;
        }
    }

    /// Takes it as one of its own number.
    fn settle(&self, calibration: &mut Calibration, learns: bool) {
        if learns && self.field != NOBODY {
            calibration.note(self.habit, self.excess);
        }
    }

    /// Returns how surprising it is with the one before, if the same field jumped the other way a moment ago; one that
    /// leaves no value out has no way.
    fn after(&self, before: &Self) -> Surprise {
        let back = self.rises != before.rises || self.habit == Habit::Skip;
        let alike = self.field == before.field && self.habit == before.habit;
        if alike && back { self.surprise.and(before.surprise) } else { self.surprise }
    }
}
