//! Checkpoints of the worker and the quarantine.

use std::collections::BTreeMap;

use async_trait::async_trait;
use outrider_model::{LogOffset, OwnerEpoch, Partition};
use outrider_types::VehicleId;

use super::engine::{self, Connection};
use super::{SqlStore, count, int, number, quarantine};
use crate::store::{Activity, Progress, ProgressStore, SavedProgress, Scope, StoreError, StoreResult};

/// Name of the row that holds the offset.
pub(super) const OFFSET: &str = "offset";
/// Name of the row that holds the owner's epoch: eight bytes, the highest first.
pub(super) const OWNER: &str = "owner";
/// Partition beside whose rows the states stand that are over all partitions, if one process has all: of detection, and
/// of feeds. A worker of some partitions keeps its own memory of feeds beside the first of them.
pub(super) const SHARED_AT: Partition = Partition(0);
/// Beginning of the names of the rows that hold the state of detection, in order.
pub(super) const DETECT: &str = "detect.";
/// Beginning of the names of the rows that hold the memory of feeds.
pub(super) const FEEDS: &str = "feeds.";
/// Bytes of detection state in one row: SQLite holds at most 10⁹ in a value.
pub(super) const DETECT_PART_BYTES: usize = 256 << 20;
/// Hours of activity that are kept: a day and the hour that has begun.
const HOURS_KEPT: i64 = 25;
const HOUR_US: i64 = 3_600_000_000;

#[async_trait]
impl ProgressStore for SqlStore {
    async fn take_over(&self, scope: Scope, partitions: &[Partition]) -> StoreResult<OwnerEpoch> {
        let tenant = i64::from(scope.tenant.0);
        let mut transaction = self.begin().await?;
        let mut epoch = OwnerEpoch(0);
        for partition in partitions {
            epoch = epoch.max(owner(&mut transaction, tenant, i64::from(partition.0)).await?);
        }
        epoch.0 += 1;
        for partition in partitions {
            let state = epoch.0.to_be_bytes();
            put_state(&mut transaction, tenant, i64::from(partition.0), OWNER, 0, &state).await?;
        }
        transaction.commit().await?;
        Ok(epoch)
    }

    async fn check_owner(&self, scope: Scope, partition: Partition, epoch: OwnerEpoch) -> StoreResult<()> {
        let mut connection = self.read.acquire().await?;
        fence(&mut connection, i64::from(scope.tenant.0), (i64::from(partition.0), partition), epoch).await
    }

    async fn commit_progress(&self, scope: Scope, progress: &Progress) -> StoreResult<()> {
        let tenant = i64::from(scope.tenant.0);
        let mut transaction = self.begin().await?;
        for partition in progress.next.keys() {
            fence(&mut transaction, tenant, (i64::from(partition.0), *partition), progress.epoch).await?;
        }
        for (partition, next) in &progress.next {
            put_place(&mut transaction, tenant, i64::from(partition.0), *next).await?;
        }
        let shared_at = progress.next.keys().next().copied().unwrap_or(SHARED_AT);
        let shared = int(progress.next.get(&shared_at).map_or(0, |next| next.0));
        if let Some(detect) = &progress.detect {
            let place = (tenant, i64::from(shared_at.0), shared);
            put_detect(&mut transaction, place, detect, DETECT_PART_BYTES).await?;
        }
        for (partition, vehicle, state) in &progress.vehicles {
            let next = int(progress.next.get(partition).map_or(0, |next| next.0));
            let partition = i64::from(partition.0);
            put_state(&mut transaction, tenant, partition, &vehicle.to_string(), next, state).await?;
        }
        for (name, state) in &progress.feeds {
            let (partition, name) = (i64::from(shared_at.0), format!("{FEEDS}{name}"));
            put_state(&mut transaction, tenant, partition, &name, shared, state).await?;
        }
        for (vehicle, activity) in &progress.activity {
            note_activity(&mut transaction, tenant, *vehicle, activity).await?;
        }
        note_rate(&mut transaction, scope, &progress.rate).await?;
        for entry in &progress.quarantine {
            quarantine::put_aside(&mut transaction, tenant, entry).await?;
        }
        for replayed in &progress.replayed {
            quarantine::put_replayed(&mut transaction, scope, replayed).await?;
        }
        if !progress.quarantine.is_empty() {
            quarantine::bound(&mut transaction, tenant, quarantine::ROWS_MAX, quarantine::BYTES_MAX).await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn saved_progress(&self, scope: Scope, partition: Partition) -> StoreResult<SavedProgress> {
        let rows = engine::query(
            "SELECT name, log_offset, state FROM checkpoint WHERE tenant = ? AND partition = ? ORDER BY name",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(i64::from(partition.0))
        .fetch_all(&self.read)
        .await?;
        saved(&rows)
    }
}

/// Reads the rows of a partition.
pub(super) fn saved(rows: &[engine::Row]) -> StoreResult<SavedProgress> {
    let mut saved = SavedProgress::default();
    for row in rows {
        let name: String = row.try_get("name")?;
        match name.as_str() {
            OFFSET => saved.next = LogOffset(number(row, "log_offset")?),
            OWNER => {}
            part if part.starts_with(FEEDS) => {
                saved.feeds.push((part[FEEDS.len()..].to_owned(), row.try_get("state")?));
            }
            part if part.starts_with(DETECT) => {
                saved.detect.get_or_insert_default().extend_from_slice(&row.try_get::<Vec<u8>>("state")?);
            }
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

/// Returns the epoch of a partition's owner; 0 if nobody ever took it over.
pub(super) async fn owner(connection: &mut Connection, tenant: i64, place: i64) -> StoreResult<OwnerEpoch> {
    let state: Option<Vec<u8>> =
        engine::query_scalar("SELECT state FROM checkpoint WHERE tenant = ? AND partition = ? AND name = ?")
            .bind(tenant)
            .bind(place)
            .bind(OWNER)
            .fetch_optional(connection)
            .await?;
    let Some(state) = state else { return Ok(OwnerEpoch::default()) };
    let bytes = <[u8; 8]>::try_from(state.as_slice()).map_err(|_| StoreError::Damaged {
        what: "owner's epoch",
        value: format!("{} bytes", state.len()),
    })?;
    Ok(OwnerEpoch(u64::from_be_bytes(bytes)))
}

/// Refuses whoever is not the owner of a partition.
///
/// # Errors
/// [`StoreError::Fenced`].
pub(super) async fn fence(
    connection: &mut Connection,
    tenant: i64,
    (place, partition): (i64, Partition),
    epoch: OwnerEpoch,
) -> StoreResult<()> {
    let owner = owner(connection, tenant, place).await?;
    if owner == epoch {
        return Ok(());
    }
    Err(StoreError::Fenced { partition: partition.0, owner: owner.0, ours: epoch.0 })
}

/// Refuses whoever does not own the state of detection, which findings rest on.
///
/// # Errors
/// [`StoreError::Fenced`].
pub(super) async fn fence_detection(
    connection: &mut Connection,
    tenant: i64,
    epoch: OwnerEpoch,
) -> StoreResult<()> {
    fence(connection, tenant, (i64::from(SHARED_AT.0), SHARED_AT), epoch).await
}

/// Writes how far a partition is worked off.
pub(super) async fn put_place(
    connection: &mut Connection,
    tenant: i64,
    place: i64,
    next: LogOffset,
) -> StoreResult<()> {
    let last: Option<i64> = engine::query_scalar(
        "SELECT log_offset FROM checkpoint WHERE tenant = ? AND partition = ? AND name = ?",
    )
    .bind(tenant)
    .bind(place)
    .bind(OFFSET)
    .fetch_optional(&mut *connection)
    .await?;
    if last.is_some_and(|last| count(last) > next.0) {
        return Err(StoreError::Conflict("another worker has come further".to_owned()));
    }
    put_state(connection, tenant, place, OFFSET, int(next.0), &[]).await
}

/// Writes the state of detection in parts and removes what a larger one left behind.
pub(super) async fn put_detect(
    connection: &mut Connection,
    (tenant, partition, next): (i64, i64, i64),
    state: &[u8],
    part_bytes: usize,
) -> StoreResult<()> {
    let parts = state.chunks(part_bytes).collect::<Vec<_>>();
    // An empty state is a state too: one part says that there is one.
    let parts = if parts.is_empty() { vec![state] } else { parts };
    for (number, part) in parts.iter().enumerate() {
        put_state(connection, tenant, partition, &format!("{DETECT}{number:06}"), next, part).await?;
    }
    engine::query(
        "DELETE FROM checkpoint WHERE tenant = ? AND partition = ? AND name LIKE 'detect.%' AND name >= ?",
    )
    .bind(tenant)
    .bind(partition)
    .bind(format!("{DETECT}{:06}", parts.len()))
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes one named part of a checkpoint.
pub(super) async fn put_state(
    connection: &mut Connection,
    tenant: i64,
    partition: i64,
    name: &str,
    next: i64,
    state: &[u8],
) -> StoreResult<()> {
    engine::query(
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
    connection: &mut Connection,
    tenant: i64,
    vehicle: VehicleId,
    activity: &Activity,
) -> StoreResult<()> {
    engine::query(
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
    engine::query(
        "INSERT INTO vehicle_hour (tenant, vehicle_id, hour, events) VALUES (?, ?, ?, ?) \
         ON CONFLICT (tenant, vehicle_id, hour) DO UPDATE SET events = vehicle_hour.events + excluded.events",
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
pub(super) async fn note_rate(
    connection: &mut Connection,
    scope: Scope,
    rate: &BTreeMap<i64, (u64, u64)>,
) -> StoreResult<()> {
    let tenant = i64::from(scope.tenant.0);
    for (minute, (events, findings)) in rate {
        engine::query(
            "INSERT INTO rate_minute (tenant, minute, events, findings) VALUES (?, ?, ?, ?) \
             ON CONFLICT (tenant, minute) DO UPDATE SET events = rate_minute.events + excluded.events, \
             findings = rate_minute.findings + excluded.findings",
        )
        .bind(tenant)
        .bind(minute)
        .bind(int(*events))
        .bind(int(*findings))
        .execute(&mut *connection)
        .await?;
    }
    let hour = scope.now.0.div_euclid(HOUR_US);
    engine::query("DELETE FROM vehicle_hour WHERE tenant = ? AND hour < ?")
        .bind(tenant)
        .bind(hour - HOURS_KEPT)
        .execute(&mut *connection)
        .await?;
    engine::query("DELETE FROM rate_minute WHERE tenant = ? AND minute < ?")
        .bind(tenant)
        .bind((hour - HOURS_KEPT) * 60)
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use outrider_types::{TenantId, UnixMicros};

    use super::*;
    const SCOPE: Scope = Scope { tenant: TenantId(1), now: UnixMicros(1) };

    async fn store() -> (SqlStore, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        (SqlStore::open(&folder.path().join("cases.sqlite")).await.expect("it opens"), folder)
    }

    #[tokio::test]
    async fn a_large_state_comes_back_whole_from_its_parts() {
        let (store, _folder) = store().await;
        for state in [vec![7_u8; 25], vec![8; 9], Vec::new(), vec![1, 2, 3]] {
            let mut connection = store.write.acquire().await.expect("a connection");
            put_detect(&mut connection, (1, 0, 5), &state, 10).await.expect("it writes");
            drop(connection);
            let saved = store.saved_progress(SCOPE, Partition(0)).await.expect("it reads");
            assert_eq!(saved.detect, Some(state));
        }
    }
}
