//! `outrider rule conformance`.

use std::path::{Path, PathBuf};

use outrider_rules::conformance::{self, Case, Pack};
use outrider_rules::{FILE_BYTES_MAX, ProblemLevel, RuleFile, foreign};
use serde_json::json;

use super::{sorted, text};
use crate::cli::{Failure, print};

/// Longest description of a case.
const INFO_BYTES_MAX: usize = 1 << 20;

/// What came of all cases.
#[derive(Debug, Default)]
struct Sums {
    cases: usize,
    events: usize,
    events_fired: usize,
    negatives: usize,
    negatives_fired: usize,
    positives: usize,
    positives_silent: usize,
    /// Name of the case, and why it failed.
    failures: Vec<(String, String)>,
    /// Cases of which no event could be derived on which the rule must not fire.
    without_negatives: Vec<String>,
    /// Rules of all cases, for the run of all together.
    rules: Vec<(String, String)>,
    /// Their events, as far as they can be read.
    together: Vec<serde_json::Value>,
}

/// Files of one case.
struct Texts {
    rule: String,
    events: String,
    /// Events on which the rule has to fire.
    at_least: usize,
}

impl Texts {
    fn read(folder: &Path) -> Result<Self, Failure> {
        let rule = text(&folder.join("rule.yml"), FILE_BYTES_MAX)?;
        let events = text(&folder.join("event.json"), foreign::TEXT_BYTES_MAX)?;
        let info = folder.join("info.yml");
        let at_least = if info.is_file() { match_count(&text(&info, INFO_BYTES_MAX)?) } else { 1 };
        Ok(Self { rule, events, at_least })
    }
}

pub(super) fn run(folder: &Path, pipelines: &[PathBuf], as_json: bool) -> Result<(), Failure> {
    let mut sums = Sums::default();
    let mut shared = Vec::new();
    for path in pipelines {
        shared.push((path.display().to_string(), text(path, FILE_BYTES_MAX)?));
    }
    for path in sorted(folder)?.into_iter().filter(|path| path.join("rule.yml").is_file()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        sums.cases += 1;
        let texts = match Texts::read(&path) {
            Ok(texts) => texts,
            Err(failure) => {
                sums.failures.push((name, failure.to_string()));
                continue;
            }
        };
        let (why, case) = judge(&texts, &shared);
        sums.together.extend(foreign::parse(&texts.events).unwrap_or_default());
        sums.rules.push((format!("{name}/rule.yml"), texts.rule));
        sums.events += case.events;
        sums.events_fired += case.fired.len();
        sums.negatives += case.negatives;
        sums.positives += case.positives;
        sums.negatives_fired += case.negatives_fired.len();
        sums.positives_silent += case.positives_silent.len();
        if case.negatives == 0 {
            sums.without_negatives.push(name.clone());
        }
        if let Some(why) = why {
            sums.failures.push((name, why));
        }
    }
    if sums.cases == 0 {
        return Err(Failure::input(format!("{}: no folder in it has a rule.yml", folder.display())));
    }
    let files = sums.rules.iter().chain(&shared).map(|(name, text)| RuleFile { name, text });
    let pack = conformance::check_pack(&files.collect::<Vec<_>>(), &sums.together)
        .unwrap_or_else(|error| Pack { disagreements: vec![cause(&error)], ..Pack::default() });
    report(&sums, &pack, as_json)?;
    let (failed, strange) = (sums.failures.len(), pack.disagreements.len());
    if failed + strange == 0 {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "{failed} of {} cases failed, {strange} disagreements of all together",
        sums.cases
    )))
}

fn report(sums: &Sums, pack: &Pack, as_json: bool) -> Result<(), Failure> {
    let Sums { cases, events, events_fired, failures, .. } = sums;
    let Sums { negatives, negatives_fired, positives, positives_silent, .. } = sums;
    let passed = cases - failures.len();
    if as_json {
        let failures: Vec<_> =
            failures.iter().map(|(case, why)| json!({ "case": case, "why": why })).collect();
        let object = json!({
            "cases": cases, "passed": passed, "failed": failures.len(), "events": events,
            "events_fired": events_fired, "negatives": negatives, "negatives_fired": negatives_fired,
            "positives": positives, "positives_silent": positives_silent, "failures": failures,
            "without_negatives": sums.without_negatives,
            "pack": {
                "rules": pack.rules, "events": pack.events, "fired": pack.fired,
                "disagreements": pack.disagreements,
            },
        });
        return print(&format!("{object}\n"));
    }
    let mut lines: String =
        failures.iter().map(|(case, why)| format!("FAILED {case}\n       {why}\n")).collect();
    lines.push_str(&format!(
        "{passed} of {cases} cases passed: {events_fired} of {events} events fired; of those derived, \
         {negatives_fired} of {negatives} fired that must not, {positives_silent} of {positives} were silent that must fire\n"
    ));
    lines.extend(sums.without_negatives.iter().map(|case| format!("no negative could be derived: {case}\n")));
    lines.extend(pack.disagreements.iter().map(|it| format!("DISAGREES {it}\n")));
    let (rules, events, fired) = (pack.rules, pack.events, pack.fired);
    let strange = pack.disagreements.len();
    lines.push_str(&format!(
        "all at once: {rules} rules over {events} events fired {fired} times, {strange} disagreements\n"
    ));
    print(&lines)
}

/// Runs one case; the text says why it failed.
fn judge(texts: &Texts, shared: &[(String, String)]) -> (Option<String>, Case) {
    let rule = RuleFile { name: "rule.yml", text: &texts.rule };
    let shared = shared.iter().map(|(name, text)| RuleFile { name, text });
    let files: Vec<RuleFile<'_>> = [rule].into_iter().chain(shared).collect();
    let checked = foreign::parse(&texts.events).and_then(|events| conformance::check(&files, &events));
    match checked {
        Ok(case) => (why(&case, texts.at_least), case),
        Err(error) => (Some(cause(&error)), Case::default()),
    }
}

fn cause(error: &dyn std::error::Error) -> String {
    let source = error.source().map_or_else(String::new, |source| format!(": {source}"));
    format!("{error}{source}")
}

fn why(case: &Case, at_least: usize) -> Option<String> {
    if case.rules == 0 {
        let error = case.problems.iter().find(|problem| problem.level == ProblemLevel::Error);
        return Some(error.map_or_else(|| "the file has no rule".to_owned(), ToString::to_string));
    }
    if case.fired.len() < at_least {
        return Some(format!(
            "fired on {} of {} events, at least {at_least} expected",
            case.fired.len(),
            case.events
        ));
    }
    case.negatives_fired.iter().chain(&case.positives_silent).next().cloned()
}

/// Returns on how many events the description says the rule fires; at least one. In some descriptions it is
/// the number of alerts after suppression and not of events, so it is a lower bound.
fn match_count(info: &str) -> usize {
    let count = info.lines().find_map(|line| line.trim().strip_prefix("match_count:"));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "title: t\nid: 5c8f4e0a-2f5b-4a7e-9a55-0d5a4c1f7b21\nlogsource: {product: windows}\n\
                        detection:\n  s: {Image|endswith: '\\a.exe'}\n  condition: s\n";

    fn case(folder: &Path, name: &str, rule: &str, events: &str, info: Option<&str>) {
        let folder = folder.join(name);
        std::fs::create_dir(&folder).expect("a temporary folder");
        std::fs::write(folder.join("rule.yml"), rule).expect("a file");
        std::fs::write(folder.join("event.json"), events).expect("a file");
        if let Some(info) = info {
            std::fs::write(folder.join("info.yml"), info).expect("a file");
        }
    }

    #[test]
    fn cases_pass_and_fail_for_their_reason() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(run(folder.path(), &[], true).expect_err("nothing is there").code, 3);
        let hit = r#"{"Event": {"EventData": {"Image": "C:\\A.EXE"}}}"#;
        case(folder.path(), "good", RULE, hit, Some("x:\n  - match_count: 1\n"));
        assert!(run(folder.path(), &[], true).is_ok() && run(folder.path(), &[], false).is_ok());
        let reason =
            |name: &str| judge(&Texts::read(&folder.path().join(name)).expect("it can be read"), &[]).0;
        assert_eq!(reason("good"), None);
        case(folder.path(), "silent", RULE, r#"{"Image": "b"}"#, None);
        assert_eq!(reason("silent").as_deref(), Some("fired on 0 of 1 events, at least 1 expected"));
        case(folder.path(), "twice", RULE, hit, Some("  match_count: 2\n"));
        assert_eq!(reason("twice").as_deref(), Some("fired on 1 of 1 events, at least 2 expected"));
        case(folder.path(), "rule", &RULE.replace("endswith", "nosuch"), hit, None);
        assert!(reason("rule").is_some_and(|why| why.contains("unknown modifier `nosuch`")));
        case(folder.path(), "json", RULE, "{", None);
        assert!(reason("json").is_some_and(|why| why.starts_with("event 1 is not valid JSON: ")));
        assert_eq!(run(folder.path(), &[], false).expect_err("some fail").code, 1);
        case(folder.path(), "foreign", &RULE.replace("Image", "path"), hit, None);
        assert!(reason("foreign").is_some(), "the event has no `path`");
        let mapping = "name: p\ntransformations:\n  - {type: field_name_mapping, mapping: {path: Image}}\n";
        let foreign = Texts::read(&folder.path().join("foreign")).expect("it can be read");
        let mapped = judge(&foreign, &[("p.yml".to_owned(), mapping.to_owned())]);
        assert_eq!(mapped.0, None);
        std::fs::create_dir(folder.path().join("bare")).expect("a folder");
        std::fs::write(folder.path().join("bare/rule.yml"), RULE).expect("a file");
        assert_eq!(
            run(folder.path(), &[], false).expect_err("a file is missing").code,
            1,
            "the others are still run"
        );
    }
}
