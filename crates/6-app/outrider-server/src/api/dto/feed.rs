//! Feeds of foreign events.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{StageBalance, Timestamp};

/// A registered feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Feed {
    /// Name.
    pub name: String,
    /// Format of its bodies.
    pub format: String,
    /// Platform of its vehicles, to choose among decoders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Software release of its vehicles, to choose among decoders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Whether requests are taken.
    pub enabled: bool,
    /// Largest body, bytes, after decompression.
    pub body_bytes_max: u32,
    /// Most requests a minute.
    pub requests_per_minute_max: u32,
    /// Half the interval around times of which the source does not say how well it knows them, seconds.
    pub clock_error_s: u32,
    /// Whether events of vehicles are taken that nobody registered.
    pub takes_unregistered: bool,
    /// Who registered it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Who changed it last.
    pub changed_by: String,
    /// When.
    pub changed_at: Timestamp,
    /// Why it was disabled or enabled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What became of its requests since the program started.
    pub requests: StageBalance,
    /// What became of the documents in them, since the program started.
    pub documents: StageBalance,
}

/// Registers a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateFeedRequest {
    /// Name: 1 to 64 of `a-z`, `0-9`, `.`, `_`, `-`, beginning with a letter.
    #[schema(pattern = "^[a-z][a-z0-9._-]{0,63}$")]
    pub name: String,
    /// Format, as decoder packages name it.
    pub format: String,
    /// Platform of its vehicles, to choose among decoders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Software release of its vehicles, to choose among decoders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Largest body, bytes, after decompression; 1 MiB if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_bytes_max: Option<u32>,
    /// Most requests a minute; 600 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute_max: Option<u32>,
    /// Half the interval around times of which the source does not say how well it knows them; 60 s if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_error_s: Option<u32>,
    /// Whether events of vehicles are taken that nobody registered; they are not if absent.
    #[serde(default)]
    pub takes_unregistered: bool,
}

/// A feed with its credential.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreatedFeed {
    /// The feed.
    pub feed: Feed,
    /// Credential for the header `Authorization: Bearer`; shown once.
    #[schema(format = Password)]
    pub token: String,
}

/// Enables or disables a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedStateRequest {
    /// Whether requests are taken.
    pub enabled: bool,
    /// Why.
    pub reason: String,
}

/// What a feed gets for a body that is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeedReceipt {
    /// What makes the body the same body: sent again, it is not counted again.
    pub digest: String,
    /// Its size after decompression.
    pub bytes: u64,
}
