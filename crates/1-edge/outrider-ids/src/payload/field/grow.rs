//! How a number grows into the bits above it.

use super::{Field, GROW_FRAMES, GROW_PART, WIDTH_MAX};

impl Field {
    /// Lets the field reach up to the top of its byte as far as nothing moves there; `moved` are bits that do.
    pub(crate) fn stretch(&mut self, moved: u64) {
        while self.width.saturating_add(self.reach) < WIDTH_MAX
            && self.shift.saturating_add(self.width).saturating_add(self.reach) & 7 != 0
            && self.bit_above() & moved == 0
        {
            self.reach = self.reach.saturating_add(1);
        }
    }

    /// Returns the bit above the field in the payload word whose first byte is highest, 0 if there is none.
    fn bit_above(&self) -> u64 {
        let place = u32::from(self.shift).saturating_add(self.width.into()).saturating_add(self.reach.into());
        let above = 1u64.checked_shl(place).unwrap_or(0);
        if self.little { above.swap_bytes() } else { above }
    }

    /// Returns the same field read in the other byte order, if it fills its byte up to the top and no other.
    fn in_other_order(&self) -> Option<Self> {
        let top = self.shift.saturating_add(self.width);
        if top & 7 != 0 || self.width > 8 || top > 64 {
            return None;
        }
        // The byte's other place, counted from the other end.
        let shift = 64u8.saturating_sub(top).saturating_add(8u8.saturating_sub(self.width));
        Some(Self { little: !self.little, shift, ..*self })
    }

    /// Takes the bits above in, one by one, while the number carries into them: it has grown beyond what it was when
    /// the payload was split. `mapped` are bits that belong to something else.
    #[inline]
    pub(crate) fn grow(&mut self, before: u64, now: u64, mapped: u64) {
        let wraps = |field: &Self| {
            let size = field.value(now).abs_diff(field.value(before));
            let range = field.range();
            size > range / 2 && range.saturating_sub(size) < field.step_max.saturating_mul(2).max(2)
        };
        let range = self.range();
        if self.rough || self.frames < GROW_FRAMES || self.step_max > (range / GROW_PART).max(1) {
            return;
        }
        let (old, new) = (self.value(before), self.value(now));
        let beyond = (old ^ new).checked_shr(self.width.into()).unwrap_or(0);
        if beyond != 0 && old.abs_diff(new) <= self.step_max.saturating_mul(2).max(2) {
            let more =
                u8::try_from(32u32.saturating_sub(beyond.leading_zeros())).unwrap_or(0).min(self.reach);
            self.width = self.width.saturating_add(more);
            self.reach = self.reach.saturating_sub(more);
        }
        if self.reach > 0 {
            return;
        }
        let carries = |field: &Self| {
            let bit = field.bit_above();
            bit != 0 && (before ^ now) & bit != 0 && mapped & !field.bits() & bit == 0
        };
        while self.width < WIDTH_MAX && wraps(self) {
            if let Some(other) = self.in_other_order() {
                // One byte has no order yet: the one it carries into tells, unless both neighbours moved.
                match (carries(self), carries(&other)) {
                    (true, false) => {}
                    (false, true) => *self = other,
                    (true, true) | (false, false) => return,
                }
            } else if !carries(self) {
                return;
            }
            let bit = self.bit_above();
            let offset = if before & bit == 0 { 0 } else { 1u32.checked_shl(self.width.into()).unwrap_or(0) };
            for value in [&mut self.low, &mut self.high, &mut self.last] {
                *value = value.saturating_add(offset);
            }
            self.width = self.width.saturating_add(1);
        }
    }
}
