//! Acts on selections of alerts.

use std::collections::BTreeSet;

use super::alert_filter::push_filter;
use super::case::{require_open_case, write_timeline};
use super::engine::{self, Connection, QueryBuilder};
use crate::api::dto::{
    AlertActionKind, AlertActionRequest, AlertActionResult, AlertStatus, CaseStatus, RefusedAction,
    TimelineKind,
};
use crate::store::{AlertFilter, Scope, StoreError, StoreResult};

/// Alerts one act may touch; a larger selection is refused as a whole.
const SELECTION_MAX: usize = 100_000;
/// Ids told in an answer.
const CHANGED_IDS_MAX: usize = 10_000;
/// Refusals told in an answer.
const REFUSED_MAX: usize = 1_000;

/// Acts on a selection.
pub(super) async fn act(
    connection: &mut Connection,
    scope: Scope,
    actor: &str,
    filter: Option<&AlertFilter>,
    request: &AlertActionRequest,
) -> StoreResult<AlertActionResult> {
    check(connection, scope, request).await?;
    let ids = select(connection, scope, filter, request).await?;
    let mut result = AlertActionResult { changed: 0, changed_ids: Vec::new(), refused: Vec::new() };
    for id in ids {
        match act_on_one(connection, scope, actor, request, &id).await? {
            None => {
                result.changed += 1;
                if result.changed_ids.len() < CHANGED_IDS_MAX {
                    result.changed_ids.push(id);
                }
            }
            Some((code, message)) => {
                if result.refused.len() < REFUSED_MAX {
                    result.refused.push(RefusedAction { id, code: code.to_owned(), message });
                }
            }
        }
    }
    if let (AlertActionKind::AddToCase, Some(case)) = (request.action, &request.case_id)
        && result.changed > 0
    {
        let text = format!("{} alerts were added.", result.changed);
        write_timeline(connection, scope, case, actor, TimelineKind::AlertAdded, &text, None).await?;
    }
    Ok(result)
}

/// Checks that the request has what its action needs.
async fn check(connection: &mut Connection, scope: Scope, request: &AlertActionRequest) -> StoreResult<()> {
    let missing = |what: &str| Err(StoreError::Invalid(format!("the action needs {what}")));
    match request.action {
        AlertActionKind::Close if request.disposition.is_none() => missing("`disposition`"),
        AlertActionKind::Assign => {
            let Some(owner) = &request.owner else { return missing("`owner`") };
            let known =
                engine::query("SELECT 1 FROM user_account WHERE tenant = ? AND name = ? AND disabled = 0")
                    .bind(i64::from(scope.tenant.0))
                    .bind(owner)
                    .fetch_optional(connection)
                    .await?;
            known.map(|_| ()).ok_or_else(|| StoreError::NotFound { what: "user", id: owner.clone() })
        }
        AlertActionKind::AddToCase => match &request.case_id {
            Some(case) => require_open_case(connection, scope, case).await.map(|_| ()),
            None => missing("`case_id`"),
        },
        AlertActionKind::Close
        | AlertActionKind::Acknowledge
        | AlertActionKind::Unacknowledge
        | AlertActionKind::Reopen => Ok(()),
    }
}

/// Returns the ids meant, ascending.
async fn select(
    connection: &mut Connection,
    scope: Scope,
    filter: Option<&AlertFilter>,
    request: &AlertActionRequest,
) -> StoreResult<BTreeSet<String>> {
    let selection = &request.selection;
    let mut ids: BTreeSet<String> = selection.ids.iter().flatten().cloned().collect();
    if let Some(filter) = filter {
        let mut query = QueryBuilder::new("SELECT a.id AS id FROM alert a WHERE a.tenant = ");
        query.push_bind(i64::from(scope.tenant.0));
        push_filter(&mut query, filter, true);
        query.push(" LIMIT ").push_bind(i64::try_from(SELECTION_MAX).expect("the bound is small") + 1);
        for row in &query.build().fetch_all(connection).await? {
            ids.insert(row.try_get("id")?);
        }
    }
    for id in selection.except.iter().flatten() {
        ids.remove(id);
    }
    if ids.len() > SELECTION_MAX {
        return Err(StoreError::Invalid(format!("the selection holds more than {SELECTION_MAX} alerts")));
    }
    Ok(ids)
}

/// What an action needs and does.
fn transition(action: AlertActionKind, status: AlertStatus) -> Option<AlertStatus> {
    match (action, status) {
        (AlertActionKind::Acknowledge, AlertStatus::New) => Some(AlertStatus::Acknowledged),
        (AlertActionKind::Unacknowledge, AlertStatus::Acknowledged) => Some(AlertStatus::New),
        (AlertActionKind::Close, AlertStatus::New | AlertStatus::Acknowledged) => Some(AlertStatus::Closed),
        (AlertActionKind::Reopen, AlertStatus::Closed) => Some(AlertStatus::Acknowledged),
        (AlertActionKind::Assign, AlertStatus::New | AlertStatus::Acknowledged) => {
            Some(AlertStatus::Acknowledged)
        }
        (AlertActionKind::AddToCase, status) => Some(status),
        (
            AlertActionKind::Acknowledge
            | AlertActionKind::Unacknowledge
            | AlertActionKind::Close
            | AlertActionKind::Reopen
            | AlertActionKind::Assign,
            AlertStatus::New | AlertStatus::Acknowledged | AlertStatus::Closed,
        ) => None,
    }
}

/// Acts on one alert; returns why it was left as it was.
async fn act_on_one(
    connection: &mut Connection,
    scope: Scope,
    actor: &str,
    request: &AlertActionRequest,
    id: &str,
) -> StoreResult<Option<(&'static str, String)>> {
    let alert = match super::alert::read_alert(connection, scope, id).await {
        Ok(alert) => alert,
        Err(StoreError::NotFound { .. }) => {
            return Ok(Some(("not_found", "the alert does not exist".to_owned())));
        }
        Err(error) => return Err(error),
    };
    let Some(status) = transition(request.action, alert.status) else {
        let message = format!("the alert is {}, so it cannot {}", alert.status.word(), request.action.word());
        return Ok(Some(("wrong_status", message)));
    };
    if request.action == AlertActionKind::AddToCase
        && alert.case_id.is_some()
        && alert.case_id != request.case_id
    {
        return Ok(Some(("wrong_status", "the alert belongs to another case".to_owned())));
    }
    let me = Some(actor.to_owned());
    let (owner, disposition, case_id) = match request.action {
        AlertActionKind::Acknowledge => (me, None, alert.case_id),
        AlertActionKind::Unacknowledge => (None, None, alert.case_id),
        AlertActionKind::Close => (alert.owner.or(me), request.disposition, alert.case_id),
        AlertActionKind::Reopen => (me, None, alert.case_id),
        AlertActionKind::Assign => (request.owner.clone(), None, alert.case_id),
        AlertActionKind::AddToCase => (alert.owner.or(me), alert.disposition, request.case_id.clone()),
    };
    engine::query(
        "UPDATE alert SET status = ?3, owner = ?4, disposition = ?5, case_id = ?6, revision = revision + 1, \
         changed = (SELECT max(changed) FROM alert WHERE tenant = ?1) + 1 WHERE tenant = ?1 AND id = ?2",
    )
    .bind(i64::from(scope.tenant.0))
    .bind(id)
    .bind(status.word())
    .bind(owner)
    .bind(disposition.map(|disposition| disposition.word()))
    .bind(case_id)
    .execute(&mut *connection)
    .await?;
    write_history(connection, scope, id, actor, request.action.word(), request.note.as_deref()).await?;
    Ok(None)
}

/// Writes one act into an alert's history.
pub(super) async fn write_history(
    connection: &mut Connection,
    scope: Scope,
    id: &str,
    actor: &str,
    action: &str,
    note: Option<&str>,
) -> StoreResult<()> {
    engine::query(
        "INSERT INTO alert_history (tenant, alert_id, at, actor, action, note) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(i64::from(scope.tenant.0))
    .bind(id)
    .bind(scope.now.0)
    .bind(actor)
    .bind(action)
    .bind(note)
    .execute(connection)
    .await?;
    Ok(())
}

/// Puts one alert into a case; used when a case is opened or extended.
pub(super) async fn put_into_case(
    connection: &mut Connection,
    scope: Scope,
    actor: &str,
    case: &str,
    alert_id: &str,
) -> StoreResult<()> {
    let request = AlertActionRequest {
        action: AlertActionKind::AddToCase,
        selection: crate::api::dto::AlertSelection::default(),
        disposition: None,
        note: None,
        case_id: Some(case.to_owned()),
        owner: None,
    };
    match act_on_one(connection, scope, actor, &request, alert_id).await? {
        None => Ok(()),
        Some(("not_found", _)) => Err(StoreError::NotFound { what: "alert", id: alert_id.to_owned() }),
        Some((_, message)) => Err(StoreError::Conflict(format!("alert {alert_id}: {message}"))),
    }
}

/// Status of a case after work on it.
pub(super) const fn worked_on(status: CaseStatus) -> CaseStatus {
    match status {
        CaseStatus::New | CaseStatus::Investigating => CaseStatus::Investigating,
        CaseStatus::Closed => CaseStatus::Closed,
    }
}
