//! The books of one lane of one boot: what the vehicle counted, what came, what it gave up, since when what is missing.

mod saved;

use std::collections::BTreeMap;

use outrider_types::{BootEpoch, EventTypeId, Lane, UnixMicros, VehicleMicros};
use outrider_wire::{BootCounts, DropReason, LaneHead, LaneHeadView, LostRows, SeqRange, TombstoneView};

use crate::finding::{Reason, Statement};
use crate::interval::IntervalSet;
use crate::received::LaneReceived;

/// Lane heads that are compared with each other: more than are on their way at once (guess).
const HEADS_KEPT: usize = 4;
/// Tombstones kept one by one; older ones are kept as one sum.
const TOMBSTONES_KEPT: usize = 64;
/// Kinds of lost rows kept of the sum and of a tombstone.
const KINDS_KEPT: usize = 33;
/// Gaps whose age is kept; a lane with more is in trouble enough.
const OPEN_KEPT: usize = 64;

/// A lane head, with what orders it among those of its boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct HeadAt {
    /// Boot of the sender and number of the batch in it.
    order: (u64, u64),
    last_seq: u64,
    received: u64,
    folded: u64,
    /// Lost before they got a number.
    unnumbered: u64,
    /// Lost for damage, or for a reason that this version does not know: their observations are not known.
    unsure: u64,
}

impl HeadAt {
    fn new(order: (u64, u64), view: &LaneHeadView<'_>) -> Self {
        let LaneHead { last_seq, received, folded, .. } = view.head;
        let (mut unnumbered, mut unsure) = (0u64, 0u64);
        for drop in view.drops() {
            match drop.reason {
                Some(
                    DropReason::QuotaFull
                    | DropReason::DeviceFull
                    | DropReason::DeviceError
                    | DropReason::TooLarge
                    | DropReason::TooManyKeys,
                ) => unnumbered = unnumbered.saturating_add(drop.count),
                Some(DropReason::Evicted) => {}
                Some(DropReason::Corrupt) | None => unsure = unsure.saturating_add(drop.count),
            }
        }
        Self { order, last_seq, received, folded, unnumbered, unsure }
    }

    const fn counts(&self) -> [u64; 4] {
        [self.last_seq, self.received, self.folded, self.unnumbered]
    }

    /// Whether it knows of at least what `other` knows of.
    fn covers(&self, other: &Self) -> bool {
        self.counts().iter().zip(other.counts()).all(|(mine, theirs)| *mine >= theirs)
    }
}

/// Rows that a vehicle gave up, with its counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneTombstone {
    /// First and last number.
    pub range: (u64, u64),
    /// Why, or `None` for a reason of a later version.
    pub reason: Option<DropReason>,
    /// First and last time of the rows, by the vehicle's clock; 0 if none could be read.
    pub span: (VehicleMicros, VehicleMicros),
    /// Counts by type and severity.
    pub lost: Vec<LostRows>,
    /// Whether the device key signed it.
    pub is_signed: bool,
}

impl LaneTombstone {
    /// Returns rows and observations.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        self.lost.iter().fold((0, 0), |(rows, observations), lost| {
            (rows.saturating_add(lost.rows), observations.saturating_add(lost.observations))
        })
    }

    const fn covers(&self, other: &Self) -> bool {
        self.range.0 <= other.range.0 && self.range.1 >= other.range.1
    }
}

/// A gap, and since when it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenGap {
    pub(crate) range: (u64, u64),
    pub(crate) since: UnixMicros,
}

/// What became of a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GapEnd {
    /// Boot.
    pub epoch: BootEpoch,
    /// Lane.
    pub lane: Lane,
    /// First and last number.
    pub range: (u64, u64),
    /// Since when it was known.
    pub since: UnixMicros,
    /// When it ended.
    pub until: UnixMicros,
    /// Numbers that came after all.
    pub filled: u64,
    /// Numbers that the vehicle declared lost.
    pub lost: u64,
}

/// Whether a lane's account balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balancing {
    /// To the last observation.
    Balanced,
    /// Numbers are missing, or rows came after the last balance.
    Waiting,
    /// Everything is accounted for by number, but not each observation: damaged records, rows that could not be
    /// read, numbers that came although they were declared lost, losses without a tombstone, or rows from before the
    /// books began.
    Inexact,
    /// Everything is there and the sums differ by this: accounted for, less counted.
    Mismatch(i64),
}

/// The account of a lane: received + tombstoned + folded = counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Observations that the vehicle counted, if it said so.
    pub counted: Option<u64>,
    /// Highest number that is known of.
    pub highest: u64,
    /// Rows received.
    pub rows: u64,
    /// Observations folded into them.
    pub folded: u64,
    /// Rows declared lost and not received.
    pub lost_rows: u64,
    /// Observations in tombstones.
    pub lost_observations: u64,
    /// Observations lost before they got a number.
    pub unnumbered: u64,
    /// Numbers missing.
    pub missing: u64,
    /// Rows whose content could not be read; they count as received.
    pub unreadable: u64,
    /// Numbers that came after they were declared lost.
    pub late: u64,
    /// Numbers declared lost that had come before: an acknowledgement was lost.
    pub kept: u64,
    /// Whether it balances.
    pub state: Balancing,
}

/// Books of a lane in a boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    heads: Vec<HeadAt>,
    observations: u64,
    unreadable: u64,
    late: u64,
    kept: u64,
    /// The books began after the first rows: state of an older version, or books that were closed.
    is_partial: bool,
    reasons: BTreeMap<u8, IntervalSet>,
    tombstones: Vec<LaneTombstone>,
    /// Sum of tombstones that are no longer kept one by one, and the highest number in them.
    settled: Vec<LostRows>,
    settled_to: u64,
    end: Option<u64>,
    open: Vec<OpenGap>,
}

impl Ledger {
    /// Begins the books of a lane of which rows came before.
    pub(crate) fn begin_late() -> Self {
        Self { is_partial: true, ..Self::default() }
    }

    /// Notes the observations of rows that are new here; `late` of these rows the vehicle had declared lost.
    pub(crate) const fn receive(&mut self, observations: u64, late: u64) {
        self.observations = self.observations.saturating_add(observations);
        self.late = self.late.saturating_add(late);
    }

    /// Notes a row that is new here and cannot be read.
    pub(crate) const fn receive_unreadable(&mut self) {
        self.unreadable = self.unreadable.saturating_add(1);
    }

    /// Notes a lane head; returns whether it contradicts another, and whether it contradicts itself.
    pub(crate) fn take_head(&mut self, order: (u64, u64), view: &LaneHeadView<'_>) -> [Option<Reason>; 2] {
        let head = HeadAt::new(order, view);
        let numbered = head.last_seq.saturating_add(head.folded).saturating_add(head.unnumbered);
        let unbalanced = head.unsure == 0 && head.received != numbered;
        // A sender that does not say in which boot it is cannot be put in order; one that lost records to damage says so
        // and may know of less than before.
        let shrank = self.heads.iter().filter(|held| held.order.0 > 0 && order.0 > 0).any(|held| {
            let (older, newer) = if held.order <= head.order { (held, &head) } else { (&head, held) };
            newer.unsure == 0
                && (!newer.covers(older) || (newer.order == older.order && !older.covers(newer)))
        });
        let place = self.heads.partition_point(|held| *held < head);
        if self.heads.get(place) != Some(&head) {
            self.heads.insert(place, head);
        }
        if self.heads.len() > HEADS_KEPT {
            self.heads.remove(0);
        }
        [shrank.then_some(Reason::HeadShrank), unbalanced.then_some(Reason::HeadUnbalanced)]
    }

    /// Notes numbers declared lost; `kept` of them had come before.
    pub(crate) fn take_loss(&mut self, range: SeqRange, reason: Option<DropReason>, kept: u64) {
        let code = reason.map_or(0, DropReason::code);
        self.reasons.entry(code).or_default().insert(range.first().0, range.last().0);
        self.kept = self.kept.saturating_add(kept);
    }

    /// Notes a tombstone; returns whether it contradicts another or is not signed.
    pub(crate) fn take_tombstone(&mut self, view: &TombstoneView<'_>, is_signed: bool) -> Option<Reason> {
        let head = &view.head;
        let range = (head.range.first().0, head.range.last().0);
        let lost: Vec<LostRows> = view.lost().take(KINDS_KEPT).collect();
        let new =
            LaneTombstone { range, reason: head.reason, span: (head.first, head.last), lost, is_signed };
        if range.1 <= self.settled_to || self.tombstones.contains(&new) {
            return None;
        }
        let changed = self.tombstones.iter().any(|old| {
            let touches = old.range.0 <= range.1 && range.0 <= old.range.1;
            touches && (old.range == range || !(old.covers(&new) || new.covers(old)))
        });
        if changed || new.counts().0 != head.range.count() {
            return Some(Reason::TombstoneChanged);
        }
        if self.tombstones.iter().any(|old| old.covers(&new)) {
            return None;
        }
        self.tombstones.retain(|old| !new.covers(old));
        let place = self.tombstones.partition_point(|old| old.range < range);
        self.tombstones.insert(place, new);
        if self.tombstones.len() > TOMBSTONES_KEPT {
            let oldest = self.tombstones.remove(0);
            self.settled_to = self.settled_to.max(oldest.range.1);
            oldest.lost.into_iter().for_each(|lost| add_lost(&mut self.settled, lost));
        }
        (!is_signed).then_some(Reason::TombstoneUnsigned)
    }

    /// Notes the closing account of the boot: what it counted, and the numbers that are lost with it.
    pub(crate) fn close(&mut self, order: (u64, u64), counts: &BootCounts, lost: &[(u64, u64)]) {
        let head = HeadAt {
            order,
            last_seq: counts.numbers,
            received: counts.received,
            folded: counts.folded(),
            unnumbered: counts.refused,
            unsure: counts.corrupt,
        };
        let place = self.heads.partition_point(|held| *held < head);
        if self.heads.get(place) == Some(&head) {
            return;
        }
        self.heads.insert(place, head);
        if self.heads.len() > HEADS_KEPT {
            self.heads.remove(0);
        }
        self.close_in_sums(lost);
        // Of which kinds the rows were is known of the whole statement only; the observations are known of each boot.
        if counts.evicted > 0 && !lost.is_empty() {
            let (event_type, severity) = (EventTypeId(u16::MAX), None);
            let (rows, observations) = (counts.evicted, counts.observations);
            add_lost(&mut self.settled, LostRows { event_type, severity, rows, observations });
        }
    }

    /// Notes numbers that are lost with a boot of which only sums speak: how many observations they held is not known.
    pub(crate) fn close_in_sums(&mut self, lost: &[(u64, u64)]) {
        for (first, last) in lost {
            self.reasons.entry(DropReason::Evicted.code()).or_default().insert(*first, *last);
        }
    }

    /// Notes the end that a later boot found.
    pub(crate) fn take_end(&mut self, last_seq: u64) {
        self.end = Some(self.end.map_or(last_seq, |end| end.min(last_seq)));
    }

    /// Returns the numbers above the end that a later boot found, if there are any.
    pub(crate) fn above_end(&self, lane: &LaneReceived) -> Option<(u64, u64)> {
        let highest =
            lane.durable.highest().max(lane.lost.highest()).max(self.newest().map_or(0, |it| it.last_seq));
        self.end.filter(|end| highest > *end).map(|end| (end.saturating_add(1), highest))
    }

    fn newest(&self) -> Option<&HeadAt> {
        self.heads.iter().max_by_key(|head| (head.counts(), head.order))
    }

    /// Returns the end that a later boot found: no row above it is of this boot.
    #[must_use]
    pub const fn end(&self) -> Option<u64> {
        self.end
    }

    /// Returns tombstones, ascending and disjoint; those that were too many are missing here and in the account.
    #[must_use]
    pub fn tombstones(&self) -> &[LaneTombstone] {
        &self.tombstones
    }

    /// Returns numbers declared lost by reason; `None` is one of a later version.
    pub fn losses(&self) -> impl Iterator<Item = (Option<DropReason>, &IntervalSet)> {
        self.reasons.iter().map(|(code, set)| (DropReason::from_code(u64::from(*code)), set))
    }

    pub(crate) fn open(&self) -> &[OpenGap] {
        &self.open
    }

    /// Balances the lane.
    #[must_use]
    pub fn account(&self, lane: &LaneReceived) -> Account {
        let newest = self.newest();
        let rows = lane.durable.count();
        let lost_rows = lane
            .lost
            .ranges()
            .map(|(first, last)| (last - first + 1) - lane.durable.count_in(first, last))
            .sum();
        let missing = lane.holes().map(|(first, last)| last - first + 1).sum();
        let sums = self.tombstones.iter().flat_map(|tombstone| &tombstone.lost).chain(&self.settled);
        let (buried, lost_observations) = sums.clone().fold((0u64, 0u64), |(rows, observations), lost| {
            (rows.saturating_add(lost.rows), observations.saturating_add(lost.observations))
        });
        // Rows that the vehicle could not read when it gave them up count one observation each, whatever they held.
        let is_counted = sums.clone().all(|lost| lost.event_type.0 > 0);
        let highest = lane.announced.max(lane.durable.highest()).max(lane.lost.highest());
        let unnumbered = newest.map_or(0, |head| head.unnumbered);
        let is_exact = newest.is_some_and(|head| head.unsure == 0)
            && !self.is_partial
            && self.unreadable + self.late + self.kept == 0
            && is_counted
            && buried == lost_rows;
        let accounted = self.observations.saturating_add(lost_observations).saturating_add(unnumbered);
        let state = match newest {
            None => Balancing::Waiting,
            Some(head) if missing > 0 || head.last_seq < highest => Balancing::Waiting,
            Some(_) if !is_exact => Balancing::Inexact,
            Some(head) if head.received == accounted => Balancing::Balanced,
            Some(head) => Balancing::Mismatch(signed(accounted).saturating_sub(signed(head.received))),
        };
        Account {
            counted: newest.map(|head| head.received),
            highest,
            rows,
            folded: self.observations.saturating_sub(rows.saturating_sub(self.unreadable)),
            lost_rows,
            lost_observations,
            unnumbered,
            missing,
            unreadable: self.unreadable,
            late: self.late,
            kept: self.kept,
            state,
        }
    }

    /// Compares the gaps with those of before: keeps since when each is known, and returns what became of the others.
    pub(crate) fn age(
        &mut self,
        (epoch, lane): (BootEpoch, Lane),
        received: &LaneReceived,
        now: UnixMicros,
    ) -> Vec<GapEnd> {
        let mut ends = Vec::new();
        for gap in &self.open {
            let (first, last) = gap.range;
            let filled = received.durable.count_in(first, last);
            let lost = received.lost.count_in(first, last).min((last - first + 1) - filled);
            if filled + lost > 0 {
                ends.push(GapEnd {
                    epoch,
                    lane,
                    range: gap.range,
                    since: gap.since,
                    until: now,
                    filled,
                    lost,
                });
            }
        }
        let since = |first: u64, last: u64| {
            let before = self.open.iter().filter(|gap| gap.range.0 <= last && first <= gap.range.1);
            before.map(|gap| gap.since).min().unwrap_or(now)
        };
        let open = received.holes().take(OPEN_KEPT);
        let open =
            open.map(|(first, last)| OpenGap { range: (first, last), since: since(first, last) }).collect();
        self.open = open;
        ends
    }

    /// Returns what does not hold of the lane as a whole.
    pub(crate) fn judge(&self, epoch: BootEpoch, lane: Lane, received: &LaneReceived) -> Option<Statement> {
        if let Some(range) = self.above_end(received) {
            let reason = Reason::RowsAboveEnd;
            return Some(Statement::Conflict { reason, epoch, lane: Some(lane), range, hashes: None });
        }
        match self.account(received).state {
            Balancing::Mismatch(difference) => Some(Statement::Mismatch { epoch, lane, difference }),
            Balancing::Balanced | Balancing::Waiting | Balancing::Inexact => None,
        }
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn add_lost(sum: &mut Vec<LostRows>, lost: LostRows) {
    let key = |lost: &LostRows| (lost.event_type, lost.severity);
    let has_room = sum.len() < KINDS_KEPT;
    match sum.iter_mut().find(|held| key(held) == key(&lost)) {
        Some(held) => {
            held.rows = held.rows.saturating_add(lost.rows);
            held.observations = held.observations.saturating_add(lost.observations);
        }
        None if has_room => sum.push(lost),
        None => {
            if let Some(held) = sum.first_mut() {
                *held = LostRows {
                    event_type: EventTypeId(0),
                    severity: None,
                    rows: held.rows.saturating_add(lost.rows),
                    observations: held.observations.saturating_add(lost.observations),
                };
            }
        }
    }
}
