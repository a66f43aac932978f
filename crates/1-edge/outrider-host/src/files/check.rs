//! What a file is now: hashed piece by piece, so that no turn takes long.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::baseline::Entry;

/// Bytes read at once.
const PIECE_BYTES: usize = 64 << 10;

/// A file that is being hashed.
pub(super) struct Hashing {
    file: File,
    hash: Sha256,
    left: u64,
    mode: u32,
    user: u32,
}

/// What came of opening a file.
pub(super) enum Opened {
    /// Its facts: symbolic links are their target's name, devices and pipes have no content.
    Whole(Entry),
    /// To be read.
    Begun(Box<Hashing>),
    /// More bytes than are hashed.
    TooLarge,
}

/// Opens a file without following a link and without waiting for a pipe.
pub(super) fn open(path: &Path, bytes_max: u64) -> io::Result<Opened> {
    let facts = fs::symlink_metadata(path)?;
    let (mode, user) = (facts.mode(), facts.uid());
    let whole = |content: &[u8]| {
        Opened::Whole(Entry { sha256: Sha256::digest(content).into(), mode, user, is_seen: true })
    };
    if facts.is_symlink() {
        return Ok(whole(fs::read_link(path)?.as_os_str().as_bytes()));
    }
    if !facts.is_file() {
        return Ok(whole(&[]));
    }
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    // What was opened counts, not what had the name before.
    let facts = file.metadata()?;
    if facts.len() > bytes_max {
        return Ok(Opened::TooLarge);
    }
    let hashing =
        Hashing { file, hash: Sha256::new(), left: bytes_max, mode: facts.mode(), user: facts.uid() };
    Ok(Opened::Begun(Box::new(hashing)))
}

impl Hashing {
    /// Reads on; returns the facts at the end of the file, or of what is hashed of one that grows.
    pub(super) fn step(&mut self, budget: &mut u64) -> io::Result<Option<Entry>> {
        let mut piece = vec![0; PIECE_BYTES];
        while *budget > 0 {
            let length = match self.file.read(&mut piece) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.hash.update(&piece[..length]);
            let bytes = length as u64;
            *budget = budget.saturating_sub(bytes.max(1));
            self.left = self.left.saturating_sub(bytes);
            if length == 0 || self.left == 0 {
                let sha256 = self.hash.finalize_reset().into();
                return Ok(Some(Entry { sha256, mode: self.mode, user: self.user, is_seen: true }));
            }
        }
        Ok(None)
    }
}
