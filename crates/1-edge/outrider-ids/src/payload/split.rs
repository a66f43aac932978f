//! Which bits of a payload belong together.

use super::field::{Field, WIDTH_MAX};

/// Most fields of a payload.
pub(crate) const FIELDS_MAX: usize = 4;
/// Narrowest, in bits: of a number that moves by one now and then, one bit may be all that was seen to flip.
const WIDTH_MIN: u32 = 1;
/// Narrowest without order: of fewer bits, chance shows the same for long.
const ROUGH_WIDTH_MIN: u32 = 3;
/// Candidates of one byte order.
const CANDIDATES_MAX: usize = 8;

/// Splits payloads of one identifier into the numbers that move smoothly; bits in `taken` belong to checks.
///
/// Inside a number the lower bits flip more often than the higher ones, so a bit that flips far less often than the
/// one before it begins another (Marchetti, Stabili: "READ", 2018). Both byte orders are tried; a number read in the
/// wrong one jumps and loses against the right one. Bits that never flipped belong to no field: a number that grows
/// into them wraps, which is no jump.
pub(crate) fn split(payloads: &[u64], bytes: u8, taken: u64) -> ([Field; FIELDS_MAX], usize) {
    let used = u32::from(bytes.min(8)).saturating_mul(8);
    let mut big = Found { list: [None; CANDIDATES_MAX] };
    big.scan(payloads, 64u32.saturating_sub(used)..64, taken, false);
    let mut little = Found { list: [None; CANDIDATES_MAX] };
    little.scan(payloads, 0..used, taken.swap_bytes(), true);
    // One payload has one byte order: across two numbers that go together, both would seem to fit.
    if little.quality() > big.quality() { little.choose() } else { big.choose() }
}

/// How often each bit of the word flips from one payload to the next.
fn flips(payloads: &[u64], little: bool) -> [u32; 64] {
    let mut flips = [0u32; 64];
    for (a, b) in payloads.iter().zip(payloads.iter().skip(1)) {
        let mut changed = if little { (a ^ b).swap_bytes() } else { a ^ b };
        while changed != 0 {
            let bit = changed.trailing_zeros();
            changed &= changed.wrapping_sub(1);
            if let Some(count) = usize::try_from(bit).ok().and_then(|bit| flips.get_mut(bit)) {
                *count = count.saturating_add(1);
            }
        }
    }
    flips
}

/// Run of bits from the highest down that may be one number.
#[derive(Debug, Clone, Copy)]
struct Run {
    top: u32,
    /// Most flips of a bit so far, and flips of the latest bit.
    most: u32,
    latest: u32,
}

#[derive(Debug)]
struct Found {
    list: [Option<(Field, u32)>; CANDIDATES_MAX],
}

impl Found {
    fn scan(&mut self, payloads: &[u64], range: core::ops::Range<u32>, taken: u64, little: bool) {
        let flips = flips(payloads, little);
        let steps = u32::try_from(payloads.len()).unwrap_or(0).saturating_sub(1);
        let mut open: Option<Run> = None;
        for bit in range.clone().rev() {
            let is_taken = taken & 1u64.checked_shl(bit).unwrap_or(0) != 0;
            let count = usize::try_from(bit).ok().and_then(|bit| flips.get(bit)).copied().unwrap_or(0);
            let count = if is_taken { 0 } else { count };
            if let Some(run) = &mut open {
                let drops = count.saturating_mul(3).saturating_add(2) < run.most;
                // The lowest bit of a number that counts flips nearly every time; what follows is another.
                let counts = run.latest.saturating_add(1) >= steps
                    && count.saturating_mul(3) < steps.saturating_mul(2);
                let wide = run.top.saturating_sub(bit) >= u32::from(WIDTH_MAX);
                if count > 0 && !drops && !counts && !wide {
                    run.most = run.most.max(count);
                    run.latest = count;
                    continue;
                }
                self.add(run.top, bit.saturating_add(1), payloads, little);
                open = None;
            }
            if count > 0 {
                open = Some(Run { top: bit, most: count, latest: count });
            }
        }
        if let Some(run) = open {
            self.add(run.top, range.start, payloads, little);
        }
    }

    /// Keeps a candidate if it moves smoothly.
    fn add(&mut self, top: u32, low: u32, payloads: &[u64], little: bool) {
        let width = top.saturating_sub(low).saturating_add(1).min(WIDTH_MAX.into());
        if width < WIDTH_MIN {
            return;
        }
        let (Ok(shift), Ok(bits)) = (u8::try_from(low), u8::try_from(width)) else { return };
        let mut probe = Field::new(shift, bits, little);
        for &payload in payloads {
            probe.add(payload, 0, true, |_| false);
        }
        let samples = u32::try_from(payloads.len()).unwrap_or(0);
        // Noise travels a third of its span a frame, a signal less.
        let whole = probe.span().saturating_mul(samples).max(1);
        let rough = probe.travel.saturating_mul(5) > whole;
        let often = u32::from(probe.moves).saturating_mul(2) >= samples && width >= ROUGH_WIDTH_MIN;
        if rough && !often || probe.moves < 2 {
            return;
        }
        // Numbers that move often and smoothly first, then the wider ones.
        let travel = probe.travel.saturating_mul(64).checked_div(whole).unwrap_or(0);
        let quality = u32::from(probe.moves).saturating_mul(8).saturating_add(width.saturating_mul(2));
        // What moves without order comes after everything else.
        let quality = if rough { 1 } else { quality.saturating_sub(travel.saturating_mul(2)).max(2) };
        let slot = self.list.iter_mut().min_by_key(|slot| slot.map_or(0, |(_, quality)| quality.max(1)));
        if let Some(slot) = slot
            && slot.is_none_or(|(_, other)| other < quality)
        {
            let mut field = Field::new(shift, bits, little);
            field.rough = rough;
            *slot = Some((field, quality));
        }
    }

    /// Quality of all candidates together, each weighed by its width.
    fn quality(&self) -> u32 {
        let weigh = |(field, quality): &(Field, u32)| quality.saturating_mul(field.width.into());
        self.list.iter().flatten().map(weigh).fold(0, u32::saturating_add)
    }

    /// Takes the best candidates that do not overlap.
    fn choose(&mut self) -> ([Field; FIELDS_MAX], usize) {
        let (mut fields, mut len, mut used) = ([Field::EMPTY; FIELDS_MAX], 0usize, 0u64);
        for _ in 0..CANDIDATES_MAX {
            let best = self.list.iter_mut().max_by_key(|slot| slot.map_or(0, |(_, quality)| quality.max(1)));
            let Some((field, _)) = best.and_then(Option::take) else { break };
            if field.bits() & used != 0 {
                continue;
            }
            let Some(slot) = fields.get_mut(len) else { break };
            *slot = field;
            used |= field.bits();
            len = len.saturating_add(1);
        }
        (fields, len)
    }
}
