//! What a feed brought, as it lies in the event log.
//!
//! A record of the log is a frame that the listener checked, a note of the edge, or one of these; each begins with a magic
//! of its own, so neither a vehicle nor a feed can write another kind. Little endian: magic `ORCF`, version u16, tenant u32,
//! feed u32, time of receipt i64 (microseconds since 1970), content type with its length in one byte, then the body.

use std::fmt;

use outrider_types::{TenantId, UnixMicros};
use sha2::{Digest as _, Sha256};

/// First bytes of a feed's record.
pub const FEED_MAGIC: [u8; 4] = *b"ORCF";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 4 + 2 + 4 + 4 + 8;

/// Largest body of a feed's request, bytes, after decompression: what a vehicle may send at once.
pub const FEED_BODY_BYTES_MAX: usize = outrider_wire::limits::FRAME_BYTES_MAX;
/// What a record has beside its body, at most.
pub const FEED_RECORD_OVERHEAD: usize = HEADER_BYTES + 1 + u8::MAX as usize;

/// Number of a feed in an installation; never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FeedId(pub u32);

impl fmt::Display for FeedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One request of a feed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FeedRecord<'a> {
    /// Owner of the vehicles.
    pub tenant: TenantId,
    /// Which feed.
    pub feed: FeedId,
    /// When the listener had the whole body.
    pub received: UnixMicros,
    /// What the source calls the body; at most 255 bytes, what is longer is cut.
    pub content_type: &'a str,
    /// The body without the compression of its transport.
    pub body: &'a [u8],
}

impl fmt::Debug for FeedRecord<'_> {
    // The body names vehicles (PRIV-1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FeedRecord")
            .field("tenant", &self.tenant)
            .field("feed", &self.feed)
            .field("received", &self.received)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// What makes a body the same body: its feed and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BodyDigest(pub [u8; 16]);

impl BodyDigest {
    /// Computes it.
    #[must_use]
    pub fn of(feed: FeedId, body: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"outrider feed body\n");
        hash.update(feed.0.to_le_bytes());
        hash.update(body);
        let mut digest = [0; 16];
        digest.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
        Self(digest)
    }
}

impl fmt::Display for BodyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<'a> FeedRecord<'a> {
    /// Returns its bytes for the log.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let length = self.content_type.floor_char_boundary(self.content_type.len().min(usize::from(u8::MAX)));
        let mut out = Vec::with_capacity(HEADER_BYTES + 1 + length + self.body.len());
        out.extend(FEED_MAGIC);
        out.extend(VERSION.to_le_bytes());
        out.extend(self.tenant.0.to_le_bytes());
        out.extend(self.feed.0.to_le_bytes());
        out.extend(self.received.0.to_le_bytes());
        out.push(u8::try_from(length).unwrap_or(u8::MAX));
        out.extend(self.content_type.bytes().take(length));
        out.extend(self.body);
        out
    }

    /// Returns whether bytes are meant as a feed's record.
    #[must_use]
    pub fn is_feed(bytes: &[u8]) -> bool {
        bytes.starts_with(&FEED_MAGIC)
    }

    /// Reads a record; `None` if it is damaged, too large or of a later version.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
        let version = u16::from_le_bytes(header.get(4..6)?.try_into().ok()?);
        if !Self::is_feed(header) || version != VERSION {
            return None;
        }
        let word = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
        let received = i64::from_le_bytes(header.get(14..22)?.try_into().ok()?);
        let (length, rest) = rest.split_first()?;
        let (content_type, body) = rest.split_at_checked(usize::from(*length))?;
        let record = Self {
            tenant: TenantId(word(6)?),
            feed: FeedId(word(10)?),
            received: UnixMicros(received),
            content_type: std::str::from_utf8(content_type).ok()?,
            body,
        };
        (body.len() <= FEED_BODY_BYTES_MAX).then_some(record)
    }

    /// Returns what makes the body the same body.
    #[must_use]
    pub fn digest(&self) -> BodyDigest {
        BodyDigest::of(self.feed, self.body)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_record_comes_back_and_a_cut_header_does_not(
            tenant in any::<u32>(), feed in any::<u32>(), received in any::<i64>(),
            content_type in "\\PC{0,80}", body in proptest::collection::vec(any::<u8>(), 0..200), cut in 0usize..60,
        ) {
            let record = FeedRecord {
                tenant: TenantId(tenant), feed: FeedId(feed), received: UnixMicros(received),
                content_type: &content_type, body: &body,
            };
            let bytes = record.emit();
            prop_assert!(FeedRecord::is_feed(&bytes));
            prop_assert!(bytes.len() <= body.len() + FEED_RECORD_OVERHEAD);
            let fits = content_type.len() <= 255;
            let parsed = FeedRecord::parse(&bytes).expect("it comes back");
            prop_assert_eq!((parsed.tenant, parsed.feed, parsed.received, parsed.body), (record.tenant, record.feed, record.received, record.body));
            prop_assert!(content_type.starts_with(parsed.content_type) && (!fits || parsed.content_type == content_type));
            let header = bytes.len() - body.len();
            if let Some(part) = bytes.get(..cut).filter(|part| part.len() < header) {
                prop_assert_eq!(FeedRecord::parse(part), None);
            }
        }

        #[test]
        fn any_bytes_are_a_record_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let framed = [FEED_MAGIC.as_slice(), &VERSION.to_le_bytes(), &bytes].concat();
            if let Some(record) = FeedRecord::parse(&framed) {
                prop_assert_eq!(record.emit(), framed);
            }
        }
    }

    #[test]
    fn a_later_version_and_a_body_that_is_too_large_are_none() {
        let body = vec![7; FEED_BODY_BYTES_MAX + 1];
        let record = |body| FeedRecord {
            tenant: TenantId(1),
            feed: FeedId(2),
            received: UnixMicros(3),
            content_type: "",
            body,
        };
        assert_eq!(FeedRecord::parse(&record(&body).emit()), None);
        let fits = record(&body[1..]).emit();
        assert!(FeedRecord::parse(&fits).is_some());
        let mut later = record(&body[..3]).emit();
        later[4] = 2;
        assert_eq!(FeedRecord::parse(&later), None);
    }

    #[test]
    fn the_same_bytes_of_two_feeds_are_two_bodies_and_debug_shows_none() {
        assert_ne!(BodyDigest::of(FeedId(1), b"x"), BodyDigest::of(FeedId(2), b"x"));
        let record = FeedRecord {
            tenant: TenantId(1),
            feed: FeedId(2),
            received: UnixMicros(3),
            content_type: "text/plain",
            body: b"WVWZZZ1JZ3W386752",
        };
        assert!(!format!("{record:?}").contains("WVW"));
    }
}
