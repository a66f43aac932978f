//! Matches all rules against a batch.
//!
//! The event type selects a plan. A rule waits in the plan behind an *anchor*: tests of which one must hold for
//! the rule to hold, chosen so that few rows meet them. Tests on text are answered once for each distinct value of a
//! column, for all rules at once; tests on integers are looked up. Only a row that meets an anchor runs the
//! rule's program. Rules without an anchor run on every row of their event types.

use std::collections::BTreeMap;

use outrider_model::EventBatch;
use outrider_types::EventTypeId;

use crate::field::FieldRef;
use crate::ir::{Rule, RuleIndex};
use crate::moment::DatePart;
use crate::plan::{self, Plan};
use crate::predicate::{self, Comparison, Numbers, Predicate, Same, Test};
use crate::program::{self, ACCEPT, REJECT, Step};
use crate::text_index::{TextIndex, TextSlot, TextTable};
use crate::view::{Numbered, View};

/// Rows that each rule matched in one batch; reused between batches.
#[derive(Debug, Clone, Default)]
pub struct Matches {
    rows: Vec<Vec<u32>>,
    touched: Vec<RuleIndex>,
    scratch: Scratch,
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

/// Memory that an evaluation needs and keeps for the next.
#[derive(Debug, Clone, Default)]
struct Scratch {
    numbered: Vec<Numbered>,
    tables: Vec<TextTable>,
    /// For each rule the row that it last ran on, plus one.
    seen: Vec<u32>,
}

/// A test, resolved to the matcher's columns.
#[derive(Debug, Clone)]
pub(crate) enum Probe {
    Exists(u32),
    IntIn(u32, Box<[i64]>),
    IntCompare(u32, Comparison, i64),
    FloatIn(u32, Box<[f64]>),
    FloatCompare(u32, Comparison, f64),
    Bool(u32, bool),
    Codes(u32, u8),
    EventTypes(Box<[EventTypeId]>),
    Part(DatePart, Box<Numbers>),
    Same(FieldRef, Same),
    Fast(u32, u32),
    Slow(u32, u32),
}

impl Probe {
    /// Returns what a test costs relative to others; guesses that only order the tests of a rule.
    const fn cost(&self) -> u32 {
        match self {
            Self::Exists(_)
            | Self::IntIn(..)
            | Self::IntCompare(..)
            | Self::FloatIn(..)
            | Self::FloatCompare(..)
            | Self::Bool(..)
            | Self::Codes(..)
            | Self::EventTypes(_) => 1,
            Self::Fast(..) | Self::Part(..) => 2,
            Self::Same(..) => 8,
            Self::Slow(..) => 20,
        }
    }
}

/// Index over the rules of a set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Matcher {
    /// Fields that some rule tests; other tables refer to them by position.
    fields: Vec<FieldRef>,
    texts: Vec<TextIndex>,
    probes: Vec<Probe>,
    steps: Vec<Step>,
    /// First step of each rule.
    entries: Vec<u32>,
    plans: Vec<Plan>,
    /// Position in `plans` plus one by event type number; 0 for none.
    plan_of: Vec<u16>,
}

impl Matcher {
    /// Builds the index.
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let mut matcher = Self::default();
        let mut known = Known::default();
        let mut plans: BTreeMap<EventTypeId, plan::Builder> = BTreeMap::new();
        for (index, rule) in rules.iter().enumerate() {
            let index = u32::try_from(index).expect("a set has fewer than 2^32 rules");
            let tests: Vec<u32> =
                rule.predicates.iter().map(|test| matcher.probe(test, &mut known)).collect();
            let entry = program::emit(
                &rule.condition,
                &tests,
                &|probe| matcher.probes[probe as usize].cost(),
                &mut matcher.steps,
                (ACCEPT, REJECT),
            );
            matcher.entries.push(entry);
            for id in &rule.event_types {
                let anchor = plan::anchor(rule, *id, &tests, &matcher.probes);
                plans.entry(*id).or_default().add(index, anchor);
            }
        }
        matcher.texts.iter_mut().for_each(TextIndex::finish);
        let last = plans.keys().next_back().map_or(0, |id| usize::from(id.0) + 1);
        matcher.plan_of = vec![0; last];
        for (id, builder) in plans {
            matcher.plans.push(builder.finish(&matcher.probes, &matcher.texts));
            let position = u16::try_from(matcher.plans.len()).expect("there are fewer than 2^16 event types");
            matcher.plan_of[usize::from(id.0)] = position;
        }
        matcher
    }

    /// Finds or adds the probe of a predicate; rules share equal ones.
    fn probe(&mut self, predicate: &Predicate, known: &mut Known) -> u32 {
        let next = u32::try_from(self.probes.len()).expect("tests of a set are capped far below 2^32");
        let probe = *known.probes.entry(predicate.key()).or_insert(next);
        if probe < next {
            return probe;
        }
        let fields = &mut self.fields;
        let texts = &mut self.texts;
        let slot = *known.fields.entry(predicate.field).or_insert_with(|| {
            fields.push(predicate.field);
            texts.push(TextIndex::default());
            u32::try_from(fields.len() - 1).expect("there are fewer than 2^16 fields")
        });
        self.probes.push(match &predicate.test {
            Test::Exists => Probe::Exists(slot),
            Test::IntIn(values) => Probe::IntIn(slot, values.clone().into()),
            Test::IntCompare(comparison, bound) => Probe::IntCompare(slot, *comparison, *bound),
            Test::FloatIn(values) => Probe::FloatIn(slot, values.clone().into()),
            Test::FloatCompare(comparison, bound) => Probe::FloatCompare(slot, *comparison, *bound),
            Test::Bool(wanted) => Probe::Bool(slot, *wanted),
            Test::Codes(mask) => Probe::Codes(slot, *mask),
            Test::EventTypes(types) => Probe::EventTypes(types.clone().into()),
            Test::Part(part, numbers) => Probe::Part(*part, Box::new(numbers.clone())),
            Test::Same(same) => Probe::Same(predicate.field, *same),
            Test::Text(test) => match self.texts[slot as usize].add(test) {
                TextSlot::Fast(index) => Probe::Fast(slot, index),
                TextSlot::Slow(index) => Probe::Slow(slot, index),
            },
        });
        probe
    }

    /// Matches every rule against every row.
    pub(crate) fn evaluate(&self, batch: &EventBatch, out: &mut Matches) {
        out.reset(self.entries.len());
        let Matches { rows, touched, scratch } = out;
        let Scratch { numbered, tables, seen } = scratch;
        numbered.resize_with(self.fields.len(), Numbered::default);
        tables.resize_with(self.fields.len(), TextTable::default);
        seen.clear();
        seen.resize(self.entries.len(), 0);
        for (field, numbered) in self.fields.iter().zip(numbered.iter_mut()) {
            numbered.fill(*field, batch);
        }
        let numbered = &*numbered;
        let views: Vec<View<'_>> = self
            .fields
            .iter()
            .zip(numbered)
            .map(|(field, numbered)| View::new(*field, batch, numbered))
            .collect();
        for ((table, text), view) in tables.iter_mut().zip(&self.texts).zip(&views) {
            table.fill(text, view.values());
        }
        let mut run = Run { matcher: self, batch, views: &views, tables, seen, rows, touched };
        for (row, id) in batch.event_type.iter().enumerate() {
            let plan = self.plan_of.get(usize::from(*id)).map_or(0, |plan| usize::from(*plan));
            if let Some(plan) = plan.checked_sub(1).and_then(|plan| self.plans.get(plan)) {
                run.row(plan, row, EventTypeId(*id));
            }
        }
        touched.sort_unstable();
    }
}

/// What was interned while an index is built.
#[derive(Default)]
struct Known {
    probes: BTreeMap<String, u32>,
    fields: BTreeMap<FieldRef, u32>,
}

/// Evaluation of one batch.
struct Run<'a> {
    matcher: &'a Matcher,
    batch: &'a EventBatch,
    views: &'a [View<'a>],
    tables: &'a mut [TextTable],
    seen: &'a mut [u32],
    rows: &'a mut [Vec<u32>],
    touched: &'a mut Vec<RuleIndex>,
}

impl Run<'_> {
    fn row(&mut self, plan: &Plan, row: usize, id: EventTypeId) {
        for anchor in &plan.ints {
            if let Some(value) = self.views[anchor.slot as usize].int(row) {
                anchor.rules(value).iter().for_each(|rule| self.rule(*rule, row, id));
            }
        }
        for anchor in &plan.bounds {
            if let Some(value) = self.views[anchor.slot as usize].int(row) {
                anchor.rules(value).for_each(|rule| self.rule(rule, row, id));
            }
        }
        for anchor in &plan.texts {
            let slot = anchor.slot as usize;
            let Some(code) = self.views[slot].text(row) else { continue };
            for position in 0..self.tables[slot].met(code).len() {
                let test = self.tables[slot].met(code)[position];
                anchor.rules(test).iter().for_each(|rule| self.rule(*rule, row, id));
            }
        }
        plan.residual.iter().for_each(|rule| self.rule(*rule, row, id));
    }

    /// Runs a rule on a row, once however many anchors lead to it.
    fn rule(&mut self, rule: u32, row: usize, id: EventTypeId) {
        let index = rule as usize;
        let row_number = u32::try_from(row).expect("a batch has fewer than 2^32 rows");
        if self.seen[index] == row_number + 1 {
            return;
        }
        self.seen[index] = row_number + 1;
        let (steps, entry) = (&self.matcher.steps, self.matcher.entries[index]);
        if program::run(steps, entry, |test| self.holds(test, row, id)) {
            let rows = &mut self.rows[index];
            if rows.is_empty() {
                self.touched.push(RuleIndex(rule));
            }
            rows.push(row_number);
        }
    }

    fn holds(&mut self, test: u32, row: usize, id: EventTypeId) -> bool {
        let view = |slot: u32| self.views[slot as usize];
        match &self.matcher.probes[test as usize] {
            Probe::Exists(slot) => view(*slot).exists(row),
            Probe::IntIn(slot, values) => {
                view(*slot).int(row).is_some_and(|value| values.binary_search(&value).is_ok())
            }
            Probe::IntCompare(slot, comparison, bound) => {
                view(*slot).int(row).is_some_and(|value| comparison.holds(value, *bound))
            }
            Probe::FloatIn(slot, values) => view(*slot).float(row).is_some_and(|value| {
                values.iter().any(|wanted| wanted.partial_cmp(&value) == Some(std::cmp::Ordering::Equal))
            }),
            Probe::FloatCompare(slot, comparison, bound) => {
                view(*slot).float(row).is_some_and(|value| comparison.holds(value, *bound))
            }
            Probe::Bool(slot, wanted) => view(*slot).truth(row) == Some(*wanted),
            Probe::Codes(slot, mask) => {
                view(*slot).code(row).is_some_and(|code| code < 8 && mask >> code & 1 == 1)
            }
            Probe::EventTypes(types) => types.binary_search(&id).is_ok(),
            Probe::Part(part, numbers) => {
                predicate::part_of(*part, self.batch, row).is_some_and(|value| numbers.holds(value))
            }
            Probe::Same(field, same) => same.holds_at(*field, self.batch, row),
            Probe::Fast(slot, index) => view(*slot)
                .text(row)
                .is_some_and(|code| self.tables[*slot as usize].met(code).binary_search(index).is_ok()),
            Probe::Slow(slot, index) => {
                let view = view(*slot);
                let index_of_text = &self.matcher.texts[*slot as usize];
                view.text(row).is_some_and(|code| {
                    self.tables[*slot as usize].slow(index_of_text, *index, code, view.values())
                })
            }
        }
    }
}
