//! Wire format v1 against a second implementation, golden vectors, the fuzz corpora and hostile bytes.
#![expect(clippy::indexing_slicing, reason = "test data of known length")]

mod corpus;
mod frames;
mod golden;
mod ids_frames;
mod policy;
mod properties;
mod rows;
mod short;

use ed25519_dalek::{Signer as _, SigningKey};
use outrider_wire::{SIGNATURE_BYTES, Signer, SignerError, Verifier};

/// Ed25519 with a fixed key, as signer and as verifier.
struct Key(SigningKey);

impl Key {
    fn new(byte: u8) -> Self {
        Self(SigningKey::from_bytes(&[byte; 32]))
    }
}

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], SignerError> {
        Ok(self.0.sign(message).to_bytes())
    }
}

impl Verifier for Key {
    fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.0.verifying_key().verify_strict(message, &signature).is_ok()
    }
}
