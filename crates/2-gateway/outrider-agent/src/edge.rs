//! The detectors of all buses of one vehicle.

use std::collections::BTreeMap;

use outrider_bus::can::TimedFrame;
use outrider_ids::model::{ModelError, VehicleModel};
use outrider_ids::{BusDetector, BusStats, Observation, SpeedReading};
use outrider_types::{BusId, VehicleMicros};

/// Detectors of every bus of a vehicle model.
///
/// Allocates when it is made and never after: [`Self::receive`], [`Self::tick`] and [`Self::pop`] do a bounded
/// amount of work in memory that is already there. The speed that one bus carries is told to all.
#[derive(Debug, Clone)]
pub struct Edge {
    buses: Vec<BusDetector>,
    /// Frames of buses that the model does not have; every other is in the stats of its bus.
    foreign: u64,
}

impl Edge {
    /// Creates the detectors of a model's bytes.
    ///
    /// # Errors
    /// [`ModelError`] if the bytes are no model.
    pub fn new(model: &[u8]) -> Result<Self, ModelError> {
        let model = VehicleModel::parse(model)?;
        let mut buses = Vec::with_capacity(model.buses().len());
        buses.extend(model.buses().map(|bus| BusDetector::new(&bus)));
        Ok(Self { buses, foreign: 0 })
    }

    /// Takes one frame.
    pub fn receive(&mut self, timed: &TimedFrame) {
        let Some(index) = self.buses.iter().position(|detector| detector.bus() == timed.bus) else {
            self.foreign += 1;
            return;
        };
        let Some(detector) = self.buses.get_mut(index) else { return };
        let before = detector.speed();
        detector.receive(timed.at, &timed.frame);
        let after = detector.speed();
        if before != after
            && self.buses.len() > 1
            && let Some(reading) = after
        {
            self.buses.iter_mut().for_each(|other| other.observe_speed(reading));
        }
    }

    /// Lets time pass; call it a few times a second.
    pub fn tick(&mut self, now: VehicleMicros) {
        self.buses.iter_mut().for_each(|detector| detector.tick(now));
    }

    /// Ends every open episode, as at the end of a capture.
    pub fn finish(&mut self) {
        self.buses.iter_mut().for_each(BusDetector::finish);
    }

    /// Takes the next observation, bus by bus.
    pub fn pop(&mut self) -> Option<Observation> {
        self.buses.iter_mut().find_map(BusDetector::pop)
    }

    /// Returns the latest speed that any bus carries.
    #[must_use]
    pub fn speed(&self) -> Option<SpeedReading> {
        self.buses.iter().filter_map(BusDetector::speed).max_by_key(|reading| reading.at)
    }

    /// Returns whether the vehicle drives, as the latest speed on any bus says; `None` if none is fresh.
    #[must_use]
    pub fn is_driving(&self, now: VehicleMicros) -> Option<bool> {
        self.speed().and_then(|reading| reading.is_driving(now))
    }

    /// Returns the buses that are watched, ascending.
    pub fn buses(&self) -> impl Iterator<Item = BusId> + '_ {
        self.buses.iter().map(BusDetector::bus)
    }

    /// Returns each watched bus with what its detectors judge by and their counts.
    pub fn states(&self) -> impl Iterator<Item = (BusId, &'static str, BusStats)> + '_ {
        self.buses.iter().map(|detector| (detector.bus(), "model", detector.stats()))
    }

    /// Returns the counts of every watched bus.
    #[must_use]
    pub fn stats(&self) -> BTreeMap<BusId, BusStats> {
        self.buses.iter().map(|detector| (detector.bus(), detector.stats())).collect()
    }

    /// Returns the number of frames on buses that the model does not have.
    #[must_use]
    pub const fn foreign(&self) -> u64 {
        self.foreign
    }
}
