//! Keys in files of the state folder, readable by the vehicle program alone.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outrider_wire::SIGNATURE_BYTES;
use outrider_wire::low_s;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use zeroize::Zeroizing;

use super::{DeviceKey, KeyError, KeyKind, KeyName, KeyStore, POINT_BYTES};

/// Longest file read: a PKCS#8 key of P-256 has 138 bytes.
const FILE_BYTES_MAX: u64 = 512;

/// Keys as PKCS#8 files `NAME.p8`, mode 600, in one folder of mode 700.
#[derive(Debug, Clone)]
pub struct FileStore {
    folder: PathBuf,
}

struct FileKey {
    pair: EcdsaKeyPair,
    point: [u8; POINT_BYTES],
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(..)")
    }
}

fn io_error(path: &Path, error: &io::Error) -> KeyError {
    KeyError::Refused(format!("{}: {error}", path.display()))
}

impl FileStore {
    /// Uses a folder, which is made with the first key.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn path(&self, name: &KeyName) -> PathBuf {
        self.folder.join(format!("{name}.p8"))
    }

    fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
        let long = |length: u64| io::Error::other(format!("{length} bytes, at most {FILE_BYTES_MAX}"));
        let read = fs::metadata(path).and_then(|file| match file.len() {
            ..=FILE_BYTES_MAX => fs::read(path),
            length => Err(long(length)),
        });
        match read {
            Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error(path, &error)),
        }
    }

    /// Writes a file that was not there, whole or not at all.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
        let write = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            let fresh = path.with_extension("new");
            let _ = fs::remove_file(&fresh);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&fresh, path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| io_error(path, &error))
    }
}

fn key(bytes: &[u8], path: &Path) -> Result<Arc<dyn DeviceKey>, KeyError> {
    let bad = || KeyError::Refused(format!("{}: no PKCS#8 key of P-256", path.display()));
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes, &SystemRandom::new())
        .map_err(|_| bad())?;
    let point = pair.public_key().as_ref().try_into().map_err(|_| bad())?;
    Ok(Arc::new(FileKey { pair, point }))
}

impl DeviceKey for FileKey {
    fn kind(&self) -> KeyKind {
        KeyKind::File
    }

    fn public_point(&self) -> [u8; POINT_BYTES] {
        self.point
    }

    fn sign_fixed(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], KeyError> {
        let refused = || KeyError::Refused("signature".to_owned());
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| refused())?;
        signature.as_ref().try_into().map(low_s).map_err(|_| refused())
    }
}

impl KeyStore for FileStore {
    fn kind(&self) -> KeyKind {
        KeyKind::File
    }

    fn generate(&self, name: &KeyName) -> Result<Arc<dyn DeviceKey>, KeyError> {
        let path = self.path(name);
        if path.exists() {
            return Err(KeyError::Exists(name.clone()));
        }
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .map_err(|_| KeyError::Refused("no random numbers".to_owned()))?;
        self.write(&path, made.as_ref())?;
        key(made.as_ref(), &path)
    }

    fn open(&self, name: &KeyName) -> Result<Option<Arc<dyn DeviceKey>>, KeyError> {
        let path = self.path(name);
        Self::read(&path)?.map(|bytes| key(&bytes, &path)).transpose()
    }

    fn remove(&self, name: &KeyName) -> Result<(), KeyError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io_error(&path, &error)),
        }
    }

    fn derive(&self, label: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        let path = self.folder.join("secret");
        let secret = match Self::read(&path)? {
            Some(secret) if secret.len() == 32 => secret,
            Some(_) => return Err(KeyError::Refused(format!("{}: not 32 bytes", path.display()))),
            None => {
                let mut secret = Zeroizing::new(vec![0; 32]);
                let filled = SystemRandom::new().fill(&mut secret);
                filled.map_err(|_| KeyError::Refused("no random numbers".to_owned()))?;
                self.write(&path, &secret)?;
                secret
            }
        };
        let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), label.as_bytes());
        derived.as_ref().try_into().map(Zeroizing::new).map_err(|_| KeyError::Refused("hmac".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use outrider_gateway::EcdsaP256Verifier;
    use outrider_wire::Verifier;

    use super::*;

    #[test]
    fn a_file_key_is_the_same_after_a_start_and_nobody_else_may_read_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = FileStore::new(&folder.path().join("keys"));
        let name = KeyName::new("tls-1").expect("a name");
        assert!(store.open(&name).expect("no folder yet").is_none());
        let made = store.generate(&name).expect("writable");
        assert_eq!(store.generate(&name).err(), Some(KeyError::Exists(name.clone())));
        let opened = store.open(&name).expect("readable").expect("just made");
        assert_eq!(made.public_key(), opened.public_key());
        let mode = fs::metadata(store.path(&name)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let verifier = EcdsaP256Verifier::new(&opened.public_point()).expect("a point");
        for number in 0..20u8 {
            let signature = opened.sign_fixed(&[number]).expect("key in memory");
            assert!(verifier.verify(&[number], &signature) && !verifier.verify(&[99], &signature));
        }
        store.remove(&name).expect("writable");
        store.remove(&name).expect("gone is as good");
        assert!(store.open(&name).expect("readable").is_none());
    }

    #[test]
    fn derived_secrets_stay_and_differ_by_label() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = FileStore::new(folder.path());
        let one = store.derive("one").expect("writable");
        assert_eq!(*one, *store.derive("one").expect("readable"));
        assert_ne!(*one, *store.derive("two").expect("readable"));
        fs::write(folder.path().join("secret"), [1; 31]).expect("writable");
        assert!(store.derive("one").is_err());
    }

    #[test]
    fn names_and_broken_files_are_refused() {
        for name in ["", "a/b", "..", "A", &"a".repeat(33)] {
            assert_eq!(KeyName::new(name), Err(KeyError::Name), "{name}");
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = FileStore::new(folder.path());
        let name = KeyName::new("tls-1").expect("a name");
        fs::write(folder.path().join("tls-1.p8"), [0x30; 138]).expect("writable");
        assert_eq!(store.open(&name).map(|_| ()).map_err(|error| error.code()), Err("key.refused"));
        fs::write(folder.path().join("tls-1.p8"), [0x30; 600]).expect("writable");
        assert_eq!(store.open(&name).map(|_| ()).map_err(|error| error.code()), Err("key.refused"));
    }
}
