//! Feeds.

use async_trait::async_trait;
use outrider_types::UnixMicros;

use super::engine::{self, Connection, Row};
use super::{SqlStore, rollout};
use crate::store::{
    FEEDS_MAX, FeedSecretHash, FeedSetup, FeedStore, Scope, StoreError, StoreResult, StoredFeed,
};

#[async_trait]
impl FeedStore for SqlStore {
    async fn create_feed(
        &self,
        scope: Scope,
        setup: &FeedSetup,
        secret: &FeedSecretHash,
        by: &str,
    ) -> StoreResult<StoredFeed> {
        let tenant = i64::from(scope.tenant.0);
        let mut transaction = self.begin().await?;
        if find(&mut transaction, scope, &setup.name).await?.is_some() {
            return Err(StoreError::Conflict(format!("there is a feed {} already", setup.name)));
        }
        let feeds: i64 = engine::query_scalar("SELECT count(*) FROM feed WHERE tenant = ?")
            .bind(tenant)
            .fetch_one(&mut *transaction)
            .await?;
        if feeds >= i64::from(FEEDS_MAX) {
            return Err(StoreError::Conflict(format!("there are {feeds} feeds already")));
        }
        engine::query(
            "INSERT INTO feed (tenant, name, format, platform, release, token_hash, enabled, body_bytes_max, \
             requests_per_minute_max, clock_error_s, takes_unregistered, created_by, created_at, changed_by, changed_at) \
             VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(tenant)
        .bind(&setup.name)
        .bind(&setup.format)
        .bind(&setup.platform)
        .bind(&setup.release)
        .bind(&secret.0)
        .bind(i64::from(setup.body_bytes_max))
        .bind(i64::from(setup.requests_per_minute_max))
        .bind(i64::from(setup.clock_error_s))
        .bind(setup.takes_unregistered)
        .bind(by)
        .bind(scope.now.0)
        .bind(by)
        .bind(scope.now.0)
        .execute(&mut *transaction)
        .await?;
        rollout::audit(&mut transaction, scope, by, "create_feed", &setup.name, "done").await?;
        let feed = read(&mut transaction, scope, &setup.name).await?;
        transaction.commit().await?;
        Ok(feed)
    }

    async fn feeds(&self, scope: Scope) -> StoreResult<Vec<StoredFeed>> {
        let rows = engine::query("SELECT * FROM feed WHERE tenant = ? ORDER BY name")
            .bind(i64::from(scope.tenant.0))
            .fetch_all(&self.read)
            .await?;
        rows.iter().map(feed_of).collect()
    }

    async fn enable_feed(
        &self,
        scope: Scope,
        name: &str,
        enabled: bool,
        by: &str,
        reason: &str,
    ) -> StoreResult<StoredFeed> {
        let mut transaction = self.begin().await?;
        read(&mut transaction, scope, name).await?;
        engine::query(
            "UPDATE feed SET enabled = ?, changed_by = ?, changed_at = ?, reason = ? WHERE tenant = ? AND name = ?",
        )
        .bind(enabled)
        .bind(by)
        .bind(scope.now.0)
        .bind(reason)
        .bind(i64::from(scope.tenant.0))
        .bind(name)
        .execute(&mut *transaction)
        .await?;
        let act = if enabled { "enable_feed" } else { "disable_feed" };
        rollout::audit(&mut transaction, scope, by, act, name, "done").await?;
        let feed = read(&mut transaction, scope, name).await?;
        transaction.commit().await?;
        Ok(feed)
    }

    async fn change_feed_secret(
        &self,
        scope: Scope,
        name: &str,
        secret: &FeedSecretHash,
        by: &str,
    ) -> StoreResult<StoredFeed> {
        let mut transaction = self.begin().await?;
        read(&mut transaction, scope, name).await?;
        engine::query(
            "UPDATE feed SET token_hash = ?, changed_by = ?, changed_at = ? WHERE tenant = ? AND name = ?",
        )
        .bind(&secret.0)
        .bind(by)
        .bind(scope.now.0)
        .bind(i64::from(scope.tenant.0))
        .bind(name)
        .execute(&mut *transaction)
        .await?;
        rollout::audit(&mut transaction, scope, by, "change_feed_secret", name, "done").await?;
        let feed = read(&mut transaction, scope, name).await?;
        transaction.commit().await?;
        Ok(feed)
    }
}

async fn find(connection: &mut Connection, scope: Scope, name: &str) -> StoreResult<Option<Row>> {
    Ok(engine::query("SELECT * FROM feed WHERE tenant = ? AND name = ?")
        .bind(i64::from(scope.tenant.0))
        .bind(name)
        .fetch_optional(connection)
        .await?)
}

async fn read(connection: &mut Connection, scope: Scope, name: &str) -> StoreResult<StoredFeed> {
    let row = find(connection, scope, name).await?;
    feed_of(&row.ok_or_else(|| StoreError::NotFound { what: "feed", id: name.to_owned() })?)
}

fn small(row: &Row, column: &'static str) -> StoreResult<u32> {
    let value: i64 = row.try_get(column)?;
    u32::try_from(value).map_err(|_| StoreError::Damaged { what: column, value: value.to_string() })
}

fn feed_of(row: &Row) -> StoreResult<StoredFeed> {
    Ok(StoredFeed {
        number: small(row, "number")?,
        setup: FeedSetup {
            name: row.try_get("name")?,
            format: row.try_get("format")?,
            platform: row.try_get("platform")?,
            release: row.try_get("release")?,
            body_bytes_max: small(row, "body_bytes_max")?,
            requests_per_minute_max: small(row, "requests_per_minute_max")?,
            clock_error_s: small(row, "clock_error_s")?,
            takes_unregistered: row.try_get("takes_unregistered")?,
        },
        secret: FeedSecretHash(row.try_get("token_hash")?),
        enabled: row.try_get("enabled")?,
        created_by: row.try_get("created_by")?,
        created_at: UnixMicros(row.try_get("created_at")?),
        changed_by: row.try_get("changed_by")?,
        changed_at: UnixMicros(row.try_get("changed_at")?),
        reason: row.try_get("reason")?,
    })
}
