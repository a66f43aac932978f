//! What `run` has beside the vehicle: host sensors, live buses, sandbox, status.

use std::collections::BTreeMap;
use std::path::Path;

use outrider_gateway::FileStorage;
use outrider_host::confine::{self, Confinement, Plan};
use outrider_host::{Host, Usage};
use outrider_ids::Used;
use outrider_ids::gates::Kind;
use outrider_types::{BusId, Lane, UnixMicros, VehicleMicros};

use super::Failure;
use crate::edge::Edge;
use crate::io::host::{HostState, HostThread};
use crate::io::live::{LivePlace, LiveSource, Pump};
use crate::io::mqtt::LinkState;
use crate::keystore::KeyKind;
use crate::runtime::report::{self, Report};
use crate::runtime::{Sections, Vehicle, VehicleConfig};
use crate::scheduled::{ScheduledEdge, ScheduledState};

/// Time between two reports.
const REPORT_US: u64 = 1_000_000;
/// Frames and events taken in one turn of the loop, so that a flood leaves time for the rest.
const FRAMES_PER_TURN: usize = 16_384;
const EVENTS_PER_TURN: usize = 4096;
/// Files of the state folder whose owner is changed.
const FILES_MAX: usize = 100_000;

/// The machine around the vehicle.
pub(super) struct Machine {
    host: Option<HostThread>,
    pumps: Vec<Pump>,
    sandbox: report::Sandbox,
    hardware: report::Hardware,
    reported: Option<(VehicleMicros, u64, u64)>,
}

impl Machine {
    /// Opens everything with the rights of the start, gives the rights up, and starts the threads.
    pub(super) fn start(
        config: &VehicleConfig,
        sections: Sections,
        places: &[LivePlace],
        clock: impl Fn() -> VehicleMicros + Clone + Send + 'static,
    ) -> Result<Self, Failure> {
        let input = |error: &dyn std::fmt::Display| Failure::input(error.to_string());
        let host = match sections.host {
            Some(host) => {
                let opened = Host::open(host, &config.state.join("host"), clock());
                Some(opened.map_err(|error| input(&error))?)
            }
            None => None,
        };
        let mut sources: Vec<(String, Box<dyn LiveSource>)> = Vec::new();
        for (index, place) in places.iter().enumerate() {
            let bus = place.bus.unwrap_or(BusId(u8::try_from(index).unwrap_or(u8::MAX)));
            let source = place.open(bus).map_err(|error| input(&format!("{}: {error}", place.text)))?;
            sources.push((place.text.clone(), source));
        }
        std::fs::create_dir_all(config.state.join("host"))?;
        let kept = host.as_ref().map_or(&[][..], Host::capabilities);
        let sandbox = if sections.sandbox.enabled {
            let user = sections
                .sandbox
                .user
                .as_deref()
                .map(confine::user)
                .transpose()
                .map_err(|error| input(&error))?;
            if let Some(user) = user {
                give(&config.state, user)
                    .map_err(|error| input(&format!("{}: {error}", config.state.display())))?;
            }
            let more = sections.hardware.writable();
            let writable: Vec<&Path> =
                std::iter::once(&config.state).chain(&more).map(AsRef::as_ref).collect();
            let plan = Plan { user, keep: kept, writable: &writable };
            described(&confine::confine(&plan).map_err(|error| input(&error))?)
        } else {
            report::Sandbox {
                enabled: false,
                user: std::fs::metadata("/proc/self")
                    .map_or(0, |facts| std::os::unix::fs::MetadataExt::uid(&facts)),
                capabilities: Vec::new(),
                no_new_privileges: false,
                system_calls: 0,
                file_system: confine::FileSystem::Open.to_string(),
            }
        };
        let pumps =
            sources.into_iter().map(|(name, source)| Pump::start(name, source, clock.clone())).collect();
        let host = host.map(|host| HostThread::start(host, clock));
        let hardware = report::Hardware { keys: "file".to_owned(), ..report::Hardware::default() };
        Ok(Self { host, pumps, sandbox, hardware, reported: None })
    }

    /// Takes what stays the same of keys and anchor.
    pub(super) fn set_hardware(&mut self, keys: KeyKind, anchor: Option<[u8; 65]>) {
        keys.word().clone_into(&mut self.hardware.keys);
        self.hardware.key =
            anchor.map(|point| point.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    }

    /// Gives the vehicle what came from buses and sensors.
    pub(super) fn feed(&self, vehicle: &mut Vehicle<FileStorage>, now: VehicleMicros) {
        for pump in &self.pumps {
            std::iter::from_fn(|| pump.next()).take(FRAMES_PER_TURN).for_each(|frame| vehicle.frame(&frame));
        }
        if let Some(host) = &self.host {
            std::iter::from_fn(|| host.next())
                .take(EVENTS_PER_TURN)
                .for_each(|event| vehicle.event(event, now));
        }
    }

    /// Returns whether something comes in that has no end of its own.
    pub(super) fn is_live(&self) -> bool {
        self.host.is_some() || self.pumps.iter().any(|pump| !pump.counts().has_ended)
    }

    /// Writes the report, once a second.
    pub(super) fn report(
        &mut self,
        config: &VehicleConfig,
        vehicle: &Vehicle<FileStorage>,
        (now, wall): (VehicleMicros, UnixMicros),
        link: Option<LinkState>,
    ) -> std::io::Result<()> {
        if self.reported.is_some_and(|(at, _, _)| now.micros_since(at) < REPORT_US) {
            return Ok(());
        }
        let usage = Usage::now();
        let frames = vehicle.status().frames;
        let (at, processor, before) = self.reported.unwrap_or((VehicleMicros(0), 0, 0));
        let span = now.micros_since(at).max(1);
        self.reported = Some((now, usage.processor_us, frames));
        let budget = report::Budget {
            resident_bytes: usage.resident_bytes,
            resident_bytes_max: usage.resident_bytes_max,
            resident_bytes_budget: report::RESIDENT_BYTES_BUDGET,
            processor_us: usage.processor_us,
            processor_permille: usage.processor_us.saturating_sub(processor).saturating_mul(1000) / span,
            frames_per_second: frames.saturating_sub(before).saturating_mul(1_000_000) / span,
            frames,
            threads: usage.threads,
        };
        let host = self.host.as_ref().map(HostThread::state).unwrap_or_default();
        let report = Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            vehicle: config.vehicle.clone(),
            boot: vehicle.epoch().0,
            process: std::process::id(),
            written_us: wall.0,
            uptime_s: now.0 / 1_000_000,
            budget,
            model: vehicle.model().clone(),
            config: vehicle.config_state(),
            throttled: throttled(vehicle),
            buses: buses(vehicle.edge(), now).into_iter().chain(scheduled(vehicle.scheduled())).collect(),
            foreign_frames: vehicle.edge().map_or(0, Edge::foreign) + vehicle.scheduled().foreign(),
            sources: self.pumps.iter().map(source).collect(),
            host_outbox: host.outbox,
            host: sensors(&host),
            events: events(vehicle),
            spool: Lane::ALL.into_iter().map(|lane| spool_lane(vehicle, lane)).collect(),
            spool_wear: spool_wear(vehicle),
            uplink: uplink(vehicle, now, link),
            sandbox: self.sandbox.clone(),
            hardware: hardware(&self.hardware, vehicle),
        };
        report.write(&config.state)
    }
}

fn hardware(fixed: &report::Hardware, vehicle: &Vehicle<FileStorage>) -> report::Hardware {
    let status = vehicle.gateway().spool().anchor_status();
    report::Hardware {
        anchor: status.kind.word().to_owned(),
        counter: status.counter,
        raised: status.raised,
        failures: status.failures,
        failed: status.failed.as_ref().map(ToString::to_string),
        ..fixed.clone()
    }
}

fn described(confinement: &Confinement) -> report::Sandbox {
    report::Sandbox {
        enabled: true,
        user: confinement.user,
        capabilities: confinement.capabilities.clone(),
        no_new_privileges: confinement.no_new_privileges,
        system_calls: confinement.system_calls,
        file_system: confinement.file_system.to_string(),
    }
}

/// Gives the state folder to the user that the program becomes; only root can and need do that.
fn give(state: &Path, user: confine::User) -> std::io::Result<()> {
    let mut open = vec![state.to_path_buf()];
    let mut left = FILES_MAX;
    while let Some(path) = open.pop().filter(|_| left > 0) {
        left -= 1;
        std::os::unix::fs::lchown(&path, Some(user.user), Some(user.group))?;
        if std::fs::symlink_metadata(&path)?.is_dir() {
            open.extend(std::fs::read_dir(&path)?.flatten().map(|entry| entry.path()));
        }
    }
    Ok(())
}

fn buses(edge: Option<&Edge>, now: VehicleMicros) -> Vec<report::Bus> {
    let stats = edge.map(Edge::stats).unwrap_or_default();
    let operations = edge.into_iter().flat_map(Edge::operations);
    operations
        .map(|operation| {
            let stats = stats.get(&operation.bus).copied().unwrap_or_default();
            report::Bus {
                bus: operation.bus.0,
                frames: stats.frames,
                known: stats.known,
                unknown: stats.unknown,
                errors: stats.errors,
                dropped: stats.dropped,
                mode: operation.mode.word().to_owned(),
                mode_s: now.micros_since(operation.since) / 1_000_000,
                gated: operation.gated,
                habits: report::Habits {
                    known: operation.habits.known,
                    on_trial: operation.habits.on_trial,
                    refused: operation.habits.refused,
                    left_out: operation.habits.left_out,
                },
                accounts: operation.used.into_iter().map(|(kind, used)| account(kind, &used)).collect(),
            }
        })
        .collect()
}

fn scheduled(edge: &ScheduledEdge) -> Vec<report::Bus> {
    let bus = |state: ScheduledState| {
        let [frames, unknown, errors, dropped] = state.counts();
        let known = frames.saturating_sub(unknown);
        report::Bus {
            bus: state.bus.0,
            frames,
            known,
            unknown,
            errors,
            dropped,
            mode: String::new(),
            mode_s: 0,
            gated: 0,
            habits: report::Habits::default(),
            accounts: Vec::new(),
        }
    };
    edge.states().map(bus).collect()
}

fn account(kind: Kind, used: &Used) -> report::Account {
    let state = match (used.is_demoted, used.is_over) {
        (true, _) => "demoted",
        (false, true) => "over budget",
        (false, false) => "in budget",
    };
    report::Account {
        detector: kind.word().to_owned(),
        alarms: used.alarms.into(),
        withheld: used.withheld.into(),
        left: used.left.into(),
        state: state.to_owned(),
        alarmed_s: used.alarmed_us / 1_000_000,
    }
}

fn source(pump: &Pump) -> report::Source {
    let counts = pump.counts();
    report::Source {
        name: pump.name.clone(),
        state: if counts.has_ended { "ended" } else { "running" }.to_owned(),
        received: counts.received,
        dropped: counts.dropped,
        rejected: counts.rejected,
        lost: counts.lost,
    }
}

fn sensors(host: &HostState) -> Vec<report::Sensor> {
    let details = |details: &BTreeMap<&'static str, u64>| {
        details.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect()
    };
    host.sensors
        .iter()
        .map(|sensor| report::Sensor {
            name: sensor.name.clone(),
            step: sensor.step.to_owned(),
            received: sensor.counts.received,
            reported: sensor.counts.reported,
            quiet: sensor.counts.quiet,
            rejected: sensor.counts.rejected,
            waiting: sensor.counts.waiting,
            lost: sensor.counts.lost,
            balanced: sensor.counts.is_balanced(),
            details: details(&sensor.details),
        })
        .collect()
}

fn events(vehicle: &Vehicle<FileStorage>) -> report::Events {
    let (status, fold) = (vehicle.status(), vehicle.gateway().fold_balance());
    report::Events {
        observations: status.observations,
        received: fold.received,
        folded: fold.folded,
        waiting: fold.waiting,
        rows: status.rows,
        lost: status.lost,
    }
}

fn throttled(vehicle: &Vehicle<FileStorage>) -> Vec<report::Throttled> {
    let shares = vehicle.gateway().fair().shares().filter(|share| share.waiting > 0);
    let throttled = |share: outrider_gateway::fair::Share| report::Throttled {
        sensor: share.sensor,
        lane: share.lane.word().to_owned(),
        passed: share.passed,
        waiting: share.waiting,
    };
    shares.map(throttled).collect()
}

fn spool_lane(vehicle: &Vehicle<FileStorage>, lane: Lane) -> report::Lane {
    let spool = vehicle.gateway().spool();
    let head = spool.head(spool.epoch(), lane);
    let dropped = head.iter().flat_map(|(_, drops)| drops).map(|drop| {
        let reason = drop.reason.map_or("other".to_owned(), |reason| format!("{reason:?}").to_lowercase());
        (reason, drop.count)
    });
    report::Lane {
        lane: lane.word().to_owned(),
        bytes: spool.lane_bytes(lane),
        quota_bytes: spool.quota_bytes(lane),
        dropped: dropped.collect(),
        last_seq: head.map_or(0, |(head, _)| head.last_seq),
    }
}

fn spool_wear(vehicle: &Vehicle<FileStorage>) -> report::Wear {
    let wear = vehicle.gateway().spool().wear();
    report::Wear {
        rows: wear.rows,
        bytes: wear.bytes,
        bytes_per_row: wear.bytes_per_row().unwrap_or(0),
        flushes: wear.flushes,
        unsigned: wear.unsigned,
    }
}

fn uplink(vehicle: &Vehicle<FileStorage>, now: VehicleMicros, link: Option<LinkState>) -> report::Uplink {
    let uplink = vehicle.gateway().uplink();
    let counters = uplink.counters();
    let (budget, policy) = (uplink.budget(), uplink.policy());
    report::Uplink {
        frames: counters.frames,
        rows: counters.rows,
        bytes: counters.frame_bytes,
        failures: counters.failures,
        freed: counters.freed,
        short_frames: counters.short_frames,
        unproved_rows: uplink.unproved_rows(),
        link: uplink.link().word().to_owned(),
        is_waiting: uplink.is_waiting(now),
        costs: Lane::ALL
            .into_iter()
            .map(|lane| report::Cost {
                lane: lane.word().to_owned(),
                spent: budget.spent(lane),
                bound: budget.bound(policy, lane),
            })
            .collect(),
        session: link.map(|link| report::Session {
            open: link.is_open,
            takes_short: link.takes_short,
            sessions: link.sessions,
            failures: link.failures,
            refusal: link.refusal,
        }),
    }
}
