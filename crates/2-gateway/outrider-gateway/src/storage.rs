//! What the spool needs of a medium: numbered append-only segments.

use std::fmt;

use outrider_types::Lane;

/// Name of a segment: its number, unique over all lanes and growing, and the lane it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId {
    /// Number, from 1.
    pub number: u64,
    /// Lane whose rows it holds.
    pub lane: Lane,
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.number, self.lane)
    }
}

/// Why the medium failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// No space is left.
    #[error("no space left on the device")]
    Full,
    /// The segment is not there.
    #[error("segment {0} is not there")]
    Missing(SegmentId),
    /// Another process has the spool open.
    #[error("the spool is open in another process")]
    Locked,
    /// Anything else the operating system says.
    #[error("{action}: {message}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the operating system said.
        message: String,
    },
}

impl StorageError {
    /// Returns the error's stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Full => "storage.full",
            Self::Missing(_) => "storage.missing",
            Self::Locked => "storage.locked",
            Self::Io { .. } => "storage.io",
        }
    }
}

/// Medium of the spool.
///
/// A failed [`Storage::append`] may have written any part of its bytes. Only what [`Storage::sync`] returned `Ok` for
/// survives a power cut, together with the segment's name.
pub trait Storage {
    /// Returns the names of all segments, ascending.
    ///
    /// # Errors
    /// [`StorageError`].
    fn list(&self) -> Result<Vec<SegmentId>, StorageError>;

    /// Reads at most `limit` bytes from `offset`; fewer at the end of the segment.
    ///
    /// # Errors
    /// [`StorageError`].
    fn read(&self, id: SegmentId, offset: u64, limit: usize) -> Result<Vec<u8>, StorageError>;

    /// Creates an empty segment; one of that name must not exist.
    ///
    /// # Errors
    /// [`StorageError`].
    fn create(&mut self, id: SegmentId) -> Result<(), StorageError>;

    /// Appends bytes to a segment created in this run.
    ///
    /// # Errors
    /// [`StorageError`]; part of the bytes may then be there.
    fn append(&mut self, id: SegmentId, bytes: &[u8]) -> Result<(), StorageError>;

    /// Cuts a segment created in this run down to `length` bytes.
    ///
    /// # Errors
    /// [`StorageError`].
    fn truncate(&mut self, id: SegmentId, length: u64) -> Result<(), StorageError>;

    /// Makes a segment's bytes and name durable.
    ///
    /// # Errors
    /// [`StorageError`].
    fn sync(&mut self, id: SegmentId) -> Result<(), StorageError>;

    /// Removes a segment.
    ///
    /// # Errors
    /// [`StorageError`].
    fn remove(&mut self, id: SegmentId) -> Result<(), StorageError>;
}
