//! The detector: both stages in one process.

use std::sync::Arc;

use outrider_model::{Balance, EventBatch, Finding, RuleId, SaveError, Stage, Watermark};
use outrider_rules::RuleSet;
use outrider_types::IngestTime;

use crate::config::DetectorConfig;
use crate::correlator::{BelowThreshold, Correlator, RuleLoad};
use crate::plan::{NotEvaluated, Plan};
use crate::spotter::Spotter;

/// Matches rules, counts in event time and states findings: a [`Spotter`] and a [`Correlator`] in one process.
///
/// The same events in any order, with any duplicates, leave the same findings (DET-1); see the crate
/// documentation. Single-threaded and synchronous; cost is dominated by the insertions. Nothing is encoded.
#[derive(Debug)]
pub struct Detector {
    config: DetectorConfig,
    spotter: Spotter,
    correlator: Correlator,
}

impl Detector {
    /// Creates a detector without state.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, config: DetectorConfig) -> Self {
        let plan = Arc::new(Plan::new(&rules, &config));
        Self {
            spotter: Spotter::of_plan(rules, config.clone(), Arc::clone(&plan)),
            correlator: Correlator::of_plan(config.clone(), plan),
            config,
        }
    }

    /// Returns the limits.
    #[must_use]
    pub const fn config(&self) -> &DetectorConfig {
        &self.config
    }

    /// Returns the rules.
    #[must_use]
    pub const fn rules(&self) -> &Arc<RuleSet> {
        self.spotter.rules()
    }

    /// Returns matches received = passed + dropped, over all rules (BAL-1). A match is a row and a rule.
    #[must_use]
    pub fn balance(&self) -> Balance {
        let mut sum = Balance::default();
        self.balances().for_each(|balance| sum.merge(&balance));
        sum
    }

    /// Returns the load of each rule and correlation that is evaluated.
    #[must_use]
    pub fn loads(&self) -> Vec<RuleLoad> {
        let loads = self.correlator.loads().into_iter();
        loads.zip(self.balances()).map(|(load, balance)| RuleLoad { balance, ..load }).collect()
    }

    /// Returns the rules that hit a limit, with how many matches were not counted: findings may be missing.
    #[must_use]
    pub fn degraded(&self) -> Vec<(RuleId, u64)> {
        self.correlator.degraded()
    }

    /// Returns the rules that are loaded and not evaluated.
    #[must_use]
    pub fn not_evaluated(&self) -> &[NotEvaluated] {
        self.correlator.not_evaluated()
    }

    /// Returns the groups of a correlation that stay below its threshold; see [`Correlator::below_threshold`].
    #[must_use]
    pub fn below_threshold(&self, rule: &RuleId, limit: usize) -> Vec<BelowThreshold> {
        self.correlator.below_threshold(rule, limit)
    }

    /// Returns the balances of both stages as one, by number of the plan: what the first passed the second received.
    fn balances(&self) -> impl Iterator<Item = Balance> {
        self.spotter.balances().zip(self.correlator.balances()).map(|((_, first), (_, second))| {
            let mut both = Balance::default();
            both.receive(first.received());
            both.pass(second.passed());
            let dropped = first.dropped().iter().chain(second.dropped());
            dropped.for_each(|(reason, units)| both.drop_for(reason, *units));
            both
        })
    }

    /// Rebuilds the dictionary now.
    #[cfg(test)]
    pub(crate) fn compact(&mut self) {
        self.correlator.compact();
    }
}

impl Stage for Detector {
    fn on_batch(&mut self, batch: &EventBatch, now: IngestTime, findings: &mut Vec<Finding>) {
        self.correlator.begin(batch.rows());
        self.spotter.spot(batch, &mut self.correlator);
        self.correlator.evaluate(now, findings);
    }

    fn on_watermark(&mut self, watermark: Watermark, now: IngestTime, findings: &mut Vec<Finding>) {
        self.correlator.on_watermark(watermark, now, findings);
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.correlator.save(out);
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), SaveError> {
        self.correlator.load(bytes)
    }
}
