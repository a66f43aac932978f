//! How a bus is operated, and what follows for its detectors.

use outrider_bus::can::CanId;
use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::mode::{Change, Granted, Mode};
use super::{Basis, BusDetector};
use crate::budget::Used;
use crate::fold::Strike;
use crate::gates::Kind;
use crate::observation::Fields;
use crate::policy::Situation;

impl BusDetector {
    /// Returns the operating mode.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.operation.mode()
    }

    /// Returns when the operating mode began.
    #[must_use]
    pub const fn mode_since(&self) -> VehicleMicros {
        self.operation.since()
    }

    /// Returns the time spent in each operating mode, in the order of [`Mode::ALL`], in microseconds.
    #[must_use]
    pub const fn mode_time_us(&self) -> [u64; Mode::COUNT] {
        self.operation.time_us()
    }

    /// Returns what each detector by habit has used of its budget.
    #[must_use]
    pub fn used(&self) -> [(Kind, Used); Kind::BUDGETED] {
        let mut used = self.fold.used(self.clock.now()).into_iter();
        Kind::HABITS.map(|kind| (kind, used.next().unwrap_or_default()))
    }

    /// Returns how many strikes were lowered or left out because of the operating mode.
    #[must_use]
    pub const fn gated(&self) -> u64 {
        self.fold.gates.gated
    }

    /// Tells whether a workshop is at work; what it may change is then no event.
    pub const fn set_workshop(&mut self, workshop: bool) {
        self.workshop = workshop;
        self.operation.workshop(workshop);
    }

    /// Tells whether the vehicle charges, as its charging connection says. Changes what is shown, and excuses nothing.
    pub const fn observe_charging(&mut self, charging: bool) {
        self.operation.charging(charging);
    }

    /// Returns what an ECU of the vehicle granted last, and when; other buses of the vehicle are told by
    /// [`Self::observe_granted`].
    #[must_use]
    pub const fn granted(&self) -> Option<(VehicleMicros, Granted)> {
        self.granted
    }

    /// Tells what an ECU granted to a tester on another bus of the vehicle.
    pub fn observe_granted(&mut self, at: VehicleMicros, granted: Granted) {
        self.operation.granted(at, granted);
        self.fold.gates.set(self.operation.mode(), self.operation.stopped());
    }

    /// State of the vehicle that the policy over diagnosis depends on.
    pub(super) fn situation(&self, at: VehicleMicros) -> Situation {
        Situation {
            speed: self.speed,
            expects_speed: self.speed_signal.is_some(),
            workshop: self.workshop,
            flashing: self.operation.is_flashed(at),
        }
    }

    /// Notes a frame of the bus, which may wake it.
    #[inline]
    pub(super) fn wake(&mut self, at: VehicleMicros) {
        if let Some(change) = self.operation.frame(at) {
            self.fold.budget.begin_drive();
            self.changed(at, change);
        }
    }

    /// Follows the mode of the bus and the accounts of its detectors; O(episodes).
    pub(super) fn operate(&mut self, now: VehicleMicros) {
        if let Some(change) = self.operation.tick(now, self.speed) {
            self.changed(now, change);
        }
        let stopped = self.operation.stopped();
        self.fold.gates.set(self.operation.mode(), stopped);
        let Self { fold, table, tracks, habits, .. } = self;
        fold.settle_budget(now, |id| {
            // What was held against an identifier for so long is what it does.
            let slot = id.and_then(|id| table.find(id)).and_then(|index| table.slot_mut(index));
            if let Some(track) = slot.and_then(|slot| tracks.get_mut(slot.track)) {
                track.payload.forgive(habits.signals());
            }
        });
    }

    /// Says that somebody at the diagnostic connector begins or ends a work that lowers detectors.
    fn changed(&mut self, at: VehicleMicros, change: Change) {
        self.fold.gates.set(change.to, self.operation.stopped());
        if change.from == Mode::StartUp {
            // Who has not come back by now is missed: said again, and no longer low.
            self.table.slots_mut().for_each(|slot| slot.struck = false);
        }
        // The bus on which the tester speaks says so, for the vehicle.
        if !change.to.is_service() || self.fold.gates.asking().is_none() {
            return;
        }
        let fields = Fields::new()
            .text(field::OPERATING_MODE, change.to.word())
            .text(field::OPERATING_MODE_BEFORE, change.from.word());
        let fields = match self.fold.gates.asking().flatten() {
            Some(id) => fields.int(field::CAN_ID, id.value().into()),
            None => fields,
        };
        let event_type = event::VEHICLE_SERVICE_MODE;
        self.fold.strike(at, Strike { event_type, can_id: None, severity: Severity::Low, fields });
    }

    /// Takes note of what an ECU granted in the latest diagnostic message, which came on `id`.
    #[inline]
    pub(super) fn note_granted(&mut self, at: VehicleMicros, id: CanId) {
        let Some((granted, asks)) = self.diagnosis.take_granted() else { return };
        self.fold.gates.tester(Some(id), asks);
        if let Some(granted) = granted {
            self.granted = Some((at, granted));
            self.operation.granted(at, granted);
            self.fold.gates.set(self.operation.mode(), self.operation.stopped());
        }
    }

    /// Takes note of two identifiers on which somebody asked and was refused: what they carry is diagnosis, also if they
    /// come in a cycle that was learned, as those of a tester that was there before the first frame.
    #[inline]
    pub(super) fn note_pair(&mut self) {
        let Some((tester, ecu)) = self.diagnosis.take_pair() else { return };
        for id in [tester, ecu] {
            if let Some(slot) = self.table.find(id).and_then(|index| self.table.slot_mut(index)) {
                slot.diagnostic = true;
            }
        }
    }

    /// Returns whether lengths and cycles are learned now: not while an ECU is written. A bus whose identifiers are
    /// still collected learns its cycles from the start-up too, because they are the same.
    #[inline]
    pub(super) fn teaches_timing(&self) -> bool {
        self.operation.teaches() || self.operation.mode() == Mode::StartUp && self.basis() == Basis::WarmUp
    }
}
