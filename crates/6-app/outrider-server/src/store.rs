//! Case database behind traits: SQLite, or PostgreSQL where several nodes serve, with one conformance suite for both.
//!
//! Every call is one transaction. Findings are written idempotently, so that a replayed part of the event log
//! changes nothing, and never touch what an analyst decided.

mod alert;
mod case;
mod command;
mod correlation;
mod enrolment;
mod feed;
mod fleet;
mod identity;
mod progress;
mod quarantine;
mod registry;
mod reveal;
mod sql;
mod stop;
mod update;

use std::collections::BTreeMap;

use outrider_types::{TenantId, UnixMicros};

pub use alert::{
    AlertChange, AlertFilter, AlertOrder, AlertStore, FindingInput, FindingOwner, Page, RuleCard,
    StoredFinding,
};
pub use case::{CaseFilter, CaseStore, EvidenceChange, NewCase, NewEvidenceRequest};
pub use command::{CommandDraft, CommandLoad, CommandStore, LeavingCommands, Voided};
pub use correlation::{CorrelationStore, PartProgress, SavedPart, Watermarks};
pub use enrolment::{
    EnrolmentPermit, EnrolmentStore, IdentityChanges, IdentityNote, PermitKind, RevokedCertificate,
    SecretHash, StoredBatchKey, Transfer,
};
pub use feed::{FEEDS_MAX, FeedSecretHash, FeedSetup, FeedStore, StoredFeed};
pub use fleet::{
    Activity, BatchKey, CellCount, FleetStore, OverviewCounts, RegistryMark, VehicleEntry, VehicleFilter,
    VehicleOrder,
};
pub use identity::{Account, AccountChange, AuditEntry, IdentityStore, StoredSession};
pub use progress::{Progress, ProgressStore, QuarantineEntry, SavedProgress};
pub use quarantine::{QuarantineFilter, QuarantineStore, REPLAYS_MAX, RequestedReplay};
pub use registry::{MERGE_MAX, Merged, RegistryStore, Selection, StageChange};
pub use reveal::{NewReveal, REVEALS_OPEN_MAX, RevealStore};
pub use sql::{PostgresUrl, SqlStore};
pub use stop::StopStore;
pub use update::{
    ARTIFACT_KEYS_MAX, ARTIFACTS_MAX, Decision, NewRollout, OrderChange, StoredArtifactKey, UpdateStore,
};

/// All of the case database.
pub trait Store:
    AlertStore
    + CaseStore
    + CommandStore
    + CorrelationStore
    + EnrolmentStore
    + FeedStore
    + FleetStore
    + IdentityStore
    + ProgressStore
    + QuarantineStore
    + RegistryStore
    + RevealStore
    + StopStore
    + UpdateStore
{
}

impl<T> Store for T where
    T: AlertStore
        + CaseStore
        + CommandStore
        + CorrelationStore
        + EnrolmentStore
        + FeedStore
        + FleetStore
        + IdentityStore
        + ProgressStore
        + QuarantineStore
        + RegistryStore
        + RevealStore
        + StopStore
        + UpdateStore
{
}

/// Why the case database did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such row.
    #[error("{what} {id} does not exist")]
    NotFound {
        /// Kind of row.
        what: &'static str,
        /// Its identity.
        id: String,
    },
    /// The row is not in a state that allows it.
    #[error("{0}")]
    Conflict(String),
    /// The writer owns the partition no more: what it writes is refused.
    #[error("partition {partition} belongs to the worker of epoch {owner}; this one has epoch {ours}")]
    Fenced {
        /// Number of the partition.
        partition: u16,
        /// Epoch of the owner.
        owner: u64,
        /// Epoch of the writer.
        ours: u64,
    },
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The database failed.
    #[error("case database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// A stored value cannot be read.
    #[error("stored {what} is damaged: {value}")]
    Damaged {
        /// Column.
        what: &'static str,
        /// What it holds.
        value: String,
    },
}

impl StoreError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "not_found",
            Self::Conflict(_) => "conflict",
            Self::Fenced { .. } => "fenced",
            Self::Invalid(_) => "invalid",
            Self::Database(_) | Self::Damaged { .. } => "internal",
        }
    }
}

/// Result of the case database.
pub type StoreResult<T> = Result<T, StoreError>;

/// Who owns the rows, and when it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Owner of every row read and written.
    pub tenant: TenantId,
    /// Wall time of the call.
    pub now: UnixMicros,
}

/// Counts by word.
pub type Counts = BTreeMap<String, u64>;
