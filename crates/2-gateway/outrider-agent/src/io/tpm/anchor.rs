//! The NV counter of a TPM 2.0 as the spool's anchor.

use std::sync::atomic::{AtomicBool, Ordering};

use outrider_gateway::EcdsaP256Verifier;
use outrider_gateway::spool::{Anchor, AnchorError, AnchorKind, Attestation};
use outrider_wire::attest::check_tpm;
use sha2::{Digest, Sha256};

use super::command::{Template, Use};
use super::device::{Tpm, TpmError};
use super::response::Refusal;

/// The counter, and the restricted key that certifies it.
#[derive(Debug)]
pub struct TpmAnchor {
    tpm: Tpm,
    key: Template,
    is_new: AtomicBool,
    is_ready: AtomicBool,
}

impl From<TpmError> for AnchorError {
    fn from(error: TpmError) -> Self {
        let reason = match &error {
            TpmError::Away(_) | TpmError::Refused(Refusal::Busy | Refusal::NotStarted) => "away",
            TpmError::Refused(Refusal::LockedOut | Refusal::Password) => "locked",
            TpmError::Refused(_) | TpmError::Answer | TpmError::Index => "refused",
        };
        Self { reason, detail: error.to_string() }
    }
}

impl TpmAnchor {
    /// Uses the counter of a TPM; the first reading defines it if it is not there.
    #[must_use]
    pub fn new(tpm: Tpm) -> Self {
        let unique = Sha256::digest(b"outrider anchor").into();
        let key = Template { usage: Use::Attest, unique };
        Self { tpm, key, is_new: AtomicBool::new(false), is_ready: AtomicBool::new(false) }
    }

    /// Returns the public key that certifies the counter, for whoever verifies.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn public_point(&self) -> Result<[u8; 65], TpmError> {
        self.tpm.public_point(&self.key)
    }

    /// Defines the counter if it is not there; a TPM that does not answer now is asked again with the next reading.
    fn prepare(&self) -> Result<(), TpmError> {
        if self.is_ready.load(Ordering::Relaxed) {
            return Ok(());
        }
        let state = match self.tpm.counter_is_written() {
            // The connection may be an old one.
            Err(TpmError::Away(_)) => self.tpm.counter_is_written()?,
            state => state?,
        };
        if state.is_none() {
            self.tpm.define_counter()?;
        }
        if state != Some(true) {
            // A counter begins with its first increment, above all counters that the TPM ever had (part 3, 31.8).
            self.tpm.increment_counter()?;
            self.is_new.store(true, Ordering::Relaxed);
        }
        self.is_ready.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Anchor for TpmAnchor {
    fn kind(&self) -> AnchorKind {
        AnchorKind::Tpm2
    }

    fn is_new(&self) -> bool {
        self.is_new.load(Ordering::Relaxed)
    }

    fn read(&self) -> Result<u64, AnchorError> {
        self.prepare()?;
        match self.tpm.read_counter() {
            Err(TpmError::Away(_)) => Ok(self.tpm.read_counter()?),
            counter => Ok(counter?),
        }
    }

    fn increment(&mut self) -> Result<u64, AnchorError> {
        self.prepare()?;
        self.tpm.increment_counter()?;
        self.read()
    }

    fn attest(&self, head: &[u8; 32]) -> Result<Attestation, AnchorError> {
        let proof = self.tpm.certify(&self.key, head)?;
        // The vehicle checks what it keeps: a proof that nobody will believe is found now and not in court.
        let verifier =
            EcdsaP256Verifier::new(&self.tpm.loaded_point(&self.key)?).map_err(|_| TpmError::Answer)?;
        let checked = check_tpm(&proof, head, &verifier).map_err(|_| TpmError::Answer)?;
        Ok(Attestation { kind: AnchorKind::Tpm2, counter: checked.counter, head: *head, proof })
    }
}
