//! Error frames of a bus.

use outrider_bus::can::{ErrorClass, Frame};
use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::{BusDetector, limits};
use crate::meter::Leak;
use crate::observation::Fields;

impl BusDetector {
    pub(super) fn error_frame(&mut self, at: VehicleMicros, frame: &Frame) {
        self.stats.errors = self.stats.errors.saturating_add(1);
        if frame.error_class().is_some_and(|class| class.contains(ErrorClass::BUS_OFF)) {
            self.say(at, event::CAN_BUS_OFF, Severity::High, Fields::new());
        }
        if self.errors.add(at, Leak::per_seconds(limits::ERROR_HZ, 1), limits::ERROR_FRAMES) {
            let fields = Fields::new().int(field::RATE_LIMIT_HZ, limits::ERROR_HZ.into());
            self.say(at, event::CAN_ERROR_BURST, Severity::Medium, fields);
        }
    }
}
