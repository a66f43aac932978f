//! A reader of bits that cannot read past its end.

use super::spec::Endian;

/// Position in a byte string, in bits, most significant bit of a byte first.
#[derive(Debug, Clone)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn left(&self) -> usize {
        (self.bytes.len() * 8).saturating_sub(self.at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left() == 0
    }

    pub(super) const fn position(&self) -> usize {
        self.at
    }

    /// Bytes read, the last one perhaps in part.
    pub(super) const fn used_bytes(&self) -> usize {
        self.at.div_ceil(8)
    }

    pub(super) fn seek(&mut self, bit: usize) {
        self.at = bit.min(self.bytes.len() * 8);
    }

    /// Goes to a byte; false if it is behind the end.
    pub(super) fn seek_byte(&mut self, byte: usize) -> bool {
        let is_inside = byte <= self.bytes.len();
        if is_inside {
            self.at = byte * 8;
        }
        is_inside
    }

    pub(super) fn skip(&mut self, bits: usize) -> Option<()> {
        (bits <= self.left()).then(|| self.at += bits)
    }

    /// Reads a number of 1 to 64 bits. Little endian is for whole bytes; for others the order of bits is that of big endian.
    pub(super) fn uint(&mut self, width: u32, endian: Endian) -> Option<u64> {
        if width as usize > self.left() {
            return None;
        }
        let (mut value, mut left) = (0_u64, width);
        while left > 0 {
            let byte = u64::from(*self.bytes.get(self.at / 8)?);
            let offset = u32::try_from(self.at % 8).ok()?;
            let take = (8 - offset).min(left);
            let piece = (byte >> (8 - offset - take)) & ((1 << take) - 1);
            value = if take == 64 { piece } else { (value << take) | piece };
            self.at += take as usize;
            left -= take;
        }
        if endian == Endian::Little && width.is_multiple_of(8) {
            value = value.swap_bytes() >> (64 - width);
        }
        Some(value)
    }

    /// Reads a number in two's complement.
    pub(super) fn int(&mut self, width: u32, endian: Endian) -> Option<i64> {
        let raw = self.uint(width, endian)?;
        let shift = 64 - width;
        Some((raw << shift).cast_signed() >> shift)
    }

    /// Reads bytes; they need not begin at a byte.
    pub(super) fn bytes(&mut self, count: usize) -> Option<Vec<u8>> {
        let bits = count.checked_mul(8).filter(|bits| *bits <= self.left())?;
        if self.at.is_multiple_of(8) {
            let from = self.at / 8;
            let bytes = self.bytes.get(from..from + count)?.to_vec();
            self.at += bits;
            return Some(bytes);
        }
        (0..count).map(|_| self.uint(8, Endian::Big).and_then(|byte| u8::try_from(byte).ok())).collect()
    }

    /// Reads all whole bytes that are left, and skips the bits behind them.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let bytes = self.bytes(self.left() / 8).unwrap_or_default();
        self.at = self.bytes.len() * 8;
        bytes
    }

    /// Reads up to a zero byte, and that byte.
    pub(super) fn until_zero(&mut self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        loop {
            match u8::try_from(self.uint(8, Endian::Big)?).ok()? {
                0 => return Some(bytes),
                byte => bytes.push(byte),
            }
        }
    }

    /// Takes the next bytes as an input of their own; they must begin at a byte.
    pub(super) fn take(&mut self, count: usize) -> Option<Bits<'a>> {
        if !self.at.is_multiple_of(8) {
            return None;
        }
        let from = self.at / 8;
        let bytes = self.bytes.get(from..from.checked_add(count)?)?;
        self.at += count * 8;
        Some(Self::new(bytes))
    }
}
