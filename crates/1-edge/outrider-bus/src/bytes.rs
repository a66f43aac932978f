//! Bounds-checked reads of fixed-width integers.

/// Order of the bytes of an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ByteOrder {
    /// Most significant byte first, as networks have it.
    Big,
    /// Least significant byte first.
    Little,
}

/// Reads `N` bytes at `offset`, or `None` if they are not all there.
pub(crate) fn array<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk::<N>().copied()
}

/// Reads one byte.
pub(crate) fn u8_at(bytes: &[u8], offset: usize) -> Option<u8> {
    bytes.get(offset).copied()
}

/// Reads a 16-bit integer in network order.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    array(bytes, offset).map(u16::from_be_bytes)
}

/// Reads a 32-bit integer in the given order.
pub(crate) fn u32_at(bytes: &[u8], offset: usize, order: ByteOrder) -> Option<u32> {
    let raw = array(bytes, offset)?;
    Some(match order {
        ByteOrder::Big => u32::from_be_bytes(raw),
        ByteOrder::Little => u32::from_le_bytes(raw),
    })
}

/// Reads an unsigned integer of `width` bytes in network order, or `None` if they are not all there or are no number
/// of at most eight bytes.
pub(crate) fn uint_be(bytes: &[u8], offset: usize, width: usize) -> Option<u64> {
    if width == 0 || width > 8 {
        return None;
    }
    let slice = bytes.get(offset..offset.checked_add(width)?)?;
    Some(slice.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
}

/// A buffer too small for what is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NoSpace {
    /// Bytes needed.
    pub needed: usize,
    /// Bytes there.
    pub got: usize,
}

impl core::fmt::Display for NoSpace {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "needs {} bytes, buffer has {}", self.needed, self.got)
    }
}

impl core::error::Error for NoSpace {}

/// Cursor over a caller's buffer; what does not fit is left out and shows at the end.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let end = self.at.saturating_add(bytes.len());
        if let Some(slot) = self.out.get_mut(self.at..end) {
            slot.copy_from_slice(bytes);
        }
        self.at = end;
    }

    pub(crate) fn finish(self) -> Result<usize, NoSpace> {
        if self.at <= self.out.len() {
            Ok(self.at)
        } else {
            Err(NoSpace { needed: self.at, got: self.out.len() })
        }
    }
}
