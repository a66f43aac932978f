//! Segmented messages, listened to rather than spoken.

use core::fmt;

use outrider_types::VehicleMicros;

use super::repr::Message;
use crate::bytes::{ByteOrder, u32_at};

/// Bytes of the header of a segment.
pub const TP_HEADER_BYTES: usize = 4;
/// Longest wait for the next segment, in microseconds: the default of AUTOSAR's `SomeIpTpRxTimeoutTime` (guess: one
/// second is longer than any real burst).
pub const SEGMENT_TIMEOUT_US: u64 = 1_000_000;

/// Header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TpHeader {
    /// Where the segment belongs, in bytes, a multiple of 16.
    pub offset: u32,
    /// Whether more segments follow.
    pub more: bool,
}

impl TpHeader {
    /// Reads the header of a segment's payload, or returns `None` if it is cut.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let word = u32_at(payload, 0, ByteOrder::Big)?;
        Some(Self { offset: word & 0xFFFF_FFF0, more: word & 1 != 0 })
    }

    /// Writes the header; the lowest four bits of the offset are dropped.
    #[must_use]
    pub const fn emit(self) -> [u8; TP_HEADER_BYTES] {
        (self.offset & 0xFFFF_FFF0 | self.more as u32).to_be_bytes()
    }
}

/// Whose message a segment belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TpKey {
    /// Number that the caller gives the sender, such as a row of its table of addresses.
    pub sender: u32,
    /// Service and method.
    pub message: u32,
    /// Client and session.
    pub request: u32,
}

impl TpKey {
    /// Returns the key of a message.
    #[must_use]
    pub fn new(sender: u32, message: &Message<'_>) -> Self {
        let join = |high: u16, low: u16| u32::from(high) << 16 | u32::from(low);
        let header = &message.header;
        Self {
            sender,
            message: join(header.service, header.method),
            request: join(header.client, header.session),
        }
    }
}

/// Why a segment or an unfinished message was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TpReject {
    /// The header is cut.
    Truncated,
    /// A segment in the middle of a message that nobody began.
    Unexpected,
    /// A segment at another place than the one that is next; the message is dropped.
    Offset {
        /// Expected place.
        expected: u32,
        /// The segment's.
        got: u32,
    },
    /// A segment with others behind it whose length is no multiple of 16, or an empty one.
    Length {
        /// Its length.
        got: usize,
    },
    /// A message longer than the table's places.
    TooLong,
    /// A segment too late; the message is dropped.
    Timeout,
}

impl fmt::Display for TpReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated => f.write_str("segment ends inside its header"),
            Self::Unexpected => f.write_str("segment of a message that nobody began"),
            Self::Offset { expected, got } => write!(f, "segment at {got}, expected {expected}"),
            Self::Length { got } => write!(f, "segment of {got} bytes"),
            Self::TooLong => f.write_str("message too long"),
            Self::Timeout => f.write_str("segment too late"),
        }
    }
}

impl core::error::Error for TpReject {}

/// What a segment did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TpEvent<'a> {
    /// It completed a message, borrowed until the next call.
    Whole(&'a [u8]),
    /// It began a message or carried one on.
    Pending,
    /// It was of no use.
    Rejected(TpReject),
}

#[derive(Debug, Clone, Copy)]
struct Open {
    key: TpKey,
    have: usize,
    last: VehicleMicros,
}

#[derive(Debug, Clone)]
struct Place<const BYTES: usize> {
    open: Option<Open>,
    data: [u8; BYTES],
}

/// Passive reassembler of up to `CHANNELS` messages at once, of up to `BYTES` bytes each; segments must come in order,
/// as every known sender sends them. Size `CHANNELS * BYTES` and a little. When the table is full, a new message takes
/// the place of the one that has been silent longest.
#[derive(Debug, Clone)]
pub struct Reassembler<const CHANNELS: usize, const BYTES: usize> {
    places: [Place<BYTES>; CHANNELS],
    evicted: u64,
}

impl<const CHANNELS: usize, const BYTES: usize> Default for Reassembler<CHANNELS, BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const CHANNELS: usize, const BYTES: usize> Reassembler<CHANNELS, BYTES> {
    /// Creates an empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self { places: [const { Place { open: None, data: [0; BYTES] } }; CHANNELS], evicted: 0 }
    }

    /// Returns how many unfinished messages had to give their place away.
    #[must_use]
    pub const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Takes the payload of a segment and says what it did; one pass over the table and one copy.
    pub fn receive(&mut self, at: VehicleMicros, key: TpKey, payload: &[u8]) -> TpEvent<'_> {
        match self.step(at, key, payload) {
            Ok(Some((index, len))) => {
                let data = self.places.get(index).and_then(|place| place.data.get(..len));
                TpEvent::Whole(data.unwrap_or(&[]))
            }
            Ok(None) => TpEvent::Pending,
            Err(reject) => TpEvent::Rejected(reject),
        }
    }

    fn step(
        &mut self,
        at: VehicleMicros,
        key: TpKey,
        payload: &[u8],
    ) -> Result<Option<(usize, usize)>, TpReject> {
        let header = TpHeader::parse(payload).ok_or(TpReject::Truncated)?;
        let piece = payload.get(TP_HEADER_BYTES..).unwrap_or(&[]);
        if piece.is_empty() || header.more && piece.len() & 0x0F != 0 {
            return Err(TpReject::Length { got: piece.len() });
        }
        let known = self.places.iter().position(|place| place.open.is_some_and(|open| open.key == key));
        let index = if header.offset == 0 { known.or_else(|| self.free()) } else { known };
        let place = index.and_then(|index| self.places.get_mut(index)).ok_or(TpReject::Unexpected)?;
        let open = place.open.take().filter(|open| open.key == key && header.offset != 0);
        let have = open.map_or(0, |open| open.have);
        let expected = u32::try_from(have).unwrap_or(u32::MAX);
        if expected != header.offset {
            return Err(TpReject::Offset { expected, got: header.offset });
        }
        if open.is_some_and(|open| at.micros_since(open.last) > SEGMENT_TIMEOUT_US) {
            return Err(TpReject::Timeout);
        }
        let end = have.saturating_add(piece.len());
        let target = place.data.get_mut(have..end).ok_or(TpReject::TooLong)?;
        target.iter_mut().zip(piece).for_each(|(slot, byte)| *slot = *byte);
        if header.more {
            place.open = Some(Open { key, have: end, last: at });
            return Ok(None);
        }
        Ok(index.map(|index| (index, end)))
    }

    /// Finds a free place or the one that has been silent longest.
    fn free(&mut self) -> Option<usize> {
        let places = self.places.iter().enumerate();
        let (index, place) = places.min_by_key(|(_, place)| place.open.map(|open| open.last))?;
        if place.open.is_some() {
            self.evicted = self.evicted.saturating_add(1);
        }
        Some(index)
    }
}
