//! Files of vehicle models: what is in them, who signed them, and whether a vehicle believes it.
//!
//! **In:** the bytes of a file, keys. **Out:** its models and what is to be thought of its signatures. **Never:** a
//! clock, a network, a secret in a message. **Start reading** at [`ModelFile`]; what a vehicle insists on is
//! [`ModelTrust`].

mod keys;
#[cfg(test)]
mod tests;
mod trust;

use outrider_gateway::{Ed25519Signer, Ed25519Verifier};
use outrider_ids::ethernet::model::EthernetModel;
use outrider_ids::model::signature::{self, Algorithm, DOMAIN, KeyId, SIGNATURES_MAX, Signature, Signatures};
use outrider_ids::model::{ModelError, ModelHead, VehicleModel};
use outrider_wire::{SIGNATURE_BYTES, Signer, SignerError, Verifier};
use sha2::{Digest, Sha256};

use crate::net::split_model;
pub use keys::{KeyError, KeyPair, PublicKey, open_secret};
pub use trust::{ModelTrust, Refusal, TrustConfig, Trusted};

/// Largest model file that is read: the largest that both layouts allow has some 150 MiB, a vehicle's has one (guess).
pub const FILE_BYTES_MAX: u64 = 16 << 20;

/// Returns the identifier of a public key.
#[must_use]
pub fn key_id(public: &[u8; 32]) -> KeyId {
    let digest: [u8; 32] = Sha256::digest(public).into();
    KeyId(*digest.first_chunk().expect("a digest has 32 bytes"))
}

/// Returns an identifier in hexadecimal.
#[must_use]
pub fn key_text(key: KeyId) -> String {
    key.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What becomes of a signature under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureState {
    /// It is right.
    Right,
    /// It is wrong.
    Wrong,
    /// Its algorithm is not known.
    Algorithm,
    /// It is by another key.
    OtherKey,
}

/// Why a file could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// It is no model.
    #[error("model: {0}")]
    Model(#[from] ModelError),
    /// It has as many signatures as fit.
    #[error("file has {SIGNATURES_MAX} signatures already")]
    Full,
    /// The key did not sign.
    #[error("signing key: {0}")]
    Signer(#[from] SignerError),
}

/// Checked file: a CAN model, an Ethernet model, or both, and signatures of all of it.
#[derive(Debug, Clone, Copy)]
pub struct ModelFile<'a> {
    bytes: &'a [u8],
    /// Model of the CAN buses.
    pub can: Option<VehicleModel<'a>>,
    /// Model of the Ethernet segments.
    pub ethernet: Option<EthernetModel<'a>>,
    /// Signatures; nobody has checked them.
    pub signatures: Signatures<'a>,
}

impl<'a> ModelFile<'a> {
    /// Checks the models of a file, not its signatures, O(n).
    ///
    /// # Errors
    /// [`ModelError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ModelError> {
        let (can, ethernet) = split_model(bytes);
        let ethernet = if ethernet.is_empty() { None } else { Some(EthernetModel::parse(ethernet)?) };
        // A file that is neither is refused as a CAN model.
        let can = if can.is_empty() && ethernet.is_some() { None } else { Some(VehicleModel::parse(can)?) };
        let last = ethernet.map(|model| model.signatures()).or(can.map(|model| model.signatures()));
        Ok(Self { bytes, can, ethernet, signatures: last.unwrap_or_default() })
    }

    /// Returns what each model says about itself, CAN first.
    pub fn heads(&self) -> impl Iterator<Item = &ModelHead> {
        let can = self.can.iter().map(VehicleModel::head);
        can.chain(self.ethernet.iter().map(EthernetModel::head))
    }

    /// Returns the bytes of the models without signatures.
    #[must_use]
    pub const fn model_bytes(&self) -> usize {
        self.bytes.len().saturating_sub(self.signatures.size_bytes())
    }

    /// Returns what becomes of one of the file's signatures under a key, O(n).
    #[must_use]
    pub fn judge(&self, signature: &Signature<'_>, key: KeyId, verifier: &Ed25519Verifier) -> SignatureState {
        if signature.algorithm != Algorithm::ED25519 {
            return SignatureState::Algorithm;
        }
        if signature.key != key {
            return SignatureState::OtherKey;
        }
        let end = self.model_bytes().saturating_add(signature.behind_bytes);
        let covered = self.bytes.get(..end).unwrap_or(&[]);
        let is_right = <&[u8; SIGNATURE_BYTES]>::try_from(signature.bytes)
            .is_ok_and(|value| verifier.verify(&message(covered), value));
        if is_right { SignatureState::Right } else { SignatureState::Wrong }
    }
}

/// Returns what is signed for the bytes in front of a signature's own.
fn message(covered: &[u8]) -> Vec<u8> {
    [DOMAIN.as_slice(), covered].concat()
}

/// Signs a file: appends a signature over all of it.
///
/// # Errors
/// [`SignError`]; the file is then unchanged.
pub fn sign(file: &mut Vec<u8>, signer: &Ed25519Signer) -> Result<KeyId, SignError> {
    if ModelFile::parse(file)?.signatures.count() >= SIGNATURES_MAX {
        return Err(SignError::Full);
    }
    let key = key_id(&signer.public_key());
    let head = signature::head(Algorithm::ED25519, key, SIGNATURE_BYTES).ok_or(SignError::Full)?;
    let unsigned = file.len();
    file.extend_from_slice(&head);
    match signer.sign(&message(file)) {
        Ok(signature) => file.extend_from_slice(&signature),
        Err(error) => {
            file.truncate(unsigned);
            return Err(error.into());
        }
    }
    Ok(key)
}
