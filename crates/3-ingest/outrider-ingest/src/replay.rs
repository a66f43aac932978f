//! An entry of the quarantine that is to be taken again, as it lies in the event log.
//!
//! Replays go through the log like everything else, so that one place decides what is new and a crash repeats nothing.
//! Little endian: magic `ORCQ`, version u16, tenant u32, entry u64, time of the first receipt i64, length of the part u32 (0 for none), the part in its
//! saved form, then the bytes as they were set aside.

use outrider_types::{TenantId, UnixMicros};

use crate::foreign::ForeignPart;

/// First bytes of a replay's record.
pub const REPLAY_MAGIC: [u8; 4] = *b"ORCQ";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 4 + 2 + 4 + 8 + 8 + 4;

/// An entry to take again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayRecord {
    /// Owner.
    pub tenant: TenantId,
    /// Number of the entry; never given again.
    pub entry: u64,
    /// When the bytes came first: their times are judged by it, and rows keep it.
    pub received: UnixMicros,
    /// Where the bytes stood, of a feed's.
    pub part: Option<ForeignPart>,
    /// The bytes: documents of a feed, or a whole record of the log.
    pub bytes: Vec<u8>,
}

/// What came of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Replayed {
    /// Number of the entry.
    pub entry: u64,
    /// Events that were taken.
    pub passed: u64,
    /// Units that were set aside again, as entries of their own.
    pub refused: u64,
}

impl ReplayRecord {
    /// Returns its bytes for the log.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut part = Vec::new();
        if let Some(foreign) = &self.part {
            foreign.save(&mut part);
        }
        let mut out = REPLAY_MAGIC.to_vec();
        out.extend(VERSION.to_le_bytes());
        out.extend(self.tenant.0.to_le_bytes());
        out.extend(self.entry.to_le_bytes());
        out.extend(self.received.0.to_le_bytes());
        out.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(part);
        out.extend(&self.bytes);
        out
    }

    /// Returns whether bytes are meant as a replay's record.
    #[must_use]
    pub fn is_replay(bytes: &[u8]) -> bool {
        bytes.starts_with(&REPLAY_MAGIC)
    }

    /// Reads a record; `None` if it is damaged or of a later version.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
        let version = u16::from_le_bytes(header.get(4..6)?.try_into().ok()?);
        if !Self::is_replay(header) || version != VERSION {
            return None;
        }
        let tenant = u32::from_le_bytes(header.get(6..10)?.try_into().ok()?);
        let entry = u64::from_le_bytes(header.get(10..18)?.try_into().ok()?);
        let received = i64::from_le_bytes(header.get(18..26)?.try_into().ok()?);
        let length = u32::from_le_bytes(header.get(26..30)?.try_into().ok()?);
        let (part, bytes) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        let part = if part.is_empty() { None } else { Some(ForeignPart::load(part).ok()?) };
        let received = UnixMicros(received);
        Some(Self { tenant: TenantId(tenant), entry, received, part, bytes: bytes.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::feed::{BodyDigest, FeedId};

    fn part() -> ForeignPart {
        ForeignPart {
            feed: FeedId(3),
            feed_name: "x".to_owned(),
            body: BodyDigest([9; 16]),
            format: "acme/1".to_owned(),
            decoder: String::new(),
            envelope: None,
            first: 4,
            documents: 5,
            refused: Some(vec![1]),
        }
    }

    proptest! {
        #[test]
        fn a_record_comes_back_and_a_cut_header_does_not(
            tenant in any::<u32>(), entry in any::<u64>(), with_part in any::<bool>(),
            bytes in proptest::collection::vec(any::<u8>(), 0..100), cut in 0usize..90,
        ) {
            let length = bytes.len();
            let received = UnixMicros(5);
            let record = ReplayRecord { tenant: TenantId(tenant), entry, received, part: with_part.then(part), bytes };
            let out = record.emit();
            if cut < out.len() - length {
                prop_assert_eq!(ReplayRecord::parse(&out[..cut]), None);
            }
            prop_assert_eq!(ReplayRecord::parse(&out), Some(record));
        }

        #[test]
        fn any_bytes_are_a_record_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let framed = [REPLAY_MAGIC.as_slice(), &VERSION.to_le_bytes(), &bytes].concat();
            if let Some(record) = ReplayRecord::parse(&framed) {
                prop_assert_eq!(record.emit(), framed);
            }
        }
    }
}
