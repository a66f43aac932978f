//! Which bits of a payload belong together, told from how often they flip.
//!
//! Inside a number the lower bits flip more often than the higher ones, so a bit that flips three times
//! less often than the one before it begins another field (Marchetti, Stabili: "READ: reverse engineering of
//! automotive data frames", 2018). Payloads are read in both byte orders; a number read in the wrong one jumps, so the
//! reading that moves most smoothly over most bits is taken.

/// Fewest samples from which fields are told.
const SAMPLES_MIN: usize = 16;
/// Fewest values of a signal; below, it is a switch.
const DISTINCT_MIN: usize = 6;
/// Most samples that are looked at.
const SAMPLES_MAX: usize = 20_000;

/// What a field looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    /// Moves smoothly.
    Signal,
    /// Counts by a fixed step.
    Counter,
    /// Has few values.
    Switch,
    /// Jumps: a checksum, a low byte, noise.
    Noise,
}

/// Consecutive bits of a payload, the most significant first, read from its first byte on or from its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field {
    /// First bit: 0 is the most significant bit of the first byte; of the last, if little endian.
    pub(super) start: usize,
    /// Whether the last byte is the most significant one.
    pub(super) little: bool,
    /// Number of bits, at most 32.
    pub(super) bits: usize,
    /// Lowest value seen.
    pub(super) low: u64,
    /// Highest value seen.
    pub(super) high: u64,
    /// What it looks like.
    pub(super) kind: FieldKind,
}

impl Field {
    /// Returns the field's value in a payload; bits behind the payload are zero.
    pub(super) fn value(&self, payload: &[u8]) -> u64 {
        (self.start..self.start + self.bits)
            .fold(0, |value, bit| value << 1 | u64::from(bit_of(payload, self.place(bit, payload.len()))))
    }

    /// Place of a bit of the field, counted from the most significant of the first byte.
    const fn place(&self, bit: usize, bytes: usize) -> usize {
        if self.little { bytes.saturating_sub(1 + bit / 8) * 8 + bit % 8 } else { bit }
    }

    /// Returns the places of its bits in a payload of so many bytes.
    pub(super) fn places(&self, bytes: usize) -> impl Iterator<Item = usize> + '_ {
        (self.start..self.start + self.bits).map(move |bit| self.place(bit, bytes))
    }

    /// Writes a value into a payload, its low bits if it is too large.
    pub(super) fn put(&self, payload: &mut [u8], value: u64) {
        for index in 0..self.bits {
            let bit = self.place(self.start + self.bits - 1 - index, payload.len());
            let Some(byte) = payload.get_mut(bit / 8) else { continue };
            let mask = 0x80u8 >> (bit % 8);
            if value >> index & 1 == 1 { *byte |= mask } else { *byte &= !mask }
        }
    }

    /// Largest value that the field holds.
    pub(super) const fn max(&self) -> u64 {
        (1 << self.bits) - 1
    }

    /// Returns the width of what was seen, at least 1.
    pub(super) fn span(&self) -> u64 {
        self.high.saturating_sub(self.low).max(1)
    }
}

fn bit_of(payload: &[u8], bit: usize) -> bool {
    payload.get(bit / 8).is_some_and(|byte| byte & 0x80 >> (bit % 8) != 0)
}

/// Splits the payloads of one identifier, all of one length, into the fields that change.
pub(super) fn split(payloads: &[&[u8]]) -> Vec<Field> {
    let bytes = payloads.iter().map(|payload| payload.len()).min().unwrap_or(0);
    let mut candidates = scan(payloads, false);
    candidates.extend(scan(payloads, true));
    // Signals before what looks like noise, then the wider: a number read in the wrong order falls apart.
    candidates
        .sort_by_key(|field| (field.kind != FieldKind::Signal, std::cmp::Reverse(field.bits), field.little));
    let mut taken = std::collections::BTreeSet::new();
    let mut fields: Vec<Field> = Vec::new();
    for field in candidates {
        if field.places(bytes).all(|bit| !taken.contains(&bit)) {
            taken.extend(field.places(bytes));
            fields.push(field);
        }
    }
    fields.sort_by_key(|field| (field.places(bytes).min(), field.start));
    fields
}

/// Splits the payloads as read in one byte order.
fn scan(payloads: &[&[u8]], little: bool) -> Vec<Field> {
    let payloads = payloads.get(..payloads.len().min(SAMPLES_MAX)).unwrap_or(payloads);
    let bytes = payloads.iter().map(|payload| payload.len()).min().unwrap_or(0);
    if payloads.len() < SAMPLES_MIN || bytes == 0 {
        return Vec::new();
    }
    let mut flips = vec![0u64; bytes * 8];
    let order = Field { start: 0, little, bits: 0, low: 0, high: 0, kind: FieldKind::Noise };
    for (one, next) in payloads.iter().zip(payloads.iter().skip(1)) {
        for (bit, count) in flips.iter_mut().enumerate() {
            let place = order.place(bit, bytes);
            *count += u64::from(bit_of(one, place) != bit_of(next, place));
        }
    }
    let mut fields = Vec::new();
    let mut run: Option<(usize, usize, u64)> = None;
    for (bit, &count) in flips.iter().enumerate() {
        run = match run {
            // By a factor, not by decades, at whose borders two equal bits would be torn apart.
            Some((start, bits, most)) if count > 0 && count * 3 + 2 >= most && bits < 32 => {
                Some((start, bits + 1, most.max(count)))
            }
            open => {
                fields.extend(open.map(|(start, bits, _)| judged(Field { start, bits, ..order }, payloads)));
                (count > 0).then_some((bit, 1, count))
            }
        };
    }
    fields.extend(run.map(|(start, bits, _)| judged(Field { start, bits, ..order }, payloads)));
    fields
}

fn judged(mut field: Field, payloads: &[&[u8]]) -> Field {
    let values: Vec<u64> = payloads.iter().map(|payload| field.value(payload)).collect();
    field.low = values.iter().copied().min().unwrap_or(0);
    field.high = values.iter().copied().max().unwrap_or(0);
    let distinct: std::collections::BTreeSet<u64> = values.iter().copied().collect();
    let pairs = || values.iter().zip(values.iter().skip(1));
    let step = |(a, b): (&u64, &u64)| b.wrapping_sub(*a) & field.max();
    let mut steps: std::collections::BTreeMap<u64, usize> = std::collections::BTreeMap::new();
    pairs().for_each(|pair| *steps.entry(step(pair)).or_default() += 1);
    let (common, count) = steps.into_iter().max_by_key(|(_, count)| *count).unwrap_or((0, 0));
    let moved: u64 = pairs().map(|(a, b)| a.abs_diff(*b)).sum();
    field.kind = if common != 0 && count * 10 >= values.len() * 8 {
        FieldKind::Counter
    } else if distinct.len() < DISTINCT_MIN {
        FieldKind::Switch
    } else if moved * 8 <= field.span() * values.len() as u64 {
        FieldKind::Signal
    } else {
        FieldKind::Noise
    };
    field
}
