//! Stage B: counts sightings in event time and states findings.

use core::ops::RangeInclusive;
use std::sync::Arc;

use outrider_model::{Balance, Finding, GroupKey, Matched, RuleId, SaveError, Watermark, Window};
use outrider_rules::RuleSet;
use outrider_types::{IngestTime, TenantId, UnixMicros};

use crate::cell::Counted;
use crate::compact;
use crate::config::DetectorConfig;
use crate::facts::{Match, Sink, is_key};
use crate::moved;
use crate::names::{EventKey, Names};
use crate::plan::{NotEvaluated, Plan, RuleVersion};
use crate::reason;
use crate::route::Route;
use crate::sighting::Sightings;
use crate::snapshot;
use crate::spec::{Spec, Windows};
use crate::sweep;
use crate::table::{Numbered, Outcome, Table};

/// State of one rule, for health pages and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleLoad {
    /// The rule.
    pub rule: RuleId,
    /// Groups held.
    pub groups: usize,
    /// Events held.
    pub entries: u64,
    /// Findings that stand.
    pub findings: usize,
    /// Matches received, counted and dropped since the start of the program.
    pub balance: Balance,
}

/// The fullest window of a group that stays below the rule's threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BelowThreshold {
    /// Owner.
    pub tenant: TenantId,
    /// The group.
    pub group: GroupKey,
    /// What the fullest window counts.
    pub value: u64,
    /// What the rule asks for.
    pub threshold: u64,
    /// First and last event of that window.
    pub window: Window,
}

/// The second stage of detection: counts what [`Spotter`](crate::Spotter)s saw, and states findings.
///
/// The same sightings in any order, with any duplicates, from any number of processes, leave the same findings
/// (DET-1). Several correlators may share the work if each group's sightings all go to one, by [`Route`].
#[derive(Debug)]
pub struct Correlator {
    plan: Arc<Plan>,
    config: DetectorConfig,
    names: Names,
    tables: Vec<Table>,
    /// By number of the plan.
    balances: Vec<Balance>,
    strangers: Balance,
    /// Size of the dictionary from which on it is rebuilt.
    names_max: usize,
    /// Numbers of the batch's events, by row.
    known: Vec<Option<Known>>,
}

/// Numbers of one event.
#[derive(Debug, Clone, Copy)]
struct Known {
    key: EventKey,
    vehicle: u32,
    model: u32,
}

impl Correlator {
    /// Creates a correlator without state.
    #[must_use]
    pub fn new(rules: &RuleSet, config: DetectorConfig) -> Self {
        let plan = Arc::new(Plan::new(rules, &config));
        Self::of_plan(config, plan)
    }

    pub(crate) fn of_plan(config: DetectorConfig, plan: Arc<Plan>) -> Self {
        Self {
            names: Names::new(config.hash_key),
            tables: plan.specs.iter().map(|spec| Table::new(spec.clone(), config.hash_key)).collect(),
            balances: vec![Balance::default(); plan.specs.len()],
            strangers: Balance::default(),
            names_max: compact::WORTH_IT,
            known: Vec::new(),
            plan,
            config,
        }
    }

    /// Returns the rules that are loaded and not evaluated.
    #[must_use]
    pub fn not_evaluated(&self) -> &[NotEvaluated] {
        &self.plan.not_evaluated
    }

    /// Returns sightings received = passed + dropped, by rule (BAL-1).
    pub fn balances(&self) -> impl Iterator<Item = (&RuleId, &Balance)> {
        self.plan.versions.iter().map(|it| &it.rule).zip(&self.balances)
    }

    /// Returns the sightings that were dropped because their rule, its version or their shape is strange.
    #[must_use]
    pub const fn strangers(&self) -> &Balance {
        &self.strangers
    }

    /// Returns the load of each rule and correlation that is evaluated.
    #[must_use]
    pub fn loads(&self) -> Vec<RuleLoad> {
        let load = |(table, balance): (&Table, &Balance)| RuleLoad {
            rule: table.spec.rule.clone(),
            groups: table.groups.len(),
            entries: table.entries,
            findings: table.groups.iter().map(|group| group.episodes.len()).sum(),
            balance: balance.clone(),
        };
        self.tables.iter().zip(&self.balances).map(load).collect()
    }

    /// Returns the rules that hit a limit, with how many matches were not counted: findings may be missing.
    #[must_use]
    pub fn degraded(&self) -> Vec<(RuleId, u64)> {
        let lost = |balance: &Balance| {
            reason::DEGRADED.iter().filter_map(|reason| balance.dropped().get(reason)).sum::<u64>()
        };
        let rules = self.tables.iter().map(|table| table.spec.rule.clone());
        rules.zip(self.balances.iter().map(lost)).filter(|(_, lost)| *lost > 0).collect()
    }

    /// Returns the groups of a correlation that stay below its threshold, fullest first, at most `limit`.
    ///
    /// Groups with a finding are left out. O(events held by the rule): for screens, not for batches.
    #[must_use]
    pub fn below_threshold(&self, rule: &RuleId, limit: usize) -> Vec<BelowThreshold> {
        let Some(table) = self.plan.find(rule).and_then(|plan| self.tables.get(plan)) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let mut points = Vec::new();
        for (key, group) in table.keys.iter().zip(&table.groups) {
            if !group.episodes.is_empty() {
                continue;
            }
            points.clear();
            for (pane, cell) in &group.panes {
                cell.points(pane * table.spec.pane_us, table.spec.shape.counted, &mut points);
            }
            let Some((value, span)) = sweep::fullest(&mut points, table.spec.length_us) else { continue };
            let (tenant, group) = table.decode_key(key);
            let window = Window { from: UnixMicros(span.from), to: UnixMicros(span.to) };
            found.push(BelowThreshold { tenant, group, value, threshold: table.spec.need, window });
        }
        found.sort_by(|left, right| (right.value, &left.group).cmp(&(left.value, &right.group)));
        found.truncate(limit);
        found
    }

    /// Counts sightings and appends new findings and revisions. Idempotent, in any order.
    ///
    /// A sighting of a rule that is not evaluated here, or of another version of it, counts nowhere:
    /// [`Correlator::strangers`] counts it.
    pub fn on_sightings(&mut self, sightings: &Sightings, now: IngestTime, findings: &mut Vec<Finding>) {
        let plans: Vec<_> = sightings.rules().iter().map(|rule| self.plan_of(rule)).collect();
        self.begin(sightings.events());
        for it in sightings.read() {
            let plan = plans[it.rule as usize];
            let shaped = plan.and_then(|plan| {
                let spec = &self.plan.specs[plan];
                let fits = snapshot::fits(it.facts.time.best.0, 1)
                    && is_value(it.value, spec)
                    && is_key(it.key, spec.group_by.iter().map(|field| field.is_vehicle));
                if fits { Ok(plan) } else { Err(reason::BAD_SHAPE) }
            });
            let plan = match shaped {
                Ok(plan) => plan,
                Err(reason) => {
                    self.strangers.receive(1);
                    self.strangers.drop_for(reason, 1);
                    continue;
                }
            };
            match it.facts.usable(&self.config, self.plan.specs[plan].length_us) {
                Ok(()) => {
                    let seen = Match { plan, row: it.event, facts: it.facts, key: it.key, value: it.value };
                    self.take(&seen, || it.explained());
                }
                Err(reason) => {
                    self.balances[plan].receive(1);
                    self.balances[plan].drop_for(reason, 1);
                }
            }
        }
        self.evaluate(now, findings);
    }

    /// Takes a watermark: forgets what no event can reach any more, and appends what only became certain now.
    pub fn on_watermark(&mut self, watermark: Watermark, now: IngestTime, findings: &mut Vec<Finding>) {
        for table in &mut self.tables {
            table.forget(watermark.0);
            table.evaluate(&self.names, now.0, findings);
        }
        if self.names.len() > self.names_max {
            self.compact();
        }
    }

    /// Writes the whole state.
    pub fn save(&self, out: &mut Vec<u8>) {
        snapshot::save(&self.names, &self.tables, out);
    }

    /// Replaces the whole state.
    ///
    /// # Errors
    /// [`SaveError`]; the state is as it was before.
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), SaveError> {
        let (names, tables) = snapshot::load(bytes, self.empty_tables(), self.config.hash_key)?;
        self.replace(names, tables);
        Ok(())
    }

    /// Writes the state of all groups whose places lie in a part of the ring, for another correlator.
    ///
    /// O(state of these groups), and as much memory.
    pub fn export(&self, part: &RangeInclusive<Route>, out: &mut Vec<u8>) {
        moved::export(&self.names, &self.tables, part, out);
    }

    /// Takes over a part of the ring: forgets what this correlator holds of it, and takes what another one exported.
    ///
    /// Taking the same export again changes nothing. Groups that lie outside the part are not taken.
    ///
    /// # Errors
    /// [`SaveError`]; the state is as it was before.
    pub fn import(&mut self, part: &RangeInclusive<Route>, bytes: &[u8]) -> Result<(), SaveError> {
        let (names, tables) = snapshot::load(bytes, self.empty_tables(), self.config.hash_key)?;
        let room = moved::import(&mut self.names, &mut self.tables, part, (&names, tables));
        room.then_some(()).ok_or(SaveError::Damaged { offset: bytes.len() })
    }

    /// Forgets all groups whose places lie in a part of the ring: another correlator has them now.
    pub fn forget(&mut self, part: &RangeInclusive<Route>) {
        self.tables.iter_mut().for_each(|table| moved::forget(table, part));
    }

    /// Begins a batch of so many events.
    pub(crate) fn begin(&mut self, rows: usize) {
        self.known.clear();
        self.known.resize(rows, None);
    }

    /// Appends the findings of all that changed.
    pub(crate) fn evaluate(&mut self, now: IngestTime, findings: &mut Vec<Finding>) {
        for table in &mut self.tables {
            table.evaluate(&self.names, now.0, findings);
        }
    }

    /// Rebuilds the dictionary now.
    pub(crate) fn compact(&mut self) {
        compact::compact(&mut self.names, &mut self.tables);
        // Twice what is in use: the work is paid for by as many new entries.
        self.names_max = compact::WORTH_IT.max(self.names.len() * 2);
    }

    fn empty_tables(&self) -> Vec<Table> {
        self.tables.iter().map(|table| Table::new(table.spec.clone(), self.config.hash_key)).collect()
    }

    fn replace(&mut self, names: Names, tables: Vec<Table>) {
        self.names_max = compact::WORTH_IT.max(names.len() * 2);
        self.names = names;
        self.tables = tables;
    }

    fn plan_of(&self, rule: &RuleVersion) -> Result<usize, &'static str> {
        let plan = self.plan.find(&rule.rule).ok_or(reason::UNKNOWN_RULE)?;
        if self.plan.versions[plan] == *rule { Ok(plan) } else { Err(reason::OTHER_VERSION) }
    }

    /// Returns the numbers of an event, interning it once a batch.
    fn known(&mut self, it: &Match<'_>) -> Option<Known> {
        if let Some(known) = self.known[it.row] {
            return Some(known);
        }
        let (key, vehicle) = self.names.event(it.facts.id)?;
        let model = self.names.model_number(it.facts.model)?;
        self.known[it.row] = Some(Known { key, vehicle, model });
        self.known[it.row]
    }

    fn count(&mut self, it: &Match<'_>) -> Result<(u32, i64), &'static str> {
        let known = self.known(it).ok_or(reason::NAMES_FULL)?;
        let table = &mut self.tables[it.plan];
        let value = match (table.spec.shape.counted, it.value) {
            (Counted::Steps | Counted::OrderedSteps, Some([step])) => u32::from(*step),
            (Counted::Events | Counted::Steps | Counted::OrderedSteps, _) | (Counted::Values, None) => 0,
            (Counted::Vehicles, _) => known.vehicle,
            (Counted::Values, Some(value)) => self.names.values.intern(value).ok_or(reason::NAMES_FULL)?,
        };
        let (time, ingest) = (it.facts.time, it.facts.ingest);
        let numbered = Numbered {
            time: time.best,
            event: known.key,
            vehicle: known.vehicle,
            model: known.model,
            value,
            late: ingest.0.0.saturating_sub(time.best.0) >= self.config.late_after_us,
            uncertain: time.error_us > table.spec.pane_us.unsigned_abs() / 2,
        };
        counted(table.insert(it.key, numbered, &self.names))
    }
}

impl Sink for Correlator {
    fn take(&mut self, it: &Match<'_>, explain: impl FnOnce() -> Option<Vec<Matched>>) {
        self.balances[it.plan].receive(1);
        match self.count(it) {
            Err(reason) => self.balances[it.plan].drop_for(reason, 1),
            Ok((group, pane)) => {
                self.balances[it.plan].pass(1);
                let table = &mut self.tables[it.plan];
                if table.spec.windows == Windows::Fixed {
                    table.explain(group, pane, it.facts.id, explain);
                }
            }
        }
    }
}

/// Returns whether a sighting brings what the rule counts.
fn is_value(value: Option<&[u8]>, spec: &Spec) -> bool {
    match (spec.shape.counted, value) {
        (Counted::Events | Counted::Vehicles, value) => value.is_none(),
        (Counted::Values, value) => value.is_some(),
        (Counted::Steps | Counted::OrderedSteps, Some([step])) => usize::from(*step) < spec.fed_by.len(),
        (Counted::Steps | Counted::OrderedSteps, _) => false,
    }
}

fn counted(outcome: Outcome) -> Result<(u32, i64), &'static str> {
    match outcome {
        Outcome::New { group, pane } => Ok((group, pane)),
        Outcome::Duplicate => Err(reason::DUPLICATE),
        Outcome::BeyondHorizon => Err(reason::BEYOND_HORIZON),
        Outcome::GroupsFull => Err(reason::GROUPS_FULL),
        Outcome::EntriesFull => Err(reason::ENTRIES_FULL),
        Outcome::PaneFull => Err(reason::PANE_FULL),
    }
}
