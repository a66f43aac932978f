//! Result columns as values that JSON can say.

use deltalake_core::arrow::array::cast::AsArray;
use deltalake_core::arrow::array::{Array, ArrayRef};
use deltalake_core::arrow::compute::cast;
use deltalake_core::arrow::datatypes::{
    DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt64Type,
};
use deltalake_core::arrow::record_batch::RecordBatch;
use deltalake_core::arrow::util::display::{ArrayFormatter, FormatOptions};
use deltalake_core::datafusion::error::DataFusionError;
use serde_json::Value;

/// Returns the type in a word.
#[expect(clippy::wildcard_enum_match_arm, reason = "the engine's types that the table never has are other")]
pub(crate) fn kind(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Boolean => "bool",
        kind if kind.is_integer() => "int",
        kind if kind.is_floating() || kind.is_decimal() => "float",
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "text",
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "binary",
        DataType::Date32 | DataType::Date64 => "date",
        DataType::Timestamp(..) => "timestamp",
        DataType::Dictionary(_, values) => kind(values),
        _ => "other",
    }
}

/// Converts a batch to rows.
pub(crate) fn values(batch: &RecordBatch) -> Result<Vec<Vec<Value>>, DataFusionError> {
    let mut rows = vec![Vec::with_capacity(batch.num_columns()); batch.num_rows()];
    for column in batch.columns() {
        for (row, value) in rows.iter_mut().zip(column_values(column)?) {
            row.push(value);
        }
    }
    Ok(rows)
}

fn column_values(column: &ArrayRef) -> Result<Vec<Value>, DataFusionError> {
    let as_type = |to: &DataType| cast(column, to);
    let data_type = column.data_type();
    Ok(match kind(data_type) {
        "bool" => column.as_boolean().iter().map(Value::from).collect(),
        "int" if matches!(data_type, DataType::UInt64) => {
            column.as_primitive::<UInt64Type>().iter().map(Value::from).collect()
        }
        "int" => as_type(&DataType::Int64)?.as_primitive::<Int64Type>().iter().map(Value::from).collect(),
        "float" => {
            as_type(&DataType::Float64)?.as_primitive::<Float64Type>().iter().map(Value::from).collect()
        }
        "text" => as_type(&DataType::Utf8)?.as_string::<i32>().iter().map(Value::from).collect(),
        "binary" => {
            as_type(&DataType::Binary)?.as_binary::<i32>().iter().map(|bytes| bytes.map(hex).into()).collect()
        }
        "timestamp" => {
            let micros = as_type(&DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?;
            let micros = micros.as_primitive::<TimestampMicrosecondType>();
            micros.iter().map(|micros| micros.map(time).into()).collect()
        }
        _ => {
            let format = ArrayFormatter::try_new(column, &FormatOptions::default())?;
            (0..column.len())
                .map(
                    |row| {
                        if column.is_null(row) { Value::Null } else { format.value(row).to_string().into() }
                    },
                )
                .collect()
        }
    })
}

fn time(micros: i64) -> String {
    match chrono::DateTime::from_timestamp_micros(micros) {
        Some(time) => time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
        None => format!("{micros} µs"),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
