//! Holds the table against its log: every file there, as large and with the rows that the log says, every row once.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use deltalake_core::DeltaTable;
use deltalake_core::arrow::array::cast::AsArray;
use deltalake_core::arrow::datatypes::Int64Type;
use deltalake_core::datafusion::error::DataFusionError;
use deltalake_core::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use futures::StreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::file::{PartitionValues, sum_of};
use super::lake::Lake;
use super::progress::{Progress, Watcher};
use super::rewrite::{footer, session};
use super::table::attach;
use crate::encode::{contradiction, misplaced, parquet};
use crate::error::LakeError;

/// Rows whose identities are compared at once; more go to further reads of the identity columns.
const SLICE_ROWS: u64 = 1_000_000;

/// Most reads of the identity columns: one a value of the first byte of a vehicle's name.
const SLICES_MAX: u64 = 256;

/// Faults that are told one by one; all are counted.
const FAULTS_TOLD_MAX: usize = 100;

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VerifyDepth {
    /// The log, the list of files, and each file's description of itself.
    Files,
    /// Also every row's identity.
    Rows,
    /// Also every byte.
    Bytes,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// Data files that the newest version names.
    pub files: u64,
    /// Rows in them.
    pub rows: u64,
    /// Their size.
    pub bytes: u64,
    /// Named files that are not there.
    pub missing: u64,
    /// Files of another size, with another number of rows, or with values outside of what the log says of them.
    pub different: u64,
    /// Files with rows that belong to another folder.
    pub misplaced: u64,
    /// Files that cannot be read, or whose bytes have another checksum than their name.
    pub damaged: u64,
    /// Rows beyond the first with the same identity.
    pub doubled: u64,
    /// Data files that the newest version does not name: replaced ones that queries may still read, and leftovers.
    pub unreferenced: u64,
    /// Their size.
    pub unreferenced_bytes: u64,
    /// The first faults in words: path and what is wrong with it.
    pub faults: Vec<String>,
}

impl VerifyReport {
    /// Whether the table is what its log says.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.missing == 0
            && self.different == 0
            && self.misplaced == 0
            && self.damaged == 0
            && self.doubled == 0
    }

    fn tell(&mut self, path: &str, what: &str) {
        if self.faults.len() < FAULTS_TOLD_MAX {
            self.faults.push(format!("{path}: {what}"));
        }
    }
}

/// One file as the log describes it.
struct Named {
    path: String,
    size: u64,
    rows: Option<u64>,
    statistics: String,
    values: PartitionValues,
}

impl Lake {
    /// Holds the table against its log. Stores and compactions may go on meanwhile.
    ///
    /// # Errors
    /// [`LakeError`] if log or list of files cannot be read; a bad file is in the report.
    pub fn verify(&self, depth: VerifyDepth, watch: Watcher<'_>) -> Result<VerifyReport, LakeError> {
        self.shared.runtime.block_on(self.verify_async(depth, watch))
    }

    /// Holds the table against its log. Stores and compactions may go on meanwhile.
    ///
    /// Memory: a hundred bytes a file, and a bounded sort. Disk: temporary files, if a million vehicles' rows are more.
    ///
    /// # Errors
    /// [`LakeError`] if log or list of files cannot be read; a bad file is in the report.
    pub async fn verify_async(
        &self,
        depth: VerifyDepth,
        watch: Watcher<'_>,
    ) -> Result<VerifyReport, LakeError> {
        let table = self.fresh_table().await?;
        let store = table.object_store();
        let named = named(&table)?;
        let mut report = VerifyReport::default();
        let mut present = present(store.as_ref()).await?;
        let total = named.len() as u64;
        for (done, file) in (0..).zip(&named) {
            watch(Progress { step: "checking files", done, total });
            report.files += 1;
            report.rows += file.rows.unwrap_or(0);
            report.bytes += file.size;
            match present.remove(&file.path) {
                None => {
                    report.missing += 1;
                    report.tell(&file.path, "not there");
                }
                Some(size) if size != file.size => {
                    report.different += 1;
                    report.tell(&file.path, &format!("{size} bytes, the log says {}", file.size));
                }
                Some(_) => check(&store, file, depth, &mut report).await,
            }
        }
        watch(Progress { step: "checking files", done: total, total });
        report.unreferenced = present.len() as u64;
        report.unreferenced_bytes = present.values().sum();
        // A file that cannot be read would stop the comparison of rows.
        if depth >= VerifyDepth::Rows && report.is_sound() {
            report.doubled = Box::pin(doubled(&table, report.rows, watch)).await?;
            if report.doubled > 0 {
                report.tell("rows", &format!("{} have the identity of another", report.doubled));
            }
        }
        Ok(report)
    }
}

fn named(table: &DeltaTable) -> Result<Vec<Named>, LakeError> {
    let snapshot = table.snapshot()?;
    let files = snapshot.log_data();
    let named = files.iter().map(|file| Named {
        path: file.path().into_owned(),
        size: u64::try_from(file.size()).unwrap_or(0),
        rows: file.num_records().map(|rows| rows as u64),
        statistics: file.stats().unwrap_or_default(),
        values: file.partition_values_map(),
    });
    Ok(named.collect())
}

/// Lists the data files that are there, with their sizes.
async fn present(store: &dyn ObjectStore) -> Result<BTreeMap<String, u64>, LakeError> {
    let mut present = BTreeMap::new();
    let mut list = store.list(None);
    while let Some(file) = list.next().await {
        let file = file?;
        let path = file.location.to_string();
        if path.ends_with(".parquet") && !path.starts_with("_delta_log/") {
            present.insert(path, file.size);
        }
    }
    Ok(present)
}

async fn check(store: &Arc<dyn ObjectStore>, file: &Named, depth: VerifyDepth, report: &mut VerifyReport) {
    let metadata = match footer(store.as_ref(), &file.path, file.size).await {
        Ok(metadata) => metadata,
        Err(error) => {
            report.damaged += 1;
            report.tell(&file.path, &error.to_string());
            return;
        }
    };
    if let Some(what) = contradiction(&metadata, &file.statistics) {
        report.different += 1;
        report.tell(&file.path, &what);
    }
    let value = |column: &str| file.values.get(column).and_then(Option::as_deref);
    if let Some(what) = misplaced(&metadata, value("ingest_date"), value("bucket")) {
        report.misplaced += 1;
        report.tell(&file.path, &what);
    }
    if depth < VerifyDepth::Bytes {
        return;
    }
    let location = Path::from(file.path.as_str());
    let read = async { store.get(&location).await?.bytes().await };
    let fault = match read.await {
        Ok(bytes) => decode(bytes, &file.path),
        Err(error) => Some(error.to_string()),
    };
    if let Some(what) = fault {
        report.damaged += 1;
        report.tell(&file.path, &what);
    }
}

/// Reads every value of a file; returns what is wrong with it.
fn decode(bytes: Bytes, path: &str) -> Option<String> {
    let sum = crc32c::crc32c(&bytes);
    if let Some(expected) = sum_of(path).filter(|expected| *expected != sum) {
        return Some(format!("checksum {sum:08x}, its name says {expected:08x}"));
    }
    let read = || {
        let reader =
            ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(parquet)?.build().map_err(parquet)?;
        reader.into_iter().try_for_each(|rows| rows.map(|_| ()).map_err(crate::convert::arrow))
    };
    read().err().map(|error| error.to_string())
}

/// Counts rows beyond the first of their identity, some vehicles at a time.
async fn doubled(table: &DeltaTable, rows: u64, watch: Watcher<'_>) -> Result<u64, LakeError> {
    let slices = rows.div_ceil(SLICE_ROWS).clamp(1, SLICES_MAX);
    let context = session()?;
    let provider = table.table_provider().with_session(Arc::new(context.state())).await?;
    attach(table, &context)?;
    context.register_table("events", provider)?;
    let mut doubled = 0;
    for slice in 0..slices {
        watch(Progress { step: "comparing identities", done: slice, total: slices });
        let (from, to) = (slice * 256 / slices, (slice + 1) * 256 / slices);
        let below = if to == 256 { String::new() } else { format!("AND vehicle_id < '{to:02x}'") };
        let sql = format!(
            "SELECT CAST(coalesce(sum(n - 1), 0) AS BIGINT) FROM (SELECT count(*) AS n FROM events \
             WHERE vehicle_id >= '{from:02x}' {below} GROUP BY tenant, vehicle_id, epoch, lane, seq HAVING count(*) > 1)"
        );
        let batches = context.sql(&sql).await?.collect().await?;
        let sum = batches
            .iter()
            .find(|rows| rows.num_rows() > 0)
            .map(|rows| rows.column(0).as_primitive::<Int64Type>().value(0));
        let sum = sum.and_then(|sum| u64::try_from(sum).ok());
        doubled += sum.ok_or_else(|| {
            LakeError::Rows(DataFusionError::Internal("counting identities gave no number".to_owned()))
        })?;
    }
    watch(Progress { step: "comparing identities", done: slices, total: slices });
    Ok(doubled)
}
