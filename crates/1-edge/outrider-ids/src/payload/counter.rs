//! Message counters: lanes of two, four or eight bits that add one from frame to frame.
//!
//! All lanes of a payload are followed at once, in one machine word: a lane that ever misses more than one step
//! while it is learned is no counter.

/// Lowest bits of all lanes of a width.
const LOW_2: u64 = 0x5555_5555_5555_5555;
const LOW_4: u64 = 0x1111_1111_1111_1111;
/// Lowest bits of all bytes.
const LOW_8: u64 = 0x0101_0101_0101_0101;
/// Frames after which the lanes that are left are counters: a number that grows by one a frame for as long is one,
/// too. A speed that rises steadily did so for 24.
const PROOFS: u8 = 48;

/// Adds one to every lane of two bits.
const fn next_2(word: u64) -> u64 {
    ((word & LOW_2).wrapping_add(LOW_2)) ^ (word & (LOW_2 << 1))
}

/// Adds one to every lane of four bits.
const fn next_4(word: u64) -> u64 {
    ((word & 0x7777_7777_7777_7777).wrapping_add(LOW_4)) ^ (word & (LOW_4 << 3))
}

/// Adds one to every byte.
const fn next_8(word: u64) -> u64 {
    ((word & 0x7F7F_7F7F_7F7F_7F7F).wrapping_add(LOW_8)) ^ (word & (LOW_8 << 7))
}

/// Lowest bits of the bytes that are equal.
const fn equal_8(a: u64, b: u64) -> u64 {
    let d = a ^ b;
    let d = d | d >> 1;
    let d = d | d >> 2;
    !(d | d >> 4) & LOW_8
}

/// Lowest bits of the lanes of two bits that are equal.
const fn equal_2(a: u64, b: u64) -> u64 {
    let d = a ^ b;
    !(d | d >> 1) & LOW_2
}

/// Lowest bits of the lanes of four bits that are equal.
const fn equal_4(a: u64, b: u64) -> u64 {
    let d = a ^ b;
    !(d | d >> 1 | d >> 2 | d >> 3) & LOW_4
}

/// Counters of one identifier, learned and then watched; 64 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counters {
    /// Lanes without a miss, and with at most one, while learned; counters afterwards are in `once_*`.
    never_2: u64,
    once_2: u64,
    never_4: u64,
    once_4: u64,
    /// Lanes that wrapped without a carry into the bit above, as a counter does and a number that grows does not.
    wraps_2: u64,
    wraps_4: u64,
    /// Bytes that never missed a step.
    never_8: u64,
    proofs: u8,
}

impl Counters {
    pub(crate) const EMPTY: Self = Self {
        never_2: LOW_2,
        once_2: LOW_2,
        never_4: LOW_4,
        once_4: LOW_4,
        wraps_2: 0,
        wraps_4: 0,
        never_8: LOW_8,
        proofs: 0,
    };

    /// Returns whether the counters are known.
    pub(crate) const fn is_ready(&self) -> bool {
        self.proofs >= PROOFS
    }

    /// Returns the bits of all counters.
    pub(crate) const fn mask(&self) -> u64 {
        if !self.is_ready() {
            return 0;
        }
        let (two, four) = (self.once_2, self.once_4);
        let eight = self.never_8.wrapping_mul(0xFF);
        two | two << 1 | four | four << 1 | four << 2 | four << 3 | eight
    }

    /// Returns the lowest bits of the counters of two, four and eight bits, once they are known.
    pub(crate) fn lanes(&self) -> Option<[u64; 3]> {
        self.is_ready().then_some([self.once_2, self.once_4, self.never_8])
    }

    /// Creates counters that are known.
    pub(crate) const fn of_lanes([two, four, eight]: [u64; 3]) -> Self {
        Self { once_2: two, once_4: four, never_8: eight, proofs: PROOFS, ..Self::EMPTY }
    }

    /// Gives up counters in bits that belong to a checksum, which over a counter may count, too.
    pub(crate) const fn exclude(&mut self, bits: u64) {
        self.once_2 &= !(bits | bits >> 1);
        self.once_4 &= !(bits | bits >> 1 | bits >> 2 | bits >> 3);
        self.never_8 &= !bits;
    }

    /// Learns from two payloads that followed each other.
    pub(crate) fn learn(&mut self, before: u64, now: u64) {
        if self.is_ready() {
            return;
        }
        let (two, four) = (equal_2(next_2(before), now), equal_4(next_4(before), now));
        self.once_2 = self.once_2 & two | self.never_2 & !two;
        self.never_2 &= two;
        self.once_4 = self.once_4 & four | self.never_4 & !four;
        self.never_4 &= four;
        self.never_8 &= equal_8(next_8(before), now);
        let flips = before ^ now;
        self.wraps_2 |= two & equal_2(now, 0) & !(flips >> 2);
        self.wraps_4 |= four & equal_4(now, 0) & !(flips >> 4);
        self.proofs = self.proofs.saturating_add(1);
        if self.is_ready() {
            // Two bits count by chance far more easily than four: they must not have missed at all.
            self.once_2 &= self.never_2 & self.wraps_2;
            self.once_4 &= self.wraps_4;
            // The lower half of a counter of four bits is one of two bits, too: keep the wide one.
            let eight = self.never_8;
            self.once_4 &= !(eight | eight << 4);
            self.once_2 &= !(self.once_4 | self.once_4 << 2 | eight | eight << 2 | eight << 4 | eight << 6);
        }
    }

    /// Returns the first counter that did not count: expected and observed value.
    #[inline]
    pub(crate) fn check(&self, before: u64, now: u64) -> Option<(u64, u64)> {
        let (lanes_2, lanes_4, lanes_8) = (self.once_2, self.once_4, self.never_8);
        if !self.is_ready() || lanes_2 | lanes_4 | lanes_8 == 0 {
            return None;
        }
        // Most payloads have lanes of one width at most.
        let wrong_8 = if lanes_8 == 0 { 0 } else { lanes_8 & !equal_8(next_8(before), now) };
        if wrong_8 != 0 {
            let at = wrong_8.trailing_zeros();
            return Some((next_8(before) >> at & 255, now >> at & 255));
        }
        let wrong_4 = if lanes_4 == 0 { 0 } else { lanes_4 & !equal_4(next_4(before), now) };
        if wrong_4 != 0 {
            let at = wrong_4.trailing_zeros();
            return Some((next_4(before) >> at & 15, now >> at & 15));
        }
        let wrong_2 = if lanes_2 == 0 { 0 } else { lanes_2 & !equal_2(next_2(before), now) };
        if wrong_2 == 0 {
            return None;
        }
        let at = wrong_2.trailing_zeros();
        Some((next_2(before) >> at & 3, now >> at & 3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_four_and_two_bits_are_found_and_a_repeat_is_wrong() {
        let payload = |n: u64| (n & 15) << 8 | (n & 3) << 22 | 0xAB << 40 | ((n * 7) & 0xFF) << 32;
        let mut counters = Counters::EMPTY;
        (0..60).for_each(|n| counters.learn(payload(n), payload(n + 1)));
        assert!(counters.is_ready());
        assert_eq!((counters.once_2, counters.once_4), (1 << 22, 1 << 8));
        assert_eq!(counters.mask(), 15 << 8 | 3 << 22);
        assert_eq!(counters.check(payload(7), payload(8)), None);
        assert_eq!(counters.check(payload(15), payload(16)), None, "it wraps");
        assert_eq!(counters.check(payload(7), payload(7)), Some((8, 7)));
        assert_eq!(counters.check(payload(7), payload(9)), Some((8, 9)));
    }

    #[test]
    fn one_lost_frame_while_learning_is_forgiven_and_two_are_not() {
        let sequence = |lost: &'static [u64]| (0..60u64).filter(move |n| !lost.contains(n)).map(|n| n & 15);
        let learned = |lost: &'static [u64]| {
            let mut counters = Counters::EMPTY;
            let values: std::vec::Vec<u64> = sequence(lost).collect();
            values.windows(2).for_each(|pair| counters.learn(pair[0], pair[1]));
            counters.mask() & 15
        };
        assert_eq!(learned(&[5]), 15);
        assert_eq!(learned(&[5, 9]), 0);
    }

    #[test]
    fn a_number_that_grows_by_one_is_a_counter_only_while_it_never_fails() {
        let learned = |values: &mut dyn Iterator<Item = u64>| {
            let mut counters = Counters::EMPTY;
            let values: std::vec::Vec<u64> = values.collect();
            values.windows(2).for_each(|pair| counters.learn(pair[0], pair[1]));
            counters.mask()
        };
        assert_eq!(learned(&mut (1000..1100)), 0xFF);
        assert_eq!(learned(&mut (1000..1100).filter(|n| *n != 1020)), 0);
    }

    extern crate std;
}
