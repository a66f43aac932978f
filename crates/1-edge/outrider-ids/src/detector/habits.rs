//! Payloads of known identifiers, and what all of them share.

use outrider_bus::can::{CanId, Frame, FrameKind};
use outrider_types::VehicleMicros;
use outrider_wire::catalogue::event;

use super::mode::Mode;
use super::timing::{Timed, Verdict};
use super::track::Tracks;
use super::{BusDetector, limits, spoken};
use crate::calibrate::Calibration;
use crate::judgement::Detector;
use crate::model::habits::{LineHabit, NumberHabit};
use crate::payload::{Context, Histories};
use crate::signals::Signals;

/// What the payloads of a bus share.
#[derive(Debug, Clone)]
pub(super) struct Habits {
    pub(super) calibration: Calibration,
    histories: Histories,
    signals: Signals,
    /// Records of the model that are about nothing here.
    pub(super) left_out: u32,
}

impl Habits {
    pub(super) const fn new() -> Self {
        Self {
            calibration: Calibration::new(),
            histories: Histories::new(),
            signals: Signals::new(),
            left_out: 0,
        }
    }

    /// Numbers that are compared with each other.
    pub(super) const fn signals(&mut self) -> &mut Signals {
        &mut self.signals
    }

    /// Returns a number for a model.
    pub(super) fn stored_number(&self, name: u8, id: CanId, field: u8) -> Option<NumberHabit> {
        self.signals.stored(name, id, field)
    }

    /// Returns the lines between numbers for a model.
    pub(super) fn stored_lines(&self) -> impl Iterator<Item = LineHabit> + '_ {
        self.signals.stored_lines()
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.calibration = Calibration::new();
        self.histories.clear();
        self.signals.clear();
    }

    /// Starts over after the clock was set back; what was learned stays.
    pub(super) const fn restart(&mut self, at: VehicleMicros) {
        self.calibration.restart(at);
        self.signals.restart(at);
    }

    /// Does what no frame waits for; `clean` says that nothing suspicious is open.
    pub(super) fn tick(&mut self, now: VehicleMicros, clean: bool, tracks: &mut Tracks) {
        tracks.settle(now.0, &mut self.histories, &mut self.signals);
        tracks.enroll(&mut self.signals);
        self.signals.tick(now, clean);
    }
}

impl BusDetector {
    /// Holds the payload against what is usual for the identifier; returns the detector that flags the frame.
    #[inline]
    pub(super) fn payload(
        &mut self,
        at: VehicleMicros,
        index: usize,
        frame: &Frame,
        timed: &Timed,
    ) -> Option<Detector> {
        let Self { table, tracks, fold, quorum, habits, operation, .. } = self;
        let Habits { calibration, histories, signals, .. } = habits;
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
        let learns = !fold.is_alarmed() && timed.verdict == Verdict::Ordinary && operation.teaches();
        let (mut novel, mut started) = (false, false);
        let (news, withdrawn) = (&mut novel, &mut started);
        let context = Context { follows, learns, calibration, novel: news, withdrawn, histories, signals };
        // Whoever was away begins anew, perhaps with initial values.
        let was_away = cycle > 0
            && timed
                .gap_us
                .is_some_and(|gap| gap >= limits::AWAY_US.max(cycle.saturating_mul(limits::AWAY_CYCLES)));
        let finding = if operation.mode() == Mode::StartUp || was_away {
            track.payload.pass(frame.data())
        } else {
            track.payload.receive(at.0, frame.data(), context)
        };
        if novel {
            quorum.note(at, slot.track);
        }
        if started {
            quorum.withdraw(slot.track, event::CAN_PAYLOAD_ANOMALY);
        }
        let finding = finding?;
        if finding.alarm {
            let (strike, wait_us) = spoken::payload(slot.id, &finding);
            // Of a jump, the next frame has a say.
            let is_jump = finding.detector == Detector::Payload;
            if fold.is_open(strike.event_type, strike.can_id) && !is_jump {
                fold.strike(at, strike);
            } else {
                let frame_us = if is_jump { cycle.saturating_add(cycle / 4) } else { 0 };
                quorum.suspect(at, slot.track, strike, wait_us.max(frame_us.min(limits::WAIT_FRAME_US)));
            }
        }
        finding.flagged.then_some(finding.detector)
    }

    /// Says the suspicions that have waited, and forgives those that many shared.
    #[inline]
    pub(super) fn settle(&mut self, now: VehicleMicros) {
        self.diagnosis.settle(now, &mut self.fold);
        if let Some(settled) = self.quorum.settle(now, &mut self.fold)
            && settled.forgiven
            && let Some(track) = self.tracks.get_mut(settled.track)
        {
            track.payload.forgive(&mut self.habits.signals);
        }
    }
}
