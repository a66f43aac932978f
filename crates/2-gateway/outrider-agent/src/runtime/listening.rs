//! Reads the time that the cloud signs.

use outrider_gateway::Ed25519Verifier;
use outrider_gateway::uplink::{Transport, TransportError};
use outrider_types::{UnixMicros, VehicleId};
use outrider_wire::{Reply, SealedAck};

use super::vehicle::CloudLink;

/// A link that reads the signed time of every acknowledgement on its way to the uplink.
pub(super) struct Listening<'a> {
    pub(super) link: &'a mut dyn CloudLink,
    pub(super) ack: &'a Ed25519Verifier,
    pub(super) vehicle: VehicleId,
    pub(super) issued: Option<UnixMicros>,
}

impl Transport for Listening<'_> {
    fn exchange(&mut self, frame: &[u8]) -> Result<Vec<u8>, TransportError> {
        let reply = self.link.exchange(frame)?;
        let issued = Reply::parse(&reply)
            .ok()
            .and_then(|reply| SealedAck::parse(reply.ack).ok())
            .and_then(|sealed| sealed.open(self.ack).ok())
            .filter(|ack| ack.vehicle == self.vehicle)
            .map(|ack| ack.issued);
        self.issued = issued.or(self.issued);
        Ok(reply)
    }
}
