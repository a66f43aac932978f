//! Commands of both kinds on their way to vehicles.

use async_trait::async_trait;
use outrider_types::VehicleId;

use super::engine::{self, QueryBuilder};
use super::{SqlStore, count, evidence, number, rollout};
use crate::store::{
    CommandLoad, CommandStore, EvidenceChange, LeavingCommands, OrderChange, Scope, StoreResult,
};

/// Commands that wait for a vehicle, of one table.
const WAITING: &str = "state IN ('permitted', 'sent') AND frame IS NOT NULL \
    AND NOT EXISTS (SELECT 1 FROM emergency_stop s WHERE s.tenant = t.tenant) AND t.tenant = ";

/// Appends a query for the commands that wait for a vehicle.
fn push_waiting(query: &mut QueryBuilder, table: &'static str, scope: Scope, vehicle: VehicleId) {
    query
        .push("SELECT id, state, sequence, frame, '")
        .push(table)
        .push("' AS kind FROM ")
        .push(table)
        .push(" t WHERE ")
        .push(WAITING)
        .push_bind(i64::from(scope.tenant.0))
        .push(" AND vehicle_id = ")
        .push_bind(vehicle.to_string())
        .push(" AND expires_at > ")
        .push_bind(scope.now.0);
}

fn waiting(scope: Scope, vehicle: VehicleId, limit: u32) -> QueryBuilder {
    let mut query = QueryBuilder::new("");
    push_waiting(&mut query, "evidence_request", scope, vehicle);
    query.push(" UNION ALL ");
    push_waiting(&mut query, "update_order", scope, vehicle);
    query.push(" ORDER BY sequence LIMIT ").push_bind(i64::from(limit));
    query
}

#[async_trait]
impl CommandStore for SqlStore {
    async fn next_command_sequence(&self, scope: Scope, vehicle: VehicleId) -> StoreResult<u64> {
        let mut transaction = self.begin().await?;
        let last: i64 = engine::query_scalar(
            "INSERT INTO command_sequence (tenant, vehicle_id, last) VALUES (?, ?, 1) \
             ON CONFLICT (tenant, vehicle_id) DO UPDATE SET last = command_sequence.last + 1 RETURNING last",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(vehicle.to_string())
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(count(last))
    }

    async fn has_commands(&self, scope: Scope, vehicle: VehicleId) -> StoreResult<bool> {
        Ok(waiting(scope, vehicle, 1).build().fetch_optional(&self.read).await?.is_some())
    }

    async fn take_commands(
        &self,
        scope: Scope,
        vehicle: VehicleId,
        limit: u32,
    ) -> StoreResult<LeavingCommands> {
        let mut transaction = self.begin().await?;
        let rows = waiting(scope, vehicle, limit).build().fetch_all(&mut *transaction).await?;
        let mut leaving = LeavingCommands::default();
        for row in rows {
            let (id, state, kind): (String, String, String) =
                (row.try_get("id")?, row.try_get("state")?, row.try_get("kind")?);
            leaving.frames.push(row.try_get("frame")?);
            if state == "sent" {
                continue;
            }
            if kind == "update_order" {
                let order = rollout::change(&mut transaction, scope, &id, &OrderChange::Sent).await?;
                leaving.orders.push(order);
            } else {
                let request = evidence::change(&mut transaction, scope, &id, &EvidenceChange::Sent).await?;
                leaving.evidence.push(request);
            }
        }
        transaction.commit().await?;
        Ok(leaving)
    }

    async fn command_load(&self, scope: Scope, vehicle: VehicleId) -> StoreResult<CommandLoad> {
        let day = scope.now.saturating_add(-86_400_000_000).0;
        let row = engine::query(
            "SELECT count(*) FILTER (WHERE vehicle_id = ?1 AND state IN ('permitted', 'sent', 'accepted')) AS in_flight, \
             count(*) FILTER (WHERE vehicle_id = ?1 AND at > ?2) AS vehicle_day, \
             count(*) FILTER (WHERE at > ?2) AS fleet_day, \
             (SELECT count(*) FROM emergency_stop s WHERE s.tenant = ?3) AS stopped FROM ( \
             SELECT vehicle_id, state, requested_at AS at FROM evidence_request \
             WHERE tenant = ?3 AND command_id IS NOT NULL UNION ALL \
             SELECT vehicle_id, state, permitted_at AS at FROM update_order \
             WHERE tenant = ?3 AND command_id IS NOT NULL) AS commands",
        )
        .bind(vehicle.to_string())
        .bind(day)
        .bind(i64::from(scope.tenant.0))
        .fetch_one(&self.read)
        .await?;
        let small =
            |column| -> StoreResult<u32> { Ok(u32::try_from(number(&row, column)?).unwrap_or(u32::MAX)) };
        Ok(CommandLoad {
            in_flight: small("in_flight")?,
            vehicle_day: small("vehicle_day")?,
            fleet_day: small("fleet_day")?,
            is_stopped: small("stopped")? > 0,
        })
    }
}
