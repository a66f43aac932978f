//! What a vehicle is made of, and what it says of itself.

use std::io;
use std::path::Path;

use outrider_gateway::spool::{Anchor, SpoolConfig};
use outrider_gateway::uplink::{Transport, TransportError, UplinkConfig};
use outrider_gateway::{CommandStoreError, PublicKeyError, StorageError, fold};
use outrider_ids::model::ModelError;
use outrider_types::{BootEpoch, Seed};

use super::config::VehicleKeys;
use crate::io::mqtt::LinkState;

/// The way to the cloud, evidence included.
pub trait CloudLink: Transport {
    /// Uploads a capture that a command asked for.
    ///
    /// # Errors
    /// [`TransportError`].
    fn upload(
        &mut self,
        command_id: &str,
        sha256: &str,
        media_type: &str,
        content: &[u8],
    ) -> Result<(), TransportError>;

    /// Fetches a piece of an artifact by the SHA-256 of the whole, from an offset on, at most `bytes_max`.
    ///
    /// # Errors
    /// [`TransportError`]; a way that carries no artifacts says that they are not to be had now.
    fn fetch(&mut self, sha256: &str, from: u64, bytes_max: usize) -> Result<Vec<u8>, TransportError> {
        let _ = (sha256, from, bytes_max);
        Err(TransportError::Unreachable("artifacts do not come this way".to_owned()))
    }

    /// Returns false if there is no way for captures; then a command for one is refused at once.
    fn takes_evidence(&self) -> bool {
        true
    }

    /// Keeps the link alive, and returns the reply frames that nobody asked for: commands wait in them. Call it before
    /// each exchange.
    fn unasked(&mut self) -> Vec<Vec<u8>> {
        Vec::new()
    }

    /// Returns true if the cloud tells of commands by itself, so that nobody has to ask.
    fn tells_commands(&self) -> bool {
        false
    }

    /// Returns the state of the session; none for a link without sessions.
    fn state(&self) -> Option<LinkState> {
        None
    }
}

/// Why a vehicle cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The spool's medium failed.
    #[error("spool: {0}")]
    Storage(#[from] StorageError),
    /// The vehicle model is damaged.
    #[error("vehicle model: {0}")]
    Model(ModelError),
    /// The Ethernet part of the vehicle model is damaged.
    #[error("vehicle model: {0}")]
    EthernetModel(ModelError),
    /// A provisioned key is none.
    #[error("provisioned key: {0}")]
    Key(#[from] PublicKeyError),
    /// The command store is damaged; a vehicle that forgot its last command obeys none.
    #[error("command store: {0}")]
    Commands(#[from] CommandStoreError),
    /// A state file or folder cannot be used.
    #[error("state: {0}")]
    State(#[from] io::Error),
}

/// What a vehicle is made of.
pub struct VehicleParts<'a, S> {
    /// Identity and keys.
    pub keys: VehicleKeys,
    /// Medium of the spool.
    pub storage: S,
    /// Folder of capture, index and commands.
    pub state: &'a Path,
    /// Vehicle model; empty watches nothing.
    pub model: &'a [u8],
    /// Bound of the rolling capture.
    pub capture_bytes_max: u64,
    /// Jitter, salt; a real vehicle draws it.
    pub seed: Seed,
    /// Lowest boot epoch to use, such as a hardware boot counter.
    pub floor: BootEpoch,
    /// Folding windows.
    pub fold: fold::FoldConfig,
    /// Sizes of the spool.
    pub spool: SpoolConfig,
    /// Counter that shows a spool that was set back.
    pub anchor: Box<dyn Anchor + Send + Sync>,
    /// K0 of a fresh spool, if somebody keeps it in escrow; else it is derived from the batch key.
    pub spool_root: Option<[u8; 32]>,
    /// Change to the uplink's usual values, for tests and simulation.
    pub uplink: fn(UplinkConfig) -> UplinkConfig,
    /// Longest time without an exchange before the vehicle asks whether there are commands for it.
    pub poll_us: u64,
}

/// Counters of a vehicle in this boot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    /// Ethernet frames taken.
    pub packets: u64,
    /// Frames, faults and signals heard on LIN and FlexRay.
    pub heard: u64,
    /// Frames seen.
    pub frames: u64,
    /// Observations of detectors that became events.
    pub observations: u64,
    /// Rows that got a number in this boot.
    pub rows: u64,
    /// Events lost in this boot.
    pub lost: u64,
    /// Commands accepted.
    pub commands_accepted: u64,
    /// Commands refused.
    pub commands_refused: u64,
    /// Captures uploaded.
    pub evidence_sent: u64,
    /// Answers of the cloud that carried its signature.
    pub answers: u64,
}
