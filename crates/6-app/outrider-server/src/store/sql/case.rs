//! Cases and their timelines.

use async_trait::async_trait;

use super::alert_action::{put_into_case, worked_on};
use super::engine::{self, Connection, QueryBuilder, Row};
use super::{
    SqlStore, any_of, count, cursor_parts, evidence, like, number, severity, severity_code, time, word,
    word_opt,
};
use crate::api::dto::{CaseStatus, CaseSummary, Disposition, EvidenceRequest, TimelineEntry, TimelineKind};
use crate::store::{
    CaseFilter, CaseStore, EvidenceChange, NewCase, NewEvidenceRequest, Page, Scope, StoreError, StoreResult,
};

/// Columns of a case's summary.
const SUMMARY: &str = "SELECT c.*, \
    (SELECT count(*) FROM alert a WHERE a.tenant = c.tenant AND a.case_id = c.id) AS alert_count, \
    (SELECT count(DISTINCT v.vehicle_id) FROM alert a JOIN alert_vehicle v ON v.tenant = a.tenant AND v.alert_id = a.id \
     WHERE a.tenant = c.tenant AND a.case_id = c.id) AS vehicle_count, \
    (SELECT count(*) FROM evidence_request e WHERE e.tenant = c.tenant AND e.case_id = c.id \
     AND e.state IN ('requested', 'permitted', 'sent', 'accepted')) AS open_evidence \
    FROM case_file c WHERE c.tenant = ";

#[async_trait]
impl CaseStore for SqlStore {
    async fn create_case(&self, scope: Scope, case: &NewCase) -> StoreResult<()> {
        let mut transaction = self.begin().await?;
        engine::query(
            "INSERT INTO case_file (tenant, id, title, severity, status, owner, created_at, created_by, updated_at) \
             VALUES (?, ?, ?, ?, 'new', ?, ?, ?, ?)",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(&case.id)
        .bind(&case.title)
        .bind(severity_code(case.severity))
        .bind(&case.by)
        .bind(scope.now.0)
        .bind(&case.by)
        .bind(scope.now.0)
        .execute(&mut *transaction)
        .await?;
        write_timeline(&mut transaction, scope, &case.id, &case.by, TimelineKind::Opened, &case.title, None)
            .await?;
        for alert in &case.alert_ids {
            put_into_case(&mut transaction, scope, &case.by, &case.id, alert).await?;
            let text = "An alert was added.";
            write_timeline(
                &mut transaction,
                scope,
                &case.id,
                &case.by,
                TimelineKind::AlertAdded,
                text,
                Some(alert),
            )
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn cases(
        &self,
        scope: Scope,
        filter: &CaseFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> StoreResult<Page<CaseSummary>> {
        let tenant = i64::from(scope.tenant.0);
        let mut total = QueryBuilder::new("SELECT count(*) FROM case_file c WHERE c.tenant = ");
        total.push_bind(tenant);
        push_filter(&mut total, filter);
        let total: i64 = total.build_query_scalar().fetch_one(&self.read).await?;
        let mut query = QueryBuilder::new(SUMMARY);
        query.push_bind(tenant);
        push_filter(&mut query, filter);
        if let Some(cursor) = cursor {
            let (value, id) = cursor_parts(cursor)?;
            query
                .push(" AND (c.updated_at, c.id) < (")
                .push_bind(value)
                .push(", ")
                .push_bind(id.to_owned())
                .push(")");
        }
        query.push(" ORDER BY c.updated_at DESC, c.id DESC LIMIT ").push_bind(i64::from(limit) + 1);
        let rows = query.build().fetch_all(&self.read).await?;
        let items = rows.iter().take(limit as usize).map(summary_of).collect::<StoreResult<Vec<_>>>()?;
        let next_cursor = (rows.len() > items.len())
            .then(|| items.last().map(|case| format!("{}.{}", case.updated_at.0.0, case.id)))
            .flatten();
        Ok(Page { items, next_cursor, total: count(total) })
    }

    async fn case(&self, scope: Scope, id: &str) -> StoreResult<CaseSummary> {
        let mut query = QueryBuilder::new(SUMMARY);
        query.push_bind(i64::from(scope.tenant.0)).push(" AND c.id = ").push_bind(id.to_owned());
        let row = query.build().fetch_optional(&self.read).await?;
        row.as_ref().map(summary_of).transpose()?.ok_or_else(|| not_found(id))
    }

    async fn case_timeline(&self, scope: Scope, id: &str) -> StoreResult<Vec<TimelineEntry>> {
        let rows = engine::query(
            "SELECT at, actor, kind, text, reference FROM case_timeline WHERE tenant = ? AND case_id = ? ORDER BY number DESC LIMIT 1000",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(id)
        .fetch_all(&self.read)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(TimelineEntry {
                    at: time(row, "at")?,
                    by: row.try_get("actor")?,
                    kind: word(row, "kind", TimelineKind::from_word)?,
                    text: row.try_get("text")?,
                    reference: row.try_get("reference")?,
                })
            })
            .collect()
    }

    async fn add_alerts(&self, scope: Scope, id: &str, actor: &str, alert_ids: &[String]) -> StoreResult<()> {
        let mut transaction = self.begin().await?;
        require_open_case(&mut transaction, scope, id).await?;
        for alert in alert_ids {
            put_into_case(&mut transaction, scope, actor, id, alert).await?;
            let text = "An alert was added.";
            write_timeline(&mut transaction, scope, id, actor, TimelineKind::AlertAdded, text, Some(alert))
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn add_note(&self, scope: Scope, id: &str, actor: &str, text: &str) -> StoreResult<()> {
        let mut transaction = self.begin().await?;
        let status = case_status(&mut transaction, scope, id).await?;
        engine::query(
            "UPDATE case_file SET status = ?, owner = coalesce(owner, ?) WHERE tenant = ? AND id = ?",
        )
        .bind(worked_on(status).word())
        .bind(actor)
        .bind(i64::from(scope.tenant.0))
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        write_timeline(&mut transaction, scope, id, actor, TimelineKind::Note, text, None).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn close_case(
        &self,
        scope: Scope,
        id: &str,
        actor: &str,
        disposition: Disposition,
        note: &str,
    ) -> StoreResult<()> {
        let mut transaction = self.begin().await?;
        require_open_case(&mut transaction, scope, id).await?;
        engine::query("UPDATE case_file SET status = 'closed', disposition = ? WHERE tenant = ? AND id = ?")
            .bind(disposition.word())
            .bind(i64::from(scope.tenant.0))
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        let text = format!("Closed as {}: {note}", disposition.word());
        write_timeline(&mut transaction, scope, id, actor, TimelineKind::Closed, &text, None).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn create_evidence_request(
        &self,
        scope: Scope,
        request: &NewEvidenceRequest,
        verdict: &EvidenceChange,
    ) -> StoreResult<EvidenceRequest> {
        let mut transaction = self.begin().await?;
        evidence::create(&mut transaction, scope, request).await?;
        let evidence = evidence::change(&mut transaction, scope, &request.id, verdict).await?;
        transaction.commit().await?;
        Ok(evidence)
    }

    async fn change_evidence(
        &self,
        scope: Scope,
        id: &str,
        change: &EvidenceChange,
    ) -> StoreResult<EvidenceRequest> {
        let mut transaction = self.begin().await?;
        let evidence = evidence::change(&mut transaction, scope, id, change).await?;
        transaction.commit().await?;
        Ok(evidence)
    }

    async fn evidence(&self, scope: Scope, id: &str) -> StoreResult<EvidenceRequest> {
        evidence::read(&mut self.read.acquire().await?, scope, "id", id).await
    }

    async fn evidence_of_command(&self, scope: Scope, command_id: &str) -> StoreResult<EvidenceRequest> {
        evidence::read(&mut self.read.acquire().await?, scope, "command_id", command_id).await
    }

    async fn case_evidence(&self, scope: Scope, case_id: &str) -> StoreResult<Vec<EvidenceRequest>> {
        engine::query("SELECT * FROM evidence_request WHERE tenant = ? AND case_id = ? ORDER BY requested_at DESC, id LIMIT 500")
            .bind(i64::from(scope.tenant.0))
            .bind(case_id)
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(evidence::evidence_of)
            .collect()
    }

    async fn lapsed_evidence(&self, scope: Scope, limit: u32) -> StoreResult<Vec<String>> {
        Ok(engine::query_scalar(
            "SELECT id FROM evidence_request WHERE tenant = ? AND state IN ('permitted', 'sent', 'accepted') \
             AND expires_at <= ? ORDER BY expires_at LIMIT ?",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(scope.now.0)
        .bind(i64::from(limit))
        .fetch_all(&self.read)
        .await?)
    }
}

/// Error for a case that is not there.
fn not_found(id: &str) -> StoreError {
    StoreError::NotFound { what: "case", id: id.to_owned() }
}

/// Reads the status of a case.
pub(super) async fn case_status(
    connection: &mut Connection,
    scope: Scope,
    id: &str,
) -> StoreResult<CaseStatus> {
    let row = engine::query("SELECT status FROM case_file WHERE tenant = ? AND id = ?")
        .bind(i64::from(scope.tenant.0))
        .bind(id)
        .fetch_optional(connection)
        .await?
        .ok_or_else(|| not_found(id))?;
    word(&row, "status", CaseStatus::from_word)
}

/// Reads the status of a case that must not be closed.
pub(super) async fn require_open_case(
    connection: &mut Connection,
    scope: Scope,
    id: &str,
) -> StoreResult<CaseStatus> {
    match case_status(connection, scope, id).await? {
        CaseStatus::Closed => Err(StoreError::Conflict(format!("case {id} is closed"))),
        status @ (CaseStatus::New | CaseStatus::Investigating) => Ok(status),
    }
}

/// Writes an entry into a case's timeline and marks the case as changed.
pub(super) async fn write_timeline(
    connection: &mut Connection,
    scope: Scope,
    case: &str,
    actor: &str,
    kind: TimelineKind,
    text: &str,
    reference: Option<&str>,
) -> StoreResult<()> {
    engine::query(
        "INSERT INTO case_timeline (tenant, case_id, at, actor, kind, text, reference) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(i64::from(scope.tenant.0))
    .bind(case)
    .bind(scope.now.0)
    .bind(actor)
    .bind(kind.word())
    .bind(text)
    .bind(reference)
    .execute(&mut *connection)
    .await?;
    engine::query("UPDATE case_file SET updated_at = max(updated_at, ?) WHERE tenant = ? AND id = ?")
        .bind(scope.now.0)
        .bind(i64::from(scope.tenant.0))
        .bind(case)
        .execute(connection)
        .await?;
    Ok(())
}

/// Reads a summary from its row.
fn summary_of(row: &Row) -> StoreResult<CaseSummary> {
    Ok(CaseSummary {
        id: row.try_get("id")?,
        title: row.try_get("title")?,
        severity: severity(row, "severity")?,
        status: word(row, "status", CaseStatus::from_word)?,
        disposition: word_opt(row, "disposition", Disposition::from_word)?,
        owner: row.try_get("owner")?,
        created_at: time(row, "created_at")?,
        created_by: row.try_get("created_by")?,
        updated_at: time(row, "updated_at")?,
        alert_count: number(row, "alert_count")?,
        vehicle_count: number(row, "vehicle_count")?,
        open_evidence: number(row, "open_evidence")?,
    })
}

/// Appends the conditions of a filter on `case_file c`.
fn push_filter(query: &mut QueryBuilder, filter: &CaseFilter) {
    any_of(query, "c.status", filter.status.iter().map(|status| status.word()));
    for text in &filter.words {
        query.push(" AND lower(c.title) LIKE ").push_bind(like(text)).push(" ESCAPE '\\'");
    }
    if let Some(owner) = &filter.owner {
        query.push(" AND c.owner = ").push_bind(owner.clone());
    }
}
