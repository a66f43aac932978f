//! Vehicles known from training, and which of them a capture belongs to.

use std::collections::BTreeSet;

use outrider_bus::can::{CanId, TimedFrame};
use outrider_ids::model::ModelHead;

use crate::edge::Edge;
use crate::learn::{LearnError, Learner};

/// Share of a capture's identifiers that a vehicle must have to be the same vehicle, in percent. Another drive of
/// the same car shares nearly all; another make shares a fifth by chance, since low identifiers are popular.
const SAME_PERCENT: usize = 60;

/// Identifiers of a capture.
pub(super) fn identifiers(frames: &[TimedFrame]) -> BTreeSet<CanId> {
    frames.iter().filter_map(|timed| timed.frame.id()).collect()
}

/// Creates a learner whose models carry habits or not.
pub(super) fn learner(habits: bool) -> Learner {
    let learner = Learner::new(ModelHead::default());
    if habits { learner } else { learner.without_habits() }
}

/// A vehicle of the training captures.
#[derive(Debug)]
struct Vehicle {
    ids: BTreeSet<CanId>,
    learner: Option<Learner>,
    model: Vec<u8>,
}

/// All vehicles of the training captures.
#[derive(Debug, Default)]
pub(super) struct Garage {
    vehicles: Vec<Vehicle>,
}

/// Which vehicle a capture belongs to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Match {
    /// Index of the vehicle, or `None` if training did not have it.
    pub(super) vehicle: Option<usize>,
    /// Share of the capture's identifiers that the nearest vehicle has, 0 to 1.
    pub(super) id_share: f64,
}

impl Match {
    /// Nothing of training is like it.
    pub(super) const NONE: Self = Self { vehicle: None, id_share: 0.0 };
}

impl Garage {
    /// Adds a training capture to the vehicle it belongs to, or as a new one.
    pub(super) fn add(&mut self, frames: &[TimedFrame], habits: bool) {
        let ids = identifiers(frames);
        let index = self.find(&ids).vehicle.unwrap_or_else(|| {
            let learner = Some(learner(habits));
            self.vehicles.push(Vehicle { ids: BTreeSet::new(), learner, model: Vec::new() });
            self.vehicles.len() - 1
        });
        if let Some(vehicle) = self.vehicles.get_mut(index) {
            vehicle.ids.extend(ids);
            if let Some(learner) = &mut vehicle.learner {
                learner.add_capture(frames);
            }
        }
    }

    /// Adds a new vehicle, of whose frames nothing is kept.
    pub(super) fn learn(&mut self, frames: impl Iterator<Item = TimedFrame>, habits: bool) {
        let (mut ids, mut learner) = (BTreeSet::new(), learner(habits));
        for frame in frames {
            ids.extend(frame.frame.id());
            learner.add(&frame);
        }
        self.vehicles.push(Vehicle { ids, learner: Some(learner), model: Vec::new() });
    }

    /// Learns the models; call it once, after all captures.
    ///
    /// # Errors
    /// [`LearnError`]: a capture offers nothing to learn.
    pub(super) fn close(&mut self) -> Result<(), LearnError> {
        for vehicle in &mut self.vehicles {
            if let Some(learner) = vehicle.learner.take() {
                vehicle.model = learner.finish()?.model;
            }
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.vehicles.len()
    }

    /// Finds the vehicle that shares most identifiers, if they are enough.
    pub(super) fn find(&self, ids: &BTreeSet<CanId>) -> Match {
        let shares = self.vehicles.iter().map(|vehicle| ids.intersection(&vehicle.ids).count());
        let best = shares.enumerate().max_by_key(|&(index, shared)| (shared, std::cmp::Reverse(index)));
        let Some((index, shared)) = best else { return Match { vehicle: None, id_share: 0.0 } };
        let is_same = shared > 0 && shared * 100 >= ids.len() * SAME_PERCENT;
        Match { vehicle: is_same.then_some(index), id_share: super::ratio(shared as u64, ids.len() as u64) }
    }

    /// Returns the detectors for a capture: with the model of its vehicle, or, for one that training did not have,
    /// with the model of another, as in a vehicle that was given the wrong one; they learn it on the road then.
    pub(super) fn detectors(&self, found: Match) -> Edge {
        let vehicle =
            found.vehicle.and_then(|index| self.vehicles.get(index)).or_else(|| self.vehicles.first());
        match vehicle {
            Some(vehicle) => Edge::new(&vehicle.model).expect("the learner writes models that parse"),
            None => Edge::untrained(),
        }
    }
}
