//! How far the worker is behind the log, partition by partition.

use outrider_model::{AppendError, EventLog, LogOffset, Partition};
use outrider_types::UnixMicros;

use super::status::PipelineStatus;

/// One partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionBacklog {
    /// Partition.
    pub partition: Partition,
    /// Offset after its newest record; `None` if the log does not say.
    pub head: Option<LogOffset>,
    /// First record that is not worked off.
    pub next: LogOffset,
    /// When the newest record that is worked off was accepted; `None` before the first one of this run.
    pub ingested_at: Option<UnixMicros>,
}

impl PartitionBacklog {
    /// Returns the offsets that wait; `None` if the log does not say.
    #[must_use]
    pub fn lag(&self) -> Option<u64> {
        self.head.map(|head| head.0.saturating_sub(self.next.0))
    }

    /// Returns whether records wait, or may wait.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.lag() != Some(0)
    }
}

/// All partitions, in order.
#[derive(Debug)]
pub struct Backlog {
    /// Partitions.
    pub partitions: Vec<PartitionBacklog>,
    /// Why the log does not say where partitions end; those after the first such one are not asked.
    pub trouble: Option<AppendError>,
}

impl Backlog {
    /// Asks the log for the end of each partition. May wait for a network.
    #[must_use]
    pub fn read(log: &dyn EventLog, status: &PipelineStatus) -> Self {
        let mut trouble = None;
        let partitions = status
            .partitions
            .iter()
            .map(|part| {
                let head = match &trouble {
                    Some(_) => None,
                    None => log.end(part.partition).map_err(|error| trouble = Some(error)).ok(),
                };
                let (partition, next) = (part.partition, part.next);
                PartitionBacklog { partition, head, next, ingested_at: part.ingested_at }
            })
            .collect();
        Self { partitions, trouble }
    }

    /// Returns the sum of the ends; where the log does not say, the worker's place stands for it.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.partitions.iter().map(|part| part.head.unwrap_or(part.next).0).sum()
    }

    /// Returns the sum of the offsets that wait.
    #[must_use]
    pub fn lag(&self) -> u64 {
        self.partitions.iter().filter_map(PartitionBacklog::lag).sum()
    }

    /// Returns the oldest of the newest records worked off, of the partitions that are behind.
    #[must_use]
    pub fn behind_since(&self) -> Option<UnixMicros> {
        let behind = self.partitions.iter().filter(|part| part.is_behind());
        behind.filter_map(|part| part.ingested_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(number: u16, head: Option<u64>, next: u64, at: i64) -> PartitionBacklog {
        PartitionBacklog {
            partition: Partition(number),
            head: head.map(LogOffset),
            next: LogOffset(next),
            ingested_at: Some(UnixMicros(at)),
        }
    }

    #[test]
    fn one_partition_that_is_ahead_does_not_hide_another_that_is_behind() {
        let backlog = |partitions| Backlog { partitions, trouble: None };
        let done = backlog(vec![part(0, Some(9), 9, 1), part(1, Some(4), 4, 2)]);
        assert_eq!((done.head(), done.lag(), done.behind_since()), (13, 0, None));
        // What came between the two questions: the worker is further than the end was.
        let uneven = backlog(vec![part(0, Some(9), 12, 1), part(1, Some(4), 1, 2)]);
        assert_eq!((uneven.lag(), uneven.behind_since()), (3, Some(UnixMicros(2))));
        let both = backlog(vec![part(0, Some(9), 8, 7), part(1, Some(4), 1, 2)]);
        assert_eq!((both.lag(), both.behind_since()), (4, Some(UnixMicros(2))));
        let unknown = backlog(vec![part(0, Some(9), 9, 7), part(1, None, 1, 2)]);
        assert_eq!((unknown.head(), unknown.lag(), unknown.behind_since()), (10, 0, Some(UnixMicros(2))));
    }
}
