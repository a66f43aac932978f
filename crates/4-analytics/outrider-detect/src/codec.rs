//! Reading and writing of snapshots, byte by byte.

use outrider_model::SaveError;

/// Appends numbers and byte strings.
pub(crate) struct Writer<'a>(pub(crate) &'a mut Vec<u8>);

impl Writer<'_> {
    /// Writes an unsigned number in groups of seven bits, lowest first.
    #[expect(clippy::cast_possible_truncation, reason = "seven bits are wanted")]
    pub(crate) fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Writes a signed number; small magnitudes are short.
    pub(crate) fn signed(&mut self, value: i64) {
        self.number((value << 1 ^ value >> 63).cast_unsigned());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }
}

/// Reads what [`Writer`] wrote; every read checks.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// Returns the error that names this place.
    pub(crate) const fn damaged(&self) -> SaveError {
        SaveError::Damaged { offset: self.offset }
    }

    /// Fails unless `fine`.
    pub(crate) fn require(&self, fine: bool) -> Result<(), SaveError> {
        if fine { Ok(()) } else { Err(self.damaged()) }
    }

    pub(crate) fn byte(&mut self) -> Result<u8, SaveError> {
        let byte = *self.bytes.get(self.offset).ok_or_else(|| self.damaged())?;
        self.offset += 1;
        Ok(byte)
    }

    /// Reads a number; longer spellings than the shortest are refused.
    pub(crate) fn number(&mut self) -> Result<u64, SaveError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            self.require(shift < 63 || bits <= 1)?;
            value |= bits << shift;
            if byte & 0x80 == 0 {
                self.require(bits != 0 || shift == 0)?;
                return Ok(value);
            }
        }
        Err(self.damaged())
    }

    pub(crate) fn signed(&mut self) -> Result<i64, SaveError> {
        let value = self.number()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub(crate) fn word(&mut self) -> Result<u32, SaveError> {
        let value = self.number()?;
        u32::try_from(value).map_err(|_| self.damaged())
    }

    /// Reads a number of things of which each takes at least one byte, so that it bounds an allocation.
    pub(crate) fn count(&mut self) -> Result<usize, SaveError> {
        let value = self.number()?;
        let left = self.bytes.len() - self.offset;
        usize::try_from(value).ok().filter(|count| *count <= left).ok_or_else(|| self.damaged())
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], SaveError> {
        let length = self.count()?;
        let bytes = self.bytes.get(self.offset..self.offset + length).ok_or_else(|| self.damaged())?;
        self.offset += length;
        Ok(bytes)
    }

    /// Reads a byte string of fixed length.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], SaveError> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        let array = *rest.first_chunk::<N>().ok_or_else(|| self.damaged())?;
        self.offset += N;
        Ok(array)
    }

    pub(crate) fn text(&mut self) -> Result<String, SaveError> {
        let bytes = self.bytes()?;
        core::str::from_utf8(bytes).map(str::to_owned).map_err(|_| self.damaged())
    }

    pub(crate) fn flag(&mut self) -> Result<bool, SaveError> {
        let byte = self.byte()?;
        self.require(byte < 2)?;
        Ok(byte == 1)
    }

    /// Fails if bytes are left.
    pub(crate) fn end(&self) -> Result<(), SaveError> {
        self.require(self.offset == self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip_at_their_limits() {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        for value in [0, 127, 128, u64::MAX] {
            writer.number(value);
        }
        for value in [0, -1, i64::MIN, i64::MAX] {
            writer.signed(value);
        }
        let mut reader = Reader::new(&bytes);
        for value in [0, 127, 128, u64::MAX] {
            assert_eq!(reader.number(), Ok(value));
        }
        for value in [0, -1, i64::MIN, i64::MAX] {
            assert_eq!(reader.signed(), Ok(value));
        }
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn long_spellings_and_huge_counts_are_refused() {
        assert_eq!(Reader::new(&[0x80, 0]).number(), Err(SaveError::Damaged { offset: 2 }));
        assert_eq!(Reader::new(&[0xff; 10]).number(), Err(SaveError::Damaged { offset: 10 }));
        assert_eq!(Reader::new(&[5, 1]).count(), Err(SaveError::Damaged { offset: 1 }));
    }
}
