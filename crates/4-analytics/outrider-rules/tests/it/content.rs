//! The shipped rules load without a problem, and each has a hit and a near miss that show what it states.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use outrider_model::EventBatch;
use outrider_rules::{Loaded, Matches, RuleFile, RuleIndex, load, sample};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../content/rules")
}

fn files() -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> = fs::read_dir(folder())
        .expect("content/rules is part of the repository")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .map(|path| {
            let name = path.file_name().expect("read_dir names files").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("a rule file is text"))
        })
        .collect();
    files.sort();
    files
}

fn shipped() -> Loaded {
    let files = files();
    let files: Vec<RuleFile<'_>> = files.iter().map(|(name, text)| RuleFile { name, text }).collect();
    load(&files)
}

fn batch(name: &str, case: &str) -> EventBatch {
    let path = folder().join("tests").join(name).join(format!("{case}.toml"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let sample = sample::read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(!sample.about.is_empty() && !sample.batch.is_empty(), "{} shows nothing", path.display());
    sample.batch
}

#[test]
fn every_shipped_rule_loads_without_a_problem() {
    let loaded = shipped();
    assert_eq!(loaded.problems.iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
    assert!(loaded.rules.rules().len() >= 20 && loaded.rules.correlations().len() >= 15);
}

#[test]
fn every_rule_matches_its_hit_and_not_its_near_miss() {
    let loaded = shipped();
    let mut matches = Matches::new();
    for (index, rule) in loaded.rules.rules().iter().enumerate() {
        let name = rule.header.name.as_deref().expect("a shipped rule has a name");
        let index = RuleIndex(u32::try_from(index).expect("few rules"));
        let hit = batch(name, "hit");
        loaded.rules.evaluate(&hit, &mut matches);
        let rows: Vec<u32> = (0..u32::try_from(hit.rows()).expect("a small sample")).collect();
        assert_eq!(matches.of(index), rows, "{name}: every event of the hit matches");
        assert!(!rule.explain(&hit, 0).is_empty(), "{name}: a match is explained");
        let miss = batch(name, "near-miss");
        loaded.rules.evaluate(&miss, &mut matches);
        assert_eq!(matches.of(index), [0u32; 0], "{name}: the near miss does not match");
    }
}

#[test]
fn every_correlation_fires_on_its_hit_and_not_on_its_near_miss() {
    let loaded = shipped();
    for correlation in loaded.rules.correlations() {
        let name = correlation.header.name.as_deref().expect("a shipped correlation has a name");
        let fires = |case| sample::groups_that_fire(&loaded.rules, correlation, &batch(name, case)).len();
        assert_eq!(fires("hit"), 1, "{name}: the hit fires in one group");
        assert_eq!(fires("near-miss"), 0, "{name}: the near miss does not fire");
        let members = correlation.rules.iter().filter_map(|rule| loaded.rules.rule(*rule));
        let miss = batch(name, "near-miss");
        let counted = (0..miss.rows()).any(|row| members.clone().any(|rule| rule.matches(&miss, row)));
        assert!(counted, "{name}: the near miss has events that count");
    }
}

#[test]
fn every_sample_belongs_to_a_rule() {
    let loaded = shipped();
    let names: BTreeSet<&str> = loaded
        .rules
        .rules()
        .iter()
        .map(|rule| &rule.header)
        .chain(loaded.rules.correlations().iter().map(|correlation| &correlation.header))
        .filter_map(|header| header.name.as_deref())
        .collect();
    for entry in fs::read_dir(folder().join("tests")).expect("the samples are part of the repository") {
        let name = entry.expect("the folder can be read").file_name();
        assert!(names.contains(name.to_string_lossy().as_ref()), "{name:?} has no rule");
    }
}

#[test]
fn an_explanation_names_what_was_asked_and_what_was_seen() {
    let loaded = shipped();
    let explain = |name: &str, case: &str, row: usize| -> Vec<String> {
        let mut rules = loaded.rules.rules().iter();
        let rule = rules.find(|rule| rule.header.name.as_deref() == Some(name)).expect("the rule is shipped");
        let lines = rule.explain(&batch(name, case), row);
        lines
            .iter()
            .map(|line| format!("{} {} {}: {}", line.field, line.operator, line.expected, line.observed))
            .collect()
    };
    assert_eq!(
        explain("diag_session_while_driving", "hit", 0),
        [
            "event_type equals diag.session_while_driving: diag.session_while_driving",
            "speed_kmh gt 5 (5 would not match): 6",
            "diag_session not equals 1: 3",
        ]
    );
    assert_eq!(
        explain("can_flood", "hit", 1),
        ["event_type equals can.flood: can.flood", "bus_load_percent not exists a value: no value",]
    );
    assert_eq!(explain("can_flood", "near-miss", 0), [""; 0]);
}

/// Code blocks of a language in the chapter on rules.
fn examples(language: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../docs/book/rules.md");
    let text = fs::read_to_string(path).expect("the chapter is part of the repository");
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect()
}

#[test]
fn the_examples_of_the_chapter_on_rules_are_right() {
    let text = examples("yaml").join("---\n");
    let loaded = load(&[RuleFile { name: "rules.md", text: &text }]);
    let errors: Vec<String> = loaded.errors().map(ToString::to_string).collect();
    assert_eq!(errors, Vec::<String>::new());
    assert_eq!((loaded.rules.rules().len(), loaded.rules.correlations().len()), (1, 1));
    let samples = examples("toml");
    assert_eq!(samples.len(), 1);
    let batch = sample::read(&samples[0]).expect("the sample is right").batch;
    let mut matches = Matches::new();
    loaded.rules.evaluate(&batch, &mut matches);
    assert_eq!(matches.of(RuleIndex(0)), [0, 1]);
    assert!(sample::groups_that_fire(&loaded.rules, &loaded.rules.correlations()[0], &batch).is_empty());
}
