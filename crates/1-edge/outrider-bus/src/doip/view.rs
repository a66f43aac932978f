//! Headers, and the messages of a segment.

use core::fmt;

use super::codes::PayloadType;
use super::repr::{DoipError, Message};
use crate::tp_header::{HEADER_BYTES, TpHeader};
use crate::walk;

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HeaderError {
    /// The bytes end before the header does.
    Truncated {
        /// Bytes there.
        got: usize,
    },
    /// The second byte is not the first one inverted.
    Version {
        /// First byte.
        version: u8,
        /// Second byte.
        inverse: u8,
    },
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { got } => write!(f, "header needs {HEADER_BYTES} bytes, got {got}"),
            Self::Version { version, inverse } => {
                write!(f, "version {version:#04x} and its inverse {inverse:#04x} do not fit")
            }
        }
    }
}

impl core::error::Error for HeaderError {}

/// Borrowed message with a consistent header.
#[derive(Debug, Clone, Copy)]
pub struct HeaderView<'a> {
    header: TpHeader,
    bytes: &'a [u8],
}

impl<'a> HeaderView<'a> {
    /// Views bytes that begin with a header.
    ///
    /// # Errors
    /// [`HeaderError`] for each way they do not.
    pub fn new(bytes: &'a [u8]) -> Result<Self, HeaderError> {
        let header = TpHeader::parse(bytes).ok_or(HeaderError::Truncated { got: bytes.len() })?;
        if header.is_consistent() {
            return Ok(Self { header, bytes });
        }
        Err(HeaderError::Version { version: header.version, inverse: header.inverse })
    }

    /// Returns the version: 1 to 4, or 0xFF in a request of a tester that does not know it yet.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.header.version
    }

    /// Returns what the message is.
    #[must_use]
    pub const fn payload_type(&self) -> PayloadType {
        PayloadType::from_code(self.header.payload_type)
    }

    /// Returns the length of the payload as written.
    #[must_use]
    pub const fn payload_bytes(&self) -> u32 {
        self.header.payload_bytes
    }

    /// Returns the payload as far as it is there; never more than the header says.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        let whole = self.bytes.get(HEADER_BYTES..self.header.end());
        whole.or_else(|| self.bytes.get(HEADER_BYTES..)).unwrap_or(&[])
    }

    /// Returns the bytes of the message that are missing.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.header.end().saturating_sub(self.bytes.len())
    }

    /// Reads the message.
    ///
    /// # Errors
    /// [`DoipError`] if it is cut or its length does not fit its type.
    pub fn message(&self) -> Result<Message<'a>, DoipError> {
        if self.missing() > 0 {
            return Err(DoipError::Truncated { needed: self.payload_bytes(), got: self.payload().len() });
        }
        Message::parse(self.payload_type(), self.payload())
    }
}

/// Messages of one datagram or segment, at most one for eight bytes. A message that is cut is the last; bytes that are no
/// header end the walk.
pub type Messages<'a> = walk::Messages<'a, HeaderView<'a>>;

impl<'a> Messages<'a> {
    /// Begins with the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self::with(bytes, first)
    }
}

fn first(bytes: &[u8]) -> Option<(HeaderView<'_>, &[u8])> {
    let HeaderView { header, .. } = HeaderView::new(bytes).ok()?;
    let (bytes, rest) = bytes.split_at_checked(header.end()).unwrap_or((bytes, &[]));
    Some((HeaderView { header, bytes }, rest))
}
