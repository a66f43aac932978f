//! The serving process of the measurements.

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use outrider_model::{Connectivity, EventLog, VehicleRecord};
use outrider_types::{Clock, TenantId};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use super::{BenchError, Child, failed, key, vehicle};
use crate::notices::NoNotices;
use crate::pipeline::Doorbell;
use crate::port::{Random, draw};
use crate::store::{SqlStore, VehicleEntry};
use crate::vehicle::admission::{HandshakeLimits, Rate, VehicleRate};
use crate::vehicle::mqtt::{MqttConfig, MqttListener, tls_config};
use crate::vehicle::{
    ArtifactVault, ClientPolicy, Directory, EvidenceVault, Exchange, ExchangeParts, Keys, Links,
    ListenerConfig, ListenerTls, VehicleCa, VehicleLinkStatus,
};

/// What the serving process is told, one line of JSON on its standard input.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    folder: PathBuf,
    vehicles: usize,
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
struct Ready {
    address: SocketAddr,
}

/// Owner of the vehicles of a measurement.
pub(super) const TENANT: TenantId = TenantId(1);

/// Serves as the order on standard input says, until standard input ends. `open_log` opens the event log in a folder.
///
/// # Errors
/// [`BenchError`]; also on standard error of the process.
#[expect(clippy::print_stdout, reason = "the process speaks to its parent over standard output")]
pub async fn serve_child(
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    open_log: impl FnOnce(&Path) -> Result<Arc<dyn EventLog>, String>,
) -> Result<(), BenchError> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(failed("order"))?;
    let order: Order = serde_json::from_str(&line).map_err(failed("order"))?;
    let log =
        open_log(&order.folder.join(format!("log-{}", std::process::id()))).map_err(failed("event log"))?;
    let exchange = exchange(&order, log, clock.clone(), &*random).await?;
    let ca = VehicleCa::open(&order.folder, clock.clone(), random).map_err(failed("certificates"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let base = ListenerTls::new(&ca, ClientPolicy::default(), Vec::new(), provider, clock);
    let base = base.and_then(|tls| tls.config(&[])).map_err(failed("TLS"))?;
    let tls = tls_config(&base).map_err(failed("TLS"))?;
    // Nothing is refused here: what is measured is what one unit costs.
    let rate = Rate { per_second: 1_000_000, burst: 1_000_000 };
    let handshakes = HandshakeLimits { underway_max: 10_000, rate };
    let config = MqttConfig {
        listener: ListenerConfig { connections_max: 100_000, handshakes, ..ListenerConfig::loopback() },
        sessions_max: 100_000,
    };
    let listener = MqttListener::bind(config, tls, Arc::clone(&exchange)).await.map_err(failed("listen"))?;
    let running = listener.start().map_err(failed("listen"))?;
    let say = |text: String| {
        println!("{text}");
        std::io::stdout().flush()
    };
    let ready = Ready { address: running.address };
    say(serde_json::to_string(&ready).map_err(failed("answer"))?).map_err(failed("answer"))?;
    // An empty read is the end: the parent is gone.
    let next = || std::io::stdin().lock().read_line(&mut String::new());
    while tokio::task::spawn_blocking(next).await.map_err(failed("order"))?.map_err(failed("order"))? > 0 {
        let status = serde_json::to_string(&exchange.links().status()).map_err(failed("answer"))?;
        say(status).map_err(failed("answer"))?;
    }
    Ok(())
}

async fn exchange(
    order: &Order,
    log: Arc<dyn EventLog>,
    clock: Arc<dyn Clock>,
    random: &dyn Random,
) -> Result<Arc<Exchange>, BenchError> {
    let directory = Arc::new(Directory::default());
    directory.put((0..=order.vehicles).map(entry));
    let folder = order.folder.join(format!("child-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(failed("folder"))?;
    let store = SqlStore::of_folder(&folder).await.map_err(failed("store"))?;
    let rate = Rate { per_second: u32::MAX, burst: u32::MAX };
    let exchange = Exchange::new(ExchangeParts {
        log,
        store: Arc::new(store),
        directory,
        keys: Arc::new(Keys::open(&folder, &mut || draw(random)).map_err(failed("keys"))?),
        vault: EvidenceVault::open(&folder.join("evidence")).map_err(failed("captures"))?,
        artifacts: ArtifactVault::open(&folder.join("artifacts")).map_err(failed("artifacts"))?,
        clock,
        notices: Arc::new(NoNotices),
        doorbell: Arc::new(Doorbell::default()),
        tenant: TENANT,
    });
    Ok(Arc::new(exchange.with_links(Arc::new(Links::new(VehicleRate { frames: rate, bytes: rate })))))
}

fn entry(number: usize) -> VehicleEntry {
    VehicleEntry {
        record: VehicleRecord {
            vehicle: vehicle(number),
            tenant: TENANT,
            model_line: "bench".to_owned(),
            platform: String::new(),
            model_year: 2026,
            release: String::new(),
            region: String::new(),
            h3: None,
            connectivity: Connectivity::Cellular,
            ..VehicleRecord::default()
        },
        buses: Vec::new(),
        capabilities: Vec::new(),
        batch_key: Some(key(number).verifying_key().to_bytes().into()),
        anchor_key: None,
    }
}

/// Memory and time of a process.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    /// Resident bytes.
    pub(super) resident_bytes: u64,
    /// Processor time outside of the kernel.
    pub(super) user: Duration,
    /// Processor time in the kernel.
    pub(super) system: Duration,
}

impl Usage {
    /// Reads the usage of a process from `/proc`.
    pub(super) fn of(pid: u32) -> Result<Self, BenchError> {
        let read =
            |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).map_err(failed("/proc"));
        let (status, stat) = (read("status")?, read("stat")?);
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
        // Fields 14 and 15, counted behind the name in brackets, in the hundredths of a second of the kernel's interface.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let time = |index: usize| {
            let ticks = fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
            Duration::from_millis(ticks * 10)
        };
        Ok(Self {
            resident_bytes: kib.ok_or_else(|| failed("/proc")("no VmRSS"))? * 1024,
            user: time(11),
            system: time(12),
        })
    }

    pub(super) fn cpu(&self) -> Duration {
        self.user + self.system
    }
}

/// The serving process as its parent sees it.
pub(super) struct Served {
    /// Where it listens.
    pub(super) address: SocketAddr,
    process: tokio::process::Child,
    input: tokio::process::ChildStdin,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Served {
    pub(super) async fn start(child: &Child, folder: &Path, vehicles: usize) -> Result<Self, BenchError> {
        let mut process = tokio::process::Command::new(&child.program)
            .args(&child.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed("serving process"))?;
        let missing = || failed("serving process")("no pipe");
        let mut input = process.stdin.take().ok_or_else(missing)?;
        let output = process.stdout.take().ok_or_else(missing)?;
        let order = serde_json::to_string(&Order { folder: folder.to_path_buf(), vehicles });
        let order = order.map_err(failed("order"))? + "\n";
        input.write_all(order.as_bytes()).await.map_err(failed("order"))?;
        let mut lines = BufReader::new(output).lines();
        let line = lines.next_line().await.map_err(failed("serving process"))?;
        let line = line.ok_or_else(|| failed("serving process")("it ended"))?;
        let ready: Ready = serde_json::from_str(&line).map_err(failed("serving process"))?;
        Ok(Self { address: ready.address, process, input, lines })
    }

    pub(super) fn usage(&self) -> Result<Usage, BenchError> {
        Usage::of(self.process.id().unwrap_or(0))
    }

    pub(super) async fn status(&mut self) -> Result<VehicleLinkStatus, BenchError> {
        self.input.write_all(b"status\n").await.map_err(failed("order"))?;
        let line = self.lines.next_line().await.map_err(failed("serving process"))?.unwrap_or_default();
        serde_json::from_str(&line).map_err(failed("serving process"))
    }

    /// Waits until exactly so many sessions are open.
    pub(super) async fn settle(&mut self, sessions: usize) -> Result<(), BenchError> {
        for _ in 0..1000 {
            if self.status().await?.sessions == sessions as u64 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(failed("serving process")(format!("there never were {sessions} sessions")))
    }
}
