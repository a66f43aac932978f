//! What the uplink asks of the spool.

use outrider_types::{BootEpoch, ClockFix, Lane, Seq};
use outrider_wire::{DropCount, DropReason, Gap, LaneHead, SeqRange};

use super::Spool;
use super::lane::Place;
use super::record::{Entry, Header, Record, read_record};
use crate::storage::{SegmentId, Storage, StorageError};

/// Times that a row is tried to be read from a medium that does not answer. With the uplink's backoff between them
/// that is more than an hour.
pub(super) const READ_TRIES: u32 = 16;

impl<S: Storage> Spool<S> {
    /// Returns the boots that have something to say, oldest first.
    #[must_use]
    pub fn epochs(&self) -> Vec<BootEpoch> {
        let mut epochs: Vec<BootEpoch> = self.lanes.keys().map(|(epoch, _)| *epoch).collect();
        epochs.dedup();
        epochs
    }

    /// Returns true if the heads or gaps of a boot changed since the cloud last acknowledged them.
    #[must_use]
    pub fn is_unreported(&self, epoch: BootEpoch) -> bool {
        Lane::ALL.iter().any(|lane| self.lanes.get(&(epoch, *lane)).is_some_and(|state| state.unreported))
    }

    /// Returns the lowest number held above `after`, or `None`.
    #[must_use]
    pub fn next_held(&self, epoch: BootEpoch, lane: Lane, after: u64) -> Option<Seq> {
        let state = self.lanes.get(&(epoch, lane))?;
        state.rows.range(after.checked_add(1)?..).next().map(|(seq, _)| Seq(*seq))
    }

    /// Returns how many rows and bytes a lane of a boot holds above `after`.
    #[must_use]
    pub fn held_after(&self, epoch: BootEpoch, lane: Lane, after: u64) -> (u64, u64) {
        let Some(state) = self.lanes.get(&(epoch, lane)) else { return (0, 0) };
        let rows = state.rows.range(after.saturating_add(1)..);
        rows.fold((0, 0), |(count, bytes), (_, place)| (count + 1, bytes + place.length as u64))
    }

    /// Returns the state of a lane and its losses, for a batch.
    #[must_use]
    pub fn head(&self, epoch: BootEpoch, lane: Lane) -> Option<(LaneHead, Vec<DropCount>)> {
        self.lanes.get(&(epoch, lane)).map(|state| (state.head(lane), state.drop_counts()))
    }

    /// Returns the gaps of a boot that the cloud has not acknowledged.
    pub fn gaps(&self, epoch: BootEpoch) -> impl Iterator<Item = Gap> + '_ {
        Lane::ALL
            .into_iter()
            .filter_map(move |lane| self.lanes.get(&(epoch, lane)))
            .flat_map(|state| state.gaps.iter().copied())
    }

    /// Returns the clock fixes of a boot.
    #[must_use]
    pub fn fixes(&self, epoch: BootEpoch) -> &[ClockFix] {
        self.fixes.get(&epoch).map_or(&[], Vec::as_slice)
    }

    /// Reads a row as a batch of one; `None` if the lane does not hold it or its content is damaged, which makes it
    /// a gap.
    ///
    /// # Errors
    /// [`StorageError`] if the medium does not answer: the row stays, to be read later. After [`READ_TRIES`] failures
    /// in a row it becomes a gap too, so that a dead sector does not hold up its lane for ever.
    pub fn read(&mut self, epoch: BootEpoch, lane: Lane, seq: Seq) -> Result<Option<Vec<u8>>, StorageError> {
        let place = self.lanes.get(&(epoch, lane)).and_then(|state| state.rows.get(&seq.0)).copied();
        let Some(place) = place else { return Ok(None) };
        let id = SegmentId { number: place.segment, lane };
        let bytes = match self.storage.read(id, place.offset, place.length) {
            Ok(bytes) => bytes,
            Err(error @ (StorageError::Io { .. } | StorageError::Locked | StorageError::Full)) => {
                let tries = match self.unread {
                    Some((row, tries)) if row == (epoch, lane, seq) => tries + 1,
                    Some(_) | None => 1,
                };
                if tries < READ_TRIES {
                    self.unread = Some(((epoch, lane, seq), tries));
                    return Err(error);
                }
                Vec::new()
            }
            Err(StorageError::Missing(_)) => Vec::new(),
        };
        self.unread = None;
        let row = self.check_row(epoch, lane, seq, place, &bytes);
        if row.is_none() {
            self.give_up(epoch, lane, seq);
        }
        Ok(row)
    }

    fn check_row(
        &self,
        epoch: BootEpoch,
        lane: Lane,
        seq: Seq,
        place: Place,
        bytes: &[u8],
    ) -> Option<Vec<u8>> {
        let segment = self.logs.get(&lane)?.segments.get(&place.segment)?;
        let id = SegmentId { number: place.segment, lane };
        let header = Header { id, epoch: segment.epoch, salt: segment.salt };
        match read_record(&header, place.offset, bytes)?.0 {
            Record { lane: of, epoch: boot, entry: Entry::Event { seq: number, row } } => {
                (of == lane && boot == epoch && number == seq).then(|| row.to_vec())
            }
            Record {
                entry:
                    Entry::Freed { .. }
                    | Entry::Counters { .. }
                    | Entry::Gap(_)
                    | Entry::Fix(_)
                    | Entry::Forgotten,
                ..
            } => None,
        }
    }

    pub(crate) fn give_up(&mut self, epoch: BootEpoch, lane: Lane, seq: Seq) {
        let Some(state) = self.lanes.get_mut(&(epoch, lane)) else { return };
        let Some(place) = state.rows.remove(&seq.0) else { return };
        if let Some(range) = SeqRange::new(seq, seq) {
            state.add_gap(Gap { lane, range, reason: Some(DropReason::Corrupt) });
        }
        state.lose(DropReason::Corrupt, 1);
        if let Some(segment) = self.log(lane).segments.get_mut(&place.segment) {
            segment.live = segment.live.saturating_sub(1);
        }
    }
}
