//! What the loader says about wrong rules.

use expect_test::{Expect, expect};
use outrider_rules::{RuleFile, load};

/// Problems of a text, one a line.
fn check(text: &str, expected: Expect) {
    let loaded = load(&[RuleFile { name: "a.yml", text }]);
    let lines: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    expected.assert_eq(&lines.join("\n"));
}

/// A rule with the given detection lines, right in everything else.
fn rule(detection: &str) -> String {
    format!(
        "title: t\nid: 5c8f4e0a-2f5b-4a7e-9a55-0d5a4c1f7b21\ndescription: d\nlevel: low\ntags: [unr155.11.1]\n\
         logsource: {{product: vehicle, category: can}}\ndetection:\n{detection}"
    )
}

fn correlation(block: &str) -> String {
    format!(
        "{}  s: {{event_type: can.bus_off}}\n  condition: s\nname: base\n---\ntitle: c\ndescription: d\n\
         id: 5c8f4e0a-2f5b-4a7e-9a55-0d5a4c1f7b22\nlevel: low\ntags: [unr155.11.1]\ncorrelation:\n{block}",
        rule("")
    )
}

#[test]
fn a_right_rule_has_no_problem() {
    check(&rule("  s:\n    can_id|gte: 0x700\n  condition: s\n"), expect![""]);
    check(
        &correlation(
            "  type: event_count\n  rules: base\n  group-by: bus\n  timespan: 5m\n  condition: {gte: 2}\n",
        ),
        expect![""],
    );
}

#[test]
fn missing_parts_are_reported_together() {
    check(
        "description: d\nfalsepositive: x\n",
        expect![[r#"
        a.yml:1:1: error [rule.missing_detection] `detection` is missing
        a.yml:1:1: error [rule.missing_id] `id` is missing (every rule needs a UUID of its own, such as 5c8f4e0a-2f5b-4a7e-9a55-0d5a4c1f7b21)
        a.yml:1:1: error [rule.missing_logsource] `logsource` is missing (such as logsource: {product: vehicle, category: can})
        a.yml:1:1: error [rule.missing_title] `title` is missing (say in a few words what the finding states)
        a.yml:1:1: warning [lint.level] `level` is missing, medium is used
        a.yml:1:1: warning [lint.unr155] no tag names a threat of UN R155 (add a tag such as unr155.18.3, so that coverage of UN R155 can be shown)
        a.yml:2:1: warning [rule.unknown_key] unknown key `falsepositive` (did you mean `falsepositives`?)"#]],
    );
}

#[test]
fn encodings_say_what_they_need() {
    let item = |item: &str| rule(&format!("  s:\n    {item}: 'abc'\n  condition: s\n"));
    check(
        &item("process_name|wide|contains"),
        expect![
            "a.yml:9:5: error [rule.modifier] a text field holds no bytes of UTF-16 (add base64 or base64offset)"
        ],
    );
    check(
        &item("process_name|contains|base64"),
        expect![
            "a.yml:9:27: error [rule.modifier] `base64` comes once, before what is compared (write base64|contains)"
        ],
    );
    check(
        &item("process_name|base64|utf16"),
        expect!["a.yml:9:25: error [rule.modifier] `utf16` comes first (write utf16|base64|…)"],
    );
    check(
        &item("process_name|windash|re"),
        expect![
            "a.yml:9:5: error [rule.modifier] only text that is compared as it stands is encoded or has dashes (with equality, contains, startswith or endswith)"
        ],
    );
    check(
        &item("process_name|windash|base64"),
        expect!["a.yml:9:5: error [rule.modifier] `windash` and base64 exclude each other"],
    );
    check(
        &item("user_id|base64"),
        expect![
            "a.yml:9:5: error [rule.modifier] only text that is compared as it stands is encoded or has dashes (with equality, contains, startswith or endswith)"
        ],
    );
    check(
        &rule("  s: {process_name|base64: 'a*'}\n  condition: s\n"),
        expect![[
            r#"a.yml:8:28: error [rule.value] a wildcard cannot be encoded (write \* for a star that is meant)"#
        ]],
    );
    check(
        &rule("  s: {process_name|base64offset|contains: 'a'}\n  condition: s\n"),
        expect![
            "a.yml:8:43: error [rule.value] `a` is too short to be found in base64 (two bytes are the least)"
        ],
    );
}

#[test]
fn unknown_names_are_reported_at_their_place_with_the_nearest_name() {
    check(
        &rule(
            "  s:\n    can_di: 1\n    can_id|contians: 2\n    'can_id|fieldref': 3\n    event_type: can.busoff\n  condition: s\n",
        ),
        expect![[r#"
            a.yml:9:5: error [rule.unknown_field] unknown field `can_di` (did you mean `can_id`?)
            a.yml:10:12: error [rule.unknown_modifier] unknown modifier `contians` (did you mean `contains`?)
            a.yml:11:24: error [rule.unknown_field] unknown field `3` (did you mean `h3`?)
            a.yml:12:17: error [rule.value] no event type matches `can.busoff` (did you mean `can.bus_off`?)"#]],
    );
    check(
        &rule("  s: {can_id: 1}\n  condition: s and filter\n"),
        expect!["a.yml:9:20: error [rule.condition] there is no selection `filter` (the rule has s)"],
    );
}

#[test]
fn impossible_conditions_are_reported() {
    check(
        &rule("  s: {campaign: x}\n  condition: s\n"),
        expect![
            "a.yml:8:7: error [rule.impossible] no event that this rule can match carries `campaign` (it is a field of ota.signature_failure, ota.downgrade_rejected, ota.install_failed, ota.metadata_invalid)"
        ],
    );
    check(
        &rule("  s: {event_type: ota.signature_failure}\n  condition: s\n"),
        expect![
            "a.yml:9:14: error [rule.impossible] no event type can meet the condition (compare `event_type` with the category of the log source)"
        ],
    );
    check(
        &rule("  s: {tx_errors: 1, dlc_expected: 2}\n  condition: s\n"),
        expect![
            "a.yml:9:14: error [rule.impossible] no single event type carries all the fields that the condition needs together (use a correlation over two rules)"
        ],
    );
    check(
        &rule("  s: {event_type: can.bus_off}\n  condition: s and not s\n"),
        expect![
            "a.yml:9:14: error [rule.impossible] no event type can meet the condition (compare `event_type` with the category of the log source)"
        ],
    );
}

#[test]
fn values_must_fit_the_kind_of_their_field() {
    check(
        &rule(
            "  a: {can_id: many}\n  b: {can_id|contains: 1}\n  c: {detector|gte: 1}\n  d: {detector|re: '(x'}\n\
             \u{20} e: {detector|re: '(?=x)'}\n  f: {can_id|cidr: 10.0.0.0/8}\n  g: {severity: bad}\n  h: {can_id|gte: [1, 2]}\n\
             \u{20} i: {detector|all: [a, b]}\n  j: {detector|contains|all: a}\n  k: {can_id|exists: maybe}\n  l: [word]\n\
             \u{20} condition: 1 of them\n",
        ),
        expect![[r#"
            a.yml:8:15: error [rule.value] `many` is not an integer, but `can_id` is int (write 53 or 0x35; numbers have no wildcards)
            a.yml:9:7: error [rule.kind] `contains` needs text, but `can_id` is int (compare with equality, gt, gte, lt or lte)
            a.yml:10:7: error [rule.kind] `gte` needs a number, but `detector` is text
            a.yml:11:20: error [rule.bad_regex] regular expression is refused: unclosed group
            a.yml:12:20: error [rule.bad_regex] regular expression is refused: look-around, including look-ahead and look-behind, is not supported (look-around and back-references are not part of Sigma)
            a.yml:13:7: error [rule.kind] `cidr` needs text, but `can_id` is int (compare with equality, gt, gte, lt or lte)
            a.yml:14:17: error [rule.value] `bad` is not a severity (one of info, low, medium, high, critical)
            a.yml:15:23: error [rule.values] a comparison takes one value (keep the wider bound)
            a.yml:16:7: error [rule.kind] a field has one value, which cannot equal all of several (`all` goes with wildcards, contains, startswith, endswith, re or cidr)
            a.yml:17:30: error [rule.modifier] `all` needs several values (leave `all` out)
            a.yml:18:22: error [rule.values] `exists` takes true or false"#]],
    );
}

#[test]
fn conditions_name_the_column() {
    check(
        &rule("  s: {can_id: 1}\n  condition: s and (not s\n"),
        expect!["a.yml:9:20: error [rule.condition] `(` is never closed"],
    );
    check(
        &rule("  s: {can_id: 1}\n  condition: 's | count() > 5'\n"),
        expect![
            "a.yml:9:17: error [rule.condition] aggregations after `|` are not part of Sigma 2 (write a second document with a `correlation`)"
        ],
    );
    check(
        &rule("  s: {can_id: 1}\n  t: {can_id: 2}\n  condition: s\n"),
        expect!["a.yml:10:14: warning [lint.unused_selection] selection `t` is not used"],
    );
}

#[test]
fn correlations_must_be_bounded_and_possible() {
    check(
        &correlation("  type: value_sum\n  rules: [base]\n  timespan: 5m\n  condition: {gte: 2}\n"),
        expect![
            "a.yml:18:9: error [correlation.type] `value_sum` is not supported (one of event_count, value_count, temporal and temporal_ordered)"
        ],
    );
    check(
        &correlation(
            "  type: event_count\n  rules: [base, base, bsae]\n  aliases: {a: b}\n  condition: {gte: 2}\n",
        ),
        expect![[r#"
            a.yml:17:1: error [correlation.timespan] `timespan` is missing (such as timespan: 24h; without it the state would grow for ever)
            a.yml:20:3: error [rule.unsupported] `aliases` are not supported (all events share one set of field names, so the rules can be grouped as they are)"#]],
    );
    check(
        &correlation(
            "  type: event_count\n  rules: [base, base, bsae]\n  timespan: 31d\n  condition: {gte: 2}\n",
        ),
        expect![
            "a.yml:20:13: error [correlation.timespan] timespan `31d` is longer than 30d (longer trends belong to the baselines or to a query on the lake)"
        ],
    );
    check(
        &correlation(
            "  type: event_count\n  rules: [base, base, bsae]\n  timespan: 5x\n  condition: {lt: 1}\n",
        ),
        expect![[r#"
            a.yml:20:13: error [correlation.timespan] `5x` is not a timespan (a number and s, m, h or d, such as 24h)
            a.yml:21:14: error [correlation.condition] no count can meet the condition (a group exists from its first event on, so 0 is never counted)"#]],
    );
    check(
        &correlation(
            "  type: event_count\n  rules: [base, base, bsae]\n  timespan: 5m\n  condition: {gte: 1}\n",
        ),
        expect![[r#"
            a.yml:19:17: error [correlation.rules] rule `base` appears twice
            a.yml:19:23: error [correlation.rules] there is no rule `bsae` (did you mean `base`?)"#]],
    );
    check(
        &correlation(
            "  type: value_count\n  rules: [base]\n  group-by: [campaign]\n  timespan: 5m\n  condition: {gte: 100001, field: vehicle_id}\n",
        ),
        expect![
            "a.yml:22:14: error [correlation.condition] bound 100001 is above 100000, the state that one group may keep (lower the bound or shorten the timespan)"
        ],
    );
    check(
        &correlation(
            "  type: value_count\n  rules: [base]\n  group-by: [campaign]\n  timespan: 5m\n  condition: {gte: 10, field: vehicle_id}\n",
        ),
        expect![
            "a.yml:20:13: error [correlation.impossible] no event of rule `base` carries `campaign`, so it could never count (use a field that every rule has)"
        ],
    );
}

/// A second rule under the name of `other`, and a correlation over both.
fn pair(block: &str) -> String {
    let second = rule("  s: {event_type: can.bus_off}\n  condition: s\n").replace("5c8f4e0a", "5c8f4e0b");
    format!("{second}name: other\n---\n{}", correlation(block))
}

#[test]
fn a_temporal_correlation_asks_for_two_rules_or_more() {
    let right = [
        "  type: temporal\n  rules: [base, other]\n  timespan: 5m\n",
        "  type: temporal\n  rules: [base, other]\n  timespan: 5m\n  condition: {gte: 2}\n",
        "  type: temporal\n  rules: [base, other]\n  timespan: 5m\n  condition: {eq: 2}\n",
        "  type: temporal\n  rules: [base, other]\n  timespan: 5m\n  condition: {gt: 1}\n",
        "  type: temporal_ordered\n  rules: [base, other]\n  timespan: 5m\n",
    ];
    for block in right {
        let loaded = load(&[RuleFile { name: "a.yml", text: &pair(block) }]);
        assert_eq!(loaded.problems, []);
        assert_eq!(loaded.rules.correlations()[0].condition.at_least, 2);
    }
    check(
        &pair("  type: temporal\n  rules: [base]\n  timespan: 5m\n"),
        expect![
            "a.yml:28:1: error [correlation.rules] one rule has no order and no company (name two or more, or use event_count)"
        ],
    );
    check(
        &pair("  type: temporal\n  rules: [base, other]\n  timespan: 5m\n  condition: {gte: 3}\n"),
        expect!["a.yml:32:14: error [correlation.condition] 3 of 2 rules cannot be asked for (2 to 2)"],
    );
    check(
        &pair("  type: temporal\n  rules: [base, other]\n  timespan: 5m\n  condition: {gte: 1}\n"),
        expect!["a.yml:32:14: error [correlation.condition] 1 of 2 rules cannot be asked for (2 to 2)"],
    );
    check(
        &pair("  type: temporal\n  rules: [base, other]\n  timespan: 5m\n  condition: {gte: 2, lt: 9}\n"),
        expect![
            "a.yml:32:23: error [correlation.condition] `temporal` cannot be bounded by `lt` (gte or gt: how many of the rules must match; all if left out)"
        ],
    );
    check(
        &pair("  type: temporal_ordered\n  rules: [base, other]\n  timespan: 5m\n  condition: {gte: 2}\n"),
        expect![
            "a.yml:32:3: error [correlation.condition] `temporal_ordered` takes no condition (all rules must match in their order)"
        ],
    );
}

#[test]
fn tuples_of_fields_are_counted_together() {
    let block = |fields: &str| {
        format!(
            "  type: value_count\n  rules: [base]\n  timespan: 5m\n  condition: {{field: {fields}, gte: 2}}\n"
        )
    };
    let loaded = load(&[RuleFile { name: "a.yml", text: &correlation(&block("[vehicle_id, bus]")) }]);
    assert_eq!(loaded.problems, []);
    check(
        &correlation(&block("[bus, bus]")),
        expect!["a.yml:21:28: error [correlation.condition] `bus` appears twice"],
    );
    check(
        &correlation(&block("[bus, vehicle_id, ecu, lane, region]")),
        expect![
            "a.yml:21:22: error [correlation.condition] `field` names 1 to 4 fields (several count as one tuple)"
        ],
    );
    check(
        &correlation(&block("[bus, campaign]")),
        expect![
            "a.yml:17:1: error [correlation.impossible] no event of rule `base` carries `campaign`, so it could never count (use a field that every rule has)"
        ],
    );
}

#[test]
fn a_correlation_cannot_count_a_correlation_or_a_broken_rule() {
    let block = "  type: event_count\n  rules: [chain]\n  timespan: 5m\n  condition: {gte: 2}\n";
    check(
        &format!("{}name: chain\n", correlation(block)),
        expect![
            "a.yml:19:11: error [correlation.rules] `chain` is a correlation, and correlations over correlations are not supported (name the rules that it counts)"
        ],
    );
    let block = "  type: event_count\n  rules: [base]\n  timespan: 5m\n  condition: {gte: 2}\n";
    check(
        &correlation(block).replace("can.bus_off", "can.bus_of"),
        expect![[r#"
        a.yml:8:19: error [rule.value] no event type matches `can.bus_of` (did you mean `can.bus_off`?)
        a.yml:19:11: error [correlation.rules] rule `base` has errors or is not evaluated (correct it first)"#]],
    );
}

#[test]
fn tags_and_identities_are_checked() {
    let text = rule("  s: {can_id: 1}\n  condition: s\n");
    check(
        &text.replace("unr155.11.1", "unr155.11.9, UNR:1"),
        expect![[r#"
        a.yml:5:8: error [rule.unknown_threat] UN R155 Annex 5, Table A1 has no threat 11.9 (did you mean `11.1`?)
        a.yml:5:21: error [rule.bad_tag] `UNR:1` is not a tag (lower case, namespace, full stop, name, such as unr155.18.3)"#]],
    );
    check(
        &text.replace("[unr155.11.1]", "[atm.x]").replace("5c8f4e0a", "5c8f"),
        expect![[r#"
        a.yml:1:1: warning [lint.unr155] no tag names a threat of UN R155 (add a tag such as unr155.18.3, so that coverage of UN R155 can be shown)
        a.yml:2:5: error [rule.bad_id] `5c8f-2f5b-4a7e-9a55-0d5a4c1f7b21` is not a UUID (every rule needs a UUID of its own, such as 5c8f4e0a-2f5b-4a7e-9a55-0d5a4c1f7b21)"#]],
    );
    check(
        &format!("{text}---\n{text}"),
        expect![
            "a.yml:12:5: error [rule.duplicate] `id` 5c8f4e0a-2f5b-4a7e-9a55-0d5a4c1f7b21 is taken by the rule at a.yml:1 (give every rule its own)"
        ],
    );
    check(
        &text.replace("level: low", "level: info\nstatus: done"),
        expect![[r#"
        a.yml:4:8: error [rule.bad_level] unknown level `info` (one of informational, low, medium, high, critical)
        a.yml:5:9: error [rule.bad_status] unknown status `done` (one of stable, test, experimental, deprecated, unsupported)"#]],
    );
}

#[test]
fn a_broken_document_leaves_the_others() {
    let right = rule("  s: {can_id: 1}\n  condition: s\n");
    let text = format!("a: [1\n---\n{right}---\nx: &a 1\n---\njust text\n");
    let loaded = load(&[RuleFile { name: "a.yml", text: &text }]);
    assert_eq!(loaded.rules.rules().len(), 1);
    check(
        &text,
        expect![[r#"
        a.yml:2:1: error [yaml.syntax] while parsing a flow sequence, expected ',' or ']' (check indentation, quotes and brackets near this place)
        a.yml:13:4: error [yaml.refused] anchors are not allowed (write the value out where it is used)
        a.yml:15:1: error [rule.shape] a rule must be a map (begin with title: …)"#]],
    );
}

#[test]
fn a_rule_used_by_correlations_states_nothing_unless_asked() {
    let block =
        "  type: event_count\n  rules: [base]\n  timespan: 5m\n  condition: {gt: 1, lte: 9, neq: 5}\n";
    let quiet = load(&[RuleFile { name: "a.yml", text: &correlation(block) }]);
    assert_eq!(quiet.problems, []);
    assert!(!quiet.rules.rules()[0].generate);
    let threshold = quiet.rules.correlations()[0].condition;
    let held: Vec<u64> = (0..12).filter(|value| threshold.holds(*value)).collect();
    assert_eq!(held, [2, 3, 4, 6, 7, 8, 9]);
    let loud = load(&[RuleFile { name: "a.yml", text: &format!("{}generate: true\n", correlation(block)) }]);
    assert!(loud.rules.rules()[0].generate && loud.rules.correlations()[0].generate);
}
