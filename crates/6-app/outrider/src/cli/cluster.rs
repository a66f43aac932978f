//! `outrider cluster`: all roles as processes of their own, killed in a loop under load, then compared with one process.

mod fleet;
mod judge;
mod processes;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use outrider_lake::LakeConfig;
use outrider_model::Partition;
use outrider_server::store::{CorrelationStore as _, FleetStore as _, Scope, SqlStore};
use outrider_server::vehicle::{TlsFiles, VehicleCa};
use outrider_types::{Clock as _, EventId, Seed, TenantId, UnixMicros, VehicleId};
use serde_json::json;
use tokio::runtime::Runtime;

use self::fleet::Sender;
use self::judge::{Findings, Rows};
use self::processes::{Places, Processes, post};
use super::event_log::{EventLogArgs, Kind};
use super::lake::LakeAt;
use super::{Failure, print, runtime};
use crate::ports::SystemClock;

/// Time that everything gets to be stored and counted after the last kill.
const PATIENCE: Duration = Duration::from_secs(300);
/// Threads that send: what one waits for, another does not.
const SENDERS: usize = 4;

/// Runs edges, workers, correlators and an API as processes of their own over Kafka, PostgreSQL and an object store, kills
/// them with SIGKILL at random moments while a fleet sends, and compares the result with that of one process which takes
/// the same frames undisturbed.
///
/// `make cluster` starts what it needs. JSON fields: vehicles, senders, frames, events, kills, kills_by_process, lost, duplicated,
/// reordered, findings, findings_alone, differing, seconds, seed.
#[derive(Debug, Args)]
pub(crate) struct Cluster {
    /// How long to go on killing.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Vehicles of the fleet, all of them registered; every second frame comes from any of them.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    vehicles: u32,
    /// Vehicles among them that send again and again: the other frames.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    busy: u32,
    /// Decides what is sent, and the moments.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Processes that take frames.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    edges: u8,
    /// Processes that decode and match.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    workers: u8,
    /// Processes that count.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=16))]
    correlators: u8,
    /// Folder to work in; must not exist.
    #[arg(long)]
    folder: PathBuf,
    /// File with the address of the case database on PostgreSQL; without it a file that all processes share.
    #[arg(long)]
    cases_url_file: Option<PathBuf>,
    /// Folder in which `scripts/kafka.sh` keeps its brokers; then they are killed, too, one at a time.
    #[arg(long)]
    kill_brokers: Option<PathBuf>,
    /// Folder in which `scripts/postgres.sh` keeps its server; then that is killed, too.
    #[arg(long)]
    kill_database: Option<PathBuf>,
    #[command(flatten)]
    log: EventLogArgs,
    #[command(flatten)]
    lake: LakeAt,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What was sent and acknowledged.
#[derive(Default)]
struct Sent {
    frames: u64,
    ids: BTreeSet<EventId>,
    /// Rounds of each vehicle.
    rounds: BTreeMap<VehicleId, u64>,
}

impl Cluster {
    pub(super) fn run(self) -> Result<(), Failure> {
        if self.log.event_log != Kind::Kafka {
            return Err(Failure::input("a cluster shares its work over Kafka; add --event-log kafka"));
        }
        let runtime = runtime()?;
        let (begun, now) = (Instant::now(), SystemClock.now());
        std::fs::create_dir(&self.folder)
            .map_err(|error| Failure::input(format!("{}: {error}", self.folder.display())))?;
        let fleet = Arc::new(Sender::fleet(self.seed, self.vehicles, now));
        let places = Places::make(&self.folder, self.cases_url_file.as_deref())?;
        let lake = self.lake.config(&places.cluster)?;
        let issuer = Arc::new(runtime.block_on(Issuer::register(&places.cluster, &fleet, now))?);
        let mut processes = Processes::start(&self, &places)?;
        let stop = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(Mutex::new(Sent::default()));
        let threads = self.send(&fleet, &issuer, &processes.edges(), (&stop, &sent));
        let kills = processes.kill_for(Duration::from_secs(self.seconds), self.seed);
        stop.store(true, Ordering::SeqCst);
        let delivered = threads.into_iter().all(|thread| matches!(thread.join(), Ok(Ok(()))));
        let kills = kills?;
        if !delivered {
            return Err(Failure::failed("a vehicle could not deliver everything"));
        }
        let sent = std::mem::take(&mut *sent.lock().unwrap_or_else(PoisonError::into_inner));
        let rows = self.settle(&runtime, &places, &lake, &sent)?;
        processes.stop();
        let together = runtime.block_on(self.findings(&places.cluster, now))?;
        let alone = self.alone(&runtime, &places, &fleet, &sent, now)?;
        self.report(&sent, &kills, &rows, (&together, &alone), begun.elapsed().as_secs_f64())
    }

    /// Sends frames until it is told to stop; each vehicle waits for one acknowledgement before it goes on.
    fn send(
        &self,
        fleet: &Arc<Vec<Sender>>,
        issuer: &Arc<Issuer>,
        edges: &[String],
        (stop, sent): (&Arc<AtomicBool>, &Arc<Mutex<Sent>>),
    ) -> Vec<std::thread::JoinHandle<Result<(), Failure>>> {
        let busy = usize::try_from(self.busy).unwrap_or(usize::MAX).min(fleet.len());
        let start = |number: usize| {
            let (fleet, issuer, edges) = (Arc::clone(fleet), Arc::clone(issuer), edges.to_vec());
            let (stop, sent) = (Arc::clone(stop), Arc::clone(sent));
            let mut draw = Seed::new(self.seed.wrapping_add(number as u64 + 1));
            std::thread::spawn(move || {
                // No vehicle is two threads'.
                let mine = |count: usize| (count.saturating_sub(number)).div_ceil(SENDERS);
                let (all, busy) = (mine(fleet.len()), mine(busy));
                let (mut next, mut is_any) = (0, false);
                while all > 0 && !stop.load(Ordering::SeqCst) {
                    is_any = !is_any;
                    let choice = if is_any || busy == 0 {
                        usize::try_from(draw.below(all as u64)).unwrap_or(0)
                    } else {
                        next = (next + 1) % busy;
                        next
                    };
                    let vehicle = &fleet[choice * SENDERS + number];
                    let round = {
                        let sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
                        sent.rounds.get(&vehicle.id).copied().unwrap_or(0)
                    };
                    let (frame, ids) = vehicle.frame(round)?;
                    post(&edges, &*issuer.files(vehicle.id)?, &frame, &mut draw, PATIENCE)?;
                    let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
                    sent.frames += 1;
                    sent.ids.extend(ids);
                    sent.rounds.insert(vehicle.id, round + 1);
                }
                Ok(())
            })
        };
        (0..SENDERS).map(start).collect()
    }

    /// Waits until the lake has every row and the correlators have counted everything.
    fn settle(
        &self,
        runtime: &Runtime,
        places: &Places,
        lake: &LakeConfig,
        sent: &Sent,
    ) -> Result<Rows, Failure> {
        let begun = Instant::now();
        let mut still = 0;
        loop {
            let rows = Rows::read(lake, runtime.handle())?;
            let complete = sent.ids.iter().all(|id| rows.found.contains_key(id));
            still = if complete && self.is_counted(runtime, places)? { still + 1 } else { 0 };
            if still >= 2 || begun.elapsed() > PATIENCE {
                return Ok(rows);
            }
            processes::pause(Duration::from_secs(2));
        }
    }

    /// Returns whether no correlator has anything left to read.
    fn is_counted(&self, runtime: &Runtime, places: &Places) -> Result<bool, Failure> {
        runtime.block_on(async {
            let sightings = self.log.open_sightings().await?;
            let store = SqlStore::of_folder(&places.cluster).await.map_err(Failure::failed)?;
            let scope = Scope { tenant: TenantId(1), now: SystemClock.now() };
            let mut done = true;
            for part in (0..self.log.correlator_parts).map(Partition) {
                let log = sightings.clone();
                let end =
                    tokio::task::spawn_blocking(move || log.end(part)).await.map_err(Failure::failed)?;
                let saved = store.saved_part(scope, part).await.map_err(Failure::failed)?;
                // Workers tell the time every few seconds; what was sent before the last row is long counted then.
                done &= saved.next.0 + 8 >= end.map_err(Failure::failed)?.0;
            }
            store.close().await;
            Ok(done)
        })
    }

    async fn findings(&self, folder: &std::path::Path, now: UnixMicros) -> Result<Findings, Failure> {
        let store = SqlStore::of_folder(folder).await.map_err(Failure::failed)?;
        let found = judge::findings(&store, now).await;
        store.close().await;
        found
    }

    /// Gives the same frames to one process with all roles, and returns its findings.
    fn alone(
        &self,
        runtime: &Runtime,
        places: &Places,
        fleet: &[Sender],
        sent: &Sent,
        now: UnixMicros,
    ) -> Result<Findings, Failure> {
        let issuer = runtime.block_on(Issuer::register(&places.alone, fleet, now))?;
        let mut one = Processes::alone(places)?;
        let mut draw = Seed::new(self.seed);
        let by_id: BTreeMap<VehicleId, &Sender> = fleet.iter().map(|vehicle| (vehicle.id, vehicle)).collect();
        let mut left: Vec<_> = sent.rounds.iter().map(|(id, rounds)| (by_id[id], *rounds)).collect();
        for round in 0.. {
            left.retain(|(_, rounds)| round < *rounds);
            if left.is_empty() {
                break;
            }
            for (vehicle, _) in &left {
                let (frame, _) = vehicle.frame(round)?;
                post(&one.edges(), &*issuer.files(vehicle.id)?, &frame, &mut draw, PATIENCE)?;
            }
        }
        let lake = LakeConfig::new(places.alone.join("lake").to_string_lossy());
        let begun = Instant::now();
        loop {
            let rows = Rows::read(&lake, runtime.handle())?;
            if sent.ids.iter().all(|id| rows.found.contains_key(id)) {
                break;
            }
            if begun.elapsed() > PATIENCE {
                return Err(Failure::failed("one process alone did not store everything"));
            }
            processes::pause(Duration::from_secs(1));
        }
        // In order: the last findings are written before the last rows.
        one.stop();
        runtime.block_on(self.findings(&places.alone, now))
    }

    fn report(
        &self,
        sent: &Sent,
        kills: &BTreeMap<String, u64>,
        rows: &Rows,
        (together, alone): (&Findings, &Findings),
        seconds: f64,
    ) -> Result<(), Failure> {
        let lost = sent.ids.iter().filter(|id| !rows.found.contains_key(id)).count();
        let duplicated: u64 = rows.found.values().map(|count| count - 1).sum();
        let keys: BTreeSet<_> = together.keys().chain(alone.keys()).collect();
        let differing: Vec<_> = keys.into_iter().filter(|key| together.get(key) != alone.get(key)).collect();
        for key in differing.iter().take(5) {
            tracing::error!(?key, cluster = ?together.get(key), alone = ?alone.get(key), "a finding differs");
        }
        let all: u64 = kills.values().sum();
        let object = json!({
            "vehicles": self.vehicles, "senders": sent.rounds.len(), "frames": sent.frames, "events": sent.ids.len(), "kills": all,
            "kills_by_process": kills, "lost": lost, "duplicated": duplicated, "reordered": rows.reordered,
            "findings": together.len(), "findings_alone": alone.len(), "differing": differing.len(),
            "seconds": seconds, "seed": self.seed,
        });
        if self.json {
            print(&format!("{object}\n"))?;
        } else {
            print(&format!(
                "{all} kills; {} of {} vehicles sent {} frames with {} events: {lost} lost, {duplicated} duplicated, {} \
                 reordered; {} findings, {} of one process alone, {} differ\n",
                sent.rounds.len(),
                self.vehicles,
                sent.frames,
                sent.ids.len(),
                rows.reordered,
                together.len(),
                alone.len(),
                differing.len()
            ))?;
        }
        if lost == 0 && duplicated == 0 && rows.reordered == 0 && differing.is_empty() && !together.is_empty()
        {
            Ok(())
        } else {
            Err(Failure::failed("the cluster did not do what one process does"))
        }
    }
}

/// Issues certificates of an installation's vehicles when they are needed, and keeps them.
struct Issuer {
    ca: VehicleCa,
    files: Mutex<BTreeMap<VehicleId, Arc<TlsFiles>>>,
}

impl Issuer {
    /// Registers the fleet in an installation.
    ///
    /// # Errors
    /// The case database, or the secrets.
    async fn register(folder: &std::path::Path, fleet: &[Sender], now: UnixMicros) -> Result<Self, Failure> {
        let ports = crate::ports::system(Arc::new(SystemClock));
        let store = SqlStore::of_folder(folder).await.map_err(Failure::failed)?;
        let scope = Scope { tenant: TenantId(1), now };
        for some in fleet.chunks(5000) {
            let entries: Vec<_> = some.iter().map(Sender::entry).collect();
            store.put_vehicles(scope, &entries).await.map_err(Failure::failed)?;
        }
        store.close().await;
        let ca = VehicleCa::open(&folder.join("secrets"), ports.clock, ports.random);
        Ok(Self { ca: ca.map_err(Failure::failed)?, files: Mutex::default() })
    }

    fn files(&self, vehicle: VehicleId) -> Result<Arc<TlsFiles>, Failure> {
        if let Some(files) = self.files.lock().unwrap_or_else(PoisonError::into_inner).get(&vehicle) {
            return Ok(Arc::clone(files));
        }
        let files = Arc::new(self.ca.issue_vehicle(vehicle).map_err(Failure::failed)?);
        self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(vehicle, Arc::clone(&files));
        Ok(files)
    }
}
