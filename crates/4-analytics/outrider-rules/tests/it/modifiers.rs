//! Modifiers of Sigma 2.1 that compare more than a value: parts of dates, other fields, whole events.

use expect_test::{Expect, expect};
use outrider_rules::{Matches, RuleFile, RuleIndex, Taxonomy, foreign::ForeignEvents, load, load_with};

fn rule(detection: &str) -> String {
    format!(
        "title: t\nid: 5c8f4e0a-2f5b-4a7e-9a55-0d5a4c1f7b21\nlevel: low\ndescription: d\ntags: [unr155.20.1]\n\
         logsource: {{product: vehicle, category: can}}\ndetection:\n{detection}"
    )
}

fn check(detection: &str, expected: Expect) {
    let text = rule(detection);
    let loaded = load(&[RuleFile { name: "a.yml", text: &text }]);
    let lines: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    expected.assert_eq(&lines.join("\n"));
    assert!(loaded.rules.rules().is_empty());
}

/// Rows of foreign events that a rule matches.
fn rows(detection: &str, events: &str) -> Vec<u32> {
    let events = ForeignEvents::read(events).expect("the test writes events");
    let text = rule(detection).replace("product: vehicle, category: can", "product: other");
    let loaded = load_with(&[RuleFile { name: "a.yml", text: &text }], Taxonomy::Foreign(&events.fields));
    assert_eq!(loaded.errors().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    let mut matches = Matches::new();
    loaded.rules.evaluate(&events.batch, &mut matches);
    let found = matches.of(RuleIndex(0)).to_vec();
    let slow = (0..events.batch.rows()).filter(|row| loaded.rules.rules()[0].matches(&events.batch, *row));
    assert_eq!(slow.map(|row| u32::try_from(row).expect("few rows")).collect::<Vec<_>>(), found);
    found
}

#[test]
fn dates_and_references_are_refused_where_they_cannot_be_compared() {
    check(
        "  s:\n    event_time: 2026\n    event_time|hour: 24\n    event_time|week|gte: x\n    can_id|day: 1\n\
         \u{20}   event_time|hour|minute: 1\n    event_time|year|contains: 2\n    event_time|month: null\n\
         \u{20}   event_time|gte: 5\n    event_time|day|day: 5\n  condition: s\n",
        expect![[r#"
            a.yml:9:5: error [rule.kind] `event_time` is compared by its parts (add one of minute, hour, day, week, month, year)
            a.yml:10:22: error [rule.value] `24` is not a number of `hour` (0 to 23)
            a.yml:11:26: error [rule.value] `x` is not a number of `week` (1 to 53)
            a.yml:12:5: error [rule.kind] `can_id` is int and no date (use event_time)
            a.yml:13:21: error [rule.modifier] `minute` cannot follow `hour` (use two items)
            a.yml:14:5: error [rule.modifier] `year` gives a number (compare it with equality, neq, gt, gte, lt or lte)
            a.yml:15:23: error [rule.values] `month|equals` cannot be compared with null
            a.yml:16:5: error [rule.kind] `event_time` is compared by its parts (add one of minute, hour, day, week, month, year)
            a.yml:17:20: error [rule.modifier] `day` appears twice"#]],
    );
    check(
        "  s:\n    can_id|fieldref: detector\n    can_id|fieldref|gte: bus\n    detector|fieldref: detectr\n\
         \u{20}   detector|fieldref|base64: ecu\n    detector|fieldref|contains: null\n    can_id|fieldref|startswith: bus\n\
         \u{20}   can_id|fieldref|neq: campaign\n  condition: s\n",
        expect![[r#"
            a.yml:9:22: error [rule.kind] `can_id` is int and `detector` is text (compare fields of one kind)
            a.yml:10:5: error [rule.modifier] `fieldref` compares two fields as they stand (with equality, neq, contains, startswith or endswith)
            a.yml:11:24: error [rule.unknown_field] unknown field `detectr` (did you mean `detector`?)
            a.yml:12:5: error [rule.modifier] `fieldref` compares two fields as they stand (with equality, neq, contains, startswith or endswith)
            a.yml:13:33: error [rule.values] `fieldref|contains` cannot be compared with null
            a.yml:14:5: error [rule.kind] `startswith` needs text, but `can_id` is int (compare with equality, gt, gte, lt or lte)
            a.yml:15:26: error [rule.kind] `can_id` is int and `campaign` is text (compare fields of one kind)"#]],
    );
}

#[test]
fn keywords_and_conditions_of_the_wrong_shape_are_refused_at_their_place() {
    check(
        "  s: [word, null]\n  t:\n    '|gte': 5\n  u:\n    '|all': [one]\n  v: [word, {can_id: x}]\n  w: []\n\
         \u{20} condition: 1 of them\n",
        expect![[r#"
            a.yml:8:13: error [rule.shape] this is neither a map nor a keyword (a list holds maps of fields, or keywords)
            a.yml:10:6: error [rule.keywords] keywords are compared as text (with all, cased, re, windash, base64 or base64offset, contains, startswith or endswith)
            a.yml:12:13: error [rule.modifier] `all` needs several values (leave `all` out)
            a.yml:13:22: error [rule.value] `x` is not an integer, but `can_id` is int (write 53 or 0x35; numbers have no wildcards)
            a.yml:14:6: error [rule.shape] selection is empty (name at least one field)"#]],
    );
    check(
        "  s: {can_id: 1}\n  condition:\n    - s\n    - s and x\n    - {a: s}\n",
        expect![[r#"
            a.yml:11:13: error [rule.condition] there is no selection `x` (did you mean `s`?)
            a.yml:12:7: error [rule.condition] `condition` must be text, or a list of texts (such as condition: selection and not filter)"#]],
    );
    check(
        "  s: {can_id: 1}\n  condition: []\n",
        expect![[r#"
        a.yml:9:14: error [rule.condition] `condition` is empty (name a selection)
        a.yml:9:14: warning [lint.unused_selection] selection `s` is not used"#]],
    );
    check(
        "  s: {detector|all: ['a*', 'b\\*']}\n  condition: s\n",
        expect![
            "a.yml:8:7: error [rule.kind] a field has one value, which cannot equal all of several (`all` goes with wildcards, contains, startswith, endswith, re or cidr)"
        ],
    );
}

#[test]
fn parts_of_a_date_are_compared_as_they_are_written() {
    let events =
        r#"{"at": "2026-01-05T23:30:00+09:00"} {"at": "2026-01-06 00:05:00.25"} {"at": "soon"} {"other": 1}"#;
    assert_eq!(rows("  s: {at|hour: 23}\n  condition: s\n", events), [0]);
    assert_eq!(rows("  s: {at|hour|lt: 6}\n  condition: s\n", events), [1]);
    assert_eq!(rows("  s: {at|day|gte: 5}\n  condition: s\n", events), [0, 1]);
    assert_eq!(rows("  s: {at|week: [1, 2]}\n  condition: s\n", events), [0, 1]);
    assert_eq!(rows("  s: {at|year|neq: 2026}\n  condition: s\n", events), [2, 3]);
    assert_eq!(rows("  s: {at|minute: 30, at|month: 1}\n  condition: s\n", events), [0]);
}

#[test]
fn a_reference_needs_both_fields() {
    let events =
        r#"{"a": "Xy", "b": "xY"} {"a": "xyz", "b": "xy"} {"a": "xy"} {"b": "xy"} {"a": 5, "b": 5.0}"#;
    assert_eq!(rows("  s: {a|fieldref: b}\n  condition: s\n", events), [0, 4]);
    assert_eq!(rows("  s: {a|fieldref|cased: b}\n  condition: s\n", events), [4]);
    assert_eq!(rows("  s: {a|fieldref|startswith: b}\n  condition: s\n", events), [0, 1, 4]);
    assert_eq!(rows("  s: {a|fieldref|neq: b}\n  condition: s\n", events), [1, 2, 3]);
}

#[test]
fn a_name_with_several_values_means_one_of_them() {
    let events = r#"{"d": ["one", "two"]} {"d": ["three"]} {"d": []} {"d": null}"#;
    assert_eq!(rows("  s: {d: two}\n  condition: s\n", events), [0]);
    assert_eq!(rows("  s: {d|contains|all: [on, tw]}\n  condition: s\n", events), [0]);
    assert_eq!(rows("  s: {d: null}\n  condition: s\n", events), [2, 3]);
    assert_eq!(rows("  s: {d|exists: true}\n  condition: s\n", events), [0, 1, 3]);
    assert_eq!(rows("  s: {d|neq: two}\n  condition: s\n", events), [1, 2, 3]);
}

#[test]
fn numbers_of_foreign_events_compare_as_numbers_and_null_and_empty_differ() {
    let events = r#"{"n": 7, "t": ""} {"n": "12", "t": null} {"n": 7.50, "t": "x"} {"n": "x"}"#;
    assert_eq!(rows("  s: {n: 7}\n  condition: s\n", events), [0]);
    assert_eq!(rows("  s: {n|gte: 7.5}\n  condition: s\n", events), [1, 2]);
    assert_eq!(rows("  s: {n: 7.5}\n  condition: s\n", events), [2]);
    assert_eq!(rows("  s: {t: ''}\n  condition: s\n", events), [0]);
    assert_eq!(rows("  s: {t: null}\n  condition: s\n", events), [1, 3]);
    assert_eq!(rows("  s: {t: [null, '']}\n  condition: s\n", events), [0, 1, 3]);
    // What is null is there, but has no value.
    assert_eq!(rows("  s: {t|exists: false}\n  condition: s\n", events), [3]);
    assert_eq!(rows("  s: {t|exists: true, t: null}\n  condition: s\n", events), [1]);
}

#[test]
fn escapes_are_those_of_the_specification() {
    let events =
        r#"{"p": "C:\\a\\b"} {"p": "a*b"} {"p": "axb"} {"p": "\\\\srv\\x"} {"p": "a\\*b"} {"p": "a\\xb"}"#;
    assert_eq!(rows("  s: {p: 'C:\\a\\b'}\n  condition: s\n", events), [0]);
    assert_eq!(rows("  s: {p: 'C:\\\\a\\\\b'}\n  condition: s\n", events), [0]);
    assert_eq!(rows("  s: {p: 'a*b'}\n  condition: s\n", events), [1, 2, 4, 5]);
    assert_eq!(rows("  s: {p: 'a\\*b'}\n  condition: s\n", events), [1]);
    assert_eq!(rows("  s: {p: 'a\\\\*b'}\n  condition: s\n", events), [4, 5]);
    assert_eq!(rows("  s: {p: 'a\\\\\\*b'}\n  condition: s\n", events), [4]);
    assert_eq!(rows("  s: {p|startswith: '\\\\\\\\srv'}\n  condition: s\n", events), [3]);
    assert_eq!(rows("  s: {p: 'a?b'}\n  condition: s\n", events), [1, 2]);
}
