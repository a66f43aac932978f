//! Accounts.

use axum::Json;
use axum::extract::Path;

use crate::api::app::Shared;
use crate::api::dto::{CreateUserRequest, Timestamp, UpdateUserRequest, User, UserList};
use crate::api::error::ApiFailure;
use crate::api::extract::{Body, By};

/// Lists users.
pub(crate) async fn list(state: Shared) -> Result<Json<UserList>, ApiFailure> {
    let scope = state.scope();
    let items = state.store.accounts(scope).await?;
    Ok(Json(UserList { total: items.len() as u64, items, next_cursor: None, as_of: Timestamp(scope.now) }))
}

/// Makes an account.
pub(crate) async fn create(
    state: Shared,
    By(caller): By,
    Body(request): Body<CreateUserRequest>,
) -> Result<Json<User>, ApiFailure> {
    let by = &caller.user.name;
    Ok(Json(state.identity.create_user(by, &request.name, request.role, &request.password).await?))
}

/// Changes an account.
pub(crate) async fn update(
    state: Shared,
    By(caller): By,
    Path(name): Path<String>,
    Body(request): Body<UpdateUserRequest>,
) -> Result<Json<User>, ApiFailure> {
    let UpdateUserRequest { role, disabled, password } = request;
    let by = &caller.user.name;
    Ok(Json(state.identity.update_user(by, &name, role, disabled, password.as_deref()).await?))
}
