//! Processing pipelines: what the names of other taxonomies mean here.
//!
//! The subset of pySigma's YAML that says what a rule means, and not how a query is written: names of fields, log
//! sources, placeholders. Everything else is refused at its line, because a pipeline that is half applied changes rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::header::{self, Top};
use crate::logsource::Logsource;
use crate::problem::{Position, Report};
use crate::suggest;
use crate::yaml::{Entry, Node, Value};

/// Most pipelines of a load.
pub(crate) const PIPELINES_MAX: usize = 64;
/// Most transformations of a pipeline.
const TRANSFORMATIONS_MAX: usize = 1_000;
/// Most fields that one name may come to mean.
pub(crate) const NAMES_MAX: usize = 16;

const KEYS: [&str; 4] = ["name", "priority", "vars", "transformations"];
/// Types of transformations, with the keys that each has of its own.
const TYPES: [(&str, &[&str]); 7] = [
    ("field_name_mapping", &["mapping"]),
    ("field_name_prefix_mapping", &["mapping"]),
    ("field_name_prefix", &["prefix"]),
    ("field_name_suffix", &["suffix"]),
    ("change_logsource", &["product", "category", "service"]),
    ("value_placeholders", &["include", "exclude"]),
    ("wildcard_placeholders", &["include", "exclude"]),
];
/// Keys that every transformation may have.
const COMMON: [&str; 5] = ["id", "type", "rule_conditions", "rule_cond_op", "rule_cond_not"];

/// One pipeline.
#[derive(Debug, Clone)]
pub(crate) struct Pipeline {
    /// Lower goes first.
    priority: i64,
    /// Values of placeholders.
    vars: BTreeMap<String, Vec<String>>,
    transformations: Vec<Transformation>,
    /// Its text, which is part of what the rules that it changes state.
    pub(crate) text: Arc<str>,
}

#[derive(Debug, Clone)]
struct Transformation {
    kind: Kind,
    /// Log sources that it is for.
    conditions: Vec<Logsource>,
    /// One condition is enough.
    any: bool,
    /// It is for all others.
    inverted: bool,
}

type Mapping = BTreeMap<String, Vec<String>>;

#[derive(Debug, Clone)]
enum Kind {
    Map(Mapping),
    MapPrefix(Mapping),
    Prefix(String),
    Suffix(String),
    Logsource(Logsource),
    Values(Choice),
    Wildcards(Choice),
}

/// Placeholders that a transformation is for.
#[derive(Debug, Clone)]
enum Choice {
    All,
    Include(Vec<String>),
    Exclude(Vec<String>),
}

impl Choice {
    fn has(&self, name: &str) -> bool {
        let is_in = |names: &[String]| names.iter().any(|known| known == name);
        match self {
            Self::All => true,
            Self::Include(names) => is_in(names),
            Self::Exclude(names) => !is_in(names),
        }
    }
}

/// What the pipelines of a load do to the rules of one log source.
#[derive(Debug, Clone, Default)]
pub(crate) struct Applied<'a> {
    steps: Vec<(&'a Pipeline, &'a Kind)>,
    pipelines: &'a [Pipeline],
    /// The log source as it stands after them.
    pub(crate) logsource: Logsource,
}

impl<'a> Applied<'a> {
    /// Finds what is done to the rules of a log source. The pipelines come in the order in which they apply.
    pub(crate) fn new(pipelines: &'a [Pipeline], logsource: &Logsource) -> Self {
        let mut applied = Self { steps: Vec::new(), pipelines, logsource: logsource.clone() };
        for pipeline in pipelines {
            for step in &pipeline.transformations {
                if !step.is_for(&applied.logsource) {
                    continue;
                }
                if let Kind::Logsource(words) = &step.kind {
                    applied.logsource = words.clone();
                }
                applied.steps.push((pipeline, &step.kind));
            }
        }
        applied
    }

    /// Returns the texts of the pipelines that do something to a rule, in their order. Those that only have values of
    /// placeholders do nothing to a rule without them.
    pub(crate) fn texts(&self, has_placeholders: bool) -> Vec<&'a Arc<str>> {
        let is_idle = |kind: &Kind| matches!(kind, Kind::Values(_) | Kind::Wildcards(_));
        let acts = |pipeline: &Pipeline| {
            let mut kinds = self.steps.iter().filter(|(from, _)| std::ptr::eq(*from, pipeline));
            kinds.any(|(_, kind)| !is_idle(kind)) || (has_placeholders && !pipeline.vars.is_empty())
        };
        self.pipelines.iter().filter(|pipeline| acts(pipeline)).map(|pipeline| &pipeline.text).collect()
    }

    /// Returns what a field is called here; never empty, several if it means one of several fields. More than
    /// [`NAMES_MAX`] are one more than that.
    pub(crate) fn names(&self, name: &str) -> Vec<String> {
        let mut names = vec![name.to_owned()];
        for (_, kind) in &self.steps {
            names = names.iter().flat_map(|name| kind.rename(name)).take(NAMES_MAX + 1).collect();
        }
        names
    }

    /// Returns the values of a placeholder.
    pub(crate) fn placeholder(&self, name: &str) -> Option<Vec<String>> {
        // The last pipeline has the last word, as with names.
        let values = || self.pipelines.iter().rev().find_map(|pipeline| pipeline.vars.get(name).cloned());
        self.steps.iter().find_map(|(_, kind)| match kind {
            Kind::Values(choice) if choice.has(name) => values(),
            Kind::Wildcards(choice) if choice.has(name) => Some(vec!["*".to_owned()]),
            Kind::Map(_)
            | Kind::MapPrefix(_)
            | Kind::Prefix(_)
            | Kind::Suffix(_)
            | Kind::Logsource(_)
            | Kind::Values(_)
            | Kind::Wildcards(_) => None,
        })
    }
}

impl Transformation {
    fn is_for(&self, logsource: &Logsource) -> bool {
        let mut conditions = self.conditions.iter().map(|wanted| logsource.is_within(wanted));
        let holds = if self.any && !self.conditions.is_empty() {
            conditions.any(|holds| holds)
        } else {
            conditions.all(|holds| holds)
        };
        holds != self.inverted
    }
}

impl Kind {
    fn rename(&self, name: &str) -> Vec<String> {
        match self {
            Self::Map(mapping) => mapping.get(name).cloned().unwrap_or_else(|| vec![name.to_owned()]),
            Self::MapPrefix(mapping) => {
                // The longest prefix is meant; the order of a map says nothing.
                let longest = mapping
                    .iter()
                    .filter_map(|(prefix, others)| Some((name.strip_prefix(prefix.as_str())?, others)))
                    .min_by_key(|(rest, _)| rest.len());
                match longest {
                    Some((rest, others)) => others.iter().map(|other| format!("{other}{rest}")).collect(),
                    None => vec![name.to_owned()],
                }
            }
            Self::Prefix(prefix) => vec![format!("{prefix}{name}")],
            Self::Suffix(suffix) => vec![format!("{name}{suffix}")],
            Self::Logsource(_) | Self::Values(_) | Self::Wildcards(_) => vec![name.to_owned()],
        }
    }
}

/// Puts pipelines into the order in which they apply: by priority, those of one priority as they were read.
pub(crate) fn order(pipelines: &mut [Pipeline]) {
    pipelines.sort_by_key(|pipeline| pipeline.priority);
}

/// Reads a pipeline; `None` after an error was reported.
pub(crate) fn read(top: Top<'_>, text: Arc<str>, report: &mut Report<'_>) -> Option<Pipeline> {
    for entry in top.entries.iter().filter(|entry| !KEYS.contains(&entry.key.as_str())) {
        let message = format!("`{}` of a pipeline is not supported", entry.key);
        let hint = "a pipeline here says what rules mean: vars and transformations";
        report.error(entry.key_at, "pipeline.unsupported", message, hint);
    }
    let _ = top.text("name", report);
    let priority = match top.text("priority", report).map(str::parse) {
        None => 0,
        Some(Ok(priority)) => priority,
        Some(Err(_)) => {
            let at = top.get("priority").map_or(top.at, |entry| entry.value.at);
            report.error(at, "pipeline.shape", "`priority` is not an integer", "such as 20");
            0
        }
    };
    let vars = top.get("vars").map(|entry| read_lists(entry, report)).unwrap_or_default();
    let entry = top.get("transformations")?;
    let Value::List(items) = &entry.value.value else {
        report.error(entry.value.at, "pipeline.shape", "`transformations` must be a list", "");
        return None;
    };
    if items.len() > TRANSFORMATIONS_MAX {
        let message = format!("a pipeline has at most {TRANSFORMATIONS_MAX} transformations");
        report.error(entry.value.at, "rule.too_large", message, "split the pipeline");
        return None;
    }
    let transformations: Vec<_> = items.iter().filter_map(|item| read_one(item, report)).collect();
    report.is_clean().then_some(Pipeline { priority, vars, transformations, text })
}

/// Reads a map from names to one text or several.
fn read_lists(entry: &Entry, report: &mut Report<'_>) -> Mapping {
    let Value::Map(entries) = &entry.value.value else {
        let message = format!("`{}` must be a map", entry.key);
        report.error(entry.value.at, "pipeline.shape", message, "");
        return Mapping::new();
    };
    let mut lists = Mapping::new();
    for entry in entries {
        let texts: Vec<String> =
            header::texts(entry, report).into_iter().map(|(text, _)| text.to_owned()).collect();
        if texts.is_empty() {
            let message = format!("`{}` has no value", entry.key);
            report.error(entry.value.at, "pipeline.shape", message, "");
        }
        lists.insert(entry.key.clone(), texts);
    }
    lists
}

fn read_one(item: &Node, report: &mut Report<'_>) -> Option<Transformation> {
    let Value::Map(entries) = &item.value else {
        report.error(item.at, "pipeline.shape", "a transformation must be a map", "begin with type: …");
        return None;
    };
    let Some(entry) = header::get(entries, "type") else {
        let hint = format!("one of {}", TYPES.map(|(name, _)| name).join(", "));
        report.error(item.at, "pipeline.shape", "a transformation needs a `type`", hint);
        return None;
    };
    let name = header::text(entry, report)?;
    let Some((_, own)) = TYPES.iter().find(|(known, _)| *known == name) else {
        let mut hint = suggest::nearest(name, TYPES.map(|(name, _)| name));
        if hint.is_empty() {
            hint = format!("one of {}", TYPES.map(|(name, _)| name).join(", "));
        }
        let message = format!("transformation `{name}` is not supported");
        report.error(entry.value.at, "pipeline.unsupported", message, hint);
        return None;
    };
    let mut fine = true;
    for entry in entries {
        let key = entry.key.as_str();
        if !COMMON.contains(&key) && !own.contains(&key) {
            let message = format!("`{key}` of `{name}` is not supported");
            let hint = suggest::nearest(key, COMMON.iter().chain(*own).copied());
            report.error(entry.key_at, "pipeline.unsupported", message, hint);
            fine = false;
        }
    }
    let kind = read_kind(name, entries, item.at, report);
    let (conditions, any, inverted) = read_conditions(entries, report)?;
    Some(Transformation { kind: kind.filter(|_| fine)?, conditions, any, inverted })
}

fn read_kind(name: &str, entries: &[Entry], at: Position, report: &mut Report<'_>) -> Option<Kind> {
    let mut need = |key: &str| -> Option<&Entry> {
        let found = header::get(entries, key);
        if found.is_none() {
            report.error(at, "pipeline.shape", format!("`{name}` needs `{key}`"), "");
        }
        found
    };
    Some(match name {
        "field_name_mapping" => Kind::Map(need("mapping").map(|entry| read_lists(entry, report))?),
        "field_name_prefix_mapping" => {
            Kind::MapPrefix(need("mapping").map(|entry| read_lists(entry, report))?)
        }
        "field_name_prefix" => {
            Kind::Prefix(need("prefix").and_then(|it| header::text(it, report))?.to_owned())
        }
        "field_name_suffix" => {
            Kind::Suffix(need("suffix").and_then(|it| header::text(it, report))?.to_owned())
        }
        "change_logsource" => Kind::Logsource(read_words(entries, report)?),
        "value_placeholders" => Kind::Values(read_choice(entries, report)?),
        _ => Kind::Wildcards(read_choice(entries, report)?),
    })
}

/// Reads the words of a log source; `None` after an error was reported.
fn read_words(entries: &[Entry], report: &mut Report<'_>) -> Option<Logsource> {
    let mut fine = true;
    let mut word = |key: &str| {
        let entry = header::get(entries, key)?;
        let word = header::text(entry, report).map(str::to_owned);
        fine &= word.is_some();
        word
    };
    let words = Logsource { product: word("product"), category: word("category"), service: word("service") };
    if !fine {
        return None;
    }
    if words == Logsource::default() {
        let at = entries.first().map_or(Position::START, |entry| entry.key_at);
        report.error(at, "pipeline.shape", "no word of a log source", "add product, category or service");
        return None;
    }
    Some(words)
}

fn read_choice(entries: &[Entry], report: &mut Report<'_>) -> Option<Choice> {
    let mut names = |key: &str| {
        let entry = header::get(entries, key)?;
        let texts = header::texts(entry, report).into_iter();
        Some(texts.map(|(text, _)| text.to_owned()).collect::<Vec<_>>())
    };
    match (names("include"), names("exclude")) {
        (None, None) => Some(Choice::All),
        (Some(names), None) => Some(Choice::Include(names)),
        (None, Some(names)) => Some(Choice::Exclude(names)),
        (Some(_), Some(_)) => {
            let at = header::get(entries, "exclude").map_or(Position::START, |entry| entry.key_at);
            report.error(at, "pipeline.shape", "`include` and `exclude` exclude each other", "");
            None
        }
    }
}

type Conditions = (Vec<Logsource>, bool, bool);

/// Reads which log sources a transformation is for.
fn read_conditions(entries: &[Entry], report: &mut Report<'_>) -> Option<Conditions> {
    let mut word = |key: &str, yes: &str, no: &str| -> Option<bool> {
        let Some(entry) = header::get(entries, key) else { return Some(false) };
        let word = header::text(entry, report)?.to_ascii_lowercase();
        if word != yes && word != no {
            report.error(entry.value.at, "pipeline.shape", format!("`{key}` is {yes} or {no}"), "");
            return None;
        }
        Some(word == yes)
    };
    let (any, inverted) = (word("rule_cond_op", "or", "and"), word("rule_cond_not", "true", "false"));
    let mut conditions = Vec::new();
    if let Some(entry) = header::get(entries, "rule_conditions") {
        let Value::List(items) = &entry.value.value else {
            report.error(entry.value.at, "pipeline.shape", "`rule_conditions` must be a list", "");
            return None;
        };
        for item in items {
            conditions.push(read_condition(item, report)?);
        }
    }
    Some((conditions, any?, inverted?))
}

fn read_condition(item: &Node, report: &mut Report<'_>) -> Option<Logsource> {
    let Value::Map(entries) = &item.value else {
        report.error(item.at, "pipeline.shape", "a condition must be a map", "begin with type: logsource");
        return None;
    };
    let kind = header::get(entries, "type").and_then(|entry| header::text(entry, report));
    if kind != Some("logsource") {
        let message = format!("condition `{}` is not supported", kind.unwrap_or_default());
        report.error(item.at, "pipeline.unsupported", message, "conditions are of type: logsource");
        return None;
    }
    for entry in entries {
        if !["type", "product", "category", "service"].contains(&entry.key.as_str()) {
            let message = format!("`{}` of a condition is not supported", entry.key);
            report.error(entry.key_at, "pipeline.unsupported", message, "product, category or service");
        }
    }
    read_words(entries, report)
}
