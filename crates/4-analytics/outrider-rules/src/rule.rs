//! Checks one rule document about single events.

use outrider_model::catalogue::{self, EventType};
use outrider_types::EventTypeId;

use crate::detection::{self, Detection};
use crate::field::{CoreField, FieldRef};
use crate::foreign;
use crate::header::{self, Top};
use crate::ir::{Rule, SourceText};
use crate::problem::Report;
use crate::suggest;
use crate::taxonomy::{Scope, Taxonomy};
use crate::yaml::{Entry, Value};

/// Reads a rule; `None` after an error was reported.
pub(crate) fn read(
    top: Top<'_>,
    source: SourceText,
    taxonomy: Taxonomy<'_>,
    report: &mut Report<'_>,
) -> Option<Rule> {
    let header = header::read(top, source, report);
    if let Some(generate) = top.get("generate") {
        report.error(generate.key_at, "rule.shape", "`generate` belongs to a correlation", "leave it out");
    }
    let group_by = match top.get("group-by") {
        Some(entry) => header::read_group(entry, report),
        None => Some(vec![FieldRef::Core(CoreField::VehicleId)]),
    };
    if let (Some(entry), Some([])) = (top.get("group-by"), group_by.as_deref()) {
        report.error(
            entry.value.at,
            "rule.group",
            "`group-by` of a rule is empty",
            "leave it out for vehicle_id",
        );
    }
    let types = match taxonomy {
        Taxonomy::Vehicle => read_logsource(top, report),
        Taxonomy::Foreign(_) => Some(Vec::new()),
    };
    // Without a log source the items are still checked, so that all problems are reported at once.
    let scope = Scope { taxonomy, types: types.as_deref().unwrap_or(&[]) };
    let detection = match top.get("detection") {
        Some(entry) => detection::read(entry, scope, report),
        None => {
            report.error(top.at, "rule.missing_detection", "`detection` is missing", "");
            None
        }
    };
    let (types, detection) = (types?, detection?);
    let event_types = match taxonomy {
        Taxonomy::Vehicle => reach(top, &types, &detection, report)?,
        Taxonomy::Foreign(_) => vec![foreign::EVENT_TYPE],
    };
    let (header, group_by) = (header?, group_by?);
    if matches!(taxonomy, Taxonomy::Vehicle) {
        check_group(top, &group_by, &event_types, report);
    }
    let Detection { predicates, condition, .. } = detection;
    report.is_clean().then_some(Rule { header, group_by, generate: true, event_types, predicates, condition })
}

/// Finds the event types of the log source.
fn read_logsource(top: Top<'_>, report: &mut Report<'_>) -> Option<Vec<&'static EventType>> {
    let hint = "such as logsource: {product: vehicle, category: can}";
    let Some(entry) = top.get("logsource") else {
        report.error(top.at, "rule.missing_logsource", "`logsource` is missing", hint);
        return None;
    };
    let Value::Map(entries) = &entry.value.value else {
        report.error(entry.value.at, "rule.shape", "`logsource` must be a map", hint);
        return None;
    };
    for entry in entries {
        if !["product", "category", "service", "definition"].contains(&entry.key.as_str()) {
            let message = format!("unknown key `{}` of the log source", entry.key);
            report.warning(entry.key_at, "rule.unknown_key", message, "");
        }
    }
    let product = header::get(entries, "product").and_then(|entry| header::text(entry, report));
    if product != Some("vehicle") {
        report.error(entry.value.at, "rule.logsource", "`product` must be vehicle", hint);
        return None;
    }
    let category = optional(entries, "category", report)?;
    let service = optional(entries, "service", report)?;
    let domains = || catalogue::EVENT_TYPES.iter().filter_map(|entry| entry.name.split_once('.'));
    if let Some((category, at)) = category
        && !domains().any(|(domain, _)| domain == category)
    {
        let hint = suggest::nearest(category, domains().map(|(domain, _)| domain));
        report.error(at, "rule.logsource", format!("no event type has the category `{category}`"), hint);
        return None;
    }
    let types: Vec<_> = catalogue::EVENT_TYPES
        .iter()
        .filter(|entry| {
            let (domain, fact) = entry.name.split_once('.').unwrap_or((entry.name, ""));
            category.is_none_or(|(category, _)| category == domain)
                && service.is_none_or(|(service, _)| service == fact)
        })
        .collect();
    if let (Some((service, at)), true) = (service, types.is_empty()) {
        let hint = suggest::nearest(service, domains().map(|(_, fact)| fact));
        report.error(at, "rule.logsource", format!("no event type has the service `{service}`"), hint);
        return None;
    }
    Some(types)
}

/// Returns the text of a key that may be left out; the outer `None` after an error was reported.
#[expect(clippy::option_option, reason = "the outer option is the error, the inner one the absent key")]
fn optional<'a>(
    entries: &'a [Entry],
    key: &str,
    report: &mut Report<'_>,
) -> Option<Option<(&'a str, crate::problem::Position)>> {
    match header::get(entries, key) {
        None => Some(None),
        Some(entry) => header::text(entry, report).map(|text| Some((text, entry.value.at))),
    }
}

/// Returns the event types that can meet the condition, or reports why there is none.
fn reach(
    top: Top<'_>,
    types: &[&'static EventType],
    detection: &Detection,
    report: &mut Report<'_>,
) -> Option<Vec<EventTypeId>> {
    let Detection { predicates, condition, fields, condition_at } = detection;
    let known = |test: u32, entry: &EventType| predicates.get(test as usize)?.known_for(entry.id);
    let possible: Vec<&'static EventType> = types
        .iter()
        .copied()
        .filter(|entry| condition.fold(&|test| known(test, entry)) != Some(false))
        .collect();
    if possible.is_empty() {
        let hint = "compare `event_type` with the category of the log source";
        report.error(*condition_at, "rule.impossible", "no event type can meet the condition", hint);
        return None;
    }
    for (field, at) in fields {
        if possible.iter().any(|entry| field.carried_by(entry)) {
            continue;
        }
        let carriers: Vec<&str> = catalogue::EVENT_TYPES
            .iter()
            .filter(|entry| field.carried_by(entry))
            .map(|entry| entry.name)
            .take(4)
            .collect();
        let message = format!("no event that this rule can match carries `{field}`");
        report.error(*at, "rule.impossible", message, format!("it is a field of {}", carriers.join(", ")));
    }
    let carried = |test: u32, entry: &EventType| {
        let predicate = predicates.get(test as usize)?;
        if predicate.field.carried_by(entry) { predicate.known_for(entry.id) } else { Some(false) }
    };
    let satisfiable =
        possible.iter().any(|entry| condition.fold(&|test| carried(test, entry)) != Some(false));
    if report.is_clean() && !satisfiable {
        let message = "no single event type carries all the fields that the condition needs together";
        report.error(*condition_at, "rule.impossible", message, "use a correlation over two rules");
    }
    let everything = catalogue::EVENT_TYPES.len();
    let is_true = |entry: &&EventType| condition.fold(&|test| known(test, entry)) == Some(true);
    if possible.len() == everything && possible.iter().all(is_true) {
        report.warning(top.at, "lint.matches_all", "the rule matches every event", "name a category");
    }
    report.is_clean().then(|| possible.iter().map(|entry| entry.id).collect())
}

/// Reports group fields that no event of the rule carries.
pub(crate) fn check_group(
    top: Top<'_>,
    group_by: &[FieldRef],
    event_types: &[EventTypeId],
    report: &mut Report<'_>,
) {
    for field in group_by {
        if !carries(*field, event_types) {
            let at = top.get("group-by").map_or(top.at, |entry| entry.value.at);
            let message = format!("no event that this rule can match carries `{field}`");
            report.error(at, "rule.group", message, "group by a field of the event");
        }
    }
}

/// Returns whether one of the event types carries a field.
pub(crate) fn carries(field: FieldRef, event_types: &[EventTypeId]) -> bool {
    event_types.iter().filter_map(|id| catalogue::event_type(*id)).any(|entry| field.carried_by(entry))
}
