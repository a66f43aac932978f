//! The quarantine, and types that the catalogue does not have.

use axum::Json;
use axum::body::Body as HttpBody;
use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};

use super::limit;
use crate::api::app::Shared;
use crate::api::dto::{
    QuarantineList, QuarantineQuery, QuarantineSummary, ReplayRequest, ReplayResult, Timestamp,
    UnclassifiedQuery, UnclassifiedType,
};
use crate::api::error::ApiFailure;
use crate::api::extract::{Body, By, Params};
use crate::store::QuarantineFilter;

/// Entries that a request may name one by one.
const IDS_MAX: usize = 500;
/// Days of a list of types where nobody says.
const DAYS: u32 = 7;
const DAY_US: i64 = 86_400_000_000;

/// Lists what was put aside.
pub(crate) async fn list(
    state: Shared,
    Params(query): Params<QuarantineQuery>,
) -> Result<Json<QuarantineList>, ApiFailure> {
    let scope = state.scope();
    let QuarantineQuery { reason, feed, format, open, cursor, limit: wanted } = query;
    let filter = QuarantineFilter { ids: Vec::new(), reason, feed, format, open: open.unwrap_or(false) };
    let page = state.store.quarantine(scope, &filter, cursor.as_deref(), limit(wanted)?).await?;
    Ok(Json(QuarantineList {
        items: page.items,
        next_cursor: page.next_cursor,
        total: page.total,
        as_of: Timestamp(scope.now),
    }))
}

/// Says how much was put aside, and why.
pub(crate) async fn summary(state: Shared) -> Result<Json<QuarantineSummary>, ApiFailure> {
    Ok(Json(state.store.quarantine_summary(state.scope()).await?))
}

/// Fetches the bytes of an entry; who does is written into the audit trail.
pub(crate) async fn fetch(
    state: Shared,
    By(caller): By,
    Path(id): Path<String>,
) -> Result<Response, ApiFailure> {
    let number = id.parse().map_err(|_| ApiFailure::not_found("there is no such entry"))?;
    let content = state.store.quarantine_content(state.scope(), number, &caller.user.name).await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"quarantine.bin\"")),
    ];
    Ok((headers, HttpBody::from(content)).into_response())
}

/// Has entries taken again.
pub(crate) async fn replay(
    state: Shared,
    By(caller): By,
    Body(request): Body<ReplayRequest>,
) -> Result<Json<ReplayResult>, ApiFailure> {
    let ReplayRequest { ids, reason, feed, format } = request;
    if ids.is_empty() && reason.is_none() && feed.is_none() && format.is_none() {
        return Err(ApiFailure::invalid("name entries, or a reason, feed or format"));
    }
    if ids.len() > IDS_MAX {
        return Err(ApiFailure::invalid(format!("`ids` names more than {IDS_MAX} entries")));
    }
    let ids: Result<Vec<i64>, _> = ids.iter().map(|id| id.parse()).collect();
    let ids = ids.map_err(|_| ApiFailure::invalid("`ids` names what is no entry"))?;
    let filter = QuarantineFilter { ids, reason, feed, format, open: true };
    let requested = state.store.request_replays(state.scope(), &filter, &caller.user.name).await?;
    Ok(Json(ReplayResult { requested }))
}

/// Lists types that the catalogue does not have.
pub(crate) async fn unclassified(
    state: Shared,
    Params(query): Params<UnclassifiedQuery>,
) -> Result<Json<Vec<UnclassifiedType>>, ApiFailure> {
    let days = query.days.unwrap_or(DAYS);
    if !(1..=366).contains(&days) {
        return Err(ApiFailure::invalid("`days` is 1 to 366"));
    }
    let since = state.clock.now().saturating_add(-i64::from(days) * DAY_US);
    Ok(Json(state.history.unclassified(since).await?))
}
