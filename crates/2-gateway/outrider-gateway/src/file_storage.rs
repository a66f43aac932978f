//! The spool's ring as one file, or on a raw partition.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

use crate::storage::{Storage, StorageError};

/// Name of the file in the spool's folder.
const FILE: &str = "ring";

/// Bytes written at once when a file is laid out.
const LAY_OUT_BYTES: usize = 1 << 20;

/// A file `ring` in a folder, or a block device; one process has it open at a time.
#[derive(Debug)]
pub struct FileStorage {
    file: File,
    bytes: u64,
    is_device: bool,
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> StorageError {
    move |error| {
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            StorageError::Full
        } else {
            StorageError::Io { action, message: error.to_string() }
        }
    }
}

impl FileStorage {
    /// Opens a folder, creating it if need be, or a block device, and locks it.
    ///
    /// # Errors
    /// [`StorageError::Locked`] if another process has it open, else what the operating system says.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let is_device = fs::metadata(path).is_ok_and(|meta| meta.file_type().is_block_device());
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = if is_device {
            options.open(path).map_err(failed("open spool device"))?
        } else {
            fs::create_dir_all(path).map_err(failed("create spool folder"))?;
            let file = options.create(true).truncate(false).open(path.join(FILE));
            File::open(path).and_then(|folder| folder.sync_all()).map_err(failed("sync spool folder"))?;
            file.map_err(failed("open spool"))?
        };
        file.try_lock().map_err(|_| StorageError::Locked)?;
        let bytes = if is_device {
            io::Seek::seek(&mut &file, io::SeekFrom::End(0)).map_err(failed("measure spool device"))?
        } else {
            file.metadata().map_err(failed("measure spool"))?.len()
        };
        Ok(Self { file, bytes, is_device })
    }
}

impl Storage for FileStorage {
    /// Lays a file out with zeros, so that later writes find their space; a device must be large enough.
    fn reserve(&mut self, bytes: u64) -> Result<(), StorageError> {
        if bytes > self.bytes && self.is_device {
            return Err(StorageError::Full);
        }
        let zeros = vec![0; LAY_OUT_BYTES];
        while self.bytes < bytes {
            let rest = usize::try_from(bytes - self.bytes).unwrap_or(LAY_OUT_BYTES).min(LAY_OUT_BYTES);
            let part = zeros.get(..rest).unwrap_or(&zeros);
            self.file.write_all_at(part, self.bytes).map_err(failed("lay out spool"))?;
            self.bytes += part.len() as u64;
        }
        Ok(())
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, StorageError> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset).map_err(failed("read spool"))?;
        Ok(bytes)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        if offset.saturating_add(bytes.len() as u64) > self.bytes {
            return Err(StorageError::Outside(offset));
        }
        self.file.write_all_at(bytes, offset).map_err(failed("write spool"))
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.file.sync_data().map_err(failed("flush spool"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_where_they_were_written_and_nothing_is_written_outside() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut storage = FileStorage::open(folder.path()).expect("fresh folder");
        storage.reserve(3_000_000).expect("space left");
        storage.write(2_999_990, b"abcdef").expect("inside");
        assert_eq!(storage.read(2_999_989, 8), Ok(b"\0abcdef\0".to_vec()));
        assert_eq!(storage.write(2_999_999, b"ab"), Err(StorageError::Outside(2_999_999)));
        storage.flush().expect("a real disk");
        drop(storage);
        let mut storage = FileStorage::open(folder.path()).expect("unlocked");
        storage.reserve(1000).expect("a longer file stays as it is");
        assert_eq!(storage.read(2_999_990, 6), Ok(b"abcdef".to_vec()));
    }

    #[test]
    fn a_second_opening_is_refused_while_the_first_lives() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = FileStorage::open(folder.path()).expect("fresh folder");
        assert_eq!(FileStorage::open(folder.path()).err(), Some(StorageError::Locked));
        drop(first);
        assert!(FileStorage::open(folder.path()).is_ok());
    }
}
