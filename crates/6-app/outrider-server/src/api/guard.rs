//! What stands before every handler: session, role, CSRF token; and the headers behind it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::SESSION_COOKIE;
use super::app::{App, require};
use super::error::ApiFailure;
use super::route::{Access, Route};
use crate::feeds::Admitted;
use crate::identity::{Caller, same_secret};

/// Header that carries the CSRF token.
pub const CSRF_HEADER: &str = "x-csrf-token";

/// Application and route that a guard stands before.
pub(crate) type Guarded = (Arc<App>, Route);

/// Lets a request through to its handler, or refuses it.
pub(crate) async fn guard(State((app, route)): State<Guarded>, mut request: Request, next: Next) -> Response {
    if route.access == Access::Feed {
        let Some(admitted) = feed(&app, &request) else {
            return ApiFailure::new(
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "no such feed and credential",
            )
            .into_response();
        };
        request.extensions_mut().insert(admitted);
        return next.run(request).await;
    }
    match admit(&app, &route, request.headers()).await {
        Ok(None) => next.run(request).await,
        Ok(Some(caller)) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(failure) => failure.into_response(),
    }
}

/// Lets a feed in by its own credential, before its body is read.
fn feed(app: &App, request: &Request) -> Option<Admitted> {
    let name = request.uri().path().rsplit('/').next()?;
    let value = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    app.feeds.admit(name, token.trim())
}

/// Decides; returns the caller where the route needs one.
async fn admit(app: &App, route: &Route, headers: &HeaderMap) -> Result<Option<Caller>, ApiFailure> {
    if route.access == Access::Public {
        return Ok(None);
    }
    if route.access == Access::Monitor {
        let given =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        return if app.monitor.admits(given) { Ok(None) } else { Err(ApiFailure::unauthenticated()) };
    }
    let Some(token) = session_token(headers) else { return Err(ApiFailure::unauthenticated()) };
    let caller = app.identity.authenticate(token).await?.ok_or_else(ApiFailure::unauthenticated)?;
    if route.method.changes() {
        let given = headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !same_secret(given, &caller.session.csrf) {
            return Err(ApiFailure::forbidden("csrf", "the header X-CSRF-Token is missing or wrong"));
        }
    }
    if let Access::Role(role) = route.access {
        if caller.user.must_change_password {
            return Err(ApiFailure::forbidden("password_change_required", "change your password first"));
        }
        require(&caller, role)?;
    }
    Ok(Some(caller))
}

/// Finds the session's token among the cookies.
pub(crate) fn session_token(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(name, _)| *name == SESSION_COOKIE)
        .map(|(_, value)| value)
}

/// Sets headers that every answer has; a handler's own ones stay.
pub(crate) async fn headers(request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with("/api/");
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        headers.insert(header::CONTENT_SECURITY_POLICY, nothing);
    }
    if is_api && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
