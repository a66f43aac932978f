//! Artifacts, rollouts and update orders.

use std::collections::BTreeMap;

use async_trait::async_trait;
use outrider_respond::UpdateEvent;
use outrider_types::{UnixMicros, VehicleId};

use super::{CommandDraft, Page, Scope, StoreResult};
use crate::api::dto::{
    Artifact, ArtifactKey, ArtifactKind, Rollout, RolloutSummary, UpdateOrder, UpdateState,
};

/// Artifacts kept of a tenant: at 8 MiB each, 8 GB at most. None is ever removed, since orders name them.
pub const ARTIFACTS_MAX: u32 = 1000;
/// Keys of a tenant, withdrawn ones included (guess: some dozen persons and builds over twenty years).
pub const ARTIFACT_KEYS_MAX: u32 = 64;

/// Registered key with its public half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredArtifactKey {
    /// What the API shows of it.
    pub shown: ArtifactKey,
    /// Ed25519 public key.
    pub public: [u8; 32],
}

/// Rollout to write down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRollout {
    /// Identity, chosen by the caller.
    pub id: String,
    /// Artifact.
    pub sha256: String,
    /// Why.
    pub reason: String,
    /// Who proposes.
    pub by: String,
    /// When it lapses if nobody confirms it.
    pub lapses: UnixMicros,
    /// Identities of the orders and their vehicles.
    pub orders: Vec<(String, VehicleId)>,
}

/// Who decides about a rollout, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'a> {
    /// User.
    pub by: &'a str,
    /// Reason.
    pub reason: &'a str,
}

/// How an update order moves on after two persons agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderChange {
    /// The gate refused.
    RefusedByGate(Vec<String>),
    /// The gate permitted and the command was signed.
    Permitted(CommandDraft),
    /// The command left with a reply.
    Sent,
    /// The vehicle took it.
    Accepted,
    /// The vehicle uses it and is healthy.
    Done,
    /// The vehicle refused it, or took it back.
    RefusedByVehicle(String),
    /// The time is over.
    Expired,
    /// The emergency stop was set before the vehicle answered.
    Stopped,
}

impl OrderChange {
    /// Returns what happened, in the words of the state machine.
    #[must_use]
    pub const fn event(&self) -> UpdateEvent {
        match self {
            Self::RefusedByGate(_) => UpdateEvent::GateRefused,
            Self::Permitted(_) => UpdateEvent::GatePermitted,
            Self::Sent => UpdateEvent::CommandSent,
            Self::Accepted => UpdateEvent::VehicleAccepted,
            Self::Done => UpdateEvent::VehicleDone,
            Self::RefusedByVehicle(_) => UpdateEvent::VehicleRefused,
            Self::Expired | Self::Stopped => UpdateEvent::TimeOver,
        }
    }

    /// Returns the state reached and a sentence for people.
    #[must_use]
    pub fn describe(&self) -> (UpdateState, String) {
        match self {
            Self::RefusedByGate(reasons) => {
                (UpdateState::RefusedByGate, format!("The safety gate refused: {}.", reasons.join(", ")))
            }
            Self::Permitted(draft) => (
                UpdateState::Permitted,
                format!(
                    "The safety gate permitted it; command {} was signed as number {}.",
                    draft.command_id, draft.sequence
                ),
            ),
            Self::Sent => (UpdateState::Sent, "The command left with a reply to the vehicle.".to_owned()),
            Self::Accepted => (UpdateState::Accepted, "The vehicle accepted the command.".to_owned()),
            Self::Done => (UpdateState::Done, "The vehicle uses it and is healthy.".to_owned()),
            Self::RefusedByVehicle(reason) => {
                (UpdateState::RefusedByVehicle, format!("The vehicle refused it: {reason}."))
            }
            Self::Expired => (UpdateState::Expired, "The time was over before its end.".to_owned()),
            Self::Stopped => (UpdateState::Expired, "The emergency stop voided the command.".to_owned()),
        }
    }
}

/// Remote configuration.
#[async_trait]
pub trait UpdateStore: Send + Sync {
    /// Registers a key; the same one again changes nothing.
    ///
    /// # Errors
    /// [`super::StoreError::Conflict`] if it was withdrawn, or if there are [`ARTIFACT_KEYS_MAX`].
    async fn add_artifact_key(
        &self,
        scope: Scope,
        public: &[u8; 32],
        name: &str,
        by: &str,
    ) -> StoreResult<ArtifactKey>;

    /// Withdraws a key for good.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`], [`super::StoreError::Conflict`] if it is withdrawn.
    async fn withdraw_artifact_key(&self, scope: Scope, key_id: &str, by: &str) -> StoreResult<ArtifactKey>;

    /// Returns all keys, by name.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn artifact_keys(&self, scope: Scope) -> StoreResult<Vec<StoredArtifactKey>>;

    /// Writes down an artifact whose file is durable; the same one again keeps who uploaded it first.
    ///
    /// # Errors
    /// [`super::StoreError::Conflict`] if there are [`ARTIFACTS_MAX`], or if its key was withdrawn meanwhile.
    async fn add_artifact(&self, scope: Scope, artifact: &Artifact) -> StoreResult<Artifact>;

    /// Returns a page of artifacts, last uploaded first.
    ///
    /// # Errors
    /// [`super::StoreError::Invalid`] for a cursor that is none.
    async fn artifacts(&self, scope: Scope, cursor: Option<&str>, limit: u32) -> StoreResult<Page<Artifact>>;

    /// Returns one artifact.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`].
    async fn artifact(&self, scope: Scope, sha256: &str) -> StoreResult<Artifact>;

    /// Returns, by vehicle, the highest version of a kind that it is known to have tried: used, or taken back.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn tried_versions(&self, scope: Scope, kind: ArtifactKind)
    -> StoreResult<BTreeMap<VehicleId, u64>>;

    /// Writes a proposal down with an order for each of its vehicles.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`] if the artifact is not stored; nothing was written.
    async fn propose_rollout(&self, scope: Scope, rollout: &NewRollout) -> StoreResult<()>;

    /// Confirms a proposal as a second person; returns its orders, which the gate judges next.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`]; [`super::StoreError::Conflict`] if the same person proposed it, or if none of its
    /// orders waits for it any more.
    async fn confirm_rollout(
        &self,
        scope: Scope,
        id: &str,
        decision: Decision<'_>,
    ) -> StoreResult<Vec<UpdateOrder>>;

    /// Withdraws every order that has not been sent; returns them.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`]; [`super::StoreError::Conflict`] if there is none.
    async fn cancel_rollout(
        &self,
        scope: Scope,
        id: &str,
        decision: Decision<'_>,
    ) -> StoreResult<Vec<UpdateOrder>>;

    /// Returns a page of rollouts, last proposed first.
    ///
    /// # Errors
    /// [`super::StoreError::Invalid`] for a cursor that is none.
    async fn rollouts(
        &self,
        scope: Scope,
        cursor: Option<&str>,
        limit: u32,
    ) -> StoreResult<Page<RolloutSummary>>;

    /// Returns one rollout with its orders.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`].
    async fn rollout(&self, scope: Scope, id: &str) -> StoreResult<Rollout>;

    /// Moves an order on; a change that its state does not allow is a conflict.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`], [`super::StoreError::Conflict`].
    async fn change_order(&self, scope: Scope, id: &str, change: &OrderChange) -> StoreResult<UpdateOrder>;

    /// Returns the order that a command belongs to.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`].
    async fn order_of_command(&self, scope: Scope, command_id: &str) -> StoreResult<UpdateOrder>;

    /// Returns the orders of a vehicle, newest first.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn vehicle_orders(
        &self,
        scope: Scope,
        vehicle: VehicleId,
        limit: u32,
    ) -> StoreResult<Vec<UpdateOrder>>;

    /// Returns orders that two persons agreed on and nobody judged, with the moment of the second.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn confirmed_orders(&self, scope: Scope, limit: u32)
    -> StoreResult<Vec<(UpdateOrder, UnixMicros)>>;

    /// Returns the proposals and orders whose time is over and that are not marked so yet.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn lapsed_orders(&self, scope: Scope, limit: u32) -> StoreResult<Vec<String>>;

    /// Returns whether a vehicle has an order for an artifact under way: sent or accepted, not expired.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn is_ordered(&self, scope: Scope, vehicle: VehicleId, sha256: &str) -> StoreResult<bool>;
}
