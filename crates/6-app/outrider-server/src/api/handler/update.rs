//! Artifacts, rollouts and the configuration of vehicles.

use axum::Json;
use axum::extract::Path;
use outrider_wire::catalogue::event;

use super::vehicle::vehicle_id;
use super::{limit, text};
use crate::api::app::Shared;
use crate::api::dto::{
    Artifact, ArtifactKey, ArtifactKind, ArtifactList, ConfigSetback, ConfigVersion, Event, PageQuery,
    ProposeRolloutRequest, Rollout, RolloutDecision, RolloutList, Scalar, Timestamp, UpdateState,
    VehicleConfiguration,
};
use crate::api::error::ApiFailure;
use crate::api::extract::{Body, By, Octets, Params};
use crate::store::Decision;

/// Orders shown of a vehicle.
const ORDERS_MAX: u32 = 20;
/// How far back a vehicle's word is looked for: it says its versions at each start and change.
const TOLD_US: i64 = 90 * 86_400 * 1_000_000;

/// Lists keys.
pub(crate) async fn keys(state: Shared) -> Result<Json<Vec<ArtifactKey>>, ApiFailure> {
    let keys = state.store.artifact_keys(state.scope()).await?;
    Ok(Json(keys.into_iter().map(|key| key.shown).collect()))
}

/// Lists artifacts.
pub(crate) async fn artifacts(
    state: Shared,
    Params(query): Params<PageQuery>,
) -> Result<Json<ArtifactList>, ApiFailure> {
    let scope = state.scope();
    let page = state.store.artifacts(scope, query.cursor.as_deref(), limit(query.limit)?).await?;
    let (items, next_cursor, total) = (page.items, page.next_cursor, page.total);
    Ok(Json(ArtifactList { items, next_cursor, total, as_of: Timestamp(scope.now) }))
}

/// Shows one artifact.
pub(crate) async fn artifact(
    state: Shared,
    Path(sha256): Path<String>,
) -> Result<Json<Artifact>, ApiFailure> {
    Ok(Json(state.store.artifact(state.scope(), &sha256.to_lowercase()).await?))
}

/// Takes a signed artifact.
pub(crate) async fn upload(
    state: Shared,
    By(caller): By,
    Octets(bytes): Octets,
) -> Result<Json<Artifact>, ApiFailure> {
    Ok(Json(state.updates.upload(&caller.user.name, bytes).await?))
}

/// Lists rollouts.
pub(crate) async fn rollouts(
    state: Shared,
    Params(query): Params<PageQuery>,
) -> Result<Json<RolloutList>, ApiFailure> {
    let scope = state.scope();
    let page = state.store.rollouts(scope, query.cursor.as_deref(), limit(query.limit)?).await?;
    let (items, next_cursor, total) = (page.items, page.next_cursor, page.total);
    Ok(Json(RolloutList { items, next_cursor, total, as_of: Timestamp(scope.now) }))
}

/// Shows one rollout.
pub(crate) async fn rollout(state: Shared, Path(id): Path<String>) -> Result<Json<Rollout>, ApiFailure> {
    Ok(Json(state.store.rollout(state.scope(), &id).await?))
}

/// Proposes a rollout.
pub(crate) async fn propose(
    state: Shared,
    By(caller): By,
    Body(request): Body<ProposeRolloutRequest>,
) -> Result<Json<Rollout>, ApiFailure> {
    text("reason", &request.reason, 500)?;
    Ok(Json(state.updates.propose(&caller.user.name, &request).await?))
}

/// Confirms a rollout; the first of its orders are judged at once, the rest within seconds.
pub(crate) async fn confirm(
    state: Shared,
    By(caller): By,
    Path(id): Path<String>,
    Body(decision): Body<RolloutDecision>,
) -> Result<Json<Rollout>, ApiFailure> {
    text("reason", &decision.reason, 500)?;
    let decision = Decision { by: &caller.user.name, reason: decision.reason.trim() };
    state.updates.confirm(decision, &id).await?;
    if let Err(error) = state.updates.judge().await {
        // The confirmation is durable, so the next turn judges.
        tracing::warn!(%error, "confirmed updates not judged");
    }
    Ok(Json(state.store.rollout(state.scope(), &id).await?))
}

/// Withdraws what has not been sent.
pub(crate) async fn cancel(
    state: Shared,
    By(caller): By,
    Path(id): Path<String>,
    Body(decision): Body<RolloutDecision>,
) -> Result<Json<Rollout>, ApiFailure> {
    text("reason", &decision.reason, 500)?;
    let decision = Decision { by: &caller.user.name, reason: decision.reason.trim() };
    Ok(Json(state.updates.cancel(decision, &id).await?))
}

/// Shows what a vehicle is configured with.
pub(crate) async fn configuration(
    state: Shared,
    Path(id): Path<String>,
) -> Result<Json<VehicleConfiguration>, ApiFailure> {
    let (scope, vehicle) = (state.scope(), vehicle_id(&id)?);
    let entry = state.store.vehicle_entry(scope, vehicle).await?;
    let since = scope.now.saturating_add(-TOLD_US);
    let last = async |event_type| {
        state.history.latest(vehicle, event_type, since, 1).await.map(|mut events| events.pop())
    };
    let active = last(event::CONFIG_ACTIVE).await?;
    let versions = active.as_ref().map(versions).unwrap_or_default();
    let orders = state.store.vehicle_orders(scope, vehicle, ORDERS_MAX).await?;
    let trial = orders.iter().find_map(|order| {
        let told = ConfigVersion { kind: order.kind, version: order.version };
        (order.state == UpdateState::Accepted && versions.contains(&told)).then_some(told)
    });
    Ok(Json(VehicleConfiguration {
        vehicle_id: vehicle.to_string(),
        is_capable: entry.capabilities.iter().any(|word| word == "configure"),
        told_at: active.map(|event| event.event_time),
        versions,
        trial,
        last_return: last(event::CONFIG_REVERTED).await?.as_ref().map(setback),
        last_refusal: last(event::CONFIG_REFUSED).await?.as_ref().map(setback),
        orders,
    }))
}

fn number(event: &Event, name: &str) -> Option<u64> {
    match event.fields.get(name).map(|field| &field.value) {
        Some(Scalar::Integer(number)) => u64::try_from(*number).ok(),
        Some(Scalar::Text(text)) => text.parse().ok(),
        Some(Scalar::Bool(_) | Scalar::Number(_)) | None => None,
    }
}

fn word<'a>(event: &'a Event, name: &str) -> Option<&'a str> {
    match event.fields.get(name).map(|field| &field.value) {
        Some(Scalar::Text(text)) => Some(text),
        Some(Scalar::Integer(_) | Scalar::Bool(_) | Scalar::Number(_)) | None => None,
    }
}

/// Versions in a vehicle's own words.
fn versions(event: &Event) -> Vec<ConfigVersion> {
    let told = |kind: &ArtifactKind| {
        let version = number(event, &format!("{}_version", kind.word()))?;
        Some(ConfigVersion { kind: *kind, version })
    };
    ArtifactKind::ALL.iter().filter_map(told).collect()
}

fn setback(event: &Event) -> ConfigSetback {
    ConfigSetback {
        at: event.event_time,
        kind: word(event, "config_kind").and_then(ArtifactKind::from_word),
        version: number(event, "config_version"),
        reason: word(event, "reason").unwrap_or("unknown").to_owned(),
    }
}
