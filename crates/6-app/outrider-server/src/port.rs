//! What the composition root passes in, and what the server asks of the lake.

use std::sync::Arc;

use async_trait::async_trait;
use outrider_types::{Clock, EventId, EventTypeId, UnixMicros, VehicleId};

use crate::api::dto::{Event, LakeHealth, Severity, SqlResult, UnclassifiedType};

/// Source of unpredictable bytes, passed in by the composition root.
pub trait Random: Send + Sync {
    /// Fills `bytes` with bytes that nobody can guess.
    fn fill(&self, bytes: &mut [u8]);
}

/// Draws a fixed number of unpredictable bytes.
pub(crate) fn draw<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

/// Everything the server takes from its surroundings.
#[derive(Clone)]
pub struct Ports {
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Unpredictable bytes.
    pub random: Arc<dyn Random>,
    /// Provider of TLS cryptography.
    pub crypto: Arc<rustls::crypto::CryptoProvider>,
}

/// Why the history of events did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// The question is wrong; the text says why and may be shown.
    #[error("{0}")]
    Question(String),
    /// The answer took too long.
    #[error("the query took longer than {seconds} s")]
    Timeout {
        /// Limit.
        seconds: u64,
    },
    /// The lake failed.
    #[error("lake failed: {0}")]
    Storage(String),
}

/// Which events of one vehicle are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimelineSpan {
    /// Vehicle.
    pub vehicle: VehicleId,
    /// Earliest event time.
    pub from: UnixMicros,
    /// Latest event time, exclusive.
    pub to: UnixMicros,
}

/// Events of one part of a vehicle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartCount {
    /// Bus, -1 where there is none.
    pub bus: i64,
    /// ECU name.
    pub ecu: Option<String>,
    /// Events.
    pub events: u64,
    /// Worst severity among them.
    pub worst: Option<Severity>,
}

/// Stored security events.
#[async_trait]
pub trait EventHistory: Send + Sync {
    /// Returns events by identity, in the order asked for; unknown ones are left out.
    ///
    /// # Errors
    /// [`HistoryError`].
    async fn events(&self, ids: &[EventId]) -> Result<Vec<Event>, HistoryError>;

    /// Returns events of one vehicle, latest event time first, skipping the first `offset`.
    ///
    /// # Errors
    /// [`HistoryError`].
    async fn timeline(&self, span: TimelineSpan, offset: u64, limit: u32)
    -> Result<Vec<Event>, HistoryError>;

    /// Returns the latest events of one type and vehicle since an event time, latest first.
    ///
    /// # Errors
    /// [`HistoryError`].
    async fn latest(
        &self,
        vehicle: VehicleId,
        event_type: EventTypeId,
        since: UnixMicros,
        limit: u32,
    ) -> Result<Vec<Event>, HistoryError>;

    /// Counts the events of one vehicle by bus and ECU since an event time.
    ///
    /// # Errors
    /// [`HistoryError`].
    async fn part_counts(
        &self,
        vehicle: VehicleId,
        since: UnixMicros,
    ) -> Result<Vec<PartCount>, HistoryError>;

    /// Counts the foreign events whose type the catalogue does not have, by type, feed and platform, since a time of
    /// arrival, the most first; at most 1,000 lines.
    ///
    /// # Errors
    /// [`HistoryError`].
    async fn unclassified(&self, since: UnixMicros) -> Result<Vec<UnclassifiedType>, HistoryError>;

    /// Runs a reading query with caps on rows and time.
    ///
    /// # Errors
    /// [`HistoryError`].
    async fn sql(&self, query: &str, limit: u32) -> Result<SqlResult, HistoryError>;

    /// Merges small files and deletes those that no query needs any more; queries and stores go on meanwhile.
    ///
    /// # Errors
    /// [`HistoryError::Storage`]; tried again the next time.
    async fn maintain(&self) -> Result<(), HistoryError>;

    /// Returns the state of the lake.
    ///
    /// # Errors
    /// [`HistoryError`].
    async fn health(&self) -> Result<LakeHealth, HistoryError>;
}
