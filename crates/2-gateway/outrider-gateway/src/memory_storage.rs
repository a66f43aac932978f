//! Segments in memory, with a log of every write and faults on demand: for tests and the simulator.

use std::collections::BTreeMap;

use crate::storage::{SegmentId, Storage, StorageError};

/// One write to the medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// A segment was created.
    Create(SegmentId),
    /// Bytes were appended.
    Append(SegmentId, Vec<u8>),
    /// A segment was cut.
    Truncate(SegmentId, u64),
    /// A segment was made durable.
    Sync(SegmentId),
    /// A segment was removed.
    Remove(SegmentId),
}

/// Faults of the medium from now on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Bytes that still fit; `None` for no limit. The append that runs over writes what fits, then fails.
    pub bytes_left: Option<usize>,
    /// Every truncation fails.
    pub truncate_fails: bool,
    /// Every sync fails.
    pub sync_fails: bool,
    /// Every read fails.
    pub read_fails: bool,
}

/// Segments in memory. Cloning it copies the whole medium.
#[derive(Debug, Clone, Default)]
pub struct MemoryStorage {
    segments: BTreeMap<SegmentId, Segment>,
    writes: Vec<Write>,
    faults: Faults,
}

#[derive(Debug, Clone, Default)]
struct Segment {
    bytes: Vec<u8>,
    durable: usize,
    named: bool,
}

impl MemoryStorage {
    /// Creates an empty medium.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the faults from now on.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Returns every write so far, in order.
    #[must_use]
    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    /// Returns the bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.segments.values().map(|segment| segment.bytes.len()).sum()
    }

    /// Returns the medium as a power cut leaves it that keeps the first `count` writes and, of the one after them,
    /// the first `cut` bytes if it is an append.
    #[must_use]
    pub fn image(writes: &[Write], count: usize, cut: usize) -> Self {
        let mut medium = Self::new();
        for write in writes.iter().take(count) {
            medium.replay(write, usize::MAX);
        }
        if let Some(write @ Write::Append(..)) = writes.get(count) {
            medium.replay(write, cut);
        }
        medium.writes.clear();
        medium
    }

    /// Returns the medium as a power cut leaves it that keeps of the first `count` writes only what was synced.
    #[must_use]
    pub fn durable_image(writes: &[Write], count: usize) -> Self {
        let mut medium = Self::image(writes, count, 0);
        medium.segments.retain(|_, segment| segment.named);
        for segment in medium.segments.values_mut() {
            segment.bytes.truncate(segment.durable);
        }
        medium
    }

    /// Inverts one bit; returns false if the segment is shorter.
    pub fn flip(&mut self, id: SegmentId, offset: usize, bit: u8) -> bool {
        match self.segments.get_mut(&id).and_then(|segment| segment.bytes.get_mut(offset)) {
            Some(byte) => {
                *byte ^= 1 << (bit % 8);
                true
            }
            None => false,
        }
    }

    fn replay(&mut self, write: &Write, cut: usize) {
        let done = match write {
            Write::Create(id) => self.create(*id),
            Write::Append(id, bytes) => self.append(*id, bytes.get(..cut).unwrap_or(bytes)),
            Write::Truncate(id, length) => self.truncate(*id, *length),
            Write::Sync(id) => self.sync(*id),
            Write::Remove(id) => self.remove(*id),
        };
        assert_eq!(done, Ok(()), "a recorded write succeeded once and a fresh medium has no faults");
    }

    fn segment(&mut self, id: SegmentId) -> Result<&mut Segment, StorageError> {
        self.segments.get_mut(&id).ok_or(StorageError::Missing(id))
    }
}

impl Storage for MemoryStorage {
    fn list(&self) -> Result<Vec<SegmentId>, StorageError> {
        Ok(self.segments.keys().copied().collect())
    }

    fn read(&self, id: SegmentId, offset: u64, limit: usize) -> Result<Vec<u8>, StorageError> {
        if self.faults.read_fails {
            return Err(StorageError::Io { action: "read segment", message: "injected".to_owned() });
        }
        let segment = self.segments.get(&id).ok_or(StorageError::Missing(id))?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = segment.bytes.get(offset..).unwrap_or_default();
        Ok(rest.get(..limit).unwrap_or(rest).to_vec())
    }

    fn create(&mut self, id: SegmentId) -> Result<(), StorageError> {
        if self.segments.contains_key(&id) {
            return Err(StorageError::Io { action: "create segment", message: "exists".to_owned() });
        }
        if self.faults.bytes_left == Some(0) {
            return Err(StorageError::Full);
        }
        self.segments.insert(id, Segment::default());
        self.writes.push(Write::Create(id));
        Ok(())
    }

    fn append(&mut self, id: SegmentId, bytes: &[u8]) -> Result<(), StorageError> {
        let fits = self.faults.bytes_left.unwrap_or(usize::MAX).min(bytes.len());
        let written = bytes.get(..fits).unwrap_or_default();
        self.segment(id)?.bytes.extend_from_slice(written);
        if let Some(left) = &mut self.faults.bytes_left {
            *left -= fits;
        }
        self.writes.push(Write::Append(id, written.to_vec()));
        if fits == bytes.len() { Ok(()) } else { Err(StorageError::Full) }
    }

    fn truncate(&mut self, id: SegmentId, length: u64) -> Result<(), StorageError> {
        if self.faults.truncate_fails {
            return Err(StorageError::Io { action: "truncate segment", message: "injected".to_owned() });
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let segment = self.segment(id)?;
        segment.bytes.truncate(length);
        segment.durable = segment.durable.min(length);
        self.writes.push(Write::Truncate(id, length as u64));
        Ok(())
    }

    fn sync(&mut self, id: SegmentId) -> Result<(), StorageError> {
        if self.faults.sync_fails {
            return Err(StorageError::Io { action: "sync segment", message: "injected".to_owned() });
        }
        let segment = self.segment(id)?;
        segment.durable = segment.bytes.len();
        segment.named = true;
        self.writes.push(Write::Sync(id));
        Ok(())
    }

    fn remove(&mut self, id: SegmentId) -> Result<(), StorageError> {
        let segment = self.segments.remove(&id).ok_or(StorageError::Missing(id))?;
        if let Some(left) = &mut self.faults.bytes_left {
            *left += segment.bytes.len();
        }
        self.writes.push(Write::Remove(id));
        Ok(())
    }
}
