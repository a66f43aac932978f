//! Remote configuration: signed policies, rule packs and vehicle models, put to use on trial and taken back if they harm.
//!
//! **In:** artifacts, time, counts of the vehicle. **Out:** which artifact of each kind is in use. **Never:** an artifact
//! without a signature of a trusted key; a version that was tried before; a half-written configuration.
//! **Start reading** at [`Remote`]; the files are those of [`ConfigStore`].

mod author;
mod download;
mod pointer;
mod rules;
mod store;
mod trial;
mod trust;

use outrider_gateway::spool::Floor;
use outrider_types::VehicleMicros;
use outrider_wire::ArtifactKind;

pub use author::{AuthorError, Draft, policy_of_toml};
pub use download::{Download, PIECE_BYTES, Progress};
pub use pointer::{Ended, Pointer, Return, ReturnReason, TrialOf};
pub use rules::RulePack;
pub use store::{ConfigStore, Disk, RealDisk, StoreError};
pub use trial::{Counts, Health, RATE_ALLOWANCE, RATE_FACTOR, TRIAL_US, Trial};
pub use trust::{ArtifactTrust, Refused, UpdateSection};

/// Place of a kind in tables.
#[must_use]
pub const fn place(kind: ArtifactKind) -> usize {
    match kind {
        ArtifactKind::Policy => 0,
        ArtifactKind::Rules => 1,
        ArtifactKind::Model => 2,
    }
}

/// What a vehicle was provisioned with: what it returns to where nothing was configured.
#[derive(Debug, Clone, Default)]
pub struct Provisioned {
    /// Vehicle model that is believed; empty is none.
    pub model: Vec<u8>,
    /// Filters of `[qualify]`.
    pub qualify: Option<crate::runtime::ids::QualifySection>,
}

/// Configuration of a vehicle, as far as it comes from the cloud.
pub struct Remote {
    /// Slots and pointer.
    pub store: ConfigStore,
    /// Who may sign.
    pub trust: ArtifactTrust,
    /// What a model must be.
    pub model_trust: crate::model_file::ModelTrust,
    /// What holds without an artifact.
    pub provisioned: Provisioned,
    /// The trial that runs.
    pub trial: Option<Trial>,
    /// Events and time since the configuration in use began, for the rate that a new one is held against.
    pub usual: Option<(VehicleMicros, u64)>,
    /// The artifact that is being fetched.
    pub download: Option<Download>,
    /// Patterns of logs of the rule pack in use, as TOML; empty if there are none. Host sensors take them at a start.
    pub patterns: String,
    /// The command that could not be followed last, until the cloud knows why.
    pub given_up: Option<(u64, outrider_wire::RefuseReason)>,
}

impl Remote {
    /// Opens the configuration; counts this start if one is on trial, and returns to the last good one if it is the
    /// third without health.
    ///
    /// # Errors
    /// [`StoreError`]: the files cannot be written.
    pub fn open(
        store: ConfigStore,
        trust: ArtifactTrust,
        model_trust: crate::model_file::ModelTrust,
        provisioned: Provisioned,
    ) -> Result<Self, StoreError> {
        let (trial, usual, download, given_up) = (None, None, None, None);
        let patterns = String::new();
        let mut remote =
            Self { store, trust, model_trust, provisioned, trial, usual, download, patterns, given_up };
        remote.store.count_start()?;
        Ok(remote)
    }

    /// Returns the floor of a kind: what the pointer has, and what the sealed spool has, whichever is higher. Setting one
    /// of them back does not lower it.
    #[must_use]
    pub fn floor(&self, kind: ArtifactKind, sealed: Floor) -> Floor {
        let known = self.store.pointer().floor(kind);
        Floor { tried: known.tried.max(sealed.tried), good: known.good.max(sealed.good) }
    }
}
