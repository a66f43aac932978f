//! Vehicles.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Path;
use outrider_ingest::Worker;
use outrider_model::VehicleRecord;
use outrider_types::{BootEpoch, ClockSource, UnixMicros, VehicleId, VehicleMicros};
use outrider_wire::catalogue::event;

use super::completeness::source_word;
use super::platform::lane;
use super::{direction, limit};
use crate::api::app::{App, Shared};
use crate::api::dto::{
    BusHealth, ClockHealth, EcuHealth, Event, EventList, Gap, GapState, LaneState, Scalar, SensorState,
    Severity, TimelineQuery, Timestamp, UnregisteredVehicle, Vehicle, VehicleList, VehicleQuery,
    VehicleSummary,
};
use crate::api::error::ApiFailure;
use crate::api::extract::Params;
use crate::port::{PartCount, TimelineSpan};
use crate::store::{VehicleEntry, VehicleFilter, VehicleOrder};
use crate::vehicle::Stranger;

const DAY_US: i64 = 86_400_000_000;
/// A sensor that has said nothing for longer is not shown: a vehicle may be offline for weeks.
const SENSOR_DAYS: i64 = 30;
/// Statements read to find the newest of each sensor.
const SENSOR_EVENTS_MAX: u32 = 200;
/// Holes shown of a vehicle.
const GAPS_MAX: usize = 200;
/// Lanes shown of a vehicle: the last twenty boots.
const LANES_MAX: usize = 60;
/// Events a timeline can be paged through before a narrower span is needed.
const OFFSET_MAX: u64 = 100_000;

/// Lists vehicles.
pub(crate) async fn list(
    state: Shared,
    Params(query): Params<VehicleQuery>,
) -> Result<Json<VehicleList>, ApiFailure> {
    let scope = state.scope();
    let (column, descending) = direction(query.sort.as_deref().unwrap_or("-worst_severity"));
    let order = match column {
        "vehicle_id" => VehicleOrder::Id,
        "last_seen_at" => VehicleOrder::LastSeen,
        "open_alerts" => VehicleOrder::OpenAlerts,
        "worst_severity" => VehicleOrder::WorstSeverity,
        other => return Err(ApiFailure::invalid(format!("`sort` does not know {other:?}"))),
    };
    let filter = VehicleFilter {
        prefix: query.q.clone(),
        model_line: query.model_line.clone(),
        platform: query.platform.clone(),
        release: query.release.clone(),
        model_year: query.model_year,
        region: query.region.clone(),
        stage: query.stage,
        registration: query.registration,
        status: query.status,
    };
    let limit = limit(query.limit)?;
    let page =
        state.store.vehicles(scope, &filter, (order, descending), query.cursor.as_deref(), limit).await?;
    Ok(Json(VehicleList {
        items: page.items,
        next_cursor: page.next_cursor,
        total: page.total,
        as_of: Timestamp(scope.now),
    }))
}

/// Reads a vehicle id from a path.
pub(crate) fn vehicle_id(text: &str) -> Result<VehicleId, ApiFailure> {
    text.parse().map_err(|_| ApiFailure::not_found("a vehicle id is 32 hexadecimal digits"))
}

/// Shows one vehicle.
pub(crate) async fn show(state: Shared, Path(id): Path<String>) -> Result<Json<Vehicle>, ApiFailure> {
    let scope = state.scope();
    let vehicle = vehicle_id(&id)?;
    let (entry, summary) = match state.store.vehicle_summaries(scope, &[vehicle]).await?.pop() {
        Some(summary) => (state.store.vehicle_entry(scope, vehicle).await?, summary),
        None => unknown(&state, vehicle).await?,
    };
    let parts = state.history.part_counts(vehicle, scope.now.saturating_add(-DAY_US)).await?;
    let since = scope.now.saturating_add(-SENSOR_DAYS * DAY_US);
    let told = state.history.latest(vehicle, event::SENSOR_STATE, since, SENSOR_EVENTS_MAX).await?;
    let (gaps, lanes, clock) = state
        .pipeline
        .with_ingest(|worker| (gaps(worker, vehicle), lanes(worker, vehicle), clock(worker, vehicle)));
    Ok(Json(Vehicle {
        ecus: ecus(&entry, &parts),
        buses: buses(&entry, &parts),
        gaps,
        lanes,
        clock,
        features: entry.record.features,
        capabilities: entry.capabilities,
        sensors: sensors(&told),
        summary,
    }))
}

/// Returns what is known of a vehicle that nobody registered, if it left a trace: a refused session, an event, an alert.
async fn unknown(state: &App, vehicle: VehicleId) -> Result<(VehicleEntry, VehicleSummary), ApiFailure> {
    let (scope, left) =
        (state.scope(), state.pipeline.with_ingest(|worker| worker.received(vehicle).is_some()));
    let stranger = state.directory.strangers().into_iter().find(|(id, _)| *id == vehicle);
    let stored = state.store.unregistered_vehicle(scope, vehicle).await?;
    if stored.is_none() && stranger.is_none() && !left {
        return Err(ApiFailure::not_found("the vehicle does not exist"));
    }
    let mut summary = stored.unwrap_or_else(|| VehicleSummary::unregistered(vehicle));
    summary.last_seen_at = stranger.map(|(_, stranger)| Timestamp(stranger.last));
    let record = VehicleRecord { vehicle, tenant: scope.tenant, ..VehicleRecord::default() };
    let (buses, capabilities) = (Vec::new(), Vec::new());
    Ok((VehicleEntry { record, buses, capabilities, batch_key: None, anchor_key: None }, summary))
}

/// Lists vehicles that came without being registered.
pub(crate) async fn unregistered(state: Shared) -> Json<Vec<UnregisteredVehicle>> {
    let one = |(vehicle, stranger): (VehicleId, Stranger)| UnregisteredVehicle {
        vehicle_id: vehicle.to_string(),
        refusals: stranger.refusals,
        first_at: Timestamp(stranger.first),
        last_at: Timestamp(stranger.last),
    };
    Json(state.directory.strangers().into_iter().map(one).collect())
}

/// Holes of a vehicle, newest first.
fn gaps(worker: &Worker, vehicle: VehicleId) -> Vec<Gap> {
    let mut gaps: Vec<Gap> = worker
        .gaps(vehicle)
        .into_iter()
        .map(|gap| Gap {
            epoch: gap.epoch.0,
            lane: lane(gap.lane),
            from_seq: gap.first.0,
            to_seq: gap.last.0,
            state: match gap.state {
                outrider_ingest::GapState::Open => GapState::Open,
                outrider_ingest::GapState::Overdue => GapState::Overdue,
                outrider_ingest::GapState::Lost => GapState::Tombstoned,
            },
            since: Timestamp(gap.since),
            reason: gap.reason.map(|reason| reason.word().to_owned()),
        })
        .collect();
    gaps.sort_by_key(|gap| std::cmp::Reverse((gap.epoch, gap.from_seq)));
    gaps.truncate(GAPS_MAX);
    gaps
}

/// Lanes of a vehicle, newest boot first.
fn lanes(worker: &Worker, vehicle: VehicleId) -> Vec<LaneState> {
    let lanes = worker.received(vehicle).into_iter().flat_map(|received| received.lanes());
    let mut lanes: Vec<LaneState> = lanes
        .map(|(epoch, of, state)| LaneState {
            lane: lane(of),
            epoch: epoch.0,
            contiguous_seq: state.contiguous(),
            highest_seq: state.announced.max(state.durable.ranges().map(|range| range.1).max().unwrap_or(0)),
            dropped: state.lost.ranges().map(|(first, last)| last - first + 1).sum(),
        })
        .collect();
    lanes.sort_by_key(|lane| std::cmp::Reverse(lane.epoch));
    lanes.truncate(LANES_MAX);
    lanes
}

/// Clock of a vehicle's newest boot, by the best fix that was believed.
fn clock(worker: &Worker, vehicle: VehicleId) -> ClockHealth {
    let fix = worker.clock(vehicle).and_then(|clock| clock.best_fix());
    let source = source_word(fix.map_or(ClockSource::Unknown, |fix| fix.source));
    let refused_fixes = worker.clock(vehicle).map_or(0, |clock| clock.refused);
    ClockHealth { source: source.to_owned(), error_us: fix.map(|fix| fix.error_us), refused_fixes }
}

/// Events and worst severity of some parts.
fn sum<'a>(parts: impl Iterator<Item = &'a PartCount>) -> (u64, Option<Severity>) {
    parts.fold((0, None), |(events, worst), part| (events + part.events, worst.max(part.worst)))
}

/// ECUs of a vehicle with their events of the last day.
fn ecus(entry: &VehicleEntry, parts: &[PartCount]) -> Vec<EcuHealth> {
    let one = |ecu: &outrider_model::EcuEntry| {
        let (events, worst) = sum(parts.iter().filter(|part| part.ecu.as_deref() == Some(ecu.name.as_str())));
        EcuHealth {
            ecu_id: u32::from(ecu.ecu.0),
            name: ecu.name.clone(),
            bus: Some(u32::from(ecu.bus)),
            supplier: Some(ecu.supplier.clone()).filter(|text| !text.is_empty()),
            software: Some(ecu.software.clone()).filter(|text| !text.is_empty()),
            worst_severity: worst,
            events_24h: events,
        }
    };
    entry.record.ecus.iter().map(one).collect()
}

/// Buses of a vehicle with their events of the last day; buses that only events name come too.
fn buses(entry: &VehicleEntry, parts: &[PartCount]) -> Vec<BusHealth> {
    let mut buses: BTreeMap<u32, BusHealth> =
        entry.buses.iter().map(|bus| (bus.bus_id, bus.clone())).collect();
    for number in parts.iter().filter_map(|part| u32::try_from(part.bus).ok()) {
        buses.entry(number).or_insert_with(|| BusHealth {
            bus_id: number,
            name: format!("bus {number}"),
            kind: "unknown".to_owned(),
            bitrate_kbit: None,
            events_24h: 0,
            worst_severity: None,
        });
    }
    for (number, bus) in &mut buses {
        (bus.events_24h, bus.worst_severity) =
            sum(parts.iter().filter(|part| part.bus == i64::from(*number)));
    }
    buses.into_values().collect()
}

/// Newest statement of each sensor, by bus and name; the events come latest first.
fn sensors(told: &[Event]) -> Vec<SensorState> {
    let mut sensors: BTreeMap<(Option<u32>, String), SensorState> = BTreeMap::new();
    for event in told {
        let text = |name: &str| match event.fields.get(name).map(|field| &field.value) {
            Some(Scalar::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let number = |name: &str| match event.fields.get(name).map(|field| &field.value) {
            Some(Scalar::Integer(number)) => u64::try_from(*number).ok(),
            _ => None,
        };
        let flag = |name: &str| match event.fields.get(name).map(|field| &field.value) {
            Some(Scalar::Bool(flag)) => Some(*flag),
            _ => None,
        };
        let Some(sensor) = text("component") else { continue };
        sensors.entry((event.bus, sensor.clone())).or_insert_with(|| SensorState {
            sensor,
            bus_id: event.bus,
            mode: text("sensor_mode").unwrap_or_else(|| "unknown".to_owned()),
            frames: number("frames").unwrap_or(0),
            alarms: number("alarms").unwrap_or(0),
            alarm_budget_per_hour: number("alarm_budget_per_hour"),
            operating_mode: text("operating_mode"),
            budget_left: number("budget_left"),
            withheld: number("withheld"),
            gated: number("gated"),
            demoted: flag("demoted"),
            dropped: number("dropped").unwrap_or(0),
            span_s: number("duration_us").unwrap_or(0) / 1_000_000,
            as_of: event.event_time,
        });
    }
    sensors.into_values().collect()
}

/// Lists a vehicle's events.
pub(crate) async fn timeline(
    state: Shared,
    Path(id): Path<String>,
    Params(query): Params<TimelineQuery>,
) -> Result<Json<EventList>, ApiFailure> {
    let scope = state.scope();
    let vehicle = vehicle_id(&id)?;
    if !state.directory.is_registered(vehicle) {
        unknown(&state, vehicle).await?;
    }
    let limit = limit(query.limit)?;
    let offset = match query.cursor.as_deref().map(str::parse::<u64>) {
        None => 0,
        Some(Ok(offset)) if offset <= OFFSET_MAX => offset,
        Some(Ok(_) | Err(_)) => return Err(ApiFailure::invalid("the cursor is none of this list")),
    };
    let span = TimelineSpan {
        vehicle,
        from: query.from.map_or(UnixMicros(0), |at| at.0),
        to: query.to.map_or(scope.now.saturating_add(DAY_US), |at| at.0),
    };
    let mut items = state.history.timeline(span, offset, limit + 1).await?;
    let has_more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let seen = offset + items.len() as u64;
    state.pipeline.with_ingest(|worker| items.iter_mut().for_each(|item| correct(worker, vehicle, item)));
    Ok(Json(EventList {
        next_cursor: has_more.then(|| seen.to_string()),
        total: seen + u64::from(has_more),
        items,
        as_of: Timestamp(scope.now),
    }))
}

/// Gives an event the time that is known now, if that is narrower than what was known when it came: a better anchor may
/// have come later. The order of the page stays that of the stored times.
fn correct(worker: &Worker, vehicle: VehicleId, event: &mut Event) {
    let epoch = event.id.split('.').nth(1).and_then(|epoch| epoch.parse().ok()).map(BootEpoch);
    let Some((epoch, mono)) = epoch.zip(event.vehicle_us.map(VehicleMicros)) else { return };
    let Some(time) = worker.event_time(vehicle, epoch, mono) else { return };
    if time.error_us < event.event_time_error_us {
        event.event_time = Timestamp(time.best);
        event.event_time_error_us = time.error_us;
        event.corrected = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::dto::FieldValue;

    #[test]
    fn a_detector_shows_its_account_and_a_sensor_without_one_shows_none() {
        let mut account = told(Some(0), "habit", 7);
        let fields = [
            ("component", Scalar::Text("can.payload".to_owned())),
            ("budget_left", Scalar::Integer(1)),
            ("withheld", Scalar::Integer(4)),
            ("demoted", Scalar::Bool(true)),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), FieldValue { value, unit: None }));
        account.fields.extend(fields);
        let mut bus = told(Some(0), "model", 7);
        let mode = FieldValue { value: Scalar::Text("flashing".to_owned()), unit: None };
        bus.fields.insert("operating_mode".to_owned(), mode);
        let shown = sensors(&[account, bus]);
        let of = |state: &SensorState| {
            (state.operating_mode.clone(), state.budget_left, state.withheld, state.demoted)
        };
        let shown: Vec<_> = shown.iter().map(of).collect();
        let expected =
            [(Some("flashing".to_owned()), None, None, None), (None, Some(1), Some(4), Some(true))];
        assert_eq!(shown, expected);
    }

    fn told(bus: Option<u32>, mode: &str, at: i64) -> Event {
        let text = |text: &str| FieldValue { value: Scalar::Text(text.to_owned()), unit: None };
        let number = |number| FieldValue { value: Scalar::Integer(number), unit: None };
        let fields = [
            ("component", text("can")),
            ("sensor_mode", text(mode)),
            ("frames", number(7)),
            ("duration_us", number(3_600_000_000)),
        ];
        Event {
            id: "x".to_owned(),
            event_type: "sensor.state".to_owned(),
            title: "State of a sensor".to_owned(),
            severity: Severity::Info,
            lane: crate::api::dto::Lane::Deferred,
            vehicle_id: "x".to_owned(),
            model_line: None,
            event_time: Timestamp(UnixMicros(at)),
            event_time_error_us: 0,
            ingest_time: Timestamp(UnixMicros(at)),
            late: false,
            count: 1,
            bus,
            ecu: None,
            fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            vehicle_us: None,
            corrected: false,
            context_hex: None,
        }
    }

    #[test]
    fn each_sensor_shows_its_newest_statement() {
        let mut nameless = told(Some(0), "model", 9);
        nameless.fields.remove("component");
        let events =
            [nameless, told(Some(1), "model", 8), told(Some(0), "learned", 7), told(Some(0), "warm_up", 6)];
        let shown: Vec<_> = sensors(&events)
            .into_iter()
            .map(|state| (state.bus_id, state.mode, state.frames, state.span_s, state.alarm_budget_per_hour))
            .collect();
        let expected =
            [(Some(0), "learned".to_owned(), 7, 3600, None), (Some(1), "model".to_owned(), 7, 3600, None)];
        assert_eq!(shown, expected);
    }
}
