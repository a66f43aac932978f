//! Checks one correlation document and resolves the rules it names.

use std::collections::BTreeMap;

use crate::field::{FieldRef, ValueKind};
use crate::header::{self, Top};
use crate::ir::{Correlation, CorrelationKind, Header, Rule, RuleIndex, SourceText, Threshold};
use crate::problem::{Position, Report};
use crate::rule::carries;
use crate::suggest;
use crate::yaml::{Entry, Value};

/// Longest timespan: the detectors keep this much history ready, and older events are scanned in batches.
const TIMESPAN_US_MAX: u64 = 30 * 86_400 * 1_000_000;
/// Highest count of events; state grows with it, since every event of a window may be late.
const EVENTS_MAX: u64 = 1_000_000;
/// Highest count of distinct values; each is kept by itself, because the count must be exact.
const VALUES_MAX: u64 = 100_000;
/// Most fields of a tuple whose values are counted.
const TUPLE_MAX: usize = 4;
/// Most rules of one correlation.
const RULES_MAX: usize = 64;

/// A correlation whose rules are still names.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) header: Header,
    kind: CorrelationKind,
    rules: Vec<(String, Position)>,
    group_by: Vec<FieldRef>,
    group_at: Position,
    timespan_us: u64,
    condition: Threshold,
    generate: bool,
}

/// Reads a correlation; `None` after an error was reported.
pub(crate) fn read(top: Top<'_>, source: SourceText, report: &mut Report<'_>) -> Option<Draft> {
    let header = header::read(top, source, report);
    for key in ["detection", "logsource", "group-by"] {
        if let Some(entry) = top.get(key) {
            let message = format!("a correlation has no `{key}` beside it");
            report.error(entry.key_at, "rule.shape", message, "write the rule as a document of its own");
        }
    }
    let entry = top.get("correlation")?;
    let Value::Map(entries) = &entry.value.value else {
        report.error(entry.value.at, "rule.shape", "`correlation` must be a map", "");
        return None;
    };
    check_keys(entries, report);
    let at = entry.key_at;
    let kind = read_kind(entries, at, report);
    let rules = read_rules(entries, at, report);
    let group = header::get(entries, "group-by");
    let group_by = group.map_or_else(|| Some(Vec::new()), |entry| header::read_group(entry, report));
    let timespan_us = read_timespan(entries, at, report);
    let rule_count = rules.as_ref().map_or(0, Vec::len);
    let condition = match &kind {
        Some(kind @ (CorrelationKind::Temporal | CorrelationKind::TemporalOrdered)) => {
            read_temporal(entries, at, kind, rule_count, report).map(|threshold| (threshold, None))
        }
        Some(CorrelationKind::EventCount | CorrelationKind::ValueCount { .. }) | None => {
            read_condition(entries, at, kind.as_ref(), report)
        }
    };
    let generate = top.get("generate").or_else(|| header::get(entries, "generate"));
    let generate = generate.is_some_and(|entry| header::text(entry, report) == Some("true"));
    let (kind, condition) = (kind?, condition?);
    Some(Draft {
        header: header?,
        kind: condition.1.map_or(kind, |fields| CorrelationKind::ValueCount { fields }),
        rules: rules?,
        group_by: group_by?,
        group_at: group.map_or(at, |entry| entry.value.at),
        timespan_us: timespan_us?,
        condition: condition.0,
        generate,
    })
    .filter(|_| report.is_clean())
}

fn check_keys(entries: &[Entry], report: &mut Report<'_>) {
    const KEYS: [&str; 7] = ["type", "rules", "group-by", "timespan", "condition", "aliases", "generate"];
    for entry in entries {
        if entry.key == "aliases" {
            let message = "`aliases` are not supported";
            let hint = "all events share one set of field names, so the rules can be grouped as they are";
            report.error(entry.key_at, "rule.unsupported", message, hint);
        } else if !KEYS.contains(&entry.key.as_str()) {
            let message = format!("unknown key `{}` of the correlation", entry.key);
            report.error(entry.key_at, "rule.unknown_key", message, suggest::nearest(&entry.key, KEYS));
        }
    }
}

/// Returns the kind; the fields of a `value_count` are filled in by the condition.
fn read_kind(entries: &[Entry], at: Position, report: &mut Report<'_>) -> Option<CorrelationKind> {
    const LATER: [&str; 4] = ["value_sum", "value_avg", "value_percentile", "value_median"];
    let hint = "one of event_count, value_count, temporal and temporal_ordered";
    let Some(entry) = header::get(entries, "type") else {
        report.error(at, "correlation.type", "`type` is missing", hint);
        return None;
    };
    let word = header::text(entry, report)?;
    match word {
        "event_count" => Some(CorrelationKind::EventCount),
        "value_count" => Some(CorrelationKind::ValueCount { fields: Vec::new() }),
        "temporal" => Some(CorrelationKind::Temporal),
        "temporal_ordered" => Some(CorrelationKind::TemporalOrdered),
        _ => {
            let state = if LATER.contains(&word) { "is not supported" } else { "is not a correlation type" };
            report.error(entry.value.at, "correlation.type", format!("`{word}` {state}"), hint);
            None
        }
    }
}

/// Reads how many of the rules must match: all, unless a condition of a `temporal` asks for fewer.
fn read_temporal(
    entries: &[Entry],
    at: Position,
    kind: &CorrelationKind,
    rules: usize,
    report: &mut Report<'_>,
) -> Option<Threshold> {
    let all = rules as u64;
    if rules == 1 {
        let hint = "name two or more, or use event_count";
        report.error(at, "correlation.rules", "one rule has no order and no company", hint);
    }
    let Some(entry) = header::get(entries, "condition") else {
        return Some(Threshold { at_least: all, at_most: None, except: None });
    };
    if *kind == CorrelationKind::TemporalOrdered {
        let message = "`temporal_ordered` takes no condition";
        report.error(entry.key_at, "correlation.condition", message, "all rules must match in their order");
        return None;
    }
    let Value::Map(bounds) = &entry.value.value else {
        let hint = "such as condition: {gte: 2}";
        report.error(entry.value.at, "correlation.condition", "`condition` must be a map of bounds", hint);
        return None;
    };
    let mut need = 0;
    for bound in bounds {
        match (bound.key.as_str(), read_number(bound, report)) {
            (_, None) => {}
            ("gte", Some(number)) => need = need.max(number),
            ("gt", Some(number)) => need = need.max(number.saturating_add(1)),
            ("eq", Some(number)) if number == all => need = all,
            (other, Some(_)) => {
                let message = format!("`temporal` cannot be bounded by `{other}`");
                let hint = "gte or gt: how many of the rules must match; all if left out";
                report.error(bound.key_at, "correlation.condition", message, hint);
            }
        }
    }
    if need < 2 || need > all {
        let message = format!("{need} of {all} rules cannot be asked for");
        report.error(entry.value.at, "correlation.condition", message, format!("2 to {all}"));
        return None;
    }
    Some(Threshold { at_least: need, at_most: None, except: None })
}

fn read_rules(entries: &[Entry], at: Position, report: &mut Report<'_>) -> Option<Vec<(String, Position)>> {
    let hint = "name rules by id or name";
    let Some(entry) = header::get(entries, "rules") else {
        report.error(at, "correlation.rules", "`rules` is missing", hint);
        return None;
    };
    let rules = header::texts(entry, report);
    if rules.is_empty() || rules.len() > RULES_MAX {
        let message = format!("a correlation needs 1 to {RULES_MAX} rules");
        report.error(entry.value.at, "correlation.rules", message, hint);
        return None;
    }
    Some(rules.into_iter().map(|(name, at)| (name.to_owned(), at)).collect())
}

fn read_timespan(entries: &[Entry], at: Position, report: &mut Report<'_>) -> Option<u64> {
    let Some(entry) = header::get(entries, "timespan") else {
        let hint = "such as timespan: 24h; without it the state would grow for ever";
        report.error(at, "correlation.timespan", "`timespan` is missing", hint);
        return None;
    };
    let text = header::text(entry, report)?;
    let unit = match text.bytes().last() {
        Some(b's') => 1,
        Some(b'm') => 60,
        Some(b'h') => 3_600,
        Some(b'd') => 86_400,
        Some(_) | None => 0,
    };
    let digits = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
    let number =
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten();
    let span = number
        .filter(|number| *number > 0 && unit > 0)
        .map(|number| number.saturating_mul(unit).saturating_mul(1_000_000));
    match span {
        None => {
            let message = format!("`{text}` is not a timespan");
            report.error(
                entry.value.at,
                "correlation.timespan",
                message,
                "a number and s, m, h or d, such as 24h",
            );
            None
        }
        Some(span) if span > TIMESPAN_US_MAX => {
            let message = format!("timespan `{text}` is longer than 30d");
            let hint = "longer trends belong to the baselines or to a query on the lake";
            report.error(entry.value.at, "correlation.timespan", message, hint);
            None
        }
        Some(span) => Some(span),
    }
}

/// Reads the bounds, and the fields of a `value_count`.
fn read_condition(
    entries: &[Entry],
    at: Position,
    kind: Option<&CorrelationKind>,
    report: &mut Report<'_>,
) -> Option<(Threshold, Option<Vec<FieldRef>>)> {
    let Some(entry) = header::get(entries, "condition") else {
        report.error(at, "correlation.condition", "`condition` is missing", "such as condition: {gte: 50}");
        return None;
    };
    let Value::Map(bounds) = &entry.value.value else {
        let hint = "such as condition: {gte: 50}";
        report.error(entry.value.at, "correlation.condition", "`condition` must be a map of bounds", hint);
        return None;
    };
    let mut range = Threshold { at_least: 1, at_most: None, except: None };
    let mut field = None;
    let mut lowest = 0;
    for bound in bounds {
        if bound.key == "field" {
            field = read_fields(bound, kind, report);
            continue;
        }
        let Some(number) = read_number(bound, report) else { continue };
        let most = |value: u64| Some(range.at_most.map_or(value, |most| most.min(value)));
        match bound.key.as_str() {
            "gte" => lowest = lowest.max(number),
            "gt" => lowest = lowest.max(number.saturating_add(1)),
            "lte" => range.at_most = most(number),
            "lt" => range.at_most = most(number.saturating_sub(1)),
            "eq" => {
                lowest = lowest.max(number);
                range.at_most = most(number);
            }
            "neq" => range.except = Some(number),
            other => {
                let hint = suggest::nearest(other, ["gt", "gte", "lt", "lte", "eq", "neq", "field"]);
                let message = format!("unknown bound `{other}`");
                report.error(bound.key_at, "correlation.condition", message, hint);
            }
        }
    }
    range.at_least = lowest.max(1);
    check_range(entry, bounds, &range, kind, report);
    if let (Some(CorrelationKind::ValueCount { .. }), None) = (kind, &field) {
        if header::get(bounds, "field").is_none() {
            let hint = "such as condition: {field: vehicle_id, gte: 50}";
            report.error(entry.value.at, "correlation.condition", "`field` is missing", hint);
        }
        return None;
    }
    Some((range, field))
}

fn check_range(
    entry: &Entry,
    bounds: &[Entry],
    range: &Threshold,
    kind: Option<&CorrelationKind>,
    report: &mut Report<'_>,
) {
    let at = entry.value.at;
    if !bounds.iter().any(|bound| bound.key != "field") {
        report.error(at, "correlation.condition", "`condition` has no bound", "such as gte: 50");
    }
    if range.at_most.is_some_and(|most| most < range.at_least) {
        let hint = "a group exists from its first event on, so 0 is never counted";
        report.error(at, "correlation.condition", "no count can meet the condition", hint);
    }
    let most = match kind {
        Some(CorrelationKind::ValueCount { .. }) => VALUES_MAX,
        Some(CorrelationKind::EventCount | CorrelationKind::Temporal | CorrelationKind::TemporalOrdered)
        | None => EVENTS_MAX,
    };
    let highest = range.at_least.max(range.at_most.unwrap_or(0)).max(range.except.unwrap_or(0));
    if highest > most {
        let message = format!("bound {highest} is above {most}, the state that one group may keep");
        report.error(at, "correlation.condition", message, "lower the bound or shorten the timespan");
    }
}

fn read_number(bound: &Entry, report: &mut Report<'_>) -> Option<u64> {
    let text = header::text(bound, report)?;
    let number = text.parse::<u64>().ok();
    if number.is_none() {
        let message = format!("`{text}` is not a whole number");
        report.error(bound.value.at, "correlation.condition", message, "counts are whole numbers from 0");
    }
    number
}

fn read_fields(
    bound: &Entry,
    kind: Option<&CorrelationKind>,
    report: &mut Report<'_>,
) -> Option<Vec<FieldRef>> {
    if kind == Some(&CorrelationKind::EventCount) {
        report.error(
            bound.key_at,
            "correlation.condition",
            "`event_count` takes no field",
            "use value_count",
        );
        return None;
    }
    let names = header::texts(bound, report);
    if names.is_empty() || names.len() > TUPLE_MAX {
        let message = format!("`field` names 1 to {TUPLE_MAX} fields");
        report.error(bound.value.at, "correlation.condition", message, "several count as one tuple");
        return None;
    }
    let mut fields = Vec::with_capacity(names.len());
    for (name, at) in names {
        let field = header::find_field(name, at, report)?;
        if field.kind() == ValueKind::Time {
            let message = format!("`{name}` is a time, of which hardly two are the same");
            report.error(at, "correlation.condition", message, "use event_count");
            return None;
        }
        if fields.contains(&field) {
            report.error(at, "correlation.condition", format!("`{name}` appears twice"), "");
            return None;
        }
        fields.push(field);
    }
    Some(fields)
}

/// Returns the positions of rules by id and by name.
pub(crate) fn names(rules: &[Rule]) -> BTreeMap<String, usize> {
    let both = |(position, rule): (usize, &Rule)| {
        let name = rule.header.name.clone().map(|name| (name, position));
        name.into_iter().chain([(rule.header.id.0.clone(), position)])
    };
    rules.iter().enumerate().flat_map(both).collect()
}

/// Ids and names that a correlation may state.
#[derive(Debug, Default)]
pub(crate) struct Referents {
    /// Positions of rules by id and by name.
    pub(crate) rules: BTreeMap<String, usize>,
    /// Of documents that are left out.
    pub(crate) broken: Vec<String>,
    /// Of correlations.
    pub(crate) correlations: Vec<String>,
}

impl Referents {
    /// Says why a name is no rule, and what to do.
    fn why_not(&self, name: &str, rules: &[Rule]) -> (String, String) {
        let is_among = |names: &[String]| names.iter().any(|other| other.eq_ignore_ascii_case(name));
        if is_among(&self.correlations) {
            let message =
                format!("`{name}` is a correlation, and correlations over correlations are not supported");
            return (message, "name the rules that it counts".to_owned());
        }
        if is_among(&self.broken) {
            return (format!("rule `{name}` has errors or is not evaluated"), "correct it first".to_owned());
        }
        let names = rules.iter().filter_map(|rule| rule.header.name.as_deref());
        (format!("there is no rule `{name}`"), suggest::nearest(name, names))
    }
}

/// Puts indexes in the place of names; `None` after an error was reported.
pub(crate) fn resolve(
    draft: Draft,
    rules: &[Rule],
    referents: &Referents,
    report: &mut Report<'_>,
) -> Option<Correlation> {
    let mut found: Vec<RuleIndex> = Vec::new();
    for (name, at) in &draft.rules {
        let position =
            referents.rules.get(name).or_else(|| referents.rules.get(&name.to_ascii_lowercase())).copied();
        let Some(position) = position else {
            let (message, hint) = referents.why_not(name, rules);
            report.error(*at, "correlation.rules", message, hint);
            continue;
        };
        let index = RuleIndex(u32::try_from(position).expect("a set has fewer than 2^32 rules"));
        if found.contains(&index) {
            report.error(*at, "correlation.rules", format!("rule `{name}` appears twice"), "");
            continue;
        }
        found.push(index);
        check_fields(&draft, name, &rules[position], report);
    }
    let Draft { header, kind, group_by, timespan_us, condition, generate, .. } = draft;
    report.is_clean().then_some(Correlation {
        header,
        kind,
        rules: found,
        group_by,
        timespan_us,
        condition,
        generate,
    })
}

fn check_fields(draft: &Draft, name: &str, rule: &Rule, report: &mut Report<'_>) {
    let counted: &[FieldRef] = match &draft.kind {
        CorrelationKind::EventCount | CorrelationKind::Temporal | CorrelationKind::TemporalOrdered => &[],
        CorrelationKind::ValueCount { fields } => fields,
    };
    for field in draft.group_by.iter().chain(counted).copied() {
        if !carries(field, &rule.event_types) {
            let message = format!("no event of rule `{name}` carries `{field}`, so it could never count");
            report.error(
                draft.group_at,
                "correlation.impossible",
                message,
                "use a field that every rule has",
            );
        }
    }
}
