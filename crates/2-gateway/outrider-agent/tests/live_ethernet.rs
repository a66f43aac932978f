//! Live capture: attacks sent over a veth pair in a network namespace, found by the running program.
//!
//! Needs root and `ip`; says `SKIPPED` without them. The injector is this test binary again, run inside the namespace.
#![expect(clippy::print_stdout, reason = "a skipped test must say so")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use outrider_agent::io::packet_ring::PacketRing;
use outrider_agent::learn::ethernet::EthernetLearner;
use outrider_bus::doip::Message as Doip;
use outrider_bus::ether::{IpAddress, Mac};
use outrider_bus::neighbour::{ArpPacket, Operation};
use outrider_bus::someip::sd::{self, Endpoint, Entry, EntryKind, SdOption};
use outrider_bus::someip::{Header, Message, MessageKind, ReturnCode, SD_METHOD, SD_PORT, SD_SERVICE};
use outrider_ids::model::ModelHead;
use outrider_types::{BusId, VehicleMicros};
use serde_json::Value;

/// File of the frames to send, in the injector's working folder: length in two bytes, frame.
const FRAMES: &str = "frames.bin";
const INSIDE: &str = "orvt1";
const OUTSIDE: &str = "orvt0";

#[derive(Clone, Copy)]
struct Station {
    mac: [u8; 6],
    ip: [u8; 4],
}

const SERVER: Station = Station { mac: [2, 0, 0, 0, 0, 1], ip: [10, 9, 0, 1] };
const CLIENT: Station = Station { mac: [2, 0, 0, 0, 0, 2], ip: [10, 9, 0, 2] };
const TESTER: Station = Station { mac: [2, 0, 0, 0, 0, 3], ip: [10, 9, 0, 3] };
const INTRUDER: Station = Station { mac: [2, 0, 0, 0, 0, 9], ip: [10, 9, 0, 9] };
const EVERYBODY: Station = Station { mac: [1, 0, 0x5E, 0, 0, 1], ip: [224, 0, 0, 1] };

fn frame(from: Station, to: Station, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [to.mac.as_slice(), &from.mac, &ethertype.to_be_bytes(), payload].concat()
}

fn packet(from: Station, to: Station, protocol: u8, transport: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + transport.len()).expect("short").to_be_bytes();
    let head = [0x45, 0, total[0], total[1], 0, 0, 0, 0, 64, protocol, 0, 0];
    frame(from, to, 0x0800, &[head.as_slice(), &from.ip, &to.ip, transport].concat())
}

fn udp(from: Station, to: Station, port: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).expect("short").to_be_bytes();
    let port = port.to_be_bytes();
    packet(from, to, 17, &[&port, &port, length.as_slice(), &[0, 0], payload].concat())
}

/// One direction of a connection to the diagnostic port.
struct Dialogue {
    from: Station,
    to: Station,
    sequence: u32,
}

impl Dialogue {
    fn say(&mut self, message: &Doip<'_>) -> Vec<u8> {
        let mut out = [0; 80];
        let length = message.emit(2, &mut out).expect("fits");
        let ports: [u16; 2] = if self.to.ip == SERVER.ip { [50000, 13400] } else { [13400, 50000] };
        let [source, target] = ports.map(u16::to_be_bytes);
        let head = [source.as_slice(), &target, &self.sequence.to_be_bytes()];
        let rest = [0, 0, 0, 0, 0x50, 24, 0xFF, 0xFF, 0, 0, 0, 0];
        self.sequence += u32::try_from(length).expect("short");
        packet(self.from, self.to, 6, &[head.concat().as_slice(), &rest, &out[..length]].concat())
    }

    fn uds(&mut self, address: u16, data: &[u8]) -> Vec<u8> {
        let asks = self.to.ip == SERVER.ip;
        let (source, target) = if asks { (address, 0x1000) } else { (0x1000, address) };
        self.say(&Doip::Diagnostic { source, target, data })
    }
}

fn arp(from: Station, ip: [u8; 4]) -> Vec<u8> {
    let mut out = [0; 28];
    let packet = ArpPacket {
        operation: Operation::Reply,
        sender_mac: Mac(from.mac),
        sender_ip: ip,
        target_mac: Mac(CLIENT.mac),
        target_ip: CLIENT.ip,
    };
    packet.emit(&mut out).expect("fits");
    frame(from, CLIENT, 0x0806, &out)
}

fn discovery(from: Station, to: Station, session: u16, kind: EntryKind) -> Vec<u8> {
    let entry = Entry {
        kind,
        first_run: (0, 1),
        second_run: (0, 0),
        service: 0x1234,
        instance: 1,
        major_version: 1,
        ttl_s: 3,
        last: 5,
    };
    let endpoint = Endpoint { ip: IpAddress::V4(from.ip), protocol: 17, port: 30501 };
    let (mut payload, mut out) = ([0; 100], [0; 140]);
    let length =
        sd::emit(session == 1, &[entry], &[SdOption::Endpoint(endpoint)], &mut payload).expect("fits");
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
    let length = Message { header, payload: &payload[..length] }.emit(&mut out).expect("fits");
    udp(from, to, SD_PORT, &out[..length])
}

/// What this network does on an ordinary day.
fn ordinary() -> Vec<Vec<u8>> {
    let mut asks = Dialogue { from: TESTER, to: SERVER, sequence: 1 };
    let mut answers = Dialogue { from: SERVER, to: TESTER, sequence: 1 };
    vec![
        arp(SERVER, SERVER.ip),
        arp(TESTER, TESTER.ip),
        discovery(SERVER, EVERYBODY, 1, EntryKind::Offer),
        discovery(SERVER, EVERYBODY, 2, EntryKind::Offer),
        discovery(CLIENT, SERVER, 1, EntryKind::Subscribe),
        asks.say(&Doip::ActivationRequest { tester: 0x0E80, activation_type: 0, oem: None }),
        asks.uds(0x0E80, &[0x22, 0xF1, 0x90]),
        answers.uds(0x0E80, &[0x62, 0xF1, 0x90, 1]),
    ]
}

/// Attacks of the four kinds, from a station of its own and from one that was taken over.
fn attacks() -> Vec<Vec<u8>> {
    let mut asks = Dialogue { from: TESTER, to: SERVER, sequence: 500 };
    let mut answers = Dialogue { from: SERVER, to: TESTER, sequence: 500 };
    let mut intruder = Dialogue { from: INTRUDER, to: SERVER, sequence: 1 };
    let mut all = vec![
        arp(INTRUDER, SERVER.ip),
        discovery(INTRUDER, EVERYBODY, 1, EntryKind::Offer),
        discovery(INTRUDER, SERVER, 1, EntryKind::Subscribe),
        intruder.say(&Doip::ActivationRequest { tester: 0x0E99, activation_type: 0, oem: None }),
    ];
    for _ in 0..4 {
        all.push(asks.uds(0x0E80, &[0x27, 1]));
        all.push(answers.uds(0x0E80, &[0x67, 1, 8, 8]));
        all.push(asks.uds(0x0E80, &[0x27, 2, 7, 7]));
        all.push(answers.uds(0x0E80, &[0x7F, 0x27, 0x35]));
    }
    all.push(asks.uds(0x0E80, &[0x2E, 0xF1, 0x90, 1]));
    all.push(answers.uds(0x0E80, &[0x6E, 0xF1, 0x90]));
    all
}

/// Sends the frames of the working folder; runs inside the namespace, called by the test below.
#[test]
#[ignore = "the other half of the test below"]
fn inject_frames() {
    let bytes = std::fs::read(FRAMES).expect("the test wrote the frames");
    let ring = PacketRing::open(INSIDE).expect("the namespace has the interface");
    let mut rest = bytes.as_slice();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let (frame, behind) = behind.split_at(usize::from(u16::from_be_bytes(*length)));
        ring.send(frame).expect("the interface is up");
        rest = behind;
    }
}

/// A network namespace with a veth pair; gone when it is dropped.
struct Namespace(String);

impl Namespace {
    /// Makes a namespace, or returns `None` where that is not possible.
    fn new() -> Option<Self> {
        let name = format!("outrider-live-{}", std::process::id());
        let is_made = ip(&["netns", "add", &name]);
        let namespace = is_made.then_some(Self(name))?;
        // The kernel's own neighbour discovery would be a stranger on this network.
        let quiet = "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; \
                     echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6";
        let _ = namespace.command("sh").args(["-c", quiet]).status();
        let on = ["-n", &namespace.0];
        let pair = [&on[..], &["link", "add", OUTSIDE, "type", "veth", "peer", "name", INSIDE]].concat();
        let up = |interface| ip(&[&on[..], &["link", "set", interface, "up"]].concat());
        (ip(&pair) && up(OUTSIDE) && up(INSIDE)).then_some(namespace)
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&["netns", "del", &self.0]);
    }
}

fn ip(arguments: &[&str]) -> bool {
    let status = Command::new("ip").args(arguments).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Sends frames over the pair and returns what the program says: its events, and the line of counts.
fn watch(namespace: &Namespace, folder: &Path, frames: &[Vec<u8>]) -> (Vec<Value>, Value) {
    let mut file = Vec::new();
    for frame in frames {
        file.extend(u16::try_from(frame.len()).expect("short").to_be_bytes());
        file.extend(frame);
    }
    std::fs::write(folder.join(FRAMES), file).expect("the test's folder can be written");
    let mut agent = namespace
        .command(env!("CARGO_BIN_EXE_outrider-agent"))
        .args(["watch", "--ethernet", OUTSIDE, "--seconds", "30", "--model"])
        .arg(folder.join("model.bin"))
        .args(["--frames", &frames.len().to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .expect("ip runs");
    let mut out = BufReader::new(agent.stdout.take().expect("piped"));
    let mut line = String::new();
    out.read_line(&mut line).expect("the agent speaks");
    assert_eq!(line, "listening\n");
    let own = std::env::current_exe().expect("a test has a file");
    let injector = namespace
        .command(own)
        .args(["--ignored", "--exact", "inject_frames"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .status();
    assert!(injector.expect("ip runs").success());
    let mut lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(&line.expect("text")).expect("an object a line"))
        .collect();
    assert!(agent.wait().expect("it ends").success());
    let counts = lines.pop().expect("the last line counts");
    (lines, counts)
}

#[test]
fn attacks_on_a_live_interface_are_found_and_ordinary_traffic_is_not() {
    let Some(namespace) = Namespace::new() else {
        println!("SKIPPED: needs root and ip(8) for a network namespace with a veth pair");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let mut learner = EthernetLearner::new(ModelHead::default());
    for (at, frame) in (0u64..).zip(ordinary()) {
        learner.add(VehicleMicros(at * 1000), BusId(0), &frame);
    }
    let model = learner.finish().expect("one segment").model;
    std::fs::write(folder.path().join("model.bin"), model).expect("the test's folder can be written");

    let (events, counts) = watch(&namespace, folder.path(), &ordinary());
    assert_eq!(events, Vec::<Value>::new());
    assert_eq!(counts["taken"], ordinary().len());

    let (events, counts) = watch(&namespace, folder.path(), &attacks());
    let found: BTreeSet<&str> = events.iter().filter_map(|event| event["event_type"].as_str()).collect();
    let expected = [
        "eth.arp_spoofing",
        "eth.unknown_host",
        "eth.unexpected_flow",
        "someip.unauthorised_offer",
        "someip.unauthorised_subscribe",
        "doip.unknown_tester",
        "diag.security_access_brute_force",
        "diag.write_outside_workshop",
    ];
    assert_eq!(found, BTreeSet::from(expected));
    let number = |name: &str| counts[name].as_u64().expect("a count");
    assert_eq!(number("taken") + number("shed") + number("damaged") + number("dropped"), number("seen"));
    assert_eq!(number("taken"), attacks().len() as u64);
}
