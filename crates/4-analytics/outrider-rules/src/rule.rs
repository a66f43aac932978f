//! Checks one rule document about single events.

use outrider_model::catalogue::{self, EventType};
use outrider_types::EventTypeId;

use crate::collection::Budget;
use crate::detection::{self, Detection};
use crate::field::{CoreField, FieldRef};
use crate::foreign;
use crate::header::{self, Top};
use crate::ir::{Rule, SourceText};
use crate::logsource::{self, Logsource, Written};
use crate::pipeline::{Applied, Pipeline};
use crate::problem::Report;
use crate::taxonomy::{Scope, Taxonomy};

/// What stands around the documents of a load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) taxonomy: Taxonomy<'a>,
    /// In the order in which they apply.
    pub(crate) pipelines: &'a [Pipeline],
}

impl<'a> Context<'a> {
    /// Finds what pipelines do to documents of a log source.
    pub(crate) fn applied(&self, logsource: &Logsource) -> Applied<'a> {
        Applied::new(self.pipelines, logsource)
    }

    /// Returns the event types of a log source, none for foreign events; `None` after an error was reported.
    pub(crate) fn event_types(
        &self,
        applied: &Applied<'_>,
        written: &Written,
        report: &mut Report<'_>,
    ) -> Option<Vec<&'static EventType>> {
        match self.taxonomy {
            Taxonomy::Vehicle => logsource::event_types(&applied.logsource, written, report),
            Taxonomy::Foreign(_) => Some(Vec::new()),
        }
    }
}

/// Reads a rule; `None` after an error was reported.
pub(crate) fn read(
    top: Top<'_>,
    mut source: SourceText,
    context: Context<'_>,
    budget: &mut Budget,
    report: &mut Report<'_>,
) -> Option<Rule> {
    let written = logsource::read(top.get("logsource"), top.at, report);
    let applied = written.as_ref().map(|written| context.applied(&written.words)).unwrap_or_default();
    let has_placeholders = source.yaml.contains("|expand");
    for text in applied.texts(has_placeholders) {
        if !budget.append(&mut source.yaml, "pipeline", text) {
            let message = "the texts of rules and pipelines are too large together";
            report.error(top.at, "rule.too_many", message, "load fewer rules or shorter pipelines");
            return None;
        }
    }
    check_taxonomy(top, &applied, report);
    let header = header::read(top, source, report);
    if let Some(generate) = top.get("generate") {
        report.error(generate.key_at, "rule.shape", "`generate` belongs to a correlation", "leave it out");
    }
    let group_by = match top.get("group-by") {
        Some(entry) => header::read_group(entry, report),
        None => Some(vec![FieldRef::Core(CoreField::VehicleId)]),
    };
    if let (Some(entry), Some([])) = (top.get("group-by"), group_by.as_deref()) {
        let message = "`group-by` of a rule is empty";
        report.error(entry.value.at, "rule.group", message, "leave it out for vehicle_id");
    }
    let types = written.as_ref().and_then(|written| context.event_types(&applied, written, report));
    // Without a log source the items are still checked, so that all problems are reported at once.
    let scope =
        Scope { taxonomy: context.taxonomy, types: types.as_deref().unwrap_or(&[]), applied: &applied };
    let detection = match top.get("detection") {
        Some(entry) => detection::read(entry, scope, report),
        None => {
            report.error(top.at, "rule.missing_detection", "`detection` is missing", "");
            None
        }
    };
    let (types, detection, logsource) = (types?, detection?, written?.words);
    let event_types = match context.taxonomy {
        Taxonomy::Vehicle => reach(top, &types, &detection, report)?,
        Taxonomy::Foreign(_) => vec![foreign::EVENT_TYPE],
    };
    let (header, group_by) = (header?, group_by?);
    if matches!(context.taxonomy, Taxonomy::Vehicle) {
        check_group(top, &group_by, &event_types, report);
    }
    let Detection { predicates, condition, .. } = detection;
    let generate = true;
    let rule = Rule { header, group_by, generate, event_types, logsource, predicates, condition };
    report.is_clean().then_some(rule)
}

/// Warns of a rule whose names are those of another taxonomy, if no pipeline does anything about it.
fn check_taxonomy(top: Top<'_>, applied: &Applied<'_>, report: &mut Report<'_>) {
    let Some(taxonomy) = top.text("taxonomy", report) else { return };
    if taxonomy != "sigma" && applied.texts(false).is_empty() {
        let at = top.get("taxonomy").map_or(top.at, |entry| entry.value.at);
        let message = format!("no pipeline maps the taxonomy `{taxonomy}`");
        report.warning(at, "lint.taxonomy", message, "names are taken as those of the catalogue");
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
