//! Imports of the vehicle registry and the roll-out of monitoring.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::MonitoringStage;

/// What is wrong with a part of a registry file. Holds nothing of any cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportProblem {
    /// First line, from 1.
    pub line: u64,
    /// Last line, if several were lost with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_line: Option<u64>,
    /// Stable code of the form `place.fact`.
    pub reason: String,
    /// What is wrong.
    pub text: String,
}

/// What became of a registry file: rows = new + changed + unchanged + the sum of refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VehicleImport {
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Bytes read.
    pub bytes: u64,
    /// Records of the file.
    pub rows: u64,
    /// Vehicles that were not registered before.
    pub new: u64,
    /// Vehicles of which something is different now.
    pub changed: u64,
    /// Vehicles that were registered just so.
    pub unchanged: u64,
    /// Records that were not used, by the first thing that is wrong with each.
    pub refused: BTreeMap<String, u64>,
    /// Everything that is wrong, in the order of the file, at most 10,000 entries.
    pub problems: Vec<ImportProblem>,
    /// Problems beyond those.
    pub problems_left_out: u64,
    /// Why the rest of the file was not read; absent if all of it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<ImportProblem>,
}

/// Change of the stage of monitoring, for vehicles or for all that a filter finds; exactly one of both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StageRequest {
    /// To what.
    pub stage: MonitoringStage,
    /// Why; goes into the audit trail.
    pub reason: String,
    /// Vehicles, at most 10,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vehicle_ids: Vec<String>,
    /// Model line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_line: Option<String>,
    /// Platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Model year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_year: Option<u16>,
    /// Region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// What became of a change of stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StageResult {
    /// Vehicles that were at another stage.
    pub changed: u64,
}
