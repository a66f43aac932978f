//! Label files: what is known about captures, from beside them.
//!
//! **In:** JSON or CSV that somebody else wrote. **Out:** a [`LabelFile`]: intervals, frame ranges, or one label a
//! frame. **Never:** a guess at units before the capture is known: the same number may be seconds or microseconds,
//! and [`LabelFile::resolve`] takes the reading that fits the capture's length.

mod parse;

use std::collections::BTreeSet;

use outrider_bus::can::{CanId, TimedFrame};
use outrider_types::UnixMicros;
use serde_json::Value;

use parse::Place;

/// Largest label file, in bytes: one short word a frame for the longest capture.
pub const LABEL_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Most intervals.
const INTERVALS_MAX: usize = 100_000;
/// An interval may end this long after its capture, in microseconds: ends are rounded.
const SLACK_US: i128 = 2_000_000;
/// The longest interval is at least this long, in microseconds; or else the unit was another.
const INTERVAL_US_MIN: i128 = 1_000;
/// Two attacked frames of one class that are further apart are two events, in microseconds (guess: published
/// bursts are 3 s long or longer, with pauses of seconds).
pub const EVENT_GAP_US: u64 = 2_000_000;

/// Why a label file cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LabelError {
    /// Neither JSON nor lines of text.
    #[error("labels are no text")]
    Text,
    /// JSON that is damaged.
    #[error("labels are no JSON, line {line}")]
    Json {
        /// Line of the damage.
        line: usize,
    },
    /// Nothing that looks like a label.
    #[error("labels have neither intervals (start, end) nor a label for each frame")]
    Nothing,
    /// A row that is no label.
    #[error("label is wrong, line {line}")]
    Row {
        /// The line.
        line: usize,
    },
    /// More intervals than the bound.
    #[error("labels have more than {INTERVALS_MAX} intervals")]
    TooMany,
    /// Times that fit the capture in no unit.
    #[error("no unit of time makes the intervals fit the capture")]
    Times,
    /// Another number of labels than frames.
    #[error("{labels} labels for {frames} frames")]
    Count {
        /// Labels.
        labels: usize,
        /// Frames of the capture.
        frames: usize,
    },
}

/// A time as written.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stamp {
    /// The number, in billionths of its unit.
    nanos: i128,
    /// Nanoseconds of the unit, if the name of the field says it.
    unit: Option<i128>,
}

#[derive(Debug, Clone, PartialEq)]
struct Interval {
    start: Stamp,
    end: Stamp,
    class: Option<String>,
    capture: Option<String>,
    ids: BTreeSet<CanId>,
}

/// What a label file says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LabelFile {
    intervals: Vec<Interval>,
    /// First frame and count, with the capture that is meant.
    ranges: Vec<(usize, usize, Option<String>)>,
    /// Frames that are neither right nor wrong.
    answers: Vec<(usize, usize, Option<String>)>,
    /// One label a frame, in order.
    frames: Vec<Option<String>>,
}

/// What is known about one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameTruth {
    /// Ordinary.
    Clean,
    /// An attacker's.
    Attack,
    /// Near an attack, and nobody says.
    Unknown,
}

/// One labelled attack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledEvent {
    /// Class, in lower case.
    pub class: String,
    /// First attacked frame or moment, in the capture's time.
    pub start_us: u64,
    /// Last one.
    pub end_us: u64,
    /// Identifiers attacked; empty if nobody says.
    pub ids: BTreeSet<CanId>,
}

/// Everything known about a capture.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Truths {
    /// Attacks in the order of their start.
    pub events: Vec<LabelledEvent>,
    /// One a frame.
    pub frames: Vec<FrameTruth>,
}

impl LabelFile {
    /// Reads a label file.
    ///
    /// # Errors
    /// [`LabelError`]: damaged, or nothing in it that looks like labels.
    pub fn parse(bytes: &[u8]) -> Result<Self, LabelError> {
        let text = std::str::from_utf8(bytes).map_err(|_| LabelError::Text)?.trim_start_matches('\u{feff}');
        let mut file = Self::default();
        if text.trim_start().starts_with(['{', '[']) {
            let value: Value =
                serde_json::from_str(text).map_err(|error| LabelError::Json { line: error.line() })?;
            file.walk(&value, &Place { is_frames: true, ..Place::default() }, 0)?;
        } else {
            file.rows(text)?;
        }
        if file.intervals.is_empty() && file.ranges.is_empty() && file.frames.is_empty() {
            return Err(LabelError::Nothing);
        }
        Ok(file)
    }

    /// Returns whether something in the file is about a capture: it has its name, or names none.
    #[must_use]
    pub fn is_about(&self, capture: &str) -> bool {
        let named = self.intervals.iter().map(|interval| &interval.capture);
        let ranges = self.ranges.iter().map(|(_, _, capture)| capture);
        !self.frames.is_empty() || named.chain(ranges).any(|name| is_same(name.as_deref(), capture))
    }

    /// Returns whether the file has the name of a capture.
    #[must_use]
    pub fn names(&self, capture: &str) -> bool {
        let named = self.intervals.iter().map(|interval| &interval.capture);
        let ranges = self.ranges.iter().map(|(_, _, capture)| capture);
        named.chain(ranges).flatten().any(|name| is_same(Some(name), capture))
    }

    /// Applies the labels to a capture.
    ///
    /// # Errors
    /// [`LabelError`]: times in no unit fit it, or the number of labels is not that of its frames.
    pub fn resolve(
        &self,
        capture: &str,
        frames: &[TimedFrame],
        start: Option<UnixMicros>,
    ) -> Result<Truths, LabelError> {
        if !self.frames.is_empty() {
            if self.frames.len() != frames.len() {
                return Err(LabelError::Count { labels: self.frames.len(), frames: frames.len() });
            }
            return Ok(Truths::of_frames(frames, self.frames.iter().map(|label| Some(label.as_deref()))));
        }
        let own: Vec<&Interval> =
            self.intervals.iter().filter(|interval| is_same(interval.capture.as_deref(), capture)).collect();
        let last = frames.last().map_or(0, |timed| timed.at.0);
        let first = frames.first().map_or(0, |timed| timed.at.0);
        let reading = reading(&own, first, last, start).ok_or(LabelError::Times)?;
        let mut events: Vec<LabelledEvent> = own
            .iter()
            .map(|interval| LabelledEvent {
                class: interval.class.clone().unwrap_or_else(|| nameless(capture)),
                start_us: reading.apply(interval.start).max(first),
                end_us: reading.apply(interval.end).min(last),
                ids: interval.ids.clone(),
            })
            .collect();
        events.sort_by_key(|event| (event.start_us, event.end_us));
        let mut truths = frames.iter().map(|timed| interval_truth(timed, &events)).collect::<Vec<_>>();
        let ranges = |ranges: &[(usize, usize, Option<String>)]| -> Vec<(usize, usize)> {
            let own = ranges.iter().filter(|(_, _, name)| is_same(name.as_deref(), capture));
            own.map(|(first, count, _)| (*first, *count)).collect()
        };
        let attacked = ranges(&self.ranges);
        if !attacked.is_empty() {
            truths.fill(FrameTruth::Clean);
        }
        for (list, truth) in [(attacked, FrameTruth::Attack), (ranges(&self.answers), FrameTruth::Unknown)] {
            for (first, count) in list {
                let end = first.saturating_add(count).min(truths.len());
                if let Some(range) = truths.get_mut(first.min(end)..end) {
                    range.fill(truth);
                }
            }
        }
        Ok(Truths { events, frames: truths })
    }
}

impl Truths {
    /// Makes events of labels that every frame has: attacked frames of one class without a long pause.
    pub fn of_frames<'a>(
        frames: &[TimedFrame],
        labels: impl Iterator<Item = Option<Option<&'a str>>>,
    ) -> Self {
        let mut truths = Self::default();
        // Index of the latest event of each class.
        let mut latest: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
        for (timed, label) in frames.iter().zip(labels) {
            let Some(Some(class)) = label else {
                truths.frames.push(FrameTruth::Clean);
                continue;
            };
            truths.frames.push(FrameTruth::Attack);
            let at = timed.at.0;
            let open = latest.get(class).and_then(|index| truths.events.get_mut(*index));
            match open.filter(|event| at.saturating_sub(event.end_us) <= EVENT_GAP_US) {
                Some(event) => {
                    event.end_us = event.end_us.max(at);
                    event.ids.extend(timed.frame.id());
                }
                None => {
                    latest.insert(class, truths.events.len());
                    let ids = timed.frame.id().into_iter().collect();
                    truths.events.push(LabelledEvent {
                        class: class.to_owned(),
                        start_us: at,
                        end_us: at,
                        ids,
                    });
                }
            }
        }
        truths
    }
}

/// Class of an interval that names none: what the capture is called, if that says masquerade.
fn nameless(capture: &str) -> String {
    let is_masquerade = capture.to_lowercase().contains("masquerade");
    if is_masquerade { "masquerade" } else { "attack" }.to_owned()
}

/// What intervals say of a frame: of a masquerade, all frames of its identifiers are the attacker's; of other
/// attacks the identifier's own frames may be among them.
fn interval_truth(timed: &TimedFrame, events: &[LabelledEvent]) -> FrameTruth {
    let mut truth = FrameTruth::Clean;
    for event in events.iter().filter(|event| (event.start_us..=event.end_us).contains(&timed.at.0)) {
        let is_own = timed.frame.id().is_some_and(|id| event.ids.contains(&id));
        let replaces = event.class.contains("masquerade") || event.class.contains("modif");
        if is_own && replaces {
            return FrameTruth::Attack;
        }
        if is_own || event.ids.is_empty() {
            truth = FrameTruth::Unknown;
        }
    }
    truth
}

/// How stamps become microseconds of the capture.
#[derive(Debug, Clone, Copy)]
struct Reading {
    /// Nanoseconds of the unit where no name says it.
    unit: i128,
    /// What is taken away, in microseconds.
    origin_us: i128,
}

impl Reading {
    fn apply(&self, stamp: Stamp) -> u64 {
        u64::try_from(self.signed(stamp).max(0)).unwrap_or(u64::MAX)
    }

    fn signed(&self, stamp: Stamp) -> i128 {
        let unit = stamp.unit.unwrap_or(self.unit);
        // Billionths of a unit times its nanoseconds are 10^-18 s.
        stamp.nanos.saturating_mul(unit) / 1_000_000_000_000 - self.origin_us
    }
}

/// Chooses the reading by which all intervals lie in the capture: seconds before smaller units, since it began
/// before since 1970. A reading by which every interval is a moment is none, unless names say the unit.
fn reading(intervals: &[&Interval], first: u64, last: u64, start: Option<UnixMicros>) -> Option<Reading> {
    let absolute = start.map(|start| i128::from(start.0));
    let since_1970 = |unit: i128| absolute.map(|origin_us| Reading { unit, origin_us });
    let since_begin = |unit: i128| Some(Reading { unit, origin_us: 0 });
    let readings = [
        since_begin(1_000_000_000),
        since_1970(1_000_000_000),
        since_begin(1_000),
        since_1970(1_000),
        since_1970(1_000_000),
        since_1970(1),
    ];
    let fits = |reading: &Reading| {
        intervals.iter().all(|interval| {
            let (from, to) = (reading.signed(interval.start), reading.signed(interval.end));
            from <= to && from >= i128::from(first) - SLACK_US && to <= i128::from(last) + SLACK_US
        })
    };
    let lasts = |reading: &Reading| {
        let mut open = intervals.iter().filter(|interval| interval.start.unit.is_none()).peekable();
        open.peek().is_none()
            || open.any(|interval| {
                reading.signed(interval.end) - reading.signed(interval.start) >= INTERVAL_US_MIN
            })
    };
    readings.into_iter().flatten().find(|reading| fits(reading) && lasts(reading))
}

/// Whether a name in a label file means a capture: none named, or the same file, with or without its extension.
fn is_same(name: Option<&str>, capture: &str) -> bool {
    let stem = |path: &str| {
        let file = path.rsplit(['/', '\\']).next().unwrap_or(path).to_lowercase();
        let file = file.strip_suffix(".gz").unwrap_or(&file).to_owned();
        file.rsplit_once('.').map_or_else(|| file.clone(), |(stem, _)| stem.to_owned())
    };
    name.is_none_or(|name| stem(name) == stem(capture))
}
