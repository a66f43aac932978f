//! Which correlator counts a group.

use core::num::NonZeroU32;
use core::ops::RangeInclusive;

use crate::intern;

/// Place of one rule, tenant and group on a ring of 2^64: all its sightings go to one correlator.
///
/// The same in every process and version; it does not depend on the rule's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route(pub u64);

impl Route {
    /// The whole ring.
    pub const ALL: RangeInclusive<Self> = Self(0)..=Self(u64::MAX);

    /// Computes the place of a rule and a group's key; the key begins with the tenant.
    pub(crate) fn of(rule: &str, key: &[u8]) -> Self {
        // Changing this number moves every group to another correlator.
        const KEY: u64 = 0x6f75_7472_6964_6572;
        Self(intern::hash(intern::hash(KEY, rule.as_bytes()), key))
    }

    /// Returns the part of the ring in which the place lies, if the ring is cut into parts of equal length.
    #[must_use]
    pub fn part(self, parts: NonZeroU32) -> u32 {
        let part = (u128::from(self.0) * u128::from(parts.get())) >> 64;
        u32::try_from(part).expect("below the number of parts")
    }

    /// Returns the places of one part of the ring.
    ///
    /// # Panics
    /// If there is no such part.
    #[must_use]
    pub fn range(part: u32, parts: NonZeroU32) -> RangeInclusive<Self> {
        assert!(part < parts.get(), "part {part} of {parts}");
        let start = |part: u32| (u128::from(part) << 64).div_ceil(u128::from(parts.get()));
        let last = u64::try_from(start(part + 1) - 1).expect("the ring ends at 2^64");
        Self(u64::try_from(start(part)).expect("a part begins on the ring"))..=Self(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_stay_what_they_are() {
        assert_eq!(Route::of("r", b"key"), Route(PLACE));
        assert_ne!(Route::of("r", b"kez"), Route::of("s", b"key"));
    }

    /// Written down once: correlators of two versions must agree.
    const PLACE: u64 = 5_189_045_648_920_687_568;

    #[test]
    fn parts_cover_the_ring_without_overlap() {
        for parts in [1u32, 2, 3, 7, 64, u32::MAX] {
            let count = NonZeroU32::new(parts).expect("not 0");
            let mut next = 0u128;
            for part in 0..parts.min(64) {
                let range = Route::range(part, count);
                assert_eq!(u128::from(range.start().0), next, "part {part} of {parts}");
                next = u128::from(range.end().0) + 1;
                assert_eq!((range.start().part(count), range.end().part(count)), (part, part));
            }
            let last = Route::range(parts - 1, count);
            assert_eq!((last.end().0, last.end().part(count)), (u64::MAX, parts - 1));
        }
    }

    #[test]
    fn groups_spread_over_the_parts() {
        let parts = NonZeroU32::new(16).expect("not 0");
        let mut counts = [0u32; 16];
        for group in 0..16_000u32 {
            counts[Route::of("rule", &group.to_le_bytes()).part(parts) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }
}
