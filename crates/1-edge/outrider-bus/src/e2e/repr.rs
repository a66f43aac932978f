//! Headers of the profiles: check and protect.

use core::fmt;

use crate::bytes::{ByteOrder, u8_at, u16_at, u32_at};
use crate::crc::{CRC8_H2F, CRC8_J1850_ZERO, CRC16_CCITT, CRC32_P4, Crc8};

/// Which bytes of the data id enter the checksum of profiles 1 and 11.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum DataIdMode {
    /// Both bytes, low first (variant 1A).
    #[default]
    Both,
    /// The low byte for even counters, the high byte for odd ones (variant 1B).
    Alternating,
    /// The low byte only.
    Low,
    /// The low byte and a zero; the low nibble of the high byte is sent in the header (variant 1C).
    Nibble,
}

/// Configuration of profiles 1 and 11.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Profile1 {
    /// Identifier of the message, never sent as a whole.
    pub data_id: u16,
    /// How the identifier enters the checksum.
    pub mode: DataIdMode,
    /// Byte of the checksum; the counter is in the low nibble of the byte behind it, the identifier's nibble in the
    /// high one.
    pub crc_byte: u16,
}

/// Configuration of profiles 2 and 22.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Profile2 {
    /// Data id of each counter value.
    pub data_ids: [u8; 16],
    /// Byte of the checksum (0 in profile 2); the counter is in the low nibble of the byte behind it.
    pub crc_byte: u16,
}

/// Configuration of profile 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Profile4 {
    /// Identifier of the message, sent.
    pub data_id: u32,
    /// First byte of the 12-byte header.
    pub offset: u16,
}

/// Configuration of profile 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Profile5 {
    /// Identifier of the message, not sent.
    pub data_id: u16,
    /// First byte of the 3-byte header.
    pub offset: u16,
}

/// How a message is protected. Profile 11 has the layout of profile 1, profile 22 that of profile 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protection {
    /// Profile 1 or 11: CRC-8 SAE J1850, counter 0 to 14.
    P01(Profile1),
    /// Profile 2 or 22: CRC8H2F, counter 0 to 15.
    P02(Profile2),
    /// Profile 4: length, 16-bit counter, data id and CRC32P4, for long messages.
    P04(Profile4),
    /// Profile 5: CRC-16 CCITT and an 8-bit counter.
    P05(Profile5),
}

/// Why a message fails its check, or cannot be protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum E2eError {
    /// The header does not fit.
    Truncated {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        got: usize,
    },
    /// The header's length is not the message's (profile 4).
    Length {
        /// Bytes there.
        expected: usize,
        /// Bytes the header says.
        got: u16,
    },
    /// The header's data id, or its nibble, is another one.
    DataId {
        /// The configured one.
        expected: u32,
        /// The one sent.
        got: u32,
    },
    /// A counter value the profile does not have.
    Counter {
        /// The value.
        got: u16,
    },
    /// The checksum does not fit the bytes.
    Crc {
        /// Computed over the bytes.
        expected: u32,
        /// Sent.
        got: u32,
    },
}

impl fmt::Display for E2eError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { needed, got } => write!(f, "header needs {needed} bytes, got {got}"),
            Self::Length { expected, got } => write!(f, "header says {got} bytes, message has {expected}"),
            Self::DataId { expected, got } => write!(f, "data id {got:#x}, expected {expected:#x}"),
            Self::Counter { got } => write!(f, "counter {got} does not exist"),
            Self::Crc { expected, got } => write!(f, "checksum {got:#x}, expected {expected:#x}"),
        }
    }
}

impl core::error::Error for E2eError {}

/// Bytes of the header of profile 4.
const P04_BYTES: usize = 12;

impl Protection {
    /// Returns how many values the counter has.
    #[must_use]
    pub const fn counter_values(&self) -> u32 {
        match self {
            Self::P01(_) => 15,
            Self::P02(_) => 16,
            Self::P04(_) => 0x1_0000,
            Self::P05(_) => 0x100,
        }
    }

    /// Checks a message and returns its counter, O(n).
    ///
    /// # Errors
    /// [`E2eError`] for the first check that fails: length, data id, counter, checksum.
    pub fn check(&self, data: &[u8]) -> Result<u16, E2eError> {
        match self {
            Self::P01(config) => config.check(data),
            Self::P02(config) => config.check(data),
            Self::P04(config) => config.check(data),
            Self::P05(config) => config.check(data),
        }
    }

    /// Writes the header of a message, O(n).
    ///
    /// # Errors
    /// [`E2eError::Truncated`] if the header does not fit, [`E2eError::Counter`] for a counter the profile does not
    /// have, [`E2eError::Length`] for a message longer than profile 4 can say.
    pub fn protect(&self, data: &mut [u8], counter: u16) -> Result<(), E2eError> {
        if u32::from(counter) >= self.counter_values() {
            return Err(E2eError::Counter { got: counter });
        }
        match self {
            Self::P01(config) => config.protect(data, counter),
            Self::P02(config) => config.protect(data, counter),
            Self::P04(config) => config.protect(data, counter),
            Self::P05(config) => config.protect(data, counter),
        }
    }
}

const fn truncated(needed: usize, data: &[u8]) -> E2eError {
    E2eError::Truncated { needed, got: data.len() }
}

fn compare(expected: u32, got: u32, counter: u16) -> Result<u16, E2eError> {
    if expected == got { Ok(counter) } else { Err(E2eError::Crc { expected, got }) }
}

/// The bytes before a field and those behind it.
fn around(data: &[u8], offset: usize, width: usize) -> (&[u8], &[u8]) {
    let before = data.get(..offset).unwrap_or(data);
    (before, data.get(offset.saturating_add(width)..).unwrap_or(&[]))
}

fn put(data: &mut [u8], offset: usize, bytes: &[u8]) {
    if let Some(slot) = data.get_mut(offset..offset.saturating_add(bytes.len())) {
        slot.copy_from_slice(bytes);
    }
}

/// Finds the checksum byte and the byte of the counter behind it.
fn nibble_header(data: &[u8], crc_byte: usize) -> Result<(u8, u8), E2eError> {
    let counter_at = crc_byte.saturating_add(1);
    let found = u8_at(data, crc_byte).zip(u8_at(data, counter_at));
    found.ok_or(truncated(counter_at.saturating_add(1), data))
}

/// Checksum of two parts with the header's checksum left out.
fn crc8_around(crc: &Crc8, register: u8, data: &[u8], crc_byte: usize) -> u8 {
    let (before, behind) = around(data, crc_byte, 1);
    crc.update(crc.update(register, before), behind)
}

impl Profile1 {
    fn crc(&self, data: &[u8], counter: u16) -> u8 {
        let [low, high] = self.data_id.to_le_bytes();
        let crc = &CRC8_J1850_ZERO;
        let register = match self.mode {
            DataIdMode::Both => crc.update(crc.begin(), &[low, high]),
            DataIdMode::Alternating if counter & 1 == 1 => crc.update(crc.begin(), &[high]),
            DataIdMode::Alternating | DataIdMode::Low => crc.update(crc.begin(), &[low]),
            DataIdMode::Nibble => crc.update(crc.begin(), &[low, 0]),
        };
        crc.finish(crc8_around(crc, register, data, self.crc_byte.into()))
    }

    /// The nibble of the identifier that the header carries.
    const fn nibble(&self) -> u8 {
        let [_, high] = self.data_id.to_le_bytes();
        high & 0x0F
    }

    fn check(&self, data: &[u8]) -> Result<u16, E2eError> {
        let (got, header) = nibble_header(data, self.crc_byte.into())?;
        let counter = u16::from(header & 0x0F);
        if self.mode == DataIdMode::Nibble && header >> 4 != self.nibble() {
            return Err(E2eError::DataId { expected: self.nibble().into(), got: (header >> 4).into() });
        }
        if counter == 15 {
            return Err(E2eError::Counter { got: counter });
        }
        compare(self.crc(data, counter).into(), got.into(), counter)
    }

    fn protect(&self, data: &mut [u8], counter: u16) -> Result<(), E2eError> {
        let crc_byte = usize::from(self.crc_byte);
        let (_, header) = nibble_header(data, crc_byte)?;
        let [low, _] = counter.to_le_bytes();
        let high = if self.mode == DataIdMode::Nibble { self.nibble() << 4 } else { header & 0xF0 };
        put(data, crc_byte.saturating_add(1), &[high | low]);
        let crc = self.crc(data, counter);
        put(data, crc_byte, &[crc]);
        Ok(())
    }
}

impl Profile2 {
    fn crc(&self, data: &[u8], counter: u16) -> u8 {
        let register = crc8_around(&CRC8_H2F, CRC8_H2F.begin(), data, self.crc_byte.into());
        let id = self.data_ids.get(usize::from(counter)).copied().unwrap_or(0);
        CRC8_H2F.finish(CRC8_H2F.update(register, &[id]))
    }

    fn check(&self, data: &[u8]) -> Result<u16, E2eError> {
        let (got, header) = nibble_header(data, self.crc_byte.into())?;
        let counter = u16::from(header & 0x0F);
        compare(self.crc(data, counter).into(), got.into(), counter)
    }

    fn protect(&self, data: &mut [u8], counter: u16) -> Result<(), E2eError> {
        let crc_byte = usize::from(self.crc_byte);
        let (_, header) = nibble_header(data, crc_byte)?;
        let [low, _] = counter.to_le_bytes();
        put(data, crc_byte.saturating_add(1), &[header & 0xF0 | low]);
        let crc = self.crc(data, counter);
        put(data, crc_byte, &[crc]);
        Ok(())
    }
}

impl Profile4 {
    fn crc(&self, data: &[u8]) -> u32 {
        let (before, behind) = around(data, usize::from(self.offset).saturating_add(8), 4);
        CRC32_P4.finish(CRC32_P4.update(CRC32_P4.update(CRC32_P4.begin(), before), behind))
    }

    fn check(&self, data: &[u8]) -> Result<u16, E2eError> {
        let offset = usize::from(self.offset);
        let needed = truncated(offset.saturating_add(P04_BYTES), data);
        let got = u32_at(data, offset.saturating_add(8), ByteOrder::Big).ok_or(needed)?;
        let length = u16_at(data, offset).ok_or(needed)?;
        let counter = u16_at(data, offset.saturating_add(2)).ok_or(needed)?;
        let data_id = u32_at(data, offset.saturating_add(4), ByteOrder::Big).ok_or(needed)?;
        if usize::from(length) != data.len() {
            return Err(E2eError::Length { expected: data.len(), got: length });
        }
        if data_id != self.data_id {
            return Err(E2eError::DataId { expected: self.data_id, got: data_id });
        }
        compare(self.crc(data), got, counter)
    }

    fn protect(&self, data: &mut [u8], counter: u16) -> Result<(), E2eError> {
        let offset = usize::from(self.offset);
        let needed = offset.saturating_add(P04_BYTES);
        if data.len() < needed {
            return Err(truncated(needed, data));
        }
        let length = u16::try_from(data.len())
            .map_err(|_| E2eError::Length { expected: data.len(), got: u16::MAX })?;
        put(data, offset, &length.to_be_bytes());
        put(data, offset.saturating_add(2), &counter.to_be_bytes());
        put(data, offset.saturating_add(4), &self.data_id.to_be_bytes());
        let crc = self.crc(data);
        put(data, offset.saturating_add(8), &crc.to_be_bytes());
        Ok(())
    }
}

impl Profile5 {
    fn crc(&self, data: &[u8]) -> u16 {
        let (before, behind) = around(data, self.offset.into(), 2);
        let register = CRC16_CCITT.update(CRC16_CCITT.update(CRC16_CCITT.begin(), before), behind);
        CRC16_CCITT.update(register, &self.data_id.to_le_bytes())
    }

    fn check(&self, data: &[u8]) -> Result<u16, E2eError> {
        let offset = usize::from(self.offset);
        let needed = truncated(offset.saturating_add(3), data);
        let counter = u8_at(data, offset.saturating_add(2)).ok_or(needed)?;
        let got = u16_at(data, offset).ok_or(needed)?.swap_bytes();
        compare(self.crc(data).into(), got.into(), counter.into())
    }

    fn protect(&self, data: &mut [u8], counter: u16) -> Result<(), E2eError> {
        let offset = usize::from(self.offset);
        let needed = offset.saturating_add(3);
        if data.len() < needed {
            return Err(truncated(needed, data));
        }
        let [low, _] = counter.to_le_bytes();
        put(data, offset.saturating_add(2), &[low]);
        let crc = self.crc(data);
        put(data, offset, &crc.to_le_bytes());
        Ok(())
    }
}
