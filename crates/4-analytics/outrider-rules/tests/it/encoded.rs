//! Values that are looked for in an encoded form, or with other dashes.

use outrider_model::catalogue::{event_type_by_name, field_by_name};
use outrider_model::{EventBatch, EventRow, FieldValue};
use outrider_rules::{Matches, RuleFile, load};
use outrider_types::{
    BootEpoch, EventId, EventTime, IngestTime, Lane, Seq, Severity, TenantId, UnixMicros, VehicleId,
    VehicleMicros,
};

/// Rows with a process name each.
fn batch(names: &[&str]) -> EventBatch {
    let mut batch = EventBatch::new();
    for (seq, name) in (1..).zip(names) {
        batch.push(&EventRow {
            tenant: TenantId(1),
            id: EventId {
                vehicle: VehicleId([1; 16]),
                epoch: BootEpoch(1),
                lane: Lane::Batched,
                seq: Seq(seq),
            },
            event_type: event_type_by_name("host.process_unexpected").expect("in the catalogue").id,
            severity: Severity::Medium,
            time: EventTime { best: UnixMicros(1), error_us: 0 },
            ingest: IngestTime(UnixMicros(1)),
            mono: VehicleMicros(1),
            count: 1,
            span: (VehicleMicros(1), VehicleMicros(1)),
            bus: None,
            context: b"",
        });
        let key = field_by_name("process_name").expect("in the catalogue").key;
        assert!(batch.set_field(key, FieldValue::Text(name)));
    }
    batch.seal();
    batch
}

/// Rows that `process_name|MODIFIERS: VALUES` matches, by the index and one by one.
fn matching(modifiers: &str, values: &str, names: &[&str]) -> Vec<u32> {
    let text = format!(
        "title: t\nid: 5c8f4e0a-2f5b-4a7e-9a55-0d5a4c1f7b21\ndescription: d\nlevel: low\ntags: [unr155.11.1]\n\
         logsource: {{product: vehicle, category: host}}\ndetection:\n  s:\n    process_name|{modifiers}: {values}\n  condition: s\n"
    );
    let loaded = load(&[RuleFile { name: "a.yml", text: &text }]);
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    let batch = batch(names);
    let mut matches = Matches::new();
    loaded.rules.evaluate(&batch, &mut matches);
    let indexed: Vec<u32> = matches.iter().flat_map(|(_, rows)| rows.to_vec()).collect();
    let rule = &loaded.rules.rules()[0];
    let plain: Vec<u32> = (0..).take(names.len()).filter(|row| rule.matches(&batch, *row as usize)).collect();
    assert_eq!(indexed, plain);
    indexed
}

#[test]
fn a_script_is_found_in_base64_of_utf16_at_any_offset() {
    // What `powershell -enc` takes: base64 of UTF-16, here of "x; Invoke-It y" behind 0, 1 and 2 characters.
    let names = [
        "eAA7ACAASQBuAHYAbwBrAGUALQBJAHQAIAB5AA==",
        "YQB4ADsAIABJAG4AdgBvAGsAZQAtAEkAdAAgAHkA",
        "YQBiAHgAOwAgAEkAbgB2AG8AawBlAC0ASQB0ACAAeQA=",
        "Invoke-It",
        "eAA7ACAASQBuAHYAbwBrAGUALQBYAHQAIAB5AA==",
    ];
    assert_eq!(matching("wide|base64offset|contains", "'Invoke-It'", &names), [0, 1, 2]);
    assert_eq!(matching("utf16le|base64offset|contains|all", "['Invoke', '-It']", &names), [0, 1, 2]);
    assert_eq!(matching("contains", "'invoke-it'", &names), [3]);
}

#[test]
fn base64_of_a_whole_value_is_compared_whole() {
    let names = ["Zm9vYmFy", "xZm9vYmFy", "zm9vymfy", "foobar"];
    assert_eq!(matching("base64", "foobar", &names), [0, 2], "case does not count in Sigma");
    assert_eq!(matching("base64|cased", "foobar", &names), [0]);
    assert_eq!(matching("base64|endswith", "foobar", &names), [0, 1, 2]);
}

#[test]
fn an_option_is_found_behind_every_dash() {
    let names = [
        "tool -enc x",
        "tool /enc x",
        "tool \u{2013}enc x",
        "tool \u{2015}ENC x",
        "tool enc x",
        "tool=enc x",
    ];
    assert_eq!(matching("windash|contains", "' -enc '", &names), [0, 1, 2, 3]);
    assert_eq!(matching("contains|windash|all", "['tool', '/enc']", &names), [0, 1, 2, 3]);
    assert_eq!(matching("contains", "' -enc '", &names), [0]);
}
