//! Cases and their evidence.

use std::sync::Arc;

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use outrider_types::VehicleId;

use super::{limit, search, text, words};
use crate::api::app::{App, Shared};
use crate::api::dto::{
    AddAlertsRequest, Case, CaseList, CaseQuery, CaseStatus, CloseCaseRequest, CreateCaseRequest,
    CreateEvidenceRequest, EvidenceRequest, NoteRequest, Timestamp,
};
use crate::api::error::ApiFailure;
use crate::api::extract::{Body, By, Params};
use crate::store::{AlertFilter, AlertOrder, CaseFilter, NewCase};

/// Alerts shown of a case.
const ALERTS_MAX: u32 = 500;
/// Vehicles shown of a case.
const VEHICLES_MAX: usize = 100;
/// Alerts added at once.
const ADDED_MAX: usize = 1000;

/// Lists cases.
pub(crate) async fn list(
    state: Shared,
    Params(query): Params<CaseQuery>,
) -> Result<Json<CaseList>, ApiFailure> {
    let scope = state.scope();
    let filter = CaseFilter {
        status: words("status", query.status.as_deref(), CaseStatus::from_word)?,
        words: search(query.q.as_deref()),
        owner: query.owner.clone(),
    };
    let page = state.store.cases(scope, &filter, query.cursor.as_deref(), limit(query.limit)?).await?;
    Ok(Json(CaseList {
        items: page.items,
        next_cursor: page.next_cursor,
        total: page.total,
        as_of: Timestamp(scope.now),
    }))
}

/// Opens a case.
pub(crate) async fn create(
    state: Shared,
    By(caller): By,
    Body(request): Body<CreateCaseRequest>,
) -> Result<Json<Case>, ApiFailure> {
    text("title", &request.title, 200)?;
    few(&request.alert_ids)?;
    let id = state.new_id("case");
    let case = NewCase {
        id: id.clone(),
        title: request.title.trim().to_owned(),
        severity: request.severity,
        by: caller.user.name,
        alert_ids: request.alert_ids,
    };
    state.store.create_case(state.scope(), &case).await?;
    changed(&state, &id).await
}

/// Shows one case.
pub(crate) async fn show(state: Shared, Path(id): Path<String>) -> Result<Json<Case>, ApiFailure> {
    Ok(Json(read(&state, &id).await?))
}

/// Adds alerts to a case.
pub(crate) async fn add_alerts(
    state: Shared,
    By(caller): By,
    Path(id): Path<String>,
    Body(request): Body<AddAlertsRequest>,
) -> Result<Json<Case>, ApiFailure> {
    few(&request.alert_ids)?;
    state.store.add_alerts(state.scope(), &id, &caller.user.name, &request.alert_ids).await?;
    changed(&state, &id).await
}

/// Writes a note into a case.
pub(crate) async fn add_note(
    state: Shared,
    By(caller): By,
    Path(id): Path<String>,
    Body(request): Body<NoteRequest>,
) -> Result<Json<Case>, ApiFailure> {
    text("text", &request.text, 4000)?;
    state.store.add_note(state.scope(), &id, &caller.user.name, request.text.trim()).await?;
    changed(&state, &id).await
}

/// Closes a case.
pub(crate) async fn close(
    state: Shared,
    By(caller): By,
    Path(id): Path<String>,
    Body(request): Body<CloseCaseRequest>,
) -> Result<Json<Case>, ApiFailure> {
    text("note", &request.note, 4000)?;
    let note = request.note.trim();
    state.store.close_case(state.scope(), &id, &caller.user.name, request.disposition, note).await?;
    changed(&state, &id).await
}

/// Asks a vehicle for evidence.
pub(crate) async fn request_evidence(
    state: Shared,
    By(caller): By,
    Path(id): Path<String>,
    Body(request): Body<CreateEvidenceRequest>,
) -> Result<Json<EvidenceRequest>, ApiFailure> {
    let evidence = state.desk.request(&caller.user, &id, &request).await?;
    state.hub.publish("case", &state.store.case(state.scope(), &id).await?);
    Ok(Json(evidence))
}

/// Fetches the capture a vehicle sent.
pub(crate) async fn fetch_evidence(
    state: Shared,
    Path((id, rid)): Path<(String, String)>,
) -> Result<Response, ApiFailure> {
    let request = state.store.evidence(state.scope(), &rid).await?;
    let Some(sha256) = request.sha256.filter(|_| request.case_id == id) else {
        return Err(ApiFailure::not_found("there is no capture yet"));
    };
    let (vault, hash) = (state.vault.clone(), sha256.clone());
    let read = tokio::task::spawn_blocking(move || vault.get(&hash))
        .await
        .map_err(|error| ApiFailure::internal(&error))?;
    let bytes = read.map_err(|error| ApiFailure::internal(&error))?;
    let name = format!("attachment; filename=\"{rid}.bin\"");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_str(&name).map_err(|error| ApiFailure::internal(&error))?,
        ),
        (header::ETAG, HeaderValue::from_str(&format!("\"{sha256}\"")).expect("a hash is hexadecimal")),
    ];
    Ok((headers, HttpBody::from(bytes)).into_response())
}

/// Refuses long lists.
fn few(ids: &[String]) -> Result<(), ApiFailure> {
    if ids.len() > ADDED_MAX {
        return Err(ApiFailure::invalid(format!("`alert_ids` names more than {ADDED_MAX} alerts")));
    }
    Ok(())
}

/// Tells the open streams of a changed case and answers it.
async fn changed(app: &Arc<App>, id: &str) -> Result<Json<Case>, ApiFailure> {
    let case = read(app, id).await?;
    app.hub.publish("case", &case.summary);
    Ok(Json(case))
}

/// Reads a case with its lists.
async fn read(app: &App, id: &str) -> Result<Case, ApiFailure> {
    let scope = app.scope();
    let summary = app.store.case(scope, id).await?;
    let filter = AlertFilter { case: Some(id.to_owned()), ..AlertFilter::default() };
    let alerts =
        app.store.alerts(scope, &filter, (AlertOrder::Severity, true), None, ALERTS_MAX).await?.items;
    let mut vehicles: Vec<VehicleId> = Vec::new();
    for alert in &alerts {
        for vehicle in app.store.alert_vehicles(scope, &alert.id, 100).await? {
            if vehicles.len() < VEHICLES_MAX && !vehicles.contains(&vehicle) {
                vehicles.push(vehicle);
            }
        }
        if vehicles.len() >= VEHICLES_MAX {
            break;
        }
    }
    Ok(Case {
        vehicles: app.store.vehicle_summaries(scope, &vehicles).await?,
        evidence: app.store.case_evidence(scope, id).await?,
        timeline: app.store.case_timeline(scope, id).await?,
        summary,
        alerts,
    })
}
