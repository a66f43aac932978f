//! Opening a spool: reads what is there, never stops at damage, begins a new boot.

use std::collections::BTreeMap;

use outrider_types::{BootEpoch, Lane};

use super::lane::{LaneLog, LaneState, Place, Segment};
use super::record::{Entry, Record, Scan, scan};
use super::{Spool, SpoolConfig};
use crate::storage::{SegmentId, Storage, StorageError};

/// What opening a spool found. Anything but zeros in the last four is worth a `gateway.spool_corruption` event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Epoch of this boot.
    pub epoch: BootEpoch,
    /// Segments read.
    pub segments: u64,
    /// Rows found that are not acknowledged.
    pub rows: u64,
    /// Bytes after the last whole record of a segment: what a power cut leaves of the last write.
    pub torn_bytes: u64,
    /// Bytes between whole records that belong to none.
    pub corrupt_bytes: u64,
    /// Segments whose header is broken in both copies.
    pub headless_segments: u64,
    /// Segments that the medium would not give out.
    pub unreadable_segments: u64,
    /// Numbers that were given, are not acknowledged and are not there: reported as gaps.
    pub lost_rows: u64,
}

/// Longest segment that is read at opening; longer ones are cut off there. Segments are closed far below.
const SEGMENT_READ_BYTES_MAX: usize = 16 << 20;

/// Boots whose balance is kept without rows: a year of two drives a day, about 100 KiB.
const EPOCHS_KEPT: usize = 730;

impl<S: Storage> Spool<S> {
    /// Opens a spool and begins a new boot, whose epoch is durable when this returns.
    ///
    /// `floor` is the lowest epoch to use, such as a hardware boot counter; it protects against a wiped medium.
    /// `salt` is any number that an attacker does not know; see the record format.
    ///
    /// # Errors
    /// [`StorageError`] if the medium cannot be listed or written. Damaged content is no error.
    pub fn open(
        storage: S,
        config: SpoolConfig,
        floor: BootEpoch,
        salt: u64,
    ) -> Result<(Self, Recovery), StorageError> {
        let ids = storage.list()?;
        let highest = ids.iter().map(|id| id.number).max().unwrap_or(0);
        let epoch = BootEpoch(highest.saturating_add(1).max(floor.0));
        let mut spool = Self {
            storage,
            config,
            epoch,
            salt,
            next_segment: epoch.0,
            logs: Lane::ALL.into_iter().map(|lane| (lane, LaneLog::default())).collect(),
            lanes: BTreeMap::new(),
            fixes: BTreeMap::new(),
            unread: None,
            scratch: Vec::new(),
        };
        let mut recovery = Recovery { epoch, ..Recovery::default() };
        for id in ids {
            spool.load(id, &mut recovery);
        }
        spool.settle(&mut recovery);
        spool.forget_oldest();
        spool.rotate(Lane::Critical)?;
        Ok((spool, recovery))
    }

    fn load(&mut self, id: SegmentId, recovery: &mut Recovery) {
        recovery.segments += 1;
        let Ok(bytes) = self.storage.read(id, 0, SEGMENT_READ_BYTES_MAX) else {
            recovery.unreadable_segments += 1;
            let segment = Segment { epoch: BootEpoch(0), salt: 0, length: 0, live: 0, unreadable: true };
            self.log(id.lane).segments.insert(id.number, segment);
            return;
        };
        let Scan { header, records, corrupt_bytes, tail_bytes } = scan(&bytes, id);
        recovery.corrupt_bytes += corrupt_bytes;
        recovery.torn_bytes += tail_bytes;
        if header.is_none() && bytes.len() as u64 >= Self::header_bytes() {
            recovery.headless_segments += 1;
        }
        let (epoch, salt) = header.map_or((BootEpoch(0), 0), |header| (header.epoch, header.salt));
        let segment = Segment { epoch, salt, length: bytes.len() as u64, live: 0, unreadable: false };
        self.log(id.lane).segments.insert(id.number, segment);
        for (record, offset, length) in records {
            // A segment holds its own lane only; anything else was never written by this program.
            if record.lane == id.lane {
                self.load_record(&record, Place { segment: id.number, offset, length });
            }
        }
    }

    fn load_record(&mut self, record: &Record<'_>, place: Place) {
        if let Entry::Fix(fix) = record.entry {
            let fixes = self.fixes.entry(record.epoch).or_default();
            if !fixes.contains(&fix) {
                fixes.push(fix);
                if fixes.len() > super::FIXES_KEPT {
                    fixes.remove(1);
                }
            }
            return;
        }
        if record.entry == Entry::Forgotten {
            self.lanes.remove(&(record.epoch, record.lane));
            return;
        }
        let state = self.lanes.entry((record.epoch, record.lane)).or_default();
        match record.entry {
            Entry::Event { seq, row } => {
                // Counters that come later in the log replace this.
                let count = outrider_wire::Batch::parse(row)
                    .ok()
                    .and_then(|batch| batch.events().next())
                    .and_then(Result::ok)
                    .map_or(1, |event| event.head.count);
                state.received = state.received.saturating_add(count);
                state.folded = state.folded.saturating_add(count.saturating_sub(1));
                state.last_seq = state.last_seq.max(seq.0);
                state.rows.insert(seq.0, place);
            }
            Entry::Freed { contiguous } => {
                state.freed = state.freed.max(contiguous);
                state.last_seq = state.last_seq.max(contiguous);
            }
            Entry::Counters { last_seq, received, folded, drops } => {
                state.last_seq = state.last_seq.max(last_seq);
                (state.received, state.folded, state.drops) = (received, folded, drops);
            }
            Entry::Gap(gap) => {
                state.last_seq = state.last_seq.max(gap.range.last().0);
                state.add_gap(gap);
            }
            Entry::Fix(_) | Entry::Forgotten => {}
        }
    }

    /// Forgets the balance of boots without rows beyond [`EPOCHS_KEPT`], so that years offline cannot fill the medium.
    fn forget_oldest(&mut self) {
        let epochs = self.epochs();
        let surplus = epochs.len().saturating_sub(EPOCHS_KEPT);
        if let Some(oldest_kept) = epochs.get(surplus).copied().filter(|_| surplus > 0) {
            self.lanes.retain(|(epoch, _), state| *epoch >= oldest_kept || !state.rows.is_empty());
        }
    }

    /// Drops what was acknowledged or given up, counts what remains and turns missing numbers into gaps.
    fn settle(&mut self, recovery: &mut Recovery) {
        for ((_, lane), state) in &mut self.lanes {
            let LaneState { rows, gaps, freed, .. } = state;
            rows.retain(|seq, _| {
                *seq > *freed && !gaps.iter().any(|gap| gap.range.contains(outrider_types::Seq(*seq)))
            });
            let freed = *freed;
            gaps.retain(|gap| gap.range.last().0 > freed);
            recovery.lost_rows += state.find_missing(*lane);
            // Rows that are lost were numbered; the counters that knew them may be lost as well.
            let numbered =
                state.last_seq.saturating_add(state.folded).saturating_add(unnumbered(&state.drops));
            state.received = state.received.max(numbered);
            state.unreported = true;
            recovery.rows += state.rows.len() as u64;
            if let Some(log) = self.logs.get_mut(lane) {
                for place in state.rows.values() {
                    if let Some(segment) = log.segments.get_mut(&place.segment) {
                        segment.live += 1;
                    }
                }
            }
        }
    }
}

/// Returns the losses of observations that never got a number.
pub(super) fn unnumbered(drops: &[u64]) -> u64 {
    use outrider_wire::DropReason;
    DropReason::ALL
        .into_iter()
        .zip(drops)
        .filter(|(reason, _)| !matches!(reason, DropReason::Evicted | DropReason::Corrupt))
        .map(|(_, count)| *count)
        .sum()
}
