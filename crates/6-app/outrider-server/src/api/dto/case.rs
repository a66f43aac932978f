//! Investigations and the evidence they ask for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Alert, CaseStatus, Disposition, EvidenceState, Severity, TimelineKind, Timestamp, VehicleSummary,
};

/// Case as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CaseSummary {
    /// Identity.
    pub id: String,
    /// One line.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub status: CaseStatus,
    /// What it turned out to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disposition: Option<Disposition>,
    /// User who works on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// Who opened it.
    pub created_by: String,
    /// When anything in it changed last.
    pub updated_at: Timestamp,
    /// Number of its alerts.
    pub alert_count: u64,
    /// Number of vehicles behind them.
    pub vehicle_count: u64,
    /// Number of requests for evidence that have not come to their end.
    pub open_evidence: u64,
}

super::list!(
    /// Page of cases, last changed first.
    CaseList,
    CaseSummary
);

/// One entry of a case's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TimelineEntry {
    /// When.
    pub at: Timestamp,
    /// Who; `system` for what nobody did by hand.
    pub by: String,
    /// What kind of entry.
    pub kind: TimelineKind,
    /// What happened.
    pub text: String,
    /// Alert or request it speaks of.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// One investigation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Case {
    /// The list entry.
    #[serde(flatten)]
    pub summary: CaseSummary,
    /// Its alerts.
    pub alerts: Vec<Alert>,
    /// Vehicles behind them, at most 100.
    pub vehicles: Vec<VehicleSummary>,
    /// Requests for evidence, newest first.
    pub evidence: Vec<EvidenceRequest>,
    /// What happened, newest first.
    pub timeline: Vec<TimelineEntry>,
}

/// Opens a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateCaseRequest {
    /// One line, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// Alerts to begin with.
    #[serde(default)]
    pub alert_ids: Vec<String>,
}

/// Adds alerts to a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddAlertsRequest {
    /// Ids, at most 1,000.
    pub alert_ids: Vec<String>,
}

/// Writes a note into a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NoteRequest {
    /// Plain text, 1 to 4,000 characters.
    #[schema(min_length = 1, max_length = 4000)]
    pub text: String,
}

/// Closes a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseCaseRequest {
    /// What it turned out to be.
    pub disposition: Disposition,
    /// Why, 1 to 4,000 characters.
    #[schema(min_length = 1, max_length = 4000)]
    pub note: String,
}

/// Asks a vehicle for the frames around an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateEvidenceRequest {
    /// Pseudonym of the vehicle.
    pub vehicle_id: String,
    /// Event around which the capture is wanted.
    pub event_id: String,
    /// Seconds before it.
    #[schema(maximum = 60)]
    pub seconds_before: u32,
    /// Seconds after it.
    #[schema(maximum = 60)]
    pub seconds_after: u32,
}

/// One step of a request for evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceStep {
    /// When.
    pub at: Timestamp,
    /// State reached.
    pub state: EvidenceState,
    /// What happened.
    pub text: String,
}

/// One request for evidence, from the analyst's wish to the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EvidenceRequest {
    /// Identity.
    pub id: String,
    /// Case it belongs to.
    pub case_id: String,
    /// Pseudonym of the vehicle.
    pub vehicle_id: String,
    /// Event around which the capture is wanted.
    pub event_id: String,
    /// Seconds before it.
    pub seconds_before: u32,
    /// Seconds after it.
    pub seconds_after: u32,
    /// Who asked.
    pub requested_by: String,
    /// When.
    pub requested_at: Timestamp,
    /// Where it stands.
    pub state: EvidenceState,
    /// Why it was refused.
    pub reasons: Vec<String>,
    /// Permit of the safety gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit_id: Option<String>,
    /// Signed command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    /// Number of the command among those for this vehicle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// When the command lapses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// SHA-256 of the capture, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Size of the capture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Media type of the capture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// When the capture arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<Timestamp>,
    /// How it came to this state, oldest first.
    pub steps: Vec<EvidenceStep>,
}
