//! Messages of the library as documents. Recursion ends at the budget's depth.

use std::borrow::Cow;
use std::collections::BTreeMap;

use prost_reflect::prost::encoding::{WireType, decode_key, decode_varint};
use prost_reflect::{DynamicMessage, Kind, MapKey, ReflectMessage as _, UnknownField, Value};

use crate::read::budget::{Budget, Fields};
use crate::{Doc, ReadError};

/// Makes a document of a message; returns the number of fields that its descriptor does not know.
pub(super) fn message(
    message: &DynamicMessage,
    with_defaults: bool,
    budget: &mut Budget,
    outer: usize,
) -> Result<(Doc, usize), ReadError> {
    if message.descriptor().full_name() == "google.protobuf.Timestamp"
        && let Some(text) = timestamp(message)
    {
        return Ok((budget.text(&text)?, 0));
    }
    let mut unknown = 0;
    let mut doc = Fields::begin(budget, outer)?;
    for field in message.descriptor().fields() {
        let is_there = message.has_field(&field);
        let has_default = with_defaults && !field.supports_presence();
        if is_there || has_default {
            let value = message.get_field(&field);
            let value = any(&value, &field.kind(), with_defaults, budget, outer + 1, &mut unknown)?;
            doc.put(budget, field.name(), value)?;
        }
    }
    let fields = unknown_fields(message, budget, outer + 1)?;
    if let Some((fields, count)) = fields {
        unknown += count;
        doc.put(budget, "unknown", fields)?;
    }
    // A field may be called `unknown`.
    Ok((doc.end_unique().0, unknown))
}

fn any(
    value: &Value,
    kind: &Kind,
    with_defaults: bool,
    budget: &mut Budget,
    outer: usize,
    unknown: &mut usize,
) -> Result<Doc, ReadError> {
    match value {
        Value::Bool(value) => budget.truth(*value),
        Value::I32(value) => budget.int(*value),
        Value::I64(value) => budget.int(*value),
        Value::U32(value) => budget.int(*value),
        Value::U64(value) => budget.int(*value),
        Value::F32(value) => budget.float(f64::from(*value)),
        Value::F64(value) => budget.float(*value),
        Value::String(text) => budget.text(text),
        Value::Bytes(bytes) => budget.blob(bytes),
        Value::EnumNumber(number) => match kind.as_enum().and_then(|names| names.get_value(*number)) {
            Some(name) => budget.text(name.name()),
            None => budget.int(*number),
        },
        Value::Message(inner) => {
            let (doc, count) = message(inner, with_defaults, budget, outer)?;
            *unknown += count;
            Ok(doc)
        }
        Value::List(values) => {
            budget.depth(outer)?;
            budget.value()?;
            let mut list = Vec::new();
            for value in values {
                list.push(any(value, kind, with_defaults, budget, outer + 1, unknown)?);
            }
            Ok(Doc::List(list))
        }
        Value::Map(entries) => {
            let mut map = Fields::begin(budget, outer)?;
            let value_kind =
                kind.as_message().map_or_else(|| kind.clone(), |entry| entry.map_entry_value_field().kind());
            // The library's map has no order of its own.
            let entries: BTreeMap<Cow<'_, str>, &Value> =
                entries.iter().map(|(key, value)| (key_text(key), value)).collect();
            for (key, value) in entries {
                let value = any(value, &value_kind, with_defaults, budget, outer + 1, unknown)?;
                map.put(budget, &key, value)?;
            }
            Ok(map.end())
        }
    }
}

fn key_text(key: &MapKey) -> Cow<'_, str> {
    match key {
        MapKey::Bool(value) => Cow::Owned(value.to_string()),
        MapKey::I32(value) => Cow::Owned(value.to_string()),
        MapKey::I64(value) => Cow::Owned(value.to_string()),
        MapKey::U32(value) => Cow::Owned(value.to_string()),
        MapKey::U64(value) => Cow::Owned(value.to_string()),
        MapKey::String(text) => Cow::Borrowed(text),
    }
}

/// Makes a map of number and value, a list where a number repeats; returns how many fields there are.
fn unknown_fields(
    message: &DynamicMessage,
    budget: &mut Budget,
    outer: usize,
) -> Result<Option<(Doc, usize)>, ReadError> {
    let mut by_number: BTreeMap<u32, Vec<&UnknownField>> = BTreeMap::new();
    let mut count = 0;
    for field in message.unknown_fields() {
        by_number.entry(field.number()).or_default().push(field);
        count += 1;
    }
    if count == 0 {
        return Ok(None);
    }
    let mut map = Fields::begin(budget, outer)?;
    for (number, fields) in by_number {
        let value = match fields.as_slice() {
            [field] => unknown_value(field, budget)?,
            several => {
                budget.depth(outer + 1)?;
                budget.value()?;
                let mut list = Vec::new();
                for field in several {
                    list.push(unknown_value(field, budget)?);
                }
                Doc::List(list)
            }
        };
        map.put(budget, &number.to_string(), value)?;
    }
    Ok(Some((map.end(), count)))
}

/// A varint and fixed lengths are integers without sign; the rest, a group with its end, is bytes.
fn unknown_value(field: &UnknownField, budget: &mut Budget) -> Result<Doc, ReadError> {
    let mut encoded = Vec::new();
    field.encode(&mut encoded);
    let mut rest = encoded.as_slice();
    // What was encoded just now can be read.
    let _ = decode_key(&mut rest);
    match field.wire_type() {
        WireType::Varint => budget.int(decode_varint(&mut rest).unwrap_or(0)),
        WireType::SixtyFourBit => budget.int(rest.try_into().map_or(0, u64::from_le_bytes)),
        WireType::ThirtyTwoBit => budget.int(rest.try_into().map_or(0, u32::from_le_bytes)),
        WireType::LengthDelimited => {
            let _ = decode_varint(&mut rest);
            budget.blob(rest)
        }
        WireType::StartGroup | WireType::EndGroup => budget.blob(rest),
    }
}

/// Writes a timestamp as RFC 3339 with as many digits as it has, or `None` outside of the years 1 to 9999.
fn timestamp(message: &DynamicMessage) -> Option<String> {
    let seconds = message.get_field_by_number(1)?.as_i64()?;
    let nanos = u32::try_from(message.get_field_by_number(2)?.as_i32()?).ok()?;
    if !(-62_135_596_800..=253_402_300_799).contains(&seconds) || nanos > 999_999_999 {
        return None;
    }
    let (days, time) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to civil date (H. Hinnant, "chrono-compatible low-level date algorithms").
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    let fraction = match nanos {
        0 => String::new(),
        _ if nanos % 1_000_000 == 0 => format!(".{:03}", nanos / 1_000_000),
        _ if nanos % 1_000 == 0 => format!(".{:06}", nanos / 1_000),
        _ => format!(".{nanos:09}"),
    };
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"))
}
