//! The queue.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Path;
use outrider_types::{EventId, VehicleId};

use super::{direction, limit, search, words};
use crate::api::app::{App, Shared};
use crate::api::dto::{
    Alert, AlertActionRequest, AlertActionResult, AlertDetail, AlertFinding, AlertList, AlertQuery,
    AlertStatus, Event, Severity, Timestamp, VehicleFinding,
};
use crate::api::error::ApiFailure;
use crate::api::explain::explain;
use crate::api::extract::{Body, By, Params};
use crate::store::{AlertFilter, AlertOrder, StoredFinding};

/// Findings shown of an alert.
const FINDINGS_MAX: u32 = 200;
/// Vehicles shown of an alert.
const VEHICLES_MAX: u32 = 100;
/// Evidence events shown of an alert.
const EVENTS_MAX: usize = 50;
/// Similar alerts shown.
const SIMILAR_MAX: u32 = 10;
/// Ids in one selection.
const SELECTED_MAX: usize = 10_000;

/// Lists alerts.
pub(crate) async fn list(
    state: Shared,
    Params(query): Params<AlertQuery>,
) -> Result<Json<AlertList>, ApiFailure> {
    let scope = state.scope();
    let filter = filter(&query)?;
    let order = order(query.sort.as_deref())?;
    let page =
        state.store.alerts(scope, &filter, order, query.cursor.as_deref(), limit(query.limit)?).await?;
    let counts = state.store.alert_counts(scope, &filter).await?;
    Ok(Json(AlertList {
        items: page.items,
        next_cursor: page.next_cursor,
        total: page.total,
        as_of: Timestamp(scope.now),
        counts,
    }))
}

/// Reads the conditions of a query.
fn filter(query: &AlertQuery) -> Result<AlertFilter, ApiFailure> {
    Ok(AlertFilter {
        status: words("status", query.status.as_deref(), AlertStatus::from_word)?,
        severity: words("severity", query.severity.as_deref(), Severity::from_word)?,
        rule: query.rule.clone(),
        model_line: query.model_line.clone(),
        vehicle: query.vehicle.clone(),
        case: query.case.clone(),
        owner: query.owner.clone(),
        words: search(query.q.as_deref()),
        from: query.from.map(|at| at.0),
        to: query.to.map(|at| at.0),
        detected_until: None,
    })
}

/// Reads the order of a query.
fn order(sort: Option<&str>) -> Result<(AlertOrder, bool), ApiFailure> {
    let (column, descending) = direction(sort.unwrap_or("-last_at"));
    let order = match column {
        "last_at" => AlertOrder::LastAt,
        "first_at" => AlertOrder::FirstAt,
        "severity" => AlertOrder::Severity,
        "vehicle_count" => AlertOrder::VehicleCount,
        "event_count" => AlertOrder::EventCount,
        other => return Err(ApiFailure::invalid(format!("`sort` does not know {other:?}"))),
    };
    Ok((order, descending))
}

/// Shows one alert.
pub(crate) async fn show(state: Shared, Path(id): Path<String>) -> Result<Json<AlertDetail>, ApiFailure> {
    let scope = state.scope();
    let alert = state.store.alert(scope, &id).await?;
    let findings = state.store.alert_findings(scope, &id, FINDINGS_MAX).await?;
    let explanation = explain(&alert, state.rules.entry(&alert.rule_id), findings.first());
    let evidence_events = evidence(&state, &findings).await?;
    let vehicles = vehicles(&state, &alert, &evidence_events).await?;
    Ok(Json(AlertDetail {
        explanation,
        vehicles,
        evidence_events,
        history: state.store.alert_history(scope, &id).await?,
        similar: state.store.similar_alerts(scope, &alert, SIMILAR_MAX).await?,
        findings: findings.iter().map(finding).collect(),
        alert,
    }))
}

/// Finding in the words of the API.
fn finding(finding: &StoredFinding) -> AlertFinding {
    AlertFinding {
        id: finding.id.clone(),
        window_from: Timestamp(finding.window_from),
        window_to: Timestamp(finding.window_to),
        revision: u64::from(finding.revision),
        late: finding.late,
        value: finding.value.unwrap_or(finding.event_count),
        vehicle_count: finding.vehicle_count,
    }
}

/// Reads the evidence of the latest findings.
async fn evidence(app: &App, findings: &[StoredFinding]) -> Result<Vec<Event>, ApiFailure> {
    let mut ids: Vec<EventId> = Vec::new();
    for id in findings.iter().flat_map(|finding| &finding.events) {
        if ids.len() < EVENTS_MAX && !ids.contains(id) {
            ids.push(*id);
        }
    }
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(app.history.events(&ids).await?)
}

/// Names the vehicles of an alert with the number of their events among the evidence.
async fn vehicles(app: &App, alert: &Alert, events: &[Event]) -> Result<Vec<VehicleFinding>, ApiFailure> {
    let scope = app.scope();
    let ids: Vec<VehicleId> = app.store.alert_vehicles(scope, &alert.id, VEHICLES_MAX).await?;
    let summaries = app.store.vehicle_summaries(scope, &ids).await?;
    let known: BTreeMap<_, _> =
        summaries.iter().map(|summary| (summary.vehicle_id.as_str(), summary)).collect();
    let one = |id: &VehicleId| {
        let vehicle_id = id.to_string();
        let summary = known.get(vehicle_id.as_str());
        VehicleFinding {
            model_line: summary.and_then(|summary| summary.model_line.clone()),
            region: summary.and_then(|summary| summary.region.clone()),
            release: summary.and_then(|summary| summary.release.clone()),
            events: events.iter().filter(|event| event.vehicle_id == vehicle_id).count() as u64,
            vehicle_id,
        }
    };
    Ok(ids.iter().map(one).collect())
}

/// Acts on a selection of alerts.
pub(crate) async fn act(
    state: Shared,
    By(caller): By,
    Body(request): Body<AlertActionRequest>,
) -> Result<Json<AlertActionResult>, ApiFailure> {
    let selection = &request.selection;
    if selection.ids.is_none() && selection.query.is_none() {
        return Err(ApiFailure::invalid("`selection` names neither `ids` nor `query`"));
    }
    let named = selection.ids.iter().chain(&selection.except).map(Vec::len).sum::<usize>();
    if named > SELECTED_MAX {
        return Err(ApiFailure::invalid(format!("`selection` names more than {SELECTED_MAX} ids")));
    }
    if let Some(note) = &request.note {
        super::text("note", note, 4000)?;
    }
    let scope = state.scope();
    let mut filter = selection.query.as_ref().map(filter).transpose()?;
    if let Some(filter) = &mut filter {
        filter.detected_until = Some(selection.as_of.map_or(scope.now, |at| at.0));
    }
    let result = state.store.act_on_alerts(scope, &caller.user.name, filter.as_ref(), &request).await?;
    // Streams are told of what fits a screen; after more, clients read their page anew on the next overview.
    for id in result.changed_ids.iter().take(200) {
        state.hub.publish("alert", &state.store.alert(scope, id).await?);
    }
    Ok(Json(result))
}
