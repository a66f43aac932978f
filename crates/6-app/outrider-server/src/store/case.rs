//! Cases, their timelines and requests for evidence.

use async_trait::async_trait;
use outrider_respond::EvidenceEvent;
use outrider_types::VehicleId;

use super::{CommandDraft, Page, Scope, StoreResult};
use crate::api::dto::{
    CaseStatus, CaseSummary, Disposition, EvidenceRequest, EvidenceState, Severity, TimelineEntry,
};

/// Case to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCase {
    /// Identity, chosen by the caller.
    pub id: String,
    /// One line.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// Who opens it.
    pub by: String,
    /// Alerts to begin with.
    pub alert_ids: Vec<String>,
}

/// Conditions on cases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaseFilter {
    /// Any of these; empty for all.
    pub status: Vec<CaseStatus>,
    /// Words that must occur in the title.
    pub words: Vec<String>,
    /// Owner.
    pub owner: Option<String>,
}

/// Request for evidence to write down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvidenceRequest {
    /// Identity, chosen by the caller.
    pub id: String,
    /// Case it belongs to.
    pub case_id: String,
    /// Vehicle it is for.
    pub vehicle: VehicleId,
    /// Event around which the capture is wanted.
    pub event_id: String,
    /// Seconds before it.
    pub seconds_before: u32,
    /// Seconds after it.
    pub seconds_after: u32,
    /// Who asks.
    pub by: String,
}

/// How a request for evidence moves on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EvidenceChange {
    /// The gate refused.
    RefusedByGate(Vec<String>),
    /// The gate permitted and the command was signed.
    Permitted(CommandDraft),
    /// The command left with a reply.
    Sent,
    /// The vehicle took it.
    Accepted,
    /// The vehicle refused it.
    RefusedByVehicle(String),
    /// The capture is here.
    Received {
        /// SHA-256, hexadecimal.
        sha256: String,
        /// Size.
        bytes: u64,
        /// Media type.
        media_type: String,
    },
    /// Nothing came in time.
    Expired,
    /// The emergency stop was set before the vehicle answered.
    Stopped,
}

impl EvidenceChange {
    /// Returns what happened, in the words of the state machine.
    #[must_use]
    pub const fn event(&self) -> EvidenceEvent {
        match self {
            Self::RefusedByGate(_) => EvidenceEvent::GateRefused,
            Self::Permitted(_) => EvidenceEvent::GatePermitted,
            Self::Sent => EvidenceEvent::CommandSent,
            Self::Accepted => EvidenceEvent::VehicleAccepted,
            Self::RefusedByVehicle(_) => EvidenceEvent::VehicleRefused,
            Self::Received { .. } => EvidenceEvent::CaptureReceived,
            Self::Expired | Self::Stopped => EvidenceEvent::TimeOver,
        }
    }

    /// Returns the state reached and a sentence for the timeline.
    #[must_use]
    pub fn describe(&self) -> (EvidenceState, String) {
        match self {
            Self::RefusedByGate(reasons) => {
                (EvidenceState::RefusedByGate, format!("The safety gate refused: {}.", reasons.join(", ")))
            }
            Self::Permitted(draft) => (
                EvidenceState::Permitted,
                format!(
                    "The safety gate permitted it; command {} was signed as number {}.",
                    draft.command_id, draft.sequence
                ),
            ),
            Self::Sent => (EvidenceState::Sent, "The command left with a reply to the vehicle.".to_owned()),
            Self::Accepted => (EvidenceState::Accepted, "The vehicle accepted the command.".to_owned()),
            Self::RefusedByVehicle(reason) => {
                (EvidenceState::RefusedByVehicle, format!("The vehicle refused the command: {reason}."))
            }
            Self::Received { sha256, bytes, .. } => {
                (EvidenceState::Received, format!("The vehicle sent {bytes} bytes with SHA-256 {sha256}."))
            }
            Self::Expired => (EvidenceState::Expired, "The command expired without evidence.".to_owned()),
            Self::Stopped => (EvidenceState::Expired, "The emergency stop voided the command.".to_owned()),
        }
    }
}

/// Investigations.
#[async_trait]
pub trait CaseStore: Send + Sync {
    /// Opens a case with its first alerts.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`] for an alert that does not exist; nothing was written.
    async fn create_case(&self, scope: Scope, case: &NewCase) -> StoreResult<()>;

    /// Returns a page of cases, last changed first.
    ///
    /// # Errors
    /// [`super::StoreError::Invalid`] for a cursor that is none.
    async fn cases(
        &self,
        scope: Scope,
        filter: &CaseFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> StoreResult<Page<CaseSummary>>;

    /// Returns one case without its lists.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`].
    async fn case(&self, scope: Scope, id: &str) -> StoreResult<CaseSummary>;

    /// Returns the timeline of a case, newest first.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn case_timeline(&self, scope: Scope, id: &str) -> StoreResult<Vec<TimelineEntry>>;

    /// Adds alerts to a case that is not closed.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`], [`super::StoreError::Conflict`]; nothing was written.
    async fn add_alerts(&self, scope: Scope, id: &str, actor: &str, alert_ids: &[String]) -> StoreResult<()>;

    /// Writes a note into a case; the writer of the first one owns the case and begins the investigation.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`].
    async fn add_note(&self, scope: Scope, id: &str, actor: &str, text: &str) -> StoreResult<()>;

    /// Closes a case.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`], [`super::StoreError::Conflict`] if it is closed.
    async fn close_case(
        &self,
        scope: Scope,
        id: &str,
        actor: &str,
        disposition: Disposition,
        note: &str,
    ) -> StoreResult<()>;

    /// Writes a request for evidence down together with the gate's verdict on it.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`], [`super::StoreError::Conflict`] if the case is closed.
    async fn create_evidence_request(
        &self,
        scope: Scope,
        request: &NewEvidenceRequest,
        verdict: &EvidenceChange,
    ) -> StoreResult<EvidenceRequest>;

    /// Moves a request for evidence on; a change that its state does not allow is a conflict.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`], [`super::StoreError::Conflict`].
    async fn change_evidence(
        &self,
        scope: Scope,
        id: &str,
        change: &EvidenceChange,
    ) -> StoreResult<EvidenceRequest>;

    /// Returns one request for evidence.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`].
    async fn evidence(&self, scope: Scope, id: &str) -> StoreResult<EvidenceRequest>;

    /// Returns the request that a command belongs to.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`].
    async fn evidence_of_command(&self, scope: Scope, command_id: &str) -> StoreResult<EvidenceRequest>;

    /// Returns the requests for evidence of a case, newest first.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn case_evidence(&self, scope: Scope, case_id: &str) -> StoreResult<Vec<EvidenceRequest>>;

    /// Returns the requests whose command has expired without evidence and that are not marked so yet.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn lapsed_evidence(&self, scope: Scope, limit: u32) -> StoreResult<Vec<String>>;
}
