//! What diagnosis may do, whatever carries it.
//!
//! [`Policy`] follows the testers of one bus or network and strikes for brute force, scans, sessions and programming
//! while driving, and for changes outside the workshop. Who a tester is, is the business of the carrier.
//!
//! A vehicle whose motion is not known is not taken to stand still: where a speed has been read, or should be, and none
//! is fresh, a tester with an accepted key is no workshop yet. A workshop's ticket says so then; while the vehicle is
//! known to drive, nothing does.

use outrider_bus::uds::{Message, Nrc, Request, SecurityStep, ServiceId, Session};
use outrider_types::{EventTypeId, Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use crate::detector::{Run, SpeedReading, limits};
use crate::fold::{Fold, HOLD_OFF_US, Strike, Subject};
use crate::meter::{Leak, TimedMeter};
use crate::observation::{FieldValue, Fields};

/// Testers at work at once.
const TESTERS_MAX: usize = 8;
/// Time in which an answer belongs to a request, in microseconds: P2* of ISO 14229-2 is 5 s.
const ANSWER_US: u64 = 5_000_000;
/// Time without a request after which an ECU falls back to its default session and locks again: S3 of ISO 14229-2.
const SESSION_US: u64 = 5_000_000;

/// Who asks, as the carrier tells testers apart.
pub(crate) trait Tester: Copy + PartialEq {
    /// What the carrier's episodes are about.
    type Subject: Subject;
    /// What an episode of this tester is about.
    fn subject(self) -> Self::Subject;
    /// Fields that name both ends.
    fn fields(self) -> Fields;
}

/// Who a message belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Origin<K> {
    /// The carrier names the tester in both directions.
    Tester(K),
    /// The carrier names the sender only; the tester of an answer is who asked last. The number is the sender's.
    Sender(K, u64),
}

/// State of the vehicle that the rules depend on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Situation {
    pub(crate) speed: Option<SpeedReading>,
    /// Whether the bus carries a speed that should have been read.
    pub(crate) expects_speed: bool,
    /// Whether a workshop is at work, with the vehicle's consent.
    pub(crate) workshop: bool,
    /// Whether an ECU of a vehicle that does not drive is being written: it granted a programming session or a part of a
    /// download, and neither lapsed. Switching off messages before, and a reset behind it, are parts of that.
    pub(crate) flashing: bool,
}

/// Whether the vehicle moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Motion {
    /// The latest speed says so, and it is fresh.
    Driving,
    /// The same, of standing still.
    Standing,
    /// There is a speed to be read, and none is fresh: it was silenced, or sleeps.
    Unknown,
    /// No speed was ever read, and none is expected.
    NoSource,
}

impl Situation {
    fn motion(self, at: VehicleMicros) -> Motion {
        match self.speed.map(|reading| reading.is_driving(at)) {
            Some(Some(true)) => Motion::Driving,
            Some(Some(false)) => Motion::Standing,
            Some(None) => Motion::Unknown,
            None if self.expects_speed => Motion::Unknown,
            None => Motion::NoSource,
        }
    }
}

/// One tester.
#[derive(Debug, Clone, Copy)]
struct Asking<K> {
    who: K,
    last: VehicleMicros,
    seeds: TimedMeter,
    keys: TimedMeter,
    failures: TimedMeter,
    attempts: u32,
    first_attempt: VehicleMicros,
    level: u8,
    /// An ECU accepted its key, and the session has not lapsed since: what it does then is a workshop's work, unless
    /// the vehicle drives.
    unlocked: bool,
    asked: ServiceId,
    sub_function: u8,
    /// Identifier of the latest request that names one, and how many before it were its neighbours.
    did: Option<u16>,
    did_run: Run,
    service_run: Run,
    routine: Option<u16>,
    address: Option<u64>,
}

/// Refused keys that are not yet an attack.
#[derive(Debug, Clone, Copy)]
struct Refused<S> {
    first: VehicleMicros,
    last: VehicleMicros,
    strike: Strike<S>,
}

/// Policy over the conversations of one bus or network.
#[derive(Debug, Clone)]
pub(crate) struct Policy<K: Tester> {
    testers: [Option<Asking<K>>; TESTERS_MAX],
    refusals: TimedMeter,
    refused: Option<Refused<K::Subject>>,
}

impl<K: Tester> Policy<K> {
    pub(crate) const fn new() -> Self {
        Self { testers: [None; TESTERS_MAX], refusals: TimedMeter::EMPTY, refused: None }
    }

    /// Takes one message; bounded by the number of testers.
    pub(crate) fn receive(
        &mut self,
        at: VehicleMicros,
        origin: Origin<K>,
        message: &Message<'_>,
        situation: Situation,
        fold: &mut Fold<K::Subject>,
    ) {
        let Self { testers, refusals, refused } = self;
        let mut conversation = Conversation { at, origin, situation, testers, refused, fold };
        match message {
            Message::Request(request) => conversation.request(request),
            Message::Positive(response) => {
                conversation.positive(response.service, response.unlocked_level().is_some());
            }
            Message::Negative { service, nrc } => {
                if nrc.is_unsupported()
                    && refusals.add(at, Leak::per_seconds(limits::SCAN_HZ, 1), limits::SCAN_REFUSALS)
                {
                    conversation.scan(origin.who(), Some(*service), None);
                }
                conversation.negative(*service, *nrc);
            }
        }
    }

    /// Strikes for a tester that asks for everything.
    pub(crate) fn scan(
        at: VehicleMicros,
        who: K,
        service: Option<ServiceId>,
        did: Option<u16>,
        fold: &mut Fold<K::Subject>,
    ) {
        let mut fields = who.fields();
        if let Some(service) = service {
            fields = fields.int(field::UDS_SERVICE, service.code().into());
        }
        if let Some(did) = did {
            fields = fields.int(field::DID, did.into());
        }
        let event_type = event::DIAG_SERVICE_SCAN;
        fold.strike(at, Strike { event_type, can_id: who.subject(), severity: Severity::Medium, fields });
    }

    /// Says that a key was refused once it is clear that it was no brute force.
    #[inline]
    pub(crate) fn settle(&mut self, now: VehicleMicros, fold: &mut Fold<K::Subject>) {
        let Some(refused) = self.refused else { return };
        if now.micros_since(refused.last) >= HOLD_OFF_US {
            self.finish(fold);
        }
    }

    /// Says at once what [`Self::settle`] holds back.
    pub(crate) fn finish(&mut self, fold: &mut Fold<K::Subject>) {
        let Some(refused) = self.refused.take() else { return };
        fold.strike(refused.first, refused.strike);
        fold.extend(refused.last, refused.strike.event_type, refused.strike.can_id, |_| {});
    }
}

impl<K: Copy> Origin<K> {
    const fn who(self) -> K {
        match self {
            Self::Tester(who) | Self::Sender(who, _) => who,
        }
    }
}

/// One message and what it changes.
struct Conversation<'a, K: Tester> {
    at: VehicleMicros,
    origin: Origin<K>,
    situation: Situation,
    testers: &'a mut [Option<Asking<K>>; TESTERS_MAX],
    refused: &'a mut Option<Refused<K::Subject>>,
    fold: &'a mut Fold<K::Subject>,
}

impl<K: Tester> Conversation<'_, K> {
    fn tester(&mut self) -> Option<&mut Asking<K>> {
        let who = self.origin.who();
        let known = self.testers.iter().position(|slot| slot.is_some_and(|tester| tester.who == who));
        let index = known.or_else(|| {
            let oldest = self.testers.iter().enumerate().min_by_key(|(_, slot)| slot.map(|old| old.last));
            oldest.map(|(index, _)| index)
        })?;
        let slot = self.testers.get_mut(index)?;
        if known.is_none() {
            *slot = Some(Asking {
                who,
                last: self.at,
                seeds: TimedMeter::EMPTY,
                keys: TimedMeter::EMPTY,
                failures: TimedMeter::EMPTY,
                attempts: 0,
                first_attempt: self.at,
                level: 0,
                unlocked: false,
                asked: ServiceId::Unknown(0),
                sub_function: 0,
                did: None,
                did_run: Run::default(),
                service_run: Run::default(),
                routine: None,
                address: None,
            });
        }
        slot.as_mut()
    }

    /// The tester an answer belongs to: the one that asked for this service last, and whom the carrier names if it
    /// does.
    fn asker(&mut self, service: ServiceId) -> Option<&mut Asking<K>> {
        let (at, origin) = (self.at, self.origin);
        let candidates = self.testers.iter_mut().flatten();
        candidates
            .filter(|tester| match origin {
                Origin::Tester(who) => tester.who == who,
                Origin::Sender(..) => true,
            })
            .filter(|tester| tester.asked == service && at.micros_since(tester.last) <= ANSWER_US)
            .max_by_key(|tester| tester.last)
    }

    /// The speed, if the vehicle is known to drive.
    fn driving(&self) -> Option<SpeedReading> {
        self.situation.speed.filter(|reading| reading.is_driving(self.at) == Some(true))
    }

    fn request(&mut self, request: &Request<'_>) {
        let at = self.at;
        let Some(tester) = self.tester() else { return };
        if at.micros_since(tester.last) > SESSION_US {
            tester.unlocked = false;
        }
        tester.last = at;
        note_run(tester, request);
        let (did_run, service_run) = (tester.did_run.steps(), tester.service_run.steps());
        tester.asked = request.service;
        tester.sub_function = request.sub_function.map_or(0, |sub| sub.value);
        tester.routine = request.routine().map(|(_, routine)| routine);
        tester.address = request.memory().map(|range| range.address);
        let did = tester.did;
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
        if did_run >= limits::SCAN_RUN_DIDS {
            self.scan(self.origin.who(), Some(request.service), did);
        } else if service_run >= limits::SCAN_RUN_SERVICES {
            self.scan(self.origin.who(), Some(request.service), None);
        }
        if let Some(session) = request.session().filter(|&session| session != Session::Default) {
            self.session(session);
        }
        if request.service == ServiceId::RequestDownload && self.driving().is_some() {
            self.changed(event::DIAG_REQUEST_DOWNLOAD, self.origin.who(), Severity::High, |fields| fields);
        }
    }

    fn session(&mut self, session: Session) {
        let Some(reading) = self.driving() else { return };
        let who = self.origin.who();
        let fields = who
            .fields()
            .int(field::DIAG_SESSION, session.code().into())
            .int(field::SPEED_KMH, reading.kmh.into())
            .with(field::MOVING, FieldValue::Bool(true));
        self.strike(event::DIAG_SESSION_WHILE_DRIVING, who, Severity::High, fields);
    }

    fn positive(&mut self, service: ServiceId, unlocks: bool) {
        let Some(tester) = self.asker(service) else { return };
        if unlocks {
            tester.seeds.clear();
            tester.keys.clear();
            tester.unlocked = true;
        }
        let tester = *tester;
        let motion = self.situation.motion(self.at);
        let has_ticket = self.situation.workshop && motion != Motion::Driving;
        let severity = |usual: Severity| match motion {
            Motion::Driving => usual,
            Motion::Standing | Motion::NoSource if has_ticket || tester.unlocked => Severity::Low,
            Motion::Unknown if has_ticket => Severity::Low,
            Motion::Unknown if tester.unlocked => usual.min(Severity::Medium),
            Motion::Standing | Motion::Unknown | Motion::NoSource => usual,
        };
        let is_flash = self.situation.flashing && motion != Motion::Driving;
        let part_of_flash = |usual| if is_flash { Severity::Low } else { severity(usual) };
        let sub = |fields: Fields| fields.int(field::UDS_SUBFUNCTION, tester.sub_function.into());
        let number = |key, value: Option<u64>| {
            move |fields: Fields| match value {
                Some(value) => fields.int(key, value),
                None => fields,
            }
        };
        let did = number(field::DID, tester.did.map(u64::from));
        let address = number(field::MEMORY_ADDRESS, tester.address);
        if service == ServiceId::EcuReset {
            self.changed(event::DIAG_ECU_RESET, tester.who, part_of_flash(Severity::Medium), sub);
        } else if service == ServiceId::CommunicationControl && tester.sub_function != 0 {
            self.changed(event::DIAG_COMMUNICATION_CONTROL, tester.who, part_of_flash(Severity::Medium), sub);
        } else if service == ServiceId::RequestDownload {
            self.changed(event::DIAG_REQUEST_DOWNLOAD, tester.who, severity(Severity::High), address);
        } else if has_ticket {
            // What follows is a workshop's ordinary work.
        } else if service == ServiceId::WriteDataByIdentifier {
            self.changed(event::DIAG_WRITE_OUTSIDE_WORKSHOP, tester.who, severity(Severity::High), did);
        } else if service == ServiceId::WriteMemoryByAddress {
            self.changed(event::DIAG_WRITE_OUTSIDE_WORKSHOP, tester.who, severity(Severity::High), address);
        } else if service == ServiceId::InputOutputControlByIdentifier {
            self.changed(event::DIAG_OUTPUT_CONTROL, tester.who, severity(Severity::Medium), did);
        } else if service == ServiceId::RoutineControl && tester.sub_function == 1 {
            let routine = number(field::ROUTINE_ID, tester.routine.map(u64::from));
            self.changed(event::DIAG_ROUTINE_CONTROL, tester.who, severity(Severity::Medium), routine);
        } else if service == ServiceId::ClearDiagnosticInformation {
            self.changed(event::DIAG_DTC_CLEARED, tester.who, Severity::Low, |fields| fields);
        }
    }

    /// Strikes for something that a tester achieved, and says whether the vehicle drives where that is known.
    fn changed(
        &mut self,
        what: EventTypeId,
        who: K,
        severity: Severity,
        detail: impl FnOnce(Fields) -> Fields,
    ) {
        let mut fields = detail(who.fields());
        if let Some(moving) = self.situation.speed.and_then(|reading| reading.is_driving(self.at)) {
            fields = fields.with(field::MOVING, FieldValue::Bool(moving));
        }
        self.strike(what, who, severity, fields);
    }

    fn negative(&mut self, service: ServiceId, nrc: Nrc) {
        if service == ServiceId::Authentication && nrc.is_security() {
            let Some(tester) = self.asker(service) else { return };
            let who = tester.who;
            let fields = who.fields().int(field::UDS_NRC, nrc.code().into());
            self.strike(event::DIAG_AUTHENTICATION_FAILED, who, Severity::Medium, fields);
            return;
        }
        let refusal =
            matches!(nrc, Nrc::InvalidKey | Nrc::ExceededNumberOfAttempts | Nrc::RequiredTimeDelayNotExpired);
        if service != ServiceId::SecurityAccess || !refusal {
            return;
        }
        let at = self.at;
        let Some(tester) = self.asker(service) else { return };
        let leak = Leak::per_seconds(1, limits::KEY_FAILURE_SECONDS);
        let many = tester.failures.add(at, leak, limits::KEY_FAILURES);
        let tester = *tester;
        if many || nrc == Nrc::ExceededNumberOfAttempts {
            self.brute_force(&tester, Some(nrc), "security_access_failures");
            return;
        }
        let subject = tester.who.subject();
        if self.fold.is_open(event::DIAG_SECURITY_ACCESS_BRUTE_FORCE, subject) {
            return;
        }
        let mut fields = tester.who.fields();
        if let Origin::Sender(_, sender) = self.origin {
            fields = fields.int(field::TESTER_ADDRESS, sender);
        }
        let fields = fields
            .int(field::UDS_NRC, nrc.code().into())
            .int(field::SECURITY_LEVEL, tester.level.into())
            .int(field::ATTEMPTS, tester.attempts.into());
        let event_type = event::DIAG_SECURITY_ACCESS_DENIED;
        let strike = Strike { event_type, can_id: subject, severity: Severity::Medium, fields };
        let first = self.refused.as_ref().map_or(at, |refused| refused.first);
        *self.refused = Some(Refused { first, last: at, strike });
    }

    fn brute_force(&mut self, tester: &Asking<K>, nrc: Option<Nrc>, detector: &'static str) {
        *self.refused = None;
        let mut fields = tester
            .who
            .fields()
            .text(field::DETECTOR, detector)
            .int(field::SECURITY_LEVEL, tester.level.into())
            .int(field::ATTEMPTS, tester.attempts.into())
            .int(field::DURATION_US, self.at.micros_since(tester.first_attempt));
        if let Some(nrc) = nrc {
            fields = fields.int(field::UDS_NRC, nrc.code().into());
        }
        let event_type = event::DIAG_SECURITY_ACCESS_BRUTE_FORCE;
        self.strike(event_type, tester.who, Severity::High, fields);
        self.fold.extend(self.at, event_type, tester.who.subject(), |open| {
            for key in [field::ATTEMPTS, field::DURATION_US, field::UDS_NRC] {
                if let Some(value) = fields.value(key) {
                    open.set(key, value);
                }
            }
        });
    }

    fn scan(&mut self, who: K, service: Option<ServiceId>, did: Option<u16>) {
        Policy::scan(self.at, who, service, did, self.fold);
    }

    fn strike(&mut self, event_type: EventTypeId, who: K, severity: Severity, fields: Fields) {
        self.fold.strike(self.at, Strike { event_type, can_id: who.subject(), severity, fields });
    }
}

/// Counts how many requests in a row asked for the neighbour of what the one before asked for, in one direction.
fn note_run<K>(tester: &mut Asking<K>, request: &Request<'_>) {
    if let Some(did) = request.data_identifiers().next() {
        let last = tester.did.replace(did);
        tester.did_run.step(last.unwrap_or(did), did);
    }
    tester.service_run.step(tester.asked.code().into(), request.service.code().into());
}
