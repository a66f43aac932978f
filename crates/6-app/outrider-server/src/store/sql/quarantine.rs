//! The quarantine.

use async_trait::async_trait;
use outrider_ingest::{ForeignPart, Replayed};
use outrider_types::UnixMicros;

use super::engine::{self, Connection, QueryBuilder};
use super::{SqlStore, any_of, count, cursor_parts, int, number, rollout, time, time_opt};
use crate::api::dto::{QuarantineGroup, QuarantineItem, QuarantineSummary, Timestamp};
use crate::store::{
    Page, QuarantineEntry, QuarantineFilter, QuarantineStore, REPLAYS_MAX, RequestedReplay, Scope,
    StoreError, StoreResult,
};

/// Rows of the quarantine that are kept; the oldest go first.
pub(super) const ROWS_MAX: i64 = 100_000;
/// Bytes of the quarantine that are kept; the oldest go first.
pub(super) const BYTES_MAX: i64 = 1 << 30;
/// Bytes of an excerpt.
const EXCERPT_BYTES: usize = 64;
/// Groups of a summary: reasons are a closed list, feeds are bounded, formats may come from input.
const GROUPS_MAX: i64 = 500;

#[async_trait]
impl QuarantineStore for SqlStore {
    async fn quarantine(
        &self,
        scope: Scope,
        filter: &QuarantineFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> StoreResult<Page<QuarantineItem>> {
        let mut counting = QueryBuilder::new("SELECT count(*) FROM quarantine WHERE tenant = ");
        narrow(&mut counting, scope, filter);
        let total: i64 = counting.build_query_scalar().fetch_one(&self.read).await?;
        let mut query = QueryBuilder::new(
            "SELECT number, at, vehicle_id, reason, place, size, units, feed, format, decoder, requested_at, replayed_at, \
             passed, refused, CASE WHEN feed IS NULL THEN substr(content, 1, 64) END AS excerpt \
             FROM quarantine WHERE tenant = ",
        );
        narrow(&mut query, scope, filter);
        if let Some(cursor) = cursor {
            query.push(" AND number < ").push_bind(cursor_parts(cursor)?.0);
        }
        query.push(" ORDER BY number DESC LIMIT ").push_bind(i64::from(limit) + 1);
        let rows = query.build().fetch_all(&self.read).await?;
        let mut items = Vec::new();
        for row in rows.iter().take(limit as usize) {
            let excerpt = row.try_get::<Option<Vec<u8>>>("excerpt")?.unwrap_or_default();
            let (passed, refused): (Option<i64>, Option<i64>) =
                (row.try_get("passed")?, row.try_get("refused")?);
            items.push(QuarantineItem {
                id: row.try_get::<i64>("number")?.to_string(),
                at: time(row, "at")?,
                vehicle_id: row.try_get("vehicle_id")?,
                reason: row.try_get("reason")?,
                place: row.try_get("place")?,
                bytes: number(row, "size")?,
                excerpt_hex: crate::hex(&excerpt[..excerpt.len().min(EXCERPT_BYTES)]),
                units: number(row, "units")?,
                feed: row.try_get("feed")?,
                format: row.try_get("format")?,
                decoder: row.try_get("decoder")?,
                requested_at: time_opt(row, "requested_at")?,
                replayed_at: time_opt(row, "replayed_at")?,
                passed: passed.map(count),
                refused: refused.map(count),
            });
        }
        let next_cursor =
            (rows.len() > items.len()).then(|| items.last().map(|item| format!("{}.", item.id))).flatten();
        Ok(Page { items, next_cursor, total: count(total) })
    }

    async fn quarantine_summary(&self, scope: Scope) -> StoreResult<QuarantineSummary> {
        let rows = engine::query(
            "SELECT reason, feed, format, count(*) AS entries, count(*) - count(replayed_at) AS open, \
             CAST(sum(units) AS BIGINT) AS units, CAST(sum(size) AS BIGINT) AS bytes, min(at) AS first_at, max(at) AS last_at FROM quarantine WHERE tenant = ? \
             GROUP BY reason, feed, format ORDER BY open DESC, entries DESC, reason, feed NULLS FIRST, format NULLS FIRST LIMIT ?",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(GROUPS_MAX)
        .fetch_all(&self.read)
        .await?;
        let mut groups = Vec::new();
        for row in &rows {
            groups.push(QuarantineGroup {
                reason: row.try_get("reason")?,
                feed: row.try_get("feed")?,
                format: row.try_get("format")?,
                entries: number(row, "entries")?,
                open: number(row, "open")?,
                units: number(row, "units")?,
                bytes: number(row, "bytes")?,
                first_at: time(row, "first_at")?,
                last_at: time(row, "last_at")?,
            });
        }
        let all = engine::query(
            "SELECT count(*) AS entries, CAST(coalesce(sum(size), 0) AS BIGINT) AS bytes FROM quarantine WHERE tenant = ?",
        )
        .bind(i64::from(scope.tenant.0))
        .fetch_one(&self.read)
        .await?;
        Ok(QuarantineSummary {
            groups,
            entries: number(&all, "entries")?,
            bytes: number(&all, "bytes")?,
            entries_max: count(ROWS_MAX),
            bytes_max: count(BYTES_MAX),
            as_of: Timestamp(scope.now),
        })
    }

    async fn quarantine_content(&self, scope: Scope, id: i64, by: &str) -> StoreResult<Vec<u8>> {
        let mut transaction = self.begin().await?;
        let content: Option<Vec<u8>> =
            engine::query_scalar("SELECT content FROM quarantine WHERE tenant = ? AND number = ?")
                .bind(i64::from(scope.tenant.0))
                .bind(id)
                .fetch_optional(&mut *transaction)
                .await?;
        let content =
            content.ok_or_else(|| StoreError::NotFound { what: "quarantine entry", id: id.to_string() })?;
        rollout::audit(&mut transaction, scope, by, "show_quarantine", &id.to_string(), "done").await?;
        transaction.commit().await?;
        Ok(content)
    }

    async fn request_replays(&self, scope: Scope, filter: &QuarantineFilter, by: &str) -> StoreResult<u64> {
        let mut transaction = self.begin().await?;
        let mut query = QueryBuilder::new("UPDATE quarantine SET requested_at = ");
        query.push_bind(scope.now.0).push(", requested_by = ").push_bind(by.to_owned());
        query.push(" WHERE number IN (SELECT number FROM quarantine WHERE tenant = ");
        narrow(&mut query, scope, filter);
        query.push(" AND requested_at IS NULL AND replayed_at IS NULL ORDER BY number LIMIT ");
        query.push_bind(i64::from(REPLAYS_MAX)).push(")");
        let requested = query.build().execute(&mut *transaction).await?;
        let subject = format!("{requested} entries");
        rollout::audit(&mut transaction, scope, by, "replay_quarantine", &subject, "done").await?;
        transaction.commit().await?;
        Ok(requested)
    }

    async fn requested_replays(
        &self,
        scope: Scope,
        after: u64,
        limit: u32,
    ) -> StoreResult<Vec<RequestedReplay>> {
        let rows = engine::query(
            "SELECT number, at, part, content FROM quarantine WHERE tenant = ? AND number > ? \
             AND requested_at IS NOT NULL AND replayed_at IS NULL ORDER BY number LIMIT ?",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(int(after))
        .bind(i64::from(limit))
        .fetch_all(&self.read)
        .await?;
        let mut requested = Vec::new();
        for row in &rows {
            let part: Option<Vec<u8>> = row.try_get("part")?;
            let part = part.map(|part| ForeignPart::load(&part)).transpose();
            let part =
                part.map_err(|error| StoreError::Damaged { what: "part", value: error.to_string() })?;
            requested.push(RequestedReplay {
                number: number(row, "number")?,
                at: UnixMicros(row.try_get("at")?),
                part,
                content: row.try_get("content")?,
            });
        }
        Ok(requested)
    }
}

/// Binds the tenant and appends the conditions of a filter.
fn narrow(query: &mut QueryBuilder, scope: Scope, filter: &QuarantineFilter) {
    query.push_bind(i64::from(scope.tenant.0));
    any_of(query, "number", filter.ids.iter().copied());
    for (column, value) in [("reason", &filter.reason), ("feed", &filter.feed), ("format", &filter.format)] {
        if let Some(value) = value {
            query.push(" AND ").push(column).push(" = ").push_bind(value.clone());
        }
    }
    if filter.open {
        query.push(" AND replayed_at IS NULL");
    }
}

/// Writes down what came of a replay. The bytes have served: what was refused again is an entry of its own.
pub(super) async fn put_replayed(
    connection: &mut Connection,
    scope: Scope,
    replayed: &Replayed,
) -> StoreResult<()> {
    engine::query(
        "UPDATE quarantine SET replayed_at = ?, passed = ?, refused = ?, content = ?, size = 0, part = NULL \
         WHERE tenant = ? AND number = ? AND replayed_at IS NULL",
    )
    .bind(scope.now.0)
    .bind(int(replayed.passed))
    .bind(int(replayed.refused))
    .bind(Vec::new())
    .bind(i64::from(scope.tenant.0))
    .bind(int(replayed.entry))
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes down what was set aside.
pub(super) async fn put_aside(
    connection: &mut Connection,
    tenant: i64,
    entry: &QuarantineEntry,
) -> StoreResult<()> {
    let part = entry.foreign.as_ref().map(|part| {
        let mut bytes = Vec::new();
        part.save(&mut bytes);
        bytes
    });
    let foreign = entry.foreign.as_ref();
    engine::query(
        "INSERT INTO quarantine (tenant, at, vehicle_id, reason, place, size, content, units, feed, format, decoder, part) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(tenant)
    .bind(entry.at.0)
    .bind(entry.vehicle.map(|vehicle| vehicle.to_string()))
    .bind(&entry.reason)
    .bind(&entry.place)
    .bind(int(entry.content.len() as u64))
    .bind(&entry.content)
    .bind(int(entry.units))
    .bind(foreign.map(|part| part.feed_name.clone()))
    .bind(foreign.map(|part| part.format.clone()))
    .bind(foreign.map(|part| part.decoder.clone()))
    .bind(part)
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes the oldest entries of the quarantine above the bounds of rows and bytes.
pub(super) async fn bound(
    connection: &mut Connection,
    tenant: i64,
    rows_max: i64,
    bytes_max: i64,
) -> StoreResult<()> {
    engine::query(
        "DELETE FROM quarantine WHERE tenant = ?1 AND number <= (SELECT max(number) FROM \
         (SELECT number, row_number() OVER newest AS rows, sum(size) OVER newest AS bytes FROM quarantine WHERE tenant = ?1 \
          WINDOW newest AS (ORDER BY number DESC)) AS kept WHERE rows > ?2 OR bytes > ?3)",
    )
    .bind(tenant)
    .bind(rows_max)
    .bind(bytes_max)
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use outrider_types::TenantId;

    use super::*;
    use crate::store::{Progress, ProgressStore as _};

    const SCOPE: Scope = Scope { tenant: TenantId(1), now: UnixMicros(1) };

    async fn store() -> (SqlStore, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        (SqlStore::open(&folder.path().join("cases.sqlite")).await.expect("it opens"), folder)
    }

    #[tokio::test]
    async fn the_quarantine_is_bounded_in_rows_and_bytes() {
        let (store, _folder) = store().await;
        let entry = |number: u8| QuarantineEntry {
            at: UnixMicros(i64::from(number)),
            vehicle: None,
            reason: "rows".to_owned(),
            place: "byte 0".to_owned(),
            content: vec![number; 100],
            units: 1,
            foreign: None,
        };
        let progress = Progress { quarantine: (0..10).map(entry).collect(), ..Progress::default() };
        store.commit_progress(SCOPE, &progress).await.expect("it writes");
        for (rows_max, bytes_max, left) in [(100, 1_000, 10), (7, 1_000, 7), (100, 350, 3), (100, 99, 0)] {
            let mut connection = store.write.acquire().await.expect("a connection");
            bound(&mut connection, 1, rows_max, bytes_max).await.expect("it deletes");
            drop(connection);
            let page =
                store.quarantine(SCOPE, &QuarantineFilter::default(), None, 100).await.expect("it reads");
            assert_eq!((page.total, page.items.len() as u64), (left, left));
            let newest = page.items.first().map(|item| item.at.0);
            assert_eq!(newest, (left > 0).then_some(UnixMicros(9)), "the oldest go first");
        }
    }

    #[tokio::test]
    async fn an_entry_is_taken_again_once_and_its_bytes_are_gone_then() {
        let (store, _folder) = store().await;
        let entry = |reason: &str| QuarantineEntry {
            at: UnixMicros(5),
            vehicle: None,
            reason: reason.to_owned(),
            place: String::new(),
            content: vec![7; 10],
            units: 3,
            foreign: None,
        };
        let quarantine = vec![entry("one"), entry("one"), entry("two")];
        let progress = Progress { quarantine, ..Progress::default() };
        store.commit_progress(SCOPE, &progress).await.expect("it writes");
        let ones = QuarantineFilter { reason: Some("one".to_owned()), ..QuarantineFilter::default() };
        assert_eq!(store.request_replays(SCOPE, &ones, "ada").await.expect("it writes"), 2);
        assert_eq!(
            store.request_replays(SCOPE, &ones, "ada").await.expect("it writes"),
            0,
            "they are asked for"
        );
        let requested = store.requested_replays(SCOPE, 0, 10).await.expect("it reads");
        assert_eq!(
            requested.iter().map(|it| (it.number, it.content.len())).collect::<Vec<_>>(),
            [(1, 10), (2, 10)]
        );
        assert_eq!(store.requested_replays(SCOPE, 1, 10).await.expect("it reads").len(), 1);
        let replayed = vec![Replayed { entry: 1, passed: 2, refused: 1 }];
        let progress = Progress { replayed, ..Progress::default() };
        store.commit_progress(SCOPE, &progress).await.expect("it writes");
        assert_eq!(store.requested_replays(SCOPE, 0, 10).await.expect("it reads").len(), 1);
        let page = store.quarantine(SCOPE, &ones, None, 10).await.expect("it reads");
        let first = &page.items[1];
        assert_eq!((first.passed, first.refused, first.bytes), (Some(2), Some(1), 0));
        assert!(first.replayed_at.is_some() && page.items[0].replayed_at.is_none());
        let open = QuarantineFilter { open: true, ..QuarantineFilter::default() };
        assert_eq!(store.quarantine(SCOPE, &open, None, 10).await.expect("it reads").total, 2);
        assert_eq!(store.request_replays(SCOPE, &ones, "ada").await.expect("it writes"), 0, "never twice");
        let summary = store.quarantine_summary(SCOPE).await.expect("it reads");
        let groups: Vec<_> =
            summary.groups.iter().map(|it| (it.reason.as_str(), it.entries, it.open, it.units)).collect();
        assert_eq!(groups, [("one", 2, 1, 6), ("two", 1, 1, 3)]);
        assert_eq!((summary.entries, summary.bytes), (3, 20));
        assert_eq!(store.quarantine_content(SCOPE, 3, "ada").await.expect("it reads"), vec![7; 10]);
        assert!(store.quarantine_content(SCOPE, 9, "ada").await.is_err());
    }
}
