//! The vehicle's certificates and roots on disk; each step is one rename.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::batch_key::BatchKeyFiles;
use crate::runtime::VehicleConfig;

/// Files longer than this are none of ours.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where the identity lies. What was provisioned is never changed; what was fetched later lies in the state folder and
/// goes first.
#[derive(Debug, Clone)]
pub struct IdentityFiles {
    state: PathBuf,
}

impl IdentityFiles {
    /// Uses the state folder.
    #[must_use]
    pub fn new(state: &Path) -> Self {
        Self { state: state.to_path_buf() }
    }

    /// Certificate and private key in one file, so that they are switched together; PEM.
    fn identity(&self) -> PathBuf {
        self.state.join("identity.pem")
    }

    fn roots(&self) -> PathBuf {
        self.state.join("roots.pem")
    }

    /// Returns certificate with key and roots, where they were fetched.
    #[must_use]
    pub fn fetched(&self) -> (Option<PathBuf>, Option<PathBuf>) {
        let there = |path: PathBuf| path.exists().then_some(path);
        (there(self.identity()), there(self.roots()))
    }

    /// Points a provisioning to what was fetched, or made here since.
    pub fn apply(&self, config: &mut VehicleConfig) {
        let (identity, roots) = self.fetched();
        if let Some(identity) = identity {
            (config.certificate, config.key) = (identity.clone(), identity);
        }
        if let Some(roots) = roots {
            config.ca = roots;
        }
        let batch = BatchKeyFiles::new(&self.state).current();
        if batch.exists() {
            config.batch_key = batch;
        }
    }

    /// Keeps a certificate (DER) with its private key (PEM; empty for one that lives elsewhere). All or nothing.
    ///
    /// # Errors
    /// What the operating system says; the old one stays.
    pub fn keep_identity(&self, certificate: &[u8], key: &str) -> io::Result<()> {
        write_whole(&self.identity(), &format!("{}{key}", pem(certificate)))
    }

    /// Keeps the roots (DER). All or nothing.
    ///
    /// # Errors
    /// What the operating system says; the old ones stay.
    pub fn keep_roots(&self, roots: &[Vec<u8>]) -> io::Result<()> {
        write_whole(&self.roots(), &roots.iter().map(|root| pem(root)).collect::<String>())
    }
}

/// Reads the certificates of a PEM file.
///
/// # Errors
/// What the operating system says, or that it is no PEM.
pub(crate) fn read_certificates(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    if fs::metadata(path)?.len() > FILE_BYTES_MAX {
        return Err(io::Error::other("the file is too long"));
    }
    let text = fs::read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
    Ok(all.into_iter().map(|der| der.to_vec()).collect())
}

/// Writes PEM (RFC 7468).
pub(crate) fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Writes a file that only its owner may read, beside its place first.
pub(crate) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(fresh, path)?;
    match path.parent() {
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Overwrites and removes the keys of a provisioning (as [`VehicleConfig::open_provisioned`] reads it), those that came
/// later, its certificate, and with them the way into its spool. Returns what was removed. Flash keeps old pages for a
/// while all the same.
///
/// # Errors
/// What the operating system says; what is left is tried again with the next call.
pub fn wipe(config: &VehicleConfig) -> io::Result<Vec<PathBuf>> {
    let fetched = IdentityFiles::new(&config.state).identity();
    let pending = config.state.join("enrolment.key.pem");
    let spool_root = config.state.join("spool-k0");
    let changed = BatchKeyFiles::new(&config.state).all();
    let provisioned = [&config.key, &config.batch_key, &config.certificate, &fetched, &pending, &spool_root];
    let mut removed = Vec::new();
    for path in provisioned.into_iter().chain(&changed) {
        if wipe_file(path)? {
            removed.push(path.clone());
        }
    }
    Ok(removed)
}

/// Overwrites and removes a file; returns whether there was one.
pub(super) fn wipe_file(path: &Path) -> io::Result<bool> {
    let length = match fs::metadata(path) {
        Ok(file) => file.len().min(FILE_BYTES_MAX),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(&vec![0; usize::try_from(length).unwrap_or(0)])?;
    file.sync_all()?;
    fs::remove_file(path)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
tenant = 1
vehicle = "0123456789abcdef0123456789abcdef"
cloud = "https://127.0.0.1:1"
ca = "ca.pem"
certificate = "certificate.pem"
key = "key.pem"
batch_key = "batch.key"
ack_public_key = ""
command_public_key = ""
state = "state"
"#;

    #[test]
    fn what_was_fetched_goes_first_and_a_wipe_leaves_no_key() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        for (name, text) in [("vehicle.toml", CONFIG), ("key.pem", "old"), ("batch.key", "b"), ("ca.pem", "")]
        {
            fs::write(at(name), text).expect("it writes");
        }
        let open = || VehicleConfig::open(&at("vehicle.toml")).expect("it reads");
        assert_eq!(open().key, at("key.pem"));
        let files = IdentityFiles::new(&at("state"));
        files.keep_identity(&[0x30, 0], "secret").expect("it writes");
        files.keep_roots(&[vec![0x30, 0]]).expect("it writes");
        let config = open();
        let identity = at("state/identity.pem");
        assert_eq!((&config.key, &config.certificate), (&identity, &identity), "switched together");
        assert_eq!(config.ca, at("state/roots.pem"));
        assert_eq!(read_certificates(&config.ca).expect("PEM"), [vec![0x30, 0]]);
        // A power cut between the two steps leaves the old file.
        fs::write(at("state/identity.new"), "torn").expect("it writes");
        assert!(fs::read_to_string(&open().key).expect("it reads").ends_with("secret"));
        let provisioned = VehicleConfig::open_provisioned(&at("vehicle.toml")).expect("it reads");
        let removed = wipe(&provisioned).expect("it wipes");
        assert_eq!(removed, [at("key.pem"), at("batch.key"), identity.clone()]);
        assert!(removed.iter().all(|path| !path.exists()));
        assert_eq!(wipe(&provisioned).expect("nothing is left"), Vec::<PathBuf>::new());
    }
}
