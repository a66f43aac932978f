//! What the API says and hears: owned by this crate, versioned with `/api/v1`, free of domain types.
//!
//! Optional fields are left out when empty. Words are `snake_case` strings; times are RFC 3339 in UTC with
//! microseconds; ids are strings.

mod alert;
mod case;
mod completeness;
mod decoder;
mod event;
mod feed;
mod fleet;
mod identity;
mod platform;
mod quarantine;
mod query;
mod reveal;
mod stop;
mod time;
mod update;
mod vehicle;
mod vehicle_identity;
mod vehicle_registry;
mod words;

pub use alert::{
    Alert, AlertActionRequest, AlertActionResult, AlertDetail, AlertFinding, AlertList, AlertQuery, AlertRef,
    AlertSelection, Explanation, HistoryEntry, MatchedCondition, RefusedAction, SeverityCounts, StatusCounts,
    VehicleFinding, WindowExplanation,
};
pub use case::{
    AddAlertsRequest, Case, CaseList, CaseSummary, CloseCaseRequest, CreateCaseRequest,
    CreateEvidenceRequest, EvidenceRequest, EvidenceStep, NoteRequest, TimelineEntry,
};
pub use completeness::{
    AnchorState, BootState, Completeness, ContactClass, GapOutcome, IngestHealth, LagHealth, LaneAccount,
    LaneHealth, LaneTombstone, LostKind, VehicleGaps,
};
pub use decoder::Decoder;
pub use event::{Event, EventList, FieldValue, Scalar};
pub use feed::{CreateFeedRequest, CreatedFeed, Feed, FeedReceipt, FeedStateRequest};
pub use fleet::{
    FleetMap, MapCell, ModelCount, Overview, RateBucket, Region, RuleCount, VehicleCounts, WaitingItem,
};
pub use identity::{
    CreateUserRequest, LoginRequest, PasswordChangeRequest, Session, SessionUser, UpdateUserRequest, User,
    UserList,
};
pub use platform::{
    Catalogue, CatalogueEventType, CatalogueField, DatabaseHealth, DetectHealth, GapHealth, Health,
    LakeHealth, LogHealth, PartitionHealth, QuarantineItem, QuarantineList, Rule, SqlColumn, SqlRequest,
    SqlResult, StageBalance,
};
pub use quarantine::{
    QuarantineGroup, QuarantineQuery, QuarantineSummary, ReplayRequest, ReplayResult, UnclassifiedQuery,
    UnclassifiedType,
};
pub use query::{CaseQuery, ImportQuery, MapQuery, PageQuery, StreamQuery, TimelineQuery, VehicleQuery};
pub use reveal::{RevealReason, RevealRequest, RevealedVin, ShreddedVehicle};
pub use stop::{EmergencyStop, StopRelease, StopRequest};
pub use time::Timestamp;
pub use update::{
    Artifact, ArtifactKey, ArtifactList, ConfigSetback, ConfigVersion, ProposeRolloutRequest, Rollout,
    RolloutDecision, RolloutList, RolloutSummary, UpdateOrder, UpdateStateCount, UpdateStep,
    VehicleConfiguration,
};
pub use vehicle::{
    BusHealth, ClockHealth, EcuHealth, Gap, LaneState, SensorState, UnregisteredVehicle, Vehicle,
    VehicleList, VehicleSummary,
};
pub use vehicle_identity::{
    IdentityLogEntry, VehicleBatchKey, VehicleCertificate, VehicleIdentity, VehicleStateRequest,
};
pub use vehicle_registry::{ImportProblem, StageRequest, StageResult, VehicleImport};
pub use words::{
    AccountState, AlertActionKind, AlertStatus, ArtifactKind, CaseStatus, Connectivity, Disposition,
    EvidenceState, GapState, Lane, MapLayer, MonitoringStage, Registration, RevealState, Role, RuleKind,
    Severity, TimelineKind, UpdateState, VehicleState, WaitingKind,
};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a request was refused; the body of every answer from 400 upwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApiError {
    /// Word from a closed list, for programs.
    pub code: String,
    /// Sentence for people; names the place and the reason, never internals.
    pub message: String,
    /// What exactly was wrong, one entry a problem.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// Derives a page of items with its cursor, total and moment.
macro_rules! list {
    ($(#[$doc:meta])* $name:ident, $item:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        pub struct $name {
            /// The items of this page, in the order asked for.
            pub items: Vec<$item>,
            /// Cursor of the next page; absent on the last one.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub next_cursor: Option<String>,
            /// Number of items on all pages.
            pub total: u64,
            /// Moment the list was read.
            pub as_of: crate::api::dto::Timestamp,
        }
    };
}
pub(crate) use list;
