//! Cyclic redundancy checks of vehicle protocols.
//!
//! Each is a table that the compiler makes; a byte costs one look-up. The check values in the tests are those of the
//! CRC catalogue of reveng and of the AUTOSAR CRC library specification (SWS CRC, chapter 7).

/// CRC of 8 bits, most significant bit first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crc8 {
    table: [u8; 256],
    init: u8,
    xor_out: u8,
}

/// CRC of 16 bits, most significant bit first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crc16 {
    table: [u16; 256],
    init: u16,
}

/// CRC of 32 bits, least significant bit first, that begins with all ones and ends inverted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crc32 {
    table: [u32; 256],
}

/// SAE J1850, as AUTOSAR's `Crc_CalculateCRC8` (polynomial 0x1D).
pub static CRC8_J1850: Crc8 = Crc8::new(0x1D, 0xFF, 0xFF);
/// SAE J1850 without start value and inversion, as E2E profiles 1 and 11 have it.
pub static CRC8_J1850_ZERO: Crc8 = Crc8::new(0x1D, 0x00, 0x00);
/// AUTOSAR's CRC8H2F (polynomial 0x2F), as E2E profiles 2 and 22 have it.
pub static CRC8_H2F: Crc8 = Crc8::new(0x2F, 0xFF, 0xFF);
/// Polynomial 0x07 without start value and inversion (SMBus).
pub static CRC8_SMBUS: Crc8 = Crc8::new(0x07, 0x00, 0x00);
/// Polynomial 0x07 that begins with all ones.
pub static CRC8_ROHC_MSB: Crc8 = Crc8::new(0x07, 0xFF, 0x00);
/// Polynomial 0xD5 without start value and inversion (DVB-S2).
pub static CRC8_DVB_S2: Crc8 = Crc8::new(0xD5, 0x00, 0x00);
/// CRC-16/CCITT-FALSE (polynomial 0x1021, begins with all ones), as E2E profile 5 has it.
pub static CRC16_CCITT: Crc16 = Crc16::new(0x1021, 0xFFFF);
/// AUTOSAR's CRC32P4 (polynomial 0xF4ACFB13), as E2E profile 4 has it.
pub static CRC32_P4: Crc32 = Crc32::new(0xF4AC_FB13);
/// Castagnoli's CRC-32C (RFC 3720, appendix B.4).
pub static CRC32_C: Crc32 = Crc32::new(0x1EDC_6F41);

impl Crc8 {
    /// Creates the check of a polynomial without its highest bit, a start value and a final inversion mask.
    #[must_use]
    pub const fn new(polynomial: u8, init: u8, xor_out: u8) -> Self {
        Self { table: table8(polynomial), init, xor_out }
    }

    /// Returns the register before the first byte.
    #[must_use]
    pub const fn begin(&self) -> u8 {
        self.init
    }

    /// Returns the register after more bytes, O(n).
    #[must_use]
    pub fn update(&self, register: u8, bytes: &[u8]) -> u8 {
        bytes.iter().fold(register, |register, byte| {
            self.table.get(usize::from(register ^ byte)).copied().unwrap_or(0)
        })
    }

    /// Returns the check value of a register.
    #[must_use]
    pub const fn finish(&self, register: u8) -> u8 {
        register ^ self.xor_out
    }

    /// Returns the check value of bytes, O(n).
    #[must_use]
    pub fn compute(&self, bytes: &[u8]) -> u8 {
        self.finish(self.update(self.begin(), bytes))
    }
}

impl Crc16 {
    /// Creates the check of a polynomial without its highest bit and a start value.
    #[must_use]
    pub const fn new(polynomial: u16, init: u16) -> Self {
        Self { table: table16(polynomial), init }
    }

    /// Returns the register before the first byte.
    #[must_use]
    pub const fn begin(&self) -> u16 {
        self.init
    }

    /// Returns the register after more bytes, O(n); it is the check value, too.
    #[must_use]
    pub fn update(&self, register: u16, bytes: &[u8]) -> u16 {
        bytes.iter().fold(register, |register, byte| {
            let [high, low] = register.to_be_bytes();
            let remainder = self.table.get(usize::from(high ^ byte)).copied().unwrap_or(0);
            u16::from_be_bytes([low, 0]) ^ remainder
        })
    }

    /// Returns the check value of bytes, O(n).
    #[must_use]
    pub fn compute(&self, bytes: &[u8]) -> u16 {
        self.update(self.begin(), bytes)
    }
}

impl Crc32 {
    /// Creates the check of a polynomial without its highest bit, written most significant bit first.
    #[must_use]
    pub const fn new(polynomial: u32) -> Self {
        Self { table: table32(polynomial.reverse_bits()) }
    }

    /// Returns the register before the first byte.
    #[must_use]
    pub const fn begin(&self) -> u32 {
        u32::MAX
    }

    /// Returns the register after more bytes, O(n).
    #[must_use]
    pub fn update(&self, register: u32, bytes: &[u8]) -> u32 {
        bytes.iter().fold(register, |register, byte| {
            let [low, ..] = register.to_le_bytes();
            let remainder = self.table.get(usize::from(low ^ byte)).copied().unwrap_or(0);
            (register >> 8) ^ remainder
        })
    }

    /// Returns the check value of a register.
    #[must_use]
    pub const fn finish(&self, register: u32) -> u32 {
        !register
    }

    /// Returns the check value of bytes, O(n).
    #[must_use]
    pub fn compute(&self, bytes: &[u8]) -> u32 {
        self.finish(self.update(self.begin(), bytes))
    }
}

/// Returns the register of a check of `width` (1 to 31) bits after the `count` lowest bits of `value`, most
/// significant first, for the odd widths of FlexRay; O(count).
#[must_use]
pub fn update_bits(register: u32, width: u32, polynomial: u32, value: u32, count: u32) -> u32 {
    let width = width.clamp(1, 31);
    let mask = (1u32 << width).wrapping_sub(1);
    let mut register = register & mask;
    for bit in (0..count.min(32)).rev() {
        let top = register >> width.saturating_sub(1) & 1;
        let next = value >> bit & 1;
        register = register << 1 & mask;
        if top ^ next == 1 {
            register ^= polynomial & mask;
        }
    }
    register
}

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "evaluated by the compiler, with indexes below 256"
)]
const fn table8(polynomial: u8) -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut byte = 0u8;
    loop {
        let mut value = byte;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 0x80 != 0 { (value << 1) ^ polynomial } else { value << 1 };
            bit += 1;
        }
        table[byte as usize] = value;
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "evaluated by the compiler, with indexes below 256"
)]
const fn table16(polynomial: u16) -> [u16; 256] {
    let mut table = [0u16; 256];
    let mut byte = 0u16;
    while byte < 256 {
        let mut value = byte << 8;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 0x8000 != 0 { (value << 1) ^ polynomial } else { value << 1 };
            bit += 1;
        }
        table[byte as usize] = value;
        byte += 1;
    }
    table
}

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "evaluated by the compiler, with indexes below 256"
)]
const fn table32(reflected: u32) -> [u32; 256] {
    let mut table = [0u32; 256];
    let mut byte = 0u32;
    while byte < 256 {
        let mut value = byte;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ reflected } else { value >> 1 };
            bit += 1;
        }
        table[byte as usize] = value;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    const NINE: &[u8] = b"123456789";

    #[test]
    fn the_check_values_of_the_polynomials_come_out() {
        assert_eq!(CRC8_J1850.compute(NINE), 0x4B);
        assert_eq!(CRC8_J1850_ZERO.compute(NINE), 0x37);
        assert_eq!(CRC8_H2F.compute(NINE), 0xDF);
        assert_eq!(CRC8_SMBUS.compute(NINE), 0xF4);
        assert_eq!(CRC8_DVB_S2.compute(NINE), 0xBC);
        assert_eq!(CRC16_CCITT.compute(NINE), 0x29B1);
        assert_eq!(CRC32_P4.compute(NINE), 0x1697_D06A);
        assert_eq!(CRC32_C.compute(NINE), 0xE306_9283);
        assert_eq!(CRC32_C.compute(&[]), 0);
    }

    #[test]
    fn bits_and_bytes_come_to_the_same() {
        let bitwise =
            NINE.iter().fold(0xFF, |register, byte| update_bits(register, 8, 0x2F, (*byte).into(), 8));
        assert_eq!(bitwise ^ 0xFF, 0xDF);
        let split = CRC16_CCITT.update(CRC16_CCITT.update(CRC16_CCITT.begin(), &NINE[..4]), &NINE[4..]);
        assert_eq!(split, 0x29B1);
    }
}
