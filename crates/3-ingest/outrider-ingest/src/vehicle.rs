//! All that is kept of one vehicle's deliveries.

mod lost;
mod saved;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use outrider_types::{BootEpoch, IngestTime, Lane, Seq, UnixMicros};
use outrider_wire::{Batch, DropReason, EnvelopeHeader, SeqRange, TOMBSTONE_SIGNED_BYTES_MAX, Verifier};

use crate::boots::{BOOTS_MAX, Boots};
use crate::content::{Again, Content, RowHash};
use crate::decode::ReadRows;
use crate::finding::{CLOUD_TYPES, Reason, Statement};
use crate::ledger::{GapEnd, Ledger};
use crate::open::Opened;
use crate::received::Received;
use crate::short::{ShortLedger, ShortVerdict};
use crate::totals::Totals;
use crate::worker::{GapState, LaneGap};

/// Ends of gaps kept a vehicle, the newest.
const GAP_ENDS_KEPT: usize = 32;
/// A gap that was open for less is the ordinary course of sending, and its end is not kept.
const GAP_WORTH_US: i64 = 60 * 1_000_000;
/// Statements remembered a vehicle, so that each is made once.
const STATED_MAX: usize = 256;
/// Boots of which books are kept: those whose clock is, and those whose end was stated before their rows came.
const LEDGER_BOOTS: usize = BOOTS_MAX + 8;
/// How long numbers may be missing while the vehicle reports: a day, in which there are many windows (guess).
const OVERDUE_US: i64 = 24 * 3600 * 1_000_000;
/// The same for the deferred lane, which waits for a link that costs nothing: two weeks (guess).
const OVERDUE_DEFERRED_US: i64 = 14 * 24 * 3600 * 1_000_000;

/// Returns for how long numbers of a lane may be missing while the vehicle reports.
const fn overdue_us(lane: Lane) -> i64 {
    match lane {
        Lane::Critical | Lane::Batched => OVERDUE_US,
        Lane::Deferred => OVERDUE_DEFERRED_US,
    }
}

/// State of one vehicle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct VehicleState {
    pub(crate) received: Received,
    pub(crate) boots: Boots,
    pub(crate) shorts: ShortLedger,
    ledgers: BTreeMap<(BootEpoch, Lane), Ledger>,
    gap_ends: VecDeque<GapEnd>,
    stated: BTreeSet<(BootEpoch, Seq)>,
    /// Statements made, and those that there was no room to remember and that were not made.
    pub(crate) statements: u64,
    pub(crate) unstated: u64,
    /// When it was last heard of.
    pub(crate) contact: UnixMicros,
}

/// What a batch said beside its good rows.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) statements: Vec<Statement>,
    /// Rows that are not the ones that came before under their numbers, with both hashes.
    pub(crate) different: BTreeMap<(Lane, Seq), (RowHash, RowHash)>,
    /// Ranges that came again and are not what they were.
    pub(crate) rewritten: Vec<(Lane, u64, u64)>,
    /// Rows whose number is known and whose content is not.
    unreadable: Vec<(Lane, Seq)>,
    /// Highest number among the rows by lane.
    highest: BTreeMap<Lane, u64>,
    ends: Vec<(BootEpoch, Lane)>,
    starts: Option<BTreeMap<BootEpoch, outrider_types::EventTime>>,
}

impl VehicleState {
    fn ledger(&mut self, epoch: BootEpoch, lane: Lane) -> &mut Ledger {
        if !self.ledgers.contains_key(&(epoch, lane)) {
            let mut boots: Vec<BootEpoch> = self.ledgers.keys().map(|(epoch, _)| *epoch).collect();
            boots.dedup();
            if boots.len() >= LEDGER_BOOTS
                && !boots.contains(&epoch)
                && let Some(oldest) = boots.first().copied()
            {
                self.ledgers.retain(|(epoch, _), _| *epoch != oldest);
            }
        }
        let has_rows = self.received.lane(epoch, lane).is_some_and(|lane| lane.durable.intervals() > 0);
        let begin = || if has_rows { Ledger::begin_late() } else { Ledger::default() };
        self.ledgers.entry((epoch, lane)).or_insert_with(begin)
    }

    /// Takes what a batch says of its boot and lanes, and compares its rows with those that came before. The rows
    /// themselves are noted as they are decoded.
    pub(crate) fn take(
        &mut self,
        header: &EnvelopeHeader,
        rows: &ReadRows<'_>,
        ingest: IngestTime,
        (device, anchor): (&dyn Verifier, Option<&dyn Verifier>),
    ) -> Taken {
        let batch = &rows.batch;
        self.contact = self.contact.max(ingest.0);
        let epoch = header.epoch;
        let mut taken = Taken::default();
        let fixes: Vec<_> = batch.fixes().flatten().collect();
        if !fixes.is_empty() {
            taken.starts = Some(self.boots.starts());
        }
        let book = self.boots.book(epoch, ingest);
        for fix in fixes {
            book.clock.take(fix, ingest);
        }
        let latest = rows.good().map(|event| event.head.last).max();
        let clocks = [
            (book.clock.disagrees(), Reason::ClocksDisagree),
            (latest.is_some_and(|latest| book.clock.is_ahead(latest, ingest)), Reason::AheadOfArrival),
        ];
        taken.statements.extend(clocks.into_iter().filter(|(is_so, _)| *is_so).map(|(_, reason)| {
            Statement::Conflict { reason, epoch, lane: None, range: (0, 0), hashes: None }
        }));
        self.take_beginning(epoch, batch, (ingest, anchor), &mut taken);
        self.take_rows(epoch, rows, ingest, &mut taken);
        self.take_heads(header, batch, &mut taken);
        self.take_losses(epoch, batch, device, &mut taken);
        self.take_lost_boots(header, batch, device, &mut taken);
        taken
    }

    /// Notes rows that came in short frames, and holds them against what a batch proves of earlier ones. Returns the
    /// ranges that are not what the vehicle sent, in words and with their length.
    pub(crate) fn take_shorts(
        &mut self,
        opened: &Opened,
        rows: &ReadRows<'_>,
        ingest: IngestTime,
    ) -> Vec<(String, u64)> {
        let epoch = opened.header.epoch;
        if opened.is_short {
            for event in rows.good() {
                self.shorts.note(epoch, event.head.lane, event.head.seq, &opened.rows, ingest);
            }
        }
        let mut forged = Vec::new();
        for proof in rows.batch.proofs().flatten() {
            if self.shorts.check(epoch, &proof) == ShortVerdict::Forged {
                let (first, last, lane) = (proof.range.first(), proof.range.last(), proof.lane);
                let place =
                    format!("rows {first} to {last} of lane {lane} are not those that the vehicle sent");
                forged.push((place, proof.range.count()));
            }
        }
        forged
    }

    fn take_beginning(
        &mut self,
        epoch: BootEpoch,
        rows: &Batch<'_>,
        (ingest, key): (IngestTime, Option<&dyn Verifier>),
        taken: &mut Taken,
    ) {
        let conflict = |reason, range| Statement::Conflict { reason, epoch, lane: None, range, hashes: None };
        for anchor in rows.anchors().flatten() {
            if let Some(reason) = self.boots.book(epoch, ingest).take_anchor(&anchor, key) {
                taken.statements.push(conflict(reason, (anchor.counter, anchor.counter)));
            }
            taken.statements.extend(self.boots.anchors_behind());
        }
        for boot in rows.boots().flatten() {
            let begun = boot.head.previous.filter(|_| boot.head.current == epoch);
            if begun.is_some_and(|previous| !self.boots.book(epoch, ingest).begin(&previous)) {
                taken.statements.push(conflict(Reason::BootBegunTwice, (0, 0)));
            }
            for end in boot.ends().filter(|end| end.epoch < boot.head.current) {
                self.ledger(end.epoch, end.lane).take_end(end.last_seq);
                taken.ends.push((end.epoch, end.lane));
            }
        }
    }

    fn take_rows(&mut self, epoch: BootEpoch, rows: &ReadRows<'_>, ingest: IngestTime, taken: &mut Taken) {
        let mut again = Again::default();
        let mut new: BTreeMap<Lane, (u64, u64)> = BTreeMap::new();
        let mut last = None;
        for (event, fields) in rows.rows() {
            let event = match event {
                Ok(event) if !CLOUD_TYPES.contains(&event.head.event_type.0) => event,
                Ok(event) => {
                    taken.unreadable.push((event.head.lane, event.head.seq));
                    continue;
                }
                Err(error) => {
                    taken.unreadable.extend(error.id.filter(|(_, seq)| seq.0 > 0));
                    continue;
                }
            };
            let (lane, seq) = (event.head.lane, event.head.seq);
            last = last.max(Some(event.head.last));
            let highest = taken.highest.entry(lane).or_default();
            *highest = (*highest).max(seq.0);
            let is_known = self.received.contains(epoch, lane, seq);
            let hash = RowHash::of(event, fields.iter().copied());
            match self.received.contents.note(epoch, (lane, seq), hash, (is_known, false)) {
                Content::Different(before) => {
                    taken.different.insert((lane, seq), (before, hash));
                    taken.statements.push(Statement::Conflict {
                        reason: Reason::Row,
                        epoch,
                        lane: Some(lane),
                        range: (seq.0, seq.0),
                        hashes: Some((before, hash)),
                    });
                }
                Content::NotHeld if is_known => {
                    self.received.contents.collect(epoch, (lane, seq), hash, &mut again);
                }
                Content::New | Content::Same | Content::NotHeld => {}
            }
            if !is_known {
                let late = u64::from(self.received.is_lost(epoch, lane, seq));
                let new = new.entry(lane).or_insert((0u64, 0u64));
                *new = (new.0.saturating_add(event.head.count), new.1.saturating_add(late));
            }
        }
        for (lane, (observations, late)) in new {
            self.ledger(epoch, lane).receive(observations, late);
        }
        for (lane, first, to, before, now) in self.received.contents.compare(epoch, &again) {
            taken.rewritten.push((lane, first, to));
            taken.statements.push(Statement::Conflict {
                reason: Reason::Rows,
                epoch,
                lane: Some(lane),
                range: (first, to),
                hashes: Some((before, now)),
            });
        }
        if let Some(last) = last {
            self.boots.book(epoch, ingest).hear(last, ingest);
        }
    }

    fn take_heads(&mut self, header: &EnvelopeHeader, rows: &Batch<'_>, taken: &mut Taken) {
        let epoch = header.epoch;
        let sender = rows.boots().flatten().next().map_or(0, |boot| boot.head.current.0);
        let order = (sender, header.batch_number);
        for view in rows.heads().flatten() {
            let (lane, last_seq) = (view.head.lane, view.head.last_seq);
            self.received.announce(epoch, lane, last_seq);
            let in_batch = taken.highest.get(&lane).copied().unwrap_or(0);
            let below = (in_batch > last_seq).then_some(Reason::HeadBelowRows);
            let [shrank, unbalanced] = self.ledger(epoch, lane).take_head(order, &view);
            let range = (last_seq, in_batch.max(last_seq));
            let reasons = [shrank, unbalanced, below].into_iter().flatten();
            taken.statements.extend(reasons.map(|reason| Statement::Conflict {
                reason,
                epoch,
                lane: Some(lane),
                range,
                hashes: None,
            }));
        }
    }

    fn take_losses(&mut self, epoch: BootEpoch, rows: &Batch<'_>, device: &dyn Verifier, taken: &mut Taken) {
        for gap in rows.gaps().flatten() {
            let (first, last) = (gap.range.first().0, gap.range.last().0);
            let kept = self.received.lane(epoch, gap.lane).map_or(0, |state| {
                // What was declared lost before is counted already.
                let fresh = state.lost.holes_in(first, last);
                fresh.map(|(first, last)| state.durable.count_in(first, last)).sum()
            });
            self.received.declare_lost(epoch, gap.lane, gap.range);
            self.ledger(epoch, gap.lane).take_loss(gap.range, gap.reason, kept);
        }
        for view in rows.tombstones().flatten() {
            let mut text = [0; TOMBSTONE_SIGNED_BYTES_MAX];
            let is_signed =
                view.signed(epoch, &mut text).is_ok_and(|text| device.verify(text, &view.head.signature));
            let (lane, range) = (view.head.lane, view.head.range);
            let reason = self.ledger(epoch, lane).take_tombstone(&view, is_signed);
            taken.statements.extend(reason.map(|reason| Statement::Conflict {
                reason,
                epoch,
                lane: Some(lane),
                range: (range.first().0, range.last().0),
                hashes: None,
            }));
        }
    }

    /// Draws the conclusions once the rows are noted, and returns what is to be said that was not said before.
    pub(crate) fn conclude(&mut self, epoch: BootEpoch, mut taken: Taken, now: UnixMicros) -> Vec<Statement> {
        for (lane, seq) in taken.unreadable {
            let new = SeqRange::new(seq, seq).map_or(0, |range| self.received.insert(epoch, lane, range));
            if new > 0 {
                self.ledger(epoch, lane).receive_unreadable();
            }
        }
        for (lane, lost) in self.received.settle(epoch) {
            self.ledger(epoch, lane).close_in_sums(&lost);
        }
        let touched = Lane::ALL.map(|lane| (epoch, lane)).into_iter().chain(taken.ends);
        let mut ends = Vec::new();
        for (epoch, lane) in touched {
            let Some(received) = self.received.lane(epoch, lane) else { continue };
            let Some(ledger) = self.ledgers.get_mut(&(epoch, lane)) else { continue };
            ends.extend(ledger.age((epoch, lane), received, now));
            taken.statements.extend(ledger.judge(epoch, lane, received));
        }
        for end in ends {
            if end.lost > 0 || end.until.micros_since(end.since) >= GAP_WORTH_US {
                self.gap_ends.push_back(end);
            }
        }
        while self.gap_ends.len() > GAP_ENDS_KEPT {
            self.gap_ends.pop_front();
        }
        taken.statements.extend(self.overdue());
        if let Some(starts) = &taken.starts {
            taken.statements.extend(self.boots.corrections(starts));
        }
        taken.statements.retain(|statement| self.is_news(statement));
        self.statements += taken.statements.len() as u64;
        taken.statements
    }

    fn overdue(&self) -> Vec<Statement> {
        let open = self
            .ledgers
            .iter()
            .flat_map(|((epoch, lane), ledger)| ledger.open().iter().map(move |gap| (*epoch, *lane, *gap)));
        open.map(|(epoch, lane, gap)| (epoch, lane, gap, self.contact.micros_since(gap.since)))
            .filter(|(_, lane, _, open_us)| *open_us > overdue_us(*lane))
            .map(|(epoch, lane, gap, open_us)| Statement::Overdue { epoch, lane, range: gap.range, open_us })
            .collect()
    }

    /// Remembers a statement; false if it was made before, or if there is no room to remember it.
    fn is_news(&mut self, statement: &Statement) -> bool {
        let key = (statement.epoch(), statement.identity());
        if self.stated.contains(&key) {
            return false;
        }
        if self.stated.len() >= STATED_MAX {
            if self.stated.first().is_none_or(|(oldest, _)| *oldest >= key.0) {
                self.unstated += 1;
                return false;
            }
            self.stated.pop_first();
        }
        self.stated.insert(key)
    }

    /// Returns the books of a lane in a boot, as long as they are kept.
    pub(crate) fn books(&self, epoch: BootEpoch, lane: Lane) -> Option<&Ledger> {
        self.ledgers.get(&(epoch, lane))
    }

    /// Returns what became of gaps, oldest first.
    pub(crate) fn gap_ends(&self) -> impl DoubleEndedIterator<Item = &GapEnd> {
        self.gap_ends.iter()
    }

    /// Returns what is missing or lost, by boot and lane; missing before lost.
    pub(crate) fn gaps(&self) -> Vec<LaneGap> {
        let mut gaps = Vec::new();
        for (epoch, lane, received) in self.received.lanes() {
            let ledger = self.ledgers.get(&(epoch, lane));
            let gap = |(first, last): (u64, u64), state, since, reason| LaneGap {
                epoch,
                lane,
                first: Seq(first),
                last: Seq(last),
                state,
                since,
                reason,
            };
            let boot_since = self.boots.get(epoch).map_or(self.contact, |boot| boot.since);
            for hole in received.holes() {
                let open = ledger.map_or(&[][..], Ledger::open);
                let known = open.iter().find(|gap| gap.range.0 <= hole.1 && hole.0 <= gap.range.1);
                let since = known.map_or(boot_since, |gap| gap.since);
                let is_overdue = self.contact.micros_since(since) > overdue_us(lane);
                let state = if is_overdue { GapState::Overdue } else { GapState::Open };
                gaps.push(gap(hole, state, since, None));
            }
            let mut named = crate::interval::IntervalSet::default();
            for (reason, set) in ledger.into_iter().flat_map(Ledger::losses) {
                for (first, last) in set.ranges() {
                    let ranges = received.durable.holes_in(first, last);
                    let fresh: Vec<_> = ranges
                        .flat_map(|(first, last)| named.holes_in(first, last).collect::<Vec<_>>())
                        .collect();
                    fresh.iter().for_each(|range| gaps.push(gap(*range, GapState::Lost, boot_since, reason)));
                    named.insert(first, last);
                }
            }
            for (first, last) in received.lost.ranges() {
                for (first, last) in named.holes_in(first, last) {
                    let still = received.durable.holes_in(first, last);
                    gaps.extend(still.map(|range| gap(range, GapState::Lost, boot_since, None)));
                }
            }
        }
        gaps
    }

    /// Returns the counts of this vehicle. O(lanes and gaps).
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals { vehicles: 1, statements: self.statements, ..Totals::default() };
        for (epoch, lane, received) in self.received.lanes() {
            let of = totals.lane_mut(lane);
            of.rows = of.rows.saturating_add(received.durable.count());
            if let Some(ledger) = self.ledgers.get(&(epoch, lane)) {
                of.add_account(&ledger.account(received));
                for tombstone in ledger.tombstones() {
                    totals.tombstones[usize::from(!tombstone.is_signed)] += 1;
                }
            }
        }
        for gap in self.gaps() {
            let numbers = (gap.last.0 - gap.first.0).saturating_add(1);
            let of = totals.lane_mut(gap.lane);
            let (class, slot) = match gap.state {
                GapState::Open => (0, &mut of.open),
                GapState::Overdue => (1, &mut of.overdue),
                GapState::Lost => (2, &mut of.lost),
            };
            *slot = slot.saturating_add(numbers);
            totals.gaps[class] += 1;
            if gap.state == GapState::Lost {
                let place = gap.reason.map_or(DropReason::ALL.len(), |reason| usize::from(reason.code()) - 1);
                if let Some(slot) = totals.lost_by_reason.get_mut(place) {
                    *slot = slot.saturating_add(numbers);
                }
            }
        }
        totals
    }
}
