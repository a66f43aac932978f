//! Who is there: passwords, sessions and their limits.

mod password;

use std::sync::Arc;

use outrider_types::{Clock, TenantId};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::api::dto::{Role, Session, SessionUser, Timestamp, User};
use crate::port::{Ports, Random, draw};
use crate::store::{AccountChange, AuditEntry, Scope, Store, StoreError, StoredSession};

/// Names of actors who are no accounts: nobody may be taken for one of them.
const RESERVED: [&str; 2] = [CLI, POLICY];
/// Who acts on the command line.
pub const CLI: &str = "cli";
/// What agrees where one person is enough.
pub(crate) const POLICY: &str = "policy";
/// Name of the administrator made at the first start.
pub const FIRST_ADMIN: &str = "admin";
/// Passwords hashed at the same time; each takes 19 MiB.
const HASHERS: usize = 2;
/// Failed logins before the account is locked for a while.
const FREE_FAILURES: u32 = 5;
/// First lock after the free failures; doubles with every further one.
const LOCK_US: i64 = 30_000_000;
/// Longest lock: long enough against guessing, short enough not to lock an owner out for a shift.
const LOCK_US_MAX: i64 = 900_000_000;
/// A session's use is written down at most this often.
const TOUCH_US: i64 = 60_000_000;

/// How long sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPolicy {
    /// Without use.
    pub idle_us: i64,
    /// In all.
    pub absolute_us: i64,
}

impl Default for SessionPolicy {
    /// An hour without use, a shift of twelve hours in all.
    fn default() -> Self {
        Self { idle_us: 3_600_000_000, absolute_us: 43_200_000_000 }
    }
}

/// Why somebody is not let in or a password is not taken.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// User or password is wrong, or the account is disabled or locked; which of them is not told.
    #[error("user or password is wrong, or the account is locked for a while after too many failures")]
    Refused,
    /// Too many failures.
    #[error("too many failed logins; try again in {seconds} s")]
    Locked {
        /// Time to wait.
        seconds: i64,
    },
    /// The password does not meet the rules.
    #[error("{0}")]
    Password(&'static str),
    /// The user name does not meet the rules.
    #[error("a user name is 1 to 64 of a-z, 0-9, '.', '_' and '-', and begins with a letter")]
    Name,
    /// The case database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Session that a request came with.
#[derive(Clone)]
pub struct Caller {
    /// User behind it.
    pub user: User,
    /// The session as stored.
    pub session: StoredSession,
}

/// Identity service.
pub struct Identity {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    tenant: TenantId,
    policy: SessionPolicy,
    hashers: Arc<Semaphore>,
}

impl Identity {
    /// Creates the service.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, ports: &Ports, tenant: TenantId, policy: SessionPolicy) -> Self {
        Self {
            store,
            clock: ports.clock.clone(),
            random: ports.random.clone(),
            tenant,
            policy,
            hashers: Arc::new(Semaphore::new(HASHERS)),
        }
    }

    fn scope(&self) -> Scope {
        Scope { tenant: self.tenant, now: self.clock.now() }
    }

    /// Makes the first administrator where there is no account; returns the password, which is shown once and must
    /// be changed at the first login.
    ///
    /// # Errors
    /// [`IdentityError::Store`].
    pub async fn ensure_first_admin(&self) -> Result<Option<String>, IdentityError> {
        if !self.store.accounts(self.scope()).await?.is_empty() {
            return Ok(None);
        }
        let password = password::generate(&draw(&*self.random));
        let hash = self.hash(password.clone()).await;
        self.store.create_account(self.scope(), FIRST_ADMIN, Role::Admin, &hash, true).await?;
        Ok(Some(password))
    }

    /// Logs in; returns the session's token and what the API shows of it.
    ///
    /// # Errors
    /// [`IdentityError`]; a wrong name costs as much time as a wrong password.
    pub async fn login(&self, user: &str, password: &str) -> Result<(String, Session), IdentityError> {
        let account = self.check(user, password).await?;
        let scope = self.scope();
        let token = crate::hex(&draw::<32>(&*self.random));
        let session = StoredSession {
            token_hash: hash_token(&token),
            user: account.name.clone(),
            csrf: crate::hex(&draw::<32>(&*self.random)),
            created: scope.now,
            seen: scope.now,
        };
        self.store.begin_session(scope, &session).await?;
        self.audit(user, "login", "done").await?;
        Ok((token, self.describe(&session, &account)))
    }

    /// Checks a password without beginning a session; failures lock the account like those of a login.
    ///
    /// # Errors
    /// [`IdentityError`]; a wrong name costs as much time as a wrong password.
    pub async fn check(&self, user: &str, password: &str) -> Result<User, IdentityError> {
        let scope = self.scope();
        let account = self.store.account(scope, user).await?;
        // A locked account and one that does not exist answer alike and cost alike, so that nobody learns names.
        let is_locked = account.as_ref().is_some_and(|it| it.locked_until.micros_since(scope.now) > 0);
        let hash =
            account.as_ref().map_or_else(|| password::DUMMY.to_owned(), |account| account.password.clone());
        let is_right = self.verify(password.to_owned(), hash).await && !is_locked;
        let Some(account) = account.filter(|_| is_right).filter(|account| !account.user.disabled) else {
            if !is_locked {
                self.note_failure(scope, user).await?;
            }
            return Err(IdentityError::Refused);
        };
        Ok(account.user)
    }

    async fn note_failure(&self, scope: Scope, user: &str) -> Result<(), IdentityError> {
        let failures = self.store.account(scope, user).await?.map_or(0, |account| account.failures);
        let over = (failures + 1).checked_sub(FREE_FAILURES);
        let lock = over.map_or(0, |over| LOCK_US.saturating_mul(1 << over.min(8)).min(LOCK_US_MAX));
        Ok(self.store.note_login_failure(scope, user, scope.now.saturating_add(lock)).await?)
    }

    /// Returns who a token belongs to, or `None` if it is unknown, expired or of a disabled user.
    ///
    /// # Errors
    /// [`IdentityError::Store`].
    pub async fn authenticate(&self, token: &str) -> Result<Option<Caller>, IdentityError> {
        if token.len() != 64 {
            return Ok(None);
        }
        let scope = self.scope();
        let Some((session, user)) = self.store.session(scope, &hash_token(token)).await? else {
            return Ok(None);
        };
        let (idle, age) = (scope.now.micros_since(session.seen), scope.now.micros_since(session.created));
        if idle > self.policy.idle_us || age > self.policy.absolute_us || user.disabled {
            self.store.end_session(scope, &session.token_hash).await?;
            return Ok(None);
        }
        if idle > TOUCH_US {
            self.store.touch_session(scope, &session.token_hash).await?;
        }
        Ok(Some(Caller { user, session }))
    }

    /// Describes a session as the API shows it.
    #[must_use]
    pub fn describe(&self, session: &StoredSession, user: &User) -> Session {
        Session {
            user: SessionUser {
                name: user.name.clone(),
                role: user.role,
                must_change_password: user.must_change_password,
            },
            csrf_token: session.csrf.clone(),
            expires_at: Timestamp(session.created.saturating_add(self.policy.absolute_us)),
        }
    }

    /// Ends the caller's session.
    ///
    /// # Errors
    /// [`IdentityError::Store`].
    pub async fn logout(&self, caller: &Caller) -> Result<(), IdentityError> {
        self.store.end_session(self.scope(), &caller.session.token_hash).await?;
        self.audit(&caller.user.name, "logout", "done").await
    }

    /// Changes the caller's password and ends the user's other sessions.
    ///
    /// # Errors
    /// [`IdentityError::Refused`] if the old one is wrong, [`IdentityError::Password`] if the new one is unfit.
    pub async fn change_password(
        &self,
        caller: &Caller,
        old: &str,
        new: &str,
    ) -> Result<Session, IdentityError> {
        let name = &caller.user.name;
        let account = self.store.account(self.scope(), name).await?.ok_or(IdentityError::Refused)?;
        if account.locked_until.micros_since(self.clock.now()) > 0 {
            return Err(IdentityError::Locked {
                seconds: account.locked_until.micros_since(self.clock.now()) / 1_000_000,
            });
        }
        if !self.verify(old.to_owned(), account.password).await {
            self.note_failure(self.scope(), name).await?;
            return Err(IdentityError::Refused);
        }
        password::check(new, name)?;
        if old == new {
            return Err(IdentityError::Password("the new password is the old one"));
        }
        let hash = self.hash(new.to_owned()).await;
        let change = AccountChange { password: Some((hash, false)), ..AccountChange::default() };
        let user =
            self.store.change_account(self.scope(), name, &change, Some(&caller.session.token_hash)).await?;
        self.audit(name, "change_password", "done").await?;
        Ok(self.describe(&caller.session, &user))
    }

    /// Makes an account whose password must be changed at the first login.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn create_user(
        &self,
        by: &str,
        name: &str,
        role: Role,
        password: &str,
    ) -> Result<User, IdentityError> {
        check_name(name)?;
        password::check(password, name)?;
        let hash = self.hash(password.to_owned()).await;
        let user = self.store.create_account(self.scope(), name, role, &hash, true).await?;
        self.audit_on(by, "create_user", name, "done").await?;
        Ok(user)
    }

    /// Changes an account and ends its sessions.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub async fn update_user(
        &self,
        by: &str,
        name: &str,
        role: Option<Role>,
        disabled: Option<bool>,
        password: Option<&str>,
    ) -> Result<User, IdentityError> {
        let password = match password {
            Some(password) => {
                password::check(password, name)?;
                Some((self.hash(password.to_owned()).await, true))
            }
            None => None,
        };
        let change = AccountChange { role, disabled, password };
        let user = self.store.change_account(self.scope(), name, &change, None).await?;
        self.audit_on(by, "update_user", name, "done").await?;
        Ok(user)
    }

    /// Removes sessions that have expired.
    ///
    /// # Errors
    /// [`IdentityError::Store`].
    pub async fn sweep(&self) -> Result<u64, IdentityError> {
        let scope = self.scope();
        let created = scope.now.saturating_add(-self.policy.absolute_us);
        let seen = scope.now.saturating_add(-self.policy.idle_us);
        Ok(self.store.remove_sessions(scope, created, seen).await?)
    }

    async fn audit(
        &self,
        actor: &str,
        action: &'static str,
        outcome: &'static str,
    ) -> Result<(), IdentityError> {
        self.audit_on(actor, action, actor, outcome).await
    }

    async fn audit_on(
        &self,
        actor: &str,
        action: &'static str,
        subject: &str,
        outcome: &'static str,
    ) -> Result<(), IdentityError> {
        let bounded = |text: &str| text.chars().take(64).collect::<String>();
        let entry = AuditEntry { actor: bounded(actor), action, subject: bounded(subject), outcome };
        Ok(self.store.audit(self.scope(), &entry).await?)
    }

    async fn hash(&self, password: String) -> String {
        let salt = draw::<16>(&*self.random);
        self.in_hasher(move || password::hash(&password, &salt)).await
    }

    async fn verify(&self, password: String, hash: String) -> bool {
        self.in_hasher(move || password::verify(&password, &hash)).await
    }

    /// Runs work that takes memory and time on the blocking pool, a bounded number at once.
    async fn in_hasher<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let permit = self.hashers.clone().acquire_owned().await.expect("the semaphore is never closed");
        let result = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        result.await.expect("hashing does not panic and is never aborted")
    }
}

/// SHA-256 of a token, hexadecimal; a stolen database gives no session.
fn hash_token(token: &str) -> String {
    crate::hex(&Sha256::digest(token.as_bytes()))
}

/// Checks a user name.
fn check_name(name: &str) -> Result<(), IdentityError> {
    if RESERVED.contains(&name) {
        return Err(IdentityError::Name);
    }
    let mut bytes = name.bytes();
    let begins = bytes.next().is_some_and(|first| first.is_ascii_lowercase());
    let goes_on =
        bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte));
    if begins && goes_on && name.len() <= 64 { Ok(()) } else { Err(IdentityError::Name) }
}

/// Compares two texts in a time that does not depend on where they differ.
#[must_use]
pub fn same_secret(left: &str, right: &str) -> bool {
    left.len() == right.len() && left.bytes().zip(right.bytes()).fold(0, |sum, (l, r)| sum | (l ^ r)) == 0
}
