//! What the CAN model and the Ethernet model have in common: head, checksum and what may follow.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 8 | magic |
//! | 8 | 2 | version of the layout |
//! | 10 | 2 | records behind the head |
//! | 12 | 4 | bytes of the model with its checksum |
//! | 16 | 8 | frames learned from |
//! | 24 | 8 | milliseconds learned from |
//! | 32 | 32 | platform |
//! | 64 | 32 | software release |
//!
//! The last four of the bytes it says are a CRC-32C over everything before them. Only signatures may follow.

use core::ops::RangeInclusive;

use super::bytes::{Cursor, array, size_at, u16_at, u32_at, u64_at};
use super::repr::{ModelError, ModelHead, Text};
use super::signature::Signatures;
use super::write::WriteError;
use crate::crc::crc32c;

/// Bytes of the head.
pub(crate) const HEADER_BYTES: usize = 96;
/// Bytes of the checksum at the end.
pub(crate) const CHECKSUM_BYTES: usize = 4;
/// Where the head counts its records.
const COUNT_AT: usize = 10;

/// What tells one kind of model from another.
pub(crate) struct Kind {
    /// First bytes.
    pub(crate) magic: [u8; 8],
    /// Versions of the layout that are read; the last one is written.
    pub(crate) versions: RangeInclusive<u16>,
    /// Most records behind the head.
    pub(crate) records_max: usize,
    /// Bytes of such a record.
    pub(crate) record_bytes: usize,
}

/// Model whose head and checksum are right.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Envelope<'a> {
    /// The model from its magic to its checksum.
    pub(crate) bytes: &'a [u8],
    /// Version of the layout.
    pub(crate) version: u16,
    /// Records behind the head.
    pub(crate) records: usize,
    /// Bytes of a record.
    record_bytes: usize,
    /// What it says about itself.
    pub(crate) head: ModelHead,
    /// What follows.
    pub(crate) signatures: Signatures<'a>,
}

impl<'a> Envelope<'a> {
    /// Checks head and checksum, O(n).
    pub(crate) fn open(bytes: &'a [u8], kind: &Kind) -> Result<Self, ModelError> {
        let smallest = HEADER_BYTES.saturating_add(CHECKSUM_BYTES);
        let magic = bytes.get(..kind.magic.len()).unwrap_or(bytes);
        if kind.magic.get(..magic.len()).is_none_or(|prefix| prefix != magic) {
            return Err(ModelError::Magic);
        }
        if bytes.len() < smallest {
            return Err(ModelError::Truncated { needed: smallest, got: bytes.len() });
        }
        let version = u16_at(bytes, 8);
        if !kind.versions.contains(&version) {
            return Err(ModelError::Version { got: version });
        }
        let said = size_at(bytes, 12);
        let Some((model, behind)) = bytes.split_at_checked(said).filter(|_| said >= smallest) else {
            return Err(ModelError::Truncated { needed: said.max(smallest), got: bytes.len() });
        };
        let sum_at = said.saturating_sub(CHECKSUM_BYTES);
        let (stated, computed) = (u32_at(model, sum_at), crc32c(model.get(..sum_at).unwrap_or(&[])));
        if stated != computed {
            return Err(ModelError::Checksum { said: stated, got: computed });
        }
        let signatures = Signatures::parse(behind).ok_or(ModelError::Trailing { said, got: bytes.len() })?;
        let records = usize::from(u16_at(model, COUNT_AT));
        if records > kind.records_max {
            return Err(ModelError::TooMany { offset: COUNT_AT, got: records, limit: kind.records_max });
        }
        let text =
            |offset| array(model, offset).and_then(Text::from_padded).ok_or(ModelError::Value { offset });
        let head = ModelHead {
            learned_frames: u64_at(model, 16),
            learned_ms: u64_at(model, 24),
            platform: text(32)?,
            release: text(64)?,
        };
        let envelope =
            Self { bytes: model, version, records, record_bytes: kind.record_bytes, head, signatures };
        let needed = envelope.parts_at();
        if needed > envelope.end() {
            return Err(ModelError::Truncated { needed, got: envelope.end() });
        }
        Ok(envelope)
    }

    /// Returns where a record begins.
    pub(crate) const fn record_at(&self, index: usize) -> usize {
        HEADER_BYTES.saturating_add(index.saturating_mul(self.record_bytes))
    }

    /// Returns where the records end and their parts begin.
    pub(crate) const fn parts_at(&self) -> usize {
        self.record_at(self.records)
    }

    /// Returns where the checksum is.
    pub(crate) const fn end(&self) -> usize {
        self.bytes.len().saturating_sub(CHECKSUM_BYTES)
    }
}

impl Kind {
    /// Returns the bytes of a model whose records have parts of so many bytes.
    pub(crate) const fn encoded_bytes(&self, records: usize, parts: usize) -> usize {
        HEADER_BYTES
            .saturating_add(records.saturating_mul(self.record_bytes))
            .saturating_add(parts)
            .saturating_add(CHECKSUM_BYTES)
    }

    /// Writes a model of `needed` bytes: its head, what `body` puts, its checksum.
    pub(crate) fn write(
        &self,
        head: &ModelHead,
        records: usize,
        needed: usize,
        out: &mut [u8],
        body: impl FnOnce(&mut Cursor<'_>),
    ) -> Result<(), WriteError> {
        check_count(records, self.records_max)?;
        let got = out.len();
        let out = out.get_mut(..needed).ok_or(WriteError::Space { needed, got })?;
        let mut cursor = Cursor::new(out);
        cursor.put(&self.magic);
        cursor.put(&self.versions.end().to_le_bytes());
        cursor.count(records);
        cursor.size(needed);
        cursor.put(&head.learned_frames.to_le_bytes());
        cursor.put(&head.learned_ms.to_le_bytes());
        cursor.put(head.platform.padded());
        cursor.put(head.release.padded());
        body(&mut cursor);
        let checksum = crc32c(cursor.written());
        cursor.put(&checksum.to_le_bytes());
        Ok(())
    }
}

/// Refuses more of something than the format allows.
pub(crate) const fn check_count(got: usize, limit: usize) -> Result<(), WriteError> {
    if got > limit { Err(WriteError::TooMany { got, limit }) } else { Ok(()) }
}
