//! What the cloud received, what is missing, and what was given up: of one vehicle and of all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AccountState, Event, GapHealth, Lane, Severity, Timestamp};

/// Rows of one type and severity that a vehicle gave up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LostKind {
    /// Name in the catalogue, its number if the catalogue does not have it, `several` for a rest.
    pub event_type: String,
    /// Severity as the row said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Rows.
    pub rows: u64,
    /// Observations folded into them.
    pub observations: u64,
}

/// Rows that a vehicle gave up for newer ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaneTombstone {
    /// First number.
    pub from_seq: u64,
    /// Last number.
    pub to_seq: u64,
    /// Why; a word from a closed list.
    pub reason: String,
    /// Rows.
    pub rows: u64,
    /// Observations folded into them.
    pub observations: u64,
    /// When the earliest was first seen, by what is known of the boot's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_at: Option<Timestamp>,
    /// When the latest was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
    /// Whether the device key signed it.
    pub signed: bool,
    /// Counts by type and severity.
    pub lost: Vec<LostKind>,
}

/// The account of a lane in a boot: received + tombstoned + folded = counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaneAccount {
    /// Boot of the gateway.
    pub epoch: u64,
    /// Lane.
    pub lane: Lane,
    /// Everything up to this number is here or declared lost.
    pub contiguous_seq: u64,
    /// Highest number heard of.
    pub highest_seq: u64,
    /// Last number of the boot as a later boot found it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_seq: Option<u64>,
    /// Observations that the vehicle counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<u64>,
    /// Rows received.
    pub received: u64,
    /// Observations folded into them.
    pub folded: u64,
    /// Rows declared lost and not received.
    pub tombstoned: u64,
    /// Observations in tombstones.
    pub tombstoned_observations: u64,
    /// Observations lost before they got a number.
    pub unnumbered: u64,
    /// Numbers missing, still in time.
    pub open: u64,
    /// Numbers missing for too long.
    pub overdue: u64,
    /// Rows received that could not be read.
    pub unreadable: u64,
    /// Numbers that came after they were declared lost.
    pub late: u64,
    /// Numbers declared lost that had come before.
    pub kept: u64,
    /// Whether the account balances.
    pub state: AccountState,
    /// Observations accounted for, less those counted, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<i64>,
    /// Tombstones, ascending; at most 64, the newest.
    pub tombstones: Vec<LaneTombstone>,
}

/// What an anchor said last in a boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AnchorState {
    /// `software`, which proves nothing, `tpm2`, `pkcs11` or `unknown`.
    pub kind: String,
    /// Its counter.
    pub counter: u64,
    /// Whether hardware vouches for it: `proven` by the anchor key that is registered, `unproven`, or `unchecked` without
    /// such a key.
    pub proof: String,
}

/// Boot of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BootState {
    /// Boot.
    pub epoch: u64,
    /// When its first batch came.
    pub heard_at: Timestamp,
    /// Best estimate of when it began.
    pub began_at: Timestamp,
    /// Half the width of the interval around it, in microseconds.
    pub began_error_us: u64,
    /// How that is known: `anchored` by a reading of its own, `bounded` by the boots around it, or `unknown`.
    pub clock: String,
    /// Where the reading came from, if it is anchored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_source: Option<String>,
    /// Readings that were not believed: never set, or ahead of the cloud.
    pub refused_fixes: u64,
    /// Readings that the boots around it contradict.
    pub contradicted_fixes: u64,
    /// Anchor of its buffer, if it spoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<AnchorState>,
}

/// What became of a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GapOutcome {
    /// Boot.
    pub epoch: u64,
    /// Lane.
    pub lane: Lane,
    /// First number.
    pub from_seq: u64,
    /// Last number.
    pub to_seq: u64,
    /// Since when it was known.
    pub since: Timestamp,
    /// When this part of it ended.
    pub until: Timestamp,
    /// Numbers that came after all.
    pub filled: u64,
    /// Numbers that the vehicle declared lost.
    pub tombstoned: u64,
}

/// What is known of one vehicle's deliveries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Completeness {
    /// Accounts, newest boot first; at most 60.
    pub lanes: Vec<LaneAccount>,
    /// Boots, newest first; at most 16.
    pub boots: Vec<BootState>,
    /// What became of gaps, newest first; at most 32. Gaps of less than a minute are left out.
    pub outcomes: Vec<GapOutcome>,
    /// What does not fit together, of the last 30 days, newest first.
    pub findings: Vec<Event>,
    /// When the vehicle was last heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_contact: Option<Timestamp>,
    /// Moment of the numbers.
    pub as_of: Timestamp,
}

/// Counts of one lane over all vehicles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LaneHealth {
    /// Lane.
    pub lane: Lane,
    /// Rows received.
    pub received: u64,
    /// Observations folded into them.
    pub folded: u64,
    /// Rows declared lost.
    pub tombstoned: u64,
    /// Numbers missing, still in time.
    pub open: u64,
    /// Numbers missing for too long.
    pub overdue: u64,
    /// Accounts that balance to the last observation.
    pub balanced: u64,
    /// Accounts that wait for something.
    pub waiting: u64,
    /// Accounts that are whole, but not to the observation.
    pub inexact: u64,
    /// Accounts that do not balance.
    pub mismatched: u64,
}

/// Vehicles that were last heard of within a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContactClass {
    /// Seconds ago at most; the last class has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_s: Option<u64>,
    /// Vehicles.
    pub vehicles: u64,
}

/// How late rows came: a share of them came within this time after they happened. Powers of two, rounded up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LagHealth {
    /// Rows since the start of the program.
    pub rows: u64,
    /// Half of them, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_s: Option<u64>,
    /// Nine of ten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90_s: Option<u64>,
    /// Ninety-nine of a hundred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_s: Option<u64>,
}

/// A vehicle of which something is missing or lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VehicleGaps {
    /// Pseudonym.
    pub vehicle_id: String,
    /// Numbers missing, still in time.
    pub open: u64,
    /// Numbers missing for too long.
    pub overdue: u64,
    /// Rows declared lost.
    pub tombstoned: u64,
    /// Statements of the cloud about what does not fit together.
    pub findings: u64,
    /// When it was last heard of.
    pub last_contact: Timestamp,
}

/// What came in from the vehicles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IngestHealth {
    /// Vehicles heard of.
    pub vehicles: u64,
    /// Lanes.
    pub lanes: Vec<LaneHealth>,
    /// Holes in the lanes.
    pub gaps: GapHealth,
    /// Rows declared lost, by reason.
    pub lost_by_reason: BTreeMap<String, u64>,
    /// Tombstones that the device key signed.
    pub tombstones_signed: u64,
    /// Tombstones that it did not sign.
    pub tombstones_unsigned: u64,
    /// Rows that came again since the start of the program.
    pub duplicates: u64,
    /// Rows put aside since the start of the program, by reason.
    pub quarantined: BTreeMap<String, u64>,
    /// Frames refused since the start of the program, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Frames received since the start of the program.
    pub frames: u64,
    /// Statements about what does not fit together, of all time.
    pub findings: u64,
    /// How late rows came.
    pub lag: LagHealth,
    /// When vehicles were last heard of.
    pub contacts: Vec<ContactClass>,
    /// Vehicles of which most is overdue, then missing, then lost; at most 20.
    pub worst: Vec<VehicleGaps>,
    /// Moment of the numbers.
    pub as_of: Timestamp,
}
