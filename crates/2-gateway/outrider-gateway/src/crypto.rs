//! Ed25519 and ECDSA over P-256 for the wire's signer and verifier.

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use outrider_wire::{SIGNATURE_BYTES, Signer, SignerError, Suite, Verifier, is_low_s};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

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

/// The bytes are no public key of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no public key of this kind")]
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

/// Verifies ECDSA over P-256 with SHA-256, and takes a signature in its one spelling only: s in the lower half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcdsaP256Verifier([u8; 65]);

impl EcdsaP256Verifier {
    /// Creates a verifier from an uncompressed point: 4, x, y. Whether it is on the curve shows with each signature.
    ///
    /// # Errors
    /// [`PublicKeyError`] if the bytes are no uncompressed point.
    pub fn new(point: &[u8; 65]) -> Result<Self, PublicKeyError> {
        if point.first() == Some(&4) { Ok(Self(*point)) } else { Err(PublicKeyError) }
    }
}

impl Verifier for EcdsaP256Verifier {
    fn suite(&self) -> Suite {
        Suite::EcdsaP256
    }

    fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        is_low_s(signature)
            && UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.0).verify(message, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use outrider_wire::low_s;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

    use super::*;

    #[test]
    fn an_ecdsa_signature_has_one_spelling() {
        let random = SystemRandom::new();
        let secret = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("random");
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, secret.as_ref(), &random)
            .expect("just made");
        let point = pair.public_key().as_ref().try_into().expect("a point");
        let verifier = EcdsaP256Verifier::new(&point).expect("a point");
        let mut turned = 0;
        for number in 0..32u8 {
            let raw: [u8; 64] =
                pair.sign(&random, &[number]).expect("random").as_ref().try_into().expect("fixed");
            let low = low_s(raw);
            turned += usize::from(raw != low);
            assert_eq!(verifier.verify(&[number], &raw), raw == low);
            assert!(verifier.verify(&[number], &low) && !verifier.verify(&[99], &low));
            assert_eq!(low_s(low), low);
        }
        assert!((1..32).contains(&turned), "{turned} of 32 were high");
    }

    #[test]
    fn what_is_no_point_is_no_key() {
        assert_eq!(EcdsaP256Verifier::new(&[2; 65]).err(), Some(PublicKeyError));
    }

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
