//! Users, sessions and the audit trail.

use async_trait::async_trait;
use outrider_types::UnixMicros;

use super::{Scope, StoreResult};
use crate::api::dto::{Role, User};

/// User account with what login needs.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// What the API shows.
    pub user: User,
    /// Password in PHC string form.
    pub password: String,
    /// Failed logins since the last good one.
    pub failures: u32,
    /// No login before this.
    pub locked_until: UnixMicros,
}

/// Session as stored; the token itself is nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// SHA-256 of the token, hexadecimal.
    pub token_hash: String,
    /// User.
    pub user: String,
    /// CSRF token.
    pub csrf: String,
    /// When it began.
    pub created: UnixMicros,
    /// When it was last used.
    pub seen: UnixMicros,
}

/// Change of an account; `None` leaves as is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// New role.
    pub role: Option<Role>,
    /// Whether the user may log in.
    pub disabled: Option<bool>,
    /// New password in PHC string form, and whether it must be changed at once.
    pub password: Option<(String, bool)>,
}

/// Act worth remembering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Who.
    pub actor: String,
    /// What.
    pub action: &'static str,
    /// On what.
    pub subject: String,
    /// How it ended.
    pub outcome: &'static str,
}

/// Users and sessions.
#[async_trait]
pub trait IdentityStore: Send + Sync {
    /// Makes an account.
    ///
    /// # Errors
    /// [`super::StoreError::Conflict`] if the name is taken.
    async fn create_account(
        &self,
        scope: Scope,
        name: &str,
        role: Role,
        password: &str,
        must_change: bool,
    ) -> StoreResult<User>;

    /// Returns all accounts by name.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn accounts(&self, scope: Scope) -> StoreResult<Vec<User>>;

    /// Returns one account.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn account(&self, scope: Scope, name: &str) -> StoreResult<Option<Account>>;

    /// Changes an account and ends its sessions, but for the one named by `keep`. The last administrator who may
    /// log in stays.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`], [`super::StoreError::Conflict`].
    async fn change_account(
        &self,
        scope: Scope,
        name: &str,
        change: &AccountChange,
        keep: Option<&str>,
    ) -> StoreResult<User>;

    /// Notes a failed login and until when the next one is refused; of names that do not exist only the number a
    /// day, so that a stranger cannot fill the disk.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn note_login_failure(&self, scope: Scope, name: &str, locked_until: UnixMicros)
    -> StoreResult<()>;

    /// Notes a good login and begins a session.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn begin_session(&self, scope: Scope, session: &StoredSession) -> StoreResult<()>;

    /// Returns a session with its user.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn session(&self, scope: Scope, token_hash: &str) -> StoreResult<Option<(StoredSession, User)>>;

    /// Notes that a session was used.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn touch_session(&self, scope: Scope, token_hash: &str) -> StoreResult<()>;

    /// Ends a session.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn end_session(&self, scope: Scope, token_hash: &str) -> StoreResult<()>;

    /// Removes sessions that began or were last used before these times; returns how many.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn remove_sessions(&self, scope: Scope, created: UnixMicros, seen: UnixMicros) -> StoreResult<u64>;

    /// Writes into the audit trail.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn audit(&self, scope: Scope, entry: &AuditEntry) -> StoreResult<()>;
}
