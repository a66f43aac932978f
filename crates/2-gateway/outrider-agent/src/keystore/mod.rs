//! Device keys: where the vehicle's private keys live, and what may be asked of them.
//!
//! Three kinds of store: files, a TPM 2.0, a PKCS#11 token. A key is ECDSA over P-256 with SHA-256, because that is what
//! all three can hold. The private half of a TPM's or token's key never leaves it.

mod der;
mod file;
mod tls;

use std::fmt;
use std::sync::Arc;

use outrider_wire::{SIGNATURE_BYTES, Signer, SignerError, Suite};
use zeroize::Zeroizing;

pub use self::der::{POINT_BYTES, point_of, signature_der, spki};
pub use self::file::FileStore;
pub use self::tls::{TlsKey, provider_with};

/// What holds a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// A file. Whoever reads the vehicle's files has the key.
    File,
    /// A TPM 2.0: the key cannot be read, but be used by who may talk to the TPM.
    Tpm,
    /// A PKCS#11 token: the key cannot be read, but be used by who has the PIN.
    Pkcs11,
}

impl KeyKind {
    /// Returns the word of configuration and reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Tpm => "tpm",
            Self::Pkcs11 => "pkcs11",
        }
    }
}

/// Name of a key in its store: 1 to 32 of `a-z`, `0-9` and `-`. A rotated key gets a new name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName(String);

impl KeyName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`KeyError::Name`].
    pub fn new(name: &str) -> Result<Self, KeyError> {
        let is_right = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if (1..=32).contains(&name.len()) && name.bytes().all(is_right) {
            Ok(Self(name.to_owned()))
        } else {
            Err(KeyError::Name)
        }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a store did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a key's name.
    #[error("a key's name has 1 to 32 of a-z, 0-9 and -")]
    Name,
    /// A key of this name is there; nothing replaces it.
    #[error("key {0} is there already")]
    Exists(KeyName),
    /// The store holds another key than the one that was made here: it was cleared, or is another device.
    #[error("key {0} is not the one that was made: the store was cleared or is another one")]
    Changed(KeyName),
    /// The store asks for a PIN or password, and the one given is none or not right, or there were too many wrong ones.
    #[error("key store refused the PIN or is locked: {0}")]
    Locked(String),
    /// The store does not answer, or is busy.
    #[error("key store does not answer: {0}")]
    Away(String),
    /// The store said no, or something that makes no sense.
    #[error("key store: {0}")]
    Refused(String),
}

impl KeyError {
    /// Returns the error's stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Name => "key.name",
            Self::Exists(_) => "key.exists",
            Self::Changed(_) => "key.changed",
            Self::Locked(_) => "key.locked",
            Self::Away(_) => "key.away",
            Self::Refused(_) => "key.refused",
        }
    }
}

/// One private key: ECDSA over P-256 with SHA-256.
pub trait DeviceKey: fmt::Debug + Send + Sync {
    /// Returns what holds it.
    fn kind(&self) -> KeyKind;

    /// Returns the public key as an uncompressed point: 4, x, y (SEC 1, 2.3.3).
    fn public_point(&self) -> [u8; POINT_BYTES];

    /// Signs SHA-256 of `message`; returns r and s, 32 bytes each, big endian, with s in the lower half.
    ///
    /// # Errors
    /// [`KeyError`].
    fn sign_fixed(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], KeyError>;

    /// Returns the public key as a DER `SubjectPublicKeyInfo` (RFC 5480, 2).
    fn public_key(&self) -> Vec<u8> {
        spki(&self.public_point())
    }

    /// Signs SHA-256 of `message`; returns the DER `ECDSA-Sig-Value` of certificates and TLS (RFC 3279, 2.2.3).
    ///
    /// # Errors
    /// [`KeyError`].
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(signature_der(&self.sign_fixed(message)?))
    }
}

/// Makes and finds keys.
pub trait KeyStore: Send + Sync {
    /// Returns what it is.
    fn kind(&self) -> KeyKind;

    /// Makes a key, which is there after a power cut.
    ///
    /// # Errors
    /// [`KeyError`], such as [`KeyError::Exists`].
    fn generate(&self, name: &KeyName) -> Result<Arc<dyn DeviceKey>, KeyError>;

    /// Returns a key, or `None` if it was never made.
    ///
    /// # Errors
    /// [`KeyError`].
    fn open(&self, name: &KeyName) -> Result<Option<Arc<dyn DeviceKey>>, KeyError>;

    /// Removes a key that was rotated out; one that is not there is as good.
    ///
    /// # Errors
    /// [`KeyError`].
    fn remove(&self, name: &KeyName) -> Result<(), KeyError>;

    /// Returns 32 bytes that depend on the store's own secret and on `label`, and are the same after each start.
    ///
    /// # Errors
    /// [`KeyError`].
    fn derive(&self, label: &str) -> Result<Zeroizing<[u8; 32]>, KeyError>;

    /// Returns a key, and makes it if it was never made.
    ///
    /// # Errors
    /// [`KeyError`].
    fn open_or_generate(&self, name: &KeyName) -> Result<Arc<dyn DeviceKey>, KeyError> {
        match self.open(name)? {
            Some(key) => Ok(key),
            None => self.generate(name),
        }
    }
}

/// Signs frames of the wire with a device key: suite 2.
#[derive(Debug, Clone)]
pub struct WireSigner(pub Arc<dyn DeviceKey>);

impl Signer for WireSigner {
    fn suite(&self) -> Suite {
        Suite::EcdsaP256
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], SignerError> {
        self.0.sign_fixed(message).map_err(|_| SignerError)
    }
}
