//! Hostile and odd rule files end in problems, never in a panic, a hang or a rule that was not written.

use std::fs;
use std::path::Path;

use outrider_rules::{Matches, RuleFile, RuleIndex, conformance, foreign, load, sample};
use proptest::prelude::*;

/// What the fuzz target does as well.
fn survive(text: &str) -> usize {
    let loaded = load(&[RuleFile { name: "corpus.yml", text }]);
    let batch =
        sample::read(include_str!("../../../../../fuzz/corpus/rule_parser.toml")).expect("it is valid").batch;
    let mut matches = Matches::new();
    loaded.rules.evaluate(&batch, &mut matches);
    for (index, rule) in (0..).zip(loaded.rules.rules()) {
        let rows = (0..).take(batch.rows()).filter(|row| rule.matches(&batch, *row as usize));
        assert_eq!(matches.of(RuleIndex(index)), rows.collect::<Vec<u32>>(), "{text}");
    }
    assert!(loaded.problems.iter().all(|problem| problem.at.line >= 1 && problem.at.column >= 1));
    loaded.rules.rules().len() + loaded.rules.correlations().len() + loaded.problems.len()
}

#[test]
fn the_corpus_loads_or_says_why_not() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/rule_parser");
    let mut seen = 0;
    for entry in fs::read_dir(&folder).expect("the corpus is part of the repository") {
        let path = entry.expect("the folder can be read").path();
        let text = String::from_utf8_lossy(&fs::read(&path).expect("a corpus file can be read")).into_owned();
        assert!(survive(&text) > 0 || text.trim().is_empty(), "{} says nothing", path.display());
        seen += 1;
    }
    assert!(seen >= 12, "{seen} files in the corpus");
}

/// What the fuzz target of foreign events does as well; the events that fired, if there were events.
fn survive_events(text: &str) -> Option<usize> {
    let (rule, events) = text.split_once('\0')?;
    let events = foreign::parse(events).ok()?;
    let case = conformance::check(&[RuleFile { name: "corpus.yml", text: rule }], &events).ok()?;
    assert_eq!(case.negatives_fired, [""; 0], "{text}");
    assert_eq!(case.positives_silent, [""; 0], "{text}");
    Some(case.fired.len())
}

#[test]
fn the_corpus_of_foreign_events_is_matched_as_its_tests_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/rule_conformance");
    let (mut seen, mut fired) = (0, 0);
    for entry in fs::read_dir(&folder).expect("the corpus is part of the repository") {
        let path = entry.expect("the folder can be read").path();
        let text = String::from_utf8_lossy(&fs::read(&path).expect("a corpus file can be read")).into_owned();
        seen += 1;
        fired += survive_events(&text).unwrap_or(0);
    }
    assert!(seen >= 7 && fired >= 8, "{seen} files, {fired} events fired");
}

#[test]
fn a_billion_laughs_are_refused() {
    let text = "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\n";
    let loaded = load(&[RuleFile { name: "a.yml", text }]);
    assert_eq!(loaded.problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), ["yaml.refused"]);
}

#[test]
fn a_condition_cannot_multiply_a_large_selection() {
    let values: Vec<String> = (0..300).map(|value| format!("      - {{can_id|gte: {value}}}")).collect();
    let text = format!(
        "title: t\nid: 5c8f4e0a-2f5b-4a7e-9a55-0d5a4c1f7b21\nlogsource: {{product: vehicle, category: can}}\n\
         detection:\n  s:\n{}\n  condition: s{}\n",
        values.join("\n"),
        " or s".repeat(100)
    );
    let loaded = load(&[RuleFile { name: "a.yml", text: &text }]);
    assert!(loaded.errors().any(|problem| problem.code == "rule.too_large"), "{:?}", loaded.problems);
}

proptest! {
    #[test]
    fn any_rule_over_any_events_is_matched_as_its_tests_say(
        keys in prop::collection::vec(prop::sample::select(vec![
            "a", "b", "a|contains", "a.b", "b|startswith", "a|fieldref", "b|neq", "a|exists", "b|re", "'|all'", "b|gte", "a|hour",
        ]), 3),
        values in prop::collection::vec(prop::sample::select(vec![
            "x", "'*x'", "[x, y]", "null", "'?'", "[b, a]", "true", "false", "7", "''", "[null, x]", "['x*', '*y']",
        ]), 3),
        condition in prop::sample::select(vec!["s", "not s", "s and t", "s or not t", "1 of them", "[s, not u]", "t and not (s or u)"]),
        events in prop::collection::vec(prop::sample::select(vec![
            "{\"a\":\"x\"}", "{\"a\":{\"b\":\"xy\"}}", "{\"b\":7.0}", "{\"a\":[\"x\",\"y\"],\"b\":\"x\"}", "{}", "{\"a\":null,\"b\":\"\"}",
            "{\"b\":\"2026-01-05T07:00\",\"a\":\"2026-01-05 07:59\"}", "{\"a\":\"X\",\"b\":\"x\"}",
        ]), 0..5),
    ) {
        let items: Vec<String> = ["s", "t", "u"].iter().zip(keys.iter().zip(&values))
            .map(|(name, (key, value))| format!("  {name}:\n    {key}: {value}\n")).collect();
        let text = format!(
            "title: t\nid: 5c8f4e0a-2f5b-4a7e-9a55-0d5a4c1f7b21\nlogsource: {{}}\ndetection:\n{}  condition: {condition}\n\0{}",
            items.concat(), events.concat(),
        );
        prop_assert!(survive_events(&text).is_some());
    }

    #[test]
    fn any_text_survives(text in "(?s).{0,200}") {
        survive(&text);
    }

    #[test]
    fn any_text_made_of_rule_words_survives(words in prop::collection::vec(prop::sample::select(vec![
        "title: ", "id: ", "detection:", "\n", "  ", "condition: ", "s", "not ", "(", ")", "1 of ", "them", "---\n", "- ",
        "[", "]", "{", "}", ": ", ", ", "can_id", "|gte", "|re", "|all", "'", "\"", "*", "?", "\\", "null", "&a", "*a", "!!x",
        "correlation:", "type: ", "event_count", "rules: ", "timespan: ", "99999999999999999999d", "logsource: ",
        "{product: vehicle}", "0x",
        "filter:", "rules: any", "action: global\n", "action: repeat\n", "transformations:\n", "- type: field_name_prefix\n", "prefix: x\n", "|expand", "%x%", "-", "\u{feff}", "é", "\t", "|", ">", "%YAML 1.2\n", "...\n",
    ]), 0..60)) {
        survive(&words.concat());
    }
}
