//! Where messages begin in TCP segments.
//!
//! Nothing is put together: a message that goes on in the next segment is judged by what the first one has, and the
//! rest is passed over. Repeats are passed over by their sequence numbers. After a gap the next segment is taken to
//! begin with a message, which the message's own magic then confirms or not.

use outrider_bus::ether::IpAddress;
use outrider_types::VehicleMicros;

use super::packet::Packet;
use super::table::Recent;

/// Connections followed at once, each direction apart.
const STREAMS_MAX: usize = 32;

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

    /// The connection whichever way: the smaller end first.
    pub(super) fn connection(self) -> Self {
        if self.source <= self.destination {
            self
        } else {
            Self { source: self.destination, destination: self.source }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Stream {
    /// Sequence number of the next new byte.
    next: u32,
    /// Bytes of an unfinished message that are still to come.
    skip: u32,
}

/// Directions of connections.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    rows: Recent<StreamKey, Stream, STREAMS_MAX>,
}

impl Streams {
    pub(super) const fn new() -> Self {
        Self { rows: Recent::new() }
    }

    /// Returns the part of a segment's payload in which messages begin; empty for a repeat.
    pub(super) fn fresh<'a>(&mut self, at: VehicleMicros, key: StreamKey, packet: &Packet<'a>) -> &'a [u8] {
        let Some(ports) = packet.ports else { return &[] };
        let payload = ports.payload;
        if ports.tcp.is_opening() || ports.tcp.flags & 0x12 == 0x12 {
            self.rows.put(at, key, Stream { next: ports.tcp.sequence.wrapping_add(1), skip: 0 });
            return &[];
        }
        if payload.is_empty() {
            return payload;
        }
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let sequence = ports.tcp.sequence;
        let Some(stream) = self.rows.entry(at, key, || Stream { next: sequence, skip: 0 }) else {
            return &[];
        };
        let ahead = sequence.wrapping_sub(stream.next);
        if ahead == 0 {
            stream.next = sequence.wrapping_add(length);
            let skipped = stream.skip.min(length);
            stream.skip = stream.skip.saturating_sub(skipped);
            return payload.get(usize::try_from(skipped).unwrap_or(usize::MAX)..).unwrap_or(&[]);
        }
        if ahead > u32::MAX >> 1 {
            // A repeat.
            return &[];
        }
        *stream = Stream { next: sequence.wrapping_add(length), skip: 0 };
        payload
    }

    /// Notes that the last message of a segment goes on.
    pub(super) fn owe(&mut self, at: VehicleMicros, key: StreamKey, missing: usize) {
        if let Some(stream) = self.rows.entry(at, key, || Stream { next: 0, skip: 0 }) {
            stream.skip = u32::try_from(missing).unwrap_or(u32::MAX);
        }
    }
}
