//! Decoders of foreign formats.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::StageBalance;

/// Decoder package that this server uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Decoder {
    /// Name.
    pub name: String,
    /// Version, `MAJOR.MINOR.PATCH`.
    pub version: String,
    /// Format that it decodes.
    pub format: String,
    /// Platforms of vehicles that it is for; all if empty.
    pub platforms: Vec<String>,
    /// First software release that it is for; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_from: Option<String>,
    /// Last software release that it is for; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_to: Option<String>,
    /// Namespace of fields that the catalogue does not have.
    pub namespace: String,
    /// Who answers for it.
    pub owner: String,
    /// Licence of its files.
    pub licence: String,
    /// What it is, in a sentence; may be empty.
    pub description: String,
    /// Samples that it carries.
    pub samples: u64,
    /// Feeds of its format, ascending by name: for a vehicle of theirs another package of the format may say more.
    pub feeds: Vec<String>,
    /// What became of the documents that this version decoded since the program started, those of a replay included.
    pub documents: StageBalance,
}
