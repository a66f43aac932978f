//! Showing and destroying VINs.

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;

use super::text;
use super::vehicle::vehicle_id;
use crate::api::app::{App, Shared};
use crate::api::dto::{RevealReason, RevealRequest, RevealedVin, ShreddedVehicle};
use crate::api::error::ApiFailure;
use crate::api::extract::{Body, By};
use crate::store::{AuditEntry, NewReveal};
use crate::vault::{Vault, VaultError};

/// Requests that are listed.
const REQUESTS_MAX: u32 = 200;

/// Asks for the VIN of a vehicle.
pub(crate) async fn request(
    state: Shared,
    By(caller): By,
    Path(id): Path<String>,
    Body(request): Body<RevealReason>,
) -> Result<Json<RevealRequest>, ApiFailure> {
    text("reason", &request.reason, 500)?;
    let (scope, vehicle) = (state.scope(), vehicle_id(&id)?);
    // Known before anybody is bothered.
    vault(&state)?.holds(scope, vehicle).await.map_err(failure)?;
    let policy = state.reveal;
    let request = NewReveal {
        id: state.new_id("reveal"),
        vehicle,
        reason: request.reason.trim().to_owned(),
        by: caller.user.name.clone(),
        expires: scope.now.saturating_add(policy.lapse_us()),
        is_two_person: policy.is_two_person,
    };
    Ok(Json(state.store.request_reveal(scope, &request).await?))
}

/// Lists requests.
pub(crate) async fn list(state: Shared) -> Result<Json<Vec<RevealRequest>>, ApiFailure> {
    Ok(Json(state.store.reveals(state.scope(), REQUESTS_MAX).await?))
}

/// Agrees to a request as a second person.
pub(crate) async fn approve(
    state: Shared,
    By(caller): By,
    Path(id): Path<String>,
) -> Result<Json<RevealRequest>, ApiFailure> {
    Ok(Json(state.store.approve_reveal(state.scope(), &id, &caller.user.name).await?))
}

/// Shows the VIN, once. The trace is durable before the vault is asked.
pub(crate) async fn open(
    state: Shared,
    By(caller): By,
    Path(id): Path<String>,
) -> Result<Json<RevealedVin>, ApiFailure> {
    let (scope, vault) = (state.scope(), vault(&state)?);
    let vehicle = state.store.open_reveal(scope, &id, &caller.user.name, state.reveal.is_two_person).await?;
    let vin = vault.reveal(scope, vehicle).await.map_err(failure)?;
    Ok(Json(RevealedVin { vehicle_id: vehicle.to_string(), vin: vin.expose().to_owned() }))
}

/// Destroys what leads from a vehicle's pseudonyms to its VIN.
pub(crate) async fn shred(
    state: Shared,
    By(caller): By,
    Path(id): Path<String>,
    Body(request): Body<RevealReason>,
) -> Result<Json<ShreddedVehicle>, ApiFailure> {
    text("reason", &request.reason, 500)?;
    let (scope, vehicle) = (state.scope(), vehicle_id(&id)?);
    let vault = vault(&state)?;
    vault.holds(scope, vehicle).await.map_err(failure)?;
    let (actor, subject) = (caller.user.name.clone(), format!("{vehicle}: {}", request.reason.trim()));
    // What cannot be undone is written down before.
    let begun = AuditEntry { actor, action: "shred_vin", subject, outcome: "begun" };
    state.store.audit(scope, &begun).await?;
    let shredded = vault.shred(scope, vehicle).await.map_err(failure)?;
    state.store.audit(scope, &AuditEntry { outcome: "done", ..begun }).await?;
    Ok(Json(ShreddedVehicle { vehicle_ids: shredded.iter().map(ToString::to_string).collect() }))
}

fn vault(state: &App) -> Result<&Vault, ApiFailure> {
    let none = || ApiFailure::new(StatusCode::CONFLICT, "vault.none", "this installation has no VIN vault");
    state.vin_vault.as_deref().ok_or_else(none)
}

fn failure(error: VaultError) -> ApiFailure {
    let said = |status, code| ApiFailure::new(status, code, error.to_string());
    match error {
        VaultError::Unknown => said(StatusCode::NOT_FOUND, "vault.unknown"),
        VaultError::Shredded(_) => said(StatusCode::GONE, "vault.shredded"),
        VaultError::WrongKey | VaultError::Begun | VaultError::Damaged(_) | VaultError::File(_) => {
            ApiFailure::internal(&error)
        }
    }
}
