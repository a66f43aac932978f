//! Judges the detectors: on clean captures by their false alarms, on attacked ones by what they find and when.
//!
//! **In:** training captures, clean captures, captures with labels. **Out:** an [`Outcome`]: every event with its
//! alarms, all clean traffic with its false alarms, from which [`report`] makes rates. **Never:** a window split at
//! random (neighbours leak), a threshold from attacked traffic, or a part of an unknown vehicle's capture that is
//! both learned from and judged. **Start reading** at [`Bench`].
//!
//! A capture belongs to a vehicle of training if it shares most of its identifiers. If it does not, its vehicle is
//! unknown, and the detectors learn it from the beginning of the capture alone, its warm-up. Attacks are put in
//! behind that, each into a copy of its own; the capture without attack gives the false alarms.

mod accounts;
mod garage;
pub mod html;
mod labelled;
pub mod labels;
mod probe;
pub mod report;
mod scheduled;
mod score;
mod simulated;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use outrider_bus::can::TimedFrame;
use outrider_ids::Mode;
use outrider_types::Seed;

use crate::inject::{Attack, AttackPlan, Injector, Stretch, Truth};
use crate::learn::LearnError;
use crate::traffic::{Life, Platform};
pub use accounts::Accounts;
use garage::{Garage, Match};
pub use probe::{Alarm, Probe, Score, Watched};
pub use scheduled::stand_ins;
pub use score::{Clean, Event, FrameCount, Hit, percentile, recall, threshold};
pub use simulated::{ModePart, Simulated, simulate};

/// Part of an unknown vehicle's capture that is its warm-up when nobody asks for another: a third …
const WARM_UP_PART: u64 = 3;
/// … and at most a minute, in microseconds.
const WARM_UP_US_MAX: u64 = 60_000_000;
/// Part of a known vehicle's capture that passes before anything is judged: detectors arm their watchdogs.
const SETTLE_PART: u64 = 10;
/// At most this long, in microseconds.
const SETTLE_US_MAX: u64 = 5_000_000;
/// Shortest and longest attack, in microseconds (published recordings: a few seconds to half a minute).
const ATTACK_US: (u64, u64) = (1_000_000, 10_000_000);
/// After its end an attack may still be found for this long, in microseconds.
const TOLERANCE_US: u64 = 1_000_000;

/// How to judge.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Source of every choice.
    pub seed: u64,
    /// Attacks of each class put into each clean capture.
    pub events_per_class: u32,
    /// Length of the warm-up of an unknown vehicle, in microseconds; by default a third of the capture.
    pub warm_up_us: Option<u64>,
    /// Whether models carry habits of payloads.
    pub habits: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { seed: 1, events_per_class: 4, warm_up_us: None, habits: true }
    }
}

/// What judging one capture came to.
#[derive(Debug, Clone, PartialEq)]
pub struct CaptureRow {
    /// Name as given.
    pub name: String,
    /// Frames.
    pub frames: u64,
    /// Length, in microseconds.
    pub span_us: u64,
    /// Whether training had the vehicle.
    pub is_known: bool,
    /// Share of its identifiers that the nearest vehicle of training has.
    pub id_share: f64,
    /// Length of what passed before anything was judged, in microseconds.
    pub warm_up_us: u64,
    /// Alarms during that time; they are not counted.
    pub warm_up_alarms: u64,
    /// Its clean part.
    pub clean: Clean,
    /// The clean part by operating mode, as the detectors told it.
    pub modes: BTreeMap<Mode, ModePart>,
    /// What the detectors by habit used of their budgets, from the beginning of the capture.
    pub accounts: Accounts,
    /// False alarms of at least [`Score::ALARM`], for people to look at.
    pub false_alarms: Vec<Alarm>,
    /// Attacks that could not be put in, with the reason.
    pub skipped: BTreeMap<&'static str, String>,
    /// Attacks that the capture's own labels name; `None` if it has none and attacks were put in.
    pub labelled: Option<u64>,
}

impl CaptureRow {
    fn new(name: &str, frames: &[TimedFrame], found: Match, warm_up_us: u64) -> Self {
        let at = |timed: Option<&TimedFrame>| timed.map(|timed| timed.at).unwrap_or_default();
        Self {
            name: name.to_owned(),
            frames: frames.len() as u64,
            span_us: at(frames.last()).micros_since(at(frames.first())),
            is_known: found.vehicle.is_some(),
            id_share: found.id_share,
            warm_up_us,
            warm_up_alarms: 0,
            clean: Clean::default(),
            modes: BTreeMap::new(),
            accounts: Accounts::default(),
            false_alarms: Vec::new(),
            skipped: BTreeMap::new(),
            labelled: None,
        }
    }

    /// Takes how the vehicle was operated while it was judged; the false alarms are there already.
    fn operate(&mut self, probe: &Probe) {
        for (mode, clean_us) in probe.modes() {
            self.modes.insert(*mode, ModePart { clean_us: *clean_us, false_alarms: 0 });
        }
        for alarm in &self.false_alarms {
            self.modes.entry(alarm.mode).or_default().false_alarms += 1;
        }
        probe.edge().into_iter().for_each(|edge| self.accounts.add(edge));
    }
}

/// Everything that was judged.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Attacks.
    pub events: Vec<Event>,
    /// Captures, in the order in which they were given.
    pub captures: Vec<CaptureRow>,
    /// Vehicles of training.
    pub vehicles: usize,
}

/// The bench: train it, close training, then give it captures.
#[derive(Debug, Default)]
pub struct Bench {
    settings: Settings,
    garage: Garage,
    outcome: Outcome,
}

impl Bench {
    /// Creates a bench that knows no vehicle.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Adds a training capture. Captures that share most identifiers are one vehicle.
    pub fn train(&mut self, frames: &[TimedFrame]) {
        self.garage.add(frames, self.settings.habits);
    }

    /// Adds a vehicle of training: a generated life of a platform, which is not kept in memory.
    pub fn train_life(&mut self, platform: &Platform, seed: u64, length_us: u64) {
        let life = Life::new(platform, seed).take_while(|frame| frame.at.0 < length_us);
        self.garage.learn(life, self.settings.habits);
    }

    /// Ends training.
    ///
    /// # Errors
    /// [`LearnError`]: a capture offers nothing to learn.
    pub fn close_training(&mut self) -> Result<(), LearnError> {
        self.garage.close()?;
        self.outcome.vehicles = self.garage.len();
        Ok(())
    }

    /// Judges a clean capture: without attack, and with every attack of every class put in behind its warm-up.
    ///
    /// # Errors
    /// [`LearnError`]: the vehicle is unknown and its warm-up offers nothing to learn.
    pub fn clean(&mut self, name: &str, frames: &[TimedFrame]) -> Result<(), LearnError> {
        let found = self.garage.find(&garage::identifiers(frames));
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else {
            return Err(LearnError::NoFrames);
        };
        let span_us = last.at.micros_since(first.at);
        let warm_up_us = self.warm_up_us(found, span_us);
        let begin = frames.partition_point(|timed| timed.at.micros_since(first.at) < warm_up_us);
        let edge = self.garage.detectors(found);
        let mut row = CaptureRow::new(name, frames, found, warm_up_us);
        let injector = Injector::new(frames);
        let mut plans = self.plans(&row).into_iter().peekable();
        let mut probe = Probe::new(edge);
        let mut runs = Vec::new();
        for (index, timed) in frames.iter().enumerate() {
            if index == begin {
                row.warm_up_alarms = count_alarms(probe.alarms());
                probe.forget();
            }
            while let Some(injector) = &injector
                && let Some((_, plan)) = plans
                    .next_if(|(start, _)| index >= begin && timed.at.micros_since(injector.first()) >= *start)
            {
                match injector.attack(&plan) {
                    Ok(stretch) => runs.push(run(stretch, probe.clone(), frames)),
                    Err(error) => {
                        row.skipped.insert(plan.attack.class(), error.to_string());
                    }
                }
            }
            let flagged = probe.receive(timed);
            if index >= begin && timed.frame.id().is_some() {
                row.clean.frames.add(false, flagged);
            }
        }
        row.clean.clean_us = span_us.saturating_sub(warm_up_us);
        row.clean.alarmed_us = probe.alarmed_us();
        row.clean.alarms = highest(probe.alarms());
        row.false_alarms = firsts(probe.alarms());
        row.operate(&probe);
        let capture = self.outcome.captures.len();
        for run in runs {
            self.outcome.events.push(run.event(probe.alarms(), found, capture));
        }
        self.outcome.captures.push(row);
        Ok(())
    }

    /// Returns everything that was judged.
    #[must_use]
    pub fn finish(self) -> Outcome {
        self.outcome
    }

    fn warm_up_us(&self, found: Match, span_us: u64) -> u64 {
        let (part, longest) = if found.vehicle.is_some() {
            (SETTLE_PART, SETTLE_US_MAX)
        } else {
            (WARM_UP_PART, WARM_UP_US_MAX)
        };
        match self.settings.warm_up_us {
            Some(asked) if found.vehicle.is_none() => asked.min(span_us),
            _ => (span_us / part).min(longest),
        }
    }

    /// Draws all attacks on a capture, with their starts, in the order of these.
    fn plans(&self, row: &CaptureRow) -> Vec<(u64, AttackPlan)> {
        let rest = row.span_us.saturating_sub(row.warm_up_us);
        let longest = ATTACK_US.1.min(rest / 2);
        let shortest = ATTACK_US.0.min(longest);
        let base = Seed::new(self.settings.seed).fork(self.outcome.captures.len() as u64);
        let mut plans = Vec::new();
        for (class, attack) in (0u64..).zip(Attack::ALL) {
            for number in 0..u64::from(self.settings.events_per_class) {
                let mut seed = base.fork(class * 1_000_003 + number);
                let length = shortest + seed.below(longest - shortest + 1);
                let room = rest.saturating_sub(length).saturating_sub(TOLERANCE_US).max(1);
                let start = row.warm_up_us + seed.below(room);
                let plan = AttackPlan {
                    start_us: Some(start),
                    length_us: Some(length),
                    ..AttackPlan::new(attack, seed.next_u64())
                };
                plans.push((start, plan));
            }
        }
        plans.sort_by_key(|(start, _)| *start);
        plans
    }
}

/// One attack after it was run.
struct Run {
    stretch: Stretch,
    alarms: Vec<Alarm>,
    frames: FrameCount,
    end_us: u64,
}

/// Runs an attack, and the honest traffic behind it for as long as it may still be found.
fn run(stretch: Stretch, mut probe: Probe, clean: &[TimedFrame]) -> Run {
    probe.forget();
    let end_us = stretch.labels.end.0.saturating_add(TOLERANCE_US);
    let mut frames = FrameCount::default();
    for (timed, truth) in stretch.frames.iter().zip(&stretch.truth) {
        let flagged = probe.receive(timed);
        if timed.frame.id().is_some() && *truth != Truth::Answer {
            frames.add(truth.is_attack(), flagged);
        }
    }
    for timed in clean.get(stretch.to..).unwrap_or(&[]).iter().take_while(|timed| timed.at.0 <= end_us) {
        let flagged = probe.receive(timed);
        if timed.frame.id().is_some() {
            frames.add(false, flagged);
        }
    }
    Run { alarms: probe.alarms().to_vec(), frames, end_us, stretch }
}

impl Run {
    /// What was said because of the attack: alarms that the clean traffic raises at the same time are no credit.
    fn event(self, clean: &[Alarm], found: Match, capture: usize) -> Event {
        let labels = &self.stretch.labels;
        let within = |alarm: &&Alarm| alarm.at >= labels.start && alarm.at.0 <= self.end_us;
        let also_clean = |alarm: &Alarm| {
            clean.iter().filter(within).any(|other| other.key() == alarm.key() && other.score >= alarm.score)
        };
        let hits = self.alarms.iter().filter(within).filter(|alarm| !also_clean(alarm)).map(|alarm| Hit {
            score: alarm.score,
            delay_us: alarm.at.micros_since(labels.first),
            located: alarm.can_id.is_some_and(|id| labels.ids.is_empty() || labels.ids.contains(&id)),
        });
        Event {
            class: labels.attack.class().to_owned(),
            is_known: found.vehicle.is_some(),
            capture,
            hits: hits.collect(),
            frames: self.frames,
        }
    }
}

/// Number of episodes that are alarms.
fn count_alarms(alarms: &[Alarm]) -> u64 {
    highest(alarms).into_iter().filter(|score| *score >= Score::ALARM).count() as u64
}

/// Highest score of every episode.
fn highest(alarms: &[Alarm]) -> Vec<Score> {
    let mut episodes = BTreeMap::new();
    for alarm in alarms {
        let score = episodes.entry((alarm.bus, alarm.episode)).or_insert(alarm.score);
        *score = alarm.score.max(*score);
    }
    episodes.into_values().collect()
}

/// The moment at which each episode became an alarm.
fn firsts(alarms: &[Alarm]) -> Vec<Alarm> {
    let mut episodes = BTreeMap::new();
    for alarm in alarms.iter().filter(|alarm| alarm.score >= Score::ALARM) {
        episodes.entry((alarm.bus, alarm.episode)).or_insert(*alarm);
    }
    episodes.into_values().collect()
}

/// A count as a float; exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts of frames and alarms stay below 2^53")]
pub(crate) const fn count(value: u64) -> f64 {
    value as f64
}

/// Microseconds as hours.
pub(crate) fn hours(us: u64) -> f64 {
    std::time::Duration::from_micros(us).as_secs_f64() / 3600.0
}

/// One count divided by another; 0 of nothing.
pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { count(part) / count(whole) }
}
