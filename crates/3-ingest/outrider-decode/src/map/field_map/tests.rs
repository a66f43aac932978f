use outrider_types::{Severity, UnixMicros};
use outrider_wire::catalogue::field;
use proptest::prelude::*;

use super::*;
use crate::record::{TypeName, Value};

const MAP: &str = r#"
namespace = "acme"
vehicle = { path = "vin", kind = "vin" }
time = { path = "ts", form = "unix_ms", error_s = 2.5 }
severity = { path = "sev", values = { "5" = "critical", "1" = "info" } }
count = { path = "n" }
bus = { path = "bus", values = { CHASSIS = 2 } }
ecu = { path = "source" }
key = { paths = ["device", "counter"] }
context = { path = "raw", encoding = "hex" }
rest = { except = ["signature"] }
ignore = [{ path = "event", equals = "HEARTBEAT" }]

[type]
path = "event"
values = { UNKNOWN_ID = "can.unknown_id" }

[[field]]
to = "can_id"
path = "data.id"
base = 16
required = true

[[field]]
to = "gap_us"
path = "data.gap_ms"
scale = 1000.0
min = 0.0
"#;

fn map() -> FieldMap {
    FieldMap::parse(MAP).expect("a mapping")
}

fn doc(json: serde_json::Value) -> Doc {
    match json {
        serde_json::Value::Null => Doc::Null,
        serde_json::Value::Bool(value) => Doc::Bool(value),
        serde_json::Value::Number(value) => {
            value.as_i64().map_or_else(|| Doc::Float(value.as_f64().expect("a number")), Doc::Int)
        }
        serde_json::Value::String(value) => Doc::Text(value),
        serde_json::Value::Array(values) => Doc::List(values.into_iter().map(doc).collect()),
        serde_json::Value::Object(values) => {
            Doc::Map(values.into_iter().map(|(name, value)| (name, doc(value))).collect())
        }
    }
}

fn event() -> serde_json::Value {
    serde_json::json!({
        "vin": "wvwzzz1jz3w386752", "ts": 1_700_000_000_250_i64, "sev": "5", "n": 3, "bus": "CHASSIS",
        "source": "GW", "device": "d1", "counter": 17, "raw": "DE AD", "signature": "x", "event": "UNKNOWN_ID",
        "data": { "id": "7E0", "gap_ms": 12.5, "temperature": -4 },
    })
}

#[test]
fn a_table_makes_a_record_with_units_and_keeps_the_rest() {
    let Ok(Some(Output::Event(record))) = map().map(doc(event())) else { panic!("an event") };
    assert_eq!(record.vehicle, Some(VehicleName::Vin("WVWZZZ1JZ3W386752".to_owned())));
    assert_eq!(record.time, Some(UnixMicros(1_700_000_000_250_000)));
    assert_eq!(record.time_error_us, Some(2_500_000));
    assert_eq!(record.severity, Some(Severity::Critical));
    assert_eq!((record.count, record.bus, record.ecu.as_deref()), (3, Some(2), Some("GW")));
    assert_eq!(record.key.as_deref(), Some("d1\u{1f}17"));
    assert_eq!(record.context, [0xde, 0xad]);
    assert_eq!(record.fields, [(field::CAN_ID, Value::Int(0x7e0)), (field::GAP_US, Value::Int(12_500))]);
    let rest: Vec<_> = record.extensions.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    assert_eq!(
        rest,
        [("acme.counter", "17"), ("acme.data.temperature", "-4"), ("acme.device", "d1")],
        "the signature is left out"
    );
    assert!(!format!("{record:?}").to_uppercase().contains("WVWZZZ"), "PRIV-1");
}

#[test]
fn what_does_not_fit_is_refused_by_reason_or_kept_under_its_own_name() {
    let with = |name: &str, value: serde_json::Value| {
        let mut event = event();
        event[name] = value;
        map().map(doc(event))
    };
    let reason = |result: Result<Option<Output>, MapError>| result.expect_err("refused").reason;
    assert_eq!(reason(with("vin", "WVWZZZ1JZ3W38675".into())), "map.vehicle");
    assert_eq!(reason(with("ts", "soon".into())), "map.time");
    assert_eq!(reason(with("event", serde_json::Value::Null)), "map.type");
    assert_eq!(reason(with("data", serde_json::json!({ "id": "XYZ" }))), "map.field");
    assert_eq!(with("event", "HEARTBEAT".into()), Ok(None));
    let Ok(Some(Output::Event(record))) = with("event", "NEW_THING".into()) else { panic!("an event") };
    assert_eq!(record.event_type, TypeName::Unknown("NEW_THING".to_owned()));
    let known = with("event", "can.flood".into());
    assert!(matches!(known, Ok(Some(Output::Event(Record { event_type: TypeName::Known(_), .. })))));
    let negative = with("data", serde_json::json!({ "id": "7e0", "gap_ms": -1 }));
    let Ok(Some(Output::Event(record))) = negative else { panic!("an event") };
    assert_eq!(record.fields.len(), 1, "a gap cannot be negative");
    assert!(record.extensions.contains(&("acme.data.gap_ms".to_owned(), "-1".to_owned())));
    let Ok(Some(Output::Event(record))) = with("ts", serde_json::Value::Null) else { panic!("an event") };
    assert_eq!(record.time, None, "no time is not now");
}

#[test]
fn an_envelope_gives_its_payload() {
    let text = r#"
namespace = "acme"
vehicle = { path = "device", kind = "foreign" }
payload = { path = "body", encoding = "base64", format_path = "type", format = "acme.v1" }
"#;
    let map = FieldMap::parse(text).expect("a mapping");
    let made = map.map(doc(serde_json::json!({ "device": "d7", "body": "AQI=", "type": "acme.v2" })));
    let Ok(Some(Output::Payload(payload))) = made else { panic!("a payload: {made:?}") };
    assert_eq!((payload.bytes.as_slice(), payload.format.as_str()), ([1, 2].as_slice(), "acme.v2"));
    let refused = map.map(doc(serde_json::json!({ "device": "d7", "body": "!" })));
    assert_eq!(refused.expect_err("no base64").reason, "map.payload");
}

#[test]
fn a_wrong_table_is_refused_with_a_place_and_a_hint() {
    let message = |from: &str, to: &str| {
        let text = MAP.replacen(from, to, 1);
        assert_ne!(text, MAP, "{from}");
        FieldMap::parse(&text).expect_err(to).to_string()
    };
    assert!(message("can.unknown_id", "can.unknown_idd").contains("did you mean `can.unknown_id`?"));
    assert!(message("to = \"can_id\"", "to = \"can_idd\"").contains("did you mean `can_id`?"));
    assert!(message("\"acme\"", "\"Acme\"").contains("namespace"));
    assert!(message("base = 16", "base = 99").contains("base is not 2 to 36"));
    assert!(message("\"unix_ms\"", "\"unix\"").contains("unix_s"));
    assert!(message("[type]", "[typo]").contains("typo"));
    assert!(message("scale =", "scal =").contains("scal"), "a misspelt key does not pass");
    assert!(message("= \"critical\"", "= \"awful\"").contains("`awful` is no severity"));
    assert!(message("to = \"gap_us\"", "to = \"can_id\"").contains("mapped twice"));
}

fn any_doc() -> impl Strategy<Value = Doc> {
    let leaf = prop_oneof![
        Just(Doc::Null),
        any::<bool>().prop_map(Doc::Bool),
        any::<i64>().prop_map(Doc::Int),
        (-1e300..1e300).prop_map(Doc::Float),
        "\\PC{0,20}".prop_map(Doc::Text),
        proptest::collection::vec(any::<u8>(), 0..8).prop_map(Doc::Bytes),
    ];
    let names = prop_oneof![
        Just("vin"),
        Just("ts"),
        Just("event"),
        Just("data"),
        Just("id"),
        Just("raw"),
        Just("n"),
        Just("x.y")
    ];
    leaf.prop_recursive(4, 60, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Doc::List),
            proptest::collection::vec((names.clone().prop_map(str::to_owned), inner), 0..8)
                .prop_map(Doc::Map),
        ]
    })
}

proptest! {
    #[test]
    fn any_document_ends_in_a_record_or_a_reason(doc in any_doc()) {
        if let Ok(Some(Output::Event(record))) = map().map(doc) {
            prop_assert!(record.count >= 1);
            prop_assert!(record.extensions.len() <= super::super::rest::EXTENSIONS_MAX + 1);
        }
    }
}
