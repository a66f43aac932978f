//! Durable memory of the last accepted command: one small file, replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use outrider_wire::CommandId;

use crate::LastCommand;

const MAGIC: [u8; 4] = *b"ORLC";
const FILE_BYTES: usize = 32;

/// Why the last command is not known or not stored.
#[derive(Debug, thiserror::Error)]
pub enum CommandStoreError {
    /// The file is there but damaged. Fail closed: no command is accepted until a person clears it.
    #[error("{path} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The operating system failed.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl CommandStoreError {
    /// Returns the error's stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Damaged { .. } => "command_store.damaged",
            Self::Io { .. } => "command_store.io",
        }
    }
}

/// The file that remembers the last accepted command.
#[derive(Debug)]
pub struct CommandStore {
    path: PathBuf,
    last: LastCommand,
}

impl CommandStore {
    /// Opens the file; a file that is not there means that no command was ever accepted.
    ///
    /// # Errors
    /// [`CommandStoreError`].
    pub fn open(path: &Path) -> Result<Self, CommandStoreError> {
        let last = match fs::read(path) {
            Ok(bytes) => parse(&bytes).ok_or_else(|| CommandStoreError::Damaged { path: path.to_owned() })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => LastCommand::default(),
            Err(source) => {
                return Err(CommandStoreError::Io { action: "read", path: path.to_owned(), source });
            }
        };
        Ok(Self { path: path.to_owned(), last })
    }

    /// Returns the last accepted command.
    #[must_use]
    pub const fn last(&self) -> LastCommand {
        self.last
    }

    /// Makes `last` durable; to be called before the command is obeyed.
    ///
    /// # Errors
    /// [`CommandStoreError`]; the command must then not be obeyed.
    pub fn store(&mut self, last: LastCommand) -> Result<(), CommandStoreError> {
        let fresh = self.path.with_extension("new");
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| CommandStoreError::Io { action, path, source }
        };
        let mut file = File::create(&fresh).map_err(failed("create", &fresh))?;
        file.write_all(&emit(last)).and_then(|()| file.sync_all()).map_err(failed("write", &fresh))?;
        fs::rename(&fresh, &self.path).map_err(failed("replace", &self.path))?;
        let folder =
            self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed("sync folder of", &self.path))?;
        self.last = last;
        Ok(())
    }
}

fn emit(last: LastCommand) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FILE_BYTES);
    bytes.extend(MAGIC);
    bytes.extend(last.sequence.to_le_bytes());
    bytes.extend(last.id.0);
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

fn parse(bytes: &[u8]) -> Option<LastCommand> {
    let (content, crc) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(content) != u32::from_le_bytes(*crc) || bytes.len() != FILE_BYTES {
        return None;
    }
    let (sequence, id) = content.strip_prefix(&MAGIC)?.split_first_chunk::<8>()?;
    Some(LastCommand { sequence: u64::from_le_bytes(*sequence), id: CommandId(id.try_into().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_command_survives_reopening_and_damage_fails_closed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("last-command");
        let mut store = CommandStore::open(&path).expect("no file yet");
        assert_eq!(store.last(), LastCommand::default());
        let last = LastCommand { sequence: 9, id: CommandId([3; 16]) };
        store.store(last).expect("a real disk");
        assert_eq!(CommandStore::open(&path).expect("whole file").last(), last);
        for offset in 0..FILE_BYTES {
            let mut bytes = emit(last);
            bytes[offset] ^= 4;
            fs::write(&path, bytes).expect("writable");
            assert!(
                matches!(CommandStore::open(&path), Err(CommandStoreError::Damaged { .. })),
                "offset {offset}"
            );
        }
        fs::write(&path, b"").expect("writable");
        assert!(matches!(CommandStore::open(&path), Err(CommandStoreError::Damaged { .. })));
    }
}
