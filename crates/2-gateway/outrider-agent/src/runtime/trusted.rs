//! Whether the vehicle believes its model.

use outrider_gateway::{FieldValue, SecurityEvent, Storage};
use outrider_types::VehicleMicros;
use outrider_wire::catalogue::{event, field};

use super::Vehicle;
use super::report::Model;
use crate::edge::Edge;
use crate::model_file::{Refusal, Trusted, key_text};

impl<S: Storage> Vehicle<S> {
    /// Takes note of whose model the detectors were made of.
    pub fn model_believed(&mut self, trusted: &Trusted) {
        let state = if trusted.key.is_some() { "signed" } else { "believed" };
        self.model = Model {
            state: state.to_owned(),
            platform: trusted.platform.as_str().to_owned(),
            release: trusted.release.as_str().to_owned(),
            key: trusted.key.map(key_text),
            reason: None,
        };
    }

    /// Goes on without a model that is not believed: the CAN buses are learned on the road, Ethernet segments are not
    /// watched. Says so as an event.
    pub fn refuse_model(&mut self, refusal: &Refusal, now: VehicleMicros) {
        self.edge = Some(Edge::untrained());
        self.net = None;
        self.model = Model {
            state: "refused".to_owned(),
            platform: String::new(),
            release: String::new(),
            key: refusal.key().map(key_text),
            reason: Some(refusal.to_string()),
        };
        let text = |text: &str| FieldValue::Text(text.to_owned());
        let mut event =
            SecurityEvent::new(event::IDS_MODEL_REFUSED, now).with(field::REASON, text(refusal.word()));
        if let Some(key) = refusal.key() {
            event = event.with(field::KEY_ID, FieldValue::Text(key_text(key)));
        }
        match refusal {
            Refusal::Platform { got, .. } => event = event.with(field::MODEL_PLATFORM, text(got.as_str())),
            Refusal::Release { got, .. } => event = event.with(field::MODEL_RELEASE, text(got.as_str())),
            Refusal::Unreadable(_)
            | Refusal::Damaged(_)
            | Refusal::Unsigned
            | Refusal::UnknownKey { .. }
            | Refusal::Algorithm { .. }
            | Refusal::Signature { .. } => {}
        }
        self.store(event, now);
    }

    /// Returns what is thought of the vehicle model.
    #[must_use]
    pub const fn model(&self) -> &Model {
        &self.model
    }
}
