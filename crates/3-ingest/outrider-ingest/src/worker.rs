//! The worker's side: from log records to rows, with gaps, time and quarantine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use outrider_model::{Balance, DecodeContext, EventBatch, LogRecord, SaveError, VehicleRegistry};
use outrider_types::{BootEpoch, EventTime, IngestTime, Lane, Seq, UnixMicros, VehicleId, VehicleMicros};
use outrider_wire::{DropReason, SeqRange, Verifier};

use crate::boots::Boots;
use crate::clock::ClockState;
use crate::decode::ReadRows;
use crate::feed::{FEED_RECORD_OVERHEAD, FeedId, FeedRecord};
use crate::feeds::Feeds;
use crate::finding::{Place, Statement};
use crate::foreign::{FeedCounts, Foreign, ForeignPart};
use crate::ledger::{Account, GapEnd, LaneTombstone, Ledger};
use crate::note::{Note, NoteRecord};
use crate::open::{KeyRing, Opener};
use crate::received::Received;
use crate::replay::{ReplayRecord, Replayed};
use crate::totals::{Contacts, Lag, Totals};
use crate::vehicle::VehicleState;

/// Bytes kept of a quarantined batch: a whole frame fits.
const QUARANTINE_BYTES_MAX: usize = outrider_wire::limits::FRAME_BYTES_MAX + FEED_RECORD_OVERHEAD;

/// Something that was set aside, with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// When the listener accepted it.
    pub ingest: IngestTime,
    /// Vehicle, as far as it is known.
    pub vehicle: Option<VehicleId>,
    /// Reason from a closed list.
    pub reason: &'static str,
    /// Where and why, in words.
    pub place: String,
    /// Units it stands for.
    pub units: u64,
    /// The whole batch as it was received, for a replay after a fix; of a feed, the refused documents.
    pub bytes: Vec<u8>,
    /// Where they stood, of a feed's; its bytes may name vehicles.
    pub foreign: Option<ForeignPart>,
}

/// What is known about missing numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GapState {
    /// Missing, and may still come.
    Open,
    /// Missing for longer than a day although the vehicle reports; two weeks in the deferred lane.
    Overdue,
    /// Declared lost by the vehicle.
    Lost,
}

impl GapState {
    /// Returns the word used in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Overdue => "overdue",
            Self::Lost => "lost",
        }
    }
}

/// Missing numbers of one lane in one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneGap {
    /// Boot.
    pub epoch: BootEpoch,
    /// Lane.
    pub lane: Lane,
    /// First missing number.
    pub first: Seq,
    /// Last missing number.
    pub last: Seq,
    /// What is known about them.
    pub state: GapState,
    /// Since when they are known to be missing; of lost ones since when the boot is known.
    pub since: UnixMicros,
    /// Why they are lost, if they are.
    pub reason: Option<DropReason>,
}

/// What is known of a lane in one boot.
#[derive(Debug, Clone, PartialEq)]
pub struct LaneReport {
    /// Boot.
    pub epoch: BootEpoch,
    /// Lane.
    pub lane: Lane,
    /// Everything up to this number is here or declared lost.
    pub contiguous: u64,
    /// Numbers missing for too long; the rest of the account's missing ones is in time.
    pub overdue: u64,
    /// End that a later boot found.
    pub end: Option<u64>,
    /// The account; `None` for boots so old that their books are closed.
    pub account: Option<Account>,
    /// Numbers received and declared lost, for boots without books too.
    pub counts: (u64, u64),
    /// Tombstones.
    pub tombstones: Vec<LaneTombstone>,
}

/// Turns log records into rows; synchronous, deterministic, rebuilt from the log at any time.
#[derive(Debug, Default)]
pub struct Worker {
    opener: Opener,
    vehicles: BTreeMap<VehicleId, VehicleState>,
    /// Vehicles of which something is missing or lost: screens count their gaps, not those of the whole fleet.
    gapped: BTreeSet<VehicleId>,
    dirty: BTreeSet<VehicleId>,
    /// Counts of each vehicle, renewed when it is heard of.
    totals: BTreeMap<VehicleId, Totals>,
    rows: Balance,
    batches: Balance,
    notes: u64,
    statements: u64,
    lag: Lag,
    foreign: Foreign,
    replayed: Vec<Replayed>,
}

impl Worker {
    /// Takes one record: appends its new rows to `batch` and what could not be used to `quarantine`.
    pub fn receive(
        &mut self,
        record: &LogRecord,
        keys: &dyn KeyRing,
        registry: &dyn VehicleRegistry,
        batch: &mut EventBatch,
        quarantine: &mut Vec<Quarantined>,
    ) {
        if NoteRecord::is_note(&record.bytes) {
            self.receive_note(record, registry, batch, quarantine);
            return;
        }
        if ReplayRecord::is_replay(&record.bytes) {
            self.replay(record, keys, registry, batch, quarantine);
            return;
        }
        if FeedRecord::is_feed(&record.bytes) {
            self.foreign.receive(record, registry, batch, quarantine);
            return;
        }
        self.batches.receive(1);
        // The listener has compared session and batch; the log holds only what passed.
        let opened = match self.opener.open(&record.bytes, None, keys) {
            Ok(opened) => opened,
            Err(error) => {
                self.batches.quarantine_for(error.code(), 1);
                quarantine.push(set_aside(record, None, error.code(), error.to_string(), 1));
                return;
            }
        };
        let vehicle = opened.header.vehicle;
        let parsed = ReadRows::parse(&opened.rows).ok().zip(keys.batch_key_at(vehicle, opened.header.epoch));
        let Some((rows, (_, device))) = parsed else {
            self.batches.quarantine_for("batch.rows", 1);
            let place = "rows no longer parse".to_owned();
            quarantine.push(set_aside(record, Some(vehicle), "batch.rows", place, 1));
            return;
        };
        self.batches.pass(1);
        self.dirty.insert(vehicle);
        let state = self.vehicles.entry(vehicle).or_default();
        let epoch = opened.header.epoch;
        let anchor = keys.anchor_key(vehicle);
        let verifiers = (device.as_ref() as &dyn Verifier, anchor.as_deref().map(|key| key as &dyn Verifier));
        let taken = state.take(&opened.header, &rows, record.ingest, verifiers);
        for (place, count) in state.take_shorts(&opened, &rows, record.ingest) {
            quarantine.push(set_aside(record, Some(vehicle), "short.forged", place, count));
        }
        let entry = registry.vehicle(vehicle);
        let VehicleState { received, boots, .. } = state;
        let bounds = boots.bounds(epoch, record.ingest);
        let clock = boots.get(epoch).map(|book| book.clock.clone()).unwrap_or_default();
        let lag = std::cell::Cell::new(self.lag);
        let mut context = DecodeContext {
            tenant: opened.header.tenant,
            vehicle,
            epoch,
            ingest: record.ingest,
            record: entry.as_ref(),
            event_time: &|mono| {
                let (time, _) = clock.event_time_within(mono, &bounds);
                let mut noted = lag.get();
                noted.note(time, record.ingest);
                lag.set(noted);
                time
            },
            is_new: &mut |lane, seq| {
                !taken.different.contains_key(&(lane, seq))
                    && SeqRange::new(seq, seq).is_some_and(|range| received.insert(epoch, lane, range) > 0)
            },
        };
        let decoded = rows.decode(&mut context, batch);
        self.lag = lag.get();
        self.rows.receive(u64::from(rows.batch.event_count()));
        self.rows.pass(decoded.rows);
        self.rows.drop_for("duplicate", decoded.duplicates.saturating_sub(taken.different.len() as u64));
        // One entry a reason with the first place: each holds the whole batch, and thousands of rows may be bad.
        let mut reasons: BTreeMap<&'static str, (String, u64)> = BTreeMap::new();
        for reject in decoded.rejects {
            reasons.entry(reject.reason).or_insert((reject.place, 0)).1 += reject.units;
        }
        for ((lane, seq), (before, now)) in &taken.different {
            let place = format!("boot {epoch}, lane {lane}, number {seq}: was {before}, is {now}");
            reasons.entry("row.equivocation").or_insert((place, 0)).1 += 1;
        }
        for (reason, (place, units)) in reasons {
            self.rows.quarantine_for(reason, units);
            quarantine.push(set_aside(record, Some(vehicle), reason, place, units));
        }
        if let Some((lane, first, last)) = taken.rewritten.first() {
            // Which of them changed is not known, so they are duplicates in the balance; the batch is the evidence.
            let place =
                format!("boot {epoch}, lane {lane}, numbers {first} to {last} are not what they were");
            quarantine.push(set_aside(record, Some(vehicle), "row.rewritten", place, 1));
        }
        let statements = state.conclude(epoch, taken, record.ingest.0);
        let place =
            Place { tenant: opened.header.tenant, vehicle, ingest: record.ingest, record: entry.as_ref() };
        self.statements += statements.len() as u64;
        statements.iter().for_each(|statement| statement.push(place, batch));
        if state.received.is_whole() {
            self.gapped.remove(&vehicle);
        } else {
            self.gapped.insert(vehicle);
        }
        self.totals.insert(vehicle, state.totals());
    }

    /// Takes what the edge wrote.
    fn receive_note(
        &mut self,
        record: &LogRecord,
        registry: &dyn VehicleRegistry,
        batch: &mut EventBatch,
        quarantine: &mut Vec<Quarantined>,
    ) {
        self.notes += 1;
        let Some(NoteRecord { tenant, vehicle, note }) = NoteRecord::parse(&record.bytes) else {
            let place = "of a later version, or damaged".to_owned();
            quarantine.push(set_aside(record, None, "note.unknown", place, 1));
            return;
        };
        let Note::CertificateUsedTwice { before, now } = note;
        let statement = Statement::CertificateUsedTwice { before, now, at: record.ingest.0 };
        let entry = registry.vehicle(vehicle);
        let place = Place { tenant, vehicle, ingest: record.ingest, record: entry.as_ref() };
        statement.push(place, batch);
        self.statements += 1;
        self.dirty.insert(vehicle);
        let state = self.vehicles.entry(vehicle).or_default();
        state.statements += 1;
        self.totals.insert(vehicle, state.totals());
    }

    /// Sets the feeds, their decoders and the pseudonyms, for all records from now on.
    pub fn set_feeds(&mut self, feeds: Arc<Feeds>) {
        self.foreign.set_feeds(feeds);
    }

    /// Returns what came of each feed since the program began; records that name none stand under feed 0.
    #[must_use]
    pub const fn feed_counts(&self) -> &BTreeMap<FeedId, FeedCounts> {
        self.foreign.counts()
    }

    /// Returns what came of the bodies and of the documents of all feeds since the program began.
    #[must_use]
    pub fn feed_totals(&self) -> (Balance, Balance) {
        self.feed_counts().values().fold((Balance::default(), Balance::default()), |mut sum, counts| {
            sum.0.merge(&counts.bodies);
            sum.1.merge(&counts.documents);
            sum
        })
    }

    /// Takes what changed of the memory of bodies and keys since the last call, by name, for the checkpoint.
    pub fn save_feeds(&mut self) -> Vec<(String, Vec<u8>)> {
        self.foreign.save_changed()
    }

    /// Restores a part of that memory; parts come in the order of their names.
    ///
    /// # Errors
    /// [`SaveError`].
    pub fn load_feeds(&mut self, name: &str, bytes: &[u8]) -> Result<(), SaveError> {
        self.foreign.load_part(name, bytes)
    }

    /// Returns the counters of rows.
    #[must_use]
    pub const fn rows(&self) -> &Balance {
        &self.rows
    }

    /// Returns the counters of batches.
    #[must_use]
    pub const fn batches(&self) -> &Balance {
        &self.batches
    }

    /// Returns how many statements of the cloud were added as rows since the program began.
    #[must_use]
    pub const fn statements(&self) -> u64 {
        self.statements
    }

    /// Returns what is missing of a vehicle, in order of boot and lane.
    #[must_use]
    pub fn gaps(&self, vehicle: VehicleId) -> Vec<LaneGap> {
        self.vehicles.get(&vehicle).map(VehicleState::gaps).unwrap_or_default()
    }

    /// Returns what became of a vehicle's gaps, newest first; those that were open for less than a minute are left out
    /// unless something was lost.
    pub fn gap_ends(&self, vehicle: VehicleId) -> impl Iterator<Item = &GapEnd> {
        self.vehicles.get(&vehicle).into_iter().flat_map(|state| state.gap_ends().rev())
    }

    /// Returns what is known of a vehicle's lanes, newest boot first.
    #[must_use]
    pub fn lanes(&self, vehicle: VehicleId) -> Vec<LaneReport> {
        let Some(state) = self.vehicles.get(&vehicle) else { return Vec::new() };
        let mut overdue: BTreeMap<(BootEpoch, Lane), u64> = BTreeMap::new();
        for gap in state.gaps().into_iter().filter(|gap| gap.state == GapState::Overdue) {
            *overdue.entry((gap.epoch, gap.lane)).or_default() += gap.last.0 - gap.first.0 + 1;
        }
        let reports = state.received.lanes().map(|(epoch, lane, received)| {
            let books = state.books(epoch, lane);
            LaneReport {
                epoch,
                lane,
                contiguous: received.contiguous(),
                overdue: overdue.get(&(epoch, lane)).copied().unwrap_or(0),
                end: books.and_then(Ledger::end),
                account: books.map(|books| books.account(received)),
                counts: (received.durable.count(), received.lost.count()),
                tombstones: books.map(|books| books.tombstones().to_vec()).unwrap_or_default(),
            }
        });
        let mut reports: Vec<LaneReport> = reports.collect();
        reports.sort_by_key(|report| (std::cmp::Reverse(report.epoch), report.lane));
        reports
    }

    /// Returns what is known of a vehicle's deliveries.
    #[must_use]
    pub fn received(&self, vehicle: VehicleId) -> Option<&Received> {
        self.vehicles.get(&vehicle).map(|state| &state.received)
    }

    /// Returns what is known of a vehicle's boots.
    #[must_use]
    pub fn boots(&self, vehicle: VehicleId) -> Option<&Boots> {
        self.vehicles.get(&vehicle).map(|state| &state.boots)
    }

    /// Returns the event time of a reading by all that is known now, if the boot is still known. The row in the lake keeps
    /// what was known when it came.
    #[must_use]
    pub fn event_time(&self, vehicle: VehicleId, epoch: BootEpoch, mono: VehicleMicros) -> Option<EventTime> {
        let state = self.vehicles.get(&vehicle)?;
        state.boots.get(epoch)?;
        Some(state.boots.event_time(epoch, mono, IngestTime(state.contact)).0)
    }

    /// Returns the vehicle's rows of short frames that no signed batch has proved yet, and since when the oldest waits.
    #[must_use]
    pub fn unproved(&self, vehicle: VehicleId) -> (usize, Option<IngestTime>) {
        self.vehicles.get(&vehicle).map_or((0, None), |state| state.shorts.waiting())
    }

    /// Returns what is known of a vehicle's clock in its newest boot.
    #[must_use]
    pub fn clock(&self, vehicle: VehicleId) -> Option<&ClockState> {
        self.boots(vehicle)?.iter().next_back().map(|(_, book)| &book.clock)
    }

    /// Returns the counts of a vehicle and when it was last heard of.
    #[must_use]
    pub fn vehicle_totals(&self, vehicle: VehicleId) -> Option<(&Totals, UnixMicros)> {
        self.totals.get(&vehicle).zip(self.vehicles.get(&vehicle).map(|state| state.contact))
    }

    /// Returns the counts of the fleet, and the vehicles of which most is overdue, then missing, then lost. O(vehicles).
    #[must_use]
    pub fn fleet(&self, now: UnixMicros, vehicles_max: usize) -> (Totals, Contacts, Vec<VehicleId>) {
        let (mut sum, mut contacts) = (Totals::default(), Contacts::default());
        for (vehicle, totals) in &self.totals {
            sum.add(totals);
            if let Some(state) = self.vehicles.get(vehicle) {
                contacts.note(state.contact, now);
            }
        }
        let rank = |vehicle: &VehicleId| {
            let totals = self.totals.get(vehicle)?;
            let overdue: u64 = totals.lanes.iter().map(|lane| lane.overdue).sum();
            let lost: u64 = totals.lanes.iter().map(|lane| lane.lost).sum();
            Some((overdue, totals.missing(), lost, std::cmp::Reverse(*vehicle)))
        };
        let mut worst: Vec<_> = self.gapped.iter().filter_map(rank).collect();
        worst.sort_unstable_by(|one, other| other.cmp(one));
        worst.truncate(vehicles_max);
        (sum, contacts, worst.into_iter().map(|(.., vehicle)| vehicle.0).collect())
    }

    /// Returns how late rows came since the program began.
    #[must_use]
    pub const fn lag(&self) -> &Lag {
        &self.lag
    }

    /// Returns the vehicles of which numbers are missing or declared lost, ascending.
    pub fn gapped_vehicles(&self) -> impl Iterator<Item = VehicleId> + '_ {
        self.gapped.iter().copied()
    }

    /// Takes the saved state of every vehicle that changed since the last call, for the checkpoint.
    pub fn save_changed(&mut self) -> Vec<(VehicleId, Vec<u8>)> {
        let changed = std::mem::take(&mut self.dirty);
        changed
            .into_iter()
            .filter_map(|vehicle| {
                let state = self.vehicles.get(&vehicle)?;
                let mut bytes = Vec::new();
                state.save(&mut bytes);
                Some((vehicle, bytes))
            })
            .collect()
    }

    /// Restores one vehicle from a checkpoint, in the place of what is known of it.
    ///
    /// # Errors
    /// [`SaveError`]; the vehicle is as it was before.
    pub fn load_vehicle(&mut self, vehicle: VehicleId, bytes: &[u8]) -> Result<(), SaveError> {
        let state = VehicleState::load(bytes)?;
        if state.received.is_whole() {
            self.gapped.remove(&vehicle);
        } else {
            self.gapped.insert(vehicle);
        }
        self.totals.insert(vehicle, state.totals());
        self.vehicles.insert(vehicle, state);
        Ok(())
    }
}

pub(crate) fn set_aside(
    record: &LogRecord,
    vehicle: Option<VehicleId>,
    reason: &'static str,
    place: String,
    units: u64,
) -> Quarantined {
    let kept = record.bytes.len().min(QUARANTINE_BYTES_MAX);
    let bytes = record.bytes[..kept].to_vec();
    Quarantined { ingest: record.ingest, vehicle, reason, place, units, bytes, foreign: None }
}

mod replay;

#[cfg(test)]
mod tests;
