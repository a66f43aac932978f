//! Golden samples: `golden/<format>/<name>.in` (bytes) or `.hex` (their hexadecimal digits, with comments), and
//! `<name>.json` with the items that the reader gives.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use outrider_decode::{ReadLimits, ReaderSpec};

use crate::hold::{file, holds};

/// Every sample: folder, name, options.
const SAMPLES: &[(&str, &str, &str)] = &[
    ("json", "object", r#"{"format": "json"}"#),
    ("json", "array", r#"{"format": "json"}"#),
    ("json", "lines", r#"{"format": "json"}"#),
    ("json", "concatenated", r#"{"format": "json"}"#),
    ("json", "trailing", r#"{"format": "json", "framing": "object"}"#),
    ("syslog", "rfc5424", r#"{"format": "syslog"}"#),
    ("syslog", "rfc3164", r#"{"format": "syslog"}"#),
    ("syslog", "octets", r#"{"format": "syslog"}"#),
    ("cef", "standard", r#"{"format": "cef"}"#),
    ("cef", "multi_line", r#"{"format": "cef", "framing": "single"}"#),
    ("leef", "standard", r#"{"format": "leef"}"#),
    ("ids", "frames", r#"{"format": "ids"}"#),
    ("ids", "message_header", r#"{"format": "ids", "has_message_header": true}"#),
    ("cbor", "appendix_a", r#"{"format": "cbor"}"#),
    ("cbor", "sequence", r#"{"format": "cbor"}"#),
    ("cbor", "break", r#"{"format": "cbor"}"#),
    ("cbor", "utf8", r#"{"format": "cbor"}"#),
    ("cbor", "length", r#"{"format": "cbor"}"#),
    ("cbor", "odd_break", r#"{"format": "cbor"}"#),
    ("cbor", "mixed", r#"{"format": "cbor"}"#),
    ("cbor", "reserved", r#"{"format": "cbor"}"#),
    ("cbor", "count", r#"{"format": "cbor"}"#),
    ("cbor", "trailing", r#"{"format": "cbor", "framing": "single"}"#),
    (
        "protobuf",
        "single",
        r#"{"format": "protobuf", "descriptors": "protobuf/event.binpb", "message": "acme.telemetry.v1.Event"}"#,
    ),
    (
        "protobuf",
        "delimited",
        r#"{"format": "protobuf", "descriptors": "protobuf/event.binpb", "message": "acme.telemetry.v1.Event", "framing": "delimited"}"#,
    ),
    (
        "protobuf",
        "defaults",
        r#"{"format": "protobuf", "descriptors": "protobuf/event.binpb", "message": "acme.telemetry.v1.Event", "with_defaults": true}"#,
    ),
    ("dlt", "messages", r#"{"format": "dlt"}"#),
    ("dlt", "described", r#"{"format": "dlt", "fibex": "dlt/messages.xml"}"#),
    ("dlt", "damaged", r#"{"format": "dlt"}"#),
    ("csv", "header", r#"{"format": "csv"}"#),
    ("csv", "columns", r#"{"format": "csv", "delimiter": ";", "columns": ["name", "value"]}"#),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Returns the bytes of a sample.
fn input(folder: &str, name: &str) -> Vec<u8> {
    let path = self::folder().join(folder).join(name);
    if let Ok(bytes) = std::fs::read(path.with_extension("in")) {
        return bytes;
    }
    let text = std::fs::read_to_string(path.with_extension("hex")).expect("sample.in or sample.hex");
    let digits: Vec<u8> = text
        .lines()
        .filter_map(|line| line.split('#').next())
        .flat_map(str::bytes)
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    digits
        .chunks(2)
        .map(|pair| {
            u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hexadecimal digits")
        })
        .collect()
}

/// Returns the options and bytes of every sample.
pub(crate) fn samples() -> Vec<(ReaderSpec, Vec<u8>)> {
    SAMPLES
        .iter()
        .map(|(folder, name, spec)| {
            (serde_json::from_str(spec).expect("options of a sample"), input(folder, name))
        })
        .collect()
}

fn rendered(folder: &str, name: &str, spec: &str) -> String {
    let spec: ReaderSpec = serde_json::from_str(spec).expect("options of a sample");
    let reader = spec.build(&file).expect("a reader");
    let bytes = input(folder, name);
    let items = reader.read(&bytes, &ReadLimits::default());
    holds(&spec, &bytes, &items, &ReadLimits::default());
    crate::render::items(&bytes, &items)
}

#[test]
fn every_sample_gives_its_documents() {
    let mut problems = Vec::new();
    for (folder, name, spec) in SAMPLES {
        let path = self::folder().join(folder).join(name).with_extension("json");
        let wanted = std::fs::read_to_string(&path).unwrap_or_default();
        let got = rendered(folder, name, spec);
        if wanted != got {
            problems.push(format!("{folder}/{name}: wanted\n{wanted}\ngot\n{got}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn every_golden_file_is_listed() {
    let mut found = BTreeSet::new();
    for format in std::fs::read_dir(folder()).expect("golden").flatten().filter(|entry| entry.path().is_dir())
    {
        for file in std::fs::read_dir(format.path()).expect("a format's folder").flatten() {
            let path = file.path();
            let is_sample = path.extension().is_some_and(|end| end == "in" || end == "hex" || end == "json");
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if is_sample {
                found.insert((format.file_name().to_string_lossy().into_owned(), name));
            }
        }
    }
    let listed: BTreeSet<(String, String)> =
        SAMPLES.iter().map(|(folder, name, _)| ((*folder).to_owned(), (*name).to_owned())).collect();
    assert_eq!(found, listed);
}

#[test]
#[ignore = "writes what the readers give now; read the difference before it is checked in"]
fn write_golden_files() {
    for (folder, name, spec) in SAMPLES {
        let path = self::folder().join(folder).join(name).with_extension("json");
        std::fs::write(path, rendered(folder, name, spec)).expect("golden file");
    }
}
