//! The analyst's queue.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{AlertActionKind, AlertStatus, Disposition, Event, Severity, Timestamp};

/// Findings of one rule and group, as one entry of the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// Identity, the same after every replay.
    pub id: String,
    /// Rule that found it.
    pub rule_id: String,
    /// Title of that rule.
    pub rule_title: String,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub status: AlertStatus,
    /// What it turned out to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition: Option<Disposition>,
    /// One line for the queue.
    pub title: String,
    /// Values the rule groups by.
    pub group: BTreeMap<String, String>,
    /// Model line of the vehicles, if they have one in common.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_line: Option<String>,
    /// Number of vehicles seen.
    pub vehicle_count: u64,
    /// Number of events seen.
    pub event_count: u64,
    /// Number of findings.
    pub finding_count: u64,
    /// Event time of the earliest finding.
    pub first_at: Timestamp,
    /// Event time of the latest finding.
    pub last_at: Timestamp,
    /// When the cloud found it first.
    pub detected_at: Timestamp,
    /// Grows each time the findings change.
    pub revision: u64,
    /// Whether late events raised or changed it.
    pub late: bool,
    /// User who owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Case it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_id: Option<String>,
    /// Tags of the rule, such as `unr155.4.3.3`.
    pub tags: Vec<String>,
}

/// Number of alerts by severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SeverityCounts {
    /// Critical ones.
    pub critical: u64,
    /// High ones.
    pub high: u64,
    /// Medium ones.
    pub medium: u64,
    /// Low ones.
    pub low: u64,
    /// Informational ones.
    pub info: u64,
}

/// Number of alerts by status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusCounts {
    /// Nobody has taken them.
    pub new: u64,
    /// Somebody owns them.
    pub acknowledged: u64,
    /// Judged.
    pub closed: u64,
}

/// Page of the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertList {
    /// The alerts of this page, in the order asked for.
    pub items: Vec<Alert>,
    /// Cursor of the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Number of alerts on all pages.
    pub total: u64,
    /// Moment the list was read.
    pub as_of: Timestamp,
    /// The same filter without `severity`, by severity.
    pub counts: SeverityCounts,
}

/// Filter, order and page of the queue; lists are separated by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct AlertQuery {
    /// Words of `AlertStatus`, separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Words of `Severity`, separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// Rule id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Model line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_line: Option<String>,
    /// Vehicle id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vehicle: Option<String>,
    /// Case id; `none` for alerts without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// Owner; `none` for alerts without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Words that must occur in title, rule or group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub q: Option<String>,
    /// Earliest event time of the latest finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Latest event time of the latest finding, exclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
    /// `last_at`, `first_at`, `severity`, `vehicle_count` or `event_count`; `-` before it for descending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sort: Option<String>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Items a page, at most 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(maximum = 500)]
    #[schema(maximum = 500)]
    pub limit: Option<u32>,
}

/// Short form of another alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertRef {
    /// Identity.
    pub id: String,
    /// One line for the queue.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub status: AlertStatus,
    /// What it turned out to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition: Option<Disposition>,
    /// Event time of the latest finding.
    pub last_at: Timestamp,
}

/// One condition of the rule beside what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MatchedCondition {
    /// Field of the event.
    pub field: String,
    /// How it was compared.
    pub op: String,
    /// What the rule expects.
    pub expected: String,
    /// What the event had.
    pub observed: String,
}

/// Window of a counting rule beside what was counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WindowExplanation {
    /// Start of the window in event time.
    pub from: Timestamp,
    /// End of the window in event time, inclusive.
    pub to: Timestamp,
    /// Number the rule asks for.
    pub threshold: u64,
    /// Number that was seen.
    pub observed: u64,
    /// Field whose different values were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// How both were compared: `gte`, `gt`, `lte`, `lt` or `eq`.
    pub operator: String,
}

/// Why the rule fired.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// One sentence with the numbers in it.
    pub summary: String,
    /// The rule as written.
    pub rule_yaml: String,
    /// The condition of the rule.
    pub condition: String,
    /// Conditions beside what was seen in the first evidence event.
    pub matched: Vec<MatchedCondition>,
    /// Window, for counting rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowExplanation>,
    /// What would have had to be different for the rule not to fire.
    pub below_threshold: String,
}

/// Statement of the detector behind an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertFinding {
    /// Identity.
    pub id: String,
    /// Start of its window in event time.
    pub window_from: Timestamp,
    /// End of its window in event time, inclusive.
    pub window_to: Timestamp,
    /// Grows each time its evidence changes.
    pub revision: u64,
    /// Whether late events raised or changed it.
    pub late: bool,
    /// Number the rule counted.
    pub value: u64,
    /// Number of vehicles seen.
    pub vehicle_count: u64,
}

/// Vehicle behind an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VehicleFinding {
    /// Pseudonym of the vehicle.
    pub vehicle_id: String,
    /// Its model line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_line: Option<String>,
    /// Its region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Its software release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Number of its events among the evidence.
    pub events: u64,
}

/// One act on an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryEntry {
    /// When.
    pub at: Timestamp,
    /// Who; `system` for the detector.
    pub by: String,
    /// What.
    pub action: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One alert with everything needed to judge it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertDetail {
    /// The queue entry.
    #[serde(flatten)]
    pub alert: Alert,
    /// Why the rule fired.
    pub explanation: Explanation,
    /// The findings behind it, newest first.
    pub findings: Vec<AlertFinding>,
    /// Vehicles seen, at most 100.
    pub vehicles: Vec<VehicleFinding>,
    /// Evidence, at most 50 events.
    pub evidence_events: Vec<Event>,
    /// What people did with it, newest first.
    pub history: Vec<HistoryEntry>,
    /// Other alerts of the same rule.
    pub similar: Vec<AlertRef>,
}

/// Alerts meant: some ids, or a query with exceptions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertSelection {
    /// Ids; at most 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<Vec<String>>,
    /// Filter of the queue; order and page are ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<AlertQuery>,
    /// Ids the query must not touch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub except: Option<Vec<String>>,
    /// `as_of` of the list seen; alerts detected later are not touched by `query`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
}

/// One act on a selection of alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertActionRequest {
    /// What to do.
    pub action: AlertActionKind,
    /// With which alerts.
    pub selection: AlertSelection,
    /// Needed to close.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition: Option<Disposition>,
    /// Why; at most 4,000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 4000)]
    pub note: Option<String>,
    /// Needed to add to a case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case_id: Option<String>,
    /// Needed to assign.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// Alert that was left as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RefusedAction {
    /// Which alert.
    pub id: String,
    /// Word from a closed list: `not_found`, `wrong_status`, `case_closed`.
    pub code: String,
    /// Why.
    pub message: String,
}

/// What the act changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertActionResult {
    /// Number of alerts changed.
    pub changed: u64,
    /// Their ids, at most 10,000.
    pub changed_ids: Vec<String>,
    /// Alerts left as they were, at most 1,000.
    pub refused: Vec<RefusedAction>,
}
