//! What stands around rules: collections, filters, pipelines, placeholders.

use expect_test::{Expect, expect};
use outrider_rules::{
    Loaded, Matches, RuleFile, RuleIndex, Taxonomy, foreign::ForeignEvents, load, load_with,
};
use proptest::prelude::*;

const ID: [&str; 3] = [
    "5c8f4e0a-2f5b-4a7e-9a55-0d5a4c1f7b21",
    "5c8f4e0a-2f5b-4a7e-9a55-0d5a4c1f7b22",
    "5c8f4e0a-2f5b-4a7e-9a55-0d5a4c1f7b23",
];

fn rule(id: &str, name: &str, detection: &str) -> String {
    format!(
        "title: t\nid: {id}\nname: {name}\nlevel: low\ndescription: d\ntags: [unr155.20.1]\n\
         logsource: {{product: vehicle, category: can}}\ndetection:\n{detection}"
    )
}

fn read(text: &str) -> Loaded {
    load(&[RuleFile { name: "a.yml", text }])
}

fn check(text: &str, expected: Expect) -> Loaded {
    let loaded = read(text);
    let lines: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    expected.assert_eq(&lines.join("\n"));
    loaded
}

/// Rows that each rule of a text matches; the log source of its rules is `other`.
fn rows(text: &str, events: &str) -> Vec<Vec<u32>> {
    let events = ForeignEvents::read(events).expect("the test writes events");
    let text = text.replace("product: vehicle, category: can", "product: other");
    let loaded = load_with(&[RuleFile { name: "a.yml", text: &text }], Taxonomy::Foreign(&events.fields));
    assert_eq!(loaded.errors().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    let mut matches = Matches::new();
    loaded.rules.evaluate(&events.batch, &mut matches);
    let count = u32::try_from(loaded.rules.rules().len()).expect("few rules");
    (0..count).map(|index| matches.of(RuleIndex(index)).to_vec()).collect()
}

const EVENTS: &str = r#"{"a": "x"} {"a": "y"} {"a": "x", "b": "test"} {"b": "test"}"#;

#[test]
fn documents_share_a_global_one_until_it_is_reset() {
    let [one, two, three] = ID;
    let text = format!(
        "action: global\ntitle: shared\nlevel: low\nlogsource: {{product: other}}\ndetection:\n  f: {{b: test}}\n\
         \u{20} condition: s and not f\n---\nid: {one}\ndetection:\n  s: {{a: x}}\n---\nid: {two}\ndetection:\n  s: {{a: y}}\n\
         ---\naction: repeat\nid: {three}\ndetection:\n  f: {{b: other}}\n  s: {{a: [x, y]}}\n---\naction: reset\n---\n{}",
        rule("5c8f4e0a-2f5b-4a7e-9a55-0d5a4c1f7b24", "alone", "  s: {b: test}\n  condition: s\n")
    );
    assert_eq!(rows(&text, EVENTS), [vec![0], vec![1], vec![0, 1, 2], vec![2, 3]]);
    let events = ForeignEvents::read(EVENTS).expect("events");
    let loaded = load_with(&[RuleFile { name: "a.yml", text: &text }], Taxonomy::Foreign(&events.fields));
    let first = &loaded.rules.rules()[0].header;
    assert_eq!((first.title.as_str(), first.source.line), ("shared", 9));
    assert!(first.source.yaml.contains("--- # global\naction: global"), "{}", first.source.yaml);
}

#[test]
fn mistakes_of_collections_are_reported_at_their_place() {
    let [one, two, _] = ID;
    check(
        &format!(
            "action: repeat\nid: {one}\n---\naction: golbal\n---\naction: reset\ntitle: x\n---\naction: global\nlevel: nosuch\n\
             logsource: {{product: vehicle, category: can}}\ntitle: t\ntags: [unr155.20.1]\ndescription: d\n---\nid: {two}\n\
             level: low\ndetection:\n  s: {{can_di: 1}}\n  condition: s\n"
        ),
        expect![[r#"
            a.yml:1:1: error [rule.collection] there is no document before it to repeat
            a.yml:4:9: error [rule.collection] unknown action `golbal` (did you mean `global`?)
            a.yml:7:1: error [rule.collection] a document with `action: reset` has no other keys (write a document of its own)
            a.yml:10:8: error [rule.bad_level] unknown level `nosuch` (one of informational, low, medium, high, critical)
            a.yml:17:1: warning [lint.collection] `level` is in the global document, whose value counts (leave it out of one of them)
            a.yml:19:7: error [rule.unknown_field] unknown field `can_di` (did you mean `can_id`?)"#]],
    );
}

#[test]
fn a_repeated_document_cannot_grow_without_bound() {
    let values: Vec<String> = (0..400).map(|value| format!("      - {{a: '{value}'}}\n")).collect();
    let mut text = rule(ID[0], "big", &format!("  s0:\n{}  condition: 1 of s*\n", values.concat()));
    for index in 1..20 {
        text.push_str(&format!(
            "---\naction: repeat\nid: 5c8f4e0a-2f5b-4a7e-9a55-{index:012}\ndetection:\n  s{index}:\n"
        ));
        text.push_str(&values.concat());
    }
    let loaded = read(&text);
    assert!(loaded.problems.iter().any(|it| it.code == "yaml.too_large" && it.message.contains("grows to")));
    let small = rule(ID[0], "small", "  s: {a: x}\n  condition: s\n");
    let many = format!("{small}{}", "---\naction: repeat\nid: no uuid\n".repeat(9_000));
    assert!(read(&many).problems.len() > 8_000, "each of them is still read");
}

#[test]
fn a_filter_must_hold_as_well() {
    let [one, two, three] = ID;
    let rules = format!(
        "{}---\n{}---\n",
        rule(one, "first", "  s: {a: x}\n  condition: s\n"),
        rule(two, "second", "  s: {a: [x, y]}\n  condition: s\n")
    );
    let filter = |rules: &str| {
        format!(
            "title: test bench\nid: {three}\nlogsource: {{product: other}}\nfilter:\n  rules: {rules}\n  s: {{b: test}}\n  condition: not s\n"
        )
    };
    assert_eq!(rows(&rules, EVENTS), [vec![0, 2], vec![0, 1, 2]]);
    assert_eq!(rows(&format!("{rules}{}", filter("[first]")), EVENTS), [vec![0], vec![0, 1, 2]]);
    assert_eq!(
        rows(&format!("{}---\n{rules}", filter(&format!("[{two}, first]"))), EVENTS),
        [vec![0], vec![0, 1]]
    );
    assert_eq!(rows(&format!("{rules}{}", filter("any")), EVENTS), [vec![0], vec![0, 1]]);
    assert_eq!(rows(&format!("{rules}{}", filter("any").replace("not s", "s")), EVENTS), [vec![2], vec![2]]);
    let elsewhere = filter("any").replace("product: other", "product: elsewhere");
    assert_eq!(rows(&format!("{rules}{elsewhere}"), EVENTS), [vec![0, 2], vec![0, 1, 2]]);
}

#[test]
fn a_filter_says_where_it_cannot_be_added() {
    let [one, two, three] = ID;
    let rules = format!(
        "{}---\n{}---\n",
        rule(one, "off", "  s: {event_type: can.bus_off}\n  condition: s\n"),
        rule(two, "broken", "  s: {event_type: can.bus_of}\n  condition: s\n")
    );
    let loaded = check(
        &format!(
            "{rules}title: f\nid: {three}\nlogsource: {{product: vehicle, category: can}}\nfilter:\n\
             \u{20} rules: [off, of, broken]\n  s: {{event_type: can.bus_off}}\n  condition: not s\n---\n\
             title: g\nlogsource: {{product: vehicle, category: ota}}\nfilter:\n  rules: off\n  s: {{campaign: x}}\n  condition: not s\n---\n\
             title: h\nlogsource: {{product: vehicle}}\nlevel: low\nfilter:\n  s: {{can_di: 1}}\n  condition: not s and t\n---\n\
             title: i\nlogsource: {{product: vehicle, category: ota}}\nfilter: {{rules: any, s: {{campaign: x}}, condition: not s}}\n"
        ),
        expect![[r#"
            a.yml:20:19: error [rule.value] no event type matches `can.bus_of` (did you mean `can.bus_off`?)
            a.yml:27:11: error [filter.rules] cannot be added to `t`: no event type could meet both (the rule would never match)
            a.yml:27:16: error [filter.rules] there is no rule `of` (did you mean `off`?)
            a.yml:27:20: error [filter.rules] rule `broken` is not used (see its own problems)
            a.yml:34:10: error [filter.rules] rule `off` has another log source than the filter (give the filter the log source of its rules)
            a.yml:40:1: warning [rule.unknown_key] unknown key `level` of a filter
            a.yml:41:1: error [filter.rules] `rules` is missing (ids or names of rules, or any)
            a.yml:42:7: error [rule.unknown_field] unknown field `can_di` (did you mean `can_id`?)
            a.yml:43:24: error [rule.condition] there is no selection `t` (did you mean `s`?)
            a.yml:47:17: warning [lint.filter_unused] no rule has the log source of the filter"#]],
    );
    assert_eq!(loaded.rules.rules().len(), 1);
    let kept = &loaded.rules.rules()[0].header.source.yaml;
    assert!(!kept.contains("filter"), "a filter that was not added is not shown: {kept}");
}

#[test]
fn a_pipeline_maps_rules_of_others_to_events_of_vehicles() {
    let pipeline = "name: hosts\npriority: 10\nvars: {tools: ['*nc', socat]}\ntransformations:\n\
        \u{20} - id: names\n    type: field_name_mapping\n    mapping: {Image: process_name, User: user_id, Any: [process_name, parent_process]}\n\
        \u{20}   rule_conditions:\n      - {type: logsource, product: linux, category: process_creation}\n\
        \u{20} - type: value_placeholders\n    include: [tools]\n\
        \u{20} - type: change_logsource\n    product: vehicle\n    category: host\n    rule_conditions: [{type: logsource, product: linux}]\n---\n";
    let foreign = |detection: &str| {
        rule(ID[0], "foreign", detection)
            .replace("{product: vehicle, category: can}", "{product: linux, category: process_creation}")
    };
    let text =
        foreign("  s: {Image|expand: '%tools%', User: 0}\n  t: {Any|startswith: x}\n  condition: s or t\n");
    let loaded = read(&format!("{pipeline}{text}"));
    assert_eq!(loaded.errors().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    let own = foreign(
        "  s: {process_name: ['*nc', socat], user_id: 0}\n  t: {process_name|startswith: x}\n  u: {parent_process|startswith: x}\n\
         \u{20} condition: s or t or u\n",
    )
    .replace("{product: linux, category: process_creation}", "{product: vehicle, category: host}");
    let mapped = &loaded.rules.rules()[0];
    let plain = read(&own);
    assert_eq!(mapped.event_types, plain.rules.rules()[0].event_types);
    assert!(mapped.header.source.yaml.contains("--- # pipeline\nname: hosts"), "what a rule states is shown");
    // Without the pipeline the same rule says what is wrong with it.
    check(
        &text,
        expect![[r#"
        a.yml:7:12: error [rule.logsource] `product` must be vehicle (such as logsource: {product: vehicle, category: can}, or change_logsource in a pipeline)
        a.yml:9:7: error [rule.unknown_field] unknown field `Image` (fields are listed in docs/book/event-types.md)
        a.yml:9:32: error [rule.unknown_field] unknown field `User` (fields are listed in docs/book/event-types.md)
        a.yml:10:7: error [rule.unknown_field] unknown field `Any` (fields are listed in docs/book/event-types.md)"#]],
    );
    // A rule about vehicles is not touched.
    let own = rule(ID[1], "own", "  s: {event_type: can.bus_off}\n  condition: s\n");
    let untouched = read(&format!("{pipeline}{own}"));
    assert!(!untouched.rules.rules()[0].header.source.yaml.contains("change_logsource"));
}

#[test]
fn pipelines_rename_in_the_order_of_their_priority() {
    let text = "name: late\npriority: 20\ntransformations:\n  - {type: field_name_suffix, suffix: '_s'}\n---\n\
        name: early\npriority: 1\ntransformations:\n  - {type: field_name_prefix, prefix: p_}\n\
        \u{20} - {type: field_name_prefix_mapping, mapping: {p_: q_, p_a: r_}}\n\
        \u{20} - type: wildcard_placeholders\n    exclude: [known]\n---\n";
    let text = format!("{text}{}", rule(ID[0], "x", "  s: {a: x, b|expand: 'z%any%'}\n  condition: s\n"));
    assert_eq!(
        rows(&text, r#"{"r__s": "x", "q_b_s": "zzz"} {"r__s": "x", "q_b_s": "y"} {"a": "x", "b": "z"}"#),
        [vec![0]]
    );
}

#[test]
fn a_taxonomy_that_nobody_maps_is_a_warning() {
    let text = rule(ID[0], "r", "  s: {event_type: can.bus_off}\n  condition: s\n")
        .replace("level:", "taxonomy: ecs\nlevel:");
    let warned = |text: &str| read(text).problems.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        warned(&text),
        [
            "a.yml:4:11: warning [lint.taxonomy] no pipeline maps the taxonomy `ecs` (names are taken as those of the catalogue)"
        ]
    );
    assert_eq!(warned(&text.replace("ecs", "sigma")), [""; 0]);
    let pipeline = "name: ecs\ntransformations:\n  - {type: field_name_mapping, mapping: {event.type: event_type}}\n---\n";
    assert_eq!(warned(&format!("{pipeline}{text}")), [""; 0]);
}

#[test]
fn what_a_pipeline_cannot_say_here_is_refused_at_its_line() {
    check(
        "name: p\npriority: high\npostprocessing: []\nallowed_backends: [splunk]\nvars: {x: []}\ntransformations:\n\
         \u{20} - type: query_expression_placeholders\n  - type: field_name_maping\n    mapping: {a: b}\n\
         \u{20} - {type: field_name_prefix, suffix: x}\n  - mapping: {a: b}\n\
         \u{20} - type: field_name_mapping\n    mapping: {a: b}\n    field_name_conditions: [{type: include_fields}]\n\
         \u{20}   rule_conditions:\n      - {type: contains_field, field: a}\n\
         \u{20} - {type: change_logsource}\n  - {type: value_placeholders, include: [a], exclude: [b]}\n\
         \u{20} - {type: field_name_suffix, suffix: x, rule_cond_op: xor}\n  - 5\n",
        expect![[r#"
            a.yml:2:11: error [pipeline.shape] `priority` is not an integer (such as 20)
            a.yml:3:1: error [pipeline.unsupported] `postprocessing` of a pipeline is not supported (a pipeline here says what rules mean: vars and transformations)
            a.yml:4:1: error [pipeline.unsupported] `allowed_backends` of a pipeline is not supported (a pipeline here says what rules mean: vars and transformations)
            a.yml:5:11: error [pipeline.shape] `x` has no value
            a.yml:7:11: error [pipeline.unsupported] transformation `query_expression_placeholders` is not supported (one of field_name_mapping, field_name_prefix_mapping, field_name_prefix, field_name_suffix, change_logsource, value_placeholders, wildcard_placeholders)
            a.yml:8:11: error [pipeline.unsupported] transformation `field_name_maping` is not supported (did you mean `field_name_mapping`?)
            a.yml:10:5: error [pipeline.shape] `field_name_prefix` needs `prefix`
            a.yml:10:31: error [pipeline.unsupported] `suffix` of `field_name_prefix` is not supported (did you mean `prefix`?)
            a.yml:11:5: error [pipeline.shape] a transformation needs a `type` (one of field_name_mapping, field_name_prefix_mapping, field_name_prefix, field_name_suffix, change_logsource, value_placeholders, wildcard_placeholders)
            a.yml:14:5: error [pipeline.unsupported] `field_name_conditions` of `field_name_mapping` is not supported (did you mean `rule_conditions`?)
            a.yml:16:9: error [pipeline.unsupported] condition `contains_field` is not supported (conditions are of type: logsource)
            a.yml:17:6: error [pipeline.shape] no word of a log source (add product, category or service)
            a.yml:18:46: error [pipeline.shape] `include` and `exclude` exclude each other
            a.yml:19:56: error [pipeline.shape] `rule_cond_op` is or or and
            a.yml:20:5: error [pipeline.shape] a transformation must be a map (begin with type: …)"#]],
    );
}

#[test]
fn a_hundred_mistakes_are_a_hundred_reports() {
    let documents: Vec<String> = (0..100)
        .map(|index| match index % 4 {
            0 => rule(ID[0], &format!("r{index}"), "  s: {can_di: 1}\n  condition: s\n"),
            1 => format!("title: f\nlogsource: {{product: vehicle}}\nfilter: {{rules: [none{index}], s: {{bus: 1}}, condition: s}}\n"),
            2 => format!("name: p{index}\ntransformations:\n  - {{type: nosuch}}\n"),
            _ => "action: nosuch\n".to_owned(),
        })
        .collect();
    let loaded = read(&documents.join("---\n"));
    assert_eq!(loaded.errors().count(), 100);
    let lines: std::collections::BTreeSet<u32> = loaded.errors().map(|problem| problem.at.line).collect();
    assert_eq!(lines.len(), 100, "each at its own line");
}

#[test]
fn a_document_lists_a_thousand_errors_and_says_when_there_are_more() {
    let items = |count: usize| (0..count).map(|index| format!("    x{index}: 1\n")).collect::<String>();
    let errors = |count: usize| {
        let loaded = read(&rule(ID[0], "r", &format!("  s:\n{}  condition: s\n", items(count))));
        let last = loaded.problems.last().map(|problem| problem.message.clone()).unwrap_or_default();
        (loaded.errors().count(), last)
    };
    assert_eq!(errors(1_000).0, 1_000);
    assert_eq!(errors(1_003), (1_001, "the document has more than 1000 errors".to_owned()));
}

#[test]
fn times_are_neither_counted_nor_grouped() {
    let plain = rule(ID[0], "r", "  s: {event_type: can.bus_off}\n  condition: s\n");
    let counted = |lines: &str| {
        let text = format!(
            "{plain}---\ntitle: c\nid: {}\ndescription: d\nlevel: low\ntags: [unr155.20.1]\ncorrelation:\n  rules: [r]\n\
             \u{20} timespan: 1h\n{lines}",
            ID[1]
        );
        read(&text)
            .errors()
            .map(|problem| format!("{} {}", problem.code, problem.message))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        counted("  type: value_count\n  condition: {field: event_time, gte: 5}\n"),
        ["correlation.condition `event_time` is a time, of which hardly two are the same"]
    );
    assert_eq!(
        counted("  type: event_count\n  group-by: [event_time]\n  condition: {gte: 5}\n"),
        ["rule.group `event_time` is a time and cannot form groups"]
    );
    assert_eq!(counted("  type: event_count\n  group-by: [bus]\n  condition: {gte: 5}\n"), [""; 0]);
}

#[test]
fn patterns_that_explode_are_refused_with_the_reason() {
    let of = |value: &str| {
        let detection = format!("  s: {{event_type: can.bus_off, detector: '{value}'}}\n  condition: s\n");
        let loaded = read(&rule(ID[0], "r", &detection));
        loaded
            .errors()
            .filter(|it| it.code == "rule.too_large")
            .map(|it| it.message.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(&"a*".repeat(64)), [""; 0]);
    assert_eq!(of(&"a*".repeat(65)), ["value has 65 wildcards, more than 64"]);
    assert_eq!(of(&"?".repeat(65)), ["value has 65 wildcards, more than 64"]);
    assert_eq!(of(&format!("*{}*", "a".repeat(5_000))), [""; 0], "nothing is tried there");
    assert_eq!(of(&format!("*{}?", "a".repeat(4_094))), [""; 0]);
    let long = of(&format!("*{}?", "a".repeat(4_095)));
    assert_eq!(long, ["value with wildcards has 4097 bytes, more than 4096"]);
    assert_eq!(of("\\*".repeat(100).as_str()), [""; 0], "these are stars");
}

const SELECTIONS: [&str; 6] =
    ["{a: x}", "{a: y, b: null}", "{b|contains: e}", "{a|neq: x}", "{a|exists: true}", "[x, {b: test}]"];

proptest! {
    /// A filter is the same as a part of the rule's own condition, and a mapped name as the name itself.
    #[test]
    fn filters_and_pipelines_mean_what_could_be_written_out(
        own in prop::sample::select(SELECTIONS.to_vec()),
        filter in prop::sample::select(SELECTIONS.to_vec()),
        condition in prop::sample::select(vec!["f", "not f"]),
        events in prop::collection::vec(prop::sample::select(vec![
            r#"{"a": "x"}"#, r#"{"a": "y"}"#, r#"{"a": "x", "b": "test"}"#, r#"{"b": "e"}"#, "{}", r#"{"a": "", "b": "x"}"#,
        ]), 0..8),
    ) {
        let events = events.concat();
        let written = rule(ID[0], "r", &format!("  s: {own}\n  f: {filter}\n  condition: s and ({condition})\n"));
        let foreign = |text: &str| text.replace("a:", "A:").replace("a|", "A|").replace("b:", "B:").replace("b|", "B|");
        let apart = format!(
            "{}---\ntitle: f\nlogsource: {{product: other}}\nfilter:\n  rules: r\n  f: {}\n  condition: {condition}\n---\n\
             name: p\ntransformations:\n  - {{type: field_name_mapping, mapping: {{A: a, B: b}}}}\n",
            rule(ID[0], "r", &format!("  s: {}\n  condition: s\n", foreign(own))), foreign(filter),
        );
        prop_assert_eq!(rows(&apart, &events), rows(&written, &events));
    }
}
