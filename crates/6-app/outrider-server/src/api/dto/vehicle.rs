//! Vehicles, their buses, ECUs and lanes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Connectivity, GapState, Lane, Severity, Timestamp};

/// Vehicle as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VehicleSummary {
    /// Pseudonym.
    pub vehicle_id: String,
    /// Model line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_line: Option<String>,
    /// Model year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_year: Option<u32>,
    /// Platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Software release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Event time of its latest event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_event_at: Option<Timestamp>,
    /// When it was last heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen_at: Option<Timestamp>,
    /// Number of alerts that are not closed.
    pub open_alerts: u64,
    /// Worst severity among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_severity: Option<Severity>,
    /// When it was last heard of, in one word.
    pub connectivity: Connectivity,
}

super::list!(
    /// Page of vehicles.
    VehicleList,
    VehicleSummary
);

/// ECU of a vehicle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EcuHealth {
    /// Number in the vehicle model.
    pub ecu_id: u32,
    /// Name.
    pub name: String,
    /// Number of the bus it sits on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus: Option<u32>,
    /// Software version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
    /// Worst severity among its events of the last 24 hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_severity: Option<Severity>,
    /// Events of the last 24 hours.
    pub events_24h: u64,
}

/// Bus of a vehicle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BusHealth {
    /// Number in the vehicle model.
    pub bus_id: u32,
    /// Name.
    pub name: String,
    /// Kind, such as `can`.
    pub kind: String,
    /// Bit rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bitrate_kbit: Option<u32>,
    /// Events of the last 24 hours.
    pub events_24h: u64,
    /// Worst severity among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_severity: Option<Severity>,
}

/// Hole in a lane's numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gap {
    /// Boot of the gateway.
    pub epoch: u64,
    /// Lane.
    pub lane: Lane,
    /// First number missing.
    pub from_seq: u64,
    /// Last number missing.
    pub to_seq: u64,
    /// What became of it.
    pub state: GapState,
    /// When it was noticed.
    pub since: Timestamp,
}

/// How far a lane has been received.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaneState {
    /// Lane.
    pub lane: Lane,
    /// Boot of the gateway.
    pub epoch: u64,
    /// Everything up to this number is here or accounted for.
    pub contiguous_seq: u64,
    /// Highest number seen.
    pub highest_seq: u64,
    /// Events the vehicle said it dropped.
    pub dropped: u64,
}

/// What is known of the vehicle's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClockHealth {
    /// Where it takes its time from.
    pub source: String,
    /// Half the width of the interval it claims, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_us: Option<u64>,
    /// Readings of its newest boot that were not believed: never set, or ahead of the cloud.
    pub refused_fixes: u64,
}

/// One vehicle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Vehicle {
    /// The list entry.
    #[serde(flatten)]
    pub summary: VehicleSummary,
    /// Its ECUs.
    pub ecus: Vec<EcuHealth>,
    /// Its buses.
    pub buses: Vec<BusHealth>,
    /// Holes in its lanes, newest first.
    pub gaps: Vec<Gap>,
    /// How far its lanes have been received.
    pub lanes: Vec<LaneState>,
    /// Its clock.
    pub clock: ClockHealth,
    /// What its agent can do.
    pub capabilities: Vec<String>,
}
