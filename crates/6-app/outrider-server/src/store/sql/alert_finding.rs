//! Findings: written once, revised, taken back, and grouped into alerts.

use std::collections::BTreeMap;

use outrider_model::{Finding, LogOffset, Matched};
use outrider_types::EventId;
use sha2::{Digest, Sha256};

use super::engine::{self, Connection, Row};
use super::{int, number, to_json};
use crate::store::{FindingInput, Scope, StoreResult};

/// Findings that one alert holds; one more opens a new alert, so that a page and a summary stay cheap.
const FINDINGS_MAX: i64 = 1000;

/// Writes one finding; returns its alert if anything changed.
pub(super) async fn record(
    connection: &mut Connection,
    scope: Scope,
    input: &FindingInput<'_>,
    next: LogOffset,
) -> StoreResult<Option<String>> {
    let finding = input.finding;
    let tenant = i64::from(scope.tenant.0);
    let id = finding.id.to_string();
    let known = engine::query(
        "SELECT alert_id, revision, event_count, withdrawn FROM finding WHERE tenant = ? AND id = ?",
    )
    .bind(tenant)
    .bind(&id)
    .fetch_optional(&mut *connection)
    .await?;
    let (alert, revision) = match known {
        Some(row) => match next_revision(&row, finding)? {
            Some(revision) => (row.try_get("alert_id")?, revision),
            None => {
                restate(connection, scope, &id, next).await?;
                return Ok(None);
            }
        },
        // Taken back before it was ever written: nobody has seen it.
        None if finding.withdrawn => return Ok(None),
        None => (alert_for(connection, scope, input).await?, i64::from(finding.revision)),
    };
    engine::query(
        "INSERT INTO finding (tenant, id, alert_id, rule_id, window_from, window_to, revision, late, withdrawn, severity, \
         threshold, value, event_count, vehicle_count, model_line, matched, events, detected_at, log_next) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (tenant, id) DO UPDATE SET withdrawn = excluded.withdrawn, window_from = excluded.window_from, window_to = excluded.window_to, \
         revision = excluded.revision, late = excluded.late, severity = excluded.severity, threshold = excluded.threshold, \
         value = excluded.value, event_count = excluded.event_count, vehicle_count = excluded.vehicle_count, \
         model_line = excluded.model_line, matched = excluded.matched, events = excluded.events, \
         detected_at = excluded.detected_at, log_next = excluded.log_next",
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
    .bind(int(next.0))
    .execute(&mut *connection)
    .await?;
    for vehicle in &finding.evidence.vehicles {
        engine::query("INSERT INTO alert_vehicle (tenant, alert_id, vehicle_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
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
fn next_revision(row: &Row, finding: &Finding) -> StoreResult<Option<i64>> {
    let (stored, stated) = (row.try_get::<i64>("revision")?, i64::from(finding.revision));
    let is_newer = stated > stored || finding.withdrawn || finding.event_count > number(row, "event_count")?;
    let is_over: bool = row.try_get("withdrawn")?;
    Ok((is_newer && !is_over).then(|| stated.max(stored.saturating_add(1))))
}

/// Marks a known finding as stated again, by a replay after a crash.
async fn restate(connection: &mut Connection, scope: Scope, id: &str, next: LogOffset) -> StoreResult<()> {
    engine::query("UPDATE finding SET log_next = ? WHERE tenant = ? AND id = ?")
        .bind(int(next.0))
        .bind(i64::from(scope.tenant.0))
        .bind(id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Returns the alert a new finding belongs to: the nearest one of its rule and group that nobody closed and from
/// which the group was not quiet for longer than the rule's [`crate::store::RuleCard::quiet_us`], or a new one.
async fn alert_for(
    connection: &mut Connection,
    scope: Scope,
    input: &FindingInput<'_>,
) -> StoreResult<String> {
    let finding = input.finding;
    let tenant = i64::from(scope.tenant.0);
    let grouping = grouping(input);
    let near: Option<String> = engine::query_scalar(
        "SELECT id FROM alert WHERE tenant = ?1 AND grouping = ?2 AND status <> 'closed' AND finding_count < ?3 \
         AND max(?4 - last_at, first_at - ?5, 0) <= ?6 ORDER BY max(?4 - last_at, first_at - ?5, 0), episode DESC LIMIT 1",
    )
    .bind(tenant)
    .bind(&grouping)
    .bind(FINDINGS_MAX)
    .bind(finding.window.from.0)
    .bind(finding.window.to.0)
    .bind(input.rule.quiet_us)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(id) = near {
        // The next finding of the same transaction must see how far this one reaches.
        engine::query(
            "UPDATE alert SET first_at = min(first_at, ?), last_at = max(last_at, ?), finding_count = finding_count + 1 \
             WHERE tenant = ? AND id = ?",
        )
        .bind(finding.window.from.0)
        .bind(finding.window.to.0)
        .bind(tenant)
        .bind(&id)
        .execute(&mut *connection)
        .await?;
        return Ok(id);
    }
    let last: Option<i64> =
        engine::query_scalar("SELECT max(episode) FROM alert WHERE tenant = ? AND grouping = ?")
            .bind(tenant)
            .bind(&grouping)
            .fetch_one(&mut *connection)
            .await?;
    let episode = last.unwrap_or(0) + 1;
    let id = format!("{grouping}-{episode}");
    let group: BTreeMap<&str, &str> =
        finding.group.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let title = if group.is_empty() {
        input.rule.title.clone()
    } else {
        format!("{} ({})", input.rule.title, finding.group)
    };
    let search = format!("{title} {} {}", finding.rule, input.rule.tags.join(" ")).to_lowercase();
    engine::query(
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
pub(super) async fn summarise(connection: &mut Connection, scope: Scope, id: &str) -> StoreResult<()> {
    engine::query(
        "UPDATE alert SET finding_count = f.n, event_count = f.events, severity = f.severity, first_at = f.first_at, \
         last_at = f.last_at, revision = alert.revision + 1, changed = \
         (SELECT max(changed) FROM alert WHERE tenant = ?1) + 1, late = f.late, detected_at = f.detected_at, \
         vehicle_count = max(f.vehicles, (SELECT count(*) FROM alert_vehicle v WHERE v.tenant = alert.tenant AND v.alert_id = alert.id)), \
         model_line = CASE WHEN f.models = 1 AND f.unnamed = 0 THEN f.model_line END \
         FROM (SELECT count(*) AS n, sum(event_count) AS events, max(severity) AS severity, min(window_from) AS first_at, \
         max(window_to) AS last_at, max(late) AS late, min(detected_at) AS detected_at, max(vehicle_count) AS vehicles, \
         count(DISTINCT model_line) AS models, count(*) - count(model_line) AS unnamed, max(model_line) AS model_line \
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

/// Matched condition as stored.
fn matched_parts(matched: &Matched) -> [&str; 4] {
    [&matched.field, &matched.operator, &matched.expected, &matched.observed]
}
