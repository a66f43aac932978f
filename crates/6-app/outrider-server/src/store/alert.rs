//! Alerts and the findings behind them.

use async_trait::async_trait;
use outrider_model::{Finding, LogOffset, Matched, OwnerEpoch, Partition, RuleId};
use outrider_types::{EventId, UnixMicros, VehicleId};

use super::{Counts, Scope, StoreResult};
use crate::api::dto::{
    Alert, AlertActionRequest, AlertActionResult, AlertRef, AlertStatus, HistoryEntry, Severity,
    SeverityCounts,
};

/// What the queue shows of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleCard {
    /// Identity.
    pub id: RuleId,
    /// Title.
    pub title: String,
    /// Tags.
    pub tags: Vec<String>,
    /// How long its group must be quiet, in event time, before the next finding is a new alert.
    pub quiet_us: i64,
}

/// Finding with the rule it comes from.
#[derive(Debug, Clone, Copy)]
pub struct FindingInput<'a> {
    /// The statement.
    pub finding: &'a Finding,
    /// Its rule.
    pub rule: &'a RuleCard,
}

/// Who states findings, with the right to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingOwner {
    /// The owner of all partitions of the event log, which counts for itself.
    Whole(OwnerEpoch),
    /// The correlator of a part of the groups.
    Part(Partition, OwnerEpoch),
}

/// Place in the order in which alerts changed, as they were committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertChange(pub u64);

/// Finding as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFinding {
    /// Identity.
    pub id: String,
    /// First event time.
    pub window_from: UnixMicros,
    /// Last event time.
    pub window_to: UnixMicros,
    /// Revision.
    pub revision: u32,
    /// Whether a late event raised or changed it.
    pub late: bool,
    /// Threshold of the rule, if it counts.
    pub threshold: Option<u64>,
    /// Value the rule computed, if it counts.
    pub value: Option<u64>,
    /// Contributing events.
    pub event_count: u64,
    /// Contributing vehicles.
    pub vehicle_count: u64,
    /// Conditions that were met.
    pub matched: Vec<Matched>,
    /// Example events.
    pub events: Vec<EventId>,
}

/// Column that the queue is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertOrder {
    /// Latest event time.
    LastAt,
    /// Earliest event time.
    FirstAt,
    /// Badness.
    Severity,
    /// Vehicles.
    VehicleCount,
    /// Events.
    EventCount,
}

/// Conditions on alerts; empty lists and `None` are no condition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Any of these.
    pub status: Vec<AlertStatus>,
    /// Any of these.
    pub severity: Vec<Severity>,
    /// Rule.
    pub rule: Option<String>,
    /// Model line.
    pub model_line: Option<String>,
    /// Vehicle behind it.
    pub vehicle: Option<String>,
    /// Case; `none` for those without.
    pub case: Option<String>,
    /// Owner; `none` for those without.
    pub owner: Option<String>,
    /// Words that must occur.
    pub words: Vec<String>,
    /// Earliest `last_at`.
    pub from: Option<UnixMicros>,
    /// Latest `last_at`, exclusive.
    pub to: Option<UnixMicros>,
    /// Detected at or before.
    pub detected_until: Option<UnixMicros>,
}

/// One page of rows with the number of rows on all pages.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Cursor of the next page.
    pub next_cursor: Option<String>,
    /// Rows on all pages.
    pub total: u64,
}

/// Queue of alerts.
#[async_trait]
pub trait AlertStore: Send + Sync {
    /// Writes findings that are new or of a higher revision and brings their alerts up to date; returns the
    /// alerts that changed. Findings already known at this revision change nothing but the offset they were stated at.
    ///
    /// `next` is the first record that the statements do not rest on: of the event log, or of a part's sightings.
    ///
    /// # Errors
    /// [`super::StoreError::Fenced`], [`super::StoreError::Database`]; nothing was written.
    async fn record_findings(
        &self,
        scope: Scope,
        owner: FindingOwner,
        findings: &[FindingInput<'_>],
        next: LogOffset,
    ) -> StoreResult<Vec<Alert>>;

    /// Returns the findings that stand and were last stated with a `next` above `after`, with that `next`.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn findings_stated(&self, scope: Scope, after: LogOffset) -> StoreResult<Vec<(String, LogOffset)>>;

    /// Takes findings back by identity and brings their alerts up to date; returns the alerts that changed.
    ///
    /// # Errors
    /// [`super::StoreError::Fenced`], [`super::StoreError::Database`]; nothing was written.
    async fn withdraw_findings(
        &self,
        scope: Scope,
        epoch: OwnerEpoch,
        ids: &[String],
    ) -> StoreResult<Vec<Alert>>;

    /// Returns a page of the queue.
    ///
    /// # Errors
    /// [`super::StoreError::Invalid`] for a cursor that is none.
    async fn alerts(
        &self,
        scope: Scope,
        filter: &AlertFilter,
        order: (AlertOrder, bool),
        cursor: Option<&str>,
        limit: u32,
    ) -> StoreResult<Page<Alert>>;

    /// Returns alerts that changed after a change, oldest change first, with the number of the last of them; `None` for the
    /// change returns none and the number of the newest.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn alerts_changed(
        &self,
        scope: Scope,
        after: Option<AlertChange>,
        limit: u32,
    ) -> StoreResult<(Vec<Alert>, AlertChange)>;

    /// Counts alerts of a filter by severity; its own condition on severity is ignored.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn alert_counts(&self, scope: Scope, filter: &AlertFilter) -> StoreResult<SeverityCounts>;

    /// Returns one alert.
    ///
    /// # Errors
    /// [`super::StoreError::NotFound`].
    async fn alert(&self, scope: Scope, id: &str) -> StoreResult<Alert>;

    /// Returns the findings of an alert, latest window first; those taken back only where no other is left.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn alert_findings(&self, scope: Scope, id: &str, limit: u32) -> StoreResult<Vec<StoredFinding>>;

    /// Returns the vehicles of an alert, ascending.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn alert_vehicles(&self, scope: Scope, id: &str, limit: u32) -> StoreResult<Vec<VehicleId>>;

    /// Returns what people did with an alert, newest first.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn alert_history(&self, scope: Scope, id: &str) -> StoreResult<Vec<HistoryEntry>>;

    /// Returns other alerts that share a vehicle, the rule or the model line: most in common first, then latest.
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn similar_alerts(&self, scope: Scope, alert: &Alert, limit: u32) -> StoreResult<Vec<AlertRef>>;

    /// Acts on a selection in one transaction; `filter` is the selection's query, read by the caller.
    ///
    /// # Errors
    /// [`super::StoreError::Invalid`] where the action lacks what it needs.
    async fn act_on_alerts(
        &self,
        scope: Scope,
        actor: &str,
        filter: Option<&AlertFilter>,
        request: &AlertActionRequest,
    ) -> StoreResult<AlertActionResult>;

    /// Counts findings, alerts and dispositions by rule: rule → (findings, alerts, disposition → alerts).
    ///
    /// # Errors
    /// [`super::StoreError::Database`].
    async fn rule_counts(
        &self,
        scope: Scope,
    ) -> StoreResult<std::collections::BTreeMap<String, (u64, u64, Counts)>>;
}
