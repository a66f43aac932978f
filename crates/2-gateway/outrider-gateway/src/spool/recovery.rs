//! Opening a spool: reads what is there, never stops at damage, begins a new boot. O(medium).

use std::collections::{BTreeMap, BTreeSet};

use outrider_types::{BootEpoch, Lane, Seq};
use outrider_wire::BootEnd;

use super::config::{Boot, KEY_AREA_BYTES, SpoolConfig};
use super::entry::{Entry, Head};
use super::journal::head_hash;
use super::keys::{KEY_STATE_BYTES, KeyState};
use super::lane::LaneState;
use super::record::{self, Chain, HEADER_BYTES};
use super::ring::{self, Ring, SEGMENT_BOOTS_MAX, Segment, Tail, Wear};
use super::seal::{RowKey, SEAL_INTERVAL, TAG_BYTES};
use super::{AnchorStatus, BOOTS_TOLD, Spool};
use crate::storage::{Storage, StorageError};

/// What opening a spool found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Epoch of this boot.
    pub epoch: BootEpoch,
    /// Segments read.
    pub segments: u64,
    /// Rows found that are not acknowledged.
    pub rows: u64,
    /// Bytes between whole records that belong to none.
    pub corrupt_bytes: u64,
    /// Slots with something in them that is no header of this vehicle: damage, a foreign medium, or a power cut while a
    /// segment was begun.
    pub headless_segments: u64,
    /// Segments that the medium would not give out.
    pub unreadable_segments: u64,
    /// Numbers that were given, are not acknowledged and are not there: reported as gaps.
    pub lost_rows: u64,
    /// Chains that end before the end that the journal names: records were taken away.
    pub truncated: Vec<Chain>,
    /// The counter is ahead of the spool by this much: the medium was set back, or another one put in its place.
    pub behind_anchor: u64,
    /// The counter is behind the spool by this much: it was reset.
    pub ahead_of_anchor: u64,
    /// The anchor did not answer; nothing is known of rollback.
    pub anchor_silent: bool,
    /// The seal keys were lost with a medium that holds segments: sealing began anew, and says so.
    pub keys_lost: bool,
}

impl Recovery {
    /// Returns the first thing that is worth a `gateway.spool_corruption` event, as its reason; `None` if all is well. A
    /// row that a power cut took before it was durable is nothing of the kind.
    #[must_use]
    pub fn damage(&self) -> Option<&'static str> {
        if self.behind_anchor > 0 {
            Some("rollback")
        } else if self.ahead_of_anchor > 0 {
            Some("anchor_reset")
        } else if !self.truncated.is_empty() {
            Some("truncated")
        } else if self.keys_lost {
            Some("keys_lost")
        } else if self.unreadable_segments > 0 {
            Some("unreadable")
        } else if self.corrupt_bytes > 0 || (self.headless_segments > 0 && self.lost_rows > 0) {
            Some("checksum")
        } else {
            None
        }
    }
}

impl<S: Storage> Spool<S> {
    /// Opens a spool and begins a new boot, whose epoch is durable when this returns.
    ///
    /// # Errors
    /// [`StorageError`] if the medium cannot be laid out or written. Damaged content is no error.
    pub fn open(storage: S, config: SpoolConfig, boot: Boot) -> Result<(Self, Recovery), StorageError> {
        let (mut spool, mut recovery) = Self::load(storage, config, boot)?;
        let previous = head_hash(&spool.ring.heads());
        spool.note(&Entry::Boot { previous })?;
        spool.beginning = (previous, spool.past_ends());
        // The epoch is durable before the first row.
        spool.ring.flush()?;
        spool.sync()?;
        spool.bound_boots();
        recovery.anchor_silent |= spool.raise_anchor().is_err();
        Ok((spool, recovery))
    }

    /// Returns the last numbers of the newest past boots, newest first.
    fn past_ends(&self) -> Vec<BootEnd> {
        let lanes = self.lanes.iter().rev();
        let ends = lanes.map(|((epoch, lane), state)| BootEnd {
            epoch: *epoch,
            lane: *lane,
            last_seq: state.last_seq,
        });
        let current = self.epoch();
        ends.filter(|end| end.epoch != current).take(BOOTS_TOLD * Lane::ALL.len()).collect()
    }

    /// Reads what is there; writes nothing but the medium's layout.
    pub(super) fn load(
        mut storage: S,
        config: SpoolConfig,
        boot: Boot,
    ) -> Result<(Self, Recovery), StorageError> {
        let config = config.bounded();
        storage.reserve(config.device_bytes())?;
        let Boot { floor, salt, keys, anchor } = boot;
        let mut recovery = Recovery::default();
        let (segments, unreadable) = headers(&storage, &config, &keys.secret, &mut recovery);
        let stored = [0, KEY_AREA_BYTES / 2]
            .into_iter()
            .filter_map(|offset| KeyState::parse(&storage.read(offset, KEY_STATE_BYTES).ok()?, &keys.secret));
        let state = stored.max_by_key(|state| state.version).unwrap_or_else(|| {
            recovery.keys_lost = !segments.is_empty();
            let last = segments.values().map(|segment| segment.header.generation).max();
            let generation = last.map_or(0, |last| last.saturating_add(1));
            KeyState::begin(&ring::root(&keys, generation), generation)
        });
        let counter = anchor.read();
        let is_new = anchor.is_new();
        let anchor_status = AnchorStatus {
            kind: anchor.kind(),
            counter: counter.as_ref().copied().ok(),
            raised: 0,
            failures: 0,
            failed: counter.as_ref().err().cloned(),
        };
        let next_number = segments.keys().next_back().copied().unwrap_or(0).saturating_add(1);
        let rows = RowKey::new(&keys.secret, BootEpoch(0), salt);
        let ring = Ring {
            storage,
            config,
            keys,
            epoch: BootEpoch(0),
            salt,
            generation: state.generation,
            next_number,
            segments,
            unreadable,
            stored: state.keys.each_ref().map(|key| key.index),
            key_version: state.version,
            tails: state.keys.map(|key| {
                let next_place = key.index * SEAL_INTERVAL;
                Tail::new(Head { next_place, seal: [0; TAG_BYTES] }, key)
            }),
            unflushed: 0,
            wear: Wear::default(),
            rows,
        };
        let mut spool = Self {
            ring,
            anchor,
            lanes: BTreeMap::new(),
            fixes: BTreeMap::new(),
            floors: BTreeMap::new(),
            lost: BTreeMap::new(),
            snapshot_from: 0,
            broken_off: BTreeSet::new(),
            is_snapshot_due: false,
            anchored: None,
            since_anchor: 0,
            raising: None,
            anchor_status,
            attestation: None,
            beginning: ([0; 32], Vec::new()),
            unread: None,
        };
        recovery.segments = spool.ring.segments.len() as u64;
        let headers = spool.ring.segments.values().map(|segment| segment.header.epoch.0).max().unwrap_or(0);
        spool.load_records(&mut recovery);
        spool.settle(&mut recovery);
        let boots = spool.ring.segments.values().flat_map(|segment| &segment.boots);
        let mut epochs = boots.map(|boot| boot.epoch.0).max().unwrap_or(0);
        if recovery.unreadable_segments > 0 || !recovery.truncated.is_empty() {
            // Boots that began in the part that cannot be read are among as many as a segment has.
            epochs = epochs.max(headers.saturating_add(SEGMENT_BOOTS_MAX as u64));
        }
        // Epochs outlive the medium if the counter does: it grows by one at least a boot.
        let counted = counter.as_ref().copied().unwrap_or(0);
        let epoch = BootEpoch(epochs.max(counted).saturating_add(1).max(floor.0));
        spool.ring.epoch = epoch;
        spool.ring.rows = RowKey::new(&spool.ring.keys.secret, epoch, salt);
        recovery.epoch = epoch;
        match counter {
            Err(_) => recovery.anchor_silent = true,
            // A counter that was made now knows nothing of this spool; a spool that knows of one lost it.
            Ok(_) if is_new => {
                recovery.ahead_of_anchor = spool.anchored.map_or(0, |(counter, _)| counter.max(1));
            }
            Ok(counter) => {
                let said = spool.anchored.map_or(0, |(counter, _)| counter);
                recovery.behind_anchor = counter.saturating_sub(said);
                recovery.ahead_of_anchor = said.saturating_sub(counter.saturating_add(1));
            }
        }
        Ok((spool, recovery))
    }

    /// Drops what was acknowledged or given up, counts what remains and turns missing numbers into gaps.
    fn settle(&mut self, recovery: &mut Recovery) {
        for ((_, lane), state) in self.lanes.iter_mut().filter(|(_, state)| !state.forgotten) {
            let LaneState { rows, gaps, tombstones, freed, .. } = state;
            rows.retain(|seq, _| *seq > *freed && !gaps.iter().any(|gap| gap.range.contains(Seq(*seq))));
            let freed = *freed;
            gaps.retain(|gap| gap.range.last().0 > freed);
            tombstones.retain(|tombstone| tombstone.range.last().0 > freed);
            recovery.lost_rows += state.find_missing(*lane);
            // Rows that are lost were numbered; the balance that knew them may be lost as well.
            let numbered =
                state.last_seq.saturating_add(state.folded).saturating_add(unnumbered(&state.drops));
            state.received = state.received.max(numbered);
            state.unreported &= !state.forgotten;
            recovery.rows += state.rows.len() as u64;
            for place in state.rows.values() {
                if let Some(segment) = self.ring.segments.get_mut(&place.segment) {
                    segment.live += 1;
                }
            }
        }
    }
}

/// Reads the header of each slot.
fn headers<S: Storage>(
    storage: &S,
    config: &SpoolConfig,
    secret: &[u8; 32],
    recovery: &mut Recovery,
) -> (BTreeMap<u64, Segment>, BTreeSet<u64>) {
    let (mut segments, mut unreadable) = (BTreeMap::new(), BTreeSet::new());
    for slot in 0..config.slots() {
        let Ok(bytes) = storage.read(KEY_AREA_BYTES + slot * config.segment_bytes, HEADER_BYTES) else {
            recovery.unreadable_segments += 1;
            unreadable.insert(slot);
            continue;
        };
        match record::Header::read(&bytes, secret).0 {
            Some(header) => {
                segments.insert(header.number, Segment::new(header, slot));
            }
            None => recovery.headless_segments += u64::from(bytes.iter().any(|byte| *byte != 0)),
        }
    }
    (segments, unreadable)
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
