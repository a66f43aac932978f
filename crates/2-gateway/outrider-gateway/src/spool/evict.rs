//! Who makes room for whom.
//!
//! A lane may borrow slots that nobody uses, but never what a lower lane has reserved, for it could not get them back:
//! a higher lane evicts a lower one that has more than its quota, never the other way round. Victims are segments: first
//! the lowest lane's oldest acknowledged one, then the lowest lane's oldest that may be taken.

use std::collections::{BTreeMap, BTreeSet};

use outrider_types::{BootEpoch, Lane, Seq};
use outrider_wire::{DropReason, SIGNATURE_BYTES, SeqRange};

use super::entry::Entry;
use super::lane::LaneState;
use super::lost::LostBoots;
use super::record::{Chain, RECORD_OVERHEAD_BYTES};
use super::ring::Segment;
use super::tombstone::Tombstone;
use super::{AppendError, Spool};
use crate::storage::Storage;

/// Lanes from the one that gives first.
const LOWEST_FIRST: [Lane; 3] = [Lane::Deferred, Lane::Batched, Lane::Critical];

impl<S: Storage> Spool<S> {
    /// Segments of a lane, oldest first, that may be taken: not the one that holds the chain's end.
    fn takeable(&self, lane: Lane) -> impl Iterator<Item = (u64, &Segment)> {
        let newest = self.ring.newest(Chain::Lane(lane));
        let segments =
            self.ring.segments.iter().filter(move |(_, segment)| segment.header.chain == Chain::Lane(lane));
        segments
            .map(|(number, segment)| (*number, segment))
            .filter(move |(number, _)| Some(*number) != newest)
    }

    /// Returns the slots of a lane that cannot be had without loss.
    pub(super) fn used(&self, lane: Lane) -> u64 {
        let newest = u64::from(self.ring.newest(Chain::Lane(lane)).is_some());
        newest + self.takeable(lane).filter(|(_, segment)| segment.live > 0).count() as u64
    }

    fn acknowledged(&self) -> Option<u64> {
        LOWEST_FIRST.into_iter().find_map(|lane| {
            let slot = self.takeable(lane).find(|(_, segment)| segment.live == 0);
            slot.map(|(_, segment)| segment.slot)
        })
    }

    /// Returns the slots that no segment uses, ascending.
    fn empty(&self) -> impl Iterator<Item = u64> {
        let used: std::collections::BTreeSet<u64> = self
            .ring
            .segments
            .values()
            .map(|segment| segment.slot)
            .chain(self.ring.unreadable.iter().copied())
            .collect();
        let slots = self.ring.config.journal_slots()..self.ring.config.slots();
        slots.filter(move |slot| !used.contains(slot))
    }

    /// Finds a slot for the next segment of a lane, evicting if need be.
    pub(super) fn allocate(&mut self, lane: Lane) -> Result<u64, AppendError> {
        if self.is_snapshot_due {
            // What it gives up is not to be overwritten before it says so.
            self.write_snapshot().map_err(AppendError::Storage)?;
        }
        let config = self.ring.config;
        let free = self.empty().count() as u64
            + Lane::ALL
                .into_iter()
                .map(|lane| self.takeable(lane).filter(|(_, segment)| segment.live == 0).count() as u64)
                .sum::<u64>();
        let owed: u64 = LOWEST_FIRST
            .into_iter()
            .take_while(|lower| *lower != lane)
            .map(|lower| config.lane_slots(lower).saturating_sub(self.used(lower)))
            .sum();
        if free > owed
            && let Some(slot) = self.empty().next().or_else(|| self.acknowledged())
        {
            return Ok(slot);
        }
        let within = self.used(lane) < config.lane_slots(lane);
        for victim in LOWEST_FIRST {
            let over = self.used(victim) > config.lane_slots(victim);
            // What a lower lane borrowed may be owed to a third one. Its own rows go last, and not while it has room to claim.
            let may = if victim == lane { !within } else { over && (within || free >= owed) };
            if may && let Some(slot) = self.evict(victim) {
                return Ok(slot);
            }
            if victim == lane {
                break;
            }
        }
        // Within its quota and nobody over theirs: what is free is its own, unless slots are broken.
        let slot = self.empty().next().or_else(|| self.acknowledged()).filter(|_| within);
        if let Some(slot) = slot.or_else(|| self.evict(lane)) {
            return Ok(slot);
        }
        Err(AppendError::QuotaFull(lane))
    }

    /// Gives up the rows of one segment of a lane; what says so is durable before they go. Returns its slot.
    ///
    /// The critical lane keeps its first half quota, how an attack began, and its latest; what lies between is given up.
    fn evict(&mut self, lane: Lane) -> Option<u64> {
        let candidates: Vec<u64> =
            self.takeable(lane).filter(|(_, segment)| segment.live > 0).map(|(number, _)| number).collect();
        let kept = match lane {
            Lane::Critical => usize::try_from(self.ring.config.lane_slots(lane) / 2).unwrap_or(0),
            Lane::Batched | Lane::Deferred => 0,
        };
        let number = *candidates.get(kept.min(candidates.len().checked_sub(1)?))?;
        let slot = self.ring.segments.get(&number)?.slot;
        let burial = self.burial(lane, number);
        let entries = self.entries_of(lane, &burial);
        let bytes: usize = entries.iter().map(|entry| RECORD_OVERHEAD_BYTES + entry.emit().1.len()).sum();
        if bytes as u64 <= self.journal_room() {
            for entry in &entries {
                self.note(entry).ok()?;
            }
            self.ring.flush().ok()?;
            self.bury(lane, number, burial);
        } else {
            self.bury(lane, number, burial);
            self.write_snapshot().ok()?;
        }
        self.ring.segments.remove(&number);
        Some(slot)
    }

    /// Gives up in memory the rows of the segment that the most boots wrote in, if there is one with rows; the caller makes
    /// that durable. Such boots were the shortest.
    pub(super) fn give_up_crowded(&mut self) -> bool {
        let mut crowded: Option<(usize, Lane, u64)> = None;
        for lane in LOWEST_FIRST {
            for (number, segment) in self.takeable(lane).filter(|(_, segment)| segment.live > 0) {
                // Of several with as many boots that of the lowest lane goes, and of those the oldest.
                if crowded.is_none_or(|(boots, _, _)| segment.boots.len() > boots) {
                    crowded = Some((segment.boots.len(), lane, number));
                }
            }
        }
        let Some((_, lane, number)) = crowded else { return false };
        let burial = self.burial(lane, number);
        self.bury(lane, number, burial);
        true
    }

    /// Counts the rows of a segment by boot. Boots that end with it become entries of one statement if there are many; of
    /// few each has its tombstone, which says more.
    fn burial(&mut self, lane: Lane, number: u64) -> Burial {
        let mut burial = Burial::default();
        let Some(segment) = self.ring.segments.get(&number).cloned() else { return burial };
        let mut texts = BTreeMap::new();
        let mut last_tag = segment.header.seal;
        // What the medium will not give out is counted as unknown.
        for found in self.ring.scan(&segment).unwrap_or_default() {
            last_tag = found.seal;
            if let Some(Entry::Event { seq, row }) = Entry::parse(found.kind, &found.text) {
                texts.insert((found.boot.epoch, seq.0), row);
            }
        }
        let epochs: BTreeSet<BootEpoch> = segment.boots.iter().map(|boot| boot.epoch).collect();
        for epoch in epochs {
            let Some(state) = self.lanes.get(&(epoch, lane)) else { continue };
            let mut after = state.clone_counts();
            after.gaps.clone_from(&state.gaps);
            after.tombstones.clone_from(&state.tombstones);
            let mut rows = 0;
            for tombstone in tombstones_of(state, (epoch, lane, number), &texts, last_tag) {
                rows += tombstone.fresh;
                after.bury(tombstone.joined);
            }
            if rows == 0 {
                continue;
            }
            after.lose(DropReason::Evicted, rows);
            let ends = epoch != self.ring.epoch && rows == state.rows.len() as u64;
            burial.boots.push(Buried { epoch, after, ends });
        }
        let ending = burial.boots.iter().filter(|one| one.ends).count();
        for one in &mut burial.boots {
            one.ends &= ending > APART_MAX;
            for tombstone in one.after.tombstones.iter_mut().filter(|_| !one.ends) {
                if tombstone.signature == [0; SIGNATURE_BYTES] {
                    self.ring.wear.unsigned += u64::from(!tombstone.sign(&*self.ring.keys.signer));
                }
            }
        }
        let ended = burial.boots.iter().filter(|one| one.ends);
        let ended: Vec<_> = ended.map(|one| (one.epoch, lane, one.after.clone())).collect();
        burial.statements = self.lost_boots_of(&ended);
        burial
    }

    /// Returns what the journal is told of a burial.
    fn entries_of(&self, lane: Lane, burial: &Burial) -> Vec<Entry> {
        let mut entries: Vec<Entry> = burial.statements.iter().cloned().map(Entry::LostBoots).collect();
        for Buried { epoch, after, .. } in burial.boots.iter().filter(|one| !one.ends) {
            let known = self.lanes.get(&(*epoch, lane)).map_or(&[][..], |state| state.tombstones.as_slice());
            let fresh = after.tombstones.iter().filter(|tombstone| !known.contains(tombstone));
            entries.extend(fresh.cloned().map(Entry::Tombstone));
            entries.push(Entry::Balance { epoch: *epoch, lane, told: false, balance: after.balance() });
        }
        entries
    }

    /// Forgets the rows of a segment; what is left of its boots is as the burial says.
    fn bury(&mut self, lane: Lane, number: u64, burial: Burial) {
        for Buried { epoch, after, ends } in burial.boots {
            let Some(state) = self.lanes.get_mut(&(epoch, lane)) else { continue };
            state.rows.retain(|_, place| place.segment != number);
            state.drops = after.drops;
            state.gaps = after.gaps;
            state.tombstones = after.tombstones;
            (state.unsaved, state.unreported) = (true, true);
            if ends {
                *state = LaneState { forgotten: true, unreported: false, ..state.clone_counts() };
            }
        }
        self.take_lost(burial.statements);
        if let Some(segment) = self.ring.segments.get_mut(&number) {
            segment.live = 0;
        }
        self.drop_fixes();
    }
}

/// Boots that may end with one segment and still have a tombstone each (guess: an ordinary day's).
const APART_MAX: usize = 4;

/// What becomes of the boots of a segment that is given up.
#[derive(Default)]
struct Burial {
    boots: Vec<Buried>,
    statements: Vec<LostBoots>,
}

struct Buried {
    epoch: BootEpoch,
    /// Counts, gaps and tombstones afterwards.
    after: LaneState,
    /// An entry of a statement is all that stays.
    ends: bool,
}

struct Fresh {
    joined: Tombstone,
    /// Rows that no tombstone counted before.
    fresh: u64,
}

/// Builds the tombstones of a boot's rows in a segment, each joined with those that stand beside it. Not signed.
fn tombstones_of(
    state: &LaneState,
    (epoch, lane, number): (BootEpoch, Lane, u64),
    texts: &BTreeMap<(BootEpoch, u64), Vec<u8>>,
    last_tag: [u8; 16],
) -> Vec<Fresh> {
    let mut tombstones: Vec<Tombstone> = Vec::new();
    for (seq, _) in state.rows.iter().filter(|(_, place)| place.segment == number) {
        let Some(range) = SeqRange::new(Seq(*seq), Seq(*seq)) else { continue };
        let mut one = Tombstone::new(epoch, lane, range, last_tag);
        one.add(texts.get(&(epoch, *seq)).map(Vec::as_slice));
        if !tombstones.last_mut().is_some_and(|last| last.join(&one)) {
            tombstones.push(one);
        }
    }
    let join = |mut joined: Tombstone| {
        let fresh = joined.rows();
        for old in &state.tombstones {
            joined.join(old);
        }
        joined.signature = [0; SIGNATURE_BYTES];
        Fresh { joined, fresh }
    };
    tombstones.into_iter().map(join).collect()
}
