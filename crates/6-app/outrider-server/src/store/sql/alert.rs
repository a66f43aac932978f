//! Alerts, read as a queue.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use outrider_model::{LogOffset, Matched, OwnerEpoch};
use outrider_types::{EventId, UnixMicros, VehicleId};

use super::alert_filter::{order_column, order_value, push_filter};
use super::correlation::fence_part;
use super::engine::{self, Connection, QueryBuilder, Row};
use super::progress::fence_detection;
use super::{
    SqlStore, alert_finding, count, cursor_parts, int, json, number, severity, time, word, word_opt,
};
use crate::api::dto::{
    self, Alert, AlertActionRequest, AlertActionResult, AlertRef, AlertStatus, Disposition, HistoryEntry,
    SeverityCounts,
};
use crate::store::{
    AlertChange, AlertFilter, AlertOrder, AlertStore, Counts, FindingInput, FindingOwner, Page, Scope,
    StoreError, StoreResult, StoredFinding,
};

/// Alerts of each kind that are compared when similar ones are looked for.
const SIMILAR_CANDIDATES: i64 = 200;

#[async_trait]
impl AlertStore for SqlStore {
    async fn record_findings(
        &self,
        scope: Scope,
        owner: FindingOwner,
        findings: &[FindingInput<'_>],
        next: LogOffset,
    ) -> StoreResult<Vec<Alert>> {
        let mut transaction = self.begin().await?;
        let tenant = i64::from(scope.tenant.0);
        match owner {
            FindingOwner::Whole(epoch) => fence_detection(&mut transaction, tenant, epoch).await?,
            FindingOwner::Part(part, epoch) => fence_part(&mut transaction, tenant, part, epoch).await?,
        }
        let mut touched = BTreeSet::new();
        for input in findings {
            if let Some(alert) = alert_finding::record(&mut transaction, scope, input, next).await? {
                touched.insert(alert);
            }
        }
        let alerts = summarise_all(&mut transaction, scope, &touched).await?;
        transaction.commit().await?;
        Ok(alerts)
    }

    async fn findings_stated(&self, scope: Scope, after: LogOffset) -> StoreResult<Vec<(String, LogOffset)>> {
        engine::query("SELECT id, log_next FROM finding WHERE tenant = ? AND log_next > ? AND withdrawn = 0")
            .bind(i64::from(scope.tenant.0))
            .bind(int(after.0))
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(|row| Ok((row.try_get("id")?, LogOffset(number(row, "log_next")?))))
            .collect()
    }

    async fn withdraw_findings(
        &self,
        scope: Scope,
        epoch: OwnerEpoch,
        ids: &[String],
    ) -> StoreResult<Vec<Alert>> {
        let mut transaction = self.begin().await?;
        fence_detection(&mut transaction, i64::from(scope.tenant.0), epoch).await?;
        let mut touched = BTreeSet::new();
        for id in ids {
            let alert: Option<String> = engine::query_scalar(
                "UPDATE finding SET withdrawn = 1, revision = revision + 1 WHERE tenant = ? AND id = ? AND withdrawn = 0 \
                 RETURNING alert_id",
            )
            .bind(i64::from(scope.tenant.0))
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await?;
            touched.extend(alert);
        }
        let alerts = summarise_all(&mut transaction, scope, &touched).await?;
        transaction.commit().await?;
        Ok(alerts)
    }

    async fn alerts(
        &self,
        scope: Scope,
        filter: &AlertFilter,
        order: (AlertOrder, bool),
        cursor: Option<&str>,
        limit: u32,
    ) -> StoreResult<Page<Alert>> {
        let (column, descending) = (order_column(order.0), order.1);
        let mut total = QueryBuilder::new("SELECT count(*) FROM alert a WHERE a.tenant = ");
        total.push_bind(i64::from(scope.tenant.0));
        push_filter(&mut total, filter, true);
        let total: i64 = total.build_query_scalar().fetch_one(&self.read).await?;
        let mut query = QueryBuilder::new("SELECT a.* FROM alert a WHERE a.tenant = ");
        query.push_bind(i64::from(scope.tenant.0));
        push_filter(&mut query, filter, true);
        if let Some(cursor) = cursor {
            let (value, id) = cursor_parts(cursor)?;
            query
                .push(" AND (")
                .push(column)
                .push(", a.id) ")
                .push(if descending { "<" } else { ">" })
                .push(" (");
            query.push_bind(value).push(", ").push_bind(id.to_owned()).push(")");
        }
        let direction = if descending { " DESC" } else { " ASC" };
        query.push(" ORDER BY ").push(column).push(direction).push(", a.id").push(direction).push(" LIMIT ");
        query.push_bind(i64::from(limit) + 1);
        let rows = query.build().fetch_all(&self.read).await?;
        let mut items = rows.iter().take(limit as usize).map(alert_of).collect::<StoreResult<Vec<_>>>()?;
        items.truncate(limit as usize);
        let next_cursor = (rows.len() > items.len())
            .then(|| items.last().map(|alert| format!("{}.{}", order_value(order.0, alert), alert.id)))
            .flatten();
        Ok(Page { items, next_cursor, total: count(total) })
    }

    async fn alerts_changed(
        &self,
        scope: Scope,
        after: Option<AlertChange>,
        limit: u32,
    ) -> StoreResult<(Vec<Alert>, AlertChange)> {
        let tenant = i64::from(scope.tenant.0);
        let Some(after) = after else {
            let newest: Option<i64> = engine::query_scalar("SELECT max(changed) FROM alert WHERE tenant = ?")
                .bind(tenant)
                .fetch_one(&self.read)
                .await?;
            return Ok((Vec::new(), AlertChange(u64::try_from(newest.unwrap_or(0)).unwrap_or(0))));
        };
        let rows = engine::query(
            "SELECT * FROM alert WHERE tenant = ? AND changed > ? ORDER BY changed, id LIMIT ?",
        )
        .bind(tenant)
        .bind(int(after.0))
        .bind(i64::from(limit))
        .fetch_all(&self.read)
        .await?;
        let last = rows.last().map_or(Ok(after.0), |row| number(row, "changed"))?;
        Ok((rows.iter().map(alert_of).collect::<StoreResult<_>>()?, AlertChange(last)))
    }

    async fn alert_counts(&self, scope: Scope, filter: &AlertFilter) -> StoreResult<SeverityCounts> {
        let mut query =
            QueryBuilder::new("SELECT a.severity AS severity, count(*) AS n FROM alert a WHERE a.tenant = ");
        query.push_bind(i64::from(scope.tenant.0));
        push_filter(&mut query, filter, false);
        query.push(" GROUP BY a.severity");
        severity_counts(&query.build().fetch_all(&self.read).await?)
    }

    async fn alert(&self, scope: Scope, id: &str) -> StoreResult<Alert> {
        read_alert(&mut self.read.acquire().await?, scope, id).await
    }

    async fn alert_findings(&self, scope: Scope, id: &str, limit: u32) -> StoreResult<Vec<StoredFinding>> {
        engine::query(
            "SELECT * FROM finding WHERE tenant = ?1 AND alert_id = ?2 AND withdrawn = \
             (SELECT min(withdrawn) FROM finding WHERE tenant = ?1 AND alert_id = ?2) \
             ORDER BY window_from DESC, id LIMIT ?3",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(id)
        .bind(i64::from(limit))
        .fetch_all(&self.read)
        .await?
        .iter()
        .map(finding_of)
        .collect()
    }

    async fn alert_vehicles(&self, scope: Scope, id: &str, limit: u32) -> StoreResult<Vec<VehicleId>> {
        let rows = engine::query(
            "SELECT vehicle_id FROM alert_vehicle WHERE tenant = ? AND alert_id = ? ORDER BY vehicle_id LIMIT ?",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(id)
        .bind(i64::from(limit))
        .fetch_all(&self.read)
        .await?;
        rows.iter().map(|row| word(row, "vehicle_id", |text| text.parse().ok())).collect()
    }

    async fn alert_history(&self, scope: Scope, id: &str) -> StoreResult<Vec<HistoryEntry>> {
        let rows = engine::query(
            "SELECT at, actor, action, note FROM alert_history WHERE tenant = ? AND alert_id = ? ORDER BY number DESC LIMIT 500",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(id)
        .fetch_all(&self.read)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(HistoryEntry {
                    at: time(row, "at")?,
                    by: row.try_get("actor")?,
                    action: row.try_get("action")?,
                    note: row.try_get("note")?,
                })
            })
            .collect()
    }

    async fn similar_alerts(&self, scope: Scope, alert: &Alert, limit: u32) -> StoreResult<Vec<AlertRef>> {
        let rows = engine::query(
            "SELECT a.*, CASE WHEN a.id IN (SELECT o.alert_id FROM alert_vehicle m JOIN alert_vehicle o ON o.tenant = m.tenant \
               AND o.vehicle_id = m.vehicle_id WHERE m.tenant = ?1 AND m.alert_id = ?2) THEN 4 ELSE 0 END \
             + CASE WHEN a.rule_id = ?3 THEN 2 ELSE 0 END + CASE WHEN a.model_line = ?4 THEN 1 ELSE 0 END AS likeness \
             FROM alert a WHERE a.tenant = ?1 AND a.id <> ?2 AND a.id IN ( \
               SELECT id FROM (SELECT o.alert_id AS id FROM alert_vehicle m JOIN alert_vehicle o ON o.tenant = m.tenant \
                 AND o.vehicle_id = m.vehicle_id WHERE m.tenant = ?1 AND m.alert_id = ?2 LIMIT ?5) AS near \
               UNION SELECT id FROM (SELECT id FROM alert WHERE tenant = ?1 AND rule_id = ?3 ORDER BY last_at DESC LIMIT ?5) AS ruled \
               UNION SELECT id FROM (SELECT id FROM alert WHERE tenant = ?1 AND model_line = ?4 ORDER BY last_at DESC LIMIT ?5) AS lined) \
             ORDER BY likeness DESC, a.last_at DESC, a.id LIMIT ?6",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(&alert.id)
        .bind(&alert.rule_id)
        .bind(&alert.model_line)
        .bind(SIMILAR_CANDIDATES)
        .bind(i64::from(limit))
        .fetch_all(&self.read)
        .await?;
        rows.iter()
            .map(|row| {
                let alert = alert_of(row)?;
                Ok(AlertRef {
                    id: alert.id,
                    title: alert.title,
                    severity: alert.severity,
                    status: alert.status,
                    disposition: alert.disposition,
                    last_at: alert.last_at,
                })
            })
            .collect()
    }

    async fn act_on_alerts(
        &self,
        scope: Scope,
        actor: &str,
        filter: Option<&AlertFilter>,
        request: &AlertActionRequest,
    ) -> StoreResult<AlertActionResult> {
        let mut transaction = self.begin().await?;
        let result = super::alert_action::act(&mut transaction, scope, actor, filter, request).await?;
        transaction.commit().await?;
        Ok(result)
    }

    async fn rule_counts(&self, scope: Scope) -> StoreResult<BTreeMap<String, (u64, u64, Counts)>> {
        let tenant = i64::from(scope.tenant.0);
        let mut rules: BTreeMap<String, (u64, u64, Counts)> = BTreeMap::new();
        let rows =
            engine::query("SELECT rule_id, count(*) AS n FROM finding WHERE tenant = ? GROUP BY rule_id")
                .bind(tenant)
                .fetch_all(&self.read)
                .await?;
        for row in &rows {
            rules.entry(row.try_get("rule_id")?).or_default().0 = number(row, "n")?;
        }
        let rows = engine::query(
            "SELECT rule_id, disposition, count(*) AS n FROM alert WHERE tenant = ? GROUP BY rule_id, disposition",
        )
        .bind(tenant)
        .fetch_all(&self.read)
        .await?;
        for row in &rows {
            let entry = rules.entry(row.try_get("rule_id")?).or_default();
            let n = number(row, "n")?;
            entry.1 += n;
            if let Some(disposition) = row.try_get::<Option<String>>("disposition")? {
                entry.2.insert(disposition, n);
            }
        }
        Ok(rules)
    }
}

/// Brings alerts up to date and reads them.
async fn summarise_all(
    connection: &mut Connection,
    scope: Scope,
    touched: &BTreeSet<String>,
) -> StoreResult<Vec<Alert>> {
    let mut alerts = Vec::with_capacity(touched.len());
    for id in touched {
        alert_finding::summarise(connection, scope, id).await?;
        alerts.push(read_alert(connection, scope, id).await?);
    }
    Ok(alerts)
}

/// Reads one alert.
pub(super) async fn read_alert(connection: &mut Connection, scope: Scope, id: &str) -> StoreResult<Alert> {
    let row = engine::query("SELECT * FROM alert WHERE tenant = ? AND id = ?")
        .bind(i64::from(scope.tenant.0))
        .bind(id)
        .fetch_optional(connection)
        .await?;
    row.as_ref()
        .map(alert_of)
        .transpose()?
        .ok_or_else(|| StoreError::NotFound { what: "alert", id: id.to_owned() })
}

/// Reads an alert from its row.
pub(super) fn alert_of(row: &Row) -> StoreResult<Alert> {
    Ok(Alert {
        id: row.try_get("id")?,
        rule_id: row.try_get("rule_id")?,
        rule_title: row.try_get("rule_title")?,
        severity: severity(row, "severity")?,
        status: word(row, "status", AlertStatus::from_word)?,
        disposition: word_opt(row, "disposition", Disposition::from_word)?,
        title: row.try_get("title")?,
        group: json(row, "group_values")?,
        model_line: row.try_get("model_line")?,
        vehicle_count: number(row, "vehicle_count")?,
        event_count: number(row, "event_count")?,
        finding_count: number(row, "finding_count")?,
        first_at: time(row, "first_at")?,
        last_at: time(row, "last_at")?,
        detected_at: time(row, "detected_at")?,
        revision: number(row, "revision")?,
        late: row.try_get("late")?,
        owner: row.try_get("owner")?,
        case_id: row.try_get("case_id")?,
        tags: json(row, "tags")?,
    })
}

/// Reads a finding from its row.
fn finding_of(row: &Row) -> StoreResult<StoredFinding> {
    let matched: Vec<[String; 4]> = json(row, "matched")?;
    let events: Vec<String> = json(row, "events")?;
    let events = events
        .iter()
        .map(|text| text.parse().map_err(|_| StoreError::Damaged { what: "events", value: text.clone() }))
        .collect::<StoreResult<Vec<EventId>>>()?;
    Ok(StoredFinding {
        id: row.try_get("id")?,
        window_from: UnixMicros(row.try_get("window_from")?),
        window_to: UnixMicros(row.try_get("window_to")?),
        revision: u32::try_from(row.try_get::<i64>("revision")?).unwrap_or(u32::MAX),
        late: row.try_get("late")?,
        threshold: row.try_get::<Option<i64>>("threshold")?.map(count),
        value: row.try_get::<Option<i64>>("value")?.map(count),
        event_count: number(row, "event_count")?,
        vehicle_count: number(row, "vehicle_count")?,
        matched: matched
            .into_iter()
            .map(|[field, operator, expected, observed]| Matched { field, operator, expected, observed })
            .collect(),
        events,
    })
}

/// Reads rows of `severity` and `n`.
pub(super) fn severity_counts(rows: &[Row]) -> StoreResult<SeverityCounts> {
    let mut counts = SeverityCounts::default();
    for row in rows {
        let slot = match severity(row, "severity")? {
            dto::Severity::Info => &mut counts.info,
            dto::Severity::Low => &mut counts.low,
            dto::Severity::Medium => &mut counts.medium,
            dto::Severity::High => &mut counts.high,
            dto::Severity::Critical => &mut counts.critical,
        };
        *slot += number(row, "n")?;
    }
    Ok(counts)
}
