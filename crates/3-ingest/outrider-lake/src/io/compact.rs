//! Rewrites small files into large ones in the order of vehicles, and deletes what no version needs any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use deltalake_core::DeltaTable;
use deltalake_core::arrow::record_batch::RecordBatch;
use deltalake_core::datafusion::error::DataFusionError;
use deltalake_core::datafusion::execution::context::{SessionConfig, SessionContext};
use deltalake_core::datafusion::execution::disk_manager::DiskManagerBuilder;
use deltalake_core::datafusion::execution::memory_pool::FairSpillPool;
use deltalake_core::datafusion::execution::runtime_env::RuntimeEnvBuilder;
use deltalake_core::datafusion::prelude::col;
use deltalake_core::kernel::transaction::CommitProperties;
use deltalake_core::kernel::{Action, Add, Remove};
use deltalake_core::operations::vacuum::VacuumMode;
use deltalake_core::parquet::file::metadata::ParquetMetaDataReader;
use deltalake_core::protocol::DeltaOperation;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};

use super::durable::sweep;
use super::lake::{Lake, PartitionValues, add};
use crate::encode::{Encoder, parquet};
use crate::error::LakeError;
use crate::schema::PARTITION_COLUMNS;

/// Size at which a file is complete; a file of at least half of it is not rewritten again.
const FILE_BYTES: usize = 128 * 1_024 * 1_024;

/// Small files of a folder that make a rewrite worth while.
const FILES_MIN: usize = 2;

/// Most bytes rewritten in one commit, so that a commit that loses against another loses little.
const ROUND_BYTES: i64 = 1_024 * 1_024 * 1_024;

/// Memory for sorting; more goes to temporary files.
const SORT_BYTES: usize = 256 * 1_024 * 1_024;

/// Most temporary bytes of one sort.
const SPILL_BYTES: u64 = 16 * 1_024 * 1_024 * 1_024;

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompactReport {
    /// Folders that were rewritten.
    pub folders: u64,
    /// Files replaced.
    pub files_before: u64,
    /// Files written instead.
    pub files_after: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of the files replaced.
    pub bytes_before: u64,
    /// Bytes of the files written.
    pub bytes_after: u64,
}

/// What a vacuum deleted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VacuumReport {
    /// Files deleted.
    pub files: u64,
}

/// One folder's files to rewrite together.
struct Round {
    values: PartitionValues,
    paths: Vec<String>,
    removes: Vec<Remove>,
    rows: u64,
    bytes: i64,
    time_ms: i64,
}

impl Lake {
    /// Merges small files, sorted by vehicle and event time. Queries and stores go on meanwhile.
    ///
    /// # Errors
    /// [`LakeError`]; folders done before the error stay done, no row is lost or doubled.
    pub fn compact(&self) -> Result<CompactReport, LakeError> {
        self.shared.runtime.block_on(self.compact_async())
    }

    /// Merges small files, sorted by vehicle and event time. Queries and stores go on meanwhile.
    ///
    /// # Errors
    /// [`LakeError`]; folders done before the error stay done, no row is lost or doubled.
    pub async fn compact_async(&self) -> Result<CompactReport, LakeError> {
        if !self.shared.write {
            return Err(LakeError::ReadOnly);
        }
        let table = self.fresh_table().await?;
        let mut report = CompactReport::default();
        for round in rounds(&table)? {
            let adds = rewrite(&table, &round).await?;
            report.folders += 1;
            report.files_before += round.removes.len() as u64;
            report.files_after += adds.len() as u64;
            report.rows += round.rows;
            report.bytes_before += u64::try_from(round.bytes).unwrap_or(0);
            report.bytes_after += adds.iter().map(|add| u64::try_from(add.size).unwrap_or(0)).sum::<u64>();
            let removes = round.removes.into_iter().map(Action::Remove);
            let actions = removes.chain(adds.into_iter().map(Action::Add)).collect();
            let target_size = i64::try_from(FILE_BYTES).unwrap_or(i64::MAX);
            let operation = DeltaOperation::Optimize { predicate: None, target_size };
            let mut state = self.shared.state.lock().await;
            state.commit(CommitProperties::default(), actions, operation).await?;
        }
        Ok(report)
    }

    /// Deletes files that no version younger than the retention needs; the retention is at least that of the
    /// configuration.
    ///
    /// # Errors
    /// [`LakeError`].
    pub fn vacuum(&self, retention: Duration) -> Result<VacuumReport, LakeError> {
        self.shared.runtime.block_on(self.vacuum_async(retention))
    }

    /// Deletes files that no version younger than the retention needs; the retention is at least that of the
    /// configuration.
    ///
    /// # Errors
    /// [`LakeError`].
    pub async fn vacuum_async(&self, retention: Duration) -> Result<VacuumReport, LakeError> {
        if !self.shared.write {
            return Err(LakeError::ReadOnly);
        }
        self.vacuum_after(retention.max(self.shared.config.retention_min)).await
    }

    async fn vacuum_after(&self, retention: Duration) -> Result<VacuumReport, LakeError> {
        let table = self.fresh_table().await?;
        let root = table.table_url().clone();
        let millis = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let retention = chrono::Duration::try_milliseconds(millis).unwrap_or(chrono::Duration::MAX);
        let (_, metrics) = table
            .vacuum()
            .with_retention_period(retention)
            .with_enforce_retention_duration(false)
            // Also files that were written but, because of a crash, never named by the log.
            .with_mode(VacuumMode::Full)
            .await?;
        self.shared.state.lock().await.table.update_state().await?;
        let mut files = metrics.files_deleted.len() as u64;
        if let Ok(folder) = root.to_file_path() {
            let age = std::time::Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
            let swept = tokio::task::spawn_blocking(move || sweep(&folder, age)).await;
            files += swept.map_err(std::io::Error::other).flatten().map_err(|error| LakeError::Location {
                location: root.to_string(),
                reason: error.to_string(),
            })?;
        }
        Ok(VacuumReport { files })
    }

    /// Returns the table in its newest version.
    pub(super) async fn fresh_table(&self) -> Result<DeltaTable, LakeError> {
        let mut state = self.shared.state.lock().await;
        state.table.update_state().await?;
        Ok(state.table.clone())
    }
}

/// Groups the small files of each folder by size, smallest first.
fn rounds(table: &DeltaTable) -> Result<Vec<Round>, LakeError> {
    let mut folders: BTreeMap<Vec<Option<String>>, Vec<_>> = BTreeMap::new();
    let small = i64::try_from(FILE_BYTES / 2).unwrap_or(i64::MAX);
    let snapshot = table.snapshot()?;
    let log = snapshot.log_data();
    for file in log.iter() {
        let (size, Some(rows)) = (file.size(), file.num_records()) else { continue };
        if size >= small {
            continue;
        }
        let values = file.partition_values_map();
        let key = PARTITION_COLUMNS.iter().map(|column| values.get(*column).cloned().flatten()).collect();
        folders.entry(key).or_default().push((size, rows, file));
    }
    let mut all = Vec::new();
    for mut files in folders.into_values() {
        files.sort_by_key(|(size, _, file)| (*size, file.path().into_owned()));
        let mut rounds: Vec<Round> = Vec::new();
        for (size, rows, file) in files {
            if !rounds.last().is_some_and(|round| joins(round.bytes, size)) {
                rounds.push(Round {
                    values: file.partition_values_map(),
                    paths: Vec::new(),
                    removes: Vec::new(),
                    rows: 0,
                    bytes: 0,
                    time_ms: 0,
                });
            }
            if let Some(round) = rounds.last_mut() {
                round.paths.push(file.path().into_owned());
                round.removes.push(file.remove_action(false));
                round.rows += rows as u64;
                round.bytes += size;
                round.time_ms = round.time_ms.max(file.modification_time());
            }
        }
        all.extend(rounds.into_iter().filter(|round| round.paths.len() >= FILES_MIN));
    }
    Ok(all)
}

/// Whether a file is merged with the smaller ones of a round. A file more than twice as large as all of them waits until
/// they have grown: each row is rewritten a logarithmic number of times, not once a minute, and the files of a folder
/// stay logarithmically few.
const fn joins(round_bytes: i64, size: i64) -> bool {
    size <= round_bytes.saturating_mul(2) && round_bytes.saturating_add(size) <= ROUND_BYTES
}

fn session() -> Result<SessionContext, DataFusionError> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(SORT_BYTES)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_max_temp_directory_size(SPILL_BYTES))
        .build_arc()?;
    Ok(SessionContext::new_with_config_rt(SessionConfig::new().with_target_partitions(1), runtime))
}

/// Writes a round's rows to new files; durable, but not named by the table's log yet.
async fn rewrite(table: &DeltaTable, round: &Round) -> Result<Vec<Add>, LakeError> {
    let context = session()?;
    let provider = table
        .table_provider()
        .with_session(Arc::new(context.state()))
        .with_file_paths(round.paths.iter().cloned())
        .await?;
    table.update_datafusion_session(&context.state())?;
    let order = ["vehicle_id", "event_time", "epoch", "lane", "seq"].map(|name| col(name).sort(true, false));
    let columns = columns(table, round).await?;
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let frame = context.read_table(provider)?.select_columns(&columns)?.sort(order.to_vec())?;
    let mut stream = frame.execute_stream().await?;
    let mut output = Output { table, round, adds: Vec::new(), rows: 0 };
    let mut encoder: Option<Encoder> = None;
    while let Some(rows) = stream.next().await {
        let rows: RecordBatch = rows?;
        let open = match encoder.as_mut() {
            Some(open) => open,
            None => encoder.insert(Encoder::new(&rows, true)?),
        };
        open.write(&rows)?;
        if open.bytes() >= FILE_BYTES
            && let Some(full) = encoder.take()
        {
            output.put(full).await?;
        }
    }
    if let Some(last) = encoder {
        output.put(last).await?;
    }
    // Never trade rows away: what was read must be what the log says is there.
    if output.rows != round.rows {
        return Err(LakeError::Rows(DataFusionError::Internal(format!(
            "compaction read {} rows of {}",
            output.rows, round.rows
        ))));
    }
    Ok(output.adds)
}

/// Returns the columns that some file of the round has. Most fields of the catalogue have no value in one folder:
/// sorting and writing a hundred empty columns would cost more than the rows.
async fn columns(table: &DeltaTable, round: &Round) -> Result<BTreeSet<String>, LakeError> {
    let store = table.object_store();
    let mut names = BTreeSet::new();
    for path in &round.paths {
        let bytes = store.get(&Path::from(path.as_str())).await?.bytes().await?;
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes).map_err(parquet)?;
        let fields = metadata.file_metadata().schema().get_fields().iter();
        names.extend(fields.map(|field| field.name().to_owned()));
    }
    Ok(names)
}

struct Output<'a> {
    table: &'a DeltaTable,
    round: &'a Round,
    adds: Vec<Add>,
    rows: u64,
}

impl Output<'_> {
    async fn put(&mut self, encoder: Encoder) -> Result<(), LakeError> {
        let encoded = encoder.finish()?;
        self.rows += encoded.rows;
        let (add, bytes) = add(&self.round.values, "sorted", encoded, self.round.time_ms, false);
        let store = self.table.object_store();
        store.put(&Path::from(add.path.as_str()), PutPayload::from(bytes)).await?;
        self.adds.push(add);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::joins;

    /// Merges what belongs together until nothing does; returns the bytes written.
    fn merge(files: &mut Vec<i64>) -> i64 {
        files.sort_unstable();
        let (mut left, mut written) = (Vec::new(), 0);
        let mut round: Vec<i64> = Vec::new();
        for size in files.drain(..).chain([i64::MAX]) {
            if round.is_empty() || !joins(round.iter().sum(), size) {
                let sum: i64 = round.iter().sum();
                written += if round.len() > 1 { sum } else { 0 };
                left.extend((sum > 0).then_some(sum));
                round.clear();
            }
            round.extend((size < i64::MAX).then_some(size));
        }
        *files = left;
        written
    }

    #[test]
    fn merging_every_minute_rewrites_a_row_a_few_times_and_keeps_files_few() {
        let (mut files, mut written, minutes) = (Vec::new(), 0, 1_000);
        for _ in 0..minutes {
            files.push(1_000);
            written += merge(&mut files);
            assert!(files.len() <= 10, "{files:?}");
        }
        assert_eq!(files.iter().sum::<i64>(), minutes * 1_000, "nothing is left out");
        let times = written / (minutes * 1_000);
        assert!(
            (1..=20).contains(&times),
            "each byte was written {times} times; merging all would take {}",
            minutes / 2
        );
    }
}
