//! 10BASE-T1S with PLCA (IEEE 802.3cg, clause 148): what a PHY's counters say about who speaks out of turn.
//!
//! No frame shows it; a driver reads the counters of the PHY and hands in a [`Reading`] now and then. [`Tracker`] turns
//! two of them into events. Names after the OPEN Alliance "10BASE-T1S PLCA management registers" and "advanced
//! diagnostic features".

use outrider_types::VehicleMicros;

/// Counters of a PHY, as they stand; each may wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Counters {
    /// Beacons seen by the coordinator, which is the only one to send them.
    pub unexpected_beacons: u32,
    /// Beacons that came before this node's transmit opportunity.
    pub early_beacons: u32,
    /// Frames of others received in this node's own transmit opportunity.
    pub foreign_in_own_turn: u32,
    /// Collisions.
    pub collisions: u32,
    /// Symbols that are none.
    pub symbol_errors: u32,
}

/// One reading of a PHY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Reading {
    /// This node's number; the coordinator has 0.
    pub node: u8,
    /// Nodes on the line, as configured.
    pub node_count: u8,
    /// Whether beacons arrive in time (PLCA status).
    pub is_synchronised: bool,
    /// The counters.
    pub counters: Counters,
}

/// What happened between two readings; each count is for that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlcaEvent {
    /// Somebody else acts as coordinator.
    SecondCoordinator {
        /// Beacons.
        beacons: u32,
    },
    /// Somebody speaks in this node's turn: two nodes with one number, or a node that does not follow.
    ForeignInOwnTurn {
        /// Frames.
        frames: u32,
    },
    /// Collisions where turns should rule them out.
    Collisions {
        /// Collisions.
        count: u32,
    },
    /// The beacon is gone: the coordinator is silent, or drowned.
    BeaconLost,
    /// The beacon is back.
    BeaconBack,
    /// The line is disturbed.
    Disturbed {
        /// Symbols that are none.
        symbols: u32,
    },
    /// Somebody changed this node's number or the number of nodes.
    Reconfigured {
        /// Node number and count before.
        before: (u8, u8),
        /// And now.
        now: (u8, u8),
    },
}

/// Wrong symbols in a second below which a line is a line.
const SYMBOL_ERRORS_HZ: u64 = 100;

/// Compares each reading with the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tracker {
    last: Option<(VehicleMicros, Reading)>,
}

impl Tracker {
    /// Creates a tracker that has read nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self { last: None }
    }

    /// Takes a reading and gives what it shows, at most seven events, to `each`. A counter that went back has wrapped.
    pub fn receive(&mut self, at: VehicleMicros, reading: Reading, mut each: impl FnMut(PlcaEvent)) {
        let Some((then, before)) = self.last.replace((at, reading)) else { return };
        let (old, new) = (before.counters, reading.counters);
        let mut grown = |count: u32, event: fn(u32) -> PlcaEvent| {
            if count > 0 {
                each(event(count));
            }
        };
        let beacons = new.unexpected_beacons.wrapping_sub(old.unexpected_beacons);
        let early = new.early_beacons.wrapping_sub(old.early_beacons);
        grown(beacons.saturating_add(early), |beacons| PlcaEvent::SecondCoordinator { beacons });
        let foreign = new.foreign_in_own_turn.wrapping_sub(old.foreign_in_own_turn);
        grown(foreign, |frames| PlcaEvent::ForeignInOwnTurn { frames });
        grown(new.collisions.wrapping_sub(old.collisions), |count| PlcaEvent::Collisions { count });
        let symbols = new.symbol_errors.wrapping_sub(old.symbol_errors);
        let allowed = at.micros_since(then).saturating_mul(SYMBOL_ERRORS_HZ) / 1_000_000;
        if u64::from(symbols) > allowed {
            grown(symbols, |symbols| PlcaEvent::Disturbed { symbols });
        }
        match (before.is_synchronised, reading.is_synchronised) {
            (true, false) => each(PlcaEvent::BeaconLost),
            (false, true) => each(PlcaEvent::BeaconBack),
            (true, true) | (false, false) => {}
        }
        let place = |reading: Reading| (reading.node, reading.node_count);
        if place(before) != place(reading) {
            each(PlcaEvent::Reconfigured { before: place(before), now: place(reading) });
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec;
    use std::vec::Vec;

    use super::*;

    fn events(tracker: &mut Tracker, at_s: u64, reading: Reading) -> Vec<PlcaEvent> {
        let mut seen = Vec::new();
        tracker.receive(VehicleMicros(at_s * 1_000_000), reading, |event| seen.push(event));
        seen
    }

    #[test]
    fn counters_that_stand_still_say_nothing_and_growth_says_what() {
        let mut tracker = Tracker::new();
        let counters = Counters { unexpected_beacons: u32::MAX, symbol_errors: 5, ..Counters::default() };
        let reading = Reading { node: 2, node_count: 8, is_synchronised: true, counters };
        assert_eq!(events(&mut tracker, 0, reading), vec![], "the first reading has nothing to compare with");
        assert_eq!(events(&mut tracker, 1, reading), vec![]);
        let counters = Counters { unexpected_beacons: 1, symbol_errors: 105, ..Counters::default() };
        let next = Reading { counters, ..reading };
        assert_eq!(events(&mut tracker, 2, next), [PlcaEvent::SecondCoordinator { beacons: 2 }], "wrapped");
        let counters = Counters { foreign_in_own_turn: 3, collisions: 4, symbol_errors: 206, ..counters };
        let last = Reading { node: 3, is_synchronised: false, counters, ..next };
        let expected = [
            PlcaEvent::ForeignInOwnTurn { frames: 3 },
            PlcaEvent::Collisions { count: 4 },
            PlcaEvent::Disturbed { symbols: 101 },
            PlcaEvent::BeaconLost,
            PlcaEvent::Reconfigured { before: (2, 8), now: (3, 8) },
        ];
        assert_eq!(events(&mut tracker, 3, last), expected);
        assert_eq!(
            events(&mut tracker, 4, Reading { is_synchronised: true, ..last }),
            [PlcaEvent::BeaconBack]
        );
    }
}
