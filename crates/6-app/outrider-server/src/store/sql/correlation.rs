//! Checkpoints of correlators.

use async_trait::async_trait;
use outrider_model::{LogOffset, OwnerEpoch, Partition};
use outrider_types::UnixMicros;

use super::engine::{self, Connection};
use super::progress::{self, DETECT, DETECT_PART_BYTES, OFFSET, OWNER, SHARED_AT};
use super::{SqlStore, int, number};
use crate::store::{
    CorrelationStore, PartProgress, SavedPart, SavedProgress, Scope, StoreError, StoreResult, Watermarks,
};

/// Name of the row that holds what the workers promised.
const WATERMARKS: &str = "watermarks";
/// Parts of the second stage stand in the same table as the partitions of the event log, from this number on.
const FIRST: i64 = 1 << 20;
/// Bytes of one watermark: partition and time.
const WATERMARK_BYTES: usize = 2 + 8;

/// Returns where the rows of a part stand.
fn place(part: Partition) -> i64 {
    FIRST + i64::from(part.0)
}

#[async_trait]
impl CorrelationStore for SqlStore {
    async fn take_over_part(&self, scope: Scope, part: Partition) -> StoreResult<OwnerEpoch> {
        let tenant = i64::from(scope.tenant.0);
        let mut transaction = self.begin().await?;
        let epoch = OwnerEpoch(progress::owner(&mut transaction, tenant, place(part)).await?.0 + 1);
        let state = epoch.0.to_be_bytes();
        progress::put_state(&mut transaction, tenant, place(part), OWNER, 0, &state).await?;
        transaction.commit().await?;
        Ok(epoch)
    }

    async fn commit_part(&self, scope: Scope, part: &PartProgress) -> StoreResult<()> {
        let tenant = i64::from(scope.tenant.0);
        let (at, next) = (place(part.part), int(part.next.0));
        let mut transaction = self.begin().await?;
        fence_part(&mut transaction, tenant, part.part, part.epoch).await?;
        progress::put_place(&mut transaction, tenant, at, part.next).await?;
        let states = (tenant, at, next);
        progress::put_detect(&mut transaction, states, &part.detect, DETECT_PART_BYTES).await?;
        let watermarks = written(&part.watermarks);
        progress::put_state(&mut transaction, tenant, at, WATERMARKS, next, &watermarks).await?;
        progress::note_rate(&mut transaction, scope, &part.rate).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn saved_part(&self, scope: Scope, part: Partition) -> StoreResult<SavedPart> {
        let rows = engine::query(
            "SELECT name, log_offset, state FROM checkpoint WHERE tenant = ? AND partition = ? ORDER BY name",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(place(part))
        .fetch_all(&self.read)
        .await?;
        let mut saved = SavedPart::default();
        for row in &rows {
            let name: String = row.try_get("name")?;
            match name.as_str() {
                OFFSET => saved.next = LogOffset(number(row, "log_offset")?),
                WATERMARKS => saved.watermarks = read(&row.try_get::<Vec<u8>>("state")?)?,
                name if name.starts_with(DETECT) => {
                    saved.detect.get_or_insert_default().extend_from_slice(&row.try_get::<Vec<u8>>("state")?);
                }
                _ => {}
            }
        }
        Ok(saved)
    }

    async fn is_correlated(&self, scope: Scope) -> StoreResult<bool> {
        let rows: i64 =
            engine::query_scalar("SELECT count(*) FROM checkpoint WHERE tenant = ? AND partition >= ?")
                .bind(i64::from(scope.tenant.0))
                .bind(FIRST)
                .fetch_one(&self.read)
                .await?;
        Ok(rows > 0)
    }

    async fn whole_detection(&self, scope: Scope) -> StoreResult<Option<Vec<u8>>> {
        let rows = engine::query(
            "SELECT state FROM checkpoint WHERE tenant = ? AND partition = ? AND name LIKE 'detect.%' ORDER BY name",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(i64::from(SHARED_AT.0))
        .fetch_all(&self.read)
        .await?;
        let mut whole: Option<Vec<u8>> = None;
        for row in &rows {
            whole.get_or_insert_default().extend_from_slice(&row.try_get::<Vec<u8>>("state")?);
        }
        Ok(whole)
    }

    async fn progress_since(
        &self,
        scope: Scope,
        partition: Partition,
        after: Option<LogOffset>,
    ) -> StoreResult<SavedProgress> {
        let rows = engine::query(
            "SELECT name, log_offset, state FROM checkpoint WHERE tenant = ? AND partition = ? AND log_offset > ? \
             AND name NOT LIKE 'detect.%' AND name NOT LIKE 'feeds.%' ORDER BY name",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(i64::from(partition.0))
        .bind(after.map_or(-1, |after| int(after.0)))
        .fetch_all(&self.read)
        .await?;
        progress::saved(&rows)
    }

    async fn prepare_to_follow(&self) -> StoreResult<()> {
        let mut transaction = self.begin().await?;
        transaction
            .run(
                "CREATE INDEX IF NOT EXISTS checkpoint_offset ON checkpoint (tenant, partition, log_offset)"
                    .to_owned(),
            )
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Refuses whoever is not the owner of a part.
///
/// # Errors
/// [`StoreError::Fenced`].
pub(super) async fn fence_part(
    connection: &mut Connection,
    tenant: i64,
    part: Partition,
    epoch: OwnerEpoch,
) -> StoreResult<()> {
    progress::fence(connection, tenant, (place(part), part), epoch).await
}

fn written(watermarks: &Watermarks) -> Vec<u8> {
    let mut out = Vec::with_capacity(watermarks.len() * WATERMARK_BYTES);
    for (partition, at) in watermarks {
        out.extend(partition.0.to_le_bytes());
        out.extend(at.0.to_le_bytes());
    }
    out
}

fn read(bytes: &[u8]) -> StoreResult<Watermarks> {
    let damaged = || StoreError::Damaged { what: "watermarks", value: format!("{} bytes", bytes.len()) };
    let (parts, rest) = bytes.as_chunks::<WATERMARK_BYTES>();
    if !rest.is_empty() {
        return Err(damaged());
    }
    let one = |[p0, p1, time @ ..]: &[u8; WATERMARK_BYTES]| {
        (Partition(u16::from_le_bytes([*p0, *p1])), UnixMicros(i64::from_le_bytes(*time)))
    };
    Ok(parts.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermarks_come_back() {
        let marks: Watermarks =
            [(Partition(0), UnixMicros(-5)), (Partition(1023), UnixMicros(i64::MAX))].into();
        assert_eq!(read(&written(&marks)).expect("they read"), marks);
        assert!(read(&written(&marks)[1..]).is_err());
    }
}
