//! Ed25519 for the wire's signer and verifier.

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use outrider_wire::{SIGNATURE_BYTES, Signer, SignerError, Verifier};

/// Signs with a key held in memory. A vehicle with a hardware key store implements [`Signer`] itself.
pub struct Ed25519Signer(SigningKey);

impl std::fmt::Debug for Ed25519Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ed25519Signer(..)")
    }
}

impl Ed25519Signer {
    /// Creates a signer from a 32-byte secret key (RFC 8032 seed).
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(secret))
    }

    /// Returns the public key.
    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }
}

impl Signer for Ed25519Signer {
    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], SignerError> {
        Ok(self.0.sign(message).to_bytes())
    }
}

/// Verifies strictly: canonical encodings only, no small-order keys.
#[derive(Debug, Clone)]
pub struct Ed25519Verifier(VerifyingKey);

/// The 32 bytes are no Ed25519 public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no ed25519 public key")]
pub struct PublicKeyError;

impl Ed25519Verifier {
    /// Creates a verifier from a 32-byte public key.
    ///
    /// # Errors
    /// [`PublicKeyError`] if the bytes are no point of the curve, or one of small order.
    pub fn new(public: &[u8; 32]) -> Result<Self, PublicKeyError> {
        let key = VerifyingKey::from_bytes(public).map_err(|_| PublicKeyError)?;
        if key.is_weak() { Err(PublicKeyError) } else { Ok(Self(key)) }
    }
}

impl Verifier for Ed25519Verifier {
    fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.0.verify_strict(message, &signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_bound_to_message_and_key() {
        let signer = Ed25519Signer::new(&[7; 32]);
        let verifier = Ed25519Verifier::new(&signer.public_key()).expect("a real public key");
        let other =
            Ed25519Verifier::new(&Ed25519Signer::new(&[8; 32]).public_key()).expect("a real public key");
        let signature = signer.sign(b"frame").expect("key in memory");
        assert!(verifier.verify(b"frame", &signature));
        assert!(!verifier.verify(b"frame!", &signature));
        assert!(!other.verify(b"frame", &signature));
    }

    #[test]
    fn the_neutral_point_is_no_key() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(Ed25519Verifier::new(&neutral).err(), Some(PublicKeyError));
    }
}
