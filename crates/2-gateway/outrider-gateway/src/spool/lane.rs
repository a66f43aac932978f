//! State of one lane in one boot.

use std::collections::BTreeMap;

use outrider_types::{Lane, Seq};
use outrider_wire::{DropCount, DropReason, Gap, LaneHead, SeqRange};

use super::entry::{Balance, REASONS};
use super::ring::Place;
use super::tombstone::Tombstone;

/// One lane in one boot.
#[derive(Debug, Clone, Default)]
pub(super) struct LaneState {
    /// Rows held, by number.
    pub(super) rows: BTreeMap<u64, Place>,
    pub(super) freed: u64,
    pub(super) last_seq: u64,
    pub(super) received: u64,
    pub(super) folded: u64,
    pub(super) drops: [u64; REASONS],
    /// Ascending and disjoint, above `freed`.
    pub(super) gaps: Vec<Gap>,
    /// What stands behind the gaps of evicted rows; ascending and disjoint.
    pub(super) tombstones: Vec<Tombstone>,
    /// Gaps that the journal does not have.
    pub(super) unsaved_gaps: Vec<Gap>,
    /// Number that the last stored balance knew of; rows above it count on top when it is read.
    pub(super) saved_seq: u64,
    /// Counters differ from the last record of them.
    pub(super) unsaved: bool,
    /// A past boot of which nothing is left to say; kept while its segments stand on the medium.
    pub(super) forgotten: bool,
    /// Counters and gaps differ from the last ones that the cloud acknowledged.
    pub(super) unreported: bool,
}

impl LaneState {
    pub(super) const fn balance(&self) -> Balance {
        Balance {
            freed: self.freed,
            last_seq: self.last_seq,
            received: self.received,
            folded: self.folded,
            drops: self.drops,
        }
    }

    /// Returns a copy of the counts alone.
    pub(super) fn clone_counts(&self) -> Self {
        let Balance { freed, last_seq, received, folded, drops } = self.balance();
        Self { freed, last_seq, received, folded, drops, ..Self::default() }
    }

    pub(super) fn head(&self, lane: Lane) -> LaneHead {
        let first_seq = self.rows.first_key_value().map_or(self.last_seq.saturating_add(1), |(seq, _)| *seq);
        LaneHead { lane, first_seq, last_seq: self.last_seq, received: self.received, folded: self.folded }
    }

    pub(super) fn drop_counts(&self) -> Vec<DropCount> {
        DropReason::ALL
            .into_iter()
            .zip(self.drops)
            .filter(|(_, count)| *count > 0)
            .map(|(reason, count)| DropCount { reason: Some(reason), count })
            .collect()
    }

    /// Counts a loss of observations or rows.
    pub(super) fn lose(&mut self, reason: DropReason, count: u64) {
        for (slot, _) in self.drops.iter_mut().zip(DropReason::ALL).filter(|(_, each)| *each == reason) {
            *slot = slot.saturating_add(count);
        }
        self.unsaved = true;
        self.unreported = true;
    }

    /// Uses up the next number for an observation seen `count` times whose record may half stand on the medium.
    pub(super) fn burn(&mut self, lane: Lane, count: u64) {
        let seq = Seq(self.last_seq.saturating_add(1));
        self.last_seq = seq.0;
        self.folded = self.folded.saturating_add(count.saturating_sub(1));
        if let Some(range) = SeqRange::new(seq, seq) {
            self.add_gap(Gap { lane, range, reason: Some(DropReason::Corrupt) });
        }
        self.lose(DropReason::Corrupt, 1);
    }

    /// Adds what of a gap is neither acknowledged nor known, joined with neighbours of the same reason.
    pub(super) fn add_gap(&mut self, gap: Gap) {
        let last = gap.range.last().0;
        let mut next = gap.range.first().0.max(self.freed.saturating_add(1));
        let mut fresh = Vec::new();
        for old in &self.gaps {
            if old.range.first().0 > next {
                fresh.extend(SeqRange::new(Seq(next), Seq(last.min(old.range.first().0 - 1))));
            }
            next = next.max(old.range.last().0.saturating_add(1));
        }
        fresh.extend(SeqRange::new(Seq(next), Seq(last)));
        if fresh.is_empty() {
            return;
        }
        let fresh = fresh.into_iter().map(|range| Gap { range, ..gap });
        if gap.reason == Some(DropReason::Corrupt) {
            self.unsaved_gaps.extend(fresh.clone());
            self.unsaved = true;
        }
        self.gaps.extend(fresh);
        self.gaps.sort_unstable_by_key(|gap| gap.range);
        let mut joined: Vec<Gap> = Vec::with_capacity(self.gaps.len());
        for gap in self.gaps.drain(..) {
            if let Some(before) = joined.last_mut()
                && before.reason == gap.reason
                && before.range.last().next() == Some(gap.range.first())
                && let Some(range) = SeqRange::new(before.range.first(), gap.range.last())
            {
                before.range = range;
            } else {
                joined.push(gap);
            }
        }
        self.gaps = joined;
        self.unreported = true;
    }

    /// Adds a tombstone in place of those that it covers.
    pub(super) fn bury(&mut self, tombstone: Tombstone) {
        let range = tombstone.range;
        self.add_gap(Gap { lane: tombstone.lane, range, reason: Some(tombstone.reason) });
        let covered = |old: &Tombstone| range.contains(old.range.first()) && range.contains(old.range.last());
        self.tombstones.retain(|old| !covered(old));
        self.tombstones.push(tombstone);
        self.tombstones.sort_unstable_by_key(|tombstone| tombstone.range);
    }

    /// Turns numbers that are neither held, freed nor in a gap into gaps; returns how many there are.
    pub(super) fn find_missing(&mut self, lane: Lane) -> u64 {
        let mut missing = Vec::new();
        let mut next = self.freed.saturating_add(1);
        let held = self.rows.keys().map(|seq| (*seq, *seq));
        let lost = self.gaps.iter().map(|gap| (gap.range.first().0, gap.range.last().0));
        let mut known: Vec<(u64, u64)> = held.chain(lost).collect();
        known.push((self.last_seq.saturating_add(1), u64::MAX));
        known.sort_unstable();
        for (first, last) in known {
            if first > next {
                missing.extend(SeqRange::new(Seq(next), Seq(first - 1)));
            }
            next = next.max(last.saturating_add(1));
        }
        let mut count = 0;
        for range in missing {
            count += range.count();
            self.add_gap(Gap { lane, range, reason: Some(DropReason::Corrupt) });
        }
        if count > 0 {
            self.lose(DropReason::Corrupt, count);
        }
        count
    }

    /// Frees rows and gaps up to `contiguous`, as far as numbers were given; returns the places freed.
    pub(super) fn free(&mut self, contiguous: u64) -> Vec<Place> {
        let contiguous = contiguous.min(self.last_seq);
        if contiguous <= self.freed {
            return Vec::new();
        }
        self.freed = contiguous;
        let kept = self.rows.split_off(&contiguous.saturating_add(1));
        let freed = std::mem::replace(&mut self.rows, kept).into_values().collect();
        self.gaps.retain_mut(|gap| {
            let first = gap.range.first().max(Seq(contiguous.saturating_add(1)));
            SeqRange::new(first, gap.range.last()).is_some_and(|range| {
                gap.range = range;
                true
            })
        });
        self.tombstones.retain(|tombstone| tombstone.range.last().0 > contiguous);
        freed
    }

    /// Returns true if nothing of a past boot is left to say.
    pub(super) fn is_finished(&self) -> bool {
        self.rows.is_empty() && self.gaps.is_empty() && !self.unreported
    }
}
