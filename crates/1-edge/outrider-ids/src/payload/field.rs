//! One number inside a payload: how it moves, and when it moves in a way that it never did.

mod compare;
mod grow;

use core::hint::select_unpredictable;

use compare::Step;
pub(crate) use compare::{Move, When};

use crate::calibrate::Habit;
use crate::signals::NO_SIGNAL;

/// Frames of a field before it is judged.
const FRAMES_MIN: u16 = 40;
/// Moves of a field before its steps are judged: fewer, and the next may be of any size.
const MOVES_MIN: u16 = 24;
/// Moves of a field after which most of what it does is not for the first time.
const MATURE_MOVES: u16 = 100;
/// Fewest different values of a field that is compared with others.
const SPAN_MIN: u32 = 8;
/// Frames and moves of a coarse field.
const COARSE_FRAMES_MIN: u16 = 100;
const COARSE_MOVES_MIN: u16 = 8;
/// A field is dynamic once it spanned this many of its largest steps; before, it only showed its noise.
const DYNAMIC_STEPS: u32 = 4;
/// … and this part of what its bits can say.
const DYNAMIC_PART: u32 = 4;
/// Steps of a dynamic field are held against its largest so far, and at least against this part of its span: smaller
/// ones do nothing to a vehicle.
const SPAN_PART: u32 = 32;
/// Narrowest field that has a value for none, in bits.
const NONE_BITS_MIN: u32 = 8;
/// Frames after which a field without order is looked at again: it has one if it travels less than this part of its
/// span a frame.
const SMOOTH_FRAMES: u16 = 100;
const SMOOTH_PART: u32 = 16;
/// Frames for each move of a field that goes through its values one by one.
const CRISP_FRAMES: u32 = 4;
/// Steps this many times larger than every step so far wait for the next one, which may go back.
const REVERSAL_FACTOR: u32 = 3;
/// Widest field, in bits.
pub(crate) const WIDTH_MAX: u8 = 24;
/// Steps of a field that is not dynamic are held at least against this part of what its bits can say.
const RANGE_PART: u32 = 64;
/// Runs are held at least against this length: a coin shows a side eight times in a row now and then.
const RUN_MIN: u16 = 8;
/// Longest run of a field whose noise is told from calm.
const RUN_NOISY: u16 = 10;
/// Steps over the end of its range that count as a wrap: up to this many of its largest, and this part of the range.
const WRAP_STEPS: u32 = 8;
/// Only numbers that move by less than this part of their range a frame are seen to grow beyond it.
const GROW_PART: u32 = 8;
/// … once it was seen in a few.
const GROW_FRAMES: u16 = 8;
/// Frames after which the absence of noise is judged.
const RUN_FRAMES_MIN: u16 = 150;

/// Marks in [`Field::ways`]: the number rose, or fell.
pub(super) const RISES: u8 = 1;
pub(super) const FALLS: u8 = 2;

/// Consecutive bits of a payload, most significant first, and how they moved; 52 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field {
    /// Lowest bit in the payload word, and number of bits, at most 24.
    pub(crate) shift: u8,
    pub(crate) width: u8,
    /// Bits above it up to the top of its byte that never moved and may be more of the number.
    pub(super) reach: u8,
    /// Whether the payload word has its first byte lowest.
    pub(crate) little: bool,
    /// It moves without order, as noise and unknown checksums do: only that it moves is judged.
    pub(crate) rough: bool,
    /// Its name among the numbers that are compared with each other.
    pub(crate) signal: u8,
    pub(crate) low: u32,
    pub(crate) high: u32,
    /// Largest step so far.
    pub(crate) step_max: u32,
    pub(crate) last: u32,
    /// Lowest step of the run that goes on, whose steps differ by one at most; and whether they do.
    run_low: i32,
    run_wide: bool,
    run: u16,
    pub(crate) run_max: u16,
    pub(crate) moves: u16,
    pub(crate) frames: u16,
    /// Sum of all steps, for the mean; saturates.
    pub(crate) travel: u32,
    /// Largest step beyond the usual since the field was last forgiven.
    held: u32,
    pub(crate) step_last: i32,
    /// What is sudden of a step larger than usual, until the next frame tells a jump from a start; 0 for none.
    jump: u32,
    /// Ways that it ever went: [`RISES`], [`FALLS`].
    pub(super) ways: u8,
}

impl Field {
    pub(crate) const EMPTY: Self = Self::new(0, 0, false);

    /// Creates a field that has not been seen yet.
    pub(crate) const fn new(shift: u8, width: u8, little: bool) -> Self {
        Self {
            shift,
            width,
            reach: 0,
            little,
            rough: false,
            signal: NO_SIGNAL,
            low: u32::MAX,
            high: 0,
            step_max: 0,
            last: 0,
            run_low: 0,
            run_wide: false,
            run: 0,
            run_max: 0,
            moves: 0,
            frames: 0,
            travel: 0,
            held: 0,
            step_last: 0,
            jump: 0,
            ways: 0,
        }
    }

    /// Returns the bits of the field in the payload word whose first byte is highest.
    pub(crate) fn bits(&self) -> u64 {
        let bits = self.mask().checked_shl(self.shift.into()).unwrap_or(0);
        if self.little { bits.swap_bytes() } else { bits }
    }

    /// Returns its first bit as DBC files count: the lowest of a little-endian number, else the highest.
    pub(crate) fn start_bit(&self) -> u8 {
        if self.little {
            return self.shift;
        }
        let top = self.shift.saturating_add(self.width).saturating_sub(1);
        let wire = 63u8.saturating_sub(top);
        (wire & !7).wrapping_add(7u8.saturating_sub(wire & 7))
    }

    fn mask(&self) -> u64 {
        1u64.checked_shl(self.width.into()).unwrap_or(0).wrapping_sub(1)
    }

    /// Largest value that its bits can say; they are at most [`WIDTH_MAX`].
    #[inline]
    fn range(&self) -> u32 {
        1u32.wrapping_shl(self.width.into()).wrapping_sub(1)
    }

    /// The same with the bits in its reach.
    #[inline]
    fn range_in_reach(&self) -> u32 {
        1u32.wrapping_shl(self.width.wrapping_add(self.reach).into()).wrapping_sub(1)
    }

    /// Reads the field and the bits in its reach.
    #[inline]
    pub(crate) fn value(&self, payload: u64) -> u32 {
        let payload = select_unpredictable(self.little, payload.swap_bytes(), payload);
        let mask = u64::from(self.range_in_reach());
        u32::try_from(payload.wrapping_shr(self.shift.into()) & mask).unwrap_or(u32::MAX)
    }

    /// Change from one value to the next. A single bit that flips above a number that goes on as ever is a switch of
    /// its own.
    fn step(&self, value: u32) -> i32 {
        let mask = self.range();
        let signed = |from: u32, to: u32| to.wrapping_sub(from).cast_signed();
        let above = (value ^ self.last) & !mask;
        let low = signed(self.last & mask, value & mask);
        let smooth = low.unsigned_abs() <= self.step_max.saturating_mul(2).max(1);
        if above == 0 || above.count_ones() == 1 && smooth { low } else { signed(self.last, value) }
    }

    /// Returns whether a value says that there is none: all bits are set, as SAE J1939-71 has it and most ECUs do until
    /// their sensors answer.
    pub(crate) fn is_none(&self, value: u32) -> bool {
        value == self.range_in_reach() && value >> (NONE_BITS_MIN - 1) != 0
    }

    /// Width of what was seen, at least 1.
    pub(crate) fn span(&self) -> u32 {
        self.high.saturating_sub(self.low).max(1)
    }

    /// Returns whether the field went through its range, rather than only having shown its noise, and perhaps a
    /// little drift.
    pub(crate) fn is_dynamic(&self) -> bool {
        let range = self.range();
        self.span()
            >= self.step_max.saturating_mul(DYNAMIC_STEPS).max(DYNAMIC_STEPS).max(range / DYNAMIC_PART)
    }

    /// Returns whether the field goes through its values one by one, at leisure: all steps are alike, few frames
    /// have one, and it came far enough that it is not noise around one value.
    fn is_crisp(&self) -> bool {
        let moves = u32::from(self.moves);
        self.span() >= self.step_max.saturating_mul(DYNAMIC_STEPS)
            && moves.saturating_mul(CRISP_FRAMES) <= self.frames.into()
            && self.travel.saturating_mul(5) >= self.step_max.saturating_mul(moves).saturating_mul(4)
    }

    /// What a step is held against.
    fn usual_step(&self) -> (Habit, u32) {
        let (is_crisp, is_dynamic) = (self.is_crisp(), self.is_dynamic());
        let (span, range) = (self.span() / SPAN_PART, self.range() / RANGE_PART);
        let part = select_unpredictable(is_crisp | is_dynamic, span, range);
        let is_early = self.moves < MATURE_MOVES;
        let step = if is_early { Habit::EarlyStep } else { Habit::Step };
        let leap = if is_early { Habit::EarlyLeap } else { Habit::Leap };
        let moving = if is_dynamic { step } else { leap };
        (if is_crisp { Habit::Skip } else { moving }, self.step_max.max(part).max(1))
    }

    /// Returns whether it moves nearly always, so that standing still tells something.
    pub(crate) fn is_noisy(&self) -> bool {
        // A run that never ended is a count.
        (self.run_max > 0)
            & (self.run_max <= RUN_NOISY)
            & (self.frames >= RUN_FRAMES_MIN)
            & (u32::from(self.moves).saturating_mul(2) >= u32::from(self.frames))
    }

    /// Size of a step; one over the end of a number that wraps is as small as it was meant.
    fn size(&self, step: i32) -> u32 {
        let size = step.unsigned_abs();
        let range = self.range_in_reach();
        if size <= range / 2 {
            return size;
        }
        let wrapped = range.saturating_sub(size).saturating_add(1);
        let near = self.step_max.saturating_mul(WRAP_STEPS).min(range / WRAP_STEPS).max(2);
        if wrapped <= near { wrapped.min(size) } else { size }
    }

    /// Returns whether a step is the reset of a number that only ever grew, or only ever shrank.
    fn is_reset(&self, step: i32) -> bool {
        step < 0 && self.ways & FALLS == 0 || step > 0 && self.ways & RISES == 0
    }

    /// Returns whether a payload's step is so many times larger than usual.
    pub(super) fn is_far(&self, payload: u64, factor: u32) -> bool {
        let step = self.step(self.value(payload));
        let far = self.size(step) > self.usual_step().1.saturating_mul(factor);
        let speaks = !self.is_none(self.value(payload)) && !self.is_none(self.last);
        far && speaks && self.is_ripe() && !self.rough && !self.is_reset(step)
    }

    /// Returns whether enough was seen to judge the field.
    pub(crate) fn is_ripe(&self) -> bool {
        let often = self.frames >= FRAMES_MIN && self.moves >= MOVES_MIN;
        often || self.is_coarse()
    }

    /// Returns whether it moves seldom, but then by one step through all its values.
    fn is_coarse(&self) -> bool {
        self.frames >= COARSE_FRAMES_MIN
            && self.moves >= COARSE_MOVES_MIN
            && self.span() >= self.step_max.saturating_mul(DYNAMIC_STEPS)
    }

    /// Takes the value of the next frame; `rest` are bits that moved with it and belong to nothing. `refuses` is asked
    /// about everything that the field did not do before and says whether it is an attack's; only what it is not becomes
    /// usual, and only if the field `learns`.
    #[inline]
    pub(crate) fn add(
        &mut self,
        payload: u64,
        rest: u64,
        learns: bool,
        mut refuses: impl FnMut(Move) -> bool,
    ) {
        let value = self.value(payload);
        if self.frames == 0 {
            self.last = value;
            self.frames = 1;
            (self.low, self.high) = (value, value);
            return;
        }
        if self.run == 0 && self.is_none(self.last) {
            // Nothing follows from no value.
            self.last = value;
            self.step_last = 0;
            return;
        }
        let step = self.step(value);
        let size = self.size(step);
        self.last = value;
        // A number may also go there by steps of its own.
        let gone = size > self.step_max && self.is_none(value);
        let learns = learns && !gone;
        let run_before = self.run;
        self.run(step, learns);
        let stepped = Step { step, size, value, run_before, gone, rest };
        let moved = if self.is_ripe() { Some(self.compare(&stepped)) } else { None };
        let refused = moved.filter(|moved| refuses(*moved));
        if learns && refused.is_none() {
            // A large step that nobody went back on was one of the signal.
            self.widen(self.step_last.unsigned_abs());
        }
        if let Some(moved) = refused.filter(|moved| moved.habit != Habit::Calm) {
            let past = moved.when == When::Before;
            self.held = self.held.max(if past { self.step_last.unsigned_abs() } else { size });
            self.step_last = if moved.when == When::Now { 0 } else { step };
        } else {
            // What follows a reset is no part of it, and a reset no step.
            self.step_last = if size > self.step_max && self.is_reset(step) { 0 } else { step };
        }
        let settled = self.jump == 0 && (size <= self.step_max || size < self.swing());
        if learns && refused.is_none() && settled {
            self.learn(value, step, size);
        }
        if gone {
            (self.run, self.step_last, self.jump) = (0, 0, 0);
        }
    }

    fn learn(&mut self, value: u32, step: i32, size: u32) {
        self.widen(size);
        self.low = self.low.min(value);
        self.high = self.high.max(value);
        self.travel = self.travel.saturating_add(step.unsigned_abs());
        self.ways |= select_unpredictable(step > 0, RISES, 0) | select_unpredictable(step < 0, FALLS, 0);
        if self.rough && self.frames == SMOOTH_FRAMES {
            // Of the payloads it was split by, only those that differed were kept.
            let whole = self.span().saturating_mul(self.frames.into());
            self.rough = self.travel.saturating_mul(SMOOTH_PART) > whole;
        }
        if self.frames < u16::MAX {
            self.frames = self.frames.saturating_add(1);
            self.moves = self.moves.saturating_add(u16::from(size > 0));
        } else {
            // Halved, so that the share of moves follows what the signal does lately.
            self.frames /= 2;
            self.moves /= 2;
            self.travel /= 2;
        }
    }

    /// Returns its width with everything it may grow into if it is worth comparing with others.
    pub(crate) fn comparable_bits(&self) -> Option<u8> {
        let moves = self.moves >= MOVES_MIN && self.span() >= SPAN_MIN;
        (self.is_ripe() && moves && !self.rough).then(|| self.width.saturating_add(self.reach))
    }

    /// Takes a value that says nothing about how the field moves.
    pub(crate) fn pass(&mut self, payload: u64) {
        if self.frames > 0 {
            self.last = self.value(payload);
            (self.run, self.step_last, self.jump) = (0, 0, 0);
        }
    }

    /// Takes a step as one of the field's own. One that is larger than all before waits for [`Self::accept`]: an attack
    /// that begins with a small step must not excuse the larger ones that follow at once.
    fn widen(&mut self, size: u32) {
        if size <= self.step_max {
            return;
        }
        let slot = if self.is_ripe() { &mut self.held } else { &mut self.step_max };
        *slot = size.max(*slot);
    }

    /// Takes what was held against the field as usual after all.
    pub(crate) fn forgive(&mut self) {
        self.jump = 0;
        self.accept();
        self.run_max = self.run_max.max(self.run);
        self.low = self.low.min(self.last);
        self.high = self.high.max(self.last);
    }

    /// Takes the largest step as usual that waited for it.
    pub(crate) fn accept(&mut self) {
        // A jump is still held against what was usual before it.
        if self.jump == 0 {
            self.step_max = self.step_max.max(self.held);
            self.held = 0;
        }
    }

    /// Step that is part of a swing rather than of the signal, if the next one goes back.
    fn swing(&self) -> u32 {
        if self.is_ripe() {
            self.step_max.saturating_add(1).saturating_mul(REVERSAL_FACTOR)
        } else {
            u32::MAX
        }
    }

    /// Returns whether it makes steps as a part of something does; a quick look before [`Self::is_broken`].
    #[inline]
    pub(crate) fn may_be_broken(&self) -> bool {
        !self.rough & (self.width > 4) & (self.step_max > self.range() / 2)
    }

    /// Returns whether the field turned out to be part of something: it wraps, or is noise.
    pub(crate) fn is_broken(&self) -> bool {
        self.may_be_broken() && self.is_ripe()
    }

    /// Returns whether a value is at an end of what was seen, where signals rest.
    fn is_end(&self, value: u32) -> bool {
        let near = self.span() / 32;
        value <= self.low.saturating_add(near) || value.saturating_add(near) >= self.high
    }

    /// Follows the run of steps that differ by one at most.
    fn run(&mut self, step: i32, learns: bool) {
        // The lower and the higher of two by differences: a plain comparison becomes a branch.
        let low = self.run_low.wrapping_add(step.wrapping_sub(self.run_low).min(0));
        let run_high = self.run_low.wrapping_add(self.run_wide.into());
        let above = step.wrapping_sub(run_high);
        let high = step.wrapping_sub(above.min(0));
        let goes_on = (self.run > 0) & (high.abs_diff(low) <= 1);
        let over = select_unpredictable(!goes_on & learns & (self.frames > 1), self.run, 0);
        self.run_max = self.run_max.max(over);
        self.run = select_unpredictable(goes_on, self.run.saturating_add(1), 1);
        self.run_low = select_unpredictable(goes_on, low, step);
        self.run_wide = goes_on & (high != low);
    }
}
