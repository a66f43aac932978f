//! `outrider serve`.

mod roles;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use outrider_lake::LakeConfig;
use outrider_server::edge;
use outrider_server::http::HttpConfig;
use outrider_server::pipeline::PipelineConfig;
use outrider_server::registry::H3_RESOLUTION_MAX;
use outrider_server::server::{Backends, RunningServer, ServerConfig, start};
use outrider_server::vault::RevealPolicy;
use outrider_server::vehicle::broker::{BrokerConfig, BrokerUrl};
use outrider_server::vehicle::est::EstConfig;
use outrider_server::vehicle::mqtt::MqttConfig;
use outrider_server::vehicle::{ListenerConfig, TlsFiles};
use outrider_types::{Clock, hex_decode};
use serde_json::json;

use super::event_log::{EventLogArgs, Kind};
use super::lake::LakeAt;
use super::vault::{NEEDS_KEY, VaultFiles};
use super::{Failure, print, runtime};
use crate::content::{decoders, rules};
use crate::ports::{SystemClock, system};
use crate::traces::TraceArgs;

/// How long the worker waits before it looks into a log that other processes write, too.
const REMOTE_IDLE: std::time::Duration = std::time::Duration::from_millis(200);

/// Why a process with API has no listener for counters.
const API_SHOWS: &str =
    "--metrics is for the roles edge, worker and correlator: the API itself serves /metrics";

/// Part of the cloud that a process plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Everything in one process.
    All,
    /// Takes frames from vehicles into the event log: no worker, no API.
    Edge,
    /// Decodes and matches the partitions that its group gives it: no listeners, no API.
    Worker,
    /// Counts the parts of the groups that its group gives it: no listeners, no API, no lake.
    Correlator,
    /// Serves API, dashboard and enrolment: no frames, no worker.
    Api,
}

/// Runs until SIGINT or SIGTERM; everything durable survives `kill -9` too.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Folder of the installation; created if absent.
    #[arg(long, default_value = "outrider-data")]
    folder: PathBuf,
    /// Where the dashboard and the API listen.
    #[arg(long, default_value = "127.0.0.1:8440")]
    api: SocketAddr,
    /// Where an edge, a worker or a correlator shows its counters (/metrics); without it nowhere. The API shows its own.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Where vehicles connect with HTTPS, with mutual TLS.
    #[arg(long, default_value = "127.0.0.1:8441")]
    vehicles: SocketAddr,
    /// Where vehicles connect with MQTT 5 or 3.1.1, with mutual TLS.
    #[arg(long, default_value = "127.0.0.1:8442")]
    mqtt: SocketAddr,
    /// Broker from which frames are taken, too: mqtts://host:port, or mqtt://127.0.0.1:port.
    #[arg(long)]
    broker: Option<BrokerUrl>,
    /// Certificate of the broker's CA, PEM.
    #[arg(long, requires = "broker")]
    broker_ca: Option<PathBuf>,
    /// Our certificate for the broker, PEM.
    #[arg(long, requires = "broker")]
    broker_cert: Option<PathBuf>,
    /// Key of that certificate, PEM.
    #[arg(long, requires = "broker")]
    broker_key: Option<PathBuf>,
    /// Where vehicles enrol and renew their certificates (EST).
    #[arg(long, default_value = "127.0.0.1:8443")]
    enrolment: SocketAddr,
    /// Nobody can enrol: certificates come from elsewhere.
    #[arg(long, conflicts_with = "enrolment")]
    no_enrolment: bool,
    /// CA of an external fleet whose vehicle certificates are trusted beside our own; may be given several times.
    #[arg(long, value_name = "PEM")]
    fleet_ca: Vec<PathBuf>,
    /// CA of a factory whose certificates permit a first enrolment; may be given several times.
    #[arg(long, value_name = "PEM")]
    factory_ca: Vec<PathBuf>,
    #[command(flatten)]
    lake: LakeAt,
    #[command(flatten)]
    vault: VaultFiles,
    /// One person is enough to see a VIN; else a second one must agree.
    #[arg(long)]
    one_person_reveal: bool,
    /// Hours until a request to see a VIN lapses.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=720))]
    reveal_hours: u32,
    /// H3 resolution to which places of vehicles are rounded; 5 are hexagons of about 250 km², 0 of 4 million km².
    #[arg(long, default_value_t = H3_RESOLUTION_MAX, value_parser = clap::value_parser!(u8).range(0..=i64::from(H3_RESOLUTION_MAX)))]
    h3_resolution: u8,
    /// Folder of Sigma rules; without it the shipped rules are used.
    #[arg(long)]
    rules: Option<PathBuf>,
    /// Folder of signed decoder packages (.ordp), used beside the shipped ones.
    #[arg(long, requires = "decoder_key")]
    decoders: Option<PathBuf>,
    /// Public Ed25519 key, 64 hexadecimal digits, whose decoder packages are used; may be given several times.
    #[arg(long, value_name = "KEY", value_parser = public_key)]
    decoder_key: Vec<[u8; 32]>,
    #[command(flatten)]
    log: EventLogArgs,
    /// Part to play.
    #[arg(long, value_enum, default_value_t = Role::All)]
    role: Role,
    /// Browsers reach the API over TLS (a proxy in front), so that cookies are marked Secure.
    #[arg(long)]
    behind_tls: bool,
    #[command(flatten)]
    traces: TraceArgs,
    /// File that is written with the addresses as JSON when everything listens.
    #[arg(long)]
    ready_file: Option<PathBuf>,
}

impl Serve {
    /// Returns where traces go.
    pub(super) const fn traces(&self) -> &TraceArgs {
        &self.traces
    }

    pub(super) fn run(self) -> Result<(), Failure> {
        match self.role {
            Role::All | Role::Api if self.metrics.is_some() => Err(Failure::input(API_SHOWS)),
            // Feeds would give vehicles pseudonyms that are not the vault's.
            Role::All | Role::Worker | Role::Api if self.vault.needs_key(&self.folder) => {
                Err(Failure::input(NEEDS_KEY))
            }
            Role::All => self.run_all(),
            Role::Edge => self.run_edge(),
            Role::Worker => self.run_worker(),
            Role::Correlator => self.run_correlator(),
            Role::Api => self.run_api(),
        }
    }

    /// Settings of the listeners, without rules.
    fn config(&self) -> Result<ServerConfig, Failure> {
        let mqtt = MqttConfig::loopback();
        Ok(ServerConfig {
            monitor: self.metrics,
            vehicles: ListenerConfig { address: self.vehicles, ..ListenerConfig::loopback() },
            mqtt: MqttConfig { listener: ListenerConfig { address: self.mqtt, ..mqtt.listener }, ..mqtt },
            broker: self.broker()?,
            fleet_cas: read(&self.fleet_ca)?,
            vault: self.vault.config(&self.folder)?,
            reveal: RevealPolicy { is_two_person: !self.one_person_reveal, hours: self.reveal_hours },
            h3_resolution: self.h3_resolution,
            ..ServerConfig::loopback(&self.folder)
        })
    }

    fn http(&self) -> HttpConfig {
        HttpConfig { address: self.api, is_behind_tls: self.behind_tls, ..HttpConfig::loopback() }
    }

    fn est(&self) -> Result<Option<EstConfig>, Failure> {
        if self.no_enrolment {
            return Ok(None);
        }
        let factories = read(&self.factory_ca)?;
        Ok(Some(EstConfig { address: self.enrolment, factories, ..EstConfig::loopback() }))
    }

    fn broker(&self) -> Result<Option<BrokerConfig>, Failure> {
        let Some(url) = self.broker.clone() else { return Ok(None) };
        let read = |path: &Option<PathBuf>, option: &str| {
            let path =
                path.as_ref().ok_or_else(|| Failure::failed(format!("an mqtts:// broker needs {option}")))?;
            std::fs::read_to_string(path)
                .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
        };
        let tls = if url.is_tls {
            Some(TlsFiles {
                ca: read(&self.broker_ca, "--broker-ca")?,
                certificate: read(&self.broker_cert, "--broker-cert")?,
                key: read(&self.broker_key, "--broker-key")?,
            })
        } else {
            None
        };
        Ok(Some(BrokerConfig { url, tls }))
    }

    /// Listeners and event log only.
    fn run_edge(self) -> Result<(), Failure> {
        let config = self.config()?;
        runtime()?.block_on(async {
            let ports = system(Arc::new(SystemClock));
            let log = self.log.open(&config.folder).await?;
            let edge = edge::start(config, ports, log).await.map_err(Failure::failed)?;
            print(&format!(
                "vehicles   https://{}\nmqtt       mqtts://{}\n",
                edge.vehicle_addr, edge.mqtt_addr
            ))?;
            show_monitor(edge.monitor_addr)?;
            if let Some(path) = &self.ready_file {
                let object = json!({
                    "vehicles": format!("https://{}", edge.vehicle_addr),
                    "mqtt": format!("mqtts://{}", edge.mqtt_addr),
                    "metrics": edge.monitor_addr.map(|address| format!("http://{address}/metrics")),
                });
                write_ready(path, &object.to_string())?;
            }
            stop_signal().await;
            edge.shutdown().await;
            Ok(())
        })
    }

    fn run_all(self) -> Result<(), Failure> {
        let runtime = runtime()?;
        let rules = rules(self.rules.as_deref())?;
        let decoders = decoders(self.decoders.as_deref(), &self.decoder_key)?;
        let enrolment = self.est()?;
        let config = self.config()?;
        let lake = self.lake.config(&self.folder)?;
        runtime.block_on(async {
            let config = ServerConfig { http: self.http(), rules, decoders, enrolment, ..config };
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let server = open(config, lake, &self.log, clock).await?;
            announce(&server, self.ready_file.as_deref())?;
            stop_signal().await;
            server.shutdown().await;
            Ok(())
        })
    }
}

/// Reads a public key.
fn public_key(text: &str) -> Result<[u8; 32], String> {
    hex_decode::<32>(text).map_err(|error| error.to_string())
}

/// Reads files.
fn read(paths: &[PathBuf]) -> Result<Vec<String>, Failure> {
    let text = |path: &PathBuf| {
        std::fs::read_to_string(path).map_err(|error| Failure::input(format!("{}: {error}", path.display())))
    };
    paths.iter().map(text).collect()
}

/// Starts a server with the event log in its folder or elsewhere, and the lake where its configuration says.
///
/// # Errors
/// Storage, brokers, database, certificates or sockets.
pub(super) async fn open(
    config: ServerConfig,
    lake: LakeConfig,
    log: &EventLogArgs,
    clock: Arc<dyn Clock>,
) -> Result<RunningServer, Failure> {
    let ports = system(Arc::clone(&clock));
    let (config, backends) = match log.event_log {
        Kind::Embedded => {
            let backends = Backends::embedded(&config.folder, lake, clock, config.tenant).await;
            (config, backends)
        }
        Kind::Kafka => {
            let log = log.open(&config.folder).await?;
            let backends = Backends::with_log(log, lake, clock, config.tenant).await;
            let pipeline = PipelineConfig { idle: REMOTE_IDLE, ..config.pipeline };
            (ServerConfig { pipeline, ..config }, backends)
        }
    };
    start(config, ports, backends.map_err(Failure::failed)?).await.map_err(Failure::failed)
}

/// Says where to connect, and the first password once.
///
/// # Errors
/// Nobody reads it, or the ready file cannot be written.
pub(super) fn announce(server: &RunningServer, ready_file: Option<&Path>) -> Result<(), Failure> {
    let mut text = format!("dashboard  http://{}\n", server.api_addr);
    if let Some(address) = server.vehicle_addr {
        text.push_str(&format!("vehicles   https://{address}\n"));
    }
    if let Some(address) = server.mqtt_addr {
        text.push_str(&format!("mqtt       mqtts://{address}\n"));
    }
    if let Some(address) = server.enrolment_addr {
        text.push_str(&format!("enrolment  https://{address}\n"));
    }
    if let Some(password) = &server.first_admin_password {
        text.push_str(&format!(
            "first login: admin / {password}  (shown once; you will be asked to change it)\n"
        ));
    }
    print(&text)?;
    if let Some(path) = ready_file {
        let object = json!({
            "api": format!("http://{}", server.api_addr),
            "vehicles": server.vehicle_addr.map(|address| format!("https://{address}")),
            "mqtt": server.mqtt_addr.map(|address| format!("mqtts://{address}")),
            "enrolment": server.enrolment_addr.map(|address| format!("https://{address}")),
            "user": "admin",
            "password": server.first_admin_password,
        });
        write_ready(path, &object.to_string())?;
    }
    Ok(())
}

/// Says where a process without API shows its counters.
fn show_monitor(address: Option<SocketAddr>) -> Result<(), Failure> {
    address.map_or(Ok(()), |address| print(&format!("metrics    http://{address}/metrics\n")))
}

/// Writes the ready file at once, readable by its owner only: it may hold the first password.
fn write_ready(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let fresh = path.with_extension("new");
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .and_then(|()| std::fs::rename(&fresh, path))
        .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))
}

/// Waits for SIGINT or SIGTERM.
pub(super) async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be handled");
    tokio::select! {
        result = tokio::signal::ctrl_c() => result.expect("SIGINT can be handled"),
        _ = terminate.recv() => {}
    }
}
