//! Short frame: one critical row over an open session whose two ends share a key (ADR 0013).
//!
//! ```text
//!  0  kind u8: 1 vvv f ccc   v version, f opening follows, c coding of the row
//!  1  epoch varint, catalogue_id varint, only if f
//! ..  row, coded
//! ..  tag, 8 bytes
//! ```
//!
//! The first byte is 0x80 or above, which no magic is, so a reader tells short frames from all others by it. The tag
//! covers, in this order: [`SHORT_LABEL`], the number of the frame in its session (u64, from 0), the vehicle, and every
//! byte before the tag. The number is not sent: both ends count, and a frame that is repeated, left out or moved has
//! another number on the other side.

use outrider_types::{BootEpoch, VehicleId};

use crate::fixed::{FrameError, widen};
use crate::pb::{Reader, Sink, SliceSink};

/// Length of a short frame's tag. Eight bytes: a forger inside the session has one try, as the session ends with the
/// first wrong tag.
pub const SHORT_TAG_BYTES: usize = 8;
/// Longest short frame. What is longer gains little from leaving out 124 bytes of envelope (guess).
pub const SHORT_FRAME_BYTES_MAX: usize = 512;
/// What the tag's input begins with.
pub const SHORT_LABEL: [u8; 16] = *b"outrider short 1";
/// Label of the TLS exporter (RFC 8446, 7.5) that yields the session's key: 32 bytes, without context.
pub const SHORT_EXPORTER_LABEL: &[u8] = b"EXPORTER-outrider-short-frame-v1";

/// First byte of version 0, without opening and coding.
const KIND: u8 = 0x80;
const OPENING: u8 = 0x08;
const CODING: u8 = 0x07;

/// Computes the tag of a short frame with the session's key, which stays with the implementation:
/// HMAC-SHA256 (RFC 2104) over the parts one after the other, cut to its first [`SHORT_TAG_BYTES`] bytes.
pub trait Tagger {
    /// Returns the tag of the parts.
    fn tag(&self, parts: [&[u8]; 4]) -> [u8; SHORT_TAG_BYTES];
}

/// How the row of a short frame is coded. A closed list of eight; append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortCoding(u8);

impl ShortCoding {
    /// The bytes of the row as they are.
    pub const STORED: Self = Self(0);
    /// The content of one zstd block (RFC 8878, 3.1.1.2.3) with [`crate::dictionary::SHORT_V1`], without any frame or
    /// block header.
    pub const BLOCK_V1: Self = Self(1);
    /// The compact form of [`crate::short_row`], with [`crate::short_row::SHAPES_V1`].
    pub const COMPACT_V1: Self = Self(2);

    /// Returns the coding of a number, or `None` if it needs more than three bits.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number > CODING { None } else { Some(Self(number)) }
    }

    /// Returns the number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// What a session is told once, and again when it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// Boot of this row and of those after it.
    pub epoch: BootEpoch,
    /// Version of the event catalogue.
    pub catalogue_id: u32,
}

/// A short frame whose tag was checked, or that is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortFrame<'a> {
    /// Boot and catalogue, in the first frame of a session.
    pub opening: Option<Opening>,
    /// How the row is coded.
    pub coding: ShortCoding,
    /// Coded row, never empty.
    pub row: &'a [u8],
}

/// Where a short frame stands: whose session, and the how manieth in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortPlace {
    /// Vehicle that the session belongs to.
    pub vehicle: VehicleId,
    /// Short frames in the session before this one.
    pub number: u64,
}

/// A short frame whose structure was checked but not its tag.
#[derive(Debug, Clone, Copy)]
pub struct SealedShort<'a> {
    frame: ShortFrame<'a>,
    tagged: &'a [u8],
    tag: [u8; SHORT_TAG_BYTES],
}

/// Returns true if the bytes begin as a short frame does.
#[must_use]
pub const fn is_short(bytes: &[u8]) -> bool {
    matches!(*bytes, [0x80..=0xFF, ..])
}

impl<'a> SealedShort<'a> {
    /// Checks lengths, version and caps.
    ///
    /// # Errors
    /// [`FrameError`]: too long or short, another kind or version, or an opening with a broken or too large number.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        if bytes.len() > SHORT_FRAME_BYTES_MAX {
            let (max, got) = (widen(SHORT_FRAME_BYTES_MAX), widen(bytes.len()));
            return Err(FrameError::Cap { offset: 0, max, got });
        }
        let short = FrameError::Truncated { offset: 0, needed: SHORT_TAG_BYTES, got: bytes.len() };
        let (tagged, tag) = bytes.split_last_chunk::<SHORT_TAG_BYTES>().ok_or(short)?;
        let (kind, rest) = tagged.split_first().ok_or(short)?;
        if kind & !(OPENING | CODING) != KIND {
            return Err(FrameError::Value { offset: 0, got: u64::from(*kind) });
        }
        let mut reader = Reader::new(rest, 1);
        let opening = if kind & OPENING == 0 { None } else { Some(opening(&mut reader)?) };
        let row = reader.rest();
        if row.is_empty() {
            return Err(FrameError::Truncated { offset: tagged.len(), needed: 1, got: 0 });
        }
        let frame = ShortFrame { opening, coding: ShortCoding(kind & CODING), row };
        Ok(Self { frame, tagged, tag: *tag })
    }

    /// Checks the tag, in constant time, and gives out the frame.
    ///
    /// # Errors
    /// [`FrameError::Signature`].
    pub fn open(self, tagger: &dyn Tagger, place: ShortPlace) -> Result<ShortFrame<'a>, FrameError> {
        let expected = tag(tagger, place, self.tagged);
        let differing = expected.iter().zip(&self.tag).fold(0u8, |sum, (left, right)| sum | (left ^ right));
        if core::hint::black_box(differing) == 0 { Ok(self.frame) } else { Err(FrameError::Signature) }
    }
}

impl ShortFrame<'_> {
    /// Writes and tags the frame into `out`; returns its length.
    ///
    /// # Errors
    /// [`FrameError`] if `out` is too small, the row is empty or the frame longer than [`SHORT_FRAME_BYTES_MAX`].
    pub fn emit(&self, tagger: &dyn Tagger, place: ShortPlace, out: &mut [u8]) -> Result<usize, FrameError> {
        if self.row.is_empty() {
            return Err(FrameError::Truncated { offset: 1, needed: 1, got: 0 });
        }
        let mut sink = SliceSink::new(out);
        let opening = if self.opening.is_some() { OPENING } else { 0 };
        sink.put(&[KIND | opening | self.coding.0])?;
        if let Some(Opening { epoch, catalogue_id }) = self.opening {
            sink.varint(epoch.0)?;
            sink.varint(u64::from(catalogue_id))?;
        }
        sink.put(self.row)?;
        let tag = tag(tagger, place, sink.written());
        sink.put(&tag)?;
        if sink.used() > SHORT_FRAME_BYTES_MAX {
            let (max, got) = (widen(SHORT_FRAME_BYTES_MAX), widen(sink.used()));
            return Err(FrameError::Cap { offset: 0, max, got });
        }
        Ok(sink.used())
    }
}

fn opening(reader: &mut Reader<'_>) -> Result<Opening, FrameError> {
    let mut number = || reader.number().map_err(|error| FrameError::Value { offset: error.offset(), got: 0 });
    let (epoch, got) = (BootEpoch(number()?), number()?);
    let max = u64::from(u32::MAX);
    let catalogue_id = u32::try_from(got).map_err(|_| FrameError::Cap { offset: 2, max, got })?;
    Ok(Opening { epoch, catalogue_id })
}

fn tag(tagger: &dyn Tagger, place: ShortPlace, tagged: &[u8]) -> [u8; SHORT_TAG_BYTES] {
    tagger.tag([&SHORT_LABEL, &place.number.to_le_bytes(), &place.vehicle.0, tagged])
}
