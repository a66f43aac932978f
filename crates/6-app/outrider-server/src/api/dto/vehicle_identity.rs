//! Identity of a vehicle: state, certificates, batch keys, log.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Timestamp, VehicleState};

/// Client certificate of a vehicle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VehicleCertificate {
    /// Serial number, hexadecimal.
    pub serial: String,
    /// Generation of the installation's CA that signed it.
    pub generation: u32,
    /// Kind of its key: `ecdsa_p256`, `ecdsa_p384` or `ed25519`.
    pub suite: String,
    /// Good from.
    pub not_before: Timestamp,
    /// Good until.
    pub not_after: Timestamp,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// Why it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_for: Option<String>,
}

/// Batch key that a vehicle has registered by rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VehicleBatchKey {
    /// First boot that it is for.
    pub from_epoch: u64,
    /// SHA-256 of the public key, hexadecimal.
    pub fingerprint: String,
    /// When it was registered.
    pub registered_at: Timestamp,
}

/// Line of the identity log; equal refusals within an hour are one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IdentityLogEntry {
    /// Vehicle; absent where nobody knows which.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vehicle_id: Option<String>,
    /// When first.
    pub first_at: Timestamp,
    /// When last.
    pub last_at: Timestamp,
    /// How often.
    pub times: u64,
    /// User, `vehicle` or `cli`.
    pub actor: String,
    /// What was asked for.
    pub action: String,
    /// `done`, or the code of the refusal.
    pub outcome: String,
    /// Serial, key kind or reason.
    pub detail: String,
}

/// Who a vehicle is to this installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VehicleIdentity {
    /// Vehicle.
    pub vehicle_id: String,
    /// Whether it is let in.
    pub state: VehicleState,
    /// Why it is in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who moved it there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// Certificates of this installation's CA, newest first, at most 20.
    pub certificates: Vec<VehicleCertificate>,
    /// Batch keys, newest first.
    pub batch_keys: Vec<VehicleBatchKey>,
    /// Latest lines of the log, newest first, at most 50.
    pub log: Vec<IdentityLogEntry>,
}

/// Reason for a change of a vehicle's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VehicleStateRequest {
    /// Why; goes into the log.
    pub reason: String,
}
