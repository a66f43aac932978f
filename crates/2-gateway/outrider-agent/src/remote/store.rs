//! Slots of configuration: `config/a`, `config/b`, and the file `config/active` that says which one holds.
//!
//! The slot that is not in use is filled, synced, and then the pointer is replaced by a rename: before it the old
//! configuration holds, after it the new one, and nothing in between can be seen. What was good stays in the other slot.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use outrider_types::UnixMicros;
use outrider_wire::ArtifactKind;

use super::place;
use super::pointer::{Ended, Pointer, Return, ReturnReason, TrialOf};

/// Starts of the program without health after which a configuration is taken back: one may be the driver's key.
pub(super) const STARTS_MAX: u8 = 3;
/// Longest file that is read from a slot: an artifact with its head.
const FILE_BYTES_MAX: u64 = (8 << 20) + 4096;

/// What the store asks of a disk; a test cuts the power at each call.
pub trait Disk: Send {
    /// Reads a file, or `None` if it is not there.
    ///
    /// # Errors
    /// The system's.
    fn read(&mut self, path: &Path) -> io::Result<Option<Vec<u8>>>;
    /// Writes a file and waits until its bytes are durable.
    ///
    /// # Errors
    /// The system's; the file may hold anything then.
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Removes a file if it is there.
    ///
    /// # Errors
    /// The system's.
    fn remove(&mut self, path: &Path) -> io::Result<()>;
    /// Replaces a file by another, at once.
    ///
    /// # Errors
    /// The system's.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Waits until names in a folder are durable; creates it if it is not there.
    ///
    /// # Errors
    /// The system's.
    fn sync_folder(&mut self, folder: &Path) -> io::Result<()>;
}

/// The disk of this machine.
#[derive(Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    #[expect(clippy::disallowed_methods, reason = "take() bounds the length")]
    fn read(&mut self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn remove(&mut self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        File::open(folder)?.sync_all()
    }
}

/// Why a configuration cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk failed; the configuration in use is as it was.
    #[error("configuration: {0}")]
    Io(#[from] io::Error),
    /// Another configuration is on trial.
    #[error("another configuration is on trial")]
    Busy,
    /// Nothing is on trial.
    #[error("no configuration is on trial")]
    NoTrial,
}

/// Slots and pointer.
pub struct ConfigStore {
    folder: PathBuf,
    disk: Box<dyn Disk>,
    pointer: Pointer,
    is_damaged: bool,
}

impl std::fmt::Debug for ConfigStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigStore").field("pointer", &self.pointer).finish_non_exhaustive()
    }
}

impl ConfigStore {
    /// Opens the folder, `config` of the vehicle's state; creates it if it is not there. A damaged pointer is no error:
    /// the vehicle then uses what it was provisioned with, and says so.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn open(folder: &Path, mut disk: Box<dyn Disk>) -> Result<Self, StoreError> {
        for slot in ["", "a", "b"] {
            disk.sync_folder(&folder.join(slot))?;
        }
        let found = disk.read(&folder.join("active"))?;
        let pointer = found.as_ref().and_then(|bytes| Pointer::parse(bytes));
        let is_damaged = found.is_some() && pointer.is_none();
        Ok(Self { folder: folder.to_path_buf(), disk, pointer: pointer.unwrap_or_default(), is_damaged })
    }

    /// Returns what the pointer says.
    #[must_use]
    pub const fn pointer(&self) -> &Pointer {
        &self.pointer
    }

    /// Returns whether the pointer was there and damaged at the start.
    #[must_use]
    pub const fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// Returns the folder that a slot has.
    #[must_use]
    pub fn slot_folder(&self, slot: bool) -> PathBuf {
        self.folder.join(if slot { "b" } else { "a" })
    }

    /// Reads the artifact of a kind in the slot in use; `None` if nothing was configured.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn artifact(&mut self, kind: ArtifactKind) -> Result<Option<Vec<u8>>, StoreError> {
        if self.pointer.version(kind) == 0 {
            return Ok(None);
        }
        let path = self.slot_folder(self.pointer.slot).join(kind.word());
        Ok(Some(self.disk.read(&path)?.unwrap_or_default()))
    }

    /// Puts an artifact into the other slot, beside what else is in use, and makes that slot the one in use, on trial.
    ///
    /// # Errors
    /// [`StoreError`]; what was in use still is.
    pub fn switch(&mut self, trial: TrialOf, artifact: &[u8]) -> Result<(), StoreError> {
        if self.pointer.trial.is_some() {
            return Err(StoreError::Busy);
        }
        let (from, to) = (self.slot_folder(self.pointer.slot), self.slot_folder(!self.pointer.slot));
        for kind in ArtifactKind::ALL {
            let path = to.join(kind.word());
            if kind == trial.kind {
                self.disk.write(&path, artifact)?;
                continue;
            }
            match self.disk.read(&from.join(kind.word()))? {
                Some(bytes) if self.pointer.version(kind) > 0 => self.disk.write(&path, &bytes)?,
                Some(_) | None => self.disk.remove(&path)?,
            }
        }
        self.disk.sync_folder(&to)?;
        let mut next = self.pointer;
        next.slot = !next.slot;
        next.trial = Some(trial);
        if let Some(version) = next.versions.get_mut(place(trial.kind)) {
            *version = trial.version;
        }
        if let Some(floor) = next.floors.get_mut(place(trial.kind)) {
            floor.tried = floor.tried.max(trial.version);
        }
        self.put(next)
    }

    /// Ends the trial: what is in use is good from now on.
    ///
    /// # Errors
    /// [`StoreError`]; it stays on trial.
    pub fn confirm(&mut self) -> Result<TrialOf, StoreError> {
        let trial = self.pointer.trial.ok_or(StoreError::NoTrial)?;
        let mut next = self.pointer;
        next.trial = None;
        next.ended = Some(Ended { sequence: trial.sequence, is_good: true });
        if let Some(floor) = next.floors.get_mut(place(trial.kind)) {
            floor.good = floor.good.max(trial.version);
        }
        self.put(next)?;
        Ok(trial)
    }

    /// Ends the trial: the other slot, which was good, is in use again.
    ///
    /// # Errors
    /// [`StoreError`]; it stays on trial.
    pub fn take_back(&mut self, reason: ReturnReason, at: UnixMicros) -> Result<TrialOf, StoreError> {
        let trial = self.pointer.trial.ok_or(StoreError::NoTrial)?;
        let mut next = self.pointer;
        next.slot = !next.slot;
        next.trial = None;
        if let Some(version) = next.versions.get_mut(place(trial.kind)) {
            *version = trial.before;
        }
        next.last_return =
            Some(Return { kind: trial.kind, version: trial.version, reason, at, is_told: false });
        next.ended = Some(Ended { sequence: trial.sequence, is_good: false });
        self.put(next)?;
        Ok(trial)
    }

    /// Counts a start of the program with something on trial, before it is put to use; takes it back if it started
    /// [`STARTS_MAX`] times without health.
    ///
    /// # Errors
    /// [`StoreError::Io`]; nothing new may be put to use.
    pub fn count_start(&mut self) -> Result<(), StoreError> {
        let Some(trial) = self.pointer.trial else { return Ok(()) };
        if trial.starts >= STARTS_MAX {
            return self.take_back(ReturnReason::Starts, UnixMicros(0)).map(|_| ());
        }
        let mut next = self.pointer;
        next.trial = Some(TrialOf { starts: trial.starts + 1, ..trial });
        self.put(next)
    }

    /// Begins to count starts anew: the program is healthy, and only the cloud has not answered yet.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn forget_starts(&mut self) -> Result<(), StoreError> {
        let Some(trial) = self.pointer.trial.filter(|trial| trial.starts > 0) else { return Ok(()) };
        let mut next = self.pointer;
        next.trial = Some(TrialOf { starts: 0, ..trial });
        self.put(next)
    }

    /// Notes that the last return was said as an event.
    ///
    /// # Errors
    /// [`StoreError::Io`]; it is said once more after the next start.
    pub fn return_told(&mut self) -> Result<(), StoreError> {
        let Some(last) = self.pointer.last_return.filter(|last| !last.is_told) else { return Ok(()) };
        let mut next = self.pointer;
        next.last_return = Some(Return { is_told: true, ..last });
        self.put(next)
    }

    /// Raises a floor to what the sealed spool knows.
    pub fn learn_floor(&mut self, kind: ArtifactKind, floor: outrider_gateway::spool::Floor) {
        if let Some(known) = self.pointer.floors.get_mut(place(kind)) {
            known.tried = known.tried.max(floor.tried);
            known.good = known.good.max(floor.good);
        }
    }

    fn put(&mut self, next: Pointer) -> Result<(), StoreError> {
        let (fresh, path) = (self.folder.join("active.new"), self.folder.join("active"));
        self.disk.write(&fresh, &next.emit())?;
        self.disk.rename(&fresh, &path)?;
        // From here on the new one may hold after a power cut, so memory says the same.
        self.pointer = next;
        self.disk.sync_folder(&self.folder.clone())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
