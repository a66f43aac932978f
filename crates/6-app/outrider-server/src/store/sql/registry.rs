//! Imports and stages.

use std::collections::BTreeMap;

use async_trait::async_trait;
use outrider_ingest::registry::VehiclePatch;
use outrider_model::{EcuEntry, VehicleRecord};
use outrider_types::{EcuId, TenantId, VehicleId};
use serde::{Deserialize, Serialize};

use super::engine::{self, Connection, QueryBuilder, Row};
use super::fleet::push_filter;
use super::identity::write_audit;
use super::{SqlStore, any_of, count, int, json, to_json, word};
use crate::store::{
    AuditEntry, Merged, RegistryStore, Scope, Selection, StageChange, StoreError, StoreResult,
};

/// Vehicles of one statement: seventeen values each stay below SQLite's limit of 32,766.
const ROWS_MAX: usize = 1000;

/// Vehicles with their ECUs, up to the conditions.
pub(super) const VEHICLE: &str =
    "SELECT v.*, e.ecus FROM vehicle v LEFT JOIN ecu_list e ON e.number = v.ecu_list WHERE v.tenant = ";

/// ECU in the database: number, name, bus, software release, supplier. The last came with version 7.
#[derive(Serialize, Deserialize)]
struct StoredEcu(u16, String, u8, String, #[serde(default)] String);

#[async_trait]
impl RegistryStore for SqlStore {
    async fn merge_vehicles(
        &self,
        scope: Scope,
        vehicles: &[(VehicleId, VehiclePatch)],
        is_dry: bool,
    ) -> StoreResult<Vec<Merged>> {
        if is_dry {
            let mut connection = self.read.acquire().await?;
            return Ok(merge(&mut connection, scope.tenant, vehicles).await?.0);
        }
        let mut transaction = self.begin().await?;
        let (merged, records) = merge(&mut transaction, scope.tenant, vehicles).await?;
        if !records.is_empty() {
            let revision = next_revision(&mut transaction, scope.tenant).await?;
            write_records(&mut transaction, scope.tenant, revision, &records).await?;
        }
        transaction.commit().await?;
        Ok(merged)
    }

    async fn change_stage(&self, scope: Scope, change: &StageChange) -> StoreResult<u64> {
        let mut transaction = self.begin().await?;
        let tenant = i64::from(scope.tenant.0);
        let revision = next_revision(&mut transaction, scope.tenant).await?;
        if let Selection::Vehicles(ids) = &change.selection {
            let found = read_records(&mut transaction, scope.tenant, ids).await?;
            if let Some(id) = ids.iter().find(|id| !found.contains_key(id)) {
                return Err(StoreError::NotFound { what: "vehicle", id: id.to_string() });
            }
        }
        let mut update = QueryBuilder::new("UPDATE vehicle AS v SET stage = ");
        update.push_bind(change.stage.word()).push(", revision = ").push_bind(revision);
        update.push(" WHERE v.tenant = ").push_bind(tenant);
        update.push(" AND v.stage <> ").push_bind(change.stage.word());
        match &change.selection {
            Selection::Vehicles(ids) if ids.is_empty() => return Ok(0),
            Selection::Vehicles(ids) => any_of(&mut update, "v.id", ids.iter().map(VehicleId::to_string)),
            Selection::Filter(filter) => push_filter(&mut update, filter, scope.now),
        }
        let changed = update.build().execute(&mut *transaction).await?;
        let entry = AuditEntry {
            actor: change.by.clone(),
            action: "change_monitoring_stage",
            subject: format!("{changed} vehicles to {}: {}", change.stage.word(), change.reason),
            outcome: "done",
        };
        write_audit(&mut transaction, scope, &entry).await?;
        transaction.commit().await?;
        Ok(changed)
    }
}

/// Compares; returns what becomes of each vehicle and the records that are to be written.
async fn merge(
    connection: &mut Connection,
    tenant: TenantId,
    vehicles: &[(VehicleId, VehiclePatch)],
) -> StoreResult<(Vec<Merged>, Vec<VehicleRecord>)> {
    let ids: Vec<VehicleId> = vehicles.iter().map(|(id, _)| *id).collect();
    let known = read_records(connection, tenant, &ids).await?;
    let (mut merged, mut records) = (Vec::with_capacity(vehicles.len()), Vec::new());
    for (id, patch) in vehicles {
        let before = known.get(id);
        let mut record = before.cloned().unwrap_or_else(|| VehicleRecord {
            vehicle: *id,
            tenant,
            ..VehicleRecord::default()
        });
        patch.apply(&mut record);
        merged.push(match before {
            None => Merged::New,
            Some(before) if *before == record => Merged::Unchanged,
            Some(_) => Merged::Changed,
        });
        if before != Some(&record) {
            records.push(record);
        }
    }
    Ok((merged, records))
}

/// Reads what is registered of some vehicles.
async fn read_records(
    connection: &mut Connection,
    tenant: TenantId,
    ids: &[VehicleId],
) -> StoreResult<BTreeMap<VehicleId, VehicleRecord>> {
    let mut records = BTreeMap::new();
    for some in ids.chunks(ROWS_MAX) {
        let mut query = QueryBuilder::new(VEHICLE);
        query.push_bind(i64::from(tenant.0));
        any_of(&mut query, "v.id", some.iter().map(VehicleId::to_string));
        for row in query.build().fetch_all(&mut *connection).await? {
            let record = record_of(&row, tenant)?;
            records.insert(record.vehicle, record);
        }
    }
    Ok(records)
}

/// Registers records or replaces them; what else a vehicle's row holds stays.
async fn write_records(
    connection: &mut Connection,
    tenant: TenantId,
    revision: i64,
    records: &[VehicleRecord],
) -> StoreResult<()> {
    let mut lists = EcuLists::default();
    for some in records.chunks(ROWS_MAX) {
        let mut numbers = Vec::with_capacity(some.len());
        for record in some {
            numbers.push(lists.number(connection, tenant, &record.ecus).await?);
        }
        let mut query = QueryBuilder::new(
            "INSERT INTO vehicle (tenant, id, model_line, platform, model_year, hardware, release, region, h3, connectivity, \
             registration, stage, features, ecu_list, buses, capabilities, revision) ",
        );
        query.push_values(some.iter().zip(numbers), |row, (record, number)| {
            row.push_bind(i64::from(tenant.0)).push_bind(record.vehicle.to_string());
            row.push_bind(record.model_line.clone()).push_bind(record.platform.clone());
            row.push_bind(i64::from(record.model_year)).push_bind(record.hardware.clone());
            row.push_bind(record.release.clone()).push_bind(record.region.clone());
            row.push_bind(record.h3.map(int)).push_bind(record.connectivity.word());
            row.push_bind(record.registration.word()).push_bind(record.stage.word());
            row.push_bind(to_json(&record.features)).push_bind(number);
            row.push_bind("[]").push_bind("[]").push_bind(revision);
        });
        query.push(
            " ON CONFLICT (tenant, id) DO UPDATE SET model_line = excluded.model_line, platform = excluded.platform, \
             model_year = excluded.model_year, hardware = excluded.hardware, release = excluded.release, \
             region = excluded.region, h3 = excluded.h3, connectivity = excluded.connectivity, \
             registration = excluded.registration, stage = excluded.stage, features = excluded.features, \
             ecu_list = excluded.ecu_list, revision = excluded.revision",
        );
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Revision of the next change.
pub(super) async fn next_revision(connection: &mut Connection, tenant: TenantId) -> StoreResult<i64> {
    let query = "SELECT coalesce(max(revision), 0) + 1 FROM vehicle WHERE tenant = ?";
    Ok(engine::query_scalar(query).bind(i64::from(tenant.0)).fetch_one(connection).await?)
}

/// Lists of ECUs that were looked up in this transaction.
#[derive(Default)]
pub(super) struct EcuLists(BTreeMap<String, i64>);

impl EcuLists {
    /// Returns the number of a list, storing it if it is new.
    pub(super) async fn number(
        &mut self,
        connection: &mut Connection,
        tenant: TenantId,
        ecus: &[EcuEntry],
    ) -> StoreResult<i64> {
        let stored = |ecu: &EcuEntry| {
            StoredEcu(ecu.ecu.0, ecu.name.clone(), ecu.bus, ecu.software.clone(), ecu.supplier.clone())
        };
        let text = to_json(&ecus.iter().map(stored).collect::<Vec<_>>());
        if let Some(number) = self.0.get(&text) {
            return Ok(*number);
        }
        let known = engine::query_scalar("SELECT number FROM ecu_list WHERE tenant = ? AND ecus = ?")
            .bind(i64::from(tenant.0))
            .bind(&text)
            .fetch_optional(&mut *connection)
            .await?;
        let number = match known {
            Some(number) => number,
            None => {
                engine::query_scalar("INSERT INTO ecu_list (tenant, ecus) VALUES (?, ?) RETURNING number")
                    .bind(i64::from(tenant.0))
                    .bind(&text)
                    .fetch_one(connection)
                    .await?
            }
        };
        self.0.insert(text, number);
        Ok(number)
    }
}

/// Reads what is registered of a vehicle from a row of [`VEHICLE`].
pub(super) fn record_of(row: &Row, tenant: TenantId) -> StoreResult<VehicleRecord> {
    // A vehicle that came from another owner before version 7 may have no list.
    let listed: Option<String> = row.try_get("ecus")?;
    let ecus: Vec<StoredEcu> = if listed.is_some() { json(row, "ecus")? } else { Vec::new() };
    Ok(VehicleRecord {
        vehicle: word(row, "id", |text| text.parse().ok())?,
        tenant,
        model_line: row.try_get("model_line")?,
        platform: row.try_get("platform")?,
        model_year: u16::try_from(row.try_get::<i64>("model_year")?).unwrap_or_default(),
        hardware: row.try_get("hardware")?,
        release: row.try_get("release")?,
        region: row.try_get("region")?,
        h3: row.try_get::<Option<i64>>("h3")?.map(count),
        connectivity: word(row, "connectivity", outrider_model::Connectivity::from_word)?,
        registration: word(row, "registration", outrider_model::Registration::from_word)?,
        stage: word(row, "stage", outrider_model::MonitoringStage::from_word)?,
        features: json(row, "features")?,
        ecus: ecus
            .into_iter()
            .map(|StoredEcu(ecu, name, bus, software, supplier)| EcuEntry {
                ecu: EcuId(ecu),
                name,
                bus,
                supplier,
                software,
            })
            .collect(),
    })
}
