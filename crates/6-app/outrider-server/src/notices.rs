//! What the rest of the server tells the live stream.

use std::sync::Arc;

use crate::api::dto::{Alert, EmergencyStop, EvidenceRequest, EvidenceState, UpdateOrder, UpdateState};
use crate::vehicle::Links;

/// Takes notices of changes; must return at once and never fail.
pub trait Notices: Send + Sync {
    /// An alert is new or has changed.
    fn alert(&self, alert: &Alert);

    /// A request for evidence has moved on.
    fn evidence(&self, request: &EvidenceRequest);

    /// An update order has moved on.
    fn update(&self, order: &UpdateOrder);

    /// The emergency stop was set, or its release proposed or confirmed.
    fn stop(&self, stop: &EmergencyStop);
}

/// Takes notices and forgets them; for tests and headless runs.
#[derive(Debug, Default)]
pub struct NoNotices;

impl Notices for NoNotices {
    fn alert(&self, _alert: &Alert) {}

    fn evidence(&self, _request: &EvidenceRequest) {}

    fn update(&self, _order: &UpdateOrder) {}

    fn stop(&self, _stop: &EmergencyStop) {}
}

/// Passes notices on, and wakes the session of a vehicle for which a command became ready.
pub(crate) struct WakingNotices<N> {
    /// Where notices go.
    pub(crate) hub: Arc<N>,
    /// Sessions.
    pub(crate) links: Arc<Links>,
}

impl<N: Notices> Notices for WakingNotices<N> {
    fn alert(&self, alert: &Alert) {
        self.hub.alert(alert);
    }

    fn evidence(&self, request: &EvidenceRequest) {
        self.hub.evidence(request);
        if request.state == EvidenceState::Permitted
            && let Ok(vehicle) = request.vehicle_id.parse()
        {
            self.links.wake(vehicle);
        }
    }

    fn update(&self, order: &UpdateOrder) {
        self.hub.update(order);
        if order.state == UpdateState::Permitted
            && let Ok(vehicle) = order.vehicle_id.parse()
        {
            self.links.wake(vehicle);
        }
    }

    fn stop(&self, stop: &EmergencyStop) {
        self.hub.stop(stop);
    }
}
