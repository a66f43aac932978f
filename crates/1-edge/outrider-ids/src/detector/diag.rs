//! Diagnostic conversations: ISO-TP and UDS on identifiers that carry them, or look as if.

use outrider_bus::can::{CanId, Frame};
use outrider_bus::isotp::{Addressing, IsoTpEvent, Reassembler};
use outrider_bus::uds::{Message, Nrc, ServiceId};
use outrider_types::{BusId, VehicleMicros};
use outrider_wire::catalogue::field;

use super::mode::Granted;
use crate::fold::Fold;
use crate::observation::Fields;
use crate::policy::{Origin, Policy, Situation, Tester};

/// Messages put together at once.
const CHANNELS: usize = 8;
/// Longest message kept: keys and requests are short, and longer ones say nothing to these detectors.
const MESSAGE_BYTES: usize = 256;

/// Diagnostic detectors of one bus.
#[derive(Debug, Clone)]
pub(crate) struct Diagnosis {
    reassembler: Reassembler<CHANNELS, MESSAGE_BYTES>,
    policy: Policy<CanId>,
    /// What the latest message granted, and whether it was a request.
    granted: Option<(Option<Granted>, bool)>,
}

impl Tester for CanId {
    type Subject = Option<CanId>;

    fn subject(self) -> Option<CanId> {
        Some(self)
    }

    /// Of normal fixed addressing the two address bytes, else the identifier.
    fn fields(self) -> Fields {
        if self.is_extended() && is_conventional(self) {
            return Fields::new()
                .int(field::TARGET_ADDRESS, u64::from(self.value() >> 8 & 0xFF))
                .int(field::TESTER_ADDRESS, u64::from(self.value() & 0xFF));
        }
        Fields::new().int(field::TARGET_ADDRESS, self.value().into())
    }
}

/// Returns whether identifiers are used for diagnosis by convention: 0x600 to 0x7FF, and the 29-bit ones of
/// ISO 15765-2 normal fixed addressing (physical 0x18DA, functional 0x18DB).
pub(crate) fn is_conventional(id: CanId) -> bool {
    if id.is_extended() { matches!(id.value() >> 16, 0x18DA | 0x18DB) } else { id.value() >= 0x600 }
}

/// Returns whether a frame on an identifier with a cycle of its own could still be a security access: the exact
/// start of a single frame that asks, answers or refuses it. Ordinary payloads hardly ever look so.
pub(crate) fn is_security_single(data: &[u8]) -> bool {
    match data {
        [2..=7, 0x27, sub, ..] => (1..=0x7E).contains(&(sub & 0x7F)),
        [3, 0x7F, 0x27, nrc, ..] => Nrc::from_code(*nrc).is_security(),
        [2..=7, 0x67, sub, ..] => (1..=0x7E).contains(sub),
        _ => false,
    }
}

impl Diagnosis {
    pub(crate) const fn new() -> Self {
        Self { reassembler: Reassembler::new(), policy: Policy::new(), granted: None }
    }

    /// Takes a frame that may carry diagnosis and returns whether it did carry a message of a known service.
    pub(crate) fn receive(
        &mut self,
        at: VehicleMicros,
        bus: BusId,
        id: CanId,
        frame: &Frame,
        situation: Situation,
        fold: &mut Fold,
    ) -> bool {
        let IsoTpEvent::Pdu(pdu) = self.reassembler.receive(at, bus, frame, Addressing::Normal) else {
            return false;
        };
        let Ok(message) = Message::parse(pdu.payload) else { return false };
        if matches!(message.service(), ServiceId::Unknown(_)) {
            return false;
        }
        self.granted = Some((Granted::read(&message), matches!(message, Message::Request(_))));
        self.policy.receive(at, Origin::Sender(id, id.value().into()), &message, situation, fold);
        true
    }

    /// Takes what the latest message granted, and whether it was a request.
    #[inline]
    pub(crate) const fn take_granted(&mut self) -> Option<(Option<Granted>, bool)> {
        self.granted.take()
    }

    /// Says that a key was refused once it is clear that it was no brute force.
    #[inline]
    pub(crate) fn settle(&mut self, now: VehicleMicros, fold: &mut Fold) {
        self.policy.settle(now, fold);
    }

    /// Says at once what [`Self::settle`] holds back.
    pub(crate) fn finish(&mut self, fold: &mut Fold) {
        self.policy.finish(fold);
    }

    pub(crate) fn tick(&mut self, now: VehicleMicros) {
        self.reassembler.tick(now);
    }
}
