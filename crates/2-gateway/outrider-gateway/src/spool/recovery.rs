//! Opening a spool: reads what is there, never stops at damage, begins a new boot. O(medium).

use std::collections::{BTreeMap, BTreeSet};

use outrider_types::{BootEpoch, Lane, Seq};
use outrider_wire::BootEnd;

use super::config::{Boot, KEY_AREA_BYTES, SpoolConfig};
use super::entry::{CLOSE, Entry, Floor, Head, Heads};
use super::journal::head_hash;
use super::keys::{KEY_STATE_BYTES, KeyState};
use super::lane::LaneState;
use super::record::{self, Chain, HEADER_BYTES, Header};
use super::ring::{self, Place, Ring, Segment, Tail, Wear};
use super::seal::{RowKey, SEAL_INTERVAL, TAG_BYTES};
use super::{AnchorStatus, BOOTS_TOLD, FIXES_KEPT, Spool};
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

/// What the journal says of the world around the lanes.
#[derive(Debug, Default)]
struct Said {
    heads: Option<Heads>,
    anchored: Option<(u64, Heads)>,
    snapshot_from: u64,
    begun: Option<u64>,
}

impl<S: Storage> Spool<S> {
    /// Opens a spool and begins a new boot, whose epoch is durable when this returns.
    ///
    /// # Errors
    /// [`StorageError`] if the medium cannot be laid out or written. Damaged content is no error.
    pub fn open(storage: S, config: SpoolConfig, boot: Boot) -> Result<(Self, Recovery), StorageError> {
        let (mut spool, mut recovery) = Self::load(storage, config, boot)?;
        let previous = head_hash(&spool.ring.heads());
        spool.turn_journal(Some(&Entry::Boot { previous }))?;
        spool.beginning = (previous, spool.past_ends());
        spool.sync()?;
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
        let epochs = segments.values().map(|segment| segment.header.epoch.0).max().unwrap_or(0);
        // Epochs outlive the medium if the counter does: it grows by one at least a boot.
        let epoch = epochs.max(counter.as_ref().copied().unwrap_or(0)).saturating_add(1).max(floor.0);
        let next_number = segments.keys().next_back().copied().unwrap_or(0).saturating_add(1);
        let rows = RowKey::new(&keys.secret, BootEpoch(epoch), salt);
        let ring = Ring {
            storage,
            config,
            keys,
            epoch: BootEpoch(epoch),
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
            snapshot_from: 0,
            anchored: None,
            since_anchor: 0,
            raising: None,
            anchor_status,
            attestation: None,
            beginning: ([0; 32], Vec::new()),
            unread: None,
        };
        recovery.epoch = spool.epoch();
        recovery.segments = spool.ring.segments.len() as u64;
        spool.load_records(&mut recovery);
        spool.settle(&mut recovery);
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

    fn load_records(&mut self, recovery: &mut Recovery) {
        let mut said = Said::default();
        // Keys are stored after the records that they sealed: a chain that ends before its key was cut.
        let mut ends = self.ring.tails.each_ref().map(|tail| (0, tail.key.index * SEAL_INTERVAL));
        // The journal first: balances say which rows count already.
        for chain in Chain::ALL.into_iter().rev() {
            let numbers: Vec<u64> = self.numbers(chain);
            let newest = numbers.last().copied();
            for number in numbers {
                let end = self.load_segment(number, &mut said, recovery);
                if let (Some(head), true) = (end, Some(number) == newest) {
                    self.continue_chain(chain, number, head);
                    if let Some(end) = ends.get_mut(usize::from(chain.code())) {
                        end.0 = head.next_place;
                    }
                }
            }
            if chain == Chain::Journal {
                for state in self.lanes.values_mut() {
                    state.unsaved_gaps.clear();
                    state.unsaved = false;
                }
            }
        }
        self.snapshot_from = said.snapshot_from;
        self.anchored = said.anchored;
        let heads = said.heads.unwrap_or_default();
        recovery.truncated = Chain::ALL
            .into_iter()
            .zip(heads.into_iter().zip(ends))
            .filter(|(_, (head, (found, keyed)))| *found < *keyed || *found < head.next_place)
            .map(|(chain, _)| chain)
            .collect();
    }

    fn numbers(&self, chain: Chain) -> Vec<u64> {
        let of_chain = self.ring.segments.iter().filter(|(_, segment)| segment.header.chain == chain);
        of_chain.map(|(number, _)| *number).collect()
    }

    /// Takes up the chain where its newest segment ends, but never in an interval whose key is forgotten.
    fn continue_chain(&mut self, chain: Chain, number: u64, head: Head) {
        let generation = self.ring.segments.get(&number).map(|segment| segment.header.generation);
        if generation != Some(self.ring.generation) {
            return;
        }
        let [critical, batched, deferred, journal] = &mut self.ring.tails;
        let tail = match chain {
            Chain::Lane(Lane::Critical) => critical,
            Chain::Lane(Lane::Batched) => batched,
            Chain::Lane(Lane::Deferred) => deferred,
            Chain::Journal => journal,
        };
        let next_place = head.next_place.max(tail.key.index * SEAL_INTERVAL);
        tail.head = Head { next_place, ..head };
        tail.key.evolve_to(next_place / SEAL_INTERVAL);
    }

    /// Reads the records of a segment; returns the chain's end as far as this segment has it.
    fn load_segment(&mut self, number: u64, said: &mut Said, recovery: &mut Recovery) -> Option<Head> {
        let segment = *self.ring.segments.get(&number)?;
        let Ok(found) = self.ring.scan(&segment) else {
            recovery.unreadable_segments += 1;
            self.ring.unreadable.insert(segment.slot);
            self.ring.segments.remove(&number);
            return None;
        };
        let mut head = Head { next_place: segment.header.first_place, seal: segment.header.seal };
        for found in found {
            recovery.corrupt_bytes += found.skipped as u64;
            let end = found.offset + found.length;
            if let Some(segment) = self.ring.segments.get_mut(&number) {
                segment.length = end;
            }
            let next_place = if found.kind == CLOSE {
                (found.place / SEAL_INTERVAL + 1) * SEAL_INTERVAL
            } else {
                found.place + 1
            };
            head = Head { next_place, seal: found.seal };
            let Some(entry) = Entry::parse(found.kind, &found.text) else { continue };
            let small = |number| u32::try_from(number).unwrap_or(u32::MAX);
            let place = Place { segment: number, offset: small(found.offset), length: small(found.length) };
            self.take(entry, &segment.header, place, said);
        }
        Some(head)
    }

    fn state(&mut self, epoch: BootEpoch, lane: Lane) -> &mut LaneState {
        self.lanes.entry((epoch, lane)).or_default()
    }

    fn take(&mut self, entry: Entry, header: &Header, place: Place, said: &mut Said) {
        match (entry, header.chain) {
            (Entry::Event { seq, row }, Chain::Lane(lane)) => {
                let count = outrider_wire::Batch::parse(&row)
                    .ok()
                    .and_then(|batch| batch.events().next())
                    .and_then(Result::ok)
                    .map_or(1, |event| event.head.count);
                let state = self.state(header.epoch, lane);
                if seq.0 > state.saved_seq {
                    state.received = state.received.saturating_add(count);
                    state.folded = state.folded.saturating_add(count.saturating_sub(1));
                }
                state.last_seq = state.last_seq.max(seq.0);
                state.rows.insert(seq.0, place);
            }
            (Entry::Event { .. }, Chain::Journal) => {}
            (Entry::Balance { epoch, lane, balance }, _) => {
                let state = self.state(epoch, lane);
                state.freed = state.freed.max(balance.freed);
                state.last_seq = state.last_seq.max(balance.last_seq).max(balance.freed);
                state.saved_seq = state.saved_seq.max(balance.last_seq);
                (state.received, state.folded, state.drops) =
                    (balance.received, balance.folded, balance.drops);
            }
            (Entry::Gap { epoch, gap }, _) => {
                let state = self.state(epoch, gap.lane);
                state.last_seq = state.last_seq.max(gap.range.last().0);
                state.add_gap(gap);
            }
            (Entry::Tombstone(tombstone), _) => {
                let state = self.state(tombstone.epoch, tombstone.lane);
                state.last_seq = state.last_seq.max(tombstone.range.last().0);
                let known: u64 = state.tombstones.iter().map(|old| overlap(old.range, tombstone.range)).sum();
                state.lose(tombstone.reason, tombstone.range.count().saturating_sub(known));
                state.bury(tombstone);
            }
            (Entry::Fix { epoch, fix }, _) => {
                let fixes = self.fixes.entry(epoch).or_default();
                if !fixes.contains(&fix) {
                    fixes.push(fix);
                    if fixes.len() > FIXES_KEPT {
                        fixes.remove(1);
                    }
                }
            }
            (Entry::Forgotten { epoch, lane }, _) => self.state(epoch, lane).forgotten = true,
            (Entry::Anchored { counter, heads }, _) => {
                said.anchored = Some((counter, heads));
                said.heads = Some(heads).filter(|_| header.generation == self.ring.generation);
            }
            (Entry::Close { heads: Some(heads), .. }, _) => {
                said.heads = Some(heads).filter(|_| header.generation == self.ring.generation);
            }
            (Entry::Floor { kind, floor }, _) => {
                let known = self.floors.entry(kind).or_default();
                *known = Floor { tried: known.tried.max(floor.tried), good: known.good.max(floor.good) };
            }
            (Entry::SnapshotBegin, _) => said.begun = Some(place.segment),
            (Entry::SnapshotEnd, _) => said.snapshot_from = said.begun.unwrap_or(said.snapshot_from),
            (Entry::Boot { .. } | Entry::Attested(_) | Entry::Close { heads: None, .. }, _) => {}
        }
    }

    /// Drops what was acknowledged or given up, counts what remains and turns missing numbers into gaps.
    fn settle(&mut self, recovery: &mut Recovery) {
        for ((_, lane), state) in &mut self.lanes {
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
            state.unreported = !state.forgotten;
            recovery.rows += state.rows.len() as u64;
            for place in state.rows.values() {
                if let Some(segment) = self.ring.segments.get_mut(&place.segment) {
                    segment.live += 1;
                }
            }
        }
    }
}

fn overlap(one: outrider_wire::SeqRange, two: outrider_wire::SeqRange) -> u64 {
    let (first, last) = (one.first().max(two.first()), one.last().min(two.last()));
    outrider_wire::SeqRange::new(first, last).map_or(0, outrider_wire::SeqRange::count)
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
                segments.insert(header.number, Segment { header, slot, length: HEADER_BYTES, live: 0 });
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
