//! Segments as files in one folder.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use outrider_types::Lane;

use crate::storage::{SegmentId, Storage, StorageError};

/// Segments as files `<number>-<lane>.seg` in a folder that one process has open at a time.
#[derive(Debug)]
pub struct FileStorage {
    folder: PathBuf,
    open: BTreeMap<SegmentId, OpenSegment>,
    // Held for its lock.
    _lock: File,
}

#[derive(Debug)]
struct OpenSegment {
    file: File,
    named: bool,
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
    /// Opens a folder, creating it if need be, and locks it.
    ///
    /// # Errors
    /// [`StorageError::Locked`] if another process has it open, else what the operating system says.
    pub fn open(folder: &Path) -> Result<Self, StorageError> {
        fs::create_dir_all(folder).map_err(failed("create spool folder"))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(folder.join("lock"))
            .map_err(failed("open lock file"))?;
        lock.try_lock().map_err(|_| StorageError::Locked)?;
        Ok(Self { folder: folder.to_owned(), open: BTreeMap::new(), _lock: lock })
    }

    fn path(&self, id: SegmentId) -> PathBuf {
        self.folder.join(format!("{id}.seg"))
    }

    fn sync_folder(&self) -> Result<(), StorageError> {
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed("sync spool folder"))
    }
}

fn parse_name(name: &str) -> Option<SegmentId> {
    let (number, lane) = name.strip_suffix(".seg")?.split_once('-')?;
    Some(SegmentId { number: u64::from_str_radix(number, 16).ok()?, lane: Lane::from_word(lane)? })
}

impl Storage for FileStorage {
    fn list(&self) -> Result<Vec<SegmentId>, StorageError> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed("list spool folder"))? {
            let entry = entry.map_err(failed("list spool folder"))?;
            segments.extend(entry.file_name().to_str().and_then(parse_name));
        }
        segments.sort_unstable();
        Ok(segments)
    }

    fn read(&self, id: SegmentId, offset: u64, limit: usize) -> Result<Vec<u8>, StorageError> {
        let opened;
        let file = if let Some(segment) = self.open.get(&id) {
            &segment.file
        } else {
            opened = File::open(self.path(id)).map_err(|error| {
                if error.kind() == io::ErrorKind::NotFound {
                    StorageError::Missing(id)
                } else {
                    failed("open segment")(error)
                }
            })?;
            &opened
        };
        let mut bytes = vec![0; limit];
        let mut used = 0;
        while used < limit {
            let rest = bytes.get_mut(used..).unwrap_or_default();
            match file.read_at(rest, offset.saturating_add(used as u64)) {
                Ok(0) => break,
                Ok(count) => used += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("read segment")(error)),
            }
        }
        bytes.truncate(used);
        Ok(bytes)
    }

    fn create(&mut self, id: SegmentId) -> Result<(), StorageError> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create_new(true)
            .open(self.path(id))
            .map_err(failed("create segment"))?;
        self.open.insert(id, OpenSegment { file, named: false });
        Ok(())
    }

    fn append(&mut self, id: SegmentId, bytes: &[u8]) -> Result<(), StorageError> {
        let segment = self.open.get_mut(&id).ok_or(StorageError::Missing(id))?;
        segment.file.write_all(bytes).map_err(failed("append to segment"))
    }

    fn truncate(&mut self, id: SegmentId, length: u64) -> Result<(), StorageError> {
        let segment = self.open.get_mut(&id).ok_or(StorageError::Missing(id))?;
        segment.file.set_len(length).map_err(failed("truncate segment"))
    }

    fn sync(&mut self, id: SegmentId) -> Result<(), StorageError> {
        let segment = self.open.get_mut(&id).ok_or(StorageError::Missing(id))?;
        segment.file.sync_data().map_err(failed("sync segment"))?;
        if !segment.named {
            segment.named = true;
            if let Err(error) = self.sync_folder() {
                if let Some(segment) = self.open.get_mut(&id) {
                    segment.named = false;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn remove(&mut self, id: SegmentId) -> Result<(), StorageError> {
        self.open.remove(&id);
        fs::remove_file(self.path(id)).map_err(failed("remove segment"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64, lane: Lane) -> SegmentId {
        SegmentId { number, lane }
    }

    #[test]
    fn segments_are_listed_in_order_of_number_and_foreign_files_are_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("notes.txt"), "x").expect("writable");
        let mut storage = FileStorage::open(folder.path()).expect("fresh folder");
        storage.create(id(0x10, Lane::Deferred)).expect("fresh name");
        storage.create(id(9, Lane::Critical)).expect("fresh name");
        assert!(storage.create(id(9, Lane::Critical)).is_err());
        assert_eq!(storage.list(), Ok(vec![id(9, Lane::Critical), id(0x10, Lane::Deferred)]));
        storage.append(id(9, Lane::Critical), b"abcdef").expect("space left");
        storage.truncate(id(9, Lane::Critical), 4).expect("own segment");
        storage.append(id(9, Lane::Critical), b"!").expect("space left");
        storage.sync(id(9, Lane::Critical)).expect("a real disk");
        assert_eq!(storage.read(id(9, Lane::Critical), 2, 100), Ok(b"cd!".to_vec()));
        assert_eq!(
            storage.read(id(8, Lane::Critical), 0, 1),
            Err(StorageError::Missing(id(8, Lane::Critical)))
        );
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
