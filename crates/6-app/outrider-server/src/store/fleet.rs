//! Vehicle registry, activity and the counts of the first page.

use std::collections::BTreeMap;

use async_trait::async_trait;
use outrider_model::VehicleRecord;
use outrider_types::{UnixMicros, VehicleId};

use super::{Page, Scope, StoreResult};
use crate::api::dto::{
    BusHealth, Connectivity, ModelCount, MonitoringStage, RateBucket, Region, Registration, RuleCount,
    Severity, SeverityCounts, StatusCounts, VehicleCounts, VehicleSummary, WaitingItem,
};

/// Public key of a vehicle's batches and receipts; its length says which kind it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchKey {
    /// Ed25519, 32 bytes: suite 1 of the wire.
    Ed25519([u8; 32]),
    /// An uncompressed point of P-256, 65 bytes: suite 2, for keys in TPMs and tokens.
    EcdsaP256([u8; 65]),
}

impl BatchKey {
    /// Reads a key by its length; `None` if there is no kind of that length.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let short = <[u8; 32]>::try_from(bytes).ok().map(Self::Ed25519);
        short.or_else(|| <[u8; 65]>::try_from(bytes).ok().map(Self::EcdsaP256))
    }

    /// Returns the bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Ed25519(key) => key,
            Self::EcdsaP256(point) => point,
        }
    }
}

impl From<[u8; 32]> for BatchKey {
    fn from(key: [u8; 32]) -> Self {
        Self::Ed25519(key)
    }
}

/// Vehicle as it is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VehicleEntry {
    /// What enrichment knows of it.
    pub record: VehicleRecord,
    /// Its buses.
    pub buses: Vec<BusHealth>,
    /// What its agent can do.
    pub capabilities: Vec<String>,
    /// Key of its batches; without one it is not let in.
    pub batch_key: Option<BatchKey>,
    /// Key that vouches for its anchor, an uncompressed point of P-256; without one proofs are not checked.
    pub anchor_key: Option<[u8; 65]>,
}

/// Place in the order of the registry's changes; the default is before all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RegistryMark {
    /// Revision of the last vehicle read.
    pub revision: i64,
    /// The vehicle; those of one revision are ordered by pseudonym.
    pub vehicle: Option<VehicleId>,
}

/// What a part of the event log said of one vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Activity {
    /// Events stored.
    pub events: u64,
    /// Latest event time among them.
    pub last_event: Option<UnixMicros>,
    /// When it was last heard of.
    pub last_seen: UnixMicros,
}

/// Order of the vehicles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VehicleOrder {
    /// By id.
    Id,
    /// By when it was last heard of.
    LastSeen,
    /// By open alerts.
    OpenAlerts,
    /// By worst open alert.
    WorstSeverity,
}

/// Conditions on vehicles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VehicleFilter {
    /// Beginning of the id.
    pub prefix: Option<String>,
    /// Model line.
    pub model_line: Option<String>,
    /// Platform.
    pub platform: Option<String>,
    /// Software release.
    pub release: Option<String>,
    /// Model year.
    pub model_year: Option<u16>,
    /// Region.
    pub region: Option<String>,
    /// Stage of monitoring.
    pub stage: Option<MonitoringStage>,
    /// Where it stands in its life.
    pub registration: Option<Registration>,
    /// When it was last heard of.
    pub status: Option<Connectivity>,
}

/// Registered place with what happened there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CellCount {
    /// Vehicles.
    pub vehicles: u64,
    /// Their events of the last 24 hours.
    pub events: u64,
    /// Their open alerts.
    pub alerts: u64,
    /// Worst severity among those.
    pub worst: Option<Severity>,
}

/// Counts of the first page that come from the case database.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OverviewCounts {
    /// Open alerts.
    pub open: SeverityCounts,
    /// All alerts.
    pub by_status: StatusCounts,
    /// Oldest alert nobody has taken.
    pub oldest_new: Option<UnixMicros>,
    /// Vehicles.
    pub vehicles: VehicleCounts,
    /// What waits, oldest first.
    pub waiting: Vec<WaitingItem>,
    /// Minutes with events or findings in the last hour, ascending.
    pub rate: Vec<RateBucket>,
    /// Rules with most open alerts.
    pub top_rules: Vec<RuleCount>,
    /// Model lines with most open alerts.
    pub top_models: Vec<ModelCount>,
}

/// Vehicles and what is known of them.
#[async_trait]
pub trait FleetStore: Send + Sync {
    /// Registers vehicles or replaces what is registered of them; activity stays.
    ///
    /// # Errors
    /// [`super::StoreError::Database`]; nothing was written.
    async fn put_vehicles(&self, scope: Scope, vehicles: &[VehicleEntry]) -> StoreResult<()>;

    /// Returns at most `limit` vehicles that were registered or changed behind a mark, in the order of their changes, and the
    /// mark behind them.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn registered_vehicles(
        &self,
        scope: Scope,
        after: RegistryMark,
        limit: u32,
    ) -> StoreResult<(Vec<VehicleEntry>, RegistryMark)>;

    /// Returns a page of vehicles.
    ///
    /// # Errors
    /// [`super::StoreError::Invalid`] for a cursor that is none.
    async fn vehicles(
        &self,
        scope: Scope,
        filter: &VehicleFilter,
        order: (VehicleOrder, bool),
        cursor: Option<&str>,
        limit: u32,
    ) -> StoreResult<Page<VehicleSummary>>;

    /// Returns the summaries of some vehicles, in order of id; unknown ones are left out.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn vehicle_summaries(&self, scope: Scope, ids: &[VehicleId]) -> StoreResult<Vec<VehicleSummary>>;

    /// Returns what is known of a vehicle that nobody registered; `None` if it is registered or left no trace.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn unregistered_vehicle(&self, scope: Scope, id: VehicleId) -> StoreResult<Option<VehicleSummary>>;

    /// Returns what is registered of one vehicle.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`].
    async fn vehicle_entry(&self, scope: Scope, id: VehicleId) -> StoreResult<VehicleEntry>;

    /// Returns regions, most open alerts first.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn regions(&self, scope: Scope) -> StoreResult<Vec<Region>>;

    /// Returns counts by registered H3 cell.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn cells(&self, scope: Scope) -> StoreResult<BTreeMap<u64, CellCount>>;

    /// Returns the counts of the first page.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn overview(&self, scope: Scope) -> StoreResult<OverviewCounts>;

    /// Returns the size of the database.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn database_bytes(&self) -> StoreResult<u64>;
}
