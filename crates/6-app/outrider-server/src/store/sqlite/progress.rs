//! Checkpoints of the worker and the quarantine.

use async_trait::async_trait;
use outrider_model::{LogOffset, Partition};
use outrider_types::VehicleId;
use sqlx::{QueryBuilder, Row, SqliteConnection};

use super::{SqliteStore, count, cursor_parts, int, number, time};
use crate::api::dto::QuarantineItem;
use crate::store::{Activity, Page, Progress, ProgressStore, SavedProgress, Scope, StoreError, StoreResult};

/// Name of the row that holds the offset.
const OFFSET: &str = "offset";
/// Name of the row that holds the state of detection.
const DETECT: &str = "detect";
/// Rows of the quarantine that are kept; the oldest go first.
const QUARANTINE_MAX: i64 = 100_000;
/// Bytes of an excerpt.
const EXCERPT_BYTES: usize = 64;
/// Hours of activity that are kept: a day and the hour that has begun.
const HOURS_KEPT: i64 = 25;
const HOUR_US: i64 = 3_600_000_000;

#[async_trait]
impl ProgressStore for SqliteStore {
    async fn commit_progress(&self, scope: Scope, progress: &Progress) -> StoreResult<()> {
        let tenant = i64::from(scope.tenant.0);
        let partition = i64::from(progress.partition.0);
        let mut transaction = self.begin().await?;
        let last: Option<i64> = sqlx::query_scalar(
            "SELECT log_offset FROM checkpoint WHERE tenant = ? AND partition = ? AND name = ?",
        )
        .bind(tenant)
        .bind(partition)
        .bind(OFFSET)
        .fetch_optional(&mut *transaction)
        .await?;
        if last.is_some_and(|last| count(last) > progress.next.0) {
            return Err(StoreError::Conflict("another worker has come further".to_owned()));
        }
        let next = int(progress.next.0);
        put_state(&mut transaction, tenant, partition, OFFSET, next, &[]).await?;
        if let Some(detect) = &progress.detect {
            put_state(&mut transaction, tenant, partition, DETECT, next, detect).await?;
        }
        for (vehicle, state) in &progress.vehicles {
            put_state(&mut transaction, tenant, partition, &vehicle.to_string(), next, state).await?;
        }
        for (vehicle, activity) in &progress.activity {
            note_activity(&mut transaction, tenant, *vehicle, activity).await?;
        }
        note_rate(&mut transaction, scope, progress).await?;
        for entry in &progress.quarantine {
            sqlx::query(
                "INSERT INTO quarantine (tenant, at, vehicle_id, reason, place, size, content) VALUES (?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(tenant)
            .bind(entry.at.0)
            .bind(entry.vehicle.map(|vehicle| vehicle.to_string()))
            .bind(&entry.reason)
            .bind(&entry.place)
            .bind(int(entry.content.len() as u64))
            .bind(&entry.content)
            .execute(&mut *transaction)
            .await?;
        }
        if !progress.quarantine.is_empty() {
            sqlx::query("DELETE FROM quarantine WHERE number <= (SELECT max(number) FROM quarantine) - ?")
                .bind(QUARANTINE_MAX)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn saved_progress(&self, scope: Scope, partition: Partition) -> StoreResult<SavedProgress> {
        let rows =
            sqlx::query("SELECT name, log_offset, state FROM checkpoint WHERE tenant = ? AND partition = ?")
                .bind(i64::from(scope.tenant.0))
                .bind(i64::from(partition.0))
                .fetch_all(&self.read)
                .await?;
        let mut saved = SavedProgress::default();
        for row in &rows {
            let name: String = row.try_get("name")?;
            match name.as_str() {
                OFFSET => saved.next = LogOffset(number(row, "log_offset")?),
                DETECT => saved.detect = Some(row.try_get("state")?),
                vehicle => {
                    let vehicle: VehicleId = vehicle.parse().map_err(|_| StoreError::Damaged {
                        what: "checkpoint name",
                        value: vehicle.to_owned(),
                    })?;
                    saved.vehicles.push((vehicle, row.try_get("state")?));
                }
            }
        }
        Ok(saved)
    }

    async fn quarantine(
        &self,
        scope: Scope,
        cursor: Option<&str>,
        limit: u32,
    ) -> StoreResult<Page<QuarantineItem>> {
        let tenant = i64::from(scope.tenant.0);
        let total: i64 = sqlx::query_scalar("SELECT count(*) FROM quarantine WHERE tenant = ?")
            .bind(tenant)
            .fetch_one(&self.read)
            .await?;
        let mut query = QueryBuilder::new(
            "SELECT number, at, vehicle_id, reason, place, size, substr(content, 1, 64) AS excerpt FROM quarantine WHERE tenant = ",
        );
        query.push_bind(tenant);
        if let Some(cursor) = cursor {
            query.push(" AND number < ").push_bind(cursor_parts(cursor)?.0);
        }
        query.push(" ORDER BY number DESC LIMIT ").push_bind(i64::from(limit) + 1);
        let rows = query.build().fetch_all(&self.read).await?;
        let mut items = Vec::new();
        for row in rows.iter().take(limit as usize) {
            let excerpt: Vec<u8> = row.try_get("excerpt")?;
            items.push(QuarantineItem {
                id: row.try_get::<i64, _>("number")?.to_string(),
                at: time(row, "at")?,
                vehicle_id: row.try_get("vehicle_id")?,
                reason: row.try_get("reason")?,
                place: row.try_get("place")?,
                bytes: number(row, "size")?,
                excerpt_hex: crate::hex(&excerpt[..excerpt.len().min(EXCERPT_BYTES)]),
            });
        }
        let next_cursor =
            (rows.len() > items.len()).then(|| items.last().map(|item| format!("{}.", item.id))).flatten();
        Ok(Page { items, next_cursor, total: count(total) })
    }
}

/// Writes one named part of a checkpoint.
async fn put_state(
    connection: &mut SqliteConnection,
    tenant: i64,
    partition: i64,
    name: &str,
    next: i64,
    state: &[u8],
) -> StoreResult<()> {
    sqlx::query(
        "INSERT INTO checkpoint (tenant, partition, name, log_offset, state) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT (tenant, partition, name) DO UPDATE SET log_offset = excluded.log_offset, state = excluded.state",
    )
    .bind(tenant)
    .bind(partition)
    .bind(name)
    .bind(next)
    .bind(state)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes what was heard of a vehicle; vehicles that are not registered have no row to note it in.
async fn note_activity(
    connection: &mut SqliteConnection,
    tenant: i64,
    vehicle: VehicleId,
    activity: &Activity,
) -> StoreResult<()> {
    sqlx::query(
        "UPDATE vehicle SET last_seen_at = max(coalesce(last_seen_at, ?), ?), \
         last_event_at = CASE WHEN ? IS NULL THEN last_event_at ELSE max(coalesce(last_event_at, ?), ?) END \
         WHERE tenant = ? AND id = ?",
    )
    .bind(activity.last_seen.0)
    .bind(activity.last_seen.0)
    .bind(activity.last_event.map(|at| at.0))
    .bind(activity.last_event.map(|at| at.0))
    .bind(activity.last_event.map(|at| at.0))
    .bind(tenant)
    .bind(vehicle.to_string())
    .execute(&mut *connection)
    .await?;
    if activity.events == 0 {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO vehicle_hour (tenant, vehicle_id, hour, events) VALUES (?, ?, ?, ?) \
         ON CONFLICT (tenant, vehicle_id, hour) DO UPDATE SET events = events + excluded.events",
    )
    .bind(tenant)
    .bind(vehicle.to_string())
    .bind(activity.last_seen.0.div_euclid(HOUR_US))
    .bind(int(activity.events))
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes events and findings by minute and forgets what nobody asks for any more.
async fn note_rate(connection: &mut SqliteConnection, scope: Scope, progress: &Progress) -> StoreResult<()> {
    let tenant = i64::from(scope.tenant.0);
    for (minute, (events, findings)) in &progress.rate {
        sqlx::query(
            "INSERT INTO rate_minute (tenant, minute, events, findings) VALUES (?, ?, ?, ?) \
             ON CONFLICT (tenant, minute) DO UPDATE SET events = events + excluded.events, findings = findings + excluded.findings",
        )
        .bind(tenant)
        .bind(minute)
        .bind(int(*events))
        .bind(int(*findings))
        .execute(&mut *connection)
        .await?;
    }
    let hour = scope.now.0.div_euclid(HOUR_US);
    sqlx::query("DELETE FROM vehicle_hour WHERE tenant = ? AND hour < ?")
        .bind(tenant)
        .bind(hour - HOURS_KEPT)
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM rate_minute WHERE tenant = ? AND minute < ?")
        .bind(tenant)
        .bind((hour - HOURS_KEPT) * 60)
        .execute(connection)
        .await?;
    Ok(())
}
