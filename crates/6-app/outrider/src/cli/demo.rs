//! `outrider demo`: the whole line, from a frame in a simulated vehicle to an alert on the screen.

mod drives;
mod judge;

pub(super) use judge::event_id;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use ed25519_dalek::SigningKey;
use outrider_agent::remote::Draft;
use outrider_gateway::Ed25519Signer;
use outrider_lake::LakeConfig;
use outrider_server::http::HttpConfig;
use outrider_server::server::{RunningServer, ServerConfig};
use outrider_sim::{Attack, SimVehicle, World, WorldConfig};
use outrider_types::{Clock, ManualClock, Seed, UnixMicros};
use outrider_wire::ArtifactKind;
use tokio::runtime::Runtime;

use self::drives::Planned;
use super::event_log::EventLogArgs;
use super::links::FleetLinks;
use super::provision::{entry, random_key};
use super::serve::{announce, open, stop_signal};
use super::{Failure, print, runtime};
use crate::content::rules;
use crate::ports::SystemClock;
use crate::traces::TraceArgs;

/// Marks a folder as one that a demo may empty.
const MARK: &str = "this-is-a-demo";
/// Begin of the world of a headless run: 2026-01-05T00:00:00Z, so that the same seed gives the same findings.
const HEADLESS_START: UnixMicros = UnixMicros(1_767_571_200_000_000);
/// Length of the world: more than the day that the fleet rule looks at.
const HOURS: u32 = 30;

/// Runs the cloud with a simulated fleet under three attacks; vehicles talk to it over HTTPS with mutual TLS.
///
/// JSON fields (with --headless): events_in (rows that vehicles gave a number), events_stored, findings, alerts,
/// expected_attacks, detected_attacks, lost, duplicated, findings_digest (same seed, same digest), attacks (name,
/// vehicles, detected, rules), balanced, failed_exchanges (repeated later; the digest is only the same without any),
/// seed, seconds.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// No screen: run the world, judge it, stop.
    #[arg(long)]
    headless: bool,
    /// Seconds over which the world's hours are spread.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Decides everything that happens.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Statistical vehicles.
    #[arg(long, default_value_t = 400)]
    vehicles: usize,
    /// Folder with real captures to replay in vehicles of their own.
    #[arg(long)]
    data: Option<PathBuf>,
    /// Folder of the installation; emptied at the start if a demo made it.
    #[arg(long, default_value = "demo-data")]
    folder: PathBuf,
    /// Port of the dashboard on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8440)]
    api_port: u16,
    /// File that is written with address and first password as JSON when all attacks have happened.
    #[arg(long)]
    ready_file: Option<PathBuf>,
    #[command(flatten)]
    log: EventLogArgs,
    #[command(flatten)]
    traces: TraceArgs,
    /// Print one JSON object (headless).
    #[arg(long)]
    json: bool,
}

/// Clock that the world sets until it has caught up with the present.
struct DemoClock {
    world: ManualClock,
    is_live: AtomicBool,
}

impl Clock for DemoClock {
    fn now(&self) -> UnixMicros {
        if self.is_live.load(Ordering::SeqCst) { SystemClock.now() } else { self.world.now() }
    }
}

/// A demo that runs: world, links and server.
struct Stage {
    server: RunningServer,
    world: World,
    links: FleetLinks,
    clock: Arc<DemoClock>,
}

impl Demo {
    /// Returns where traces go.
    pub(super) const fn traces(&self) -> &TraceArgs {
        &self.traces
    }

    pub(super) fn run(self) -> Result<(), Failure> {
        let runtime = runtime()?;
        self.clear_folder()?;
        let started = Instant::now();
        let mut stage = self.open(&runtime)?;
        let failed = self.play(&mut stage, started);
        let held = {
            let Stage { world, links, clock, .. } = &mut stage;
            if self.headless { world.drain(links, 60, |at| clock.world.set(at)) } else { Vec::new() }
        };
        if !held.is_empty() {
            return Err(Failure::failed(format!("{} vehicles could not deliver everything", held.len())));
        }
        if self.headless { self.judge(&runtime, stage, started, failed) } else { self.live(&runtime, stage) }
    }

    /// Empties the folder of an earlier demo; a folder of anything else is left alone.
    fn clear_folder(&self) -> Result<(), Failure> {
        let failed = |error: std::io::Error| Failure::failed(format!("{}: {error}", self.folder.display()));
        if self.folder.exists() && self.folder.read_dir().map_err(failed)?.next().is_some() {
            if !self.folder.join(MARK).exists() {
                return Err(Failure::input(format!("{} exists and is not of a demo", self.folder.display())));
            }
            // The mark goes last: a demo that is killed here must not leave a folder that the next one does not know.
            for entry in self.folder.read_dir().map_err(failed)? {
                let entry = entry.map_err(failed)?;
                match entry.file_type().map_err(failed)?.is_dir() {
                    true => std::fs::remove_dir_all(entry.path()).map_err(failed)?,
                    false if entry.file_name() == MARK => {}
                    false => std::fs::remove_file(entry.path()).map_err(failed)?,
                }
            }
        }
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        std::fs::write(self.folder.join(MARK), b"").map_err(failed)
    }

    fn open(&self, runtime: &Runtime) -> Result<Stage, Failure> {
        let span_us = i64::from(HOURS) * outrider_sim::HOUR_US;
        let start = if self.headless { HEADLESS_START } else { SystemClock.now().saturating_add(-span_us) };
        let clock = Arc::new(DemoClock { world: ManualClock::new(start), is_live: AtomicBool::new(false) });
        let planned = drives::plan(self.seed, self.data.as_deref())?;
        let rules = rules(None)?;
        let port = if self.headless { 0 } else { self.api_port };
        let http = HttpConfig { address: ([127, 0, 0, 1], port).into(), ..HttpConfig::loopback() };
        let config = ServerConfig { http, rules, ..ServerConfig::loopback(&self.folder) };
        let lake = LakeConfig::new(self.folder.join("lake").to_string_lossy());
        let opening = open(config, lake, &self.log, Arc::clone(&clock) as Arc<dyn Clock>);
        let server = runtime.block_on(opening)?;
        let world = WorldConfig {
            seed: Seed::new(self.seed),
            start,
            hours: HOURS,
            statistical: self.vehicles,
            ack_key: server.keys().ack.public(),
            command_key: server.keys().command.public(),
        };
        let drives = planned.iter().map(|planned| planned.drive.clone()).collect();
        let mut world = World::new(world, drives, &self.folder.join("vehicles")).map_err(Failure::failed)?;
        add_truth(&mut world, &planned);
        let links = runtime.block_on(register(&server, &world))?;
        runtime.block_on(stock(&server, start))?;
        tracing::info!(
            vehicles = world.fleet().vehicles.len(),
            attacks = world.attacks().len(),
            "world is ready"
        );
        Ok(Stage { server, world, links, clock })
    }

    /// Lets the world's hours pass within the demo's seconds; nothing is left out when the machine is slower.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the program's main thread, which has nothing else to do"
    )]
    fn play(&self, stage: &mut Stage, started: Instant) -> u64 {
        let Stage { world, links, clock, .. } = stage;
        let Some(begin) = world.next_at() else { return 0 };
        let span = (i64::from(HOURS) * outrider_sim::HOUR_US).max(1);
        let wall = Duration::from_secs(self.seconds).mul_f64(0.8);
        let mut failed = 0u64;
        while let Some(at) = world.next_at() {
            #[expect(clippy::cast_precision_loss, reason = "a share of a demo's length")]
            let share = (at.micros_since(begin) as f64 / span as f64).clamp(0.0, 1.0);
            let due = wall.mul_f64(share);
            if let Some(wait) = due.checked_sub(started.elapsed()).filter(|wait| wait.as_millis() > 5) {
                std::thread::sleep(wait);
            }
            clock.world.set(at);
            failed += world.step(links).failed;
        }
        if failed > 0 {
            tracing::warn!(failed, "exchanges failed and were repeated");
        }
        failed
    }

    /// Goes on in real time until it is stopped.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the program's main thread, which has nothing else to do"
    )]
    fn live(&self, runtime: &Runtime, stage: Stage) -> Result<(), Failure> {
        let Stage { server, mut world, mut links, clock } = stage;
        clock.is_live.store(true, Ordering::SeqCst);
        announce(&server, self.ready_file.as_deref())?;
        print("stop with Ctrl-C\n")?;
        let stop = runtime.spawn(stop_signal());
        while !stop.is_finished() {
            world.call(&mut links, SystemClock.now());
            world.live(&mut links, SystemClock.now());
            std::thread::sleep(Duration::from_millis(1500));
        }
        runtime.block_on(server.shutdown());
        Ok(())
    }

    fn judge(&self, runtime: &Runtime, stage: Stage, started: Instant, failed: u64) -> Result<(), Failure> {
        let Stage { server, world, .. } = stage;
        let verdict = runtime.block_on(judge::judge(&server, &world))?;
        runtime.block_on(server.shutdown());
        let object = verdict.to_json(self.seed, started.elapsed().as_secs_f64(), failed);
        if self.json {
            print(&format!("{object}\n"))?;
        } else {
            print(&verdict.to_text())?;
        }
        if verdict.is_good() {
            Ok(())
        } else {
            Err(Failure::failed("the demo's result is not as it must be"))
        }
    }
}

/// Adds the truth about attacks inside drives, whose vehicles and times the world has chosen.
fn add_truth(world: &mut World, planned: &[Planned]) {
    let drivers = world.drivers();
    for (planned, (vehicle, begin)) in planned.iter().zip(drivers) {
        if let Some((kind, from_us, to_us)) = planned.attack {
            world.add_attack(Attack {
                kind,
                vehicles: [vehicle].into(),
                model_line: None,
                from: begin.saturating_add(from_us),
                to: begin.saturating_add(to_us),
            });
        }
    }
}

/// Registers the fleet and issues its client certificates.
async fn register(server: &RunningServer, world: &World) -> Result<FleetLinks, Failure> {
    let entries = world.fleet().vehicles.iter().map(|vehicle: &SimVehicle| {
        let key = SigningKey::from_bytes(&vehicle.batch_key).verifying_key().to_bytes();
        entry(vehicle.record.clone(), key, vehicle.is_full_stack)
    });
    server.register(entries.collect()).await.map_err(Failure::failed)?;
    let mut files = BTreeMap::new();
    for vehicle in &world.fleet().vehicles {
        let id = vehicle.record.vehicle;
        files.insert(id, server.ca().issue_vehicle(id).map_err(Failure::failed)?);
    }
    let address = server.vehicle_addr.ok_or_else(|| Failure::failed("no frames are taken here"))?;
    Ok(FleetLinks::new(format!("https://{address}"), files))
}

/// Stores a policy that somebody may propose for the fleet, signed by a key that ends with this function.
async fn stock(server: &RunningServer, at: UnixMicros) -> Result<(), Failure> {
    let text =
        "[batched]\nbytes_per_day = 2000000\n\n[[rule]]\nevent = \"can.unknown_id\"\nlane = \"critical\"\n";
    let signer = Ed25519Signer::new(&random_key());
    let app = server.app();
    let key = app.store.add_artifact_key(app.scope(), &signer.public_key(), "demo", "cli").await;
    key.map_err(Failure::failed)?;
    let draft = Draft {
        kind: ArtifactKind::Policy,
        version: 1,
        tenant: app.tenant,
        platform: None,
        vehicle: None,
        made_at: at,
    };
    let artifact = draft.sign(text.as_bytes(), &signer).map_err(Failure::failed)?;
    app.updates.upload("demo", artifact).await.map_err(Failure::failed)?;
    Ok(())
}
