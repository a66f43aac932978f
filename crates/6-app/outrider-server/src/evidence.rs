//! Requests for evidence: from an analyst's wish over gate, permit and signed command to the bytes.

use std::sync::Arc;

use outrider_model::VehicleRegistry as _;
use outrider_respond::{
    Action, Command, CommandSequence, EvidenceWindow, GateContext, Intent, IntentId, Permit, PermitId,
    SafetyGate,
};
use outrider_types::{Clock, EventId, TenantId, VehicleId};
use tokio::sync::Mutex;

use crate::api::dto::{CreateEvidenceRequest, EmergencyStop, EvidenceRequest, Role, User};
use crate::notices::Notices;
use crate::port::{EventHistory, HistoryError, Random, draw};
use crate::store::{CommandDraft, EvidenceChange, NewEvidenceRequest, Scope, Store, StoreError};
use crate::vehicle::{Directory, Keys};

/// Why a request for evidence failed.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The case database said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lake did not answer.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The command could not be made or signed.
    #[error("command could not be made: {0}")]
    Sign(String),
}

/// What the desk is made of.
pub struct EvidenceParts {
    /// Case database.
    pub store: Arc<dyn Store>,
    /// Stored events.
    pub history: Arc<dyn EventHistory>,
    /// Registered vehicles.
    pub directory: Arc<Directory>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Unpredictable bytes.
    pub random: Arc<dyn Random>,
    /// Open streams.
    pub notices: Arc<dyn Notices>,
    /// Signing keys.
    pub keys: Arc<Keys>,
    /// Judge.
    pub gate: SafetyGate,
    /// Owner.
    pub tenant: TenantId,
    /// Held while an intent is judged, by every desk: two commands must not both see room below a limit.
    pub judging: Arc<Mutex<()>>,
}

/// Keeper of requests for evidence.
pub struct EvidenceDesk {
    parts: EvidenceParts,
}

impl EvidenceDesk {
    /// Creates the desk.
    #[must_use]
    pub fn new(parts: EvidenceParts) -> Self {
        Self { parts }
    }

    fn scope(&self) -> Scope {
        Scope { tenant: self.parts.tenant, now: self.parts.clock.now() }
    }

    /// Writes a request down, has it judged, and signs its command if the gate permits.
    ///
    /// # Errors
    /// [`EvidenceError`]; a refusal of the gate is no error but a state of the request.
    pub async fn request(
        &self,
        by: &User,
        case_id: &str,
        request: &CreateEvidenceRequest,
    ) -> Result<EvidenceRequest, EvidenceError> {
        let invalid = |message: &str| EvidenceError::Invalid(message.to_owned());
        let vehicle: VehicleId =
            request.vehicle_id.parse().map_err(|_| invalid("`vehicle_id` is no vehicle id"))?;
        let event: EventId = request.event_id.parse().map_err(|_| invalid("`event_id` is no event id"))?;
        let (before_s, after_s) = self.window(request)?;
        let _turn = self.parts.judging.lock().await;
        let new = NewEvidenceRequest {
            id: format!("evidence-{}", crate::hex(&draw::<16>(&*self.parts.random))),
            case_id: case_id.to_owned(),
            vehicle,
            event_id: event.to_string(),
            seconds_before: request.seconds_before,
            seconds_after: request.seconds_after,
            by: by.name.clone(),
        };
        let action = Action::RequestEvidence(EvidenceWindow { event, before_s, after_s });
        let context = self.context(by, vehicle, event, &action).await?;
        let intent = Intent {
            id: IntentId(draw(&*self.parts.random)),
            tenant: self.parts.tenant,
            vehicle,
            action,
            requester: by.name.clone(),
            role: role(by.role),
            requested_at: context.now,
        };
        let verdict = match self.parts.gate.judge(&intent, &context, PermitId(draw(&*self.parts.random))) {
            Ok(permit) => {
                let parts = &self.parts;
                let draft = command(permit, parts.store.as_ref(), &parts.keys, self.scope(), &*parts.random);
                EvidenceChange::Permitted(draft.await?)
            }
            Err(refusal) => EvidenceChange::RefusedByGate(
                refusal.reasons.iter().map(|reason| reason.code().to_owned()).collect(),
            ),
        };
        // One transaction: a crash leaves no request behind that nobody judges.
        let request = self.parts.store.create_evidence_request(self.scope(), &new, &verdict).await?;
        self.parts.notices.evidence(&request);
        Ok(request)
    }

    /// Sets the emergency stop: nothing is permitted and nothing leaves from here on.
    ///
    /// # Errors
    /// [`EvidenceError::Store`].
    pub async fn stop(&self, by: &str, reason: &str) -> Result<EmergencyStop, EvidenceError> {
        // Waits for a request that is being judged, so that its command is voided too.
        let _turn = self.parts.judging.lock().await;
        let (stop, voided) = self.parts.store.set_emergency_stop(self.scope(), by, reason).await?;
        tracing::warn!(voided = voided.evidence.len() + voided.orders.len(), "emergency stop set");
        voided.evidence.iter().for_each(|request| self.parts.notices.evidence(request));
        voided.orders.iter().for_each(|order| self.parts.notices.update(order));
        self.parts.notices.stop(&stop);
        Ok(stop)
    }

    /// Proposes the release of the emergency stop or, as a second person, confirms it.
    ///
    /// # Errors
    /// [`EvidenceError::Store`]: not set, or proposed by the same person.
    pub async fn release_stop(&self, by: &str, reason: &str) -> Result<EmergencyStop, EvidenceError> {
        let stop = self.parts.store.release_emergency_stop(self.scope(), by, reason).await?;
        if !stop.is_set {
            tracing::warn!("emergency stop released");
        }
        self.parts.notices.stop(&stop);
        Ok(stop)
    }

    /// Checks the window against the policy before anything is written.
    fn window(&self, request: &CreateEvidenceRequest) -> Result<(u16, u16), EvidenceError> {
        let max = self.parts.gate.policy.window_s_max;
        let narrow = |seconds: u32| u16::try_from(seconds).ok().filter(|seconds| *seconds <= max);
        match (narrow(request.seconds_before), narrow(request.seconds_after)) {
            (Some(before), Some(after)) => Ok((before, after)),
            (None, _) | (_, None) => Err(EvidenceError::Invalid(format!(
                "a window reaches at most {max} s before and after the event"
            ))),
        }
    }

    /// Collects what the gate must know.
    async fn context(
        &self,
        by: &User,
        vehicle: VehicleId,
        event: EventId,
        action: &Action,
    ) -> Result<GateContext, EvidenceError> {
        let scope = self.scope();
        let stored = self.parts.history.events(&[event]).await?;
        let load = self.parts.store.command_load(scope, vehicle).await?;
        let account = self.parts.store.account(scope, &by.name).await?;
        Ok(GateContext {
            now: scope.now,
            requester_enabled: account.is_some_and(|account| !account.user.disabled),
            vehicle_tenant: self.parts.directory.vehicle(vehicle).map(|record| record.tenant),
            is_capable: self.parts.directory.is_capable(vehicle, action.word()),
            event_at: stored.first().map(|event| event.event_time.0),
            in_flight: load.in_flight,
            vehicle_commands: load.vehicle_day,
            fleet_commands: load.fleet_day,
            is_stopped: load.is_stopped,
            confirmed_by: None,
            has_artifact: false,
        })
    }

    /// Moves a request on and tells the open streams.
    ///
    /// # Errors
    /// [`EvidenceError::Store`].
    pub async fn change(&self, id: &str, change: &EvidenceChange) -> Result<EvidenceRequest, EvidenceError> {
        let request = self.parts.store.change_evidence(self.scope(), id, change).await?;
        self.parts.notices.evidence(&request);
        Ok(request)
    }

    /// Marks requests whose command has lapsed.
    ///
    /// # Errors
    /// [`EvidenceError::Store`].
    pub async fn sweep(&self) -> Result<usize, EvidenceError> {
        let lapsed = self.parts.store.lapsed_evidence(self.scope(), 100).await?;
        for id in &lapsed {
            self.change(id, &EvidenceChange::Expired).await?;
        }
        Ok(lapsed.len())
    }
}

/// Turns a permit into a signed command.
///
/// # Errors
/// [`EvidenceError::Store`], [`EvidenceError::Sign`]; the permit is gone.
pub(crate) async fn command(
    permit: Permit,
    store: &dyn Store,
    keys: &Keys,
    scope: Scope,
    random: &dyn Random,
) -> Result<CommandDraft, EvidenceError> {
    let sequence = store.next_command_sequence(scope, permit.vehicle()).await?;
    let command = Command::new(permit, draw(random), CommandSequence(sequence), scope.now)
        .map_err(|error| EvidenceError::Sign(error.to_string()))?;
    let frame = keys.command.issue(&command).map_err(|error| EvidenceError::Sign(error.to_string()))?;
    Ok(CommandDraft {
        command_id: crate::hex(&command.id()),
        permit_id: crate::hex(&command.permit().0),
        sequence,
        expires: command.expires(),
        frame,
    })
}

/// Role in the words of the gate.
pub(crate) const fn role(role: Role) -> outrider_respond::Role {
    match role {
        Role::Analyst => outrider_respond::Role::Analyst,
        Role::Engineer => outrider_respond::Role::Engineer,
        Role::Admin => outrider_respond::Role::Admin,
    }
}
