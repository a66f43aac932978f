//! The ring in memory, with a record of writes and flushes and faults on demand: for tests and the simulator.

use std::collections::BTreeMap;

use crate::storage::{Storage, StorageError};

/// One act on the medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Bytes were written at an offset.
    At(u64, Vec<u8>),
    /// All before it was made durable.
    Flush,
}

/// Faults of the medium from now on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Bytes that may still be written; `None` for no limit. The write that runs over writes what fits, then fails.
    pub bytes_left: Option<usize>,
    /// Every flush fails.
    pub flush_fails: bool,
    /// Every read fails.
    pub read_fails: bool,
}

const PAGE_BYTES: u64 = 4096;
const PAGE: usize = 4096;

/// The ring in memory; only pages that were written take space. Cloning it copies the whole medium.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    pages: BTreeMap<u64, Box<[u8]>>,
    size: u64,
    writes: Option<Vec<Write>>,
    faults: Faults,
}

impl MemoryStorage {
    /// Creates an empty medium.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty medium that records each write and flush.
    #[must_use]
    pub fn recording() -> Self {
        Self { writes: Some(Vec::new()), ..Self::default() }
    }

    /// Sets the faults from now on.
    pub const fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Returns every recorded act so far, in order.
    #[must_use]
    pub fn writes(&self) -> &[Write] {
        self.writes.as_deref().unwrap_or_default()
    }

    /// Changes bytes behind the spool's back: no fault, no record.
    pub fn put(&mut self, offset: u64, bytes: &[u8]) {
        for (offset, byte) in (offset..).zip(bytes) {
            let page =
                self.pages.entry(offset / PAGE_BYTES).or_insert_with(|| vec![0; PAGE].into_boxed_slice());
            let at = usize::try_from(offset % PAGE_BYTES).unwrap_or(0);
            if let Some(slot) = page.get_mut(at) {
                *slot = *byte;
            }
        }
        self.size = self.size.max(offset.saturating_add(bytes.len() as u64));
    }

    /// Inverts one bit.
    pub fn flip(&mut self, offset: u64, bit: u8) {
        let byte = self.byte(offset) ^ (1 << (bit % 8));
        self.put(offset, &[byte]);
    }

    /// Returns one byte; zero if it was never written.
    #[must_use]
    pub fn byte(&self, offset: u64) -> u8 {
        let at = usize::try_from(offset % PAGE_BYTES).unwrap_or(0);
        self.pages.get(&(offset / PAGE_BYTES)).and_then(|page| page.get(at)).copied().unwrap_or(0)
    }
}

impl Storage for MemoryStorage {
    fn reserve(&mut self, bytes: u64) -> Result<(), StorageError> {
        self.size = self.size.max(bytes);
        Ok(())
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, StorageError> {
        if self.faults.read_fails {
            return Err(StorageError::Io { action: "read spool", message: "injected".to_owned() });
        }
        if offset.saturating_add(length as u64) > self.size {
            return Err(StorageError::Outside(offset));
        }
        let mut bytes = Vec::with_capacity(length);
        let mut at = offset;
        while bytes.len() < length {
            let begin = usize::try_from(at % PAGE_BYTES).unwrap_or(0);
            let count = (PAGE - begin).min(length - bytes.len());
            match self.pages.get(&(at / PAGE_BYTES)).and_then(|page| page.get(begin..begin + count)) {
                Some(part) => bytes.extend_from_slice(part),
                None => bytes.resize(bytes.len() + count, 0),
            }
            at += count as u64;
        }
        Ok(bytes)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        if offset.saturating_add(bytes.len() as u64) > self.size {
            return Err(StorageError::Outside(offset));
        }
        let fits = self.faults.bytes_left.unwrap_or(usize::MAX).min(bytes.len());
        let written = bytes.get(..fits).unwrap_or_default();
        self.put(offset, written);
        if let Some(left) = &mut self.faults.bytes_left {
            *left -= fits;
        }
        if let Some(writes) = &mut self.writes {
            writes.push(Write::At(offset, written.to_vec()));
        }
        if fits == bytes.len() { Ok(()) } else { Err(StorageError::Full) }
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        if self.faults.flush_fails {
            return Err(StorageError::Io { action: "flush spool", message: "injected".to_owned() });
        }
        if let Some(writes) = &mut self.writes {
            writes.push(Write::Flush);
        }
        Ok(())
    }
}
