//! Headers and the messages of a datagram.

use core::fmt;

use crate::bytes::{ByteOrder, NoSpace, Writer, u8_at, u16_at, u32_at};
use crate::codes::code_enum;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 16;
/// Bytes of the header that the length field covers.
const COVERED_BYTES: u32 = 8;
/// Bit of the message type that says the message is a segment.
const TP_BIT: u8 = 0x20;

code_enum! {
    /// What a message is, without the segment bit.
    MessageKind: u8 {
        /// Asks and waits for an answer.
        Request = 0x00,
        /// Asks without an answer.
        RequestNoReturn = 0x01,
        /// An event or a field's new value.
        Notification = 0x02,
        /// An answer.
        Response = 0x80,
        /// An answer that says why not.
        Error = 0x81,
    }
}

code_enum! {
    /// Outcome in an answer; 0 in everything else.
    ReturnCode: u8 {
        /// Done.
        Ok = 0x00,
        /// Not done.
        NotOk = 0x01,
        /// No such service.
        UnknownService = 0x02,
        /// No such method.
        UnknownMethod = 0x03,
        /// The service is not ready.
        NotReady = 0x04,
        /// The service cannot be reached.
        NotReachable = 0x05,
        /// No answer in time.
        Timeout = 0x06,
        /// Another protocol version.
        WrongProtocolVersion = 0x07,
        /// Another interface version.
        WrongInterfaceVersion = 0x08,
        /// The payload cannot be read.
        MalformedMessage = 0x09,
        /// Another message type was expected.
        WrongMessageType = 0x0A,
        /// End-to-end protection: repeated.
        E2eRepeated = 0x0B,
        /// End-to-end protection: out of sequence.
        E2eWrongSequence = 0x0C,
        /// End-to-end protection: check failed.
        E2e = 0x0D,
        /// End-to-end protection: not available.
        E2eNotAvailable = 0x0E,
        /// End-to-end protection: nothing new.
        E2eNoNewData = 0x0F,
    }
}

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SomeIpError {
    /// The bytes end before the message does.
    Truncated {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        got: usize,
    },
    /// The length field says less than the header has.
    Length {
        /// What it says.
        got: u32,
    },
    /// A protocol version other than 1.
    Version {
        /// The version.
        got: u8,
    },
}

impl fmt::Display for SomeIpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { needed, got } => write!(f, "message needs {needed} bytes, got {got}"),
            Self::Length { got } => {
                write!(f, "length field says {got}, the header alone has {COVERED_BYTES}")
            }
            Self::Version { got } => write!(f, "protocol version {got}, expected 1"),
        }
    }
}

impl core::error::Error for SomeIpError {}

/// Header of a message; its length follows from the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Header {
    /// Service.
    pub service: u16,
    /// Method, or event with the highest bit set.
    pub method: u16,
    /// Who asks.
    pub client: u16,
    /// Number of the conversation; 0 means none are kept.
    pub session: u16,
    /// Version of the service's interface.
    pub interface_version: u8,
    /// What the message is.
    pub kind: MessageKind,
    /// Whether the message is a segment of a longer one.
    pub is_segment: bool,
    /// Outcome.
    pub return_code: ReturnCode,
}

impl Header {
    /// Reads a header from the beginning of bytes, and the length of the payload that it says.
    ///
    /// # Errors
    /// [`SomeIpError`] for each way there is none.
    pub fn parse(bytes: &[u8]) -> Result<(Self, usize), SomeIpError> {
        let short = SomeIpError::Truncated { needed: HEADER_BYTES, got: bytes.len() };
        let word = |at| u16_at(bytes, at).ok_or(short);
        let byte = |at| u8_at(bytes, at).ok_or(short);
        let return_code = ReturnCode::from_code(byte(15)?);
        let length = u32_at(bytes, 4, ByteOrder::Big).ok_or(short)?;
        let version = byte(12)?;
        if version != 1 {
            return Err(SomeIpError::Version { got: version });
        }
        let payload_bytes = length.checked_sub(COVERED_BYTES).ok_or(SomeIpError::Length { got: length })?;
        let kind = byte(14)?;
        let header = Self {
            service: word(0)?,
            method: word(2)?,
            client: word(8)?,
            session: word(10)?,
            interface_version: byte(13)?,
            kind: MessageKind::from_code(kind & !TP_BIT),
            is_segment: kind & TP_BIT != 0,
            return_code,
        };
        Ok((header, usize::try_from(payload_bytes).unwrap_or(usize::MAX)))
    }

    /// Returns whether the message only marks a place in a stream, from which a reader finds messages again (the magic
    /// cookies of PRS SOME/IP).
    #[must_use]
    pub const fn is_cookie(&self) -> bool {
        self.service == 0xFFFF && matches!(self.method, 0x0000 | 0x8000) && self.client == 0xDEAD
    }

    /// Returns whether the message is one of service discovery.
    #[must_use]
    pub const fn is_discovery(&self) -> bool {
        self.service == super::SD_SERVICE && self.method == super::SD_METHOD
    }
}

/// One message; the payload is borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The header.
    pub header: Header,
    /// Everything behind it.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a message from the beginning of bytes.
    ///
    /// # Errors
    /// [`SomeIpError`] for each way there is none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SomeIpError> {
        let (header, payload_bytes) = Header::parse(bytes)?;
        let end = HEADER_BYTES.saturating_add(payload_bytes);
        let cut = SomeIpError::Truncated { needed: end, got: bytes.len() };
        let payload = bytes.get(HEADER_BYTES..end).ok_or(cut)?;
        Ok(Self { header, payload })
    }

    /// Writes header and payload and returns their length in bytes.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer is too small.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoSpace> {
        let Header { service, method, client, session, interface_version, kind, is_segment, return_code } =
            self.header;
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX).saturating_add(COVERED_BYTES);
        let mut writer = Writer::new(out);
        writer.put(&service.to_be_bytes());
        writer.put(&method.to_be_bytes());
        writer.put(&length.to_be_bytes());
        writer.put(&client.to_be_bytes());
        writer.put(&session.to_be_bytes());
        let kind = kind.code() | if is_segment { TP_BIT } else { 0 };
        writer.put(&[1, interface_version, kind, return_code.code()]);
        writer.put(self.payload);
        writer.finish()
    }

    /// Returns the length of header and payload in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        HEADER_BYTES.saturating_add(self.payload.len())
    }
}

/// Messages of one datagram or segment, in order, at most one for sixteen bytes.
///
/// Ends behind the first error, which is its last item.
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
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, SomeIpError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let message = Message::parse(self.rest);
        let taken = message.as_ref().map_or(self.rest.len(), Message::bytes);
        self.rest = self.rest.get(taken..).unwrap_or(&[]);
        Some(message)
    }
}
