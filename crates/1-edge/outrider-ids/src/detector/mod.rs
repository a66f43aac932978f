//! All detectors of one bus.

mod diag;
pub mod limits;
mod speed;
mod table;
#[cfg(test)]
mod tests;
mod timing;
mod unknown;

use outrider_bus::can::{CanId, ErrorClass, Frame, FrameKind};
use outrider_types::{BusId, Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

pub use speed::SpeedReading;

use diag::Diagnosis;
use table::Table;
use timing::{Silence, Verdict};
use unknown::Unknown;

use crate::fold::{Fold, Strike};
use crate::meter::{Leak, TimedMeter};
use crate::model::{BusModel, CycleClass, SpeedSignal};
use crate::observation::{Fields, Observation};
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

/// All detectors of one bus, about 200 KiB by value: put it into a `static` or a box.
///
/// Feed it every frame in the order of time with [`Self::receive`]; call [`Self::tick`] a few times a second so
/// that a bus that falls silent is noticed, and fetch what it has to say with [`Self::pop`].
#[derive(Debug, Clone)]
pub struct BusDetector {
    bus: BusId,
    table: Table,
    unknown: Unknown,
    diagnosis: Diagnosis,
    silence: Silence,
    fold: Fold,
    errors: TimedMeter,
    load: TimedMeter,
    load_leak: Leak,
    load_limit_hz: u32,
    speed_signal: Option<SpeedSignal>,
    speed: Option<SpeedReading>,
    workshop: bool,
    now: Option<VehicleMicros>,
    /// Before this time a flood distorts everybody's timing.
    distorted_until: VehicleMicros,
    stats: BusStats,
}

impl BusDetector {
    /// Creates the detectors of one bus from its model, O(identifiers).
    #[must_use]
    pub fn new(model: &BusModel<'_>) -> Self {
        let facts = model.facts();
        let mut table = Table::empty();
        table.load(model);
        let rate = if facts.rate_max_hz == 0 { limits::BUS_RATE_UNKNOWN_HZ } else { facts.rate_max_hz };
        let load_limit_hz = rate.saturating_mul(limits::BUS_FLOOD_PERCENT) / 100;
        let silence = Silence::new(table.watched());
        Self {
            bus: facts.bus,
            table,
            unknown: Unknown::new(),
            diagnosis: Diagnosis::new(),
            silence,
            fold: Fold::new(facts.bus),
            errors: TimedMeter::EMPTY,
            load: TimedMeter::EMPTY,
            load_leak: Leak::per_seconds(load_limit_hz, 1),
            load_limit_hz,
            speed_signal: facts.speed,
            speed: None,
            workshop: false,
            now: None,
            distorted_until: VehicleMicros(0),
            stats: BusStats::default(),
        }
    }

    /// Returns the bus.
    #[must_use]
    pub const fn bus(&self) -> BusId {
        self.bus
    }

    /// Returns the counts.
    #[must_use]
    pub const fn stats(&self) -> BusStats {
        let mut stats = self.stats;
        stats.dropped = self.fold.dropped;
        stats
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
        Situation { speed: self.speed, workshop: self.workshop }
    }

    /// Takes one frame; bounded work, no allocation.
    pub fn receive(&mut self, at: VehicleMicros, frame: &Frame) {
        let at = self.advance(at);
        self.stats.frames = self.stats.frames.saturating_add(1);
        let Some(id) = frame.id() else {
            self.error_frame(at, frame);
            return;
        };
        let verdict = if let Some(index) = self.table.find(id) {
            self.stats.known = self.stats.known.saturating_add(1);
            self.known(at, index, id, frame)
        } else {
            self.stats.unknown = self.stats.unknown.saturating_add(1);
            let diagnostic =
                self.diagnosis.receive(at, self.bus, id, frame, self.situation(), &mut self.fold);
            self.unknown.receive(at, id, frame, diagnostic, &mut self.fold)
        };
        // Frames of an attack that has a name do not count for the load: one attack, one event.
        let full =
            verdict == Verdict::Ordinary && self.load.add(at, self.load_leak, limits::BUS_FLOOD_FRAMES);
        if full {
            self.bus_flood(at);
        }
        if full || verdict == Verdict::Flood {
            self.distorted_until = at.saturating_add(limits::AFTER_FLOOD_US);
        }
        self.silence.step(at, self.distorted_until, &mut self.table, &mut self.fold);
        self.fold.sweep_one(at);
        self.diagnosis.settle(at, &mut self.fold);
    }

    /// Lets time pass without a frame; O(identifiers). A few times a second is enough.
    pub fn tick(&mut self, now: VehicleMicros) {
        if self.now.is_some_and(|last| last > now) {
            return;
        }
        self.silence.check_all(now, self.distorted_until, &mut self.table, &mut self.fold);
        self.fold.sweep(now);
        self.diagnosis.tick(now);
        self.diagnosis.settle(now, &mut self.fold);
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
                self.load.clear();
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
    fn known(&mut self, at: VehicleMicros, index: usize, id: CanId, frame: &Frame) -> Verdict {
        let Some(slot) = self.table.slot_mut(index) else { return Verdict::Ordinary };
        let calm = at >= self.distorted_until;
        let (class, diagnostic) = (slot.class, slot.diagnostic);
        let verdict = timing::frame(at, slot, calm, &mut self.silence, &mut self.fold);
        let dlc_bit = 1u16.checked_shl(frame.dlc().code().into()).unwrap_or(0);
        let wrong_length = slot.dlc_mask != 0 && slot.dlc_mask & dlc_bit == 0;
        match frame.kind() {
            FrameKind::Remote if !slot.remote => remote(at, id, &mut self.fold),
            FrameKind::Fd if !slot.fd => {
                let expected = slot.dlc_mask;
                let sure = slot.seen_often;
                wrong_dlc(at, id, expected, frame, sure, &mut self.fold);
            }
            FrameKind::Classic | FrameKind::Fd if wrong_length => {
                let expected = slot.dlc_mask;
                let sure = slot.seen_often;
                wrong_dlc(at, id, expected, frame, sure, &mut self.fold);
            }
            FrameKind::Classic | FrameKind::Fd | FrameKind::Remote | FrameKind::Error => {}
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
        verdict
    }

    fn bus_flood(&mut self, at: VehicleMicros) {
        self.fold.strike(at, unknown::flood_strike(None, self.load_limit_hz));
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

fn remote(at: VehicleMicros, id: CanId, fold: &mut Fold) {
    let fields = Fields::new().int(field::CAN_ID, id.value().into());
    let strike =
        Strike { event_type: event::CAN_REMOTE_FRAME, can_id: Some(id), severity: Severity::Low, fields };
    fold.strike(at, strike);
}

/// Strikes for a frame of a wrong length or kind: low at first, medium when it repeats and training is sure.
fn wrong_dlc(at: VehicleMicros, id: CanId, mask: u16, frame: &Frame, sure: bool, fold: &mut Fold) {
    let repeated = fold.count(event::CAN_WRONG_DLC, Some(id)).saturating_add(1) >= limits::DLC_FRAMES;
    let severity = if repeated && sure { Severity::Medium } else { Severity::Low };
    let fields = Fields::new()
        .text(field::DETECTOR, "dlc")
        .int(field::CAN_ID, id.value().into())
        .int(field::DLC_EXPECTED, mask.trailing_zeros().into())
        .int(field::DLC_OBSERVED, frame.dlc().code().into());
    fold.strike(at, Strike { event_type: event::CAN_WRONG_DLC, can_id: Some(id), severity, fields });
}
