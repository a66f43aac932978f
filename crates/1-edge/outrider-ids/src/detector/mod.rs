//! All detectors of one bus.

mod diag;
pub mod limits;
mod load;
mod pace;
mod quorum;
mod speed;
mod spoken;
mod table;
#[cfg(test)]
mod tests;
mod timing;
mod track;
mod unknown;
mod warmup;

use outrider_bus::can::{CanId, ErrorClass, Frame, FrameKind};
use outrider_types::{BusId, EventTypeId, Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

pub use speed::SpeedReading;
pub use warmup::Basis;

use diag::Diagnosis;
use load::Load;
use quorum::Quorum;
use table::{NONE, Table, Trust};
use timing::{Silence, Timed, Verdict};
use track::Tracks;
use unknown::Unknown;
use warmup::{Turn, WarmUp};

use crate::fold::{Fold, Strike};
use crate::judgement::{Detector, Judgement};
use crate::meter::{Leak, TimedMeter};
use crate::model::{BusModel, CycleClass, SpeedSignal};
use crate::observation::{Fields, Observation};
use crate::payload::Context;
use crate::policy::Situation;

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
    diagnosis: Diagnosis,
    silence: Silence,
    quorum: Quorum,
    fold: Fold,
    errors: TimedMeter,
    load: Load,
    speed_signal: Option<SpeedSignal>,
    speed: Option<SpeedReading>,
    workshop: bool,
    now: Option<VehicleMicros>,
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
            diagnosis: Diagnosis::new(),
            silence: Silence::new(0),
            quorum: Quorum::new(),
            fold: Fold::new(bus),
            errors: TimedMeter::EMPTY,
            load: Load::new(None),
            speed_signal: None,
            speed: None,
            workshop: false,
            now: None,
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

    /// Tells whether a workshop is at work; what it may change is then no event.
    pub const fn set_workshop(&mut self, workshop: bool) {
        self.workshop = workshop;
    }

    const fn situation(&self) -> Situation {
        Situation { speed: self.speed, expects_speed: self.speed_signal.is_some(), workshop: self.workshop }
    }

    /// Takes one frame and judges it; bounded work, no allocation.
    pub fn receive(&mut self, at: VehicleMicros, frame: &Frame) -> Judgement {
        let at = self.advance(at);
        self.stats.frames = self.stats.frames.saturating_add(1);
        let Some(id) = frame.id() else {
            self.error_frame(at, frame);
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
        let full = verdict == Verdict::Ordinary && self.load.add(at, self.warm_up.widens(at));
        if full {
            self.fold.strike(at, unknown::flood_strike(None, self.load.limit_hz));
        }
        if full || verdict == Verdict::Flood {
            self.distorted_until = at.saturating_add(limits::AFTER_FLOOD_US);
        }
        self.silence.step(at, self.distorted_until, &mut self.table, &mut self.fold);
        self.fold.sweep_one(at);
        self.settle(at);
        if full { Judgement::by(Detector::Flood) } else { judgement }
    }

    /// Lets time pass without a frame; O(identifiers). A few times a second is enough.
    pub fn tick(&mut self, now: VehicleMicros) {
        if self.now.is_some_and(|last| last > now) {
            return;
        }
        self.silence.check_all(now, self.distorted_until, &mut self.table, &mut self.fold);
        self.fold.sweep(now);
        self.diagnosis.tick(now);
        self.tracks.settle(now.0);
        self.settle(now);
    }

    /// Ends every open episode, as at the end of a capture.
    pub fn finish(&mut self) {
        let now = self.now.unwrap_or_default();
        self.tick(now);
        self.diagnosis.finish(&mut self.fold);
        self.fold.finish(now);
    }

    /// Takes the oldest observation not yet fetched.
    pub fn pop(&mut self) -> Option<Observation> {
        self.fold.pop()
    }

    /// Returns the time to use for a frame: small steps back are held, large ones restart the detectors.
    #[inline]
    fn advance(&mut self, at: VehicleMicros) -> VehicleMicros {
        let at = match self.now {
            Some(last) if at < last && last.micros_since(at) > limits::CLOCK_STEP_US => {
                self.stats.clock_steps = self.stats.clock_steps.saturating_add(1);
                self.fold.finish(last);
                self.table.restart();
                self.silence.restart(at);
                self.unknown = Unknown::new();
                self.load.meter.clear();
                self.distorted_until = at.saturating_add(limits::AFTER_FLOOD_US);
                at
            }
            Some(last) if at < last => last,
            Some(last) => {
                self.silence.bus_frame(last, at);
                at
            }
            None => {
                self.silence.restart(at);
                at
            }
        };
        self.now = Some(at);
        at
    }

    /// Takes a frame whose identifier is known.
    #[inline]
    fn known(&mut self, at: VehicleMicros, index: usize, id: CanId, frame: &Frame) -> (Verdict, Judgement) {
        let Some(slot) = self.table.slot_mut(index) else { return (Verdict::Ordinary, Judgement::ORDINARY) };
        if slot.last.is_none() {
            self.warm_up.first_of(at, true);
        }
        let calm = at >= self.distorted_until;
        let (class, diagnostic) = (slot.class, slot.diagnostic);
        let timed = timing::frame(at, slot, calm, &mut self.silence, &mut self.fold);
        let mut judgement = judge(timed.verdict);
        let dlc_bit = 1u16.checked_shl(frame.dlc().code().into()).unwrap_or(0);
        let wrong_length = slot.dlc_mask != 0 && slot.dlc_mask & dlc_bit == 0;
        let (expected, sure) = (slot.dlc_mask, slot.seen_often);
        let learning = self.warm_up.learns() && !self.fold.is_alarmed();
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
            }
            FrameKind::Classic | FrameKind::Fd | FrameKind::Remote | FrameKind::Error => {}
        }
        if self.warm_up.learns() {
            self.learn(at, index, &timed);
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
                CycleClass::Periodic | CycleClass::Mixed => diag::is_security_single(frame.data()),
            };
            if diagnostic || free {
                self.diagnosis.receive(at, self.bus, id, frame, self.situation(), &mut self.fold);
            }
        }
        (timed.verdict, judgement)
    }

    /// Learns the timing of an identifier of a bus without a model.
    #[inline]
    fn learn(&mut self, at: VehicleMicros, index: usize, timed: &Timed) {
        let Some(slot) = self.table.slot_mut(index) else { return };
        if slot.trust == Trust::Known && !self.warm_up.widens(at) {
            return;
        }
        let Some(track) = self.tracks.get_mut(slot.track) else { return };
        if timed.verdict != Verdict::Ordinary || self.fold.is_alarmed() {
            track.pace.reject();
            return;
        }
        // A gap over a silence of the whole bus says nothing about the identifier.
        let Some(gap_us) = timed.gap_us.filter(|&gap| at.micros_since(self.silence.since()) >= gap) else {
            return;
        };
        if let Some(pace) = track.pace.add(gap_us, timed.ahead_q16) {
            let was = slot.silence_us > 0;
            slot.set_pace(&pace);
            if was != (slot.silence_us > 0) {
                self.silence.watch_one(!was);
            }
        }
        if slot.trust == Trust::Learning
            && track.pace.gaps() >= limits::LEARNED_GAPS
            && self.warm_up.age_us(at) >= limits::WARM_UP_MIN_US
        {
            slot.trust = Trust::Known;
            slot.seen_often = true;
        }
    }

    /// Holds the payload against what is usual for the identifier; returns the detector that flags the frame.
    #[inline]
    fn payload(&mut self, at: VehicleMicros, index: usize, frame: &Frame, timed: &Timed) -> Option<Detector> {
        let Self { table, tracks, fold, quorum, warm_up, .. } = self;
        let slot = table.slot_mut(index)?;
        if frame.kind() == FrameKind::Remote {
            return None;
        }
        let track = tracks.get_mut(slot.track)?;
        let cycle = u64::from(slot.cycle_us);
        let (least, most) = limits::FOLLOWS_EIGHTHS;
        let on_time = |gap: u64| {
            (cycle.saturating_mul(least)..=cycle.saturating_mul(most)).contains(&gap.saturating_mul(8))
        };
        let follows = timed.gap_us.is_some_and(|gap| cycle == 0 || on_time(gap));
        let learns = !fold.is_alarmed() && timed.verdict == Verdict::Ordinary;
        let judges = warm_up.age_us(at) >= limits::HABIT_US;
        let finding = track.payload.receive(at.0, frame.data(), Context { follows, learns, judges })?;
        if finding.alarm {
            let (strike, wait_us) = spoken::payload(slot.id, &finding);
            if fold.is_open(strike.event_type, strike.can_id) {
                fold.strike(at, strike);
            } else {
                quorum.suspect(at, slot.track, strike, wait_us);
            }
        }
        finding.flagged.then_some(finding.detector)
    }

    /// Says the suspicions that have waited, and forgives those that many shared.
    #[inline]
    fn settle(&mut self, now: VehicleMicros) {
        self.diagnosis.settle(now, &mut self.fold);
        if let Some(settled) = self.quorum.settle(now, &mut self.fold)
            && settled.forgiven
            && let Some(track) = self.tracks.get_mut(settled.track)
        {
            track.payload.forgive();
        }
    }

    /// Takes a frame whose identifier is not in the table.
    fn stranger(&mut self, at: VehicleMicros, id: CanId, frame: &Frame) -> (Verdict, Judgement) {
        let situation = self.situation();
        let Self { bus, diagnosis, fold, unknown, warm_up, .. } = self;
        let diagnostic = diagnosis.receive(at, *bus, id, frame, situation, fold);
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

    /// Takes an identifier into the table; its own frames will say what is normal for it.
    fn adopt(&mut self, at: VehicleMicros, id: CanId, frame: &Frame) {
        let track = self.tracks.take().unwrap_or(NONE);
        let Some(slot) = self.table.learn(id, track).and_then(|index| self.table.slot_mut(index)) else {
            return;
        };
        slot.last = Some(at);
        slot.streak = 1;
        slot.dlc_mask = 1u16.checked_shl(frame.dlc().code().into()).unwrap_or(0);
        slot.fd = frame.kind() == FrameKind::Fd;
        slot.remote = frame.kind() == FrameKind::Remote;
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
        self.unknown = Unknown::new();
        self.silence.watch(0);
        self.silence.restart(at);
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

    fn error_frame(&mut self, at: VehicleMicros, frame: &Frame) {
        self.stats.errors = self.stats.errors.saturating_add(1);
        if frame.error_class().is_some_and(|class| class.contains(ErrorClass::BUS_OFF)) {
            let fields = Fields::new();
            let strike =
                Strike { event_type: event::CAN_BUS_OFF, can_id: None, severity: Severity::High, fields };
            self.fold.strike(at, strike);
        }
        if self.errors.add(at, Leak::per_seconds(limits::ERROR_HZ, 1), limits::ERROR_FRAMES) {
            let fields = Fields::new().int(field::RATE_LIMIT_HZ, limits::ERROR_HZ.into());
            let strike = Strike {
                event_type: event::CAN_ERROR_BURST,
                can_id: None,
                severity: Severity::Medium,
                fields,
            };
            self.fold.strike(at, strike);
        }
    }
}

const fn judge(verdict: Verdict) -> Judgement {
    match verdict {
        Verdict::Ordinary => Judgement::ORDINARY,
        Verdict::Struck => Judgement::by(Detector::Timing),
        Verdict::Flood => Judgement::by(Detector::Flood),
    }
}
