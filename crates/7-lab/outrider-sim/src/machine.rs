//! The vehicle's side of one simulated vehicle: real gateway, and for full-stack ones the whole real program.

use std::path::Path;

use outrider_agent::runtime::{CloudLink, OpenError, Vehicle, VehicleKeys, VehicleParts};
use outrider_bus::can::TimedFrame;
use outrider_gateway::spool::{Boot, SoftwareAnchor, Spool, SpoolConfig};
use outrider_gateway::uplink::{Keys, Link, Uplink, UplinkConfig};
use outrider_gateway::{
    Ed25519Signer, Ed25519Verifier, FieldValue, Gateway, MemoryStorage, PublicKeyError, SecurityEvent,
    StorageError, fold,
};
use outrider_types::{
    BootEpoch, ClockFix, ClockSource, EventId, Lane, Seed, Seq, UnixMicros, VehicleId, VehicleMicros,
};
use outrider_wire::catalogue::{event, field};

use crate::fleet::{ClockFault, SimVehicle, TENANT};

/// Frames sent in one exchange.
const FRAMES_MAX: u32 = 64;

/// Why a simulated vehicle cannot start.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The spool failed.
    #[error("spool: {0}")]
    Storage(#[from] StorageError),
    /// A key is none.
    #[error("key: {0}")]
    Key(#[from] PublicKeyError),
    /// The compressor failed.
    #[error("compressor: {0}")]
    Compressor(#[from] std::io::Error),
    /// The full program does not start.
    #[error("vehicle program: {0}")]
    Open(#[from] OpenError),
}

/// Public keys of the cloud.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CloudKeys {
    pub(crate) ack: [u8; 32],
    pub(crate) command: [u8; 32],
}

/// Traffic of a drive, by the time since it began.
#[derive(Debug, Clone, Default)]
pub struct Drive {
    /// Frames, ascending by time.
    pub frames: Vec<TimedFrame>,
    /// What the vehicle's detectors know.
    pub model: Vec<u8>,
}

/// One simulated vehicle at work.
pub(crate) enum Machine {
    Statistical(Box<Statistical>),
    Full(Box<Vehicle<MemoryStorage>>),
}

pub(crate) struct Statistical {
    gateway: Gateway<MemoryStorage>,
    signer: Ed25519Signer,
    ack: Ed25519Verifier,
}

/// Lets batched rows go with the next exchange: the world decides when there is one.
const fn eager(config: UplinkConfig) -> UplinkConfig {
    UplinkConfig { batched_window_us: 0, report_window_us: 3_600_000_000, ..config }
}

/// Returns what the vehicle's clock shows at a true time, and how far it believes itself.
fn fix(fault: ClockFault, truth: UnixMicros) -> ClockFix {
    const YEAR_US: i64 = 365 * 86_400 * 1_000_000;
    let (wall, error_us, source) = match fault {
        ClockFault::None => (truth, 50_000, ClockSource::Gnss),
        ClockFault::Drifted { offset_us } => {
            (truth.saturating_add(offset_us), 60_000_000, ClockSource::RealTimeClock)
        }
        ClockFault::Unset => (UnixMicros(12_000_000), 1_000_000, ClockSource::RealTimeClock),
        ClockFault::Ahead => (truth.saturating_add(3 * YEAR_US), 1_000_000, ClockSource::RealTimeClock),
    };
    ClockFix { mono: VehicleMicros(0), wall, error_us, source }
}

impl Machine {
    /// Boots a vehicle at a true time.
    pub(crate) fn boot(
        vehicle: &SimVehicle,
        cloud: CloudKeys,
        state: &Path,
        model: &[u8],
        seed: Seed,
        at: UnixMicros,
    ) -> Result<Self, MachineError> {
        let fix = fix(vehicle.clock, at);
        if vehicle.is_full_stack {
            let parts = VehicleParts {
                keys: VehicleKeys {
                    tenant: TENANT,
                    vehicle: vehicle.record.vehicle,
                    batch: vehicle.batch_key.into(),
                    ack: cloud.ack,
                    command: cloud.command,
                },
                storage: MemoryStorage::new(),
                state,
                model,
                capture_bytes_max: 16 << 20,
                seed,
                floor: BootEpoch(1),
                fold: fold::FoldConfig::default(),
                spool: SpoolConfig::default(),
                anchor: Box::new(SoftwareAnchor::in_memory(0)),
                spool_root: None,
                uplink: eager,
                poll_us: 2_000_000,
            };
            let mut machine = Vehicle::open(parts, VehicleMicros(0))?;
            machine.add_fix(fix);
            return Ok(Self::Full(Box::new(machine)));
        }
        let boot = Boot::in_memory(BootEpoch(1), seed.fork(1).next_u64(), &vehicle.batch_key);
        let (spool, _) = Spool::open(MemoryStorage::new(), SpoolConfig::default(), boot)?;
        let config = eager(UplinkConfig::new(TENANT, vehicle.record.vehicle, 1));
        let gateway = Gateway::new(fold::FoldConfig::default(), spool, Uplink::new(config, seed.fork(2))?);
        let mut machine = Statistical {
            gateway,
            signer: Ed25519Signer::new(&vehicle.batch_key),
            ack: Ed25519Verifier::new(&cloud.ack)?,
        };
        machine.gateway.add_fix(fix)?;
        let boot = SecurityEvent::new(event::GATEWAY_BOOT, VehicleMicros(0))
            .with(field::VERSION, FieldValue::Text(vehicle.record.release.clone()));
        machine.gateway.receive(boot, VehicleMicros(0));
        Ok(Self::Statistical(Box::new(machine)))
    }

    /// Takes an event that a sensor saw now.
    pub(crate) fn event(&mut self, mut event: SecurityEvent, now: VehicleMicros) {
        event.first = now;
        event.last = now;
        match self {
            Self::Statistical(machine) => {
                machine.gateway.receive(event, now);
            }
            Self::Full(machine) => machine.event(event, now),
        }
    }

    /// Drives: frames from `begin` on, with the ticks that a real loop would make.
    pub(crate) fn drive(&mut self, drive: &Drive, begin: VehicleMicros) {
        let Self::Full(machine) = self else { return };
        let mut tick = begin;
        for frame in &drive.frames {
            let at = begin.saturating_add(frame.at.0);
            while tick < at {
                machine.tick(tick);
                tick = tick.saturating_add(100_000);
            }
            machine.frame(&TimedFrame { at, ..*frame });
        }
        machine.tick(tick.saturating_add(1_000_000));
    }

    /// Sends what is due, and the deferred lane too on an unmetered link.
    pub(crate) fn exchange(&mut self, link: &mut dyn CloudLink, kind: Link, now: VehicleMicros) -> bool {
        match self {
            Self::Statistical(machine) => {
                machine.gateway.tick(now);
                machine.gateway.set_link(kind);
                let keys = Keys { batch: &machine.signer, ack: &machine.ack };
                let transport: &mut dyn outrider_gateway::uplink::Transport = &mut Plain(link);
                machine.gateway.exchange(transport, keys, now, FRAMES_MAX).error.is_none()
            }
            Self::Full(machine) => {
                machine.tick(now);
                machine.set_link(kind);
                machine.exchange(link, now).error.is_none()
            }
        }
    }

    /// Passes everything on that still waits in folding windows.
    pub(crate) fn settle(&mut self, now: VehicleMicros) {
        match self {
            Self::Statistical(machine) => {
                machine.gateway.shut_down();
            }
            Self::Full(machine) => {
                machine.shut_down(now);
            }
        }
    }

    fn spool(&self) -> &Spool<MemoryStorage> {
        match self {
            Self::Statistical(machine) => machine.gateway.spool(),
            Self::Full(machine) => machine.gateway().spool(),
        }
    }

    /// Returns whether rows wait for an acknowledgement.
    pub(crate) fn holds_rows(&self) -> bool {
        let spool = self.spool();
        spool
            .epochs()
            .into_iter()
            .any(|epoch| Lane::ALL.into_iter().any(|lane| spool.next_held(epoch, lane, 0).is_some()))
    }

    /// Appends the identity of every row that got a number, without those that the vehicle declared lost.
    pub(crate) fn sent(&self, vehicle: VehicleId, out: &mut Vec<EventId>) {
        let spool = self.spool();
        let epoch = spool.epoch();
        for lane in Lane::ALL {
            let last = spool.head(epoch, lane).map_or(0, |(head, _)| head.last_seq);
            let lost: Vec<_> = spool.gaps(epoch).filter(|gap| gap.lane == lane).collect();
            out.extend(
                (1..=last)
                    .map(Seq)
                    .filter(|seq| !lost.iter().any(|gap| gap.range.contains(*seq)))
                    .map(|seq| EventId { vehicle, epoch, lane, seq }),
            );
        }
    }

    /// Returns how many captures the vehicle has uploaded.
    pub(crate) fn evidence_sent(&self) -> u64 {
        match self {
            Self::Statistical(_) => 0,
            Self::Full(machine) => machine.status().evidence_sent,
        }
    }
}

/// A cloud link as a plain transport.
struct Plain<'a>(&'a mut dyn CloudLink);

impl outrider_gateway::uplink::Transport for Plain<'_> {
    fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>, outrider_gateway::uplink::TransportError> {
        self.0.exchange(frame)
    }
}
