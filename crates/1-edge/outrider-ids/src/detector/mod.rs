//! All detectors of one bus.

mod busoff;
mod diag;
mod habits;
mod learning;
mod lengths;
pub mod limits;
mod load;
pub(crate) mod mode;
mod operating;
mod pace;
mod pool;
mod protected;
mod quorum;
mod sequence;
mod speed;
mod spoken;
mod stamps;
mod stored;
mod sweep;
mod table;
#[cfg(test)]
mod tests;
mod timing;
mod track;
mod unknown;
mod warmup;

use outrider_bus::can::{CanId, Frame, FrameKind};
use outrider_types::{BusId, EventTypeId, Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

pub use mode::{Granted, Mode};
pub use speed::SpeedReading;
pub use stored::HabitStats;
pub(crate) use sweep::Run;
pub(crate) use track::TRACKS_MAX;
pub use warmup::Basis;

use busoff::Errors;
use diag::Diagnosis;
use habits::Habits;
use lengths::Lengths;
use load::Load;
use mode::Operation;
use protected::Protected;
use quorum::Quorum;
use sequence::{Moment, Sequence};
use stamps::Stamps;
use table::Table;
use timing::{Hearing, Silence, Verdict, Weather};
use track::Tracks;
use unknown::Unknown;
use warmup::{Turn, WarmUp};

use crate::clock::{Clock, Stamp};
use crate::fold::{Fold, Strike};
use crate::judgement::{Detector, Judgement};
use crate::model::{BusModel, CycleClass, SpeedSignal};
use crate::observation::{Fields, Observation};

/// Counts of one bus since the detector was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BusStats {
    /// Frames taken.
    pub frames: u64,
    /// Data frames whose identifier the model has.
    pub known: u64,
    /// Data and remote frames whose identifier the model does not have.
    pub unknown: u64,
    /// Error frames.
    pub errors: u64,
    /// Steps back of the clock that restarted the detectors.
    pub clock_steps: u64,
    /// Observations lost because nobody fetched them, or because too many episodes were open.
    pub dropped: u64,
}

/// All detectors of one bus, about 255 KiB by value: put it into a `static` or a box.
///
/// Feed it every frame in the order of time with [`Self::receive`]; call [`Self::tick`] a few times a second so
/// that a bus that falls silent is noticed, and fetch what it has to say with [`Self::pop`].
#[derive(Debug, Clone)]
pub struct BusDetector {
    bus: BusId,
    warm_up: WarmUp,
    table: Table,
    tracks: Tracks,
    unknown: Unknown,
    lengths: Lengths,
    sequence: Sequence,
    diagnosis: Diagnosis,
    silence: Silence,
    stamps: Stamps,
    quorum: Quorum,
    habits: Habits,
    protected: Protected,
    fold: Fold,
    errors: Errors,
    load: Load,
    speed_signal: Option<SpeedSignal>,
    speed: Option<SpeedReading>,
    operation: Operation,
    granted: Option<(VehicleMicros, Granted)>,
    workshop: bool,
    /// Nothing is guarded: everything is to be learned.
    is_pupil: bool,
    clock: Clock,
    /// Before this time a flood distorts everybody's timing.
    distorted_until: VehicleMicros,
    stats: BusStats,
}

impl BusDetector {
    /// Creates the detectors of one bus from its model, O(identifiers). A model without identifiers is none.
    #[must_use]
    pub fn new(model: &BusModel<'_>) -> Self {
        let facts = model.facts();
        let mut detector = Self::untrained(facts.bus);
        let tracks = &mut detector.tracks;
        detector.table.load(model, || tracks.take());
        detector.protected.load(model, &mut detector.table);
        detector.load_habits(model);
        detector.load = Load::new(if facts.rate_max_hz == 0 { None } else { Some(facts.rate_max_hz) });
        detector.silence = Silence::new(detector.table.watched());
        detector.speed_signal = facts.speed;
        detector.warm_up = WarmUp::new(detector.table.len() > 0);
        detector
    }

    /// Creates the detectors of a bus of which nothing is known: they learn it from its own first seconds.
    #[must_use]
    pub const fn untrained(bus: BusId) -> Self {
        Self {
            bus,
            warm_up: WarmUp::new(false),
            table: Table::empty(),
            tracks: Tracks::empty(),
            unknown: Unknown::new(),
            lengths: Lengths::new(),
            sequence: Sequence::new(),
            diagnosis: Diagnosis::new(),
            silence: Silence::new(0),
            stamps: Stamps::new(),
            quorum: Quorum::new(),
            habits: Habits::new(),
            protected: Protected::new(),
            fold: Fold::new(bus),
            errors: Errors::new(),
            load: Load::new(None),
            speed_signal: None,
            speed: None,
            operation: Operation::new(),
            granted: None,
            workshop: false,
            is_pupil: false,
            clock: Clock::new(),
            distorted_until: VehicleMicros(0),
            stats: BusStats { frames: 0, known: 0, unknown: 0, errors: 0, clock_steps: 0, dropped: 0 },
        }
    }

    /// Returns by what the bus is judged now.
    #[must_use]
    pub const fn basis(&self) -> Basis {
        self.warm_up.basis
    }

    /// Returns the bus.
    #[must_use]
    pub const fn bus(&self) -> BusId {
        self.bus
    }

    /// Gives fresh detectors another bus; without effect after the first frame.
    pub const fn name(&mut self, bus: BusId) {
        if self.stats.frames == 0 {
            self.bus = bus;
            self.fold = Fold::new(bus);
        }
    }

    /// Returns the counts.
    #[must_use]
    pub const fn stats(&self) -> BusStats {
        let mut stats = self.stats;
        stats.dropped = self.fold.dropped;
        stats
    }

    /// Returns whether the model of this bus has an identifier; never true for a bus that is not judged by its model.
    #[must_use]
    #[inline]
    pub fn owns(&self, id: CanId) -> bool {
        self.warm_up.basis == Basis::Model && self.table.find(id).is_some()
    }

    /// Takes note that a frame of this bus has an identifier that belongs to bus `home` and not to this one: the
    /// gateway between them let it through, or somebody went around it. Low at first, high when it repeats.
    pub fn segment_violation(&mut self, at: VehicleMicros, id: CanId, home: BusId) {
        if self.warm_up.basis == Basis::Model {
            spoken::segment(at, id, self.bus, home, &mut self.fold);
        }
    }

    /// Returns the latest speed read from this bus or told by [`Self::observe_speed`].
    #[must_use]
    pub const fn speed(&self) -> Option<SpeedReading> {
        self.speed
    }

    /// Tells the speed that another bus or sensor has.
    pub const fn observe_speed(&mut self, reading: SpeedReading) {
        self.speed = Some(reading);
    }

    /// Takes one frame and judges it; bounded work, no allocation.
    pub fn receive(&mut self, at: VehicleMicros, frame: &Frame) -> Judgement {
        let at = self.advance(at);
        self.wake(at);
        self.stats.frames = self.stats.frames.saturating_add(1);
        let Some(id) = frame.id() else {
            self.stats.errors = self.stats.errors.saturating_add(1);
            self.errors.receive(at, frame, &mut self.fold);
            return Judgement::ORDINARY;
        };
        let (verdict, judgement) = if let Some(index) = self.table.find(id) {
            self.stats.known = self.stats.known.saturating_add(1);
            self.known(at, index, id, frame)
        } else {
            self.stats.unknown = self.stats.unknown.saturating_add(1);
            self.stranger(at, id, frame)
        };
        match self.warm_up.frame(at) {
            Turn::Same => {}
            Turn::Matched => self.silence.watch(self.table.watched()),
            Turn::Foreign(known, strange) => self.forget_model(at, known, strange),
            Turn::Complete => self.warm_up_complete(at),
        }
        // Frames of an attack that has a name do not count for the load: one attack, one event.
        let full = verdict == Verdict::Ordinary
            && !self.stamps.is_backlog(at)
            && self.load.add(at, self.warm_up.widens(at));
        if full {
            self.fold.strike(at, unknown::flood_strike(None, self.load.limit_hz));
        }
        if full || verdict == Verdict::Flood {
            self.distorted_until = at.saturating_add(limits::AFTER_FLOOD_US);
        }
        let has_errors = self.errors.may_explain(at);
        let hearing = Hearing { stamps: &self.stamps, distorted_until: self.distorted_until, has_errors };
        self.silence.step(at, &hearing, &mut self.table, &mut self.fold);
        self.fold.sweep_one(at);
        self.settle(at);
        self.habits.calibration.advance(at, !self.fold.is_alarmed());
        if full { Judgement::by(Detector::Flood) } else { judgement }
    }

    /// Lets time pass without a frame; O(identifiers). A few times a second is enough.
    pub fn tick(&mut self, now: VehicleMicros) {
        if self.clock.is_past(now) {
            return;
        }
        let has_errors = self.errors.may_explain(now);
        let hearing = Hearing { stamps: &self.stamps, distorted_until: self.distorted_until, has_errors };
        self.sequence.tick(now);
        self.errors.look(now, &hearing, &mut self.silence, &mut self.table, &mut self.fold);
        self.silence.check_all(now, &hearing, &mut self.table, &mut self.fold);
        self.fold.sweep(now);
        self.diagnosis.tick(now);
        self.habits.tick(now, !self.fold.is_alarmed(), &mut self.tracks);
        self.settle(now);
        self.operate(now);
    }

    /// Ends every open episode, as at the end of a capture.
    pub fn finish(&mut self) {
        let now = self.clock.now();
        self.tick(now);
        self.diagnosis.finish(&mut self.fold);
        self.fold.finish(now);
    }

    /// Takes the oldest observation not yet fetched.
    #[inline]
    pub fn pop(&mut self) -> Option<Observation> {
        self.fold.pop()
    }

    /// Returns the time to use for a frame: small steps back are held, large ones restart the detectors.
    #[inline]
    fn advance(&mut self, at: VehicleMicros) -> VehicleMicros {
        let stamp = self.clock.stamp(at);
        match stamp {
            Stamp::First(at) => self.stamps.restart(at),
            Stamp::On(at) => self.stamps.frame(at),
            Stamp::Held(_) => {}
            Stamp::Back { from, at } => {
                self.stats.clock_steps = self.stats.clock_steps.saturating_add(1);
                self.start_over(from, at);
            }
        }
        stamp.at()
    }

    /// Starts over at another time; what was learned stays.
    fn start_over(&mut self, last: VehicleMicros, at: VehicleMicros) {
        self.fold.finish(last);
        self.table.restart();
        self.silence.restart();
        self.stamps.restart(at);
        self.unknown = Unknown::new();
        self.load.meter.clear();
        self.operation.restart(at);
        self.habits.restart(at);
        self.distorted_until = at.saturating_add(limits::AFTER_FLOOD_US);
    }

    /// Takes a frame whose identifier is known.
    #[inline]
    fn known(&mut self, at: VehicleMicros, index: usize, id: CanId, frame: &Frame) -> (Verdict, Judgement) {
        self.errors.follow(at, index, id, &mut self.fold);
        let teaches = self.teaches_timing();
        let Some(slot) = self.table.slot_mut(index) else { return (Verdict::Ordinary, Judgement::ORDINARY) };
        if slot.last.is_none() {
            self.warm_up.first_of(at, true);
        }
        if slot.last.is_none_or(|last| last < self.operation.woke()) {
            self.operation.returned(at);
        }
        let weather = if self.stamps.is_backlog(at) {
            Weather::Backlog
        } else if at < self.distorted_until {
            Weather::AfterFlood
        } else {
            Weather::Calm
        };
        let (class, diagnostic, track) = (slot.class, slot.diagnostic, slot.track);
        // A tester that began while the bus was learned comes regularly too, but was not there all along.
        let came_later = slot.learned && slot.silence_us == 0;
        let timed = timing::frame(at, slot, weather, &mut self.silence, &mut self.fold);
        let mut judgement = judge(timed.verdict);
        let dlc_bit = 1u16.checked_shl(frame.dlc().code().into()).unwrap_or(0);
        let wrong_length = slot.dlc_mask != 0 && slot.dlc_mask & dlc_bit == 0;
        let (expected, sure) = (slot.dlc_mask, slot.seen_often);
        let learning = self.warm_up.learns() && !self.fold.is_alarmed() && teaches;
        match frame.kind() {
            FrameKind::Remote if !slot.remote => spoken::remote(at, id, &mut self.fold),
            FrameKind::Classic | FrameKind::Fd if learning && !slot.seen_often => {
                slot.dlc_mask |= dlc_bit;
                slot.fd |= frame.kind() == FrameKind::Fd;
            }
            FrameKind::Fd if !slot.fd => {
                judgement = spoken::wrong_dlc(at, id, expected, frame, sure, &mut self.fold);
            }
            FrameKind::Classic | FrameKind::Fd if wrong_length => {
                judgement = spoken::wrong_dlc(at, id, expected, frame, sure, &mut self.fold);
                if sure && self.lengths.wrong(at, index, &mut self.fold) {
                    judgement = judgement.or(Detector::Length);
                }
            }
            FrameKind::Classic | FrameKind::Fd | FrameKind::Remote | FrameKind::Error => {}
        }
        let moment = Moment {
            at,
            age_us: self.warm_up.age_us(at),
            calm: weather == Weather::Calm && timed.verdict == Verdict::Ordinary && !self.fold.is_alarmed(),
        };
        self.sequence.receive(moment, track, id, &mut self.fold);
        if self.warm_up.learns() && teaches {
            self.learn(at, index, &timed);
        }
        if let Some(detector) = self.protection(at, index, frame, &timed) {
            judgement = judgement.or(detector);
        }
        if let Some(detector) = self.payload(at, index, frame, &timed) {
            judgement = judgement.or(detector);
        }
        if let Some(signal) = self.speed_signal.as_ref().filter(|signal| signal.id == id)
            && let Some(kmh) = speed::read(signal, frame.data())
        {
            self.speed = Some(SpeedReading { at, kmh });
        }
        if diagnostic || diag::is_conventional(id) {
            let free = match class {
                CycleClass::Listed | CycleClass::Event => true,
                CycleClass::Periodic | CycleClass::Mixed => {
                    came_later || diag::is_security_single(frame.data())
                }
            };
            if diagnostic || free {
                let situation = self.situation(at);
                self.diagnosis.receive(at, self.bus, id, frame, situation, &mut self.fold);
                self.note_pair();
                self.note_granted(at, id);
            }
        }
        (timed.verdict, judgement)
    }

    /// Takes a frame whose identifier is not in the table.
    fn stranger(&mut self, at: VehicleMicros, id: CanId, frame: &Frame) -> (Verdict, Judgement) {
        let situation = self.situation(at);
        let Self { bus, diagnosis, fold, .. } = self;
        let diagnostic = diagnosis.receive(at, *bus, id, frame, situation, fold);
        self.note_pair();
        if diagnostic {
            self.note_granted(at, id);
        }
        if self.is_pupil && !diagnostic {
            self.adopt(at, id, frame);
            return (Verdict::Ordinary, Judgement::ORDINARY);
        }
        let Self { unknown, warm_up, fold, .. } = self;
        match warm_up.basis {
            Basis::Matching => {
                if unknown.note(at, id) {
                    warm_up.first_of(at, false);
                }
                return (Verdict::Ordinary, Judgement::ORDINARY);
            }
            Basis::WarmUp if !fold.is_alarmed() && !unknown.is_scan(at) => {
                warm_up.first_of(at, false);
                self.adopt(at, id, frame);
                return (Verdict::Ordinary, Judgement::ORDINARY);
            }
            Basis::WarmUp | Basis::Model | Basis::Learned => {}
        }
        let quiet = !self.fold.is_open(event::CAN_UNKNOWN_ID, None) && !self.fold.is_alarmed();
        if self.warm_up.learns() && quiet && self.unknown.has_settled(at, id) {
            self.adopt(at, id, frame);
            return (Verdict::Ordinary, Judgement::ORDINARY);
        }
        let verdict = self.unknown.receive(at, id, frame, diagnostic, &mut self.fold);
        let judgement = match verdict {
            Verdict::Ordinary => Judgement::ORDINARY,
            Verdict::Struck => Judgement::by(Detector::UnknownId),
            Verdict::Flood => Judgement::by(Detector::Flood),
        };
        (verdict, judgement)
    }

    /// Sets a model aside that is of another bus, says so once, and begins to learn.
    fn forget_model(&mut self, at: VehicleMicros, known: u32, strange: u32) {
        let fields = Fields::new()
            .text(field::DETECTOR, "model_match")
            .int(field::KNOWN_IDS, known.into())
            .int(field::UNKNOWN_IDS, strange.into());
        self.say(at, event::CAN_MODEL_MISMATCH, Severity::Low, fields);
        self.table.clear();
        self.tracks.clear();
        self.habits.clear();
        self.protected.clear();
        self.unknown = Unknown::new();
        self.sequence = Sequence::new();
        self.silence.watch(0);
        self.silence.restart();
        self.load = Load::new(None);
        self.speed_signal = None;
        self.warm_up.begin();
    }

    fn warm_up_complete(&mut self, at: VehicleMicros) {
        let fields = Fields::new()
            .int(field::KNOWN_IDS, u64::try_from(self.table.len()).unwrap_or(u64::MAX))
            .int(field::DURATION_US, self.warm_up.age_us(at))
            .int(field::FRAMES, self.stats.frames);
        self.say(at, event::CAN_WARM_UP_COMPLETE, Severity::Info, fields);
    }

    fn say(&mut self, at: VehicleMicros, event_type: EventTypeId, severity: Severity, fields: Fields) {
        self.fold.strike(at, Strike { event_type, can_id: None, severity, fields });
    }
}

const fn judge(verdict: Verdict) -> Judgement {
    match verdict {
        Verdict::Ordinary => Judgement::ORDINARY,
        Verdict::Struck => Judgement::by(Detector::Timing),
        Verdict::Flood => Judgement::by(Detector::Flood),
    }
}
