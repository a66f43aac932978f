//! What was set aside.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Timestamp;

/// Filter and page of the quarantine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct QuarantineQuery {
    /// Reason.
    pub reason: Option<String>,
    /// Name of a feed.
    pub feed: Option<String>,
    /// Format.
    pub format: Option<String>,
    /// Only what was not taken again yet.
    pub open: Option<bool>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Items a page, at most 500.
    #[param(maximum = 500)]
    pub limit: Option<u32>,
}

/// Entries of one reason, feed and format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuarantineGroup {
    /// Word from a closed list.
    pub reason: String,
    /// Feed; absent of vehicles' own batches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<String>,
    /// Format; absent of vehicles' own batches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Entries.
    pub entries: u64,
    /// Entries that were not taken again.
    pub open: u64,
    /// Events or batches that they stand for.
    pub units: u64,
    /// Bytes that are kept.
    pub bytes: u64,
    /// When the first of them came.
    pub first_at: Timestamp,
    /// When the last of them came.
    pub last_at: Timestamp,
}

/// How much was set aside, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QuarantineSummary {
    /// Groups, those with most open entries first; at most 500.
    pub groups: Vec<QuarantineGroup>,
    /// Entries in all.
    pub entries: u64,
    /// Bytes in all.
    pub bytes: u64,
    /// Entries at most; the oldest go first.
    pub entries_max: u64,
    /// Bytes at most; the oldest go first.
    pub bytes_max: u64,
    /// When this was so.
    pub as_of: Timestamp,
}

/// Has entries taken again by the decoders of now: those named, or all of a reason, feed or format.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// Identities of entries, at most 500.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Feed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<String>,
    /// Format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

/// What is going to be taken again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayResult {
    /// Entries; those that are or were taken again already are left out, and 10,000 is the most.
    pub requested: u64,
}

/// Span of a list of types.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct UnclassifiedQuery {
    /// Days back, 1 to 366; 7 if absent.
    #[param(minimum = 1, maximum = 366)]
    pub days: Option<u32>,
}

/// Type of events that the catalogue does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnclassifiedType {
    /// Type as the source calls it.
    pub foreign_type: String,
    /// Feed.
    pub feed: String,
    /// Platform of the vehicles, where they are registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Events.
    pub events: u64,
    /// Vehicles.
    pub vehicles: u64,
    /// When the first of them came.
    pub first_at: Timestamp,
    /// When the last of them came.
    pub last_at: Timestamp,
}
