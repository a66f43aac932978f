//! The worker's side: from log records to rows, with gaps, time and quarantine.

use std::collections::{BTreeMap, BTreeSet};

use outrider_model::{Balance, DecodeContext, Decoder, EventBatch, LogRecord, SaveError, VehicleRegistry};
use outrider_types::{BootEpoch, IngestTime, Lane, Seq, UnixMicros, VehicleId};
use outrider_wire::{Batch, SeqRange};

use crate::clock::ClockState;
use crate::decode::RowsDecoder;
use crate::interval::StateCursor;
use crate::open::{KeyRing, Opener};
use crate::received::Received;

/// Bytes kept of a quarantined batch: a whole frame fits.
const QUARANTINE_BYTES_MAX: usize = outrider_wire::limits::FRAME_BYTES_MAX;
/// A gap that is older than this is overdue: a vehicle that talks to us has had many windows to fill it (guess).
const OVERDUE_US: i64 = 24 * 3600 * 1_000_000;
/// Boots whose clock is remembered a vehicle; a late batch of an older boot brings its fixes along.
const CLOCKS_MAX: usize = 16;
/// Version of the saved form.
const VERSION: u32 = 1;

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
    /// The whole batch as it was received, for a replay after a fix.
    pub bytes: Vec<u8>,
}

/// What is known about missing numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GapState {
    /// Missing, and may still come.
    Open,
    /// Missing for longer than a day although the vehicle reports.
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
    /// Since when the vehicle's boot has been known.
    pub since: UnixMicros,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct VehicleState {
    received: Received,
    clocks: BTreeMap<BootEpoch, ClockState>,
    since: BTreeMap<BootEpoch, UnixMicros>,
}

/// Turns log records into rows; synchronous, deterministic, rebuilt from the log at any time.
#[derive(Debug, Default)]
pub struct Worker {
    opener: Opener,
    decoder: RowsDecoder,
    vehicles: BTreeMap<VehicleId, VehicleState>,
    /// Vehicles of which something is missing or lost: screens count their gaps, not those of the whole fleet.
    gapped: BTreeSet<VehicleId>,
    dirty: BTreeSet<VehicleId>,
    rows: Balance,
    batches: Balance,
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
        let Ok(rows) = Batch::parse(&opened.rows) else {
            self.batches.quarantine_for("batch.rows", 1);
            quarantine.push(set_aside(
                record,
                Some(vehicle),
                "batch.rows",
                "rows no longer parse".to_owned(),
                1,
            ));
            return;
        };
        self.batches.pass(1);
        self.dirty.insert(vehicle);
        let state = self.vehicles.entry(vehicle).or_default();
        let epoch = opened.header.epoch;
        state.note(epoch, &rows, record.ingest);
        let entry = registry.vehicle(vehicle);
        let VehicleState { received, clocks, .. } = state;
        let clock = clocks.entry(epoch).or_default();
        let mut context = DecodeContext {
            tenant: opened.header.tenant,
            vehicle,
            epoch,
            ingest: record.ingest,
            record: entry.as_ref(),
            event_time: &|mono| clock.event_time(mono, record.ingest),
            is_new: &mut |lane, seq| {
                SeqRange::new(seq, seq).is_some_and(|range| received.insert(epoch, lane, range) > 0)
            },
        };
        let decoded = self.decoder.decode(&opened.rows, &mut context, batch);
        if received.is_whole() {
            self.gapped.remove(&vehicle);
        } else {
            self.gapped.insert(vehicle);
        }
        self.rows.receive(u64::from(rows.event_count()));
        self.rows.pass(decoded.rows);
        self.rows.drop_for("duplicate", decoded.duplicates);
        // One entry a reason with the first place: each holds the whole batch, and thousands of rows may be bad.
        let mut reasons: BTreeMap<&'static str, (String, u64)> = BTreeMap::new();
        for reject in decoded.rejects {
            self.rows.quarantine_for(reject.reason, reject.units);
            reasons.entry(reject.reason).or_insert((reject.place, 0)).1 += reject.units;
        }
        for (reason, (place, units)) in reasons {
            quarantine.push(set_aside(record, Some(vehicle), reason, place, units));
        }
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

    /// Returns what is missing of a vehicle, in order of boot and lane.
    #[must_use]
    pub fn gaps(&self, vehicle: VehicleId, now: UnixMicros) -> Vec<LaneGap> {
        let Some(state) = self.vehicles.get(&vehicle) else { return Vec::new() };
        let mut gaps = Vec::new();
        for (epoch, lane, received) in state.received.lanes() {
            let since = state.since.get(&epoch).copied().unwrap_or(now);
            let open = if now.micros_since(since) > OVERDUE_US { GapState::Overdue } else { GapState::Open };
            let missing = received.holes().map(|range| (range, open));
            let lost = received.lost.ranges().map(|range| (range, GapState::Lost));
            gaps.extend(missing.chain(lost).map(|((first, last), state)| LaneGap {
                epoch,
                lane,
                first: Seq(first),
                last: Seq(last),
                state,
                since,
            }));
        }
        gaps
    }

    /// Returns what is known of a vehicle's deliveries.
    #[must_use]
    pub fn received(&self, vehicle: VehicleId) -> Option<&Received> {
        self.vehicles.get(&vehicle).map(|state| &state.received)
    }

    /// Returns what is known of a vehicle's clock in its newest boot.
    #[must_use]
    pub fn clock(&self, vehicle: VehicleId) -> Option<&ClockState> {
        self.vehicles.get(&vehicle).and_then(|state| state.clocks.last_key_value()).map(|(_, clock)| clock)
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

    /// Restores one vehicle from a checkpoint.
    ///
    /// # Errors
    /// [`SaveError`]; the vehicle is as it was before.
    pub fn load_vehicle(&mut self, vehicle: VehicleId, bytes: &[u8]) -> Result<(), SaveError> {
        let state = VehicleState::load(bytes)?;
        if !state.received.is_whole() {
            self.gapped.insert(vehicle);
        }
        self.vehicles.insert(vehicle, state);
        Ok(())
    }
}

impl VehicleState {
    /// Notes what a batch says besides its rows.
    fn note(&mut self, epoch: BootEpoch, rows: &Batch<'_>, ingest: IngestTime) {
        self.since.entry(epoch).or_insert(ingest.0);
        while self.since.len() > CLOCKS_MAX {
            self.since.pop_first();
        }
        let clock = self.clocks.entry(epoch).or_default();
        for fix in rows.fixes().flatten() {
            clock.take(fix, ingest);
        }
        // The boot at hand stays, also when it is older than all others.
        while self.clocks.len() > CLOCKS_MAX {
            let oldest = self.clocks.keys().find(|other| **other != epoch).copied();
            oldest.and_then(|oldest| self.clocks.remove(&oldest));
        }
        for head in rows.heads().flatten() {
            self.received.announce(epoch, head.head.lane, head.head.last_seq);
        }
        for gap in rows.gaps().flatten() {
            self.received.declare_lost(epoch, gap.lane, gap.range);
        }
    }

    fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&VERSION.to_le_bytes());
        self.received.save(out);
        out.extend_from_slice(&u32::try_from(self.clocks.len()).expect("clocks are bounded").to_le_bytes());
        for (epoch, clock) in &self.clocks {
            out.extend_from_slice(&epoch.0.to_le_bytes());
            clock.save(out);
        }
        out.extend_from_slice(&u32::try_from(self.since.len()).expect("boots are bounded").to_le_bytes());
        for (epoch, since) in &self.since {
            out.extend_from_slice(&epoch.0.to_le_bytes());
            out.extend_from_slice(&since.0.to_le_bytes());
        }
    }

    fn load(bytes: &[u8]) -> Result<Self, SaveError> {
        let mut cursor = StateCursor::new(bytes);
        let version = cursor.u32()?;
        if version != VERSION {
            return Err(SaveError::Version { expected: VERSION, got: version });
        }
        let mut state = Self { received: Received::load_from(&mut cursor)?, ..Self::default() };
        for _ in 0..cursor.u32()? {
            let epoch = BootEpoch(cursor.u64()?);
            state.clocks.insert(epoch, ClockState::load(&mut cursor)?);
        }
        for _ in 0..cursor.u32()? {
            let epoch = BootEpoch(cursor.u64()?);
            state.since.insert(epoch, UnixMicros(cursor.array().map(i64::from_le_bytes)?));
        }
        if cursor.is_at_end() { Ok(state) } else { Err(cursor.damaged()) }
    }
}

fn set_aside(
    record: &LogRecord,
    vehicle: Option<VehicleId>,
    reason: &'static str,
    place: String,
    units: u64,
) -> Quarantined {
    let kept = record.bytes.len().min(QUARANTINE_BYTES_MAX);
    Quarantined { ingest: record.ingest, vehicle, reason, place, units, bytes: record.bytes[..kept].to_vec() }
}

#[cfg(test)]
mod tests;
