//! Frames that cannot be wrong.

use core::fmt;

use outrider_types::{BusId, VehicleMicros};

use super::CanId;

/// Most payload bytes of one frame (CAN FD).
pub const DATA_BYTES_MAX: usize = 64;

/// Payload lengths of CAN FD by data length code (ISO 11898-1:2015, table 5).
const FD_LENGTHS: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64];

/// Data length code, 0 to 15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Dlc(u8);

impl Dlc {
    /// Returns the code of a number, or `None` above 15.
    #[must_use]
    pub const fn new(code: u8) -> Option<Self> {
        if code <= 15 { Some(Self(code)) } else { None }
    }

    /// Returns the code whose CAN FD length is exactly `bytes`, or `None` if there is none.
    #[must_use]
    pub fn from_fd_len(bytes: usize) -> Option<Self> {
        let code = FD_LENGTHS.iter().position(|&len| usize::from(len) == bytes)?;
        u8::try_from(code).ok().and_then(Self::new)
    }

    /// Returns the number of the code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }

    /// Returns the payload bytes the code means in a classic frame; 9 to 15 all mean 8.
    #[must_use]
    pub const fn classic_len(self) -> usize {
        if self.0 > 8 { 8 } else { self.0 as usize }
    }

    /// Returns the payload bytes the code means in a CAN FD frame.
    #[must_use]
    pub fn fd_len(self) -> usize {
        FD_LENGTHS.get(usize::from(self.0)).copied().map_or(0, usize::from)
    }
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrameKind {
    /// Classic data frame, 0 to 8 bytes.
    Classic,
    /// CAN FD data frame, 0 to 64 bytes.
    Fd,
    /// Remote frame: asks for data, carries none.
    Remote,
    /// What a controller reported about the bus; no frame was on the wire.
    Error,
}

/// The two flags of a CAN FD frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FdFlags {
    /// Bit rate switch: the data phase ran at the second bit rate.
    pub brs: bool,
    /// Error state indicator: the sender was error passive.
    pub esi: bool,
}

/// Error class bits of an error frame (Linux `can/error.h`), 29 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ErrorClass(u32);

impl ErrorClass {
    /// The transmission timed out.
    pub const TX_TIMEOUT: Self = Self(0x001);
    /// A controller problem, such as error passive or an overflow.
    pub const CONTROLLER: Self = Self(0x004);
    /// A protocol violation on the wire.
    pub const PROTOCOL: Self = Self(0x008);
    /// A transmission that nobody acknowledged.
    pub const NO_ACK: Self = Self(0x020);
    /// The controller went bus off.
    pub const BUS_OFF: Self = Self(0x040);
    /// A bus error, possibly one of many.
    pub const BUS_ERROR: Self = Self(0x080);
    /// The controller restarted.
    pub const RESTARTED: Self = Self(0x100);
    /// The last two detail bytes are the controller's error counters, transmit before receive.
    pub const COUNTERS: Self = Self(0x200);

    /// Returns the class of 29 bits, or `None` if a higher one is set.
    #[must_use]
    pub const fn new(bits: u32) -> Option<Self> {
        if bits <= 0x1FFF_FFFF { Some(Self(bits)) } else { None }
    }

    /// Returns the bits.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Returns whether every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Error of building a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FrameError {
    /// No frame of the kind has this payload length.
    Length {
        /// The kind asked for.
        kind: FrameKind,
        /// Payload bytes given.
        got: usize,
    },
    /// The data length code says another number of bytes than there are.
    DlcMismatch {
        /// Bytes the code means.
        expected: usize,
        /// Payload bytes given.
        got: usize,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Length { kind, got } => write!(f, "no {kind:?} frame has {got} payload bytes"),
            Self::DlcMismatch { expected, got } => {
                write!(f, "data length code says {expected} payload bytes, got {got}")
            }
        }
    }
}

impl core::error::Error for FrameError {}

/// One frame of a CAN bus, by value: 76 bytes, `Copy`, bytes behind the payload always zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Frame {
    /// Identifier word, or the error class of an error frame.
    word: u32,
    kind: FrameKind,
    dlc: Dlc,
    len: u8,
    flags: FdFlags,
    data: [u8; DATA_BYTES_MAX],
}

impl Frame {
    /// Creates a classic data frame of 0 to 8 bytes.
    ///
    /// # Errors
    /// [`FrameError::Length`] above 8 bytes.
    pub fn classic(id: CanId, data: &[u8]) -> Result<Self, FrameError> {
        let bad = FrameError::Length { kind: FrameKind::Classic, got: data.len() };
        let code = u8::try_from(data.len()).ok().filter(|&len| len <= 8).ok_or(bad)?;
        Self::build(id.word(), FrameKind::Classic, Dlc(code), FdFlags::default(), data)
    }

    /// Creates a classic data frame whose code may be 9 to 15, which means 8 bytes.
    ///
    /// # Errors
    /// [`FrameError::DlcMismatch`] if the code means another number of bytes.
    pub fn classic_with_dlc(id: CanId, dlc: Dlc, data: &[u8]) -> Result<Self, FrameError> {
        if dlc.classic_len() != data.len() {
            return Err(FrameError::DlcMismatch { expected: dlc.classic_len(), got: data.len() });
        }
        Self::build(id.word(), FrameKind::Classic, dlc, FdFlags::default(), data)
    }

    /// Creates a CAN FD frame.
    ///
    /// # Errors
    /// [`FrameError::Length`] if no data length code means this length.
    pub fn fd(id: CanId, flags: FdFlags, data: &[u8]) -> Result<Self, FrameError> {
        let dlc = Dlc::from_fd_len(data.len())
            .ok_or(FrameError::Length { kind: FrameKind::Fd, got: data.len() })?;
        Self::build(id.word(), FrameKind::Fd, dlc, flags, data)
    }

    /// Creates a remote frame that asks for the length `dlc` means.
    #[must_use]
    pub const fn remote(id: CanId, dlc: Dlc) -> Self {
        Self {
            word: id.word(),
            kind: FrameKind::Remote,
            dlc,
            len: 0,
            flags: FdFlags { brs: false, esi: false },
            data: [0; DATA_BYTES_MAX],
        }
    }

    /// Creates an error report with up to 8 bytes of detail.
    ///
    /// # Errors
    /// [`FrameError::Length`] above 8 bytes.
    pub fn error(class: ErrorClass, detail: &[u8]) -> Result<Self, FrameError> {
        let bad = FrameError::Length { kind: FrameKind::Error, got: detail.len() };
        let code = u8::try_from(detail.len()).ok().filter(|&len| len <= 8).ok_or(bad)?;
        Self::build(class.bits(), FrameKind::Error, Dlc(code), FdFlags::default(), detail)
    }

    fn build(
        word: u32,
        kind: FrameKind,
        dlc: Dlc,
        flags: FdFlags,
        payload: &[u8],
    ) -> Result<Self, FrameError> {
        let bad = FrameError::Length { kind, got: payload.len() };
        let mut data = [0u8; DATA_BYTES_MAX];
        data.get_mut(..payload.len()).ok_or(bad)?.copy_from_slice(payload);
        let len = u8::try_from(payload.len()).map_err(|_| bad)?;
        Ok(Self { word, kind, dlc, len, flags, data })
    }

    /// Returns the identifier, or `None` for an error frame, which has none.
    #[must_use]
    pub const fn id(&self) -> Option<CanId> {
        match self.kind {
            FrameKind::Classic | FrameKind::Fd | FrameKind::Remote => CanId::from_word(self.word),
            FrameKind::Error => None,
        }
    }

    /// Returns the error class of an error frame, or `None` for every other.
    #[must_use]
    pub const fn error_class(&self) -> Option<ErrorClass> {
        match self.kind {
            FrameKind::Classic | FrameKind::Fd | FrameKind::Remote => None,
            FrameKind::Error => ErrorClass::new(self.word),
        }
    }

    /// Returns what the frame is.
    #[must_use]
    pub const fn kind(&self) -> FrameKind {
        self.kind
    }

    /// Returns the data length code.
    #[must_use]
    pub const fn dlc(&self) -> Dlc {
        self.dlc
    }

    /// Returns the payload; empty for a remote frame, the detail bytes for an error frame.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.data.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Returns the flags of a CAN FD frame; both false for every other.
    #[must_use]
    pub const fn flags(&self) -> FdFlags {
        self.flags
    }

    /// Returns the same frame with another payload of the same length, or `None` if the length differs.
    #[must_use]
    pub fn with_data(&self, payload: &[u8]) -> Option<Self> {
        if payload.len() != usize::from(self.len) {
            return None;
        }
        Self::build(self.word, self.kind, self.dlc, self.flags, payload).ok()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}(", self.kind)?;
        match self.id() {
            Some(id) => write!(f, "{id}")?,
            None => write!(f, "{:#x}", self.word)?,
        }
        write!(f, " [{}]", self.dlc.code())?;
        self.data().iter().try_for_each(|byte| write!(f, " {byte:02X}"))?;
        if self.flags.brs {
            f.write_str(" BRS")?;
        }
        if self.flags.esi {
            f.write_str(" ESI")?;
        }
        f.write_str(")")
    }
}

/// A frame with the bus it was on and the time it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimedFrame {
    /// When the frame was complete; in a capture, microseconds since the capture began.
    pub at: VehicleMicros,
    /// The bus it was on.
    pub bus: BusId,
    /// The frame.
    pub frame: Frame,
}
