//! The registry as car makers fill it: imports and the roll-out of monitoring.

use async_trait::async_trait;
use outrider_ingest::registry::VehiclePatch;
use outrider_model::MonitoringStage;
use outrider_types::VehicleId;

use super::{Scope, StoreResult, VehicleFilter};

/// Vehicles of one call of [`RegistryStore::merge_vehicles`]: a transaction of some tens of milliseconds, so that others
/// come in between.
pub const MERGE_MAX: usize = 2000;

/// What became of a vehicle in an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Merged {
    /// It was not registered.
    New,
    /// Something of it is different now.
    Changed,
    /// It was registered just so.
    Unchanged,
}

/// Which vehicles a change is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These; each must be registered.
    Vehicles(Vec<VehicleId>),
    /// All that a filter finds.
    Filter(VehicleFilter),
}

/// Change of the stage of monitoring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageChange {
    /// For whom.
    pub selection: Selection,
    /// To what.
    pub stage: MonitoringStage,
    /// User, or `cli`.
    pub by: String,
    /// Why; goes into the audit trail.
    pub reason: String,
}

/// Registry.
#[async_trait]
pub trait RegistryStore: Send + Sync {
    /// Registers vehicles or changes what is registered of them, in one transaction; keys, buses and activity stay. Says
    /// of each what became of it, in the order given; no vehicle may come twice. With `is_dry`, nothing is written.
    ///
    /// # Errors
    /// [`super::StoreError::Database`]; nothing was written.
    async fn merge_vehicles(
        &self,
        scope: Scope,
        vehicles: &[(VehicleId, VehiclePatch)],
        is_dry: bool,
    ) -> StoreResult<Vec<Merged>>;

    /// Moves vehicles to a stage, and writes that into the audit trail. Returns how many were at another one.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`] if a vehicle is not registered; nothing was changed.
    async fn change_stage(&self, scope: Scope, change: &StageChange) -> StoreResult<u64>;
}
