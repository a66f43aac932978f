//! Bits of an EXI stream and the productions that every element is made of.

/// Bytes of an unsigned number at most: more than any value of the schemas has.
const NUMBER_BYTES_MAX: u32 = 4;

/// Bits, most significant first.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Takes up to 32 bits.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count {
            let byte = self.bytes.get(self.at >> 3)?;
            let bit = byte >> (7 ^ (self.at & 7)) & 1;
            value = value << 1 | u32::from(bit);
            self.at = self.at.checked_add(1)?;
        }
        Some(value)
    }

    /// Takes the one event that may come here: no deviation from the schema.
    pub(super) fn only(&mut self) -> Option<()> {
        (self.take(1)? == 0).then_some(())
    }

    /// Takes the beginning of an element that holds a value, up to the value.
    pub(super) fn begin(&mut self) -> Option<()> {
        self.only()?;
        self.only()
    }

    /// Takes the end of an element.
    pub(super) fn end(&mut self) -> Option<()> {
        self.only()
    }

    /// Takes an element with a value of so many bits.
    pub(super) fn element(&mut self, count: u32) -> Option<u32> {
        self.begin()?;
        self.inside(count)
    }

    /// Takes the rest of an element whose beginning was an event of its own.
    pub(super) fn inside(&mut self, count: u32) -> Option<u32> {
        let value = self.take(count)?;
        self.end()?;
        Some(value)
    }

    /// Takes an unsigned number: seven bits a byte, the lowest first.
    pub(super) fn unsigned(&mut self) -> Option<u32> {
        let mut value = 0;
        for place in 0..NUMBER_BYTES_MAX {
            let byte = self.take(8)?;
            value |= (byte & 0x7F) << place.saturating_mul(7);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// Takes a number with a sign; below zero it counts from minus one.
    pub(super) fn signed(&mut self) -> Option<i64> {
        let is_negative = self.take(1)? == 1;
        let value = i64::from(self.unsigned()?);
        Some(if is_negative { value.saturating_neg().saturating_sub(1) } else { value })
    }
}
