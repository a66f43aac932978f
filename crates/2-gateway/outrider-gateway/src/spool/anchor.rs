//! A counter outside of the spool that only grows: what makes a rolled-back medium visible.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use outrider_wire::{AnchorStatement, Verifier, attest};

/// What holds the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnchorKind {
    /// A file or memory. Whoever may write the vehicle's files can turn it back; it finds mistakes and old images only.
    Software,
    /// An NV counter of a TPM 2.0; the proof is its `NV_Certify` with the head hash as qualifying data.
    Tpm2,
    /// A counter object of a PKCS#11 token; the proof is the token's signature. Who has the PIN can turn it back, unless the
    /// proof says that the token itself counts.
    Pkcs11,
}

impl AnchorKind {
    /// Returns the number in records.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Software => 1,
            Self::Tpm2 => 2,
            Self::Pkcs11 => 3,
        }
    }

    /// Returns the word of configuration and reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Tpm2 => "tpm",
            Self::Pkcs11 => "pkcs11",
        }
    }

    pub(super) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Software),
            2 => Some(Self::Tpm2),
            3 => Some(Self::Pkcs11),
            _ => None,
        }
    }
}

/// What an anchor says of the counter and of the spool's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attestation {
    /// What holds the counter.
    pub kind: AnchorKind,
    /// Its value.
    pub counter: u64,
    /// SHA-256 over the ends of all chains.
    pub head: [u8; 32],
    /// Proof by hardware, at most [`PROOF_BYTES_MAX`]; empty for [`AnchorKind::Software`], which proves nothing.
    pub proof: Vec<u8>,
}

impl Attestation {
    /// Returns whether the anchor's key made the proof, and over these values. A software anchor proves nothing.
    #[must_use]
    pub fn is_proven(&self, key: &dyn Verifier) -> bool {
        let Self { kind, counter, head, proof } = self;
        attest::is_proven(&AnchorStatement { kind: kind.code(), counter: *counter, head: *head, proof }, key)
    }
}

/// Longest proof kept. A TPM 2.0 gave 117 bytes of certificate and 71 of signature (measured on swtpm).
pub const PROOF_BYTES_MAX: usize = attest::ATTEST_BYTES_MAX;

/// The anchor is away or refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("anchor {reason}: {detail}")]
pub struct AnchorError {
    /// One word: `away`, `locked` (password or PIN wrong, or too many wrong ones), `refused`, `medium` (the spool's),
    /// `behind` (the counter went backwards), `raised` (somebody else raised it).
    pub reason: &'static str,
    /// What exactly.
    pub detail: String,
}

impl AnchorError {
    pub(super) fn medium(detail: impl ToString) -> Self {
        Self { reason: "medium", detail: detail.to_string() }
    }
}

/// What became of a raising.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raise {
    /// It is done.
    Done(Attestation),
    /// A slow anchor began it; [`Anchor::poll`] tells.
    Begun,
}

/// What is known of the anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorStatus {
    /// What holds the counter.
    pub kind: AnchorKind,
    /// Its value when it was last raised or read in this boot.
    pub counter: Option<u64>,
    /// Times it was raised in this boot.
    pub raised: u64,
    /// Times it could not be.
    pub failures: u64,
    /// Why not, the last time; `None` if that went well.
    pub failed: Option<AnchorError>,
}

/// A monotonic counter.
pub trait Anchor {
    /// Returns what holds the counter.
    fn kind(&self) -> AnchorKind;

    /// Returns whether the counter was made in this boot, so that its value says nothing of the spool's past.
    fn is_new(&self) -> bool {
        false
    }

    /// Adds one and states the new value over `head`, or begins to, if that takes longer than a frame may wait.
    ///
    /// # Errors
    /// [`AnchorError`]; the counter may or may not have grown.
    fn raise(&mut self, head: &[u8; 32]) -> Result<Raise, AnchorError> {
        self.increment()?;
        self.attest(head).map(Raise::Done)
    }

    /// Returns how a raising that was begun went, once.
    fn poll(&mut self) -> Option<Result<Attestation, AnchorError>> {
        None
    }

    /// Returns the counter.
    ///
    /// # Errors
    /// [`AnchorError`].
    fn read(&self) -> Result<u64, AnchorError>;

    /// Adds one and returns the new value, which is durable.
    ///
    /// # Errors
    /// [`AnchorError`]; the counter may or may not have grown.
    fn increment(&mut self) -> Result<u64, AnchorError>;

    /// States the counter over the hash of the spool's end.
    ///
    /// # Errors
    /// [`AnchorError`].
    fn attest(&self, head: &[u8; 32]) -> Result<Attestation, AnchorError>;
}

/// A counter in memory or in one small file.
#[derive(Debug, Clone, Default)]
pub struct SoftwareAnchor {
    path: Option<PathBuf>,
    counter: u64,
}

impl SoftwareAnchor {
    /// Creates a counter that begins with `counter` and is gone with the process.
    #[must_use]
    pub const fn in_memory(counter: u64) -> Self {
        Self { path: None, counter }
    }

    /// Opens the counter in a file; one that is not there counts from 0.
    ///
    /// # Errors
    /// [`AnchorError`] if the file cannot be read or is no counter.
    pub fn open(path: &Path) -> Result<Self, AnchorError> {
        let counter = match fs::read(path) {
            Ok(bytes) => {
                parse(&bytes).ok_or_else(|| AnchorError::medium(format!("{} is damaged", path.display())))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(AnchorError::medium(format!("{}: {error}", path.display()))),
        };
        Ok(Self { path: Some(path.to_owned()), counter })
    }
}

fn parse(bytes: &[u8]) -> Option<u64> {
    let (value, crc) = bytes.split_first_chunk::<8>()?;
    (crc == crc32c::crc32c(value).to_le_bytes()).then(|| u64::from_le_bytes(*value))
}

fn store(path: &Path, counter: u64) -> io::Result<()> {
    let value = counter.to_le_bytes();
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh)?;
    file.write_all(&value)?;
    file.write_all(&crc32c::crc32c(&value).to_le_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

impl Anchor for SoftwareAnchor {
    fn kind(&self) -> AnchorKind {
        AnchorKind::Software
    }

    fn read(&self) -> Result<u64, AnchorError> {
        Ok(self.counter)
    }

    fn increment(&mut self) -> Result<u64, AnchorError> {
        let next = self.counter.saturating_add(1);
        if let Some(path) = &self.path {
            store(path, next).map_err(|error| AnchorError::medium(format!("{}: {error}", path.display())))?;
        }
        self.counter = next;
        Ok(next)
    }

    fn attest(&self, head: &[u8; 32]) -> Result<Attestation, AnchorError> {
        Ok(Attestation { kind: AnchorKind::Software, counter: self.counter, head: *head, proof: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_counter_only_grows_and_says_that_it_is_software() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("counter");
        let mut anchor = SoftwareAnchor::open(&path).expect("no file yet");
        assert_eq!((anchor.read(), anchor.increment(), anchor.increment()), (Ok(0), Ok(1), Ok(2)));
        let again = SoftwareAnchor::open(&path).expect("just written");
        let attested = again.attest(&[7; 32]).expect("a file");
        assert_eq!((attested.kind, attested.counter, attested.proof.len()), (AnchorKind::Software, 2, 0));
        fs::write(&path, b"123").expect("writable");
        assert!(SoftwareAnchor::open(&path).is_err());
    }
}
