//! Items as text, so that a golden file can be read and compared.

use std::fmt::Write as _;

use outrider_decode::{Doc, Item};

/// Writes items as JSON, one document each; an integer and a float differ (`1`, `1.0`), bytes are `{"bytes!": "hex"}`.
pub(crate) fn items(bytes: &[u8], items: &[Item<'_>]) -> String {
    let mut out = String::from("[");
    for (index, item) in items.iter().enumerate() {
        let start = (item.raw.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        match &item.doc {
            // A note beside a document has no bytes.
            Err(error) if item.raw.is_empty() => {
                write!(out, "  {{\"note\": {:?}, \"place\": {:?}}}", error.reason, error.place)
            }
            Err(error) => write!(
                out,
                "  {{\"raw\": [{start}, {}], \"error\": {:?}, \"place\": {:?}}}",
                item.raw.len(),
                error.reason,
                error.place
            ),
            Ok(doc) => {
                write!(out, "  {{\"raw\": [{start}, {}], \"doc\": {}}}", item.raw.len(), value(doc, 1))
            }
        }
        .expect("writing to a string");
    }
    out.push_str("\n]\n");
    out
}

fn value(doc: &Doc, depth: usize) -> String {
    let indent = "  ".repeat(depth + 1);
    let close = "  ".repeat(depth);
    match doc {
        Doc::Null => "null".into(),
        Doc::Bool(value) => value.to_string(),
        Doc::Int(value) => value.to_string(),
        Doc::Float(value) => format!("{value:?}"),
        Doc::Text(text) => serde_json::to_string(text).expect("text"),
        Doc::Bytes(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{{\"bytes!\": \"{hex}\"}}")
        }
        Doc::List(values) if values.is_empty() => "[]".into(),
        Doc::Map(entries) if entries.is_empty() => "{}".into(),
        Doc::List(values) => {
            let values: Vec<String> =
                values.iter().map(|entry| format!("{indent}{}", value(entry, depth + 1))).collect();
            format!("[\n{}\n{close}]", values.join(",\n"))
        }
        Doc::Map(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, entry)| {
                    format!(
                        "{indent}{}: {}",
                        serde_json::to_string(key).expect("text"),
                        value(entry, depth + 1)
                    )
                })
                .collect();
            format!("{{\n{}\n{close}}}", entries.join(",\n"))
        }
    }
}
