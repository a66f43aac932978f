//! The header that DoIP (ISO 13400-2, clause 7.3) and V2GTP (ISO 15118-2, clause 7.8.3) share: version, version inverted,
//! type, length.

use crate::bytes::{Writer, array};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 8;

/// A header as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TpHeader {
    pub(crate) version: u8,
    pub(crate) inverse: u8,
    pub(crate) payload_type: u16,
    /// Bytes of payload that it announces.
    pub(crate) payload_bytes: u32,
}

impl TpHeader {
    /// Creates a header whose version is consistent.
    pub(crate) const fn new(version: u8, payload_type: u16, payload_bytes: u32) -> Self {
        Self { version, inverse: !version, payload_type, payload_bytes }
    }

    /// Reads a header, or returns `None` if it is cut.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let [version, inverse, t1, t0, l3, l2, l1, l0] = array::<HEADER_BYTES>(bytes, 0)?;
        Some(Self {
            version,
            inverse,
            payload_type: u16::from_be_bytes([t1, t0]),
            payload_bytes: u32::from_be_bytes([l3, l2, l1, l0]),
        })
    }

    /// Returns whether the second byte is the first one inverted.
    pub(crate) const fn is_consistent(&self) -> bool {
        self.inverse == !self.version
    }

    /// Returns where the payload ends, from the first byte of the header.
    pub(crate) fn end(&self) -> usize {
        HEADER_BYTES.saturating_add(usize::try_from(self.payload_bytes).unwrap_or(usize::MAX))
    }

    /// Writes the header.
    pub(crate) fn put(&self, writer: &mut Writer<'_>) {
        writer.put(&[self.version, self.inverse]);
        writer.put(&self.payload_type.to_be_bytes());
        writer.put(&self.payload_bytes.to_be_bytes());
    }
}
