//! One number predicted from another.

use super::pairs::Fit;
use super::{NO_SIGNAL, PREDICTORS_MAX};
use crate::calibrate::Excess;
use crate::model::habits::LineHabit;

/// Frames from which the distance of the two is taken, …
const OFFSET_FRAMES: u16 = 24;
/// … and further ones from which its usual deviation is.
const JUDGED_FRAMES: u16 = OFFSET_FRAMES + 96;
/// Part of its span below which a deviation does nothing to a vehicle.
const SPAN_PART: u32 = 40;
/// Frames in a row beyond everything usual after which a line is given up: twenty seconds of fifty frames, longer than
/// attacks last; a gear that was changed stays changed.
const BROKEN_FRAMES: u16 = 1000;
/// A slope that differs from the earlier one by more than this part of it is another one.
const SLOPE_PART: u64 = 8;

/// A straight line from another number to this one, and how well it holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Predictor {
    other: u8,
    frames: u16,
    slope_q16: i64,
    quality_q16: u32,
    /// Value at zero of the other; its sum over the first frames until these are over.
    offset: i64,
    deviation_max: u32,
    /// Largest deviation of the excursion that goes on.
    peak: u32,
    /// Values of the other for which the line was seen to hold.
    low: i32,
    high: i32,
    /// Frames in a row beyond everything usual.
    broken: u16,
    /// Excesses of the two frames before: only what three in a row show counts.
    recent: [Excess; 2],
}

/// The number that is predicted: its value, the step to it, and where it was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own {
    pub(super) value: i32,
    pub(super) step: u32,
    pub(super) low: i32,
    pub(super) high: i32,
}

impl Predictor {
    pub(super) const NONE: Self = Self {
        other: NO_SIGNAL,
        frames: 0,
        slope_q16: 0,
        quality_q16: 0,
        offset: 0,
        deviation_max: 0,
        peak: 0,
        low: i32::MAX,
        high: i32::MIN,
        broken: 0,
        recent: [Excess::NONE; 2],
    };

    /// Returns the line for a model, if it is judged already.
    pub(super) fn stored(&self, target: u8) -> Option<LineHabit> {
        (self.is_used() && self.frames >= JUDGED_FRAMES).then_some(LineHabit {
            target,
            source: self.other,
            quality_q16: self.quality_q16,
            slope_q16: self.slope_q16,
            offset: self.offset,
            deviation_max: self.deviation_max,
            low: self.low,
            high: self.high,
        })
    }

    /// Creates the line that a model says, which is judged at once.
    pub(super) const fn of_model(line: &LineHabit) -> Self {
        Self {
            other: line.source,
            frames: JUDGED_FRAMES,
            slope_q16: line.slope_q16,
            quality_q16: line.quality_q16,
            offset: line.offset,
            deviation_max: line.deviation_max,
            low: line.low,
            high: line.high,
            ..Self::NONE
        }
    }

    pub(super) const fn is_used(&self) -> bool {
        self.other != NO_SIGNAL
    }

    pub(super) fn other(&self) -> Option<usize> {
        self.is_used().then_some(self.other.into())
    }

    /// Takes the largest deviation of the excursion that goes on as usual.
    pub(super) fn forgive(&mut self) {
        self.deviation_max = self.deviation_max.max(self.peak);
        self.peak = 0;
    }

    /// Takes a value of the number beside value and step of the other; returns the excess of its deviation and the value
    /// predicted, if the line is known for such values.
    pub(super) fn receive(
        &mut self,
        Own { value, step, low, high }: Own,
        (other, other_step): (i32, u32),
        learns: bool,
    ) -> Option<(Excess, i32)> {
        let scaled = self.slope_q16.saturating_mul(other.into()) >> 16;
        if self.frames < OFFSET_FRAMES {
            if learns {
                self.offset = self.offset.saturating_add(i64::from(value).saturating_sub(scaled));
                self.frames = self.frames.saturating_add(1);
                if self.frames == OFFSET_FRAMES {
                    self.offset = self.offset.checked_div(OFFSET_FRAMES.into()).unwrap_or(0);
                }
            }
            return None;
        }
        let predicted = i32::try_from(self.offset.saturating_add(scaled)).unwrap_or(i32::MAX);
        let span = high.saturating_sub(low).max(1).unsigned_abs();
        if predicted < low.saturating_sub_unsigned(span) || predicted > high.saturating_add_unsigned(span) {
            // The other says what stands for no value, or was never there: it predicts nothing.
            return None;
        }
        // The other's value may be one of its frames old.
        let age = (self.slope_q16.unsigned_abs().saturating_mul(other_step.into()) >> 16)
            .saturating_add(step.into())
            .saturating_mul(2);
        let apart = value.abs_diff(predicted);
        let deviation = apart.saturating_sub(u32::try_from(age).unwrap_or(u32::MAX));
        self.peak = self.peak.max(deviation);
        if self.frames < JUDGED_FRAMES {
            if learns {
                self.frames = self.frames.saturating_add(1);
                self.forgive();
                self.low = self.low.min(other);
                self.high = self.high.max(other);
            }
            return None;
        }
        if other < self.low || other > self.high {
            // A line holds where it was seen to hold.
            if learns {
                self.forgive();
                self.low = self.low.min(other);
                self.high = self.high.max(other);
            }
            self.recent = [Excess::NONE; 2];
            return None;
        }
        let excess = Excess::of(deviation, self.deviation_max.max(span / SPAN_PART).max(2));
        self.broken = if excess > Excess::EVEN { self.broken.saturating_add(1) } else { 0 };
        if self.broken >= BROKEN_FRAMES {
            *self = Self::NONE;
            return None;
        }
        let [first, second] = self.recent;
        self.recent = [second, excess];
        Some((excess.min(first).min(second), predicted))
    }
}

/// Takes a line into the predictors of a number, if it is new and better than the worst of them.
pub(super) fn consider(predictors: &mut [Predictor; PREDICTORS_MAX], other: usize, fit: Fit) {
    let Ok(name) = u8::try_from(other) else { return };
    let fresh =
        Predictor { other: name, slope_q16: fit.slope_q16, quality_q16: fit.quality_q16, ..Predictor::NONE };
    if let Some(same) = predictors.iter_mut().find(|predictor| predictor.other == name) {
        let apart = same.slope_q16.abs_diff(fit.slope_q16);
        if apart > same.slope_q16.unsigned_abs().checked_div(SLOPE_PART).unwrap_or(0) {
            *same = fresh;
        }
        return;
    }
    let worst = predictors
        .iter_mut()
        .min_by_key(|predictor| if predictor.is_used() { predictor.quality_q16.max(1) } else { 0 });
    if let Some(worst) = worst
        && (!worst.is_used() || worst.quality_q16.saturating_add(1024) < fit.quality_q16)
    {
        *worst = fresh;
    }
}
