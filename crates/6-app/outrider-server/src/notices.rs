//! What the rest of the server tells the live stream.

use crate::api::dto::{Alert, EmergencyStop, EvidenceRequest};

/// Takes notices of changes; must return at once and never fail.
pub trait Notices: Send + Sync {
    /// An alert is new or has changed.
    fn alert(&self, alert: &Alert);

    /// A request for evidence has moved on.
    fn evidence(&self, request: &EvidenceRequest);

    /// The emergency stop was set, or its release proposed or confirmed.
    fn stop(&self, stop: &EmergencyStop);
}

/// Takes notices and forgets them; for tests and headless runs.
#[derive(Debug, Default)]
pub struct NoNotices;

impl Notices for NoNotices {
    fn alert(&self, _alert: &Alert) {}

    fn evidence(&self, _request: &EvidenceRequest) {}

    fn stop(&self, _stop: &EmergencyStop) {}
}
