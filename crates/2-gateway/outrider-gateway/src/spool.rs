//! The spool: what the vehicle keeps until the cloud has it.
//!
//! A bounded ring of segments on one medium. Each lane is a chain of sealed records, and so is the journal, which says
//! what is known of the lanes. A record is encrypted for the vehicle, and sealed by a key that the vehicle forgets every
//! [`SEAL_INTERVAL`] records, so that what stands there cannot be changed later, not even by the vehicle. The vehicle
//! reads with the first, a verifier who holds K0 checks the second ([`Verifying`]).
//!
//! **Invariants.** LOG-1: a number is given once; a boot never continues another's numbers. LOG-2: what a successful
//! flush covered is there after any power cut, until an acknowledgement covers it or a gap names it. LOG-5: rows are
//! given up only after a signed tombstone, or an account of their boot, that counts them is durable. BAL-1: received =
//! numbered + folded + lost without a number.

mod anchor;
mod audit;
mod bound;
mod config;
mod entry;
mod evict;
mod journal;
mod keys;
mod lane;
mod load;
mod lost;
mod query;
mod record;
mod recovery;
mod ring;
mod seal;
#[cfg(test)]
mod tests;
mod tombstone;

use std::collections::{BTreeMap, BTreeSet};

use outrider_types::{BootEpoch, ClockFix, Lane, Seq};
use outrider_wire::{Ack, BatchWriter, BootEnd, DropReason, limits};

pub use self::anchor::{
    Anchor, AnchorError, AnchorKind, AnchorStatus, Attestation, PROOF_BYTES_MAX, Raise, SoftwareAnchor,
};
pub use self::audit::{Audit, Finding, Verifying};
pub use self::bound::BOOTS_HELD_MAX;
pub use self::config::{Boot, SpoolConfig, SpoolKeys};
pub use self::entry::Floor;
use self::entry::{Entry, Heads};
pub use self::journal::ANCHOR_SEGMENTS;
use self::lane::LaneState;
pub use self::lost::LostBoots;
pub use self::record::Chain;
pub use self::recovery::Recovery;
use self::ring::Ring;
pub use self::ring::Wear;
pub use self::seal::SEAL_INTERVAL;
pub use self::tombstone::{Lost, TOMBSTONE_KINDS_MAX, Tombstone};
use crate::SecurityEvent;
use crate::storage::{Storage, StorageError};

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
            Self::Storage(StorageError::Outside(_) | StorageError::Locked | StorageError::Io { .. }) => {
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
pub struct Spool<S> {
    ring: Ring<S>,
    anchor: Box<dyn Anchor + Send + Sync>,
    lanes: BTreeMap<(BootEpoch, Lane), LaneState>,
    fixes: BTreeMap<BootEpoch, Vec<ClockFix>>,
    /// By kind of configuration.
    floors: BTreeMap<u8, Floor>,
    /// Accounts of boots of which nothing is held, by lane and first boot, until the cloud has them.
    lost: BTreeMap<(Lane, BootEpoch), LostBoots>,
    /// Segment of the journal from which on it is needed.
    snapshot_from: u64,
    /// Segments above it that hold parts of snapshots which were broken off.
    broken_off: BTreeSet<u64>,
    /// The journal goes on with a snapshot.
    is_snapshot_due: bool,
    /// Value and ends that the spool last raised the anchor over.
    anchored: Option<(u64, Heads)>,
    since_anchor: u64,
    /// Value and ends of a raising that a slow anchor has begun.
    raising: Option<(u64, Heads)>,
    anchor_status: AnchorStatus,
    attestation: Option<Attestation>,
    /// Hash over the ends of all chains, and the ends of past boots, as this boot found them.
    beginning: ([u8; 32], Vec<BootEnd>),
    /// The row that the medium did not answer for last, and how often in a row.
    unread: Option<((BootEpoch, Lane, Seq), u32)>,
}

impl<S> std::fmt::Debug for Spool<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("ring", &self.ring).field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

/// Most clock fixes kept of one boot: the first, and the latest ones.
const FIXES_KEPT: usize = 8;

/// Past boots whose ends a boot states: more than are cut short in a row without a word to the cloud (guess).
pub const BOOTS_TOLD: usize = 8;

impl<S: Storage> Spool<S> {
    /// Returns this boot's epoch.
    #[must_use]
    pub const fn epoch(&self) -> BootEpoch {
        self.ring.epoch
    }

    /// Returns the medium.
    #[must_use]
    pub const fn storage(&self) -> &S {
        &self.ring.storage
    }

    /// Closes the spool and returns the medium as it is; nothing is flushed.
    #[must_use]
    pub fn into_storage(self) -> S {
        self.ring.storage
    }

    /// Returns the medium, to inject faults.
    pub const fn storage_mut(&mut self) -> &mut S {
        &mut self.ring.storage
    }

    /// Returns the bytes of a lane's segments that cannot be had without loss.
    #[must_use]
    pub fn lane_bytes(&self, lane: Lane) -> u64 {
        self.used(lane) * self.ring.config.segment_bytes
    }

    /// Returns the bytes reserved for a lane; it may use more while nobody else needs them.
    #[must_use]
    pub const fn quota_bytes(&self, lane: Lane) -> u64 {
        self.ring.config.quota(lane)
    }

    /// Returns what was written in this boot.
    #[must_use]
    pub const fn wear(&self) -> Wear {
        self.ring.wear
    }

    /// Returns what is known of the anchor.
    #[must_use]
    pub const fn anchor_status(&self) -> &AnchorStatus {
        &self.anchor_status
    }

    /// Returns what the anchor said last in this boot.
    #[must_use]
    pub const fn attestation(&self) -> Option<&Attestation> {
        self.attestation.as_ref()
    }

    /// Returns how this boot began: the hash over the ends of all chains as the boot before left them, and the last
    /// numbers of up to [`BOOTS_TOLD`] past boots, newest first.
    #[must_use]
    pub fn beginning(&self) -> ([u8; 32], &[BootEnd]) {
        (self.beginning.0, &self.beginning.1)
    }

    /// Appends an event, gives it its number, and makes it durable if it is critical.
    ///
    /// # Errors
    /// [`AppendError`]; the event is then lost and counted.
    pub fn append(&mut self, event: &SecurityEvent) -> Result<Appended, AppendError> {
        let lane = event.lane;
        match self.try_append(event) {
            Ok(seq) => {
                let state = self.lanes.entry((self.ring.epoch, lane)).or_default();
                state.unreported = true;
                state.received = state.received.saturating_add(event.count);
                state.folded = state.folded.saturating_add(event.count.saturating_sub(1));
                // Others are durable with the next sync, or when a segment is full, which is 64 KiB at the latest.
                let durable = lane == Lane::Critical && self.ring.flush().is_ok();
                Ok(Appended { seq, durable })
            }
            Err((error, burnt)) => {
                let state = self.lanes.entry((self.ring.epoch, lane)).or_default();
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
        let epoch = self.ring.epoch;
        let state = self.lanes.entry((epoch, lane)).or_default();
        let seq = Seq(state.last_seq.saturating_add(1));
        let mut row = [0; limits::EVENT_BYTES_MAX];
        let mut writer = BatchWriter::new(&mut row);
        writer
            .event(&event.head(seq), event.wire_fields(), &event.context)
            .map_err(|error| (AppendError::Row(error), false))?;
        let entry = Entry::Event { seq, row: writer.finish().to_vec() };
        self.make_room(lane, entry.emit().1.len()).map_err(|error| (error, false))?;
        let place = self
            .ring
            .append(Chain::Lane(lane), &entry)
            .map_err(|(error, burnt)| (AppendError::Storage(error), burnt))?;
        self.ring.wear.rows += 1;
        if let Some(segment) = self.ring.segments.get_mut(&place.segment) {
            segment.live += 1;
        }
        let state = self.lanes.entry((epoch, lane)).or_default();
        state.last_seq = seq.0;
        state.rows.insert(seq.0, place);
        Ok(seq)
    }

    /// Finds room for a text: a new segment if the active one is full, an evicted one if the medium is.
    fn make_room(&mut self, lane: Lane, text_bytes: usize) -> Result<(), AppendError> {
        if self.ring.fits(Chain::Lane(lane), text_bytes) {
            return Ok(());
        }
        if !self.ring.could_fit(text_bytes) {
            return Err(AppendError::QuotaFull(lane));
        }
        if self.ring.resume(Chain::Lane(lane), text_bytes).map_err(AppendError::Storage)? {
            return Ok(());
        }
        let slot = self.allocate(lane)?;
        self.ring
            .begin_segment(Chain::Lane(lane), slot, record::Purpose::News)
            .map_err(AppendError::Storage)?;
        self.since_anchor += 1;
        if self.since_anchor >= ANCHOR_SEGMENTS {
            // An anchor that is away is tried again with the next segment; the log goes on.
            let _ = self.raise_anchor();
        }
        Ok(())
    }

    /// Makes everything appended so far durable, with the balances.
    ///
    /// # Errors
    /// [`StorageError`].
    pub fn sync(&mut self) -> Result<(), StorageError> {
        let unsaved = self.lanes.iter().filter(|(_, state)| state.unsaved);
        let unsaved: Vec<_> = unsaved.map(|(key, _)| *key).collect();
        let mut noted = Ok(());
        for (epoch, lane) in unsaved {
            noted = noted.and(self.note_balance(epoch, lane));
        }
        noted.and(self.ring.flush())
    }

    /// Writes a lane's balance and the gaps that the journal does not have.
    fn note_balance(&mut self, epoch: BootEpoch, lane: Lane) -> Result<(), StorageError> {
        let Some(state) = self.lanes.get(&(epoch, lane)) else { return Ok(()) };
        let (gaps, balance, told) = (state.unsaved_gaps.clone(), state.balance(), !state.unreported);
        for gap in &gaps {
            self.note(&Entry::Gap { epoch, gap: *gap })?;
        }
        self.note(&Entry::Balance { epoch, lane, told, balance })?;
        if let Some(state) = self.lanes.get_mut(&(epoch, lane)) {
            state.unsaved = false;
            state.unsaved_gaps.clear();
            state.saved_seq = balance.last_seq;
        }
        Ok(())
    }

    /// Records a reading of both clocks of this boot.
    ///
    /// # Errors
    /// [`StorageError`]; the reading is used all the same until the next boot.
    pub fn add_fix(&mut self, fix: ClockFix) -> Result<(), StorageError> {
        let epoch = self.ring.epoch;
        let fixes = self.fixes.entry(epoch).or_default();
        if fixes.len() >= FIXES_KEPT {
            fixes.remove(1);
        }
        fixes.push(fix);
        self.note(&Entry::Fix { epoch, fix })
    }

    /// Frees what a verified acknowledgement covers; nothing else does (LOG-2). Returns the number of rows freed.
    ///
    /// Watermarks of unknown boots are ignored: the cloud remembers longer than the vehicle. The caller has checked
    /// that the acknowledgement is for this vehicle.
    pub fn apply_watermark(&mut self, ack: &Ack<'_>) -> u64 {
        let mut count = 0;
        for mark in ack.watermarks() {
            let Some(state) = self.lanes.get_mut(&(mark.epoch, mark.lane)) else { continue };
            let before = state.freed;
            let freed = state.free(mark.contiguous);
            if state.freed == before {
                continue;
            }
            count += freed.len() as u64;
            for place in &freed {
                if let Some(segment) = self.ring.segments.get_mut(&place.segment) {
                    segment.live = segment.live.saturating_sub(1);
                }
            }
            // If this fails, the rows are sent once more after the next boot, which is harmless.
            let _ = self.note_balance(mark.epoch, mark.lane);
        }
        self.forget_finished();
        count
    }

    /// Records that the cloud has the lane heads and gaps of a boot as they are now; so does the next boot know.
    pub fn mark_reported(&mut self, epoch: BootEpoch) {
        for lane in Lane::ALL {
            let Some(state) = self.lanes.get_mut(&(epoch, lane)).filter(|state| state.unreported) else {
                continue;
            };
            state.unreported = false;
            // A past boot that is finished has a shorter record, which follows.
            if !(epoch != self.ring.epoch && state.is_finished()) {
                // If this fails, the next boot tells it once more.
                let _ = self.note_balance(epoch, lane);
            }
        }
        self.forget_finished();
    }
}
