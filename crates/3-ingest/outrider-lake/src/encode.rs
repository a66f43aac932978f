//! Writes rows as a Parquet file and states its statistics for the table's log.

use deltalake_core::arrow::datatypes::Schema;
use deltalake_core::arrow::record_batch::RecordBatch;
use deltalake_core::datafusion::error::DataFusionError;
use deltalake_core::parquet::arrow::ArrowWriter;
use deltalake_core::parquet::arrow::arrow_writer::ArrowWriterOptions;
use deltalake_core::parquet::basic::{Compression, Encoding, ZstdLevel};
use deltalake_core::parquet::errors::ParquetError;
use deltalake_core::parquet::file::metadata::{ParquetMetaData, SortingColumn};
use deltalake_core::parquet::file::properties::{EnabledStatistics, WriterProperties};
use deltalake_core::parquet::file::statistics::Statistics;
use deltalake_core::parquet::schema::types::ColumnPath;
use serde_json::{Map, Value, json};

use crate::error::LakeError;
use crate::schema::{STATISTICS_COLUMNS, bucket_of};
use crate::tier::Tier;

/// Level 3 compresses as well as any that is fast enough: measured 32.3 bytes a row, level 9 gives 30.9 at half the
/// speed.
const ZSTD_LEVEL: i32 = 3;

/// Level for rows that are written once more and then read for months.
const WARM_ZSTD_LEVEL: i32 = 9;

/// Level for rows that are kept rather than read; 19 takes five times as long as this and saves another percent or two.
const COLD_ZSTD_LEVEL: i32 = 15;

/// Rows of a row group: small enough that one vehicle's rows in a sorted file need one or two groups.
const ROW_GROUP_ROWS: usize = 128 * 1_024;

/// Rows of a row group of the cold tier: one dictionary for more of them.
const COLD_ROW_GROUP_ROWS: usize = 1_024 * 1_024;

/// Bytes of a data page: what a reader of one vehicle decompresses at least, a column.
const PAGE_BYTES: usize = 64 * 1_024;

/// Bytes of a data page of the cold tier.
const COLD_PAGE_BYTES: usize = 1_024 * 1_024;

/// Chance that a reader looks into a row group for a vehicle that is not there: a row group costs 200 times its filter.
const BLOOM_FALSE: f64 = 0.01;

/// A finished file, in memory.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// The file.
    pub(crate) bytes: Vec<u8>,
    /// Statistics as the table's log wants them.
    pub(crate) statistics: String,
    /// Rows in the file.
    pub(crate) rows: u64,
}

/// Writes row batches of one schema into one file.
pub(crate) struct Encoder {
    writer: ArrowWriter<Vec<u8>>,
}

pub(crate) fn parquet(error: ParquetError) -> LakeError {
    LakeError::Rows(DataFusionError::ParquetError(Box::new(error)))
}

fn properties(sorted: Option<&Schema>, tier: Tier) -> Result<WriterProperties, ParquetError> {
    let (level, group_rows, page_bytes) = match tier {
        Tier::Hot => (ZSTD_LEVEL, ROW_GROUP_ROWS, PAGE_BYTES),
        Tier::Warm => (WARM_ZSTD_LEVEL, ROW_GROUP_ROWS, PAGE_BYTES),
        Tier::Cold => (COLD_ZSTD_LEVEL, COLD_ROW_GROUP_ROWS, COLD_PAGE_BYTES),
    };
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(level)?))
        .set_max_row_group_row_count(Some(group_rows))
        .set_data_page_size_limit(page_bytes)
        .set_dictionary_page_size_limit(1_024 * 1_024)
        .set_statistics_truncate_length(None)
        // Only what queries cut by is worth an index page by page.
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for name in ["vehicle_id", "event_time"] {
        builder =
            builder.set_column_statistics_enabled(ColumnPath::from(name.to_owned()), EnabledStatistics::Page);
    }
    // A dictionary of numbers that hardly repeat is work for nothing; their differences are short.
    for name in ["seq", "event_time", "vehicle_us", "first_us", "last_us"] {
        let path = ColumnPath::from(name.to_owned());
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
    }
    builder = builder.set_column_dictionary_enabled(ColumnPath::from("context".to_owned()), false);
    // For files in order of arrival, where the least and the greatest vehicle say nothing. Sized for a vehicle a row and
    // folded to what came.
    let vehicle = ColumnPath::from("vehicle_id".to_owned());
    builder = builder
        .set_column_bloom_filter_enabled(vehicle.clone(), true)
        .set_column_bloom_filter_fpp(vehicle.clone(), BLOOM_FALSE)
        .set_column_bloom_filter_max_ndv(vehicle, ROW_GROUP_ROWS as u64);
    if let Some(schema) = sorted {
        let columns = ["vehicle_id", "event_time"].iter().filter_map(|name| {
            let column = i32::try_from(schema.index_of(name).ok()?).ok()?;
            Some(SortingColumn { column_idx: column, descending: false, nulls_first: false })
        });
        builder = builder.set_sorting_columns(Some(columns.collect()));
    }
    Ok(builder.build())
}

impl Encoder {
    /// Starts a file; `sorted` says that the rows come in the order of vehicle and event time.
    pub(crate) fn new(schema: &RecordBatch, sorted: bool, tier: Tier) -> Result<Self, LakeError> {
        let properties = properties(sorted.then(|| schema.schema_ref().as_ref()), tier).map_err(parquet)?;
        // Without the embedded Arrow schema every reader sees plain strings, not our dictionaries.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let writer =
            ArrowWriter::try_new_with_options(Vec::new(), schema.schema(), options).map_err(parquet)?;
        Ok(Self { writer })
    }

    /// Appends rows.
    pub(crate) fn write(&mut self, rows: &RecordBatch) -> Result<(), LakeError> {
        self.writer.write(rows).map_err(parquet)
    }

    /// Returns about how large the file will be so far, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    /// Finishes the file.
    pub(crate) fn finish(mut self) -> Result<Encoded, LakeError> {
        let metadata = self.writer.finish().map_err(parquet)?;
        let bytes = std::mem::take(self.writer.inner_mut());
        let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        Ok(Encoded { bytes, statistics: statistics(&metadata), rows })
    }
}

/// Least and greatest value of one column.
struct Range {
    low: Bound,
    high: Bound,
}

#[derive(Clone, PartialEq, PartialOrd)]
enum Bound {
    Number(i64),
    Text(Vec<u8>),
}

fn range(statistics: &Statistics) -> Option<Range> {
    let range = match statistics {
        Statistics::Int32(values) => Range {
            low: Bound::Number((*values.min_opt()?).into()),
            high: Bound::Number((*values.max_opt()?).into()),
        },
        Statistics::Int64(values) => {
            Range { low: Bound::Number(*values.min_opt()?), high: Bound::Number(*values.max_opt()?) }
        }
        Statistics::ByteArray(values) => Range {
            low: Bound::Text(values.min_opt()?.data().to_vec()),
            high: Bound::Text(values.max_opt()?.data().to_vec()),
        },
        Statistics::Boolean(_)
        | Statistics::Int96(_)
        | Statistics::Float(_)
        | Statistics::Double(_)
        | Statistics::FixedLenByteArray(_) => return None,
    };
    Some(range)
}

fn column_range(metadata: &ParquetMetaData, name: &str) -> Option<(Range, u64)> {
    let mut whole: Option<Range> = None;
    let mut nulls = 0;
    for group in metadata.row_groups() {
        let column = group.columns().iter().find(|column| column.column_descr().name() == name)?;
        let statistics = column.statistics()?;
        nulls += statistics.null_count_opt()?;
        let next = range(statistics)?;
        whole = Some(match whole {
            None => next,
            Some(range) => Range {
                low: if next.low < range.low { next.low } else { range.low },
                high: if next.high > range.high { next.high } else { range.high },
            },
        });
    }
    whole.map(|range| (range, nulls))
}

/// Returns a file's statistics as the table's log wants them.
fn statistics(metadata: &ParquetMetaData) -> String {
    let (mut low, mut high, mut nulls) = (Map::new(), Map::new(), Map::new());
    for name in STATISTICS_COLUMNS {
        let Some((range, null)) = column_range(metadata, name) else { continue };
        let (Some(least), Some(greatest)) = (bound(name, &range.low), bound(name, &range.high)) else {
            continue;
        };
        low.insert(name.to_owned(), least);
        high.insert(name.to_owned(), greatest);
        nulls.insert(name.to_owned(), null.into());
    }
    json!({
        "numRecords": metadata.file_metadata().num_rows(),
        "minValues": low,
        "maxValues": high,
        "nullCount": nulls,
    })
    .to_string()
}

fn bound(name: &str, bound: &Bound) -> Option<Value> {
    match bound {
        Bound::Number(micros) if name.ends_with("_time") => {
            // A time that the calendar of the log's text form cannot express gets no statistics: never skipped.
            let time = chrono::DateTime::from_timestamp_micros(*micros)?;
            let year = chrono::Datelike::year(&time);
            (1..=9_999).contains(&year).then(|| time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string().into())
        }
        Bound::Number(number) => Some((*number).into()),
        Bound::Text(text) => std::str::from_utf8(text).ok().map(Into::into),
    }
}

/// Rounding of times in a summed-up log: whole milliseconds, downwards.
const LOGGED_TIME_STEP_US: i64 = 1_000;

/// Returns what the table's log says wrongly of a file, if anything: its rows, or a column's least and greatest value.
pub(crate) fn contradiction(metadata: &ParquetMetaData, logged: &str) -> Option<String> {
    let Ok(logged) = serde_json::from_str::<Value>(logged) else {
        return Some("the log has no statistics of it".to_owned());
    };
    let rows = metadata.file_metadata().num_rows();
    if logged["numRecords"].as_i64() != Some(rows) {
        return Some(format!("{rows} rows, the log says {}", logged["numRecords"]));
    }
    let wrong = STATISTICS_COLUMNS.iter().find(|name| {
        let Some((range, _)) = column_range(metadata, name) else { return false };
        let low = logged_bound(name, &logged["minValues"][*name]);
        let high = logged_bound(name, &logged["maxValues"][*name]).map(|high| match high {
            Bound::Number(micros) if name.ends_with("_time") => {
                Bound::Number(micros.saturating_add(LOGGED_TIME_STEP_US))
            }
            other @ (Bound::Number(_) | Bound::Text(_)) => other,
        });
        low.is_some_and(|low| low > range.low) || high.is_some_and(|high| high < range.high)
    });
    wrong.map(|name| format!("{name} has values outside of what the log says"))
}

fn logged_bound(name: &str, value: &Value) -> Option<Bound> {
    match value {
        Value::Number(number) => number.as_i64().map(Bound::Number),
        Value::String(text) if name.ends_with("_time") => {
            let time = chrono::DateTime::parse_from_rfc3339(text).ok()?;
            Some(Bound::Number(time.timestamp_micros()))
        }
        Value::String(text) => Some(Bound::Text(text.as_bytes().to_vec())),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns why rows of a file belong to another folder, if they do.
pub(crate) fn misplaced(
    metadata: &ParquetMetaData,
    date: Option<&str>,
    bucket: Option<&str>,
) -> Option<String> {
    let ends = |name| column_range(metadata, name).map(|(range, _)| [range.low, range.high]);
    let date_of = |bound: &Bound| match bound {
        Bound::Number(micros) => {
            chrono::DateTime::from_timestamp_micros(*micros).map(|time| time.format("%Y-%m-%d").to_string())
        }
        Bound::Text(_) => None,
    };
    if let Some(times) = ends("ingest_time")
        && times.iter().any(|time| date_of(time).as_deref() != date)
    {
        return Some("rows of another ingest date".to_owned());
    }
    let bucket_of = |bound: &Bound| match bound {
        Bound::Text(vehicle) => std::str::from_utf8(vehicle).ok().and_then(bucket_of),
        Bound::Number(_) => None,
    };
    if let (Some(bucket), Some(vehicles)) = (bucket, ends("vehicle_id"))
        && vehicles
            .iter()
            .any(|vehicle| bucket_of(vehicle).map(|bucket| bucket.to_string()).as_deref() != Some(bucket))
    {
        return Some("rows of another bucket".to_owned());
    }
    None
}
