//! Counters for a monitoring system: the text format 0.0.4 of Prometheus.
//!
//! **In:** the state of the installation as the health page shows it, or of the parts that a process plays, times by stage
//! of the worker, and what the kernel says of the process. **Out:** one page of text for whoever has the token. **Never:** a label whose values vehicles
//! choose, so that the number of series is bounded by stages, reasons, rules, partitions and kinds of packets.
//!
//! Sources: Prometheus, *Exposition formats* (text format 0.0.4) and *Metric and label naming*.

mod process;
mod render;
mod token;

pub use process::ProcessStatus;
pub use render::{CONTENT_TYPE, Readings, RoleReadings, WorkerReadings, render, render_role};
pub use token::{ScrapeToken, TOKEN_FILE, TokenError};

/// How a value moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the program.
    Counter,
    /// Goes up and down.
    Gauge,
}

impl Kind {
    /// Returns the word of the format.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// One metric: what it is called and what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Name; the unit ends it, and counters end with `_total`.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// What it says, in one line.
    pub help: &'static str,
    /// Labels of its series, in their order.
    pub labels: &'static [&'static str],
}

macro_rules! metrics {
    ($($name:ident $kind:ident $text:literal [$($label:literal),*] $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $name: Metric = Metric {
                name: $text,
                kind: Kind::$kind,
                help: $help,
                labels: &[$($label),*],
            };
        )*

        /// Every metric, in the order of the page.
        pub const ALL: &[Metric] = &[$($name),*];
    };
}

metrics! {
    BUILD Gauge "outrider_build_info" ["version"] "Always 1; the label is the version of the program.";
    STAGE_RECEIVED Counter "outrider_stage_received_units_total" ["stage", "unit"] "What a stage received: frames, captures, pieces, batches, events or matches.";
    STAGE_PASSED Counter "outrider_stage_passed_units_total" ["stage", "unit"] "What a stage handed on.";
    STAGE_DROPPED Counter "outrider_stage_dropped_units_total" ["stage", "unit", "reason"] "What a stage dropped, by reason.";
    STAGE_QUARANTINED Counter "outrider_stage_quarantined_units_total" ["stage", "unit", "reason"] "What a stage put aside, by reason.";
    STAGE_UNBALANCED Gauge "outrider_stage_unbalanced" ["stage"] "1 while received is not passed + dropped + quarantined; that is a bug.";
    OWNED Gauge "outrider_owned_partitions" [] "Partitions that this process works off: of the event log, or for a correlator of the topic of sightings.";
    WORKER_BUSY Counter "outrider_worker_busy_seconds_total" ["stage"] "Time that the worker spent, by stage; waiting for records is not in it.";
    WORKER_STUCK Gauge "outrider_worker_stuck" [] "1 while the worker waits to get over something, or has ended.";
    LOG_HEAD Gauge "outrider_log_head_records" ["partition"] "Offset after the newest record of a partition of the event log, or for a correlator of the topic of sightings; absent while the log does not answer.";
    LOG_LAG Gauge "outrider_log_lag_records" ["partition"] "Records of a partition that the worker has not worked off; absent while the log does not answer.";
    LOG_BYTES Gauge "outrider_log_size_bytes" [] "Size of the event log on disk.";
    WATERMARK_AGE Gauge "outrider_ingest_watermark_age_seconds" ["partition"] "Age of the newest record of a partition that is worked off while others wait; 0 while none waits, absent before the first since the start.";
    GAPS Gauge "outrider_ingest_missing_events" ["state"] "Events that are missing in the lanes of all vehicles, by state.";
    FINDINGS Counter "outrider_detect_findings_total" [] "Findings stated, revisions included.";
    FINDINGS_LATE Counter "outrider_detect_late_findings_total" [] "Findings that a late event raised or changed.";
    RULE_MATCHES Counter "outrider_detect_rule_matches_total" ["rule"] "Events that a rule's condition matched.";
    RULE_ENTRIES Gauge "outrider_detect_rule_entries" ["rule"] "Events that a rule's windows hold.";
    RULE_GROUPS Gauge "outrider_detect_rule_groups" ["rule"] "Groups that a rule holds.";
    RULE_UNCOUNTED Counter "outrider_detect_rule_uncounted_matches_total" ["rule"] "Matches that a rule did not count because its state is full: findings may be missing.";
    RULES_IDLE Gauge "outrider_detect_unevaluated_rules" [] "Rules that are loaded and not evaluated.";
    LAKE_VERSION Gauge "outrider_lake_table_version" [] "Version of the lake's table.";
    LAKE_ROWS Gauge "outrider_lake_rows" [] "Rows in the lake.";
    LAKE_FILES Gauge "outrider_lake_files" [] "Files in the lake.";
    LAKE_BYTES Gauge "outrider_lake_size_bytes" [] "Size of the lake's files.";
    LAKE_COMMIT_AGE Gauge "outrider_lake_commit_age_seconds" [] "Age of the newest version of the lake's table; absent before the first.";
    STORE_BYTES Gauge "outrider_store_size_bytes" [] "Size of the case database on disk.";
    LINK_SESSIONS Gauge "outrider_link_sessions" [] "MQTT sessions of vehicles that are open.";
    LINK_HANDSHAKES Counter "outrider_link_handshakes_total" ["outcome"] "TLS handshakes of vehicles, by outcome.";
    LINK_PACKETS Counter "outrider_link_packets_total" ["kind"] "MQTT packets received, by kind.";
    LINK_REFUSALS Counter "outrider_link_refusals_total" ["reason"] "Sessions of vehicles refused or ended, and frames that waited for their rate, by reason.";
    LINK_BROKER_FRAMES Counter "outrider_link_broker_frames_total" [] "Frames that came over a broker; absent without one.";
    LINK_FINDINGS Counter "outrider_link_findings_total" [] "Certificates that were used from two places.";
    PROCESS_CPU Counter "process_cpu_seconds_total" [] "Processor time of the process, user and system.";
    PROCESS_MEMORY Gauge "process_resident_memory_bytes" [] "Resident memory of the process.";
    PROCESS_FILES Gauge "process_open_fds" [] "Open file descriptors of the process.";
    PROCESS_START Gauge "process_start_time_seconds" [] "Start of the program, seconds since 1970.";
}

#[cfg(test)]
mod tests;
