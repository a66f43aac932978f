//! Limits of the detector.

/// One day in microseconds.
const DAY_US: i64 = 86_400_000_000;

/// Limits and policies of a [`crate::Detector`]; every limit that is hit is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectorConfig {
    /// Oldest event that counts, measured back from its own ingest time. State older than the watermark minus
    /// this is forgotten. 30 days: a vehicle on holiday comes back within a month; older history is for a
    /// re-scan of the lake.
    pub horizon_us: i64,
    /// How far an event time may lie after the ingest time. One day: a clock in the wrong time zone is off by
    /// half a day at most.
    pub future_us: i64,
    /// Age at ingest from which an event counts as late. Six hours (guess): longer than a drive with bad
    /// coverage, shorter than a night in a garage.
    pub late_after_us: i64,
    /// Length of the fixed windows into which matches of a plain rule are folded. One hour: a drive is a few
    /// findings, not hundreds, and a repeat on the next day is a finding of its own.
    pub bucket_us: i64,
    /// Groups that one rule may hold. One million groups take about 200 MB.
    pub groups_max: usize,
    /// Events that one rule may hold; about 20 bytes each.
    pub entries_max: u64,
    /// Distinct values above which a pane turns from a list into bitmaps, unless the rule's threshold is higher.
    /// Results do not depend on it.
    pub dense_above: usize,
    /// Events that one pane of one group may hold while few distinct values make it up; bounds the work of one
    /// evaluation.
    pub pane_entries_max: usize,
    /// Key of the hash tables; results do not depend on it. A server draws it, so that no vehicle can choose
    /// values that collide.
    pub hash_key: u64,
}

impl Default for DetectorConfig {
    fn default() -> Self {
        Self {
            horizon_us: 30 * DAY_US,
            future_us: DAY_US,
            late_after_us: DAY_US / 4,
            bucket_us: DAY_US / 24,
            groups_max: 4_000_000,
            entries_max: 64_000_000,
            dense_above: 128,
            pane_entries_max: 16_384,
            hash_key: 0,
        }
    }
}
