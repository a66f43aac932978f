//! The installation's own small vehicle CA; a fleet may bring its own.

mod generation;

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use outrider_types::{Clock, UnixMicros, VehicleId};
use rcgen::{
    CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PublicKeyData, RevocationReason, RevokedCertParams, SanType,
    SerialNumber,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

use self::generation::{GENERATIONS_MAX, Generation};
use super::suite::{Suite, VehicleKey};
use crate::port::Random;
use crate::store::RevokedCertificate;

/// Validity of a vehicle's certificate. A year covers a vehicle that stands for a season and bounds how long a key
/// that nobody knows to be stolen is good.
pub const VEHICLE_DAYS: i64 = 365;
/// Validity of the listeners' certificates, which are issued anew every ten days. Longer than a vehicle's, so that a
/// vehicle whose own certificate is good never meets a listener whose last one has ended.
const LISTENER_DAYS: i64 = 397;
/// A vehicle certificate is good from a bit before it was issued: clocks differ by minutes, not by days.
const BACKDATE_US: i64 = 3_600_000_000;
const DAY_US: i64 = 86_400_000_000;
/// The next revocation list comes before this; ours is written anew at each request.
const CRL_DAYS: i64 = 7;

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

/// Serial number of a certificate: hexadecimal, lower case, without leading zeros in pairs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Serial(String);

impl Serial {
    /// Takes the octets of the INTEGER in a certificate.
    #[must_use]
    pub fn of_der(octets: &[u8]) -> Self {
        let first = octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len());
        Self(crate::hex(octets.get(first..).unwrap_or_default()))
    }

    /// Reads the text form; `None` if it is none. At most 20 octets (RFC 5280, 4.1.2.2).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
        let is_short = text.starts_with("00") && text.len() >= 2;
        (is_hex && text.len().is_multiple_of(2) && text.len() <= 40 && !is_short)
            .then(|| Self(text.to_owned()))
    }

    /// Returns the text form.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    fn octets(&self) -> Vec<u8> {
        let pairs = self.0.as_bytes().chunks(2);
        pairs.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
    }
}

/// Certificate that the CA has issued to a vehicle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Vehicle.
    pub vehicle: VehicleId,
    /// Serial.
    pub serial: Serial,
    /// Generation of the CA.
    pub generation: u32,
    /// Kind of key.
    pub suite: Suite,
    /// SHA-256 of the public key's SubjectPublicKeyInfo, hexadecimal.
    pub key_hash: String,
    /// Good from.
    pub not_before: UnixMicros,
    /// Good until.
    pub not_after: UnixMicros,
    /// Certificate, DER.
    pub der: Vec<u8>,
}

/// Certificate chain and key of one TLS party, and the CA that it trusts; PEM.
#[derive(Clone)]
pub struct TlsFiles {
    /// Certificates of the CAs that are trusted.
    pub ca: String,
    /// Certificate of the party, followed by what links it to older CAs.
    pub certificate: String,
    /// Private key of the party.
    pub key: String,
}

impl std::fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsFiles(..)")
    }
}

/// A certificate authority whose keys lie in the installation's folder, one a generation. The newest signs; all are
/// trusted.
pub struct VehicleCa {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Ascending, never empty.
    generations: RwLock<Vec<Arc<Generation>>>,
    first_read: String,
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
    pub fn open(folder: &Path, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Self, CaError> {
        let mut generations = read_from(folder, 1)?;
        if generations.is_empty() {
            generations.push(Arc::new(Generation::create(folder, None)?));
        }
        let first_read = generations.last().map(|newest| newest.certificate.clone()).unwrap_or_default();
        Ok(Self {
            folder: folder.to_path_buf(),
            clock,
            random,
            generations: RwLock::new(generations),
            first_read,
        })
    }

    /// Takes up generations that another program has made; returns whether there were any.
    ///
    /// # Errors
    /// [`CaError`]; what is known stays.
    pub fn reload(&self) -> Result<bool, CaError> {
        let news = read_from(&self.folder, self.newest().number + 1)?;
        let is_new = !news.is_empty();
        self.generations.write().unwrap_or_else(PoisonError::into_inner).extend(news);
        Ok(is_new)
    }

    /// Makes the next generation, which signs from now on; returns its number. The older ones stay trusted.
    ///
    /// # Errors
    /// [`CaError`]; nothing changed.
    pub fn rotate(&self) -> Result<u32, CaError> {
        self.reload()?;
        let mut generations = self.generations.write().unwrap_or_else(PoisonError::into_inner);
        let old = generations.last().expect("there is always one").clone();
        if old.number >= GENERATIONS_MAX {
            return Err(CaError::Unusable { what: "CA", reason: "no more generations".to_owned() });
        }
        let new = Generation::create(&self.folder, Some(&old))?;
        let number = new.number;
        generations.push(Arc::new(new));
        Ok(number)
    }

    fn all(&self) -> Vec<Arc<Generation>> {
        self.generations.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn newest(&self) -> Arc<Generation> {
        self.all().pop().expect("there is always one")
    }

    /// Returns the newest generation's number.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.newest().number
    }

    /// Returns the certificate of the generation that was the newest when the CA was opened, PEM. It stays trusted.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.first_read
    }

    /// Returns the self-signed certificates of all generations, newest first, PEM.
    #[must_use]
    pub fn roots(&self) -> Vec<String> {
        self.all().iter().rev().map(|generation| generation.certificate.clone()).collect()
    }

    /// Returns what `cacerts` answers: all roots, newest first, then the certificates that link them (RFC 7030,
    /// 4.1.3); DER.
    ///
    /// # Errors
    /// [`CaError::Unusable`].
    pub fn trust_bundle(&self) -> Result<Vec<Vec<u8>>, CaError> {
        let generations = self.all();
        let roots = generations.iter().rev().map(|generation| generation.certificate.as_str());
        let links = generations.iter().rev().filter_map(|generation| generation.links.as_ref());
        let links = links.flat_map(|links| [links.new_with_old.as_str(), links.old_with_new.as_str()]);
        roots.chain(links).map(|pem| Ok(certificate(pem)?.to_vec())).collect()
    }

    /// Issues a listener's certificate for loopback and further names. It is good from 1970: a vehicle whose clock has
    /// lost its battery must be able to connect, and only its end protects anything.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn issue_listener(&self, addresses: &[IpAddr]) -> Result<TlsFiles, CaError> {
        let mut parameters = CertificateParams::new(vec!["localhost".to_owned()])?;
        parameters.subject_alt_names.extend(addresses.iter().map(|address| SanType::IpAddress(*address)));
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, "outrider vehicle listener");
        parameters.not_before = OffsetDateTime::UNIX_EPOCH;
        parameters.not_after = moment(self.clock.now().saturating_add(LISTENER_DAYS * DAY_US));
        let key = KeyPair::generate()?;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.use_authority_key_identifier_extension = true;
        let generations = self.all();
        let newest = generations.last().expect("there is always one");
        let mut chain = parameters.signed_by(&key, &newest.issuer)?.pem();
        for links in generations.iter().rev().filter_map(|generation| generation.links.as_ref()) {
            chain.push_str(&links.new_with_old);
        }
        Ok(TlsFiles { ca: self.roots().concat(), certificate: chain, key: key.serialize_pem() })
    }

    /// Issues a vehicle's client certificate with a fresh key; its common name is the pseudonym.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn issue_vehicle(&self, vehicle: VehicleId) -> Result<TlsFiles, CaError> {
        Ok(self.make_vehicle(vehicle)?.0)
    }

    /// Like [`Self::issue_vehicle`], with what the register wants to know.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn make_vehicle(&self, vehicle: VehicleId) -> Result<(TlsFiles, Issued), CaError> {
        let key = KeyPair::generate()?;
        let known = VehicleKey::new(Suite::EcdsaP256.row().algorithm, key.der_bytes())
            .ok_or_else(|| CaError::Unusable { what: "vehicle key", reason: "not of P-256".to_owned() })?;
        let issued = self.certify(vehicle, &known)?;
        let certificate = pem("CERTIFICATE", &issued.der);
        Ok((TlsFiles { ca: self.roots().concat(), certificate, key: key.serialize_pem() }, issued))
    }

    /// Issues a client certificate for a vehicle's key. The subject is the pseudonym and nothing else.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn certify(&self, vehicle: VehicleId, key: &VehicleKey) -> Result<Issued, CaError> {
        let now = self.clock.now();
        // X.509 counts seconds.
        let whole = |at: UnixMicros| UnixMicros(at.0.div_euclid(1_000_000) * 1_000_000);
        let (not_before, not_after) =
            (whole(now.saturating_add(-BACKDATE_US)), whole(now.saturating_add(VEHICLE_DAYS * DAY_US)));
        let key_hash = Sha256::digest(key.subject_public_key_info());
        let serial = self.serial(&key_hash, now);
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = DistinguishedName::new();
        parameters.distinguished_name.push(DnType::CommonName, vehicle.to_string());
        (parameters.not_before, parameters.not_after) = (moment(not_before), moment(not_after));
        parameters.serial_number = Some(SerialNumber::from_slice(&serial.octets()));
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.use_authority_key_identifier_extension = true;
        let newest = self.newest();
        let certificate = parameters.signed_by(key, &newest.issuer)?;
        Ok(Issued {
            vehicle,
            serial,
            generation: newest.number,
            suite: key.suite(),
            key_hash: crate::hex(&key_hash),
            not_before,
            not_after,
            der: certificate.der().to_vec(),
        })
    }

    /// Returns whether this CA has signed a certificate, in any generation.
    #[must_use]
    pub fn has_signed(&self, der: &CertificateDer<'_>) -> bool {
        let Ok((_, parsed)) = x509_parser::parse_x509_certificate(der) else { return false };
        self.all().iter().any(|generation| {
            let Ok(root) = certificate(&generation.certificate) else { return false };
            let Ok((_, root)) = x509_parser::parse_x509_certificate(&root) else { return false };
            parsed.verify_signature(Some(root.public_key())).is_ok()
        })
    }

    /// Draws a serial: 120 bits that nobody can guess (RFC 5280, 4.1.2.2 wants it unique), positive and without leading
    /// zero. Key and time go in, so that a source that repeats itself gives no number twice.
    fn serial(&self, key_hash: &[u8], now: UnixMicros) -> Serial {
        let mut random = [0; 32];
        self.random.fill(&mut random);
        let hash =
            Sha256::new().chain_update(random).chain_update(key_hash).chain_update(now.0.to_le_bytes());
        let mut octets: [u8; 16] = [0; 16];
        octets.copy_from_slice(&hash.finalize()[..16]);
        octets[0] = 0x40 | (octets[0] & 0x3f);
        Serial::of_der(&octets)
    }

    /// Writes the revocation list of one generation (RFC 5280, 5), DER; `None` if there is no such generation.
    ///
    /// # Errors
    /// [`CaError`].
    pub fn revocation_list(
        &self,
        generation: u32,
        revoked: &[RevokedCertificate],
    ) -> Result<Option<Vec<u8>>, CaError> {
        let Some(generation) = self.all().into_iter().find(|known| known.number == generation) else {
            return Ok(None);
        };
        let now = self.clock.now();
        let entries = revoked.iter().filter(|entry| entry.generation == generation.number);
        let list = CertificateRevocationListParams {
            this_update: moment(now),
            next_update: moment(now.saturating_add(CRL_DAYS * DAY_US)),
            // Lists are numbered by the second: they may be written by several programs that share no counter.
            crl_number: SerialNumber::from_slice(&now.0.div_euclid(1_000_000).to_be_bytes()),
            issuing_distribution_point: None,
            revoked_certs: entries
                .map(|entry| RevokedCertParams {
                    serial_number: SerialNumber::from_slice(&entry.serial.octets()),
                    revocation_time: moment(entry.at),
                    reason_code: Some(match entry.reason.as_str() {
                        "revoked" => RevocationReason::KeyCompromise,
                        "retired" => RevocationReason::CessationOfOperation,
                        "superseded" => RevocationReason::Superseded,
                        _ => RevocationReason::Unspecified,
                    }),
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(Some(list.signed_by(&generation.issuer)?.der().to_vec()))
    }
}

/// Reads the generations from a number on, until one is missing.
fn read_from(folder: &Path, first: u32) -> Result<Vec<Arc<Generation>>, CaError> {
    let mut generations = Vec::new();
    for number in first..=GENERATIONS_MAX {
        let Some(generation) = Generation::read(folder, number)? else { break };
        generations.push(Arc::new(generation));
    }
    Ok(generations)
}

/// Time as certificates hold it; what no calendar has becomes the end of it.
fn moment(at: UnixMicros) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1_000_000)).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Writes PEM (RFC 7468).
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// Reads the first certificate of a PEM text.
pub(super) fn certificate(pem: &str) -> Result<CertificateDer<'static>, CaError> {
    CertificateDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| CaError::Unusable { what: "certificate", reason: error.to_string() })
}

/// Writes a file that only its owner may read; existing content is replaced. A crash leaves all of it or nothing.
pub(crate) fn write_secret(path: &Path, content: &[u8]) -> Result<(), CaError> {
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

#[cfg(test)]
mod tests;
