//! TCP streams, put together.
//!
//! **In:** segments of connections that carry diagnosis, services or charging. **Out:** their messages, whole or as far
//! as detectors look at them, and [`Trouble`]. **Never:** more than [`STREAMS_MAX`] directions at once, more than one
//! ring of bytes each.
//!
//! What a receiver would take decides: bytes in order, the first of two for one place (*first wins*; what differs is
//! reported), nothing out of a segment far ahead, no new connection before somebody uses it. A hole is given up when its
//! receiver acknowledges what we never saw, or after a time; then the next sure header is looked for, which is also how
//! a stream begins that is joined midway. Checksums are not looked at: a segment that its receiver drops for a wrong one
//! and that differs from the true one is a conflict.

mod framer;
mod window;

use outrider_bus::ether::IpAddress;
use outrider_types::VehicleMicros;

use framer::Framer;
pub(super) use framer::{Framed, Framing};
use window::{Place, Window};

use super::packet::Packet;
use super::table::Recent;

/// Directions followed at once; closed ones give way first, then those that said nothing, then
/// the one silent longest.
pub(super) const STREAMS_MAX: usize = 12;
/// Connections whose opening was seen and that have not said yet what they are.
const OPENINGS_MAX: usize = 32;
/// Time in which a byte that its receiver acknowledges may still come, in microseconds: mirror ports and receive queues
/// reorder by less (guess).
const ACKNOWLEDGED_US: u64 = 10_000;
/// Time after which a hole that nobody acknowledges is given up, in microseconds: a sender repeats after one second, and
/// again after two (RFC 6298).
const HOLE_US: u64 = 4_000_000;
/// Acknowledgements further ahead than this are not of this connection.
const ACKNOWLEDGED_MAX: u32 = 1 << 30;
/// First bytes of the charging messages that are known before their port is: EXI of any standard, and a car maker's.
const CHARGING: [[u8; 3]; 2] = [[1, 0xFE, 0x80], [1, 0xFE, 0x4C]];

/// One direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamKey {
    source: (IpAddress, u16),
    destination: (IpAddress, u16),
}

impl StreamKey {
    pub(super) fn of(packet: &Packet<'_>) -> Option<Self> {
        let ports = packet.ports.filter(|ports| ports.is_tcp)?;
        Some(Self {
            source: (packet.source, ports.source),
            destination: (packet.destination, ports.destination),
        })
    }

    const fn reversed(self) -> Self {
        Self { source: self.destination, destination: self.source }
    }

    /// The connection whichever way: the smaller end first.
    pub(super) fn connection(self) -> Self {
        if self.source <= self.destination { self } else { self.reversed() }
    }
}

/// What went wrong in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Two segments say different bytes for one place.
    Conflict,
    /// The receiver has bytes that were never seen here.
    Lost,
    /// Bytes never came.
    Missing,
    /// Bytes are no message where one had to begin.
    Unframed,
    /// The stream gave way to others while a message was unfinished.
    Crowded,
}

/// Who takes messages.
pub(super) trait Receiver {
    /// Takes a message; the packet is the one that completed it, or the latest one of its stream.
    fn message(&mut self, framing: Framing, packet: &Packet<'_>, message: Framed<'_>);
    /// Takes trouble.
    fn trouble(&mut self, packet: &Packet<'_>, trouble: Trouble);
}

/// State of one direction.
#[derive(Debug, Clone)]
struct Stream {
    key: Option<StreamKey>,
    framing: Framing,
    /// Latest packet without its payload, for what is said later.
    packet: Option<Packet<'static>>,
    window: Window,
    framer: Framer,
    last: VehicleMicros,
    /// Sequence number of the first byte, if the opening was seen.
    opened: Option<u32>,
    /// First byte of a connection that may have taken this one's place.
    reopened: Option<u32>,
    /// Since when bytes are missing.
    hole: Option<VehicleMicros>,
    /// What the receiver has beyond what was seen, and since when.
    acknowledged: Option<(u32, VehicleMicros)>,
    is_closed: bool,
    has_spoken: bool,
}

/// Directions of connections.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    rows: [Stream; STREAMS_MAX],
    openings: Recent<StreamKey, u32, OPENINGS_MAX>,
    /// Stream that is looked at next while time passes.
    turn: usize,
}

impl Streams {
    pub(super) const fn new() -> Self {
        Self { rows: [const { Stream::EMPTY }; STREAMS_MAX], openings: Recent::new(), turn: 0 }
    }

    fn find(&mut self, key: StreamKey) -> Option<&mut Stream> {
        self.rows.iter_mut().find(|stream| stream.key == Some(key))
    }

    /// Returns whether a connection is followed, whichever way.
    pub(super) fn follows(&self, key: StreamKey, framing: Framing) -> bool {
        let connection = Some(key.connection());
        self.rows
            .iter()
            .any(|stream| stream.framing == framing && stream.key.map(StreamKey::connection) == connection)
    }

    /// Takes a segment. Charging has no port of its own: without `is_known`, only a connection that begins with a
    /// charging message is followed.
    pub(super) fn receive(
        &mut self,
        packet: &Packet<'_>,
        framing: Framing,
        is_known: bool,
        out: &mut impl Receiver,
    ) {
        let (Some(ports), Some(key)) = (packet.ports, StreamKey::of(packet)) else { return };
        let at = packet.at;
        if ports.tcp.acknowledges()
            && let Some(other) = self.find(key.reversed())
        {
            other.acknowledge(at, ports.tcp.acknowledgement);
        }
        let opening = ports.tcp.is_synchronising().then(|| ports.tcp.sequence.wrapping_add(1));
        if let Some(first) = opening {
            match self.find(key) {
                Some(stream) => stream.reopen(first),
                None if is_known => {
                    if let Some(stream) = self.claim(key, framing, packet, out) {
                        stream.open(first);
                    }
                }
                None => self.openings.put(at, key, first),
            }
        }
        let sequence = opening.unwrap_or(ports.tcp.sequence);
        if !ports.payload.is_empty() {
            self.segment(packet, framing, is_known, (key, sequence, ports.payload), out);
        }
        if ports.tcp.is_ending()
            && let Some(stream) = self.find(key)
        {
            // It may be a lie: nothing is forgotten, but the place is free for others.
            stream.is_closed = stream.is_closed || stream.window.has(sequence);
        }
    }

    fn segment(
        &mut self,
        packet: &Packet<'_>,
        framing: Framing,
        is_known: bool,
        (key, sequence, payload): (StreamKey, u32, &[u8]),
        out: &mut impl Receiver,
    ) {
        if self.find(key).is_none() {
            let opening = self.openings.find(key).map(|(first, _)| first);
            let opening = opening.filter(|&first| is_soon(first, sequence));
            let is_charging = CHARGING.iter().any(|start| payload.starts_with(start));
            let begins = |start: &[u8; 3]| payload.iter().zip(start).all(|(a, b)| a == b);
            let may_be = match opening {
                // Its first bytes, perhaps fewer than tell.
                Some(first) if first == sequence => CHARGING.iter().any(begins),
                // Something that came before them.
                Some(_) => true,
                None => false,
            };
            if !is_known && !is_charging && !may_be {
                self.openings.remove(key);
                return;
            }
            self.openings.remove(key);
            let Some(stream) = self.claim(key, framing, packet, out) else { return };
            match opening {
                Some(first) => stream.open(first),
                None => stream.join(sequence),
            }
        }
        let Some(stream) = self.find(key) else { return };
        let is_message = stream.take(packet, sequence, payload, out);
        // A connection of no known port that does not begin with a message is none of ours.
        if !is_message && !is_known && !stream.has_spoken {
            stream.key = None;
        }
    }

    /// Takes a place for a direction.
    fn claim(
        &mut self,
        key: StreamKey,
        framing: Framing,
        packet: &Packet<'_>,
        out: &mut impl Receiver,
    ) -> Option<&mut Stream> {
        let stream = self
            .rows
            .iter_mut()
            .min_by_key(|stream| (stream.key.is_some(), !stream.is_closed, stream.has_spoken, stream.last))?;
        if stream.key.is_some()
            && !stream.is_closed
            && (stream.window.waits() || stream.framer.is_within())
            && let Some(before) = stream.packet
        {
            out.trouble(&Packet { at: packet.at, ..before }, Trouble::Crowded);
        }
        stream.key = Some(key);
        stream.framing = framing;
        stream.packet = Some(packet.bare());
        stream.last = packet.at;
        Some(stream)
    }

    /// Lets time pass for one stream; one a frame is enough.
    pub(super) fn settle_one(&mut self, now: VehicleMicros, out: &mut impl Receiver) {
        match self.rows.get_mut(self.turn) {
            Some(stream) => {
                stream.settle(now, out);
                self.turn = self.turn.wrapping_add(1);
            }
            None => self.turn = 0,
        }
    }

    /// Lets time pass for all streams.
    pub(super) fn settle(&mut self, now: VehicleMicros, out: &mut impl Receiver) {
        self.rows.iter_mut().for_each(|stream| stream.settle(now, out));
    }
}

/// Returns whether a sequence number lies so little behind another that its segment would be kept.
const fn is_soon(first: u32, sequence: u32) -> bool {
    sequence.wrapping_sub(first) <= window::AHEAD_MAX
}

impl Stream {
    const EMPTY: Self = Self {
        key: None,
        framing: Framing::Doip,
        packet: None,
        window: Window::EMPTY,
        framer: Framer::EMPTY,
        last: VehicleMicros(0),
        opened: None,
        reopened: None,
        hole: None,
        acknowledged: None,
        is_closed: false,
        has_spoken: false,
    };

    /// Begins with the first byte of a connection.
    fn open(&mut self, first: u32) {
        self.begin(first, true);
        self.opened = Some(first);
    }

    /// Begins somewhere in a connection.
    fn join(&mut self, sequence: u32) {
        self.begin(sequence, false);
        self.opened = None;
    }

    fn begin(&mut self, sequence: u32, is_aligned: bool) {
        self.window.begin(sequence);
        self.framer.begin(is_aligned);
        (self.reopened, self.hole, self.acknowledged) = (None, None, None);
        (self.is_closed, self.has_spoken) = (false, false);
    }

    /// Takes an opening of a connection that is known: a repeat, the next one, or a lie. What comes then tells.
    fn reopen(&mut self, first: u32) {
        if self.opened == Some(first) && self.window.has(first) {
            return;
        }
        if self.is_closed {
            self.open(first);
        } else {
            self.reopened = Some(first);
        }
    }

    /// Takes what the other side says it has.
    fn acknowledge(&mut self, at: VehicleMicros, number: u32) {
        let ahead = number.wrapping_sub(self.window.next());
        // The end of a connection counts as one byte.
        let is_end = self.is_closed && ahead == 1;
        if ahead == 0 || ahead > ACKNOWLEDGED_MAX || is_end {
            return;
        }
        let since = self.acknowledged.map_or(at, |(_, since)| since);
        self.acknowledged = Some((number, since));
    }

    /// Takes a segment with bytes and returns whether they can be messages, as far as that is known.
    fn take(&mut self, packet: &Packet<'_>, sequence: u32, payload: &[u8], out: &mut impl Receiver) -> bool {
        let at = packet.at;
        if let Some(first) = self.reopened
            && is_soon(first, sequence)
            && !self.window.has(sequence)
        {
            self.open(first);
        }
        self.last = at;
        // A probe whether the other side lives: a zero in the place of the last byte (RFC 9293, 3.8.4).
        if payload == [0] && sequence.wrapping_add(1) == self.window.next() {
            return true;
        }
        let is_overdue = self.hole.is_some_and(|since| at.micros_since(since) >= HOLE_US);
        if is_overdue && !self.window.is_due(sequence) && !self.window.waits() {
            self.packet = Some(packet.bare());
            out.trouble(packet, Trouble::Missing);
            self.window.begin(sequence);
            self.framer.begin(false);
            self.hole = None;
        }
        let Self { window, framer, framing, has_spoken, .. } = self;
        let mut lost = false;
        let taken = window.take(sequence, payload, &mut |bytes| {
            lost |= framer.feed(*framing, bytes, &mut |message| {
                *has_spoken = true;
                out.message(*framing, packet, message);
            });
        });
        if taken.conflict {
            out.trouble(packet, Trouble::Conflict);
        }
        match taken.place {
            Place::Early | Place::Elsewhere => {
                self.packet = Some(packet.bare());
                self.hole = Some(self.hole.unwrap_or(at));
            }
            Place::Next => self.hole = self.window.waits().then_some(at),
            Place::Repeat => {}
        }
        if lost && self.has_spoken {
            out.trouble(packet, Trouble::Unframed);
        }
        self.settle(at, out);
        !lost
    }

    /// Gives up what will not come any more.
    fn settle(&mut self, now: VehicleMicros, out: &mut impl Receiver) {
        if self.key.is_none() || (self.acknowledged.is_none() && self.hole.is_none()) {
            return;
        }
        let Some(packet) = self.packet.map(|packet| Packet { at: now, ..packet }) else { return };
        if let Some((number, since)) = self.acknowledged {
            let ahead = number.wrapping_sub(self.window.next());
            if ahead == 0 || ahead > ACKNOWLEDGED_MAX {
                self.acknowledged = None;
            } else if now.micros_since(since) >= ACKNOWLEDGED_US {
                self.give_up(&packet, Some(number), Trouble::Lost, out);
            }
        }
        let is_overdue = self.hole.is_some_and(|since| now.micros_since(since) >= HOLE_US);
        if is_overdue && self.window.waits() {
            self.give_up(&packet, None, Trouble::Missing, out);
        }
    }

    fn give_up(
        &mut self,
        packet: &Packet<'_>,
        limit: Option<u32>,
        trouble: Trouble,
        out: &mut impl Receiver,
    ) {
        if self.has_spoken || self.framing != Framing::V2gtp {
            out.trouble(packet, trouble);
        }
        self.framer.begin(false);
        let Self { window, framer, framing, has_spoken, .. } = self;
        window.give_up(limit, &mut |bytes| {
            framer.feed(*framing, bytes, &mut |message| {
                *has_spoken = true;
                out.message(*framing, packet, message);
            });
        });
        self.hole = self.window.waits().then_some(packet.at);
        self.acknowledged = None;
    }
}
