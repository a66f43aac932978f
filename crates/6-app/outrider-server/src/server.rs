//! Assembly: one installation in one process.

mod config;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outrider_decode::DecoderTable;
use outrider_detect::DetectorConfig;
use outrider_ingest::Pseudonyms;
use outrider_model::{EventLog, Partition, Sink};
use outrider_respond::SafetyGate;
use outrider_rules::Loaded;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

pub use config::{RuleText, ServerConfig};

use crate::api::{self, App};
use crate::evidence::{EvidenceDesk, EvidenceParts};
use crate::feeds::{FeedDesk, FeedParts};
use crate::http::serve;
use crate::hub::Hub;
use crate::identity::{Identity, IdentityError};
use crate::metrics::{ScrapeToken, TokenError};
use crate::notices::WakingNotices;
use crate::pipeline::{self, Doorbell, FollowParts, PipelineError, PipelineParts, RunningPipeline};
use crate::port::{EventHistory, Ports, draw};
use crate::rulebook::{self, RuleBook};
use crate::store::{Scope, SqlStore, Store, StoreError, VehicleEntry};
use crate::tasks::Tasks;
use crate::update::{UpdateDesk, UpdateParts};
use crate::vault::{Vault, VaultError, VaultNames};
use crate::vehicle::broker;
use crate::vehicle::est::{EnrolmentDesk, EstListener};
use crate::vehicle::mqtt::{self, MqttListener};
use crate::vehicle::{
    ArtifactVault, CaError, ClientPolicy, Directory, EvidenceVault, Exchange, ExchangeParts, KeyError, Keys,
    Links, Listener, ListenerTls, RunningListener, VehicleCa, open_name_key,
};

/// Storage of an installation.
pub struct Backends {
    /// Event log.
    pub log: Arc<dyn EventLog>,
    /// Where rows go; `None` if other processes work, and this one serves API and dashboard alone.
    pub sink: Option<Box<dyn Sink + Send>>,
    /// Where rows are read.
    pub history: Arc<dyn EventHistory>,
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Folder or socket.
    #[error("{what}: {source}")]
    Io {
        /// Folder or address.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Case database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Users.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Certificates.
    #[error(transparent)]
    Certificates(#[from] CaError),
    /// Signing keys.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Token of the monitoring system.
    #[error(transparent)]
    Monitor(#[from] TokenError),
    /// Keys of TLS tickets.
    #[error("TLS tickets: {0}")]
    Tickets(#[from] rustls::Error),
    /// VIN vault.
    #[error("VIN vault: {0}")]
    VinVault(#[from] VaultError),
    /// Captures.
    #[error(transparent)]
    Vault(#[from] crate::vehicle::EvidenceError),
    /// Worker.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
}

/// A server that runs.
pub struct RunningServer {
    /// Where browsers and programs connect.
    pub api_addr: SocketAddr,
    /// Where vehicles connect with HTTPS, unless other processes take frames.
    pub vehicle_addr: Option<SocketAddr>,
    /// Where vehicles connect with MQTT, unless other processes take frames.
    pub mqtt_addr: Option<SocketAddr>,
    /// Where vehicles enrol.
    pub enrolment_addr: Option<SocketAddr>,
    /// Password of the administrator made at the first start; to be shown once.
    pub first_admin_password: Option<String>,
    app: Arc<App>,
    sqlite: SqlStore,
    keys: Arc<Keys>,
    ca: Arc<VehicleCa>,
    listeners: Option<(RunningListener, RunningListener)>,
    tasks: Tasks,
}

/// Keeps the messages of an `io` call with what it was about.
pub(crate) fn io(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> StartError {
    let what = what.to_string();
    move |source| StartError::Io { what, source }
}

/// Starts an installation in this process.
///
/// # Errors
/// [`StartError`]; what had been started ends with it.
pub async fn start(
    config: ServerConfig,
    ports: Ports,
    backends: Backends,
) -> Result<RunningServer, StartError> {
    std::fs::create_dir_all(&config.folder).map_err(io(config.folder.display()))?;
    let takes_frames = backends.sink.is_some();
    let sqlite = Box::pin(SqlStore::of_folder(&config.folder)).await?;
    let store: Arc<dyn Store> = Arc::new(sqlite.clone());
    let now = ports.clock.now();
    let hub = Arc::new(Hub::new(u64::try_from(now.0).unwrap_or(0)));
    let secrets = config.folder.join("secrets");
    let keys = Arc::new(Keys::open(&secrets, &mut || draw(&*ports.random))?);
    let ca = Arc::new(VehicleCa::open(&secrets, ports.clock.clone(), ports.random.clone())?);
    let vault = EvidenceVault::open(&config.folder.join("evidence"))?;
    let artifacts = ArtifactVault::open(&config.folder.join("artifacts"))?;
    let directory = Arc::new(Directory::default());
    // The same key as of acknowledgements: another magic tells the frames apart.
    directory.set_edge_key(&keys.ack.public());
    directory.refresh(&sqlite, Scope { tenant: config.tenant, now }).await?;
    let loaded = rulebook::load(&config.rules);
    let vin_vault = match &config.vault {
        Some(vault) => Some(Arc::new(vault.open(ports.random.clone()).await?)),
        None => None,
    };
    let shared = Shared {
        config: &config,
        ports: &ports,
        store,
        hub,
        keys,
        vault,
        vin_vault,
        artifacts,
        directory,
        history: backends.history,
        links: Arc::new(Links::new(config.vehicle_rate)),
    };
    let doorbell = Arc::new(Doorbell::default());
    let feeds = Arc::new(open_feeds(shared.feeds(), backends.log.clone(), doorbell.clone()).await?);
    let worker = (feeds.clone(), doorbell.clone());
    let pipeline = match backends.sink {
        Some(sink) => start_worker(&shared, &loaded, backends.log.clone(), sink, worker).await?,
        None => start_follower(&shared, &*backends.log).await?,
    };
    let exchange = Exchange::new(ExchangeParts {
        log: backends.log.clone(),
        store: shared.store.clone(),
        directory: shared.directory.clone(),
        keys: shared.keys.clone(),
        vault: shared.vault.clone(),
        artifacts: shared.artifacts.clone(),
        clock: ports.clock.clone(),
        notices: shared.hub.clone(),
        doorbell,
        tenant: config.tenant,
    });
    let exchange = Arc::new(exchange.with_links(shared.links.clone()));
    let (mut identities, mut listeners) = (Vec::new(), None);
    if takes_frames {
        let tls = Arc::new(vehicle_tls(&config, &ports, &ca)?);
        listeners = Some(listen(&config, &tls, &exchange).await?);
        identities.push(tls);
    }
    let tasks = Tasks::default();
    let enrolment = open_enrolment(&shared, &ca).await?;
    let mut enrolment_addr = None;
    if let Some((est, tls)) = enrolment {
        enrolment_addr = Some(est.address().map_err(io("enrolment listener"))?);
        tasks.spawn("enrolment listener", est.serve(tasks.stopped()));
        identities.push(tls);
    }
    let monitor = ScrapeToken::open(&secrets, &mut || draw(&*ports.random))?;
    let book = RuleBook::new(&loaded);
    let app = Arc::new(shared.app(book, pipeline, exchange, (backends.log, feeds), monitor));
    let first_admin_password = app.identity.ensure_first_admin().await?;
    let socket = TcpListener::bind(config.http.address).await.map_err(io(config.http.address))?;
    let api_addr = socket.local_addr().map_err(io("API listener"))?;
    tasks.spawn("api listener", serve(socket, api::router(app.clone()), config.http, tasks.stopped()));
    if let Some(broker) = config.broker.clone().filter(|_| takes_frames) {
        let crypto = ports.crypto.clone();
        tasks.spawn("broker", broker::run(broker, crypto, app.exchange.clone(), tasks.stopped()));
    }
    crate::housekeeping::start(&tasks, &app, ca.clone(), identities);
    let keys = shared.keys.clone();
    let addresses = listeners.as_ref().map(|(https, mqtt)| (https.address, mqtt.address));
    let (vehicle_addr, mqtt_addr) = addresses.unzip();
    Ok(RunningServer {
        api_addr,
        vehicle_addr,
        mqtt_addr,
        enrolment_addr,
        first_admin_password,
        app,
        sqlite,
        keys,
        ca,
        listeners,
        tasks,
    })
}

/// Starts both listeners of vehicles.
pub(crate) async fn listen(
    config: &ServerConfig,
    tls: &ListenerTls,
    exchange: &Arc<Exchange>,
) -> Result<(RunningListener, RunningListener), StartError> {
    let https = tls.config(&[b"http/1.1"])?;
    let mqtt_tls = mqtt::tls_config(&https)?;
    let address = config.vehicles.address;
    let listener = Listener::bind(config.vehicles, https, exchange.clone()).await.map_err(io(address))?;
    let address = config.mqtt.listener.address;
    let mqtt = MqttListener::bind(config.mqtt, mqtt_tls, exchange.clone()).await.map_err(io(address))?;
    let listener = listener.start().map_err(io("vehicle listener"))?;
    Ok((listener, mqtt.start().map_err(io("mqtt listener"))?))
}

/// TLS of the vehicle listeners: a certificate of our own CA or of a fleet's is a must.
pub(crate) fn vehicle_tls(
    config: &ServerConfig,
    ports: &Ports,
    ca: &VehicleCa,
) -> Result<ListenerTls, CaError> {
    let policy = ClientPolicy { further: config.fleet_cas.clone(), ..ClientPolicy::default() };
    let addresses = vec![config.vehicles.address.ip()];
    ListenerTls::new(ca, policy, addresses, ports.crypto.clone(), ports.clock.clone())
}

/// Opens the listener for enrolment, unless it is turned off.
async fn open_enrolment(
    shared: &Shared<'_>,
    ca: &Arc<VehicleCa>,
) -> Result<Option<(EstListener, Arc<ListenerTls>)>, StartError> {
    let Some(config) = &shared.config.enrolment else { return Ok(None) };
    let ports = shared.ports;
    let grace = Duration::from_secs(u64::from(config.policy.grace_days) * 86_400);
    let policy = ClientPolicy { further: config.factories.clone(), is_optional: true, grace };
    let addresses = vec![config.address.ip()];
    let tls = ListenerTls::new(ca, policy, addresses, ports.crypto.clone(), ports.clock.clone())?;
    let desk = EnrolmentDesk::new(
        shared.store.clone(),
        ca.clone(),
        shared.directory.clone(),
        ports.clock.clone(),
        shared.config.tenant,
        config.policy,
    );
    let (address, tls) = (config.address, Arc::new(tls));
    let listener = EstListener::bind(config.clone(), tls.config(&[b"http/1.1"])?, Arc::new(desk)).await;
    Ok(Some((listener.map_err(io(address))?, tls)))
}

/// Parts that are handed to several others during the start.
struct Shared<'a> {
    config: &'a ServerConfig,
    ports: &'a Ports,
    store: Arc<dyn Store>,
    hub: Arc<Hub>,
    keys: Arc<Keys>,
    vault: EvidenceVault,
    vin_vault: Option<Arc<Vault>>,
    artifacts: ArtifactVault,
    directory: Arc<Directory>,
    history: Arc<dyn EventHistory>,
    links: Arc<Links>,
}

impl Shared<'_> {
    fn feeds(&self) -> FeedsFrom<'_> {
        FeedsFrom {
            config: self.config,
            ports: self.ports,
            store: self.store.clone(),
            directory: self.directory.clone(),
            vin_vault: self.vin_vault.clone(),
        }
    }

    fn app(
        &self,
        rules: RuleBook,
        pipeline: RunningPipeline,
        exchange: Arc<Exchange>,
        (log, feeds): (Arc<dyn EventLog>, Arc<FeedDesk>),
        monitor: ScrapeToken,
    ) -> App {
        let judging = Arc::new(tokio::sync::Mutex::new(()));
        let notices = Arc::new(WakingNotices { hub: self.hub.clone(), links: self.links.clone() });
        let gate = SafetyGate { policy: self.config.gate };
        let updates = UpdateDesk::new(UpdateParts {
            store: self.store.clone(),
            vault: self.artifacts.clone(),
            directory: self.directory.clone(),
            clock: self.ports.clock.clone(),
            random: self.ports.random.clone(),
            notices: notices.clone(),
            keys: self.keys.clone(),
            gate,
            tenant: self.config.tenant,
            judging: judging.clone(),
        });
        let desk = EvidenceDesk::new(EvidenceParts {
            store: self.store.clone(),
            history: self.history.clone(),
            directory: self.directory.clone(),
            clock: self.ports.clock.clone(),
            random: self.ports.random.clone(),
            notices,
            keys: self.keys.clone(),
            gate,
            tenant: self.config.tenant,
            judging,
        });
        App {
            store: self.store.clone(),
            identity: Identity::new(self.store.clone(), self.ports, self.config.tenant, self.config.sessions),
            clock: self.ports.clock.clone(),
            random: self.ports.random.clone(),
            tenant: self.config.tenant,
            history: self.history.clone(),
            hub: self.hub.clone(),
            directory: self.directory.clone(),
            exchange,
            vault: self.vault.clone(),
            vin_vault: self.vin_vault.clone(),
            reveal: self.config.reveal,
            h3_resolution: self.config.h3_resolution,
            log,
            rules: Arc::new(rules),
            desk: Arc::new(desk),
            updates: Arc::new(updates),
            feeds,
            pipeline: Arc::new(pipeline),
            monitor,
            started: self.ports.clock.now(),
            is_secure: self.config.http.is_behind_tls,
        }
    }
}

/// What feeds are opened from.
pub(crate) struct FeedsFrom<'a> {
    pub(crate) config: &'a ServerConfig,
    pub(crate) ports: &'a Ports,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) vin_vault: Option<Arc<Vault>>,
}

/// Opens the feeds with the decoders of the configuration.
pub(crate) async fn open_feeds(
    from: FeedsFrom<'_>,
    log: Arc<dyn EventLog>,
    doorbell: Arc<Doorbell>,
) -> Result<FeedDesk, StartError> {
    let FeedsFrom { config, ports, store, directory, vin_vault } = from;
    let names = open_name_key(&config.folder.join("secrets"), &mut || draw(&*ports.random))?;
    let names: Arc<dyn Pseudonyms> = match vin_vault {
        None => Arc::new(names),
        Some(vault) => {
            Arc::new(VaultNames::new((vault, names), directory, ports.clock.clone(), Handle::current()))
        }
    };
    Ok(FeedDesk::open(FeedParts {
        store,
        log,
        doorbell,
        clock: ports.clock.clone(),
        random: ports.random.clone(),
        tenant: config.tenant,
        names,
        decoders: Arc::new(DecoderTable::new(config.decoders.iter().cloned())),
    })
    .await?)
}

/// Restores and starts the worker on the blocking pool, because restoring waits for database and lake.
async fn start_worker(
    shared: &Shared<'_>,
    loaded: &Loaded,
    log: Arc<dyn EventLog>,
    sink: Box<dyn Sink + Send>,
    (feeds, doorbell): (Arc<FeedDesk>, Arc<Doorbell>),
) -> Result<RunningPipeline, StartError> {
    let hash_key = u64::from_le_bytes(draw(&*shared.ports.random));
    let parts = PipelineParts {
        partitions: (0..log.partitions()).map(Partition).collect(),
        sightings: None,
        log,
        store: shared.store.clone(),
        directory: shared.directory.clone(),
        feeds,
        rules: Arc::new(loaded.rules.clone()),
        detector: DetectorConfig { hash_key, ..shared.config.detector.clone() },
        sink,
        clock: shared.ports.clock.clone(),
        notices: shared.hub.clone(),
        doorbell,
        runtime: Handle::current(),
        tenant: shared.config.tenant,
        config: shared.config.pipeline,
    };
    let started = tokio::task::spawn_blocking(move || pipeline::start(parts)).await;
    Ok(started.map_err(|error| PipelineError::Thread(std::io::Error::other(error)))??)
}

/// Follows the workers of other processes.
async fn start_follower(shared: &Shared<'_>, log: &dyn EventLog) -> Result<RunningPipeline, StartError> {
    let parts = FollowParts {
        partitions: log.partitions(),
        store: shared.store.clone(),
        notices: shared.hub.clone(),
        clock: shared.ports.clock.clone(),
        runtime: Handle::current(),
        tenant: shared.config.tenant,
    };
    let started = tokio::task::spawn_blocking(move || pipeline::follow(parts)).await;
    Ok(started.map_err(|error| PipelineError::Thread(std::io::Error::other(error)))??)
}

impl RunningServer {
    /// Registers vehicles or replaces what is registered of them, for listener, worker and screen at once.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was registered.
    pub async fn register(&self, vehicles: Vec<VehicleEntry>) -> Result<(), StoreError> {
        let scope = self.app.scope();
        self.app.store.put_vehicles(scope, &vehicles).await?;
        self.app.directory.refresh(self.app.store.as_ref(), scope).await?;
        Ok(())
    }

    /// Returns the installation's own vehicle CA, to issue client certificates.
    #[must_use]
    pub fn ca(&self) -> &VehicleCa {
        &self.ca
    }

    /// Returns the signing keys, whose public halves vehicles need.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Returns the application, for tests and tools in the same process.
    #[must_use]
    pub const fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Ends listeners, tasks and worker in this order, after a last checkpoint.
    pub async fn shutdown(self) {
        if let Some((https, mqtt)) = self.listeners {
            tokio::join!(https.stop(), mqtt.stop());
        }
        self.tasks.stop(Duration::from_secs(3)).await;
        let pipeline = self.app.pipeline.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || pipeline.stop()).await {
            tracing::error!(%error, "worker ended badly");
        }
        if let Some(vault) = &self.app.vin_vault {
            vault.close().await;
        }
        self.sqlite.close().await;
    }
}
