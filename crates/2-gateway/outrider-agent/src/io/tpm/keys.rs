//! Keys in a TPM 2.0.
//!
//! The TPM makes a key from its owner's seed and the key's name, always the same, so that only the public key is kept: in a
//! file, to notice a TPM that was cleared or exchanged. Removing the file ends the use of the name; a rotated key has another.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outrider_wire::SIGNATURE_BYTES;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::command::{Template, Use};
use super::device::{Tpm, TpmError};
use super::response::Refusal;
use crate::keystore::{DeviceKey, KeyError, KeyKind, KeyName, KeyStore, POINT_BYTES, point_of, spki};

/// Keys of one TPM.
#[derive(Debug, Clone)]
pub struct TpmStore {
    tpm: Tpm,
    folder: PathBuf,
}

struct TpmKey {
    tpm: Tpm,
    template: Template,
    point: [u8; POINT_BYTES],
}

impl fmt::Debug for TpmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TpmKey(..)")
    }
}

impl From<TpmError> for KeyError {
    fn from(error: TpmError) -> Self {
        match &error {
            TpmError::Away(_) | TpmError::Refused(Refusal::Busy | Refusal::NotStarted) => {
                Self::Away(error.to_string())
            }
            TpmError::Refused(Refusal::LockedOut | Refusal::Password) => Self::Locked(error.to_string()),
            TpmError::Refused(_) | TpmError::Answer | TpmError::Index => Self::Refused(error.to_string()),
        }
    }
}

impl TpmStore {
    /// Uses a TPM, and `folder` for the public keys that it made.
    #[must_use]
    pub fn new(tpm: Tpm, folder: &Path) -> Self {
        Self { tpm, folder: folder.to_owned() }
    }

    fn path(&self, name: &KeyName) -> PathBuf {
        self.folder.join(format!("{name}.tpm-public"))
    }

    fn key(&self, name: &KeyName) -> Result<TpmKey, KeyError> {
        let unique = Sha256::digest(format!("outrider key {name}")).into();
        let template = Template { usage: Use::Sign, unique };
        let point = self.tpm.public_point(&template)?;
        Ok(TpmKey { tpm: self.tpm.clone(), template, point })
    }

    fn public(&self, name: &KeyName) -> Result<Option<[u8; POINT_BYTES]>, KeyError> {
        let path = self.path(name);
        let wrong = |reason: &str| KeyError::Refused(format!("{}: {reason}", path.display()));
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrong(&error.to_string())),
            Ok(file) if file.len() > 128 => return Err(wrong("no public key")),
            Ok(_) => {}
        }
        let bytes = fs::read(&path).map_err(|error| wrong(&error.to_string()))?;
        point_of(&bytes).map(Some).ok_or_else(|| wrong("no public key"))
    }
}

impl DeviceKey for TpmKey {
    fn kind(&self) -> KeyKind {
        KeyKind::Tpm
    }

    fn public_point(&self) -> [u8; POINT_BYTES] {
        self.point
    }

    fn sign_fixed(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], KeyError> {
        let digest = Sha256::digest(message).into();
        Ok(self.tpm.sign(&self.template, &digest)?)
    }
}

impl KeyStore for TpmStore {
    fn kind(&self) -> KeyKind {
        KeyKind::Tpm
    }

    fn generate(&self, name: &KeyName) -> Result<Arc<dyn DeviceKey>, KeyError> {
        if self.public(name)?.is_some() {
            return Err(KeyError::Exists(name.clone()));
        }
        let key = self.key(name)?;
        let path = self.path(name);
        let write = || {
            fs::create_dir_all(&self.folder)?;
            let fresh = path.with_extension("new");
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            file.write_all(&spki(&key.point))?;
            file.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error: io::Error| KeyError::Refused(format!("{}: {error}", path.display())))?;
        Ok(Arc::new(key))
    }

    fn open(&self, name: &KeyName) -> Result<Option<Arc<dyn DeviceKey>>, KeyError> {
        let Some(public) = self.public(name)? else { return Ok(None) };
        let key = self.key(name)?;
        if key.point != public {
            return Err(KeyError::Changed(name.clone()));
        }
        Ok(Some(Arc::new(key)))
    }

    fn remove(&self, name: &KeyName) -> Result<(), KeyError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(KeyError::Refused(format!("{}: {error}", path.display()))),
        }
    }

    fn derive(&self, label: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let unique = Sha256::digest(b"outrider secrets").into();
        let template = Template { usage: Use::Derive, unique };
        Ok(self.tpm.derive(&template, label.as_bytes())?)
    }
}
