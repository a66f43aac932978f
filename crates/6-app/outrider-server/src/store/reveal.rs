//! Requests to show a VIN: who asked why, who agreed, whether it was shown.

use async_trait::async_trait;
use outrider_types::{UnixMicros, VehicleId};

use super::{Scope, StoreResult};
use crate::api::dto::RevealRequest;

/// Requests of one person that wait or may be used at a time: more would hide others in the list, and nobody reads the
/// reasons of so many.
pub const REVEALS_OPEN_MAX: u32 = 50;

/// Request to show a VIN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReveal {
    /// Identity of the request.
    pub id: String,
    /// Vehicle.
    pub vehicle: VehicleId,
    /// Why.
    pub reason: String,
    /// Who asks.
    pub by: String,
    /// Void from then on.
    pub expires: UnixMicros,
    /// Whether a second person must agree.
    pub is_two_person: bool,
}

/// Requests to show VINs. Each step is written together with its line in the audit trail.
#[async_trait]
pub trait RevealStore: Send + Sync {
    /// Writes a request down.
    ///
    /// # Errors
    /// [`super::StoreError::Conflict`] if the id is taken, or if [`REVEALS_OPEN_MAX`] requests of the person are neither used
    /// nor lapsed.
    async fn request_reveal(&self, scope: Scope, request: &NewReveal) -> StoreResult<RevealRequest>;

    /// Agrees to a request as a second person.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`]; [`super::StoreError::Conflict`] if the person is who asked, or if the request has
    /// lapsed or somebody agreed already.
    async fn approve_reveal(&self, scope: Scope, id: &str, by: &str) -> StoreResult<RevealRequest>;

    /// Uses a request up; only then may the vault be asked. Returns the vehicle.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`]; [`super::StoreError::Conflict`] if the person is not who asked, if nobody agreed, if
    /// the policy agreed while now a second person must, or if the request has lapsed or was used.
    async fn open_reveal(
        &self,
        scope: Scope,
        id: &str,
        by: &str,
        is_two_person: bool,
    ) -> StoreResult<VehicleId>;

    /// Returns the latest requests, newest first.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn reveals(&self, scope: Scope, limit: u32) -> StoreResult<Vec<RevealRequest>>;
}
