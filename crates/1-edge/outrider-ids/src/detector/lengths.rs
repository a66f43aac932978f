//! Wrong lengths of several identifiers at once: a fuzzer that sends on the identifiers of the bus.

use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::limits;
use crate::fold::{Fold, Strike};
use crate::observation::Fields;

/// Latest identifiers with a wrong length that are remembered.
const RECENT: usize = limits::DLC_IDS;

/// Wrong lengths of one bus.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lengths {
    recent: [(u16, VehicleMicros); RECENT],
    next: usize,
}

impl Lengths {
    pub(super) const fn new() -> Self {
        Self { recent: [(u16::MAX, VehicleMicros(0)); RECENT], next: 0 }
    }

    /// Notes a wrong length of the identifier at a place of the table; strikes if several have one.
    pub(super) fn wrong(&mut self, at: VehicleMicros, index: usize, fold: &mut Fold) -> bool {
        let name = u16::try_from(index).unwrap_or(u16::MAX);
        if let Some((_, when)) = self.recent.iter_mut().find(|(recent, _)| *recent == name) {
            *when = at;
        } else if let Some(slot) = self.recent.get_mut(self.next) {
            *slot = (name, at);
            self.next = self.next.saturating_add(1).checked_rem(RECENT).unwrap_or(0);
        }
        let fresh = |(name, when): &(u16, VehicleMicros)| {
            *name != u16::MAX && at.micros_since(*when) <= limits::DLC_IDS_US
        };
        let many = self.recent.iter().all(fresh);
        if many {
            let fields = Fields::new().text(field::DETECTOR, "dlc_of_many");
            let severity = Severity::Medium;
            fold.strike(at, Strike { event_type: event::CAN_WRONG_DLC, can_id: None, severity, fields });
        }
        many
    }
}
