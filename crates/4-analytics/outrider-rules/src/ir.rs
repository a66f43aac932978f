//! The checked, compiled rule set that the detectors run.

use std::sync::Arc;

use outrider_model::{EventBatch, Matched, RuleId};
use outrider_types::{EventTypeId, Severity};

use crate::expr::Expr;
use crate::field::FieldRef;
use crate::logsource::Logsource;
use crate::matcher::{Matcher, Matches};
use crate::predicate::Predicate;

/// Position of a rule in [`RuleSet::rules`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleIndex(pub u32);

/// Position of a correlation in [`RuleSet::correlations`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CorrelationIndex(pub u32);

/// Where a rule was written, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceText {
    /// File name as it was given to the loader.
    pub file: Arc<str>,
    /// First line of the document in the file, from 1.
    pub line: u32,
    /// The document's YAML, without the separators. What else has a part in what it states, which is global documents,
    /// pipelines and filters, follows as documents of their own, each behind a separator that says what it is.
    pub yaml: Arc<str>,
}

/// Maturity of a rule as its author states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Proven in production.
    Stable,
    /// In use, being watched.
    Test,
    /// May be noisy.
    Experimental,
    /// Kept for reference; not evaluated.
    Deprecated,
    /// Cannot be used; not evaluated.
    Unsupported,
}

impl Status {
    /// All states.
    pub const ALL: [Self; 5] =
        [Self::Stable, Self::Test, Self::Experimental, Self::Deprecated, Self::Unsupported];

    /// Returns the word in rules and in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Test => "test",
            Self::Experimental => "experimental",
            Self::Deprecated => "deprecated",
            Self::Unsupported => "unsupported",
        }
    }
}

/// What rules and correlations say about themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Stable identity.
    pub id: RuleId,
    /// Short name that correlations may use instead of the id.
    pub name: Option<String>,
    /// Title on the screen.
    pub title: String,
    /// What it means and what to look at first; may be empty.
    pub description: String,
    /// Severity of its findings.
    pub level: Severity,
    /// Maturity.
    pub status: Status,
    /// Tags such as `unr155.18.3`, in the author's order.
    pub tags: Vec<String>,
    /// Author; may be empty.
    pub author: String,
    /// Where to read more.
    pub references: Vec<String>,
    /// Harmless causes.
    pub falsepositives: Vec<String>,
    /// Where it was written.
    pub source: SourceText,
}

impl Header {
    /// Returns the threats of UN R155 Annex 5, Table A1, that the tags name, such as `18.3`.
    pub fn unr155(&self) -> impl Iterator<Item = &str> {
        self.tags.iter().filter_map(|tag| tag.strip_prefix("unr155."))
    }
}

/// A rule about single events.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What the rule says about itself.
    pub header: Header,
    /// Fields whose values an alert of this rule is about; never empty, `[vehicle_id]` unless stated.
    pub group_by: Vec<FieldRef>,
    /// Whether a match is a finding by itself. False if only correlations use the rule.
    pub generate: bool,
    /// Event types that can match, ascending by number; never empty.
    pub event_types: Vec<EventTypeId>,
    /// Log source as the rule states it.
    pub(crate) logsource: Logsource,
    pub(crate) predicates: Vec<Predicate>,
    pub(crate) condition: Expr,
}

impl Rule {
    /// Returns whether a row matches; slow and without an index. [`RuleSet::evaluate`] is for batches.
    #[must_use]
    pub fn matches(&self, batch: &EventBatch, row: usize) -> bool {
        row < batch.rows()
            && self.event_types.binary_search(&EventTypeId(batch.event_type[row])).is_ok()
            && self
                .condition
                .holds(&|test| self.predicates.get(test as usize).is_some_and(|it| it.holds_at(batch, row)))
    }

    /// Returns the conditions that a matching row meets, at most [`Rule::EXPLAIN_MAX`], in the rule's order.
    ///
    /// Empty if the row does not match. The sealed batch must be the one that was evaluated.
    #[must_use]
    pub fn explain(&self, batch: &EventBatch, row: usize) -> Vec<Matched> {
        if self.matches(batch, row) { crate::explain::explain(self, batch, row) } else { Vec::new() }
    }

    /// Conditions that an explanation lists at most.
    pub const EXPLAIN_MAX: usize = 16;
}

/// What a correlation counts within its timespan, by group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorrelationKind {
    /// Events; the sum of [`crate::CoreField::Count`] is not used, one event counts once.
    EventCount,
    /// Distinct values of a field, or distinct tuples of several; events without one of the fields do not count.
    ValueCount {
        /// Fields whose distinct values count together; never empty, without repeats.
        fields: Vec<FieldRef>,
    },
    /// Rules that match; one event may match several.
    Temporal,
    /// As [`CorrelationKind::Temporal`], all of them, and in the order of [`Correlation::rules`]. Events at one
    /// time are in order, whichever way round they are.
    TemporalOrdered,
}

/// Range that a counted value must lie in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// Lowest value that satisfies the condition; at least 1, because an empty group does not exist.
    pub at_least: u64,
    /// Highest value that satisfies the condition, if it has an upper bound.
    pub at_most: Option<u64>,
    /// A value in the range that does not satisfy the condition (`neq`).
    pub except: Option<u64>,
}

impl Threshold {
    /// Returns whether a value satisfies the condition.
    #[must_use]
    pub fn holds(&self, value: u64) -> bool {
        value >= self.at_least && self.at_most.is_none_or(|most| value <= most) && self.except != Some(value)
    }
}

/// A statement about several events of one or more rules within a timespan.
#[derive(Debug, Clone)]
pub struct Correlation {
    /// What the correlation says about itself.
    pub header: Header,
    /// What is counted.
    pub kind: CorrelationKind,
    /// Rules whose matches count, in the author's order, without repeats.
    pub rules: Vec<RuleIndex>,
    /// Fields whose values form a group; an event without one of them does not count. Empty: one group.
    pub group_by: Vec<FieldRef>,
    /// Length of the sliding event-time window, microseconds; both ends belong to it.
    pub timespan_us: u64,
    /// Condition on the counted value.
    pub condition: Threshold,
    /// Whether matches of the referenced rules are findings of their own as well.
    pub generate: bool,
}

/// Every rule and correlation that passed the checks, compiled.
#[derive(Debug, Clone, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    correlations: Vec<Correlation>,
    matcher: Matcher,
}

impl RuleSet {
    /// Compiles checked rules; the correlations refer to them by index.
    pub(crate) fn new(rules: Vec<Rule>, correlations: Vec<Correlation>) -> Self {
        let matcher = Matcher::new(&rules);
        Self { rules, correlations, matcher }
    }

    /// Returns the rules; the position is the [`RuleIndex`].
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Returns the correlations; the position is the [`CorrelationIndex`].
    #[must_use]
    pub fn correlations(&self) -> &[Correlation] {
        &self.correlations
    }

    /// Returns a rule.
    #[must_use]
    pub fn rule(&self, index: RuleIndex) -> Option<&Rule> {
        self.rules.get(index.0 as usize)
    }

    /// Returns a correlation.
    #[must_use]
    pub fn correlation(&self, index: CorrelationIndex) -> Option<&Correlation> {
        self.correlations.get(index.0 as usize)
    }

    /// Finds the header of a rule or correlation by its identity, O(n).
    #[must_use]
    pub fn header(&self, id: &RuleId) -> Option<&Header> {
        self.rules
            .iter()
            .map(|rule| &rule.header)
            .chain(self.correlations.iter().map(|correlation| &correlation.header))
            .find(|header| header.id == *id)
    }

    /// Matches every rule against every row of a sealed batch and replaces the content of `out`.
    ///
    /// Reusing `out` avoids allocation. A rule matches with or without [`Rule::generate`]; correlations are
    /// the caller's to count.
    pub fn evaluate(&self, batch: &EventBatch, out: &mut Matches) {
        self.matcher.evaluate(batch, out);
    }
}
