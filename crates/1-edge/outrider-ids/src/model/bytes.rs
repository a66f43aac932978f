//! Little-endian numbers read from and written into bytes.

/// Returns `N` bytes at an offset, or `None` if there are fewer.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Returns the byte at an offset; 0 where there is none, as do the others.
pub(crate) fn u8_at(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    array(bytes, at).map_or(0, u16::from_le_bytes)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    array(bytes, at).map_or(0, u32::from_le_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    array(bytes, at).map_or(0, u64::from_le_bytes)
}

pub(crate) fn size_at(bytes: &[u8], at: usize) -> usize {
    usize::try_from(u32_at(bytes, at)).unwrap_or(usize::MAX)
}

/// Place in a buffer that is written from front to back; what does not fit is dropped and shows as a place behind the
/// end.
pub(crate) struct Cursor<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(out: &'a mut [u8]) -> Self {
        Self { out, at: 0 }
    }

    /// Returns the place in bytes from the beginning.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// Returns what has been written.
    pub(crate) fn written(&self) -> &[u8] {
        self.out.get(..self.at).unwrap_or(self.out)
    }

    /// Lets the next `len` bytes be written in place; empty if they do not fit.
    pub(crate) fn slot(&mut self, len: usize) -> &mut [u8] {
        let begin = self.at;
        self.at = begin.saturating_add(len);
        self.out.get_mut(begin..self.at).unwrap_or_default()
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let slot = self.slot(bytes.len());
        if slot.len() == bytes.len() {
            slot.copy_from_slice(bytes);
        }
    }

    pub(crate) fn size(&mut self, size: usize) {
        self.put(&u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.put(&u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
    }
}
