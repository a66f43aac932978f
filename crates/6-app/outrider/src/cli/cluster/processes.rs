//! Processes of `outrider cluster`: started, killed and stopped.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use outrider_agent::io::https::{HttpsLink, LinkFiles};
use outrider_gateway::uplink::Transport as _;
use outrider_server::vehicle::TlsFiles;
use outrider_types::Seed;

use super::Cluster;
use super::fleet::RULES;
use crate::cli::Failure;

/// How long a process may take until it runs.
const START: Duration = Duration::from_secs(300);

/// Folders of the two installations.
pub(super) struct Places {
    /// Of the cluster: settings and secrets that its processes share, and their logs.
    pub(super) cluster: PathBuf,
    /// Of the one process.
    pub(super) alone: PathBuf,
    rules: PathBuf,
}

impl Places {
    /// Makes them.
    ///
    /// # Errors
    /// The file system.
    pub(super) fn make(folder: &Path, cases_url: Option<&Path>) -> Result<Self, Failure> {
        let places = Self {
            cluster: folder.join("cluster"),
            alone: folder.join("alone"),
            rules: folder.join("rules"),
        };
        for folder in [&places.cluster, &places.alone, &places.rules] {
            std::fs::create_dir_all(folder).map_err(Failure::failed)?;
        }
        std::fs::write(places.rules.join("cluster.yml"), RULES).map_err(Failure::failed)?;
        if let Some(url) = cases_url {
            let text =
                std::fs::read(url).map_err(|error| Failure::input(format!("{}: {error}", url.display())))?;
            let mut options = std::fs::OpenOptions::new();
            let file = options.write(true).create(true).mode(0o600).open(places.cluster.join("cases.url"));
            std::io::Write::write_all(&mut file.map_err(Failure::failed)?, &text).map_err(Failure::failed)?;
        }
        Ok(places)
    }
}

/// One process, with how it is started again.
struct Process {
    name: String,
    arguments: Vec<String>,
    log: PathBuf,
    /// Written when it is up.
    ready: PathBuf,
    child: Option<Child>,
}

impl Process {
    fn is_ready(&self) -> bool {
        self.ready.exists()
    }

    fn start(&mut self) -> Result<(), Failure> {
        let log = File::options().create(true).append(true).open(&self.log).map_err(Failure::failed)?;
        let program = std::env::current_exe().map_err(Failure::failed)?;
        let child = Command::new(program)
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(Failure::failed)?;
        self.child = Some(child);
        Ok(())
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = std::fs::remove_file(&self.ready);
            // A process that has ended by itself is found by what it has lost.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again if it has ended by itself, as an operator's supervisor does.
    fn revive(&mut self) -> Result<(), Failure> {
        let has_ended = self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))));
        if has_ended {
            tracing::warn!(process = self.name, "it has ended by itself; started again");
            self.kill();
            self.start()?;
        }
        Ok(())
    }

    /// Asks it to end, and kills it if it does not.
    fn stop(&mut self) {
        let Some(child) = &mut self.child else { return };
        let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
        for _ in 0..300 {
            if asked.is_err() || matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
                break;
            }
            pause(Duration::from_millis(100));
        }
        self.kill();
    }
}

/// What an installation needs, killed beside it.
enum Service {
    /// Broker of this number.
    Broker(String),
    /// PostgreSQL in this folder.
    Database(PathBuf),
}

/// All processes of an installation.
pub(super) struct Processes {
    all: Vec<Process>,
    edges: Vec<String>,
    brokers: Option<PathBuf>,
    database: Option<PathBuf>,
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.all.iter_mut().for_each(Process::kill);
    }
}

impl Processes {
    /// Starts the roles apart.
    ///
    /// # Errors
    /// The program cannot be started.
    pub(super) fn start(cluster: &Cluster, places: &Places) -> Result<Self, Failure> {
        let mut processes = Self {
            all: Vec::new(),
            edges: Vec::new(),
            brokers: cluster.kill_brokers.clone(),
            database: cluster.kill_database.clone(),
        };
        let log = &cluster.log;
        let mut common = shared(&places.cluster, places);
        common.extend(
            ["--event-log", "kafka", "--kafka-create", "--kafka-session", "6", "--kafka-brokers"]
                .map(str::to_owned),
        );
        common.push(log.kafka_brokers.clone());
        common.extend(["--kafka-topic".to_owned(), log.kafka_topic.clone()]);
        common.extend(["--kafka-partitions".to_owned(), log.kafka_partitions.to_string()]);
        common.extend(["--correlator-parts".to_owned(), log.correlator_parts.to_string()]);
        common.extend(cluster.lake.arguments());
        let roles = [
            ("edge", cluster.edges),
            ("worker", cluster.workers),
            ("correlator", cluster.correlators),
            ("api", 1),
        ];
        for (role, count) in roles {
            for number in 1..=count {
                let name = format!("{role}-{number}");
                let mut arguments = common.clone();
                arguments.extend(["--role", role, "--kafka-writer", &name].map(str::to_owned));
                match role {
                    "edge" => processes.edges.push(listeners(&mut arguments)?),
                    "api" => arguments.extend(["--api", "127.0.0.1:0", "--no-enrolment"].map(str::to_owned)),
                    _ => {}
                }
                processes.add(&name, arguments, &places.cluster)?;
                if processes.all.len() == 1 {
                    // The first one makes topics and tables; the others find them.
                    processes.wait_until_up()?;
                }
            }
        }
        processes.wait_until_up()?;
        Ok(processes)
    }

    /// Waits until every process says that it runs: with a large fleet, reading the registry takes its time.
    fn wait_until_up(&mut self) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            let Some(process) = self.all.iter_mut().find(|process| !process.is_ready()) else {
                return Ok(());
            };
            if begun.elapsed() > START {
                return Err(Failure::failed(format!("{} does not come up", process.name)));
            }
            process.revive()?;
            pause(Duration::from_millis(100));
        }
    }

    /// Starts one process with all roles.
    ///
    /// # Errors
    /// The program cannot be started.
    pub(super) fn alone(places: &Places) -> Result<Self, Failure> {
        let mut processes = Self { all: Vec::new(), edges: Vec::new(), brokers: None, database: None };
        let mut arguments = shared(&places.alone, places);
        arguments.extend(["--api", "127.0.0.1:0", "--no-enrolment"].map(str::to_owned));
        processes.edges.push(listeners(&mut arguments)?);
        processes.add("all", arguments, &places.alone)?;
        Ok(processes)
    }

    fn add(&mut self, name: &str, mut arguments: Vec<String>, folder: &Path) -> Result<(), Failure> {
        let log = folder.join(format!("{name}.log"));
        let ready = folder.join(format!("{name}.ready"));
        arguments.extend(["--ready-file".to_owned(), ready.to_string_lossy().into_owned()]);
        let mut process = Process { name: name.to_owned(), arguments, log, ready, child: None };
        process.start()?;
        self.all.push(process);
        Ok(())
    }

    /// Returns where vehicles connect.
    pub(super) fn edges(&self) -> Vec<String> {
        self.edges.clone()
    }

    /// Kills one process after the other at random moments and starts it again; returns how often each was killed. A third
    /// of the processes is down at the same time at most, so that all of them come up again and again.
    ///
    /// # Errors
    /// A process cannot be started again.
    pub(super) fn kill_for(&mut self, length: Duration, seed: u64) -> Result<BTreeMap<String, u64>, Failure> {
        let (mut draw, begun) = (Seed::new(seed), Instant::now());
        let mut kills: BTreeMap<String, u64> = BTreeMap::new();
        let mut services: Vec<Service> = self.brokers().into_iter().map(Service::Broker).collect();
        services.extend(self.database.clone().map(Service::Database));
        while begun.elapsed() < length {
            pause(Duration::from_millis(500 + draw.below(3000)));
            let choice = draw.below((self.all.len() + services.len()) as u64);
            let choice = usize::try_from(choice).unwrap_or(0);
            let down = Duration::from_millis(draw.below(2000));
            let too_many =
                self.all.iter().filter(|process| !process.is_ready()).count() * 3 >= self.all.len();
            let name = match self.all.get_mut(choice) {
                Some(process) if too_many || !process.is_ready() => {
                    process.revive()?;
                    continue;
                }
                Some(process) => {
                    process.kill();
                    pause(down);
                    process.start()?;
                    process.name.clone()
                }
                None => self.kill_service(&services[choice - self.all.len()], down)?,
            };
            *kills.entry(name).or_default() += 1;
        }
        self.wait_until_up()?;
        Ok(kills)
    }

    /// Returns the numbers of the brokers that may be killed.
    fn brokers(&self) -> Vec<String> {
        let Some(folder) = &self.brokers else { return Vec::new() };
        let numbers = (1..=9).map(|number: u32| number.to_string());
        numbers.filter(|number| folder.join(number).join("pid").exists()).collect()
    }

    fn kill_service(&self, service: &Service, down: Duration) -> Result<String, Failure> {
        let script = |script: &str, act: &str, folder: &Path, more: Option<&str>| {
            let mut command = Command::new("bash");
            command.arg(script).arg(act).arg(folder).args(more).stdout(Stdio::null());
            match command.status().map_err(Failure::failed)?.success() {
                true => Ok(()),
                false => Err(Failure::failed(format!("{script} {act}: it did not work"))),
            }
        };
        match service {
            Service::Broker(number) => {
                let folder = self.brokers.as_deref().unwrap_or(Path::new("."));
                let pid =
                    std::fs::read_to_string(folder.join(number).join("pid")).map_err(Failure::failed)?;
                Command::new("kill").args(["-KILL", pid.trim()]).status().map_err(Failure::failed)?;
                pause(down);
                script("scripts/kafka.sh", "restart", folder, Some(number))?;
                Ok(format!("broker-{number}"))
            }
            Service::Database(folder) => {
                script("scripts/postgres.sh", "crash", folder, None)?;
                pause(down);
                script("scripts/postgres.sh", "restart", folder, None)?;
                Ok("database".to_owned())
            }
        }
    }

    /// Ends all in order.
    pub(super) fn stop(&mut self) {
        self.all.iter_mut().for_each(Process::stop);
    }
}

/// Arguments that all processes of an installation share.
fn shared(folder: &Path, places: &Places) -> Vec<String> {
    let mut arguments = ["--log", "warn", "serve", "--folder"].map(str::to_owned).to_vec();
    arguments.push(folder.to_string_lossy().into_owned());
    arguments.extend(["--rules".to_owned(), places.rules.to_string_lossy().into_owned()]);
    arguments
}

/// Ports that Linux does not hand out to outgoing connections: else a client could take that of a killed process.
const PORTS: std::ops::Range<u16> = 12_000..20_000;

/// Adds listeners of vehicles on free ports, the same after a restart; returns the address.
fn listeners(arguments: &mut Vec<String>) -> Result<String, Failure> {
    let mut draw = Seed::new(u64::from(std::process::id()) ^ (arguments.len() as u64) << 32);
    for _ in 0..1_000 {
        let port = PORTS.start + u16::try_from(draw.below(PORTS.len() as u64)).unwrap_or(0);
        // Free now, and nobody else asks for it by number until the process does.
        let Ok(socket) = TcpListener::bind(("127.0.0.1", port)) else { continue };
        let address = socket.local_addr().map_err(Failure::failed)?.to_string();
        arguments.extend(["--vehicles".to_owned(), address.clone()]);
        arguments.extend(["--mqtt", "127.0.0.1:0"].map(str::to_owned));
        return Ok(format!("https://{address}"));
    }
    Err(Failure::failed("no free port on loopback"))
}

/// Sends a frame to one edge after the other until one of them acknowledges it.
///
/// # Errors
/// Nobody did in time.
pub(super) fn post(
    edges: &[String],
    files: &TlsFiles,
    frame: &[u8],
    draw: &mut Seed,
    patience: Duration,
) -> Result<(), Failure> {
    let begun = Instant::now();
    let files = LinkFiles {
        ca: files.ca.as_bytes(),
        certificate: files.certificate.as_bytes(),
        key: files.key.as_bytes(),
    };
    loop {
        let edge = usize::try_from(draw.below(edges.len() as u64)).unwrap_or(0);
        let mut link = HttpsLink::new(&edges[edge], &files).map_err(Failure::failed)?;
        match link.exchange(frame) {
            Ok(_) => return Ok(()),
            Err(error) if begun.elapsed() > patience => return Err(Failure::failed(error)),
            Err(_) => pause(Duration::from_millis(50 + draw.below(200))),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the harness waits for real processes")]
pub(super) fn pause(length: Duration) {
    std::thread::sleep(length);
}
