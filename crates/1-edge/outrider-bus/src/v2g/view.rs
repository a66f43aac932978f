//! V2GTP headers and the messages of a segment.

use crate::bytes::{u16_at, u32_at};
use crate::can::ByteOrder;
use core::fmt;

use crate::bytes::{NoSpace, Writer};
use crate::codes::code_enum;
use crate::tp_header::{HEADER_BYTES, TpHeader};
use crate::walk;

/// Version of the protocol.
const VERSION: u8 = 1;

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
        let header = TpHeader::parse(bytes).ok_or(short)?;
        if header.version != VERSION || !header.is_consistent() {
            return Err(V2gtpError::Version { version: header.version, inverse: header.inverse });
        }
        let cut = V2gtpError::Truncated { needed: header.end(), got: bytes.len() };
        let payload = bytes.get(HEADER_BYTES..header.end()).ok_or(cut)?;
        Ok(Self { payload_type: PayloadType::from_code(header.payload_type), payload })
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
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    TpHeader::new(VERSION, payload_type.code(), length).put(&mut writer);
    writer.put(payload);
    writer.finish()
}

/// Messages of one datagram or segment, at most one for eight bytes; a message that is cut ends the walk.
pub type Messages<'a> = walk::Messages<'a, V2gtpView<'a>>;

impl<'a> Messages<'a> {
    /// Begins with the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self::with(bytes, first)
    }
}

fn first(bytes: &[u8]) -> Option<(V2gtpView<'_>, &[u8])> {
    let view = V2gtpView::parse(bytes).ok()?;
    let rest = bytes.get(HEADER_BYTES.saturating_add(view.payload.len())..)?;
    Some((view, rest))
}
