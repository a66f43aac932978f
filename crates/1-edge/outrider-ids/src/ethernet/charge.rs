//! Charging: one car, one station, one session, in order and in time.

use outrider_bus::ether::{EtherView, IpAddress, Mac};
use outrider_bus::homeplug::{HomePlugView, Part, Topic};
use outrider_bus::v2g::{self, Facts, Kind, Messages, PayloadType, SessionId, V2gtpView, sdp};
use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::limits;
use super::packet::{Packet, Peer, strike};
use super::streams::{Framed, StreamKey};
use super::supply::Supply;
use super::table::Recent;
use crate::fold::Fold;
use crate::observation::{FieldValue, Fields};

/// Messages of one datagram that are looked at.
const PARTS_MAX: usize = 32;

/// One connection between a car and a station.
#[derive(Debug, Clone, Copy, Default)]
struct Connection {
    session: Option<SessionId>,
    evcc: Option<SessionId>,
    /// Latest request, once the session's beginning was seen.
    request: Option<Kind>,
    /// Loop that is running, and since when.
    phase: Option<(Phase, VehicleMicros)>,
    supply: Supply,
}

/// Loops that end in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    CableCheck,
    PreCharge,
}

/// Discovery of a station.
#[derive(Debug, Clone, Copy)]
struct Search {
    at: VehicleMicros,
    answer: Option<(Mac, IpAddress, sdp::Response)>,
}

/// Charging on one segment.
#[derive(Debug, Clone)]
pub(super) struct Charge {
    search: Option<Search>,
    /// Who confirmed a match last.
    matched: Option<(Mac, VehicleMicros)>,
    /// Where stations said that they wait.
    stations: Recent<(IpAddress, u16), (), 8>,
    connections: Recent<StreamKey, Connection, 8>,
    /// The two stations of each session.
    sessions: Recent<SessionId, (Mac, Mac), 8>,
}

impl Charge {
    pub(super) const fn new() -> Self {
        Self {
            search: None,
            matched: None,
            stations: Recent::new(),
            connections: Recent::new(),
            sessions: Recent::new(),
        }
    }

    /// Returns when a car and a station last spoke.
    pub(super) fn heard(&self) -> Option<VehicleMicros> {
        self.connections.latest()
    }

    /// Takes a HomePlug frame.
    pub(super) fn match_making(&mut self, at: VehicleMicros, frame: &EtherView<'_>, fold: &mut Fold<Peer>) {
        let Some(view) = HomePlugView::new(frame.payload()) else { return };
        match (view.topic(), view.part()) {
            (Topic::Match, Part::Confirmation) => {
                let before = self.matched.replace((frame.source(), at));
                let other = before
                    .filter(|&(mac, then)| mac != frame.source() && at.micros_since(then) < limits::SDP_US);
                if let Some((mac, _)) = other {
                    let fields = Fields::new()
                        .with(field::MAC_ADDRESS, FieldValue::Mac(frame.source()))
                        .with(field::EXPECTED, FieldValue::Mac(mac));
                    anomaly(at, "several_matches", Severity::High, fields, fold);
                }
            }
            (Topic::SetKey, Part::Request) => {
                // Meant for the sender's own modem: one on the line hands a key around, or somebody configures theirs.
                let fields = Fields::new().with(field::MAC_ADDRESS, FieldValue::Mac(frame.source()));
                anomaly(at, "key_set", Severity::Low, fields, fold);
            }
            _ => {}
        }
    }

    /// Takes a datagram and returns whether it was a search for a station. What TCP carries comes to [`Self::framed`].
    pub(super) fn packet(&mut self, packet: &Packet<'_>, fold: &mut Fold<Peer>) -> bool {
        let Some(ports) = packet.ports.filter(|ports| !ports.is_tcp && packet.has_port(sdp::PORT)) else {
            return false;
        };
        Messages::new(ports.payload).take(PARTS_MAX).for_each(|view| self.discovery(packet, &view, fold));
        true
    }

    /// Returns whether a packet is to or from the place that a station gave.
    pub(super) fn is_station(&self, packet: &Packet<'_>) -> bool {
        packet.ports.is_some_and(|ports| {
            self.stations.find((packet.destination, ports.destination)).is_some()
                || self.stations.find((packet.source, ports.source)).is_some()
        })
    }

    /// Takes a message of a stream; of a long one its beginning is enough.
    pub(super) fn framed(&mut self, packet: &Packet<'_>, message: Framed<'_>, fold: &mut Fold<Peer>) {
        let Some(connection) = StreamKey::of(packet).map(StreamKey::connection) else { return };
        let Some(kind) = v2g::payload_type(message.head) else { return };
        let payload = message.head.get(v2g::HEADER_BYTES..).unwrap_or(&[]);
        self.message(packet, connection, kind, payload, fold);
    }

    fn discovery(&mut self, packet: &Packet<'_>, view: &V2gtpView<'_>, fold: &mut Fold<Peer>) {
        let at = packet.at;
        match view.payload_type() {
            PayloadType::SdpRequest => {
                let is_repeat = self.search.is_some_and(|search| at.micros_since(search.at) < limits::SDP_US);
                if !is_repeat {
                    self.search = Some(Search { at, answer: None });
                }
            }
            PayloadType::SdpResponse => {
                let Some(response) = sdp::Response::parse(view.payload()) else { return };
                if !response.tls {
                    self.stations.put(at, (IpAddress::V6(response.ip), response.port), ());
                }
                let answer = (packet.source_mac, packet.source, response);
                let Some(search) = &mut self.search else { return };
                if at.micros_since(search.at) >= limits::SDP_US {
                    return;
                }
                match search.answer {
                    None => search.answer = Some(answer),
                    Some(first) if (first.0, first.1) == (answer.0, answer.1) => {}
                    Some((mac, ..)) => {
                        let fields = packet
                            .source_field()
                            .with(field::MAC_ADDRESS, FieldValue::Mac(packet.source_mac))
                            .with(field::EXPECTED, FieldValue::Mac(mac));
                        anomaly(at, "several_stations", Severity::High, fields, fold);
                    }
                }
            }
            PayloadType::Exi
            | PayloadType::ExiMainstream
            | PayloadType::ExiAc
            | PayloadType::ExiDc
            | PayloadType::ExiAcdp
            | PayloadType::ExiWpt
            | PayloadType::SdpWirelessRequest
            | PayloadType::SdpWirelessResponse
            | PayloadType::Unknown(_) => {}
        }
    }

    fn message(
        &mut self,
        packet: &Packet<'_>,
        key: StreamKey,
        kind: PayloadType,
        payload: &[u8],
        fold: &mut Fold<Peer>,
    ) {
        let at = packet.at;
        let Some(connection) = self.connections.entry(at, key, Connection::default) else { return };
        if let PayloadType::Unknown(code) = kind {
            let fields = packet.source_field().int(field::CHARGE_STATE, code.into());
            anomaly(at, "unknown_type", Severity::Info, fields, fold);
        }
        if kind != PayloadType::Exi {
            return;
        }
        let Some(facts) = Facts::parse(payload) else { return };
        let about = packet.source_field().with(field::MAC_ADDRESS, FieldValue::Mac(packet.source_mac));
        if facts.has_notification {
            anomaly(at, "fault_notified", Severity::Medium, about, fold);
        }
        if facts.response_code.is_some_and(|code| code > 3) {
            anomaly(at, "failed_response", Severity::Low, about, fold);
        }
        connection.identity(packet, &facts, about, fold);
        connection.order(at, &facts, about, fold);
        connection.duration(at, &facts, about, fold);
        let found = facts.kind.and_then(|kind| connection.supply.receive(at, kind, &facts.values));
        if let Some((reason, severity, numbers)) = found {
            let fields = numbers.iter().fold(about, |fields, (key, value)| fields.with(key, value));
            anomaly(at, reason, severity, fields, fold);
        }
        if facts.session.is_zero() {
            return;
        }
        let pair =
            (packet.source_mac.min(packet.destination_mac), packet.source_mac.max(packet.destination_mac));
        let known = self.sessions.find(facts.session);
        match known {
            Some((have, then)) if at.micros_since(then) < limits::SESSION_US && have != pair => {
                // The number is the station's: who repeats it elsewhere passes the session on.
                let fields = about.with(field::EXPECTED, FieldValue::Mac(have.0));
                anomaly(at, "relayed", Severity::High, fields, fold);
            }
            _ => self.sessions.put(at, facts.session, pair),
        }
    }
}

impl Connection {
    /// The session's number stays, and the car is who sends.
    fn identity(&mut self, packet: &Packet<'_>, facts: &Facts, about: Fields, fold: &mut Fold<Peer>) {
        let at = packet.at;
        if let Some(evcc) = facts.evcc_id {
            if evcc.bytes() != packet.source_mac.0 {
                anomaly(at, "foreign_identity", Severity::Medium, about, fold);
            }
            if self.evcc.is_some_and(|before| before != evcc) {
                anomaly(at, "identity_changed", Severity::High, about, fold);
            }
            self.evcc = Some(evcc);
        }
        let sets = matches!(facts.kind, Some(Kind::SessionSetupReq | Kind::SessionSetupRes));
        if facts.session.is_zero() {
            return;
        }
        let changed = self.session.is_some_and(|before| before != facts.session);
        if changed && !sets {
            anomaly(at, "session_changed", Severity::High, about, fold);
        }
        self.session = Some(facts.session);
    }

    fn order(&mut self, at: VehicleMicros, facts: &Facts, about: Fields, fold: &mut Fold<Peer>) {
        let Some(next) = facts.kind.filter(|kind| kind.is_request()) else { return };
        let before = if next == Kind::SessionSetupReq {
            self.request.replace(next)
        } else {
            match &mut self.request {
                Some(request) => Some(core::mem::replace(request, next)),
                None => return,
            }
        };
        if before.is_some_and(|before| !may_follow(before, next)) {
            let fields = about.int(field::CHARGE_STATE, next.code().into());
            anomaly(at, "order", Severity::Medium, fields, fold);
        }
    }

    fn duration(&mut self, at: VehicleMicros, facts: &Facts, about: Fields, fold: &mut Fold<Peer>) {
        let Some(kind) = facts.kind else { return };
        let phase = if matches!(kind, Kind::CableCheckReq | Kind::CableCheckRes) {
            Phase::CableCheck
        } else if matches!(kind, Kind::PreChargeReq | Kind::PreChargeRes) {
            Phase::PreCharge
        } else {
            self.phase = None;
            return;
        };
        let since = match self.phase {
            Some((running, since)) if running == phase => since,
            Some(_) | None => {
                self.phase = Some((phase, at));
                return;
            }
        };
        let (reason, limit) = match phase {
            Phase::CableCheck => ("cable_check_endless", limits::CABLE_CHECK_US),
            Phase::PreCharge => ("precharge_endless", limits::PRECHARGE_US),
        };
        if at.micros_since(since) > limit {
            let fields = about.int(field::DURATION_US, at.micros_since(since));
            anomaly(at, reason, Severity::Medium, fields, fold);
        }
    }
}

/// Requests and what they may come behind (ISO 15118-2, clause 8.8; DIN 70121, clause 9). A repeat and the end of the
/// session may come at any time.
const ORDER: &[(Kind, &[Kind])] = &[
    (Kind::ServiceDiscoveryReq, &[Kind::SessionSetupReq]),
    (Kind::ServiceDetailReq, &[Kind::ServiceDiscoveryReq]),
    (Kind::PaymentSelectionReq, &[Kind::ServiceDiscoveryReq, Kind::ServiceDetailReq]),
    (Kind::CertificateInstallationReq, &[Kind::PaymentSelectionReq]),
    (Kind::CertificateUpdateReq, &[Kind::PaymentSelectionReq]),
    (
        Kind::PaymentDetailsReq,
        &[Kind::PaymentSelectionReq, Kind::CertificateInstallationReq, Kind::CertificateUpdateReq],
    ),
    (Kind::AuthorizationReq, &[Kind::PaymentSelectionReq, Kind::PaymentDetailsReq]),
    (
        Kind::ChargeParameterReq,
        &[
            Kind::AuthorizationReq,
            Kind::PowerDeliveryReq,
            Kind::CurrentDemandReq,
            Kind::ChargingStatusReq,
            Kind::MeteringReceiptReq,
        ],
    ),
    (Kind::CableCheckReq, &[Kind::ChargeParameterReq]),
    (Kind::PreChargeReq, &[Kind::CableCheckReq]),
    (
        Kind::PowerDeliveryReq,
        &[
            Kind::ChargeParameterReq,
            Kind::CableCheckReq,
            Kind::PreChargeReq,
            Kind::CurrentDemandReq,
            Kind::ChargingStatusReq,
            Kind::MeteringReceiptReq,
        ],
    ),
    (Kind::CurrentDemandReq, &[Kind::PowerDeliveryReq, Kind::MeteringReceiptReq]),
    (Kind::ChargingStatusReq, &[Kind::PowerDeliveryReq, Kind::MeteringReceiptReq]),
    (Kind::MeteringReceiptReq, &[Kind::CurrentDemandReq, Kind::ChargingStatusReq, Kind::PowerDeliveryReq]),
    (Kind::WeldingDetectionReq, &[Kind::PowerDeliveryReq]),
];

fn may_follow(before: Kind, next: Kind) -> bool {
    let known = ORDER.iter().find(|(kind, _)| *kind == next);
    before == next
        || next == Kind::SessionStopReq
        || known.is_some_and(|(_, allowed)| allowed.contains(&before))
}

fn anomaly(
    at: VehicleMicros,
    reason: &'static str,
    severity: Severity,
    fields: Fields,
    fold: &mut Fold<Peer>,
) {
    let fields = fields.text(field::REASON, reason);
    strike(fold, at, event::CHARGE_SESSION_ANOMALY, Peer::Rule(reason), severity, fields);
}
