//! Keys, artifacts, rollouts and orders.

use std::collections::BTreeMap;

use async_trait::async_trait;
use outrider_types::{UnixMicros, VehicleId};
use sha2::{Digest as _, Sha256};

use super::engine::{self, Connection, QueryBuilder, Row};
use super::{SqlStore, count, cursor_parts, int, rollout, time, time_opt, word};
use crate::api::dto::{Artifact, ArtifactKey, ArtifactKind, Rollout, RolloutSummary, UpdateOrder};
use crate::store::{
    ARTIFACT_KEYS_MAX, ARTIFACTS_MAX, Decision, NewRollout, OrderChange, Page, Scope, StoreError,
    StoreResult, StoredArtifactKey, UpdateStore,
};

/// Orders shown of a rollout.
const ORDERS_MAX: i64 = 500;

/// Columns of an artifact.
const ARTIFACT: &str = "SELECT a.*, k.name AS signer FROM artifact a \
    JOIN artifact_key k ON k.tenant = a.tenant AND k.key_id = a.key_id WHERE a.tenant = ";

#[async_trait]
impl UpdateStore for SqlStore {
    async fn add_artifact_key(
        &self,
        scope: Scope,
        public: &[u8; 32],
        name: &str,
        by: &str,
    ) -> StoreResult<ArtifactKey> {
        let mut transaction = self.begin().await?;
        let tenant = i64::from(scope.tenant.0);
        let id = crate::hex(&Sha256::digest(public)[..8]);
        if let Ok(known) = key(&mut transaction, scope, &id).await {
            if known.public == *public && known.shown.withdrawn_at.is_none() {
                return Ok(known.shown);
            }
            return Err(StoreError::Conflict(format!("key {id} was withdrawn, or another one has its id")));
        }
        let keys: i64 = engine::query_scalar("SELECT count(*) FROM artifact_key WHERE tenant = ?")
            .bind(tenant)
            .fetch_one(&mut *transaction)
            .await?;
        if keys >= i64::from(ARTIFACT_KEYS_MAX) {
            return Err(StoreError::Conflict(format!("there are {keys} keys already")));
        }
        engine::query(
            "INSERT INTO artifact_key (tenant, key_id, public_key, name, added_by, added_at) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(tenant)
        .bind(&id)
        .bind(public.as_slice())
        .bind(name)
        .bind(by)
        .bind(scope.now.0)
        .execute(&mut *transaction)
        .await?;
        rollout::audit(&mut transaction, scope, by, "add_artifact_key", &id, "done").await?;
        let key = key(&mut transaction, scope, &id).await?.shown;
        transaction.commit().await?;
        Ok(key)
    }

    async fn withdraw_artifact_key(&self, scope: Scope, key_id: &str, by: &str) -> StoreResult<ArtifactKey> {
        let mut transaction = self.begin().await?;
        if key(&mut transaction, scope, key_id).await?.shown.withdrawn_at.is_some() {
            return Err(StoreError::Conflict(format!("key {key_id} is withdrawn")));
        }
        engine::query(
            "UPDATE artifact_key SET withdrawn_by = ?, withdrawn_at = ? WHERE tenant = ? AND key_id = ?",
        )
        .bind(by)
        .bind(scope.now.0)
        .bind(i64::from(scope.tenant.0))
        .bind(key_id)
        .execute(&mut *transaction)
        .await?;
        rollout::audit(&mut transaction, scope, by, "withdraw_artifact_key", key_id, "done").await?;
        let key = key(&mut transaction, scope, key_id).await?.shown;
        transaction.commit().await?;
        Ok(key)
    }

    async fn artifact_keys(&self, scope: Scope) -> StoreResult<Vec<StoredArtifactKey>> {
        let rows = engine::query("SELECT * FROM artifact_key WHERE tenant = ? ORDER BY name, key_id")
            .bind(i64::from(scope.tenant.0))
            .fetch_all(&self.read)
            .await?;
        rows.iter().map(key_of).collect()
    }

    async fn add_artifact(&self, scope: Scope, artifact: &Artifact) -> StoreResult<Artifact> {
        let mut transaction = self.begin().await?;
        if key(&mut transaction, scope, &artifact.key_id).await?.shown.withdrawn_at.is_some() {
            return Err(StoreError::Conflict(format!("key {} is withdrawn", artifact.key_id)));
        }
        match read(&mut transaction, scope, &artifact.sha256).await {
            Ok(known) => return Ok(known),
            Err(StoreError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let tenant = i64::from(scope.tenant.0);
        let artifacts: i64 = engine::query_scalar("SELECT count(*) FROM artifact WHERE tenant = ?")
            .bind(tenant)
            .fetch_one(&mut *transaction)
            .await?;
        if artifacts >= i64::from(ARTIFACTS_MAX) {
            return Err(StoreError::Conflict(format!("there are {artifacts} artifacts already")));
        }
        engine::query(
            "INSERT INTO artifact (tenant, sha256, kind, version, platform, vehicle_id, key_id, made_at, bytes, \
             payload_checked, uploaded_by, uploaded_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(tenant)
        .bind(&artifact.sha256)
        .bind(artifact.kind.word())
        .bind(int(artifact.version))
        .bind(&artifact.platform)
        .bind(&artifact.vehicle_id)
        .bind(&artifact.key_id)
        .bind(artifact.made_at.0.0)
        .bind(int(artifact.bytes))
        .bind(artifact.payload_checked)
        .bind(&artifact.uploaded_by)
        .bind(scope.now.0)
        .execute(&mut *transaction)
        .await?;
        let (by, sha256) = (&artifact.uploaded_by, &artifact.sha256);
        rollout::audit(&mut transaction, scope, by, "upload_artifact", sha256, "done").await?;
        let stored = read(&mut transaction, scope, sha256).await?;
        transaction.commit().await?;
        Ok(stored)
    }

    async fn artifacts(&self, scope: Scope, cursor: Option<&str>, limit: u32) -> StoreResult<Page<Artifact>> {
        let mut query = QueryBuilder::new(ARTIFACT);
        query.push_bind(i64::from(scope.tenant.0));
        if let Some(cursor) = cursor {
            let (value, id) = cursor_parts(cursor)?;
            query.push(" AND (a.uploaded_at, a.sha256) < (").push_bind(value);
            query.push(", ").push_bind(id.to_owned()).push(")");
        }
        query.push(" ORDER BY a.uploaded_at DESC, a.sha256 DESC LIMIT ").push_bind(i64::from(limit) + 1);
        let rows = query.build().fetch_all(&self.read).await?;
        let items = rows.iter().take(limit as usize).map(artifact_of).collect::<StoreResult<Vec<_>>>()?;
        let next_cursor = (rows.len() > items.len())
            .then(|| items.last().map(|item| format!("{}.{}", item.uploaded_at.0.0, item.sha256)))
            .flatten();
        Ok(Page { items, next_cursor, total: self.total(scope, "artifact").await? })
    }

    async fn artifact(&self, scope: Scope, sha256: &str) -> StoreResult<Artifact> {
        read(&mut self.read.acquire().await?, scope, sha256).await
    }

    async fn tried_versions(
        &self,
        scope: Scope,
        kind: ArtifactKind,
    ) -> StoreResult<BTreeMap<VehicleId, u64>> {
        let rows = engine::query(
            "SELECT o.vehicle_id, max(a.version) AS version FROM update_order o \
             JOIN rollout r ON r.tenant = o.tenant AND r.id = o.rollout_id \
             JOIN artifact a ON a.tenant = r.tenant AND a.sha256 = r.sha256 \
             WHERE o.tenant = ? AND a.kind = ? AND (o.state = 'done' \
             OR o.state = 'refused_by_vehicle' AND o.reasons = '[\"unhealthy\"]') GROUP BY o.vehicle_id",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(kind.word())
        .fetch_all(&self.read)
        .await?;
        rows.iter()
            .map(|row| {
                let id: String = row.try_get("vehicle_id")?;
                Ok((rollout::vehicle(&id)?, count(row.try_get("version")?)))
            })
            .collect()
    }

    async fn propose_rollout(&self, scope: Scope, new: &NewRollout) -> StoreResult<()> {
        let mut transaction = self.begin().await?;
        read(&mut transaction, scope, &new.sha256).await?;
        rollout::propose(&mut transaction, scope, new).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn confirm_rollout(
        &self,
        scope: Scope,
        id: &str,
        decision: Decision<'_>,
    ) -> StoreResult<Vec<UpdateOrder>> {
        let mut transaction = self.begin().await?;
        let orders = rollout::decide(&mut transaction, scope, id, decision, rollout::Act::Confirm).await?;
        transaction.commit().await?;
        Ok(orders)
    }

    async fn cancel_rollout(
        &self,
        scope: Scope,
        id: &str,
        decision: Decision<'_>,
    ) -> StoreResult<Vec<UpdateOrder>> {
        let mut transaction = self.begin().await?;
        let orders = rollout::decide(&mut transaction, scope, id, decision, rollout::Act::Cancel).await?;
        transaction.commit().await?;
        Ok(orders)
    }

    async fn rollouts(
        &self,
        scope: Scope,
        cursor: Option<&str>,
        limit: u32,
    ) -> StoreResult<Page<RolloutSummary>> {
        let mut query = QueryBuilder::new(rollout::ROLLOUT);
        query.push_bind(i64::from(scope.tenant.0));
        if let Some(cursor) = cursor {
            let (value, id) = cursor_parts(cursor)?;
            query.push(" AND (r.proposed_at, r.id) < (").push_bind(value);
            query.push(", ").push_bind(id.to_owned()).push(")");
        }
        query.push(" ORDER BY r.proposed_at DESC, r.id DESC LIMIT ").push_bind(i64::from(limit) + 1);
        let rows = query.build().fetch_all(&self.read).await?;
        let items =
            rows.iter().take(limit as usize).map(rollout::summary_of).collect::<StoreResult<Vec<_>>>()?;
        let next_cursor = (rows.len() > items.len())
            .then(|| items.last().map(|item| format!("{}.{}", item.proposed_at.0.0, item.id)))
            .flatten();
        Ok(Page { items, next_cursor, total: self.total(scope, "rollout").await? })
    }

    async fn rollout(&self, scope: Scope, id: &str) -> StoreResult<Rollout> {
        let summary = rollout::summary(&mut self.read.acquire().await?, scope, id).await?;
        let mut query = QueryBuilder::new(rollout::ORDER);
        query.push_bind(i64::from(scope.tenant.0)).push(" AND o.rollout_id = ").push_bind(id.to_owned());
        query.push(" ORDER BY o.changed_at DESC, o.vehicle_id LIMIT ").push_bind(ORDERS_MAX);
        let rows = query.build().fetch_all(&self.read).await?;
        Ok(Rollout { summary, orders: rows.iter().map(rollout::order_of).collect::<StoreResult<_>>()? })
    }

    async fn change_order(&self, scope: Scope, id: &str, change: &OrderChange) -> StoreResult<UpdateOrder> {
        let mut transaction = self.begin().await?;
        let order = rollout::change(&mut transaction, scope, id, change).await?;
        transaction.commit().await?;
        Ok(order)
    }

    async fn order_of_command(&self, scope: Scope, command_id: &str) -> StoreResult<UpdateOrder> {
        rollout::order(&mut self.read.acquire().await?, scope, "o.command_id", command_id).await
    }

    async fn vehicle_orders(
        &self,
        scope: Scope,
        vehicle: VehicleId,
        limit: u32,
    ) -> StoreResult<Vec<UpdateOrder>> {
        let mut query = QueryBuilder::new(rollout::ORDER);
        query.push_bind(i64::from(scope.tenant.0)).push(" AND o.vehicle_id = ");
        query.push_bind(vehicle.to_string()).push(" ORDER BY r.proposed_at DESC, o.id LIMIT ");
        let rows = query.push_bind(i64::from(limit)).build().fetch_all(&self.read).await?;
        rows.iter().map(rollout::order_of).collect()
    }

    async fn confirmed_orders(
        &self,
        scope: Scope,
        limit: u32,
    ) -> StoreResult<Vec<(UpdateOrder, UnixMicros)>> {
        let mut query = QueryBuilder::new(rollout::ORDER);
        query.push_bind(i64::from(scope.tenant.0)).push(" AND o.state = 'confirmed' ORDER BY o.id LIMIT ");
        let rows = query.push_bind(i64::from(limit)).build().fetch_all(&self.read).await?;
        rows.iter().map(|row| Ok((rollout::order_of(row)?, time(row, "confirmed_at")?.0))).collect()
    }

    async fn lapsed_orders(&self, scope: Scope, limit: u32) -> StoreResult<Vec<String>> {
        Ok(engine::query_scalar(
            "SELECT id FROM update_order WHERE tenant = ? AND state IN ('proposed', 'permitted', 'sent', 'accepted') \
             AND expires_at <= ? ORDER BY expires_at LIMIT ?",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(scope.now.0)
        .bind(i64::from(limit))
        .fetch_all(&self.read)
        .await?)
    }

    async fn is_ordered(&self, scope: Scope, vehicle: VehicleId, sha256: &str) -> StoreResult<bool> {
        let found: Option<i64> = engine::query_scalar(
            "SELECT 1 FROM update_order o JOIN rollout r ON r.tenant = o.tenant AND r.id = o.rollout_id \
             WHERE o.tenant = ? AND o.vehicle_id = ? AND o.state IN ('sent', 'accepted') AND o.expires_at > ? \
             AND r.sha256 = ? LIMIT 1",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(vehicle.to_string())
        .bind(scope.now.0)
        .bind(sha256)
        .fetch_optional(&self.read)
        .await?;
        Ok(found.is_some())
    }
}

impl SqlStore {
    async fn total(&self, scope: Scope, table: &'static str) -> StoreResult<u64> {
        let mut query = QueryBuilder::new("SELECT count(*) FROM ");
        query.push(table).push(" WHERE tenant = ").push_bind(i64::from(scope.tenant.0));
        let total: i64 = query.build_query_scalar().fetch_one(&self.read).await?;
        Ok(count(total))
    }
}

/// Reads one key.
async fn key(connection: &mut Connection, scope: Scope, id: &str) -> StoreResult<StoredArtifactKey> {
    let row = engine::query("SELECT * FROM artifact_key WHERE tenant = ? AND key_id = ?")
        .bind(i64::from(scope.tenant.0))
        .bind(id)
        .fetch_optional(connection)
        .await?;
    let row = row.ok_or_else(|| StoreError::NotFound { what: "artifact key", id: id.to_owned() })?;
    key_of(&row)
}

fn key_of(row: &Row) -> StoreResult<StoredArtifactKey> {
    let public: Vec<u8> = row.try_get("public_key")?;
    let damaged = |bytes: Vec<u8>| StoreError::Damaged { what: "public_key", value: crate::hex(&bytes) };
    Ok(StoredArtifactKey {
        shown: ArtifactKey {
            key_id: row.try_get("key_id")?,
            name: row.try_get("name")?,
            added_by: row.try_get("added_by")?,
            added_at: time(row, "added_at")?,
            withdrawn_by: row.try_get("withdrawn_by")?,
            withdrawn_at: time_opt(row, "withdrawn_at")?,
        },
        public: public.try_into().map_err(damaged)?,
    })
}

/// Reads one artifact.
async fn read(connection: &mut Connection, scope: Scope, sha256: &str) -> StoreResult<Artifact> {
    let mut query = QueryBuilder::new(ARTIFACT);
    query.push_bind(i64::from(scope.tenant.0)).push(" AND a.sha256 = ").push_bind(sha256.to_owned());
    let row = query.build().fetch_optional(connection).await?;
    let row = row.ok_or_else(|| StoreError::NotFound { what: "artifact", id: sha256.to_owned() })?;
    artifact_of(&row)
}

fn artifact_of(row: &Row) -> StoreResult<Artifact> {
    Ok(Artifact {
        sha256: row.try_get("sha256")?,
        kind: word(row, "kind", ArtifactKind::from_word)?,
        version: count(row.try_get("version")?),
        platform: row.try_get("platform")?,
        vehicle_id: row.try_get("vehicle_id")?,
        key_id: row.try_get("key_id")?,
        signer: row.try_get("signer")?,
        made_at: time(row, "made_at")?,
        bytes: count(row.try_get("bytes")?),
        payload_checked: row.try_get("payload_checked")?,
        uploaded_by: row.try_get("uploaded_by")?,
        uploaded_at: time(row, "uploaded_at")?,
    })
}
