//! Tests of the Ethernet detectors: each attack has a near miss beside it.

extern crate std;

mod streams;

use outrider_bus::doip::{ActivationCode, Message as DoipMessage};
use outrider_bus::ether::{IpAddress, Mac};
use outrider_bus::neighbour::{ArpPacket, Operation};
use outrider_bus::plca::{Counters, Reading};
use outrider_bus::someip::sd::{self, Endpoint, Entry, EntryKind, SdOption};
use outrider_bus::someip::{Header, Message, MessageKind, ReturnCode, SD_METHOD, SD_PORT, SD_SERVICE};
use outrider_bus::v2g::{PayloadType, emit as v2gtp, sdp};
use outrider_types::{EventTypeId, Severity};
use outrider_wire::catalogue::event;
use proptest::prelude::*;
use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use super::model::{
    Binding, EtherTypeFact, EthernetModel, Flow, Host, Method, SegmentDraft, SegmentFacts, Service,
    Subscription, TesterFact, encoded_bytes, write,
};
use super::*;
use crate::model::ModelHead;

const SERVER: Station = Station { mac: Mac([2, 0, 0, 0, 0, 1]), ip: [10, 0, 0, 1] };
const CLIENT: Station = Station { mac: Mac([2, 0, 0, 0, 0, 2]), ip: [10, 0, 0, 2] };
const TESTER: Station = Station { mac: Mac([2, 0, 0, 0, 0, 3]), ip: [10, 0, 0, 3] };
const STRANGER: Station = Station { mac: Mac([2, 0, 0, 0, 0, 9]), ip: [10, 0, 0, 9] };
const GROUP: Station = Station { mac: Mac([1, 0, 0x5E, 0, 0, 1]), ip: [224, 0, 0, 1] };

#[derive(Clone, Copy)]
struct Station {
    mac: Mac,
    ip: [u8; 4],
}

impl Station {
    const fn address(self) -> IpAddress {
        IpAddress::V4(self.ip)
    }
}

fn frame(from: Station, to: Station, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = to.mac.0.to_vec();
    bytes.extend(from.mac.0);
    bytes.extend(ethertype.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn packet(from: Station, to: Station, protocol: u8, transport: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + transport.len()).expect("short");
    let mut ip = vec![0x45, 0];
    ip.extend(total.to_be_bytes());
    ip.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
    ip.extend(from.ip);
    ip.extend(to.ip);
    ip.extend(transport);
    frame(from, to, 0x0800, &ip)
}

fn udp(from: Station, to: Station, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut bytes = ports.0.to_be_bytes().to_vec();
    bytes.extend(ports.1.to_be_bytes());
    bytes.extend(u16::try_from(8 + payload.len()).expect("short").to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    packet(from, to, 17, &bytes)
}

#[derive(Clone, Copy)]
struct Tcp {
    ports: (u16, u16),
    sequence: u32,
    flags: u8,
}

fn tcp(from: Station, to: Station, head: Tcp, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head.ports.0.to_be_bytes().to_vec();
    bytes.extend(head.ports.1.to_be_bytes());
    bytes.extend(head.sequence.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 0x50, head.flags, 0xFF, 0xFF, 0, 0, 0, 0]);
    bytes.extend(payload);
    packet(from, to, 6, &bytes)
}

/// A network of three stations with one service and one tester.
fn model(is_closed: bool) -> Vec<u8> {
    let hosts: Vec<Host> =
        [GROUP, SERVER, CLIENT, TESTER].iter().map(|station| Host { mac: station.mac }).collect();
    let bindings: Vec<Binding> = [SERVER, CLIENT, TESTER]
        .iter()
        .map(|station| Binding { ip: station.address(), mac: station.mac })
        .collect();
    let flow = |from: Station, to: Station, protocol, port| Flow {
        source: from.address(),
        destination: to.address(),
        protocol,
        port,
        bytes_max: 1000,
        packets_max: 10,
    };
    let mut flows = vec![
        flow(SERVER, GROUP, 17, SD_PORT),
        flow(CLIENT, SERVER, 17, SD_PORT),
        flow(SERVER, CLIENT, 17, 30501),
        flow(CLIENT, SERVER, 17, 30501),
        flow(TESTER, SERVER, 6, 13400),
        flow(SERVER, TESTER, 6, 13400),
    ];
    flows.sort();
    let draft = SegmentDraft {
        facts: SegmentFacts { bus: BusId(7), is_closed, captures: 1, packets_max: 100, bytes_max: 10_000 },
        hosts: &hosts,
        ethertypes: &[0x0800, 0x0806, 0x88E1].map(|ethertype| EtherTypeFact { ethertype }),
        bindings: &bindings,
        services: &[Service {
            service: 0x1234,
            instance: 1,
            ip: SERVER.address(),
            port: 30501,
            protocol: 17,
        }],
        subscriptions: &[Subscription { service: 0x1234, instance: 1, group: 5, ip: CLIENT.address() }],
        methods: &[Method { service: 0x1234, method: 1, interface_version: 1, bytes_min: 4, bytes_max: 4 }],
        testers: &[TesterFact { address: 0x0E80, ip: TESTER.address() }],
        flows: &flows,
        ..SegmentDraft::default()
    };
    let mut out = vec![0; encoded_bytes(&[draft])];
    write(&ModelHead::default(), &[draft], &mut out).expect("consistent");
    out
}

struct Bench {
    detector: Box<EthernetDetector>,
    at: u64,
}

impl Bench {
    fn new(is_closed: bool) -> Self {
        let bytes = model(is_closed);
        let model = EthernetModel::parse(&bytes).expect("just written");
        let segment = model.segments().next().expect("one segment");
        Self { detector: Box::new(EthernetDetector::new(&segment)), at: 0 }
    }

    /// Feeds a frame 100 ms after the one before and returns what it opened or made worse.
    fn feed(&mut self, bytes: &[u8]) -> Vec<(EventTypeId, Severity)> {
        self.feed_after(100_000, bytes)
    }

    fn feed_after(&mut self, gap_us: u64, bytes: &[u8]) -> Vec<(EventTypeId, Severity)> {
        self.at += gap_us;
        self.detector.receive(VehicleMicros(self.at), bytes);
        self.said()
    }

    fn said(&mut self) -> Vec<(EventTypeId, Severity)> {
        core::iter::from_fn(|| self.detector.pop())
            .filter(|seen| seen.phase != crate::Phase::Closed)
            .map(|seen| (seen.event_type, seen.severity))
            .collect()
    }
}

fn arp(from: Station, mac: Mac, ip: [u8; 4]) -> Vec<u8> {
    let mut out = [0; 28];
    let packet = ArpPacket {
        operation: Operation::Reply,
        sender_mac: mac,
        sender_ip: ip,
        target_mac: CLIENT.mac,
        target_ip: CLIENT.ip,
    };
    packet.emit(&mut out).expect("fits");
    frame(from, CLIENT, 0x0806, &out)
}

#[test]
fn a_binding_that_moves_is_spoofed_and_one_that_stays_is_not() {
    let mut bench = Bench::new(true);
    assert_eq!(bench.feed(&arp(SERVER, SERVER.mac, SERVER.ip)), []);
    let seen = bench.feed(&arp(CLIENT, CLIENT.mac, SERVER.ip));
    assert_eq!(seen, [(event::ETH_ARP_SPOOFING, Severity::High)]);
    let seen = bench.feed(&udp(Station { mac: CLIENT.mac, ..TESTER }, SERVER, (30501, 30501), &[]));
    assert_eq!(seen[0], (event::ETH_ARP_SPOOFING, Severity::High), "a packet with another's address");
    let mut open = Bench::new(false);
    assert_eq!(open.feed(&arp(SERVER, SERVER.mac, [1, 2, 3, 4])), []);
    assert_eq!(open.feed_after(limits::CLAIM_US, &arp(CLIENT, CLIENT.mac, [1, 2, 3, 4])), [], "a new lease");
    assert_eq!(
        open.feed(&arp(SERVER, SERVER.mac, [1, 2, 3, 4])),
        [(event::ETH_ARP_SPOOFING, Severity::High)]
    );
    let mut open = Bench::new(false);
    let seen = open.feed(&arp(STRANGER, SERVER.mac, SERVER.ip));
    assert_eq!(seen, [(event::ETH_ARP_SPOOFING, Severity::Medium)], "speaks for somebody else");
}

#[test]
fn a_link_local_address_that_two_stations_use_is_relayed() {
    let from = |mac| udp(Station { mac, ip: [169, 254, 0, 1] }, SERVER, (50000, 50001), &[]);
    let mut bench = Bench::new(false);
    assert_eq!(bench.feed(&from(CLIENT.mac)), []);
    assert_eq!(bench.feed(&from(STRANGER.mac)), [(event::ETH_ARP_SPOOFING, Severity::High)]);
    let mut later = Bench::new(false);
    later.feed(&from(CLIENT.mac));
    assert_eq!(later.feed_after(limits::TWO_STATIONS_US, &from(STRANGER.mac)), [], "the next car");
    let routed = |mac| udp(Station { mac, ip: [10, 1, 1, 1] }, SERVER, (50000, 50001), &[]);
    let mut bench = Bench::new(false);
    bench.feed(&routed(CLIENT.mac));
    assert_eq!(bench.feed(&routed(STRANGER.mac)), [], "two routers may forward one address");
}

#[test]
fn strangers_types_vlans_and_flows_are_named_on_a_closed_segment_only() {
    let mut bench = Bench::new(true);
    let seen = bench.feed(&udp(STRANGER, SERVER, (30501, 30501), &[]));
    assert_eq!(
        seen,
        [(event::ETH_UNKNOWN_HOST, Severity::Medium), (event::ETH_UNEXPECTED_FLOW, Severity::Medium)]
    );
    let seen = bench.feed(&frame(CLIENT, SERVER, 0x1234, &[0; 4]));
    assert_eq!(seen, [(event::ETH_UNKNOWN_ETHERTYPE, Severity::Low)]);
    let mut tagged = vec![0; 4];
    tagged[1] = 9;
    tagged[2] = 8;
    let seen = bench.feed(&frame(CLIENT, SERVER, 0x8100, &tagged));
    assert_eq!(seen, [(event::ETH_VLAN_VIOLATION, Severity::Medium)]);
    assert_eq!(bench.feed(&udp(CLIENT, SERVER, (40000, 30501), &[0; 0])).len(), 0, "a known flow");
    let mut open = Bench::new(false);
    assert_eq!(open.feed(&udp(STRANGER, SERVER, (50000, 50001), &[])), []);
}

#[test]
fn a_flow_far_above_its_baseline_is_said_once_a_second_and_a_busy_one_is_not() {
    let mut bench = Bench::new(true);
    let large = udp(TESTER, SERVER, (13401, 13402), &[0; 10]);
    assert_eq!(bench.feed(&large), [(event::ETH_UNEXPECTED_FLOW, Severity::Medium)]);
    let usual = tcp(TESTER, SERVER, Tcp { ports: (50000, 13400), sequence: 1, flags: 16 }, &[]);
    let mut seen = Vec::new();
    for _ in 0..240 {
        seen.extend(bench.feed_after(1000, &usual));
    }
    assert_eq!(seen, [], "ten a second are the baseline, 240 are its limit");
    for _ in 0..10 {
        seen.extend(bench.feed_after(1000, &usual));
    }
    assert_eq!(seen, [(event::ETH_VOLUME_ANOMALY, Severity::Low)]);
}

fn doip(from: Station, to: Station, sequence: u32, message: &DoipMessage<'_>) -> Vec<u8> {
    let mut out = [0; 100];
    let length = message.emit(2, &mut out).expect("fits");
    let ports = if from.ip == SERVER.ip { (13400, 50000) } else { (50000, 13400) };
    tcp(from, to, Tcp { ports, sequence, flags: 24 }, &out[..length])
}

fn uds(from: Station, sequence: u32, data: &[u8]) -> Vec<u8> {
    let tester = 0x0E80;
    if from.ip == SERVER.ip {
        doip(SERVER, TESTER, sequence, &DoipMessage::Diagnostic { source: 0x1000, target: tester, data })
    } else {
        doip(from, SERVER, sequence, &DoipMessage::Diagnostic { source: tester, target: 0x1000, data })
    }
}

#[test]
fn a_known_tester_is_welcome_and_others_are_not() {
    let mut bench = Bench::new(true);
    let activation = |tester| DoipMessage::ActivationRequest { tester, activation_type: 0, oem: None };
    assert_eq!(bench.feed(&doip(TESTER, SERVER, 1, &activation(0x0E80))), []);
    let seen = bench.feed(&doip(TESTER, SERVER, 16, &activation(0x0E99)));
    assert_eq!(seen, [(event::DOIP_UNKNOWN_TESTER, Severity::High)]);
    let seen = bench.feed(&doip(CLIENT, SERVER, 1, &activation(0x0E80)));
    assert!(seen.contains(&(event::DOIP_UNKNOWN_TESTER, Severity::High)), "another's address: {seen:?}");
    let refused = DoipMessage::ActivationResponse {
        tester: 0x0E99,
        entity: 0x1000,
        code: ActivationCode::UnknownSource,
        oem: None,
    };
    let seen = bench.feed(&doip(SERVER, TESTER, 1, &refused));
    assert_eq!(seen, [(event::DOIP_ROUTING_ACTIVATION_DENIED, Severity::Medium)]);
}

#[test]
fn a_flood_of_connections_is_told_from_a_few() {
    let mut bench = Bench::new(true);
    let open = |port| tcp(TESTER, SERVER, Tcp { ports: (port, 13400), sequence: 0, flags: 2 }, &[]);
    let few: Vec<_> = (0..6).flat_map(|port| bench.feed(&open(50000 + port))).collect();
    assert_eq!(few, []);
    let many: Vec<_> = (0..9).flat_map(|port| bench.feed(&open(51000 + port))).collect();
    assert_eq!(many, [(event::DOIP_ENTITY_FLOOD, Severity::Medium)]);
}

#[test]
fn refused_keys_over_doip_are_a_brute_force() {
    let mut bench = Bench::new(true);
    let mut seen = Vec::new();
    let (mut asked, mut answered) = (1, 1);
    for _ in 0..4 {
        for (from, data) in [
            (TESTER, &[0x27, 1][..]),
            (SERVER, &[0x67, 1, 9, 9]),
            (TESTER, &[0x27, 2, 1, 2]),
            (SERVER, &[0x7F, 0x27, 0x35]),
        ] {
            let sequence = if from.ip == SERVER.ip { &mut answered } else { &mut asked };
            seen.extend(bench.feed(&uds(from, *sequence, data)));
            *sequence += 12 + u32::try_from(data.len()).expect("short");
        }
    }
    assert_eq!(seen, [(event::DIAG_SECURITY_ACCESS_BRUTE_FORCE, Severity::High)]);
}

#[test]
fn writes_and_scans_are_a_workshops_business() {
    let write = |bench: &mut Bench| {
        let mut seen = bench.feed(&uds(TESTER, 1, &[0x2E, 0xF1, 0x90, 1]));
        seen.extend(bench.feed(&uds(SERVER, 1, &[0x6E, 0xF1, 0x90])));
        seen
    };
    assert_eq!(write(&mut Bench::new(true)), [(event::DIAG_WRITE_OUTSIDE_WORKSHOP, Severity::High)]);
    let mut workshop = Bench::new(true);
    workshop.detector.set_workshop(true);
    assert_eq!(write(&mut workshop), []);
    let mut bench = Bench::new(true);
    let mut scan = |count: u8| {
        let requests = (0..count).map(|did| uds(TESTER, 1 + 15 * u32::from(did), &[0x22, 0xF1, did]));
        requests.collect::<Vec<_>>().iter().flat_map(|request| bench.feed(request)).collect::<Vec<_>>()
    };
    assert_eq!(scan(16), []);
    let mut bench = Bench::new(true);
    let found: Vec<_> = (0..17u8)
        .flat_map(|did| bench.feed(&uds(TESTER, 1 + 15 * u32::from(did), &[0x22, 0xF1, did])))
        .collect();
    assert_eq!(found, [(event::DIAG_SERVICE_SCAN, Severity::Medium)]);
}

#[test]
fn a_session_is_refused_while_the_car_drives() {
    let mut bench = Bench::new(true);
    bench.detector.observe_speed(SpeedReading { at: VehicleMicros(0), kmh: 50 });
    assert_eq!(
        bench.feed(&uds(TESTER, 1, &[0x10, 2])),
        [(event::DIAG_SESSION_WHILE_DRIVING, Severity::High)]
    );
    let mut parked = Bench::new(true);
    assert_eq!(parked.feed(&uds(TESTER, 1, &[0x10, 2])), []);
}

#[test]
fn messages_behind_one_that_goes_on_are_still_found() {
    let mut bench = Bench::new(true);
    let mut first = [0; 60];
    let long = DoipMessage::Diagnostic { source: 0x0E80, target: 0x1000, data: &[0x22; 40] };
    let length = long.emit(2, &mut first).expect("fits");
    let head = |sequence| Tcp { ports: (50000, 13400), sequence, flags: 24 };
    assert_eq!(bench.feed(&tcp(TESTER, SERVER, head(100), &first[..30])), []);
    let mut second = first[30..length].to_vec();
    let stranger = DoipMessage::ActivationRequest { tester: 0x0E99, activation_type: 0, oem: None };
    let mut out = [0; 20];
    let more = stranger.emit(2, &mut out).expect("fits");
    second.extend(&out[..more]);
    let again = tcp(TESTER, SERVER, head(130), &second);
    assert_eq!(bench.feed(&again), [(event::DOIP_UNKNOWN_TESTER, Severity::High)]);
    bench.at += 10_000_000;
    bench.detector.tick(VehicleMicros(bench.at));
    let _ = bench.said();
    assert_eq!(bench.feed(&again), [], "a repeat says nothing");
}

fn entry(kind: EntryKind, last: u32) -> Entry {
    Entry {
        kind,
        first_run: (0, 1),
        second_run: (0, 0),
        service: 0x1234,
        instance: 1,
        major_version: 1,
        ttl_s: 3,
        last,
    }
}

fn discovery(from: Station, to: Station, session: u16, entry: Entry, ip: IpAddress) -> Vec<u8> {
    let endpoint = SdOption::Endpoint(Endpoint { ip, protocol: 17, port: 30501 });
    let mut payload = [0; 100];
    let length = sd::emit(session == 1, &[entry], &[endpoint], &mut payload).expect("fits");
    let header = Header {
        service: SD_SERVICE,
        method: SD_METHOD,
        client: 0,
        session,
        interface_version: 1,
        kind: MessageKind::Notification,
        is_segment: false,
        return_code: ReturnCode::Ok,
    };
    let mut out = [0; 140];
    let length = Message { header, payload: &payload[..length] }.emit(&mut out).expect("fits");
    udp(from, to, (SD_PORT, SD_PORT), &out[..length])
}

#[test]
fn offers_and_subscriptions_are_their_owners_business() {
    let mut bench = Bench::new(true);
    let offer = entry(EntryKind::Offer, 0);
    assert_eq!(bench.feed(&discovery(SERVER, GROUP, 1, offer, SERVER.address())), []);
    assert_eq!(bench.feed(&discovery(SERVER, GROUP, 2, offer, SERVER.address())), []);
    let seen = bench.feed(&discovery(SERVER, GROUP, 2, offer, SERVER.address()));
    assert_eq!(seen, [(event::SOMEIP_SESSION_VIOLATION, Severity::Medium)], "a copy");
    let seen = bench.feed(&discovery(CLIENT, SERVER, 1, offer, CLIENT.address()));
    assert_eq!(seen, [(event::SOMEIP_UNAUTHORISED_OFFER, Severity::High)]);
    let subscribe = entry(EntryKind::Subscribe, 5);
    assert_eq!(bench.feed(&discovery(CLIENT, SERVER, 2, subscribe, CLIENT.address())), []);
    let seen = bench.feed(&discovery(CLIENT, SERVER, 3, entry(EntryKind::Subscribe, 6), CLIENT.address()));
    assert_eq!(seen, [(event::SOMEIP_UNAUTHORISED_SUBSCRIBE, Severity::Medium)], "another group");
    let mut open = Bench::new(false);
    assert_eq!(open.feed(&discovery(SERVER, GROUP, 1, offer, SERVER.address())), []);
    let seen = open.feed(&discovery(STRANGER, GROUP, 1, offer, STRANGER.address()));
    assert_eq!(seen, [(event::SOMEIP_UNAUTHORISED_OFFER, Severity::High)], "two offer one instance");
    let mut open = Bench::new(false);
    assert_eq!(open.feed(&discovery(SERVER, GROUP, 1, offer, SERVER.address())), []);
    let late = discovery(STRANGER, GROUP, 1, offer, STRANGER.address());
    assert_eq!(open.feed_after(3_000_001, &late), [], "the first offer has lapsed");
}

fn call(method: u16, version: u8, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        service: 0x1234,
        method,
        client: 1,
        session: 1,
        interface_version: version,
        kind: MessageKind::Request,
        is_segment: false,
        return_code: ReturnCode::Ok,
    };
    let mut out = [0; 100];
    let length = Message { header, payload }.emit(&mut out).expect("fits");
    udp(CLIENT, SERVER, (40000, 30501), &out[..length])
}

#[test]
fn methods_have_their_versions_and_lengths() {
    let mut bench = Bench::new(true);
    assert_eq!(bench.feed(&call(1, 1, &[0; 4])), []);
    assert_eq!(bench.feed(&call(2, 1, &[0; 4])), [(event::SOMEIP_UNKNOWN_METHOD, Severity::Medium)]);
    assert_eq!(bench.feed(&call(1, 1, &[0; 5])), [(event::SOMEIP_LENGTH_VIOLATION, Severity::Medium)]);
    let mut bench = Bench::new(true);
    assert_eq!(bench.feed(&call(1, 2, &[0; 4])), [(event::SOMEIP_UNKNOWN_METHOD, Severity::Medium)]);
    let cut = udp(CLIENT, SERVER, (40000, 30501), &[0x12, 0x34, 0, 1, 0, 0, 1, 0]);
    assert_eq!(bench.feed(&cut), [(event::SOMEIP_LENGTH_VIOLATION, Severity::Medium)]);
}

#[test]
fn a_write_with_an_accepted_key_is_a_workshops_only_where_the_vehicle_is_known_to_stand() {
    let write = |speed: Option<(u64, u16)>, workshop| {
        let mut bench = Bench::new(true);
        bench.detector.set_workshop(workshop);
        if let Some((at, kmh)) = speed {
            bench.detector.observe_speed(crate::SpeedReading { at: VehicleMicros(at), kmh });
        }
        bench.at = 10_000_000;
        let (mut asked, mut answered) = (1, 1);
        let mut seen = Vec::new();
        for (from, data) in [
            (TESTER, &[0x27, 1][..]),
            (SERVER, &[0x67, 1, 9, 9]),
            (TESTER, &[0x27, 2, 1, 2]),
            (SERVER, &[0x67, 2]),
            (TESTER, &[0x2E, 0xF1, 0x90, 1]),
            (SERVER, &[0x6E, 0xF1, 0x90]),
        ] {
            let sequence = if from.ip == SERVER.ip { &mut answered } else { &mut asked };
            seen.extend(bench.feed(&uds(from, *sequence, data)));
            *sequence += 12 + u32::try_from(data.len()).expect("short");
        }
        assert!(seen.len() <= 1, "{seen:?}");
        seen.first().map(|&(_, severity)| severity)
    };
    let fresh = 10_000_000;
    assert_eq!(write(Some((fresh, 0)), false), Some(Severity::Low), "it stands");
    assert_eq!(write(Some((fresh, 80)), false), Some(Severity::High), "it drives");
    assert_eq!(write(Some((0, 0)), false), Some(Severity::Medium), "the speed fell silent");
    assert_eq!(write(None, false), Some(Severity::Low), "there is no speed to be read");
    assert_eq!(write(Some((0, 0)), true), None, "a ticket");
    assert_eq!(write(Some((fresh, 80)), true), Some(Severity::High), "no ticket is for driving");
}

#[test]
fn two_stations_that_answer_one_car_are_one_too_many() {
    let answer = |from: Station| {
        let mut out = [0; 40];
        let payload = sdp::Response { ip: [from.ip[3]; 16], port: 50000, tls: false }.emit();
        let length = v2gtp(PayloadType::SdpResponse, &payload, &mut out).expect("fits");
        udp(from, CLIENT, (sdp::PORT, 50000), &out[..length])
    };
    let mut out = [0; 40];
    let length = v2gtp(PayloadType::SdpRequest, &sdp::Request { tls: false }.emit(), &mut out).expect("fits");
    let request = udp(CLIENT, GROUP, (50000, sdp::PORT), &out[..length]);
    let mut bench = Bench::new(false);
    assert_eq!(bench.feed(&request), []);
    assert_eq!(bench.feed(&answer(SERVER)), []);
    assert_eq!(bench.feed(&answer(SERVER)), [], "a repeat");
    assert_eq!(bench.feed(&answer(STRANGER)), [(event::CHARGE_SESSION_ANOMALY, Severity::High)]);
    let mut later = Bench::new(false);
    later.feed(&request);
    later.feed(&answer(SERVER));
    later.feed_after(limits::SDP_US, &request);
    assert_eq!(later.feed(&answer(STRANGER)), [], "the next station's own search");
}

/// EXI of a DIN message: root, session number, kind, and what follows.
fn exi(session: u64, kind: u64, rest: &[(u64, u32)]) -> Vec<u8> {
    let mut fields =
        vec![(0x80, 8), (77, 7), (0, 3), (8, 8), (session, 64), (0, 1), (2, 2), (0, 1), (kind, 6)];
    fields.extend(rest);
    let bits: Vec<bool> = fields
        .iter()
        .flat_map(|&(value, count)| (0..count).rev().map(move |bit| value >> bit & 1 == 1))
        .collect();
    bits.chunks(8)
        .map(|byte| byte.iter().enumerate().fold(0, |sum, (at, bit)| sum | u8::from(*bit) << (7 - at)))
        .collect()
}

#[derive(Clone, Copy)]
struct Talk {
    from: Station,
    to: Station,
    sequence: u32,
}

fn v2g(talk: &mut Talk, exi: &[u8]) -> Vec<u8> {
    let mut out = [0; 60];
    let length = v2gtp(PayloadType::Exi, exi, &mut out).expect("fits");
    let bytes = tcp(
        talk.from,
        talk.to,
        Tcp { ports: (50001, 50002), sequence: talk.sequence, flags: 24 },
        &out[..length],
    );
    talk.sequence += u32::try_from(length).expect("short");
    bytes
}

#[test]
fn a_charging_session_keeps_its_number_order_and_time() {
    let mut bench = Bench::new(false);
    let mut car = Talk { from: CLIENT, to: SERVER, sequence: 1 };
    let evcc = |mac: Mac| mac.0.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let setup = |mac: Mac| exi(0, 29, &[(0, 2), (6, 8), (evcc(mac), 48)]);
    let anomaly = |severity| [(event::CHARGE_SESSION_ANOMALY, severity)];
    assert_eq!(bench.feed(&v2g(&mut car, &setup(CLIENT.mac))), []);
    // Service discovery, payment, authorization, parameters, cable check, precharge.
    for kind in [25, 27, 11, 7, 1, 21] {
        assert_eq!(bench.feed(&v2g(&mut car, &exi(5, kind, &[]))), [], "{kind}");
    }
    assert_eq!(
        bench.feed(&v2g(&mut car, &exi(5, 13, &[]))),
        anomaly(Severity::Medium),
        "power was not delivered"
    );
    assert_eq!(bench.feed(&v2g(&mut car, &exi(6, 13, &[]))), anomaly(Severity::High), "another number");
    let mut relay = Talk { from: STRANGER, to: SERVER, sequence: 1 };
    assert_eq!(
        bench.feed(&v2g(&mut relay, &exi(5, 13, &[]))),
        anomaly(Severity::High),
        "the number elsewhere"
    );
    let mut bench = Bench::new(false);
    let mut other = Talk { from: CLIENT, to: SERVER, sequence: 1 };
    assert_eq!(
        bench.feed(&v2g(&mut other, &setup(STRANGER.mac))),
        anomaly(Severity::Medium),
        "not the sender"
    );
    assert_eq!(
        bench.feed(&v2g(&mut other, &exi(5, 30, &[(0, 2), (4, 5)]))),
        anomaly(Severity::Low),
        "failed"
    );
    let mut bench = Bench::new(false);
    let mut slow = Talk { from: CLIENT, to: SERVER, sequence: 1 };
    let precharge = exi(5, 21, &[]);
    let mut at = |gap| bench.feed_after(gap, &v2g(&mut slow, &precharge));
    assert_eq!(at(0), []);
    assert_eq!(at(limits::PRECHARGE_US), [], "at the limit");
    assert_eq!(at(1), anomaly(Severity::Medium));
}

#[test]
fn a_second_coordinator_on_a_shared_line_is_an_event() {
    let mut bench = Bench::new(true);
    let reading = Reading { node: 1, node_count: 4, is_synchronised: true, counters: Counters::default() };
    bench.detector.line(VehicleMicros(0), reading);
    bench.detector.line(VehicleMicros(1_000_000), reading);
    assert_eq!(bench.said(), []);
    let counters = Counters { unexpected_beacons: 4, ..Counters::default() };
    bench.detector.line(VehicleMicros(2_000_000), Reading { counters, ..reading });
    assert_eq!(bench.said(), [(event::ETH_PLCA_VIOLATION, Severity::High)]);
}

#[test]
fn the_state_fits_its_budget_and_a_cut_header_is_counted() {
    assert!(size_of::<EthernetDetector>() <= 256 * 1024, "{} bytes", size_of::<EthernetDetector>());
    let mut bench = Bench::new(true);
    assert_eq!(bench.feed(&[0; 13]), []);
    assert_eq!((bench.detector.stats().malformed, bench.detector.stats().frames), (1, 1));
}

proptest! {
    #[test]
    fn any_bytes_on_any_port_are_taken(
        payload in proptest::collection::vec(any::<u8>(), 0..200),
        port in 0usize..5,
        shape in 0u8..5,
        over_tcp: bool,
        cut in 0usize..80,
    ) {
        let mut payload = payload;
        let starts: [&[u8]; 5] = [
            &[], &[2, 0xFD, 0x80, 1, 0, 0, 0, 30], &[1, 0xFE, 0x80, 1, 0, 0, 0, 20, 0x80, 0x9A],
            &[0x12, 0x34, 0, 1, 0, 0, 0, 20, 0, 0, 0, 0, 1, 1, 0x20, 0],
            &[0xFF, 0xFF, 0x81, 0, 0, 0, 0, 60, 0, 0, 0, 1, 1, 1, 2, 0, 0x40, 0, 0, 0, 0, 0, 0, 16],
        ];
        let start = starts[usize::from(shape)];
        let covered = start.len().min(payload.len());
        payload[..covered].copy_from_slice(&start[..covered]);
        let port = [13400, 30490, 30501, 15118, 50000][port];
        let mut bytes = if over_tcp {
            tcp(CLIENT, SERVER, Tcp { ports: (50000, port), sequence: 1, flags: 24 }, &payload)
        } else {
            udp(CLIENT, SERVER, (50000, port), &payload)
        };
        bytes.truncate(bytes.len() - cut.min(bytes.len()));
        let mut bench = Bench::new(true);
        for _ in 0..3 { let _ = bench.feed(&bytes); }
        bench.detector.finish();
        let stats = bench.detector.stats();
        prop_assert_eq!(stats.frames, 3);
        prop_assert!(stats.packets + stats.malformed <= stats.frames);
    }
}
