//! Which artifacts a vehicle believes.

use outrider_types::{TenantId, VehicleId};
use outrider_wire::{Artifact, ArtifactKind, SealedArtifact};
use serde::{Deserialize, Serialize};

use crate::model_file::PublicKey;

/// Most keys: two parties, each with the key that follows.
const KEYS_MAX: usize = 8;

/// `[updates]` of `vehicle.toml`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateSection {
    /// Public keys in hexadecimal of those who may sign configurations; without one, none is taken.
    #[serde(default)]
    pub keys: Vec<String>,
    /// Platform of this vehicle; without it only artifacts for any platform are taken.
    #[serde(default)]
    pub platform: Option<String>,
}

/// Keys and identity that an artifact is held against. The default believes nothing.
#[derive(Debug, Clone, Default)]
pub struct ArtifactTrust {
    keys: Vec<PublicKey>,
    platform: Option<[u8; 32]>,
    tenant: TenantId,
    vehicle: VehicleId,
}

/// Why an artifact is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No structure.
    #[error("artifact is damaged")]
    Damaged,
    /// No key is trusted, or none that is made the signature.
    #[error("artifact is not signed by a trusted key")]
    Untrusted,
    /// Another kind or version than was ordered.
    #[error("artifact is not the one that was ordered")]
    Other,
    /// For another tenant, platform or vehicle.
    #[error("artifact is for another vehicle")]
    OtherVehicle,
    /// Its version was tried before, or a higher one was.
    #[error("version of the artifact is not above what was tried")]
    Rollback,
    /// Nothing can be made of its payload.
    #[error("payload of the artifact cannot be used")]
    Unusable,
}

impl Refused {
    /// Returns the word in events.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Untrusted => "untrusted",
            Self::Other => "other",
            Self::OtherVehicle => "other_vehicle",
            Self::Rollback => "rollback",
            Self::Unusable => "unusable",
        }
    }
}

/// Fills a platform's name with zeros; `None` if it is empty or longer than 32 bytes.
#[must_use]
pub(super) fn platform_bytes(name: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    out.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
    Some(out).filter(|out| *out != [0; 32])
}

impl ArtifactTrust {
    /// Checks the section.
    ///
    /// # Errors
    /// Name of the setting and what is wrong with it.
    pub fn new(section: &UpdateSection, tenant: TenantId, vehicle: VehicleId) -> Result<Self, String> {
        if section.keys.len() > KEYS_MAX {
            return Err(format!("keys: {} keys, at most {KEYS_MAX}", section.keys.len()));
        }
        let keys = section.keys.iter().enumerate().map(|(index, text)| {
            PublicKey::from_hex(text)
                .ok_or_else(|| format!("keys[{index}]: no public Ed25519 key of 64 hexadecimal digits"))
        });
        let keys = keys.collect::<Result<_, _>>()?;
        let platform = match &section.platform {
            None => None,
            Some(name) => Some(platform_bytes(name).ok_or("platform: empty, or longer than 32 bytes")?),
        };
        Ok(Self { keys, platform, tenant, vehicle })
    }

    /// Returns whether any artifact can be believed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Judges an artifact of a kind and version, O(bytes · keys). No clock has a say.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn judge<'a>(
        &self,
        bytes: &'a [u8],
        kind: ArtifactKind,
        version: u64,
    ) -> Result<Artifact<'a>, Refused> {
        let sealed = SealedArtifact::parse(bytes).map_err(|_| Refused::Damaged)?;
        let signed = self.keys.iter().find_map(|key| sealed.open(&key.verifier).ok());
        let artifact = signed.ok_or(Refused::Untrusted)?;
        let head = &artifact.head;
        if (head.kind, head.version) != (kind, version) {
            return Err(Refused::Other);
        }
        let is_ours = head.tenant == self.tenant
            && head.vehicle.is_none_or(|vehicle| vehicle == self.vehicle)
            && (head.platform.is_none() || head.platform == self.platform);
        if is_ours { Ok(artifact) } else { Err(Refused::OtherVehicle) }
    }
}
