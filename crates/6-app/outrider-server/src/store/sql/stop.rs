//! The emergency stop in one row.

use async_trait::async_trait;

use super::engine::{self, Connection};
use super::{SqlStore, evidence, identity, rollout, time};
use crate::api::dto::{EmergencyStop, StopRelease};
use crate::store::{
    AuditEntry, EvidenceChange, OrderChange, Scope, StopStore, StoreError, StoreResult, Voided,
};

#[async_trait]
impl StopStore for SqlStore {
    async fn emergency_stop(&self, scope: Scope) -> StoreResult<EmergencyStop> {
        read(&mut self.read.acquire().await?, scope).await
    }

    async fn set_emergency_stop(
        &self,
        scope: Scope,
        by: &str,
        reason: &str,
    ) -> StoreResult<(EmergencyStop, Voided)> {
        let mut transaction = self.begin().await?;
        engine::query(
            "INSERT INTO emergency_stop (tenant, set_by, set_at, reason) VALUES (?, ?, ?, ?) \
             ON CONFLICT (tenant) DO UPDATE SET release_by = NULL, release_at = NULL, release_reason = NULL",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(by)
        .bind(scope.now.0)
        .bind(reason)
        .execute(&mut *transaction)
        .await?;
        let waiting = engine::query(
            "SELECT id, 0 AS is_order FROM evidence_request WHERE tenant = ?1 AND state IN ('permitted', 'sent') UNION ALL \
             SELECT id, 1 FROM update_order WHERE tenant = ?1 AND state IN ('permitted', 'sent') ORDER BY id",
        )
        .bind(i64::from(scope.tenant.0))
        .fetch_all(&mut *transaction)
        .await?;
        let mut voided = Voided::default();
        for row in &waiting {
            let (id, is_order): (String, bool) = (row.try_get("id")?, row.try_get("is_order")?);
            if is_order {
                let order = rollout::change(&mut transaction, scope, &id, &OrderChange::Stopped).await?;
                voided.orders.push(order);
            } else {
                let request =
                    evidence::change(&mut transaction, scope, &id, &EvidenceChange::Stopped).await?;
                voided.evidence.push(request);
            }
        }
        audit(&mut transaction, scope, by, "stop", "set").await?;
        let stop = read(&mut transaction, scope).await?;
        transaction.commit().await?;
        Ok((stop, voided))
    }

    async fn release_emergency_stop(
        &self,
        scope: Scope,
        by: &str,
        reason: &str,
    ) -> StoreResult<EmergencyStop> {
        let mut transaction = self.begin().await?;
        let stop = read(&mut transaction, scope).await?;
        if !stop.is_set {
            return Err(StoreError::Conflict("the emergency stop is not set".to_owned()));
        }
        let outcome = match &stop.release {
            None => {
                engine::query(
                    "UPDATE emergency_stop SET release_by = ?, release_at = ?, release_reason = ? WHERE tenant = ?",
                )
                .bind(by)
                .bind(scope.now.0)
                .bind(reason)
                .bind(i64::from(scope.tenant.0))
                .execute(&mut *transaction)
                .await?;
                "release_proposed"
            }
            Some(release) if release.by == by => {
                return Err(StoreError::Conflict("another person must confirm the release".to_owned()));
            }
            Some(_) => {
                engine::query("DELETE FROM emergency_stop WHERE tenant = ?")
                    .bind(i64::from(scope.tenant.0))
                    .execute(&mut *transaction)
                    .await?;
                "released"
            }
        };
        audit(&mut transaction, scope, by, "release", outcome).await?;
        let stop = read(&mut transaction, scope).await?;
        transaction.commit().await?;
        Ok(stop)
    }
}

/// Writes an act on the stop into the audit trail.
async fn audit(
    connection: &mut Connection,
    scope: Scope,
    by: &str,
    action: &'static str,
    outcome: &'static str,
) -> StoreResult<()> {
    let entry = AuditEntry { actor: by.to_owned(), action, subject: "emergency_stop".to_owned(), outcome };
    identity::write_audit(connection, scope, &entry).await
}

/// Reads the state.
async fn read(connection: &mut Connection, scope: Scope) -> StoreResult<EmergencyStop> {
    let row = engine::query("SELECT * FROM emergency_stop WHERE tenant = ?")
        .bind(i64::from(scope.tenant.0))
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(EmergencyStop::default()) };
    let proposed: Option<String> = row.try_get("release_by")?;
    let release = match proposed {
        None => None,
        Some(by) => {
            Some(StopRelease { by, at: time(&row, "release_at")?, reason: row.try_get("release_reason")? })
        }
    };
    Ok(EmergencyStop {
        is_set: true,
        set_by: Some(row.try_get("set_by")?),
        set_at: Some(time(&row, "set_at")?),
        reason: Some(row.try_get("reason")?),
        release,
    })
}
