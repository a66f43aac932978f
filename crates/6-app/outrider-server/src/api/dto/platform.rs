//! Health, quarantine, rules, catalogue and hunting.

use std::collections::BTreeMap;

use outrider_model::Balance;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Lane, RuleKind, Severity, Timestamp};
use crate::pipeline::PartitionBacklog;
use crate::vehicle::VehicleLinkStatus;

/// What one stage received and what became of it: received = passed + dropped + quarantined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StageBalance {
    /// Stage.
    pub stage: String,
    /// What is counted: `frames`, `captures`, `batches`, `events` or `matches`.
    pub unit: String,
    /// Received since the start of the program.
    pub received: u64,
    /// Handed on.
    pub passed: u64,
    /// Dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Put aside, by reason.
    pub quarantined: BTreeMap<String, u64>,
    /// Whether the sum holds.
    pub balanced: bool,
}

impl StageBalance {
    /// Says the counters of a stage in the words of the API.
    #[must_use]
    pub(crate) fn of(stage: &str, unit: &str, balance: &Balance) -> Self {
        let owned = |counts: &BTreeMap<&'static str, u64>| {
            counts.iter().map(|(reason, units)| ((*reason).to_owned(), *units)).collect()
        };
        Self {
            stage: stage.to_owned(),
            unit: unit.to_owned(),
            received: balance.received(),
            passed: balance.passed(),
            dropped: owned(balance.dropped()),
            quarantined: owned(balance.quarantined()),
            balanced: balance.difference() == 0,
        }
    }
}

/// Event log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogHealth {
    /// Offset after the newest record, summed over the partitions.
    pub head_offset: u64,
    /// Offset after the newest record the worker has finished, summed.
    pub worker_offset: u64,
    /// Records between them, summed.
    pub lag_records: u64,
    /// Size on disk.
    pub bytes: u64,
    /// Each partition, in order.
    pub partitions: Vec<PartitionHealth>,
}

/// Partition of the event log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PartitionHealth {
    /// Number of the partition.
    pub partition: u32,
    /// Offset after its newest record; absent if the log does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_offset: Option<u64>,
    /// Offset after the newest record the worker has finished.
    pub worker_offset: u64,
    /// Records between them; absent if the log does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_records: Option<u64>,
    /// When the newest record the worker has finished was accepted; absent before the first since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingested_at: Option<Timestamp>,
}

impl PartitionHealth {
    /// Says it in the words of the API.
    #[must_use]
    pub(crate) fn of(part: &PartitionBacklog) -> Self {
        Self {
            partition: u32::from(part.partition.0),
            head_offset: part.head.map(|head| head.0),
            worker_offset: part.next.0,
            lag_records: part.lag(),
            ingested_at: part.ingested_at.map(Timestamp),
        }
    }
}

/// Lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LakeHealth {
    /// Version of the table.
    pub version: i64,
    /// Rows in it.
    pub rows: u64,
    /// Files in it.
    pub files: u64,
    /// Their size.
    pub bytes: u64,
    /// When the last version was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_commit_at: Option<Timestamp>,
}

/// Detection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DetectHealth {
    /// Entries of state held.
    pub state_entries: u64,
    /// Findings late events raised or changed.
    pub late_findings: u64,
    /// Rules that hit a bound of state: matches not counted, by rule id. Findings may be missing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub degraded: BTreeMap<String, u64>,
    /// Rules that are loaded and not evaluated, with the reason, by rule id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_evaluated: BTreeMap<String, String>,
}

/// Holes in the lanes of all vehicles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GapHealth {
    /// Missing, still in time.
    pub open: u64,
    /// Missing for too long.
    pub overdue: u64,
    /// The vehicle said, signed, that it dropped them.
    pub tombstoned: u64,
}

/// Case database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DatabaseHealth {
    /// Size on disk.
    pub bytes: u64,
}

/// State of the installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Stages in the order of the data.
    pub stages: Vec<StageBalance>,
    /// Event log.
    pub log: LogHealth,
    /// Lake.
    pub lake: LakeHealth,
    /// Detection.
    pub detect: DetectHealth,
    /// Holes in the lanes.
    pub gaps: GapHealth,
    /// Connections of vehicles.
    #[serde(default)]
    pub links: VehicleLinkStatus,
    /// Case database.
    pub database: DatabaseHealth,
    /// What the worker is waiting to get over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Seconds since the start of the program.
    pub uptime_s: u64,
    /// Version of the program.
    pub version: String,
    /// Moment of the numbers.
    pub as_of: Timestamp,
}

/// Input that could not be used and was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuarantineItem {
    /// Identity.
    pub id: String,
    /// When it came.
    pub at: Timestamp,
    /// Vehicle it came from, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vehicle_id: Option<String>,
    /// Word from a closed list.
    pub reason: String,
    /// Where in the input the trouble is.
    pub place: String,
    /// Size of the input.
    pub bytes: u64,
    /// Its first bytes, hexadecimal; empty of a feed's, since they may name a vehicle.
    pub excerpt_hex: String,
    /// Events or batches that it stands for.
    pub units: u64,
    /// Feed that brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<String>,
    /// Format of the bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Decoder that refused it; empty if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<String>,
    /// When somebody had it taken again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<Timestamp>,
    /// When it was taken again; its bytes are gone then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed_at: Option<Timestamp>,
    /// Events that were taken then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<u64>,
    /// Units that were set aside again then, as entries of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<u64>,
}

super::list!(
    /// Page of the quarantine, newest first.
    QuarantineList,
    QuarantineItem
);

/// Detection rule with what it has done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rule {
    /// Identity.
    pub id: String,
    /// Title.
    pub title: String,
    /// How bad it is.
    pub level: Severity,
    /// Status word of the rule file, such as `stable`.
    pub status: String,
    /// What it looks for.
    pub description: String,
    /// Tags, such as `unr155.4.3.3`.
    pub tags: Vec<String>,
    /// How it decides.
    pub kind: RuleKind,
    /// The rule as written.
    pub yaml: String,
    /// File it came from.
    pub file: String,
    /// Findings made.
    pub findings: u64,
    /// Alerts they belong to.
    pub alerts: u64,
    /// Closed alerts by disposition.
    pub dispositions: BTreeMap<String, u64>,
    /// Entries of state held.
    pub state_entries: u64,
    /// What is wrong with the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// Event type of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogueEventType {
    /// Number on the wire.
    pub id: u32,
    /// Name, such as `diag.security_access_denied`.
    pub name: String,
    /// Title.
    pub title: String,
    /// Default severity.
    pub severity: Severity,
    /// Default lane.
    pub lane: Lane,
    /// Names of its fields.
    pub fields: Vec<String>,
    /// UN R155 Annex 5 ids.
    pub unr155: Vec<String>,
}

/// Field of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogueField {
    /// Name.
    pub name: String,
    /// Type word.
    #[serde(rename = "type")]
    pub kind: String,
    /// Unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Title.
    pub title: String,
}

/// Event types and fields this version knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Catalogue {
    /// Event types by number.
    pub event_types: Vec<CatalogueEventType>,
    /// Fields by name.
    pub fields: Vec<CatalogueField>,
}

/// One reading query over the lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlRequest {
    /// SQL, at most 20,000 characters.
    #[schema(min_length = 1, max_length = 20000)]
    pub query: String,
    /// Rows wanted, at most 10,000; 1,000 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 10000)]
    pub limit: Option<u32>,
}

/// Column of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SqlColumn {
    /// Name.
    pub name: String,
    /// Type word.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Answer to a query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SqlResult {
    /// Columns.
    pub columns: Vec<SqlColumn>,
    /// Rows; null where there is no value.
    #[schema(value_type = Vec<Vec<Option<super::Scalar>>>)]
    pub rows: Vec<Vec<serde_json::Value>>,
    /// Whether there were more rows than wanted.
    pub truncated: bool,
    /// Time taken.
    pub elapsed_ms: u64,
}
