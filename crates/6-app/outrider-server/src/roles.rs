//! Processes that play one part of the cloud: workers of some partitions, and correlators of some parts of the groups.
//!
//! They share the event log, the topic of sightings, the case database and the lake; who does which partition comes from
//! outside, through [`PartitionOwner`], and an epoch in the case database keeps former owners out (ADR 0027).

pub(crate) mod monitor;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use outrider_detect::DetectorConfig;
use outrider_model::{EventLog, Partition, PartitionOwner, Sink};
use outrider_rules::RuleSet;
use outrider_types::{Clock, TenantId};
use tokio::runtime::Handle;

use crate::feeds::FeedDesk;
use crate::notices::NoNotices;
use crate::pipeline::{
    CorrelatorParts, Doorbell, Owners, PipelineConfig, PipelineParts, RunningPipeline, correlator,
};
use crate::port::{Ports, draw};
use crate::rulebook;
use crate::server::{FeedsFrom, ServerConfig, StartError, io, open_feeds};
use crate::store::{Scope, SqlStore, Store};
use crate::tasks::Tasks;
use crate::vault::Vault;
use crate::vehicle::{Directory, Keys};

/// How often the registry is read: a vehicle that was registered or suspended is known after this.
const REFRESH: Duration = Duration::from_secs(5);
/// How often what should run and does not is looked for.
const TEND_EVERY: Duration = Duration::from_millis(500);

/// Makes the sink of one more worker.
pub type Sinks = Arc<dyn Fn() -> Box<dyn Sink + Send> + Send + Sync>;

/// Logs that the stages share.
#[derive(Clone)]
pub struct Logs {
    /// Records of vehicles and feeds.
    pub events: Arc<dyn EventLog>,
    /// What counts, from workers to correlators; a partition for each part of the groups.
    pub sightings: Arc<dyn EventLog>,
}

/// A process with workers or correlators.
pub struct RunningRole {
    /// Where it shows its counters, if it does.
    pub monitor_addr: Option<SocketAddr>,
    owners: Arc<Owners>,
    sqlite: SqlStore,
    vin_vault: Option<Arc<Vault>>,
    tasks: Tasks,
}

/// What all partitions of a process share.
#[derive(Clone)]
struct Common {
    logs: Logs,
    store: Arc<dyn Store>,
    rules: Arc<RuleSet>,
    detector: DetectorConfig,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    tenant: TenantId,
    config: PipelineConfig,
}

impl Common {
    fn new(config: &ServerConfig, ports: &Ports, logs: Logs, store: Arc<dyn Store>) -> Self {
        let hash_key = u64::from_le_bytes(draw(&*ports.random));
        Self {
            logs,
            store,
            rules: Arc::new(rulebook::load(&config.rules).rules),
            detector: DetectorConfig { hash_key, ..config.detector.clone() },
            clock: ports.clock.clone(),
            runtime: Handle::current(),
            tenant: config.tenant,
            config: config.pipeline,
        }
    }

    /// Starts the worker of a partition.
    fn work(
        &self,
        partition: Partition,
        (directory, feeds): (&Arc<Directory>, &Arc<FeedDesk>),
        sink: Box<dyn Sink + Send>,
    ) -> Result<RunningPipeline, crate::pipeline::PipelineError> {
        crate::pipeline::start(PipelineParts {
            log: self.logs.events.clone(),
            partitions: vec![partition],
            sightings: Some(self.logs.sightings.clone()),
            store: self.store.clone(),
            directory: directory.clone(),
            feeds: feeds.clone(),
            rules: self.rules.clone(),
            detector: self.detector.clone(),
            sink,
            clock: self.clock.clone(),
            notices: Arc::new(NoNotices),
            doorbell: Arc::new(Doorbell::default()),
            runtime: self.runtime.clone(),
            tenant: self.tenant,
            config: self.config,
        })
    }

    /// Starts the correlator of a part.
    fn correlate(&self, part: Partition) -> Result<RunningPipeline, crate::pipeline::PipelineError> {
        correlator::start(CorrelatorParts {
            sightings: self.logs.sightings.clone(),
            part,
            sources: self.logs.events.partitions(),
            store: self.store.clone(),
            rules: self.rules.clone(),
            detector: self.detector.clone(),
            clock: self.clock.clone(),
            notices: Arc::new(NoNotices),
            runtime: self.runtime.clone(),
            tenant: self.tenant,
            config: self.config,
        })
    }
}

/// Starts a process that decodes and matches the partitions which it is given.
///
/// # Errors
/// [`StartError`]; what had been started ends with it.
pub async fn start_workers(
    config: ServerConfig,
    ports: Ports,
    logs: Logs,
    sinks: Sinks,
) -> Result<RunningRole, StartError> {
    std::fs::create_dir_all(&config.folder).map_err(io(config.folder.display()))?;
    let sqlite = Box::pin(SqlStore::of_folder(&config.folder)).await?;
    let store: Arc<dyn Store> = Arc::new(sqlite.clone());
    let keys = Keys::open(&config.folder.join("secrets"), &mut || draw(&*ports.random))?;
    let directory = Arc::new(Directory::default());
    directory.set_edge_key(&keys.ack.public());
    let scope = Scope { tenant: config.tenant, now: ports.clock.now() };
    directory.refresh(&sqlite, scope).await?;
    let vin_vault = match &config.vault {
        Some(vault) => Some(Arc::new(vault.open(ports.random.clone()).await?)),
        None => None,
    };
    let from = FeedsFrom {
        config: &config,
        ports: &ports,
        store: store.clone(),
        directory: directory.clone(),
        vin_vault: vin_vault.clone(),
    };
    let feeds = Arc::new(open_feeds(from, logs.events.clone(), Arc::new(Doorbell::default())).await?);
    let read = logs.events.clone();
    let common = Common::new(&config, &ports, logs, store.clone());
    let known = (directory.clone(), feeds.clone());
    let owners = Arc::new(Owners::new(move |part| common.work(part, (&known.0, &known.1), sinks())));
    let tasks = Tasks::default();
    tasks.spawn("partitions", tend(owners.clone(), tasks.stopped()));
    let watched = monitor::Watched::Workers(owners.clone(), read);
    let monitor_addr = monitor::open(&config, &ports, &tasks, watched).await?;
    let (clock, tenant, mut stopped) = (ports.clock, config.tenant, tasks.stopped());
    tasks.spawn("registry", async move {
        loop {
            tokio::select! {
                () = stopped.wait() => return,
                () = tokio::time::sleep(REFRESH) => {}
            }
            if let Err(error) = directory.refresh(store.as_ref(), Scope { tenant, now: clock.now() }).await {
                tracing::warn!(%error, "registry not read");
            }
            if let Err(error) = feeds.refresh().await {
                tracing::warn!(%error, "feeds not read");
            }
        }
    });
    Ok(RunningRole { monitor_addr, owners, sqlite, vin_vault, tasks })
}

/// Starts a process that counts the parts of the groups which it is given.
///
/// # Errors
/// [`StartError`]; what had been started ends with it.
pub async fn start_correlators(
    config: ServerConfig,
    ports: Ports,
    logs: Logs,
) -> Result<RunningRole, StartError> {
    std::fs::create_dir_all(&config.folder).map_err(io(config.folder.display()))?;
    let sqlite = Box::pin(SqlStore::of_folder(&config.folder)).await?;
    let read = logs.sightings.clone();
    let common = Common::new(&config, &ports, logs, Arc::new(sqlite.clone()));
    let owners = Arc::new(Owners::new(move |part| common.correlate(part)));
    let tasks = Tasks::default();
    tasks.spawn("parts", tend(owners.clone(), tasks.stopped()));
    let watched = monitor::Watched::Correlators(owners.clone(), read);
    let monitor_addr = monitor::open(&config, &ports, &tasks, watched).await?;
    Ok(RunningRole { monitor_addr, owners, sqlite, vin_vault: None, tasks })
}

/// Starts what should run and does not.
async fn tend(owners: Arc<Owners>, mut stopped: crate::tasks::Stopped) {
    loop {
        let tended = owners.clone();
        // Reading a checkpoint waits for database and lake.
        if let Err(error) = tokio::task::spawn_blocking(move || tended.tend()).await {
            tracing::error!(%error, "partitions not tended");
        }
        tokio::select! {
            () = stopped.wait() => return,
            () = tokio::time::sleep(TEND_EVERY) => {}
        }
    }
}

impl RunningRole {
    /// Returns what takes partitions and gives them back.
    #[must_use]
    pub fn owner(&self) -> Arc<dyn PartitionOwner> {
        self.owners.clone()
    }

    /// Returns its partitions with their state.
    #[must_use]
    pub const fn owners(&self) -> &Arc<Owners> {
        &self.owners
    }

    /// Ends all partitions with a last checkpoint, then the rest.
    pub async fn shutdown(self) {
        self.tasks.stop(Duration::from_secs(3)).await;
        let owners = self.owners.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || owners.stop()).await {
            tracing::error!(%error, "partitions ended badly");
        }
        if let Some(vault) = &self.vin_vault {
            vault.close().await;
        }
        self.sqlite.close().await;
    }
}
