//! Artifacts: what is taken from a person, how it is kept, and which piece of it a vehicle gets.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use outrider_types::TenantId;
use outrider_wire::limits::ARTIFACT_BYTES_MAX;
use outrider_wire::policy::Policy;
use outrider_wire::{ArtifactHead, FrameError, SealedArtifact};
use sha2::{Digest as _, Sha256};

use super::batch_key::verifier;
use super::evidence::{EvidenceError, EvidenceVault};
use crate::api::dto::{Artifact, ArtifactKind, Timestamp};
use crate::store::{BatchKey, StoredArtifactKey};

/// Longest rule pack that a vehicle reads.
const RULES_BYTES_MAX: usize = 1 << 20;
/// Longest piece that a vehicle gets at once: four of those that the agent asks for.
pub const PIECE_BYTES_MAX: u64 = 256 << 10;

/// Why an artifact is not taken or not given out.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// It is longer than a vehicle takes.
    #[error("{bytes} bytes exceed the limit of {ARTIFACT_BYTES_MAX}")]
    TooLarge {
        /// Length.
        bytes: usize,
    },
    /// It is no artifact.
    #[error("no artifact: {0}")]
    Frame(FrameError),
    /// Nobody registered its key, or somebody withdrew it.
    #[error("key {0} is not registered, or was withdrawn")]
    UnknownKey(String),
    /// The signature is not by the key that it names.
    #[error("the signature is not by key {0}")]
    Signature(String),
    /// It is for vehicles of another owner.
    #[error("it is for vehicles of owner {0}")]
    WrongTenant(u32),
    /// Its platform is no name.
    #[error("its platform is no text")]
    Platform,
    /// Its content is illegal.
    #[error("its {kind}: {reason}")]
    Payload {
        /// Kind.
        kind: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The file is missing, damaged, or cannot be written.
    #[error(transparent)]
    Vault(#[from] EvidenceError),
}

impl ArtifactError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "artifact.too_large",
            Self::Frame(_) => "artifact.frame",
            Self::UnknownKey(_) => "artifact.unknown_key",
            Self::Signature(_) => "artifact.signature",
            Self::WrongTenant(_) => "artifact.wrong_tenant",
            Self::Platform => "artifact.platform",
            Self::Payload { .. } => "artifact.payload",
            Self::Vault(_) => "artifact.storage",
        }
    }
}

/// Reads an artifact that somebody brings: structure, key, signature, owner, and as much of the content as the cloud
/// knows. A policy is read to its last rule; a rule pack must be text of a length that vehicles take; a model is not
/// looked into. The vehicle reads all of them again before it switches.
///
/// # Errors
/// [`ArtifactError`].
pub fn read_artifact(
    bytes: &[u8],
    keys: &[StoredArtifactKey],
    tenant: TenantId,
    by: &str,
    at: Timestamp,
) -> Result<Artifact, ArtifactError> {
    if bytes.len() > ARTIFACT_BYTES_MAX {
        return Err(ArtifactError::TooLarge { bytes: bytes.len() });
    }
    let sealed = SealedArtifact::parse(bytes).map_err(ArtifactError::Frame)?;
    let key_id = crate::hex(&sealed.claimed().key);
    let known = keys.iter().find(|key| key.shown.key_id == key_id && key.shown.withdrawn_at.is_none());
    let known = known.ok_or_else(|| ArtifactError::UnknownKey(key_id.clone()))?;
    let key =
        verifier(BatchKey::Ed25519(known.public)).ok_or_else(|| ArtifactError::UnknownKey(key_id.clone()))?;
    let artifact = sealed.open(key.as_ref()).map_err(|_| ArtifactError::Signature(key_id.clone()))?;
    let head = &artifact.head;
    if head.tenant != tenant {
        return Err(ArtifactError::WrongTenant(head.tenant.0));
    }
    let platform = platform_of(head)?;
    let kind = kind_of(head.kind);
    let payload_checked = check_payload(kind, artifact.payload)?;
    Ok(Artifact {
        sha256: crate::hex(&Sha256::digest(bytes)),
        kind,
        version: head.version,
        platform,
        vehicle_id: head.vehicle.map(|vehicle| vehicle.to_string()),
        key_id,
        signer: known.shown.name.clone(),
        made_at: Timestamp(head.made_at),
        bytes: bytes.len() as u64,
        payload_checked,
        uploaded_by: by.to_owned(),
        uploaded_at: at,
    })
}

const fn kind_of(kind: outrider_wire::ArtifactKind) -> ArtifactKind {
    match kind {
        outrider_wire::ArtifactKind::Policy => ArtifactKind::Policy,
        outrider_wire::ArtifactKind::Rules => ArtifactKind::Rules,
        outrider_wire::ArtifactKind::Model => ArtifactKind::Model,
    }
}

/// Name of the platform: what stands before the zeros, which must be all that follows.
fn platform_of(head: &ArtifactHead) -> Result<Option<String>, ArtifactError> {
    let Some(bytes) = head.platform else { return Ok(None) };
    let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (name, rest) = bytes.split_at(length);
    let name = std::str::from_utf8(name).map_err(|_| ArtifactError::Platform)?;
    let is_name = !name.is_empty() && rest.iter().all(|byte| *byte == 0) && !name.contains(char::is_control);
    if is_name { Ok(Some(name.to_owned())) } else { Err(ArtifactError::Platform) }
}

/// Returns whether the content was read to its end.
fn check_payload(kind: ArtifactKind, payload: &[u8]) -> Result<bool, ArtifactError> {
    let wrong = |reason: String| ArtifactError::Payload { kind: kind.word(), reason };
    match kind {
        ArtifactKind::Policy => {
            Policy::parse(payload).map_err(|error| wrong(error.to_string()))?;
            Ok(true)
        }
        ArtifactKind::Rules => {
            if payload.len() > RULES_BYTES_MAX {
                return Err(wrong(format!("{} bytes, at most {RULES_BYTES_MAX}", payload.len())));
            }
            std::str::from_utf8(payload).map_err(|error| wrong(error.to_string()))?;
            Ok(false)
        }
        ArtifactKind::Model if payload.is_empty() => Err(wrong("it is empty".to_owned())),
        ArtifactKind::Model => Ok(false),
    }
}

/// Folder of artifacts; the name of a file is the SHA-256 of its content, so nothing is ever overwritten.
#[derive(Debug, Clone)]
pub struct ArtifactVault(EvidenceVault);

impl ArtifactVault {
    /// Opens the vault of a folder.
    ///
    /// # Errors
    /// [`EvidenceError::Storage`].
    pub fn open(folder: &Path) -> Result<Self, EvidenceError> {
        Ok(Self(EvidenceVault::open(folder)?))
    }

    /// Stores an artifact; durable on return, harmless to repeat. A file that was damaged is written anew.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn put(&self, sha256: &str, content: &[u8]) -> Result<(), EvidenceError> {
        if self.get(sha256).is_err() {
            self.0.remove(sha256)?;
        }
        self.0.put(sha256, content)
    }

    /// Returns a whole artifact after checking its hash.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn get(&self, sha256: &str) -> Result<Vec<u8>, EvidenceError> {
        self.0.get(sha256)
    }

    /// Returns a piece, from its first byte, and the length of the whole. The hash is not checked: the vehicle does.
    ///
    /// # Errors
    /// [`EvidenceError`].
    pub fn piece(&self, sha256: &str, from: u64, bytes_max: u64) -> Result<(Vec<u8>, u64), EvidenceError> {
        let mut file = File::open(self.0.path(sha256)?)?;
        let whole = file.metadata()?.len();
        let bytes = whole.saturating_sub(from).min(bytes_max).min(PIECE_BYTES_MAX);
        let mut piece = vec![0; usize::try_from(bytes).unwrap_or(0)];
        file.seek(SeekFrom::Start(from.min(whole)))?;
        file.read_exact(&mut piece)?;
        Ok((piece, whole))
    }
}

/// What a vehicle asks for in a header `Range`; one range with a first byte, RFC 9110, section 14.1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// First byte.
    pub from: u64,
    /// Bytes at most, at least 1.
    pub bytes: u64,
}

impl Wanted {
    /// Reads the header; `None` if it is another one than agents send.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok());
        let (from, to) = header.strip_prefix("bytes=")?.split_once('-')?;
        let (from, to): (u64, u64) = (digits(from)??, digits(to)??);
        let bytes = to.checked_sub(from)?.checked_add(1)?;
        Some(Self { from, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_with_both_ends_is_read_and_nothing_else() {
        let wanted = |text| Wanted::parse(text).map(|wanted| (wanted.from, wanted.bytes));
        assert_eq!(wanted("bytes=0-0"), Some((0, 1)));
        assert_eq!(wanted("bytes=65536-131071"), Some((65_536, 65_536)));
        for other in [
            "",
            "bytes=",
            "bytes=-5",
            "bytes=5-",
            "bytes=5-4",
            "bytes=0-1,3-4",
            "bytes= 0-1",
            "bytes=+0-1",
            "items=0-1",
            "bytes=0-18446744073709551615",
            "bytes=0-99999999999999999999",
        ] {
            assert_eq!(wanted(other), None, "{other}");
        }
    }

    #[test]
    fn a_piece_ends_with_the_file_and_with_the_cap() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let vault = ArtifactVault::open(folder.path()).expect("it opens");
        let content = vec![7; 300 << 10];
        let hash = crate::hex(&Sha256::digest(&content));
        vault.put(&hash, &content).expect("it is stored");
        let piece = |from, bytes| vault.piece(&hash, from, bytes).map(|(piece, whole)| (piece.len(), whole));
        let whole = 300 << 10;
        assert_eq!(piece(0, 10).expect("there"), (10, whole));
        assert_eq!(piece(whole - 1, 10).expect("there"), (1, whole));
        assert_eq!(piece(whole, 10).expect("there"), (0, whole));
        assert_eq!(piece(0, u64::MAX).expect("there"), (256 << 10, whole));
        std::fs::write(folder.path().join(&hash), b"torn").expect("it writes");
        assert!(matches!(vault.get(&hash), Err(EvidenceError::Hash { .. })));
        vault.put(&hash, &content).expect("it is written anew");
        assert_eq!(vault.get(&hash).expect("it is whole"), content);
    }
}
