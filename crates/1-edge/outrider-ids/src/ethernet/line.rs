//! Turns on a 10BASE-T1S line.

use outrider_bus::plca::{PlcaEvent, Reading, Tracker};
use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::packet::{Peer, strike};
use crate::fold::Fold;
use crate::observation::Fields;

/// Takes a reading of the PHY and strikes for what it shows.
pub(super) fn reading(tracker: &mut Tracker, at: VehicleMicros, reading: Reading, fold: &mut Fold<Peer>) {
    tracker.receive(at, reading, |seen| {
        let (reason, frames, severity) = match seen {
            PlcaEvent::SecondCoordinator { beacons } => ("second_coordinator", beacons, Severity::High),
            PlcaEvent::ForeignInOwnTurn { frames } => ("foreign_in_own_turn", frames, Severity::Medium),
            PlcaEvent::Collisions { count } => ("collisions", count, Severity::Medium),
            PlcaEvent::BeaconLost => ("beacon_lost", 1, Severity::Medium),
            PlcaEvent::Disturbed { symbols } => ("disturbed", symbols, Severity::Low),
            PlcaEvent::Reconfigured { .. } => ("reconfigured", 1, Severity::High),
            PlcaEvent::BeaconBack => return,
        };
        let fields = Fields::new().text(field::REASON, reason).int(field::FRAMES, frames.into());
        strike(fold, at, event::ETH_PLCA_VIOLATION, Peer::Rule(reason), severity, fields);
    });
}
