//! Rollouts and their orders, on one connection.

use outrider_respond::UpdateEvent;
use outrider_types::VehicleId;

use super::engine::{self, Connection, QueryBuilder, Row};
use super::{count, identity, int, json, time, time_opt, to_json, word};
use crate::api::dto::{
    ArtifactKind, RolloutSummary, Timestamp, UpdateOrder, UpdateState, UpdateStateCount, UpdateStep,
};
use crate::store::{AuditEntry, Decision, NewRollout, OrderChange, Scope, StoreError, StoreResult};

/// Columns of an order.
pub(super) const ORDER: &str = "SELECT o.*, r.sha256, r.proposed_by, r.confirmed_by, r.confirmed_at, a.kind, a.version \
    FROM update_order o JOIN rollout r ON r.tenant = o.tenant AND r.id = o.rollout_id \
    JOIN artifact a ON a.tenant = r.tenant AND a.sha256 = r.sha256 WHERE o.tenant = ";

/// Columns of a rollout.
pub(super) const ROLLOUT: &str = "SELECT r.*, a.kind, a.version, \
    (SELECT string_agg(state || ' ' || n, ',') FROM (SELECT o.state, count(*) AS n FROM update_order o \
     WHERE o.tenant = r.tenant AND o.rollout_id = r.id GROUP BY o.state) AS counted) AS states \
    FROM rollout r JOIN artifact a ON a.tenant = r.tenant AND a.sha256 = r.sha256 WHERE r.tenant = ";

/// Writes a proposal down.
pub(super) async fn propose(
    connection: &mut Connection,
    scope: Scope,
    rollout: &NewRollout,
) -> StoreResult<()> {
    let tenant = i64::from(scope.tenant.0);
    engine::query(
        "INSERT INTO rollout (tenant, id, sha256, reason, proposed_by, proposed_at, lapses_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(tenant)
    .bind(&rollout.id)
    .bind(&rollout.sha256)
    .bind(&rollout.reason)
    .bind(&rollout.by)
    .bind(scope.now.0)
    .bind(rollout.lapses.0)
    .execute(&mut *connection)
    .await?;
    let text = format!("{} proposed it: {}", rollout.by, rollout.reason);
    let steps = to_json(&[UpdateStep { at: Timestamp(scope.now), state: UpdateState::Proposed, text }]);
    for (id, vehicle) in &rollout.orders {
        engine::query(
            "INSERT INTO update_order (tenant, id, rollout_id, vehicle_id, state, reasons, expires_at, changed_at, steps) \
             VALUES (?, ?, ?, ?, 'proposed', '[]', ?, ?, ?)",
        )
        .bind(tenant)
        .bind(id)
        .bind(&rollout.id)
        .bind(vehicle.to_string())
        .bind(rollout.lapses.0)
        .bind(scope.now.0)
        .bind(&steps)
        .execute(&mut *connection)
        .await?;
    }
    audit(connection, scope, &rollout.by, "propose_rollout", &rollout.id, "proposed").await
}

/// What a person decides about a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// The second person agrees.
    Confirm,
    /// Somebody withdraws it.
    Cancel,
}

/// Confirms or withdraws a rollout: every order that may take the step takes it.
pub(super) async fn decide(
    connection: &mut Connection,
    scope: Scope,
    id: &str,
    decision: Decision<'_>,
    act: Act,
) -> StoreResult<Vec<UpdateOrder>> {
    let rollout = summary(connection, scope, id).await?;
    let (event, to, word) = match act {
        Act::Confirm => (UpdateEvent::PersonConfirmed, UpdateState::Confirmed, "confirmed"),
        Act::Cancel => (UpdateEvent::PersonCancelled, UpdateState::Cancelled, "withdrew"),
    };
    let (is_confirmed, column) = (act == Act::Confirm, to.word());
    if is_confirmed && rollout.proposed_by == decision.by {
        return Err(StoreError::Conflict("another person must confirm the rollout".to_owned()));
    }
    let text = format!("{} {word} it: {}", decision.by, decision.reason);
    let mut changed = Vec::new();
    for mut order in orders(connection, scope, id).await? {
        let reached = state_of(order.state).and_then(|state| state.after(event).ok());
        let is_over = is_confirmed && order.expires_at.0 <= scope.now;
        if reached.is_none_or(|reached| reached.word() != to.word()) || is_over {
            continue;
        }
        step(&mut order, scope, to, text.clone());
        write(connection, scope, &order, None, decision.by).await?;
        changed.push(order);
    }
    if changed.is_empty() {
        return Err(StoreError::Conflict(format!("no order of rollout {id} can become {}", to.word())));
    }
    let mut query = QueryBuilder::new("UPDATE rollout SET ");
    query.push(column).push("_by = ").push_bind(decision.by.to_owned()).push(", ").push(column);
    query.push("_at = ").push_bind(scope.now.0).push(" WHERE tenant = ").push_bind(i64::from(scope.tenant.0));
    query.push(" AND id = ").push_bind(id.to_owned()).build().execute(&mut *connection).await?;
    let action = if is_confirmed { "confirm_rollout" } else { "cancel_rollout" };
    audit(connection, scope, decision.by, action, id, to.word()).await?;
    if is_confirmed {
        changed.iter_mut().for_each(|order| order.confirmed_by = Some(decision.by.to_owned()));
    }
    Ok(changed)
}

/// Moves an order on.
pub(super) async fn change(
    connection: &mut Connection,
    scope: Scope,
    id: &str,
    change: &OrderChange,
) -> StoreResult<UpdateOrder> {
    let mut order = order(connection, scope, "o.id", id).await?;
    let (state, text) = change.describe();
    let reached = state_of(order.state).and_then(|from| from.after(change.event()).ok());
    if reached.is_none_or(|reached| reached.word() != state.word()) || order.state == state {
        let (from, to) = (order.state.word(), state.word());
        return Err(StoreError::Conflict(format!("update order {id} is {from} and cannot become {to}")));
    }
    let mut draft = None;
    match change {
        OrderChange::RefusedByGate(reasons) => order.reasons.clone_from(reasons),
        OrderChange::RefusedByVehicle(reason) => order.reasons = vec![reason.clone()],
        OrderChange::Permitted(made) => {
            order.permit_id = Some(made.permit_id.clone());
            order.command_id = Some(made.command_id.clone());
            order.sequence = Some(made.sequence);
            order.expires_at = Timestamp(made.expires);
            draft = Some(made.frame.clone());
        }
        OrderChange::Sent
        | OrderChange::Accepted
        | OrderChange::Done
        | OrderChange::Expired
        | OrderChange::Stopped => {}
    }
    step(&mut order, scope, state, text);
    write(connection, scope, &order, draft, "system").await?;
    Ok(order)
}

fn state_of(state: UpdateState) -> Option<outrider_respond::UpdateState> {
    outrider_respond::UpdateState::from_word(state.word())
}

fn step(order: &mut UpdateOrder, scope: Scope, state: UpdateState, text: String) {
    order.state = state;
    order.steps.push(UpdateStep { at: Timestamp(scope.now), state, text });
}

/// Writes what can change of an order, and the step into the audit trail.
async fn write(
    connection: &mut Connection,
    scope: Scope,
    order: &UpdateOrder,
    frame: Option<Vec<u8>>,
    by: &str,
) -> StoreResult<()> {
    let permitted = frame.is_some().then_some(scope.now.0);
    engine::query(
        "UPDATE update_order SET state = ?, reasons = ?, permit_id = ?, command_id = ?, sequence = ?, expires_at = ?, \
         permitted_at = coalesce(?, permitted_at), frame = coalesce(?, frame), changed_at = ?, steps = ? \
         WHERE tenant = ? AND id = ?",
    )
    .bind(order.state.word())
    .bind(to_json(&order.reasons))
    .bind(&order.permit_id)
    .bind(&order.command_id)
    .bind(order.sequence.map(int))
    .bind(order.expires_at.0.0)
    .bind(permitted)
    .bind(frame)
    .bind(scope.now.0)
    .bind(to_json(&order.steps))
    .bind(i64::from(scope.tenant.0))
    .bind(&order.id)
    .execute(&mut *connection)
    .await?;
    audit(connection, scope, by, "update_order", &order.id, order.state.word()).await
}

/// Writes an act on updates into the audit trail.
pub(super) async fn audit(
    connection: &mut Connection,
    scope: Scope,
    by: &str,
    action: &'static str,
    subject: &str,
    outcome: &'static str,
) -> StoreResult<()> {
    let entry = AuditEntry { actor: by.to_owned(), action, subject: subject.to_owned(), outcome };
    identity::write_audit(connection, scope, &entry).await
}

/// Reads one order by one of its two identities.
pub(super) async fn order(
    connection: &mut Connection,
    scope: Scope,
    column: &'static str,
    id: &str,
) -> StoreResult<UpdateOrder> {
    let mut query = QueryBuilder::new(ORDER);
    query.push_bind(i64::from(scope.tenant.0)).push(" AND ").push(column).push(" = ");
    let row = query.push_bind(id.to_owned()).build().fetch_optional(connection).await?;
    let row = row.ok_or_else(|| StoreError::NotFound { what: "update order", id: id.to_owned() })?;
    order_of(&row)
}

/// Reads all orders of a rollout; a rollout has no more than a fleet has commands a day.
async fn orders(connection: &mut Connection, scope: Scope, id: &str) -> StoreResult<Vec<UpdateOrder>> {
    let mut query = QueryBuilder::new(ORDER);
    query.push_bind(i64::from(scope.tenant.0)).push(" AND o.rollout_id = ").push_bind(id.to_owned());
    query.push(" ORDER BY o.vehicle_id").build().fetch_all(connection).await?.iter().map(order_of).collect()
}

/// Reads one rollout without its orders.
pub(super) async fn summary(
    connection: &mut Connection,
    scope: Scope,
    id: &str,
) -> StoreResult<RolloutSummary> {
    let mut query = QueryBuilder::new(ROLLOUT);
    query.push_bind(i64::from(scope.tenant.0)).push(" AND r.id = ").push_bind(id.to_owned());
    let row = query.build().fetch_optional(connection).await?;
    let row = row.ok_or_else(|| StoreError::NotFound { what: "rollout", id: id.to_owned() })?;
    summary_of(&row)
}

/// Reads an order from its row.
pub(super) fn order_of(row: &Row) -> StoreResult<UpdateOrder> {
    Ok(UpdateOrder {
        id: row.try_get("id")?,
        rollout_id: row.try_get("rollout_id")?,
        vehicle_id: row.try_get("vehicle_id")?,
        sha256: row.try_get("sha256")?,
        kind: word(row, "kind", ArtifactKind::from_word)?,
        version: count(row.try_get("version")?),
        proposed_by: row.try_get("proposed_by")?,
        confirmed_by: row.try_get("confirmed_by")?,
        state: word(row, "state", UpdateState::from_word)?,
        reasons: json(row, "reasons")?,
        permit_id: row.try_get("permit_id")?,
        command_id: row.try_get("command_id")?,
        sequence: row.try_get::<Option<i64>>("sequence")?.map(count),
        expires_at: time(row, "expires_at")?,
        steps: json(row, "steps")?,
    })
}

/// Reads a rollout from its row.
pub(super) fn summary_of(row: &Row) -> StoreResult<RolloutSummary> {
    let listed: Option<String> = row.try_get("states")?;
    let counted: std::collections::BTreeMap<&str, u64> = listed
        .iter()
        .flat_map(|listed| listed.split(','))
        .filter_map(|part| part.split_once(' ').and_then(|(state, n)| Some((state, n.parse().ok()?))))
        .collect();
    let states: Vec<UpdateStateCount> = UpdateState::ALL
        .iter()
        .filter_map(|state| Some(UpdateStateCount { state: *state, orders: *counted.get(state.word())? }))
        .collect();
    Ok(RolloutSummary {
        id: row.try_get("id")?,
        sha256: row.try_get("sha256")?,
        kind: word(row, "kind", ArtifactKind::from_word)?,
        version: count(row.try_get("version")?),
        reason: row.try_get("reason")?,
        proposed_by: row.try_get("proposed_by")?,
        proposed_at: time(row, "proposed_at")?,
        lapses_at: time(row, "lapses_at")?,
        confirmed_by: row.try_get("confirmed_by")?,
        confirmed_at: time_opt(row, "confirmed_at")?,
        cancelled_by: row.try_get("cancelled_by")?,
        cancelled_at: time_opt(row, "cancelled_at")?,
        vehicles: states.iter().map(|count| count.orders).sum(),
        states,
    })
}

/// Reads a vehicle id.
pub(super) fn vehicle(text: &str) -> StoreResult<VehicleId> {
    text.parse().map_err(|_| StoreError::Damaged { what: "vehicle_id", value: text.to_owned() })
}
