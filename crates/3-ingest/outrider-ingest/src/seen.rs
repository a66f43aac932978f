//! A bounded memory of what was taken already: the newest so many identities.

use std::collections::BTreeSet;

use outrider_model::SaveError;

use crate::interval::StateCursor;

/// Identities saved together: 32 KiB, so that a checkpoint writes little where little came.
const SEGMENT: usize = 4096;
const VERSION: u32 = 1;

/// Remembers the newest identities up to a bound; the oldest are forgotten first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Ring of `segments_max` segments at most; grows up to it.
    ring: Vec<u64>,
    known: BTreeSet<u64>,
    /// Identities ever taken; the next one goes to this place, modulo the ring.
    taken: u64,
    segments_max: usize,
    /// Segments that changed since they were saved.
    changed: BTreeSet<usize>,
}

impl Seen {
    pub(crate) const fn new(segments_max: usize) -> Self {
        Self { ring: Vec::new(), known: BTreeSet::new(), taken: 0, segments_max, changed: BTreeSet::new() }
    }

    /// Returns whether an identity is remembered.
    #[cfg(test)]
    pub(crate) fn contains(&self, identity: u64) -> bool {
        self.known.contains(&identity)
    }

    /// Remembers an identity and returns whether it is new. O(log n).
    pub(crate) fn insert(&mut self, identity: u64) -> bool {
        if !self.known.insert(identity) {
            return false;
        }
        let room = (self.segments_max * SEGMENT).max(1);
        let place = usize::try_from(self.taken % room as u64).unwrap_or(0);
        match self.ring.get_mut(place) {
            Some(slot) => {
                self.known.remove(&std::mem::replace(slot, identity));
            }
            None => self.ring.push(identity),
        }
        self.taken += 1;
        self.changed.insert(place / SEGMENT);
        true
    }

    /// Takes the segments that changed since the last call, by number.
    pub(crate) fn save_changed(&mut self) -> Vec<(usize, Vec<u8>)> {
        let changed = std::mem::take(&mut self.changed);
        let save = |number: usize| {
            let content = self.ring.chunks(SEGMENT).nth(number).unwrap_or_default();
            let mut out = VERSION.to_le_bytes().to_vec();
            out.extend(self.taken.to_le_bytes());
            content.iter().for_each(|identity| out.extend(identity.to_le_bytes()));
            (number, out)
        };
        changed.into_iter().map(save).collect()
    }

    /// Restores a segment; segments come in ascending order and without gaps.
    pub(crate) fn load_segment(&mut self, number: usize, bytes: &[u8]) -> Result<(), SaveError> {
        let mut cursor = StateCursor::new(bytes);
        let version = cursor.u32()?;
        if version != VERSION {
            return Err(SaveError::Version { expected: VERSION, got: version });
        }
        let taken = cursor.u64()?;
        if number >= self.segments_max || self.ring.len() != number * SEGMENT {
            return Err(cursor.damaged());
        }
        while !cursor.is_at_end() && self.ring.len() < (number + 1) * SEGMENT {
            self.ring.push(cursor.u64()?);
        }
        if !cursor.is_at_end() {
            return Err(cursor.damaged());
        }
        // A segment says how far it had come when it was saved; the newest one knows most.
        self.taken = self.taken.max(taken);
        self.known.extend(self.ring.iter().skip(number * SEGMENT));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_first_and_saving_brings_all_back() {
        let (mut seen, mut saved) = (Seen::new(2), std::collections::BTreeMap::new());
        for identity in 0..20_000_u64 {
            assert!(seen.insert(identity), "{identity}");
            assert!(!seen.insert(identity), "{identity} again");
            if identity % 777 == 0 || identity == 19_999 {
                saved.extend(seen.save_changed());
            }
        }
        assert!(seen.save_changed().is_empty());
        let first = 20_000 - 2 * SEGMENT as u64;
        assert!(!seen.contains(first - 1) && seen.contains(first) && seen.contains(19_999));
        let mut loaded = Seen::new(2);
        for (number, bytes) in &saved {
            loaded.load_segment(*number, bytes).expect("it loads");
        }
        assert_eq!(loaded, seen);
        assert!(loaded.insert(20_000) && !loaded.contains(first), "the ring goes on where it was");
    }

    #[test]
    fn damaged_segments_are_refused() {
        let mut seen = Seen::new(1);
        seen.insert(5);
        let bytes = seen.save_changed().remove(0).1;
        for cut in 0..bytes.len() {
            let result = Seen::new(1).load_segment(0, &bytes[..cut]);
            assert_eq!(result.is_err(), cut != 12, "an empty segment is one: {cut}");
        }
        assert!(Seen::new(1).load_segment(1, &bytes).is_err(), "beyond the bound");
        assert!(Seen::new(2).load_segment(1, &bytes).is_err(), "a gap before it");
        let mut long = bytes.clone();
        long.extend(vec![0; 8 * SEGMENT]);
        assert!(Seen::new(1).load_segment(0, &long).is_err());
        let mut later = bytes;
        later[0] = 9;
        assert_eq!(Seen::new(1).load_segment(0, &later), Err(SaveError::Version { expected: 1, got: 9 }));
    }
}
