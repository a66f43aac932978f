//! One number inside a payload: how it moves, and when it moves in a way that it never did.

/// Frames of a field before it is judged.
const FRAMES_MIN: u16 = 40;
/// Moves of a field before its steps are judged: fewer, and the next may be of any size.
const MOVES_MIN: u16 = 24;
/// Frames and moves of a coarse field.
const COARSE_FRAMES_MIN: u16 = 100;
const COARSE_MOVES_MIN: u16 = 8;
/// A field is dynamic once it spanned this many of its largest steps; before, it only showed its noise.
const DYNAMIC_STEPS: u32 = 4;
/// … and this part of what its bits can say.
const DYNAMIC_PART: u32 = 4;
/// A step of a dynamic field this many times larger than every step so far is none of the same signal …
const STEP_FACTOR: u32 = 4;
/// … if it also crosses this part of what the signal spanned so far.
const SPAN_PART: u32 = 5;
/// Steps this many times larger than every step so far, back and forth, are none of a signal with inertia.
const REVERSAL_FACTOR: u32 = 3;
/// Widest field, in bits.
pub(crate) const WIDTH_MAX: u8 = 24;
/// A field that is not dynamic must move this many times further than ever …
const QUIET_FACTOR: u32 = 8;
/// … and by this part of what its bits can say.
const RANGE_PART: u32 = 8;
/// Runs this many times longer than the longest so far …
const RUN_FACTOR: u16 = 4;
/// … by this many frames are no noise of the same signal.
const RUN_MORE: u16 = 16;
/// Longest run of a field whose noise is told from calm.
const RUN_NOISY: u16 = 10;
/// Frames after which the absence of noise is judged.
const RUN_FRAMES_MIN: u16 = 150;

/// What a field did in one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// What it always does.
    Usual,
    /// A large step back on a large step; several make an attack.
    Large,
    /// A step that the signal cannot make.
    Jump,
    /// It has lost its noise.
    Calm,
}

/// Consecutive bits of a payload, most significant first, and how they moved; 44 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field {
    /// Lowest bit in the payload word, and number of bits, at most 24.
    pub(crate) shift: u8,
    pub(crate) width: u8,
    /// Whether the payload word has its first byte lowest.
    pub(crate) little: bool,
    pub(crate) low: u32,
    pub(crate) high: u32,
    /// Largest step so far.
    pub(crate) step_max: u32,
    pub(crate) last: u32,
    /// Lowest and highest step of the run that goes on: its steps differ by one at most.
    run_low: i32,
    run_high: i32,
    run: u16,
    pub(crate) run_max: u16,
    pub(crate) moves: u16,
    pub(crate) frames: u16,
    /// Sum of all steps, for the mean; saturates.
    pub(crate) travel: u32,
    /// Largest step that was held against the field since it was last forgiven.
    rejected: u32,
    step_last: i32,
    /// Steps up and down, held at 255.
    ups: u8,
    downs: u8,
}

impl Field {
    pub(crate) const EMPTY: Self = Self::new(0, 0, false);

    /// Creates a field that has not been seen yet.
    pub(crate) const fn new(shift: u8, width: u8, little: bool) -> Self {
        Self {
            shift,
            width,
            little,
            low: u32::MAX,
            high: 0,
            step_max: 0,
            last: 0,
            run_low: 0,
            run_high: 0,
            run: 0,
            run_max: 0,
            moves: 0,
            frames: 0,
            travel: 0,
            rejected: 0,
            step_last: 0,
            ups: 0,
            downs: 0,
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

    /// Reads the field.
    #[inline]
    pub(crate) fn value(&self, payload: u64) -> u32 {
        let payload = if self.little { payload.swap_bytes() } else { payload };
        u32::try_from(payload.checked_shr(self.shift.into()).unwrap_or(0) & self.mask()).unwrap_or(u32::MAX)
    }

    /// Width of what was seen, at least 1.
    pub(crate) fn span(&self) -> u32 {
        self.high.saturating_sub(self.low).max(1)
    }

    /// Smallest step that is no step of this signal.
    pub(crate) fn jump_limit(&self) -> u32 {
        let span = self.span();
        let range = u32::try_from(self.mask()).unwrap_or(u32::MAX);
        // A signal at rest shows its noise and perhaps a little drift, not what it can do.
        if span >= self.step_max.saturating_mul(DYNAMIC_STEPS).max(DYNAMIC_STEPS).max(range / DYNAMIC_PART) {
            return self.step_max.saturating_mul(STEP_FACTOR).max(span / SPAN_PART).max(STEP_FACTOR);
        }
        self.step_max.saturating_mul(QUIET_FACTOR).max(range / RANGE_PART).max(QUIET_FACTOR)
    }

    /// Longest run without noise that is still noise by chance.
    pub(crate) fn run_limit(&self) -> u16 {
        self.run_max.saturating_mul(RUN_FACTOR).saturating_add(RUN_MORE)
    }

    fn is_noisy(&self) -> bool {
        self.run_max <= RUN_NOISY
            && self.frames >= RUN_FRAMES_MIN
            && u32::from(self.moves).saturating_mul(2) >= u32::from(self.frames)
    }

    /// Size of a step; one over the end of a number that wraps is as small as it was meant.
    fn size(&self, step: i32) -> u32 {
        let size = step.unsigned_abs();
        let range = u32::try_from(self.mask()).unwrap_or(u32::MAX);
        let wrapped = range.saturating_sub(size).saturating_add(1);
        if wrapped <= self.step_max.saturating_mul(2).max(2) { wrapped.min(size) } else { size }
    }

    /// Returns whether a step is the reset of a number that only ever grew, or only ever shrank.
    fn is_reset(&self, step: i32) -> bool {
        step < 0 && self.downs == 0 || step > 0 && self.ups == 0
    }

    /// Returns whether enough was seen to judge the field.
    pub(crate) fn is_ripe(&self) -> bool {
        let often = self.frames >= FRAMES_MIN && self.moves >= MOVES_MIN;
        // A coarse number moves seldom, but then by one step through all its values.
        let coarse = self.frames >= COARSE_FRAMES_MIN
            && self.moves >= COARSE_MOVES_MIN
            && self.span() >= self.step_max.saturating_mul(DYNAMIC_STEPS);
        often || coarse
    }

    /// Takes the bits above in, one by one, while the number carries into them: it has grown beyond what it was when
    /// the payload was split. `mapped` are bits that belong to something else.
    #[inline]
    pub(crate) fn grow(&mut self, before: u64, now: u64, mapped: u64) {
        let wraps = |field: &Self| {
            let size = field.value(now).abs_diff(field.value(before));
            let range = u32::try_from(field.mask()).unwrap_or(u32::MAX);
            size > range / 2 && range.saturating_sub(size) < field.step_max.saturating_mul(2).max(2)
        };
        while self.width < WIDTH_MAX && wraps(self) {
            let place = u32::from(self.shift).saturating_add(self.width.into());
            let above = 1u64.checked_shl(place).unwrap_or(0);
            let bit = if self.little { above.swap_bytes() } else { above };
            if bit == 0 || (before ^ now) & bit == 0 || mapped & !self.bits() & bit != 0 {
                return;
            }
            let offset = if before & bit == 0 { 0 } else { 1u32.checked_shl(self.width.into()).unwrap_or(0) };
            for value in [&mut self.low, &mut self.high, &mut self.last] {
                *value = value.saturating_add(offset);
            }
            self.width = self.width.saturating_add(1);
        }
    }

    /// Takes the value of the next frame and says what it did; `learns` lets it become usual.
    #[inline]
    pub(crate) fn add(&mut self, payload: u64, learns: bool) -> Move {
        let value = self.value(payload);
        if self.frames == 0 {
            self.last = value;
            self.frames = 1;
            (self.low, self.high) = (value, value);
            return Move::Usual;
        }
        let signed = i64::from(value).wrapping_sub(i64::from(self.last));
        let step = i32::try_from(signed).unwrap_or(0);
        let size = self.size(step);
        self.last = value;
        let calm = self.run(step, learns);
        let verdict = if !self.is_ripe() {
            Move::Usual
        } else if size >= self.jump_limit() {
            if self.is_reset(step) { Move::Usual } else { Move::Jump }
        } else if self.reverses(step, size) {
            Move::Large
        } else if calm && self.is_noisy() && !(size == 0 && self.is_end(value)) {
            Move::Calm
        } else {
            Move::Usual
        };
        if learns && verdict == Move::Usual {
            // A large step that nobody went back on was one of the signal.
            self.step_max = self.step_max.max(self.step_last.unsigned_abs());
        }
        self.step_last = if verdict == Move::Jump { 0 } else { step };
        if verdict == Move::Jump || verdict == Move::Large {
            self.rejected = self.rejected.max(size);
        }
        if learns && verdict == Move::Usual && size < self.swing() {
            self.step_max = self.step_max.max(size);
            self.low = self.low.min(value);
            self.high = self.high.max(value);
            self.travel = self.travel.saturating_add(step.unsigned_abs());
            self.ups = self.ups.saturating_add(u8::from(step > 0));
            self.downs = self.downs.saturating_add(u8::from(step < 0));
            if self.frames < u16::MAX {
                self.frames = self.frames.saturating_add(1);
                self.moves = self.moves.saturating_add(u16::from(size > 0));
            } else {
                // Halved, so that the share of moves follows what the signal does lately.
                self.frames /= 2;
                self.moves /= 2;
            }
        }
        verdict
    }

    /// Takes a value that says nothing about how the field moves.
    pub(crate) fn pass(&mut self, payload: u64) {
        if self.frames > 0 {
            self.last = self.value(payload);
            (self.run, self.step_last) = (0, 0);
        }
    }

    /// Takes what was held against the field as usual after all.
    pub(crate) fn forgive(&mut self) {
        self.step_max = self.step_max.max(self.rejected);
        self.run_max = self.run_max.max(self.run);
        self.low = self.low.min(self.last);
        self.high = self.high.max(self.last);
        self.rejected = 0;
    }

    /// Step that is part of a swing rather than of the signal, if the next one goes back.
    fn swing(&self) -> u32 {
        if self.is_ripe() {
            self.step_max.saturating_add(1).saturating_mul(REVERSAL_FACTOR)
        } else {
            u32::MAX
        }
    }

    /// Returns whether a large step goes back on another large one.
    fn reverses(&self, step: i32, size: u32) -> bool {
        let swing = self.swing();
        size >= swing && self.step_last.unsigned_abs() >= swing && (step > 0) != (self.step_last > 0)
    }

    /// Returns whether the field turned out to be part of something: it wraps, or is noise.
    pub(crate) fn is_broken(&self) -> bool {
        let range = u32::try_from(self.mask()).unwrap_or(u32::MAX);
        self.width > 4 && self.is_ripe() && self.step_max > range / 2
    }

    /// Returns whether a value is at an end of what was seen, where signals rest.
    fn is_end(&self, value: u32) -> bool {
        let near = self.span() / 32;
        value <= self.low.saturating_add(near) || value.saturating_add(near) >= self.high
    }

    /// Follows the run of steps that differ by one at most; returns whether it is too long for noise.
    fn run(&mut self, step: i32, learns: bool) -> bool {
        let (low, high) = (self.run_low.min(step), self.run_high.max(step));
        if self.run > 0 && high.saturating_sub(low) <= 1 {
            (self.run_low, self.run_high) = (low, high);
            self.run = self.run.saturating_add(1);
            return self.run >= self.run_limit();
        }
        if learns && self.frames > 1 {
            self.run_max = self.run_max.max(self.run);
        }
        (self.run_low, self.run_high, self.run) = (step, step, 1);
        false
    }
}
