//! What must hold of every reader; the fuzz target `foreign_reader` includes this file.

use outrider_decode::{Doc, Item, ReadLimits, ReaderSpec};

/// Readers of the fuzz target, in the order of its first byte. Append only: the corpus counts on it.
pub(crate) const SPECS: &[&str] = &[
    r#"{"format": "json"}"#,
    r#"{"format": "syslog"}"#,
    r#"{"format": "cef"}"#,
    r#"{"format": "leef"}"#,
    r#"{"format": "ids"}"#,
    r#"{"format": "ids", "has_message_header": true}"#,
    r#"{"format": "cbor"}"#,
    r#"{"format": "protobuf", "descriptors": "protobuf/event.binpb", "message": "acme.telemetry.v1.Event"}"#,
    r#"{"format": "protobuf", "descriptors": "protobuf/event.binpb", "message": "acme.telemetry.v1.Event", "framing": "delimited", "with_defaults": true}"#,
    r#"{"format": "dlt"}"#,
    r#"{"format": "csv"}"#,
    r#"{"format": "dlt", "fibex": "dlt/messages.xml"}"#,
];

/// Returns the file that options of a sample name.
pub(crate) fn file(name: &str) -> Option<Vec<u8>> {
    match name {
        "protobuf/event.binpb" => Some(include_bytes!("../golden/protobuf/event.binpb").to_vec()),
        "dlt/messages.xml" => Some(include_bytes!("../golden/dlt/messages.xml").to_vec()),
        _ => None,
    }
}

/// Reads an input of the fuzz target: a byte that chooses the reader (modulo), then the bytes. Returns which it was.
pub(crate) fn foreign_reader(input: &[u8]) -> Option<usize> {
    let (first, bytes) = input.split_first()?;
    let which = usize::from(*first) % SPECS.len();
    let spec: ReaderSpec = serde_json::from_str(SPECS[which]).expect("options of a reader");
    let reader = spec.build(&file).expect("a reader");
    let small = ReadLimits { documents_max: 3, values_max: 20, depth_max: 3, bytes_max: 60 };
    for limits in [ReadLimits::default(), small] {
        holds(&spec, bytes, &reader.read(bytes, &limits), &limits);
    }
    Some(which)
}

/// Asserts what must hold of what any reader made of any bytes.
pub(crate) fn holds(spec: &ReaderSpec, bytes: &[u8], items: &[Item<'_>], limits: &ReadLimits) {
    let reasons = spec.reasons();
    let range = bytes.as_ptr_range();
    let mut documents = 0;
    for item in items {
        let raw = item.raw.as_ptr_range();
        assert!(
            item.raw.is_empty() || (raw.start >= range.start && raw.end <= range.end),
            "an item's bytes are part of the input"
        );
        match &item.doc {
            Ok(doc) => {
                documents += 1;
                let (values, texts, depth) = weigh(doc);
                assert!(
                    values <= limits.values_max && texts <= limits.bytes_max && depth <= limits.depth_max
                );
                assert!(!item.raw.is_empty(), "a document comes from bytes");
            }
            Err(error) => {
                assert!(reasons.contains(&error.reason), "{} is not in the closed list", error.reason);
            }
        }
    }
    assert!(documents <= limits.documents_max);
    assert!(
        items
            .iter()
            .filter(|item| item.doc.as_ref().is_err_and(|error| error.reason == "read.too_many"))
            .count()
            <= 1
    );
    // At most a document or error a byte, and two notes beside each.
    assert!(items.len() <= 3 * (bytes.len() + 1));
    // No text of the input in an error's words: they are numbers and words of our own.
    assert!(items.iter().filter_map(|item| item.doc.as_ref().err()).all(|error| error.place.len() < 200));
}

/// Returns values, bytes and levels of a document.
fn weigh(doc: &Doc) -> (usize, usize, usize) {
    match doc {
        Doc::Null | Doc::Bool(_) | Doc::Int(_) => (1, 0, 0),
        Doc::Float(value) => {
            assert!(value.is_finite());
            (1, 0, 0)
        }
        Doc::Text(text) => (1, text.len(), 0),
        Doc::Bytes(bytes) => (1, bytes.len(), 0),
        Doc::List(entries) => entries.iter().map(weigh).fold((1, 0, 1), |(values, texts, depth), entry| {
            (values + entry.0, texts + entry.1, depth.max(entry.2 + 1))
        }),
        Doc::Map(entries) => {
            let mut names: Vec<&str> = entries.iter().map(|(key, _)| key.as_str()).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "keys of a map differ");
            entries.iter().fold((1, 0, 1), |(values, texts, depth), (key, entry)| {
                let entry = weigh(entry);
                (values + entry.0, texts + entry.1 + key.len(), depth.max(entry.2 + 1))
            })
        }
    }
}
