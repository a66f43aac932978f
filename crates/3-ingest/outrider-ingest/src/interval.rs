//! Sets of numbers as sorted, disjoint, non-touching closed intervals.

use outrider_model::SaveError;

/// Set of `u64` kept as intervals: small as long as numbers come mostly in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IntervalSet {
    intervals: Vec<(u64, u64)>,
}

impl IntervalSet {
    /// Adds a closed range and returns how many of its numbers are new. O(log n + joined).
    pub fn insert(&mut self, first: u64, last: u64) -> u64 {
        if first > last {
            return 0;
        }
        // Numbers mostly come in order: the last interval grows.
        if let Some(newest) = self.intervals.last_mut()
            && newest.1.checked_add(1) == Some(first)
        {
            newest.1 = last;
            return (last - first).saturating_add(1);
        }
        // Every interval that overlaps or touches [first, last] lies in this span.
        let start = self.intervals.partition_point(|&(_, end)| end.saturating_add(1) < first);
        let stop = self.intervals.partition_point(|&(begin, _)| begin <= last.saturating_add(1));
        let mut merged = (first, last);
        let mut known: u64 = 0;
        for &(begin, end) in &self.intervals[start..stop] {
            if begin <= last && end >= first {
                known = known.saturating_add(end.min(last) - begin.max(first)).saturating_add(1);
            }
            merged = (merged.0.min(begin), merged.1.max(end));
        }
        self.intervals.splice(start..stop, [merged]);
        (last - first).saturating_add(1).saturating_sub(known)
    }

    /// Returns whether a number is in the set. O(log n).
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        let index = self.intervals.partition_point(|&(_, end)| end < number);
        self.intervals.get(index).is_some_and(|&(begin, _)| begin <= number)
    }

    /// Returns the highest number `n` such that all of `1..=n` are in the set; 0 if 1 is missing.
    #[must_use]
    pub fn contiguous(&self) -> u64 {
        self.intervals.first().filter(|&&(begin, _)| begin <= 1).map_or(0, |&(_, end)| end)
    }

    /// Returns the highest number; 0 if the set is empty.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.intervals.last().map_or(0, |&(_, end)| end)
    }

    /// Returns the closed ranges missing in `1..=up_to`, ascending.
    pub fn holes(&self, up_to: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut next = 1u64;
        let ends = self.intervals.iter().copied().chain(std::iter::once((up_to.saturating_add(1), u64::MAX)));
        ends.filter_map(move |(begin, end)| {
            let hole = (next, begin.min(up_to.saturating_add(1)).saturating_sub(1));
            next = next.max(end.saturating_add(1));
            (hole.0 <= hole.1).then_some(hole)
        })
    }

    /// Returns the closed ranges of `first..=last` that are not in the set, ascending. O(log n + overlapping).
    pub fn holes_in(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let start = self.intervals.partition_point(|&(_, end)| end < first);
        let inside = self.intervals.iter().skip(start).copied().take_while(move |(begin, _)| *begin <= last);
        let mut next = Some(first);
        inside.map(Some).chain([None]).filter_map(move |interval| {
            let from = next?;
            match interval {
                Some((begin, end)) => {
                    next = end.checked_add(1);
                    (begin > from).then(|| (from, begin - 1))
                }
                None => (from <= last).then_some((from, last)),
            }
        })
    }

    /// Returns the intervals, ascending.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.intervals.iter().copied()
    }

    /// Returns how many numbers it holds. O(n).
    #[must_use]
    pub fn count(&self) -> u64 {
        self.intervals.iter().fold(0, |sum, (begin, end)| sum.saturating_add(end - begin).saturating_add(1))
    }

    /// Returns how many numbers of a closed range it holds. O(log n + overlapping).
    #[must_use]
    pub fn count_in(&self, first: u64, last: u64) -> u64 {
        let start = self.intervals.partition_point(|&(_, end)| end < first);
        let overlapping = self.intervals.iter().skip(start).take_while(|(begin, _)| *begin <= last);
        overlapping.fold(0, |sum, (begin, end)| {
            sum.saturating_add((*end).min(last) - (*begin).max(first)).saturating_add(1)
        })
    }

    /// Returns the number of intervals, the measure of memory.
    #[must_use]
    pub fn intervals(&self) -> usize {
        self.intervals.len()
    }

    /// Forgets the lowest intervals beyond this many.
    pub fn keep_highest(&mut self, intervals: usize) {
        self.intervals.drain(..self.intervals.len().saturating_sub(intervals));
    }

    /// Appends the set: a count, then begin and end of each interval, little endian.
    pub fn save(&self, out: &mut Vec<u8>) {
        let count = u32::try_from(self.intervals.len()).expect("a set has fewer than 2^32 intervals");
        out.extend_from_slice(&count.to_le_bytes());
        for (begin, end) in &self.intervals {
            out.extend_from_slice(&begin.to_le_bytes());
            out.extend_from_slice(&end.to_le_bytes());
        }
    }

    /// Reads a set from a cursor.
    ///
    /// # Errors
    /// [`SaveError::Damaged`] if bytes are missing or the intervals are not sorted and apart.
    pub fn load(cursor: &mut StateCursor<'_>) -> Result<Self, SaveError> {
        let count = cursor.u32()?;
        let mut intervals = Vec::new();
        let mut before: Option<u64> = None;
        for _ in 0..count {
            let (begin, end) = (cursor.u64()?, cursor.u64()?);
            if begin > end || before.is_some_and(|before| begin <= before.saturating_add(1)) {
                return Err(cursor.damaged());
            }
            before = Some(end);
            intervals.push((begin, end));
        }
        Ok(Self { intervals })
    }
}

/// Appends the number of entries that follow, as saved state has it.
pub(crate) fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).expect("each part of the state is bounded").to_le_bytes());
}

/// Reader over saved state; every read is checked.
#[derive(Debug)]
pub struct StateCursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> StateCursor<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns the error for the present position.
    #[must_use]
    pub const fn damaged(&self) -> SaveError {
        SaveError::Damaged { offset: self.at }
    }

    /// Returns whether everything was read.
    #[must_use]
    pub const fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Reads `N` bytes.
    ///
    /// # Errors
    /// [`SaveError::Damaged`] at the end.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], SaveError> {
        let end = self.at.checked_add(N).ok_or(self.damaged())?;
        let slice = self.bytes.get(self.at..end).ok_or(self.damaged())?;
        let array = slice.try_into().map_err(|_| self.damaged())?;
        self.at = end;
        Ok(array)
    }

    /// Reads a byte.
    ///
    /// # Errors
    /// [`SaveError::Damaged`] at the end.
    pub fn u8(&mut self) -> Result<u8, SaveError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Reads a little-endian number.
    ///
    /// # Errors
    /// [`SaveError::Damaged`] at the end.
    pub fn u32(&mut self) -> Result<u32, SaveError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Reads a little-endian number.
    ///
    /// # Errors
    /// [`SaveError::Damaged`] at the end.
    pub fn u64(&mut self) -> Result<u64, SaveError> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn holes_are_what_is_missing_up_to_the_bound() {
        let mut set = IntervalSet::default();
        assert_eq!(set.holes(3).collect::<Vec<_>>(), [(1, 3)]);
        set.insert(2, 3);
        set.insert(6, 6);
        assert_eq!(set.holes(8).collect::<Vec<_>>(), [(1, 1), (4, 5), (7, 8)]);
        assert_eq!(set.holes(6).collect::<Vec<_>>(), [(1, 1), (4, 5)]);
        assert_eq!(set.contiguous(), 0);
        set.insert(1, 1);
        assert_eq!((set.contiguous(), set.highest(), set.intervals()), (3, 6, 2));
    }

    #[test]
    fn the_end_of_the_range_does_not_wrap() {
        let mut set = IntervalSet::default();
        assert_eq!(set.insert(u64::MAX, u64::MAX), 1);
        assert_eq!(set.insert(u64::MAX - 1, u64::MAX), 1);
        assert!(set.contains(u64::MAX) && !set.contains(1));
        assert_eq!(set.insert(5, 4), 0, "an empty range adds nothing");
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_set_of_numbers(ranges in proptest::collection::vec((1u64..60, 0u64..9), 0..40)) {
            let (mut set, mut model) = (IntervalSet::default(), BTreeSet::new());
            for (first, length) in ranges {
                let before = model.len();
                model.extend(first..=first + length);
                prop_assert_eq!(set.insert(first, first + length), (model.len() - before) as u64);
            }
            for number in 0..80 {
                prop_assert_eq!(set.contains(number), model.contains(&number));
            }
            let inside: BTreeSet<u64> = set.holes_in(10, 30).flat_map(|(first, last)| first..=last).collect();
            prop_assert_eq!(inside, (10..=30).filter(|number| !model.contains(number)).collect::<BTreeSet<u64>>());
            prop_assert_eq!(set.count(), model.len() as u64);
            prop_assert_eq!(set.count_in(10, 30), model.range(10..=30).count() as u64);
            let missing: BTreeSet<u64> = (1..=80).filter(|number| !model.contains(number)).collect();
            let holes: BTreeSet<u64> = set.holes(80).flat_map(|(first, last)| first..=last).collect();
            prop_assert_eq!(missing, holes);
            let mut bytes = Vec::new();
            set.save(&mut bytes);
            prop_assert_eq!(IntervalSet::load(&mut StateCursor::new(&bytes)), Ok(set));
        }

        #[test]
        fn damaged_state_is_an_error_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = IntervalSet::load(&mut StateCursor::new(&bytes));
        }
    }
}
