//! Learns a vehicle model from recorded traffic and network descriptions.
//!
//! **In:** frames of one or more captures, and any number of DBC files. **Out:** the bytes of an
//! [`outrider_ids::model`]. **Never:** a gap measured from one capture to the next, or a limit drawn: the model
//! states facts, the detectors judge. **Start reading** at [`Learner`].

pub mod ethernet;
mod habits;
mod pairs;
mod protection;
pub mod scheduled;
mod speed;
#[cfg(test)]
mod tests;
mod timing;

use std::collections::BTreeMap;

use outrider_bus::can::{CanId, Dlc, FrameKind, TimedFrame};
use outrider_ids::model::protection::ProtectedFrame;
use outrider_ids::model::{
    self, BusDraft, BusFacts, CycleClass, DiagPair, GapFacts, IDS_MAX, IdEntry, IdFlags, ModelDraft,
    ModelHead, PAIRS_MAX, SectionDraft, SectionKind, WriteError,
};
use outrider_types::BusId;

use crate::io::dbc::DbcModel;
use habits::{HabitLearner, HabitSections};
use pairs::PairFinder;
use protection::Protections;
use scheduled::ScheduleLearner;

/// Most frames of all captures together: a day of two loaded buses. Each costs eight bytes of memory.
pub const FRAMES_MAX: u64 = 500_000_000;
/// Width of the windows in which the highest frame rate of a bus is looked for, in microseconds.
const WINDOW_US: u64 = 100_000;

/// Why a model could not be learned.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LearnError {
    /// The captures have no data frame at all.
    #[error("captures contain no frames")]
    NoFrames,
    /// More frames than the bound.
    #[error("captures contain more than {limit} frames")]
    TooManyFrames {
        /// The bound.
        limit: u64,
    },
    /// A bus has more identifiers than a model holds.
    #[error("bus {bus} has {got} identifiers, at most {limit} fit a model")]
    TooManyIds {
        /// The bus.
        bus: u8,
        /// Identifiers found.
        got: usize,
        /// The bound.
        limit: usize,
    },
    /// The model could not be written.
    #[error("model cannot be written")]
    Write(#[source] WriteError),
}

impl LearnError {
    /// Returns the error's code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoFrames => "learn.no_frames",
            Self::TooManyFrames { .. } => "learn.too_many_frames",
            Self::TooManyIds { .. } => "learn.too_many_ids",
            Self::Write(_) => "learn.write",
        }
    }
}

/// What one capture says about one identifier.
#[derive(Debug, Default)]
struct Track {
    /// Times of its frames, in microseconds, in the order of the capture.
    times: Vec<u64>,
    dlc_mask: u16,
    fd: bool,
    remote: bool,
}

/// What one capture says about one bus.
#[derive(Debug, Default)]
struct BusTrack {
    ids: BTreeMap<CanId, Track>,
    first: Option<u64>,
    last: u64,
    frames: u64,
    window: (u64, u32),
    window_max: u32,
}

/// Summary of a learned bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusSummary {
    /// What the model says about it.
    pub facts: BusFacts,
    /// Name of the signal that carries the vehicle's speed.
    pub speed_signal: Option<String>,
    /// Identifiers by class.
    pub classes: BTreeMap<CycleClass, u32>,
    /// Identifiers whose stop will be noticed.
    pub steady: u32,
    /// Diagnostic pairs.
    pub pairs: u32,
    /// Frames whose protection is checked.
    pub protected: u32,
    /// Identifiers whose payloads are taken apart, numbers of these that are compared, and lines between them.
    pub habits: (u32, u32, u32),
    /// What descriptions state of this bus that the model does not take, with the reason.
    pub problems: Vec<String>,
}

/// A learned model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learned {
    /// Bytes of the model.
    pub model: Vec<u8>,
    /// What it says about itself.
    pub head: ModelHead,
    /// Its buses.
    pub buses: Vec<BusSummary>,
}

/// Collects traffic and descriptions until [`Self::finish`].
#[derive(Debug, Default)]
pub struct Learner {
    head: ModelHead,
    databases: Vec<DbcModel>,
    /// Finished captures by bus.
    captures: BTreeMap<BusId, Vec<BusTrack>>,
    current: BTreeMap<BusId, BusTrack>,
    pairs: BTreeMap<BusId, PairFinder>,
    protections: Protections,
    habits: BTreeMap<BusId, HabitLearner>,
    leaves_out_habits: bool,
    /// Sections of LIN and FlexRay, empty where there are none.
    schedules: (Vec<u8>, Vec<u8>),
    frames: u64,
    refused: u64,
}

impl Learner {
    /// Returns the number of frames learned from so far.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Creates a learner; platform and release of `head` go into the model, its counts are overwritten.
    #[must_use]
    pub fn new(head: ModelHead) -> Self {
        Self { head, ..Self::default() }
    }

    /// Leaves habits of payloads out, so that the vehicle learns them anew with every start.
    #[must_use]
    pub fn without_habits(self) -> Self {
        Self { leaves_out_habits: true, ..self }
    }

    /// Adds a network description. Its messages are known on every bus.
    pub fn add_database(&mut self, database: DbcModel) {
        self.databases.push(database);
    }

    /// Adds which frames a network description says are protected; traffic decides whether the model takes it. Call it
    /// before the first frame.
    pub fn add_protections(&mut self, frames: &[ProtectedFrame]) {
        self.protections.state(frames);
    }

    /// Adds one frame of the current capture.
    pub fn add(&mut self, timed: &TimedFrame) {
        if self.frames >= FRAMES_MAX {
            self.refused += 1;
            return;
        }
        self.frames += 1;
        let bus = self.current.entry(timed.bus).or_default();
        bus.add(timed);
        self.pairs.entry(timed.bus).or_default().add(timed);
        self.protections.add(timed);
        if !self.leaves_out_habits {
            self.habits.entry(timed.bus).or_insert_with(|| HabitLearner::new(timed.bus)).add(timed);
        }
    }

    /// Ends the current capture: what comes next is not measured against it.
    pub fn end_capture(&mut self) {
        for (bus, track) in std::mem::take(&mut self.current) {
            self.captures.entry(bus).or_default().push(track);
        }
        self.pairs.values_mut().for_each(PairFinder::end_capture);
        self.protections.end_capture();
        self.habits.values_mut().for_each(HabitLearner::end_capture);
    }

    /// Adds what descriptions say of LIN and FlexRay.
    pub fn add_schedules(&mut self, schedules: &ScheduleLearner) {
        self.schedules = schedules.sections();
    }

    /// Adds a whole capture.
    pub fn add_capture<'a>(&mut self, frames: impl IntoIterator<Item = &'a TimedFrame>) {
        frames.into_iter().for_each(|frame| self.add(frame));
        self.end_capture();
    }

    /// Builds the model.
    ///
    /// # Errors
    /// [`LearnError`]: no frames, too many, or facts that do not fit a model.
    pub fn finish(mut self) -> Result<Learned, LearnError> {
        self.end_capture();
        if self.refused > 0 {
            return Err(LearnError::TooManyFrames { limit: FRAMES_MAX });
        }
        let (lin, flexray) = &self.schedules;
        let shared: Vec<SectionDraft<'_>> =
            [(SectionKind::LIN_SCHEDULE, lin.as_slice()), (SectionKind::FLEXRAY_SLOTS, flexray.as_slice())]
                .into_iter()
                .filter(|(_, bytes)| !bytes.is_empty())
                .collect();
        if shared.is_empty() && self.captures.values().flatten().all(|track| track.ids.is_empty()) {
            return Err(LearnError::NoFrames);
        }
        let mut head = self.head;
        head.learned_frames = self.captures.values().flatten().map(|track| track.frames).sum();
        head.learned_ms = self
            .captures
            .values()
            .map(|tracks| tracks.iter().map(BusTrack::span_us).sum())
            .max()
            .unwrap_or(0)
            / 1000;
        let mut drafts = Vec::new();
        for (&bus, tracks) in &self.captures {
            drafts.push(self.draft(bus, tracks)?);
        }
        let sections: Vec<Vec<SectionDraft<'_>>> = drafts.iter().map(Draft::sections).collect();
        let buses: Vec<BusDraft<'_>> = drafts
            .iter()
            .zip(&sections)
            .map(|(draft, sections)| BusDraft {
                facts: draft.summary.facts,
                ids: &draft.ids,
                pairs: &draft.pairs,
                sections,
            })
            .collect();
        let draft = ModelDraft { head, buses: &buses, sections: &shared };
        let mut bytes = vec![0; model::encoded_bytes(&draft)];
        model::write(&draft, &mut bytes).map_err(LearnError::Write)?;
        Ok(Learned { model: bytes, head, buses: drafts.into_iter().map(|draft| draft.summary).collect() })
    }

    fn draft(&self, bus: BusId, tracks: &[BusTrack]) -> Result<Draft, LearnError> {
        let mut ids: BTreeMap<CanId, IdEntry> = BTreeMap::new();
        let seen: std::collections::BTreeSet<CanId> =
            tracks.iter().flat_map(|track| track.ids.keys().copied()).collect();
        for &id in &seen {
            ids.insert(id, timing::entry(id, tracks));
        }
        for message in self.databases.iter().flat_map(|database| &database.messages) {
            let listed = IdEntry { dlc_mask: 0, ..listed(message.id) };
            let entry = ids.entry(message.id).or_insert(listed);
            entry.flags.in_database = true;
            if let Some(dlc) = Dlc::from_fd_len(usize::from(message.bytes)) {
                entry.dlc_mask |= 1 << dlc.code();
                entry.flags.fd |= dlc.code() > 8;
            }
            if let Some(cycle) = message.cycle_ms
                && entry.class == CycleClass::Listed
            {
                let us = cycle.saturating_mul(1000);
                entry.class = CycleClass::Periodic;
                entry.gaps = GapFacts { min_us: us, p05_us: us, median_us: us, p95_us: us, max_us: us };
            }
        }
        if ids.len() > IDS_MAX {
            return Err(LearnError::TooManyIds { bus: bus.0, got: ids.len(), limit: IDS_MAX });
        }
        let speed = speed::choose(&self.databases, &seen);
        let mut pairs = self.pairs.get(&bus).map(PairFinder::pairs).unwrap_or_default();
        pairs.truncate(PAIRS_MAX);
        let facts = BusFacts {
            bus,
            captures: u16::try_from(tracks.len()).unwrap_or(u16::MAX),
            rate_hz: mean_rate(tracks),
            rate_max_hz: tracks.iter().map(BusTrack::rate_max_hz).max().unwrap_or(0),
            bit_rate: 0,
            speed: speed.as_ref().map(|(_, signal)| *signal),
        };
        let ids: Vec<IdEntry> = ids.into_values().collect();
        let mut classes = BTreeMap::new();
        ids.iter().for_each(|entry| *classes.entry(entry.class).or_default() += 1);
        let kept = self.protections.of(bus, |id| ids.binary_search_by_key(&id, |entry| entry.id).is_ok());
        // Of identifiers with payloads of several lengths, the detectors know only the latest.
        let alike = ids.iter().filter(|entry| entry.frames > 0 && entry.dlc_mask.is_power_of_two());
        let alike = alike.map(|entry| entry.id).collect();
        let habits = self.habits.get(&bus).filter(|habits| habits.is_enough());
        let habits = habits.map(|habits| habits.sections(&alike)).unwrap_or_default();
        let steady = ids.iter().filter(|entry| entry.flags.steady).count();
        let summary = BusSummary {
            facts,
            speed_signal: speed.map(|(name, _)| name),
            classes,
            steady: u32::try_from(steady).unwrap_or(u32::MAX),
            pairs: u32::try_from(pairs.len()).unwrap_or(u32::MAX),
            protected: kept.count,
            habits: habits.counts,
            problems: kept.problems,
        };
        Ok(Draft { summary, ids, pairs, protection: kept.section, habits })
    }
}

struct Draft {
    summary: BusSummary,
    ids: Vec<IdEntry>,
    pairs: Vec<DiagPair>,
    protection: Vec<u8>,
    habits: HabitSections,
}

impl Draft {
    /// Returns the sections that have something to say, ascending.
    fn sections(&self) -> Vec<SectionDraft<'_>> {
        let all = [
            (SectionKind::PAYLOAD, self.habits.payload.as_slice()),
            (SectionKind::TOGETHER, self.habits.together.as_slice()),
            (SectionKind::CALIBRATION, self.habits.calibration.as_slice()),
            (SectionKind::PROTECTION, self.protection.as_slice()),
        ];
        all.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect()
    }
}

/// Entry of an identifier of which nothing is known but its name.
fn listed(id: CanId) -> IdEntry {
    IdEntry {
        id,
        dlc_mask: 0,
        class: CycleClass::Listed,
        flags: IdFlags::default(),
        gaps: GapFacts::default(),
        ahead_max_q16: 0,
        frames: 0,
        captures: 0,
    }
}

fn mean_rate(tracks: &[BusTrack]) -> u32 {
    let frames: u64 = tracks.iter().map(|track| track.frames).sum();
    let span: u64 = tracks.iter().map(BusTrack::span_us).sum();
    u32::try_from(frames.saturating_mul(1_000_000).checked_div(span).unwrap_or(0)).unwrap_or(u32::MAX)
}

impl BusTrack {
    fn add(&mut self, timed: &TimedFrame) {
        let at = timed.at.0;
        self.first.get_or_insert(at);
        self.last = self.last.max(at);
        self.frames += 1;
        let index = at / WINDOW_US;
        self.window = if self.window.0 == index { (index, self.window.1 + 1) } else { (index, 1) };
        self.window_max = self.window_max.max(self.window.1);
        let Some(id) = timed.frame.id() else { return };
        let track = self.ids.entry(id).or_default();
        match timed.frame.kind() {
            FrameKind::Remote => track.remote = true,
            FrameKind::Fd => track.fd = true,
            FrameKind::Classic | FrameKind::Error => {}
        }
        track.dlc_mask |= 1 << timed.frame.dlc().code();
        track.times.push(at);
    }

    fn span_us(&self) -> u64 {
        self.last.saturating_sub(self.first.unwrap_or(self.last))
    }

    fn rate_max_hz(&self) -> u32 {
        self.window_max.saturating_mul(u32::try_from(1_000_000 / WINDOW_US).unwrap_or(1))
    }
}
