//! Coding and tag of short frames (ADR 0013).
//!
//! A row of seventy bytes does not bear zstd's nine bytes of magic, frame header and block header. All of them follow
//! from the length of the block, so they are left out and put back.

use std::io;

use hmac::{Hmac, KeyInit as _, Mac as _};
use outrider_wire::limits::EVENT_BYTES_MAX;
use outrider_wire::short_row::{SHAPES_V1, pack, unpack};
use outrider_wire::{
    Batch, BatchWriter, FrameError, SHORT_FRAME_BYTES_MAX, SHORT_TAG_BYTES, ShortCoding, Tagger, dictionary,
};
use sha2::Sha256;
use zeroize::Zeroizing;

/// zstd level: a row is so short that the search costs microseconds.
const LEVEL: i32 = 19;
/// Magic (RFC 8878, 3.1.1), a frame header descriptor without options, and a window of 128 KiB.
const FRAME_HEAD: [u8; 6] = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x38];
/// Bytes of a block header.
const BLOCK_HEAD_BYTES: usize = 3;
/// Type of a compressed block.
const COMPRESSED: u32 = 2;
/// Tag of field 1 of `EventBatch`, the event; its length is what remains.
const EVENT_TAG: u8 = 0x0A;

/// The row cannot be coded back.
#[derive(Debug, thiserror::Error)]
pub enum ShortError {
    /// A coding of a later version.
    #[error("unknown coding {0}")]
    Coding(u8),
    /// The bytes are no block of a row.
    #[error("block: {0}")]
    Block(io::Error),
    /// The bytes are no compact row.
    #[error("compact row: {0}")]
    Compact(FrameError),
}

/// Codes rows for short frames and back.
pub struct ShortCodec {
    pack: zstd::bulk::Compressor<'static>,
    unpack: zstd::bulk::Decompressor<'static>,
}

impl std::fmt::Debug for ShortCodec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ShortCodec(..)")
    }
}

impl ShortCodec {
    /// Loads the dictionary.
    ///
    /// # Errors
    /// What zstd says; out of memory is the only known cause.
    pub fn new() -> io::Result<Self> {
        Self::with_dictionary(dictionary::SHORT_V1.bytes)
    }

    /// Loads another dictionary, to compare.
    ///
    /// # Errors
    /// What zstd says.
    pub fn with_dictionary(bytes: &[u8]) -> io::Result<Self> {
        let mut pack = zstd::bulk::Compressor::with_dictionary(LEVEL, bytes)?;
        pack.include_dictid(false)?;
        pack.include_checksum(false)?;
        pack.include_contentsize(false)?;
        Ok(Self { pack, unpack: zstd::bulk::Decompressor::with_dictionary(bytes)? })
    }

    /// Codes a row of the spool; `None` if it would not come back byte for byte, so that it goes in a batch.
    pub fn encode(&mut self, row: &[u8]) -> Option<(ShortCoding, Vec<u8>)> {
        let event = event_of(row)?;
        let mut best = (ShortCoding::STORED, event.to_vec());
        let packed = self.pack.compress(event).ok();
        if let Some(block) = packed.as_deref().and_then(block_of).filter(|block| block.len() < best.1.len()) {
            best = (ShortCoding::BLOCK_V1, block.to_vec());
        }
        if let Some(compact) = compact_of(row).filter(|compact| compact.len() <= best.1.len()) {
            let coded = (ShortCoding::COMPACT_V1, compact);
            if self.comes_back(row, &coded) {
                return Some(coded);
            }
        }
        self.comes_back(row, &best).then_some(best)
    }

    fn comes_back(&mut self, row: &[u8], coded: &(ShortCoding, Vec<u8>)) -> bool {
        self.decode(coded.0, &coded.1).is_ok_and(|back| back == row)
    }

    /// Returns the row that was coded, as a batch of one event.
    ///
    /// # Errors
    /// [`ShortError`]. Never more than [`EVENT_BYTES_MAX`] bytes are allocated.
    pub fn decode(&mut self, coding: ShortCoding, coded: &[u8]) -> Result<Vec<u8>, ShortError> {
        match coding {
            ShortCoding::STORED => Ok(row_of(coded)),
            ShortCoding::BLOCK_V1 => {
                let event = self.unpack.decompress(&frame_of(coded), EVENT_BYTES_MAX);
                event.map(|event| row_of(&event)).map_err(ShortError::Block)
            }
            ShortCoding::COMPACT_V1 => {
                let mut buffer = [0; EVENT_BYTES_MAX];
                let mut writer = BatchWriter::new(&mut buffer);
                unpack(SHAPES_V1, coded, &mut writer).map_err(ShortError::Compact)?;
                Ok(writer.finish().to_vec())
            }
            other => Err(ShortError::Coding(other.number())),
        }
    }
}

/// Returns the compact form of a row, if its type has a shape that it fits.
fn compact_of(row: &[u8]) -> Option<Vec<u8>> {
    let event = Batch::parse(row).ok()?.events().next()?.ok()?;
    let mut out = [0; SHORT_FRAME_BYTES_MAX];
    let length = pack(SHAPES_V1, &event, &mut out)?;
    out.get(..length).map(<[u8]>::to_vec)
}

/// Returns the event of a row, if the row holds nothing else and its length is written in the usual way.
fn event_of(row: &[u8]) -> Option<&[u8]> {
    let [EVENT_TAG, rest @ ..] = row else { return None };
    let length_bytes = rest.iter().position(|byte| *byte < 0x80)? + 1;
    let event = rest.get(length_bytes..)?;
    (row_of(event) == row).then_some(event)
}

fn row_of(event: &[u8]) -> Vec<u8> {
    let mut row = vec![EVENT_TAG];
    let mut length = event.len();
    while length >= 0x80 {
        row.push(u8::try_from(length & 0x7F).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    row.push(u8::try_from(length).unwrap_or(0));
    row.extend_from_slice(event);
    row
}

/// Returns the content of a frame's only block, if it is a compressed one.
fn block_of(frame: &[u8]) -> Option<&[u8]> {
    let (head, rest) = frame.split_at_checked(FRAME_HEAD.len())?;
    // The window differs with zstd's choice and does not matter below 128 KiB.
    if head.get(..5) != FRAME_HEAD.get(..5) {
        return None;
    }
    let (head, block) = rest.split_at_checked(BLOCK_HEAD_BYTES)?;
    (head == block_head(block.len())?).then_some(block)
}

/// Returns the header of the last block, compressed, of this length (RFC 8878, 3.1.1.2).
fn block_head(length: usize) -> Option<[u8; BLOCK_HEAD_BYTES]> {
    let word = u32::try_from(length).ok().filter(|length| *length < 1 << 17)? << 3 | COMPRESSED << 1 | 1;
    let [low, middle, high, _] = word.to_le_bytes();
    Some([low, middle, high])
}

fn frame_of(block: &[u8]) -> Vec<u8> {
    let mut frame = FRAME_HEAD.to_vec();
    frame.extend_from_slice(&block_head(block.len()).unwrap_or_default());
    frame.extend_from_slice(block);
    frame
}

/// Key of an open session, wiped when it goes.
#[derive(Clone)]
pub struct SessionTagger(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for SessionTagger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionTagger(..)")
    }
}

impl SessionTagger {
    /// Takes the key that the TLS exporter gave.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(Zeroizing::new(key))
    }
}

impl Tagger for SessionTagger {
    fn tag(&self, parts: [&[u8]; 4]) -> [u8; SHORT_TAG_BYTES] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("HMAC takes keys of any length");
        parts.iter().for_each(|part| mac.update(part));
        let whole = mac.finalize().into_bytes();
        let mut tag = [0; SHORT_TAG_BYTES];
        for (slot, byte) in tag.iter_mut().zip(whole) {
            *slot = byte;
        }
        tag
    }
}

#[cfg(test)]
mod tests {
    use outrider_types::{Seq, VehicleMicros};
    use outrider_wire::BatchWriter;
    use outrider_wire::catalogue::{event, field};

    use super::*;
    use crate::{FieldValue, SecurityEvent};

    fn row(context: &[u8]) -> Vec<u8> {
        let event = SecurityEvent::new(event::CAN_UNKNOWN_ID, VehicleMicros(7_000_000))
            .with(field::CAN_ID, FieldValue::Uint(0x123));
        let mut buffer = vec![0; 4096];
        let mut writer = BatchWriter::new(&mut buffer);
        writer.event(&event.head(Seq(5)), event.wire_fields(), context).expect("room");
        writer.finish().to_vec()
    }

    #[test]
    fn a_row_comes_back_byte_for_byte_in_either_coding() {
        let mut codec = ShortCodec::new().expect("memory");
        let noise: Vec<u8> = (0..60u8).map(|byte| byte.wrapping_mul(167) ^ (byte >> 1)).collect();
        let mut seen = Vec::new();
        for row in [row(&[0; 200]), row(&[]), row(&noise), row(&[1, 2, 3])] {
            let (coding, coded) = codec.encode(&row).expect("it can be coded");
            assert_eq!(codec.decode(coding, &coded).expect("own output"), row);
            seen.push(coding);
        }
        assert!(seen.contains(&ShortCoding::BLOCK_V1) && seen.contains(&ShortCoding::COMPACT_V1), "{seen:?}");
        assert_eq!(codec.decode(ShortCoding::STORED, &row(&[])[2..]).expect("stored"), row(&[]));
    }

    #[test]
    fn what_is_no_single_event_is_not_coded_and_garbage_is_refused() {
        let mut codec = ShortCodec::new().expect("memory");
        let one = row(&[]);
        let padded = [&[EVENT_TAG, one[1] | 0x80, 0], &one[2..]].concat();
        for bad in [Vec::new(), vec![EVENT_TAG], [one.clone(), one.clone()].concat(), padded, vec![0x12, 0]] {
            assert!(codec.encode(&bad).is_none(), "{bad:02x?}");
        }
        let (coding, coded) = codec.encode(&row(&[0; 200])).expect("it can be coded");
        assert_eq!(coding, ShortCoding::BLOCK_V1);
        assert!(codec.decode(coding, &coded[1..]).is_err());
        assert!(codec.decode(ShortCoding::new(5).expect("three bits"), &coded).is_err());
    }
}
