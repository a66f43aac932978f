//! The fleet at a glance.

use std::collections::BTreeMap;

use axum::Json;
use h3o::{CellIndex, Resolution};

use crate::api::app::{App, Shared};
use crate::api::dto::{FleetMap, MapCell, MapLayer, MapQuery, Overview, Region, Timestamp};
use crate::api::error::ApiFailure;
use crate::api::extract::Params;
use crate::store::CellCount;

/// Resolution where the caller does not say: hexagons of about 90,000 km².
const RESOLUTION_DEFAULT: u8 = 2;
/// Finest resolution: the registry keeps no finer place (PRIV).
const RESOLUTION_MAX: u8 = 5;
/// Cells of a map at most.
const CELLS_MAX: usize = 5000;

/// Shows the first page.
pub(crate) async fn overview(state: Shared) -> Result<Json<Overview>, ApiFailure> {
    Ok(Json(read_overview(&state).await?))
}

/// Reads the first page.
///
/// # Errors
/// [`ApiFailure`] if database or lake fail.
pub(crate) async fn read_overview(app: &App) -> Result<Overview, ApiFailure> {
    let scope = app.scope();
    let counts = app.store.overview(scope).await?;
    let status = app.pipeline.status();
    // While a partition is behind, the worker lags at least as long as the last record it finished of it is old.
    let behind = app.backlog(&status).await?.behind_since();
    let lag = behind.map_or(0, |at| scope.now.micros_since(at).max(0) / 1000);
    // The minute that has begun says too little; the last whole one is the rate.
    let last = counts.rate.iter().rev().nth(1).map_or(0, |bucket| bucket.events);
    let current = counts.rate.last().map_or(0, |bucket| bucket.events);
    #[expect(clippy::cast_precision_loss, reason = "a rate on a screen needs no more than 53 bits")]
    let events_per_second = last.max(current) as f64 / 60.0;
    Ok(Overview {
        open: counts.open,
        alerts_by_status: counts.by_status,
        oldest_unacknowledged_at: counts.oldest_new.map(Timestamp),
        ingest_lag_ms: u64::try_from(lag).unwrap_or(0),
        events_per_second,
        events_stored: app.history.health().await?.rows,
        vehicles: counts.vehicles,
        waiting: counts.waiting,
        rate: counts.rate,
        top_rules: counts.top_rules,
        top_models: counts.top_models,
        as_of: Timestamp(scope.now),
    })
}

/// Lists regions.
pub(crate) async fn regions(state: Shared) -> Result<Json<Vec<Region>>, ApiFailure> {
    Ok(Json(state.store.regions(state.scope()).await?))
}

/// Shows the map of the fleet.
pub(crate) async fn map(
    state: Shared,
    Params(query): Params<MapQuery>,
) -> Result<Json<FleetMap>, ApiFailure> {
    let scope = state.scope();
    let resolution = query.resolution.unwrap_or(RESOLUTION_DEFAULT);
    if resolution > RESOLUTION_MAX {
        return Err(ApiFailure::invalid(format!("`resolution` is 0 to {RESOLUTION_MAX}")));
    }
    let coarse = Resolution::try_from(resolution).map_err(|error| ApiFailure::internal(&error))?;
    let layer = query.layer.unwrap_or(MapLayer::Alerts);
    let mut cells: BTreeMap<CellIndex, CellCount> = BTreeMap::new();
    for (place, count) in state.store.cells(scope).await? {
        let Some(cell) = CellIndex::try_from(place).ok().and_then(|cell| cell.parent(coarse)) else {
            continue;
        };
        let sum = cells.entry(cell).or_default();
        sum.vehicles += count.vehicles;
        sum.events += count.events;
        sum.alerts += count.alerts;
        sum.worst = sum.worst.max(count.worst);
    }
    let mut cells: Vec<MapCell> = cells
        .into_iter()
        .map(|(cell, count)| MapCell {
            h3: cell.to_string(),
            vehicles: count.vehicles,
            events: count.events,
            alerts: count.alerts,
            worst_severity: count.worst,
        })
        .collect();
    cells.sort_by_key(|cell| std::cmp::Reverse(value(layer, cell)));
    cells.truncate(CELLS_MAX);
    Ok(Json(FleetMap { resolution, layer, cells, as_of: Timestamp(scope.now) }))
}

/// What a cell is coloured by.
const fn value(layer: MapLayer, cell: &MapCell) -> u64 {
    match layer {
        MapLayer::Alerts => cell.alerts,
        MapLayer::Events => cell.events,
        MapLayer::Vehicles => cell.vehicles,
    }
}
