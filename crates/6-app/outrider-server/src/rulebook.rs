//! Detection rules as the screen and the queue show them.

use std::collections::BTreeMap;

use outrider_model::RuleId;
use outrider_rules::{CorrelationKind, Header, Loaded, RuleFile, RuleSet};

use crate::api::dto::{Rule, RuleKind, Severity};
use crate::server::RuleText;

/// How a counting rule counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counting {
    /// Length of the window in microseconds.
    pub timespan_us: u64,
    /// What it counts.
    pub kind: RuleKind,
    /// Field, or fields together, whose different values count, if it counts values.
    pub field: Option<String>,
    /// Lowest number at which it fires.
    pub at_least: u64,
}

/// One rule of the book.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What the rule says about itself.
    pub header: Header,
    /// How it counts, if it does.
    pub counting: Option<Counting>,
}

/// Compiles the rules; a file with errors is left out and says so in the rule book.
pub(crate) fn load(rules: &[RuleText]) -> Loaded {
    let files: Vec<RuleFile<'_>> =
        rules.iter().map(|rule| RuleFile { name: &rule.name, text: &rule.text }).collect();
    let loaded = outrider_rules::load(&files);
    for problem in loaded.errors() {
        tracing::warn!(%problem, "rule not used");
    }
    loaded
}

/// Every rule that is loaded, with what is wrong with the others.
pub struct RuleBook {
    entries: BTreeMap<RuleId, Entry>,
    problems: BTreeMap<String, Vec<String>>,
}

impl RuleBook {
    /// Makes the book from loaded rules.
    #[must_use]
    pub fn new(loaded: &Loaded) -> Self {
        let entries = entries(&loaded.rules);
        let mut problems: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for problem in &loaded.problems {
            problems.entry(problem.file.to_string()).or_default().push(problem.to_string());
        }
        Self { entries, problems }
    }

    /// Returns a rule.
    #[must_use]
    pub fn entry(&self, id: &str) -> Option<&Entry> {
        self.entries.get(&RuleId(id.to_owned()))
    }

    /// Returns the rules by id, without counts; files with problems only follow without an id of their own.
    #[must_use]
    pub fn rules(&self) -> Vec<Rule> {
        let mut rules: Vec<Rule> = self.entries.iter().map(|(id, entry)| self.describe(id, entry)).collect();
        for (file, problems) in &self.problems {
            if rules.iter().all(|rule| rule.file != *file) {
                rules.push(broken(file, problems));
            }
        }
        rules
    }

    fn describe(&self, id: &RuleId, entry: &Entry) -> Rule {
        let header = &entry.header;
        let file = header.source.file.to_string();
        Rule {
            id: id.0.clone(),
            title: header.title.clone(),
            level: severity(header.level),
            status: header.status.word().to_owned(),
            description: header.description.clone(),
            tags: header.tags.clone(),
            kind: match &entry.counting {
                None => RuleKind::Match,
                Some(counting) => counting.kind,
            },
            yaml: header.source.yaml.to_string(),
            problems: self.problems.get(&file).cloned().unwrap_or_default(),
            file,
            findings: 0,
            alerts: 0,
            dispositions: BTreeMap::new(),
            state_entries: 0,
        }
    }
}

/// File of which no rule could be used.
fn broken(file: &str, problems: &[String]) -> Rule {
    Rule {
        id: file.to_owned(),
        title: file.to_owned(),
        level: Severity::Info,
        status: "unusable".to_owned(),
        description: String::new(),
        tags: Vec::new(),
        kind: RuleKind::Match,
        yaml: String::new(),
        file: file.to_owned(),
        findings: 0,
        alerts: 0,
        dispositions: BTreeMap::new(),
        state_entries: 0,
        problems: problems.to_vec(),
    }
}

/// Collects rules and correlations.
fn entries(rules: &RuleSet) -> BTreeMap<RuleId, Entry> {
    let plain = rules.rules().iter().map(|rule| Entry { header: rule.header.clone(), counting: None });
    let counting = rules.correlations().iter().map(|correlation| Entry {
        header: correlation.header.clone(),
        counting: Some(Counting {
            timespan_us: correlation.timespan_us,
            kind: match &correlation.kind {
                CorrelationKind::EventCount => RuleKind::EventCount,
                CorrelationKind::ValueCount { .. } => RuleKind::ValueCount,
                CorrelationKind::Temporal => RuleKind::Temporal,
                CorrelationKind::TemporalOrdered => RuleKind::TemporalOrdered,
            },
            field: match &correlation.kind {
                CorrelationKind::EventCount
                | CorrelationKind::Temporal
                | CorrelationKind::TemporalOrdered => None,
                CorrelationKind::ValueCount { fields } => {
                    Some(fields.iter().map(|field| field.name()).collect::<Vec<_>>().join(", "))
                }
            },
            at_least: correlation.condition.at_least,
        }),
    });
    plain.chain(counting).map(|entry| (entry.header.id.clone(), entry)).collect()
}

/// Severity in the words of the API.
#[must_use]
pub const fn severity(severity: outrider_types::Severity) -> Severity {
    match severity {
        outrider_types::Severity::Info => Severity::Info,
        outrider_types::Severity::Low => Severity::Low,
        outrider_types::Severity::Medium => Severity::Medium,
        outrider_types::Severity::High => Severity::High,
        outrider_types::Severity::Critical => Severity::Critical,
    }
}
