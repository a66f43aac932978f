//! Sigma filters: what must hold as well for the matches of other rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::collection::Budget;
use crate::correlation::Referents;
use crate::detection::{self, Detection, PREDICATES_MAX};
use crate::expr::Expr;
use crate::header::{self, Top};
use crate::ir::Rule;
use crate::logsource::{self, Logsource};
use crate::problem::{Position, Report};
use crate::rule::Context;
use crate::suggest;
use crate::taxonomy::Scope;
use crate::yaml::{Entry, Node, Value};

/// Most tests that all filters of a load add to rules.
const ADDED_MAX: usize = 500_000;

const KEYS: [&str; 13] = [
    "title",
    "id",
    "name",
    "taxonomy",
    "status",
    "description",
    "license",
    "author",
    "references",
    "date",
    "modified",
    "logsource",
    "filter",
];

/// A filter that was read.
#[derive(Debug)]
pub(crate) struct Filter {
    /// Rules by id or name, with the places where they are named; `None` for every rule of the log source.
    rules: Option<Vec<(String, Position)>>,
    rules_at: Position,
    logsource: Logsource,
    detection: Detection,
    text: Arc<str>,
}

/// Reads a filter; `None` after an error was reported.
pub(crate) fn read(
    top: Top<'_>,
    text: &Arc<str>,
    context: Context<'_>,
    report: &mut Report<'_>,
) -> Option<Filter> {
    for entry in top.entries.iter().filter(|entry| !KEYS.contains(&entry.key.as_str())) {
        let message = format!("unknown key `{}` of a filter", entry.key);
        report.warning(entry.key_at, "rule.unknown_key", message, suggest::nearest(&entry.key, KEYS));
    }
    if top.text("title", report).is_none() && top.get("title").is_none() {
        report.error(top.at, "rule.missing_title", "`title` is missing", "say whose matches are left out");
    }
    let written = logsource::read(top.get("logsource"), top.at, report);
    let entry = top.get("filter")?;
    let Value::Map(entries) = &entry.value.value else {
        report.error(entry.value.at, "rule.shape", "`filter` must be a map", "");
        return None;
    };
    let named = read_rules(entries, entry.key_at, report);
    let written = written?;
    let applied = context.applied(&written.words);
    let types = context.event_types(&applied, &written, report);
    let scope =
        Scope { taxonomy: context.taxonomy, types: types.as_deref().unwrap_or(&[]), applied: &applied };
    let selections = entries.iter().filter(|entry| entry.key != "rules").cloned().collect();
    let value = Node { at: entry.value.at, value: Value::Map(selections) };
    let selections = Entry { key: entry.key.clone(), key_at: entry.key_at, value };
    let detection = detection::read(&selections, scope, report);
    let (rules, rules_at) = named?;
    let detection = detection?;
    types?;
    report.is_clean().then(|| Filter {
        rules,
        rules_at,
        logsource: written.words,
        detection,
        text: Arc::clone(text),
    })
}

type Named = (Option<Vec<(String, Position)>>, Position);

/// Reads which rules are meant; `None` after an error was reported.
fn read_rules(entries: &[Entry], at: Position, report: &mut Report<'_>) -> Option<Named> {
    let hint = "ids or names of rules, or any";
    let Some(entry) = header::get(entries, "rules") else {
        report.error(at, "filter.rules", "`rules` is missing", hint);
        return None;
    };
    let names = header::texts(entry, report);
    if let [(word, _)] = names.as_slice()
        && matches!(word.to_ascii_lowercase().as_str(), "any" | "all")
        && matches!(entry.value.value, Value::Scalar(_))
    {
        return Some((None, entry.value.at));
    }
    if names.is_empty() {
        report.error(entry.value.at, "filter.rules", "`rules` is empty", hint);
        return None;
    }
    let names = names.into_iter().map(|(name, at)| (name.trim().to_owned(), at)).collect();
    Some((Some(names), entry.value.at))
}

/// What filters may still add.
#[derive(Debug)]
pub(crate) struct Room {
    tests: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { tests: ADDED_MAX }
    }
}

/// Adds a filter to the rules that it names.
pub(crate) fn apply(
    filter: &Filter,
    rules: &mut [Rule],
    referents: &Referents,
    (room, budget): (&mut Room, &mut Budget),
    report: &mut Report<'_>,
) {
    let mut targets: BTreeMap<usize, Position> = BTreeMap::new();
    match &filter.rules {
        None => {
            let within = |rule: &Rule| rule.logsource.is_within(&filter.logsource);
            let found = rules.iter().enumerate().filter(|(_, rule)| within(rule));
            targets.extend(found.map(|(index, _)| (index, filter.rules_at)));
            if targets.is_empty() {
                let message = "no rule has the log source of the filter";
                report.warning(filter.rules_at, "lint.filter_unused", message, "");
            }
        }
        Some(names) => {
            for (name, at) in names {
                targets.extend(find(filter, name, *at, rules, referents, report).map(|index| (index, *at)));
            }
        }
    }
    for (index, at) in targets {
        let Some(rule) = rules.get_mut(index) else { continue };
        if let Err((message, hint)) = add(filter, rule, room, budget) {
            let title = &rule.header.title;
            report.error(at, "filter.rules", format!("cannot be added to `{title}`: {message}"), hint);
        }
    }
}

fn find(
    filter: &Filter,
    name: &str,
    at: Position,
    rules: &[Rule],
    referents: &Referents,
    report: &mut Report<'_>,
) -> Option<usize> {
    let is_it = |rule: &Rule| {
        rule.header.id.0.eq_ignore_ascii_case(name) || rule.header.name.as_deref() == Some(name)
    };
    let Some(index) = rules.iter().position(is_it) else {
        let is_known = |names: &[String]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
        let (message, hint) = if is_known(&referents.correlations) {
            (format!("`{name}` is a correlation"), "name the rules that it counts".to_owned())
        } else if is_known(&referents.broken) {
            (format!("rule `{name}` is not used"), "see its own problems".to_owned())
        } else {
            let names = rules.iter().filter_map(|rule| rule.header.name.as_deref());
            (format!("there is no rule `{name}`"), suggest::nearest(name, names))
        };
        report.error(at, "filter.rules", message, hint);
        return None;
    };
    if !rules[index].logsource.is_within(&filter.logsource) {
        let message = format!("rule `{name}` has another log source than the filter");
        report.error(at, "filter.rules", message, "give the filter the log source of its rules");
        return None;
    }
    Some(index)
}

/// Adds a filter to one rule, or says why that is not possible; the rule is then as it was.
fn add(
    filter: &Filter,
    rule: &mut Rule,
    room: &mut Room,
    budget: &mut Budget,
) -> Result<(), (String, &'static str)> {
    let Detection { predicates, condition, .. } = &filter.detection;
    let before = rule.predicates.len();
    if before + predicates.len() > PREDICATES_MAX {
        return Err((
            format!("it would have more than {PREDICATES_MAX} tests"),
            "split the rule or the filter",
        ));
    }
    let Some(left) = room.tests.checked_sub(predicates.len()) else {
        return Err((format!("filters add more than {ADDED_MAX} tests to rules"), "name fewer rules"));
    };
    let offset = u32::try_from(before).expect("PREDICATES_MAX is below 2^32");
    let both = Expr::And(vec![rule.condition.clone(), condition.shifted(offset)]);
    if both.depth() > Expr::DEPTH_MAX {
        let message = format!("its condition would be nested more than {} levels deep", Expr::DEPTH_MAX);
        return Err((message, "write the condition flatter"));
    }
    let test = |index: u32| {
        let index = index as usize;
        rule.predicates.get(index).or_else(|| predicates.get(index.checked_sub(before)?))
    };
    let mut event_types = rule.event_types.clone();
    event_types.retain(|id| both.fold(&|index| test(index)?.known_for(*id)) != Some(false));
    if event_types.is_empty() {
        return Err(("no event type could meet both".to_owned(), "the rule would never match"));
    }
    if !budget.append(&mut rule.header.source.yaml, "filter", &filter.text) {
        return Err(("the texts of rules and filters are too large together".to_owned(), "name fewer rules"));
    }
    room.tests = left;
    rule.predicates.extend(predicates.iter().cloned());
    rule.condition = both;
    rule.event_types = event_types;
    Ok(())
}
