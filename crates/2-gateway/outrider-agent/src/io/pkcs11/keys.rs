//! Keys in a PKCS#11 token.

use std::fmt;
use std::sync::Arc;

use outrider_wire::SIGNATURE_BYTES;
use zeroize::Zeroizing;

use super::token::{Token, TokenError};
use crate::keystore::{DeviceKey, KeyError, KeyKind, KeyName, KeyStore, POINT_BYTES};

/// Keys of one token; their labels begin with `outrider-`.
#[derive(Debug, Clone)]
pub struct TokenStore(Token);

struct TokenKey {
    token: Token,
    label: String,
    point: [u8; POINT_BYTES],
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(..)")
    }
}

impl From<TokenError> for KeyError {
    fn from(error: TokenError) -> Self {
        let text = error.to_string();
        match error {
            TokenError::Away(_) => Self::Away(text),
            TokenError::Pin(_) => Self::Locked(text),
            TokenError::Refused(_) => Self::Refused(text),
        }
    }
}

impl TokenStore {
    /// Uses a token.
    #[must_use]
    pub const fn new(token: Token) -> Self {
        Self(token)
    }

    fn key(&self, label: String, point: [u8; POINT_BYTES]) -> Arc<dyn DeviceKey> {
        Arc::new(TokenKey { token: self.0.clone(), label, point })
    }
}

fn label(name: &KeyName) -> String {
    format!("outrider-{name}")
}

impl DeviceKey for TokenKey {
    fn kind(&self) -> KeyKind {
        KeyKind::Pkcs11
    }

    fn public_point(&self) -> [u8; POINT_BYTES] {
        self.point
    }

    fn sign_fixed(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], KeyError> {
        Ok(self.token.sign(&self.label, message)?)
    }
}

impl KeyStore for TokenStore {
    fn kind(&self) -> KeyKind {
        KeyKind::Pkcs11
    }

    fn generate(&self, name: &KeyName) -> Result<Arc<dyn DeviceKey>, KeyError> {
        let label = label(name);
        if self.0.public_point(&label)?.is_some() {
            return Err(KeyError::Exists(name.clone()));
        }
        let point = self.0.generate(&label)?;
        Ok(self.key(label, point))
    }

    fn open(&self, name: &KeyName) -> Result<Option<Arc<dyn DeviceKey>>, KeyError> {
        let label = label(name);
        Ok(self.0.public_point(&label)?.map(|point| self.key(label, point)))
    }

    fn remove(&self, name: &KeyName) -> Result<(), KeyError> {
        Ok(self.0.remove(&label(name))?)
    }

    fn derive(&self, label: &str) -> Result<Zeroizing<[u8; 32]>, KeyError> {
        Ok(self.0.derive("outrider secrets", label.as_bytes())?)
    }
}
