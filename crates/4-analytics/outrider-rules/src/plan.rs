//! Which rules can match a row of one event type, and what leads to them.

use std::collections::BTreeMap;

use outrider_types::EventTypeId;

use crate::expr::Expr;
use crate::ir::Rule;
use crate::matcher::Probe;
use crate::predicate::Comparison;
use crate::text_index::TextIndex;

/// What leads to a rule: probes of which one must hold, or `None` if the rule must always run.
pub(crate) type Anchor = Option<Vec<u32>>;

/// Rules of one event type.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    pub(crate) ints: Vec<IntAnchor>,
    pub(crate) bounds: Vec<BoundAnchor>,
    pub(crate) texts: Vec<TextAnchor>,
    /// Rules that run on every row.
    pub(crate) residual: Vec<u32>,
}

/// Rules behind the values of an integer column.
#[derive(Debug, Clone)]
pub(crate) struct IntAnchor {
    /// Column.
    pub(crate) slot: u32,
    /// Value and range in `rules`, ascending by value.
    values: Vec<(i64, u32, u32)>,
    rules: Vec<u32>,
}

impl IntAnchor {
    /// Returns the rules that wait for a value.
    pub(crate) fn rules(&self, value: i64) -> &[u32] {
        let found = self.values.binary_search_by_key(&value, |(value, ..)| *value).ok();
        let Some((_, start, end)) = found.and_then(|index| self.values.get(index)) else { return &[] };
        self.rules.get(*start as usize..*end as usize).unwrap_or(&[])
    }
}

/// Rules behind bounds on an integer column.
#[derive(Debug, Clone)]
pub(crate) struct BoundAnchor {
    /// Column.
    pub(crate) slot: u32,
    /// Lowest value that leads to the rule, ascending.
    at_least: Vec<(i64, u32)>,
    /// Highest value that leads to the rule, descending.
    at_most: Vec<(i64, u32)>,
}

impl BoundAnchor {
    /// Returns the rules that wait for a value; a rule with several bounds may come more than once.
    pub(crate) fn rules(&self, value: i64) -> impl Iterator<Item = u32> {
        let above = self.at_least.iter().take_while(move |(bound, _)| *bound <= value);
        let below = self.at_most.iter().take_while(move |(bound, _)| *bound >= value);
        above.chain(below).map(|(_, rule)| *rule)
    }

    fn new(slot: u32, bounds: Vec<(Comparison, i64, u32)>) -> Self {
        let (mut at_least, mut at_most) = (Vec::new(), Vec::new());
        for (comparison, bound, rule) in bounds {
            // A bound at the end of the range leads to the rule once too often, which its program corrects.
            match comparison {
                Comparison::AtLeast => at_least.push((bound, rule)),
                Comparison::Greater => at_least.push((bound.saturating_add(1), rule)),
                Comparison::AtMost => at_most.push((bound, rule)),
                Comparison::Less => at_most.push((bound.saturating_sub(1), rule)),
            }
        }
        at_least.sort_unstable();
        at_most.sort_unstable_by(|left, right| right.cmp(left));
        Self { slot, at_least, at_most }
    }
}

/// Rules behind the fast tests of a text column.
#[derive(Debug, Clone)]
pub(crate) struct TextAnchor {
    /// Column.
    pub(crate) slot: u32,
    /// End in `rules` by test.
    ends: Vec<u32>,
    rules: Vec<u32>,
}

impl TextAnchor {
    /// Returns the rules that wait for a test.
    pub(crate) fn rules(&self, test: u32) -> &[u32] {
        let end = self.ends.get(test as usize).copied().unwrap_or(0);
        let start =
            (test as usize).checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.rules.get(start as usize..end as usize).unwrap_or(&[])
    }
}

/// Collects the rules of one event type.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    anchored: Vec<(u32, Vec<u32>)>,
    residual: Vec<u32>,
}

impl Builder {
    /// Adds a rule.
    pub(crate) fn add(&mut self, rule: u32, anchor: Anchor) {
        match anchor {
            Some(tests) => self.anchored.push((rule, tests)),
            None => self.residual.push(rule),
        }
    }

    /// Lays the rules out for look-up.
    pub(crate) fn finish(self, probes: &[Probe], texts: &[TextIndex]) -> Plan {
        let mut ints: BTreeMap<u32, BTreeMap<i64, Vec<u32>>> = BTreeMap::new();
        let mut bounds: BTreeMap<u32, Vec<(Comparison, i64, u32)>> = BTreeMap::new();
        let mut fast: BTreeMap<u32, BTreeMap<u32, Vec<u32>>> = BTreeMap::new();
        for (rule, tests) in self.anchored {
            for test in tests {
                match probes.get(test as usize) {
                    Some(Probe::IntIn(slot, values)) => {
                        for value in values {
                            ints.entry(*slot).or_default().entry(*value).or_default().push(rule);
                        }
                    }
                    Some(Probe::IntCompare(slot, comparison, bound)) => {
                        bounds.entry(*slot).or_default().push((*comparison, *bound, rule));
                    }
                    Some(Probe::Fast(slot, index)) => {
                        fast.entry(*slot).or_default().entry(*index).or_default().push(rule);
                    }
                    Some(
                        Probe::Exists(_)
                        | Probe::FloatIn(..)
                        | Probe::FloatCompare(..)
                        | Probe::Bool(..)
                        | Probe::Codes(..)
                        | Probe::EventTypes(_)
                        | Probe::Part(..)
                        | Probe::Same(..)
                        | Probe::Slow(..),
                    )
                    | None => unreachable!("anchor() chooses only probes that can be looked up"),
                }
            }
        }
        Plan {
            ints: ints.into_iter().map(|(slot, by_value)| int_anchor(slot, by_value)).collect(),
            bounds: bounds.into_iter().map(|(slot, bounds)| BoundAnchor::new(slot, bounds)).collect(),
            texts: fast
                .into_iter()
                .map(|(slot, by_test)| text_anchor(slot, texts[slot as usize].fast_len(), &by_test))
                .collect(),
            residual: self.residual,
        }
    }
}

fn length(rules: &[u32]) -> u32 {
    u32::try_from(rules.len()).expect("rules of a set are capped far below 2^32")
}

fn int_anchor(slot: u32, by_value: BTreeMap<i64, Vec<u32>>) -> IntAnchor {
    let (mut values, mut rules) = (Vec::new(), Vec::new());
    for (value, waiting) in by_value {
        let start = length(&rules);
        rules.extend(waiting);
        values.push((value, start, length(&rules)));
    }
    IntAnchor { slot, values, rules }
}

fn text_anchor(slot: u32, tests: usize, by_test: &BTreeMap<u32, Vec<u32>>) -> TextAnchor {
    let (mut ends, mut rules) = (Vec::with_capacity(tests), Vec::new());
    for test in 0..tests {
        let test = u32::try_from(test).expect("tests of a set are capped far below 2^32");
        rules.extend(by_test.get(&test).into_iter().flatten());
        ends.push(length(&rules));
    }
    TextAnchor { slot, ends, rules }
}

/// Chooses what leads to a rule on rows of one event type.
pub(crate) fn anchor(rule: &Rule, event_type: EventTypeId, tests: &[u32], probes: &[Probe]) -> Anchor {
    let known = |test: u32| rule.predicates.get(test as usize)?.known_for(event_type);
    let weigh = |test: u32| {
        let probe = *tests.get(test as usize)?;
        weight(probes.get(probe as usize)?).map(|weight| (weight, probe))
    };
    cheapest(&rule.condition, &known, &weigh).map(|(_, probes)| probes)
}

/// Returns how many rows a probe is likely to let through, relative to others; `None` if it cannot be looked up.
/// The numbers are guesses: one value of an integer or a test on text is rare, a bound is often met.
fn weight(probe: &Probe) -> Option<usize> {
    match probe {
        Probe::IntIn(_, values) => Some(values.len() * 2),
        Probe::Fast(..) => Some(3),
        Probe::IntCompare(..) => Some(40),
        Probe::Exists(_)
        | Probe::FloatIn(..)
        | Probe::FloatCompare(..)
        | Probe::Bool(..)
        | Probe::Codes(..)
        | Probe::EventTypes(_)
        | Probe::Part(..)
        | Probe::Same(..)
        | Probe::Slow(..) => None,
    }
}

/// Finds the cheapest probes of which one holds whenever the expression does.
fn cheapest(
    expr: &Expr,
    known: &dyn Fn(u32) -> Option<bool>,
    weigh: &dyn Fn(u32) -> Option<(usize, u32)>,
) -> Option<(usize, Vec<u32>)> {
    match expr.fold(known) {
        Some(true) => return None,
        Some(false) => return Some((0, Vec::new())),
        None => {}
    }
    match expr {
        Expr::And(parts) => {
            parts.iter().filter_map(|part| cheapest(part, known, weigh)).min_by_key(|(cost, _)| *cost)
        }
        Expr::Or(parts) => parts.iter().try_fold((0, Vec::new()), |(cost, mut probes), part| {
            let (more, others) = cheapest(part, known, weigh)?;
            probes.extend(others);
            Some((cost + more, probes))
        }),
        Expr::Not(_) => None,
        Expr::Test(test) => weigh(*test).map(|(cost, probe)| (cost, vec![probe])),
    }
}
