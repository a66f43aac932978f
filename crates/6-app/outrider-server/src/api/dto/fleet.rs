//! The fleet at a glance.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{MapLayer, Severity, SeverityCounts, StatusCounts, Timestamp, WaitingKind};

/// Vehicles by when they were heard of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VehicleCounts {
    /// Registered ones.
    pub known: u64,
    /// Heard of in the last 24 hours.
    pub reporting_24h: u64,
    /// Registered, not heard of in the last 24 hours.
    pub silent: u64,
}

/// Something that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitingItem {
    /// What kind of thing.
    pub kind: WaitingKind,
    /// Its identity.
    pub id: String,
    /// One line.
    pub title: String,
    /// Since when.
    pub since: Timestamp,
    /// Case it belongs to, for requests for evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_id: Option<String>,
}

/// Events and findings of one minute of ingest time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RateBucket {
    /// Start of the minute.
    pub at: Timestamp,
    /// Events stored.
    pub events: u64,
    /// Findings made or changed.
    pub findings: u64,
}

/// Rule with its open alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleCount {
    /// Rule.
    pub rule_id: String,
    /// Its title.
    pub title: String,
    /// Open alerts.
    pub alerts: u64,
}

/// Model line with its open alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ModelCount {
    /// Model line.
    pub model_line: String,
    /// Open alerts.
    pub alerts: u64,
    /// Registered vehicles.
    pub vehicles: u64,
}

/// First page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Overview {
    /// Alerts that are not closed.
    pub open: SeverityCounts,
    /// All alerts.
    pub alerts_by_status: StatusCounts,
    /// Detection time of the oldest alert nobody has taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_unacknowledged_at: Option<Timestamp>,
    /// Time between the newest record in the event log and what the worker has finished.
    pub ingest_lag_ms: u64,
    /// Events stored a second, over the last minute.
    pub events_per_second: f64,
    /// Events in the lake.
    pub events_stored: u64,
    /// Vehicles by when they were heard of.
    pub vehicles: VehicleCounts,
    /// What waits for a person, oldest first, at most 20.
    pub waiting: Vec<WaitingItem>,
    /// Last 60 minutes.
    pub rate: Vec<RateBucket>,
    /// Rules with most open alerts, at most 8.
    pub top_rules: Vec<RuleCount>,
    /// Model lines with most open alerts, at most 8.
    pub top_models: Vec<ModelCount>,
    /// Moment of the numbers.
    pub as_of: Timestamp,
}

/// Hexagon of the map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MapCell {
    /// H3 index, hexadecimal.
    pub h3: String,
    /// Vehicles in it.
    pub vehicles: u64,
    /// Their events of the last 24 hours.
    pub events: u64,
    /// Their open alerts.
    pub alerts: u64,
    /// Worst severity among those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_severity: Option<Severity>,
}

/// Map of the fleet; cells only, never places of vehicles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FleetMap {
    /// H3 resolution, 0 to 5.
    pub resolution: u8,
    /// What the cells are coloured by.
    pub layer: MapLayer,
    /// Cells with vehicles, at most 5,000.
    pub cells: Vec<MapCell>,
    /// Moment of the numbers.
    pub as_of: Timestamp,
}

/// Region of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Region {
    /// Name.
    pub region: String,
    /// Registered vehicles.
    pub vehicles: u64,
    /// Heard of in the last 24 hours.
    pub reporting: u64,
    /// Their events of the last 24 hours.
    pub events_24h: u64,
    /// Their open alerts.
    pub open_alerts: u64,
    /// Worst severity among those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_severity: Option<Severity>,
}
