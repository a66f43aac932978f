//! A request for a certificate: PKCS#10 (RFC 2986), signed by the vehicle's key wherever that lives.

use std::sync::Arc;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData, SignatureAlgorithm, SigningKey,
};

use crate::keystore::{DeviceKey, POINT_BYTES};

/// Why there is no request.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The key does not sign, or cannot be made or read.
    #[error("key: {0}")]
    Key(#[from] rcgen::Error),
}

/// Private key of the client certificate. A key in a TPM or token is used for one certificate after the other, since it
/// cannot be copied; one in a file is made anew for each.
#[derive(Debug)]
pub enum IdentityKey {
    /// Key of this program, P-256.
    File(Box<KeyPair>),
    /// Key of a key store, with its point.
    Device(Arc<dyn DeviceKey>, [u8; POINT_BYTES]),
}

impl From<Arc<dyn DeviceKey>> for IdentityKey {
    fn from(key: Arc<dyn DeviceKey>) -> Self {
        let point = key.public_point();
        Self::Device(key, point)
    }
}

impl IdentityKey {
    /// Makes a P-256 key.
    ///
    /// # Errors
    /// [`RequestError::Key`] if the system gives no random bytes.
    pub fn generate() -> Result<Self, RequestError> {
        Ok(Self::File(Box::new(KeyPair::generate()?)))
    }

    /// Reads a private key, PKCS#8 in PEM.
    ///
    /// # Errors
    /// [`RequestError::Key`].
    pub fn from_pem(text: &str) -> Result<Self, RequestError> {
        Ok(Self::File(Box::new(KeyPair::from_pem(text)?)))
    }

    /// Returns the private key, PKCS#8 in PEM; nothing of a key that stays in its store.
    #[must_use]
    pub fn expose(&self) -> String {
        match self {
            Self::File(key) => key.serialize_pem(),
            Self::Device(..) => String::new(),
        }
    }
}

impl PublicKeyData for IdentityKey {
    fn der_bytes(&self) -> &[u8] {
        match self {
            Self::File(key) => key.der_bytes(),
            Self::Device(_, point) => point,
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self {
            Self::File(key) => PublicKeyData::algorithm(key.as_ref()),
            Self::Device(..) => &rcgen::PKCS_ECDSA_P256_SHA256,
        }
    }
}

impl SigningKey for IdentityKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match self {
            Self::File(key) => key.sign(message),
            Self::Device(key, _) => key.sign(message).map_err(|_| rcgen::Error::RemoteKeyError),
        }
    }
}

/// Returns a request in base64, as EST takes it. The CA writes the name itself; this one only helps who reads logs.
///
/// # Errors
/// [`RequestError`].
pub fn request(vehicle: &str, key: &impl SigningKey) -> Result<String, RequestError> {
    use base64::Engine as _;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, vehicle);
    let request = parameters.serialize_request(key)?;
    Ok(base64::engine::general_purpose::STANDARD.encode(request.der()))
}
