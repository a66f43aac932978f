//! What the spool needs of a medium: a stretch of bytes of fixed size that can be written anywhere.

/// Why the medium failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// No space is left, or the medium is smaller than the spool.
    #[error("no space left on the device")]
    Full,
    /// The offset lies outside of what was reserved.
    #[error("offset {0} is outside of the medium")]
    Outside(u64),
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
            Self::Outside(_) => "storage.outside",
            Self::Locked => "storage.locked",
            Self::Io { .. } => "storage.io",
        }
    }
}

/// Medium of the spool: a file or a raw partition.
///
/// A failed [`Storage::write`] may have written any part of its bytes, and nothing else. Writes between two flushes
/// reach the medium in any order or not at all; only what [`Storage::flush`] returned `Ok` for survives a power cut.
pub trait Storage {
    /// Makes sure that offsets from 0 up to `bytes` can be read and written; fresh bytes read as zeros.
    ///
    /// # Errors
    /// [`StorageError::Full`] if the medium is too small, else what it says.
    fn reserve(&mut self, bytes: u64) -> Result<(), StorageError>;

    /// Reads exactly `length` bytes from `offset`.
    ///
    /// # Errors
    /// [`StorageError`].
    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, StorageError>;

    /// Writes bytes at `offset`.
    ///
    /// # Errors
    /// [`StorageError`]; part of the bytes may then be there.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError>;

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// [`StorageError`].
    fn flush(&mut self) -> Result<(), StorageError>;
}
