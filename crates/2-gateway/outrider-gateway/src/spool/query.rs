//! What the uplink asks of the spool.

use outrider_types::{BootEpoch, ClockFix, Lane, Seq};
use outrider_wire::{DropCount, DropReason, Gap, LaneHead, SeqRange};

use super::entry::Entry;
use super::{Spool, Tombstone};
use crate::storage::{Storage, StorageError};

/// Times that a row is tried to be read from a medium that does not answer. With the uplink's backoff between them
/// that is more than an hour.
pub(super) const READ_TRIES: u32 = 16;

impl<S: Storage> Spool<S> {
    /// Returns the boots that have something to say, oldest first.
    #[must_use]
    pub fn epochs(&self) -> Vec<BootEpoch> {
        let told = self.lanes.iter().filter(|(_, state)| !state.forgotten);
        let mut epochs: Vec<BootEpoch> = told.map(|((epoch, _), _)| *epoch).collect();
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
        rows.fold((0, 0), |(count, bytes), (_, place)| (count + 1, bytes + u64::from(place.length)))
    }

    /// Returns the state of a lane and its losses, for a batch; `None` if nothing is left to say of it.
    #[must_use]
    pub fn head(&self, epoch: BootEpoch, lane: Lane) -> Option<(LaneHead, Vec<DropCount>)> {
        self.lanes
            .get(&(epoch, lane))
            .filter(|state| !state.forgotten)
            .map(|state| (state.head(lane), state.drop_counts()))
    }

    /// Returns the gaps of a boot that the cloud has not acknowledged.
    pub fn gaps(&self, epoch: BootEpoch) -> impl Iterator<Item = Gap> + '_ {
        Lane::ALL
            .into_iter()
            .filter_map(move |lane| self.lanes.get(&(epoch, lane)))
            .flat_map(|state| state.gaps.iter().copied())
    }

    /// Returns what stands behind the gaps of evicted rows that the cloud has not acknowledged, ascending a lane.
    pub fn tombstones(&self, epoch: BootEpoch) -> impl Iterator<Item = &Tombstone> + '_ {
        let states = Lane::ALL.into_iter().filter_map(move |lane| self.lanes.get(&(epoch, lane)));
        states.flat_map(|state| state.tombstones.iter())
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
        let found = match self.ring.read(place) {
            Ok(found) => found,
            Err(
                error @ (StorageError::Io { .. }
                | StorageError::Locked
                | StorageError::Full
                | StorageError::Outside(_)),
            ) => {
                let tries = match self.unread {
                    Some((row, tries)) if row == (epoch, lane, seq) => tries + 1,
                    Some(_) | None => 1,
                };
                if tries < READ_TRIES {
                    self.unread = Some(((epoch, lane, seq), tries));
                    return Err(error);
                }
                None
            }
        };
        self.unread = None;
        let entry = found.and_then(|found| Entry::parse(found.kind, &found.text));
        if let Some(Entry::Event { row, .. }) =
            entry.filter(|entry| matches!(entry, Entry::Event { seq: of, .. } if *of == seq))
        {
            return Ok(Some(row));
        }
        self.give_up(epoch, lane, seq);
        Ok(None)
    }

    pub(crate) fn give_up(&mut self, epoch: BootEpoch, lane: Lane, seq: Seq) {
        let Some(state) = self.lanes.get_mut(&(epoch, lane)) else { return };
        let Some(place) = state.rows.remove(&seq.0) else { return };
        if let Some(range) = SeqRange::new(seq, seq) {
            state.add_gap(Gap { lane, range, reason: Some(DropReason::Corrupt) });
        }
        state.lose(DropReason::Corrupt, 1);
        if let Some(segment) = self.ring.segments.get_mut(&place.segment) {
            segment.live = segment.live.saturating_sub(1);
        }
    }
}
