//! What really happened in one vehicle, kept apart from everything that the vehicle and the cloud say.

use std::collections::BTreeMap;

use outrider_gateway::spool::Tombstone;
use outrider_gateway::{FieldValue, Numbered, SecurityEvent};
use outrider_types::{BootEpoch, BusId, EcuId, EventTypeId, Lane, Seed, UnixMicros, VehicleMicros};
use outrider_wire::catalogue::{event, field};

/// One observation of a sensor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    pub(super) lane: Lane,
    /// What is repeated: sights of one key may be folded into one row.
    pub(super) key: u32,
    pub(super) at: UnixMicros,
}

/// A row that the gateway said it gave a number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) first: u64,
    pub(super) last: u64,
    /// A power cut must not take it.
    pub(super) durable: bool,
}

/// How a boot ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Not yet.
    Running,
    /// Shut down.
    Clean,
    /// By a power cut at this monotonic time.
    Cut(u64),
}

/// One boot.
#[derive(Debug, Clone)]
pub(super) struct Boot {
    /// Sights by monotonic time, which is unique in a boot.
    pub(super) sights: BTreeMap<u64, Sight>,
    pub(super) rows: BTreeMap<(Lane, u64), Row>,
    /// Observations that the gateway says it refused, by lane.
    pub(super) refused: BTreeMap<Lane, u64>,
    /// Observations that the gateway says it received, by lane; once it shut down in order.
    pub(super) received: BTreeMap<Lane, u64>,
    /// The device refused writes for a while: what it had not taken is durable later than usual.
    pub(super) was_refused: bool,
    pub(super) ended: Ended,
    /// Rows that are not promised yet.
    open: Vec<(Lane, u64)>,
}

/// Ground truth of one vehicle.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    pub(super) boots: BTreeMap<BootEpoch, Boot>,
    /// Signed statements of loss, by boot and lane, in the order in which they were seen.
    pub(super) tombstones: BTreeMap<(BootEpoch, Lane), Vec<Tombstone>>,
    /// Numbers that the vehicle declared lost for damage, with how many observations nobody can know.
    pub(super) corrupt: BTreeMap<(BootEpoch, Lane), Vec<(u64, u64)>>,
}

/// Types by lane: one that the catalogue puts there.
const fn kind(lane: Lane) -> EventTypeId {
    match lane {
        Lane::Critical => event::CAN_FLOOD,
        Lane::Batched => event::CAN_UNKNOWN_ID,
        Lane::Deferred => event::CAN_SEQUENCE_ANOMALY,
    }
}

/// Returns the context that a sight must arrive with: its time and bytes that only this sight has.
pub(super) fn context(tag: u64, mono: u64) -> Vec<u8> {
    let mut seed = Seed::new(tag).fork(mono);
    let extra = usize::try_from(seed.below(24)).unwrap_or(0);
    let mut bytes = mono.to_le_bytes().to_vec();
    bytes.extend((0..extra + 4).map(|_| seed.next_u64().to_le_bytes()[0]));
    bytes
}

impl Ledger {
    pub(super) fn begin(&mut self, epoch: BootEpoch) {
        let boot = Boot {
            sights: BTreeMap::new(),
            rows: BTreeMap::new(),
            refused: BTreeMap::new(),
            received: BTreeMap::new(),
            was_refused: false,
            ended: Ended::Running,
            open: Vec::new(),
        };
        self.boots.insert(epoch, boot);
    }

    /// Notes a sight and returns the event that the sensor hands to the gateway.
    pub(super) fn sight(
        &mut self,
        epoch: BootEpoch,
        tag: u64,
        mut mono: VehicleMicros,
        sight: Sight,
    ) -> Option<SecurityEvent> {
        let boot = self.boots.get_mut(&epoch)?;
        // A sensor sees one thing at a time.
        while boot.sights.contains_key(&mono.0) {
            mono.0 += 1;
        }
        boot.sights.insert(mono.0, sight);
        let mut event = SecurityEvent::new(kind(sight.lane), mono)
            .with(field::CAN_ID, FieldValue::Uint(u64::from(sight.key)));
        event.lane = sight.lane;
        event.bus = Some(BusId(0));
        event.ecu = EcuId(1);
        event.context = context(tag, mono.0);
        Some(event)
    }

    /// Notes rows that got their numbers; critical ones are durable when the gateway returns them.
    pub(super) fn numbered(&mut self, epoch: BootEpoch, rows: &[Numbered], powered: bool) {
        let Some(boot) = self.boots.get_mut(&epoch) else { return };
        for row in rows {
            let durable = powered && row.lane == Lane::Critical;
            let key = (row.lane, row.seq.0);
            boot.rows.insert(key, Row { first: row.first.0, last: row.last.0, durable });
            if !durable {
                boot.open.push(key);
            }
        }
    }

    /// Notes that all that the gateway wrote so far is durable.
    pub(super) fn promised(&mut self, epoch: BootEpoch) {
        let Some(boot) = self.boots.get_mut(&epoch) else { return };
        for key in boot.open.drain(..) {
            if let Some(row) = boot.rows.get_mut(&key) {
                row.durable = true;
            }
        }
    }

    pub(super) fn end(&mut self, epoch: BootEpoch, ended: Ended) {
        if let Some(boot) = self.boots.get_mut(&epoch) {
            boot.ended = ended;
            boot.open.clear();
        }
    }
}

impl Boot {
    /// Returns how many sights a row stands for.
    pub(super) fn observations(&self, lane: Lane, first: u64, last: u64) -> u64 {
        let Some(key) = self.sights.get(&first).map(|sight| sight.key) else { return 0 };
        let within = self.sights.range(first..=last);
        within.filter(|(_, sight)| sight.lane == lane && sight.key == key).count() as u64
    }

    /// Returns the monotonic times of the sights that a row stands for.
    pub(super) fn members(&self, lane: Lane, first: u64, last: u64) -> Vec<u64> {
        let Some(key) = self.sights.get(&first).map(|sight| sight.key) else { return Vec::new() };
        let within = self.sights.range(first..=last);
        within.filter(|(_, sight)| sight.lane == lane && sight.key == key).map(|(mono, _)| *mono).collect()
    }
}
