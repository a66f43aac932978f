use outrider_types::{Severity, UnixMicros};
use proptest::prelude::*;

use super::*;
use crate::record::{TypeName, Value as FieldValue, VehicleName};

const PROGRAM: &str = r#"
if .kind == "heartbeat" {
  . = { "ignore": true }
} else {
  severity = "medium"
  if .level == 3 { severity = "critical" }
  id = parse_int!(.frame.id, 16)
  parts = split!(.source, "/")
  . = {
    "vehicle": { "vin": .vin },
    "time": from_unix!(.ts, "ms"),
    "type": "can.unknown_id",
    "severity": severity,
    "ecu": parts[1],
    "fields": { "can_id": id },
    "extensions": { "raw_level": .level, "other.name": upcase!(.note) },
  }
}
"#;

fn run(program: &str, doc: &Doc) -> Result<Option<Output>, MapError> {
    VrlMap::compile(program, "acme").map(|map| map.map(doc.clone())).unwrap_or_else(|error| panic!("{error}"))
}

fn text(text: &str) -> Doc {
    Doc::Text(text.to_owned())
}

fn map(entries: &[(&str, Doc)]) -> Doc {
    Doc::Map(entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

fn event() -> Doc {
    map(&[
        ("kind", text("alarm")),
        ("vin", text("WVWZZZ1JZ3W386752")),
        ("ts", Doc::Int(1_700_000_000_250)),
        ("level", Doc::Int(3)),
        ("source", text("body/gateway")),
        ("note", text("door")),
        ("frame", map(&[("id", text("7e0"))])),
    ])
}

#[test]
fn a_program_makes_a_record() {
    let Ok(Some(Output::Event(record))) = run(PROGRAM, &event()) else { panic!("an event") };
    assert_eq!(record.vehicle, Some(VehicleName::Vin("WVWZZZ1JZ3W386752".to_owned())));
    assert_eq!(record.time, Some(UnixMicros(1_700_000_000_250_000)));
    assert!(matches!(record.event_type, TypeName::Known(_)));
    assert_eq!(record.severity, Some(Severity::Critical));
    assert_eq!(record.ecu.as_deref(), Some("gateway"));
    assert_eq!(record.fields, [(outrider_wire::catalogue::field::CAN_ID, FieldValue::Int(0x7e0))]);
    let foreign: Vec<_> =
        record.extensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(foreign, [("other.name", "DOOR"), ("acme.raw_level", "3")]);
    let beat = map(&[("kind", text("heartbeat"))]);
    assert_eq!(run(PROGRAM, &beat), Ok(None));
}

#[test]
fn what_a_program_cannot_do_is_said_by_reason_without_the_documents_words() {
    let reason = |program: &str| run(program, &event()).expect_err(program);
    let error = reason("abort \"bad {{ x }}\"".replace("{{ x }}", "vehicle").as_str());
    assert_eq!((error.reason, error.place.as_str()), ("map.abort", "line 1"));
    let error = reason("\n. = { \"type\": \"x\", \"n\": parse_int!(.vin, 10) }");
    assert_eq!(error.reason, "map.program");
    assert!(!error.place.contains("WVW"), "{}", error.place);
    for (program, expected) in [
        (". = { \"typo\": 1 }", "map.shape"),
        (". = { \"ecu\": \"x\" }", "map.type"),
        (". = { \"type\": \"x\", \"vehicle\": { \"vin\": \"short\" } }", "map.vehicle"),
        (". = { \"type\": \"x\", \"fields\": { \"no_such\": 1 } }", "map.shape"),
        (". = { \"type\": \"x\", \"fields\": { \"can_id\": [] } }", "map.field"),
        (". = { \"type\": \"x\", \"time\": \"soon\" }", "map.time"),
        (". = { \"type\": \"x\", \"severity\": \"awful\" }", "map.shape"),
    ] {
        assert_eq!(reason(program).reason, expected, "{program}");
    }
}

#[test]
fn the_world_outside_is_out_of_reach() {
    for call in [
        "get_env_var!(\"HOME\")",
        "now()",
        "http_request!(\"http://127.0.0.1\")",
        "dns_lookup!(\"a\")",
        "get_hostname!()",
        "random_int(0, 9)",
        "uuid_v4()",
        "log(\"x\")",
        "read_file!(\"/etc/passwd\")",
        "for_each([1]) -> |i, v| { . = v }",
        "get_timezone_name!()",
    ] {
        let error = VrlMap::compile(&format!(". = {call}"), "acme").expect_err(call).to_string();
        assert!(error.contains("there is no function") || error.contains("line 1"), "{call}: {error}");
    }
    // The zone of the machine would make results differ between machines.
    let program =
        ". = { \"type\": \"x\", \"time\": parse_time!(\"2023-11-14 22:13:20\", \"%Y-%m-%d %H:%M:%S\") }";
    let Ok(Some(Output::Event(record))) = run(program, &Doc::Null) else { panic!("an event") };
    assert_eq!(record.time, Some(UnixMicros(1_700_000_000_000_000)));
}

#[test]
fn a_program_that_could_fill_the_memory_is_refused_before_it_runs() {
    let refused = |program: &str| VrlMap::compile(program, "acme").expect_err(program).to_string();
    let doubled = |line: &str| format!("x = .vin\n{}", format!("{line}\n").repeat(40));
    for line in [
        "x = [x, x]",
        "x = {\"a\": x, \"b\": x}",
        "x = x + x ?? x",
        "x.y = x",
        "x = \"{{x}}{{x}}\"",
        ". = [., .]",
        "if true { x = [x, x] }",
        "x, err = x + x",
        "x = hex!(x)",
        "x = (x | {\"a\": x}) ?? x",
    ] {
        let error = refused(&doubled(line));
        assert!(error.contains("could") || error.contains("floating-point"), "{line}: {error}");
    }
    assert!(refused("x = \"a\" * 1000000000\n. = { \"type\": x }").contains("multiply(a, b)"));
    assert!(refused("x = []\nx[999999999] = 1\n. = x").contains("beyond 1024"));
    assert!(refused(".a[-999999999] = 1").contains("beyond 1024"));
    let error = refused("a = 1\nb = 2\nx = .v\nx = [x,x]\nx = [x,x]\nx = [x,x]\nx = [x,x]\nx = [x,x]\n. = x");
    assert!(error.contains("line 8"), "{error}");
}

#[test]
fn deep_nesting_is_refused_before_it_is_parsed() {
    let deep = [
        "(".repeat(10_000),
        "!".repeat(10_000),
        format!("x = {}1", "[".repeat(5_000)),
        format!("x = 1{}", " + 1".repeat(5_000)),
        format!("x = 1{}", " +\n1".repeat(5_000)),
        format!("x = 1{}", "\n ?? 1".repeat(5_000)),
        "a = ".repeat(5_000),
        format!("if true {{ }}{}", " else if true { }".repeat(3_000)),
        "{".repeat(5_000),
        format!(". = {}", "{\"a\":".repeat(5_000)),
    ];
    for program in deep {
        assert!(VrlMap::compile(&program, "acme").is_err(), "{}", &program[..20]);
    }
    let long: String = (0..2_000).map(|line| format!("a{line} = 1\n")).collect();
    VrlMap::compile(&format!("{long}. = {{ \"type\": \"x\" }}"), "acme")
        .expect("a long program is not a deep one");
}

proptest! {
    #[test]
    fn any_text_is_a_program_or_not(text in "\\PC{0,120}") {
        let _ = VrlMap::compile(&text, "acme");
    }

    #[test]
    fn any_words_of_the_language_are_a_program_or_not(words in proptest::collection::vec(prop_oneof![
        Just("x"), Just("."), Just(".a"), Just("="), Just("|="), Just("["), Just("]"), Just("{"), Just("}"), Just("("), Just(")"),
        Just("+"), Just("*"), Just("??"), Just("!"), Just("if"), Just("else"), Just("\n"), Just("1"), Just("2.5"), Just("\"s\""),
        Just("\"{{x}}\""), Just("r'(?P<a>.)'"), Just("abort"), Just(","), Just("to_int!("), Just("split!("), Just("[0]"), Just(":"),
    ], 0..40)) {
        if let Ok(map) = VrlMap::compile(&words.join(" "), "acme") {
            let _ = map.map(event());
        }
    }
}
