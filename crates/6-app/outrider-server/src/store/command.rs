//! Commands on their way to vehicles, whatever they ask for: one series of numbers, one set of limits.

use async_trait::async_trait;
use outrider_types::{UnixMicros, VehicleId};

use super::{Scope, StoreResult};
use crate::api::dto::{EvidenceRequest, UpdateOrder};

/// Command that a request for evidence or an update order became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandDraft {
    /// Command, hexadecimal.
    pub command_id: String,
    /// Permit, hexadecimal.
    pub permit_id: String,
    /// Number in the vehicle's series.
    pub sequence: u64,
    /// First moment at which it is void.
    pub expires: UnixMicros,
    /// Signed frame.
    pub frame: Vec<u8>,
}

/// Commands that leave with a reply, and what changed by that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeavingCommands {
    /// Signed frames by number.
    pub frames: Vec<Vec<u8>>,
    /// Requests for evidence that are sent now and were not before.
    pub evidence: Vec<EvidenceRequest>,
    /// Update orders that are sent now and were not before.
    pub orders: Vec<UpdateOrder>,
}

/// What the emergency stop voided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Voided {
    /// Requests for evidence.
    pub evidence: Vec<EvidenceRequest>,
    /// Update orders.
    pub orders: Vec<UpdateOrder>,
}

/// What is under way for a vehicle and the fleet, of either kind of command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommandLoad {
    /// Commands for the vehicle without an end.
    pub in_flight: u32,
    /// Commands to the vehicle in the last 24 hours.
    pub vehicle_day: u32,
    /// Commands to all vehicles in the last 24 hours.
    pub fleet_day: u32,
    /// Whether the emergency stop is set.
    pub is_stopped: bool,
}

/// Signed commands.
#[async_trait]
pub trait CommandStore: Send + Sync {
    /// Reserves the next number in a vehicle's series of commands; numbers are never given twice.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn next_command_sequence(&self, scope: Scope, vehicle: VehicleId) -> StoreResult<u64>;

    /// Returns whether commands wait for a vehicle: signed, not answered, not expired; never while the emergency stop is
    /// set.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn has_commands(&self, scope: Scope, vehicle: VehicleId) -> StoreResult<bool>;

    /// Returns the commands that wait for a vehicle, by number, and marks them as sent in the same transaction: what was
    /// withdrawn or stopped before it does not leave, and what is given out cannot be withdrawn any more.
    ///
    /// # Errors
    /// [`super::StoreError::Database`]; nothing may leave.
    async fn take_commands(
        &self,
        scope: Scope,
        vehicle: VehicleId,
        limit: u32,
    ) -> StoreResult<LeavingCommands>;

    /// Returns what is under way, for the safety gate.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn command_load(&self, scope: Scope, vehicle: VehicleId) -> StoreResult<CommandLoad>;
}
