//! The emergency stop.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Timestamp;

/// Switch that keeps every command away from every vehicle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EmergencyStop {
    /// Whether it is set.
    pub is_set: bool,
    /// Who set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_by: Option<String>,
    /// When it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set_at: Option<Timestamp>,
    /// Why it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// First half of a release; a second person must confirm it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<StopRelease>,
}

/// Release that one person has proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StopRelease {
    /// Who proposed it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why it is safe.
    pub reason: String,
}

/// Reason for setting or releasing the stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopRequest {
    /// One or two sentences, at most 500 characters.
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
}
