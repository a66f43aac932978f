//! Counts of the first page.

use outrider_types::UnixMicros;

use super::engine::{self, Pool};
use super::fleet::SILENT_US;
use super::{number, time, time_opt, word};
use crate::api::dto::{
    AlertStatus, ModelCount, RateBucket, RuleCount, StatusCounts, Timestamp, VehicleCounts, WaitingItem,
    WaitingKind,
};
use crate::store::{OverviewCounts, Scope, StoreResult};

const MINUTE_US: i64 = 60_000_000;

/// Reads all counts.
pub(super) async fn read(pool: &Pool, scope: Scope) -> StoreResult<OverviewCounts> {
    let tenant = i64::from(scope.tenant.0);
    let open = engine::query(
        "SELECT severity, count(*) AS n FROM alert WHERE tenant = ? AND status <> 'closed' GROUP BY severity",
    )
    .bind(tenant)
    .fetch_all(pool)
    .await?;
    let oldest =
        engine::query("SELECT min(detected_at) AS at FROM alert WHERE tenant = ? AND status = 'new'")
            .bind(tenant)
            .fetch_one(pool)
            .await?;
    Ok(OverviewCounts {
        open: super::alert::severity_counts(&open)?,
        by_status: by_status(pool, tenant).await?,
        oldest_new: time_opt(&oldest, "at")?.map(|at| at.0),
        vehicles: vehicles(pool, scope).await?,
        waiting: waiting(pool, tenant).await?,
        rate: rate(pool, scope).await?,
        top_rules: top_rules(pool, tenant).await?,
        top_models: top_models(pool, tenant).await?,
    })
}

/// Alerts by status.
async fn by_status(pool: &Pool, tenant: i64) -> StoreResult<StatusCounts> {
    let rows = engine::query("SELECT status, count(*) AS n FROM alert WHERE tenant = ? GROUP BY status")
        .bind(tenant)
        .fetch_all(pool)
        .await?;
    let mut counts = StatusCounts::default();
    for row in &rows {
        let n = number(row, "n")?;
        match word(row, "status", AlertStatus::from_word)? {
            AlertStatus::New => counts.new = n,
            AlertStatus::Acknowledged => counts.acknowledged = n,
            AlertStatus::Closed => counts.closed = n,
        }
    }
    Ok(counts)
}

/// Vehicles by when they were heard of.
async fn vehicles(pool: &Pool, scope: Scope) -> StoreResult<VehicleCounts> {
    let row = engine::query(
        "SELECT count(*) AS known, count(*) FILTER (WHERE coalesce(last_seen_at, 0) >= ?) AS reporting FROM vehicle WHERE tenant = ?",
    )
    .bind(scope.now.saturating_add(-SILENT_US).0)
    .bind(i64::from(scope.tenant.0))
    .fetch_one(pool)
    .await?;
    let (known, reporting_24h) = (number(&row, "known")?, number(&row, "reporting")?);
    Ok(VehicleCounts { known, reporting_24h, silent: known.saturating_sub(reporting_24h) })
}

/// What waits for a person, oldest first.
async fn waiting(pool: &Pool, tenant: i64) -> StoreResult<Vec<WaitingItem>> {
    let rows = engine::query(
        "SELECT 'alert' AS kind, id, title, detected_at AS since, NULL AS case_id FROM alert \
         WHERE tenant = ?1 AND status = 'new' AND severity >= 4 \
         UNION ALL SELECT 'evidence_request', id, state || ': ' || event_id, requested_at, case_id FROM evidence_request \
         WHERE tenant = ?1 AND state IN ('requested', 'permitted', 'sent', 'accepted') \
         UNION ALL SELECT 'case', id, title, created_at, id FROM case_file WHERE tenant = ?1 AND status = 'new' \
         ORDER BY since, id LIMIT 20",
    )
    .bind(tenant)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(WaitingItem {
                kind: word(row, "kind", WaitingKind::from_word)?,
                id: row.try_get("id")?,
                title: row.try_get("title")?,
                since: time(row, "since")?,
                case_id: row.try_get("case_id")?,
            })
        })
        .collect()
}

/// Last 60 minutes, with the empty ones.
async fn rate(pool: &Pool, scope: Scope) -> StoreResult<Vec<RateBucket>> {
    let last = scope.now.0.div_euclid(MINUTE_US);
    let rows =
        engine::query("SELECT minute, events, findings FROM rate_minute WHERE tenant = ? AND minute > ?")
            .bind(i64::from(scope.tenant.0))
            .bind(last - 60)
            .fetch_all(pool)
            .await?;
    let mut buckets: Vec<RateBucket> = (last - 59..=last)
        .map(|minute| RateBucket {
            at: Timestamp(UnixMicros(minute.saturating_mul(MINUTE_US))),
            events: 0,
            findings: 0,
        })
        .collect();
    for row in &rows {
        let index = usize::try_from(row.try_get::<i64>("minute")? - (last - 59)).unwrap_or(usize::MAX);
        if let Some(bucket) = buckets.get_mut(index) {
            bucket.events = number(row, "events")?;
            bucket.findings = number(row, "findings")?;
        }
    }
    Ok(buckets)
}

/// Rules with most open alerts.
async fn top_rules(pool: &Pool, tenant: i64) -> StoreResult<Vec<RuleCount>> {
    let rows = engine::query(
        "SELECT rule_id, max(rule_title) AS title, count(*) AS n FROM alert WHERE tenant = ? AND status <> 'closed' \
         GROUP BY rule_id ORDER BY n DESC, rule_id LIMIT 8",
    )
    .bind(tenant)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(RuleCount {
                rule_id: row.try_get("rule_id")?,
                title: row.try_get("title")?,
                alerts: number(row, "n")?,
            })
        })
        .collect()
}

/// Model lines with most open alerts.
async fn top_models(pool: &Pool, tenant: i64) -> StoreResult<Vec<ModelCount>> {
    let rows = engine::query(
        "SELECT a.model_line AS model_line, count(*) AS n, \
         (SELECT count(*) FROM vehicle v WHERE v.tenant = a.tenant AND v.model_line = a.model_line) AS vehicles \
         FROM alert a WHERE a.tenant = ? AND a.status <> 'closed' AND a.model_line IS NOT NULL \
         GROUP BY a.tenant, a.model_line ORDER BY n DESC, a.model_line LIMIT 8",
    )
    .bind(tenant)
    .fetch_all(pool)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(ModelCount {
                model_line: row.try_get("model_line")?,
                alerts: number(row, "n")?,
                vehicles: number(row, "vehicles")?,
            })
        })
        .collect()
}
