//! Security events as the screen shows them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Lane, Severity, Timestamp};

/// Value of a field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// Truth value.
    Bool(bool),
    /// Whole number within ±2⁵³; larger ones are text.
    Integer(i64),
    /// Number with a fraction.
    Number(f64),
    /// Text; bytes are hexadecimal.
    Text(String),
}

/// Value of a field with its unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FieldValue {
    /// The value.
    pub value: Scalar,
    /// Its unit, as the catalogue names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// One security event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Identity given by the vehicle: `<vehicle>.<epoch>.<lane>.<seq>`.
    pub id: String,
    /// Name in the catalogue, such as `diag.security_access_denied`.
    pub event_type: String,
    /// Title in the catalogue.
    pub title: String,
    /// How bad it is.
    pub severity: Severity,
    /// Lane it travelled in.
    pub lane: Lane,
    /// Pseudonym of the vehicle.
    pub vehicle_id: String,
    /// Model line of the vehicle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_line: Option<String>,
    /// Best estimate of when it happened.
    pub event_time: Timestamp,
    /// Half the width of the interval around it, in microseconds.
    pub event_time_error_us: u64,
    /// Microseconds of the vehicle's clock since its boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vehicle_us: Option<u64>,
    /// Whether the time is known better than when the row came, and was corrected for this answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub corrected: bool,
    /// When the cloud received it.
    pub ingest_time: Timestamp,
    /// Whether it came too late to be watched live.
    pub late: bool,
    /// How many repeats the vehicle folded into it, itself included.
    pub count: u64,
    /// Bus it was seen on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bus: Option<u32>,
    /// Name of the ECU it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecu: Option<String>,
    /// Fields of its type, by name.
    pub fields: BTreeMap<String, FieldValue>,
    /// Raw bytes the vehicle kept, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_hex: Option<String>,
}

super::list!(
    /// Page of events, newest first.
    EventList,
    Event
);
