//! Users and sessions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Role, Timestamp};

/// Asks for a session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginRequest {
    /// User name.
    pub user: String,
    /// Password.
    #[schema(format = Password)]
    pub password: String,
}

/// User behind the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SessionUser {
    /// User name.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// Whether everything but a new password is refused.
    pub must_change_password: bool,
}

/// Session of the caller; the token itself is in the cookie only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// User behind it.
    pub user: SessionUser,
    /// Value of the header `X-CSRF-Token` on everything but GET.
    pub csrf_token: String,
    /// When the session ends at the latest.
    pub expires_at: Timestamp,
}

/// Changes the caller's password.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChangeRequest {
    /// The password so far.
    #[schema(format = Password)]
    pub old: String,
    /// The new one, 12 to 256 characters.
    #[schema(format = Password, min_length = 12, max_length = 256)]
    pub new: String,
}

/// User account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// User name.
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// Whether the user may log in.
    pub disabled: bool,
    /// Whether everything but a new password is refused.
    pub must_change_password: bool,
    /// Last login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_login_at: Option<Timestamp>,
    /// When the account was made.
    pub created_at: Timestamp,
}

super::list!(
    /// Users by name.
    UserList,
    User
);

/// Makes an account; the user must change the password at first login.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateUserRequest {
    /// User name: 1 to 64 of `a-z`, `0-9`, `.`, `_`, `-`, beginning with a letter.
    #[schema(pattern = "^[a-z][a-z0-9._-]{0,63}$")]
    pub name: String,
    /// What the user may do.
    pub role: Role,
    /// First password, 12 to 256 characters.
    #[schema(format = Password, min_length = 12, max_length = 256)]
    pub password: String,
}

/// Changes an account; its sessions end.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateUserRequest {
    /// New role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Whether the user may log in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// New password, 12 to 256 characters; must be changed at the next login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Password, min_length = 12, max_length = 256)]
    pub password: Option<String>,
}
