//! The NV counter of a TPM 2.0 as the spool's anchor.

use outrider_gateway::spool::{Anchor, AnchorError, AnchorKind, Attestation};
use outrider_gateway::{EcdsaP256Verifier, low_s};
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
    is_new: bool,
    is_ready: bool,
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
    /// Uses the counter of a TPM, and defines it if it is not there. One that does not answer is asked again later.
    #[must_use]
    pub fn new(tpm: Tpm) -> Self {
        let unique = Sha256::digest(b"outrider anchor").into();
        let mut anchor =
            Self { tpm, key: Template { usage: Use::Attest, unique }, is_new: false, is_ready: false };
        // What went wrong is said by the first reading.
        let _ = anchor.prepare();
        anchor
    }

    /// Returns the public key that certifies the counter, for whoever verifies.
    ///
    /// # Errors
    /// [`TpmError`].
    pub fn public_point(&self) -> Result<[u8; 65], TpmError> {
        self.tpm.public_point(&self.key)
    }

    fn prepare(&mut self) -> Result<(), TpmError> {
        if self.is_ready {
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
            self.is_new = true;
        }
        self.is_ready = true;
        Ok(())
    }
}

impl Anchor for TpmAnchor {
    fn kind(&self) -> AnchorKind {
        AnchorKind::Tpm2
    }

    fn is_new(&self) -> bool {
        self.is_new
    }

    fn read(&self) -> Result<u64, AnchorError> {
        if !self.is_ready && self.tpm.counter_is_written()? != Some(true) {
            return Err(TpmError::Refused(Refusal::Unwritten).into());
        }
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
        let verifier = EcdsaP256Verifier::new(&self.public_point()?).map_err(|_| TpmError::Answer)?;
        let checked = check_tpm(&proof, head, &verifier, low_s).map_err(|_| TpmError::Answer)?;
        Ok(Attestation { kind: AnchorKind::Tpm2, counter: checked.counter, head: *head, proof })
    }
}
