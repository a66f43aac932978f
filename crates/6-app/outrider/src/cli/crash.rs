//! `outrider crash`: kill -9 of server and agent in a loop, then count.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use outrider_lake::{Lake, LakeConfig, QueryLimits};
use outrider_types::{BootEpoch, EventId, Lane, Seed, Seq, VehicleId};
use serde_json::json;

use super::demo::event_id;
use super::{Failure, print, runtime};

/// Time that everything gets to be delivered and stored after the last kill.
const PATIENCE: Duration = Duration::from_secs(240);

/// Runs a server and an agent under load as processes of their own and kills both with SIGKILL at random moments.
///
/// JSON fields: kills, boots, events_in (rows that the agent said were durable), events_stored, lost, duplicated,
/// seconds, seed.
#[derive(Debug, Args)]
pub(crate) struct Crash {
    /// How long to go on killing.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Events a second.
    #[arg(long, default_value_t = 500)]
    load: u32,
    /// Decides the moments.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The vehicle program; by default the one beside this program.
    #[arg(long)]
    agent: Option<PathBuf>,
    /// Folder to work in, kept afterwards; by default a temporary one that is removed.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Highest durable number by boot and lane, as the agent said.
type Durable = BTreeMap<(BootEpoch, Lane), u64>;

struct Rig {
    server: PathBuf,
    agent: PathBuf,
    folder: PathBuf,
    port: u16,
    vehicle: VehicleId,
    durable: Arc<Mutex<Durable>>,
}

impl Crash {
    pub(super) fn run(self) -> Result<(), Failure> {
        let rig = self.rig()?;
        let outcome = self.kill_and_count(&rig);
        if self.folder.is_none() {
            let _ = std::fs::remove_dir_all(&rig.folder);
        }
        outcome
    }

    fn rig(&self) -> Result<Rig, Failure> {
        let server = std::env::current_exe().map_err(Failure::failed)?;
        let agent = self.agent.clone().unwrap_or_else(|| server.with_file_name("outrider-agent"));
        if !agent.exists() {
            return Err(Failure::input(format!(
                "{} is not there: build it or name it with --agent",
                agent.display()
            )));
        }
        let folder = self
            .folder
            .clone()
            .unwrap_or_else(|| std::env::temp_dir().join(format!("outrider-crash-{}", std::process::id())));
        std::fs::create_dir_all(&folder).map_err(Failure::failed)?;
        // Free now, and nobody else asks for it by number until the server does.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|socket| socket.local_addr())
            .map_err(Failure::failed)?
            .port();
        let vehicle = VehicleId([0xc7; 16]);
        let status = Command::new(&server)
            .args(["provision", "--json", "--vehicle", &vehicle.to_string(), "--cloud"])
            .arg(format!("https://127.0.0.1:{port}"))
            .arg("--folder")
            .arg(folder.join("cloud"))
            .arg("--out")
            .arg(folder.join("vehicle"))
            .stdout(Stdio::null())
            .status()
            .map_err(Failure::failed)?;
        if !status.success() {
            return Err(Failure::failed("the vehicle cannot be provisioned"));
        }
        Ok(Rig { server, agent, folder, port, vehicle, durable: Arc::default() })
    }

    fn kill_and_count(&self, rig: &Rig) -> Result<(), Failure> {
        let started = Instant::now();
        let mut seed = Seed::new(self.seed);
        let (mut server, mut agent) = (rig.start_server()?, rig.start_agent(self.load, false)?);
        let mut kills = 0u64;
        while started.elapsed() < Duration::from_secs(self.seconds) {
            pause(Duration::from_millis(400 + seed.below(2600)));
            if seed.chance(1, 2) {
                kill(&mut server);
                pause(Duration::from_millis(seed.below(400)));
                server = rig.start_server()?;
            } else {
                kill(&mut agent);
                agent = rig.start_agent(self.load, false)?;
            }
            kills += 1;
            if kills.is_multiple_of(10) {
                tracing::info!(kills, "killing");
            }
        }
        kill(&mut agent);
        let delivered = rig.start_agent(0, true).and_then(|agent| wait(agent, PATIENCE));
        let stored = delivered.and_then(|()| rig.wait_for_rows());
        terminate(&mut server)?;
        let stored = stored?;
        self.report(rig, kills, &stored, started.elapsed().as_secs_f64())
    }

    fn report(&self, rig: &Rig, kills: u64, stored: &[EventId], seconds: f64) -> Result<(), Failure> {
        let expected = rig.expected();
        let distinct: BTreeSet<EventId> = stored.iter().copied().collect();
        let lost = expected.difference(&distinct).count();
        let duplicated = stored.len() - distinct.len();
        let boots: BTreeSet<BootEpoch> = distinct.iter().map(|id| id.epoch).collect();
        let object = json!({
            "kills": kills, "boots": boots.len(), "events_in": expected.len(), "events_stored": stored.len(),
            "lost": lost, "duplicated": duplicated, "seconds": seconds, "seed": self.seed,
        });
        if self.json {
            print(&format!("{object}\n"))?;
        } else {
            print(&format!(
                "{kills} kills, {} boots: {} events durable in the vehicle, {} stored, {lost} lost, {duplicated} duplicated\n",
                boots.len(),
                expected.len(),
                stored.len()
            ))?;
        }
        if lost == 0 && duplicated == 0 {
            Ok(())
        } else {
            Err(Failure::failed("events were lost or duplicated"))
        }
    }
}

impl Rig {
    fn start_server(&self) -> Result<Child, Failure> {
        Command::new(&self.server)
            .args(["--log", "error", "serve", "--api", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--vehicles"])
            .arg(format!("127.0.0.1:{}", self.port))
            .arg("--folder")
            .arg(self.folder.join("cloud"))
            .stdout(Stdio::null())
            .spawn()
            .map_err(Failure::failed)
    }

    fn start_agent(&self, load: u32, until_empty: bool) -> Result<Child, Failure> {
        let mut command = Command::new(&self.agent);
        command
            .args(["run", "--load", &load.to_string(), "--config"])
            .arg(self.folder.join("vehicle/vehicle.toml"));
        if until_empty {
            command.arg("--until-empty");
        }
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(Failure::failed)?;
        let out = child.stdout.take().ok_or_else(|| Failure::failed("the agent has no output"))?;
        let durable = Arc::clone(&self.durable);
        // Ends with the agent's output.
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                let Ok(line) = line else { break };
                if let Some((key, seq)) = durable_line(&line) {
                    let mut durable = durable.lock().unwrap_or_else(PoisonError::into_inner);
                    let slot = durable.entry(key).or_default();
                    *slot = (*slot).max(seq);
                }
            }
        });
        Ok(child)
    }

    /// Returns every row that the agent said was durable.
    fn expected(&self) -> BTreeSet<EventId> {
        let durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let vehicle = self.vehicle;
        durable
            .iter()
            .flat_map(|((epoch, lane), last)| {
                (1..=*last).map(|seq| EventId { vehicle, epoch: *epoch, lane: *lane, seq: Seq(seq) })
            })
            .collect()
    }

    /// Waits until the lake has every expected row, or has not grown for a while.
    fn wait_for_rows(&self) -> Result<Vec<EventId>, Failure> {
        let runtime = runtime()?;
        let config = LakeConfig::new(self.folder.join("cloud/lake").to_string_lossy());
        let started = Instant::now();
        let (mut before, mut still) = (0usize, 0u32);
        let expected = self.expected().len();
        loop {
            let lake = Lake::open_read_only(&config, runtime.handle().clone()).map_err(Failure::failed)?;
            let rows = rows(&lake)?;
            still = if rows.len() == before { still + 1 } else { 0 };
            before = rows.len();
            // Complete and quiet, or quiet for so long that nothing more will come.
            let complete = rows.len() >= expected && still >= 3;
            if complete || still >= 20 || started.elapsed() > PATIENCE {
                return Ok(rows);
            }
            pause(Duration::from_secs(1));
        }
    }
}

/// Reads `durable EPOCH LANE SEQ`.
fn durable_line(line: &str) -> Option<((BootEpoch, Lane), u64)> {
    let mut words = line.split(' ');
    if words.next()? != "durable" {
        return None;
    }
    let epoch = BootEpoch(words.next()?.parse().ok()?);
    let lane = Lane::from_word(words.next()?)?;
    Some(((epoch, lane), words.next()?.parse().ok()?))
}

fn rows(lake: &Lake) -> Result<Vec<EventId>, Failure> {
    let limits = QueryLimits {
        rows_max: 20_000_000,
        result_bytes_max: 4 << 30,
        memory_bytes_max: 4 << 30,
        time_max: Duration::from_secs(120),
    };
    let result =
        lake.sql("SELECT vehicle_id, epoch, lane, seq FROM events", &limits).map_err(Failure::failed)?;
    if result.truncated {
        return Err(Failure::failed("more rows than can be compared"));
    }
    result
        .rows
        .iter()
        .map(|row| event_id(row).ok_or_else(|| Failure::failed("a stored identity cannot be read")))
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "the harness waits for real processes")]
fn pause(length: Duration) {
    std::thread::sleep(length);
}

/// Kills with SIGKILL, as a power cut would.
fn kill(child: &mut Child) {
    // A process that has ended by itself is found by what it has lost.
    let _ = child.kill();
    let _ = child.wait();
}

fn terminate(child: &mut Child) -> Result<(), Failure> {
    let pid = child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().map_err(Failure::failed)?;
    for _ in 0..200 {
        if child.try_wait().map_err(Failure::failed)?.is_some() {
            return Ok(());
        }
        pause(Duration::from_millis(100));
    }
    kill(child);
    Err(Failure::failed("the server did not stop within 20 s of SIGTERM"))
}

fn wait(mut child: Child, patience: Duration) -> Result<(), Failure> {
    let started = Instant::now();
    while started.elapsed() < patience {
        if let Some(status) = child.try_wait().map_err(Failure::failed)? {
            return if status.success() {
                Ok(())
            } else {
                Err(Failure::failed(format!("the agent ended with {status}")))
            };
        }
        pause(Duration::from_millis(100));
    }
    kill(&mut child);
    Err(Failure::failed("the agent could not deliver everything"))
}
