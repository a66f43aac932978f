//! The spool: what the vehicle keeps until the cloud has it.
//!
//! Each lane has its own log of segments, so that one lane's rows can neither evict nor pin another's. A boot begins
//! with a new segment whose number, durable before the first row, is the boot's epoch: epochs grow although nothing but
//! segments is stored. Old segments are never written again, so that recovery only reads.
//!
//! **Invariants.** LOG-1: a number is given once; a boot never continues another's numbers. LOG-2: what a successful
//! sync covered is there after any power cut, until an acknowledgement covers it or a gap names it. BAL-1: received =
//! numbered + folded + lost without a number.

mod lane;
mod query;
mod record;
mod recovery;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use outrider_types::{BootEpoch, ClockFix, Lane, Seq};
use outrider_wire::{Ack, BatchWriter, DropReason, Gap, SeqRange, limits};

use self::lane::{LaneLog, LaneState, Place, Segment};
use self::record::{Entry, HEADER_BYTES, Header, RECORD_OVERHEAD_BYTES, Record};
pub use self::recovery::Recovery;
use crate::SecurityEvent;
use crate::storage::{SegmentId, Storage, StorageError};

/// Sizes of the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolConfig {
    /// Bytes reserved for each lane: critical, batched, deferred.
    pub quota_bytes: [u64; 3],
    /// Length at which a new segment is begun. At most an eighth of each quota is sensible: eviction frees whole segments.
    pub segment_bytes: u64,
}

impl Default for SpoolConfig {
    /// Three weeks of an ordinary vehicle (guess): 4, 8 and 16 MiB in segments of 256 KiB.
    fn default() -> Self {
        Self { quota_bytes: [4 << 20, 8 << 20, 16 << 20], segment_bytes: 256 << 10 }
    }
}

impl SpoolConfig {
    const fn quota(&self, lane: Lane) -> u64 {
        let [critical, batched, deferred] = self.quota_bytes;
        match lane {
            Lane::Critical => critical,
            Lane::Batched => batched,
            Lane::Deferred => deferred,
        }
    }
}

/// What became of an appended event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its number.
    pub seq: Seq,
    /// It survives a power cut. Critical events are durable at once unless the sync failed, others after
    /// [`Spool::sync`].
    pub durable: bool,
}

/// Why an event was lost; it is counted under [`AppendError::reason`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The row breaks a cap of the wire format.
    #[error("row cannot be written: {0}")]
    Row(outrider_wire::WriteError),
    /// The lane's quota is full.
    #[error("quota of lane {0} is full")]
    QuotaFull(Lane),
    /// The medium failed.
    #[error("spool medium: {0}")]
    Storage(StorageError),
}

impl AppendError {
    /// Returns the reason that the loss is counted under.
    #[must_use]
    pub const fn reason(&self) -> DropReason {
        match self {
            Self::Row(_) => DropReason::TooLarge,
            Self::QuotaFull(_) => DropReason::QuotaFull,
            Self::Storage(StorageError::Full) => DropReason::DeviceFull,
            Self::Storage(StorageError::Missing(_) | StorageError::Locked | StorageError::Io { .. }) => {
                DropReason::DeviceError
            }
        }
    }

    /// Returns the error's stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Row(error) => error.code(),
            Self::QuotaFull(_) => "spool.quota_full",
            Self::Storage(error) => error.code(),
        }
    }
}

/// Bounded, power-fail-safe store of events on their way to the cloud.
#[derive(Debug)]
pub struct Spool<S> {
    storage: S,
    config: SpoolConfig,
    epoch: BootEpoch,
    salt: u64,
    next_segment: u64,
    logs: BTreeMap<Lane, LaneLog>,
    lanes: BTreeMap<(BootEpoch, Lane), LaneState>,
    fixes: BTreeMap<BootEpoch, Vec<ClockFix>>,
    /// The row that the medium did not answer for last, and how often in a row.
    unread: Option<((BootEpoch, Lane, Seq), u32)>,
    scratch: Vec<u8>,
}

/// Most clock fixes kept of one boot: the first, and the latest ones.
const FIXES_KEPT: usize = 8;

impl<S: Storage> Spool<S> {
    /// Returns this boot's epoch.
    #[must_use]
    pub const fn epoch(&self) -> BootEpoch {
        self.epoch
    }

    /// Returns the medium.
    #[must_use]
    pub const fn storage(&self) -> &S {
        &self.storage
    }

    /// Closes the spool and returns the medium as it is; nothing is synced.
    #[must_use]
    pub fn into_storage(self) -> S {
        self.storage
    }

    /// Returns the medium, to inject faults.
    pub const fn storage_mut(&mut self) -> &mut S {
        &mut self.storage
    }

    /// Returns the bytes that a lane's segments take.
    #[must_use]
    pub fn lane_bytes(&self, lane: Lane) -> u64 {
        self.logs.get(&lane).map_or(0, LaneLog::bytes)
    }

    /// Returns the bytes reserved for a lane.
    #[must_use]
    pub const fn quota_bytes(&self, lane: Lane) -> u64 {
        self.config.quota(lane)
    }

    /// Appends an event, gives it its number, and makes it durable if it is critical.
    ///
    /// # Errors
    /// [`AppendError`]; the event is then lost and counted.
    pub fn append(&mut self, event: &SecurityEvent) -> Result<Appended, AppendError> {
        let lane = event.lane;
        match self.try_append(event) {
            Ok(seq) => {
                let state = self.lanes.entry((self.epoch, lane)).or_default();
                state.unreported = true;
                state.received = state.received.saturating_add(event.count);
                state.folded = state.folded.saturating_add(event.count.saturating_sub(1));
                let durable = lane == Lane::Critical && self.sync_active(lane).is_ok();
                Ok(Appended { seq, durable })
            }
            Err((error, burnt)) => {
                let state = self.lanes.entry((self.epoch, lane)).or_default();
                state.received = state.received.saturating_add(event.count);
                if burnt {
                    state.burn(lane, event.count);
                } else {
                    state.lose(error.reason(), event.count);
                }
                Err(error)
            }
        }
    }

    /// The flag of an error says that the event's number is used up: part of the record may stand on the medium.
    fn try_append(&mut self, event: &SecurityEvent) -> Result<Seq, (AppendError, bool)> {
        let lane = event.lane;
        let state = self.lanes.entry((self.epoch, lane)).or_default();
        let seq = Seq(state.last_seq.saturating_add(1));
        let mut row = [0; limits::EVENT_BYTES_MAX];
        let mut writer = BatchWriter::new(&mut row);
        writer
            .event(&event.head(seq), event.wire_fields(), &event.context)
            .map_err(|error| (AppendError::Row(error), false))?;
        let row = writer.finish();
        self.make_room(lane, (row.len() + RECORD_OVERHEAD_BYTES) as u64).map_err(|error| (error, false))?;
        // Not tainted now; if it is after a failed write, this record is why.
        let written = self.write(lane, self.epoch, Entry::Event { seq, row });
        let place = written.map_err(|error| (AppendError::Storage(error), self.log(lane).tainted))?;
        if let Some(segment) = self.log(lane).segments.get_mut(&place.segment) {
            segment.live += 1;
        }
        let state = self.lanes.entry((self.epoch, lane)).or_default();
        state.last_seq = seq.0;
        state.rows.insert(seq.0, place);
        Ok(seq)
    }

    fn log(&mut self, lane: Lane) -> &mut LaneLog {
        self.logs.entry(lane).or_default()
    }

    /// Finds room for a record: a new segment if the active one is full, an evicted segment if the quota is.
    fn make_room(&mut self, lane: Lane, bytes: u64) -> Result<(), AppendError> {
        let (quota, segment_bytes) = (self.config.quota(lane), self.config.segment_bytes);
        let log = self.log(lane);
        let length = log.active_length() + bytes;
        if log.active.is_none() || log.tainted || length > segment_bytes {
            self.rotate(lane).map_err(AppendError::Storage)?;
        }
        // Each round removes a segment, so the loop ends.
        while self.log(lane).bytes() + bytes > quota {
            // The critical lane keeps its oldest: how an attack began is worth more than its ten-thousandth repeat.
            if lane == Lane::Critical || !self.evict_oldest(lane) {
                return Err(AppendError::QuotaFull(lane));
            }
        }
        Ok(())
    }

    /// Begins a new segment with all that is known of the lane, then removes segments that hold nothing.
    fn rotate(&mut self, lane: Lane) -> Result<(), StorageError> {
        self.sync_active(lane)?;
        let id = SegmentId { number: self.next_segment, lane };
        let header = Header { id, epoch: self.epoch, salt: self.salt ^ id.number.rotate_left(32) };
        self.storage.create(id)?;
        self.next_segment += 1;
        let mut bytes = header.emit();
        self.put_snapshot(&header, &mut bytes);
        let written = self.storage.append(id, &bytes).and_then(|()| self.storage.sync(id));
        if let Err(error) = written {
            // Left behind if it cannot be removed: a segment without rows, which the next boot removes.
            let _ = self.storage.remove(id);
            return Err(error);
        }
        let length = bytes.len() as u64;
        let segment = Segment { epoch: self.epoch, salt: header.salt, length, live: 0, unreadable: false };
        let log = self.log(lane);
        log.segments.insert(id.number, segment);
        log.active = Some(header);
        log.tainted = false;
        log.dirty = false;
        for ((_, _), state) in self.lanes.iter_mut().filter(|((_, of), _)| *of == lane) {
            state.unsaved = false;
        }
        self.reap(lane);
        Ok(())
    }

    fn put_snapshot(&self, header: &Header, bytes: &mut Vec<u8>) {
        let lane = header.id.lane;
        let mut put = |epoch, entry| {
            let offset = bytes.len() as u64;
            Record { lane, epoch, entry }.emit(header, offset, bytes);
        };
        for ((epoch, _), state) in self.lanes.iter().filter(|((_, of), _)| *of == lane) {
            put(*epoch, Entry::Freed { contiguous: state.freed });
            put(*epoch, state.counters());
            for gap in &state.gaps {
                put(*epoch, Entry::Gap(*gap));
            }
        }
        if lane == Lane::Critical {
            for (epoch, fixes) in &self.fixes {
                for fix in fixes {
                    put(*epoch, Entry::Fix(*fix));
                }
            }
        }
    }

    /// Writes a record to the lane's active segment.
    fn write(&mut self, lane: Lane, epoch: BootEpoch, entry: Entry<'_>) -> Result<Place, StorageError> {
        if self.log(lane).active.is_none() || self.log(lane).tainted {
            self.rotate(lane)?;
        }
        let log = self.logs.entry(lane).or_default();
        let Some(header) = log.active else {
            return Err(StorageError::Missing(SegmentId { number: self.next_segment, lane }));
        };
        let offset = log.active_length();
        self.scratch.clear();
        Record { lane, epoch, entry }.emit(&header, offset, &mut self.scratch);
        log.dirty = true;
        if let Err(error) = self.storage.append(header.id, &self.scratch) {
            log.tainted = self.storage.truncate(header.id, offset).is_err();
            return Err(error);
        }
        let length = self.scratch.len();
        if let Some(segment) = log.segments.get_mut(&header.id.number) {
            segment.length += length as u64;
        }
        Ok(Place { segment: header.id.number, offset, length })
    }

    /// Makes everything appended so far durable, with the counters.
    ///
    /// # Errors
    /// [`StorageError`] of the first lane that failed; the others are tried all the same.
    pub fn sync(&mut self) -> Result<(), StorageError> {
        let mut first = Ok(());
        for lane in Lane::ALL {
            first = first.and(self.sync_lane(lane));
        }
        first
    }

    fn sync_lane(&mut self, lane: Lane) -> Result<(), StorageError> {
        let key = (self.epoch, lane);
        if let Some(entry) = self.lanes.get(&key).filter(|state| state.unsaved).map(LaneState::counters) {
            // Counters that do not fit any more are written with the next segment.
            if self.log(lane).active_length() >= self.config.segment_bytes {
                self.rotate(lane)?;
            }
            self.write(lane, self.epoch, entry)?;
            if let Some(state) = self.lanes.get_mut(&key) {
                state.unsaved = false;
            }
        }
        self.sync_active(lane)
    }

    fn sync_active(&mut self, lane: Lane) -> Result<(), StorageError> {
        let log = self.logs.entry(lane).or_default();
        if let Some(header) = log.active.filter(|_| log.dirty) {
            self.storage.sync(header.id)?;
            log.dirty = false;
        }
        Ok(())
    }

    /// Gives up the rows of the lane's oldest segment: the gap is durable before they go. False if there is none.
    fn evict_oldest(&mut self, lane: Lane) -> bool {
        let log = self.log(lane);
        let oldest =
            log.segments.iter().find(|(number, segment)| segment.live > 0 && !log.is_active(**number));
        let Some((number, epoch)) = oldest.map(|(number, segment)| (*number, segment.epoch)) else {
            return false;
        };
        let Some(state) = self.lanes.get_mut(&(epoch, lane)) else { return false };
        let lost: Vec<u64> =
            state.rows.iter().filter(|(_, place)| place.segment == number).map(|(seq, _)| *seq).collect();
        let mut gaps: Vec<SeqRange> = Vec::new();
        for seq in lost.iter().map(|seq| Seq(*seq)) {
            match gaps.last_mut() {
                Some(range) if range.last().next() == Some(seq) => {
                    *range = SeqRange::new(range.first(), seq).unwrap_or(*range);
                }
                Some(_) | None => gaps.extend(SeqRange::new(seq, seq)),
            }
        }
        let written = gaps.iter().try_for_each(|range| {
            let gap = Gap { lane, range: *range, reason: Some(DropReason::Evicted) };
            self.write(lane, epoch, Entry::Gap(gap)).map(|_| ())
        });
        if written.and_then(|()| self.sync_active(lane)).is_err() {
            return false;
        }
        if let Some(state) = self.lanes.get_mut(&(epoch, lane)) {
            for seq in &lost {
                state.rows.remove(seq);
            }
            for range in gaps {
                state.add_gap(Gap { lane, range, reason: Some(DropReason::Evicted) });
            }
            state.lose(DropReason::Evicted, lost.len() as u64);
        }
        if let Some(segment) = self.log(lane).segments.get_mut(&number) {
            segment.live = 0;
        }
        self.reap(lane);
        !self.log(lane).segments.contains_key(&number)
    }

    /// Removes segments that hold no row and are superseded by the snapshot of the active one.
    fn reap(&mut self, lane: Lane) {
        let log = self.logs.entry(lane).or_default();
        let Some(active) = log.active else { return };
        let empty: Vec<u64> = log
            .segments
            .iter()
            .filter(|(number, segment)| {
                segment.live == 0 && !segment.unreadable && **number != active.id.number
            })
            .map(|(number, _)| *number)
            .collect();
        // What says that their rows were acknowledged must be durable before they go.
        if empty.is_empty() || self.sync_active(lane).is_err() {
            return;
        }
        for number in empty {
            if self.storage.remove(SegmentId { number, lane }).is_ok() {
                self.log(lane).segments.remove(&number);
            }
        }
    }

    /// Records a reading of both clocks of this boot.
    ///
    /// # Errors
    /// [`StorageError`]; the reading is used all the same until the next boot.
    pub fn add_fix(&mut self, fix: ClockFix) -> Result<(), StorageError> {
        let fixes = self.fixes.entry(self.epoch).or_default();
        if fixes.len() >= FIXES_KEPT {
            fixes.remove(1);
        }
        fixes.push(fix);
        self.write(Lane::Critical, self.epoch, Entry::Fix(fix)).map(|_| ())
    }

    /// Frees what a verified acknowledgement covers; nothing else does (LOG-3). Returns the number of rows freed.
    ///
    /// Watermarks of unknown boots are ignored: the cloud remembers longer than the vehicle. The caller has checked
    /// that the acknowledgement is for this vehicle.
    pub fn apply_watermark(&mut self, ack: &Ack<'_>) -> u64 {
        let mut count = 0;
        for mark in ack.watermarks() {
            let Some(state) = self.lanes.get_mut(&(mark.epoch, mark.lane)) else { continue };
            let before = state.freed;
            let freed = state.free(mark.contiguous);
            let contiguous = state.freed;
            if contiguous == before {
                continue;
            }
            count += freed.len() as u64;
            let log = self.log(mark.lane);
            for place in &freed {
                if let Some(segment) = log.segments.get_mut(&place.segment) {
                    segment.live = segment.live.saturating_sub(1);
                }
            }
            // If this fails, the rows are sent once more after the next boot, which is harmless.
            if self.write(mark.lane, mark.epoch, Entry::Freed { contiguous }).is_ok() {
                self.reap(mark.lane);
            }
        }
        self.forget_finished();
        count
    }

    /// Records that the cloud has the lane heads and gaps of a boot as they are now.
    pub fn mark_reported(&mut self, epoch: BootEpoch) {
        for ((_, _), state) in self.lanes.iter_mut().filter(|((of, _), _)| *of == epoch) {
            state.unreported = false;
        }
        self.forget_finished();
    }

    fn forget_finished(&mut self) {
        let current = self.epoch;
        let finished =
            self.lanes.iter().filter(|((epoch, _), state)| *epoch != current && state.is_finished());
        let finished: Vec<(BootEpoch, Lane)> = finished.map(|(key, _)| *key).collect();
        for (epoch, lane) in finished {
            self.lanes.remove(&(epoch, lane));
            // If this fails, the next boot reports the same balance once more.
            let _ = self.write(lane, epoch, Entry::Forgotten);
        }
        let lanes = &self.lanes;
        self.fixes.retain(|epoch, _| *epoch == current || lanes.keys().any(|(of, _)| of == epoch));
    }

    const fn header_bytes() -> u64 {
        HEADER_BYTES as u64
    }
}
