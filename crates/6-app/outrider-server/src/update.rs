//! Rollouts of signed artifacts: from a proposal over a second person, gate, permit and signed command to the vehicle.

use std::collections::BTreeMap;
use std::sync::Arc;

use outrider_model::{VehicleRecord, VehicleRegistry as _};
use outrider_respond::{
    Action, ConfigKind, Configuration, GateContext, Intent, IntentId, PermitId, SafetyGate,
};
use outrider_types::{Clock, TenantId, UnixMicros, VehicleId, hex_decode};
use tokio::sync::{Mutex, Semaphore};

use crate::api::dto::{Artifact, ArtifactKind, ProposeRolloutRequest, Rollout, Timestamp, UpdateOrder};
use crate::evidence::{command, role};
use crate::notices::Notices;
use crate::port::{Random, draw};
use crate::store::{Decision, NewRollout, OrderChange, Scope, Store, StoreError};
use crate::vehicle::{ArtifactError, ArtifactVault, Directory, Keys, read_artifact};

/// How long a proposal waits for its second person (guess: over a weekend, not over a holiday).
const PROPOSAL_US: i64 = 7 * 86_400 * 1_000_000;
/// Artifacts that are read at the same time, each with its 8 MiB.
const UPLOADS_MAX: usize = 4;
/// Orders that are judged in one turn: about a second of a slow disk.
pub const JUDGED_MAX: u32 = 50;

/// Why an artifact or a rollout is not taken.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The artifact is not taken.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The case database said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The command could not be made or signed.
    #[error("command could not be made: {0}")]
    Sign(String),
    /// A thread did not come back.
    #[error("artifact could not be read: {0}")]
    Thread(String),
}

/// What the desk is made of.
pub struct UpdateParts {
    /// Case database.
    pub store: Arc<dyn Store>,
    /// Artifacts.
    pub vault: ArtifactVault,
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

/// Keeper of artifacts and rollouts.
pub struct UpdateDesk {
    parts: UpdateParts,
    places: Semaphore,
}

impl UpdateDesk {
    /// Creates the desk.
    #[must_use]
    pub fn new(parts: UpdateParts) -> Self {
        Self { parts, places: Semaphore::new(UPLOADS_MAX) }
    }

    fn scope(&self) -> Scope {
        Scope { tenant: self.parts.tenant, now: self.parts.clock.now() }
    }

    /// Takes a signed artifact. The same one again changes nothing.
    ///
    /// # Errors
    /// [`UpdateError::Artifact`], [`UpdateError::Store`]; nothing was written down.
    pub async fn upload(&self, by: &str, bytes: Vec<u8>) -> Result<Artifact, UpdateError> {
        let _place = self.places.acquire().await.expect("the semaphore is never closed");
        let scope = self.scope();
        let keys = self.parts.store.artifact_keys(scope).await?;
        let (vault, by) = (self.parts.vault.clone(), by.to_owned());
        // Verifying and writing wait for processor and disk. The file comes first: a row without one must not be.
        let kept = tokio::task::spawn_blocking(move || {
            let artifact = read_artifact(&bytes, &keys, scope.tenant, &by, Timestamp(scope.now))?;
            vault.put(&artifact.sha256, &bytes)?;
            Ok::<_, ArtifactError>(artifact)
        });
        let artifact = kept.await.map_err(|error| UpdateError::Thread(error.to_string()))??;
        Ok(self.parts.store.add_artifact(scope, &artifact).await?)
    }

    /// Proposes an artifact for vehicles. Nothing happens until a second person confirms.
    ///
    /// # Errors
    /// [`UpdateError::Invalid`] with the vehicle that it is not for, [`UpdateError::Store`].
    pub async fn propose(&self, by: &str, request: &ProposeRolloutRequest) -> Result<Rollout, UpdateError> {
        let scope = self.scope();
        let artifact = self.parts.store.artifact(scope, &request.sha256.to_lowercase()).await?;
        self.ready(&artifact).await?;
        let tried = self.parts.store.tried_versions(scope, artifact.kind).await?;
        let vehicles = match (&request.platform, request.vehicle_ids.as_slice()) {
            (Some(platform), []) => self.of_platform(platform, &artifact, &tried),
            (None, named @ [_, ..]) => self.named(named, &artifact, &tried)?,
            (None, []) | (Some(_), [_, ..]) => {
                return Err(UpdateError::Invalid("either vehicles or a platform are needed".to_owned()));
            }
        };
        let max = usize::try_from(self.parts.gate.policy.fleet_commands_max).unwrap_or(usize::MAX);
        if vehicles.is_empty() || vehicles.len() > max {
            let count = vehicles.len();
            return Err(UpdateError::Invalid(format!("it would go to {count} vehicles, 1 to {max} may be")));
        }
        let id = |prefix: &str| format!("{prefix}-{}", crate::hex(&draw::<16>(&*self.parts.random)));
        let rollout = NewRollout {
            id: id("rollout"),
            sha256: artifact.sha256,
            reason: request.reason.trim().to_owned(),
            by: by.to_owned(),
            lapses: scope.now.saturating_add(PROPOSAL_US),
            orders: vehicles.into_iter().map(|vehicle| (id("update"), vehicle)).collect(),
        };
        self.parts.store.propose_rollout(scope, &rollout).await?;
        self.shown(&rollout.id).await
    }

    /// Confirms a rollout as a second person. [`Self::judge`] has its orders judged, here or in another program.
    ///
    /// # Errors
    /// [`UpdateError::Store`]: the same person, or nothing waits for it.
    pub async fn confirm(&self, decision: Decision<'_>, id: &str) -> Result<Rollout, UpdateError> {
        self.parts.store.confirm_rollout(self.scope(), id, decision).await?;
        self.shown(id).await
    }

    /// Withdraws what has not been sent of a rollout.
    ///
    /// # Errors
    /// [`UpdateError::Store`]: there is nothing to withdraw.
    pub async fn cancel(&self, decision: Decision<'_>, id: &str) -> Result<Rollout, UpdateError> {
        self.parts.store.cancel_rollout(self.scope(), id, decision).await?;
        self.shown(id).await
    }

    /// Reads a rollout and tells the open streams.
    async fn shown(&self, id: &str) -> Result<Rollout, UpdateError> {
        let rollout = self.parts.store.rollout(self.scope(), id).await?;
        rollout.orders.iter().for_each(|order| self.parts.notices.update(order));
        Ok(rollout)
    }

    /// Has confirmed orders judged, [`JUDGED_MAX`] at most; returns how many. It goes on where a crash or another program
    /// left off, since a confirmation is durable before anything is judged.
    ///
    /// # Errors
    /// [`UpdateError::Store`], [`UpdateError::Sign`]; what was not judged is judged the next time.
    pub async fn judge(&self) -> Result<usize, UpdateError> {
        let waiting = self.parts.store.confirmed_orders(self.scope(), JUDGED_MAX).await?;
        let mut ready: BTreeMap<String, Option<Artifact>> = BTreeMap::new();
        for (order, confirmed) in &waiting {
            if !ready.contains_key(&order.sha256) {
                // Once a turn, not once a vehicle: eight mebibytes are read and hashed.
                let artifact = self.parts.store.artifact(self.scope(), &order.sha256).await?;
                let is_ready = self.ready(&artifact).await.is_ok();
                ready.insert(order.sha256.clone(), is_ready.then_some(artifact));
            }
            let artifact = ready.get(&order.sha256).and_then(Option::as_ref);
            match self.judge_order(order, *confirmed, artifact).await {
                Ok(order) => self.parts.notices.update(&order),
                // Withdrawn, or judged by another turn, in the meantime.
                Err(UpdateError::Store(StoreError::Conflict(_))) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(waiting.len())
    }

    async fn judge_order(
        &self,
        order: &UpdateOrder,
        confirmed: UnixMicros,
        artifact: Option<&Artifact>,
    ) -> Result<UpdateOrder, UpdateError> {
        let damaged = |what| StoreError::Damaged { what, value: order.id.clone() };
        let vehicle: VehicleId = order.vehicle_id.parse().map_err(|_| damaged("vehicle_id"))?;
        let _turn = self.parts.judging.lock().await;
        let scope = self.scope();
        let record = self.parts.directory.vehicle(vehicle);
        let fits = artifact.filter(|artifact| {
            record.as_ref().is_some_and(|record| misfit(artifact, vehicle, record).is_none())
        });
        let action = Action::Configure(Configuration {
            kind: match order.kind {
                ArtifactKind::Policy => ConfigKind::Policy,
                ArtifactKind::Rules => ConfigKind::Rules,
                ArtifactKind::Model => ConfigKind::Model,
            },
            version: order.version,
            sha256: hex_decode(&order.sha256).map_err(|_| damaged("sha256"))?,
            bytes: fits.and_then(|artifact| u32::try_from(artifact.bytes).ok()).unwrap_or(0),
        });
        let requester = self.parts.store.account(scope, &order.proposed_by).await?;
        let second = match &order.confirmed_by {
            Some(name) => self.parts.store.account(scope, name).await?,
            None => None,
        };
        let load = self.parts.store.command_load(scope, vehicle).await?;
        let context = GateContext {
            now: scope.now,
            requester_enabled: requester.as_ref().is_some_and(|account| !account.user.disabled),
            vehicle_tenant: record.map(|record| record.tenant),
            is_capable: self.parts.directory.is_capable(vehicle, action.word()),
            event_at: None,
            in_flight: load.in_flight,
            vehicle_commands: load.vehicle_day,
            fleet_commands: load.fleet_day,
            is_stopped: load.is_stopped,
            confirmed_by: second
                .filter(|account| !account.user.disabled)
                .map(|account| (account.user.name, role(account.user.role))),
            has_artifact: fits.is_some(),
        };
        let intent = Intent {
            id: IntentId(draw(&*self.parts.random)),
            tenant: self.parts.tenant,
            vehicle,
            action,
            requester: order.proposed_by.clone(),
            // Of an account that is gone no role is known; the gate refuses it as disabled.
            role: requester.map_or(outrider_respond::Role::Analyst, |account| role(account.user.role)),
            // The intent of two persons is as old as the second one's word.
            requested_at: confirmed,
        };
        let permit = PermitId(draw(&*self.parts.random));
        let change = match self.parts.gate.judge(&intent, &context, permit) {
            Ok(permit) => {
                let parts = &self.parts;
                let draft = command(permit, parts.store.as_ref(), &parts.keys, scope, &*parts.random).await;
                OrderChange::Permitted(draft.map_err(|error| UpdateError::Sign(error.to_string()))?)
            }
            Err(refusal) => OrderChange::RefusedByGate(
                refusal.reasons.iter().map(|reason| reason.code().to_owned()).collect(),
            ),
        };
        // One transaction: verdict, command and state are there together or not at all.
        Ok(self.parts.store.change_order(scope, &order.id, &change).await?)
    }

    /// Marks proposals and orders whose time is over.
    ///
    /// # Errors
    /// [`UpdateError::Store`].
    pub async fn sweep(&self) -> Result<usize, UpdateError> {
        let lapsed = self.parts.store.lapsed_orders(self.scope(), 100).await?;
        for id in &lapsed {
            match self.parts.store.change_order(self.scope(), id, &OrderChange::Expired).await {
                Ok(order) => self.parts.notices.update(&order),
                // It ended by itself in the meantime.
                Err(StoreError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(lapsed.len())
    }

    /// Checks that an artifact is whole on disk and that its key is still trusted.
    async fn ready(&self, artifact: &Artifact) -> Result<(), UpdateError> {
        let scope = self.scope();
        let keys = self.parts.store.artifact_keys(scope).await?;
        let (vault, stored) = (self.parts.vault.clone(), artifact.clone());
        let read = tokio::task::spawn_blocking(move || {
            let bytes = vault.get(&stored.sha256)?;
            read_artifact(&bytes, &keys, scope.tenant, &stored.uploaded_by, stored.uploaded_at)
        });
        let read = read.await.map_err(|error| UpdateError::Thread(error.to_string()))??;
        if (read.kind, read.version, read.bytes) == (artifact.kind, artifact.version, artifact.bytes) {
            return Ok(());
        }
        Err(UpdateError::Invalid("the stored artifact is another one".to_owned()))
    }

    /// Checks the vehicles that somebody named.
    fn named(
        &self,
        named: &[String],
        artifact: &Artifact,
        tried: &BTreeMap<VehicleId, u64>,
    ) -> Result<Vec<VehicleId>, UpdateError> {
        let mut vehicles = Vec::new();
        for text in named {
            let invalid = |reason: String| UpdateError::Invalid(format!("vehicle {text}: {reason}"));
            let vehicle: VehicleId =
                text.parse().map_err(|_| UpdateError::Invalid(format!("{text:?} is no vehicle id")))?;
            self.parts.directory.is_in(vehicle).map_err(|denied| invalid(denied.to_string()))?;
            let record = self.parts.directory.vehicle(vehicle);
            let record = record.ok_or_else(|| invalid("it is not registered".to_owned()))?;
            if let Some(reason) = misfit(artifact, vehicle, &record) {
                return Err(invalid(reason));
            }
            if let Some(known) = tried.get(&vehicle).filter(|known| **known >= artifact.version) {
                return Err(invalid(format!("it has tried version {known}, only a higher one is taken")));
            }
            if !vehicles.contains(&vehicle) {
                vehicles.push(vehicle);
            }
        }
        Ok(vehicles)
    }

    /// Finds the vehicles of a platform that can take an artifact.
    fn of_platform(
        &self,
        platform: &str,
        artifact: &Artifact,
        tried: &BTreeMap<VehicleId, u64>,
    ) -> Vec<VehicleId> {
        let mut vehicles = self.parts.directory.configurable(platform);
        vehicles.retain(|vehicle| {
            let record = self.parts.directory.vehicle(*vehicle);
            record.is_some_and(|record| misfit(artifact, *vehicle, &record).is_none())
                && tried.get(vehicle).is_none_or(|known| *known < artifact.version)
        });
        vehicles
    }
}

/// Says why an artifact is not for a vehicle.
fn misfit(artifact: &Artifact, vehicle: VehicleId, record: &VehicleRecord) -> Option<String> {
    if let Some(only) = artifact.vehicle_id.as_ref().filter(|only| **only != vehicle.to_string()) {
        return Some(format!("the artifact is for vehicle {only} only"));
    }
    let platform = artifact.platform.as_ref().filter(|platform| **platform != record.platform)?;
    Some(format!("the artifact is for platform {platform:?}, it is of {:?}", record.platform))
}
