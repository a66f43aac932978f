//! How far the worker has come, in one transaction with what it says of vehicles and bad input.

use std::collections::BTreeMap;

use async_trait::async_trait;
use outrider_ingest::{ForeignPart, Replayed};
use outrider_model::{LogOffset, OwnerEpoch, Partition};
use outrider_types::{UnixMicros, VehicleId};

use super::{Activity, Scope, StoreResult};

/// Input to put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineEntry {
    /// When the listener accepted it.
    pub at: UnixMicros,
    /// Vehicle, where that is known.
    pub vehicle: Option<VehicleId>,
    /// Reason from a closed list.
    pub reason: String,
    /// Where and why.
    pub place: String,
    /// The bytes.
    pub content: Vec<u8>,
    /// Units it stands for.
    pub units: u64,
    /// Where it stood, of a feed's.
    pub foreign: Option<ForeignPart>,
}

/// Everything that becomes true when the worker has finished a part of the event log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Right to write it, of [`ProgressStore::take_over`].
    pub epoch: OwnerEpoch,
    /// First record that is not finished, of each partition.
    pub next: BTreeMap<Partition, LogOffset>,
    /// Saved ingestion state of the vehicles that changed, with the partition of their records.
    pub vehicles: Vec<(Partition, VehicleId, Vec<u8>)>,
    /// Saved state of detection, which is over all partitions.
    pub detect: Option<Vec<u8>>,
    /// What was heard of vehicles.
    pub activity: BTreeMap<VehicleId, Activity>,
    /// Events and findings by minute of ingest time, in minutes since 1970.
    pub rate: BTreeMap<i64, (u64, u64)>,
    /// Input to put aside.
    pub quarantine: Vec<QuarantineEntry>,
    /// What came of entries that were taken again.
    pub replayed: Vec<Replayed>,
    /// Changed parts of the memory of feeds, by name.
    pub feeds: Vec<(String, Vec<u8>)>,
}

/// What a restarted worker begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedProgress {
    /// First record that is not finished.
    pub next: LogOffset,
    /// Saved ingestion state of every vehicle.
    pub vehicles: Vec<(VehicleId, Vec<u8>)>,
    /// Saved state of detection; only partition 0 has one.
    pub detect: Option<Vec<u8>>,
    /// Memory of feeds by name, in order.
    pub feeds: Vec<(String, Vec<u8>)>,
}

/// Checkpoints and quarantine.
#[async_trait]
pub trait ProgressStore: Send + Sync {
    /// Makes a worker the owner of partitions and returns its epoch, which is above those of all owners before: from now
    /// on nothing of theirs is written.
    ///
    /// # Errors
    /// [`super::StoreError::Database`]; the owners are those of before.
    async fn take_over(&self, scope: Scope, partitions: &[Partition]) -> StoreResult<OwnerEpoch>;

    /// Asks whether an epoch still owns a partition.
    ///
    /// # Errors
    /// [`super::StoreError::Fenced`] if it does not.
    async fn check_owner(&self, scope: Scope, partition: Partition, epoch: OwnerEpoch) -> StoreResult<()>;

    /// Writes progress; all of it or nothing.
    ///
    /// # Errors
    /// [`super::StoreError::Fenced`] if another worker has taken over one of the partitions,
    /// [`super::StoreError::Conflict`] if the database is already further.
    async fn commit_progress(&self, scope: Scope, progress: &Progress) -> StoreResult<()>;

    /// Returns the progress of a partition; the beginning if there is none.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn saved_progress(&self, scope: Scope, partition: Partition) -> StoreResult<SavedProgress>;
}
