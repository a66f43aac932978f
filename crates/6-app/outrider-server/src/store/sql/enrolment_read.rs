//! Identity of vehicles: what is read.

use outrider_types::{BootEpoch, UnixMicros, VehicleId};
use sha2::{Digest as _, Sha256};

use super::engine::{self, Connection, Pool, Row};
use super::{number, time, time_opt, word};
use crate::api::dto::{IdentityLogEntry, VehicleBatchKey, VehicleCertificate, VehicleIdentity, VehicleState};
use crate::store::{IdentityChanges, RevokedCertificate, Scope, StoreError, StoreResult, StoredBatchKey};
use crate::vehicle::Serial;

/// Reads the state of a registered vehicle; one that nobody moved is active.
pub(super) async fn state(
    connection: &mut Connection,
    scope: Scope,
    vehicle: VehicleId,
) -> StoreResult<VehicleState> {
    let row = engine::query(
        "SELECT coalesce(i.state, 'active') AS state FROM vehicle v LEFT JOIN vehicle_identity i \
         ON i.tenant = v.tenant AND i.vehicle_id = v.id WHERE v.tenant = ? AND v.id = ?",
    )
    .bind(i64::from(scope.tenant.0))
    .bind(vehicle.to_string())
    .fetch_optional(connection)
    .await?;
    let row = row.ok_or_else(|| StoreError::NotFound { what: "vehicle", id: vehicle.to_string() })?;
    word(&row, "state", VehicleState::from_word)
}

/// Reads what changed after a revision, in one transaction.
pub(super) async fn changes(pool: &Pool, scope: Scope, after: i64) -> StoreResult<IdentityChanges> {
    let mut transaction = pool.snapshot().await?;
    let tenant = i64::from(scope.tenant.0);
    let mut changes = IdentityChanges { newest: after, ..IdentityChanges::default() };
    let rows = engine::query(
        "SELECT vehicle_id, state, revision FROM vehicle_identity WHERE tenant = ? AND revision > ? ORDER BY vehicle_id",
    )
    .bind(tenant)
    .bind(after)
    .fetch_all(&mut *transaction)
    .await?;
    for row in &rows {
        changes.newest = changes.newest.max(row.try_get("revision")?);
        let vehicle = word(row, "vehicle_id", |text| text.parse().ok())?;
        changes.states.push((vehicle, word(row, "state", VehicleState::from_word)?));
    }
    let rows = engine::query(
        "SELECT serial, revoked_at, revision FROM vehicle_certificate WHERE tenant = ? AND revision > ? ORDER BY serial",
    )
    .bind(tenant)
    .bind(after)
    .fetch_all(&mut *transaction)
    .await?;
    for row in &rows {
        changes.newest = changes.newest.max(row.try_get("revision")?);
        if row.try_get::<Option<i64>>("revoked_at")?.is_some() {
            changes.revoked.push(word(row, "serial", Serial::parse)?);
        }
    }
    let rows = engine::query(
        "SELECT vehicle_id, from_epoch, batch_key, revision FROM vehicle_batch_key WHERE tenant = ? AND revision > ? \
         ORDER BY vehicle_id, from_epoch",
    )
    .bind(tenant)
    .bind(after)
    .fetch_all(&mut *transaction)
    .await?;
    for row in &rows {
        changes.newest = changes.newest.max(row.try_get("revision")?);
        changes.keys.push(batch_key(row)?);
    }
    transaction.commit().await?;
    Ok(changes)
}

/// Reads a batch key from its row.
pub(super) fn batch_key(row: &Row) -> StoreResult<StoredBatchKey> {
    let key: Vec<u8> = row.try_get("batch_key")?;
    let damaged = |_| StoreError::Damaged { what: "batch_key", value: format!("{} bytes", key.len()) };
    Ok(StoredBatchKey {
        vehicle: word(row, "vehicle_id", |text| text.parse().ok())?,
        from: BootEpoch(number(row, "from_epoch")?),
        key: <[u8; 32]>::try_from(key.as_slice()).map_err(damaged)?,
    })
}

/// Reads the revoked certificates that have not expired.
pub(super) async fn revoked(pool: &Pool, scope: Scope) -> StoreResult<Vec<RevokedCertificate>> {
    let rows = engine::query(
        "SELECT serial, generation, revoked_at, revoked_for FROM vehicle_certificate \
         WHERE tenant = ? AND revoked_at IS NOT NULL AND not_after > ? ORDER BY serial",
    )
    .bind(i64::from(scope.tenant.0))
    .bind(scope.now.0)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(RevokedCertificate {
                serial: word(row, "serial", Serial::parse)?,
                generation: u32::try_from(row.try_get::<i64>("generation")?).unwrap_or_default(),
                at: UnixMicros(row.try_get("revoked_at")?),
                reason: row.try_get::<Option<String>>("revoked_for")?.unwrap_or_default(),
            })
        })
        .collect()
}

/// Reads all that is shown of a vehicle's identity.
pub(super) async fn identity(pool: &Pool, scope: Scope, vehicle: VehicleId) -> StoreResult<VehicleIdentity> {
    let mut transaction = pool.snapshot().await?;
    let (tenant, id) = (i64::from(scope.tenant.0), vehicle.to_string());
    let state = state(&mut transaction, scope, vehicle).await?;
    let moved = engine::query("SELECT * FROM vehicle_identity WHERE tenant = ? AND vehicle_id = ?")
        .bind(tenant)
        .bind(&id)
        .fetch_optional(&mut *transaction)
        .await?;
    let certificates = engine::query(
        "SELECT * FROM vehicle_certificate WHERE tenant = ? AND vehicle_id = ? ORDER BY issued_at DESC, serial LIMIT 20",
    )
    .bind(tenant)
    .bind(&id)
    .fetch_all(&mut *transaction)
    .await?;
    let keys = engine::query(
        "SELECT * FROM vehicle_batch_key WHERE tenant = ? AND vehicle_id = ? ORDER BY from_epoch DESC",
    )
    .bind(tenant)
    .bind(&id)
    .fetch_all(&mut *transaction)
    .await?;
    let log = engine::query(
        "SELECT * FROM identity_log WHERE tenant = ? AND vehicle_id = ? ORDER BY number DESC LIMIT 50",
    )
    .bind(tenant)
    .bind(&id)
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    let text = |column: &'static str| moved.as_ref().map(|row| row.try_get(column)).transpose();
    Ok(VehicleIdentity {
        vehicle_id: id,
        state,
        reason: text("reason")?,
        changed_by: text("changed_by")?,
        changed_at: moved.as_ref().map(|row| time(row, "changed_at")).transpose()?,
        certificates: certificates
            .iter()
            .map(|row| {
                Ok(VehicleCertificate {
                    serial: row.try_get("serial")?,
                    generation: u32::try_from(row.try_get::<i64>("generation")?).unwrap_or_default(),
                    suite: row.try_get("suite")?,
                    not_before: time(row, "not_before")?,
                    not_after: time(row, "not_after")?,
                    issued_at: time(row, "issued_at")?,
                    revoked_at: time_opt(row, "revoked_at")?,
                    revoked_for: row.try_get("revoked_for")?,
                })
            })
            .collect::<StoreResult<_>>()?,
        batch_keys: keys
            .iter()
            .map(|row| {
                Ok(VehicleBatchKey {
                    from_epoch: number(row, "from_epoch")?,
                    fingerprint: crate::hex(&Sha256::digest(row.try_get::<Vec<u8>>("batch_key")?)),
                    registered_at: time(row, "registered_at")?,
                })
            })
            .collect::<StoreResult<_>>()?,
        log: log.iter().map(log_entry).collect::<StoreResult<_>>()?,
    })
}

/// Reads a line of the log from its row.
pub(super) fn log_entry(row: &Row) -> StoreResult<IdentityLogEntry> {
    Ok(IdentityLogEntry {
        vehicle_id: Some(row.try_get::<String>("vehicle_id")?).filter(|id| !id.is_empty()),
        first_at: time(row, "first_at")?,
        last_at: time(row, "last_at")?,
        times: number(row, "times")?,
        actor: row.try_get("actor")?,
        action: row.try_get("action")?,
        outcome: row.try_get("outcome")?,
        detail: row.try_get("detail")?,
    })
}
