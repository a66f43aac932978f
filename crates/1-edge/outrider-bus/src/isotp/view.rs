//! Protocol control information of one frame.

use core::fmt;

use crate::bytes::{ByteOrder, NoSpace, Writer, u8_at, u16_at, u32_at};

/// Where the control bytes begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Addressing {
    /// Normal (or normal fixed) addressing: at the first byte.
    #[default]
    Normal,
    /// Extended or mixed addressing: behind one address byte, the target's (N_TA) or an extension (N_AE).
    Extended,
}

/// What a receiver says to a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlowStatus {
    /// Continue to send.
    Continue,
    /// Wait.
    Wait,
    /// The message is too long for me.
    Overflow,
    /// Reserved value, 3 to 15.
    Unknown(u8),
}

/// Control information and the payload behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pci<'a> {
    /// A whole message.
    Single {
        /// The message.
        payload: &'a [u8],
    },
    /// Beginning of a longer message.
    First {
        /// Bytes of the whole message.
        total: u32,
        /// Its beginning.
        payload: &'a [u8],
    },
    /// A further piece; the last one has padding behind it.
    Consecutive {
        /// Sequence number, 0 to 15.
        sequence: u8,
        /// The piece.
        payload: &'a [u8],
    },
    /// What the receiver says.
    FlowControl {
        /// Go on, wait or stop.
        status: FlowStatus,
        /// Consecutive frames until the next flow control; 0 means all.
        block_size: u8,
        /// Shortest gap between consecutive frames, encoded as on the wire.
        gap_min_code: u8,
    },
}

impl FlowStatus {
    const fn code(self) -> u8 {
        match self {
            Self::Continue => 0,
            Self::Wait => 1,
            Self::Overflow => 2,
            Self::Unknown(code) => code & 0x0F,
        }
    }
}

impl Pci<'_> {
    /// Writes control bytes and payload, without padding, and returns their length in bytes. `address` is the byte of
    /// extended and mixed addressing. A single frame above 7 bytes (6 with an address) is written with the length
    /// escape of CAN FD, a first frame above 4,095 with the 32-bit one.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer is too small.
    pub fn emit(&self, address: Option<u8>, out: &mut [u8]) -> Result<usize, NoSpace> {
        let mut writer = Writer::new(out);
        if let Some(address) = address {
            writer.put(&[address]);
        }
        match *self {
            Self::Single { payload } => {
                let room = if address.is_some() { 6 } else { 7 };
                let length = u8::try_from(payload.len()).unwrap_or(u8::MAX);
                if payload.len() <= room {
                    writer.put(&[length]);
                } else {
                    writer.put(&[0, length]);
                }
                writer.put(payload);
            }
            Self::First { total, payload } => {
                match u16::try_from(total) {
                    Ok(short @ 1..=0x0FFF) => writer.put(&(0x1000 | short).to_be_bytes()),
                    _ => {
                        writer.put(&[0x10, 0]);
                        writer.put(&total.to_be_bytes());
                    }
                }
                writer.put(payload);
            }
            Self::Consecutive { sequence, payload } => {
                writer.put(&[0x20 | sequence & 0x0F]);
                writer.put(payload);
            }
            Self::FlowControl { status, block_size, gap_min_code } => {
                writer.put(&[0x30 | status.code(), block_size, gap_min_code]);
            }
        }
        writer.finish()
    }
}

/// Why a frame has no control information.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PciError {
    /// The frame ends before the control bytes do.
    Truncated,
    /// The type nibble is 4 to 15.
    Type(u8),
    /// A single frame of no bytes, or of more than the frame has.
    SingleLength {
        /// Bytes the frame says.
        said: u8,
        /// Bytes behind the control bytes.
        got: usize,
    },
    /// A first frame whose message would have fitted a single frame, or of another impossible length.
    FirstLength {
        /// Bytes the frame says.
        said: u32,
    },
}

impl fmt::Display for PciError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated => f.write_str("frame ends inside the control bytes"),
            Self::Type(nibble) => write!(f, "unknown frame type {nibble}"),
            Self::SingleLength { said, got } => write!(f, "single frame says {said} bytes, has {got}"),
            Self::FirstLength { said } => write!(f, "first frame says impossible length {said}"),
        }
    }
}

impl core::error::Error for PciError {}

/// Borrowed payload of a CAN frame, read as ISO-TP.
#[derive(Debug, Clone, Copy)]
pub struct PciView<'a> {
    bytes: &'a [u8],
    address: Option<u8>,
}

impl<'a> PciView<'a> {
    /// Views the payload of a frame.
    ///
    /// # Errors
    /// [`PciError::Truncated`] if there is no control byte.
    pub fn new(payload: &'a [u8], addressing: Addressing) -> Result<Self, PciError> {
        let (address, bytes) = match addressing {
            Addressing::Normal => (None, payload),
            Addressing::Extended => {
                let (first, rest) = payload.split_first().ok_or(PciError::Truncated)?;
                (Some(*first), rest)
            }
        };
        if bytes.is_empty() { Err(PciError::Truncated) } else { Ok(Self { bytes, address }) }
    }

    /// Returns the address byte of extended addressing.
    #[must_use]
    pub const fn address(&self) -> Option<u8> {
        self.address
    }

    /// Bytes behind the frame's address byte when the frame is as long as a classic one.
    fn classic_room(&self) -> usize {
        if self.address.is_some() { 7 } else { 8 }
    }

    /// Reads the control information.
    ///
    /// # Errors
    /// [`PciError`] for each way the bytes say nothing sensible.
    pub fn pci(&self) -> Result<Pci<'a>, PciError> {
        let first = u8_at(self.bytes, 0).ok_or(PciError::Truncated)?;
        let low = first & 0x0F;
        match first >> 4 {
            0 => self.single(low),
            1 => self.first(low),
            2 => {
                let payload = self.bytes.get(1..).filter(|rest| !rest.is_empty());
                Ok(Pci::Consecutive { sequence: low, payload: payload.ok_or(PciError::Truncated)? })
            }
            3 => Ok(Pci::FlowControl {
                status: match low {
                    0 => FlowStatus::Continue,
                    1 => FlowStatus::Wait,
                    2 => FlowStatus::Overflow,
                    other => FlowStatus::Unknown(other),
                },
                block_size: u8_at(self.bytes, 1).ok_or(PciError::Truncated)?,
                gap_min_code: u8_at(self.bytes, 2).ok_or(PciError::Truncated)?,
            }),
            other => Err(PciError::Type(other)),
        }
    }

    fn single(&self, low: u8) -> Result<Pci<'a>, PciError> {
        // A zero nibble in a frame longer than a classic one escapes to a length byte (CAN FD).
        let (said, rest) = if low == 0 && self.bytes.len() > self.classic_room() {
            (u8_at(self.bytes, 1).ok_or(PciError::Truncated)?, self.bytes.get(2..).unwrap_or(&[]))
        } else {
            (low, self.bytes.get(1..).unwrap_or(&[]))
        };
        let bad = PciError::SingleLength { said, got: rest.len() };
        let payload = rest.get(..usize::from(said)).filter(|payload| !payload.is_empty()).ok_or(bad)?;
        Ok(Pci::Single { payload })
    }

    fn first(&self, low: u8) -> Result<Pci<'a>, PciError> {
        let word = u16_at(self.bytes, 0).ok_or(PciError::Truncated)?;
        let short = u32::from(word & 0x0FFF);
        // Twelve zero bits escape to a 32-bit length.
        let (total, payload) = if low == 0 && short == 0 {
            let total = u32_at(self.bytes, 2, ByteOrder::Big).ok_or(PciError::Truncated)?;
            if total <= 0x0FFF {
                return Err(PciError::FirstLength { said: total });
            }
            (total, self.bytes.get(6..))
        } else {
            (short, self.bytes.get(2..))
        };
        let payload = payload.filter(|rest| !rest.is_empty()).ok_or(PciError::Truncated)?;
        let carried = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        if total <= carried {
            return Err(PciError::FirstLength { said: total });
        }
        Ok(Pci::First { total, payload })
    }
}
