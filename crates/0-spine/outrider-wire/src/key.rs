//! Change of a vehicle's batch key: the new key, signed by itself and by the old one, sent as a frame of its own.
//!
//! ```text
//!  0  magic "ORTK"       8  tenant u32       36  new public key, 32 bytes
//!  4  version u16       12  vehicle          68  signature of the new key over 0..68, 64 bytes
//!  6  suite_id u16      28  from_epoch u64  132  signature of the old key over 0..132, 64 bytes
//! ```
//!
//! The new key signs to prove that somebody holds it; the old one, that the vehicle wants it. A vehicle without a key
//! signs both times with the new one, and the session alone says who it is. Suite 1 only: a key of a TPM or token stays
//! where it is, and another one of them is registered by hand.

use outrider_types::{BootEpoch, TenantId, VehicleId};

use crate::SIGNATURE_BYTES;
use crate::fixed::{Cursor, FrameError, Signer, Suite, Verifier, check, put_preamble, seal, split_signature};
use crate::pb::{Sink, SliceSink};

/// First bytes of a change of key.
pub const KEY_MAGIC: [u8; 4] = *b"ORTK";
/// Version that this crate writes and reads.
pub const KEY_VERSION: u16 = 1;
/// Length of every change of key of this version.
pub const KEY_BYTES: usize = 68 + 2 * SIGNATURE_BYTES;

/// Change of a vehicle's batch key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyChange {
    /// Owner of the vehicle.
    pub tenant: TenantId,
    /// Vehicle.
    pub vehicle: VehicleId,
    /// First boot whose batches the new key signs alone.
    pub from: BootEpoch,
    /// Ed25519 public key.
    pub key: [u8; 32],
}

/// A change of key whose structure was checked but not its signatures.
#[derive(Debug, Clone, Copy)]
pub struct SealedKeyChange<'a> {
    change: KeyChange,
    inner: (&'a [u8], &'a [u8; SIGNATURE_BYTES]),
    outer: (&'a [u8], &'a [u8; SIGNATURE_BYTES]),
}

impl<'a> SealedKeyChange<'a> {
    /// Checks length and versions.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        if bytes.len() != KEY_BYTES {
            return Err(FrameError::Length { offset: 0, expected: KEY_BYTES, got: bytes.len() });
        }
        let outer = split_signature(bytes)?;
        let inner = split_signature(outer.0)?;
        let mut cursor = Cursor::new(inner.0);
        cursor.preamble(KEY_MAGIC, KEY_VERSION)?;
        let tenant = TenantId(cursor.u32()?);
        let vehicle = VehicleId(cursor.array()?);
        let from = BootEpoch(cursor.u64()?);
        let key = cursor.array()?;
        Ok(Self { change: KeyChange { tenant, vehicle, from, key }, inner, outer })
    }

    /// Returns the change as it claims to be; trust it only to look up the keys.
    #[must_use]
    pub const fn claimed(&self) -> &KeyChange {
        &self.change
    }

    /// Checks both signatures and gives out the change. `old` is the new key's verifier if there is no old key.
    ///
    /// # Errors
    /// [`FrameError::Signature`], or [`FrameError::Suite`] if a key is of another suite.
    pub fn open(self, new: &dyn Verifier, old: &dyn Verifier) -> Result<KeyChange, FrameError> {
        check(new, self.inner.0, self.inner.1)?;
        check(old, self.outer.0, self.outer.1)?;
        Ok(self.change)
    }
}

impl KeyChange {
    /// Writes and signs the change into `out`; returns its length, [`KEY_BYTES`].
    ///
    /// # Errors
    /// [`FrameError`] if `out` is too small or a signer refuses.
    pub fn emit(&self, new: &dyn Signer, old: &dyn Signer, out: &mut [u8]) -> Result<usize, FrameError> {
        if new.suite() != Suite::Ed25519 || old.suite() != Suite::Ed25519 {
            return Err(FrameError::Signer);
        }
        let mut sink = SliceSink::new(&mut *out);
        put_preamble(&mut sink, KEY_MAGIC, KEY_VERSION, Suite::Ed25519)?;
        sink.put(&self.tenant.0.to_le_bytes())?;
        sink.put(&self.vehicle.0)?;
        sink.put(&self.from.0.to_le_bytes())?;
        sink.put(&self.key)?;
        let signature = new.sign(sink.written()).map_err(|_| FrameError::Signer)?;
        sink.put(&signature)?;
        seal(sink, old)
    }
}
