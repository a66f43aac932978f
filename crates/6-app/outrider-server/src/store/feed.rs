//! Feeds of foreign events: who may send what, in which format.

use std::fmt;

use async_trait::async_trait;
use outrider_types::UnixMicros;

use super::{Scope, StoreResult};

/// Feeds of a tenant, disabled ones included (guess: some dozen backends and generations over twenty years).
pub const FEEDS_MAX: u32 = 256;

/// How a feed is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedSetup {
    /// Name, for people and in addresses; unique in a tenant.
    pub name: String,
    /// Format of its bodies.
    pub format: String,
    /// Platform of its vehicles.
    pub platform: Option<String>,
    /// Software release of its vehicles.
    pub release: Option<String>,
    /// Largest body, after decompression.
    pub body_bytes_max: u32,
    /// Most requests a minute.
    pub requests_per_minute_max: u32,
    /// Half the interval around times of which the source does not say how well it knows them.
    pub clock_error_s: u32,
    /// Whether events of vehicles are taken that nobody registered.
    pub takes_unregistered: bool,
}

/// SHA-256 of a feed's credential; the credential itself is stored nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct FeedSecretHash(pub String);

impl fmt::Debug for FeedSecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FeedSecretHash(..)")
    }
}

/// A registered feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFeed {
    /// Number; never given again.
    pub number: u32,
    /// How it is set up.
    pub setup: FeedSetup,
    /// What its credential must hash to.
    pub secret: FeedSecretHash,
    /// Whether requests are taken.
    pub enabled: bool,
    /// Who registered it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMicros,
    /// Who changed it last.
    pub changed_by: String,
    /// When.
    pub changed_at: UnixMicros,
    /// Why it was disabled or enabled last.
    pub reason: Option<String>,
}

/// Feeds.
#[async_trait]
pub trait FeedStore: Send + Sync {
    /// Registers a feed.
    ///
    /// # Errors
    /// [`super::StoreError::Conflict`] if the name is taken, or if there are [`FEEDS_MAX`].
    async fn create_feed(
        &self,
        scope: Scope,
        setup: &FeedSetup,
        secret: &FeedSecretHash,
        by: &str,
    ) -> StoreResult<StoredFeed>;

    /// Returns all feeds by name.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn feeds(&self, scope: Scope) -> StoreResult<Vec<StoredFeed>>;

    /// Has requests of a feed taken, or refused.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`].
    async fn enable_feed(
        &self,
        scope: Scope,
        name: &str,
        enabled: bool,
        by: &str,
        reason: &str,
    ) -> StoreResult<StoredFeed>;

    /// Gives a feed another credential; the one before is void at once.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`].
    async fn change_feed_secret(
        &self,
        scope: Scope,
        name: &str,
        secret: &FeedSecretHash,
        by: &str,
    ) -> StoreResult<StoredFeed>;
}
