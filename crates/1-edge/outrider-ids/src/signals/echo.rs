//! Values that come again in the same order: a recording.
//!
//! Of every number the latest eight values make a fingerprint. One fingerprint in four is remembered, wherever it
//! falls, so that the same stretch leaves the same ones (Manber: "Finding Similar Files in a Large File System",
//! 1994). Noise makes none twice; a recording of noise makes all of them twice.

use crate::calibrate::Excess;

/// Values of a fingerprint.
const WINDOW: usize = 8;
/// Factor of the polynomial over a window (odd, from the golden ratio), and its seventh power.
const FACTOR: u32 = 0x9E37_79B1;
const FACTOR_7: u32 = FACTOR.wrapping_pow(7);
/// Moves among them before they tell anything: a number at rest repeats itself.
const MOVES_MIN: u32 = 6;
/// Different steps among them, and different values: with fewer, chance and rules make the same again. Noise at the end
/// of a range, where half of it is cut off, has many steps between few values.
const STEPS_MIN: usize = 5;
const VALUES_MIN: usize = 5;
/// Turns from faster to slower or back among the steps, beyond what rounding does: from rest one drives the same way
/// twice, but no noise comes twice.
const TURNS_MIN: u8 = 2;
const ROUNDED: u32 = 1;
/// Fingerprints, one in four frames, before repeats are held against a number: pages of a multiplexed message come again
/// by rule.
const PRINTS_MIN: u8 = 64;
/// Fingerprints remembered on a bus.
const MEMORY: usize = 4096;
/// Quarters of octaves that one more repeat is worth: two more than ever, of the latest eight, are common, four not.
const WORTH: u32 = 6;

/// Fingerprints of a bus; the newer of two at one place stays.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    marks: [u16; MEMORY],
}

impl Memory {
    pub(super) const fn new() -> Self {
        Self { marks: [0; MEMORY] }
    }

    pub(super) const fn clear(&mut self) {
        *self = Self::new();
    }

    /// Remembers a fingerprint and returns whether it was there.
    fn recall(&mut self, print: u32) -> bool {
        let place = usize::try_from(print >> 4).unwrap_or(0) & (MEMORY - 1);
        let mark = u16::try_from(print >> 16).unwrap_or(0) | 1;
        self.marks.get_mut(place).is_some_and(|slot| core::mem::replace(slot, mark) == mark)
    }
}

/// Latest values of one number and how often they came before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Echo {
    values: [u16; WINDOW],
    next: u8,
    /// Polynomial over the values.
    sum: u32,
    /// Whether each of the latest eight frames moved.
    moves: u8,
    /// Whether each of the latest eight remembered fingerprints was there before.
    repeats: u8,
    /// Most repeats at once in the stretches that are over, and in the one that goes on.
    usual: u8,
    peak: u8,
    /// Fingerprints compared so far, held at [`PRINTS_MIN`].
    prints: u8,
}

impl Echo {
    pub(super) const NEW: Self =
        Self { values: [0; WINDOW], next: 0, sum: 0, moves: 0, repeats: 0, usual: 0, peak: 0, prints: 0 };

    /// Takes a value; returns how many repeats there are beyond what was usual, when a fingerprint was compared.
    #[inline]
    pub(super) fn receive(&mut self, name: u8, value: i32, memory: &mut Memory) -> Option<Excess> {
        let value = u16::try_from(value.unsigned_abs() & 0xFFFF).unwrap_or(0);
        let latest = self.next.wrapping_sub(1) & 7;
        let moved = self.values.get(usize::from(latest)).is_some_and(|latest| *latest != value);
        self.moves = self.moves << 1 | u8::from(moved);
        let oldest = self.values.get_mut(usize::from(self.next & 7));
        let oldest = oldest.map_or(0, |slot| core::mem::replace(slot, value));
        // A polynomial over the window, of which the oldest value falls out (Karp and Rabin, 1987).
        self.sum = self
            .sum
            .wrapping_sub(u32::from(oldest).wrapping_mul(FACTOR_7))
            .wrapping_mul(FACTOR)
            .wrapping_add(value.into());
        self.next = self.next.wrapping_add(1) & 7;
        if self.moves.count_ones() < MOVES_MIN {
            return None;
        }
        let print = (self.sum ^ u32::from(name).wrapping_mul(0x9E37_79B1)).wrapping_mul(0x85EB_CA6B);
        let print = print ^ print >> 15;
        if print & 3 != 0 || !self.is_irregular() {
            return None;
        }
        self.repeats = self.repeats << 1 | u8::from(memory.recall(print));
        let level = u8::try_from(self.repeats.count_ones()).unwrap_or(8);
        self.peak = self.peak.max(level);
        if self.prints < PRINTS_MIN {
            self.prints = self.prints.saturating_add(1);
            self.forgive();
            return None;
        }
        if level <= self.usual {
            return Some(Excess::NONE);
        }
        let more = u32::from(level.saturating_sub(self.usual)).saturating_mul(WORTH);
        Some(Excess::above(more))
    }

    /// Returns whether the values and steps differ so much among themselves that nobody makes them twice by rule, as
    /// counters, clocks and lamps that blink do, or by chance.
    fn is_irregular(&self) -> bool {
        let at = |index: u8| {
            let place = usize::from(self.next.wrapping_add(index) & 7);
            i32::from(self.values.get(place).copied().unwrap_or(0))
        };
        let step = |index: u8| at(index.wrapping_add(1)).saturating_sub(at(index));
        let (mut faster, mut turns) = (None, 0u8);
        for index in 0..6u8 {
            let change = step(index.wrapping_add(1)).saturating_sub(step(index));
            if change.unsigned_abs() > ROUNDED {
                turns = turns.saturating_add(u8::from(faster.is_some_and(|faster| faster != (change > 0))));
                faster = Some(change > 0);
            }
        }
        turns >= TURNS_MIN
            && distinct((0..7).map(step)) >= STEPS_MIN
            && distinct((0..8).map(at)) >= VALUES_MIN
    }

    /// Takes the most repeats of the stretch that goes on as usual.
    pub(super) fn forgive(&mut self) {
        self.usual = self.usual.max(self.peak);
        self.peak = 0;
    }
}

/// Counts the different ones of at most eight numbers.
fn distinct(numbers: impl Iterator<Item = i32>) -> usize {
    let (mut known, mut count) = ([0i32; WINDOW], 0usize);
    for number in numbers {
        if !known.iter().take(count).any(|other| *other == number)
            && let Some(slot) = known.get_mut(count)
        {
            *slot = number;
            count = count.saturating_add(1);
        }
    }
    count
}
