//! What each rule of a set asks for, and which rule feeds which count: the same in both stages.

use outrider_model::RuleId;
use outrider_rules::{Correlation, CorrelationKind, FieldRef, Header, Rule, RuleIndex, RuleSet, Status};
use sha2::{Digest, Sha256};

use crate::cell::Counted;
use crate::config::DetectorConfig;
use crate::spec::{Spec, Windows};

/// A rule or correlation that the detector does not evaluate, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEvaluated {
    /// The rule.
    pub rule: RuleId,
    /// Why, in words.
    pub reason: &'static str,
}

/// Identity of a rule and of everything that decides which of its matches count, and how.
///
/// Two processes whose versions of one rule are equal mean the same by its sightings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleVersion {
    /// The rule.
    pub rule: RuleId,
    /// First half of SHA-256 over its text, the texts of the rules that feed it, and the length of fixed windows.
    pub version: [u8; 16],
}

/// What a match counts as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// One event, or one vehicle.
    Nothing,
    /// The values of these fields together.
    Fields(Vec<FieldRef>),
    /// A match of this rule of a temporal correlation.
    Step(u8),
}

/// Which rule feeds which table, and with what.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    pub(crate) plan: usize,
    pub(crate) group_by: Vec<FieldRef>,
    pub(crate) counted: Value,
    /// A plain rule counts an event without a group field under an empty value; a correlation does not.
    pub(crate) group_required: bool,
    pub(crate) explains: bool,
}

/// Everything that a rule set asks the two stages to do.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// What is counted, by number of the plan.
    pub(crate) specs: Vec<Spec>,
    pub(crate) versions: Vec<RuleVersion>,
    /// By position of the rule.
    pub(crate) feeds: Vec<Vec<Feed>>,
    pub(crate) not_evaluated: Vec<NotEvaluated>,
}

impl Plan {
    pub(crate) fn new(rules: &RuleSet, config: &DetectorConfig) -> Self {
        let mut plan = Self {
            specs: Vec::new(),
            versions: Vec::new(),
            feeds: vec![Vec::new(); rules.rules().len()],
            not_evaluated: Vec::new(),
        };
        for (index, rule) in rules.rules().iter().enumerate() {
            plan.rule(index, rule, config);
        }
        for correlation in rules.correlations() {
            plan.correlation(rules, correlation, config);
        }
        plan
    }

    /// Returns whether a finding of this plan says which conditions an event met.
    pub(crate) fn feeds_explain(&self, plan: usize) -> bool {
        self.specs[plan].windows == Windows::Fixed
    }

    /// Returns the plan of a rule.
    pub(crate) fn find(&self, rule: &RuleId) -> Option<usize> {
        self.versions.iter().position(|known| known.rule == *rule)
    }

    fn rule(&mut self, index: usize, rule: &Rule, config: &DetectorConfig) {
        if !rule.generate || !self.is_live(&rule.header) {
            return;
        }
        let feed = Feed {
            plan: self.specs.len(),
            group_by: rule.group_by.clone(),
            counted: Value::Nothing,
            group_required: false,
            explains: true,
        };
        self.feeds[index].push(feed);
        self.specs.push(Spec::of_rule(rule, config));
        self.versions.push(version(&rule.header, &[], config));
    }

    fn correlation(&mut self, rules: &RuleSet, correlation: &Correlation, config: &DetectorConfig) {
        if !self.is_live(&correlation.header) {
            return;
        }
        let spec = match Spec::of_correlation(correlation, rules, config) {
            Ok(spec) => spec,
            Err(reason) => {
                self.not_evaluated.push(NotEvaluated { rule: correlation.header.id.clone(), reason });
                return;
            }
        };
        let mut fed_by = Vec::new();
        for (step, RuleIndex(index)) in (0u8..).zip(&correlation.rules) {
            let Some(rule) = rules.rules().get(*index as usize) else { continue };
            if !self.is_live(&rule.header) {
                continue;
            }
            fed_by.push(&rule.header);
            self.feeds[*index as usize].push(Feed {
                plan: self.specs.len(),
                group_by: correlation.group_by.clone(),
                counted: match &correlation.kind {
                    CorrelationKind::ValueCount { fields } if spec.shape.counted == Counted::Values => {
                        Value::Fields(fields.clone())
                    }
                    CorrelationKind::ValueCount { .. } | CorrelationKind::EventCount => Value::Nothing,
                    CorrelationKind::Temporal | CorrelationKind::TemporalOrdered => Value::Step(step),
                },
                group_required: true,
                explains: false,
            });
        }
        self.specs.push(spec);
        self.versions.push(version(&correlation.header, &fed_by, config));
    }

    /// Returns whether a rule may speak; notes it if not.
    fn is_live(&mut self, header: &Header) -> bool {
        match header.status {
            Status::Stable | Status::Test | Status::Experimental => true,
            Status::Deprecated | Status::Unsupported => {
                let note = NotEvaluated {
                    rule: header.id.clone(),
                    reason: "its status is deprecated or unsupported",
                };
                if !self.not_evaluated.contains(&note) {
                    self.not_evaluated.push(note);
                }
                false
            }
        }
    }
}

/// Hashes what decides which matches count. A changed comment makes a new version too: better than a missed change.
fn version(header: &Header, fed_by: &[&Header], config: &DetectorConfig) -> RuleVersion {
    let mut hash = Sha256::new();
    hash.update(config.bucket_us.to_le_bytes());
    for part in [header].into_iter().chain(fed_by.iter().copied()) {
        for text in [part.id.0.as_str(), &part.source.yaml] {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
    }
    let mut version = [0u8; 16];
    version.copy_from_slice(&hash.finalize()[..16]);
    RuleVersion { rule: header.id.clone(), version }
}
