//! Readings as text.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use outrider_types::UnixMicros;

use super::{
    BUILD, FINDINGS, FINDINGS_LATE, GAPS, LAKE_BYTES, LAKE_COMMIT_AGE, LAKE_FILES, LAKE_ROWS, LAKE_VERSION,
    LINK_BROKER_FRAMES, LINK_FINDINGS, LINK_HANDSHAKES, LINK_PACKETS, LINK_REFUSALS, LINK_SESSIONS,
    LOG_BYTES, LOG_HEAD, LOG_LAG, Metric, OWNED, PROCESS_CPU, PROCESS_FILES, PROCESS_MEMORY, PROCESS_START,
    ProcessStatus, RULE_ENTRIES, RULE_GROUPS, RULE_MATCHES, RULE_UNCOUNTED, RULES_IDLE, STAGE_DROPPED,
    STAGE_PASSED, STAGE_QUARANTINED, STAGE_RECEIVED, STAGE_UNBALANCED, STORE_BYTES, WATERMARK_AGE,
    WORKER_BUSY, WORKER_STUCK,
};
use crate::api::dto::{Health, PartitionHealth, StageBalance};
use crate::pipeline::PipelineStatus;
use crate::vehicle::VehicleLinkStatus;

/// Media type of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the page is made of, all of one moment.
#[derive(Debug)]
pub struct Readings<'a> {
    /// State of the installation.
    pub health: &'a Health,
    /// State of the worker.
    pub worker: &'a PipelineStatus,
    /// What the kernel says.
    pub process: ProcessStatus,
    /// Start of the program.
    pub started: UnixMicros,
}

/// What the page of a process without API is made of.
#[derive(Debug)]
pub struct RoleReadings<'a> {
    /// Version of the program.
    pub version: &'a str,
    /// Stages that run here.
    pub stages: &'a [StageBalance],
    /// Of workers and correlators.
    pub worker: Option<WorkerReadings<'a>>,
    /// Of an edge.
    pub links: Option<&'a VehicleLinkStatus>,
    /// What the kernel says.
    pub process: ProcessStatus,
    /// Start of the program.
    pub started: UnixMicros,
    /// Moment of the readings.
    pub now: UnixMicros,
}

/// Workers or correlators of one process.
#[derive(Debug)]
pub struct WorkerReadings<'a> {
    /// All of them together.
    pub status: &'a PipelineStatus,
    /// Their partitions.
    pub partitions: &'a [PartitionHealth],
    /// Whether the log does not say how far it goes.
    pub is_log_mute: bool,
}

/// Writes the page. O(stages, reasons and rules); a vehicle adds no line.
#[must_use]
pub fn render(readings: &Readings<'_>) -> String {
    let (health, worker) = (readings.health, readings.worker);
    let mut page = Page::default();
    page.one(&BUILD, &[&health.version], 1_u8);
    stages(&mut page, &health.stages);
    busy(&mut page, worker, health.trouble.is_some());
    partitions(&mut page, &health.log.partitions, health.as_of.0);
    page.one(&LOG_BYTES, &[], health.log.bytes);
    gaps(&mut page, health);
    rules(&mut page, worker);
    storage(&mut page, health);
    links(&mut page, &health.links);
    process(&mut page, readings.process, readings.started);
    page.text
}

/// Writes the page of a process without API: what runs in it, and nothing else.
#[must_use]
pub fn render_role(readings: &RoleReadings<'_>) -> String {
    let mut page = Page::default();
    page.one(&BUILD, &[readings.version], 1_u8);
    stages(&mut page, readings.stages);
    if let Some(worker) = &readings.worker {
        busy(&mut page, worker.status, worker.status.trouble.is_some() || worker.is_log_mute);
        partitions(&mut page, worker.partitions, readings.now);
        rules(&mut page, worker.status);
    }
    if let Some(status) = readings.links {
        links(&mut page, status);
    }
    process(&mut page, readings.process, readings.started);
    page.text
}

fn stages(page: &mut Page, stages: &[StageBalance]) {
    page.head(&STAGE_RECEIVED);
    for stage in stages {
        page.series(&STAGE_RECEIVED, &[&stage.stage, &stage.unit], stage.received);
    }
    page.head(&STAGE_PASSED);
    for stage in stages {
        page.series(&STAGE_PASSED, &[&stage.stage, &stage.unit], stage.passed);
    }
    page.head(&STAGE_DROPPED);
    for stage in stages {
        reasons(page, &STAGE_DROPPED, stage, &stage.dropped);
    }
    page.head(&STAGE_QUARANTINED);
    for stage in stages {
        reasons(page, &STAGE_QUARANTINED, stage, &stage.quarantined);
    }
    page.head(&STAGE_UNBALANCED);
    for stage in stages {
        page.series(&STAGE_UNBALANCED, &[&stage.stage], u8::from(!stage.balanced));
    }
}

fn reasons(page: &mut Page, metric: &Metric, stage: &StageBalance, counts: &BTreeMap<String, u64>) {
    for (reason, units) in counts {
        page.series(metric, &[&stage.stage, &stage.unit, reason], *units);
    }
}

fn busy(page: &mut Page, worker: &PipelineStatus, is_stuck: bool) {
    page.one(&OWNED, &[], worker.owned);
    page.head(&WORKER_BUSY);
    for (stage, busy) in worker.busy.by_stage() {
        page.series(&WORKER_BUSY, &[stage], busy.as_secs_f64());
    }
    page.one(&WORKER_STUCK, &[], u8::from(is_stuck));
}

fn gaps(page: &mut Page, health: &Health) {
    page.head(&GAPS);
    let gaps = health.gaps;
    for (state, events) in [("open", gaps.open), ("overdue", gaps.overdue), ("tombstoned", gaps.tombstoned)] {
        page.series(&GAPS, &[state], events);
    }
}

fn partitions(page: &mut Page, partitions: &[PartitionHealth], now: UnixMicros) {
    let parts: Vec<_> = partitions.iter().map(|part| (part.partition.to_string(), part)).collect();
    for (metric, value) in [
        (&LOG_HEAD, (|part| part.head_offset) as fn(&PartitionHealth) -> Option<u64>),
        (&LOG_LAG, |part| part.lag_records),
    ] {
        page.head(metric);
        for (name, part) in &parts {
            if let Some(value) = value(part) {
                page.series(metric, &[name], value);
            }
        }
    }
    page.head(&WATERMARK_AGE);
    for (name, part) in &parts {
        let age = match (part.lag_records, part.ingested_at) {
            (Some(0), _) => Some(0.0),
            (Some(_), Some(at)) => Some(age_s(now, at.0)),
            (None, _) | (Some(_), None) => None,
        };
        if let Some(age) = age {
            page.series(&WATERMARK_AGE, &[name], age);
        }
    }
}

fn rules(page: &mut Page, worker: &PipelineStatus) {
    page.one(&FINDINGS, &[], worker.findings);
    page.one(&FINDINGS_LATE, &[], worker.late_findings);
    page.head(&RULE_MATCHES);
    for rule in &worker.rules {
        page.series(&RULE_MATCHES, &[&rule.rule.to_string()], rule.balance.received());
    }
    page.head(&RULE_ENTRIES);
    for rule in &worker.rules {
        page.series(&RULE_ENTRIES, &[&rule.rule.to_string()], rule.entries);
    }
    page.head(&RULE_GROUPS);
    for rule in &worker.rules {
        page.series(&RULE_GROUPS, &[&rule.rule.to_string()], rule.groups);
    }
    page.head(&RULE_UNCOUNTED);
    for (rule, matches) in &worker.degraded {
        page.series(&RULE_UNCOUNTED, &[rule], *matches);
    }
    page.one(&RULES_IDLE, &[], worker.not_evaluated.len());
}

fn storage(page: &mut Page, health: &Health) {
    page.one(&LAKE_VERSION, &[], health.lake.version);
    page.one(&LAKE_ROWS, &[], health.lake.rows);
    page.one(&LAKE_FILES, &[], health.lake.files);
    page.one(&LAKE_BYTES, &[], health.lake.bytes);
    page.head(&LAKE_COMMIT_AGE);
    if let Some(at) = &health.lake.last_commit_at {
        page.series(&LAKE_COMMIT_AGE, &[], age_s(health.as_of.0, at.0));
    }
    page.one(&STORE_BYTES, &[], health.database.bytes);
}

fn links(page: &mut Page, links: &VehicleLinkStatus) {
    page.one(&LINK_SESSIONS, &[], links.sessions);
    page.head(&LINK_HANDSHAKES);
    let outcomes = [
        ("full", links.handshakes_full),
        ("resumed", links.handshakes_resumed),
        ("failed", links.handshakes_failed),
        ("refused", links.handshakes_refused),
    ];
    for (outcome, handshakes) in outcomes {
        page.series(&LINK_HANDSHAKES, &[outcome], handshakes);
    }
    for (metric, counts) in [(&LINK_PACKETS, &links.packets), (&LINK_REFUSALS, &links.refusals)] {
        page.head(metric);
        for (word, count) in counts {
            page.series(metric, &[word], *count);
        }
    }
    page.head(&LINK_BROKER_FRAMES);
    if let Some(frames) = links.broker_frames {
        page.series(&LINK_BROKER_FRAMES, &[], frames);
    }
    page.one(&LINK_FINDINGS, &[], links.findings);
}

fn process(page: &mut Page, process: ProcessStatus, started: UnixMicros) {
    page.head(&PROCESS_CPU);
    if let Some(seconds) = process.cpu_seconds {
        page.series(&PROCESS_CPU, &[], seconds);
    }
    for (metric, value) in [(&PROCESS_MEMORY, process.memory_bytes), (&PROCESS_FILES, process.files)] {
        page.head(metric);
        if let Some(value) = value {
            page.series(metric, &[], value);
        }
    }
    page.one(&PROCESS_START, &[], age_s(started, UnixMicros(0)));
}

/// Returns the seconds from `from` to `now`, 0 where the clock went back.
fn age_s(now: UnixMicros, from: UnixMicros) -> f64 {
    let us = u64::try_from(now.micros_since(from)).unwrap_or(0);
    std::time::Duration::from_micros(us).as_secs_f64()
}

/// A value of a series.
trait Value: std::fmt::Display {}
impl Value for u8 {}
impl Value for u64 {}
impl Value for i64 {}
impl Value for usize {}
impl Value for f64 {}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    /// Writes what is said of a metric once, before its series.
    fn head(&mut self, metric: &Metric) {
        let Metric { name, kind, help, .. } = metric;
        let written = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {}", kind.word());
        written.expect("a text takes what is written to it");
    }

    fn series(&mut self, metric: &Metric, values: &[&str], value: impl Value) {
        debug_assert_eq!(metric.labels.len(), values.len(), "{}", metric.name);
        self.text.push_str(metric.name);
        for (index, (label, value)) in metric.labels.iter().zip(values).enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(value, &mut self.text);
            self.text.push('"');
        }
        if !values.is_empty() {
            self.text.push('}');
        }
        writeln!(self.text, " {value}").expect("a text takes what is written to it");
    }

    fn one(&mut self, metric: &Metric, values: &[&str], value: impl Value) {
        self.head(metric);
        self.series(metric, values, value);
    }
}

/// Writes a label's value: backslash, quote and line feed are escaped.
fn escape(value: &str, text: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}
