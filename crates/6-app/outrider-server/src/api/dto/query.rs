//! Query strings of the lists.

use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::{Connectivity, MapLayer, MonitoringStage, Registration, Timestamp};

/// Page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Items a page, at most 500.
    #[param(maximum = 500)]
    pub limit: Option<u32>,
}

/// Filter and page of the cases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct CaseQuery {
    /// Words of `CaseStatus`, separated by commas.
    pub status: Option<String>,
    /// Words that must occur in the title.
    pub q: Option<String>,
    /// Owner.
    pub owner: Option<String>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Items a page, at most 500.
    #[param(maximum = 500)]
    pub limit: Option<u32>,
}

/// Filter, order and page of the vehicles.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct VehicleQuery {
    /// Beginning of a vehicle id.
    pub q: Option<String>,
    /// Model line.
    pub model_line: Option<String>,
    /// Platform.
    pub platform: Option<String>,
    /// Software release.
    pub release: Option<String>,
    /// Model year.
    pub model_year: Option<u16>,
    /// Region.
    pub region: Option<String>,
    /// Stage of monitoring.
    pub stage: Option<MonitoringStage>,
    /// Where it stands in its life.
    pub registration: Option<Registration>,
    /// When it was last heard of.
    pub status: Option<Connectivity>,
    /// `vehicle_id`, `last_seen_at`, `open_alerts` or `worst_severity`; `-` before it for descending.
    pub sort: Option<String>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Items a page, at most 500.
    #[param(maximum = 500)]
    pub limit: Option<u32>,
}

/// How a registry file is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ImportQuery {
    /// `csv`, `ndjson` or `json`; found out if not given.
    pub format: Option<String>,
    /// Whether nothing is written and the answer says what would be.
    pub dry_run: Option<bool>,
    /// Whether columns that the registry does not know are passed over; else they are an error.
    pub ignore_unknown: Option<bool>,
}

/// Span and page of a vehicle's events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct TimelineQuery {
    /// Earliest event time.
    pub from: Option<Timestamp>,
    /// Latest event time, exclusive.
    pub to: Option<Timestamp>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Items a page, at most 500.
    #[param(maximum = 500)]
    pub limit: Option<u32>,
}

/// Look of the map.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct MapQuery {
    /// H3 resolution, 0 to 5; 2 if not given.
    #[param(maximum = 5)]
    pub resolution: Option<u8>,
    /// What the cells are coloured by; alerts if not given.
    pub layer: Option<MapLayer>,
}

/// Where to resume the stream, for clients that cannot set `Last-Event-ID`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct StreamQuery {
    /// Id of the last event seen.
    pub last_event_id: Option<u64>,
}
