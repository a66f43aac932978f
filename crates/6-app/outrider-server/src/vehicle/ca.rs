//! The installation's own small vehicle CA, for demo and test; a fleet brings its own.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outrider_types::VehicleId;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why certificates cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// File or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A certificate cannot be made.
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A stored certificate or key cannot be read, or TLS refuses it.
    #[error("{what}: {reason}")]
    Unusable {
        /// Certificate, key or configuration.
        what: &'static str,
        /// Why not.
        reason: String,
    },
}

/// Certificate chain and key of one TLS party, and the CA that it trusts; PEM.
#[derive(Clone)]
pub struct TlsFiles {
    /// Certificate of the CA.
    pub ca: String,
    /// Certificate of the party.
    pub certificate: String,
    /// Private key of the party.
    pub key: String,
}

impl std::fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsFiles(..)")
    }
}

/// A certificate authority whose key lies in the installation's folder.
pub struct VehicleCa {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl std::fmt::Debug for VehicleCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("VehicleCa(..)")
    }
}

impl VehicleCa {
    /// Opens the CA of a folder, or creates it if the folder has none.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn open(folder: &Path) -> Result<Self, CaError> {
        let (key_path, certificate_path) =
            (folder.join("vehicle-ca.key.pem"), folder.join("vehicle-ca.cert.pem"));
        if let (Ok(key), Ok(certificate)) =
            (fs::read_to_string(&key_path), fs::read_to_string(&certificate_path))
        {
            let issuer = Issuer::new(authority(), KeyPair::from_pem(&key)?);
            return Ok(Self { issuer, certificate });
        }
        let key = KeyPair::generate()?;
        let certificate = authority().self_signed(&key)?.pem();
        write_secret(&key_path, key.serialize_pem().as_bytes())?;
        write_secret(&certificate_path, certificate.as_bytes())?;
        Ok(Self { issuer: Issuer::new(authority(), key), certificate })
    }

    /// Returns the CA's certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Issues the listener's certificate for loopback and further names.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn issue_listener(&self, addresses: &[IpAddr]) -> Result<TlsFiles, CaError> {
        let mut parameters = CertificateParams::new(vec!["localhost".to_owned()])?;
        parameters.subject_alt_names.extend(addresses.iter().map(|address| SanType::IpAddress(*address)));
        parameters.distinguished_name.push(DnType::CommonName, "outrider vehicle listener");
        self.issue(parameters, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// Issues a vehicle's client certificate; its common name is the pseudonym.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn issue_vehicle(&self, vehicle: VehicleId) -> Result<TlsFiles, CaError> {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, vehicle.to_string());
        self.issue(parameters, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(
        &self,
        mut parameters: CertificateParams,
        usage: ExtendedKeyUsagePurpose,
    ) -> Result<TlsFiles, CaError> {
        parameters.extended_key_usages = vec![usage];
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        Ok(TlsFiles {
            ca: self.certificate.clone(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn authority() -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "outrider vehicle ca");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

/// Writes a file that only its owner may read; existing content is replaced. A crash leaves all of it or nothing.
pub(super) fn write_secret(path: &Path, content: &[u8]) -> Result<(), CaError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let failed = |source| CaError::File { path: path.to_path_buf(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let fresh = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&fresh, path).map_err(failed)
}

impl TlsFiles {
    /// Returns the TLS configuration of a listener that admits only clients of the CA.
    ///
    /// # Errors
    /// [`CaError::Unusable`].
    pub fn listener_config(
        &self,
        provider: Arc<rustls::crypto::CryptoProvider>,
    ) -> Result<Arc<rustls::ServerConfig>, CaError> {
        let tls = |error: rustls::Error| CaError::Unusable { what: "TLS", reason: error.to_string() };
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate(&self.ca)?).map_err(tls)?;
        let clients =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()
                .map_err(|error| CaError::Unusable { what: "client verifier", reason: error.to_string() })?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())
            .map_err(|error| CaError::Unusable { what: "private key", reason: error.to_string() })?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(tls)?
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![certificate(&self.certificate)?], key)
            .map_err(tls)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn certificate(pem: &str) -> Result<CertificateDer<'static>, CaError> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| CaError::Unusable { what: "certificate", reason: error.to_string() })
}

/// Returns the vehicle that a client certificate names: its common name is 32 hexadecimal digits.
pub(super) fn vehicle_of(certificate: &CertificateDer<'_>) -> Option<VehicleId> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let mut names = parsed.subject().iter_common_name();
    let name = names.next()?.as_str().ok()?;
    // Two names would leave open which one was meant.
    if names.next().is_some() { None } else { name.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reopened_ca_issues_certificates_that_the_first_ones_holders_trust() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = VehicleCa::open(folder.path()).expect("it is created");
        let second = VehicleCa::open(folder.path()).expect("it is read back");
        assert_eq!(first.certificate(), second.certificate());
        let vehicle = VehicleId([0xab; 16]);
        let files = second.issue_vehicle(vehicle).expect("it is issued");
        let der = certificate(&files.certificate).expect("it is PEM");
        assert_eq!(vehicle_of(&der), Some(vehicle));
        let listener = second.issue_listener(&[]).expect("it is issued");
        assert_eq!(vehicle_of(&certificate(&listener.certificate).expect("it is PEM")), None);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        listener.listener_config(provider).expect("TLS takes it");
    }

    #[test]
    fn the_key_is_readable_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a temporary folder");
        VehicleCa::open(folder.path()).expect("it is created");
        let mode =
            fs::metadata(folder.path().join("vehicle-ca.key.pem")).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
