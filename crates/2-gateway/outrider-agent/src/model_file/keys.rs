//! Key files: PKCS#8 and SPKI of Ed25519 (RFC 8410), as PEM or DER; public keys also in hexadecimal.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use outrider_gateway::{Ed25519Signer, Ed25519Verifier};
use outrider_ids::model::signature::KeyId;
use outrider_types::hex_decode;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

use super::key_id;

/// Key files have 120 bytes; more are none.
const FILE_BYTES_MAX: u64 = 4096;
/// Rights of everybody but the owner.
const OTHERS: u32 = 0o077;
/// What stands in front of the secret in PKCS#8 version 1, and behind the version in version 2.
const ED25519_SECRET: [u8; 13] = [2, 1, 0, 0x30, 5, 6, 3, 0x2B, 0x65, 0x70, 4, 0x22, 4];
/// What stands in front of the 32 bytes of a public key.
const ED25519_PUBLIC: [u8; 12] = [0x30, 0x2A, 0x30, 5, 6, 3, 0x2B, 0x65, 0x70, 3, 0x21, 0];
/// Symbols of base64 (RFC 4648).
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Why a key file cannot be used. No variant holds anything of the key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// File.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than the owner may read the secret key.
    #[error("{path}: mode {mode:04o} lets others than its owner use the secret key; set it to 0600")]
    Mode {
        /// File.
        path: PathBuf,
        /// Its rights.
        mode: u32,
    },
    /// The file has no key of the right kind.
    #[error("{path}: no {wanted}")]
    Shape {
        /// File.
        path: PathBuf,
        /// What was expected.
        wanted: &'static str,
    },
}

/// Reads a secret Ed25519 key: PKCS#8 as PEM or DER, with rights for its owner only.
///
/// # Errors
/// [`KeyError`].
pub fn open_secret(path: &Path) -> Result<Ed25519Signer, KeyError> {
    let io = |source| KeyError::Io { path: path.to_path_buf(), source };
    let file = File::open(path).map_err(io)?;
    // The rights of what was opened: the name may by now be another file.
    let mode = file.metadata().map_err(io)?.mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(KeyError::Mode { path: path.to_path_buf(), mode });
    }
    let bytes = read(file).map_err(io)?;
    let pem = PrivatePkcs8KeyDer::from_pem_slice(&bytes);
    let der = pem.as_ref().map_or(bytes.as_slice(), |key| key.secret_pkcs8_der());
    secret_of(der)
        .map(|secret| Ed25519Signer::new(&secret))
        .ok_or(KeyError::Shape { path: path.to_path_buf(), wanted: "secret Ed25519 key in PKCS#8" })
}

#[expect(clippy::disallowed_methods, reason = "take() bounds the length")]
fn read(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the secret of a DER structure of version 1, or of version 2 with whatever follows the secret.
fn secret_of(der: &[u8]) -> Option<[u8; 32]> {
    let (&[0x30, length], body) = der.split_first_chunk::<2>()? else { return None };
    if usize::from(length) != body.len() {
        return None;
    }
    let (start, rest) = body.split_first_chunk::<{ ED25519_SECRET.len() }>()?;
    let mut version_1 = *start;
    let version = std::mem::replace(&mut version_1[2], 0);
    let (size, rest) = rest.split_first()?;
    let (secret, behind) = rest.split_first_chunk::<32>()?;
    let is_whole = version == 1 || (version == 0 && behind.is_empty());
    (version_1 == ED25519_SECRET && *size == 32 && is_whole).then_some(*secret)
}

/// Public key that checks signatures.
#[derive(Debug, Clone)]
pub struct PublicKey {
    /// Its identifier.
    pub id: KeyId,
    /// What checks signatures.
    pub verifier: Ed25519Verifier,
}

impl PublicKey {
    /// Takes the 32 bytes of a key, or returns `None` if they are none.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Option<Self> {
        let verifier = Ed25519Verifier::new(bytes).ok()?;
        Some(Self { id: key_id(bytes), verifier })
    }

    /// Takes a key in hexadecimal, or returns `None` if it is none.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        Self::new(&hex_decode::<32>(text.trim()).ok()?)
    }

    /// Reads a key file: SPKI as PEM or DER, or hexadecimal.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { path: path.to_path_buf(), source };
        let bytes = read(File::open(path).map_err(io)?).map_err(io)?;
        let pem = SubjectPublicKeyInfoDer::from_pem_slice(&bytes);
        let der = pem.as_ref().map_or(bytes.as_slice(), |key| key.as_ref());
        let spki = der.strip_prefix(&ED25519_PUBLIC).and_then(|key| key.try_into().ok());
        let key = match spki {
            Some(key) => Self::new(key),
            None => std::str::from_utf8(&bytes).ok().and_then(Self::from_hex),
        };
        key.ok_or(KeyError::Shape {
            path: path.to_path_buf(),
            wanted: "public Ed25519 key in SPKI or hexadecimal",
        })
    }
}

/// New key pair.
pub struct KeyPair {
    secret: [u8; 32],
    /// The public key.
    pub public: [u8; 32],
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").finish_non_exhaustive()
    }
}

impl KeyPair {
    /// Makes the pair of a secret, which must be random.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret, public: Ed25519Signer::new(&secret).public_key() }
    }

    /// Writes the secret key to a file that only its owner may read, and the public key beside it with `.pub` behind
    /// its name. Neither may be there already.
    ///
    /// # Errors
    /// [`KeyError::Io`].
    pub fn write(&self, path: &Path) -> Result<PathBuf, KeyError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".pub");
        let public = PathBuf::from(name);
        let secret_der = [&[0x30, 0x2E], ED25519_SECRET.as_slice(), &[32], &self.secret].concat();
        let public_der = [ED25519_PUBLIC.as_slice(), &self.public].concat();
        let files = [(path, 0o600, "PRIVATE KEY", secret_der), (&public, 0o644, "PUBLIC KEY", public_der)];
        for (path, mode, label, der) in files {
            let text = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64(&der));
            let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
            file.and_then(|mut file| file.write_all(text.as_bytes()))
                .map_err(|source| KeyError::Io { path: path.to_path_buf(), source })?;
        }
        Ok(public)
    }
}

fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let symbol = usize::try_from(word >> shift & 63).unwrap_or(0);
            out.push(if index <= chunk.len() { char::from(BASE64[symbol]) } else { '=' });
        }
    }
    out
}
