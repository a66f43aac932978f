//! The client certificate's key of TLS, wherever it lives.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, KeyProvider};
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

use super::DeviceKey;

/// A device key as rustls wants it: ECDSA over P-256 with SHA-256 and nothing else.
#[derive(Debug, Clone)]
pub struct TlsKey(Arc<dyn DeviceKey>);

impl TlsKey {
    /// Takes the key.
    #[must_use]
    pub const fn new(key: Arc<dyn DeviceKey>) -> Self {
        Self(key)
    }
}

impl SigningKey for TlsKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ECDSA_NISTP256_SHA256)
            .then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.0.public_key()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for TlsKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        // The handshake fails, and is tried again like any other that failed.
        self.0.sign(message).map_err(|error| Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

impl KeyProvider for TlsKey {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Ok(Arc::new(self.clone()))
    }
}

/// Returns rustls's ring provider, which takes `key` for whatever private key it is told to load: for libraries that
/// have no other way in. Leaks the few bytes of one [`TlsKey`] a call, since providers are static: call it once a
/// certificate, not once a connection.
#[must_use]
pub fn provider_with(key: TlsKey) -> CryptoProvider {
    CryptoProvider { key_provider: Box::leak(Box::new(key)), ..rustls::crypto::ring::default_provider() }
}
