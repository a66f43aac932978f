//! Reading what stands on the medium back into the spool's state: the journal from its last whole snapshot on, then rows.

use std::collections::BTreeSet;

use outrider_types::{BootEpoch, Lane};

use super::entry::{CLOSE, Entry, Floor, Head, Heads};
use super::lane::LaneState;
use super::record::{BootMark, Chain, Purpose, RESUME};
use super::recovery::Recovery;
use super::ring::Place;
use super::seal::SEAL_INTERVAL;
use super::{FIXES_KEPT, Spool};
use crate::storage::Storage;

/// What the journal says of the world around the lanes.
#[derive(Debug, Default)]
struct Said {
    heads: Option<Heads>,
    anchored: Option<(u64, Heads)>,
    /// Boots below of which the last snapshot says nothing are done.
    done_below: BootEpoch,
}

/// A record as it was found.
struct Loaded {
    entry: Entry,
    place: Place,
    boot: BootMark,
}

impl<S: Storage> Spool<S> {
    pub(super) fn load_records(&mut self, recovery: &mut Recovery) {
        let mut said = Said::default();
        // Keys are stored after the records that they sealed: a chain that ends before its key was cut.
        let mut ends = self.ring.tails.each_ref().map(|tail| (0, tail.key.index * SEAL_INTERVAL));
        // The journal first: balances say which rows count already.
        for chain in Chain::ALL.into_iter().rev() {
            let numbers: Vec<u64> = self.numbers(chain);
            let newest = numbers.last().copied();
            let mut journal = Vec::new();
            for number in numbers {
                let Some((head, entries)) = self.load_segment(number, recovery) else { continue };
                if chain == Chain::Journal {
                    journal.extend(entries);
                } else {
                    entries.into_iter().for_each(|entry| self.take_row(entry, &said));
                }
                if Some(number) == newest {
                    self.continue_chain(chain, number, head);
                    if let Some(end) = ends.get_mut(usize::from(chain.code())) {
                        end.0 = head.next_place;
                    }
                }
            }
            if chain == Chain::Journal {
                self.load_journal(journal, &mut said);
            }
        }
        self.anchored = said.anchored;
        let heads = said.heads.unwrap_or_default();
        recovery.truncated = Chain::ALL
            .into_iter()
            .zip(heads.into_iter().zip(ends))
            .filter(|(_, (head, (found, keyed)))| *found < *keyed || *found < head.next_place)
            .map(|(chain, _)| chain)
            .collect();
        for chain in &recovery.truncated {
            // What was cut is told by the segment that ends there.
            self.ring.tail_mut(*chain).left = None;
        }
    }

    /// Takes what the journal says from its last whole snapshot on. Parts of snapshots that were broken off say nothing
    /// that is not known from before.
    fn load_journal(&mut self, entries: Vec<Loaded>, said: &mut Said) {
        let mut begun = None;
        for Loaded { entry, place, boot } in &entries {
            if *entry == Entry::SnapshotBegin {
                let parts = self.ring.segments.range(begun.unwrap_or(place.segment)..place.segment);
                self.broken_off.extend(parts.map(|(number, _)| *number));
                begun = Some(place.segment);
            } else if *entry == Entry::SnapshotEnd
                && let Some(from) = begun.take()
            {
                self.snapshot_from = from;
                said.done_below = boot.epoch;
                self.broken_off.clear();
            } else if matches!(entry, Entry::Boot { .. }) {
                // Never behind a part of a snapshot: its end was there and is damaged.
                begun = None;
            }
        }
        if let Some(from) = begun {
            self.broken_off.extend(self.ring.segments.range(from..).map(|(number, _)| *number));
        }
        self.broken_off.extend(self.parts_without_beginning(&entries));
        if self.ring.newest(Chain::Journal).is_some_and(|newest| self.broken_off.contains(&newest)) {
            self.ring.tail_mut(Chain::Journal).left = None;
            self.is_snapshot_due = true;
        }
        self.broken_off.retain(|number| {
            self.ring.segments.get(number).is_some_and(|segment| segment.header.chain == Chain::Journal)
        });
        for Loaded { entry, place, .. } in entries {
            if place.segment >= self.snapshot_from && !self.broken_off.contains(&place.segment) {
                let generation = self.ring.segments.get(&place.segment).map(|it| it.header.generation);
                let is_current = generation == Some(self.ring.generation);
                self.take(entry, is_current, said);
            }
        }
        for state in self.lanes.values_mut() {
            state.unsaved_gaps.clear();
            state.unsaved = false;
        }
    }

    /// Returns parts of snapshots that were broken off and whose beginning was used again since.
    fn parts_without_beginning(&self, entries: &[Loaded]) -> Vec<u64> {
        // Behind the end of a snapshot stands news; so it does behind an end that is damaged, and then the next boot's word.
        let closing =
            entries.iter().filter(|one| matches!(one.entry, Entry::SnapshotEnd | Entry::Boot { .. }));
        let closed: BTreeSet<u64> = closing.map(|one| one.place.segment).collect();
        let (mut parts, mut group, mut is_begun) = (Vec::new(), Vec::new(), false);
        for (number, segment) in &self.ring.segments {
            if segment.header.chain != Chain::Journal {
                continue;
            }
            match segment.header.purpose {
                Purpose::SnapshotRest if !is_begun => group.push(*number),
                Purpose::SnapshotRest => {}
                purpose @ (Purpose::News | Purpose::Snapshot) => {
                    parts.append(&mut group);
                    is_begun = purpose == Purpose::Snapshot;
                }
            }
            if closed.contains(number) {
                group.clear();
                is_begun = false;
            }
        }
        parts.append(&mut group);
        parts
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
        let tail = self.ring.tail_mut(chain);
        let next_place = head.next_place.max(tail.key.index * SEAL_INTERVAL);
        tail.head = Head { next_place, ..head };
        tail.key.evolve_to(next_place / SEAL_INTERVAL);
        tail.left = Some(number);
    }

    /// Reads the records of a segment; returns the chain's end as far as this segment has it, and what they say.
    fn load_segment(&mut self, number: u64, recovery: &mut Recovery) -> Option<(Head, Vec<Loaded>)> {
        let segment = self.ring.segments.get(&number)?.clone();
        let Ok(found) = self.ring.scan(&segment) else {
            recovery.unreadable_segments += 1;
            self.ring.unreadable.insert(segment.slot);
            self.ring.segments.remove(&number);
            return None;
        };
        let mut head = Head { next_place: segment.header.first_place, seal: segment.header.seal };
        let mut entries = Vec::with_capacity(found.len());
        if segment.header.purpose == Purpose::Snapshot {
            let place = Place { segment: number, offset: 0, length: 0, boot: 0 };
            entries.push(Loaded { entry: Entry::SnapshotBegin, place, boot: segment.header.boot() });
        }
        for found in found {
            recovery.corrupt_bytes += found.skipped as u64;
            let end = found.offset + found.length;
            let Some(segment) = self.ring.segments.get_mut(&number) else { continue };
            segment.length = end;
            if found.kind == RESUME {
                segment.boots.push(found.boot);
            }
            let next_place = if found.kind == CLOSE {
                (found.place / SEAL_INTERVAL + 1) * SEAL_INTERVAL
            } else {
                found.place + 1
            };
            head = Head { next_place, seal: found.seal };
            let small = |number| u32::try_from(number).unwrap_or(u32::MAX);
            let place = Place {
                segment: number,
                offset: small(found.offset),
                length: small(found.length),
                boot: small(segment.boots.len().saturating_sub(1)),
            };
            let Some(entry) = Entry::parse(found.kind, &found.text) else { continue };
            entries.push(Loaded { entry, place, boot: found.boot });
        }
        Some((head, entries))
    }

    fn state(&mut self, epoch: BootEpoch, lane: Lane) -> &mut LaneState {
        self.lanes.entry((epoch, lane)).or_default()
    }

    /// Takes a row of a lane, unless its boot is done.
    fn take_row(&mut self, Loaded { entry, place, boot }: Loaded, said: &Said) {
        let chain = self.ring.segments.get(&place.segment).map(|segment| segment.header.chain);
        let (Entry::Event { seq, row }, Some(Chain::Lane(lane))) = (entry, chain) else { return };
        let is_unknown = !self.lanes.contains_key(&(boot.epoch, lane));
        if is_unknown && boot.epoch < said.done_below {
            return;
        }
        let state = self.state(boot.epoch, lane);
        if state.forgotten {
            return;
        }
        let count = outrider_wire::Batch::parse(&row)
            .ok()
            .and_then(|batch| batch.events().next())
            .and_then(Result::ok)
            .map_or(1, |event| event.head.count);
        if seq.0 > state.saved_seq {
            state.received = state.received.saturating_add(count);
            state.folded = state.folded.saturating_add(count.saturating_sub(1));
            state.unreported = true;
        }
        state.last_seq = state.last_seq.max(seq.0);
        state.rows.insert(seq.0, place);
    }

    fn take(&mut self, entry: Entry, is_current: bool, said: &mut Said) {
        match entry {
            Entry::Balance { epoch, lane, told, balance } => {
                let state = self.state(epoch, lane);
                state.freed = state.freed.max(balance.freed);
                state.last_seq = state.last_seq.max(balance.last_seq).max(balance.freed);
                state.saved_seq = state.saved_seq.max(balance.last_seq);
                (state.received, state.folded, state.drops) =
                    (balance.received, balance.folded, balance.drops);
                state.unreported = !told;
            }
            Entry::Gap { epoch, gap } => {
                let state = self.state(epoch, gap.lane);
                state.last_seq = state.last_seq.max(gap.range.last().0);
                state.add_gap(gap);
            }
            Entry::Tombstone(tombstone) => {
                let state = self.state(tombstone.epoch, tombstone.lane);
                state.last_seq = state.last_seq.max(tombstone.range.last().0);
                let known: u64 = state.tombstones.iter().map(|old| overlap(old.range, tombstone.range)).sum();
                state.lose(tombstone.reason, tombstone.range.count().saturating_sub(known));
                state.bury(tombstone);
            }
            Entry::Fix { epoch, fix } => {
                let fixes = self.fixes.entry(epoch).or_default();
                if !fixes.contains(&fix) {
                    fixes.push(fix);
                    if fixes.len() > FIXES_KEPT {
                        fixes.remove(1);
                    }
                }
            }
            Entry::Forgotten { epoch, lane } => self.forget(epoch, lane),
            Entry::LostBoots(lost) => {
                for one in &lost.each {
                    self.forget(one.epoch, lost.lane);
                }
                self.take_lost(vec![lost]);
            }
            Entry::LostTold { lane, first } => {
                self.lost.remove(&(lane, first));
            }
            Entry::Anchored { counter, heads } => {
                said.anchored = Some((counter, heads));
                said.heads = Some(heads).filter(|_| is_current);
            }
            Entry::Close { heads: Some(heads), .. } => said.heads = Some(heads).filter(|_| is_current),
            Entry::Floor { kind, floor } => {
                let known = self.floors.entry(kind).or_default();
                *known = Floor { tried: known.tried.max(floor.tried), good: known.good.max(floor.good) };
            }
            Entry::Event { .. }
            | Entry::SnapshotBegin
            | Entry::SnapshotEnd
            | Entry::Boot { .. }
            | Entry::Attested(_)
            | Entry::Close { heads: None, .. } => {}
        }
    }

    /// Notes that nothing is left to say of a lane in a boot.
    fn forget(&mut self, epoch: BootEpoch, lane: Lane) {
        let state = self.state(epoch, lane);
        *state = LaneState { forgotten: true, unreported: false, ..state.clone_counts() };
    }
}

fn overlap(one: outrider_wire::SeqRange, two: outrider_wire::SeqRange) -> u64 {
    let (first, last) = (one.first().max(two.first()), one.last().min(two.last()));
    outrider_wire::SeqRange::new(first, last).map_or(0, outrider_wire::SeqRange::count)
}
