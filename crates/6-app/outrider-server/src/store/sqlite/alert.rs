//! Alerts: written from findings, read as a queue.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use outrider_model::{Finding, Matched};
use outrider_types::{EventId, UnixMicros, VehicleId};
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, SqliteConnection};

use super::alert_filter::{order_column, order_value, push_filter};
use super::{SqliteStore, count, cursor_parts, int, json, number, severity, time, to_json, word, word_opt};
use crate::api::dto::{
    self, Alert, AlertActionRequest, AlertActionResult, AlertRef, AlertStatus, Disposition, HistoryEntry,
    SeverityCounts,
};
use crate::store::{
    AlertFilter, AlertOrder, AlertStore, Counts, FindingInput, Page, Scope, StoreError, StoreResult,
    StoredFinding,
};

#[async_trait]
impl AlertStore for SqliteStore {
    async fn record_findings(&self, scope: Scope, findings: &[FindingInput<'_>]) -> StoreResult<Vec<Alert>> {
        let mut transaction = self.begin().await?;
        let mut touched = BTreeSet::new();
        for input in findings {
            if let Some(alert) = record_one(&mut transaction, scope, input).await? {
                touched.insert(alert);
            }
        }
        let mut alerts = Vec::with_capacity(touched.len());
        for id in &touched {
            summarise(&mut transaction, scope, id).await?;
            alerts.push(read_alert(&mut transaction, scope, id).await?);
        }
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

    async fn alert_counts(&self, scope: Scope, filter: &AlertFilter) -> StoreResult<SeverityCounts> {
        let mut query =
            QueryBuilder::new("SELECT a.severity AS severity, count(*) AS n FROM alert a WHERE a.tenant = ");
        query.push_bind(i64::from(scope.tenant.0));
        push_filter(&mut query, filter, false);
        query.push(" GROUP BY a.severity");
        severity_counts(&query.build().fetch_all(&self.read).await?)
    }

    async fn alert(&self, scope: Scope, id: &str) -> StoreResult<Alert> {
        read_alert(&mut *self.read.acquire().await?, scope, id).await
    }

    async fn alert_findings(&self, scope: Scope, id: &str, limit: u32) -> StoreResult<Vec<StoredFinding>> {
        sqlx::query(
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
        let rows = sqlx::query(
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
        let rows = sqlx::query(
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
        let rows = sqlx::query(
            "SELECT * FROM alert WHERE tenant = ? AND rule_id = ? AND id <> ? ORDER BY last_at DESC, id LIMIT ?",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(&alert.rule_id)
        .bind(&alert.id)
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
            sqlx::query("SELECT rule_id, count(*) AS n FROM finding WHERE tenant = ? GROUP BY rule_id")
                .bind(tenant)
                .fetch_all(&self.read)
                .await?;
        for row in &rows {
            rules.entry(row.try_get("rule_id")?).or_default().0 = number(row, "n")?;
        }
        let rows = sqlx::query(
            "SELECT rule_id, disposition, count(*) AS n FROM alert WHERE tenant = ? GROUP BY rule_id, disposition",
        )
        .bind(tenant)
        .fetch_all(&self.read)
        .await?;
        for row in &rows {
            let entry = rules.entry(row.try_get("rule_id")?).or_default();
            let n = number(row, "n")?;
            entry.1 += n;
            if let Some(disposition) = row.try_get::<Option<String>, _>("disposition")? {
                entry.2.insert(disposition, n);
            }
        }
        Ok(rules)
    }
}

/// Writes one finding; returns its alert if anything changed.
async fn record_one(
    connection: &mut SqliteConnection,
    scope: Scope,
    input: &FindingInput<'_>,
) -> StoreResult<Option<String>> {
    let finding = input.finding;
    let tenant = i64::from(scope.tenant.0);
    let id = finding.id.to_string();
    let known = sqlx::query(
        "SELECT alert_id, revision, event_count, withdrawn FROM finding WHERE tenant = ? AND id = ?",
    )
    .bind(tenant)
    .bind(&id)
    .fetch_optional(&mut *connection)
    .await?;
    let (alert, revision) = match known {
        Some(row) => match next_revision(&row, finding)? {
            Some(revision) => (row.try_get("alert_id")?, revision),
            None => return Ok(None),
        },
        // Taken back before it was ever written: nobody has seen it.
        None if finding.withdrawn => return Ok(None),
        None => (alert_for(connection, scope, input).await?, i64::from(finding.revision)),
    };
    sqlx::query(
        "INSERT INTO finding (tenant, id, alert_id, rule_id, window_from, window_to, revision, late, withdrawn, severity, \
         threshold, value, event_count, vehicle_count, model_line, matched, events, detected_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (tenant, id) DO UPDATE SET withdrawn = excluded.withdrawn, window_from = excluded.window_from, window_to = excluded.window_to, \
         revision = excluded.revision, late = excluded.late, severity = excluded.severity, threshold = excluded.threshold, \
         value = excluded.value, event_count = excluded.event_count, vehicle_count = excluded.vehicle_count, \
         model_line = excluded.model_line, matched = excluded.matched, events = excluded.events, \
         detected_at = excluded.detected_at",
    )
    .bind(tenant)
    .bind(&id)
    .bind(&alert)
    .bind(&finding.rule.0)
    .bind(finding.window.from.0)
    .bind(finding.window.to.0)
    .bind(revision)
    .bind(finding.late)
    .bind(finding.withdrawn)
    .bind(i64::from(finding.severity.code()))
    .bind(finding.threshold.map(int))
    .bind(finding.value.map(int))
    .bind(int(finding.event_count))
    .bind(int(finding.vehicle_count))
    .bind(&finding.model_line)
    .bind(to_json(&finding.evidence.matched.iter().map(matched_parts).collect::<Vec<_>>()))
    .bind(to_json(&finding.evidence.events.iter().map(EventId::to_string).collect::<Vec<_>>()))
    .bind(finding.detected_at.0)
    .execute(&mut *connection)
    .await?;
    for vehicle in &finding.evidence.vehicles {
        sqlx::query("INSERT INTO alert_vehicle (tenant, alert_id, vehicle_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(tenant)
            .bind(&alert)
            .bind(vehicle.to_string())
            .execute(&mut *connection)
            .await?;
    }
    Ok(Some(alert))
}

/// Returns the revision under which a statement replaces the stored one, or `None` if it says nothing new.
///
/// After a crash the log is worked off again in other steps, with fewer revisions. Events only ever join a finding,
/// so one that has more of them is newer whatever its revision; what was taken back stays so.
fn next_revision(row: &SqliteRow, finding: &Finding) -> StoreResult<Option<i64>> {
    let (stored, stated) = (row.try_get::<i64, _>("revision")?, i64::from(finding.revision));
    let is_newer = stated > stored || finding.withdrawn || finding.event_count > number(row, "event_count")?;
    let is_over: bool = row.try_get("withdrawn")?;
    Ok((is_newer && !is_over).then(|| stated.max(stored.saturating_add(1))))
}

/// Returns the alert a new finding belongs to: the latest one of its rule and group, or a new one if that is closed.
async fn alert_for(
    connection: &mut SqliteConnection,
    scope: Scope,
    input: &FindingInput<'_>,
) -> StoreResult<String> {
    let finding = input.finding;
    let tenant = i64::from(scope.tenant.0);
    let grouping = grouping(input);
    let latest = sqlx::query(
        "SELECT id, episode, status FROM alert WHERE tenant = ? AND grouping = ? ORDER BY episode DESC LIMIT 1",
    )
    .bind(tenant)
    .bind(&grouping)
    .fetch_optional(&mut *connection)
    .await?;
    let episode = match &latest {
        None => 1,
        Some(row) if row.try_get::<String, _>("status")? == AlertStatus::Closed.word() => {
            row.try_get::<i64, _>("episode")? + 1
        }
        Some(row) => return Ok(row.try_get("id")?),
    };
    let id = format!("{grouping}-{episode}");
    let group: BTreeMap<&str, &str> =
        finding.group.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let title = if group.is_empty() {
        input.rule.title.clone()
    } else {
        format!("{} ({})", input.rule.title, finding.group)
    };
    let search = format!("{title} {} {}", finding.rule, input.rule.tags.join(" ")).to_lowercase();
    sqlx::query(
        "INSERT INTO alert (tenant, id, grouping, episode, rule_id, rule_title, severity, status, title, group_values, \
         model_line, vehicle_count, event_count, finding_count, first_at, last_at, detected_at, revision, late, tags, search) \
         VALUES (?, ?, ?, ?, ?, ?, ?, 'new', ?, ?, ?, 0, 0, 0, ?, ?, ?, 0, 0, ?, ?)",
    )
    .bind(tenant)
    .bind(&id)
    .bind(&grouping)
    .bind(episode)
    .bind(&finding.rule.0)
    .bind(&input.rule.title)
    .bind(i64::from(finding.severity.code()))
    .bind(title)
    .bind(to_json(&group))
    .bind(&finding.model_line)
    .bind(finding.window.from.0)
    .bind(finding.window.to.0)
    .bind(finding.detected_at.0)
    .bind(to_json(&input.rule.tags))
    .bind(search)
    .execute(connection)
    .await?;
    Ok(id)
}

/// Identity of a rule and group: the first 12 bytes of SHA-256 over both with lengths, hexadecimal.
fn grouping(input: &FindingInput<'_>) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    part(&input.finding.rule.0);
    for (name, value) in &input.finding.group.0 {
        part(name);
        part(value);
    }
    crate::hex(&hash.finalize()[..12])
}

/// Computes what an alert says from its findings; leaves what an analyst decided.
///
/// Findings that were taken back count only where no other is left, so that an alert somebody works on does not vanish.
async fn summarise(connection: &mut SqliteConnection, scope: Scope, id: &str) -> StoreResult<()> {
    sqlx::query(
        "UPDATE alert SET finding_count = f.n, event_count = f.events, severity = f.severity, first_at = f.first_at, \
         last_at = f.last_at, revision = alert.revision + 1, late = f.late, detected_at = f.detected_at, \
         vehicle_count = max(f.vehicles, (SELECT count(*) FROM alert_vehicle v WHERE v.tenant = alert.tenant AND v.alert_id = alert.id)), \
         model_line = CASE WHEN f.models = 1 AND f.unnamed = 0 THEN f.model_line END \
         FROM (SELECT count(*) AS n, sum(event_count) AS events, max(severity) AS severity, min(window_from) AS first_at, \
         max(window_to) AS last_at, max(late) AS late, min(detected_at) AS detected_at, max(vehicle_count) AS vehicles, \
         count(DISTINCT model_line) AS models, sum(model_line IS NULL) AS unnamed, max(model_line) AS model_line \
         FROM finding WHERE tenant = ?1 AND alert_id = ?2 AND withdrawn = \
         (SELECT min(withdrawn) FROM finding WHERE tenant = ?1 AND alert_id = ?2)) AS f \
         WHERE alert.tenant = ?1 AND alert.id = ?2",
    )
    .bind(i64::from(scope.tenant.0))
    .bind(id)
    .execute(connection)
    .await?;
    Ok(())
}

/// Reads one alert.
pub(super) async fn read_alert(
    connection: &mut SqliteConnection,
    scope: Scope,
    id: &str,
) -> StoreResult<Alert> {
    let row = sqlx::query("SELECT * FROM alert WHERE tenant = ? AND id = ?")
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
pub(super) fn alert_of(row: &SqliteRow) -> StoreResult<Alert> {
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

/// Matched condition as stored.
fn matched_parts(matched: &Matched) -> [&str; 4] {
    [&matched.field, &matched.operator, &matched.expected, &matched.observed]
}

/// Reads a finding from its row.
fn finding_of(row: &SqliteRow) -> StoreResult<StoredFinding> {
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
        revision: u32::try_from(row.try_get::<i64, _>("revision")?).unwrap_or(u32::MAX),
        late: row.try_get("late")?,
        threshold: row.try_get::<Option<i64>, _>("threshold")?.map(count),
        value: row.try_get::<Option<i64>, _>("value")?.map(count),
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
pub(super) fn severity_counts(rows: &[SqliteRow]) -> StoreResult<SeverityCounts> {
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
