//! Compression of rows into an envelope's payload, and back.

use std::io;

use outrider_wire::limits::RAW_BYTES_MAX;
use outrider_wire::{DictId, dictionary};

/// zstd level of the vehicle: higher ones cost ten times the time for a few per cent.
const LEVEL: i32 = 3;

/// Why a payload cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The dictionary is of a later version.
    #[error("unknown dictionary {0}")]
    UnknownDictionary(DictId),
    /// The envelope states more bytes than a batch may have.
    #[error("batch of {got} bytes, allowed are {RAW_BYTES_MAX}")]
    TooLong {
        /// Bytes stated.
        got: u32,
    },
    /// The bytes are no zstd frame of the stated length.
    #[error("payload: {0}")]
    Zstd(io::Error),
    /// The payload holds another number of bytes than the envelope states.
    #[error("payload holds {got} bytes, the envelope states {expected}")]
    Length {
        /// Bytes stated.
        expected: u32,
        /// Bytes found.
        got: usize,
    },
}

impl DecodeError {
    /// Returns the error's stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownDictionary(_) => "payload.dictionary",
            Self::TooLong { .. } => "payload.cap",
            Self::Zstd(_) => "payload.zstd",
            Self::Length { .. } => "payload.length",
        }
    }
}

/// Compressor with the current dictionary.
pub struct Encoder {
    zstd: zstd::bulk::Compressor<'static>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder(..)")
    }
}

impl Encoder {
    /// Loads the dictionary.
    ///
    /// # Errors
    /// What zstd says; out of memory is the only known cause.
    pub fn new() -> io::Result<Self> {
        let mut zstd = zstd::bulk::Compressor::with_dictionary(LEVEL, dictionary::V1.bytes)?;
        // The envelope names the dictionary; four bytes saved a batch.
        zstd.include_dictid(false)?;
        zstd.include_checksum(false)?;
        Ok(Self { zstd })
    }

    /// Compresses rows; stores them as they are if that is shorter.
    ///
    /// # Errors
    /// What zstd says.
    pub fn encode(&mut self, raw: &[u8]) -> io::Result<(DictId, Vec<u8>)> {
        let payload = self.zstd.compress(raw)?;
        if payload.len() < raw.len() {
            Ok((dictionary::V1.id, payload))
        } else {
            Ok((DictId::STORED, raw.to_vec()))
        }
    }
}

/// Decompresses a payload into exactly `raw_bytes` bytes; never more are allocated.
///
/// # Errors
/// [`DecodeError`].
pub fn decode(dict: DictId, raw_bytes: u32, payload: &[u8]) -> Result<Vec<u8>, DecodeError> {
    if raw_bytes > RAW_BYTES_MAX {
        return Err(DecodeError::TooLong { got: raw_bytes });
    }
    let capacity = usize::try_from(raw_bytes).unwrap_or(usize::MAX);
    let raw = match dict {
        DictId::STORED => payload.to_vec(),
        DictId::PLAIN => zstd::bulk::decompress(payload, capacity).map_err(DecodeError::Zstd)?,
        dict => {
            let found = dictionary::find(dict).ok_or(DecodeError::UnknownDictionary(dict))?;
            zstd::bulk::Decompressor::with_dictionary(found.bytes)
                .and_then(|mut zstd| zstd.decompress(payload, capacity))
                .map_err(DecodeError::Zstd)?
        }
    };
    if raw.len() == capacity {
        Ok(raw)
    } else {
        Err(DecodeError::Length { expected: raw_bytes, got: raw.len() })
    }
}
