use outrider_model::{VehicleRecord, catalogue};
use outrider_types::{
    BootEpoch, EventId, EventTime, EventTypeId, IngestTime, Lane, Seq, Severity, TenantId, UnixMicros,
    VehicleId, VehicleMicros,
};
use proptest::prelude::*;

use super::*;
use crate::columns::{Bounds, Place};
use crate::map::{FieldMap, NameRef, TypeRef};
use crate::read::{JsonFraming, JsonSpec};

const TABLE: &str = r#"
namespace = "acme"
vehicle = { path = "vin", kind = "vin" }
time = { path = "ts", form = "rfc3339", error_s = 2.5 }
severity = { path = "sev", values = { "5" = "critical" } }
count = { path = "n" }
bus = { path = "bus", values = { CHASSIS = 2, "7" = 300 } }
ecu = { path = "source" }
key = { paths = ["device", "a[1]"] }
context = { path = "raw", encoding = "hex" }
rest = { except = ["signature", "gone.deep", "list"] }
ignore = [{ path = "event", equals = "HEARTBEAT" }, { path = "n", equals = -7 }]

[type]
path = "event"
values = { UNKNOWN_ID = "can.unknown_id" }

[[field]]
to = "can_id"
path = "data.id"
base = 16

[[field]]
to = "gap_us"
path = "data.gap_ms"
scale = 1000.0
min = 0.0

[[field]]
to = "detector"
path = "data.\"de.tector\""

[[field]]
to = "frames"
path = "data.gap_ms"
max = 5

[[field]]
to = "feed"
path = "x"

[[field]]
to = "file_path"
path = "list[0].path"
"#;

/// The same with other readings: what is not mapped is dropped, one field must be there, names are the source's own.
const OTHER_TABLE: &str = r#"
namespace = "b"
vehicle = { path = "device", kind = "foreign" }
time = { path = "n", form = "unix_ms" }
type = { default = "can.flood" }
key = { paths = ["data.id"] }
rest = { keep = false }

[[field]]
to = "frames"
path = "n"
required = true

[[field]]
to = "reason"
path = "event"
values = { UNKNOWN_ID = "unknown", "5" = "five" }
"#;

/// Paths that end where maps stand, or that two names spell alike.
const ODD_TABLE: &str = r#"
namespace = "c"
vehicle = { path = "data.id", kind = "foreign" }
type = { path = "event", default = "can.flood" }
ecu = { path = "x" }
key = { paths = ["\"data.id\""] }

[[field]]
to = "privileged"
path = "data"

[[field]]
to = "frames"
path = "data.n"

[[field]]
to = "reason"
path = "a[1]"
"#;

fn decoder(table: &str, framing: JsonFraming, limits: ReadLimits) -> PackageDecoder {
    PackageDecoder {
        id: "test@1.0.0".to_owned(),
        reader: Box::new(JsonSpec { framing }),
        each: None,
        mapping: Box::new(FieldMap::parse(table).expect("a table")),
        limits,
        output_bytes_max: 1 << 20,
    }
}

/// What reader and table make of an input, without the short way.
fn reference(decoder: &PackageDecoder, bytes: &[u8]) -> Decoded {
    let mut run = Run::new(decoder, Records::default());
    run.items(Some(decoder.reader.read(bytes, &decoder.limits)), bytes);
    Decoded { outputs: run.sink.0, ..run.decoded }
}

/// Places every event but those of bus 2, whose name it keeps.
struct Numbers(u64);

impl Host for Numbers {
    fn bounds(&self) -> Bounds {
        Bounds { namespace: "host", context_bytes_max: 3, extension_names_max: 12 }
    }

    fn place<'a>(&'a mut self, document: usize, event: &'a EventRef<'_>) -> Option<Place<'a>> {
        self.0 += 1;
        let vehicle = match &event.vehicle {
            Some(NameRef::Vin(name) | NameRef::Foreign(name)) => u8::try_from(name.len()).unwrap_or(0),
            Some(NameRef::Id(_)) | None => 0,
        };
        let (event_type, word) = match &event.event_type {
            TypeRef::Known(id) => (*id, None),
            TypeRef::Unknown(word) => (EventTypeId(1), Some(word.as_ref())),
        };
        let named = |name: &str, text| catalogue::field_by_name(name).map(|field| (field.key, text));
        (event.bus != Some(2)).then_some(Place {
            tenant: TenantId(1),
            id: EventId {
                vehicle: VehicleId([vehicle; 16]),
                epoch: BootEpoch(document as u64),
                lane: Lane::Batched,
                seq: Seq(self.0),
            },
            event_type,
            severity: event.severity.unwrap_or(Severity::Low),
            time: EventTime {
                best: event.time.unwrap_or(UnixMicros(0)),
                error_us: event.time_error_us.unwrap_or(9),
            },
            ingest: IngestTime(UnixMicros(1)),
            mono: VehicleMicros(0),
            vehicle: None::<&VehicleRecord>,
            fields: [named("feed", "f"), word.and_then(|word| named("foreign_type", word)), None],
        })
    }
}

/// Decodes with and without the short way, to records and to columns; returns how many lines went the short way.
fn check(decoder: &PackageDecoder, bytes: &[u8]) -> u64 {
    let expected = reference(decoder, bytes);
    let mut run = Run::new(decoder, Records::default());
    run.input(bytes);
    let short = run.short;
    let decoded = Decoded { outputs: run.sink.0, ..run.decoded };
    assert_eq!(decoded, expected, "{}", String::from_utf8_lossy(bytes));

    let (mut batch, mut columns) = (EventBatch::new(), EventBatch::new());
    // Two inputs into one batch, so that columns are found again.
    for _ in 0..2 {
        let appended = decoder.decode_batch(bytes, &mut Numbers(0), &mut batch);
        let mut host = Numbers(0);
        let mut slow = Columns::new(&mut columns, &mut host);
        for (document, output) in &expected.outputs {
            let Output::Event(record) = output else { panic!("no envelopes here") };
            slow.record(*document, record);
        }
        assert_eq!(slow.finish(), (appended.rows, appended.declined));
        assert_eq!(appended.rows + appended.declined, expected.outputs.len() as u64);
        assert_eq!(appended.others, Decoded { outputs: Vec::new(), ..expected.clone() });
    }
    batch.seal();
    columns.seal();
    assert_eq!(batch, columns, "{}", String::from_utf8_lossy(bytes));
    short
}

const EVENT: &str = concat!(
    r#"{"vin": "WVWZZZ1JZ3W386752", "ts":"2023-11-14T22:13:20.25Z","sev":"5","n":3,"bus":"BODY","source":"GW","#,
    r#""device":"d1","a":[1,"x"],"raw":"DE AD","signature":"x","event":"UNKNOWN_ID","#,
    r#""data":{"id":"7E0","gap_ms":2.5,"temperature":-4,"de.tector":"d"},"list":[{"path":"/etc","more":1}]}"#
);

#[test]
fn plain_lines_go_the_short_way_and_others_do_not_harm_them() {
    let decoder = decoder(TABLE, JsonFraming::Lines, ReadLimits::default());
    let odd = [
        r#"{"vin": "WVWZZZ1JZ3W386752", "vin": "WVWZZZ1JZ3W386752", "event": "x"}"#,
        r#"{"v\u0069n": "WVWZZZ1JZ3W386752", "event": "x"}"#,
        r#"{"vin": "WVWZZZ1JZ3W386752", "event": "x", "note": "of WVWZZZ1JZ3W386752"}"#,
        r#"{"vin": "WVWZZZ1JZ3W386752", "event": "x", "big": 123456789012345678901}"#,
        "{\"vin\": \"WVWZZZ1JZ3W386752\", \"event\": \"\u{1}\"}",
        "[1]",
        "7",
        "{",
        r#"{"a": 1} x"#,
    ];
    for odd in odd {
        let lines = format!("{EVENT}\n{EVENT}\r\n\n{odd}\n{EVENT}");
        assert_eq!(check(&decoder, lines.as_bytes()), 3, "{odd}");
    }
    let escaped = EVENT.replace("GW", "G\\u0057 \\ud83d\\ude00");
    assert_eq!(check(&decoder, escaped.as_bytes()), 1, "escapes in values are read");
    let record = |decoded: Decoded| match decoded.outputs.into_iter().next() {
        Some((0, Output::Event(record))) => record,
        other => panic!("{other:?}"),
    };
    let record = record(decoder.decode(escaped.as_bytes()));
    assert_eq!(record.ecu.as_deref(), Some("GW \u{1f600}"));
    assert!(record.extensions.contains(&("acme.data.temperature".to_owned(), "-4".to_owned())));
}

#[test]
fn members_in_any_order_and_left_out_ones_are_still_short() {
    let decoder = decoder(TABLE, JsonFraming::Lines, ReadLimits::default());
    let lines = [
        r#"{"vin":"WVWZZZ1JZ3W386752","event":"UNKNOWN_ID","x":1,"y":2}"#,
        r#"{"y":2,"event":"UNKNOWN_ID","vin":"WVWZZZ1JZ3W386752"}"#,
        r#"{"event":"UNKNOWN_ID","z":{"b":1},"vin":"WVWZZZ1JZ3W386752"}"#,
        r#"{"x":1,"z":{},"zz":[],"event":"HEARTBEAT"}"#,
    ];
    assert_eq!(check(&decoder, lines.join("\n").as_bytes()), 4);
    let wide = |from: u32| {
        let many: String = (from..from + 3_000).map(|number| format!(",\"k{number}\":null")).collect();
        format!(r#"{{"vin":"WVWZZZ1JZ3W386752","event":"x"{many}}}"#)
    };
    assert_eq!(check(&decoder, wide(0).as_bytes()), 1);
    let lines = [wide(0), wide(3_000), wide(0), EVENT.to_owned(), wide(6_000)].join("\n");
    assert_eq!(check(&decoder, lines.as_bytes()), 2, "more members than are learnt");
}

#[test]
fn documents_beyond_the_cap_are_one_refusal() {
    let limits = ReadLimits { documents_max: 2, ..ReadLimits::default() };
    let lines = format!("{EVENT}\n\n{EVENT}\n \n");
    assert_eq!(check(&decoder(TABLE, JsonFraming::Auto, limits), lines.as_bytes()), 2);
    let lines = format!("{EVENT}\n{EVENT}\n{EVENT}\n{EVENT}\n");
    assert_eq!(check(&decoder(TABLE, JsonFraming::Lines, limits), lines.as_bytes()), 2);
}

#[test]
fn what_is_made_of_one_input_is_bounded_on_the_short_way_too() {
    let decoder = PackageDecoder {
        output_bytes_max: 10_000,
        ..decoder(TABLE, JsonFraming::Lines, ReadLimits::default())
    };
    let line = format!(r#"{{"vin":"WVWZZZ1JZ3W386752","event":"x","raw":"{}"}}"#, "00".repeat(1_000));
    let lines = format!("{line}\n").repeat(12);
    // Each takes 256 bytes and its thousand.
    assert_eq!(check(&decoder, lines.as_bytes()), 7);
    assert_eq!(decoder.decode(lines.as_bytes()).refusals.len(), 5);
}

fn leaf() -> impl Strategy<Value = String> {
    let numbers = prop::sample::select(vec![
        "0",
        "-0",
        "7",
        "-7",
        "3",
        "1700000000250",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "123456789012345678901",
        "1.50",
        "-2.5",
        "1e3",
        "1E+2",
        "0.1e-7",
        "1e400",
        "01",
        "1.",
        "-",
        "5.0",
    ]);
    let texts = prop::sample::select(vec![
        "",
        "UNKNOWN_ID",
        "HEARTBEAT",
        "can.flood",
        "new thing",
        "CHASSIS",
        "7E0",
        "0x7e0",
        "12.5",
        "true",
        "5",
        "7",
        "WVWZZZ1JZ3W386752",
        "wvwzzz1jz3w386752",
        "see WVWZZZ1JZ3W386752",
        "tcu-123456",
        "at tcu-123456 now",
        "DE AD",
        "2023-11-14T22:13:20.25Z",
        "2023-11-15T00:13:20+02:00",
        "é",
        "a\\u0062",
        "\\ud83d\\ude00",
        "\\ud83d",
        "\\/\\n",
        "\\x",
        "tab\tinside",
        "quote \\\" inside",
        "back \\\\",
        "\u{7f}",
    ]);
    prop_oneof![
        4 => numbers.prop_map(str::to_owned),
        6 => texts.prop_map(|text| format!("\"{text}\"")),
        1 => "[a-z\\\\u0-9]{0,12}".prop_map(|text| format!("\"{text}\"")),
        1 => Just(format!("\"{}é\"", "long ".repeat(60))),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_map(|number| format!("{number:e}")),
        1 => prop::sample::select(vec!["null", "true", "false", "nul", "NaN"]).prop_map(str::to_owned),
    ]
}

fn blank() -> impl Strategy<Value = &'static str> {
    prop_oneof![8 => Just(""), 2 => Just(" "), 1 => Just("\t "), 1 => Just("\r")]
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "vin",
        "ts",
        "sev",
        "n",
        "bus",
        "source",
        "device",
        "a",
        "raw",
        "signature",
        "event",
        "data",
        "id",
        "gap_ms",
        "temperature",
        "de.tector",
        "list",
        "path",
        "gone",
        "deep",
        "x",
        "",
        "data.id",
        "a[1]",
        "v\\u0069n",
        "é",
        "[0]",
    ])
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec((blank(), key(), blank(), value), 0..7).prop_map(|members| {
        let members =
            members.iter().map(|(one, key, two, value)| format!("{one}\"{key}\"{two}:{one}{value}{two}"));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    })
}

fn value() -> impl Strategy<Value = String> {
    let leaf = leaf().boxed();
    leaf.prop_recursive(4, 40, 6, |inner| {
        let list = prop::collection::vec((blank(), inner.clone()), 0..4).prop_map(|values| {
            let values = values.iter().map(|(blank, value)| format!("{blank}{value}{blank}"));
            format!("[{}]", values.collect::<Vec<_>>().join(","))
        });
        prop_oneof![1 => list, 2 => object(inner)]
    })
}

/// A line: the usual event with other members behind it or in the place of its own, any object, or anything.
fn line() -> impl Strategy<Value = String> {
    let replaced = (key(), value()).prop_map(|(key, value)| {
        let (before, _) =
            EVENT.split_once(&format!("\"{key}\":")).unwrap_or((EVENT.trim_end_matches('}'), ""));
        let before = before.trim_end().trim_end_matches(',');
        let comma = if before.ends_with('{') || before.is_empty() { "" } else { "," };
        format!("{before}{comma}\"{key}\":{value}}}")
    });
    let appended = prop::collection::vec((key(), value()), 0..4).prop_map(|members| {
        let members: String = members.iter().map(|(key, value)| format!(",\"{key}\":{value}")).collect();
        EVENT.replace("]}", &format!("]{members}}}"))
    });
    let own = prop::collection::vec((key(), value()), 0..5).prop_map(|members| {
        let members: String = members.iter().map(|(key, value)| format!(",\"{key}\":{value}")).collect();
        format!(r#"{{"vin":"WVWZZZ1JZ3W386752","device":"tcu-123456","n":12,"event":"UNKNOWN_ID"{members}}}"#)
    });
    prop_oneof![
        1 => Just(EVENT.to_owned()),
        3 => replaced,
        3 => appended,
        4 => own,
        2 => object(value()),
        1 => value(),
        1 => (1usize..40).prop_map(|depth| format!("{}1{}", "{\"x\":".repeat(depth), "}".repeat(depth))),
        1 => Just(String::new()),
    ]
}

/// Byte order mark of UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";

fn input() -> impl Strategy<Value = Vec<u8>> {
    let end = prop::sample::select(vec![
        "\n",
        "\n",
        "\n",
        "\r\n",
        "\n\n",
        " \n",
        " trailing\n",
        "\r\r\n",
        "\n\u{feff}",
        "\0\n",
    ]);
    let lines = prop::collection::vec((line(), end), 0..8);
    let byte =
        prop_oneof![4 => any::<u8>(), 1 => prop::sample::select(vec![0, 0x7f, 0xc3, 0xff, b'"', b'\\'])];
    let flips = prop::collection::vec((any::<prop::sample::Index>(), byte), 0..4);
    (lines, flips, 0u8..4).prop_map(|(lines, flips, is_mutated)| {
        let mut bytes: Vec<u8> = if is_mutated == 1 { MARK.to_vec() } else { Vec::new() };
        bytes.extend(lines.iter().flat_map(|(line, end)| [line.as_bytes(), end.as_bytes()].concat()));
        if is_mutated == 0 && !bytes.is_empty() {
            for (place, byte) in flips {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn the_short_way_makes_the_same_of_any_lines(
        bytes in input(),
        framing in prop::sample::select(vec![JsonFraming::Lines, JsonFraming::Auto]),
        small in prop::option::of((1usize..4, 3usize..30, 1usize..4, 60usize..400)),
    ) {
        let limits = small.map_or(ReadLimits::default(), |(documents_max, values_max, depth_max, bytes_max)| {
            ReadLimits { documents_max, values_max, depth_max, bytes_max }
        });
        for table in [TABLE, OTHER_TABLE, ODD_TABLE] {
            check(&decoder(table, framing, limits), &bytes);
        }
    }

    #[test]
    fn the_short_way_makes_the_same_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&decoder(TABLE, JsonFraming::Lines, ReadLimits::default()), &bytes);
    }
}
