//! Change of the batch key: the next one is made here, registered with the cloud, and only then used.
//!
//! Three files in the state folder, each replaced by one rename. `batch.next` is a key that waits: its secret, and the
//! first boot that it was offered for, once it was. `batch.key` is the key in use, if it was ever changed; before that it
//! is the provisioning's. `spool.secret` is what the spool was begun with: it came from a key that is gone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use outrider_gateway::Ed25519Signer;
use outrider_types::{BootEpoch, hex_decode};
use outrider_wire::{SIGNATURE_BYTES, Signer, SignerError};
use zeroize::Zeroizing;

use super::files::{wipe_file, write_whole};

/// A secret in hexadecimal digits, a boot, and the ends of lines.
const FILE_BYTES_MAX: u64 = 128;

/// The batch key in memory. All clones sign with the same key, and change it together.
#[derive(Clone)]
pub struct BatchSigner(Arc<RwLock<Ed25519Signer>>);

impl BatchSigner {
    /// Takes the secret of an Ed25519 key.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Arc::new(RwLock::new(Ed25519Signer::new(secret))))
    }

    /// Signs with another key from now on.
    pub fn change(&self, secret: &[u8; 32]) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Ed25519Signer::new(secret);
    }

    /// Returns the public key.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.0.read().unwrap_or_else(PoisonError::into_inner).public_key()
    }
}

impl std::fmt::Debug for BatchSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BatchSigner(..)")
    }
}

impl Signer for BatchSigner {
    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], SignerError> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).sign(message)
    }
}

/// A key that waits until the cloud knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct NextKey {
    secret: Zeroizing<[u8; 32]>,
    /// First boot that it was offered for; `None` until it was.
    pub from: Option<BootEpoch>,
}

impl NextKey {
    /// Returns its secret.
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }
}

impl std::fmt::Debug for NextKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NextKey").field("from", &self.from).finish_non_exhaustive()
    }
}

/// Where changed batch keys lie.
#[derive(Debug, Clone)]
pub struct BatchKeyFiles {
    state: PathBuf,
}

impl BatchKeyFiles {
    /// Uses the state folder.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { state: state.to_path_buf() }
    }

    /// All files that hold a secret.
    #[must_use]
    pub fn all(&self) -> [PathBuf; 3] {
        [self.current(), self.next(), self.spool()]
    }

    /// The key in use, once it was changed.
    #[must_use]
    pub fn current(&self) -> PathBuf {
        self.state.join("batch.key")
    }

    fn next(&self) -> PathBuf {
        self.state.join("batch.next")
    }

    fn spool(&self) -> PathBuf {
        self.state.join("spool.secret")
    }

    /// Makes the next key, unless one waits already.
    ///
    /// # Errors
    /// What the operating system says, or that it gives no random bytes.
    pub fn make_next(&self) -> io::Result<()> {
        if self.next().exists() {
            return Ok(());
        }
        let mut secret = Zeroizing::new([0; 32]);
        rustls::crypto::ring::default_provider()
            .secure_random
            .fill(&mut *secret)
            .map_err(|_| io::Error::other("the system gives no random bytes"))?;
        self.write_next(&NextKey { secret, from: None })
    }

    fn write_next(&self, next: &NextKey) -> io::Result<()> {
        let from = next.from.map_or(String::new(), |from| format!(" {}", from.0));
        write_whole(&self.next(), &Zeroizing::new(format!("{}{from}\n", &*hex(&next.secret))))
    }

    /// Returns the key that waits.
    ///
    /// # Errors
    /// What the operating system says, or that the file holds something else.
    pub fn waiting(&self) -> io::Result<Option<NextKey>> {
        let Some(text) = read(&self.next())? else { return Ok(None) };
        let mut words = text.split_ascii_whitespace();
        let secret = Zeroizing::new(secret(words.next().unwrap_or_default())?);
        let from = words.next().map(str::parse).transpose();
        let from = from.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{error}")))?;
        Ok(Some(NextKey { secret, from: from.map(BootEpoch) }))
    }

    /// Says which boot the key is offered for, before it is offered: the same offer must be repeated if its answer is
    /// lost.
    ///
    /// # Errors
    /// What the operating system says; nothing may be sent then.
    pub fn offer(&self, next: &mut NextKey, from: BootEpoch) -> io::Result<()> {
        let offered = NextKey { from: Some(from), ..next.clone() };
        self.write_next(&offered)?;
        *next = offered;
        Ok(())
    }

    /// Takes the key that waited into use. `spool` is the secret of the spool, which outlives the key it came from.
    ///
    /// # Errors
    /// What the operating system says; the same call may be repeated.
    pub fn keep(&self, next: &NextKey, spool: &[u8; 32]) -> io::Result<()> {
        if !self.spool().exists() {
            write_whole(&self.spool(), &hex(spool))?;
        }
        write_whole(&self.current(), &hex(&next.secret))?;
        wipe_file(&self.next()).map(|_| ())
    }

    /// Forgets the key that waited.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn give_up(&self) -> io::Result<()> {
        wipe_file(&self.next()).map(|_| ())
    }

    /// Returns the spool's secret, if the batch key is not the one that it came from.
    ///
    /// # Errors
    /// What the operating system says, or that the file holds something else.
    pub fn spool_secret(&self) -> io::Result<Option<[u8; 32]>> {
        read(&self.spool())?.map(|text| secret(text.trim())).transpose()
    }
}

fn hex(secret: &[u8; 32]) -> Zeroizing<String> {
    Zeroizing::new(secret.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn secret(text: &str) -> io::Result<[u8; 32]> {
    hex_decode::<32>(text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
}

fn read(path: &Path) -> io::Result<Option<Zeroizing<String>>> {
    match std::fs::metadata(path) {
        Ok(file) if file.len() > FILE_BYTES_MAX => Err(io::Error::other("the file is too long")),
        Ok(_) => std::fs::read_to_string(path).map(|text| Some(Zeroizing::new(text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_key_waits_is_offered_for_one_boot_and_used_once_it_is_known() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = BatchKeyFiles::new(folder.path());
        assert_eq!(files.waiting().expect("nothing"), None);
        files.make_next().expect("it writes");
        let mut next = files.waiting().expect("it reads").expect("a key");
        files.make_next().expect("there is one already");
        assert_eq!(files.waiting().expect("it reads"), Some(next.clone()), "one at a time");
        assert_eq!(next.from, None);
        files.offer(&mut next, BootEpoch(7)).expect("it writes");
        assert_eq!(files.waiting().expect("it reads"), Some(next.clone()));
        assert_eq!(next.from, Some(BootEpoch(7)));
        assert_eq!(files.spool_secret().expect("nothing"), None);
        files.keep(&next, &[9; 32]).expect("it writes");
        assert_eq!(files.spool_secret().expect("it reads"), Some([9; 32]));
        assert_eq!(fs::read_to_string(files.current()).expect("a key"), *hex(next.secret()));
        assert_eq!(files.waiting().expect("nothing"), None);
        // The second change leaves the spool's secret alone: the spool was not begun anew.
        files.make_next().expect("it writes");
        let second = files.waiting().expect("it reads").expect("a key");
        assert_ne!(second.secret(), next.secret());
        files.keep(&second, &[8; 32]).expect("it writes");
        assert_eq!(files.spool_secret().expect("it reads"), Some([9; 32]));
    }

    #[test]
    fn files_that_hold_something_else_are_errors_not_keys() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = BatchKeyFiles::new(folder.path());
        for text in ["", "00", &"zz".repeat(32), &format!("{} later", "00".repeat(32)), &"0".repeat(4096)] {
            fs::write(folder.path().join("batch.next"), text).expect("it writes");
            assert!(files.waiting().is_err(), "{text:.80}");
            fs::write(folder.path().join("spool.secret"), text).expect("it writes");
            assert!(files.spool_secret().is_err() || text.contains(' '), "{text:.80}");
        }
        files.give_up().expect("it removes");
        assert_eq!(files.waiting().expect("nothing"), None);
    }

    #[test]
    fn clones_of_a_signer_change_together() {
        let signer = BatchSigner::new(&[1; 32]);
        let clone = signer.clone();
        signer.change(&[2; 32]);
        assert_eq!(clone.public_key(), Ed25519Signer::new(&[2; 32]).public_key());
        assert_eq!(clone.sign(b"x"), Ed25519Signer::new(&[2; 32]).sign(b"x"));
    }
}
