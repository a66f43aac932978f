//! What the health page and the overview show of the worker.

use std::collections::BTreeMap;

use outrider_detect::RuleLoad;
use outrider_model::{Balance, LogOffset};
use outrider_types::UnixMicros;

/// State of the worker after its last step.
#[derive(Debug, Clone, Default)]
pub struct PipelineStatus {
    /// Batches read from the log.
    pub batches: Balance,
    /// Rows decoded.
    pub rows: Balance,
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
    /// Ingest time of the last record worked off.
    pub ingested_at: Option<UnixMicros>,
    /// When the lake took rows last.
    pub lake_at: Option<UnixMicros>,
    /// Findings stated, revisions included.
    pub findings: u64,
    /// Findings that a late event raised or changed.
    pub late_findings: u64,
    /// State and counters by rule.
    pub rules: Vec<RuleLoad>,
    /// Rules that hit a limit, and how often.
    pub degraded: BTreeMap<String, u64>,
    /// Rules that are loaded and not evaluated, and why.
    pub not_evaluated: BTreeMap<String, String>,
    /// What went wrong last, if the worker is waiting to try again.
    pub trouble: Option<String>,
}
