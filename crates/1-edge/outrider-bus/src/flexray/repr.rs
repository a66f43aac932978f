//! Headers, checksums and the places of frames.

use core::fmt;

use crate::bytes::array;
use crate::crc::update_bits;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 5;
/// Bytes of the frame checksum behind the payload.
pub const TRAILER_BYTES: usize = 3;

/// One of the two channels; they begin the frame checksum differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Channel A.
    A,
    /// Channel B.
    B,
}

/// Why bytes are no header, or a header cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FlexRayError {
    /// The bytes end before the header does.
    Truncated {
        /// Bytes there.
        got: usize,
    },
    /// Frame number 0, or above 2047.
    Slot {
        /// The number.
        got: u16,
    },
    /// The header's checksum does not fit.
    HeaderCrc {
        /// Computed over the header.
        expected: u16,
        /// Sent.
        got: u16,
    },
    /// More than 127 words of payload, or a cycle above 63.
    Range,
}

impl fmt::Display for FlexRayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { got } => write!(f, "header needs {HEADER_BYTES} bytes, got {got}"),
            Self::Slot { got } => write!(f, "no slot has number {got}"),
            Self::HeaderCrc { expected, got } => {
                write!(f, "header checksum {got:#x}, expected {expected:#x}")
            }
            Self::Range => f.write_str("payload above 127 words or cycle above 63"),
        }
    }
}

impl core::error::Error for FlexRayError {}

/// Header of a frame; its checksum follows from the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Header {
    /// The payload begins with a network management vector or a message id.
    pub payload_preamble: bool,
    /// The frame carries data; a null frame does not.
    pub is_data: bool,
    /// Sync frame: its sender's clock is followed.
    pub sync: bool,
    /// Startup frame.
    pub startup: bool,
    /// Slot, 1 to 2047.
    pub slot: u16,
    /// Payload length in words of two bytes, 0 to 127.
    pub words: u8,
    /// Cycle, 0 to 63.
    pub cycle: u8,
}

impl Header {
    /// Reads a header and checks its checksum.
    ///
    /// # Errors
    /// [`FlexRayError`] for each way the bytes are no header.
    pub fn parse(bytes: &[u8]) -> Result<Self, FlexRayError> {
        let [b0, b1, b2, b3, b4] =
            array::<HEADER_BYTES>(bytes, 0).ok_or(FlexRayError::Truncated { got: bytes.len() })?;
        let header = Self {
            payload_preamble: b0 & 0x40 != 0,
            is_data: b0 & 0x20 != 0,
            sync: b0 & 0x10 != 0,
            startup: b0 & 0x08 != 0,
            slot: u16::from_be_bytes([b0 & 0x07, b1]),
            words: b2 >> 1,
            cycle: b4 & 0x3F,
        };
        if header.slot == 0 {
            return Err(FlexRayError::Slot { got: 0 });
        }
        let got = u16::from(b2 & 1) << 10 | u16::from(b3) << 2 | u16::from(b4 >> 6);
        let expected = header.crc();
        if got == expected { Ok(header) } else { Err(FlexRayError::HeaderCrc { expected, got }) }
    }

    /// Writes the header with its checksum.
    ///
    /// # Errors
    /// [`FlexRayError::Slot`] or [`FlexRayError::Range`] for a value that the header has no room for.
    pub fn emit(&self) -> Result<[u8; HEADER_BYTES], FlexRayError> {
        if self.slot == 0 || self.slot > 0x7FF {
            return Err(FlexRayError::Slot { got: self.slot });
        }
        if self.words > 0x7F || self.cycle > 0x3F {
            return Err(FlexRayError::Range);
        }
        let [slot_high, slot_low] = self.slot.to_be_bytes();
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let b0 = flag(self.payload_preamble, 0x40)
            | flag(self.is_data, 0x20)
            | flag(self.sync, 0x10)
            | flag(self.startup, 0x08)
            | slot_high;
        // Eleven bits of checksum: one beside the length, eight, and two beside the cycle.
        let [crc_high, crc_low] = (self.crc() << 5).to_be_bytes();
        let b2 = self.words << 1 | crc_high >> 7;
        let b3 = crc_high << 1 | crc_low >> 7;
        let b4 = crc_low << 1 & 0xC0 | self.cycle;
        Ok([b0, slot_low, b2, b3, b4])
    }

    /// Returns the checksum over sync and startup bit, slot and length (polynomial 0x385, start 0x01A).
    #[must_use]
    pub fn crc(&self) -> u16 {
        let mut register = update_bits(0x1A, 11, 0x385, u32::from(self.sync), 1);
        register = update_bits(register, 11, 0x385, u32::from(self.startup), 1);
        register = update_bits(register, 11, 0x385, self.slot.into(), 11);
        register = update_bits(register, 11, 0x385, self.words.into(), 7);
        u16::try_from(register).unwrap_or(0)
    }

    /// Returns the payload length in bytes.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        usize::from(self.words).saturating_mul(2)
    }
}

/// Returns the checksum of a frame, 24 bits, over header and payload; O(n).
#[must_use]
pub fn frame_crc(channel: Channel, bytes: &[u8]) -> u32 {
    let start = match channel {
        Channel::A => 0x00FE_DCBA,
        Channel::B => 0x00AB_CDEF,
    };
    bytes.iter().fold(start, |register, &byte| update_bits(register, 24, 0x005D_6DCB, byte.into(), 8))
}

/// In which cycles a slot belongs to a frame: `base`, `base + repetition`, and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Occupancy {
    slot: u16,
    base: u8,
    repetition: u8,
}

impl Occupancy {
    /// Creates the occupancy of a slot (1 to 2047) by a base cycle and a repetition, or returns `None` if the
    /// repetition is no power of two up to 64 or the base is not below it.
    #[must_use]
    pub const fn new(slot: u16, base: u8, repetition: u8) -> Option<Self> {
        if slot == 0 || slot > 0x7FF || repetition > 64 || !repetition.is_power_of_two() || base >= repetition
        {
            return None;
        }
        Some(Self { slot, base, repetition })
    }

    /// Returns the slot.
    #[must_use]
    pub const fn slot(&self) -> u16 {
        self.slot
    }

    /// Returns the cycles, one a bit from the lowest.
    #[must_use]
    pub const fn cycles(&self) -> u64 {
        let mut mask = 0u64;
        let mut cycle = self.base;
        while cycle < 64 {
            if let Some(bit) = 1u64.checked_shl(cycle as u32) {
                mask |= bit;
            }
            cycle = cycle.saturating_add(self.repetition);
        }
        mask
    }

    /// Returns whether a header is in a slot and cycle that belong to this frame.
    #[must_use]
    pub const fn holds(&self, header: &Header) -> bool {
        header.slot == self.slot && header.cycle & self.repetition.saturating_sub(1) == self.base
    }
}
