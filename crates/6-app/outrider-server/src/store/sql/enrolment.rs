//! Identity of vehicles: what changes it.

use async_trait::async_trait;
use outrider_types::{UnixMicros, VehicleId};

use super::engine::{self, Connection};
use super::{SqlStore, count, enrolment_read, int};
use crate::api::dto::{IdentityLogEntry, VehicleIdentity, VehicleState};
use crate::store::{
    EnrolmentPermit, EnrolmentStore, IdentityChanges, IdentityNote, PermitKind, RevokedCertificate, Scope,
    SecretHash, StoreError, StoreResult, StoredBatchKey, Transfer,
};
use crate::vehicle::{Issued, Serial};

/// Equal refusals within this time are one line of the log.
const FOLD_US: i64 = 3_600_000_000;
/// Batch keys of one vehicle: one a year for twenty years, threefold.
const BATCH_KEYS_MAX: i64 = 64;
/// Least time between two batch keys: whoever holds a vehicle's keys shall not fill the table (guess).
const BATCH_KEY_US: i64 = 3_600_000_000;

#[async_trait]
impl EnrolmentStore for SqlStore {
    async fn identity_changes(&self, scope: Scope, after: i64) -> StoreResult<IdentityChanges> {
        enrolment_read::changes(&self.read, scope, after).await
    }

    async fn vehicle_identity(&self, scope: Scope, vehicle: VehicleId) -> StoreResult<VehicleIdentity> {
        enrolment_read::identity(&self.read, scope, vehicle).await
    }

    async fn change_vehicle_state(
        &self,
        scope: Scope,
        vehicle: VehicleId,
        state: VehicleState,
        by: &str,
        reason: &str,
    ) -> StoreResult<()> {
        let mut transaction = self.begin().await?;
        change_state(&mut transaction, scope, vehicle, state, by, reason).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn revoke_certificate(
        &self,
        scope: Scope,
        serial: &Serial,
        by: &str,
        reason: &str,
    ) -> StoreResult<()> {
        let mut transaction = self.begin().await?;
        let revision = next_revision(&mut transaction, scope).await?;
        let vehicle: Option<String> = engine::query_scalar(
            "UPDATE vehicle_certificate SET revoked_at = coalesce(revoked_at, ?), revoked_for = coalesce(revoked_for, ?), \
             revision = ? WHERE tenant = ? AND serial = ? RETURNING vehicle_id",
        )
        .bind(scope.now.0)
        .bind("revoked")
        .bind(revision)
        .bind(i64::from(scope.tenant.0))
        .bind(serial.text())
        .fetch_optional(&mut *transaction)
        .await?;
        let not_found = || StoreError::NotFound { what: "certificate", id: serial.text().to_owned() };
        let vehicle = vehicle.ok_or_else(not_found)?;
        let note = IdentityNote {
            vehicle: vehicle.parse().ok(),
            actor: by.to_owned(),
            action: "revoke_certificate",
            outcome: "done".to_owned(),
            detail: format!("{}: {reason}", serial.text()),
        };
        write_note(&mut transaction, scope, &note).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn record_certificate(
        &self,
        scope: Scope,
        issued: &Issued,
        permit: Option<&SecretHash>,
        note: &IdentityNote,
    ) -> StoreResult<()> {
        let mut transaction = self.begin().await?;
        let state = enrolment_read::state(&mut transaction, scope, issued.vehicle).await?;
        if state != VehicleState::Active {
            return Err(StoreError::Conflict(format!("the vehicle is {}", state.word())));
        }
        if let Some(secret) = permit {
            use_permit(&mut transaction, scope, issued, secret).await?;
        }
        let revision = next_revision(&mut transaction, scope).await?;
        engine::query(
            "INSERT INTO vehicle_certificate (tenant, serial, vehicle_id, generation, suite, key_hash, not_before, not_after, \
             issued_at, revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(issued.serial.text())
        .bind(issued.vehicle.to_string())
        .bind(i64::from(issued.generation))
        .bind(issued.suite.word())
        .bind(&issued.key_hash)
        .bind(issued.not_before.0)
        .bind(issued.not_after.0)
        .bind(scope.now.0)
        .bind(revision)
        .execute(&mut *transaction)
        .await?;
        write_note(&mut transaction, scope, note).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn certificates_since(
        &self,
        scope: Scope,
        vehicle: VehicleId,
        since: UnixMicros,
    ) -> StoreResult<u64> {
        let issued: i64 = engine::query_scalar(
            "SELECT count(*) FROM vehicle_certificate WHERE tenant = ? AND vehicle_id = ? AND issued_at >= ?",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(vehicle.to_string())
        .bind(since.0)
        .fetch_one(&self.read)
        .await?;
        Ok(count(issued))
    }

    async fn generation_in_use(&self, scope: Scope, generation: u32) -> StoreResult<Option<UnixMicros>> {
        let last: Option<i64> = engine::query_scalar(
            "SELECT max(not_after) FROM vehicle_certificate WHERE tenant = ? AND generation = ? AND revoked_at IS NULL \
             AND not_after > ?",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(i64::from(generation))
        .bind(scope.now.0)
        .fetch_one(&self.read)
        .await?;
        Ok(last.map(UnixMicros))
    }

    async fn revoked_certificates(&self, scope: Scope) -> StoreResult<Vec<RevokedCertificate>> {
        enrolment_read::revoked(&self.read, scope).await
    }

    async fn permit_enrolment(&self, scope: Scope, permit: &EnrolmentPermit, by: &str) -> StoreResult<()> {
        let mut transaction = self.begin().await?;
        let state = enrolment_read::state(&mut transaction, scope, permit.vehicle).await?;
        if matches!(state, VehicleState::Revoked | VehicleState::Retired) {
            return Err(StoreError::Conflict(format!("the vehicle is {}", state.word())));
        }
        engine::query(
            "INSERT INTO enrolment (tenant, secret_hash, kind, vehicle_id, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?) \
             ON CONFLICT (tenant, secret_hash) DO UPDATE SET vehicle_id = excluded.vehicle_id, expires_at = excluded.expires_at",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(&permit.secret.0)
        .bind(permit.kind.word())
        .bind(permit.vehicle.to_string())
        .bind(scope.now.0)
        .bind(permit.expires.0)
        .execute(&mut *transaction)
        .await?;
        let note = IdentityNote {
            vehicle: Some(permit.vehicle),
            actor: by.to_owned(),
            action: "permit_enrolment",
            outcome: "done".to_owned(),
            detail: permit.kind.word().to_owned(),
        };
        write_note(&mut transaction, scope, &note).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn enrolment_permit(
        &self,
        scope: Scope,
        secret: &SecretHash,
    ) -> StoreResult<Option<EnrolmentPermit>> {
        let row =
            engine::query("SELECT * FROM enrolment WHERE tenant = ? AND secret_hash = ? AND expires_at > ?")
                .bind(i64::from(scope.tenant.0))
                .bind(&secret.0)
                .bind(scope.now.0)
                .fetch_optional(&self.read)
                .await?;
        let Some(row) = row else { return Ok(None) };
        let kind = match row.try_get::<String>("kind")?.as_str() {
            "token" => PermitKind::Token,
            "factory" => PermitKind::Factory,
            other => return Err(StoreError::Damaged { what: "kind", value: other.to_owned() }),
        };
        Ok(Some(EnrolmentPermit {
            secret: secret.clone(),
            kind,
            vehicle: super::word(&row, "vehicle_id", |text| text.parse().ok())?,
            expires: UnixMicros(row.try_get("expires_at")?),
            used_for: row.try_get("used_for")?,
        }))
    }

    async fn put_batch_key(&self, scope: Scope, key: &StoredBatchKey) -> StoreResult<()> {
        let mut transaction = self.begin().await?;
        let row = engine::query(
            "SELECT count(*) AS keys, max(from_epoch) AS newest, max(registered_at) AS registered FROM vehicle_batch_key \
             WHERE tenant = ? AND vehicle_id = ?",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(key.vehicle.to_string())
        .fetch_one(&mut *transaction)
        .await?;
        let known: Option<Vec<u8>> = engine::query_scalar(
            "SELECT batch_key FROM vehicle_batch_key WHERE tenant = ? AND vehicle_id = ? AND from_epoch = ?",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(key.vehicle.to_string())
        .bind(int(key.from.0))
        .fetch_optional(&mut *transaction)
        .await?;
        if known.as_deref() == Some(key.key.as_slice()) {
            transaction.commit().await?;
            return Ok(());
        }
        let (keys, newest): (i64, Option<i64>) = (row.try_get("keys")?, row.try_get("newest")?);
        let registered: Option<i64> = row.try_get("registered")?;
        if newest.is_some_and(|newest| int(key.from.0) <= newest) {
            return Err(StoreError::Conflict("a key of this or a later boot is registered".to_owned()));
        }
        if keys >= BATCH_KEYS_MAX
            || registered.is_some_and(|at| scope.now.0.saturating_sub(at) < BATCH_KEY_US)
        {
            return Err(StoreError::Conflict("the last key was registered a short time ago".to_owned()));
        }
        let revision = next_revision(&mut transaction, scope).await?;
        engine::query(
            "INSERT INTO vehicle_batch_key (tenant, vehicle_id, from_epoch, batch_key, registered_at, revision) \
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(key.vehicle.to_string())
        .bind(int(key.from.0))
        .bind(key.key.to_vec())
        .bind(scope.now.0)
        .bind(revision)
        .execute(&mut *transaction)
        .await?;
        let note = IdentityNote {
            vehicle: Some(key.vehicle),
            actor: "vehicle".to_owned(),
            action: "rotate_batch_key",
            outcome: "done".to_owned(),
            detail: format!("from boot {}", key.from.0),
        };
        write_note(&mut transaction, scope, &note).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn batch_keys(&self, scope: Scope, vehicle: VehicleId) -> StoreResult<Vec<StoredBatchKey>> {
        let rows = engine::query(
            "SELECT * FROM vehicle_batch_key WHERE tenant = ? AND vehicle_id = ? ORDER BY from_epoch",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(vehicle.to_string())
        .fetch_all(&self.read)
        .await?;
        rows.iter().map(enrolment_read::batch_key).collect()
    }

    async fn note_identity(&self, scope: Scope, note: &IdentityNote) -> StoreResult<()> {
        let mut transaction = self.begin().await?;
        write_note(&mut transaction, scope, note).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn identity_log(&self, scope: Scope, limit: u32) -> StoreResult<Vec<IdentityLogEntry>> {
        let rows = engine::query(
            "SELECT * FROM identity_log WHERE tenant = ? ORDER BY last_at DESC, number DESC LIMIT ?",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(i64::from(limit))
        .fetch_all(&self.read)
        .await?;
        rows.iter().map(enrolment_read::log_entry).collect()
    }

    async fn transfer_vehicle(
        &self,
        scope: Scope,
        transfer: &Transfer,
        by: &str,
        reason: &str,
    ) -> StoreResult<()> {
        if transfer.tenant == scope.tenant || transfer.successor == transfer.vehicle {
            return Err(StoreError::Conflict(
                "a transfer has another owner and another pseudonym".to_owned(),
            ));
        }
        let mut transaction = self.begin().await?;
        change_state(&mut transaction, scope, transfer.vehicle, VehicleState::Retired, by, reason).await?;
        // Hardware and software go along; place, activity, keys and everything that was recorded stay behind.
        let new = Scope { tenant: transfer.tenant, ..scope };
        let revision: i64 =
            engine::query_scalar("SELECT coalesce(max(revision), 0) + 1 FROM vehicle WHERE tenant = ?")
                .bind(i64::from(transfer.tenant.0))
                .fetch_one(&mut *transaction)
                .await?;
        engine::query(
            "INSERT INTO ecu_list (tenant, ecus) SELECT ?, e.ecus FROM vehicle v JOIN ecu_list e ON e.number = v.ecu_list \
             WHERE v.tenant = ? AND v.id = ? AND NOT EXISTS (SELECT 1 FROM ecu_list o WHERE o.tenant = ? AND o.ecus = e.ecus)",
        )
        .bind(i64::from(transfer.tenant.0))
        .bind(i64::from(scope.tenant.0))
        .bind(transfer.vehicle.to_string())
        .bind(i64::from(transfer.tenant.0))
        .execute(&mut *transaction)
        .await?;
        let copied = engine::query(
            "INSERT INTO vehicle (tenant, id, model_line, platform, model_year, hardware, release, region, connectivity, \
             registration, features, ecu_list, buses, capabilities, revision) \
             SELECT ?1, ?2, v.model_line, v.platform, v.model_year, v.hardware, v.release, v.region, v.connectivity, \
             v.registration, v.features, (SELECT o.number FROM ecu_list e JOIN ecu_list o ON o.tenant = ?1 AND o.ecus = e.ecus \
             WHERE e.number = v.ecu_list), v.buses, v.capabilities, ?3 \
             FROM vehicle v WHERE v.tenant = ?4 AND v.id = ?5 ON CONFLICT DO NOTHING",
        )
        .bind(i64::from(transfer.tenant.0))
        .bind(transfer.successor.to_string())
        .bind(revision)
        .bind(i64::from(scope.tenant.0))
        .bind(transfer.vehicle.to_string())
        .execute(&mut *transaction)
        .await?;
        if copied != 1 {
            return Err(StoreError::Conflict("the new pseudonym is taken".to_owned()));
        }
        let note = IdentityNote {
            vehicle: Some(transfer.successor),
            actor: by.to_owned(),
            action: "take_over",
            outcome: "done".to_owned(),
            detail: String::new(),
        };
        write_note(&mut transaction, new, &note).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Draws the next revision of a tenant's identities.
async fn next_revision(connection: &mut Connection, scope: Scope) -> StoreResult<i64> {
    Ok(engine::query_scalar(
        "SELECT 1 + max((SELECT coalesce(max(revision), 0) FROM vehicle_identity WHERE tenant = ?1), \
         (SELECT coalesce(max(revision), 0) FROM vehicle_certificate WHERE tenant = ?1), \
         (SELECT coalesce(max(revision), 0) FROM vehicle_batch_key WHERE tenant = ?1))",
    )
    .bind(i64::from(scope.tenant.0))
    .fetch_one(connection)
    .await?)
}

/// Marks a token as used for a key; the same key may come again, since an answer may be lost.
async fn use_permit(
    connection: &mut Connection,
    scope: Scope,
    issued: &Issued,
    secret: &SecretHash,
) -> StoreResult<()> {
    let used = engine::query(
        "UPDATE enrolment SET used_at = coalesce(used_at, ?1), used_for = ?2 WHERE tenant = ?3 AND secret_hash = ?4 \
         AND vehicle_id = ?5 AND expires_at > ?1 AND (kind = 'factory' OR used_for IS NULL OR used_for = ?2)",
    )
    .bind(scope.now.0)
    .bind(&issued.key_hash)
    .bind(i64::from(scope.tenant.0))
    .bind(&secret.0)
    .bind(issued.vehicle.to_string())
    .execute(connection)
    .await?;
    if used == 1 {
        return Ok(());
    }
    Err(StoreError::Conflict("the permit to enrol was used or is void".to_owned()))
}

/// Moves a vehicle into a state.
async fn change_state(
    connection: &mut Connection,
    scope: Scope,
    vehicle: VehicleId,
    state: VehicleState,
    by: &str,
    reason: &str,
) -> StoreResult<()> {
    let old = enrolment_read::state(connection, scope, vehicle).await?;
    let is_final = matches!(state, VehicleState::Revoked | VehicleState::Retired);
    let leads_there = match old {
        VehicleState::Active => state != VehicleState::Active,
        VehicleState::Suspended => state != VehicleState::Suspended,
        // What was scrapped can still turn out to be stolen; nothing comes back.
        VehicleState::Retired => state == VehicleState::Revoked,
        VehicleState::Revoked => false,
    };
    if !leads_there {
        return Err(StoreError::Conflict(format!("the vehicle is {}", old.word())));
    }
    let revision = next_revision(connection, scope).await?;
    engine::query(
        "INSERT INTO vehicle_identity (tenant, vehicle_id, state, reason, changed_by, changed_at, revision) \
         VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, vehicle_id) DO UPDATE SET state = excluded.state, \
         reason = excluded.reason, changed_by = excluded.changed_by, changed_at = excluded.changed_at, revision = excluded.revision",
    )
    .bind(i64::from(scope.tenant.0))
    .bind(vehicle.to_string())
    .bind(state.word())
    .bind(reason)
    .bind(by)
    .bind(scope.now.0)
    .bind(revision)
    .execute(&mut *connection)
    .await?;
    if is_final {
        engine::query(
            "UPDATE vehicle_certificate SET revoked_at = ?, revoked_for = ?, revision = ? \
             WHERE tenant = ? AND vehicle_id = ? AND revoked_at IS NULL",
        )
        .bind(scope.now.0)
        .bind(state.word())
        .bind(revision)
        .bind(i64::from(scope.tenant.0))
        .bind(vehicle.to_string())
        .execute(&mut *connection)
        .await?;
        engine::query(
            "UPDATE enrolment SET expires_at = min(expires_at, ?) WHERE tenant = ? AND vehicle_id = ?",
        )
        .bind(scope.now.0)
        .bind(i64::from(scope.tenant.0))
        .bind(vehicle.to_string())
        .execute(&mut *connection)
        .await?;
    }
    let action = match state {
        VehicleState::Active => "resume",
        VehicleState::Suspended => "suspend",
        VehicleState::Revoked => "revoke",
        VehicleState::Retired => "retire",
    };
    let note = IdentityNote {
        vehicle: Some(vehicle),
        actor: by.to_owned(),
        action,
        outcome: "done".to_owned(),
        detail: reason.to_owned(),
    };
    write_note(connection, scope, &note).await
}

/// Writes a line, or counts a refusal that repeats.
async fn write_note(connection: &mut Connection, scope: Scope, note: &IdentityNote) -> StoreResult<()> {
    let vehicle = note.vehicle.map_or_else(String::new, |vehicle| vehicle.to_string());
    if note.outcome != "done" {
        let counted = engine::query(
            "UPDATE identity_log SET times = times + 1, last_at = ? WHERE number = (SELECT number FROM identity_log \
             WHERE tenant = ? AND vehicle_id = ? AND action = ? AND outcome = ? AND first_at > ? ORDER BY number DESC LIMIT 1)",
        )
        .bind(scope.now.0)
        .bind(i64::from(scope.tenant.0))
        .bind(&vehicle)
        .bind(note.action)
        .bind(&note.outcome)
        .bind(scope.now.0.saturating_sub(FOLD_US))
        .execute(&mut *connection)
        .await?;
        if counted == 1 {
            return Ok(());
        }
    }
    engine::query(
        "INSERT INTO identity_log (tenant, vehicle_id, first_at, last_at, times, actor, action, outcome, detail) \
         VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?)",
    )
    .bind(i64::from(scope.tenant.0))
    .bind(vehicle)
    .bind(scope.now.0)
    .bind(scope.now.0)
    .bind(&note.actor)
    .bind(note.action)
    .bind(&note.outcome)
    .bind(&note.detail)
    .execute(connection)
    .await?;
    Ok(())
}
