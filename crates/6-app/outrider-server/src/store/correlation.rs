//! How far correlators have come, each with its part of the groups; see `outrider-detect`.

use std::collections::BTreeMap;

use async_trait::async_trait;
use outrider_model::{LogOffset, OwnerEpoch, Partition};
use outrider_types::UnixMicros;

use super::{SavedProgress, Scope, StoreResult};

/// Watermarks by the partition of the event log that they are about.
pub type Watermarks = BTreeMap<Partition, UnixMicros>;

/// Everything that becomes true when a correlator has finished a stretch of the sightings of its part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartProgress {
    /// The part, which is the partition of the sightings' topic.
    pub part: Partition,
    /// Right to write it, of [`CorrelationStore::take_over_part`].
    pub epoch: OwnerEpoch,
    /// First record of sightings that is not finished.
    pub next: LogOffset,
    /// What the workers promised.
    pub watermarks: Watermarks,
    /// Saved state of detection.
    pub detect: Vec<u8>,
    /// Events and findings by minute of ingest time, in minutes since 1970.
    pub rate: BTreeMap<i64, (u64, u64)>,
}

/// What a restarted correlator begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedPart {
    /// First record of sightings that is not finished.
    pub next: LogOffset,
    /// What the workers promised.
    pub watermarks: Watermarks,
    /// Saved state of detection; `None` before the first checkpoint.
    pub detect: Option<Vec<u8>>,
}

/// Checkpoints of correlators.
#[async_trait]
pub trait CorrelationStore: Send + Sync {
    /// Makes a correlator the owner of a part and returns its epoch, above those of all owners before: from now on nothing
    /// of theirs is written.
    ///
    /// # Errors
    /// [`super::StoreError::Database`]; the owner is that of before.
    async fn take_over_part(&self, scope: Scope, part: Partition) -> StoreResult<OwnerEpoch>;

    /// Writes progress; all of it or nothing.
    ///
    /// # Errors
    /// [`super::StoreError::Fenced`] if another correlator has taken over the part, [`super::StoreError::Conflict`] if the
    /// database is already further.
    async fn commit_part(&self, scope: Scope, progress: &PartProgress) -> StoreResult<()>;

    /// Returns the progress of a part; the beginning if there is none.
    ///
    /// # Errors
    /// [`super::StoreError::Database`], [`super::StoreError::Damaged`].
    async fn saved_part(&self, scope: Scope, part: Partition) -> StoreResult<SavedPart>;

    /// Returns whether correlators have ever worked here: then no process may count for itself.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn is_correlated(&self, scope: Scope) -> StoreResult<bool>;

    /// Returns the state of detection that a process with all roles left, for correlators that begin; `None` if there was
    /// none.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn whole_detection(&self, scope: Scope) -> StoreResult<Option<Vec<u8>>>;

    /// Returns what of a partition's progress was written with an offset above `after`, for a process that follows others.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn progress_since(
        &self,
        scope: Scope,
        partition: Partition,
        after: Option<LogOffset>,
    ) -> StoreResult<SavedProgress>;

    /// Makes [`Self::progress_since`] fast, once.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn prepare_to_follow(&self) -> StoreResult<()>;
}
