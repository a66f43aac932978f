//! The other end of the bench: reads what the vehicle writes, weighs it, and answers.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use outrider_gateway::short::{SessionTagger, ShortCodec};
use outrider_gateway::uplink::{ShortSession, frame_digest};
use outrider_gateway::{Ed25519Signer, Ed25519Verifier, codec};
use outrider_types::{BootEpoch, Lane, UnixMicros};
use outrider_wire::{Ack, Batch, Reply, SealedEnvelope, SealedShort, ShortPlace, Watermark, is_short};

use super::VEHICLE;
use crate::io::mqtt::client::{SHORT_PROPERTY, SHORT_VERSION};
use crate::io::mqtt::{Dial, Stream};

/// Key of the session; a bench has no TLS.
const KEY: [u8; 32] = [0x5E; 32];

pub(super) fn ack_key() -> Ed25519Signer {
    Ed25519Signer::new(&[2; 32])
}

pub(super) fn batch_key() -> Ed25519Signer {
    Ed25519Signer::new(&[1; 32])
}

/// A PUBLISH packet of the vehicle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet {
    /// Bytes of the whole packet.
    pub(super) bytes: u64,
    /// Rows in it.
    pub(super) rows: u64,
    /// Whether it holds one critical row and nothing else.
    pub(super) is_single: bool,
    /// Whether it is a short frame.
    pub(super) is_short: bool,
}

/// What was seen, and the time, shared by bench and connection.
#[derive(Clone, Default)]
pub(super) struct Seen {
    packets: Rc<RefCell<Vec<Packet>>>,
    down: Rc<Cell<u64>>,
    now: Rc<Cell<Duration>>,
}

impl Seen {
    pub(super) fn packets(&self) -> Vec<Packet> {
        self.packets.borrow().clone()
    }

    pub(super) fn down_bytes(&self) -> u64 {
        self.down.get()
    }

    pub(super) fn pass(&self, time: Duration) {
        self.now.set(self.now.get() + time);
    }
}

pub(super) struct BenchDial {
    seen: Seen,
    takes_short: bool,
}

impl BenchDial {
    pub(super) fn new(seen: &Seen, takes_short: bool) -> Self {
        Self { seen: seen.clone(), takes_short }
    }
}

impl Dial for BenchDial {
    fn dial(&mut self) -> io::Result<Box<dyn Stream>> {
        let (seen, takes_short) = (self.seen.clone(), self.takes_short);
        Ok(Box::new(Connection { seen, takes_short, out: VecDeque::new(), edge: ShortEdge::new() }))
    }

    fn now(&self) -> Duration {
        self.seen.now.get()
    }
}

struct Connection {
    seen: Seen,
    takes_short: bool,
    out: VecDeque<u8>,
    edge: ShortEdge,
}

/// CONNACK as the cloud's edge says it, or as a broker does.
fn welcome(takes_short: bool) -> Vec<u8> {
    let mut properties = Vec::new();
    if takes_short {
        properties.push(0x26);
        for text in [SHORT_PROPERTY, SHORT_VERSION] {
            properties.extend(u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
            properties.extend(text.bytes());
        }
    }
    let length = u8::try_from(properties.len()).unwrap_or(0);
    [&[0x20, length + 3, 0, 0, length][..], &properties].concat()
}

/// Packs a payload into a PUBLISH of QoS 0 on the downward topic.
fn down(payload: &[u8]) -> Vec<u8> {
    let mut length = payload.len() + 2 + "v1/down".len() + 1;
    let mut packet = vec![0x30];
    while length >= 0x80 {
        packet.push(u8::try_from(length & 0x7F).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    packet.push(u8::try_from(length).unwrap_or(0));
    packet.extend([0, 7]);
    packet.extend_from_slice(b"v1/down\0");
    packet.extend_from_slice(payload);
    packet
}

impl Connection {
    fn publish(&mut self, packet: &[u8]) {
        // Length in one to four bytes, topic, identifier, one byte of properties.
        let head = 2 + packet.iter().skip(1).take_while(|byte| **byte >= 0x80).count();
        let text = packet.get(head..).and_then(|rest| rest.first_chunk::<2>()).copied().unwrap_or_default();
        let at = head + 2 + usize::from(u16::from_be_bytes(text));
        let (id, frame) =
            (packet.get(at..at + 2).unwrap_or_default(), packet.get(at + 3..).unwrap_or_default());
        let counted = if is_short(frame) {
            Packet { bytes: packet.len() as u64, rows: 1, is_single: true, is_short: true }
        } else {
            let rows = open(frame);
            let batch = Batch::parse(&rows).expect("the vehicle's own rows");
            let others =
                batch.heads().count() + batch.gaps().count() + batch.fixes().count() + batch.proofs().count();
            let is_single = batch.event_count() == 1 && others == 0;
            Packet {
                bytes: packet.len() as u64,
                rows: u64::from(batch.event_count()),
                is_single,
                is_short: false,
            }
        };
        self.seen.packets.borrow_mut().push(counted);
        let reply = self.edge.answer(frame);
        let answer = [&[0x40, 2][..], id, &down(&reply)].concat();
        self.seen.down.set(self.seen.down.get() + answer.len() as u64);
        self.out.extend(answer);
    }
}

impl Stream for Connection {
    fn read(&mut self, into: &mut [u8], wait: Duration) -> io::Result<usize> {
        if self.out.is_empty() {
            self.seen.pass(wait);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = into.len().min(self.out.len());
        for (slot, byte) in into.iter_mut().zip(self.out.drain(..count)) {
            *slot = byte;
        }
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match bytes.first().map_or(0, |first| first >> 4) {
            1 => self.out.extend(welcome(self.takes_short)),
            3 => self.publish(bytes),
            8 => self.out.extend([0x90, 4, 0, 1, 0, 0]),
            12 => self.out.extend([0xD0, 0]),
            _ => {}
        }
        Ok(())
    }

    fn key(&self) -> Option<[u8; 32]> {
        Some(KEY)
    }
}

/// Opens a batch as the cloud does; returns its rows.
fn open(frame: &[u8]) -> Vec<u8> {
    let key = Ed25519Verifier::new(&batch_key().public_key()).expect("a real key");
    let envelope =
        SealedEnvelope::parse(frame).and_then(|sealed| sealed.open(&key)).expect("the vehicle's signature");
    codec::decode(envelope.header.dict, envelope.header.raw_bytes, envelope.payload).expect("own payload")
}

/// Answers a batch in which a lane's numbers have no holes.
pub(super) fn answer(frame: &[u8]) -> Vec<u8> {
    let rows = open(frame);
    let epoch = SealedEnvelope::parse(frame).expect("just opened").claimed().epoch;
    acknowledge(frame, epoch, &highest(&rows))
}

fn highest(rows: &[u8]) -> BTreeMap<Lane, u64> {
    let mut highest = BTreeMap::new();
    for event in Batch::parse(rows).expect("own rows").events() {
        let head = event.expect("own rows").head;
        highest.insert(head.lane, head.seq.0);
    }
    highest
}

fn acknowledge(frame: &[u8], epoch: BootEpoch, lanes: &BTreeMap<Lane, u64>) -> Vec<u8> {
    let marks: Vec<Watermark<'_>> = lanes
        .iter()
        .map(|(lane, contiguous)| Watermark { epoch, lane: *lane, contiguous: *contiguous, holes: &[] })
        .collect();
    let mut ack = vec![0; Ack::frame_bytes(&marks)];
    let head = (VEHICLE, UnixMicros(1), frame_digest(frame));
    Ack::emit_answer(head, &marks, &ack_key(), &mut ack).expect("room");
    let mut reply = vec![0; Reply::frame_bytes(&ack, &[])];
    Reply::emit(&ack, &[], &mut reply).expect("room");
    reply
}

/// An end that takes short frames, too.
pub(super) struct ShortEdge {
    codec: ShortCodec,
    frames: u64,
    epoch: BootEpoch,
}

impl ShortEdge {
    pub(super) fn new() -> Self {
        Self { codec: ShortCodec::new().expect("memory for a dictionary"), frames: 0, epoch: BootEpoch(0) }
    }

    /// Returns the session that a bench without connection is in.
    pub(super) fn session() -> ShortSession {
        ShortSession { id: 1, tagger: SessionTagger::new(KEY) }
    }

    pub(super) fn answer(&mut self, frame: &[u8]) -> Vec<u8> {
        if !is_short(frame) {
            return answer(frame);
        }
        let place = ShortPlace { vehicle: VEHICLE, number: self.frames };
        let sealed = SealedShort::parse(frame).expect("own frame");
        let short = sealed.open(&SessionTagger::new(KEY), place).expect("own tag");
        self.frames += 1;
        self.epoch = short.opening.map_or(self.epoch, |opening| opening.epoch);
        let row = self.codec.decode(short.coding, short.row).expect("own row");
        acknowledge(frame, self.epoch, &highest(&row))
    }
}
