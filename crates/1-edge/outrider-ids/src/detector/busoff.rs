//! Errors on a bus: bursts, errors that follow one identifier, and ECUs that fall silent after them.
//!
//! A frame that is destroyed again and again drives its sender off the bus (Cho and Shin, 2016). A listener sees
//! error frames, which name nobody. Two things point to the victim: the frame that comes right behind an error is the
//! one that was destroyed, sent again; and an ECU that gives up takes all its identifiers along, which no single
//! lost frame does.

use outrider_bus::can::{CanId, ErrorClass, Frame};
use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::limits;
use super::table::{Slot, Table};
use super::timing::{Hearing, Silence};
use crate::fold::{Fold, Strike};
use crate::meter::{Leak, TimedMeter};
use crate::observation::Fields;

/// Identifiers that are blamed for errors at the same time.
const BLAMED_MAX: usize = 4;
/// Bits of the second detail byte that say that the controller is error passive (Linux `can/error.h`).
const PASSIVE_BITS: u8 = 0x30;

/// Errors that belong together.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: VehicleMicros,
    last: VehicleMicros,
    errors: u32,
    /// No frame came since the latest error.
    is_open: bool,
}

/// Errors of one bus.
#[derive(Debug, Clone)]
pub(super) struct Errors {
    meter: TimedMeter,
    run: Option<Run>,
    /// Places of identifiers in the table, with how many errors each came right behind.
    blamed: [(u16, u16); BLAMED_MAX],
}

impl Errors {
    pub(super) const fn new() -> Self {
        Self { meter: TimedMeter::EMPTY, run: None, blamed: [(u16::MAX, 0); BLAMED_MAX] }
    }

    /// Takes an error frame.
    pub(super) fn receive(&mut self, at: VehicleMicros, frame: &Frame, fold: &mut Fold) {
        let class = frame.error_class().unwrap_or_default();
        if class.contains(ErrorClass::BUS_OFF) {
            let fields = counters(class, frame, Fields::new().text(field::DETECTOR, "controller"));
            let event_type = event::CAN_BUS_OFF;
            fold.strike(at, Strike { event_type, can_id: None, severity: Severity::High, fields });
        }
        let status = frame.data().get(1).copied().unwrap_or(0);
        if class.contains(ErrorClass::CONTROLLER) && status & PASSIVE_BITS != 0 {
            let fields = counters(class, frame, Fields::new());
            let event_type = event::CAN_ERROR_PASSIVE;
            fold.strike(at, Strike { event_type, can_id: None, severity: Severity::Low, fields });
        }
        let run = self.run.filter(|run| at.micros_since(run.last) <= limits::ERROR_RUN_US);
        if run.is_none() {
            self.blamed = [(u16::MAX, 0); BLAMED_MAX];
        }
        let (first, errors) = run.map_or((at, 0), |run| (run.first, run.errors));
        self.run = Some(Run { first, last: at, errors: errors.saturating_add(1), is_open: true });
        if self.meter.add(at, Leak::per_seconds(limits::ERROR_HZ, 1), limits::ERROR_FRAMES) {
            let fields = Fields::new().int(field::RATE_LIMIT_HZ, limits::ERROR_HZ.into());
            let event_type = event::CAN_ERROR_BURST;
            fold.strike(at, Strike { event_type, can_id: None, severity: Severity::Medium, fields });
        }
    }

    /// Takes note of a frame of a known identifier: right behind an error it is the one that was destroyed.
    #[inline]
    pub(super) fn follow(&mut self, at: VehicleMicros, index: usize, id: CanId, fold: &mut Fold) {
        if let Some(run) = &mut self.run
            && run.is_open
        {
            run.is_open = false;
            if at.micros_since(run.last) <= limits::ERROR_BEHIND_US {
                let errors = run.errors;
                self.blame(at, index, id, errors, fold);
            }
        }
    }

    fn blame(&mut self, at: VehicleMicros, index: usize, id: CanId, errors: u32, fold: &mut Fold) {
        let name = u16::try_from(index).unwrap_or(u16::MAX);
        let known = self.blamed.iter().position(|(blamed, _)| *blamed == name);
        let place = known.or_else(|| {
            let least = self.blamed.iter().enumerate().min_by_key(|(_, (_, hits))| *hits);
            least.map(|(place, _)| place)
        });
        let Some(slot) = place.and_then(|place| self.blamed.get_mut(place)) else { return };
        let hits = if known.is_some() { slot.1.saturating_add(1) } else { 1 };
        *slot = (name, hits);
        let share = u32::from(hits).saturating_mul(100).checked_div(errors).unwrap_or(0);
        if hits >= limits::ERROR_TARGET_HITS && share >= limits::ERROR_TARGET_PERCENT {
            let fields = Fields::new()
                .text(field::DETECTOR, "error_target")
                .int(field::CAN_ID, id.value().into())
                .int(field::FRAMES, hits.into());
            let event_type = event::CAN_ERROR_BURST;
            fold.strike(at, Strike { event_type, can_id: Some(id), severity: Severity::Medium, fields });
        }
    }

    /// Returns whether there were errors enough, and of late, to explain who falls silent.
    #[inline]
    pub(super) fn may_explain(&self, now: VehicleMicros) -> bool {
        self.run.is_some_and(|run| {
            run.errors >= limits::BUS_OFF_ERRORS && now.micros_since(run.last) <= limits::BUS_OFF_US
        })
    }

    /// Looks for identifiers that fell silent with the latest errors, and says which; O(identifiers) while errors
    /// are fresh, else O(1).
    pub(super) fn look(
        &self,
        now: VehicleMicros,
        hearing: &Hearing<'_>,
        silence: &mut Silence,
        table: &mut Table,
        fold: &mut Fold,
    ) {
        let fresh = |run: &Run| {
            let age_us = now.micros_since(run.last);
            run.errors >= limits::BUS_OFF_ERRORS
                && (limits::BUS_OFF_SETTLE_US..=limits::BUS_OFF_US).contains(&age_us)
        };
        let Some(run) = self.run.filter(fresh) else { return };
        if hearing.is_quiet(now) {
            return;
        }
        let gone = |slot: &Slot| is_gone(slot, &run, now, hearing);
        let count = crate::count_of(table.slots_mut().filter(|slot| gone(slot)));
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        // So many at once are a network that sleeps or a cut wire, not one ECU.
        if count == 0 || count.saturating_mul(4) > silence.watched() {
            return;
        }
        let mut named = 0u32;
        for slot in table.slots_mut().filter(|slot| !slot.struck && gone(slot)) {
            silence.claim(now, slot);
            named = named.saturating_add(1);
            if named > limits::BUS_OFF_NAMED_MAX {
                continue;
            }
            let silent_us = slot.last.map_or(0, |last| now.micros_since(last));
            let fields = Fields::new()
                .text(field::DETECTOR, "errors_then_silence")
                .int(field::CAN_ID, slot.id.value().into())
                .int(field::FRAMES, run.errors.into())
                .int(field::KNOWN_IDS, count.into())
                .int(field::GAP_US, silent_us)
                .int(field::GAP_EXPECTED_US, slot.cycle_us.into());
            let (event_type, can_id) = (event::CAN_BUS_OFF, Some(slot.id));
            fold.strike(now, Strike { event_type, can_id, severity: Severity::High, fields });
        }
    }
}

/// Returns whether an identifier came until the errors began and has not come since.
fn is_gone(slot: &Slot, run: &Run, now: VehicleMicros, hearing: &Hearing<'_>) -> bool {
    let Some(last) = slot.last else { return false };
    if slot.silence_us == 0 || slot.streak < limits::SUSPEND_ARM_FRAMES {
        return false;
    }
    let cycle = u64::from(slot.cycle_us);
    // Its frame was due when the errors came, or before the last of them.
    let was_due = run.first.micros_since(last) <= cycle.saturating_mul(2) && last <= run.last;
    let limit = cycle.saturating_mul(limits::BUS_OFF_CYCLES).saturating_add(limits::SUSPEND_GRACE_US.into());
    was_due && now.micros_since(last.max(hearing.since())) > limit
}

/// Adds the error counters of the controller, if the frame carries them.
fn counters(class: ErrorClass, frame: &Frame, fields: Fields) -> Fields {
    let carries = class.contains(ErrorClass::COUNTERS) || class.contains(ErrorClass::CONTROLLER);
    match frame.data().get(6..8) {
        Some(&[tx, rx]) if carries => {
            fields.int(field::TX_ERRORS, tx.into()).int(field::RX_ERRORS, rx.into())
        }
        _ => fields,
    }
}
