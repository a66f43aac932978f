//! Identity of vehicles: states, certificates, permits to enrol, batch keys, and a log of all of it.

use async_trait::async_trait;
use outrider_types::{BootEpoch, TenantId, UnixMicros, VehicleId};

use super::{Scope, StoreResult};
use crate::api::dto::{IdentityLogEntry, VehicleIdentity, VehicleState};
use crate::vehicle::{Issued, Serial};

/// SHA-256 of a secret or name, so that the database does not hold it; hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretHash(pub String);

/// What lets a vehicle enrol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PermitKind {
    /// One-time token; good for one key.
    Token,
    /// Name in a factory certificate; good as long as it stands here.
    Factory,
}

impl PermitKind {
    /// Returns the word in the database.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Factory => "factory",
        }
    }
}

/// Permit of one vehicle to enrol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolmentPermit {
    /// Hash of the token or of the name.
    pub secret: SecretHash,
    /// Kind.
    pub kind: PermitKind,
    /// Vehicle it is for.
    pub vehicle: VehicleId,
    /// Void from then on.
    pub expires: UnixMicros,
    /// SHA-256 of the public key a token was used for; `None` while it is unused.
    pub used_for: Option<String>,
}

/// Line of the identity log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityNote {
    /// Vehicle; `None` where nobody knows which.
    pub vehicle: Option<VehicleId>,
    /// User, `vehicle`, or `cli`.
    pub actor: String,
    /// What: `enrol`, `renew`, `suspend`, ….
    pub action: &'static str,
    /// `done`, or the code of a refusal.
    pub outcome: String,
    /// Serial, key kind or reason; never a secret.
    pub detail: String,
}

/// Batch key of a vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBatchKey {
    /// Vehicle.
    pub vehicle: VehicleId,
    /// First boot that it is for.
    pub from: BootEpoch,
    /// Ed25519 public key.
    pub key: [u8; 32],
}

/// What changed since a revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdentityChanges {
    /// Vehicles with a state.
    pub states: Vec<(VehicleId, VehicleState)>,
    /// Certificates that were revoked.
    pub revoked: Vec<Serial>,
    /// Batch keys registered by rotation, in order of vehicle and boot.
    pub keys: Vec<StoredBatchKey>,
    /// Newest revision.
    pub newest: i64,
}

/// Entry of the revocation list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedCertificate {
    /// Serial.
    pub serial: Serial,
    /// Generation of the CA that signed it.
    pub generation: u32,
    /// When it was revoked.
    pub at: UnixMicros,
    /// Why: the word of the vehicle's state, or `superseded`.
    pub reason: String,
}

/// New owner of a vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transfer {
    /// Vehicle at the old owner.
    pub vehicle: VehicleId,
    /// New owner.
    pub tenant: TenantId,
    /// New pseudonym.
    pub successor: VehicleId,
}

/// States, certificates and keys of vehicles.
#[async_trait]
pub trait EnrolmentStore: Send + Sync {
    /// Returns what changed after a revision.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn identity_changes(&self, scope: Scope, after: i64) -> StoreResult<IdentityChanges>;

    /// Returns a vehicle's state, certificates and latest log lines.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`] if it is not registered.
    async fn vehicle_identity(&self, scope: Scope, vehicle: VehicleId) -> StoreResult<VehicleIdentity>;

    /// Moves a vehicle into a state, with its reason in the log. Revoked and retired are final, revoke the
    /// certificates and void the permits to enrol.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`], [`super::StoreError::Conflict`] if the state does not lead there.
    async fn change_vehicle_state(
        &self,
        scope: Scope,
        vehicle: VehicleId,
        state: VehicleState,
        by: &str,
        reason: &str,
    ) -> StoreResult<()>;

    /// Revokes one certificate.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`].
    async fn revoke_certificate(
        &self,
        scope: Scope,
        serial: &Serial,
        by: &str,
        reason: &str,
    ) -> StoreResult<()>;

    /// Records a certificate, uses up the permit that it came from, and writes the log, all in one.
    ///
    /// # Errors
    /// [`super::StoreError::Conflict`] if the token was used for another key or is void, or if the vehicle may not
    /// have a certificate any more; nothing was written.
    async fn record_certificate(
        &self,
        scope: Scope,
        issued: &Issued,
        permit: Option<&SecretHash>,
        note: &IdentityNote,
    ) -> StoreResult<()>;

    /// Returns how many certificates were issued to a vehicle since a time.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn certificates_since(
        &self,
        scope: Scope,
        vehicle: VehicleId,
        since: UnixMicros,
    ) -> StoreResult<u64>;

    /// Returns the latest end of the certificates of a CA generation that are neither expired nor revoked.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn generation_in_use(&self, scope: Scope, generation: u32) -> StoreResult<Option<UnixMicros>>;

    /// Returns the revoked certificates that have not expired, by serial.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn revoked_certificates(&self, scope: Scope) -> StoreResult<Vec<RevokedCertificate>>;

    /// Permits a vehicle to enrol.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`] if it is not registered, [`super::StoreError::Conflict`] if it is revoked or
    /// retired.
    async fn permit_enrolment(&self, scope: Scope, permit: &EnrolmentPermit, by: &str) -> StoreResult<()>;

    /// Returns a permit that is not void.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn enrolment_permit(
        &self,
        scope: Scope,
        secret: &SecretHash,
    ) -> StoreResult<Option<EnrolmentPermit>>;

    /// Registers the next batch key of a vehicle; the same one again changes nothing.
    ///
    /// # Errors
    /// [`super::StoreError::Conflict`] if its boot is not behind those of the keys that are there, if the last change
    /// is too recent, or if the vehicle has had too many.
    async fn put_batch_key(&self, scope: Scope, key: &StoredBatchKey) -> StoreResult<()>;

    /// Returns the batch keys that a vehicle has registered, by boot.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn batch_keys(&self, scope: Scope, vehicle: VehicleId) -> StoreResult<Vec<StoredBatchKey>>;

    /// Writes into the identity log; a refusal that repeats within the hour is counted, so that a stranger cannot
    /// fill the disk.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn note_identity(&self, scope: Scope, note: &IdentityNote) -> StoreResult<()>;

    /// Returns the latest lines of the identity log of all vehicles, newest first.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn identity_log(&self, scope: Scope, limit: u32) -> StoreResult<Vec<IdentityLogEntry>>;

    /// Retires a vehicle at its owner and registers it under a new pseudonym at another. No row links the two.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`], [`super::StoreError::Conflict`] if it has ended or the owner is the same.
    async fn transfer_vehicle(
        &self,
        scope: Scope,
        transfer: &Transfer,
        by: &str,
        reason: &str,
    ) -> StoreResult<()>;
}
