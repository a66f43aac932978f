//! What a message says beside the record: when it was accepted, and who appended it.

use outrider_types::{IngestTime, UnixMicros};
use rdkafka::message::{Header, Headers, OwnedHeaders};

/// Name of the header.
const NAME: &str = "outrider";
/// Version of its layout: version (1 byte), ingest time in microseconds (i64), session of the writer (u64), number of
/// the record in the session (u64); integers are big endian.
const VERSION: u8 = 1;
const BYTES: usize = 25;

/// The header of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) ingest: IngestTime,
    /// Drawn by a writer when it starts.
    pub(super) session: u64,
    /// Counted by the writer: the same session and number twice is the same append twice.
    pub(super) number: u64,
}

impl Stamp {
    pub(super) fn bytes(self) -> [u8; BYTES] {
        let mut out = [0; BYTES];
        out[0] = VERSION;
        out[1..9].copy_from_slice(&self.ingest.0.0.to_be_bytes());
        out[9..17].copy_from_slice(&self.session.to_be_bytes());
        out[17..].copy_from_slice(&self.number.to_be_bytes());
        out
    }

    pub(super) fn headers(self) -> OwnedHeaders {
        OwnedHeaders::new_with_capacity(1).insert(Header { key: NAME, value: Some(self.bytes().as_slice()) })
    }

    /// Reads a header back; the error is the reason for the dead letters.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let Ok(bytes) = <&[u8; BYTES]>::try_from(bytes) else { return Err("header_bytes") };
        if bytes[0] != VERSION {
            return Err("header_version");
        }
        let word = |from: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[from..from + 8]);
            word
        };
        Ok(Self {
            ingest: IngestTime(UnixMicros(i64::from_be_bytes(word(1)))),
            session: u64::from_be_bytes(word(9)),
            number: u64::from_be_bytes(word(17)),
        })
    }

    /// Finds the header of a message; the first counts.
    pub(super) fn find(headers: Option<&impl Headers>) -> Result<Self, &'static str> {
        let mut headers = headers.into_iter().flat_map(Headers::iter);
        let value = headers.find(|header| header.key == NAME).and_then(|header| header.value);
        value.ok_or("header_missing").and_then(Self::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_comes_back_and_anything_else_is_refused_with_a_reason() {
        let stamp = Stamp { ingest: IngestTime(UnixMicros(-5)), session: u64::MAX, number: 7 };
        let bytes = stamp.bytes();
        assert_eq!(Stamp::parse(&bytes), Ok(stamp));
        assert_eq!(Stamp::find(Some(&stamp.headers())), Ok(stamp));
        assert_eq!(Stamp::parse(&bytes[..24]), Err("header_bytes"));
        assert_eq!(Stamp::parse(&[bytes.as_slice(), &[0]].concat()), Err("header_bytes"));
        assert_eq!(Stamp::parse(&[2; BYTES]), Err("header_version"));
        assert_eq!(Stamp::find(None::<&OwnedHeaders>), Err("header_missing"));
        let other = OwnedHeaders::new().insert(Header { key: "other", value: Some("x") });
        assert_eq!(Stamp::find(Some(&other)), Err("header_missing"));
    }
}
