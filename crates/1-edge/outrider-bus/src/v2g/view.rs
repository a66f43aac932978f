//! V2GTP headers and the messages of a segment.

use core::fmt;

use crate::bytes::{ByteOrder, NoSpace, Writer, u8_at, u16_at, u32_at};
use crate::codes::code_enum;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 8;

code_enum! {
    /// What a message is.
    PayloadType: u16 {
        /// EXI of DIN 70121, ISO 15118-2 or the handshake before them.
        Exi = 0x8001,
        /// EXI of ISO 15118-20, common messages.
        ExiMainstream = 0x8002,
        /// EXI of ISO 15118-20, alternating current.
        ExiAc = 0x8003,
        /// EXI of ISO 15118-20, direct current.
        ExiDc = 0x8004,
        /// EXI of ISO 15118-20, automatic connection devices.
        ExiAcdp = 0x8005,
        /// EXI of ISO 15118-20, wireless.
        ExiWpt = 0x8006,
        /// Where is a charging station?
        SdpRequest = 0x9000,
        /// Here.
        SdpResponse = 0x9001,
        /// Where is a wireless charging station?
        SdpWirelessRequest = 0x9002,
        /// Here.
        SdpWirelessResponse = 0x9003,
    }
}

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum V2gtpError {
    /// The bytes end before the header or the payload does.
    Truncated {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        got: usize,
    },
    /// Not version 1, or its inverse does not fit.
    Version {
        /// First byte.
        version: u8,
        /// Second byte.
        inverse: u8,
    },
}

impl fmt::Display for V2gtpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { needed, got } => write!(f, "message needs {needed} bytes, got {got}"),
            Self::Version { version, inverse } => {
                write!(f, "version {version:#04x} with inverse {inverse:#04x}, expected 0x01 with 0xfe")
            }
        }
    }
}

impl core::error::Error for V2gtpError {}

/// Borrowed message whose payload is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct V2gtpView<'a> {
    payload_type: PayloadType,
    payload: &'a [u8],
}

/// Payload type of one car maker's own messages, whose meaning is not public.
const MAKERS_TYPE: u16 = 0x4C41;

/// Returns the length of the payload that a header says, or `None` if the bytes do not begin with a header.
#[must_use]
pub fn payload_bytes(bytes: &[u8]) -> Option<u32> {
    let length = u32_at(bytes, 4, ByteOrder::Big)?;
    bytes.starts_with(&[1, 0xFE]).then_some(length)
}

/// Returns the payload type that a header says, or `None` if the bytes do not begin with a header.
#[must_use]
pub fn payload_type(bytes: &[u8]) -> Option<PayloadType> {
    payload_bytes(bytes)?;
    u16_at(bytes, 2).map(PayloadType::from_code)
}

/// Returns whether the bytes begin with a header of a type that is in use.
#[must_use]
pub fn is_message_type(bytes: &[u8]) -> bool {
    payload_type(bytes).is_some_and(|kind| match kind {
        PayloadType::Unknown(code) => code == MAKERS_TYPE,
        PayloadType::Exi
        | PayloadType::ExiMainstream
        | PayloadType::ExiAc
        | PayloadType::ExiDc
        | PayloadType::ExiAcdp
        | PayloadType::ExiWpt
        | PayloadType::SdpRequest
        | PayloadType::SdpResponse
        | PayloadType::SdpWirelessRequest
        | PayloadType::SdpWirelessResponse => true,
    })
}

impl<'a> V2gtpView<'a> {
    /// Reads a message from the beginning of bytes.
    ///
    /// # Errors
    /// [`V2gtpError`] for each way there is none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, V2gtpError> {
        let short = V2gtpError::Truncated { needed: HEADER_BYTES, got: bytes.len() };
        let length = u32_at(bytes, 4, ByteOrder::Big).ok_or(short)?;
        let (version, inverse) = (u8_at(bytes, 0).unwrap_or(0), u8_at(bytes, 1).unwrap_or(0));
        if (version, inverse) != (1, 0xFE) {
            return Err(V2gtpError::Version { version, inverse });
        }
        let end = HEADER_BYTES.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        let payload = bytes.get(HEADER_BYTES..end);
        Ok(Self {
            payload_type: PayloadType::from_code(u16_at(bytes, 2).ok_or(short)?),
            payload: payload.ok_or(V2gtpError::Truncated { needed: end, got: bytes.len() })?,
        })
    }

    /// Returns what the message is.
    #[must_use]
    pub const fn payload_type(&self) -> PayloadType {
        self.payload_type
    }

    /// Returns the payload.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

/// Writes header and payload and returns their length in bytes.
///
/// # Errors
/// [`NoSpace`] if the buffer is too small.
pub fn emit(payload_type: PayloadType, payload: &[u8], out: &mut [u8]) -> Result<usize, NoSpace> {
    let mut writer = Writer::new(out);
    writer.put(&[1, 0xFE]);
    writer.put(&payload_type.code().to_be_bytes());
    writer.put(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
    writer.put(payload);
    writer.finish()
}

/// Messages of one datagram or segment, in order, at most one for eight bytes; ends at the first that is none.
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
    type Item = V2gtpView<'a>;

    fn next(&mut self) -> Option<V2gtpView<'a>> {
        let view = V2gtpView::parse(self.rest).ok()?;
        self.rest = self.rest.get(HEADER_BYTES.saturating_add(view.payload.len())..).unwrap_or(&[]);
        Some(view)
    }
}
