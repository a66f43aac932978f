//! Batch keys of vehicles, as verifiers: of either kind, and several at once after a change.

use std::sync::Arc;

use ed25519_dalek::VerifyingKey;
use outrider_wire::{SIGNATURE_BYTES, Suite, Verifier, is_low_s};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use crate::store::BatchKey;

struct Ed25519Key(VerifyingKey);

impl Verifier for Ed25519Key {
    fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.0.verify_strict(message, &signature).is_ok()
    }
}

struct P256Key([u8; 65]);

impl Verifier for P256Key {
    fn suite(&self) -> Suite {
        Suite::EcdsaP256
    }

    fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        is_low_s(signature)
            && UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.0).verify(message, signature).is_ok()
    }
}

/// Returns what checks signatures of a registered key; `None` if it is no key of its kind.
pub(super) fn verifier(key: BatchKey) -> Option<Arc<dyn Verifier + Send + Sync>> {
    match key {
        BatchKey::Ed25519(key) => {
            let key = VerifyingKey::from_bytes(&key).ok().filter(|key| !key.is_weak())?;
            Some(Arc::new(Ed25519Key(key)))
        }
        BatchKey::EcdsaP256(point) if point.first() == Some(&4) => Some(Arc::new(P256Key(point))),
        BatchKey::EcdsaP256(_) => None,
    }
}

/// Any of some keys, newest first. They are of one kind: a change of key is from Ed25519 to Ed25519.
pub(super) struct AnyOf(pub(super) Vec<Arc<dyn Verifier + Send + Sync>>);

impl Verifier for AnyOf {
    fn suite(&self) -> Suite {
        self.0.first().map_or(Suite::Ed25519, |key| key.suite())
    }

    fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool {
        let suite = self.suite();
        self.0.iter().filter(|key| key.suite() == suite).any(|key| key.verify(message, signature))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use outrider_wire::{FrameError, SealedEnvelope};

    use super::*;

    fn golden(name: &str) -> Vec<u8> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../0-spine/outrider-wire/golden/suite-2");
        let text = std::fs::read_to_string(folder.join(name)).expect("the vector is part of the repository");
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair =
            |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex");
        digits.chunks(2).map(pair).collect()
    }

    #[test]
    fn a_batch_of_a_hardware_key_is_read_with_the_key_that_was_registered() {
        let (point, frame) = (golden("public_point.hex"), golden("batch_stored.hex"));
        let key = verifier(BatchKey::from_bytes(&point).expect("65 bytes")).expect("a point");
        let open = |frame: &[u8], key: &dyn Verifier| SealedEnvelope::parse(frame)?.open(key).map(|_| ());
        assert_eq!(open(&frame, &*key), Ok(()));
        let mut forged = frame.clone();
        forged[60] ^= 1;
        assert_eq!(open(&forged, &*key), Err(FrameError::Signature));
        // n - s is as valid a signature, and refused: a frame has one spelling.
        let mut high = frame.clone();
        let start = high.len() - 32;
        high[start] |= 0x80;
        assert_eq!(open(&high, &*key), Err(FrameError::Signature));
        let ed25519 = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes();
        let other = verifier(ed25519.into()).expect("a key");
        assert_eq!(open(&frame, &*other), Err(FrameError::Suite { expected: 1, got: 2 }));
    }

    #[test]
    fn what_is_no_key_of_its_kind_lets_nobody_in() {
        assert!(verifier(BatchKey::EcdsaP256([2; 65])).is_none());
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert!(verifier(neutral.into()).is_none());
        assert_eq!((BatchKey::from_bytes(&[4; 64]), BatchKey::from_bytes(&[])), (None, None));
    }
}
