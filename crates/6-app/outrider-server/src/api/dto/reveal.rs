//! Requests to show a VIN.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{RevealState, Timestamp};

/// Reason for something that touches the VIN of a vehicle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevealReason {
    /// Why; goes into the audit trail.
    pub reason: String,
}

/// Request to show a VIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevealRequest {
    /// Identity.
    pub id: String,
    /// Vehicle.
    pub vehicle_id: String,
    /// Why.
    pub reason: String,
    /// Where it stands.
    pub state: RevealState,
    /// Who asked; only they can open it.
    pub requested_by: String,
    /// When.
    pub requested_at: Timestamp,
    /// Void from then on.
    pub expires_at: Timestamp,
    /// Who agreed: another person, or `policy` where one person is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<Timestamp>,
    /// When the VIN was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Timestamp>,
}

/// VIN, shown once to who asked for it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevealedVin {
    /// Vehicle.
    pub vehicle_id: String,
    /// Its VIN.
    pub vin: String,
}

impl std::fmt::Debug for RevealedVin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RevealedVin({})", self.vehicle_id)
    }
}

/// Vehicle whose VIN nobody can find any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShreddedVehicle {
    /// Every pseudonym that it had.
    pub vehicle_ids: Vec<String>,
}
