//! Stage A: matches rules and says what counts where.

use std::collections::BTreeMap;
use std::sync::Arc;

use outrider_model::{Balance, EventBatch, Matched, RuleId};
use outrider_rules::{CoreField, FieldRef, Matches, Rule, RuleIndex, RuleSet};

use crate::config::DetectorConfig;
use crate::facts::{Facts, Match, Sink, bounded, write_part};
use crate::plan::{Feed, NotEvaluated, Plan, Value};
use crate::reason;
use crate::sighting::{Builder, Sightings};

/// The first stage of detection: matches rules over the events of some vehicles, and tells a
/// [`Correlator`](crate::Correlator) what counts where.
///
/// It holds no state but counters, so any process may take over any vehicles at any time.
#[derive(Debug)]
pub struct Spotter {
    rules: Arc<RuleSet>,
    config: DetectorConfig,
    plan: Arc<Plan>,
    /// By number of the plan.
    balances: Vec<Balance>,
    matches: Matches,
}

impl Spotter {
    /// Creates the stage. Of the configuration it reads the horizon, the future and the fixed windows.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, config: DetectorConfig) -> Self {
        let plan = Arc::new(Plan::new(&rules, &config));
        Self::of_plan(rules, config, plan)
    }

    pub(crate) fn of_plan(rules: Arc<RuleSet>, config: DetectorConfig, plan: Arc<Plan>) -> Self {
        let balances = vec![Balance::default(); plan.specs.len()];
        Self { rules, config, plan, balances, matches: Matches::new() }
    }

    /// Returns the rules.
    #[must_use]
    pub const fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Returns the rules that are loaded and not evaluated.
    #[must_use]
    pub fn not_evaluated(&self) -> &[NotEvaluated] {
        &self.plan.not_evaluated
    }

    /// Returns matches received = passed + dropped, by rule that counts them (BAL-1).
    pub fn balances(&self) -> impl Iterator<Item = (&RuleId, &Balance)> {
        self.plan.versions.iter().map(|it| &it.rule).zip(&self.balances)
    }

    /// Matches a sealed batch and returns what counts, each part small enough for one record of a log.
    pub fn on_batch(&mut self, batch: &EventBatch) -> Vec<Sightings> {
        let mut writer = Writer {
            plan: Arc::clone(&self.plan),
            builder: Builder::new(self.config.hash_key),
            lowest: BTreeMap::new(),
            bucket_us: self.config.bucket_us.clamp(1, i64::from(u32::MAX)),
            done: Vec::new(),
        };
        self.spot(batch, &mut writer);
        writer.cut();
        writer.done
    }

    /// Matches a sealed batch.
    pub(crate) fn spot(&mut self, batch: &EventBatch, sink: &mut impl Sink) {
        let rules = Arc::clone(&self.rules);
        let plan = Arc::clone(&self.plan);
        let mut matches = std::mem::take(&mut self.matches);
        rules.evaluate(batch, &mut matches);
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for (RuleIndex(index), rows) in matches.iter() {
            let rule = &rules.rules()[index as usize];
            for feed in &plan.feeds[index as usize] {
                for row in rows.iter().map(|row| *row as usize) {
                    let facts = facts(batch, row);
                    self.balances[feed.plan].receive(1);
                    let judged = self.judge(&facts, batch, row, feed, (&mut key, &mut value));
                    match judged {
                        Err(reason) => self.balances[feed.plan].drop_for(reason, 1),
                        Ok(()) => {
                            self.balances[feed.plan].pass(1);
                            let value = (feed.counted != Value::Nothing).then_some(&value[..]);
                            let it = Match { plan: feed.plan, row, facts, key: &key, value };
                            sink.take(&it, || explained(feed, rule, batch, row));
                        }
                    }
                }
            }
        }
        self.matches = matches;
    }

    /// Says whether a match counts, and if so writes its group and value.
    fn judge(
        &self,
        facts: &Facts<'_>,
        batch: &EventBatch,
        row: usize,
        feed: &Feed,
        (key, value): (&mut Vec<u8>, &mut Vec<u8>),
    ) -> Result<(), &'static str> {
        facts.usable(&self.config, self.plan.specs[feed.plan].length_us)?;
        // What the registry says is not monitored is stored and can be asked for, but raises nothing.
        if batch.is_out_of_scope(row) {
            return Err(reason::OUT_OF_SCOPE);
        }
        if !write_key(key, batch, row, feed) {
            return Err(reason::NO_VALUE);
        }
        value.clear();
        match &feed.counted {
            Value::Nothing => {}
            Value::Step(step) => value.push(*step),
            Value::Fields(fields) => {
                for field in fields {
                    let text = field.text_of(batch, row).ok_or(reason::NO_VALUE)?;
                    match fields.len() {
                        1 => value.extend_from_slice(text.as_bytes()),
                        _ => write_part(value, text.as_bytes()),
                    }
                }
            }
        }
        if key.len().max(value.len()).max(facts.model.len()) > Sightings::TEXT_BYTES_MAX {
            return Err(reason::TOO_LONG);
        }
        Ok(())
    }
}

fn facts(batch: &EventBatch, row: usize) -> Facts<'_> {
    let view = batch.row(row);
    let model = batch.model_line.get(row).unwrap_or_default();
    Facts { id: view.id(), time: view.time(), ingest: view.ingest(), model }
}

fn explained(feed: &Feed, rule: &Rule, batch: &EventBatch, row: usize) -> Option<Vec<Matched>> {
    feed.explains.then(|| bounded(rule.explain(batch, row)))
}

/// Writes the key of a row's group; false if the row lacks a field that the feed requires.
fn write_key(key: &mut Vec<u8>, batch: &EventBatch, row: usize, feed: &Feed) -> bool {
    key.clear();
    key.extend_from_slice(&batch.tenant[row].to_le_bytes());
    for field in &feed.group_by {
        if *field == FieldRef::Core(CoreField::VehicleId) {
            write_part(key, &batch.vehicle[row].0);
            continue;
        }
        match field.text_of(batch, row) {
            Some(text) => write_part(key, text.as_bytes()),
            None if feed.group_required => return false,
            None => write_part(key, &[]),
        }
    }
    true
}

/// Writes matches as sightings.
struct Writer {
    plan: Arc<Plan>,
    builder: Builder,
    /// Lowest event of each fixed window of a group in the part, by plan, group and window: it alone explains.
    lowest: BTreeMap<(usize, u32, i64), usize>,
    bucket_us: i64,
    done: Vec<Sightings>,
}

impl Writer {
    /// Ends the part.
    fn cut(&mut self) {
        self.lowest.clear();
        let part = self.builder.finish();
        if !part.is_empty() {
            self.done.push(part);
        }
    }
}

impl Sink for Writer {
    fn take(&mut self, it: &Match<'_>, explain: impl FnOnce() -> Option<Vec<Matched>>) {
        if self.builder.is_full() {
            self.cut();
        }
        let (place, key) = self.builder.push(&self.plan.versions[it.plan], it);
        let window = it.facts.time.best.0.div_euclid(self.bucket_us);
        // The lowest event of all parts is the lowest of its own, so a correlator gets what it keeps.
        if !self.plan.feeds_explain(it.plan) {
            return;
        }
        let known = self.lowest.get(&(it.plan, key, window)).copied();
        if known.is_some_and(|known| self.builder.event(known) <= it.facts.id) {
            return;
        }
        if let Some(matched) = explain() {
            known.into_iter().for_each(|known| self.builder.explain(known, None));
            self.builder.explain(place, Some(matched));
            self.lowest.insert((it.plan, key, window), place);
        }
    }
}
