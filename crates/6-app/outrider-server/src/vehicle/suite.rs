//! Kinds of vehicle keys that the CA certifies: one table, so that a kind is added or struck off in one place.

use rcgen::{PublicKeyData, SignatureAlgorithm};

/// Kind of key and signature of a vehicle certificate. Closed list, append-only words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Suite {
    /// ECDSA on P-256 with SHA-256: what TPM 2.0 and most HSMs have.
    EcdsaP256,
    /// ECDSA on P-384 with SHA-384.
    EcdsaP384,
    /// Ed25519 (RFC 8410).
    Ed25519,
}

/// Row of the table.
#[derive(Debug, Clone, Copy)]
pub struct SuiteRow {
    /// Kind.
    pub suite: Suite,
    /// Word in database, API and screen.
    pub word: &'static str,
    /// Algorithm and parameters of SubjectPublicKeyInfo as DER, from the clauses named beside each row.
    pub algorithm: &'static [u8],
    /// Length of the key's octets.
    pub key_bytes: usize,
    /// Whether new certificates are issued for it. One that is struck off stays in the table: its old certificates
    /// are still read.
    pub is_issued: bool,
}

/// Every kind there is.
pub const SUITES: &[SuiteRow] = &[
    SuiteRow {
        suite: Suite::EcdsaP256,
        word: "ecdsa_p256",
        // RFC 5480, 2.1.1: id-ecPublicKey with namedCurve secp256r1.
        algorithm: &[
            0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
            0xce, 0x3d, 0x03, 0x01, 0x07,
        ],
        key_bytes: 65,
        is_issued: true,
    },
    SuiteRow {
        suite: Suite::EcdsaP384,
        word: "ecdsa_p384",
        // RFC 5480, 2.1.1: id-ecPublicKey with namedCurve secp384r1.
        algorithm: &[
            0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04,
            0x00, 0x22,
        ],
        key_bytes: 97,
        is_issued: true,
    },
    SuiteRow {
        suite: Suite::Ed25519,
        word: "ed25519",
        // RFC 8410, 3: id-Ed25519 without parameters.
        algorithm: &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70],
        key_bytes: 32,
        is_issued: true,
    },
];

impl Suite {
    /// Returns the row of the table.
    #[must_use]
    pub fn row(self) -> &'static SuiteRow {
        SUITES.iter().find(|row| row.suite == self).expect("every kind has a row; a test checks it")
    }

    /// Returns the word in database, API and screen.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.row().word
    }

    /// Returns the algorithm by which certificates name the kind.
    const fn signature(self) -> &'static SignatureAlgorithm {
        match self {
            Self::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Self::Ed25519 => &rcgen::PKCS_ED25519,
        }
    }
}

/// Public key of a vehicle, of a kind in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VehicleKey {
    suite: Suite,
    octets: Vec<u8>,
}

impl VehicleKey {
    /// Takes the DER of an AlgorithmIdentifier and the octets of the key; `None` for a kind that is not certified or
    /// a length that is not its own. A point in compressed form is none: TLS 1.3 does not know it (RFC 8446, 4.2.8.2).
    #[must_use]
    pub fn new(algorithm: &[u8], octets: &[u8]) -> Option<Self> {
        let row = SUITES.iter().find(|row| row.algorithm == algorithm && row.is_issued)?;
        let is_point = row.suite == Suite::Ed25519 || octets.first() == Some(&4);
        (octets.len() == row.key_bytes && is_point)
            .then(|| Self { suite: row.suite, octets: octets.to_vec() })
    }

    /// Returns the kind.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }
}

impl PublicKeyData for VehicleKey {
    fn der_bytes(&self) -> &[u8] {
        &self.octets
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.suite.signature()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_one_row_whose_algorithm_is_the_one_that_certificates_carry() {
        for suite in [Suite::EcdsaP256, Suite::EcdsaP384, Suite::Ed25519] {
            assert_eq!(SUITES.iter().filter(|row| row.suite == suite).count(), 1);
            let mut octets = vec![7; suite.row().key_bytes];
            octets[0] = 4;
            let key = VehicleKey::new(suite.row().algorithm, &octets).expect("it is certified");
            let spki = key.subject_public_key_info();
            let algorithm = suite.row().algorithm;
            assert!(spki.windows(algorithm.len()).any(|window| window == algorithm), "{suite:?}");
        }
    }

    #[test]
    fn other_kinds_lengths_and_forms_are_refused() {
        let p256 = Suite::EcdsaP256.row().algorithm;
        assert_eq!(VehicleKey::new(p256, &[4; 64]), None, "too short");
        assert_eq!(VehicleKey::new(p256, &[2; 65]), None, "no uncompressed point");
        assert_eq!(VehicleKey::new(&[0x30, 0x00], &[4; 65]), None, "no algorithm");
        assert_eq!(VehicleKey::new(Suite::Ed25519.row().algorithm, &[0; 33]), None, "too long");
    }
}
