//! A request to enrol: base64 of PKCS#10 (RFC 7030, 4.2.1; RFC 2986), with its proof of possession.

use base64::Engine as _;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use crate::vehicle::suite::VehicleKey;

/// Longest body. A request with a P-384 key is about 500 bytes of base64; 8 KiB leave room for the attributes of other
/// clients and for the larger keys to come (ML-DSA-65: about 7 KiB with its signature).
pub const EST_BODY_BYTES_MAX: usize = 8 << 10;

/// Why a request to enrol is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Longer than [`EST_BODY_BYTES_MAX`].
    #[error("the request is too long")]
    TooLong,
    /// Not base64.
    #[error("the request is not base64")]
    Base64,
    /// Not one PKCS#10 request in DER.
    #[error("the request is not PKCS#10 in DER")]
    Structure,
    /// A kind of key or signature that is not certified.
    #[error("keys of this kind are not certified")]
    Key,
    /// The signature is not that of the key in the request.
    #[error("the request is not signed by its own key")]
    Proof,
}

impl RequestError {
    /// Returns the stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "est.too_long",
            Self::Base64 => "est.base64",
            Self::Structure => "est.structure",
            Self::Key => "est.key",
            Self::Proof => "est.proof",
        }
    }
}

/// What is taken from a request: its key, and nothing else. Names and extensions that it asks for are not even read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolRequest {
    /// The key, which the sender has proved to hold.
    pub key: VehicleKey,
}

impl EnrolRequest {
    /// Reads a body. White space is skipped (RFC 8951, 3.1: base64 as in RFC 4648, whatever the headers say; clients of
    /// RFC 7030 send lines).
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        if body.len() > EST_BODY_BYTES_MAX {
            return Err(RequestError::TooLong);
        }
        let text: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let der = base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| RequestError::Base64)?;
        Self::parse_der(&der)
    }

    /// Reads a PKCS#10 request in DER.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn parse_der(der: &[u8]) -> Result<Self, RequestError> {
        let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| RequestError::Structure)?;
        if !rest.is_empty() {
            return Err(RequestError::Structure);
        }
        let info = &request.certification_request_info.subject_pki;
        let algorithm = algorithm_of(info.raw).ok_or(RequestError::Structure)?;
        if info.subject_public_key.unused_bits != 0 {
            return Err(RequestError::Key);
        }
        let key = VehicleKey::new(algorithm, &info.subject_public_key.data).ok_or(RequestError::Key)?;
        request.verify_signature().map_err(|_| RequestError::Proof)?;
        Ok(Self { key })
    }
}

/// Returns the AlgorithmIdentifier at the beginning of a SubjectPublicKeyInfo, both in DER with lengths below 128 or one
/// octet of length; keys that need more are in no row of the table.
fn algorithm_of(spki: &[u8]) -> Option<&[u8]> {
    let content = match *spki {
        [0x30, length, ref content @ ..] if length < 0x80 => content,
        [0x30, 0x81, _, ref content @ ..] => content,
        _ => return None,
    };
    let length = usize::from(*content.get(1)?);
    if content.first() != Some(&0x30) || length >= 0x80 {
        return None;
    }
    content.get(..length + 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;
    use crate::vehicle::suite::Suite;

    fn request(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let mut parameters = CertificateParams::new(vec!["evil.example".to_owned()]).expect("a name");
        parameters.distinguished_name.push(DnType::CommonName, "WVWZZZ1JZXW000001");
        parameters.serialize_request(&key).expect("it signs").der().to_vec()
    }

    fn body(der: &[u8]) -> Vec<u8> {
        base64::engine::general_purpose::STANDARD.encode(der).into_bytes()
    }

    #[test]
    fn every_certified_kind_is_read_with_and_without_lines() {
        let kinds = [
            (&rcgen::PKCS_ECDSA_P256_SHA256, Suite::EcdsaP256),
            (&rcgen::PKCS_ECDSA_P384_SHA384, Suite::EcdsaP384),
            (&rcgen::PKCS_ED25519, Suite::Ed25519),
        ];
        for (algorithm, suite) in kinds {
            let body = body(&request(algorithm));
            let lines = body.chunks(64).collect::<Vec<_>>().join(&b"\r\n"[..]);
            let one = EnrolRequest::parse(&body).expect("it is good");
            assert_eq!(one.key.suite(), suite);
            assert_eq!(EnrolRequest::parse(&lines), Ok(one));
        }
    }

    #[test]
    fn each_defect_has_its_code() {
        let good = request(&rcgen::PKCS_ECDSA_P256_SHA256);
        let mut forged = good.clone();
        *forged.last_mut().expect("it is long") ^= 1;
        let mut other_name = good.clone();
        let at = good.windows(4).position(|window| window == b"WVWZ").expect("the name is in it");
        other_name[at] = b'X';
        let trailing = [good.clone(), vec![0]].concat();
        let cases: Vec<(&str, Vec<u8>, RequestError)> = vec![
            ("signature", body(&forged), RequestError::Proof),
            ("changed name", body(&other_name), RequestError::Proof),
            ("trailing byte", body(&trailing), RequestError::Structure),
            ("torn", body(&good[..good.len() - 1]), RequestError::Structure),
            ("empty", Vec::new(), RequestError::Structure),
            ("no base64", b"!!!!".to_vec(), RequestError::Base64),
            ("bare DER", good, RequestError::Base64),
            ("too long", vec![b'A'; EST_BODY_BYTES_MAX + 1], RequestError::TooLong),
        ];
        for (name, body, expected) in cases {
            assert_eq!(EnrolRequest::parse(&body), Err(expected), "{name}");
        }
    }

    #[test]
    fn the_corpus_of_the_fuzz_target_is_judged_without_panic() {
        let folder =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/est_request");
        let (mut good, mut bad) = (0, 0);
        for entry in std::fs::read_dir(folder).expect("the corpus is part of the repository") {
            let bytes = std::fs::read(entry.expect("a readable folder").path()).expect("a readable file");
            match EnrolRequest::parse(&bytes) {
                Ok(_) => good += 1,
                Err(_) => bad += 1,
            }
        }
        assert!(good >= 3 && bad >= 3, "{good} good, {bad} bad");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_changed_byte_changes_the_key(at in 0usize..10_000, flip in 1u8..=255) {
            static GOOD: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
            let good = GOOD.get_or_init(|| request(&rcgen::PKCS_ED25519));
            let mut changed = good.clone();
            let at = at % changed.len();
            changed[at] ^= flip;
            // What the signature does not cover says nothing: the framing around it may be spelled otherwise.
            if let Ok(request) = EnrolRequest::parse_der(&changed) {
                prop_assert_eq!(request, EnrolRequest::parse_der(good).expect("it is good"));
            }
        }

        #[test]
        fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(EnrolRequest::parse_der(&bytes).is_err());
            let _ = EnrolRequest::parse(&bytes);
        }
    }
}
