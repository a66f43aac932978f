//! Headers, and the messages of a segment.

use core::fmt;

use super::codes::PayloadType;
use super::repr::{DoipError, Message};
use crate::bytes::{ByteOrder, u8_at, u16_at, u32_at};

/// Bytes of the header.
pub const HEADER_BYTES: usize = 8;

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
    bytes: &'a [u8],
}

impl<'a> HeaderView<'a> {
    /// Views bytes that begin with a header.
    ///
    /// # Errors
    /// [`HeaderError`] for each way they do not.
    pub fn new(bytes: &'a [u8]) -> Result<Self, HeaderError> {
        if bytes.len() < HEADER_BYTES {
            return Err(HeaderError::Truncated { got: bytes.len() });
        }
        let view = Self { bytes };
        let inverse = u8_at(bytes, 1).unwrap_or(0);
        if view.version() != !inverse {
            return Err(HeaderError::Version { version: view.version(), inverse });
        }
        Ok(view)
    }

    /// Returns the version: 1 to 4, or 0xFF in a request of a tester that does not know it yet.
    #[must_use]
    pub fn version(&self) -> u8 {
        u8_at(self.bytes, 0).unwrap_or(0)
    }

    /// Returns what the message is.
    #[must_use]
    pub fn payload_type(&self) -> PayloadType {
        PayloadType::from_code(u16_at(self.bytes, 2).unwrap_or(0))
    }

    /// Returns the length of the payload as written.
    #[must_use]
    pub fn payload_bytes(&self) -> u32 {
        u32_at(self.bytes, 4, ByteOrder::Big).unwrap_or(0)
    }

    /// Returns the payload as far as it is there; never more than the header says.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        let rest = self.bytes.get(HEADER_BYTES..).unwrap_or(&[]);
        let said = usize::try_from(self.payload_bytes()).unwrap_or(usize::MAX);
        rest.get(..said).unwrap_or(rest)
    }

    /// Returns the bytes of the message that are missing.
    #[must_use]
    pub fn missing(&self) -> usize {
        let said = usize::try_from(self.payload_bytes()).unwrap_or(usize::MAX);
        said.saturating_sub(self.payload().len())
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

/// Messages of one datagram or segment, in order.
///
/// Ends behind a message that is cut and at bytes that are no header; [`Self::rest`] tells what is left. At most one
/// message for eight bytes.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// Begins with the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns what was not a whole message, as far as the walk has come.
    #[must_use]
    pub const fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = HeaderView<'a>;

    fn next(&mut self) -> Option<HeaderView<'a>> {
        let view = HeaderView::new(self.rest).ok()?;
        let end = HEADER_BYTES.saturating_add(view.payload().len());
        let whole = HeaderView { bytes: self.rest.get(..end)? };
        self.rest = self.rest.get(end..).unwrap_or(&[]);
        Some(whole)
    }
}
