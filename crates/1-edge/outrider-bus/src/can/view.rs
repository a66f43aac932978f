//! Zero-copy view of a SocketCAN frame.
//!
//! Layout of both structs: id word (4 bytes), payload length (1), flags (1; zero in a classic frame), two more
//! bytes (reserved, and the raw code 9 to 15 of a classic frame of 8 bytes), payload. A kernel writes 16 or 72
//! bytes; captures may cut the padding behind the payload.

use core::fmt;

use super::{CanId, Dlc, ErrorClass, FdFlags, Frame, FrameError, FrameKind};
use crate::bytes::{ByteOrder, u8_at, u32_at};

/// Bytes of the kernel's classic frame struct.
pub const FRAME_CLASSIC_BYTES: usize = 16;
/// Bytes of the kernel's CAN FD frame struct.
pub const FRAME_FD_BYTES: usize = 72;
/// Bytes before the payload.
const HEADER_BYTES: usize = 8;

const WORD_REMOTE: u32 = 0x4000_0000;
const WORD_ERROR: u32 = 0x2000_0000;
const WORD_EXTENDED: u32 = 0x8000_0000;
const WORD_VALUE: u32 = 0x1FFF_FFFF;
const FLAG_BRS: u8 = 0x01;
const FLAG_ESI: u8 = 0x02;
const FLAG_FDF: u8 = 0x04;
/// In the length byte's place, a CAN XL frame has flags, and this one is always set.
const FLAG_XLF: u8 = 0x80;

/// Error of reading a SocketCAN frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SocketCanError {
    /// The bytes end before the header or the payload does.
    Truncated {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        got: usize,
    },
    /// Payload length above 8 in a classic or above 64 in an FD frame, or one that no FD frame has.
    Length(FrameError),
    /// Standard identifier with bits above the eleventh; often a sign of the other byte order.
    Id {
        /// The id word as read.
        word: u32,
    },
    /// A CAN XL frame: read it with [`super::XlFrame`].
    CanXl,
}

impl fmt::Display for SocketCanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { needed, got } => write!(f, "frame needs {needed} bytes, got {got}"),
            Self::Length(error) => error.fmt(f),
            Self::Id { word } => write!(f, "id word {word:#010x} has bits above the eleventh"),
            Self::CanXl => f.write_str("CAN XL frame"),
        }
    }
}

impl core::error::Error for SocketCanError {}

/// Borrowed SocketCAN frame.
#[derive(Debug, Clone, Copy)]
pub struct SocketCanView<'a> {
    bytes: &'a [u8],
    order: ByteOrder,
}

impl<'a> SocketCanView<'a> {
    /// Views bytes whose header is complete.
    ///
    /// # Errors
    /// [`SocketCanError::Truncated`] below 8 bytes.
    pub const fn new(bytes: &'a [u8], order: ByteOrder) -> Result<Self, SocketCanError> {
        if bytes.len() < HEADER_BYTES {
            return Err(SocketCanError::Truncated { needed: HEADER_BYTES, got: bytes.len() });
        }
        Ok(Self { bytes, order })
    }

    /// Returns the id word with its flag bits.
    #[must_use]
    pub fn id_word(&self) -> u32 {
        u32_at(self.bytes, 0, self.order).unwrap_or(0)
    }

    /// Returns the payload length as written.
    #[must_use]
    pub fn len_byte(&self) -> u8 {
        u8_at(self.bytes, 4).unwrap_or(0)
    }

    /// Returns the flag byte.
    #[must_use]
    pub fn flag_byte(&self) -> u8 {
        u8_at(self.bytes, 5).unwrap_or(0)
    }

    /// Returns whether this is a CAN FD frame: the flag says so, or the size or length leaves no other way.
    #[must_use]
    pub fn is_fd(&self) -> bool {
        self.flag_byte() & FLAG_FDF != 0 || self.bytes.len() == FRAME_FD_BYTES || self.len_byte() > 8
    }

    /// Returns whether the id word makes sense: an extended or error frame, or one of at most eleven bits.
    #[must_use]
    pub fn is_id_plausible(&self) -> bool {
        let word = self.id_word();
        word & (WORD_EXTENDED | WORD_ERROR) != 0 || word & WORD_VALUE <= 0x7FF
    }

    /// Returns the payload.
    ///
    /// # Errors
    /// [`SocketCanError::Truncated`] if it is not all there.
    pub fn payload(&self) -> Result<&'a [u8], SocketCanError> {
        let end = HEADER_BYTES.saturating_add(usize::from(self.len_byte()));
        self.bytes
            .get(HEADER_BYTES..end)
            .ok_or(SocketCanError::Truncated { needed: end, got: self.bytes.len() })
    }

    /// Reads the frame as a checked value.
    ///
    /// # Errors
    /// [`SocketCanError`] for each way the bytes are no frame.
    pub fn frame(&self) -> Result<Frame, SocketCanError> {
        if self.len_byte() & FLAG_XLF != 0 {
            return Err(SocketCanError::CanXl);
        }
        let word = self.id_word();
        if word & WORD_ERROR != 0 {
            let class = ErrorClass::new(word & WORD_VALUE).unwrap_or_default();
            return Frame::error(class, self.payload()?).map_err(SocketCanError::Length);
        }
        let id = CanId::from_word(word & (WORD_EXTENDED | WORD_VALUE)).ok_or(SocketCanError::Id { word })?;
        if word & WORD_REMOTE != 0 {
            let bad = FrameError::Length { kind: FrameKind::Remote, got: usize::from(self.len_byte()) };
            let dlc = Dlc::new(self.len_byte()).filter(|dlc| dlc.code() <= 8);
            return Ok(Frame::remote(id, dlc.ok_or(SocketCanError::Length(bad))?));
        }
        let payload = self.payload()?;
        if self.is_fd() {
            let flags =
                FdFlags { brs: self.flag_byte() & FLAG_BRS != 0, esi: self.flag_byte() & FLAG_ESI != 0 };
            return Frame::fd(id, flags, payload).map_err(SocketCanError::Length);
        }
        let raw_code = u8_at(self.bytes, 7).unwrap_or(0);
        let dlc = Dlc::new(raw_code).filter(|dlc| dlc.code() > 8 && payload.len() == 8);
        match dlc {
            Some(dlc) => Frame::classic_with_dlc(id, dlc, payload),
            None => Frame::classic(id, payload),
        }
        .map_err(SocketCanError::Length)
    }
}

impl Frame {
    /// Writes the kernel's struct, id word in the given order, and returns its bytes: 16, or 72 for CAN FD.
    pub fn emit_socketcan<'a>(&self, order: ByteOrder, out: &'a mut [u8; FRAME_FD_BYTES]) -> &'a [u8] {
        *out = [0; FRAME_FD_BYTES];
        let (word, total) = match self.kind() {
            FrameKind::Classic => (self.id().map_or(0, CanId::word), FRAME_CLASSIC_BYTES),
            FrameKind::Fd => (self.id().map_or(0, CanId::word), FRAME_FD_BYTES),
            FrameKind::Remote => (self.id().map_or(0, CanId::word) | WORD_REMOTE, FRAME_CLASSIC_BYTES),
            FrameKind::Error => {
                (self.error_class().map_or(0, ErrorClass::bits) | WORD_ERROR, FRAME_CLASSIC_BYTES)
            }
        };
        let word = match order {
            ByteOrder::Big => word.to_be_bytes(),
            ByteOrder::Little => word.to_le_bytes(),
        };
        let mut flags = 0;
        let mut raw_code = 0;
        let mut len = u8::try_from(self.data().len()).unwrap_or(0);
        match self.kind() {
            FrameKind::Fd => {
                flags = FLAG_FDF
                    | if self.flags().brs { FLAG_BRS } else { 0 }
                    | if self.flags().esi { FLAG_ESI } else { 0 };
            }
            FrameKind::Remote => len = self.dlc().code().min(8),
            FrameKind::Classic if self.dlc().code() > 8 => raw_code = self.dlc().code(),
            FrameKind::Classic | FrameKind::Error => {}
        }
        let [w0, w1, w2, w3] = word;
        let header = [w0, w1, w2, w3, len, flags, 0, raw_code];
        for (slot, byte) in out.iter_mut().zip(header.iter().chain(self.data())) {
            *slot = *byte;
        }
        out.get(..total).unwrap_or(&[])
    }
}
