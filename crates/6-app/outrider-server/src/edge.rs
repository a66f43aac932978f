//! A process that only takes frames: listeners, broker, event log. No worker, no API, no lake.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outrider_model::EventLog;

use crate::housekeeping::certificates;
use crate::notices::NoNotices;
use crate::pipeline::Doorbell;
use crate::port::{Ports, draw};
use crate::roles::monitor::{self, Watched};
use crate::server::{ServerConfig, StartError, io, listen, vehicle_tls};
use crate::store::{Scope, SqlStore};
use crate::tasks::Tasks;
use crate::vehicle::{
    ArtifactVault, Directory, EvidenceVault, Exchange, ExchangeParts, Keys, Links, RunningListener,
    VehicleCa, broker,
};

/// How often the registry is read: a vehicle that was registered or suspended is known after this.
const REFRESH: Duration = Duration::from_secs(5);

/// A process that takes frames.
pub struct RunningEdge {
    /// Where vehicles connect with HTTPS.
    pub vehicle_addr: SocketAddr,
    /// Where vehicles connect with MQTT.
    pub mqtt_addr: SocketAddr,
    /// Where it shows its counters, if it does.
    pub monitor_addr: Option<SocketAddr>,
    exchange: Arc<Exchange>,
    sqlite: SqlStore,
    listener: RunningListener,
    mqtt: RunningListener,
    tasks: Tasks,
}

/// Starts to take frames into a log. A worker reads them later: the embedded log belongs to one process at a time.
///
/// # Errors
/// [`StartError`]; what had been started ends with it.
pub async fn start(
    config: ServerConfig,
    ports: Ports,
    log: Arc<dyn EventLog>,
) -> Result<RunningEdge, StartError> {
    std::fs::create_dir_all(&config.folder).map_err(io(config.folder.display()))?;
    let sqlite = Box::pin(SqlStore::of_folder(&config.folder)).await?;
    let secrets = config.folder.join("secrets");
    let directory = Arc::new(Directory::default());
    let scope = Scope { tenant: config.tenant, now: ports.clock.now() };
    directory.refresh(&sqlite, scope).await?;
    let exchange = Exchange::new(ExchangeParts {
        log,
        store: Arc::new(sqlite.clone()),
        directory: directory.clone(),
        keys: Arc::new(Keys::open(&secrets, &mut || draw(&*ports.random))?),
        vault: EvidenceVault::open(&config.folder.join("evidence"))?,
        artifacts: ArtifactVault::open(&config.folder.join("artifacts"))?,
        clock: ports.clock.clone(),
        notices: Arc::new(NoNotices),
        doorbell: Arc::new(Doorbell::default()),
        tenant: config.tenant,
    });
    let exchange = Arc::new(exchange.with_links(Arc::new(Links::new(config.vehicle_rate))));
    let ca = Arc::new(VehicleCa::open(&secrets, ports.clock.clone(), ports.random.clone())?);
    let tls = Arc::new(vehicle_tls(&config, &ports, &ca)?);
    let (listener, mqtt) = listen(&config, &tls, &exchange).await?;
    let tasks = Tasks::default();
    tasks.spawn("certificates", certificates(ca, vec![tls], tasks.stopped()));
    let monitor_addr = monitor::open(&config, &ports, &tasks, Watched::Edge(exchange.clone())).await?;
    if let Some(broker) = config.broker {
        tasks.spawn("broker", broker::run(broker, ports.crypto, exchange.clone(), tasks.stopped()));
    }
    let (store, clock, mut stopped) = (sqlite.clone(), ports.clock, tasks.stopped());
    let tenant = config.tenant;
    tasks.spawn("registry", async move {
        loop {
            tokio::select! {
                () = stopped.wait() => return,
                () = tokio::time::sleep(REFRESH) => {}
            }
            if let Err(error) = directory.refresh(&store, Scope { tenant, now: clock.now() }).await {
                tracing::warn!(%error, "registry not read");
            }
        }
    });
    let (vehicle_addr, mqtt_addr) = (listener.address, mqtt.address);
    Ok(RunningEdge { vehicle_addr, mqtt_addr, monitor_addr, exchange, sqlite, listener, mqtt, tasks })
}

impl RunningEdge {
    /// Returns what takes the frames, with its counters.
    #[must_use]
    pub const fn exchange(&self) -> &Arc<Exchange> {
        &self.exchange
    }

    /// Ends listeners and tasks.
    pub async fn shutdown(self) {
        tokio::join!(self.listener.stop(), self.mqtt.stop());
        self.tasks.stop(Duration::from_secs(3)).await;
        self.sqlite.close().await;
    }
}
