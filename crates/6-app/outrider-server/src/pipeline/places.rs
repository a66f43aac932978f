//! How far each partition is worked off.

use std::collections::BTreeMap;

use outrider_model::{LogOffset, Partition};
use outrider_types::UnixMicros;

use super::status::PartitionStatus;

/// One partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) partition: Partition,
    /// First record that is not worked off.
    pub(super) next: LogOffset,
    /// First record that the lake does not have.
    pub(super) lake_next: LogOffset,
    /// End of the log when the worker began: what came before it is replay.
    pub(super) replay_end: LogOffset,
    /// When the newest record that is worked off was accepted.
    pub(super) ingested: Option<UnixMicros>,
}

impl Place {
    /// Returns how many offsets from `next` on the lake has already.
    pub(super) fn covered(self) -> usize {
        usize::try_from(self.lake_next.0.saturating_sub(self.next.0)).unwrap_or(usize::MAX)
    }
}

/// All partitions that this process works on, in order.
#[derive(Debug, Default)]
pub(super) struct Places(Vec<Place>);

impl Places {
    pub(super) const fn new(places: Vec<Place>) -> Self {
        Self(places)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn at(&self, index: usize) -> Place {
        self.0[index]
    }

    pub(super) fn at_mut(&mut self, index: usize) -> &mut Place {
        &mut self.0[index]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Place> {
        self.0.iter()
    }

    /// Returns the sum of what is worked off: it only grows, and with one partition it is that one's offset.
    pub(super) fn total_next(&self) -> LogOffset {
        LogOffset(self.0.iter().map(|place| place.next.0).sum())
    }

    /// Returns the sum of what the lake has.
    pub(super) fn total_lake(&self) -> LogOffset {
        LogOffset(self.0.iter().map(|place| place.lake_next.0).sum())
    }

    /// Returns [`Self::total_next`] as it will be when a partition is worked off up to `next`.
    pub(super) fn total_with(&self, index: usize, next: LogOffset) -> LogOffset {
        LogOffset(self.total_next().0 - self.0[index].next.0 + next.0)
    }

    /// Returns the first record that is not worked off, of each partition.
    pub(super) fn next(&self) -> BTreeMap<Partition, LogOffset> {
        self.0.iter().map(|place| (place.partition, place.next)).collect()
    }

    /// Returns what the health page shows of each partition.
    pub(super) fn statuses(&self) -> Vec<PartitionStatus> {
        let status = |place: &Place| PartitionStatus {
            partition: place.partition,
            next: place.next,
            lake_next: place.lake_next,
            ingested_at: place.ingested,
        };
        self.0.iter().map(status).collect()
    }

    /// Returns whether everything of before the start is worked off once the partition is so up to `next`.
    pub(super) fn is_replayed_with(&self, index: usize, next: LogOffset) -> bool {
        let others = self.0.iter().enumerate().filter(|(other, _)| *other != index);
        next >= self.0[index].replay_end
            && others.map(|(_, place)| place).all(|place| place.next >= place.replay_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: u16, next: u64, lake_next: u64, replay_end: u64) -> Place {
        Place {
            partition: Partition(number),
            next: LogOffset(next),
            lake_next: LogOffset(lake_next),
            replay_end: LogOffset(replay_end),
            ingested: None,
        }
    }

    #[test]
    fn sums_grow_with_each_partition_and_are_the_offset_of_a_single_one() {
        let one = Places::new(vec![place(0, 7, 9, 9)]);
        assert_eq!(
            (one.total_next(), one.total_lake(), one.at(0).covered()),
            (LogOffset(7), LogOffset(9), 2)
        );
        assert_eq!(one.total_with(0, LogOffset(8)), LogOffset(8));
        let mut two = Places::new(vec![place(0, 7, 9, 9), place(1, 100, 90, 101)]);
        assert_eq!((two.total_next(), two.total_with(1, LogOffset(105))), (LogOffset(107), LogOffset(112)));
        assert_eq!(two.at(1).covered(), 0, "a lake that is behind covers nothing");
        assert!(!two.is_replayed_with(1, LogOffset(101)), "the other is not");
        two.at_mut(0).next = LogOffset(9);
        assert!(!two.is_replayed_with(1, LogOffset(100)));
        assert!(two.is_replayed_with(1, LogOffset(101)));
        assert_eq!(
            two.next(),
            BTreeMap::from([(Partition(0), LogOffset(9)), (Partition(1), LogOffset(100))])
        );
    }
}
