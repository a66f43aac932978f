//! Matches all rules against a batch.

use outrider_model::EventBatch;

use crate::ir::{Rule, RuleIndex};

/// Rows that each rule matched in one batch; reused between batches.
#[derive(Debug, Clone, Default)]
pub struct Matches {
    rows: Vec<Vec<u32>>,
    touched: Vec<RuleIndex>,
}

impl Matches {
    /// Creates an empty result.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the rows that a rule matched, ascending.
    #[must_use]
    pub fn of(&self, rule: RuleIndex) -> &[u32] {
        self.rows.get(rule.0 as usize).map_or(&[], Vec::as_slice)
    }

    /// Returns every rule that matched at least one row, ascending, with its rows, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (RuleIndex, &[u32])> {
        self.touched.iter().map(|rule| (*rule, self.of(*rule)))
    }

    /// Returns whether no rule matched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.touched.is_empty()
    }

    /// Forgets the matches and makes room for `rules` rules; keeps the memory.
    fn reset(&mut self, rules: usize) {
        for rule in self.touched.drain(..) {
            if let Some(rows) = self.rows.get_mut(rule.0 as usize) {
                rows.clear();
            }
        }
        self.rows.resize_with(rules, Vec::new);
    }
}

/// Index over the rules of a set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Matcher {}

impl Matcher {
    /// Builds the index.
    pub(crate) fn new(_rules: &[Rule]) -> Self {
        Self {}
    }

    /// Matches every rule against every row.
    pub(crate) fn evaluate(&self, rules: &[Rule], batch: &EventBatch, out: &mut Matches) {
        out.reset(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            let slot = &mut out.rows[index];
            slot.extend((0..batch.rows()).filter(|row| rule.matches(batch, *row)).map(|row| row as u32));
            if !slot.is_empty() {
                out.touched.push(RuleIndex(index as u32));
            }
        }
    }
}
