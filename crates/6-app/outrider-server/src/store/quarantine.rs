//! What was set aside: seen, and taken again.

use async_trait::async_trait;
use outrider_ingest::ForeignPart;
use outrider_types::UnixMicros;

use super::{Page, Scope, StoreResult};
use crate::api::dto::{QuarantineItem, QuarantineSummary};

/// Entries that one request may have taken again.
pub const REPLAYS_MAX: u32 = 10_000;

/// Which entries are meant; a part that is absent means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuarantineFilter {
    /// Numbers; all if empty.
    pub ids: Vec<i64>,
    /// Reason.
    pub reason: Option<String>,
    /// Name of the feed.
    pub feed: Option<String>,
    /// Format of the bytes.
    pub format: Option<String>,
    /// Whether only those that were not taken again are meant.
    pub open: bool,
}

/// An entry that somebody wants to have taken again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedReplay {
    /// Number.
    pub number: u64,
    /// When the bytes came.
    pub at: UnixMicros,
    /// Where they stood, of a feed's.
    pub part: Option<ForeignPart>,
    /// The bytes.
    pub content: Vec<u8>,
}

/// Quarantine.
#[async_trait]
pub trait QuarantineStore: Send + Sync {
    /// Returns a page of the quarantine, newest first.
    ///
    /// # Errors
    /// [`super::StoreError::Invalid`] for a cursor that is none.
    async fn quarantine(
        &self,
        scope: Scope,
        filter: &QuarantineFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> StoreResult<Page<QuarantineItem>>;

    /// Returns how much was set aside for which reason, of which feed and format, the most first.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn quarantine_summary(&self, scope: Scope) -> StoreResult<QuarantineSummary>;

    /// Returns the bytes of an entry, and writes into the audit trail who saw them: they may name vehicles.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`].
    async fn quarantine_content(&self, scope: Scope, id: i64, by: &str) -> StoreResult<Vec<u8>>;

    /// Notes that entries are to be taken again, at most [`REPLAYS_MAX`], the oldest first; returns how many. Those that
    /// are, or were, taken again already are left out.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn request_replays(&self, scope: Scope, filter: &QuarantineFilter, by: &str) -> StoreResult<u64>;

    /// Returns entries that are to be taken again and were not yet, after a number, in order.
    ///
    /// # Errors
    /// [`super::StoreError::Damaged`].
    async fn requested_replays(
        &self,
        scope: Scope,
        after: u64,
        limit: u32,
    ) -> StoreResult<Vec<RequestedReplay>>;
}
