//! Measurements of the MQTT edge: memory of silent connections, processor time of handshakes and of messages.
//!
//! The server is a process of its own, so that its memory and time are its own: the caller starts its own executable
//! again (`Child`), and that one calls [`serve_child`]. Used by `outrider bench uplink`.

mod client;
mod mosquitto;
mod server;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer as _, SigningKey};
use outrider_types::{
    BootEpoch, Clock, ClockFix, ClockSource, EcuId, Lane, Seq, UnixMicros, VehicleId, VehicleMicros,
};
use outrider_wire::{BatchWriter, DictId, Envelope, EnvelopeHeader, EventHead, LaneHead};
use serde::Serialize;

use self::client::{Fleet, Member, Pace, Payload};
use self::mosquitto::Broker;
use self::server::Served;
pub use self::server::serve_child;
use super::ca::{TlsFiles, VehicleCa};
use crate::port::Random;

/// How to start the serving process: an executable and arguments after which it calls [`serve_child`].
#[derive(Debug, Clone)]
pub struct Child {
    /// Executable.
    pub program: PathBuf,
    /// Arguments.
    pub arguments: Vec<String>,
}

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Silent connections, each with a certificate of its own.
    pub connections: usize,
    /// Messages of the throughput run, over 50 clients.
    pub messages: u64,
}

impl Default for Plan {
    /// 5,000 connections as the budget says; 50,000 messages take some seconds.
    fn default() -> Self {
        Self { connections: 5_000, messages: 50_000 }
    }
}

/// Clients of the throughput run, and how many messages each has without acknowledgement. The edge announces a smaller
/// window, to which its clients keep.
pub const CLIENTS: usize = 50;
/// See [`CLIENTS`].
pub const WINDOW: u16 = 50;
/// Bytes of a message.
pub const MESSAGE_BYTES: usize = 300;

/// Silent connections.
#[derive(Debug, Clone, Serialize)]
pub struct IdleFigures {
    /// Connections open at the same time.
    pub connections: usize,
    /// Resident memory of the server that came with them, by connection.
    pub bytes_per_idle_connection: u64,
    /// Server's processor time of a connection with a full handshake, CONNECT and SUBSCRIBE, in microseconds.
    pub cpu_us_per_connect_full: f64,
    /// The same with a resumed handshake.
    pub cpu_us_per_connect_resumed: f64,
    /// Connections of the second round that were really resumed.
    pub resumed: u64,
}

/// Messages of one server.
#[derive(Debug, Clone, Serialize)]
pub struct MessageFigures {
    /// Server.
    pub server: String,
    /// Messages acknowledged.
    pub messages: u64,
    /// Window that the clients kept.
    pub window: u16,
    /// Messages in a second of the server's processor time, kernel included.
    pub qos1_messages_per_cpu_second: f64,
    /// The same, without the time in the kernel.
    pub qos1_messages_per_user_cpu_second: f64,
    /// Messages in a second of wall time.
    pub messages_per_second: f64,
    /// What happens to a message before its acknowledgement.
    pub durable: &'static str,
}

/// Everything.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Silent connections.
    pub idle: IdleFigures,
    /// Messages; the broker's entry is missing if the machine has none.
    pub messages: Vec<MessageFigures>,
    /// What was left out, and why.
    pub skipped: Vec<String>,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct BenchError {
    what: &'static str,
    reason: String,
}

fn failed<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> BenchError {
    move |error| BenchError { what, reason: error.to_string() }
}

/// Vehicle of a number.
fn vehicle(number: usize) -> VehicleId {
    let mut id = [0x42; 16];
    id[..8].copy_from_slice(&(number as u64).to_be_bytes());
    VehicleId(id)
}

/// Runs all measurements. The folder is used for keys and the event log.
///
/// # Errors
/// [`BenchError`].
pub async fn measure(
    plan: Plan,
    child: &Child,
    folder: &std::path::Path,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<Figures, BenchError> {
    let ca = VehicleCa::open(folder, clock, random).map_err(failed("certificates"))?;
    let idle = idle(plan, child, folder, &ca).await?;
    let mut figures = Figures { idle, messages: Vec::new(), skipped: Vec::new() };
    for kind in [Kind::Frames, Kind::Protocol] {
        figures.messages.push(edge_messages(plan, child, folder, &ca, kind).await?);
    }
    match Broker::start(folder, &ca).await? {
        Some(broker) => figures.messages.push(broker_messages(plan, &broker, &ca).await?),
        None => figures.skipped.push("mosquitto is not installed: nothing to compare with".to_owned()),
    }
    Ok(figures)
}

async fn idle(
    plan: Plan,
    child: &Child,
    folder: &std::path::Path,
    ca: &VehicleCa,
) -> Result<IdleFigures, BenchError> {
    let certificates: Vec<TlsFiles> = (0..plan.connections)
        .map(|number| ca.issue_vehicle(vehicle(number)))
        .collect::<Result<_, _>>()
        .map_err(failed("certificates"))?;
    let mut served = Served::start(child, folder, plan.connections).await?;
    // A first connection makes what is made once: the pool, the ticket keys, the allocator's arenas.
    let warm = ca.issue_vehicle(vehicle(plan.connections)).map_err(failed("certificates"))?;
    drop(Member::connect(served.address, vehicle(plan.connections), &warm, &Fleet::new(ca)?).await?);
    let fleet = Fleet::new(ca)?;
    let configs: Vec<_> = certificates.iter().map(|files| fleet.config(files)).collect::<Result<_, _>>()?;
    let before = served.usage()?;
    let members = connect_all(&mut served, &configs).await?;
    let open = served.usage()?;
    let cpu_full = open.cpu().saturating_sub(before.cpu());
    let bytes = open.resident_bytes.saturating_sub(before.resident_bytes) / plan.connections.max(1) as u64;
    drop(members);
    served.settle(0).await?;
    // The second round has tickets of the first: half of the connections are enough to measure it.
    let count = plan.connections.div_ceil(2);
    let before = served.usage()?;
    let members = connect_all(&mut served, configs.get(..count).unwrap_or_default()).await?;
    let cpu_resumed = served.usage()?.cpu().saturating_sub(before.cpu());
    let resumed = members.iter().filter(|member| member.is_resumed).count() as u64;
    let per = |cpu: Duration, count: usize| cpu.as_secs_f64() * 1e6 / count.max(1) as f64;
    Ok(IdleFigures {
        connections: members.len().max(plan.connections),
        bytes_per_idle_connection: bytes,
        cpu_us_per_connect_full: per(cpu_full, plan.connections),
        cpu_us_per_connect_resumed: per(cpu_resumed, count),
        resumed,
    })
}

/// Opens one connection after the other, as fast as the server takes them.
async fn connect_all(
    served: &mut Served,
    configs: &[Arc<rustls::ClientConfig>],
) -> Result<Vec<Member>, BenchError> {
    let mut members = Vec::with_capacity(configs.len());
    for (number, config) in configs.iter().enumerate() {
        members.push(Member::connect_with(served.address, vehicle(number), Arc::clone(config)).await?);
    }
    served.settle(members.len()).await?;
    Ok(members)
}

/// Messages whose first bytes are refused: protocol, TLS and nothing else. Or true frames: checked and durable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Protocol,
    Frames,
}

async fn edge_messages(
    plan: Plan,
    child: &Child,
    folder: &std::path::Path,
    ca: &VehicleCa,
    kind: Kind,
) -> Result<MessageFigures, BenchError> {
    let served = Served::start(child, folder, CLIENTS).await?;
    let fleet = Fleet::new(ca)?;
    let mut members = Vec::new();
    for number in 0..CLIENTS {
        let files = ca.issue_vehicle(vehicle(number)).map_err(failed("certificates"))?;
        members.push(Member::connect(served.address, vehicle(number), &files, &fleet).await?);
    }
    let window = members.iter().map(|member| member.receive_max).min().unwrap_or(WINDOW).min(WINDOW);
    let (payload, messages): (Payload, u64) = match kind {
        Kind::Protocol => (Arc::new(|_, _| vec![b'x'; MESSAGE_BYTES]), plan.messages),
        // Checked, appended and synced: fewer of them take as long.
        Kind::Frames => {
            let each = (plan.messages / 10 / CLIENTS as u64).max(1);
            let frames: Vec<Vec<Vec<u8>>> =
                (0..CLIENTS).map(|number| (0..each).map(|seq| frame(number, seq)).collect()).collect();
            let pick = move |number: usize, seq: u64| {
                let seq = usize::try_from(seq).unwrap_or(0);
                frames.get(number).and_then(|mine| mine.get(seq)).cloned().unwrap_or_default()
            };
            (Arc::new(pick), each * CLIENTS as u64)
        }
    };
    let (before, began) = (served.usage()?, Instant::now());
    let messages = client::publish_all(members, Pace { messages, window }, payload).await?;
    let used = served.usage()?;
    let (server, durable) = match kind {
        Kind::Protocol => {
            ("outrider edge, protocol only", "nothing: refused by its first bytes, with a reason")
        }
        Kind::Frames => {
            ("outrider edge", "signature checked, durable in the event log, signed acknowledgement sent")
        }
    };
    Ok(figures(server, messages, window, began.elapsed(), &before, &used, durable))
}

/// A signed frame of [`MESSAGE_BYTES`], with one event more than the one before.
fn frame(number: usize, seq: u64) -> Vec<u8> {
    let mut rows = vec![0; 1024];
    let at = VehicleMicros(seq + 1);
    let fix = ClockFix {
        mono: at,
        wall: UnixMicros(1_799_000_000_000_000),
        error_us: 1000,
        source: ClockSource::Gnss,
    };
    let lane = Lane::Critical;
    let balance = LaneHead { lane, first_seq: seq + 1, last_seq: seq + 1, received: seq + 1, folded: 0 };
    let event = EventHead {
        event_type: outrider_model::catalogue::EVENT_TYPES[0].id,
        lane,
        seq: Seq(seq + 1),
        severity: None,
        bus: None,
        ecu: EcuId(2),
        first: at,
        last: at,
        count: 1,
    };
    let mut writer = BatchWriter::new(&mut rows);
    let written = [
        writer.fix(&fix).is_ok(),
        writer.head(&balance, &[]).is_ok(),
        writer.event(&event, std::iter::empty(), &[0x5a; 90]).is_ok(),
    ];
    assert_eq!(written, [true; 3], "a kilobyte has room for one event");
    let payload = writer.finish().to_vec();
    let header = EnvelopeHeader {
        dict: DictId::STORED,
        catalogue_id: 1,
        tenant: server::TENANT,
        vehicle: vehicle(number),
        epoch: BootEpoch(1),
        batch_number: seq,
        raw_bytes: u32::try_from(payload.len()).unwrap_or(0),
    };
    let mut out = vec![0; Envelope::frame_bytes(payload.len())];
    let signer = BatchSigner(key(number));
    let length =
        Envelope { header, payload: &payload }.emit(&signer, &mut out).expect("the length was asked for");
    out.truncate(length);
    out
}

/// Batch key of a vehicle of the measurement.
fn key(number: usize) -> SigningKey {
    let mut seed = [0x17; 32];
    seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
    SigningKey::from_bytes(&seed)
}

struct BatchSigner(SigningKey);

impl outrider_wire::Signer for BatchSigner {
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], outrider_wire::SignerError> {
        Ok(self.0.sign(message).to_bytes())
    }
}

async fn broker_messages(plan: Plan, broker: &Broker, ca: &VehicleCa) -> Result<MessageFigures, BenchError> {
    let fleet = Fleet::new(ca)?;
    let mut members = Vec::new();
    for number in 0..CLIENTS {
        let files = ca.issue_vehicle(vehicle(number)).map_err(failed("certificates"))?;
        members.push(Member::connect(broker.address, vehicle(number), &files, &fleet).await?);
    }
    let (before, began) = (broker.usage()?, Instant::now());
    let pace = Pace { messages: plan.messages, window: WINDOW };
    let messages = client::publish_all(members, pace, Arc::new(|_, _| vec![b'x'; MESSAGE_BYTES])).await?;
    let used = broker.usage()?;
    Ok(figures(
        "mosquitto",
        messages,
        WINDOW,
        began.elapsed(),
        &before,
        &used,
        "nothing: no subscriber, in memory",
    ))
}

fn figures(
    server: &str,
    messages: u64,
    window: u16,
    wall: Duration,
    before: &server::Usage,
    used: &server::Usage,
    durable: &'static str,
) -> MessageFigures {
    let rate = |time: Duration| messages as f64 / time.as_secs_f64().max(1e-9);
    MessageFigures {
        server: server.to_owned(),
        messages,
        window,
        qos1_messages_per_cpu_second: rate(used.cpu().saturating_sub(before.cpu())),
        qos1_messages_per_user_cpu_second: rate(used.user.saturating_sub(before.user)),
        messages_per_second: rate(wall),
        durable,
    }
}
