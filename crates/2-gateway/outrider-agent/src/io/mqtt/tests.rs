//! The link against an edge made of bytes, with every fault that a real one could have.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use mqtt_protocol_core::mqtt::packet::{Property, TopicAliasMaximum, UserProperty, v5_0};
use mqtt_protocol_core::mqtt::result_code::ConnectReasonCode;
use outrider_gateway::uplink::Transport;
use outrider_types::{Lane, Seed, TenantId, UnixMicros, VehicleId};
use outrider_wire::{Ack, DictId, Envelope, EnvelopeHeader, Watermark};
use proptest::prelude::*;

use super::client::{CONTROL_BYTES_MAX, SHORT_PROPERTY, SHORT_VERSION};
use super::*;

const VEHICLE: VehicleId = VehicleId([7; 16]);

/// What the edge does with the next frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// PUBACK, then the reply.
    Answer,
    /// The reply alone.
    LosePuback,
    /// PUBACK alone, as a broker that loses what it acknowledged.
    LoseFrame,
    /// A reply for another vehicle.
    WrongVehicle,
    /// A reply that is none.
    Garbage,
    /// An unasked reply before the real one.
    UnaskedFirst,
    /// PUBACK with this reason code.
    Refuse(u8),
    /// The connection ends after so many bytes of the answer.
    CutAt(usize),
    /// One byte a second.
    Slow,
    /// DISCONNECT with this reason code.
    Disconnect(u8),
}

/// State that the test and all connections share.
#[derive(Default)]
struct World {
    now: Cell<Duration>,
    acts: RefCell<VecDeque<Act>>,
    /// Packets that came, without CONNECT and SUBSCRIBE.
    frames: RefCell<Vec<Vec<u8>>>,
    dials: Cell<u64>,
    pings: Cell<u64>,
    welcome: RefCell<Vec<u8>>,
    /// Sent to the next connection that listens.
    unasked: RefCell<Vec<u8>>,
}

struct Edge {
    world: Rc<World>,
    out: VecDeque<u8>,
    ends: bool,
    slow: bool,
}

struct FakeDial(Rc<World>);

impl Dial for FakeDial {
    fn dial(&mut self) -> io::Result<Box<dyn Stream>> {
        self.0.dials.set(self.0.dials.get() + 1);
        Ok(Box::new(Edge { world: Rc::clone(&self.0), out: VecDeque::new(), ends: false, slow: false }))
    }

    fn now(&self) -> Duration {
        self.0.now.get()
    }
}

fn ack(vehicle: VehicleId) -> Vec<u8> {
    let marks =
        [Watermark { epoch: outrider_types::BootEpoch(1), lane: Lane::Critical, contiguous: 1, holes: &[] }];
    let mut ack = vec![0; Ack::frame_bytes(&marks)];
    let key = outrider_gateway::Ed25519Signer::new(&[2; 32]);
    Ack::emit_answer((vehicle, UnixMicros(1), [0; 16]), &marks, &key, &mut ack).expect("room");
    ack
}

fn reply(ack: &[u8], commands: &[&[u8]]) -> Vec<u8> {
    let mut reply = vec![0; Reply::frame_bytes(ack, commands)];
    Reply::emit(ack, commands, &mut reply).expect("room");
    reply
}

fn down(payload: &[u8]) -> Vec<u8> {
    let packet = v5_0::Publish::builder().topic_name("v1/down").expect("a topic").payload(payload);
    packet.build().expect("a packet").to_continuous_buffer()
}

/// CONNACK; an edge takes short frames, a broker grants an alias.
fn welcome(is_edge: bool) -> Vec<u8> {
    let pair = UserProperty::new(SHORT_PROPERTY, SHORT_VERSION).expect("a pair");
    let alias = TopicAliasMaximum::new(10).expect("a number");
    let property = if is_edge { Property::UserProperty(pair) } else { Property::TopicAliasMaximum(alias) };
    let packet = v5_0::Connack::builder().session_present(false).reason_code(ConnectReasonCode::Success);
    packet.props(vec![property]).build().expect("a packet").to_continuous_buffer()
}

impl Edge {
    fn frame(&mut self, packet: &[u8]) {
        self.world.frames.borrow_mut().push(packet.to_vec());
        // QoS 1, and the identifier after the topic.
        assert_eq!(packet[0], 0x32);
        let head = 1 + packet[1..].iter().position(|byte| *byte < 0x80).expect("a length") + 1;
        let topic = usize::from(u16::from_be_bytes([packet[head], packet[head + 1]]));
        let at = head + 2 + topic;
        let puback = [0x40, 2, packet[at], packet[at + 1]];
        let right = down(&reply(&ack(VEHICLE), &[b"command"]));
        let whole = [&puback[..], &right].concat();
        let act = self.world.acts.borrow_mut().pop_front().unwrap_or(Act::Answer);
        match act {
            Act::Answer => self.out.extend(whole),
            Act::LosePuback => self.out.extend(right),
            Act::LoseFrame => self.out.extend(puback),
            Act::WrongVehicle => self.out.extend(down(&reply(&ack(VehicleId([8; 16])), &[]))),
            Act::Garbage => self.out.extend(down(b"no reply")),
            Act::UnaskedFirst => self.out.extend([down(&reply(&[], &[b"unasked"])), whole].concat()),
            Act::Refuse(code) => self.out.extend([0x40, 3, packet[at], packet[at + 1], code]),
            Act::CutAt(length) => {
                self.out.extend(&whole[..length.min(whole.len())]);
                self.ends = true;
            }
            Act::Slow => {
                self.out.extend(whole);
                self.slow = true;
            }
            Act::Disconnect(code) => self.out.extend([0xE0, 1, code]),
        }
    }
}

impl Stream for Edge {
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        self.out.extend(self.world.unasked.borrow_mut().drain(..));
        if self.out.is_empty() {
            if self.ends {
                return Ok(0);
            }
            self.world.now.set(self.world.now.get() + wait);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let most = if self.slow { 1 } else { 7 };
        if self.slow {
            self.world.now.set(self.world.now.get() + Duration::from_secs(1));
        }
        let count = most.min(into.len()).min(self.out.len());
        for (slot, byte) in into.iter_mut().zip(self.out.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match bytes[0] >> 4 {
            1 => self.out.extend(self.world.welcome.borrow().iter().copied()),
            8 => self.out.extend([0x90, 4, 0, 1, 0, 0]),
            3 => self.frame(bytes),
            12 => {
                self.world.pings.set(self.world.pings.get() + 1);
                self.out.extend([0xD0, 0]);
            }
            _ => {}
        }
        Ok(())
    }

    fn key(&self) -> Option<[u8; 32]> {
        Some([5; 32])
    }
}

fn link(is_edge: bool) -> (Rc<World>, MqttLink<FakeDial>) {
    let world = Rc::new(World::default());
    *world.welcome.borrow_mut() = welcome(is_edge);
    let identity = Identity {
        version: Version::V5,
        client_id: VEHICLE.to_string(),
        up: "v1/up".to_owned(),
        down: "v1/down".to_owned(),
        keep_alive_s: 60,
    };
    let link = MqttLink::new(FakeDial(Rc::clone(&world)), identity, !is_edge, Seed::new(1));
    (world, link)
}

fn batch() -> Vec<u8> {
    let header = EnvelopeHeader {
        dict: DictId::STORED,
        catalogue_id: 1,
        tenant: TenantId(1),
        vehicle: VEHICLE,
        epoch: outrider_types::BootEpoch(1),
        batch_number: 1,
        raw_bytes: 0,
    };
    let mut out = vec![0; Envelope::frame_bytes(0)];
    let key = outrider_gateway::Ed25519Signer::new(&[1; 32]);
    let length = Envelope { header, payload: &[] }.emit(&key, &mut out).expect("room");
    out.truncate(length);
    out
}

/// One exchange in which the edge does `act`, and the next one an hour later.
fn twice(act: Act) -> (Result<Vec<u8>, TransportError>, Rc<World>) {
    let (world, mut link) = link(true);
    world.acts.borrow_mut().push_back(act);
    let first = link.exchange(&batch());
    world.now.set(world.now.get() + Duration::from_secs(3600));
    let second = link.exchange(&batch()).expect("the link recovers");
    assert_eq!(second, reply(&ack(VEHICLE), &[b"command"]), "{act:?}");
    (first, world)
}

#[test]
fn a_reply_is_the_answer_with_or_without_its_puback_and_the_session_stays() {
    for act in [Act::Answer, Act::LosePuback, Act::UnaskedFirst] {
        let (answer, world) = twice(act);
        assert_eq!(answer, Ok(reply(&ack(VEHICLE), &[b"command"])), "{act:?}");
        assert_eq!(world.dials.get(), 1, "{act:?}");
    }
}

#[test]
fn a_puback_without_reply_is_no_answer() {
    let (answer, world) = twice(Act::LoseFrame);
    assert_eq!((answer, world.dials.get()), (Err(TransportError::TimedOut), 2));
}

#[test]
fn what_is_no_right_reply_is_handed_on_for_the_uplink_to_refuse() {
    let (answer, _) = twice(Act::WrongVehicle);
    assert_eq!(answer, Ok(reply(&ack(VehicleId([8; 16])), &[])));
    assert_eq!(twice(Act::Garbage).0, Ok(b"no reply".to_vec()));
}

#[test]
fn a_refusal_says_what_http_says_and_the_session_stays() {
    for (code, status) in [(0x87, 403), (0x97, 429), (0x99, 400), (0x83, 409), (0x80, 503), (0x95, 413)] {
        let (answer, world) = twice(Act::Refuse(code));
        assert_eq!((answer, world.dials.get()), (Err(TransportError::Refused { status }), 1));
    }
}

#[test]
fn a_connection_that_ends_at_any_byte_of_the_answer_loses_nothing_but_the_answer() {
    let whole = 4 + down(&reply(&ack(VEHICLE), &[b"command"])).len();
    for length in 0..whole {
        let (answer, world) = twice(Act::CutAt(length));
        assert!(matches!(answer, Err(TransportError::Unreachable(_))), "{length}: {answer:?}");
        assert_eq!((world.dials.get(), world.frames.borrow().len()), (2, 2), "{length}");
    }
    assert!(twice(Act::CutAt(whole)).0.is_ok());
}

#[test]
fn slow_bytes_do_not_lengthen_the_wait() {
    let (answer, world) = twice(Act::Slow);
    assert_eq!((answer, world.dials.get()), (Err(TransportError::TimedOut), 2));
    assert!(world.now.get() < Duration::from_secs(3600 + 60), "{:?}", world.now.get());
}

#[test]
fn who_is_told_to_go_away_waits_a_minute_and_then_some() {
    let (world, mut link) = link(true);
    world.acts.borrow_mut().push_back(Act::Disconnect(0x87));
    assert!(link.exchange(&batch()).is_err());
    assert_eq!((link.state.refusal, link.state.failures), (0x87, 1));
    let before = world.now.get();
    while link.exchange(&batch()).is_err() {
        world.now.set(world.now.get() + Duration::from_millis(500));
    }
    let waited = world.now.get() - before;
    assert!((60..=62).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!((world.dials.get(), link.state.refusal), (2, 0), "nothing is dialled before");
}

#[test]
fn a_refused_session_backs_off_and_a_fleet_spreads() {
    let mut firsts = Vec::new();
    for seed in 0..64 {
        let (world, mut link) = link(true);
        link.backoff = Backoff::new(BACKOFF_US.0, BACKOFF_US.1, Seed::new(seed));
        *world.welcome.borrow_mut() = vec![0x20, 3, 0, 0x88, 0];
        assert!(link.exchange(&batch()).is_err());
        firsts.push(link.not_before.as_millis() / 100);
        for _ in 0..30 {
            world.now.set(link.not_before);
            assert!(link.exchange(&batch()).is_err());
            assert!(link.not_before <= world.now.get() + Duration::from_secs(661), "bounded");
        }
    }
    firsts.sort_unstable();
    firsts.dedup();
    assert!(firsts.len() > 8, "{firsts:?}");
}

#[test]
fn a_short_frame_needs_the_open_session_of_an_edge() {
    let (world, mut link) = link(true);
    assert!(link.session().is_none(), "nothing is open");
    assert!(link.exchange(&[0x80; 40]).is_err());
    assert_eq!(world.dials.get(), 0, "no session is opened for it");
    link.exchange(&batch()).expect("answered");
    let first = link.session().expect("the edge takes them").id;
    link.exchange(&[0x80; 40]).expect("answered");
    let packet = world.frames.borrow()[1].len();
    assert_eq!(packet, 40 + 12, "two bytes of head, topic v1/up, identifier, no properties");
    world.acts.borrow_mut().push_back(Act::LoseFrame);
    assert!(link.exchange(&[0x80; 40]).is_err());
    assert!(link.session().is_none(), "what went unanswered ends the session");
    world.now.set(world.now.get() + Duration::from_secs(3600));
    link.exchange(&batch()).expect("answered");
    assert!(link.session().expect("another").id > first);
    let (_, mut broker) = self::link(false);
    broker.exchange(&batch()).expect("answered");
    assert!(broker.session().is_none(), "a broker shares no key");
}

#[test]
fn an_alias_stands_for_the_topic_from_the_second_message_on() {
    let (world, mut link) = link(false);
    for _ in 0..3 {
        link.exchange(&batch()).expect("answered");
    }
    let lengths: Vec<usize> = world.frames.borrow().iter().map(Vec::len).collect();
    assert_eq!(lengths[0], lengths[1] + "v1/up".len());
    assert_eq!(lengths[1], batch().len() + 11, "one byte less below 128");
    assert_eq!(lengths[1], lengths[2]);
}

#[test]
fn commands_come_unasked_and_silence_is_pinged() {
    let (world, mut link) = link(true);
    assert_eq!(link.unasked(), Vec::<Vec<u8>>::new(), "it connects");
    assert!(link.tells_commands() && world.dials.get() == 1);
    let told = reply(&[], &[b"command"]);
    world.unasked.borrow_mut().extend(down(&told));
    // It comes in pieces of seven bytes.
    let heard: Vec<Vec<u8>> = (0..20).flat_map(|_| link.unasked()).collect();
    assert_eq!(heard, [told]);
    for _ in 0..100 {
        world.now.set(world.now.get() + Duration::from_secs(10));
        link.unasked();
    }
    assert_eq!((world.dials.get(), world.pings.get()), (1, 20), "every 50 s: the first turn after 45");
    let flood: Vec<u8> = (0..WAITING_MAX + 2).flat_map(|_| down(&reply(&[], &[]))).collect();
    world.unasked.borrow_mut().extend(flood);
    for _ in 0..1000 {
        link.unasked();
    }
    assert_eq!(world.dials.get(), 1, "what is taken in time is no flood");
}

#[test]
fn captures_go_and_artifacts_come_nowhere_without_an_address_for_them() {
    let (_, mut link) = link(true);
    assert!(!link.takes_evidence());
    let refused = link.upload("00", "00", "text/plain", &[]);
    assert_eq!(refused, Err(TransportError::Refused { status: 404 }));
    // An order is refused with a reason instead of waiting until its time is over.
    assert_eq!(link.fetch("00", 0, 10), Err(TransportError::Refused { status: 404 }));
}

fn client(version: Version) -> Client {
    let identity = Identity {
        version,
        client_id: "v".to_owned(),
        up: "v1/up".to_owned(),
        down: "v1/down".to_owned(),
        keep_alive_s: 60,
    };
    Client::new(identity).expect("legal strings").0
}

/// Gives bytes to a client in pieces; returns what it heard, or the fault. The same as the fuzz target does.
fn hear(version: Version, bytes: &[u8], piece: usize) -> Result<Vec<Heard>, Fault> {
    let mut client = client(version);
    let mut all = Vec::new();
    for piece in bytes.chunks(piece.max(1)) {
        all.extend(client.receive(piece)?.0);
    }
    Ok(all)
}

#[test]
fn the_older_version_is_spoken_too() {
    let ready = [&[0x20, 2, 0, 0][..], &[0x90, 3, 0, 1, 0], &[0x40, 2, 0, 2]].concat();
    assert_eq!(hear(Version::V3, &ready, 1), Ok(vec![Heard::Ready, Heard::Acknowledged(2)]));
    for (code, reason) in [(1, 0x84), (2, 0x85), (3, 0x88), (4, 0x86), (5, 0x87)] {
        assert_eq!(hear(Version::V3, &[0x20, 2, 0, code], 9), Err(Fault::Refused(reason)));
    }
    let (_, packet) = client(Version::V3).publish(b"frame").expect("legal");
    assert_eq!(packet, [&[0x32, 14, 0, 5][..], b"v1/up", &[0, 2], b"frame"].concat());
}

#[test]
fn packets_at_the_wrong_time_and_too_long_ones_end_the_session() {
    let ready = [&welcome(true)[..], &[0x90, 4, 0, 1, 0, 0]].concat();
    let after = |more: &[u8]| hear(Version::V5, &[&ready[..], more].concat(), 5);
    assert_eq!(after(&[]), Ok(vec![Heard::Ready]));
    assert_eq!(after(&welcome(true)), Err(Fault::Unexpected(2)));
    assert_eq!(after(&[0x90, 4, 0, 1, 0, 0]), Err(Fault::Unexpected(9)));
    assert_eq!(after(&[0xE0, 1, 0x8E]), Err(Fault::Refused(0x8E)));
    assert_eq!(after(&[0x40, 0x80, 0x80, 0x80, 0x80, 1]), Err(Fault::Malformed));
    assert_eq!(after(&[0x40, 0x81, 0x20]), Err(Fault::TooLong(CONTROL_BYTES_MAX + 1)));
    assert_eq!(after(&[0x34, 0]), Err(Fault::Unexpected(3)), "QoS 2");
    assert_eq!(after(&[0x30, 1, 0]), Err(Fault::Malformed));
    let elsewhere = v5_0::Publish::builder().topic_name("v1/other/down").expect("a topic").payload(b"x");
    let elsewhere = elsewhere.build().expect("a packet").to_continuous_buffer();
    assert_eq!(after(&elsewhere), Ok(vec![Heard::Ready]), "not for us");
    assert_eq!(hear(Version::V5, &[0x90, 4, 0, 1, 0, 0], 9), Err(Fault::Unexpected(9)), "before CONNACK");
}

#[test]
fn the_corpus_ends_in_messages_or_one_fault() {
    let mut ends = [0; 2];
    let count = crate::io::corpus("mqtt_client", |bytes| {
        for version in [Version::V3, Version::V5] {
            let whole = hear(version, bytes, usize::MAX);
            ends[usize::from(whole.is_ok())] += 1;
            assert_eq!(hear(version, bytes, 1).is_err(), whole.is_err());
        }
    });
    assert!(count > 0 && ends.iter().all(|count| *count > 0), "{ends:?}");
}

/// Run by hand to begin the corpus; a file that exists is never touched.
#[test]
#[ignore = "writes corpus files that are missing"]
fn write_missing_corpus_files() {
    let ready = [&welcome(true)[..], &[0x90, 4, 0, 1, 0, 0]].concat();
    let old = [0x20, 2, 0, 0, 0x90, 3, 0, 1, 0, 0x40, 2, 0, 2, 0xD0, 0].to_vec();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/mqtt_client");
    std::fs::create_dir_all(&folder).expect("the repository is writable");
    let files = [
        ("session", [&ready[..], &[0x40, 2, 0, 2], &down(&reply(&ack(VEHICLE), &[b"command"]))].concat()),
        ("alias", welcome(false)),
        ("old", old),
        ("refused", vec![0x20, 3, 0, 0x87, 0]),
        ("cut", ready[..ready.len() - 1].to_vec()),
        ("endless", vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]),
        ("puback-refused", [&ready[..], &[0x40, 3, 0, 2, 0x97]].concat()),
    ];
    for (name, bytes) in files {
        if !folder.join(name).exists() {
            std::fs::write(folder.join(name), bytes).expect("the repository is writable");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_after_any_beginning_end_in_messages_or_one_fault(
        version in prop_oneof![Just(Version::V3), Just(Version::V5)],
        ready in any::<bool>(),
        kind in 0u8..16,
        flags in 0u8..16,
        body in prop::collection::vec(any::<u8>(), 0..64),
        piece in 1usize..40,
    ) {
        let beginning = match version {
            Version::V3 => vec![0x20, 2, 0, 0, 0x90, 3, 0, 1, 0],
            Version::V5 => [&welcome(true)[..], &[0x90, 4, 0, 1, 0, 0]].concat(),
        };
        let mut bytes = if ready { beginning } else { Vec::new() };
        bytes.extend([kind << 4 | flags, u8::try_from(body.len()).expect("short")]);
        bytes.extend(body);
        let whole = hear(version, &bytes, usize::MAX);
        prop_assert_eq!(hear(version, &bytes, piece), whole);
    }
}
