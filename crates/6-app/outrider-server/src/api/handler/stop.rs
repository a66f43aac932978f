//! The emergency stop.

use axum::Json;

use super::text;
use crate::api::app::Shared;
use crate::api::dto::{EmergencyStop, StopRequest};
use crate::api::error::ApiFailure;
use crate::api::extract::{Body, By};

/// Shows the state of the stop.
pub(crate) async fn show(state: Shared) -> Result<Json<EmergencyStop>, ApiFailure> {
    Ok(Json(state.store.emergency_stop(state.scope()).await?))
}

/// Sets the stop.
pub(crate) async fn set(
    state: Shared,
    By(caller): By,
    Body(request): Body<StopRequest>,
) -> Result<Json<EmergencyStop>, ApiFailure> {
    text("reason", &request.reason, 500)?;
    Ok(Json(state.desk.stop(&caller.user.name, request.reason.trim()).await?))
}

/// Proposes or confirms the release.
pub(crate) async fn release(
    state: Shared,
    By(caller): By,
    Body(request): Body<StopRequest>,
) -> Result<Json<EmergencyStop>, ApiFailure> {
    text("reason", &request.reason, 500)?;
    Ok(Json(state.desk.release_stop(&caller.user.name, request.reason.trim()).await?))
}
