//! Services: who offers, who subscribes, what is called.

use outrider_bus::ether::IpAddress;
use outrider_bus::someip::sd::{Entry, EntryKind, SdOption, SdView};
use outrider_bus::someip::tp::{Reassembler, TpEvent, TpKey};
use outrider_bus::someip::{Header, Message, Messages, ReturnCode, SD_PORT};
use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::limits;
use super::model::{Lists, Method, SegmentModel, Service, Subscription};
use super::packet::{Packet, Peer, strike};
use super::streams::Framed;
use super::table::{Recent, Table};
use crate::fold::Fold;
use crate::meter::{Leak, TimedMeter};
use crate::observation::Fields;

/// Ports of known services.
const PORTS_MAX: usize = 64;
/// Messages and entries of one datagram that are looked at: more than fit an Ethernet frame.
const PARTS_MAX: usize = 96;
/// Two copies of one message this close are a mirror port's doing, in microseconds (guess).
const MIRROR_US: u64 = 10_000;

/// Services on one segment.
#[derive(Debug, Clone)]
pub(super) struct SomeIp {
    is_closed: bool,
    services: Table<Service, { Lists::Services.limit() }>,
    subscriptions: Table<Subscription, { Lists::Subscriptions.limit() }>,
    methods: Table<Method, { Lists::Methods.limit() }>,
    ports: [u16; PORTS_MAX],
    /// Who offers an instance now, and until when.
    offers: Recent<(u16, u16), (IpAddress, VehicleMicros), 64>,
    /// Ports of offers that the model does not have.
    offered_ports: Recent<u16, (), 32>,
    /// Discovery's session numbers by sender, unicast and multicast apart.
    sessions: Recent<(IpAddress, bool), u16, 32>,
    errors: Recent<u16, TimedMeter, 16>,
    segments: Reassembler<4, 4096>,
}

/// The numbers of a sender that a segmented message's key needs.
fn sender_number(ip: IpAddress) -> u32 {
    let bytes: &[u8] = match &ip {
        IpAddress::V4(bytes) => bytes,
        IpAddress::V6(bytes) => bytes,
    };
    crate::crc::crc32c(bytes)
}

impl SomeIp {
    pub(super) fn load(model: &SegmentModel<'_>) -> Self {
        let mut ports = [0; PORTS_MAX];
        let mut len = 0usize;
        for service in model.list::<Service>() {
            let known = ports.iter().take(len).any(|&port| port == service.port);
            if let Some(slot) = ports.get_mut(len).filter(|_| !known && service.port != 0) {
                *slot = service.port;
                len = len.saturating_add(1);
            }
        }
        Self {
            is_closed: model.facts().is_closed,
            services: Table::load(model),
            subscriptions: Table::load(model),
            methods: Table::load(model),
            ports,
            offers: Recent::new(),
            offered_ports: Recent::new(),
            sessions: Recent::new(),
            errors: Recent::new(),
            segments: Reassembler::new(),
        }
    }

    /// Takes a packet and returns whether it was one of a service or of discovery. What TCP carries comes to
    /// [`Self::framed`].
    pub(super) fn packet(&mut self, packet: &Packet<'_>, fold: &mut Fold<Peer>) -> bool {
        let Some(ports) = packet.ports else { return false };
        if packet.has_port(SD_PORT) && !ports.is_tcp {
            for message in Messages::new(ports.payload).take(PARTS_MAX) {
                match message {
                    Ok(message) if message.header.is_discovery() => self.discovery(packet, &message, fold),
                    Ok(_) => {}
                    Err(_) => malformed(packet, ports.payload.len(), "discovery", fold),
                }
            }
            return true;
        }
        if !self.is_service_port(ports.source) && !self.is_service_port(ports.destination) {
            return false;
        }
        if !ports.is_tcp {
            for message in Messages::new(ports.payload).take(PARTS_MAX) {
                match message {
                    Ok(message) => self.message(packet, &message, fold),
                    Err(_) => malformed(packet, ports.payload.len(), "header", fold),
                }
            }
        }
        true
    }

    /// Takes a message of a stream: its header and its length are what is judged.
    pub(super) fn framed(&mut self, packet: &Packet<'_>, message: Framed<'_>, fold: &mut Fold<Peer>) {
        let Ok((header, bytes)) = Header::parse(message.head) else { return };
        if header.is_cookie() {
            return;
        }
        if header.is_segment {
            // Segments are for datagrams (PRS SOME/IP, SOME/IP-TP).
            length(packet, &header, bytes, "segment", Severity::Low, fold);
            return;
        }
        self.judge(packet, &header, bytes, fold);
    }

    fn is_service_port(&self, port: u16) -> bool {
        port != 0 && (self.ports.contains(&port) || self.offered_ports.find(port).is_some())
    }

    fn discovery(&mut self, packet: &Packet<'_>, message: &Message<'_>, fold: &mut Fold<Peer>) {
        let Ok(view) = SdView::new(message.payload) else {
            malformed(packet, message.payload.len(), "discovery", fold);
            return;
        };
        self.session(packet, message.header.session, view.is_rebooted(), fold);
        for entry in view.entries().take(PARTS_MAX) {
            let endpoint = view.options_of(&entry).find_map(|option| match option {
                SdOption::Endpoint(endpoint) => Some(endpoint),
                SdOption::Configuration(_)
                | SdOption::LoadBalancing { .. }
                | SdOption::Multicast(_)
                | SdOption::SdEndpoint(_)
                | SdOption::Unknown { .. } => None,
            });
            let place = Service {
                service: entry.service,
                instance: entry.instance,
                ip: endpoint.map_or(packet.source, |endpoint| endpoint.ip),
                port: endpoint.map_or(0, |endpoint| endpoint.port),
                protocol: endpoint.map_or(0, |endpoint| endpoint.protocol),
            };
            match entry.kind {
                EntryKind::Offer => self.offer(packet, &entry, place, fold),
                EntryKind::Subscribe => self.subscribe(packet, &entry, place, fold),
                EntryKind::Find => self.find(packet, &entry, fold),
                EntryKind::SubscribeAck | EntryKind::Unknown(_) => {}
            }
        }
    }

    /// Session numbers grow by one a message; a number that was there is a copy, unless the sender says it restarted.
    fn session(&mut self, packet: &Packet<'_>, got: u16, is_rebooted: bool, fold: &mut Fold<Peer>) {
        let key = (packet.source, packet.destination.is_group());
        let before = self.sessions.find(key);
        self.sessions.put(packet.at, key, got);
        let Some((last, then)) = before else { return };
        let has_wrapped = last > 0xFF00 && got < 0x100;
        let is_mirrored = got == last && packet.at.micros_since(then) < MIRROR_US;
        // After a restart the numbers begin again at 1; higher ones that go back are a copy all the same.
        let is_restart = is_rebooted && got <= 2;
        if got > last || has_wrapped || is_mirrored || is_restart {
            return;
        }
        let fields = packet
            .source_field()
            .int(field::COUNTER_EXPECTED, u64::from(last).saturating_add(1))
            .int(field::COUNTER_OBSERVED, got.into())
            .text(field::REASON, "discovery_session");
        let peer = Peer::Ip(packet.source);
        strike(fold, packet.at, event::SOMEIP_SESSION_VIOLATION, peer, Severity::Medium, fields);
    }

    fn offer(&mut self, packet: &Packet<'_>, entry: &Entry, place: Service, fold: &mut Fold<Peer>) {
        let (at, key) = (packet.at, (entry.service, entry.instance));
        let other = self.offers.find(key).map(|(offer, _)| offer);
        let is_taken = other.is_some_and(|(ip, until)| ip != packet.source && at < until);
        let is_known =
            if entry.is_stop() { self.owns(entry, packet.source) } else { self.services.has(&place) };
        let detector = if self.is_closed && !is_known {
            Some("allow_list")
        } else if is_taken && !self.owns(entry, packet.source) {
            Some("second_offer")
        } else if !is_known && place.ip != packet.source {
            Some("foreign_endpoint")
        } else {
            None
        };
        let Some(detector) = detector else {
            self.note_offer(packet, entry, &place);
            return;
        };
        let severity = if self.services.is_empty() && !is_taken { Severity::Medium } else { Severity::High };
        let fields = packet
            .source_field()
            .int(field::SERVICE_ID, entry.service.into())
            .int(field::INSTANCE_ID, entry.instance.into())
            .with(field::MAC_ADDRESS, crate::FieldValue::Mac(packet.source_mac))
            .text(field::DETECTOR, detector);
        let peer = Peer::Ip(packet.source);
        strike(fold, at, event::SOMEIP_UNAUTHORISED_OFFER, peer, severity, fields);
    }

    /// Returns whether an address owns an instance by the model.
    fn owns(&self, entry: &Entry, ip: IpAddress) -> bool {
        let wanted = (entry.service, entry.instance, ip);
        let row = self.services.first(|row| (row.service, row.instance, row.ip) < wanted);
        row.is_some_and(|row| (row.service, row.instance, row.ip) == wanted)
    }

    fn note_offer(&mut self, packet: &Packet<'_>, entry: &Entry, place: &Service) {
        let key = (entry.service, entry.instance);
        if entry.is_stop() {
            self.offers.remove(key);
            return;
        }
        let hold = u64::from(entry.ttl_s).saturating_mul(1_000_000).min(limits::OFFER_MAX_US);
        self.offers.put(packet.at, key, (packet.source, packet.at.saturating_add(hold)));
        if place.port != 0 && !self.ports.contains(&place.port) {
            self.offered_ports.put(packet.at, place.port, ());
        }
    }

    fn subscribe(&mut self, packet: &Packet<'_>, entry: &Entry, place: Service, fold: &mut Fold<Peer>) {
        let subscription = Subscription {
            service: entry.service,
            instance: entry.instance,
            group: entry.event_group().unwrap_or(0),
            ip: packet.source,
        };
        let detector = if self.is_closed && !self.subscriptions.has(&subscription) {
            "allow_list"
        } else if place.ip != packet.source {
            "foreign_endpoint"
        } else {
            return;
        };
        let fields = packet
            .source_field()
            .int(field::SERVICE_ID, entry.service.into())
            .int(field::INSTANCE_ID, entry.instance.into())
            .text(field::DETECTOR, detector);
        let what = event::SOMEIP_UNAUTHORISED_SUBSCRIBE;
        strike(fold, packet.at, what, Peer::Ip(packet.source), Severity::Medium, fields);
    }

    fn find(&self, packet: &Packet<'_>, entry: &Entry, fold: &mut Fold<Peer>) {
        let row = self.services.first(|row| row.service < entry.service);
        let is_known = row.is_some_and(|row| row.service == entry.service);
        // A client may look for a service that this vehicle does not have; many are a search.
        if !self.is_closed || is_known || entry.service == u16::MAX {
            return;
        }
        let fields =
            packet.source_field().int(field::SERVICE_ID, entry.service.into()).text(field::DETECTOR, "find");
        let what = event::SOMEIP_UNAUTHORISED_SUBSCRIBE;
        strike(fold, packet.at, what, Peer::Ip(packet.source), Severity::Low, fields);
    }

    fn message(&mut self, packet: &Packet<'_>, message: &Message<'_>, fold: &mut Fold<Peer>) {
        let header = message.header;
        if !header.is_segment {
            self.judge(packet, &header, message.payload.len(), fold);
            return;
        }
        let key = TpKey::new(sender_number(packet.source), message);
        let whole = match self.segments.receive(packet.at, key, message.payload) {
            TpEvent::Whole(payload) => payload.len(),
            TpEvent::Pending => return,
            TpEvent::Rejected(_) => {
                length(packet, &header, message.payload.len(), "segment", Severity::Low, fold);
                return;
            }
        };
        self.judge(packet, &header, whole, fold);
    }

    /// Judges a whole message by the model.
    fn judge(&mut self, packet: &Packet<'_>, header: &Header, bytes: usize, fold: &mut Fold<Peer>) {
        self.refusal(packet, header, fold);
        if header.is_discovery() || self.methods.is_empty() {
            return;
        }
        let probe = Method { service: header.service, method: header.method, ..Method::default() };
        let known = self.methods.position(&probe).and_then(|index| self.methods.row(index)).copied();
        let Some(known) = known else {
            unknown_method(packet, header, "allow_list", fold);
            return;
        };
        // An error answer has no payload of the method's.
        let is_refused = header.return_code != ReturnCode::Ok;
        if is_refused {
            return;
        }
        if known.interface_version != header.interface_version {
            unknown_method(packet, header, "interface_version", fold);
        }
        let got = u32::try_from(bytes).unwrap_or(u32::MAX);
        let is_fixed = known.bytes_min == known.bytes_max;
        let longest =
            known.bytes_max.saturating_mul(limits::LENGTH_FACTOR).saturating_add(limits::LENGTH_BYTES);
        if is_fixed && got != known.bytes_max || got > longest {
            length(packet, header, bytes, "size", Severity::Medium, fold);
        }
    }

    /// Counts answers that say somebody guesses.
    fn refusal(&mut self, packet: &Packet<'_>, header: &Header, fold: &mut Fold<Peer>) {
        let guesses = matches!(
            header.return_code,
            ReturnCode::UnknownService
                | ReturnCode::UnknownMethod
                | ReturnCode::WrongInterfaceVersion
                | ReturnCode::MalformedMessage
        );
        if !guesses {
            return;
        }
        let limit = limits::METHOD_ERRORS;
        let Some(meter) = self.errors.entry(packet.at, header.service, || TimedMeter::EMPTY) else { return };
        if meter.add(packet.at, Leak::per_seconds(limit, limits::DOIP_WINDOW_S), limit) {
            unknown_method(packet, header, "errors", fold);
        }
    }
}

fn about(packet: &Packet<'_>, header: &Header) -> Fields {
    packet
        .source_field()
        .int(field::SERVICE_ID, header.service.into())
        .int(field::METHOD_ID, header.method.into())
}

fn unknown_method(packet: &Packet<'_>, header: &Header, detector: &'static str, fold: &mut Fold<Peer>) {
    let fields =
        about(packet, header).int(field::CLIENT_ID, header.client.into()).text(field::DETECTOR, detector);
    let peer = Peer::Ip(packet.source);
    strike(fold, packet.at, event::SOMEIP_UNKNOWN_METHOD, peer, Severity::Medium, fields);
}

fn length(
    packet: &Packet<'_>,
    header: &Header,
    bytes: usize,
    detector: &'static str,
    severity: Severity,
    fold: &mut Fold<Peer>,
) {
    let size = u64::try_from(bytes).unwrap_or(u64::MAX);
    let fields = about(packet, header).int(field::SIZE_BYTES, size).text(field::DETECTOR, detector);
    strike(fold, packet.at, event::SOMEIP_LENGTH_VIOLATION, Peer::Ip(packet.source), severity, fields);
}

/// Strikes for a datagram on a service's port that is no message.
fn malformed(packet: &Packet<'_>, bytes: usize, detector: &'static str, fold: &mut Fold<Peer>) {
    let size = u64::try_from(bytes).unwrap_or(u64::MAX);
    let fields = packet.source_field().int(field::SIZE_BYTES, size).text(field::DETECTOR, detector);
    let peer = Peer::Ip(packet.source);
    strike(fold, packet.at, event::SOMEIP_LENGTH_VIOLATION, peer, Severity::Medium, fields);
}
