//! Which numbers change together: sums over the changes within a second of all pairs.

use super::SIGNALS_MAX;

/// Sums of products: of each number with itself and with all before it.
const PRODUCTS: usize = SIGNALS_MAX * (SIGNALS_MAX + 1) / 2;
/// Samples before anything is said: six seconds.
const SAMPLES_MIN: u32 = 60;
/// Samples after which all sums are halved, so that they follow the vehicle: a minute.
const SAMPLES_MAX: u32 = 600;
/// Smallest coefficient of determination of two numbers that go together, in 1/65536: nine tenths. Measured signals of
/// one motion have more; two that only go the same way for a while have less once each turned a few times.
const FIT_MIN_Q16: i64 = 58_982;

/// How one number follows from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fit {
    /// Change for each change of one of the other, in 1/65536.
    pub(super) slope_q16: i64,
    /// Coefficient of determination, in 1/65536.
    pub(super) quality_q16: u32,
}

/// Sums of one bus.
#[derive(Debug, Clone)]
pub(super) struct Pairs {
    samples: u32,
    sums: [i64; SIGNALS_MAX],
    products: [i64; PRODUCTS],
}

/// Place of a pair; the order of the two does not matter.
fn place(one: usize, other: usize) -> usize {
    let (low, high) = (one.min(other), one.max(other));
    high.saturating_mul(high.saturating_add(1)).saturating_div(2).saturating_add(low)
}

/// Half the bits that a moment has beyond thirty, rounded up.
fn half_excess(moment: i128) -> u32 {
    let bits = 128u32.saturating_sub(moment.unsigned_abs().leading_zeros());
    bits.saturating_sub(30).saturating_add(1) / 2
}

impl Pairs {
    pub(super) const fn new() -> Self {
        Self { samples: 0, sums: [0; SIGNALS_MAX], products: [0; PRODUCTS] }
    }

    pub(super) const fn clear(&mut self) {
        *self = Self::new();
    }

    /// Takes the changes of all numbers.
    pub(super) fn add(&mut self, changes: &[i32]) {
        if self.samples >= SAMPLES_MAX {
            self.samples /= 2;
            self.sums.iter_mut().for_each(|sum| *sum /= 2);
            self.products.iter_mut().for_each(|sum| *sum /= 2);
        }
        self.samples = self.samples.saturating_add(1);
        let mut products = self.products.iter_mut();
        let mut width = 0usize;
        for (&change, sum) in changes.iter().zip(&mut self.sums) {
            width = width.saturating_add(1);
            let change = i64::from(change);
            *sum = sum.saturating_add(change);
            for (&other, product) in changes.iter().take(width).zip(products.by_ref()) {
                *product = product.saturating_add(change.saturating_mul(other.into()));
            }
        }
    }

    /// Sum of the products of two deviations, times the samples.
    fn moment(&self, one: usize, other: usize) -> i128 {
        let sum = |index: usize| i128::from(self.sums.get(index).copied().unwrap_or(0));
        let product = i128::from(self.products.get(place(one, other)).copied().unwrap_or(0));
        product.saturating_mul(self.samples.into()).saturating_sub(sum(one).saturating_mul(sum(other)))
    }

    /// Returns how `target` follows from `source`, or `None` if it does not.
    pub(super) fn fit(&self, source: usize, target: usize) -> Option<Fit> {
        if self.samples < SAMPLES_MIN {
            return None;
        }
        let (own, all) = (self.moment(source, source), self.moment(target, target));
        if own <= 0 || all <= 0 {
            return None;
        }
        // Thirty bits of each are enough, and divide in one word.
        let (own_drop, all_drop) = (half_excess(own), half_excess(all));
        let narrow = |value: i128, drop: u32| i64::try_from(value.checked_shr(drop)?).ok();
        let own = narrow(own, own_drop.saturating_mul(2))?.max(1);
        let all = narrow(all, all_drop.saturating_mul(2))?.max(1);
        let both = narrow(self.moment(source, target), own_drop.saturating_add(all_drop))?;
        let explained = both.saturating_mul(both).checked_div(own)?;
        let quality = explained.saturating_mul(65_536).checked_div(all)?;
        if quality < FIT_MIN_Q16 {
            return None;
        }
        let slope = both.saturating_mul(65_536).checked_div(own)?;
        let slope = if all_drop >= own_drop {
            slope.checked_shl(all_drop.saturating_sub(own_drop))?
        } else {
            slope.checked_shr(own_drop.saturating_sub(all_drop))?
        };
        Some(Fit { slope_q16: slope, quality_q16: u32::try_from(quality).unwrap_or(u32::MAX) })
    }
}
