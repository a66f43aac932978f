//! Identity of vehicles.

use axum::Json;
use axum::extract::Path;

use super::text;
use super::vehicle::vehicle_id;
use crate::api::app::Shared;
use crate::api::dto::{IdentityLogEntry, VehicleIdentity, VehicleState, VehicleStateRequest};
use crate::api::error::ApiFailure;
use crate::api::extract::{Body, By};

/// Lines of the log that are shown.
const LOG_MAX: u32 = 200;

/// Shows who a vehicle is.
pub(crate) async fn show(state: Shared, Path(id): Path<String>) -> Result<Json<VehicleIdentity>, ApiFailure> {
    Ok(Json(state.store.vehicle_identity(state.scope(), vehicle_id(&id)?).await?))
}

/// Keeps a vehicle out. Anyone may stop.
pub(crate) async fn suspend(
    state: Shared,
    by: By,
    id: Path<String>,
    body: Body<VehicleStateRequest>,
) -> Result<Json<VehicleIdentity>, ApiFailure> {
    change(state, by, id, body, VehicleState::Suspended).await
}

/// Lets a vehicle in again.
pub(crate) async fn resume(
    state: Shared,
    by: By,
    id: Path<String>,
    body: Body<VehicleStateRequest>,
) -> Result<Json<VehicleIdentity>, ApiFailure> {
    change(state, by, id, body, VehicleState::Active).await
}

/// Keeps a vehicle out for good.
pub(crate) async fn revoke(
    state: Shared,
    by: By,
    id: Path<String>,
    body: Body<VehicleStateRequest>,
) -> Result<Json<VehicleIdentity>, ApiFailure> {
    change(state, by, id, body, VehicleState::Revoked).await
}

/// Lists what happened to identities.
pub(crate) async fn log(state: Shared) -> Result<Json<Vec<IdentityLogEntry>>, ApiFailure> {
    Ok(Json(state.store.identity_log(state.scope(), LOG_MAX).await?))
}

/// Changes the state durably, and then in the listeners, which close its sessions.
async fn change(
    state: Shared,
    By(caller): By,
    Path(id): Path<String>,
    Body(request): Body<VehicleStateRequest>,
    to: VehicleState,
) -> Result<Json<VehicleIdentity>, ApiFailure> {
    text("reason", &request.reason, 500)?;
    let (scope, vehicle) = (state.scope(), vehicle_id(&id)?);
    let (by, reason) = (&caller.user.name, request.reason.trim());
    state.store.change_vehicle_state(scope, vehicle, to, by, reason).await?;
    state.directory.refresh(state.store.as_ref(), scope).await?;
    Ok(Json(state.store.vehicle_identity(scope, vehicle).await?))
}
