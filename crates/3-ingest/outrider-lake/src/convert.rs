//! Turns an event batch into Arrow columns.
//!
//! Numbers, presence bitmaps and dictionary codes are taken over as whole buffers. Only what Arrow or Delta cannot say as
//! the batch says it is touched row by row: narrow integers, sentinels for "none", and the vehicle's hex text, which is
//! written once a distinct vehicle.

use std::collections::BTreeMap;
use std::sync::Arc;

use deltalake_core::arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int32Array, Int64Array,
    StringArray, StringBuilder, TimestampMicrosecondArray, UInt32Array,
};
use deltalake_core::arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use deltalake_core::arrow::compute::take_record_batch;
use deltalake_core::arrow::datatypes::{Field, Schema, UInt32Type};
use deltalake_core::arrow::error::ArrowError;
use deltalake_core::arrow::record_batch::RecordBatch;
use outrider_model::{EventBatch, FieldColumn, FieldValues, Presence, TextColumn, catalogue};
use outrider_types::{EventTypeId, Lane, VehicleId};

use crate::error::LakeError;
use crate::schema::{DIFFERENCES, Layout, VEHICLE_TIMES};

/// Microseconds of a day.
const DAY_US: i64 = 86_400_000_000;

/// Rows of one folder of the table.
#[derive(Debug)]
pub(crate) struct Part {
    /// Owner of the rows.
    pub(crate) tenant: u32,
    /// Days since 1970 of the ingest time.
    pub(crate) day: i32,
    /// All columns but those of the partition; columns without any value are left out.
    pub(crate) rows: RecordBatch,
}

/// Converts a sealed batch for a table of a layout, split by tenant and ingest day.
///
/// # Errors
/// [`LakeError::Unsealed`] if a column is shorter or longer than the batch, [`LakeError::Row`] for a value that no
/// decoder gives out.
pub(crate) fn parts(batch: &EventBatch, layout: Layout) -> Result<Vec<Part>, LakeError> {
    let whole = record_batch(batch, layout)?;
    let mut groups: BTreeMap<(u32, i32), Vec<u32>> = BTreeMap::new();
    let mut last: Option<(u32, i32)> = None;
    let uniform = batch.tenant.iter().zip(&batch.ingest_time).all(|(tenant, time)| {
        let key = (*tenant, day(*time));
        *last.get_or_insert(key) == key
    });
    if uniform {
        return Ok(last.map(|(tenant, day)| Part { tenant, day, rows: whole }).into_iter().collect());
    }
    for ((row, tenant), time) in (0_u32..).zip(&batch.tenant).zip(&batch.ingest_time) {
        groups.entry((*tenant, day(*time))).or_default().push(row);
    }
    groups
        .into_iter()
        .map(|((tenant, day), rows)| {
            let rows = take_record_batch(&whole, &UInt32Array::from(rows)).map_err(arrow)?;
            Ok(Part { tenant, day, rows })
        })
        .collect()
}

fn day(micros: i64) -> i32 {
    i32::try_from(micros.div_euclid(DAY_US)).expect("an i64 of microseconds is less than 2^31 days")
}

pub(crate) fn arrow(error: ArrowError) -> LakeError {
    LakeError::Rows(error.into())
}

struct Columns {
    rows: usize,
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    /// Adds a column, unless no row has a value.
    fn add(&mut self, name: &str, array: impl Array + 'static) -> Result<(), LakeError> {
        if array.len() != self.rows {
            return Err(LakeError::Unsealed {
                column: name.to_owned(),
                expected: self.rows,
                got: array.len(),
            });
        }
        if array.null_count() < array.len() {
            self.fields.push(Field::new(name, array.data_type().clone(), true));
            self.arrays.push(Arc::new(array));
        }
        Ok(())
    }

    /// Adds a column of 64-bit numbers; Delta has no unsigned ones, the bits stay the same.
    fn add_bits<T: Copy + deltalake_core::arrow::datatypes::ArrowNativeType>(
        &mut self,
        name: &str,
        values: &[T],
    ) -> Result<(), LakeError> {
        const { assert!(size_of::<T>() == 8) };
        self.add(name, Int64Array::new(bits(values), None))
    }

    fn add_time(&mut self, name: &str, values: &[i64]) -> Result<(), LakeError> {
        self.add(name, TimestampMicrosecondArray::new(bits(values), None).with_timezone("UTC"))
    }

    fn add_text(&mut self, name: &str, column: &TextColumn) -> Result<(), LakeError> {
        self.add(name, text(column)?)
    }
}

fn bits<T: deltalake_core::arrow::datatypes::ArrowNativeType>(values: &[T]) -> ScalarBuffer<i64> {
    ScalarBuffer::new(Buffer::from_slice_ref(values), 0, values.len())
}

fn record_batch(batch: &EventBatch, layout: Layout) -> Result<RecordBatch, LakeError> {
    let rows = batch.rows();
    let mut columns = Columns { rows, fields: Vec::new(), arrays: Vec::new() };
    for (name, got) in [("tenant", batch.tenant.len()), ("ingest_time", batch.ingest_time.len())] {
        if got != rows {
            return Err(LakeError::Unsealed { column: name.to_owned(), expected: rows, got });
        }
    }
    columns.add("vehicle_id", vehicles(&batch.vehicle))?;
    columns.add_bits("epoch", &batch.epoch)?;
    columns.add("lane", lanes(&batch.lane)?)?;
    columns.add_bits("seq", &batch.seq)?;
    columns.add("event_type", event_types(&batch.event_type))?;
    columns.add("severity", batch.severity.iter().map(|code| i32::from(*code)).collect::<Int32Array>())?;
    columns.add_time("event_time", &batch.event_time)?;
    columns.add_bits("event_time_error_us", &batch.event_time_error_us)?;
    columns.add_time("ingest_time", &batch.ingest_time)?;
    add_vehicle_times(&mut columns, batch, layout)?;
    columns.add("count", batch.count.iter().map(|count| i64::from(*count)).collect::<Int64Array>())?;
    let bus = batch.bus.iter().map(|bus| (*bus >= 0).then_some(i32::from(*bus)));
    columns.add("bus", bus.collect::<Int32Array>())?;
    columns.add_text("ecu", &batch.ecu)?;
    columns.add_text("model_line", &batch.model_line)?;
    columns.add_text("platform", &batch.platform)?;
    columns.add_text("release", &batch.release)?;
    columns.add_text("region", &batch.region)?;
    let years = batch.model_year.iter().map(|year| (*year >= 0).then_some(i32::from(*year)));
    columns.add("model_year", years.collect::<Int32Array>())?;
    columns.add_text("monitoring", &batch.monitoring)?;
    columns.add("h3", cells(&batch.h3))?;
    columns.add("context", contexts(batch)?)?;
    for (key, column) in &batch.fields {
        let field = catalogue::field(*key).ok_or_else(|| LakeError::Row {
            row: 0,
            reason: format!("field {} is not in the catalogue", key.0),
        })?;
        add_field(&mut columns, field.name, column)?;
    }
    if !batch.extensions.is_empty() {
        columns.add("extensions", extensions(batch)?)?;
    }
    let schema = Arc::new(Schema::new(columns.fields));
    let options = deltalake_core::arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns.arrays, &options).map_err(arrow)
}

/// Adds the times of the vehicle's clock: as they are, or as [`DIFFERENCES`].
fn add_vehicle_times(columns: &mut Columns, batch: &EventBatch, layout: Layout) -> Result<(), LakeError> {
    let times = [&batch.vehicle_us, &batch.first_us, &batch.last_us];
    if layout < Layout::Three {
        for (name, values) in VEHICLE_TIMES.into_iter().zip(times) {
            columns.add_bits(name, values)?;
        }
        return Ok(());
    }
    let [vehicle, first, last] = times;
    let difference = |left: &[u64], right: &[u64]| {
        left.iter().zip(right).map(|(left, right)| left.wrapping_sub(*right)).collect::<Vec<u64>>()
    };
    let events: Vec<u64> = batch.event_time.iter().map(|time| time.cast_unsigned()).collect();
    columns.add_bits(DIFFERENCES[0], &difference(&events, vehicle))?;
    columns.add_bits(DIFFERENCES[1], &difference(vehicle, first))?;
    columns.add_bits(DIFFERENCES[2], &difference(last, vehicle))
}

fn add_field(columns: &mut Columns, name: &str, column: &FieldColumn) -> Result<(), LakeError> {
    if column.presence.rows() != columns.rows {
        return Err(LakeError::Unsealed {
            column: name.to_owned(),
            expected: columns.rows,
            got: column.presence.rows(),
        });
    }
    let uneven = |got| LakeError::Unsealed { column: name.to_owned(), expected: columns.rows, got };
    let nulls = nulls(&column.presence);
    match &column.values {
        FieldValues::Int(values) if values.len() == columns.rows => {
            columns.add(name, Int64Array::new(bits(values), nulls))
        }
        FieldValues::Float(values) if values.len() == columns.rows => {
            let values = ScalarBuffer::new(Buffer::from_slice_ref(values), 0, values.len());
            columns.add(name, Float64Array::new(values, nulls))
        }
        FieldValues::Bool(values) if values.values.len() == columns.rows => {
            columns.add(name, BooleanArray::new(BooleanBuffer::from(values.values.as_slice()), nulls))
        }
        FieldValues::Text(values) => columns.add_text(name, values),
        FieldValues::Int(values) => Err(uneven(values.len())),
        FieldValues::Float(values) => Err(uneven(values.len())),
        FieldValues::Bool(values) => Err(uneven(values.values.len())),
    }
}

/// Takes the bitmap over; both count bits from the least significant one.
fn nulls(presence: &Presence) -> Option<NullBuffer> {
    if presence.present() == presence.rows() {
        return None;
    }
    let words: Vec<u64> = presence.words().iter().map(|word| word.to_le()).collect();
    Some(NullBuffer::new(BooleanBuffer::new(Buffer::from_vec(words), 0, presence.rows())))
}

type Coded = DictionaryArray<UInt32Type>;

fn text(column: &TextColumn) -> Result<Coded, LakeError> {
    let keys = ScalarBuffer::new(Buffer::from_slice_ref(&column.codes), 0, column.codes.len());
    let mut nulls = nulls(&column.presence);
    if column.presence.rows() != column.codes.len() {
        return Err(LakeError::Unsealed {
            column: "presence".to_owned(),
            expected: column.codes.len(),
            got: column.presence.rows(),
        });
    }
    let values = StringArray::from_iter_values(column.dictionary.values());
    if values.is_empty() {
        nulls = Some(NullBuffer::new_null(column.codes.len()));
    }
    Coded::try_new(UInt32Array::new(keys, nulls), Arc::new(values)).map_err(arrow)
}

/// Codes values in order of first appearance; neighbours mostly repeat.
fn coded<T: Copy + Ord>(values: &[T], mut word: impl FnMut(T, &mut StringBuilder)) -> Coded {
    let mut codes: BTreeMap<T, u32> = BTreeMap::new();
    let mut words = StringBuilder::new();
    let mut last: Option<(T, u32)> = None;
    let keys: Vec<u32> = values
        .iter()
        .map(|value| {
            if let Some((previous, code)) = last
                && previous == *value
            {
                return code;
            }
            let next = u32::try_from(codes.len()).expect("a batch has fewer than 2^32 rows");
            let code = *codes.entry(*value).or_insert_with(|| {
                word(*value, &mut words);
                next
            });
            last = Some((*value, code));
            code
        })
        .collect();
    Coded::new(UInt32Array::from(keys), Arc::new(words.finish()))
}

fn vehicles(values: &[VehicleId]) -> Coded {
    coded(values, |vehicle, words| words.append_value(vehicle.to_string()))
}

fn lanes(values: &[u8]) -> Result<Coded, LakeError> {
    if let Some(row) = values.iter().position(|code| Lane::from_code(*code).is_none()) {
        return Err(LakeError::Row { row, reason: format!("lane {} does not exist", values[row]) });
    }
    Ok(coded(values, |code, words| {
        words.append_value(Lane::from_code(code).map_or("", Lane::word));
    }))
}

/// Writes names; a number that this catalogue does not know keeps its number, so that nothing is lost.
fn event_types(values: &[u16]) -> Coded {
    coded(values, |id, words| match catalogue::event_type(EventTypeId(id)) {
        Some(entry) => words.append_value(entry.name),
        None => words.append_value(format!("unknown.{id}")),
    })
}

fn cells(values: &[u64]) -> Coded {
    let cells = coded(values, |cell, words| words.append_value(format!("{cell:x}")));
    let nulls = NullBuffer::from_iter(values.iter().map(|cell| *cell != 0));
    let (keys, words) = cells.into_parts();
    let (_, keys, _) = keys.into_parts();
    Coded::new(UInt32Array::new(keys, Some(nulls)), words)
}

fn contexts(batch: &EventBatch) -> Result<BinaryArray, LakeError> {
    let mut offsets = Vec::with_capacity(batch.context_ends.len() + 1);
    let mut before = 0_i32;
    offsets.push(0);
    for (row, end) in batch.context_ends.iter().enumerate() {
        let end = i32::try_from(*end).ok().filter(|end| *end >= before);
        let Some(end) =
            end.filter(|end| usize::try_from(*end).is_ok_and(|end| end <= batch.context_bytes.len()))
        else {
            return Err(LakeError::Row { row, reason: "context ends are not in order".to_owned() });
        };
        offsets.push(end);
        before = end;
    }
    let nulls = NullBuffer::from_iter(offsets.windows(2).map(|pair| pair[0] != pair[1]));
    let bytes = Buffer::from_slice_ref(&batch.context_bytes);
    BinaryArray::try_new(OffsetBuffer::new(offsets.into()), bytes, Some(nulls)).map_err(arrow)
}

/// Writes the foreign fields of each row as one JSON object.
fn extensions(batch: &EventBatch) -> Result<StringArray, LakeError> {
    if let Some((name, column)) =
        batch.extensions.iter().find(|(_, column)| column.codes.len() != batch.rows())
    {
        return Err(LakeError::Unsealed {
            column: name.clone(),
            expected: batch.rows(),
            got: column.codes.len(),
        });
    }
    let mut texts = StringBuilder::new();
    for row in 0..batch.rows() {
        let pairs = batch.extensions.iter().filter_map(|(name, column)| Some((name, column.get(row)?)));
        let object: serde_json::Map<String, serde_json::Value> =
            pairs.map(|(name, text)| (name.clone(), text.into())).collect();
        if object.is_empty() {
            texts.append_null();
        } else {
            texts.append_value(serde_json::Value::Object(object).to_string());
        }
    }
    Ok(texts.finish())
}
