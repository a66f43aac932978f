//! `outrider serve`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use outrider_server::http::HttpConfig;
use outrider_server::server::{Backends, RunningServer, ServerConfig, start};
use outrider_server::vehicle::ListenerConfig;
use outrider_types::Clock;
use serde_json::json;

use super::{Failure, print, runtime};
use crate::content::rules;
use crate::ports::{SystemClock, system};

/// Part of the cloud that a process plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Everything in one process.
    All,
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
    /// Where vehicles connect, with mutual TLS.
    #[arg(long, default_value = "127.0.0.1:8441")]
    vehicles: SocketAddr,
    /// Folder of Sigma rules; without it the shipped rules are used.
    #[arg(long)]
    rules: Option<PathBuf>,
    /// Part to play.
    #[arg(long, value_enum, default_value_t = Role::All)]
    role: Role,
    /// Browsers reach the API over TLS (a proxy in front), so that cookies are marked Secure.
    #[arg(long)]
    behind_tls: bool,
    /// File that is written with the addresses as JSON when everything listens.
    #[arg(long)]
    ready_file: Option<PathBuf>,
}

impl Serve {
    pub(super) fn run(self) -> Result<(), Failure> {
        match self.role {
            Role::All => {}
        }
        let runtime = runtime()?;
        let rules = rules(self.rules.as_deref())?;
        runtime.block_on(async {
            let config = ServerConfig {
                http: HttpConfig {
                    address: self.api,
                    is_behind_tls: self.behind_tls,
                    ..HttpConfig::loopback()
                },
                vehicles: ListenerConfig { address: self.vehicles, ..ListenerConfig::loopback() },
                rules,
                ..ServerConfig::loopback(&self.folder)
            };
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let server = open(config, clock).await?;
            announce(&server, self.ready_file.as_deref())?;
            stop_signal().await;
            server.shutdown().await;
            Ok(())
        })
    }
}

/// Starts a server with embedded storage.
///
/// # Errors
/// Storage, database, certificates or sockets.
pub(super) async fn open(config: ServerConfig, clock: Arc<dyn Clock>) -> Result<RunningServer, Failure> {
    let ports = system(Arc::clone(&clock));
    let backends = Backends::embedded(&config.folder, clock, config.tenant).await.map_err(Failure::failed)?;
    start(config, ports, backends).await.map_err(Failure::failed)
}

/// Says where to connect, and the first password once.
///
/// # Errors
/// Nobody reads it, or the ready file cannot be written.
pub(super) fn announce(server: &RunningServer, ready_file: Option<&Path>) -> Result<(), Failure> {
    let mut text =
        format!("dashboard  http://{}\nvehicles   https://{}\n", server.api_addr, server.vehicle_addr);
    if let Some(password) = &server.first_admin_password {
        text.push_str(&format!(
            "first login: admin / {password}  (shown once; you will be asked to change it)\n"
        ));
    }
    print(&text)?;
    if let Some(path) = ready_file {
        let object = json!({
            "api": format!("http://{}", server.api_addr),
            "vehicles": format!("https://{}", server.vehicle_addr),
            "user": "admin",
            "password": server.first_admin_password,
        });
        write_ready(path, &object.to_string())?;
    }
    Ok(())
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
