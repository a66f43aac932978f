//! From alarms to rates: thresholds by false alarms, recall of events, delays, frames.

use super::probe::Score;

/// Frames of attacks and of honest ECUs, flagged and not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameCount {
    /// Attacker's frames that were flagged.
    pub hit: u64,
    /// Attacker's frames that were not.
    pub missed: u64,
    /// Honest frames that were flagged.
    pub wrong: u64,
    /// Honest frames that were not.
    pub quiet: u64,
}

impl FrameCount {
    /// Counts one frame.
    pub(super) const fn add(&mut self, is_attack: bool, flagged: bool) {
        match (is_attack, flagged) {
            (true, true) => self.hit += 1,
            (true, false) => self.missed += 1,
            (false, true) => self.wrong += 1,
            (false, false) => self.quiet += 1,
        }
    }

    /// Adds another count.
    pub(super) const fn join(&mut self, other: &Self) {
        self.hit += other.hit;
        self.missed += other.missed;
        self.wrong += other.wrong;
        self.quiet += other.quiet;
    }

    /// Share of flagged frames that are the attacker's; `None` if none was flagged.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        share(self.hit, self.hit + self.wrong)
    }

    /// Share of the attacker's frames that were flagged; `None` if there was none.
    #[must_use]
    pub fn recall(&self) -> Option<f64> {
        share(self.hit, self.hit + self.missed)
    }

    /// Harmonic mean of precision and recall; `None` if there is nothing to find and nothing was flagged.
    #[must_use]
    pub fn f1(&self) -> Option<f64> {
        share(2 * self.hit, 2 * self.hit + self.wrong + self.missed)
    }

    /// Share of honest frames that were flagged; `None` if there was none.
    #[must_use]
    pub fn false_positive_rate(&self) -> Option<f64> {
        share(self.wrong, self.wrong + self.quiet)
    }
}

/// A part of a whole; `None` of nothing.
pub(super) fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| super::ratio(part, whole))
}

/// What was said about one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// How sure.
    pub score: Score,
    /// Time from the first attacked frame to the alarm, in microseconds.
    pub delay_us: u64,
    /// Whether the alarm names an attacked identifier.
    pub located: bool,
}

/// One attack and what was said about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Name of the class.
    pub class: String,
    /// Whether the vehicle was known from training.
    pub is_known: bool,
    /// Index of the capture.
    pub capture: usize,
    /// Alarms between its start and its end, in the order in which they were said.
    pub hits: Vec<Hit>,
    /// Frames from its start to its end.
    pub frames: FrameCount,
}

impl Event {
    /// Returns the time to the first alarm of at least a score; `None` if there was none.
    #[must_use]
    pub fn delay_us(&self, threshold: Score) -> Option<u64> {
        self.hits.iter().filter(|hit| hit.score >= threshold).map(|hit| hit.delay_us).min()
    }

    /// Returns whether the class is a masquerade.
    #[must_use]
    pub fn is_masquerade(&self) -> bool {
        self.class.to_ascii_lowercase().contains("masquerade")
    }
}

/// Clean traffic of one origin and what was said about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Clean {
    /// Length, in microseconds.
    pub clean_us: u64,
    /// Highest score of each false alarm.
    pub alarms: Vec<Score>,
    /// Time during which an alarm was open, in microseconds.
    pub alarmed_us: u64,
    /// Frames judged and flagged.
    pub frames: FrameCount,
}

impl Clean {
    /// Adds another count.
    pub(super) fn join(&mut self, other: &Self) {
        self.clean_us += other.clean_us;
        self.alarms.extend_from_slice(&other.alarms);
        self.alarmed_us += other.alarmed_us;
        self.frames.join(&other.frames);
    }

    /// Returns the number of false alarms of at least a score.
    #[must_use]
    pub fn false_alarms(&self, threshold: Score) -> u64 {
        self.alarms.iter().filter(|score| **score >= threshold).count() as u64
    }

    /// Returns the length in hours.
    #[must_use]
    pub fn hours(&self) -> f64 {
        super::hours(self.clean_us)
    }

    /// Returns false alarms an hour; `None` without any traffic.
    #[must_use]
    pub fn per_hour(&self, threshold: Score) -> Option<f64> {
        let hours = self.hours();
        (hours > 0.0).then(|| super::count(self.false_alarms(threshold)) / hours)
    }

    /// Returns the rate that is not exceeded with 95 % confidence, in false alarms an hour, if false alarms come
    /// independently of each other (Poisson; the exact limit is bounded from above by Wilson and Hilferty's
    /// approximation of the chi-square quantile).
    #[must_use]
    pub fn upper_95(&self, threshold: Score) -> Option<f64> {
        let hours = self.hours();
        let events = super::count(self.false_alarms(threshold)) + 1.0;
        // For no event the exact limit is -ln 0.05.
        let limit = if events < 1.5 {
            -(0.05f64.ln())
        } else {
            events * (1.0 - 1.0 / (9.0 * events) + 1.644_854 / (3.0 * events.sqrt())).powi(3)
        };
        (hours > 0.0).then(|| limit / hours)
    }
}

/// Returns the lowest threshold at which no origin of clean traffic has more than `per_hour` false alarms an hour;
/// above every score if even the surest alarms are too many.
#[must_use]
pub fn threshold(scores: &[Score], origins: &[&Clean], per_hour: f64) -> Score {
    let holds =
        |score: Score| origins.iter().filter_map(|clean| clean.per_hour(score)).all(|rate| rate <= per_hour);
    let mut scores = scores.to_vec();
    scores.sort_unstable();
    scores.dedup();
    scores.into_iter().find(|score| holds(*score)).unwrap_or(Score(u32::MAX))
}

/// Returns the share of events with an alarm of at least a score; `None` without events.
#[must_use]
pub fn recall<'a>(events: impl Iterator<Item = &'a Event>, threshold: Score) -> Option<f64> {
    let (mut all, mut found) = (0, 0);
    for event in events {
        all += 1;
        found += u64::from(event.delay_us(threshold).is_some());
    }
    share(found, all)
}

/// Returns the smallest value that a share of the values, in percent, does not exceed; `None` of no values.
#[must_use]
pub fn percentile(values: &mut [u64], percent: usize) -> Option<u64> {
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank - 1).copied()
}
