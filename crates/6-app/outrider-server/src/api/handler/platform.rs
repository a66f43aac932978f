//! Health, quarantine, rules, catalogue, hunting and the document.

use axum::Json;
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use outrider_ingest::Worker;
use outrider_model::catalogue;
use outrider_types::UnixMicros;

use super::text;
use crate::api::app::{App, Shared};
use crate::api::dto::{
    Catalogue, CatalogueEventType, CatalogueField, DatabaseHealth, DetectHealth, GapHealth, Health, Lane,
    LogHealth, PartitionHealth, Rule, SqlRequest, SqlResult, StageBalance, Timestamp,
};
use crate::api::error::ApiFailure;
use crate::api::extract::Body;
use crate::api::openapi_json;
use crate::metrics::{self, ProcessStatus, Readings};
use crate::rulebook::severity;

/// Rows of an answer where the caller does not say.
const ROWS_DEFAULT: u32 = 1000;
/// Rows of an answer at most.
const ROWS_MAX: u32 = 10_000;

/// Shows the state of the installation.
pub(crate) async fn health(state: Shared) -> Result<Json<Health>, ApiFailure> {
    Ok(Json(read_health(&state).await?))
}

/// Reads the state of the installation.
///
/// # Errors
/// [`ApiFailure`] if database or lake fail.
pub(crate) async fn read_health(app: &App) -> Result<Health, ApiFailure> {
    let scope = app.scope();
    let status = app.pipeline.status();
    let (bodies, documents) = app.pipeline.with_ingest(Worker::feed_totals);
    let backlog = app.backlog(&status).await?;
    let unanswered = backlog.trouble.as_ref().map(|error| format!("event log: {error}"));
    Ok(Health {
        stages: vec![
            StageBalance::of("uplink", "frames", &app.exchange.frames()),
            StageBalance::of("evidence", "captures", &app.exchange.uploads()),
            StageBalance::of("artifacts", "pieces", &app.exchange.downloads()),
            StageBalance::of("feed_requests", "requests", &app.feeds.all_requests()),
            StageBalance::of("feed_bodies", "bodies", &bodies),
            StageBalance::of("feed_documents", "documents", &documents),
            StageBalance::of("ingest_batches", "batches", &status.batches),
            StageBalance::of("ingest_events", "events", &status.rows),
            StageBalance::of("detect", "matches", &status.detect),
            StageBalance::of("lake", "events", &status.lake),
        ],
        log: LogHealth {
            head_offset: backlog.head(),
            worker_offset: status.next.0,
            lag_records: backlog.lag(),
            bytes: app.log.bytes(),
            partitions: backlog.partitions.iter().map(PartitionHealth::of).collect(),
        },
        lake: app.history.health().await?,
        detect: DetectHealth {
            state_entries: status.rules.iter().map(|rule| rule.entries).sum(),
            late_findings: status.late_findings,
            degraded: status.degraded,
            not_evaluated: status.not_evaluated,
        },
        gaps: gaps(app, scope.now),
        links: app.exchange.links().status(),
        database: DatabaseHealth { bytes: app.store.database_bytes().await? },
        trouble: status.trouble.or(unanswered),
        uptime_s: u64::try_from(scope.now.micros_since(app.started) / 1_000_000).unwrap_or(0),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        as_of: Timestamp(scope.now),
    })
}

/// Shows counters to the monitoring system.
pub(crate) async fn metrics(state: Shared) -> Result<([(HeaderName, &'static str); 1], String), ApiFailure> {
    let health = read_health(&state).await?;
    let readings = Readings {
        health: &health,
        worker: &state.pipeline.status(),
        process: ProcessStatus::read(),
        started: state.started,
    };
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics::render(&readings)))
}

/// Counts the holes of all vehicles.
fn gaps(app: &App, now: UnixMicros) -> GapHealth {
    let (totals, _, _) = app.pipeline.with_ingest(|worker| worker.fleet(now, 0));
    let [open, overdue, tombstoned] = totals.gaps;
    GapHealth { open, overdue, tombstoned }
}

/// Lists rules.
pub(crate) async fn rules(state: Shared) -> Result<Json<Vec<Rule>>, ApiFailure> {
    let mut rules = state.rules.rules();
    let mut counts = state.store.rule_counts(state.scope()).await?;
    let status = state.pipeline.status();
    for rule in &mut rules {
        if let Some((findings, alerts, dispositions)) = counts.remove(&rule.id) {
            rule.findings = findings;
            rule.alerts = alerts;
            rule.dispositions = dispositions;
        }
        let loads = status.rules.iter().filter(|load| load.rule.0 == rule.id);
        rule.state_entries = loads.map(|load| load.entries).sum();
    }
    Ok(Json(rules))
}

/// Shows the catalogue of events.
pub(crate) async fn show_catalogue() -> Json<Catalogue> {
    let name = |key| catalogue::field(key).map(|field| field.name.to_owned());
    let event_types = catalogue::EVENT_TYPES.iter().map(|entry| CatalogueEventType {
        id: u32::from(entry.id.0),
        name: entry.name.to_owned(),
        title: entry.title.to_owned(),
        severity: severity(entry.severity),
        lane: lane(entry.lane),
        fields: entry.fields.iter().copied().filter_map(name).collect(),
        unr155: entry.unr155.iter().map(|&id| id.to_owned()).collect(),
    });
    let fields = catalogue::FIELDS.iter().map(|field| CatalogueField {
        name: field.name.to_owned(),
        kind: field.kind.word().to_owned(),
        unit: Some(field.unit.to_owned()).filter(|unit| !unit.is_empty()),
        title: field.title.to_owned(),
    });
    Json(Catalogue { event_types: event_types.collect(), fields: fields.collect() })
}

/// Lane in the words of the API.
#[must_use]
pub(crate) const fn lane(lane: outrider_types::Lane) -> Lane {
    match lane {
        outrider_types::Lane::Critical => Lane::Critical,
        outrider_types::Lane::Batched => Lane::Batched,
        outrider_types::Lane::Deferred => Lane::Deferred,
    }
}

/// Runs a reading query over the lake.
pub(crate) async fn sql(
    state: Shared,
    Body(request): Body<SqlRequest>,
) -> Result<Json<SqlResult>, ApiFailure> {
    text("query", &request.query, 20_000)?;
    let limit = match request.limit {
        None => ROWS_DEFAULT,
        Some(limit @ 1..=ROWS_MAX) => limit,
        Some(_) => return Err(ApiFailure::invalid(format!("`limit` is 1 to {ROWS_MAX}"))),
    };
    Ok(Json(state.history.sql(&request.query, limit).await?))
}

/// Shows the OpenAPI document.
pub(crate) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], openapi_json()).into_response()
}
