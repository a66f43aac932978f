//! What a worker writes for a correlator: sightings, and how far it has come.

use outrider_model::Partition;
use outrider_types::UnixMicros;

use super::{Sightings, SightingsError};

/// Version of the head.
const VERSION: u8 = 1;
/// Bytes of the head: version, partition, watermark, checksum.
const HEAD_BYTES: usize = 1 + 2 + 8 + CHECK_BYTES;
/// Bytes of the checksum over the rest of the head; sightings end in their own.
const CHECK_BYTES: usize = 4;

/// One record of the sightings' topic, for one part of the ring.
#[derive(Debug, Clone, PartialEq)]
pub struct SightingsRecord {
    /// Partition of the event log that the worker reads.
    pub source: Partition,
    /// No record that the worker reads there later was accepted before this.
    pub watermark: UnixMicros,
    /// What counts; may be empty.
    pub sightings: Sightings,
}

impl SightingsRecord {
    /// Longest encoding.
    pub const BYTES_MAX: usize = HEAD_BYTES + Sightings::BYTES_MAX;

    /// Returns the encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES);
        out.push(VERSION);
        out.extend(self.source.0.to_le_bytes());
        out.extend(self.watermark.0.to_le_bytes());
        out.extend(crc32c::crc32c(&out).to_le_bytes());
        if !self.sightings.is_empty() {
            out.extend(self.sightings.encode());
        }
        out
    }

    /// Reads an encoding. Any bytes are read or refused.
    ///
    /// # Errors
    /// [`SightingsError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, SightingsError> {
        let damaged = SightingsError::Damaged { offset: 0 };
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or(damaged)?;
        let (said, check) = head.split_last_chunk::<CHECK_BYTES>().ok_or(damaged)?;
        if crc32c::crc32c(said) != u32::from_le_bytes(*check) {
            return Err(damaged);
        }
        let (version, rest_of_head) = said.split_first().ok_or(damaged)?;
        if *version != VERSION {
            return Err(SightingsError::Version { got: u32::from(*version) });
        }
        let (source, watermark) = rest_of_head.split_first_chunk().ok_or(damaged)?;
        let watermark = watermark.first_chunk().ok_or(damaged)?;
        let sightings = if rest.is_empty() { Sightings::default() } else { Sightings::decode(rest)? };
        Ok(Self {
            source: Partition(u16::from_le_bytes(*source)),
            watermark: UnixMicros(i64::from_le_bytes(*watermark)),
            sightings,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_any_other_bytes_are_refused() {
        let record = SightingsRecord {
            source: Partition(513),
            watermark: UnixMicros(-7),
            sightings: Sightings::default(),
        };
        let bytes = record.encode();
        assert_eq!(bytes.len(), HEAD_BYTES, "a watermark alone is short");
        assert_eq!(SightingsRecord::decode(&bytes), Ok(record));
        for cut in 0..bytes.len() {
            assert!(SightingsRecord::decode(&bytes[..cut]).is_err(), "{cut}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(SightingsRecord::decode(&flipped).is_err(), "{bit}");
        }
        let mut later = bytes[..HEAD_BYTES - CHECK_BYTES].to_vec();
        later[0] = 2;
        later.extend(crc32c::crc32c(&later).to_le_bytes());
        assert_eq!(SightingsRecord::decode(&later), Err(SightingsError::Version { got: 2 }));
        let mut longer = bytes;
        longer.push(0);
        assert!(SightingsRecord::decode(&longer).is_err(), "what follows must be sightings");
    }
}
