//! Diagnostic conversations: ISO-TP and UDS on identifiers that carry them, or look as if.

use outrider_bus::can::{CanId, Frame};
use outrider_bus::isotp::{Addressing, IsoTpEvent, Reassembler};
use outrider_bus::uds::{Message, Nrc, Request, SecurityStep, ServiceId, Session};
use outrider_types::{BusId, EventTypeId, Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::SpeedReading;
use super::limits;
use crate::fold::{Fold, HOLD_OFF_US, Strike};
use crate::meter::{Leak, TimedMeter};
use crate::observation::{FieldValue, Fields};

/// Testers at work at once on one bus.
const TESTERS_MAX: usize = 8;
/// Messages put together at once.
const CHANNELS: usize = 8;
/// Longest message kept: keys and requests are short, and longer ones say nothing to these detectors.
const MESSAGE_BYTES: usize = 256;
/// Time in which an answer belongs to a request, in microseconds: P2* of ISO 14229-2 is 5 s.
const ANSWER_US: u64 = 5_000_000;

/// One identifier that asks.
#[derive(Debug, Clone, Copy)]
struct Tester {
    id: CanId,
    last: VehicleMicros,
    seeds: TimedMeter,
    keys: TimedMeter,
    failures: TimedMeter,
    attempts: u32,
    first_attempt: VehicleMicros,
    level: u8,
    asked: ServiceId,
    sub_function: u8,
}

/// Refused keys that are not yet an attack.
#[derive(Debug, Clone, Copy)]
struct Refused {
    first: VehicleMicros,
    last: VehicleMicros,
    strike: Strike,
}

/// Diagnostic detectors of one bus.
#[derive(Debug, Clone)]
pub(crate) struct Diagnosis {
    reassembler: Reassembler<CHANNELS, MESSAGE_BYTES>,
    testers: [Option<Tester>; TESTERS_MAX],
    refusals: TimedMeter,
    refused: Option<Refused>,
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
            testers: [None; TESTERS_MAX],
            refusals: TimedMeter::EMPTY,
            refused: None,
        }
    }

    /// Takes a frame that may carry diagnosis and returns whether it did carry a message of a known service.
    pub(crate) fn receive(
        &mut self,
        at: VehicleMicros,
        bus: BusId,
        id: CanId,
        frame: &Frame,
        speed: Option<SpeedReading>,
        fold: &mut Fold,
    ) -> bool {
        let Self { reassembler, testers, refusals, refused } = self;
        let IsoTpEvent::Pdu(pdu) = reassembler.receive(at, bus, frame, Addressing::Normal) else {
            return false;
        };
        let Ok(message) = Message::parse(pdu.payload) else { return false };
        if matches!(message.service(), ServiceId::Unknown(_)) {
            return false;
        }
        let mut conversation = Conversation { at, id, testers, refused, fold };
        match message {
            Message::Request(request) => conversation.request(&request, speed),
            Message::Positive(response) => {
                conversation.positive(response.service, response.unlocked_level().is_some());
            }
            Message::Negative { service, nrc } => {
                if nrc.is_unsupported()
                    && refusals.add(at, Leak::per_seconds(limits::SCAN_HZ, 1), limits::SCAN_REFUSALS)
                {
                    conversation.scan(service);
                }
                conversation.negative(service, nrc);
            }
        }
        true
    }

    /// Says that a key was refused once it is clear that it was no brute force.
    #[inline]
    pub(crate) fn settle(&mut self, now: VehicleMicros, fold: &mut Fold) {
        let Some(refused) = self.refused else { return };
        if now.micros_since(refused.last) >= HOLD_OFF_US {
            self.finish(fold);
        }
    }

    /// Says at once what [`Self::settle`] holds back.
    pub(crate) fn finish(&mut self, fold: &mut Fold) {
        let Some(refused) = self.refused.take() else { return };
        fold.strike(refused.first, refused.strike);
        fold.extend(refused.last, refused.strike.event_type, refused.strike.can_id, |_| {});
    }

    pub(crate) fn tick(&mut self, now: VehicleMicros) {
        self.reassembler.tick(now);
    }
}

/// One message and what it changes.
struct Conversation<'a> {
    at: VehicleMicros,
    id: CanId,
    testers: &'a mut [Option<Tester>; TESTERS_MAX],
    refused: &'a mut Option<Refused>,
    fold: &'a mut Fold,
}

impl Conversation<'_> {
    fn tester(&mut self) -> Option<&mut Tester> {
        let known = self.testers.iter().position(|slot| slot.is_some_and(|tester| tester.id == self.id));
        let index = known.or_else(|| {
            let oldest = self.testers.iter().enumerate().min_by_key(|(_, slot)| slot.map(|old| old.last));
            oldest.map(|(index, _)| index)
        })?;
        let slot = self.testers.get_mut(index)?;
        if known.is_none() {
            *slot = Some(Tester {
                id: self.id,
                last: self.at,
                seeds: TimedMeter::EMPTY,
                keys: TimedMeter::EMPTY,
                failures: TimedMeter::EMPTY,
                attempts: 0,
                first_attempt: self.at,
                level: 0,
                asked: ServiceId::Unknown(0),
                sub_function: 0,
            });
        }
        slot.as_mut()
    }

    /// The tester an answer belongs to: the one that asked for this service last.
    fn asker(&mut self, service: ServiceId) -> Option<&mut Tester> {
        let at = self.at;
        let candidates = self.testers.iter_mut().flatten();
        candidates
            .filter(|tester| tester.asked == service && at.micros_since(tester.last) <= ANSWER_US)
            .max_by_key(|tester| tester.last)
    }

    fn request(&mut self, request: &Request<'_>, speed: Option<SpeedReading>) {
        let at = self.at;
        let Some(tester) = self.tester() else { return };
        tester.last = at;
        tester.asked = request.service;
        tester.sub_function = request.sub_function.map_or(0, |sub| sub.value);
        if let Some(access) = request.security_access() {
            let leak = Leak::per_seconds(1, limits::KEY_ATTEMPT_SECONDS);
            tester.level = access.level;
            let meter = match access.step {
                SecurityStep::RequestSeed => &mut tester.seeds,
                SecurityStep::SendKey => {
                    if tester.attempts == 0 {
                        tester.first_attempt = at;
                    }
                    tester.attempts = tester.attempts.saturating_add(1);
                    &mut tester.keys
                }
            };
            if meter.add(at, leak, limits::KEY_ATTEMPTS) {
                let tester = *tester;
                self.brute_force(&tester, None, "security_access_rate");
            }
        }
        if let Some(session) = request.session().filter(|&session| session != Session::from_code(1)) {
            self.session(session, speed);
        }
    }

    fn session(&mut self, session: Session, speed: Option<SpeedReading>) {
        let driving = speed.filter(|reading| reading.is_driving(self.at) == Some(true));
        let Some(reading) = driving else { return };
        let fields = self
            .addressed(self.id)
            .int(field::DIAG_SESSION, session.code().into())
            .int(field::SPEED_KMH, reading.kmh.into())
            .with(field::MOVING, FieldValue::Bool(true));
        self.strike(event::DIAG_SESSION_WHILE_DRIVING, self.id, Severity::High, fields);
    }

    fn positive(&mut self, service: ServiceId, unlocks: bool) {
        let Some(tester) = self.asker(service) else { return };
        let tester = *tester;
        if unlocks && let Some(tester) = self.asker(service) {
            tester.seeds.clear();
            tester.keys.clear();
        }
        let (event_type, severity) = if service == ServiceId::EcuReset {
            (event::DIAG_ECU_RESET, Severity::Medium)
        } else if service == ServiceId::CommunicationControl && tester.sub_function != 0 {
            (event::DIAG_COMMUNICATION_CONTROL, Severity::Medium)
        } else if service == ServiceId::RequestDownload {
            (event::DIAG_REQUEST_DOWNLOAD, Severity::High)
        } else {
            return;
        };
        let mut fields = self.addressed(tester.id);
        if service.has_sub_function() {
            fields = fields.int(field::UDS_SUBFUNCTION, tester.sub_function.into());
        }
        self.strike(event_type, tester.id, severity, fields);
    }

    fn negative(&mut self, service: ServiceId, nrc: Nrc) {
        let refusal =
            matches!(nrc, Nrc::InvalidKey | Nrc::ExceededNumberOfAttempts | Nrc::RequiredTimeDelayNotExpired);
        if service != ServiceId::SecurityAccess || !refusal {
            return;
        }
        let (at, id) = (self.at, self.id);
        let Some(tester) = self.asker(service) else { return };
        let leak = Leak::per_seconds(1, limits::KEY_FAILURE_SECONDS);
        let many = tester.failures.add(at, leak, limits::KEY_FAILURES);
        let tester = *tester;
        if many || nrc == Nrc::ExceededNumberOfAttempts {
            self.brute_force(&tester, Some(nrc), "security_access_failures");
            return;
        }
        let can_id = Some(tester.id);
        if self.fold.is_open(event::DIAG_SECURITY_ACCESS_BRUTE_FORCE, can_id) {
            return;
        }
        let fields = self
            .addressed(tester.id)
            .int(field::TESTER_ADDRESS, id.value().into())
            .int(field::UDS_NRC, nrc.code().into())
            .int(field::SECURITY_LEVEL, tester.level.into())
            .int(field::ATTEMPTS, tester.attempts.into());
        let strike = Strike {
            event_type: event::DIAG_SECURITY_ACCESS_DENIED,
            can_id,
            severity: Severity::Medium,
            fields,
        };
        let first = self.refused.as_ref().map_or(at, |refused| refused.first);
        *self.refused = Some(Refused { first, last: at, strike });
    }

    fn brute_force(&mut self, tester: &Tester, nrc: Option<Nrc>, detector: &'static str) {
        *self.refused = None;
        let mut fields = self
            .addressed(tester.id)
            .text(field::DETECTOR, detector)
            .int(field::SECURITY_LEVEL, tester.level.into())
            .int(field::ATTEMPTS, tester.attempts.into())
            .int(field::DURATION_US, self.at.micros_since(tester.first_attempt));
        if let Some(nrc) = nrc {
            fields = fields.int(field::UDS_NRC, nrc.code().into());
        }
        let event_type = event::DIAG_SECURITY_ACCESS_BRUTE_FORCE;
        self.strike(event_type, tester.id, Severity::High, fields);
        self.fold.extend(self.at, event_type, Some(tester.id), |open| {
            for key in [field::ATTEMPTS, field::DURATION_US, field::UDS_NRC] {
                if let Some(value) = fields.value(key) {
                    open.set(key, value);
                }
            }
        });
    }

    fn scan(&mut self, service: ServiceId) {
        let fields = self.addressed(self.id).int(field::UDS_SERVICE, service.code().into());
        self.strike(event::DIAG_SERVICE_SCAN, self.id, Severity::Medium, fields);
    }

    /// Fields that name both ends: of normal fixed addressing the two address bytes, else the identifier.
    fn addressed(&self, id: CanId) -> Fields {
        if id.is_extended() && is_conventional(id) {
            return Fields::new()
                .int(field::TARGET_ADDRESS, u64::from(id.value() >> 8 & 0xFF))
                .int(field::TESTER_ADDRESS, u64::from(id.value() & 0xFF));
        }
        Fields::new().int(field::TARGET_ADDRESS, id.value().into())
    }

    fn strike(&mut self, event_type: EventTypeId, id: CanId, severity: Severity, fields: Fields) {
        self.fold.strike(self.at, Strike { event_type, can_id: Some(id), severity, fields });
    }
}
