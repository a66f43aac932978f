//! Says which conditions a matching row meets.

use outrider_model::{EventBatch, Matched};

use crate::expr::Expr;
use crate::ir::Rule;

/// Lists the tests that make the condition true, in the rule's order.
pub(crate) fn explain(rule: &Rule, batch: &EventBatch, row: usize) -> Vec<Matched> {
    let mut reason = Reason { rule, batch, row, found: Vec::new(), seen: Vec::new() };
    reason.walk(&rule.condition, true);
    reason.found
}

struct Reason<'a> {
    rule: &'a Rule,
    batch: &'a EventBatch,
    row: usize,
    found: Vec<Matched>,
    seen: Vec<(u32, bool)>,
}

impl Reason<'_> {
    /// Visits the parts that contribute to `wanted`. Depth is bounded by [`Expr::DEPTH_MAX`].
    fn walk(&mut self, expr: &Expr, wanted: bool) {
        if self.found.len() >= Rule::EXPLAIN_MAX || self.holds(expr) != wanted {
            return;
        }
        match expr {
            Expr::And(parts) | Expr::Or(parts) => parts.iter().for_each(|part| self.walk(part, wanted)),
            Expr::Not(part) => self.walk(part, !wanted),
            Expr::Test(index) => self.state(*index, wanted),
        }
    }

    fn holds(&self, expr: &Expr) -> bool {
        let (rule, batch, row) = (self.rule, self.batch, self.row);
        expr.holds(&|test| rule.predicates.get(test as usize).is_some_and(|it| it.holds_at(batch, row)))
    }

    fn state(&mut self, index: u32, wanted: bool) {
        let Some(predicate) = self.rule.predicates.get(index as usize) else { return };
        if self.seen.contains(&(index, wanted)) {
            return;
        }
        self.seen.push((index, wanted));
        let observed = predicate.field.text_of(self.batch, self.row);
        self.found.push(Matched {
            field: predicate.name.clone(),
            operator: if wanted { predicate.operator.clone() } else { format!("not {}", predicate.operator) },
            expected: predicate.expected.clone(),
            observed: observed.map_or_else(|| "no value".to_owned(), |text| text.into_owned()),
        });
    }
}
