//! Logging in and out.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::api::SESSION_COOKIE;
use crate::api::app::{App, Shared};
use crate::api::dto::{LoginRequest, PasswordChangeRequest, Session};
use crate::api::error::ApiFailure;
use crate::api::extract::{Body, By};

/// Says that the program runs.
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// Logs in.
pub(crate) async fn login(
    state: Shared,
    Body(request): Body<LoginRequest>,
) -> Result<(HeaderMap, Json<Session>), ApiFailure> {
    let (token, session) = state.identity.login(&request.user, &request.password).await?;
    Ok((cookie(&state, &token, None), Json(session)))
}

/// Shows the caller's session.
pub(crate) async fn show(state: Shared, By(caller): By) -> Json<Session> {
    Json(state.identity.describe(&caller.session, &caller.user))
}

/// Logs out.
pub(crate) async fn logout(state: Shared, By(caller): By) -> Result<(StatusCode, HeaderMap), ApiFailure> {
    state.identity.logout(&caller).await?;
    Ok((StatusCode::NO_CONTENT, cookie(&state, "", Some(0))))
}

/// Changes the caller's password.
pub(crate) async fn change_password(
    state: Shared,
    By(caller): By,
    Body(request): Body<PasswordChangeRequest>,
) -> Result<Json<Session>, ApiFailure> {
    Ok(Json(state.identity.change_password(&caller, &request.old, &request.new).await?))
}

/// Writes the session's cookie.
fn cookie(app: &App, token: &str, max_age_s: Option<u32>) -> HeaderMap {
    let secure = if app.is_secure { "; Secure" } else { "" };
    let age = max_age_s.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    let text = format!("{SESSION_COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict{secure}{age}");
    let value = HeaderValue::from_str(&text).expect("a token is hexadecimal");
    HeaderMap::from_iter([(header::SET_COOKIE, value)])
}
