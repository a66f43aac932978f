//! The vehicle's MQTT client against Debian's mosquitto, over TLS 1.3 with certificates, in both versions. A small
//! responder stands for the cloud behind the broker. Skips, loudly, where mosquitto is not installed.
#![expect(clippy::disallowed_methods, reason = "a broker in another process takes its time")]
#![expect(clippy::print_stderr, reason = "a skipped test must say so")]

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use outrider_agent::io::https::LinkFiles;
use outrider_agent::io::mqtt::client::{Client, Heard, Identity};
use outrider_agent::io::mqtt::{Dial as _, MqttLink, Stream, TlsDial, Version};
use outrider_agent::runtime::CloudLink as _;
use outrider_gateway::spool::{Boot, Spool, SpoolConfig};
use outrider_gateway::uplink::{ExchangeError, Keys, Transport as _, TransportError, Uplink, UplinkConfig};
use outrider_gateway::{
    Ed25519Signer, Ed25519Verifier, FieldValue, Gateway, MemoryStorage, SecurityEvent, codec, fold,
};
use outrider_types::{BootEpoch, Lane, Seed, Seq, TenantId, UnixMicros, VehicleId, VehicleMicros};
use outrider_wire::catalogue::{event, field};
use outrider_wire::{Ack, Batch, Reply, SealedEnvelope, SeqRange, Watermark};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

const VEHICLE: VehicleId = VehicleId([7; 16]);
const SECOND: u64 = 1_000_000;

/// Certificates of an authority, a server and a client, as files of a folder.
struct Files {
    folder: tempfile::TempDir,
    ca: String,
    client: (String, String),
}

fn certificates() -> Files {
    let folder = tempfile::tempdir().expect("a folder");
    let ca_key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "test authority");
    let ca_pem = ca.self_signed(&ca_key).expect("a certificate").pem();
    let issuer = Issuer::new(ca, ca_key);
    let issue = |name: &str| {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = vec![SanType::IpAddress([127, 0, 0, 1].into())];
        (params.signed_by(&key, &issuer).expect("a certificate").pem(), key.serialize_pem())
    };
    let server = issue("broker");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("it writes");
    write("ca.pem", &ca_pem);
    write("server.pem", &server.0);
    write("server.key", &server.1);
    Files { client: issue(&VEHICLE.to_string()), ca: ca_pem, folder }
}

struct Broker {
    process: Child,
    port: u16,
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program() -> Option<&'static Path> {
    ["/usr/sbin/mosquitto", "/usr/bin/mosquitto"].into_iter().map(Path::new).find(|path| path.exists())
}

impl Broker {
    fn start(files: &Files) -> Option<Self> {
        let program = program()?;
        let port = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|socket| socket.local_addr())
            .expect("a port")
            .port();
        let folder = files.folder.path().display();
        let config = format!(
            "user root\nlistener {port} 127.0.0.1\ncafile {folder}/ca.pem\ncertfile {folder}/server.pem\nkeyfile {folder}/server.key\nrequire_certificate true\nuse_identity_as_username true\ntls_version tlsv1.3\nallow_anonymous false\n"
        );
        let path = files.folder.path().join("mosquitto.conf");
        fs::write(&path, config).expect("it writes");
        let mut command = Command::new(program);
        command.arg("-c").arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut broker = Self { process: command.spawn().expect("it starts"), port };
        for _ in 0..200 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(broker);
            }
            assert!(broker.process.try_wait().expect("a child").is_none(), "mosquitto ended at once");
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("mosquitto does not listen");
    }

    fn dial(&self, files: &Files) -> TlsDial {
        let (certificate, key) = (files.client.0.as_bytes(), files.client.1.as_bytes());
        let files = LinkFiles { ca: files.ca.as_bytes(), certificate, key };
        TlsDial::new(&format!("mqtts://127.0.0.1:{}", self.port), &files).expect("own certificates")
    }
}

/// Takes frames from the broker and answers each with a signed watermark.
struct Responder {
    stop: Arc<AtomicBool>,
    rows: Arc<AtomicU64>,
    thread: Option<JoinHandle<BTreeSet<u64>>>,
}

fn identity(version: Version, client_id: &str, up: &str, down: &str) -> Identity {
    let topic = |end: &str| format!("v1/{VEHICLE}/{end}");
    Identity { version, client_id: client_id.to_owned(), up: topic(up), down: topic(down), keep_alive_s: 60 }
}

fn hear(stream: &mut dyn Stream, client: &mut Client) -> Vec<Heard> {
    let mut bytes = [0; 16 << 10];
    let Ok(count) = stream.read(&mut bytes, Duration::from_millis(20)) else { return Vec::new() };
    let (heard, send) = client.receive(&bytes[..count]).expect("the broker speaks MQTT");
    stream.write(&send).expect("connected");
    heard
}

fn answer(frame: &[u8], rows: &mut BTreeSet<u64>) -> Vec<u8> {
    let key = Ed25519Verifier::new(&Ed25519Signer::new(&[1; 32]).public_key()).expect("a real key");
    let envelope =
        SealedEnvelope::parse(frame).and_then(|sealed| sealed.open(&key)).expect("the vehicle's signature");
    let header = envelope.header;
    let raw = codec::decode(header.dict, header.raw_bytes, envelope.payload).expect("own payload");
    for event in Batch::parse(&raw).expect("own rows").events() {
        rows.insert(event.expect("own rows").head.seq.0);
    }
    let contiguous = (1..).take_while(|seq| rows.contains(seq)).last().unwrap_or(0);
    let holes: Vec<SeqRange> = Vec::new();
    let marks = [Watermark { epoch: header.epoch, lane: Lane::Critical, contiguous, holes: &holes }];
    let mut ack = vec![0; Ack::frame_bytes(&marks)];
    let head = (VEHICLE, UnixMicros(1), outrider_gateway::uplink::frame_digest(frame));
    Ack::emit_answer(head, &marks, &Ed25519Signer::new(&[2; 32]), &mut ack).expect("room");
    let mut reply = vec![0; Reply::frame_bytes(&ack, &[])];
    Reply::emit(&ack, &[], &mut reply).expect("room");
    reply
}

impl Responder {
    fn start(broker: &Broker, files: &Files) -> Self {
        let mut dial = broker.dial(files);
        let (stop, rows) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&rows));
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut stream = dial.dial().expect("the broker listens");
            // The other way round: it hears what goes up.
            let (mut client, connect) =
                Client::new(identity(Version::V5, "cloud", "down", "up")).expect("legal strings");
            stream.write(&connect).expect("connected");
            let mut seen = BTreeSet::new();
            while !stopped.load(Ordering::Acquire) {
                for heard in hear(stream.as_mut(), &mut client) {
                    match heard {
                        Heard::Ready => ready.send(()).expect("the test waits"),
                        Heard::Down(frame) => {
                            let reply = answer(&frame, &mut seen);
                            count.store(seen.len() as u64, Ordering::Release);
                            let (_, packet) = client.publish(&reply).expect("a short reply");
                            stream.write(&packet).expect("connected");
                        }
                        Heard::Acknowledged(_) | Heard::Pong => {}
                        Heard::Refused(_, code) => panic!("refused with {code:#04x}"),
                    }
                }
            }
            seen
        });
        is_ready.recv_timeout(Duration::from_secs(20)).expect("the responder subscribes");
        Self { stop, rows, thread: Some(thread) }
    }

    fn end(mut self) -> BTreeSet<u64> {
        self.stop.store(true, Ordering::Release);
        self.thread.take().expect("it runs").join().expect("no panic")
    }
}

fn gateway() -> Gateway<MemoryStorage> {
    let boot = Boot::in_memory(BootEpoch(1), 1, &[9; 32]);
    let (spool, _) = Spool::open(MemoryStorage::new(), SpoolConfig::default(), boot).expect("a medium");
    let config = UplinkConfig { resend_after_us: 5 * SECOND, ..UplinkConfig::new(TenantId(1), VEHICLE, 1) };
    let uplink = Uplink::new(config, Seed::new(5)).expect("memory");
    Gateway::new(fold::FoldConfig { window_us: [0; 3], ..fold::FoldConfig::default() }, spool, uplink)
}

fn put(gateway: &mut Gateway<MemoryStorage>, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let mut event = SecurityEvent::new(event::CAN_UNKNOWN_ID, VehicleMicros(number))
            .with(field::CAN_ID, FieldValue::Uint(number));
        event.lane = Lane::Critical;
        assert_eq!(gateway.receive(event, VehicleMicros(number)).rows.len(), 1);
    }
}

fn skip() -> bool {
    let is_absent = program().is_none();
    if is_absent {
        eprintln!("SKIPPED: mosquitto is not installed");
    }
    is_absent
}

fn held(gateway: &Gateway<MemoryStorage>) -> u64 {
    gateway.spool().held_after(BootEpoch(1), Lane::Critical, 0).0
}

/// Rows go through the broker and are freed; without anybody behind it nothing is; afterwards everything arrives.
fn through(version: Version) {
    let files = certificates();
    let broker = Broker::start(&files).expect("it is installed");
    let responder = Responder::start(&broker, &files);
    let vehicle = identity(version, &VEHICLE.to_string(), "up", "down");
    let mut link = MqttLink::new(broker.dial(&files), vehicle, true, Seed::new(1))
        .with_patience(Duration::from_secs(2))
        .with_backoff(1000, 2000);
    let (batch, ack) = (Ed25519Signer::new(&[1; 32]), Ed25519Signer::new(&[2; 32]).public_key());
    let ack = Ed25519Verifier::new(&ack).expect("a real key");
    let keys = Keys { batch: &batch, ack: &ack };
    let mut gateway = gateway();
    for round in 0..5u64 {
        put(&mut gateway, round * 20..round * 20 + 20);
        let report = gateway.exchange(&mut link, keys, VehicleMicros((10 + round) * SECOND), 16);
        assert!(report.error.is_none() && report.freed == 20, "{:?}", report.error);
    }
    assert!(link.session().is_none() && !link.tells_commands(), "a broker shares no key and tells nothing");
    assert_eq!(link.state().sessions, 1, "one session for all of them");
    assert_eq!(responder.rows.load(Ordering::Acquire), 100);
    let seen = responder.end();
    assert_eq!(seen, (1..=100).collect());
    // The broker acknowledges, and nobody has the rows.
    put(&mut gateway, 100..110);
    let report = gateway.exchange(&mut link, keys, VehicleMicros(30 * SECOND), 16);
    assert!(
        matches!(report.error, Some(ExchangeError::Transport(TransportError::TimedOut))),
        "{:?}",
        report.error
    );
    assert_eq!((report.freed, held(&gateway)), (0, 10));
    let responder = Responder::start(&broker, &files);
    std::thread::sleep(Duration::from_millis(5));
    // This cloud has none of the earlier rows and says so.
    let mut at = 60;
    while responder.rows.load(Ordering::Acquire) < 10 && at < 90 {
        gateway.exchange(&mut link, keys, VehicleMicros(at * SECOND), 16);
        at += 10;
    }
    assert_eq!(responder.end(), (101..=110).collect());
    assert_eq!(link.state().failures, 1);
    assert_eq!(gateway.spool().next_held(BootEpoch(1), Lane::Critical, 0), Some(Seq(101)));
}

#[test]
fn rows_go_through_a_broker_in_mqtt_5() {
    if !skip() {
        through(Version::V5);
    }
}

#[test]
fn rows_go_through_a_broker_in_mqtt_3_1_1() {
    if !skip() {
        through(Version::V3);
    }
}

#[test]
fn a_broker_without_the_right_certificate_is_not_spoken_to() {
    if skip() {
        return;
    }
    let (files, other) = (certificates(), certificates());
    let broker = Broker::start(&files).expect("it is installed");
    let vehicle = identity(Version::V5, &VEHICLE.to_string(), "up", "down");
    let wrong = Files { ca: other.ca.clone(), client: files.client.clone(), folder: files.folder };
    let mut link = MqttLink::new(broker.dial(&wrong), vehicle, true, Seed::new(1));
    let refused = link.exchange(b"frame");
    assert!(matches!(refused, Err(TransportError::Unreachable(_))), "{refused:?}");
    assert_eq!((link.state().sessions, link.state().failures), (1, 1));
}
