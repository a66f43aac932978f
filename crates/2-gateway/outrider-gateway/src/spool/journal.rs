//! The journal: what is known of the lanes, written again before its slots run out.

use outrider_types::{BootEpoch, Lane, VehicleMicros};
use sha2::{Digest, Sha256};

use super::entry::{Entry, Floor, Heads, put_heads};
use super::lane::LaneState;
use super::record::{Chain, HEADER_BYTES, Purpose};
use super::seal::SEAL_INTERVAL;
use super::{AnchorError, Attestation, Raise, Spool};
use crate::storage::{Storage, StorageError};

/// Segments begun between two increments of the anchor: 1 MiB of rows. A TPM's NV counter stands about 100,000
/// increments (guess from data sheets of NV cells): two boots and three MiB a day wear half of it in 25 years.
pub const ANCHOR_SEGMENTS: u64 = 32;

/// Kinds of configuration that have a floor.
const FLOORS_MAX: usize = 8;

/// Returns the hash over the ends of all chains, which anchors attest and the next boot repeats.
pub(super) fn head_hash(heads: &Heads) -> [u8; 32] {
    let mut bytes = b"outrider spool heads".to_vec();
    put_heads(&mut bytes, heads);
    Sha256::digest(&bytes).into()
}

impl<S: Storage> Spool<S> {
    /// Writes an entry to the journal. Not durable before a flush.
    pub(super) fn note(&mut self, entry: &Entry) -> Result<(), StorageError> {
        let bytes = entry.emit().1.len();
        if self.is_snapshot_due || !self.ring.fits(Chain::Journal, bytes) {
            self.turn_journal(bytes)?;
        }
        self.ring.append(Chain::Journal, entry).map(|_| ()).map_err(|(error, _)| error)
    }

    /// Makes room for a text in the journal: in the segment that the boot before left, or in a new one. Writes all that is
    /// known again before slots run short.
    fn turn_journal(&mut self, bytes: usize) -> Result<(), StorageError> {
        if !self.is_snapshot_due && self.ring.resume(Chain::Journal, bytes)? {
            return Ok(());
        }
        if self.is_snapshot_due || self.free_journal_slots().len() as u64 <= self.snapshot_slots() + 1 {
            self.write_snapshot()?;
            if self.ring.fits(Chain::Journal, bytes) {
                return Ok(());
            }
        }
        self.begin_journal(Purpose::News)
    }

    /// Returns how many slots a snapshot may take: a third of the journal, so that it is written again only after as many
    /// segments of news, and so that there is room for one at any time, even if power goes in the middle of every try.
    pub(super) fn snapshot_slots(&self) -> u64 {
        let journal = self.ring.config.journal_slots();
        let broken = self.ring.unreadable.iter().filter(|slot| **slot < journal).count() as u64;
        let slots = journal.saturating_sub(broken);
        (slots.saturating_sub(1) / 3).max(2).min(slots.saturating_sub(2) / 2).max(1)
    }

    /// Returns the journal's slots whose content is needless, those that have been so for longest first: what stands before
    /// the snapshot, and the parts of snapshots that were broken off. Never the one that holds the chain's end.
    pub(super) fn free_journal_slots(&self) -> Vec<u64> {
        let newest = self.ring.newest(Chain::Journal);
        let mut by_slot = std::collections::BTreeMap::new();
        for (number, segment) in &self.ring.segments {
            if segment.header.chain == Chain::Journal {
                by_slot.insert(segment.slot, *number);
            }
        }
        let is_free = |number: u64| {
            Some(number) != newest && (number < self.snapshot_from || self.broken_off.contains(&number))
        };
        let mut free: Vec<(u64, u64)> = (0..self.ring.config.journal_slots())
            .filter(|slot| !self.ring.unreadable.contains(slot))
            .map(|slot| (by_slot.get(&slot).copied().unwrap_or(0), slot))
            .filter(|(number, _)| *number == 0 || is_free(*number))
            .collect();
        // Of broken snapshots the beginning goes last: it says what the rest is.
        free.sort_unstable_by_key(|(number, slot)| {
            let is_part = self.broken_off.contains(number);
            (is_part, if is_part { u64::MAX - number } else { *number }, *slot)
        });
        free.into_iter().map(|(_, slot)| slot).collect()
    }

    /// Begins a segment of the journal in a slot whose content is needless. There is always one, unless so many are broken
    /// that no snapshot fits; nothing that is needed is ever given up for it.
    fn begin_journal(&mut self, purpose: Purpose) -> Result<(), StorageError> {
        let slot = self.free_journal_slots().first().copied().ok_or(StorageError::Full)?;
        self.ring.begin_segment(Chain::Journal, slot, purpose)
    }

    /// Returns the bytes that can be noted before the next snapshot, at least.
    pub(super) fn journal_room(&self) -> u64 {
        if self.is_snapshot_due {
            return 0;
        }
        let free = self.free_journal_slots().len() as u64;
        // A record that does not fit leaves the rest of its segment empty.
        let segment = (self.ring.config.segment_bytes / 2).saturating_sub(HEADER_BYTES as u64);
        free.saturating_sub(self.snapshot_slots() + 1).saturating_mul(segment)
    }

    /// Writes all that is known into segments of its own. If that fails, or power goes, they hold nothing that is not known
    /// from before, and are used again; the journal goes on with another snapshot, never behind a part of one.
    pub(super) fn write_snapshot(&mut self) -> Result<(), StorageError> {
        self.is_snapshot_due = true;
        let from = self.ring.next_number;
        self.bound_state();
        let written = self.try_snapshot();
        if written.is_err() {
            let parts =
                self.ring.segments.range(from..).filter(|(_, part)| part.header.chain == Chain::Journal);
            self.broken_off.extend(parts.map(|(number, _)| *number));
            self.ring.tail_mut(Chain::Journal).active = None;
            return written;
        }
        self.is_snapshot_due = false;
        self.snapshot_from = from;
        self.broken_off.clear();
        for state in self.lanes.values_mut() {
            state.unsaved = false;
            state.unsaved_gaps.clear();
            state.saved_seq = state.last_seq;
        }
        Ok(())
    }

    fn try_snapshot(&mut self) -> Result<(), StorageError> {
        self.begin_journal(Purpose::Snapshot)?;
        for entry in &self.snapshot() {
            if !self.ring.fits(Chain::Journal, entry.emit().1.len()) {
                self.begin_journal(Purpose::SnapshotRest)?;
            }
            if matches!(entry, Entry::SnapshotEnd) {
                // Where the end stands, all stands.
                self.ring.flush()?;
            }
            self.ring.append(Chain::Journal, entry).map_err(|(error, _)| error)?;
        }
        self.ring.flush()
    }

    pub(super) fn snapshot(&self) -> Vec<Entry> {
        let mut entries = vec![Entry::SnapshotBegin];
        entries.extend(self.lost.values().cloned().map(Entry::LostBoots));
        for ((epoch, lane), state) in self.lanes.iter().filter(|(_, state)| !state.forgotten) {
            let (epoch, lane) = (*epoch, *lane);
            entries.extend(state.tombstones.iter().cloned().map(Entry::Tombstone));
            entries.extend(state.gaps.iter().map(|gap| Entry::Gap { epoch, gap: *gap }));
            // Last, for a tombstone that is read counts its rows until a balance does.
            entries.push(Entry::Balance { epoch, lane, told: !state.unreported, balance: state.balance() });
        }
        for (epoch, fixes) in &self.fixes {
            entries.extend(fixes.iter().map(|fix| Entry::Fix { epoch: *epoch, fix: *fix }));
        }
        entries.extend(self.floors.iter().map(|(kind, floor)| Entry::Floor { kind: *kind, floor: *floor }));
        if let Some((counter, heads)) = self.anchored {
            entries.push(Entry::Anchored { counter, heads });
        }
        entries.push(Entry::SnapshotEnd);
        entries
    }

    pub(super) fn drop_fixes(&mut self) {
        let (lanes, current) = (&self.lanes, self.ring.epoch);
        let told = |epoch: &BootEpoch| lanes.iter().any(|((of, _), state)| of == epoch && !state.forgotten);
        self.fixes.retain(|epoch, _| *epoch == current || told(epoch));
    }

    /// Raises the anchor over the spool's end: what stands now cannot be taken away unseen.
    ///
    /// The value is durable in the spool before the counter grows, so that a power cut between them leaves the spool one
    /// ahead, and a spool behind the counter is always one that was set back. A slow anchor only begins here, and
    /// [`Spool::poll_anchor`] ends it; until then there is no second raising.
    ///
    /// # Errors
    /// [`AnchorError`] of the counter, or of the medium. It is counted in [`Spool::anchor_status`].
    pub fn raise_anchor(&mut self) -> Result<(), AnchorError> {
        if self.raising.is_some() {
            return Ok(());
        }
        let done = self.try_raise();
        self.tell_anchor(done)
    }

    fn try_raise(&mut self) -> Result<(), AnchorError> {
        self.save_numbers();
        self.sync().map_err(AnchorError::medium)?;
        let counter = self.anchor.read()?.saturating_add(1);
        let heads = self.ring.heads();
        self.note(&Entry::Anchored { counter, heads }).map_err(AnchorError::medium)?;
        self.ring.flush().map_err(AnchorError::medium)?;
        self.anchored = Some((counter, heads));
        match self.anchor.raise(&head_hash(&heads))? {
            Raise::Done(attestation) => self.finish_raise(counter, heads, attestation),
            Raise::Begun => {
                self.raising = Some((counter, heads));
                self.since_anchor = 0;
                Ok(())
            }
        }
    }

    /// Takes what a slow anchor has to say; call it a few times a second.
    ///
    /// # Errors
    /// As [`Spool::raise_anchor`].
    pub fn poll_anchor(&mut self) -> Result<(), AnchorError> {
        let Some((counter, heads)) = self.raising else { return Ok(()) };
        let Some(done) = self.anchor.poll() else { return Ok(()) };
        self.raising = None;
        let done = done.and_then(|attestation| self.finish_raise(counter, heads, attestation));
        if done.is_err() {
            // With the next segment it is tried again.
            self.since_anchor = ANCHOR_SEGMENTS;
        }
        self.tell_anchor(done)
    }

    fn finish_raise(
        &mut self,
        counter: u64,
        heads: Heads,
        mut attestation: Attestation,
    ) -> Result<(), AnchorError> {
        self.since_anchor = 0;
        attestation.proof.truncate(super::anchor::PROOF_BYTES_MAX);
        let got = attestation.counter;
        if got > counter {
            // Or the next boot would take its own spool for one that was set back.
            self.note(&Entry::Anchored { counter: got, heads }).map_err(AnchorError::medium)?;
            self.anchored = Some((got, heads));
        }
        self.note(&Entry::Attested(attestation.clone())).map_err(AnchorError::medium)?;
        self.attestation = Some(attestation);
        self.anchor_status.counter = Some(got);
        let error = |reason| AnchorError { reason, detail: format!("counter is {got}, expected {counter}") };
        match got.cmp(&counter) {
            std::cmp::Ordering::Equal => Ok(()),
            std::cmp::Ordering::Less => Err(error("behind")),
            std::cmp::Ordering::Greater => Err(error("raised")),
        }
    }

    fn tell_anchor(&mut self, done: Result<(), AnchorError>) -> Result<(), AnchorError> {
        self.anchor_status.failed = done.as_ref().err().cloned();
        match &done {
            Ok(()) if self.raising.is_none() => self.anchor_status.raised += 1,
            Ok(()) => {}
            Err(_) => self.anchor_status.failures += 1,
        }
        done
    }

    /// Raises the floor of a kind of configuration and makes it durable; what it has is never lowered.
    ///
    /// # Errors
    /// [`StorageError`]; the floor holds until the next boot.
    pub fn raise_floor(&mut self, kind: u8, floor: Floor) -> Result<(), StorageError> {
        let known = self.floors.get(&kind).copied().unwrap_or_default();
        let floor = Floor { tried: known.tried.max(floor.tried), good: known.good.max(floor.good) };
        if floor == known || (self.floors.len() >= FLOORS_MAX && !self.floors.contains_key(&kind)) {
            return Ok(());
        }
        self.floors.insert(kind, floor);
        self.note(&Entry::Floor { kind, floor })?;
        self.ring.flush()
    }

    /// Returns the floor of a kind of configuration, as far as this medium knows.
    #[must_use]
    pub fn floor(&self, kind: u8) -> Floor {
        self.floors.get(&kind).copied().unwrap_or_default()
    }

    /// Has the next sync write the numbers given: a lane whose tail is cut is then short of them.
    fn save_numbers(&mut self) {
        for state in self.lanes.values_mut() {
            state.unsaved |= state.last_seq > state.saved_seq;
        }
    }

    /// Seals the time that has passed, however little happened: ends each chain's interval, so that its key is
    /// forgotten, and names the ends of all chains in the journal.
    ///
    /// # Errors
    /// [`StorageError`]; the next heartbeat seals the longer time.
    pub fn heartbeat(&mut self, now: VehicleMicros) -> Result<(), StorageError> {
        for chain in Lane::ALL.map(Chain::Lane) {
            let tail = self.ring.tail(chain);
            // An idle lane's last interval is closed once. A lane that was not written in this boot has no segment.
            if tail.active.is_some() && !tail.head.next_place.is_multiple_of(SEAL_INTERVAL) {
                self.ring
                    .append(chain, &Entry::Close { at: now, heads: None })
                    .map_err(|(error, _)| error)?;
            }
        }
        self.save_numbers();
        self.sync()?;
        self.note(&Entry::Close { at: now, heads: Some(self.ring.heads()) })?;
        self.ring.flush()
    }

    pub(super) fn forget_finished(&mut self) {
        let current = self.epoch();
        let finished = |epoch, state: &LaneState| epoch != current && !state.forgotten && state.is_finished();
        let finished: Vec<(BootEpoch, Lane)> = self
            .lanes
            .iter()
            .filter(|((epoch, _), state)| finished(*epoch, state))
            .map(|(key, _)| *key)
            .collect();
        for (epoch, lane) in finished {
            if let Some(state) = self.lanes.get_mut(&(epoch, lane)) {
                state.forgotten = true;
            }
            // If this fails, the next boot reports the same balance once more.
            let _ = self.note(&Entry::Forgotten { epoch, lane });
        }
        self.drop_fixes();
    }
}
