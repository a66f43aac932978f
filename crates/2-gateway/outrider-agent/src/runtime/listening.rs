//! Reads the time that the cloud signs.

use outrider_gateway::Ed25519Verifier;
use outrider_gateway::uplink::{ShortSession, Transport, TransportError, frame_digest};
use outrider_types::{BootEpoch, TenantId, UnixMicros, VehicleId, VehicleMicros};
use outrider_wire::{DictId, Envelope, EnvelopeHeader, Reply, SealedAck, Signer};

use super::parts::CloudLink;

/// Version of the event catalogue that this program was built with.
pub(super) const CATALOGUE_ID: u32 = 1;

/// Returns the header of a batch without rows, which asks for commands and says nothing. `now` makes it differ from every
/// other: its answer tells the time, and an old one must not.
pub(super) const fn poll(
    tenant: TenantId,
    vehicle: VehicleId,
    epoch: BootEpoch,
    now: VehicleMicros,
) -> EnvelopeHeader {
    EnvelopeHeader {
        dict: DictId::STORED,
        catalogue_id: CATALOGUE_ID,
        tenant,
        vehicle,
        epoch,
        batch_number: now.0,
        raw_bytes: 0,
    }
}

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
            // An old answer, however well signed, tells an old time.
            .filter(|ack| ack.vehicle == self.vehicle && ack.answers == Some(frame_digest(frame)))
            .map(|ack| ack.issued);
        self.issued = issued.or(self.issued);
        Ok(reply)
    }

    fn session(&mut self) -> Option<ShortSession> {
        self.link.session()
    }
}

impl Listening<'_> {
    /// Sends a batch without rows and returns the commands of the reply; a failure is tried again at the next turn.
    pub(super) fn ask(&mut self, header: &EnvelopeHeader, signer: &dyn Signer) -> Vec<Vec<u8>> {
        let mut frame = vec![0; Envelope::frame_bytes(0)];
        let Ok(length) = (Envelope { header: *header, payload: &[] }).emit(signer, &mut frame) else {
            return Vec::new();
        };
        let Ok(reply) = self.exchange(&frame[..length]) else { return Vec::new() };
        Reply::parse(&reply)
            .map_or_else(|_| Vec::new(), |reply| reply.commands().map(<[u8]>::to_vec).collect())
    }
}
