//! Habits out of a vehicle model, and into one.

use outrider_bus::can::CanId;
use outrider_types::{BusId, VehicleMicros};

use super::BusDetector;
use super::table::NONE;
use crate::clock::Clock;
use crate::model::habits::{self, LineHabit, NumberHabit, PayloadHabit, PoolHabit};
use crate::model::{BusModel, SectionKind};
use crate::payload::{Origin, Payload};
use crate::signals::NO_SIGNAL;

/// What became of the habits of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HabitStats {
    /// Identifiers whose payload is judged by the model.
    pub known: u32,
    /// Identifiers of which too few frames came to tell whether the model fits.
    pub on_trial: u32,
    /// Identifiers whose traffic has another length or split; they are learned on the road.
    pub refused: u32,
    /// Records of the model about identifiers, numbers or habits that the detectors do not have.
    pub left_out: u32,
}

impl BusDetector {
    /// Creates detectors that do not guard a bus but are taught by it: every identifier is taken as known at once. What
    /// they learn is what a model carries.
    #[must_use]
    pub const fn pupil(bus: BusId) -> Self {
        let mut pupil = Self::untrained(bus);
        pupil.is_pupil = true;
        pupil
    }

    /// Tells that what comes next was not recorded right behind what came last: neither is compared with the other, and
    /// the time between is no sleep. What was learned stays.
    pub fn begin_capture(&mut self, at: VehicleMicros) {
        self.start_over(self.clock.now(), at);
        self.clock = Clock::new();
        self.clock.stamp(at);
        self.tracks.part();
        self.habits.signals().part();
    }

    /// Takes the habits of a model.
    pub(super) fn load_habits(&mut self, model: &BusModel<'_>) {
        let section = |kind| model.section(kind).unwrap_or_default();
        let Self { table, tracks, habits: own, .. } = self;
        let mut left_out = 0u32;
        for habit in habits::payloads(section(SectionKind::PAYLOAD)) {
            let name =
                table.find(habit.id).and_then(|index| table.slot_mut(index)).map_or(NONE, |slot| slot.track);
            match tracks.get_mut(name) {
                Some(track) => track.payload = Payload::of_model(&habit),
                None => left_out = left_out.saturating_add(1),
            }
        }
        let together = section(SectionKind::TOGETHER);
        for (name, number) in (0..u8::MAX).zip(habits::numbers(together)) {
            let track =
                table.find(number.id).and_then(|index| table.slot_mut(index)).map_or(NONE, |slot| slot.track);
            let payload = tracks.get_mut(track).map(|track| &mut track.payload);
            if payload.is_some_and(|payload| payload.enlist(number.field, name)) {
                own.signals().load(name, &number);
            } else {
                left_out = left_out.saturating_add(1);
            }
        }
        for line in habits::lines(together) {
            left_out = left_out.saturating_add(u32::from(!own.signals().load_line(&line)));
        }
        for pool in habits::pools(section(SectionKind::CALIBRATION)) {
            left_out = left_out.saturating_add(u32::from(!own.calibration.load(&pool)));
        }
        own.left_out = left_out;
    }

    /// Returns what became of the habits of the model; O(identifiers).
    #[must_use]
    pub fn habit_stats(&self) -> HabitStats {
        let mut stats = HabitStats { left_out: self.habits.left_out, ..HabitStats::default() };
        for track in self.tracks.used() {
            let count = match track.payload.origin() {
                Origin::Road => continue,
                Origin::Trial { .. } => &mut stats.on_trial,
                Origin::Model { .. } => &mut stats.known,
                Origin::Refused => &mut stats.refused,
            };
            *count = count.saturating_add(1);
        }
        stats
    }

    /// Payloads of the identifiers that are followed in depth, in no order.
    fn payloads(&self) -> impl Iterator<Item = (CanId, &Payload)> {
        self.table.slots().filter_map(|slot| Some((slot.id, &self.tracks.get(slot.track)?.payload)))
    }

    /// Returns how payloads split, for a model; in no order.
    pub fn payload_habits(&self) -> impl Iterator<Item = PayloadHabit> + '_ {
        self.payloads().filter_map(|(id, payload)| payload.stored(id))
    }

    /// Returns the numbers that are compared with each other, with their names, for a model; in no order.
    pub fn number_habits(&self) -> impl Iterator<Item = (u8, NumberHabit)> + '_ {
        self.payloads().flat_map(move |(id, payload)| {
            let named = payload.names().filter(|(_, name)| *name != NO_SIGNAL);
            named.filter_map(move |(field, name)| Some((name, self.habits.stored_number(name, id, field)?)))
        })
    }

    /// Returns the lines between numbers, by their names, for a model.
    pub fn line_habits(&self) -> impl Iterator<Item = LineHabit> + '_ {
        self.habits.stored_lines()
    }

    /// Returns the calibration, for a model; ascending.
    pub fn pool_habits(&self) -> impl Iterator<Item = PoolHabit> + '_ {
        self.habits.calibration.stored()
    }
}
