//! Evidence vault: captures by the hash of their content.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use outrider_types::hex_decode;
use sha2::{Digest, Sha256};

/// Longest capture that a vehicle may send.
pub const EVIDENCE_BYTES_MAX: usize = 32 << 20;

/// Why a capture is not taken or not given out.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// The content has another hash than was announced.
    #[error("content has SHA-256 {got}, announced was {expected}")]
    Hash {
        /// Announced.
        expected: String,
        /// Of the content.
        got: String,
    },
    /// The content is longer than allowed.
    #[error("{bytes} bytes exceed the limit of {EVIDENCE_BYTES_MAX}")]
    TooLarge {
        /// Length.
        bytes: usize,
    },
    /// The hash is no SHA-256 in hexadecimal.
    #[error("no SHA-256: {0}")]
    NoHash(String),
    /// The disk failed.
    #[error("evidence vault: {0}")]
    Storage(#[from] io::Error),
}

impl EvidenceError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Hash { .. } => "evidence.hash",
            Self::TooLarge { .. } => "evidence.too_large",
            Self::NoHash(_) => "evidence.no_hash",
            Self::Storage(_) => "evidence.storage",
        }
    }
}

/// Folder of captures; the name of a file is the SHA-256 of its content, so nothing is ever overwritten.
#[derive(Debug, Clone)]
pub struct EvidenceVault {
    folder: PathBuf,
}

impl EvidenceVault {
    /// Opens the vault of a folder.
    ///
    /// # Errors
    /// [`EvidenceError::Storage`].
    pub fn open(folder: &Path) -> Result<Self, EvidenceError> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_path_buf() })
    }

    /// Stores a capture whose hash was announced; durable on return, harmless to repeat.
    ///
    /// # Errors
    /// [`EvidenceError`]; nothing was stored.
    pub fn put(&self, announced: &str, content: &[u8]) -> Result<(), EvidenceError> {
        if content.len() > EVIDENCE_BYTES_MAX {
            return Err(EvidenceError::TooLarge { bytes: content.len() });
        }
        let expected = normal(announced)?;
        let got = crate::hex(&Sha256::digest(content));
        if got != expected {
            return Err(EvidenceError::Hash { expected, got });
        }
        let target = self.folder.join(&got);
        if target.exists() {
            return Ok(());
        }
        let mut file = tempfile_in(&self.folder, &got)?;
        file.1.write_all(content)?;
        file.1.sync_all()?;
        fs::rename(&file.0, &target)?;
        fs::File::open(&self.folder)?.sync_all()?;
        Ok(())
    }

    /// Returns the path of a file, which may be missing.
    ///
    /// # Errors
    /// [`EvidenceError::NoHash`].
    pub(super) fn path(&self, sha256: &str) -> Result<PathBuf, EvidenceError> {
        Ok(self.folder.join(normal(sha256)?))
    }

    /// Removes a file that is not what its name says, if it is there.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub(super) fn remove(&self, sha256: &str) -> Result<(), EvidenceError> {
        match fs::remove_file(self.path(sha256)?) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Returns a capture after checking its hash again.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn get(&self, sha256: &str) -> Result<Vec<u8>, EvidenceError> {
        let expected = normal(sha256)?;
        let content = fs::read(self.folder.join(&expected))?;
        let got = crate::hex(&Sha256::digest(&content));
        if got == expected { Ok(content) } else { Err(EvidenceError::Hash { expected, got }) }
    }
}

/// Returns the hash in lower case; only hexadecimal digits pass, so it is safe as a file name.
fn normal(sha256: &str) -> Result<String, EvidenceError> {
    let bytes = hex_decode::<32>(sha256).map_err(|error| EvidenceError::NoHash(error.to_string()))?;
    Ok(crate::hex(&bytes))
}

/// Creates a fresh file for one writer; leftovers of a crash are overwritten.
fn tempfile_in(folder: &Path, name: &str) -> io::Result<(PathBuf, fs::File)> {
    let path = folder.join(format!("{name}.part-{:?}", std::thread::current().id()));
    let file = fs::File::create(&path)?;
    Ok((path, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_is_found_by_its_hash_and_damage_is_seen() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let vault = EvidenceVault::open(folder.path()).expect("it opens");
        let hash = crate::hex(&Sha256::digest(b"frames"));
        vault.put(&hash, b"frames").expect("the hash is right");
        vault.put(&hash.to_uppercase(), b"frames").expect("a second time is harmless");
        assert_eq!(vault.get(&hash).expect("it is there"), b"frames");
        assert!(matches!(vault.put(&hash, b"other"), Err(EvidenceError::Hash { .. })));
        assert!(matches!(vault.put("../../etc/passwd", b""), Err(EvidenceError::NoHash(_))));
        fs::write(folder.path().join(&hash), b"changed").expect("it writes");
        assert!(matches!(vault.get(&hash), Err(EvidenceError::Hash { .. })));
    }
}
