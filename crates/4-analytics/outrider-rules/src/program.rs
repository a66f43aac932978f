//! Conditions as flat programs: one test a step, and where to go for yes and for no.

use crate::expr::Expr;

/// Target: the condition holds.
pub(crate) const ACCEPT: u32 = u32::MAX;
/// Target: the condition does not hold. Every target below is a step.
pub(crate) const REJECT: u32 = u32::MAX - 1;

/// One test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// Position in the matcher's probes.
    pub(crate) test: u32,
    /// Next step if the test holds.
    pub(crate) on_true: u32,
    /// Next step if it does not.
    pub(crate) on_false: u32,
}

/// Appends the steps of an expression and returns where to begin.
///
/// `tests` gives the probe of each of the rule's predicates, `cost` what a probe costs relative to others; cheap parts come
/// first. Steps lead only to steps that were there before, so
/// a run ends after at most as many steps as the expression has tests. Depth is bounded by [`Expr::DEPTH_MAX`].
pub(crate) fn emit(
    expr: &Expr,
    tests: &[u32],
    cost: &dyn Fn(u32) -> u32,
    steps: &mut Vec<Step>,
    (on_true, on_false): (u32, u32),
) -> u32 {
    let by_cost = |parts: &[Expr]| -> Vec<Expr> {
        let mut parts = parts.to_vec();
        parts.sort_by_key(|part| dearest(part, &|test| cost(tests[test as usize])));
        parts
    };
    match expr {
        Expr::And(parts) => by_cost(parts)
            .iter()
            .rev()
            .fold(on_true, |next, part| emit(part, tests, cost, steps, (next, on_false))),
        Expr::Or(parts) => by_cost(parts)
            .iter()
            .rev()
            .fold(on_false, |next, part| emit(part, tests, cost, steps, (on_true, next))),
        Expr::Not(part) => emit(part, tests, cost, steps, (on_false, on_true)),
        Expr::Test(index) => {
            let at = u32::try_from(steps.len()).expect("rules and their sizes are capped far below 2^32");
            steps.push(Step { test: tests[*index as usize], on_true, on_false });
            at
        }
    }
}

/// Returns the cost of the dearest test of an expression.
fn dearest(expr: &Expr, cost: &dyn Fn(u32) -> u32) -> u32 {
    match expr {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().map(|part| dearest(part, cost)).max().unwrap_or(0),
        Expr::Not(part) => dearest(part, cost),
        Expr::Test(test) => cost(*test),
    }
}

/// Runs a program.
pub(crate) fn run(steps: &[Step], entry: u32, mut test: impl FnMut(u32) -> bool) -> bool {
    let mut at = entry;
    while at < REJECT {
        let step = steps[at as usize];
        at = if test(step.test) { step.on_true } else { step.on_false };
    }
    at == ACCEPT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(expr: &Expr, values: [bool; 3]) -> (bool, usize) {
        let mut steps = Vec::new();
        let entry = emit(expr, &[0, 1, 2], &|_| 1, &mut steps, (ACCEPT, REJECT));
        let mut asked = 0;
        let result = run(&steps, entry, |test| {
            asked += 1;
            values[test as usize]
        });
        (result, asked)
    }

    #[test]
    fn programs_agree_with_expressions_and_stop_early() {
        let [a, b, c] = [Expr::Test(0), Expr::Test(1), Expr::Test(2)];
        let expr = Expr::Or(vec![
            Expr::And(vec![a.clone(), Expr::Not(Box::new(b.clone()))]),
            Expr::Not(Box::new(Expr::Or(vec![b, Expr::And(vec![c, a])]))),
        ]);
        for bits in 0..8u8 {
            let values = [bits & 1 != 0, bits & 2 != 0, bits & 4 != 0];
            assert_eq!(holds(&expr, values).0, expr.holds(&|test| values[test as usize]), "{values:?}");
        }
        assert_eq!(holds(&expr, [true, false, false]), (true, 2));
        assert_eq!(holds(&Expr::And(Vec::new()), [false; 3]), (true, 0));
        assert_eq!(holds(&Expr::Or(Vec::new()), [true; 3]), (false, 0));
    }
}
