//! What sensors of this machine and other ECUs report to the vehicle.

use outrider_gateway::{SecurityEvent, Storage};
use outrider_types::VehicleMicros;

use super::Vehicle;
use super::ids::IdsLayer;

impl<S: Storage> Vehicle<S> {
    /// Sets how events are qualified and which IDS frames come in and go out; before, every event passes as it is.
    pub fn set_ids(&mut self, ids: IdsLayer) {
        self.ids = ids;
    }

    /// Returns the qualification and its counts.
    #[must_use]
    pub const fn ids(&self) -> &IdsLayer {
        &self.ids
    }

    /// Takes a security event of another sensor of the vehicle.
    pub fn event(&mut self, event: SecurityEvent, now: VehicleMicros) {
        self.ids.report(event);
        self.store_qualified(now);
    }

    /// Takes a datagram with IDS frames of another ECU.
    pub fn ids_datagram(&mut self, bytes: &[u8], now: VehicleMicros) {
        self.ids.datagram(bytes, now);
        self.store_qualified(now);
    }

    /// Takes the next IDS frame for another reporter.
    pub fn pop_ids_frame(&mut self) -> Option<Vec<u8>> {
        self.ids.pop_frame()
    }

    /// Says that an IDS frame could not be sent.
    pub fn ids_send_failed(&mut self) {
        self.ids.send_failed();
    }

    /// Lets the qualification's time pass.
    pub(super) fn tick_ids(&mut self, now: VehicleMicros) {
        let is_driving = self.edge.as_ref().and_then(|edge| edge.is_driving(now));
        self.ids.tick(now, is_driving);
        self.store_qualified(now);
    }

    /// Qualifies all that waits.
    pub(super) fn flush_ids(&mut self, now: VehicleMicros) {
        self.ids.flush(now);
        self.store_qualified(now);
    }

    fn store_qualified(&mut self, now: VehicleMicros) {
        while let Some(event) = self.ids.pop() {
            self.store(event, now);
        }
    }
}
