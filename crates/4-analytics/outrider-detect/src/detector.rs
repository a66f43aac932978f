//! The detector: rules matched over batches, counted in event time, stated as findings.

use std::sync::Arc;

use outrider_model::{Balance, EventBatch, Finding, GroupKey, RuleId, SaveError, Stage, Watermark, Window};
use outrider_rules::{
    CoreField, Correlation, CorrelationKind, FieldRef, Header, Matches, Rule, RuleIndex, RuleSet, Status,
};
use outrider_types::{EventId, EventTime, IngestTime, TenantId, UnixMicros};

use crate::cell::Counted;
use crate::compact;
use crate::config::DetectorConfig;
use crate::names::{EventKey, Names};
use crate::snapshot;
use crate::spec::Spec;
use crate::sweep;
use crate::table::{Outcome, Sighting, Table};

/// Reasons for which a match does not count; each is a counter of [`Detector::balance`].
pub mod reason {
    /// The event was counted before.
    pub const DUPLICATE: &str = "duplicate";
    /// Its event time is further back than the horizon.
    pub const BEYOND_HORIZON: &str = "beyond_horizon";
    /// The registry says that the vehicle is not monitored.
    pub const OUT_OF_SCOPE: &str = "out_of_scope";
    /// Its event time lies further after its ingest time than a wrong clock explains.
    pub const FUTURE: &str = "future";
    /// The interval of its event time is wider than the rule's window.
    pub const TIME_UNCERTAIN: &str = "time_uncertain";
    /// It has no value for a field that the correlation groups by or counts.
    pub const NO_VALUE: &str = "no_value";
    /// The rule holds as many groups as it may.
    pub const GROUPS_FULL: &str = "groups_full";
    /// The rule holds as many events as it may.
    pub const ENTRIES_FULL: &str = "entries_full";
    /// The pane holds as many events as it may.
    pub const PANE_FULL: &str = "pane_full";
    /// The dictionary of vehicles or values is full.
    pub const NAMES_FULL: &str = "names_full";

    /// Reasons that mean that findings may be missing because a limit was hit.
    pub const DEGRADED: [&str; 4] = [GROUPS_FULL, ENTRIES_FULL, PANE_FULL, NAMES_FULL];
}

/// A rule or correlation that the detector does not evaluate, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEvaluated {
    /// The rule.
    pub rule: RuleId,
    /// Why, in words.
    pub reason: &'static str,
}

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

/// Which rule feeds which table, and with what.
#[derive(Debug, Clone)]
struct Feed {
    table: usize,
    group_by: Vec<FieldRef>,
    counted: Option<FieldRef>,
    /// A plain rule counts an event without a group field under an empty value; a correlation does not.
    group_required: bool,
    explains: bool,
}

/// Matches rules, counts in event time and states findings.
///
/// The same events in any order, with any duplicates, leave the same findings (DET-1); see the crate
/// documentation. Single-threaded and synchronous; cost is dominated by the insertions.
#[derive(Debug)]
pub struct Detector {
    rules: Arc<RuleSet>,
    config: DetectorConfig,
    names: Names,
    tables: Vec<Table>,
    balances: Vec<Balance>,
    /// By position of the rule.
    feeds: Vec<Vec<Feed>>,
    not_evaluated: Vec<NotEvaluated>,
    /// Size of the dictionary from which on it is rebuilt.
    names_max: usize,
    matches: Matches,
}

impl Detector {
    /// Creates a detector without state.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>, config: DetectorConfig) -> Self {
        let mut detector = Self {
            names: Names::new(config.hash_key),
            tables: Vec::new(),
            balances: Vec::new(),
            feeds: vec![Vec::new(); rules.rules().len()],
            not_evaluated: Vec::new(),
            names_max: compact::WORTH_IT,
            matches: Matches::new(),
            rules: Arc::clone(&rules),
            config,
        };
        for (index, rule) in rules.rules().iter().enumerate() {
            detector.plan_rule(index, rule);
        }
        for correlation in rules.correlations() {
            detector.plan_correlation(&rules, correlation);
        }
        detector
    }

    /// Returns the limits.
    #[must_use]
    pub const fn config(&self) -> &DetectorConfig {
        &self.config
    }

    /// Returns the rules.
    #[must_use]
    pub const fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Returns matches received = passed + dropped, over all rules (BAL-1). A match is a row and a rule.
    #[must_use]
    pub fn balance(&self) -> Balance {
        let mut sum = Balance::default();
        self.balances.iter().for_each(|balance| sum.merge(balance));
        sum
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

    /// Returns the rules that are loaded and not evaluated.
    #[must_use]
    pub fn not_evaluated(&self) -> &[NotEvaluated] {
        &self.not_evaluated
    }

    /// Returns the groups of a correlation that stay below its threshold, fullest first, at most `limit`.
    ///
    /// Groups with a finding are left out. O(events held by the rule): for screens, not for batches.
    #[must_use]
    pub fn below_threshold(&self, rule: &RuleId, limit: usize) -> Vec<BelowThreshold> {
        let Some(table) = self.tables.iter().find(|table| table.spec.rule == *rule) else {
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

    fn plan_rule(&mut self, index: usize, rule: &Rule) {
        if !rule.generate || !self.is_live(&rule.header) {
            return;
        }
        let feed = Feed {
            table: self.tables.len(),
            group_by: rule.group_by.clone(),
            counted: None,
            group_required: false,
            explains: true,
        };
        self.feeds[index].push(feed);
        self.add_table(Spec::of_rule(rule, &self.config));
    }

    fn plan_correlation(&mut self, rules: &RuleSet, correlation: &Correlation) {
        if !self.is_live(&correlation.header) {
            return;
        }
        let spec = match Spec::of_correlation(correlation, &self.config) {
            Ok(spec) => spec,
            Err(reason) => {
                self.not_evaluated.push(NotEvaluated { rule: correlation.header.id.clone(), reason });
                return;
            }
        };
        let counted = match correlation.kind {
            CorrelationKind::ValueCount { field } if spec.shape.counted == Counted::Values => Some(field),
            CorrelationKind::ValueCount { .. } | CorrelationKind::EventCount => None,
        };
        for RuleIndex(index) in &correlation.rules {
            let live = rules.rules().get(*index as usize).is_some_and(|rule| self.is_live(&rule.header));
            if live && let Some(feeds) = self.feeds.get_mut(*index as usize) {
                feeds.push(Feed {
                    table: self.tables.len(),
                    group_by: correlation.group_by.clone(),
                    counted,
                    group_required: true,
                    explains: false,
                });
            }
        }
        self.add_table(spec);
    }

    /// Returns whether a rule may speak; notes it if not.
    fn is_live(&mut self, header: &Header) -> bool {
        match header.status {
            Status::Stable | Status::Test | Status::Experimental => true,
            Status::Deprecated | Status::Unsupported => {
                let note = NotEvaluated {
                    rule: header.id.clone(),
                    reason: "its status is deprecated or unsupported",
                };
                if !self.not_evaluated.contains(&note) {
                    self.not_evaluated.push(note);
                }
                false
            }
        }
    }

    fn add_table(&mut self, spec: Spec) {
        self.tables.push(Table::new(spec, self.config.hash_key));
        self.balances.push(Balance::default());
    }

    fn count(
        &mut self,
        batch: &EventBatch,
        rule: &Rule,
        feed: &Feed,
        row: usize,
        event: Known,
        key: &mut Vec<u8>,
    ) {
        let balance = &mut self.balances[feed.table];
        balance.receive(1);
        let table = &mut self.tables[feed.table];
        let outcome = match event.usable(&self.config, table.spec.length_us) {
            Err(reason) => Err(reason),
            // What the registry says is not monitored is stored and can be asked for, but raises nothing.
            Ok(()) if batch.is_out_of_scope(row) => Err(reason::OUT_OF_SCOPE),
            Ok(()) if !write_key(key, batch, row, feed) => Err(reason::NO_VALUE),
            Ok(()) => value(feed, batch, row, &mut self.names).and_then(|value| {
                let sighting = Sighting {
                    time: event.time.best,
                    event: event.key,
                    vehicle: event.vehicle,
                    model: event.model,
                    value: if table.spec.shape.counted == Counted::Vehicles { event.vehicle } else { value },
                    late: event.ingest.0.0.saturating_sub(event.time.best.0) >= self.config.late_after_us,
                    uncertain: event.time.error_us > table.spec.pane_us.unsigned_abs() / 2,
                };
                counted(table.insert(key, sighting, &self.names))
            }),
        };
        match outcome {
            Err(reason) => balance.drop_for(reason, 1),
            Ok((group, pane)) => {
                balance.pass(1);
                if feed.explains {
                    table.explain(group, pane, event.id, || rule.explain(batch, row));
                }
            }
        }
    }

    /// Returns the numbers of a row's event, interning it once a batch.
    fn known(&mut self, batch: &EventBatch, row: usize, cache: &mut [Option<Known>]) -> Option<Known> {
        if let Some(known) = cache[row] {
            return Some(known);
        }
        let view = batch.row(row);
        let id = view.id();
        let (key, vehicle) = self.names.event(id)?;
        let model = self.names.model_number(batch.model_line.get(row))?;
        let known = Known { id, key, vehicle, model, time: view.time(), ingest: view.ingest() };
        cache[row] = Some(known);
        cache[row]
    }

    /// Rebuilds the dictionary now.
    #[cfg(test)]
    pub(crate) fn compact(&mut self) {
        compact::compact(&mut self.names, &mut self.tables);
    }

    /// Returns the parts that a snapshot holds.
    pub(crate) const fn parts(&self) -> (&Names, &Vec<Table>) {
        (&self.names, &self.tables)
    }
}

impl Stage for Detector {
    fn on_batch(&mut self, batch: &EventBatch, now: IngestTime, findings: &mut Vec<Finding>) {
        let rules = Arc::clone(&self.rules);
        let mut matches = std::mem::take(&mut self.matches);
        rules.evaluate(batch, &mut matches);
        let mut cache = vec![None; batch.rows()];
        let mut key = Vec::new();
        for (RuleIndex(index), rows) in matches.iter() {
            let feeds = std::mem::take(&mut self.feeds[index as usize]);
            for feed in &feeds {
                for row in rows.iter().map(|row| *row as usize) {
                    match self.known(batch, row, &mut cache) {
                        Some(event) => {
                            self.count(batch, &rules.rules()[index as usize], feed, row, event, &mut key);
                        }
                        None => {
                            self.balances[feed.table].receive(1);
                            self.balances[feed.table].drop_for(reason::NAMES_FULL, 1);
                        }
                    }
                }
            }
            self.feeds[index as usize] = feeds;
        }
        self.matches = matches;
        for table in &mut self.tables {
            table.evaluate(&self.names, now.0, findings);
        }
    }

    fn on_watermark(&mut self, watermark: Watermark, now: IngestTime, findings: &mut Vec<Finding>) {
        for table in &mut self.tables {
            table.forget(watermark.0);
            table.evaluate(&self.names, now.0, findings);
        }
        if self.names.len() > self.names_max {
            compact::compact(&mut self.names, &mut self.tables);
            // Twice what is in use: the work is paid for by as many new entries.
            self.names_max = compact::WORTH_IT.max(self.names.len() * 2);
        }
    }

    fn save(&self, out: &mut Vec<u8>) {
        snapshot::save(self.parts().0, self.parts().1, out);
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), SaveError> {
        let empty =
            self.tables.iter().map(|table| Table::new(table.spec.clone(), self.config.hash_key)).collect();
        let (names, tables) = snapshot::load(bytes, empty, self.config.hash_key)?;
        self.names_max = compact::WORTH_IT.max(names.len() * 2);
        self.names = names;
        self.tables = tables;
        Ok(())
    }
}

/// What a batch knows of one matching row.
#[derive(Debug, Clone, Copy)]
struct Known {
    id: EventId,
    key: EventKey,
    vehicle: u32,
    model: u32,
    time: EventTime,
    ingest: IngestTime,
}

impl Known {
    /// Judges the event time by the event itself, so that the order of arrival cannot show.
    fn usable(&self, config: &DetectorConfig, length_us: i64) -> Result<(), &'static str> {
        let age = self.ingest.0.0.saturating_sub(self.time.best.0);
        if age > config.horizon_us {
            return Err(reason::BEYOND_HORIZON);
        }
        if age < config.future_us.saturating_neg() {
            return Err(reason::FUTURE);
        }
        if self.time.error_us > length_us.unsigned_abs() / 2 {
            return Err(reason::TIME_UNCERTAIN);
        }
        Ok(())
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

fn write_part(key: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a field of a batch is shorter than 4 GiB");
    key.extend_from_slice(&length.to_le_bytes());
    key.extend_from_slice(bytes);
}

/// Returns the number of the counted value; 0 where events or vehicles are counted.
fn value(feed: &Feed, batch: &EventBatch, row: usize, names: &mut Names) -> Result<u32, &'static str> {
    let Some(field) = feed.counted else { return Ok(0) };
    let text = field.text_of(batch, row).ok_or(reason::NO_VALUE)?;
    names.values.intern(text.as_bytes()).ok_or(reason::NAMES_FULL)
}
