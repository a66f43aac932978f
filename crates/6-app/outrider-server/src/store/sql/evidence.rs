//! Requests for evidence and the states they go through.

use super::case::{require_open_case, write_timeline};
use super::engine::{self, Connection, QueryBuilder, Row};
use super::{count, int, json, time, time_opt, to_json, word};
use crate::api::dto::{EvidenceRequest, EvidenceState, EvidenceStep, TimelineKind, Timestamp};
use crate::store::{EvidenceChange, NewEvidenceRequest, Scope, StoreError, StoreResult};

/// Writes a request down, not yet judged; the caller's transaction adds the verdict.
pub(super) async fn create(
    connection: &mut Connection,
    scope: Scope,
    request: &NewEvidenceRequest,
) -> StoreResult<()> {
    require_open_case(connection, scope, &request.case_id).await?;
    let text = format!(
        "Evidence of {} s before and {} s after the event was requested.",
        request.seconds_before, request.seconds_after
    );
    let steps =
        vec![EvidenceStep { at: Timestamp(scope.now), state: EvidenceState::Requested, text: text.clone() }];
    engine::query(
        "INSERT INTO evidence_request (tenant, id, case_id, vehicle_id, event_id, seconds_before, seconds_after, \
         requested_by, requested_at, state, reasons, steps) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'requested', '[]', ?)",
    )
    .bind(i64::from(scope.tenant.0))
    .bind(&request.id)
    .bind(&request.case_id)
    .bind(request.vehicle.to_string())
    .bind(&request.event_id)
    .bind(i64::from(request.seconds_before))
    .bind(i64::from(request.seconds_after))
    .bind(&request.by)
    .bind(scope.now.0)
    .bind(to_json(&steps))
    .execute(&mut *connection)
    .await?;
    let reference = Some(request.id.as_str());
    write_timeline(connection, scope, &request.case_id, &request.by, TimelineKind::Evidence, &text, reference)
        .await
}

/// Moves a request on.
pub(super) async fn change(
    connection: &mut Connection,
    scope: Scope,
    id: &str,
    change: &EvidenceChange,
) -> StoreResult<EvidenceRequest> {
    let mut request = read(connection, scope, "id", id).await?;
    let (state, text) = change.describe();
    let reached = outrider_respond::EvidenceState::from_word(request.state.word())
        .and_then(|from| from.after(change.event()).ok());
    if reached.is_none_or(|reached| reached.word() != state.word()) || request.state == state {
        let (from, to) = (request.state.word(), state.word());
        return Err(StoreError::Conflict(format!("evidence request {id} is {from} and cannot become {to}")));
    }
    request.state = state;
    request.steps.push(EvidenceStep { at: Timestamp(scope.now), state, text: text.clone() });
    let mut frame = None;
    match change {
        EvidenceChange::RefusedByGate(reasons) => request.reasons.clone_from(reasons),
        EvidenceChange::RefusedByVehicle(reason) => request.reasons = vec![reason.clone()],
        EvidenceChange::Permitted(draft) => {
            request.permit_id = Some(draft.permit_id.clone());
            request.command_id = Some(draft.command_id.clone());
            request.sequence = Some(draft.sequence);
            request.expires_at = Some(Timestamp(draft.expires));
            frame = Some(draft.frame.clone());
        }
        EvidenceChange::Received { sha256, bytes, media_type } => {
            request.sha256 = Some(sha256.clone());
            request.bytes = Some(*bytes);
            request.media_type = Some(media_type.clone());
            request.received_at = Some(Timestamp(scope.now));
        }
        EvidenceChange::Sent
        | EvidenceChange::Accepted
        | EvidenceChange::Expired
        | EvidenceChange::Stopped => {}
    }
    write(connection, scope, &request, frame).await?;
    let (case, reference) = (&request.case_id, Some(id));
    write_timeline(connection, scope, case, "system", TimelineKind::Evidence, &text, reference).await?;
    Ok(request)
}

/// Writes what can change.
async fn write(
    connection: &mut Connection,
    scope: Scope,
    request: &EvidenceRequest,
    frame: Option<Vec<u8>>,
) -> StoreResult<()> {
    engine::query(
        "UPDATE evidence_request SET state = ?, reasons = ?, permit_id = ?, command_id = ?, sequence = ?, expires_at = ?, \
         frame = coalesce(?, frame), sha256 = ?, bytes = ?, media_type = ?, received_at = ?, steps = ? \
         WHERE tenant = ? AND id = ?",
    )
    .bind(request.state.word())
    .bind(to_json(&request.reasons))
    .bind(&request.permit_id)
    .bind(&request.command_id)
    .bind(request.sequence.map(int))
    .bind(request.expires_at.map(|at| at.0.0))
    .bind(frame)
    .bind(&request.sha256)
    .bind(request.bytes.map(int))
    .bind(&request.media_type)
    .bind(request.received_at.map(|at| at.0.0))
    .bind(to_json(&request.steps))
    .bind(i64::from(scope.tenant.0))
    .bind(&request.id)
    .execute(connection)
    .await?;
    Ok(())
}

/// Reads one request by one of its two identities.
pub(super) async fn read(
    connection: &mut Connection,
    scope: Scope,
    column: &'static str,
    id: &str,
) -> StoreResult<EvidenceRequest> {
    let mut query = QueryBuilder::new("SELECT * FROM evidence_request WHERE tenant = ");
    query
        .push_bind(i64::from(scope.tenant.0))
        .push(" AND ")
        .push(column)
        .push(" = ")
        .push_bind(id.to_owned());
    let row = query.build().fetch_optional(connection).await?;
    row.as_ref()
        .map(evidence_of)
        .transpose()?
        .ok_or_else(|| StoreError::NotFound { what: "evidence request", id: id.to_owned() })
}

/// Reads a request from its row.
pub(super) fn evidence_of(row: &Row) -> StoreResult<EvidenceRequest> {
    let seconds =
        |column| -> StoreResult<u32> { Ok(u32::try_from(row.try_get::<i64>(column)?).unwrap_or_default()) };
    Ok(EvidenceRequest {
        id: row.try_get("id")?,
        case_id: row.try_get("case_id")?,
        vehicle_id: row.try_get("vehicle_id")?,
        event_id: row.try_get("event_id")?,
        seconds_before: seconds("seconds_before")?,
        seconds_after: seconds("seconds_after")?,
        requested_by: row.try_get("requested_by")?,
        requested_at: time(row, "requested_at")?,
        state: word(row, "state", EvidenceState::from_word)?,
        reasons: json(row, "reasons")?,
        permit_id: row.try_get("permit_id")?,
        command_id: row.try_get("command_id")?,
        sequence: row.try_get::<Option<i64>>("sequence")?.map(count),
        expires_at: time_opt(row, "expires_at")?,
        sha256: row.try_get("sha256")?,
        bytes: row.try_get::<Option<i64>>("bytes")?.map(count),
        media_type: row.try_get("media_type")?,
        received_at: time_opt(row, "received_at")?,
        steps: json(row, "steps")?,
    })
}
