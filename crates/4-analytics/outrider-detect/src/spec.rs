//! What a rule asks for, as the tables read it.

use outrider_model::RuleId;
use outrider_rules::{CoreField, Correlation, CorrelationKind, FieldRef, Header, Rule, RuleSet};
use outrider_types::Severity;

use crate::cell::{CellShape, Counted};
use crate::config::DetectorConfig;

/// How a rule turns matches into findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Windows {
    /// Every window of this length, wherever it begins.
    Sliding,
    /// Consecutive windows of this length, aligned to 1970; each with a match is a finding.
    Fixed,
}

/// A field of a group key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupField {
    pub(crate) name: &'static str,
    /// Stored as the 16 bytes of a pseudonym.
    pub(crate) is_vehicle: bool,
}

/// What the rule asks for.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) rule: RuleId,
    pub(crate) severity: Severity,
    pub(crate) windows: Windows,
    pub(crate) length_us: i64,
    /// At most 2^32 − 1, so that an offset takes four bytes.
    pub(crate) pane_us: i64,
    pub(crate) need: u64,
    pub(crate) group_by: Vec<GroupField>,
    pub(crate) counted_name: String,
    /// Rules that a temporal correlation names, in its order; empty for others.
    pub(crate) fed_by: Vec<RuleId>,
    pub(crate) shape: CellShape,
    pub(crate) groups_max: usize,
    pub(crate) entries_max: u64,
    pub(crate) horizon_us: i64,
}

impl Spec {
    /// Folds the matches of a plain rule into fixed windows.
    pub(crate) fn of_rule(rule: &Rule, config: &DetectorConfig) -> Self {
        let length_us = config.bucket_us.clamp(1, i64::from(u32::MAX));
        let spec = Self::new(&rule.header, &rule.group_by, (Counted::Events, 1), config);
        Self { windows: Windows::Fixed, length_us, pane_us: length_us, ..spec }
    }

    /// Counts in sliding windows.
    ///
    /// # Errors
    /// Why the correlation is not evaluated, in words.
    pub(crate) fn of_correlation(
        correlation: &Correlation,
        rules: &RuleSet,
        config: &DetectorConfig,
    ) -> Result<Self, &'static str> {
        let condition = correlation.condition;
        if condition.at_most.is_some() || condition.except.is_some() {
            // More events can end such a state, so no finding about it would be final.
            return Err("conditions with an upper bound or an exception are not evaluated");
        }
        let length_us = i64::try_from(correlation.timespan_us).unwrap_or(i64::MAX);
        if length_us == 0 || length_us > config.horizon_us {
            return Err("the timespan is zero or longer than the horizon");
        }
        if condition.at_least > u64::from(u32::MAX) {
            return Err("the threshold is above 2^32");
        }
        let (counted, counted_name) = match &correlation.kind {
            CorrelationKind::EventCount => (Counted::Events, "events".to_owned()),
            CorrelationKind::ValueCount { fields } => {
                let name = fields.iter().map(|field| field.name()).collect::<Vec<_>>().join(", ");
                let vehicles = **fields == [FieldRef::Core(CoreField::VehicleId)];
                (if vehicles { Counted::Vehicles } else { Counted::Values }, name)
            }
            CorrelationKind::Temporal => (Counted::Steps, "rules".to_owned()),
            CorrelationKind::TemporalOrdered => (Counted::OrderedSteps, "rules in order".to_owned()),
        };
        let need = condition.at_least;
        let spec = Self::new(&correlation.header, &correlation.group_by, (counted, need), config);
        let spec = Self { length_us, pane_us: pane_us(length_us), counted_name, ..spec };
        if !counted.is_by_rule() {
            return Ok(spec);
        }
        let fed_by = correlation.rules.iter().filter_map(|rule| rules.rule(*rule));
        Ok(Self {
            fed_by: fed_by.map(|rule| rule.header.id.clone()).collect(),
            // An event counts once for each rule that it matches, which sets of events do not tell apart.
            shape: CellShape { dense_above: usize::MAX, ..spec.shape },
            ..spec
        })
    }

    fn new(
        header: &Header,
        group_by: &[FieldRef],
        (counted, need): (Counted, u64),
        config: &DetectorConfig,
    ) -> Self {
        let group_field = |field: &FieldRef| GroupField {
            name: field.name(),
            is_vehicle: *field == FieldRef::Core(CoreField::VehicleId),
        };
        let need_here = usize::try_from(need).unwrap_or(usize::MAX);
        Self {
            rule: header.id.clone(),
            severity: header.level,
            windows: Windows::Sliding,
            length_us: 1,
            pane_us: 1,
            need,
            group_by: group_by.iter().map(group_field).collect(),
            counted_name: "events".to_owned(),
            fed_by: Vec::new(),
            shape: CellShape {
                counted,
                dense_above: need_here.max(config.dense_above),
                entries_max: config.pane_entries_max.max(need_here.saturating_add(1)),
            },
            groups_max: config.groups_max,
            entries_max: config.entries_max,
            horizon_us: config.horizon_us,
        }
    }

    /// Returns how many panes a window reaches to either side of its pane.
    pub(crate) const fn reach(&self) -> i64 {
        match self.windows {
            Windows::Sliding => (self.length_us + self.pane_us - 1) / self.pane_us,
            Windows::Fixed => 0,
        }
    }
}

/// Panes a window; finer panes mean more of them, coarser ones more events a pane.
const PANES_A_WINDOW: i64 = 24;

/// Returns the length of a pane: a 24th of the window, at most an hour so that offsets take 32 bits.
fn pane_us(length_us: i64) -> i64 {
    const HOUR_US: i64 = 3_600_000_000;
    ((length_us + PANES_A_WINDOW - 1) / PANES_A_WINDOW).clamp(1, HOUR_US)
}
