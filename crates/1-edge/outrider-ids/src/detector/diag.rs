//! Diagnostic conversations: ISO-TP and UDS on identifiers that carry them, or look as if.

use outrider_bus::can::{CanId, Frame};
use outrider_bus::isotp::{Addressing, IsoTpEvent, Reassembler};
use outrider_bus::uds::{Message, Nrc, ServiceId, UdsError};
use outrider_types::{BusId, VehicleMicros};
use outrider_wire::catalogue::field;

use super::mode::Granted;
use super::sweep::Sweep;
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
    asked: Asked,
    sweep: Sweep,
    /// Who asked and who refused, if the latest message is a refusal.
    pair: Option<(CanId, CanId)>,
}

/// Requests that may be answered at the same time; testers ask one ECU after the other.
const ASKED_MAX: usize = 4;
/// Time within which an answer belongs to a request, in microseconds: P2* of ISO 14229-2.
const ANSWER_US: u64 = 5_000_000;
/// Time between two blocks of a download whose requests are too long to be put together, in microseconds.
const BLOCK_US: u64 = 15_000_000;

/// What testers asked for lately.
#[derive(Debug, Clone)]
struct Asked {
    /// Service, identifier and time.
    requests: [Option<(ServiceId, CanId, VehicleMicros)>; ASKED_MAX],
    next: usize,
    /// Latest sign that an ECU is written because somebody asked for it.
    download: Option<VehicleMicros>,
}

impl Asked {
    const NOTHING: Self = Self { requests: [None; ASKED_MAX], next: 0, download: None };

    /// Returns whether a message answers a request of somebody else, and notes requests. Ordinary payloads on
    /// identifiers that are used for diagnosis elsewhere look like answers now and then, but nobody asked.
    fn is_expected(&mut self, at: VehicleMicros, id: CanId, message: &Message<'_>) -> bool {
        let service = message.service();
        if matches!(message, Message::Request(_)) {
            if let Some(slot) = self.requests.get_mut(self.next) {
                *slot = Some((service, id, at));
                self.next = self.next.saturating_add(1).checked_rem(ASKED_MAX).unwrap_or(0);
            }
            return false;
        }
        let answers = |(asked, by, when): &(ServiceId, CanId, VehicleMicros)| {
            *asked == service && *by != id && at.micros_since(*when) <= ANSWER_US
        };
        let goes_on = service == ServiceId::TransferData
            && self.download.is_some_and(|latest| at.micros_since(latest) <= BLOCK_US);
        let expected = goes_on || self.requests.iter().flatten().any(answers);
        let writes = matches!(Granted::read(message), Some(Granted::Programming | Granted::Download));
        if expected && writes {
            self.download = Some(at);
        }
        expected
    }
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
        Self {
            reassembler: Reassembler::new(),
            policy: Policy::new(),
            granted: None,
            asked: Asked::NOTHING,
            sweep: Sweep::new(),
            pair: None,
        }
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
        let parsed = Message::parse(pdu.payload);
        // Here services count that have no name, and questions that are cut short: scans are made of them.
        let (scan, pair) = match &parsed {
            Ok(Message::Request(request)) => (self.sweep.asked(at, id, request.service), None),
            Err(UdsError::NoSubFunction { service }) => (self.sweep.asked(at, id, *service), None),
            Ok(Message::Negative { service, nrc }) => {
                let refused = self.sweep.refused(at, id, *service, *nrc);
                (refused.and_then(|refused| refused.scan), refused.map(|refused| (refused.tester, id)))
            }
            Ok(Message::Positive(_)) | Err(_) => (None, None),
        };
        self.pair = pair;
        if let Some((tester, service)) = scan {
            Policy::scan(at, tester, Some(service), None, fold);
        }
        let Ok(message) = parsed else { return false };
        // What is refused because it does not exist is about the tester, as all that makes a scan.
        let unsupported = matches!(&message, Message::Negative { nrc, .. } if nrc.is_unsupported());
        let who = pair.filter(|_| unsupported).map_or(id, |(tester, _)| tester);
        let origin = Origin::Sender(who, who.value().into());
        if matches!(message.service(), ServiceId::Unknown(_)) {
            // Ordinary payloads look so, unless somebody asked.
            if pair.is_some() {
                self.policy.receive(at, origin, &message, situation, fold);
            }
            return false;
        }
        let granted = if self.asked.is_expected(at, id, &message) { Granted::read(&message) } else { None };
        self.granted = Some((granted, matches!(message, Message::Request(_))));
        self.policy.receive(at, origin, &message, situation, fold);
        true
    }

    /// Takes what the latest message granted, and whether it was a request.
    #[inline]
    pub(crate) const fn take_granted(&mut self) -> Option<(Option<Granted>, bool)> {
        self.granted.take()
    }

    /// Takes who asked and who refused, if the latest message is a refusal.
    #[inline]
    pub(crate) const fn take_pair(&mut self) -> Option<(CanId, CanId)> {
        self.pair.take()
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
