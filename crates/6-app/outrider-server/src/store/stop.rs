//! The emergency stop: anyone may set it, nobody alone may release it.

use async_trait::async_trait;

use super::{Scope, StoreResult, Voided};
use crate::api::dto::EmergencyStop;

/// Switch that keeps every command away from every vehicle of a tenant.
#[async_trait]
pub trait StopStore: Send + Sync {
    /// Returns the state of the stop.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn emergency_stop(&self, scope: Scope) -> StoreResult<EmergencyStop>;

    /// Sets the stop and voids, in the same transaction, every command that no vehicle has answered; returns the
    /// requests and orders that were voided. A stop that is set keeps who set it first, and loses a release that was proposed.
    ///
    /// # Errors
    /// [`super::StoreError::Database`]; nothing was written.
    async fn set_emergency_stop(
        &self,
        scope: Scope,
        by: &str,
        reason: &str,
    ) -> StoreResult<(EmergencyStop, Voided)>;

    /// Proposes the release or, if another person has proposed it, releases.
    ///
    /// # Errors
    /// [`super::StoreError::Conflict`] if the stop is not set, or if the same person has proposed it.
    async fn release_emergency_stop(
        &self,
        scope: Scope,
        by: &str,
        reason: &str,
    ) -> StoreResult<EmergencyStop>;
}
