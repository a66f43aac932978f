//! What a vehicle is provisioned with.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outrider_gateway::spool::SpoolKeys;
use outrider_types::{TenantId, VehicleId, VehicleMicros, hex_decode};
use outrider_wire::Signer;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::costs::UplinkSection;
use super::ids::{IdsLayer, Idsm, IdsmSection, IdsrSection, QualifySection};
use super::workshop::WorkshopSection;
use crate::identity::{BatchKeyFiles, BatchSigner};
use crate::keystore::WireSigner;
use crate::remote::UpdateSection;

/// Why a provisioning cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// File.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not TOML of the right shape.
    #[error("{path}: {reason}")]
    Shape {
        /// File.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// A key or identity is not hexadecimal of the right length.
    #[error("{name}: {reason}")]
    Value {
        /// Name of the setting.
        name: &'static str,
        /// Why not.
        reason: String,
    },
}

/// `vehicle.toml`: paths are relative to its folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VehicleConfig {
    /// Owner.
    pub tenant: u32,
    /// Pseudonym, 32 hexadecimal digits.
    pub vehicle: String,
    /// Address of the vehicle listener: `mqtts://host:port` or `https://host:port`.
    pub cloud: String,
    /// Address that captures are sent to, `https://host:port`, if `cloud` is not one; without it there is no evidence.
    #[serde(default)]
    pub evidence: Option<String>,
    /// Certificate of the CA that the cloud's certificate must come from, PEM.
    pub ca: PathBuf,
    /// Client certificate, PEM.
    pub certificate: PathBuf,
    /// Private key of the client certificate, PEM.
    pub key: PathBuf,
    /// File with the 32 bytes of the batch key in hexadecimal.
    pub batch_key: PathBuf,
    /// Public key of the cloud's acknowledgements, hexadecimal.
    pub ack_public_key: String,
    /// Public key of the cloud's commands, hexadecimal.
    pub command_public_key: String,
    /// Vehicle model, as `outrider-agent learn` writes it; none watches nothing.
    #[serde(default)]
    pub model: Option<PathBuf>,
    /// Folder of spool, capture and command state.
    pub state: PathBuf,
    /// Bound of the rolling capture of CAN, and again of that of Ethernet.
    #[serde(default = "capture_bytes")]
    pub capture_bytes_max: u64,
    /// Filters of security events; without them every event passes at once.
    #[serde(default)]
    pub qualify: Option<QualifySection>,
    /// IDS frames of other ECUs; without it nobody listens.
    #[serde(default)]
    pub idsr: Option<IdsrSection>,
    /// IDS frames to another reporter.
    #[serde(default)]
    pub idsm: Option<IdsmSection>,
    /// Who may open the vehicle for a workshop; without it nobody can.
    #[serde(default)]
    pub workshop: Option<WorkshopSection>,
    /// Who may sign configurations; without it none is taken.
    #[serde(default)]
    pub updates: Option<UpdateSection>,
    /// Session, link and costs; without it the link costs nothing.
    #[serde(default)]
    pub uplink: Option<UplinkSection>,
}

/// 64 MiB: about ten minutes of two fully loaded buses at 500 kbit/s.
const fn capture_bytes() -> u64 {
    64 << 20
}

/// The batch key: it signs frames, and the spool's heads and tombstones.
#[derive(Clone)]
pub enum BatchKey {
    /// An Ed25519 key in a file, and the spool's secrets.
    Software {
        /// Signs.
        signer: BatchSigner,
        /// Secret of the spool, from the key that the vehicle began with.
        secret: Zeroizing<[u8; 32]>,
        /// K0 of a fresh spool, if nobody keeps one in escrow.
        root: Zeroizing<[u8; 32]>,
    },
    /// A key of a TPM or token, and the spool's secrets derived by the same.
    Device {
        /// Signs.
        signer: Arc<WireSigner>,
        /// Secret of the spool.
        secret: Zeroizing<[u8; 32]>,
        /// K0 of a fresh spool, if nobody keeps one in escrow.
        root: Zeroizing<[u8; 32]>,
    },
}

impl From<[u8; 32]> for BatchKey {
    fn from(secret: [u8; 32]) -> Self {
        let (spool, root) = SpoolKeys::from_secret(&secret).escrow();
        Self::Software {
            signer: BatchSigner::new(&secret),
            secret: Zeroizing::new(spool),
            root: Zeroizing::new(root),
        }
    }
}

impl BatchKey {
    /// Returns the signer of frames.
    #[must_use]
    pub fn signer(&self) -> Box<dyn Signer + Send + Sync> {
        match self {
            Self::Software { signer, .. } => Box::new(signer.clone()),
            Self::Device { signer, .. } => Box::new(WireSigner::clone(signer)),
        }
    }

    /// Returns the keys of the spool.
    #[must_use]
    pub fn spool_keys(&self) -> SpoolKeys {
        match self {
            Self::Software { secret, root, .. } | Self::Device { secret, root, .. } => {
                SpoolKeys::new(self.signer(), **secret, **root)
            }
        }
    }
}

/// Keys and identity, checked.
#[derive(Clone)]
pub struct VehicleKeys {
    /// Owner.
    pub tenant: TenantId,
    /// Pseudonym.
    pub vehicle: VehicleId,
    /// The batch key.
    pub batch: BatchKey,
    /// Public key of the cloud's acknowledgements.
    pub ack: [u8; 32],
    /// Public key of the cloud's commands.
    pub command: [u8; 32],
}

impl std::fmt::Debug for VehicleKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VehicleKeys").field("vehicle", &self.vehicle).finish_non_exhaustive()
    }
}

impl VehicleConfig {
    /// Reads a provisioning; relative paths become those below its folder. A certificate and roots that were fetched
    /// later go before those of the provisioning.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn open(path: &Path) -> Result<Self, ConfigError> {
        let mut config = Self::open_provisioned(path)?;
        crate::identity::IdentityFiles::new(&config.state.clone()).apply(&mut config);
        Ok(config)
    }

    /// Like [`Self::open`], but with the certificate and roots of the provisioning, whatever was fetched later.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn open_provisioned(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ConfigError::File { path: path.to_path_buf(), source })?;
        let shape = |error: toml::de::Error| ConfigError::Shape {
            path: path.to_path_buf(),
            reason: error.to_string(),
        };
        let mut table: toml::Table = toml::from_str(&text).map_err(shape)?;
        // Those are for the machine: see `Sections`.
        super::sections::NAMES.iter().for_each(|name| drop(table.remove(*name)));
        let mut config: Self = table.try_into().map_err(shape)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        for file in [
            &mut config.ca,
            &mut config.certificate,
            &mut config.key,
            &mut config.batch_key,
            &mut config.state,
        ] {
            *file = folder.join(&*file);
        }
        config.model = config.model.map(|model| folder.join(model));
        if let Some(file) = config.uplink.as_mut().and_then(|uplink| uplink.link_file.as_mut()) {
            *file = folder.join(&*file);
        }
        if let Some(extract) = config.idsr.as_mut().and_then(|idsr| idsr.extract.as_mut()) {
            *extract = folder.join(&*extract);
        }
        Ok(config)
    }

    /// Builds the qualification and what handles IDS frames.
    ///
    /// # Errors
    /// [`ConfigError`]: a setting that cannot be kept, or an extract that cannot be read.
    pub fn ids_layer(&self, start: VehicleMicros) -> Result<IdsLayer, ConfigError> {
        let value = |name| move |reason: String| ConfigError::Value { name, reason };
        let chain = self.qualify.as_ref().map(|section| section.chain(start)).transpose();
        let idsr = match &self.idsr {
            None => None,
            Some(section) => Some(section.open().map_err(value("idsr"))?),
        };
        let idsm = self.idsm.as_ref().map(Idsm::new).transpose();
        Ok(IdsLayer::new(chain.map_err(value("qualify"))?, idsr, idsm.map_err(value("idsm"))?))
    }

    /// Reads the keys; the batch key's file only if `batch` is none.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn keys(&self, batch: Option<BatchKey>) -> Result<VehicleKeys, ConfigError> {
        let value = |name, text: &str| {
            hex_decode::<32>(text.trim())
                .map_err(|error| ConfigError::Value { name, reason: error.to_string() })
        };
        let batch = match batch {
            Some(batch) => batch,
            None => {
                let secret = fs::read_to_string(&self.batch_key)
                    .map_err(|source| ConfigError::File { path: self.batch_key.clone(), source })?;
                let mut batch = BatchKey::from(value("batch_key", &secret)?);
                let files = BatchKeyFiles::new(&self.state);
                let kept = files.spool_secret();
                let kept = kept.map_err(|source| ConfigError::File { path: self.state.clone(), source })?;
                if let (BatchKey::Software { secret, .. }, Some(kept)) = (&mut batch, kept) {
                    *secret = Zeroizing::new(kept);
                }
                batch
            }
        };
        Ok(VehicleKeys {
            tenant: TenantId(self.tenant),
            vehicle: self
                .vehicle
                .parse()
                .map_err(|error| ConfigError::Value { name: "vehicle", reason: format!("{error}") })?,
            batch,
            ack: value("ack_public_key", &self.ack_public_key)?,
            command: value("command_public_key", &self.command_public_key)?,
        })
    }
}
