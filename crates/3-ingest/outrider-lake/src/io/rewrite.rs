//! Reads a round of files, sorts their rows by vehicle and writes new files.

use std::collections::BTreeSet;
use std::sync::Arc;

use deltalake_core::DeltaTable;
use deltalake_core::arrow::array::cast::AsArray;
use deltalake_core::arrow::compute::cast;
use deltalake_core::arrow::datatypes::DataType;
use deltalake_core::arrow::record_batch::RecordBatch;
use deltalake_core::datafusion::error::DataFusionError;
use deltalake_core::datafusion::execution::context::{SessionConfig, SessionContext};
use deltalake_core::datafusion::execution::disk_manager::DiskManagerBuilder;
use deltalake_core::datafusion::execution::memory_pool::FairSpillPool;
use deltalake_core::datafusion::execution::runtime_env::RuntimeEnvBuilder;
use deltalake_core::datafusion::prelude::{Expr, col};
use deltalake_core::kernel::{Add, LogicalFileView, Remove};
use deltalake_core::parquet::errors::ParquetError;
use deltalake_core::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use super::file::{PartitionValues, add, sum_of};
use super::table::attach;
use crate::convert::arrow;
use crate::encode::{Encoder, parquet};
use crate::error::LakeError;
use crate::schema::{Layout, bucket_of};
use crate::tier::Tier;

/// Size at which a file is complete; a file of at least half of it is not rewritten again.
pub(super) const FILE_BYTES: usize = 128 * 1_024 * 1_024;

/// Memory for sorting; more goes to temporary files.
const SORT_BYTES: usize = 256 * 1_024 * 1_024;

/// Bytes at a file's end that are read at first: more than most descriptions are long (guess).
const FOOTER_BYTES: u64 = 64 * 1_024;

/// Most temporary bytes of one sort.
const SPILL_BYTES: u64 = 16 * 1_024 * 1_024 * 1_024;

/// One folder's files to rewrite together.
pub(super) struct Round {
    pub(super) layout: Layout,
    pub(super) values: PartitionValues,
    /// Path and size of each file.
    pub(super) files: Vec<(String, u64)>,
    pub(super) removes: Vec<Remove>,
    pub(super) rows: u64,
    pub(super) bytes: i64,
    pub(super) time_ms: i64,
    /// Whether each bucket's rows go to a folder of their own.
    pub(super) split: bool,
    /// How the new files are written.
    pub(super) tier: Tier,
    /// Rows that are kept; without it, all. Then `rows` is the number of those.
    pub(super) filter: Option<Expr>,
}

impl Round {
    /// Creates a round of one folder without files.
    pub(super) const fn new(layout: Layout, values: PartitionValues) -> Self {
        Self {
            layout,
            values,
            files: Vec::new(),
            removes: Vec::new(),
            rows: 0,
            bytes: 0,
            time_ms: 0,
            split: false,
            tier: Tier::Hot,
            filter: None,
        }
    }

    /// Adds a file of the folder.
    pub(super) fn push(&mut self, file: &LogicalFileView) {
        self.files.push((file.path().into_owned(), u64::try_from(file.size()).unwrap_or(0)));
        self.removes.push(file.remove_action(false));
        self.rows += file.num_records().unwrap_or(0) as u64;
        self.bytes += file.size();
        self.time_ms = self.time_ms.max(file.modification_time());
        self.tier = self.tier.max(Tier::of(&file.path()));
    }
}

/// Creates a session with bounded memory that may write temporary files.
pub(super) fn session() -> Result<SessionContext, DataFusionError> {
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(SORT_BYTES)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_max_temp_directory_size(SPILL_BYTES))
        .build_arc()?;
    Ok(SessionContext::new_with_config_rt(SessionConfig::new().with_target_partitions(1), runtime))
}

/// Writes a round's rows to new files; durable, but not named by the table's log yet.
pub(super) async fn rewrite(table: &DeltaTable, round: &Round) -> Result<Vec<Add>, LakeError> {
    let context = session()?;
    let provider = table
        .table_provider()
        .with_session(Arc::new(context.state()))
        .with_file_paths(round.files.iter().map(|(path, _)| path.clone()))
        .await?;
    attach(table, &context)?;
    let order = ["vehicle_id", "event_time", "epoch", "lane", "seq"].map(|name| col(name).sort(true, false));
    let columns = columns(table, round).await?;
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut frame = context.read_table(provider)?;
    if let Some(filter) = round.filter.clone() {
        frame = frame.filter(filter)?;
    }
    let frame = frame.select_columns(&columns)?.sort(order.to_vec())?;
    let mut stream = frame.execute_stream().await?;
    let mut output = Output { table, round, open: None, adds: Vec::new(), rows: 0 };
    while let Some(rows) = stream.next().await {
        let rows: RecordBatch = rows?;
        for (bucket, from, to) in runs(&rows, round.split)? {
            output.write(bucket, &rows.slice(from, to - from)).await?;
        }
    }
    output.close().await?;
    // Never trade rows away: what was read must be what the log says is there.
    if output.rows != round.rows {
        return Err(LakeError::Rows(DataFusionError::Internal(format!(
            "rewriting read {} rows of {}",
            output.rows, round.rows
        ))));
    }
    Ok(output.adds)
}

/// Returns the rows of each bucket as ranges; the rows are in the order of vehicles.
fn runs(rows: &RecordBatch, split: bool) -> Result<Vec<(Option<u32>, usize, usize)>, LakeError> {
    let whole = || vec![(None, 0, rows.num_rows())];
    let Some(vehicles) = rows.column_by_name("vehicle_id").filter(|_| split) else { return Ok(whole()) };
    let vehicles = cast(vehicles, &DataType::Utf8).map_err(arrow)?;
    let mut runs: Vec<(Option<u32>, usize, usize)> = Vec::new();
    for (row, vehicle) in vehicles.as_string::<i32>().iter().enumerate() {
        let bucket = vehicle.and_then(bucket_of);
        match runs.last_mut() {
            Some((last, _, to)) if *last == bucket => *to = row + 1,
            _ => runs.push((bucket, row, row + 1)),
        }
    }
    Ok(runs)
}

/// Reads the description at a file's end.
pub(super) async fn footer(
    store: &dyn ObjectStore,
    path: &str,
    size: u64,
) -> Result<ParquetMetaData, LakeError> {
    let location = Path::from(path);
    let mut bytes = FOOTER_BYTES.min(size);
    loop {
        let end = store.get_range(&location, size - bytes..size).await?;
        let mut reader = ParquetMetaDataReader::new();
        match reader.try_parse_sized(&end, size) {
            Ok(()) => return reader.finish().map_err(parquet),
            // More is asked for once, and never more than there is.
            Err(ParquetError::NeedMoreData(needed)) if (needed as u64) > bytes && needed as u64 <= size => {
                bytes = needed as u64;
            }
            Err(error) => return Err(parquet(error)),
        }
    }
}

/// Returns the columns that some file of the round has. Most fields of the catalogue have no value in one folder:
/// sorting and writing a hundred empty columns would cost more than the rows.
///
/// Holds the bytes of each file against the checksum in its name, because what was read wrongly would be written for ever,
/// and the right bytes deleted.
async fn columns(table: &DeltaTable, round: &Round) -> Result<BTreeSet<String>, LakeError> {
    let store = table.object_store();
    let mut names = BTreeSet::new();
    for (path, _) in &round.files {
        let bytes = store.get(&Path::from(path.as_str())).await?.bytes().await?;
        let sum = crc32c::crc32c(&bytes);
        if let Some(expected) = sum_of(path).filter(|expected| *expected != sum) {
            return Err(LakeError::Damaged { path: path.clone(), expected, got: sum });
        }
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes).map_err(parquet)?;
        let fields = metadata.file_metadata().schema().get_fields().iter();
        names.extend(fields.map(|field| field.name().to_owned()));
    }
    Ok(names)
}

struct Output<'a> {
    table: &'a DeltaTable,
    round: &'a Round,
    /// Bucket and writer of the file that is being written.
    open: Option<(Option<u32>, Encoder)>,
    adds: Vec<Add>,
    rows: u64,
}

impl Output<'_> {
    async fn write(&mut self, bucket: Option<u32>, rows: &RecordBatch) -> Result<(), LakeError> {
        if self.open.as_ref().is_some_and(|(open, _)| *open != bucket) {
            self.close().await?;
        }
        let (_, encoder) = match self.open.as_mut() {
            Some(open) => open,
            None => self.open.insert((bucket, Encoder::new(rows, true, self.round.tier)?)),
        };
        encoder.write(rows)?;
        if encoder.bytes() >= FILE_BYTES {
            self.close().await?;
        }
        Ok(())
    }

    /// Finishes the open file, if there is one.
    async fn close(&mut self) -> Result<(), LakeError> {
        let Some((bucket, encoder)) = self.open.take() else { return Ok(()) };
        let encoded = encoder.finish()?;
        self.rows += encoded.rows;
        let mut values = self.round.values.clone();
        if self.round.split {
            values.insert("bucket".to_owned(), bucket.map(|bucket| bucket.to_string()));
        }
        let (add, bytes) =
            add(&values, self.round.layout, self.round.tier.word(), encoded, self.round.time_ms, false);
        let store = self.table.object_store();
        store.put(&Path::from(add.path.as_str()), PutPayload::from(bytes)).await?;
        self.adds.push(add);
        Ok(())
    }
}
