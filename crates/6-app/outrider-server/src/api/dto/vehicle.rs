//! Vehicles, their buses, ECUs and lanes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Connectivity, GapState, Lane, MonitoringStage, Registration, Severity, Timestamp};

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
    /// Hardware level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<String>,
    /// Whether somebody registered it; of one that nobody did only what it sent is known.
    pub registered: bool,
    /// Where it stands in its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration: Option<Registration>,
    /// Whether and how it is monitored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<MonitoringStage>,
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

impl VehicleSummary {
    /// Returns what is known of a vehicle of which nothing is known.
    #[must_use]
    pub fn unregistered(vehicle: outrider_types::VehicleId) -> Self {
        Self {
            vehicle_id: vehicle.to_string(),
            model_line: None,
            model_year: None,
            platform: None,
            region: None,
            release: None,
            hardware: None,
            registered: false,
            registration: None,
            stage: None,
            last_event_at: None,
            last_seen_at: None,
            open_alerts: 0,
            worst_severity: None,
            connectivity: Connectivity::Never,
        }
    }
}

/// Vehicle that nobody registered, and that came with a certificate of a trusted CA all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnregisteredVehicle {
    /// Pseudonym.
    pub vehicle_id: String,
    /// Sessions that were refused.
    pub refusals: u64,
    /// When it came first.
    pub first_at: Timestamp,
    /// When it came last.
    pub last_at: Timestamp,
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
    /// Who supplied it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supplier: Option<String>,
    /// Software release.
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
    /// Why it was declared lost; a word from a closed list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
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

/// What a sensor of the vehicle last said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SensorState {
    /// Sensor, such as `can`.
    pub sensor: String,
    /// Bus that it watches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus_id: Option<u32>,
    /// What it judges by, such as `model`, `warm_up` or `learned`.
    pub mode: String,
    /// Frames or packets seen in the span.
    pub frames: u64,
    /// Alarms of at least medium severity in the span.
    pub alarms: u64,
    /// Alarms an hour that it may raise on its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm_budget_per_hour: Option<u64>,
    /// Operating mode of its bus: `sleep`, `start-up`, `awake`, `standing`, `driving`, `charging`, `workshop` or
    /// `flashing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operating_mode: Option<String>,
    /// Repeated alarms that it may still raise at once; only of one that has an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_left: Option<u64>,
    /// Alarms in the span that were said as low because the detector was over its budget or demoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<u64>,
    /// Observations in the span that the operating mode lowered or left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gated: Option<u64>,
    /// Whether the detector is demoted because its alarms were open for too much of the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demoted: Option<bool>,
    /// Observations lost in the span because a table was full.
    pub dropped: u64,
    /// Length of the span, in seconds.
    pub span_s: u64,
    /// End of the span.
    pub as_of: Timestamp,
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
    /// What it is equipped with, ascending.
    pub features: Vec<String>,
    /// What its agent can do.
    pub capabilities: Vec<String>,
    /// What its sensors last said of themselves in the last 30 days, by bus and name.
    pub sensors: Vec<SensorState>,
}
