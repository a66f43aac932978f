//! What the health page and the overview show of the worker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use outrider_detect::RuleLoad;
use outrider_model::{Balance, LogOffset, Partition};
use outrider_types::UnixMicros;

/// State of the worker after its last step.
#[derive(Debug, Clone, Default)]
pub struct PipelineStatus {
    /// Batches read from the log.
    pub batches: Balance,
    /// Rows decoded.
    pub rows: Balance,
    /// Bodies of feeds taken from the log.
    pub bodies: Balance,
    /// Documents in them.
    pub documents: Balance,
    /// Rows given to detection.
    pub detect: Balance,
    /// Rows given to the lake since the start of the program.
    pub lake: Balance,
    /// First record that is not worked off, summed over the partitions.
    pub next: LogOffset,
    /// First record that the last checkpoint does not cover, summed.
    pub checkpoint: LogOffset,
    /// First record that the lake does not cover, summed.
    pub lake_next: LogOffset,
    /// Partitions that this process works off; none where it only follows.
    pub owned: usize,
    /// Each partition, in order.
    pub partitions: Vec<PartitionStatus>,
    /// When the lake took rows last.
    pub lake_at: Option<UnixMicros>,
    /// Findings stated, revisions included.
    pub findings: u64,
    /// Findings that a late event raised or changed.
    pub late_findings: u64,
    /// Time spent, by stage.
    pub busy: BusyTimes,
    /// State and counters by rule.
    pub rules: Vec<RuleLoad>,
    /// Rules that hit a limit, and how often.
    pub degraded: BTreeMap<String, u64>,
    /// Rules that are loaded and not evaluated, and why.
    pub not_evaluated: BTreeMap<String, String>,
    /// Whether another worker has taken over and this one has ended.
    pub is_fenced: bool,
    /// What went wrong last, if the worker is waiting to try again or has ended.
    pub trouble: Option<String>,
}

impl PipelineStatus {
    /// Adds what another worker of this process counted. What it holds is left out: state, places and trouble.
    pub(super) fn add_counters(&mut self, other: &Self) {
        self.batches.merge(&other.batches);
        self.rows.merge(&other.rows);
        self.bodies.merge(&other.bodies);
        self.documents.merge(&other.documents);
        self.detect.merge(&other.detect);
        self.lake.merge(&other.lake);
        self.findings = self.findings.saturating_add(other.findings);
        self.late_findings = self.late_findings.saturating_add(other.late_findings);
        self.busy.add(&other.busy);
        for (rule, matches) in &other.degraded {
            let sum = self.degraded.entry(rule.clone()).or_default();
            *sum = sum.saturating_add(*matches);
        }
        for load in &other.rules {
            self.load_of(load).balance.merge(&load.balance);
        }
    }

    /// Adds another worker of this process that runs.
    pub(super) fn add(&mut self, other: &Self) {
        self.add_counters(other);
        for load in &other.rules {
            let sum = self.load_of(load);
            sum.groups += load.groups;
            sum.entries += load.entries;
            sum.findings += load.findings;
        }
        for (sum, offset) in [
            (&mut self.next, other.next),
            (&mut self.checkpoint, other.checkpoint),
            (&mut self.lake_next, other.lake_next),
        ] {
            sum.0 += offset.0;
        }
        self.owned += other.owned;
        self.partitions.extend(&other.partitions);
        self.lake_at = self.lake_at.max(other.lake_at);
        self.not_evaluated.extend(other.not_evaluated.clone());
        self.is_fenced |= other.is_fenced;
        if self.trouble.is_none() {
            self.trouble.clone_from(&other.trouble);
        }
    }

    /// Returns the place where a rule's load is summed up.
    fn load_of(&mut self, load: &RuleLoad) -> &mut RuleLoad {
        let index = self.rules.iter().position(|sum| sum.rule == load.rule).unwrap_or(self.rules.len());
        if index == self.rules.len() {
            let (rule, balance) = (load.rule.clone(), Balance::default());
            self.rules.push(RuleLoad { rule, groups: 0, entries: 0, findings: 0, balance });
        }
        &mut self.rules[index]
    }
}

/// How far a partition is worked off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Partition.
    pub partition: Partition,
    /// First record that is not worked off.
    pub next: LogOffset,
    /// First record that the lake does not have.
    pub lake_next: LogOffset,
    /// When the newest record that is worked off was accepted; `None` before the first one of this run.
    pub ingested_at: Option<UnixMicros>,
}

/// Time that the worker spent since the start of the program, by stage; attempts that failed are in it, waiting for
/// records is not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BusyTimes {
    /// Reading records that were there.
    pub read: Duration,
    /// Decoding, ordering and correcting the time of events.
    pub decode: Duration,
    /// Rules and correlation.
    pub detect: Duration,
    /// Findings and alerts into the case database.
    pub record: Duration,
    /// Rows into the lake.
    pub store: Duration,
    /// Checkpoints.
    pub checkpoint: Duration,
}

impl BusyTimes {
    /// Adds the times of another worker.
    fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.decode += other.decode;
        self.detect += other.detect;
        self.record += other.record;
        self.store += other.store;
        self.checkpoint += other.checkpoint;
    }

    /// Returns the stages' names with their times, in the order of the data.
    #[must_use]
    pub const fn by_stage(&self) -> [(&'static str, Duration); 6] {
        [
            ("read", self.read),
            ("decode", self.decode),
            ("detect", self.detect),
            ("record", self.record),
            ("store", self.store),
            ("checkpoint", self.checkpoint),
        ]
    }
}

/// Measures stages that follow each other.
pub(super) struct Lap(Instant);

impl Lap {
    pub(super) fn begin() -> Self {
        Self(Instant::now())
    }

    /// Adds the time since the last call to `stage`.
    pub(super) fn end(&mut self, stage: &mut Duration) {
        let now = Instant::now();
        *stage += now.duration_since(self.0);
        self.0 = now;
    }
}
