//! What a step of a number is beside those before it.
//!
//! A large step alone says little: whatever begins to move does so by one. What a jump is, the frame behind it shows: a
//! motion goes on, a value that somebody else says stays. So a step larger than usual waits for the next frame.

use core::hint::select_unpredictable;

use super::{Field, RUN_MIN};
use crate::calibrate::{Excess, Habit};

/// What goes on with this part of a large step has begun to move; a jump is alone.
const START_PART: u32 = 4;
/// Widest number that may be the lower part of one, in bits, whose upper part did not move yet.
const PART_WIDTH: u8 = 8;
/// Widest number that is one for sure, in bits: of a wider one, a step by a power of two, but for less than this part of
/// it, is one of another number above it.
const JOINED_WIDTH: u8 = 16;
const JOINED_PART: u32 = 64;

/// What a field did in one frame that it did not do before, and by how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) habit: Habit,
    /// Step or run.
    pub(crate) size: u32,
    /// Largest step or longest run so far.
    pub(crate) usual: u32,
    /// Values between which it stepped.
    pub(crate) from: u32,
    pub(crate) to: u32,
    pub(crate) when: When,
}

/// When a number did something, and whether that is all there is to know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// In this frame.
    Now,
    /// In this frame; the next one says whether it was a jump or a start.
    Waits,
    /// In the frame before this one. A start has no size.
    Before,
}

impl Move {
    /// Nothing that it did not do before.
    const CALM: Self = Self { habit: Habit::Calm, size: 0, usual: 0, from: 0, to: 0, when: When::Now };

    /// Returns how it compares; at most [`Excess::EVEN`] if it is no larger than usual.
    #[inline]
    pub(crate) fn excess(&self) -> Excess {
        Excess::of(self.size, self.usual)
    }
}

/// One step, as it is compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) step: i32,
    pub(super) size: u32,
    /// Value that it led to.
    pub(super) value: u32,
    /// Length of the run before it.
    pub(super) run_before: u16,
    /// It led to what stands for no value.
    pub(super) gone: bool,
    /// Bits that moved with it and belong to nothing.
    pub(super) rest: u64,
}

impl Field {
    /// Returns the habit that a step touches, and how it compares.
    #[inline]
    pub(super) fn compare(&mut self, stepped: &Step) -> Move {
        let Step { step, size, value, run_before, gone, rest } = *stepped;
        let waited = core::mem::take(&mut self.jump);
        let (habit, usual) = self.usual_step();
        // What moves from rest does so ever faster: only what a step has more than the one before it is new.
        let goes_on = (step > 0) == (self.step_last > 0);
        let more = size.saturating_sub(self.step_last.unsigned_abs());
        let sudden = select_unpredictable(goes_on, more, size);
        // A run is hardly ever the longest: the rest is asked only then.
        let longest = self.run_max.max(RUN_MIN);
        if self.run > longest && self.is_noisy() {
            // Told once for every step of the comparison that a run reaches.
            let compared = |run: u16| Excess::of(run.into(), longest.into());
            let now = compared(self.run);
            let rests = size == 0 && !self.rough && self.is_end(value);
            let within = self.rough || Excess::of(sudden, usual) <= Excess::EVEN;
            if within && now > Excess::EVEN && now > compared(run_before) && !rests {
                return Move { size: self.run.into(), usual: longest.into(), ..Move::CALM };
            }
        }
        if self.rough {
            return Move::CALM;
        }
        let from = value.wrapping_sub(step.cast_unsigned());
        let moved = Move { habit, size: sudden, usual, from, to: value, when: When::Now };
        if size <= usual && size <= self.step_max && waited == 0 {
            return moved;
        }
        if habit != Habit::Skip && self.is_part(size, rest) {
            return Move { size: sudden.min(usual), ..moved };
        }
        let swing = self.step_last.unsigned_abs().min(size);
        let back =
            step != 0 && (step > 0) != (self.step_last > 0) && swing > self.step_max && swing >= size / 2;
        let jumps = sudden > usual && !back && !gone && !self.is_reset(step);
        if jumps {
            self.jump = sudden;
        }
        if waited > 0 {
            // What goes on as fast as it began is a start of motion; a jump is alone.
            let moves_on = goes_on && size > 0 && size >= waited / START_PART;
            let alone = if moves_on { 0 } else { waited };
            let before = from.wrapping_sub(self.step_last.cast_unsigned());
            return Move { size: alone, from: before, to: from, when: When::Before, ..moved };
        }
        if jumps {
            return Move { when: When::Waits, ..moved };
        }
        let habit = if back { Habit::Swing } else { habit };
        let size = if self.is_reset(step) { sudden.min(usual) } else { sudden };
        Move { habit, size, ..moved }
    }

    /// Returns whether a large step tells that the field is not the whole number: `rest` are bits beside it that belong to
    /// nothing and moved with it; or it is two numbers, of which the upper one moved by itself.
    fn is_part(&mut self, size: u32, rest: u64) -> bool {
        let bits = self.bits();
        let near = bits | bits << 8 | bits >> 8;
        if self.width <= PART_WIDTH && rest & near != 0 {
            return true;
        }
        let unit = size.checked_ilog2().and_then(|place| 1u32.checked_shl(place)).unwrap_or(0);
        let beyond = size.checked_rem(unit).unwrap_or(0);
        let off = beyond.min(unit.saturating_sub(beyond));
        let joined = self.width > JOINED_WIDTH && unit >= 1 << 8 && off <= unit / JOINED_PART;
        if joined {
            self.step_max = self.range();
        }
        joined
    }
}
