//! Remote configuration: signed artifacts, rollouts, and the order of each vehicle.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ArtifactKind, Timestamp, UpdateState};

/// Key whose artifacts are taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ArtifactKey {
    /// First eight bytes of the SHA-256 of the public key, hexadecimal; artifacts name it.
    pub key_id: String,
    /// Person or build that holds it.
    pub name: String,
    /// Who registered it.
    pub added_by: String,
    /// When.
    pub added_at: Timestamp,
    /// Who withdrew it; nothing that it signed is taken or ordered from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_by: Option<String>,
    /// When it was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<Timestamp>,
}

/// Signed configuration that is stored here; what it says of itself, and how it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Artifact {
    /// SHA-256 of the whole file, hexadecimal.
    pub sha256: String,
    /// What it configures.
    pub kind: ArtifactKind,
    /// Version, counted by its signer from 1.
    pub version: u64,
    /// Platform that it is for; absent for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The one vehicle that it is for; absent for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vehicle_id: Option<String>,
    /// Key that signed it.
    pub key_id: String,
    /// Name of that key.
    pub signer: String,
    /// When it was signed, by the signer's clock.
    pub made_at: Timestamp,
    /// Length of the whole file.
    pub bytes: u64,
    /// Whether its content was read and found legal here; otherwise only the vehicle reads it, before it switches.
    pub payload_checked: bool,
    /// Who uploaded it.
    pub uploaded_by: String,
    /// When.
    pub uploaded_at: Timestamp,
}

super::list!(
    /// Page of artifacts, last uploaded first.
    ArtifactList,
    Artifact
);

/// One step of an update order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateStep {
    /// When.
    pub at: Timestamp,
    /// State reached.
    pub state: UpdateState,
    /// What happened.
    pub text: String,
}

/// One artifact for one vehicle, from the proposal to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateOrder {
    /// Identity.
    pub id: String,
    /// Rollout that it is part of.
    pub rollout_id: String,
    /// Vehicle.
    pub vehicle_id: String,
    /// Artifact.
    pub sha256: String,
    /// What it configures.
    pub kind: ArtifactKind,
    /// Version.
    pub version: u64,
    /// Who proposed it.
    pub proposed_by: String,
    /// The second person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<String>,
    /// Where it stands.
    pub state: UpdateState,
    /// Why it was refused.
    pub reasons: Vec<String>,
    /// Permit of the safety gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit_id: Option<String>,
    /// Signed command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
    /// Number of the command among those for this vehicle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// When the proposal or, once there is one, the command lapses.
    pub expires_at: Timestamp,
    /// How it came to this state, oldest first.
    pub steps: Vec<UpdateStep>,
}

/// How many orders are in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateStateCount {
    /// State.
    pub state: UpdateState,
    /// Orders in it.
    pub orders: u64,
}

/// One artifact for some vehicles, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RolloutSummary {
    /// Identity.
    pub id: String,
    /// Artifact.
    pub sha256: String,
    /// What it configures.
    pub kind: ArtifactKind,
    /// Version.
    pub version: u64,
    /// Why.
    pub reason: String,
    /// Who proposed it.
    pub proposed_by: String,
    /// When.
    pub proposed_at: Timestamp,
    /// When the proposal lapses if nobody confirms it.
    pub lapses_at: Timestamp,
    /// The second person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_by: Option<String>,
    /// When it was confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<Timestamp>,
    /// Who withdrew what had not been sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_by: Option<String>,
    /// When it was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancelled_at: Option<Timestamp>,
    /// Number of its vehicles.
    pub vehicles: u64,
    /// Its orders by state, in the order of the states.
    pub states: Vec<UpdateStateCount>,
}

super::list!(
    /// Page of rollouts, last proposed first.
    RolloutList,
    RolloutSummary
);

/// One artifact for some vehicles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rollout {
    /// The list entry.
    #[serde(flatten)]
    pub summary: RolloutSummary,
    /// Its orders, last changed first, at most 500.
    pub orders: Vec<UpdateOrder>,
}

/// Proposes an artifact for vehicles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposeRolloutRequest {
    /// Artifact.
    pub sha256: String,
    /// Vehicles; empty if `platform` is given.
    #[serde(default)]
    pub vehicle_ids: Vec<String>,
    /// Every active vehicle of this platform that can be configured and has not tried this version or a higher one.
    #[serde(default)]
    pub platform: Option<String>,
    /// Why, 1 to 500 characters.
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
}

/// Confirms or withdraws a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RolloutDecision {
    /// Why, 1 to 500 characters.
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
}

/// Version in use of one kind; 0 is what the vehicle was provisioned with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigVersion {
    /// Kind.
    pub kind: ArtifactKind,
    /// Version.
    pub version: u64,
}

/// Something that a vehicle took back, or did not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfigSetback {
    /// When the vehicle said so.
    pub at: Timestamp,
    /// Kind; absent where the vehicle could not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ArtifactKind>,
    /// Version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// Why.
    pub reason: String,
}

/// Configuration of a vehicle: what it said last, and what was ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VehicleConfiguration {
    /// Vehicle.
    pub vehicle_id: String,
    /// Whether the registry says that it can be configured.
    pub is_capable: bool,
    /// When it last told its versions, in the last 90 days; absent if it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Timestamp>,
    /// Versions that it told; empty if it did not.
    pub versions: Vec<ConfigVersion>,
    /// What is in use on trial: told as in use, with an order that has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<ConfigVersion>,
    /// What it took back last, in the last 90 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_return: Option<ConfigSetback>,
    /// What it refused last, in the last 90 days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_refusal: Option<ConfigSetback>,
    /// Its orders, newest first, at most 20.
    pub orders: Vec<UpdateOrder>,
}
