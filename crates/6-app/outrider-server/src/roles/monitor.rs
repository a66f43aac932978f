//! What a process without API shows to the monitoring system: its own counters, on a listener of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use outrider_model::EventLog;
use outrider_types::{Clock, UnixMicros};
use tokio::net::TcpListener;

use crate::api::dto::{PartitionHealth, StageBalance};
use crate::http::{HttpConfig, serve};
use crate::metrics::{self, ProcessStatus, RoleReadings, ScrapeToken, WorkerReadings};
use crate::pipeline::{Backlog, Owners};
use crate::port::{Ports, draw};
use crate::server::{ServerConfig, StartError, io};
use crate::tasks::Tasks;
use crate::vehicle::Exchange;

/// Connections at the same time: a monitoring system needs one.
const CONNECTIONS_MAX: usize = 32;
/// Time for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// What runs in the process.
pub(crate) enum Watched {
    /// Listeners of vehicles.
    Edge(Arc<Exchange>),
    /// Workers of partitions of the event log.
    Workers(Arc<Owners>, Arc<dyn EventLog>),
    /// Correlators of partitions of the topic of sightings.
    Correlators(Arc<Owners>, Arc<dyn EventLog>),
}

/// State of the listener.
struct Monitor {
    watched: Watched,
    token: ScrapeToken,
    clock: Arc<dyn Clock>,
    started: UnixMicros,
    /// One reading at a time: each may ask brokers.
    turn: tokio::sync::Mutex<()>,
}

/// Opens the listener, if the configuration has one; returns where it listens.
///
/// # Errors
/// [`StartError`]: the token cannot be used, the address is taken.
pub(crate) async fn open(
    config: &ServerConfig,
    ports: &Ports,
    tasks: &Tasks,
    watched: Watched,
) -> Result<Option<SocketAddr>, StartError> {
    let Some(address) = config.monitor else { return Ok(None) };
    let token = ScrapeToken::open(&config.folder.join("secrets"), &mut || draw(&*ports.random))?;
    let socket = TcpListener::bind(address).await.map_err(io(address))?;
    let bound = socket.local_addr().map_err(io("listener of the counters"))?;
    let (clock, started) = (ports.clock.clone(), ports.clock.now());
    let monitor = Monitor { watched, token, clock, started, turn: tokio::sync::Mutex::new(()) };
    let http =
        HttpConfig { address, connections_max: CONNECTIONS_MAX, patience: PATIENCE, is_behind_tls: false };
    tasks.spawn("monitor", serve(socket, router(monitor), http, tasks.stopped()));
    Ok(Some(bound))
}

fn router(monitor: Monitor) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/metrics", get(show))
        .with_state(Arc::new(monitor))
}

/// Shows the counters to whoever has the token.
async fn show(State(monitor): State<Arc<Monitor>>, headers: HeaderMap) -> Response {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !monitor.token.admits(given) {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response();
    }
    let turn = monitor.turn.lock().await;
    let reader = monitor.clone();
    let page = tokio::task::spawn_blocking(move || reader.read()).await;
    drop(turn);
    match page {
        Ok(page) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response(),
        Err(error) => {
            tracing::error!(%error, "counters not read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

impl Monitor {
    /// Reads the page. Waits for a checkpoint that is being read, and for the brokers.
    fn read(&self) -> String {
        match &self.watched {
            Watched::Edge(exchange) => {
                let stages = [
                    StageBalance::of("uplink", "frames", &exchange.frames()),
                    StageBalance::of("evidence", "captures", &exchange.uploads()),
                    StageBalance::of("artifacts", "pieces", &exchange.downloads()),
                ];
                let links = exchange.links().status();
                metrics::render_role(&RoleReadings { links: Some(&links), ..self.readings(&stages) })
            }
            Watched::Workers(owners, log) => self.read_owners(owners, &**log, true),
            Watched::Correlators(owners, log) => self.read_owners(owners, &**log, false),
        }
    }

    fn read_owners(&self, owners: &Owners, log: &dyn EventLog, decodes: bool) -> String {
        let status = owners.total();
        let backlog = Backlog::read(log, &status);
        let partitions: Vec<_> = backlog.partitions.iter().map(PartitionHealth::of).collect();
        let mut stages = Vec::new();
        if decodes {
            stages.extend([
                StageBalance::of("feed_bodies", "bodies", &status.bodies),
                StageBalance::of("feed_documents", "documents", &status.documents),
                StageBalance::of("ingest_batches", "batches", &status.batches),
                StageBalance::of("ingest_events", "events", &status.rows),
                StageBalance::of("lake", "events", &status.lake),
            ]);
        } else {
            stages.push(StageBalance::of("sightings", "records", &status.batches));
        }
        stages.push(StageBalance::of("detect", "matches", &status.detect));
        let is_log_mute = backlog.trouble.is_some();
        let worker = Some(WorkerReadings { status: &status, partitions: &partitions, is_log_mute });
        metrics::render_role(&RoleReadings { worker, ..self.readings(&stages) })
    }

    fn readings<'a>(&self, stages: &'a [StageBalance]) -> RoleReadings<'a> {
        RoleReadings {
            version: env!("CARGO_PKG_VERSION"),
            stages,
            worker: None,
            links: None,
            process: ProcessStatus::read(),
            started: self.started,
            now: self.clock.now(),
        }
    }
}
