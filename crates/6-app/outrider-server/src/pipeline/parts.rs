//! What the worker is given, how fast it goes, and why it does not.

use std::sync::Arc;
use std::time::Duration;

use outrider_detect::DetectorConfig;
use outrider_model::{AppendError, EventLog, Partition, SaveError, Sink, SinkError};
use outrider_rules::RuleSet;
use outrider_types::{Clock, TenantId};
use tokio::runtime::Handle;

use super::doorbell::Doorbell;
use crate::feeds::FeedDesk;
use crate::notices::Notices;
use crate::store::{Store, StoreError};
use crate::vehicle::Directory;

/// Pace of the worker.
#[derive(Debug, Clone, Copy)]
pub struct PipelineConfig {
    /// Most records a step.
    pub records_max: usize,
    /// About how many bytes a step: large enough that a lake commit is worth its 100 ms.
    pub bytes_max: usize,
    /// Shortest time between two steps while little comes in, so that commits do not become tiny. An alert has a
    /// second to be on screen.
    pub linger: Duration,
    /// Longest wait for a ring: records that another process appends come without one.
    pub idle: Duration,
    /// Longest time between two checkpoints while something happens; what lies behind it is replayed after a crash.
    pub checkpoint_every: Duration,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            records_max: 4096,
            bytes_max: 8 << 20,
            linger: Duration::from_millis(250),
            idle: Duration::from_secs(2),
            checkpoint_every: Duration::from_secs(2),
        }
    }
}

/// What the worker needs.
pub struct PipelineParts {
    /// Where records come from.
    pub log: Arc<dyn EventLog>,
    /// The partitions to work off; all of them, unless correlators count.
    pub partitions: Vec<Partition>,
    /// Where correlators take what counts from; `None` if this process counts itself.
    pub sightings: Option<Arc<dyn EventLog>>,
    /// Where findings and checkpoints go.
    pub store: Arc<dyn Store>,
    /// Keys and registry.
    pub directory: Arc<Directory>,
    /// Feeds of foreign events.
    pub feeds: Arc<FeedDesk>,
    /// Rules.
    pub rules: Arc<RuleSet>,
    /// Limits of detection.
    pub detector: DetectorConfig,
    /// Where rows go.
    pub sink: Box<dyn Sink + Send>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Live stream.
    pub notices: Arc<dyn Notices>,
    /// Rings when the log has grown.
    pub doorbell: Arc<Doorbell>,
    /// Runs the store.
    pub runtime: Handle,
    /// Owner of the rows.
    pub tenant: TenantId,
    /// Pace.
    pub config: PipelineConfig,
}

/// How the worker's loop ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It was asked to.
    Stopped,
    /// Another worker is the owner.
    Fenced,
    /// Another worker, which may be a former owner, has stored rows that this one holds, too: it begins again at its checkpoint.
    Overtaken,
}

impl PipelineError {
    /// Returns what an error is the end of; `None` if trying again may help.
    pub(super) const fn end(&self) -> Option<End> {
        match self {
            Self::Store(StoreError::Fenced { .. }) => Some(End::Fenced),
            Self::Lake(SinkError::Moved { .. }) => Some(End::Overtaken),
            Self::Store(_)
            | Self::Lake(_)
            | Self::Log(_)
            | Self::Checkpoint(_)
            | Self::Thread(_)
            | Self::Correlators
            | Self::Unfinished => None,
        }
    }
}

/// Why the worker cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The event log failed.
    #[error("event log: {0}")]
    Log(#[from] AppendError),
    /// The case database failed.
    #[error("case database: {0}")]
    Store(#[from] StoreError),
    /// The lake failed.
    #[error("lake: {0}")]
    Lake(#[from] SinkError),
    /// A checkpoint cannot be read.
    #[error("checkpoint: {0}")]
    Checkpoint(#[from] SaveError),
    /// Correlators have taken over the state of detection; it does not come back into one process.
    #[error("this installation counts in correlators; run the roles worker and correlator here")]
    Correlators,
    /// A process with all roles has not ended in order, so that nobody knows which of its last statements stand.
    #[error("the last process with all roles has not ended in order; start it once more, and stop it")]
    Unfinished,
    /// The thread cannot be started.
    #[error("thread: {0}")]
    Thread(#[from] std::io::Error),
}
