//! Users, sessions and the audit trail.

use async_trait::async_trait;
use outrider_types::UnixMicros;

use super::engine::{self, Connection, Row};
use super::{SqlStore, time, time_opt, word};
use crate::api::dto::{Role, User};
use crate::store::{
    Account, AccountChange, AuditEntry, IdentityStore, Scope, StoreError, StoreResult, StoredSession,
};

#[async_trait]
impl IdentityStore for SqlStore {
    async fn create_account(
        &self,
        scope: Scope,
        name: &str,
        role: Role,
        password: &str,
        must_change: bool,
    ) -> StoreResult<User> {
        let mut transaction = self.begin().await?;
        let written = engine::query(
            "INSERT INTO user_account (tenant, name, role, password, disabled, must_change_password, failures, locked_until, created_at) \
             VALUES (?, ?, ?, ?, 0, ?, 0, 0, ?) ON CONFLICT DO NOTHING",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(name)
        .bind(role.word())
        .bind(password)
        .bind(must_change)
        .bind(scope.now.0)
        .execute(&mut *transaction)
        .await?;
        if written == 0 {
            return Err(StoreError::Conflict(format!("user {name} exists")));
        }
        let account = read_account(&mut transaction, scope, name).await?;
        transaction.commit().await?;
        account.map(|account| account.user).ok_or_else(|| not_found(name))
    }

    async fn accounts(&self, scope: Scope) -> StoreResult<Vec<User>> {
        engine::query("SELECT * FROM user_account WHERE tenant = ? ORDER BY name")
            .bind(i64::from(scope.tenant.0))
            .fetch_all(&self.read)
            .await?
            .iter()
            .map(user_of)
            .collect()
    }

    async fn account(&self, scope: Scope, name: &str) -> StoreResult<Option<Account>> {
        read_account(&mut self.read.acquire().await?, scope, name).await
    }

    async fn change_account(
        &self,
        scope: Scope,
        name: &str,
        change: &AccountChange,
        keep: Option<&str>,
    ) -> StoreResult<User> {
        let tenant = i64::from(scope.tenant.0);
        let mut transaction = self.begin().await?;
        let account = read_account(&mut transaction, scope, name).await?.ok_or_else(|| not_found(name))?;
        let role = change.role.unwrap_or(account.user.role);
        let disabled = change.disabled.unwrap_or(account.user.disabled);
        if account.user.role == Role::Admin && !account.user.disabled && (role != Role::Admin || disabled) {
            let others: i64 = engine::query_scalar(
                "SELECT count(*) FROM user_account WHERE tenant = ? AND role = 'admin' AND disabled = 0 AND name <> ?",
            )
            .bind(tenant)
            .bind(name)
            .fetch_one(&mut *transaction)
            .await?;
            if others == 0 {
                return Err(StoreError::Conflict("the last administrator must stay".to_owned()));
            }
        }
        let (password, must_change) = match &change.password {
            Some((password, must_change)) => (password.clone(), *must_change),
            None => (account.password, account.user.must_change_password),
        };
        engine::query(
            "UPDATE user_account SET role = ?, disabled = ?, password = ?, must_change_password = ?, failures = 0, locked_until = 0 \
             WHERE tenant = ? AND name = ?",
        )
        .bind(role.word())
        .bind(disabled)
        .bind(password)
        .bind(must_change)
        .bind(tenant)
        .bind(name)
        .execute(&mut *transaction)
        .await?;
        engine::query("DELETE FROM session WHERE tenant = ? AND user_name = ? AND token_hash <> ?")
            .bind(tenant)
            .bind(name)
            .bind(keep.unwrap_or_default())
            .execute(&mut *transaction)
            .await?;
        let account = read_account(&mut transaction, scope, name).await?;
        transaction.commit().await?;
        account.map(|account| account.user).ok_or_else(|| not_found(name))
    }

    async fn note_login_failure(
        &self,
        scope: Scope,
        name: &str,
        locked_until: UnixMicros,
    ) -> StoreResult<()> {
        let tenant = i64::from(scope.tenant.0);
        let mut transaction = self.begin().await?;
        let updated = engine::query(
            "UPDATE user_account SET failures = failures + 1, locked_until = ? WHERE tenant = ? AND name = ?",
        )
        .bind(locked_until.0)
        .bind(tenant)
        .bind(name)
        .execute(&mut *transaction)
        .await?;
        if updated > 0 {
            let outcome = if locked_until > scope.now { "refused_and_locked" } else { "refused" };
            let entry =
                AuditEntry { actor: name.to_owned(), action: "login", subject: name.to_owned(), outcome };
            write_audit(&mut transaction, scope, &entry).await?;
        } else {
            engine::query(
                "INSERT INTO unknown_login (tenant, day, failures) VALUES (?, ?, 1) \
                 ON CONFLICT (tenant, day) DO UPDATE SET failures = unknown_login.failures + 1",
            )
            .bind(tenant)
            .bind(scope.now.0.div_euclid(86_400_000_000))
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn begin_session(&self, scope: Scope, session: &StoredSession) -> StoreResult<()> {
        let tenant = i64::from(scope.tenant.0);
        let mut transaction = self.begin().await?;
        engine::query(
            "UPDATE user_account SET failures = 0, locked_until = 0, last_login_at = ? WHERE tenant = ? AND name = ?",
        )
        .bind(scope.now.0)
        .bind(tenant)
        .bind(&session.user)
        .execute(&mut *transaction)
        .await?;
        engine::query(
            "INSERT INTO session (token_hash, tenant, user_name, csrf, created_at, seen_at) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(&session.token_hash)
        .bind(tenant)
        .bind(&session.user)
        .bind(&session.csrf)
        .bind(session.created.0)
        .bind(session.seen.0)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn session(&self, scope: Scope, token_hash: &str) -> StoreResult<Option<(StoredSession, User)>> {
        let row = engine::query(
            "SELECT s.token_hash, s.csrf, s.created_at AS begun_at, s.seen_at, u.* FROM session s \
             JOIN user_account u ON u.tenant = s.tenant AND u.name = s.user_name WHERE s.tenant = ? AND s.token_hash = ?",
        )
        .bind(i64::from(scope.tenant.0))
        .bind(token_hash)
        .fetch_optional(&self.read)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let user = user_of(&row)?;
        let session = StoredSession {
            token_hash: row.try_get("token_hash")?,
            user: user.name.clone(),
            csrf: row.try_get("csrf")?,
            created: UnixMicros(row.try_get("begun_at")?),
            seen: UnixMicros(row.try_get("seen_at")?),
        };
        Ok(Some((session, user)))
    }

    async fn touch_session(&self, scope: Scope, token_hash: &str) -> StoreResult<()> {
        engine::query("UPDATE session SET seen_at = ? WHERE tenant = ? AND token_hash = ?")
            .bind(scope.now.0)
            .bind(i64::from(scope.tenant.0))
            .bind(token_hash)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    async fn end_session(&self, scope: Scope, token_hash: &str) -> StoreResult<()> {
        engine::query("DELETE FROM session WHERE tenant = ? AND token_hash = ?")
            .bind(i64::from(scope.tenant.0))
            .bind(token_hash)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    async fn remove_sessions(&self, scope: Scope, created: UnixMicros, seen: UnixMicros) -> StoreResult<u64> {
        let removed =
            engine::query("DELETE FROM session WHERE tenant = ? AND (created_at < ? OR seen_at < ?)")
                .bind(i64::from(scope.tenant.0))
                .bind(created.0)
                .bind(seen.0)
                .execute(&self.write)
                .await?;
        Ok(removed)
    }

    async fn audit(&self, scope: Scope, entry: &AuditEntry) -> StoreResult<()> {
        write_audit(&mut self.write.acquire().await?, scope, entry).await
    }
}

/// Writes one act into the audit trail.
pub(super) async fn write_audit(
    connection: &mut Connection,
    scope: Scope,
    entry: &AuditEntry,
) -> StoreResult<()> {
    engine::query(
        "INSERT INTO audit (tenant, at, actor, action, subject, outcome) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(i64::from(scope.tenant.0))
    .bind(scope.now.0)
    .bind(&entry.actor)
    .bind(entry.action)
    .bind(&entry.subject)
    .bind(entry.outcome)
    .execute(connection)
    .await?;
    Ok(())
}

/// Error for a user that is not there.
fn not_found(name: &str) -> StoreError {
    StoreError::NotFound { what: "user", id: name.to_owned() }
}

/// Reads one account.
async fn read_account(connection: &mut Connection, scope: Scope, name: &str) -> StoreResult<Option<Account>> {
    let row = engine::query("SELECT * FROM user_account WHERE tenant = ? AND name = ?")
        .bind(i64::from(scope.tenant.0))
        .bind(name)
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Account {
        user: user_of(&row)?,
        password: row.try_get("password")?,
        failures: u32::try_from(row.try_get::<i64>("failures")?).unwrap_or(u32::MAX),
        locked_until: UnixMicros(row.try_get("locked_until")?),
    }))
}

/// Reads a user from its row.
fn user_of(row: &Row) -> StoreResult<User> {
    Ok(User {
        name: row.try_get("name")?,
        role: word(row, "role", Role::from_word)?,
        disabled: row.try_get("disabled")?,
        must_change_password: row.try_get("must_change_password")?,
        last_login_at: time_opt(row, "last_login_at")?,
        created_at: time(row, "created_at")?,
    })
}
