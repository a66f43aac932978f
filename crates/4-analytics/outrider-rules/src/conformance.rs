//! Rules of others on events of others: whether a rule fires where its author says, and not where it must not.
//!
//! Events that must not fire are derived from those that do: a field that the rule tests is taken away, or its value is
//! replaced or cut. What the rule then has to say follows from its condition and from tests that are evaluated
//! one by one; what is judged is the compiled matcher, which sees the events and all that were derived in one batch.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::foreign::{ForeignError, ForeignEvents, Leaf};
use crate::ir::{Rule, RuleIndex};
use crate::load::{RuleFile, load_with};
use crate::matcher::Matches;
use crate::problem::Problem;
use crate::taxonomy::Taxonomy;

/// Most events that are derived from those of one case.
const DERIVED_MAX: usize = 2_000;
/// Value that no rule asks for.
const OTHER_VALUE: &str = "\u{2203}\u{2204}\u{2205}";

/// What came of one rule and its events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Case {
    /// Every problem of the rule file.
    pub problems: Vec<Problem>,
    /// Rules that could be used.
    pub rules: usize,
    /// Events as they were given.
    pub events: usize,
    /// Positions of the events on which a rule fired, ascending.
    pub fired: Vec<usize>,
    /// Derived events on which no rule may fire.
    pub negatives: usize,
    /// Derived events on which the rule must still fire, because another part of its condition holds.
    pub positives: usize,
    /// Those of the negatives on which the rule fired nevertheless.
    pub negatives_fired: Vec<String>,
    /// Those of the positives on which it did not.
    pub positives_silent: Vec<String>,
}

/// One event, given or derived.
struct Made<'a> {
    /// What was done to it; empty for a given event.
    what: String,
    /// Given event from which it was derived.
    origin: usize,
    leaves: Vec<Leaf<'a>>,
    change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Nothing,
    /// None of the rule's fields is there.
    NoField,
    /// The named field is not there.
    Without(String),
    /// The named field has another value.
    Other,
}

/// Matches the rules of files, with the pipelines and filters among them, against events and against what is derived
/// from them.
///
/// # Errors
/// [`ForeignError`] if an event cannot be read.
pub fn check(files: &[RuleFile<'_>], events: &[Value]) -> Result<Case, ForeignError> {
    let given = ForeignEvents::from_values(events)?;
    let loaded = load_with(files, Taxonomy::Foreign(&given.fields));
    let mut case = Case { problems: loaded.problems, events: given.batch.rows(), ..Case::default() };
    let mut fired = BTreeSet::new();
    for rule in loaded.rules.rules() {
        case.rules += 1;
        fired.extend(check_rule(files, rule, events, &mut case)?);
    }
    case.fired = fired.into_iter().collect();
    Ok(case)
}

/// Returns the given events on which the rule fires.
fn check_rule(
    files: &[RuleFile<'_>],
    wanted: &Rule,
    events: &[Value],
    case: &mut Case,
) -> Result<Vec<usize>, ForeignError> {
    let names: BTreeSet<&str> = wanted.predicates.iter().map(|test| test.name.as_str()).collect();
    let made = derive(events, &names)?;
    let mut all = ForeignEvents::default();
    for event in &made {
        all.push_leaves(&event.leaves)?;
    }
    all.batch.seal();
    // The derived events may have columns at other places, so the rule is compiled anew against them.
    let loaded = load_with(files, Taxonomy::Foreign(&all.fields));
    let rules = loaded.rules.rules();
    let Some(position) = rules.iter().position(|rule| rule.header.id == wanted.header.id) else {
        return Ok(Vec::new());
    };
    let mut matches = Matches::new();
    loaded.rules.evaluate(&all.batch, &mut matches);
    let index = RuleIndex(u32::try_from(position).expect("rules of a load are capped far below 2^32"));
    let is_fired = |row: usize| u32::try_from(row).is_ok_and(|row| matches.of(index).contains(&row));
    let rule = &rules[position];
    let holds = |test: u32, row: usize| {
        rule.predicates.get(test as usize).is_some_and(|test| test.holds_at(&all.batch, row))
    };
    let mut fired = Vec::new();
    for (row, event) in made.iter().enumerate() {
        let name_of = |test: u32| rule.predicates.get(test as usize).map_or("", |test| test.name.as_str());
        let must = match &event.change {
            Change::Nothing => {
                fired.extend(is_fired(row).then_some(event.origin));
                continue;
            }
            Change::NoField => rule.condition.holds(&|_| false),
            Change::Without(name) => rule.condition.holds(&|test| name_of(test) != name && holds(test, row)),
            Change::Other => rule.matches(&all.batch, row),
        };
        let (count, wrong, verb) = if must {
            (&mut case.positives, &mut case.positives_silent, "is silent")
        } else {
            (&mut case.negatives, &mut case.negatives_fired, "fires")
        };
        *count += 1;
        if is_fired(row) != must {
            let title = &rule.header.title;
            wrong.push(format!("`{title}` {verb} on event {} {}", event.origin + 1, event.what));
        }
    }
    Ok(fired)
}

/// Returns the given events, each at its own position, and behind them those that are derived.
fn derive<'a>(events: &'a [Value], names: &BTreeSet<&str>) -> Result<Vec<Made<'a>>, ForeignError> {
    let mut made = Vec::new();
    for (origin, event) in events.iter().enumerate() {
        let leaves = Leaf::of(origin, event)?;
        made.push(Made { what: String::new(), origin, leaves, change: Change::Nothing });
    }
    let given = made.len();
    for origin in 0..given {
        let leaves = made[origin].leaves.clone();
        let is_named = |leaf: &Leaf<'_>, name: &str| leaf.names().iter().any(|known| known == name);
        let bare =
            leaves.iter().filter(|leaf| names.iter().all(|name| !is_named(leaf, name))).cloned().collect();
        let mut add = |what: String, leaves: Vec<Leaf<'a>>, change: Change| {
            if made.len() - given < DERIVED_MAX {
                made.push(Made { what, origin, leaves, change });
            }
        };
        // Keywords are searched in every value, so nothing of the event may be left.
        let nothing = if names.contains("message") { Vec::new() } else { bare };
        add("without any of its fields".to_owned(), nothing, Change::NoField);
        for name in names {
            let Some(named) = leaves.iter().find(|leaf| is_named(leaf, name)) else { continue };
            let value = named.text.clone().unwrap_or_default();
            let rest = leaves.iter().filter(|leaf| !is_named(leaf, name)).cloned().collect();
            let is_alone = names.contains("message");
            let change = if is_alone { Change::Other } else { Change::Without((*name).to_owned()) };
            add(format!("without {name}"), rest, change);
            for text in others(&value) {
                let mut changed = leaves.clone();
                changed
                    .iter_mut()
                    .filter(|leaf| is_named(leaf, name))
                    .for_each(|leaf| leaf.text = Some(text.clone()));
                add(format!("with {name} {text:?}"), changed, Change::Other);
            }
        }
    }
    Ok(made)
}

/// Returns other values than the given one: foreign to every rule, empty, and near misses.
fn others(value: &str) -> Vec<String> {
    let mut characters = value.chars();
    let without_first: String = characters.by_ref().skip(1).collect();
    let count = value.chars().count();
    let without_last: String = value.chars().take(count.saturating_sub(1)).collect();
    let swapped: String = value.chars().rev().collect();
    let mut texts = vec![OTHER_VALUE.to_owned(), String::new(), without_first, without_last, swapped];
    texts.retain(|text| text != value);
    texts.dedup();
    texts
}

/// What came of many rules over many events at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pack {
    /// Rules that could be used together.
    pub rules: usize,
    /// Events.
    pub events: usize,
    /// Pairs of a rule and an event on which it fired.
    pub fired: usize,
    /// Pairs of which the matcher said something else than the rule's tests one by one.
    pub disagreements: Vec<String>,
}

/// Matches all rules of files over all events at once, as the product matches a pack, and compares each pair of a rule
/// and an event with the rule's tests one by one.
///
/// # Errors
/// [`ForeignError`] if an event cannot be read.
pub fn check_pack(files: &[RuleFile<'_>], events: &[Value]) -> Result<Pack, ForeignError> {
    let events = ForeignEvents::from_values(events)?;
    let loaded = load_with(files, Taxonomy::Foreign(&events.fields));
    let mut pack = Pack { rules: loaded.rules.rules().len(), events: events.batch.rows(), ..Pack::default() };
    let mut matches = Matches::new();
    loaded.rules.evaluate(&events.batch, &mut matches);
    for (index, rule) in loaded.rules.rules().iter().enumerate() {
        let index = RuleIndex(u32::try_from(index).expect("rules of a load are capped far below 2^32"));
        let rows = matches.of(index);
        pack.fired += rows.len();
        for row in 0..events.batch.rows() {
            let is_fired = u32::try_from(row).is_ok_and(|row| rows.binary_search(&row).is_ok());
            if is_fired != rule.matches(&events.batch, row) {
                let verb = if is_fired { "fires" } else { "is silent" };
                pack.disagreements.push(format!("`{}` {verb} on event {}", rule.header.title, row + 1));
            }
        }
    }
    Ok(pack)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "title: t\nid: 5c8f4e0a-2f5b-4a7e-9a55-0d5a4c1f7b21\nlogsource: {product: windows}\ndetection:\n";

    fn case(detection: &str, events: &str) -> Case {
        let text = format!("{HEAD}{detection}");
        let events = crate::foreign::parse(events).expect("the test writes events");
        check(&[RuleFile { name: "rule.yml", text: &text }], &events).expect("the events can be read")
    }

    #[test]
    fn a_rule_fires_on_its_event_and_not_on_what_is_derived_from_it() {
        let found = case(
            "  s:\n    Image|endswith: '\\a.exe'\n    Id: 7\n  f: {Parent: null}\n  condition: s and not f\n",
            r#"{"Image": "C:\\x\\A.EXE", "Id": 7, "Parent": "p"} {"Image": "b", "Id": 7}"#,
        );
        assert_eq!((found.rules, found.events, found.fired.clone()), (1, 2, vec![0]));
        assert!(found.negatives >= 12, "{}", found.negatives);
        assert!(found.positives >= 2, "another parent is a parent as well");
        assert!(found.negatives_fired.is_empty() && found.positives_silent.is_empty(), "{found:?}");
    }

    #[test]
    fn a_rule_that_needs_nothing_has_no_negative_of_an_empty_event() {
        let found = case("  s: {A: null}\n  condition: s\n", r#"{"B": 1}"#);
        assert_eq!((found.fired.clone(), found.negatives, found.positives), (vec![0], 0, 1));
        assert!(found.negatives_fired.is_empty() && found.positives_silent.is_empty(), "{found:?}");
    }

    #[test]
    fn keywords_are_found_in_any_value() {
        let found =
            case("  k: [needle, 'x*z']\n  condition: k\n", r#"{"a": {"b": "hay NEEDLE hay"}} {"a": "n"}"#);
        assert_eq!(found.fired, [0]);
        assert!(found.negatives > 0 && found.negatives_fired.is_empty(), "{found:?}");
        let all = case(
            "  k:\n    '|all': [one, two]\n  condition: k\n",
            r#"{"a": "one", "b": "two"} {"a": "one"}"#,
        );
        assert_eq!(all.fired, [0]);
    }

    #[test]
    fn rules_together_say_what_they_say_alone() {
        let rule = |id: &str, detection: &str| format!("{HEAD}{detection}").replace("7b21", id);
        let texts = [
            rule("7b21", "  s: {a|contains: needle}\n  condition: s\n"),
            rule("7b22", "  s: {a|contains: eedl, b: 1}\n  condition: s\n"),
            rule("7b23", "  s: {a|re: '^n.*e$'}\n  condition: not s\n"),
            rule("7b23", "  s: {a: the id is taken}\n  condition: s\n"),
        ];
        let files: Vec<RuleFile<'_>> = texts.iter().map(|text| RuleFile { name: "r.yml", text }).collect();
        let events =
            crate::foreign::parse(r#"{"a": "needle", "b": 1} {"a": "Needle"} {"b": 1}"#).expect("events");
        let pack = check_pack(&files, &events).expect("the events can be read");
        assert_eq!((pack.rules, pack.events, pack.fired, pack.disagreements.len()), (3, 3, 5, 0));
    }

    #[test]
    fn a_rule_with_errors_is_not_used_and_says_so() {
        let found = case("  s: {A|nosuch: 1}\n  condition: s\n", "{}");
        assert_eq!((found.rules, found.fired.len()), (0, 0));
        assert!(found.problems.iter().any(|problem| problem.code == "rule.unknown_modifier"));
    }
}
