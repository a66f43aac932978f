//! One generation of the CA: its key, its certificate, and the two that link it to the one before.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use super::{CaError, write_secret};

/// Generations at most: one every year for twenty years is far below; the bound ends the look for files.
pub(super) const GENERATIONS_MAX: u32 = 99;

/// Key and certificates of one generation.
pub(super) struct Generation {
    /// From 1.
    pub(super) number: u32,
    /// Self-signed certificate, PEM.
    pub(super) certificate: String,
    /// Certificates that link it to the generation before (RFC 4210, 4.4): new key signed by the old one, and old key
    /// signed by the new one; PEM. None for the first.
    pub(super) links: Option<Links>,
    /// What signs.
    pub(super) issuer: Issuer<'static, KeyPair>,
}

/// Root rollover certificates, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Links {
    /// New key, signed by the old one: for those who know only the old root.
    pub(super) new_with_old: String,
    /// Old key, signed by the new one: for those who know only the new root.
    pub(super) old_with_new: String,
}

/// Files of a generation; those of the first have the names that they have always had.
struct Files {
    key: PathBuf,
    certificate: PathBuf,
    new_with_old: PathBuf,
    old_with_new: PathBuf,
}

impl Files {
    fn of(folder: &Path, number: u32) -> Self {
        let stem = if number == 1 { "vehicle-ca".to_owned() } else { format!("vehicle-ca-{number}") };
        let file = |kind: &str| folder.join(format!("{stem}.{kind}.pem"));
        Self {
            key: file("key"),
            certificate: file("cert"),
            new_with_old: file("new-with-old"),
            old_with_new: file("old-with-new"),
        }
    }
}

impl Generation {
    /// Reads a generation; `None` if it does not exist.
    pub(super) fn read(folder: &Path, number: u32) -> Result<Option<Self>, CaError> {
        let files = Files::of(folder, number);
        let read = |path: &Path| match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(CaError::File { path: path.to_path_buf(), source }),
        };
        // The certificate is written last: without it there is no generation.
        let Some(certificate) = read(&files.certificate)? else { return Ok(None) };
        let missing = |what: &'static str| CaError::Unusable { what, reason: "file is missing".to_owned() };
        let key = read(&files.key)?.ok_or_else(|| missing("CA key"))?;
        let links = match number {
            1 => None,
            _ => Some(Links {
                new_with_old: read(&files.new_with_old)?.ok_or_else(|| missing("CA link"))?,
                old_with_new: read(&files.old_with_new)?.ok_or_else(|| missing("CA link"))?,
            }),
        };
        let issuer = Issuer::new(parameters(number), KeyPair::from_pem(&key)?);
        Ok(Some(Self { number, certificate, links, issuer }))
    }

    /// Makes the generation after `old` and writes its files; a crash leaves all of it or nothing.
    pub(super) fn create(folder: &Path, old: Option<&Self>) -> Result<Self, CaError> {
        let number = old.map_or(1, |old| old.number + 1);
        let files = Files::of(folder, number);
        let key = KeyPair::generate()?;
        write_secret(&files.key, key.serialize_pem().as_bytes())?;
        let certificate = parameters(number).self_signed(&key)?.pem();
        let new_with_old = match old {
            Some(old) => Some(parameters(number).signed_by(&key, &old.issuer)?.pem()),
            None => None,
        };
        let issuer = Issuer::new(parameters(number), key);
        let links = match (old, new_with_old) {
            (Some(old), Some(new_with_old)) => {
                let old_with_new = parameters(old.number).signed_by(old.issuer.key(), &issuer)?.pem();
                Some(Links { new_with_old, old_with_new })
            }
            (None, _) | (_, None) => None,
        };
        if let Some(links) = &links {
            write_secret(&files.new_with_old, links.new_with_old.as_bytes())?;
            write_secret(&files.old_with_new, links.old_with_new.as_bytes())?;
        }
        write_secret(&files.certificate, certificate.as_bytes())?;
        Ok(Self { number, certificate, links, issuer })
    }
}

/// Certificate of a generation. It has no end that would be reached: when a root goes is decided by people, and a
/// vehicle that was off for years must still know it.
fn parameters(number: u32) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    let name = match number {
        1 => "outrider vehicle ca".to_owned(),
        _ => format!("outrider vehicle ca {number}"),
    };
    parameters.distinguished_name.push(DnType::CommonName, name);
    // One link may stand between a root and a leaf.
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}
