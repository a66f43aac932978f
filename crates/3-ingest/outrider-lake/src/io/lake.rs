//! The lake: opening it and storing batches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake_core::kernel::{Action, Transaction};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableError};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use outrider_model::catalogue::{FIELDS, Field};
use outrider_model::{EventBatch, LogOffset, Partition, Sink, SinkError};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::file::{PartitionValues, add, fill};
use super::metered::Reads;
use super::s3::S3Config;
use super::table::{self, Storage};
use crate::convert::{Part, parts};
use crate::encode::{Encoded, Encoder};
use crate::error::LakeError;
use crate::schema::Layout;
use crate::tier::Tier;

/// Commits tried in all, each after catching up with the table; each may lose against others fifteen times itself.
const ATTEMPTS_MAX: u32 = 4;

/// Where the lake is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeConfig {
    /// Folder, or `s3://BUCKET/PATH`, of the event table.
    pub location: String,
    /// How an S3-compatible store is reached.
    pub s3: S3Config,
    /// Shortest retention of files that were replaced: a store in flight and a running query must be over by then.
    pub retention_min: Duration,
}

impl LakeConfig {
    /// Creates the configuration of a local folder or an object store.
    #[must_use]
    pub fn new(location: impl Into<String>) -> Self {
        Self { location: location.into(), s3: S3Config::default(), retention_min: Duration::from_secs(3_600) }
    }

    /// Returns the location to be shown: a URL without what may be a secret.
    #[must_use]
    pub fn shown(&self) -> String {
        match url::Url::parse(&self.location) {
            Ok(url) if self.location.contains("://") => {
                format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
            }
            Ok(_) | Err(_) => self.location.clone(),
        }
    }
}

/// The event lake; cheap to clone, all clones share one table.
///
/// Methods without `_async` block and must not be called from a thread that drives the runtime.
#[derive(Clone)]
pub struct Lake {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) runtime: Handle,
    pub(super) write: bool,
    pub(super) config: LakeConfig,
    pub(super) state: Mutex<State>,
    reads: Arc<Reads>,
}

pub(super) struct State {
    pub(super) table: DeltaTable,
    /// First offset that is not stored, a partition; filled from the table's log.
    next: BTreeMap<Partition, u64>,
}

impl std::fmt::Debug for Lake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lake").field("config", &self.shared.config).finish_non_exhaustive()
    }
}

/// Name under which the table's log keeps a partition's position.
fn application(partition: Partition) -> String {
    format!("outrider-worker-{}", partition.0)
}

impl Lake {
    /// Opens the lake for writing; creates the table, or adds the columns that the catalogue has gained.
    ///
    /// # Errors
    /// [`LakeError`].
    pub fn open(config: &LakeConfig, runtime: Handle) -> Result<Self, LakeError> {
        Self::open_with(config, runtime, &FIELDS)
    }

    /// Opens an existing lake for queries only; a running system's lake can be read beside it.
    ///
    /// # Errors
    /// [`LakeError`], [`LakeError::Absent`] where there is none.
    pub fn open_read_only(config: &LakeConfig, runtime: Handle) -> Result<Self, LakeError> {
        Self::connect(config, runtime, &FIELDS, false)
    }

    /// Opens the lake for writing with the columns of these catalogue fields, as a program of another age would.
    ///
    /// # Errors
    /// [`LakeError`].
    pub fn open_with(config: &LakeConfig, runtime: Handle, fields: &[Field]) -> Result<Self, LakeError> {
        Self::connect(config, runtime, fields, true)
    }

    fn connect(
        config: &LakeConfig,
        runtime: Handle,
        fields: &[Field],
        write: bool,
    ) -> Result<Self, LakeError> {
        let storage = Storage::of(config)?;
        runtime.block_on(Self::connect_on(&storage, config, runtime.clone(), fields, write))
    }

    /// Opens the lake on a given store.
    pub(super) async fn connect_on(
        storage: &Storage,
        config: &LakeConfig,
        runtime: Handle,
        fields: &[Field],
        write: bool,
    ) -> Result<Self, LakeError> {
        let table = table::open(storage, fields, write).await?;
        let state = Mutex::new(State { table, next: BTreeMap::new() });
        let config = config.clone();
        let reads = storage.reads();
        Ok(Self { shared: Arc::new(Shared { runtime, write, config, state, reads }) })
    }

    /// Returns the layout of the table as of when it was last looked at.
    ///
    /// # Errors
    /// [`LakeError::Layout`] for one that this program does not know.
    pub async fn layout_async(&self) -> Result<Layout, LakeError> {
        table::layout(&self.shared.state.lock().await.table)
    }

    /// Returns the layout of the table as of when it was last looked at.
    ///
    /// # Errors
    /// [`LakeError::Layout`] for one that this program does not know.
    pub fn layout(&self) -> Result<Layout, LakeError> {
        self.shared.runtime.block_on(self.layout_async())
    }

    /// Brings the table to the newest layout: one commit that rewrites no row. Returns whether there was something to do.
    ///
    /// Programs that know only an older layout must be stopped before; they would not find the new folders' column.
    ///
    /// # Errors
    /// [`LakeError`]; the table is as it was.
    pub fn upgrade(&self) -> Result<bool, LakeError> {
        self.shared.runtime.block_on(self.upgrade_async())
    }

    /// Brings the table to the newest layout: one commit that rewrites no row. Returns whether there was something to do.
    ///
    /// # Errors
    /// [`LakeError`]; the table is as it was.
    pub async fn upgrade_async(&self) -> Result<bool, LakeError> {
        if !self.shared.write {
            return Err(LakeError::ReadOnly);
        }
        let mut state = self.shared.state.lock().await;
        let mut attempt = 1;
        loop {
            state.table.update_state().await?;
            if table::layout(&state.table)? == Layout::NEWEST {
                return Ok(attempt > 1);
            }
            let (actions, operation) = table::upgrade(&state.table)?;
            // Not rebased over others' commits: a file that comes in between would lack the new column.
            let properties = CommitProperties::default().with_max_retries(0);
            match state.commit(properties, actions, operation).await {
                Ok(()) => return Ok(true),
                Err(error) if attempt < ATTEMPTS_MAX && conflicts(&error) => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns what this lake and its clones have read from storage: requests and bytes.
    #[must_use]
    pub fn reads(&self) -> (u64, u64) {
        self.shared.reads.sum()
    }

    /// Returns a sink for one worker; sinks of different partitions may be used at once.
    #[must_use]
    pub fn sink(&self) -> LakeSink {
        LakeSink { lake: self.clone(), begins: BTreeMap::new() }
    }

    /// Returns the first log offset of a partition that the lake does not have yet, as its log says now.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn next_offset_async(&self, partition: Partition) -> Result<LogOffset, LakeError> {
        let mut state = self.shared.state.lock().await;
        state.next.remove(&partition);
        state.next_offset(partition).await.map(LogOffset)
    }

    /// Stores a sealed batch that covers the log from where this lake and its clones know it up to, not including,
    /// `next`; durable on return.
    ///
    /// Does nothing if the lake has the log up to `next` already. A batch without rows changes nothing.
    ///
    /// # Errors
    /// [`LakeError`]; nothing was stored. [`LakeError::Moved`] as of [`Sink::store`].
    pub async fn store_async(
        &self,
        partition: Partition,
        next: LogOffset,
        batch: &EventBatch,
    ) -> Result<(), LakeError> {
        let known = self.shared.state.lock().await.next_offset(partition).await?;
        self.store_from(partition, LogOffset(known), next, batch).await
    }

    async fn store_from(
        &self,
        partition: Partition,
        from: LogOffset,
        next: LogOffset,
        batch: &EventBatch,
    ) -> Result<(), LakeError> {
        if !self.shared.write {
            return Err(LakeError::ReadOnly);
        }
        let (store, layout) = {
            let mut state = self.shared.state.lock().await;
            if state.has(partition, from, next).await? || batch.is_empty() {
                return Ok(());
            }
            (state.table.object_store(), table::layout(&state.table)?)
        };
        let mut actions = Vec::new();
        for part in parts(batch, layout)? {
            // Encoding is pure work: it runs outside the lock, so that workers of other partitions go on.
            let encoded = encode(&part)?;
            let name = format!("p{:05}-{:020}", partition.0, next.0);
            let values = part_values(&part, layout);
            let (add, bytes) = add(&values, layout, &name, encoded, newest(&part, batch), true);
            // LOG-2: the data file is on disk before the entry that names it.
            store.put(&Path::from(add.path.as_str()), PutPayload::from(bytes)).await?;
            actions.push(Action::Add(add));
        }
        let mut state = self.shared.state.lock().await;
        state.commit_rows(partition, (from, next), actions).await
    }
}

impl State {
    async fn next_offset(&mut self, partition: Partition) -> Result<u64, LakeError> {
        if let Some(next) = self.next.get(&partition) {
            return Ok(*next);
        }
        self.table.update_state().await?;
        let log_store = self.table.log_store();
        let snapshot = self.table.snapshot()?;
        let version = snapshot.transaction_version(log_store.as_ref(), application(partition)).await?;
        let next = version.and_then(|version| u64::try_from(version).ok()).unwrap_or(0);
        self.next.insert(partition, next);
        Ok(next)
    }

    /// Returns whether the lake has a partition up to `next`.
    ///
    /// # Errors
    /// [`LakeError::Moved`] if it has not, and does not begin at `from` either.
    async fn has(
        &mut self,
        partition: Partition,
        from: LogOffset,
        next: LogOffset,
    ) -> Result<bool, LakeError> {
        let got = self.next_offset(partition).await?;
        if got >= next.0 {
            return Ok(true);
        }
        if got != from.0 {
            return Err(LakeError::Moved { partition: partition.0, expected: from.0, got });
        }
        Ok(false)
    }

    async fn commit_rows(
        &mut self,
        partition: Partition,
        (from, next): (LogOffset, LogOffset),
        mut actions: Vec<Action>,
    ) -> Result<(), LakeError> {
        let version = i64::try_from(next.0).map_err(|_| LakeError::Row {
            row: 0,
            reason: format!("log offset {} is past what the table's log can say", next.0),
        })?;
        let mut attempt = 1;
        loop {
            let layout = table::layout(&self.table)?;
            // The table may have been brought to a newer layout since the file was named.
            fill(&mut actions, layout);
            let properties = CommitProperties::default()
                .with_application_transaction(Transaction::new(application(partition), version));
            let operation = DeltaOperation::Write {
                mode: SaveMode::Append,
                partition_by: Some(layout.partition_columns().iter().map(|&name| name.to_owned()).collect()),
                predicate: None,
            };
            let Err(error) = self.commit(properties, actions.clone(), operation).await else {
                self.next.insert(partition, next.0);
                return Ok(());
            };
            // The entry may be there although what follows it failed: ask the log.
            self.next.remove(&partition);
            // The entry of another worker conflicts, whatever it holds: both name the partition.
            if self.has(partition, from, next).await? {
                return Ok(());
            }
            // Appended rows suit every newer version of the table, also one with more columns.
            if attempt >= ATTEMPTS_MAX || !conflicts(&error) {
                return Err(error);
            }
            attempt += 1;
        }
    }

    pub(super) async fn commit(
        &mut self,
        properties: CommitProperties,
        actions: Vec<Action>,
        operation: DeltaOperation,
    ) -> Result<(), LakeError> {
        let snapshot = self.table.snapshot()?.clone();
        let finalized = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(&snapshot), self.table.log_store(), operation)
            .await?;
        self.table.state = Some(finalized.snapshot());
        Ok(())
    }
}

/// Returns whether another writer's commit was in the way.
pub(super) fn conflicts(error: &LakeError) -> bool {
    matches!(
        error,
        LakeError::Table(
            DeltaTableError::Transaction {
                source: TransactionError::CommitConflict(_) | TransactionError::MaxCommitAttempts(_)
            } | DeltaTableError::VersionAlreadyExists(_)
        )
    )
}

fn encode(part: &Part) -> Result<Encoded, LakeError> {
    let mut encoder = Encoder::new(&part.rows, false, Tier::Hot)?;
    encoder.write(&part.rows)?;
    encoder.finish()
}

/// Newest ingest time of a part, milliseconds: stands for the file's time in the table's log.
fn newest(part: &Part, batch: &EventBatch) -> i64 {
    let newest = batch.tenant.iter().zip(&batch.ingest_time).filter(|(tenant, _)| **tenant == part.tenant);
    newest.map(|(_, time)| *time).max().unwrap_or(0) / 1_000
}

/// Partition of rows as they come: without a bucket, because a file a bucket in each commit would be sixteen small files.
fn part_values(part: &Part, layout: Layout) -> PartitionValues {
    let epoch = chrono::NaiveDate::default();
    let date = epoch + chrono::Duration::days(part.day.into());
    let mut values = PartitionValues::from([
        ("tenant".to_owned(), Some(part.tenant.to_string())),
        ("ingest_date".to_owned(), Some(date.format("%Y-%m-%d").to_string())),
    ]);
    if layout >= Layout::Two {
        values.insert("bucket".to_owned(), None);
    }
    values
}

/// Name of the sink in errors.
const SINK: &str = "lake";

/// The lake as the durable home of batches.
#[derive(Debug, Clone)]
pub struct LakeSink {
    lake: Lake,
    /// Where the next batch of a partition begins, as this sink was told.
    begins: BTreeMap<Partition, LogOffset>,
}

fn sink_error(error: &LakeError) -> SinkError {
    let reason = error.to_string();
    if matches!(error, LakeError::Moved { .. }) {
        SinkError::Moved { sink: SINK, reason }
    } else {
        SinkError::Failed { sink: SINK, reason }
    }
}

impl Sink for LakeSink {
    fn next_offset(&mut self, partition: Partition) -> Result<LogOffset, SinkError> {
        let shared = &self.lake.shared;
        let next = shared.runtime.block_on(self.lake.next_offset_async(partition));
        let next = next.map_err(|error| sink_error(&error))?;
        self.begins.insert(partition, next);
        Ok(next)
    }

    fn store(&mut self, partition: Partition, next: LogOffset, batch: &EventBatch) -> Result<(), SinkError> {
        let from = match self.begins.get(&partition) {
            Some(from) => *from,
            None => self.next_offset(partition)?,
        };
        let shared = &self.lake.shared;
        let stored = shared.runtime.block_on(self.lake.store_from(partition, from, next, batch));
        stored.map_err(|error| sink_error(&error))?;
        if !batch.is_empty() {
            self.begins.insert(partition, from.max(next));
        }
        Ok(())
    }
}
