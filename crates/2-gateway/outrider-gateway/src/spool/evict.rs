//! Who makes room for whom.
//!
//! A lane may borrow slots that nobody uses, but never what a lower lane has reserved, for it could not get them back:
//! a higher lane evicts a lower one that has more than its quota, never the other way round. Victims are segments: first
//! the lowest lane's oldest acknowledged one, then the lowest lane's oldest that may be taken.

use std::collections::BTreeMap;

use outrider_types::{Lane, Seq};
use outrider_wire::{DropReason, SeqRange};

use super::entry::Entry;
use super::record::Chain;
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

    /// Gives up the rows of one segment of a lane; the tombstone is durable before they go. Returns its slot.
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
        let segment = *self.ring.segments.get(&number)?;
        let epoch = segment.header.epoch;
        let tombstones = self.tombstones_of(lane, number, &segment);
        for tombstone in &tombstones {
            self.note(&Entry::Tombstone(tombstone.clone())).ok()?;
        }
        let state = self.lanes.get_mut(&(epoch, lane))?;
        let lost = state.rows.values().filter(|place| place.segment == number).count() as u64;
        let mut balance = state.clone_counts();
        balance.lose(DropReason::Evicted, lost);
        let balance = balance.balance();
        self.note(&Entry::Balance { epoch, lane, balance }).ok()?;
        self.ring.flush().ok()?;
        let state = self.lanes.get_mut(&(epoch, lane))?;
        state.rows.retain(|_, place| place.segment != number);
        for tombstone in tombstones {
            state.bury(tombstone);
        }
        state.lose(DropReason::Evicted, lost);
        self.ring.segments.remove(&number);
        Some(segment.slot)
    }

    /// Builds the tombstones of a segment's rows, each joined with those that stand beside it.
    fn tombstones_of(&mut self, lane: Lane, number: u64, segment: &Segment) -> Vec<Tombstone> {
        let epoch = segment.header.epoch;
        let Some(state) = self.lanes.get(&(epoch, lane)) else { return Vec::new() };
        let mut texts = BTreeMap::new();
        let mut last_tag = segment.header.seal;
        // What the medium will not give out is counted as unknown.
        for found in self.ring.scan(segment).unwrap_or_default() {
            last_tag = found.seal;
            if let Some(Entry::Event { seq, row }) = Entry::parse(found.kind, &found.text) {
                texts.insert(seq.0, row);
            }
        }
        let mut tombstones: Vec<Tombstone> = Vec::new();
        for (seq, _) in state.rows.iter().filter(|(_, place)| place.segment == number) {
            let Some(range) = SeqRange::new(Seq(*seq), Seq(*seq)) else { continue };
            let mut one = Tombstone::new(epoch, lane, range, last_tag);
            one.add(texts.get(seq).map(Vec::as_slice));
            if !tombstones.last_mut().is_some_and(|last| last.join(&one)) {
                tombstones.push(one);
            }
        }
        for tombstone in &mut tombstones {
            for old in &state.tombstones {
                tombstone.join(old);
            }
            self.ring.wear.unsigned += u64::from(!tombstone.sign(&*self.ring.keys.signer));
        }
        tombstones
    }
}
