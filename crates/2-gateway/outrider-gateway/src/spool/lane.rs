//! State of one lane in one boot, and of one lane's segments.

use std::collections::BTreeMap;

use outrider_types::{BootEpoch, Lane, Seq};
use outrider_wire::{DropCount, DropReason, Gap, LaneHead, SeqRange};

use super::record::{Entry, Header, REASONS};

/// Where a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) length: usize,
}

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
    /// Counters differ from the last record of them.
    pub(super) unsaved: bool,
    /// Counters and gaps differ from the last ones that the cloud acknowledged.
    pub(super) unreported: bool,
}

impl LaneState {
    pub(super) fn counters(&self) -> Entry<'static> {
        Entry::Counters {
            last_seq: self.last_seq,
            received: self.received,
            folded: self.folded,
            drops: self.drops,
        }
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

    /// Adds a gap, joining it with a neighbour of the same reason. Parts that are known already are left out.
    pub(super) fn add_gap(&mut self, gap: Gap) {
        let known = |seq| self.gaps.iter().any(|old| old.range.contains(Seq(seq)));
        if known(gap.range.first().0) || known(gap.range.last().0) {
            return;
        }
        self.gaps.push(gap);
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
        freed
    }

    /// Returns true if nothing of a past boot is left to say.
    pub(super) fn is_finished(&self) -> bool {
        self.rows.is_empty() && self.gaps.is_empty() && !self.unreported
    }
}

/// One segment that is not written any more, or the one that is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) epoch: BootEpoch,
    pub(super) salt: u64,
    pub(super) length: u64,
    /// Rows in it that are held.
    pub(super) live: usize,
    /// It could not be read, and is left alone for this boot.
    pub(super) unreadable: bool,
}

/// One lane's segments.
#[derive(Debug, Default)]
pub(super) struct LaneLog {
    pub(super) segments: BTreeMap<u64, Segment>,
    /// The one that is written, with its header.
    pub(super) active: Option<Header>,
    /// The active segment has bytes that are not durable.
    pub(super) dirty: bool,
    /// A failed write left bytes behind that could not be cut off; the next write goes to a new segment.
    pub(super) tainted: bool,
}

impl LaneLog {
    pub(super) fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.length).sum()
    }

    pub(super) fn active_length(&self) -> u64 {
        self.active
            .and_then(|header| self.segments.get(&header.id.number))
            .map_or(0, |segment| segment.length)
    }

    pub(super) fn is_active(&self, number: u64) -> bool {
        self.active.is_some_and(|header| header.id.number == number)
    }
}
