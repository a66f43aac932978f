//! Conditions and orders of the queue.

use super::engine::QueryBuilder;
use super::{any_of, int, like, severity_code};
use crate::api::dto::Alert;
use crate::store::{AlertFilter, AlertOrder};

/// Appends the conditions of a filter on `alert a`.
pub(super) fn push_filter(query: &mut QueryBuilder, filter: &AlertFilter, with_severity: bool) {
    any_of(query, "a.status", filter.status.iter().map(|status| status.word()));
    if with_severity {
        any_of(query, "a.severity", filter.severity.iter().map(|severity| severity_code(*severity)));
    }
    let equal = [("a.rule_id", &filter.rule), ("a.model_line", &filter.model_line)];
    for (column, value) in equal {
        if let Some(value) = value {
            query.push(" AND ").push(column).push(" = ").push_bind(value.clone());
        }
    }
    for (column, value) in [("a.case_id", &filter.case), ("a.owner", &filter.owner)] {
        match value.as_deref() {
            Some("none") => drop(query.push(" AND ").push(column).push(" IS NULL")),
            Some(value) => drop(query.push(" AND ").push(column).push(" = ").push_bind(value.to_owned())),
            None => {}
        }
    }
    if let Some(vehicle) = &filter.vehicle {
        query.push(
            " AND EXISTS (SELECT 1 FROM alert_vehicle v WHERE v.tenant = a.tenant AND v.alert_id = a.id AND v.vehicle_id = ",
        );
        query.push_bind(vehicle.clone()).push(")");
    }
    for text in &filter.words {
        query.push(" AND a.search LIKE ").push_bind(like(text)).push(" ESCAPE '\\'");
    }
    let times = [
        (" AND a.last_at >= ", filter.from),
        (" AND a.last_at < ", filter.to),
        (" AND a.detected_at <= ", filter.detected_until),
    ];
    for (condition, value) in times {
        if let Some(value) = value {
            query.push(condition).push_bind(value.0);
        }
    }
}

/// Column of an order.
pub(super) const fn order_column(order: AlertOrder) -> &'static str {
    match order {
        AlertOrder::LastAt => "a.last_at",
        AlertOrder::FirstAt => "a.first_at",
        AlertOrder::Severity => "a.severity",
        AlertOrder::VehicleCount => "a.vehicle_count",
        AlertOrder::EventCount => "a.event_count",
    }
}

/// Value of an order's column.
pub(super) fn order_value(order: AlertOrder, alert: &Alert) -> i64 {
    match order {
        AlertOrder::LastAt => alert.last_at.0.0,
        AlertOrder::FirstAt => alert.first_at.0.0,
        AlertOrder::Severity => severity_code(alert.severity),
        AlertOrder::VehicleCount => int(alert.vehicle_count),
        AlertOrder::EventCount => int(alert.event_count),
    }
}
