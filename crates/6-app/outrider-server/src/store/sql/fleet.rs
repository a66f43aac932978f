//! Vehicle registry and what happened where.

use std::collections::BTreeMap;

use async_trait::async_trait;
use outrider_types::{TenantId, UnixMicros, VehicleId};

use super::engine::{self, QueryBuilder, Row};
use super::registry::{EcuLists, VEHICLE, next_revision, record_of};
use super::{
    SqlStore, any_of, count, cursor_parts, int, json, number, overview, severity_code, severity_of, time_opt,
    to_json, word,
};
use crate::api::dto::{Connectivity, MonitoringStage, Region, Registration, VehicleSummary};
use crate::store::{
    BatchKey, CellCount, FleetStore, OverviewCounts, Page, RegistryMark, Scope, StoreError, StoreResult,
    VehicleEntry, VehicleFilter, VehicleOrder,
};

/// A vehicle heard of within this time is online: five minutes cover a batch window and a retry (guess).
const ONLINE_US: i64 = 300_000_000;
/// A vehicle not heard of for longer is silent.
pub(super) const SILENT_US: i64 = 86_400_000_000;
const HOUR_US: i64 = 3_600_000_000;

/// Vehicles with their open alerts.
const SUMMARY: &str = "SELECT * FROM (SELECT v.*, \
    (SELECT count(*) FROM alert_vehicle x JOIN alert a ON a.tenant = x.tenant AND a.id = x.alert_id \
     WHERE x.tenant = v.tenant AND x.vehicle_id = v.id AND a.status <> 'closed') AS open_alerts, \
    (SELECT coalesce(max(a.severity), 0) FROM alert_vehicle x JOIN alert a ON a.tenant = x.tenant AND a.id = x.alert_id \
     WHERE x.tenant = v.tenant AND x.vehicle_id = v.id AND a.status <> 'closed') AS worst FROM vehicle v) v WHERE v.tenant = ";

#[async_trait]
impl FleetStore for SqlStore {
    async fn put_vehicles(&self, scope: Scope, vehicles: &[VehicleEntry]) -> StoreResult<()> {
        let mut transaction = self.begin().await?;
        let revision = next_revision(&mut transaction, scope.tenant).await?;
        let mut lists = EcuLists::default();
        for entry in vehicles {
            let record = &entry.record;
            let ecu_list = lists.number(&mut transaction, scope.tenant, &record.ecus).await?;
            engine::query(
                "INSERT INTO vehicle (tenant, id, model_line, platform, model_year, hardware, release, region, h3, connectivity, \
                 registration, stage, features, ecu_list, buses, capabilities, batch_key, anchor_key, revision) \
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
                 ON CONFLICT (tenant, id) DO UPDATE SET model_line = excluded.model_line, platform = excluded.platform, \
                 model_year = excluded.model_year, hardware = excluded.hardware, release = excluded.release, \
                 region = excluded.region, h3 = excluded.h3, connectivity = excluded.connectivity, \
                 registration = excluded.registration, stage = excluded.stage, features = excluded.features, \
                 ecu_list = excluded.ecu_list, buses = excluded.buses, capabilities = excluded.capabilities, \
                 batch_key = excluded.batch_key, anchor_key = excluded.anchor_key, revision = excluded.revision",
            )
            .bind(i64::from(scope.tenant.0))
            .bind(record.vehicle.to_string())
            .bind(&record.model_line)
            .bind(&record.platform)
            .bind(i64::from(record.model_year))
            .bind(&record.hardware)
            .bind(&record.release)
            .bind(&record.region)
            .bind(record.h3.map(int))
            .bind(record.connectivity.word())
            .bind(record.registration.word())
            .bind(record.stage.word())
            .bind(to_json(&record.features))
            .bind(ecu_list)
            .bind(to_json(&entry.buses))
            .bind(to_json(&entry.capabilities))
            .bind(entry.batch_key.map(|key| key.as_bytes().to_vec()))
            .bind(entry.anchor_key.map(|key| key.to_vec()))
            .bind(revision)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn registered_vehicles(
        &self,
        scope: Scope,
        after: RegistryMark,
        limit: u32,
    ) -> StoreResult<(Vec<VehicleEntry>, RegistryMark)> {
        let mut query = QueryBuilder::new(VEHICLE);
        query
            .push_bind(i64::from(scope.tenant.0))
            .push(" AND (v.revision, v.id) > (")
            .push_bind(after.revision);
        // Behind every pseudonym, if none is named: the revision is done.
        let last = after.vehicle.map_or_else(|| "g".to_owned(), |vehicle| vehicle.to_string());
        query
            .push(", ")
            .push_bind(last)
            .push(") ORDER BY v.revision, v.id LIMIT ")
            .push_bind(i64::from(limit));
        let rows = query.build().fetch_all(&self.read).await?;
        let mut mark = after;
        let mut entries = Vec::with_capacity(rows.len());
        for row in &rows {
            let entry = entry_of(row, scope.tenant)?;
            mark = RegistryMark { revision: row.try_get("revision")?, vehicle: Some(entry.record.vehicle) };
            entries.push(entry);
        }
        Ok((entries, mark))
    }

    async fn vehicles(
        &self,
        scope: Scope,
        filter: &VehicleFilter,
        order: (VehicleOrder, bool),
        cursor: Option<&str>,
        limit: u32,
    ) -> StoreResult<Page<VehicleSummary>> {
        let tenant = i64::from(scope.tenant.0);
        let mut total = QueryBuilder::new("SELECT count(*) FROM vehicle v WHERE v.tenant = ");
        total.push_bind(tenant);
        push_filter(&mut total, filter, scope.now);
        let total: i64 = total.build_query_scalar().fetch_one(&self.read).await?;
        let mut query = QueryBuilder::new(SUMMARY);
        query.push_bind(tenant);
        push_filter(&mut query, filter, scope.now);
        let (column, descending) = (order_column(order.0), order.1);
        let (sign, direction) = if descending { (" < ", " DESC") } else { (" > ", " ASC") };
        if let Some(cursor) = cursor {
            let (value, id) = cursor_parts(cursor)?;
            match column {
                Some(column) => {
                    query.push(" AND (").push(column).push(", v.id)").push(sign).push("(");
                    query.push_bind(value).push(", ").push_bind(id.to_owned()).push(")");
                }
                None => drop(query.push(" AND v.id").push(sign).push_bind(id.to_owned())),
            }
        }
        query.push(" ORDER BY ");
        if let Some(column) = column {
            query.push(column).push(direction).push(", ");
        }
        query.push("v.id").push(direction).push(" LIMIT ");
        query.push_bind(i64::from(limit) + 1);
        let rows = query.build().fetch_all(&self.read).await?;
        let items = rows
            .iter()
            .take(limit as usize)
            .map(|row| summary_of(row, scope.now))
            .collect::<StoreResult<Vec<_>>>()?;
        let next_cursor = (rows.len() > items.len())
            .then(|| items.last().map(|item| format!("{}.{}", order_value(order.0, item), item.vehicle_id)))
            .flatten();
        Ok(Page { items, next_cursor, total: count(total) })
    }

    async fn vehicle_summaries(&self, scope: Scope, ids: &[VehicleId]) -> StoreResult<Vec<VehicleSummary>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut query = QueryBuilder::new(SUMMARY);
        query.push_bind(i64::from(scope.tenant.0));
        any_of(&mut query, "v.id", ids.iter().map(VehicleId::to_string));
        query.push(" ORDER BY v.id");
        query.build().fetch_all(&self.read).await?.iter().map(|row| summary_of(row, scope.now)).collect()
    }

    async fn unregistered_vehicle(&self, scope: Scope, id: VehicleId) -> StoreResult<Option<VehicleSummary>> {
        let row = engine::query(
            "SELECT (SELECT count(*) FROM alert_vehicle x WHERE x.tenant = ?1 AND x.vehicle_id = ?2) AS alerts, \
             (SELECT max(h.hour) FROM vehicle_hour h WHERE h.tenant = ?1 AND h.vehicle_id = ?2) AS hour, \
             (SELECT count(*) FROM alert_vehicle x JOIN alert a ON a.tenant = x.tenant AND a.id = x.alert_id \
              WHERE x.tenant = ?1 AND x.vehicle_id = ?2 AND a.status <> 'closed') AS open_alerts, \
             (SELECT coalesce(max(a.severity), 0) FROM alert_vehicle x JOIN alert a ON a.tenant = x.tenant AND a.id = x.alert_id \
              WHERE x.tenant = ?1 AND x.vehicle_id = ?2 AND a.status <> 'closed') AS worst \
             WHERE NOT EXISTS (SELECT 1 FROM vehicle v WHERE v.tenant = ?1 AND v.id = ?2)",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(id.to_string())
        .fetch_optional(&self.read)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let hour: Option<i64> = row.try_get("hour")?;
        if hour.is_none() && number(&row, "alerts")? == 0 {
            return Ok(None);
        }
        Ok(Some(VehicleSummary {
            open_alerts: number(&row, "open_alerts")?,
            worst_severity: severity_of(row.try_get("worst")?),
            ..VehicleSummary::unregistered(id)
        }))
    }

    async fn vehicle_entry(&self, scope: Scope, id: VehicleId) -> StoreResult<VehicleEntry> {
        let mut query = QueryBuilder::new(VEHICLE);
        query.push_bind(i64::from(scope.tenant.0)).push(" AND v.id = ").push_bind(id.to_string());
        let row = query
            .build()
            .fetch_optional(&self.read)
            .await?
            .ok_or_else(|| StoreError::NotFound { what: "vehicle", id: id.to_string() })?;
        entry_of(&row, scope.tenant)
    }

    async fn regions(&self, scope: Scope) -> StoreResult<Vec<Region>> {
        let rows = engine::query(
            "SELECT v.region AS region, count(*) AS vehicles, \
             count(*) FILTER (WHERE coalesce(v.last_seen_at, 0) >= ?1) AS reporting, \
             (SELECT CAST(coalesce(sum(h.events), 0) AS BIGINT) FROM vehicle_hour h JOIN vehicle w ON w.tenant = h.tenant AND w.id = h.vehicle_id \
              WHERE h.tenant = v.tenant AND w.region = v.region AND h.hour > ?2) AS events, \
             (SELECT count(DISTINCT a.id) FROM alert_vehicle x JOIN vehicle w ON w.tenant = x.tenant AND w.id = x.vehicle_id \
              JOIN alert a ON a.tenant = x.tenant AND a.id = x.alert_id \
              WHERE x.tenant = v.tenant AND w.region = v.region AND a.status <> 'closed') AS open_alerts, \
             (SELECT coalesce(max(a.severity), 0) FROM alert_vehicle x JOIN vehicle w ON w.tenant = x.tenant AND w.id = x.vehicle_id \
              JOIN alert a ON a.tenant = x.tenant AND a.id = x.alert_id \
              WHERE x.tenant = v.tenant AND w.region = v.region AND a.status <> 'closed') AS worst \
             FROM vehicle v WHERE v.tenant = ?3 GROUP BY v.tenant, v.region ORDER BY open_alerts DESC, region",
        )
        .bind(scope.now.saturating_add(-SILENT_US).0)
        .bind(scope.now.0.div_euclid(HOUR_US) - 24)
        .bind(i64::from(scope.tenant.0))
        .fetch_all(&self.read)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Region {
                    region: row.try_get("region")?,
                    vehicles: number(row, "vehicles")?,
                    reporting: number(row, "reporting")?,
                    events_24h: number(row, "events")?,
                    open_alerts: number(row, "open_alerts")?,
                    worst_severity: severity_of(row.try_get("worst")?),
                })
            })
            .collect()
    }

    async fn cells(&self, scope: Scope) -> StoreResult<BTreeMap<u64, CellCount>> {
        let tenant = i64::from(scope.tenant.0);
        let mut cells: BTreeMap<u64, CellCount> = BTreeMap::new();
        let rows = engine::query(
            "SELECT v.h3 AS h3, count(*) AS vehicles, \
             CAST(coalesce(sum((SELECT sum(h.events) FROM vehicle_hour h WHERE h.tenant = v.tenant AND h.vehicle_id = v.id AND h.hour > ?1)), 0) AS BIGINT) AS events \
             FROM vehicle v WHERE v.tenant = ?2 AND v.h3 IS NOT NULL GROUP BY v.h3",
        )
        .bind(scope.now.0.div_euclid(HOUR_US) - 24)
        .bind(tenant)
        .fetch_all(&self.read)
        .await?;
        for row in &rows {
            let cell = cells.entry(number(row, "h3")?).or_default();
            cell.vehicles = number(row, "vehicles")?;
            cell.events = number(row, "events")?;
        }
        let rows = engine::query(
            "SELECT v.h3 AS h3, count(DISTINCT a.id) AS alerts, max(a.severity) AS worst FROM vehicle v \
             JOIN alert_vehicle x ON x.tenant = v.tenant AND x.vehicle_id = v.id \
             JOIN alert a ON a.tenant = x.tenant AND a.id = x.alert_id \
             WHERE v.tenant = ? AND v.h3 IS NOT NULL AND a.status <> 'closed' GROUP BY v.h3",
        )
        .bind(tenant)
        .fetch_all(&self.read)
        .await?;
        for row in &rows {
            let cell = cells.entry(number(row, "h3")?).or_default();
            cell.alerts = number(row, "alerts")?;
            cell.worst = severity_of(row.try_get("worst")?);
        }
        Ok(cells)
    }

    async fn overview(&self, scope: Scope) -> StoreResult<OverviewCounts> {
        overview::read(&self.read, scope).await
    }

    async fn database_bytes(&self) -> StoreResult<u64> {
        Ok(count(self.read.bytes().await?))
    }
}

/// Reads a registered vehicle from its row.
fn entry_of(row: &Row, tenant: TenantId) -> StoreResult<VehicleEntry> {
    let key: Option<Vec<u8>> = row.try_get("batch_key")?;
    let batch_key = key
        .map(|key| {
            BatchKey::from_bytes(&key).ok_or_else(|| StoreError::Damaged {
                what: "batch_key",
                value: format!("{} bytes", key.len()),
            })
        })
        .transpose()?;
    let anchor: Option<Vec<u8>> = row.try_get("anchor_key")?;
    let anchor_key = anchor
        .map(|key| {
            let damaged = StoreError::Damaged { what: "anchor_key", value: format!("{} bytes", key.len()) };
            key.try_into().map_err(|_| damaged)
        })
        .transpose()?;
    Ok(VehicleEntry {
        record: record_of(row, tenant)?,
        buses: json(row, "buses")?,
        capabilities: json(row, "capabilities")?,
        batch_key,
        anchor_key,
    })
}

/// Says in one word when a vehicle was last heard of.
fn connectivity(last_seen: Option<UnixMicros>, now: UnixMicros) -> Connectivity {
    match last_seen.map(|seen| now.micros_since(seen)) {
        None => Connectivity::Never,
        Some(age) if age <= ONLINE_US => Connectivity::Online,
        Some(age) if age <= SILENT_US => Connectivity::Recent,
        Some(_) => Connectivity::Silent,
    }
}

/// Reads a summary from its row.
fn summary_of(row: &Row, now: UnixMicros) -> StoreResult<VehicleSummary> {
    let text = |column| -> StoreResult<Option<String>> {
        Ok(Some(row.try_get::<String>(column)?).filter(|text| !text.is_empty()))
    };
    let last_seen_at = time_opt(row, "last_seen_at")?;
    Ok(VehicleSummary {
        vehicle_id: row.try_get("id")?,
        model_line: text("model_line")?,
        model_year: u32::try_from(row.try_get::<i64>("model_year")?).ok().filter(|year| *year > 0),
        platform: text("platform")?,
        region: text("region")?,
        release: text("release")?,
        hardware: text("hardware")?,
        registered: true,
        registration: Some(word(row, "registration", Registration::from_word)?),
        stage: Some(word(row, "stage", MonitoringStage::from_word)?),
        last_event_at: time_opt(row, "last_event_at")?,
        last_seen_at,
        open_alerts: number(row, "open_alerts")?,
        worst_severity: severity_of(row.try_get("worst")?),
        connectivity: connectivity(last_seen_at.map(|at| at.0), now),
    })
}

/// Appends the conditions of a filter on `vehicle v`.
pub(super) fn push_filter(query: &mut QueryBuilder, filter: &VehicleFilter, now: UnixMicros) {
    if let Some(prefix) = &filter.prefix {
        // A range, so that the key's index serves; `g` comes behind all hexadecimal digits.
        let prefix = prefix.to_lowercase();
        query.push(" AND v.id < ").push_bind(format!("{prefix}g"));
        query.push(" AND v.id >= ").push_bind(prefix);
    }
    let texts = [
        ("v.model_line", &filter.model_line),
        ("v.platform", &filter.platform),
        ("v.release", &filter.release),
        ("v.region", &filter.region),
    ];
    for (column, value) in texts {
        if let Some(value) = value {
            query.push(" AND ").push(column).push(" = ").push_bind(value.clone());
        }
    }
    let words = [
        ("v.stage", filter.stage.map(|it| it.word())),
        ("v.registration", filter.registration.map(|it| it.word())),
    ];
    for (column, value) in words {
        if let Some(value) = value {
            query.push(" AND ").push(column).push(" = ").push_bind(value);
        }
    }
    if let Some(year) = filter.model_year {
        query.push(" AND v.model_year = ").push_bind(i64::from(year));
    }
    let (online, silent) = (now.saturating_add(-ONLINE_US).0, now.saturating_add(-SILENT_US).0);
    match filter.status {
        None => {}
        Some(Connectivity::Never) => drop(query.push(" AND v.last_seen_at IS NULL")),
        Some(Connectivity::Online) => drop(query.push(" AND v.last_seen_at >= ").push_bind(online)),
        Some(Connectivity::Silent) => drop(query.push(" AND v.last_seen_at < ").push_bind(silent)),
        Some(Connectivity::Recent) => {
            query.push(" AND v.last_seen_at >= ").push_bind(silent);
            query.push(" AND v.last_seen_at < ").push_bind(online);
        }
    }
}

/// Column of an order before the id; `None` where the id is all, so that its index serves.
const fn order_column(order: VehicleOrder) -> Option<&'static str> {
    match order {
        VehicleOrder::Id => None,
        VehicleOrder::LastSeen => Some("coalesce(v.last_seen_at, 0)"),
        VehicleOrder::OpenAlerts => Some("v.open_alerts"),
        VehicleOrder::WorstSeverity => Some("v.worst * 1000000 + min(v.open_alerts, 999999)"),
    }
}

/// Value of an order's column.
fn order_value(order: VehicleOrder, item: &VehicleSummary) -> i64 {
    match order {
        VehicleOrder::Id => 0,
        VehicleOrder::LastSeen => item.last_seen_at.map_or(0, |at| at.0.0),
        VehicleOrder::OpenAlerts => int(item.open_alerts),
        VehicleOrder::WorstSeverity => {
            item.worst_severity.map_or(0, severity_code) * 1_000_000 + int(item.open_alerts).min(999_999)
        }
    }
}
