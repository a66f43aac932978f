//! `outrider rule test`.

use std::path::Path;
use std::sync::Arc;

use outrider_detect::{Detector, DetectorConfig};
use outrider_model::{EventBatch, Finding, Stage as _};
use outrider_rules::{Header, Loaded, Matches, ProblemLevel, RuleFile, RuleIndex, RuleSet, load, sample};
use outrider_types::{IngestTime, UnixMicros};
use serde_json::json;

use super::{sorted, text};
use crate::cli::{Failure, print};
use crate::content;

/// Longest sample file.
const SAMPLE_BYTES_MAX: usize = 1 << 20;

/// One sample that was run.
struct Outcome {
    rule: String,
    file: String,
    /// Why it failed.
    why: Option<String>,
}

pub(super) fn run(folder: &Path, as_json: bool) -> Result<(), Failure> {
    let texts = content::rules(Some(folder))?;
    if texts.is_empty() {
        return Err(Failure::input(format!("{}: no .yml or .yaml file", folder.display())));
    }
    let files: Vec<RuleFile<'_>> =
        texts.iter().map(|text| RuleFile { name: &text.name, text: &text.text }).collect();
    let Loaded { rules, problems } = load(&files);
    let rules = Arc::new(rules);
    let mut outcomes = Vec::new();
    let mut without = Vec::new();
    for (header, kind) in judged(&rules) {
        let name = header.name.clone().unwrap_or_else(|| header.id.0.clone());
        let cases = folder.join("tests").join(&name);
        let paths = if cases.is_dir() { sorted(&cases)? } else { Vec::new() };
        let mut seen = [false; 2];
        for path in paths.iter().filter(|path| path.extension().is_some_and(|end| end == "toml")) {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let Some(is_hit) = is_hit(&file) else { continue };
            seen[usize::from(is_hit)] = true;
            let text = text(path, SAMPLE_BYTES_MAX)?;
            let why = match sample::read(&text) {
                Ok(sample) => judge(&rules, header, kind, &sample.batch, is_hit),
                Err(error) => Some(error.to_string()),
            };
            outcomes.push(Outcome { rule: name.clone(), file, why });
        }
        let missing = match seen {
            [true, true] => continue,
            [false, true] => "no near miss",
            [true, false] => "no hit",
            [false, false] => "neither hit nor near miss",
        };
        without.push((name, missing));
    }
    let errors = problems.iter().filter(|problem| problem.level == ProblemLevel::Error).count();
    let failed = outcomes.iter().filter(|outcome| outcome.why.is_some()).count();
    let passed = errors == 0 && failed == 0 && without.is_empty();
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    report(&rules, &lines, errors, &outcomes, &without, as_json)?;
    let what = format!("{errors} errors, {failed} samples failed, {} rules without cases", without.len());
    if passed { Ok(()) } else { Err(Failure::failed(what)) }
}

fn report(
    rules: &RuleSet,
    problems: &[String],
    errors: usize,
    outcomes: &[Outcome],
    without: &[(String, &str)],
    as_json: bool,
) -> Result<(), Failure> {
    let (plain, counting) = (rules.rules().len(), rules.correlations().len());
    let warnings = problems.len() - errors;
    let failed = outcomes.iter().filter(|outcome| outcome.why.is_some()).count();
    if as_json {
        let samples: Vec<_> = outcomes
            .iter()
            .map(|it| json!({ "rule": it.rule, "file": it.file, "passed": it.why.is_none(), "why": it.why }))
            .collect();
        let without_cases: Vec<_> =
            without.iter().map(|(rule, what)| json!({ "rule": rule, "why": what })).collect();
        let object = json!({
            "rules": plain, "correlations": counting, "errors": errors, "warnings": warnings,
            "problems": problems, "samples": samples, "without_cases": without_cases,
            "passed": errors == 0 && failed == 0 && without.is_empty(),
        });
        return print(&format!("{object}\n"));
    }
    let mut text: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    for outcome in outcomes {
        if let Some(why) = &outcome.why {
            text.push_str(&format!("FAILED {}/{}: {why}\n", outcome.rule, outcome.file));
        }
    }
    for (rule, what) in without {
        text.push_str(&format!("UNTESTED {rule}: {what}\n"));
    }
    text.push_str(&format!(
        "{plain} rules and {counting} correlations, {errors} errors, {warnings} warnings; {} samples, {failed} failed; \
         {} rules without cases\n",
        outcomes.len(),
        without.len()
    ));
    print(&text)
}

/// What a header belongs to.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Rule(RuleIndex),
    /// Position in [`RuleSet::correlations`].
    Correlation(usize),
}

fn judged(rules: &RuleSet) -> impl Iterator<Item = (&Header, Kind)> {
    let number =
        |index: usize| RuleIndex(u32::try_from(index).expect("rules of a load are capped far below 2^32"));
    let plain = rules.rules().iter().enumerate();
    let plain = plain.map(move |(index, rule)| (&rule.header, Kind::Rule(number(index))));
    let counting = rules.correlations().iter().enumerate();
    plain.chain(counting.map(|(index, correlation)| (&correlation.header, Kind::Correlation(index))))
}

/// Returns whether a file is a hit or a near miss; `None` if it is neither.
fn is_hit(file: &str) -> Option<bool> {
    match file {
        _ if file.starts_with("hit") => Some(true),
        _ if file.starts_with("near-miss") => Some(false),
        _ => None,
    }
}

/// Returns why a sample does not do what its name says.
fn judge(
    rules: &Arc<RuleSet>,
    header: &Header,
    kind: Kind,
    batch: &EventBatch,
    is_hit: bool,
) -> Option<String> {
    if batch.is_empty() {
        return Some("the sample has no event".to_owned());
    }
    match kind {
        Kind::Rule(index) => {
            let mut matches = Matches::new();
            rules.evaluate(batch, &mut matches);
            let matched = matches.of(index).len();
            let wanted = if is_hit { batch.rows() } else { 0 };
            let verb = if is_hit { "every event must match" } else { "none may match" };
            (matched != wanted).then(|| format!("{matched} of {} events match, {verb}", batch.rows()))
        }
        Kind::Correlation(index) => {
            let correlation = rules.correlations().get(index)?;
            let groups = sample::groups_that_fire(rules, correlation, batch).len();
            let stated = stated(rules, header, batch);
            if groups != usize::from(is_hit) {
                return Some(format!("fires in {groups} groups, must in {}", usize::from(is_hit)));
            }
            if stated != is_hit {
                let verb = if stated { "states" } else { "does not state" };
                return Some(format!("the detector {verb} a finding"));
            }
            let members = correlation.rules.iter().filter_map(|rule| rules.rule(*rule));
            let counts = |row: usize| members.clone().any(|rule| rule.matches(batch, row));
            let is_empty = !is_hit && !(0..batch.rows()).any(counts);
            is_empty.then(|| "the near miss has no event that counts".to_owned())
        }
    }
}

/// Returns whether the detector's last word is a finding of the rule.
fn stated(rules: &Arc<RuleSet>, header: &Header, batch: &EventBatch) -> bool {
    let mut detector = Detector::new(Arc::clone(rules), DetectorConfig::default());
    let now = batch.ingest_time.iter().max().copied().unwrap_or(0);
    let mut findings: Vec<Finding> = Vec::new();
    detector.on_batch(batch, IngestTime(UnixMicros(now)), &mut findings);
    let last = |finding: &Finding| {
        !findings.iter().any(|other| other.id == finding.id && other.revision > finding.revision)
    };
    findings.iter().any(|finding| finding.rule == header.id && !finding.withdrawn && last(finding))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "title: t\nid: 5c8f4e0a-2f5b-4a7e-9a55-0d5a4c1f7b21\nname: off\ndescription: d\nlevel: low\n\
                        tags: [unr155.20.1]\nlogsource: {product: vehicle, category: can}\n\
                        detection:\n  s: {event_type: can.bus_off}\n  condition: s\n";

    fn event(kind: &str) -> String {
        format!("about = 'x'\n[[event]]\ntype = '{kind}'\nvehicle = 1\nat_s = 0.0\n")
    }

    #[test]
    fn a_rule_passes_with_a_hit_and_a_near_miss_and_fails_without() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(run(folder.path(), false).expect_err("there is no rule").code, 3);
        std::fs::write(folder.path().join("off.yml"), RULE).expect("a file");
        assert_eq!(run(folder.path(), true).expect_err("nothing shows what it does").code, 1);
        let cases = folder.path().join("tests/off");
        std::fs::create_dir_all(&cases).expect("a folder");
        std::fs::write(cases.join("hit.toml"), event("can.bus_off")).expect("a file");
        assert!(run(folder.path(), true).expect_err("no near miss").to_string().contains("1 rules without"));
        std::fs::write(cases.join("near-miss.toml"), event("can.flood")).expect("a file");
        assert!(run(folder.path(), true).is_ok() && run(folder.path(), false).is_ok());
        std::fs::write(cases.join("near-miss-2.toml"), event("can.bus_off")).expect("a file");
        assert!(run(folder.path(), false).expect_err("it matches").to_string().contains("1 samples failed"));
        std::fs::write(folder.path().join("bad.yml"), "title: t\n").expect("a file");
        assert!(run(folder.path(), false).expect_err("a rule is broken").to_string().contains("errors"));
    }

    #[test]
    fn the_shipped_rules_pass() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../content/rules");
        assert!(run(&folder, true).is_ok());
    }
}
