//! Between documents and the values of the language.

use ::vrl::value::{ObjectMap, Value};
use ordered_float::NotNan;

use crate::doc::Doc;

pub(super) fn from_doc(doc: Doc) -> Value {
    match doc {
        Doc::Null => Value::Null,
        Doc::Bool(value) => Value::Boolean(value),
        Doc::Int(value) => Value::Integer(value),
        Doc::Float(value) => NotNan::new(value).map_or(Value::Null, Value::Float),
        Doc::Text(value) => Value::Bytes(value.into()),
        Doc::Bytes(value) => Value::Bytes(value.into()),
        Doc::List(values) => Value::Array(values.into_iter().map(from_doc).collect()),
        Doc::Map(entries) => {
            // The first of two equal names stands.
            let mut object = ObjectMap::new();
            for (name, value) in entries {
                object.entry(name.into()).or_insert_with(|| from_doc(value));
            }
            Value::Object(object)
        }
    }
}

pub(super) fn to_doc(value: Value) -> Doc {
    match value {
        Value::Bytes(bytes) => match String::from_utf8(bytes.to_vec()) {
            Ok(text) => Doc::Text(text),
            Err(error) => Doc::Bytes(error.into_bytes()),
        },
        Value::String(text) => Doc::Text(text.to_string()),
        Value::Regex(regex) => Doc::Text(regex.as_str().to_owned()),
        Value::Integer(value) => Doc::Int(value),
        Value::Float(value) => {
            let value = value.into_inner();
            if value.is_finite() { Doc::Float(value) } else { Doc::Null }
        }
        Value::Boolean(value) => Doc::Bool(value),
        // Microseconds since 1970, as `time` takes them.
        Value::Timestamp(time) => Doc::Int(time.timestamp_micros()),
        Value::Object(entries) => {
            Doc::Map(entries.into_iter().map(|(name, value)| (name.to_string(), to_doc(value))).collect())
        }
        Value::Array(values) => Doc::List(values.into_iter().map(to_doc).collect()),
        Value::Null => Doc::Null,
    }
}
