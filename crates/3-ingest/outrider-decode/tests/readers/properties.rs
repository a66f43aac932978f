//! Any bytes end in items within the caps.

use outrider_decode::{Doc, ReadLimits, ReaderSpec};
use proptest::prelude::*;

use crate::golden::samples;
use crate::hold::{file, holds};

fn check(spec: &ReaderSpec, bytes: &[u8], limits: &ReadLimits) {
    let reader = spec.build(&file).expect("a reader");
    let items = reader.read(bytes, limits);
    holds(spec, bytes, &items, limits);
    assert_eq!(reader.read(bytes, limits), items, "the same twice");
}

fn limits() -> impl Strategy<Value = ReadLimits> {
    (1usize..6, 1usize..40, 1usize..6, 1usize..200).prop_map(
        |(documents_max, values_max, depth_max, bytes_max)| ReadLimits {
            documents_max,
            values_max,
            depth_max,
            bytes_max,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_bytes_end_in_items(bytes in prop::collection::vec(any::<u8>(), 0..600), small in limits()) {
        for (spec, _) in samples() {
            check(&spec, &bytes, &ReadLimits::default());
            check(&spec, &bytes, &small);
        }
    }

    #[test]
    fn damaged_samples_end_in_items(
        pick in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 0..6),
        small in limits(),
    ) {
        let samples = samples();
        let (spec, mut bytes) = samples[pick.index(samples.len())].clone();
        bytes.truncate(cut.index(bytes.len() + 1));
        for (place, bit) in flips {
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] ^= 1 << bit;
            }
        }
        check(&spec, &bytes, &ReadLimits::default());
        check(&spec, &bytes, &small);
    }

    #[test]
    fn damaged_descriptions_end_in_readers_or_errors(
        which in 0usize..2,
        cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 0..6),
    ) {
        let (name, text) = [
            ("dlt/messages.xml", r#"{"format": "dlt", "fibex": "x"}"#),
            ("protobuf/event.binpb", r#"{"format": "protobuf", "descriptors": "x", "message": "acme.telemetry.v1.Event"}"#),
        ][which];
        let mut bytes = file(name).expect("a file");
        bytes.truncate(cut.index(bytes.len()) + 1);
        for (place, bit) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
        }
        let spec: ReaderSpec = serde_json::from_str(text).expect("options");
        if let Ok(reader) = spec.build(&|_| Some(bytes.clone())) {
            for (_, sample) in samples() {
                holds(&spec, &sample, &reader.read(&sample, &ReadLimits::default()), &ReadLimits::default());
            }
        }
    }

    #[test]
    fn json_is_read_as_serde_json_reads_it(value in json_value(), blanks in "[ \n\t]{0,3}") {
        let text = format!("{blanks}{}", serde_json::to_string_pretty(&serde_json::json!({"value": value})).expect("JSON"));
        let spec: ReaderSpec = serde_json::from_str(r#"{"format": "json", "framing": "object"}"#).expect("options");
        let items = spec.build(&file).expect("a reader").read(text.as_bytes(), &ReadLimits::default());
        prop_assert_eq!(items.len(), 1);
        let doc = items[0].doc.clone().expect("a document");
        prop_assert_eq!(as_json(&doc), serde_json::json!({"value": value}));
    }

    #[test]
    fn json_is_refused_where_serde_json_refuses_it(text in r#"[\[\]{}",:0-9.eE+\- \\ntrufals]{0,12}"#) {
        let text = format!("{{\"a\":{text}}}");
        let spec: ReaderSpec = serde_json::from_str(r#"{"format": "json", "framing": "object"}"#).expect("options");
        let items = spec.build(&file).expect("a reader").read(text.as_bytes(), &ReadLimits::default());
        let is_ours = items[0].doc.is_ok();
        match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(_) => prop_assert!(is_ours),
            // serde_json refuses numbers beyond a float; they are texts here.
            Err(error) => prop_assert!(!is_ours || error.to_string().contains("number out of range")),
        }
    }
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e300..1e300f64).prop_map(Into::into),
        ".{0,8}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map(".{0,5}", inner, 0..5)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn as_json(doc: &Doc) -> serde_json::Value {
    match doc {
        Doc::Null => serde_json::Value::Null,
        Doc::Bool(value) => (*value).into(),
        Doc::Int(value) => (*value).into(),
        Doc::Float(value) => (*value).into(),
        Doc::Text(text) => text.clone().into(),
        Doc::Bytes(_) => panic!("JSON has no bytes"),
        Doc::List(values) => values.iter().map(as_json).collect(),
        Doc::Map(entries) => serde_json::Value::Object(
            entries.iter().map(|(key, value)| (key.clone(), as_json(value))).collect(),
        ),
    }
}

#[test]
fn caps_are_said() {
    let small = ReadLimits { documents_max: 2, values_max: 4, depth_max: 2, bytes_max: 20 };
    let spec: ReaderSpec =
        serde_json::from_str(r#"{"format": "json", "framing": "lines"}"#).expect("options");
    let reader = spec.build(&file).expect("a reader");
    let reasons = |text: &str| -> Vec<&'static str> {
        let items = reader.read(text.as_bytes(), &small);
        items.iter().map(|item| item.doc.as_ref().map_or_else(|error| error.reason, |_| "ok")).collect()
    };
    assert_eq!(reasons("{\"a\":[1,2]}"), ["ok"]);
    assert_eq!(reasons("{\"a\":[1,2,3]}"), ["read.values"]);
    assert_eq!(reasons("{\"a\":[[]]}"), ["read.depth"]);
    assert_eq!(reasons("{\"a\":\"1234567890123456789\"}"), ["ok"]);
    assert_eq!(reasons("{\"a\":\"12345678901234567890\"}"), ["read.bytes"]);
    assert_eq!(reasons("{}\n{}"), ["ok", "ok"]);
    assert_eq!(reasons("{}\n{}\n{}\n{}"), ["ok", "ok", "read.too_many"]);
}

#[test]
fn deep_nesting_does_not_recurse() {
    let deep = "[".repeat(1 << 20);
    let spec: ReaderSpec =
        serde_json::from_str(r#"{"format": "json", "framing": "object"}"#).expect("options");
    let items = spec.build(&file).expect("a reader").read(deep.as_bytes(), &ReadLimits::default());
    assert_eq!(items[0].doc.as_ref().expect_err("too deep").reason, "read.depth");
}

#[test]
fn readers_say_why_they_cannot_be_built() {
    let code = |text: &str| {
        let spec: ReaderSpec = serde_json::from_str(text).expect("options");
        spec.build(&|name| if name == "damaged" { Some(vec![0xFF; 9]) } else { file(name) })
            .expect_err("no reader")
            .code()
    };
    let event = r#""message": "acme.telemetry.v1.Event""#;
    assert_eq!(
        code(&format!(r#"{{"format": "protobuf", "descriptors": "missing", {event}}}"#)),
        "reader_spec.file_missing"
    );
    assert_eq!(
        code(&format!(r#"{{"format": "protobuf", "descriptors": "damaged", {event}}}"#)),
        "reader_spec.file"
    );
    assert_eq!(
        code(r#"{"format": "protobuf", "descriptors": "protobuf/event.binpb", "message": "no.such"}"#),
        "reader_spec.option"
    );
    assert_eq!(code(r#"{"format": "dlt", "fibex": "missing"}"#), "reader_spec.file_missing");
    assert_eq!(code(r#"{"format": "dlt", "fibex": "damaged"}"#), "reader_spec.file");
    for options in [r#""delimiter": "é""#, r#""delimiter": "\"""#, r#""columns": [""]"#] {
        assert_eq!(code(&format!(r#"{{"format": "csv", {options}}}"#)), "reader_spec.option");
    }
}

#[test]
fn descriptions_without_frames_or_with_document_types_are_refused() {
    let spec: ReaderSpec = serde_json::from_str(r#"{"format": "dlt", "fibex": "x"}"#).expect("options");
    let build =
        |text: &str| spec.build(&|_| Some(text.as_bytes().to_vec())).map_err(|error| error.to_string());
    assert!(build("<FIBEX><FRAME ID=\"ID_1\"/></FIBEX>").is_ok());
    assert!(build("<FIBEX/>").expect_err("no frame").contains("no FRAME"));
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\">]><FIBEX><FRAME ID=\"ID_1\"/></FIBEX>";
    assert!(build(bomb).expect_err("document type").contains("document type"));
    let many = format!("<F><FRAME ID=\"ID_1\">{}</FRAME></F>", "<PDU-INSTANCE/>".repeat(256));
    assert!(build(&many).expect_err("parts").contains("255 parts"));
}

#[test]
fn unknown_options_are_refused() {
    for text in [
        r#"{"format": "json", "framming": "lines"}"#,
        r#"{"format": "ids", "framing": "lines"}"#,
        r#"{"format": "xml"}"#,
        r#"{"format": "dlt", "storage": true}"#,
        r#"{"format": "protobuf", "message": "a.b"}"#,
        r#"{"framing": "lines"}"#,
    ] {
        assert!(serde_json::from_str::<ReaderSpec>(text).is_err(), "{text}");
    }
    let text = "format = \"json\"\nframing = \"lines\"\n";
    let spec: ReaderSpec = toml::from_str(text).expect("TOML");
    assert_eq!(toml::to_string(&spec).expect("TOML"), text);
}
