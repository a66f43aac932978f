//! Error frames.

use outrider_bus::can::{ErrorClass, Frame};
use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::{BusDetector, limits};
use crate::fold::Strike;
use crate::meter::Leak;
use crate::observation::Fields;

impl BusDetector {
    /// Takes an error frame.
    pub(super) fn error_frame(&mut self, at: VehicleMicros, frame: &Frame) {
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
