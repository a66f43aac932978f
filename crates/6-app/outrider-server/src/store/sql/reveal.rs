//! Requests to show VINs.

use async_trait::async_trait;
use outrider_types::{UnixMicros, VehicleId};

use super::engine::{self, Connection, Row};
use super::identity::write_audit;
use super::{SqlStore, time, time_opt, word};
use crate::api::dto::{RevealRequest, RevealState};
use crate::identity::POLICY;
use crate::store::{AuditEntry, NewReveal, REVEALS_OPEN_MAX, RevealStore, Scope, StoreError, StoreResult};

#[async_trait]
impl RevealStore for SqlStore {
    async fn request_reveal(&self, scope: Scope, request: &NewReveal) -> StoreResult<RevealRequest> {
        let mut transaction = self.begin().await?;
        let open: i64 = engine::query_scalar(
            "SELECT count(*) FROM reveal_request WHERE tenant = ? AND requested_by = ? AND opened_at IS NULL AND expires_at > ?",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(&request.by)
        .bind(scope.now.0)
        .fetch_one(&mut *transaction)
        .await?;
        if open >= i64::from(REVEALS_OPEN_MAX) {
            return Err(StoreError::Conflict(format!("{open} requests of {} are open", request.by)));
        }
        let (by, at) = if request.is_two_person { (None, None) } else { (Some(POLICY), Some(scope.now.0)) };
        let written = engine::query(
            "INSERT INTO reveal_request (tenant, id, vehicle_id, reason, requested_by, requested_at, expires_at, approved_by, \
             approved_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(&request.id)
        .bind(request.vehicle.to_string())
        .bind(&request.reason)
        .bind(&request.by)
        .bind(scope.now.0)
        .bind(request.expires.0)
        .bind(by)
        .bind(at)
        .execute(&mut *transaction)
        .await?;
        if written == 0 {
            return Err(StoreError::Conflict(format!("request {} exists", request.id)));
        }
        let subject = format!("{} {}: {}", request.id, request.vehicle, request.reason);
        audit(&mut transaction, scope, &request.by, "request_reveal", subject).await?;
        let read = read(&mut transaction, scope, &request.id).await?;
        transaction.commit().await?;
        Ok(read)
    }

    async fn approve_reveal(&self, scope: Scope, id: &str, by: &str) -> StoreResult<RevealRequest> {
        let mut transaction = self.begin().await?;
        let request = read(&mut transaction, scope, id).await?;
        if request.requested_by == by {
            return Err(StoreError::Conflict("who asked cannot agree".to_owned()));
        }
        if request.state != RevealState::Waiting {
            return Err(StoreError::Conflict(format!("the request is {}", request.state.word())));
        }
        engine::query(
            "UPDATE reveal_request SET approved_by = ?, approved_at = ? WHERE tenant = ? AND id = ?",
        )
        .bind(by)
        .bind(scope.now.0)
        .bind(i64::from(scope.tenant.0))
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        audit(&mut transaction, scope, by, "approve_reveal", format!("{id} {}", request.vehicle_id)).await?;
        let read = read(&mut transaction, scope, id).await?;
        transaction.commit().await?;
        Ok(read)
    }

    async fn open_reveal(
        &self,
        scope: Scope,
        id: &str,
        by: &str,
        is_two_person: bool,
    ) -> StoreResult<VehicleId> {
        let mut transaction = self.begin().await?;
        let request = read(&mut transaction, scope, id).await?;
        if request.requested_by != by {
            return Err(StoreError::Conflict("only who asked may open it".to_owned()));
        }
        if request.state != RevealState::Approved {
            return Err(StoreError::Conflict(format!("the request is {}", request.state.word())));
        }
        if is_two_person && request.approved_by.as_deref() == Some(POLICY) {
            return Err(StoreError::Conflict("a second person must agree now: ask again".to_owned()));
        }
        engine::query("UPDATE reveal_request SET opened_at = ? WHERE tenant = ? AND id = ?")
            .bind(scope.now.0)
            .bind(i64::from(scope.tenant.0))
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        audit(&mut transaction, scope, by, "reveal_vin", format!("{id} {}", request.vehicle_id)).await?;
        transaction.commit().await?;
        let damaged = |_| StoreError::Damaged { what: "vehicle_id", value: request.vehicle_id.clone() };
        request.vehicle_id.parse().map_err(damaged)
    }

    async fn reveals(&self, scope: Scope, limit: u32) -> StoreResult<Vec<RevealRequest>> {
        let rows = engine::query(
            "SELECT * FROM reveal_request WHERE tenant = ? ORDER BY requested_at DESC, id DESC LIMIT ?",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(i64::from(limit))
        .fetch_all(&self.read)
        .await?;
        rows.iter().map(|row| request_of(row, scope.now)).collect()
    }
}

async fn audit(
    connection: &mut Connection,
    scope: Scope,
    actor: &str,
    action: &'static str,
    subject: String,
) -> StoreResult<()> {
    let entry = AuditEntry { actor: actor.to_owned(), action, subject, outcome: "done" };
    write_audit(connection, scope, &entry).await
}

async fn read(connection: &mut Connection, scope: Scope, id: &str) -> StoreResult<RevealRequest> {
    let row = engine::query("SELECT * FROM reveal_request WHERE tenant = ? AND id = ?")
        .bind(i64::from(scope.tenant.0))
        .bind(id)
        .fetch_optional(connection)
        .await?
        .ok_or_else(|| StoreError::NotFound { what: "request", id: id.to_owned() })?;
    request_of(&row, scope.now)
}

fn request_of(row: &Row, now: UnixMicros) -> StoreResult<RevealRequest> {
    let expires_at = time(row, "expires_at")?;
    let (approved_at, opened_at) = (time_opt(row, "approved_at")?, time_opt(row, "opened_at")?);
    let state = match (opened_at, approved_at) {
        (Some(_), _) => RevealState::Opened,
        (None, _) if expires_at.0 <= now => RevealState::Lapsed,
        (None, Some(_)) => RevealState::Approved,
        (None, None) => RevealState::Waiting,
    };
    Ok(RevealRequest {
        id: row.try_get("id")?,
        vehicle_id: word(row, "vehicle_id", |text| Some(text.to_owned()))?,
        reason: row.try_get("reason")?,
        state,
        requested_by: row.try_get("requested_by")?,
        requested_at: time(row, "requested_at")?,
        expires_at,
        approved_by: row.try_get("approved_by")?,
        approved_at,
        opened_at,
    })
}
