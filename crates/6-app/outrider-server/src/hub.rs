//! What changes, for every open stream: a ring of the last messages that a client can resume from.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use crate::api::dto::{Alert, EmergencyStop, EvidenceRequest, UpdateOrder};
use crate::notices::Notices;

/// Messages kept for clients that come back.
pub const RING_MAX: usize = 1000;

/// One message of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Grows by one a message.
    pub id: u64,
    /// Name of the event.
    pub event: &'static str,
    /// JSON.
    pub data: Arc<str>,
}

/// Answer to a client that asks for what came after a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resume {
    /// Everything since, in order.
    Messages(Vec<Message>),
    /// The messages since are gone; the client must read everything anew and go on from this id.
    Reset(u64),
}

/// Distributor of changes.
#[derive(Debug)]
pub struct Hub {
    ring: Mutex<VecDeque<Message>>,
    latest: watch::Sender<u64>,
}

impl Hub {
    /// Creates a hub whose ids begin after `first`.
    ///
    /// With the wall time in microseconds, ids grow over restarts too, so that an id of an earlier run is seen
    /// to be too old.
    #[must_use]
    pub fn new(first: u64) -> Self {
        Self { ring: Mutex::new(VecDeque::with_capacity(RING_MAX)), latest: watch::Sender::new(first) }
    }

    /// Sends a message to every open stream.
    pub fn publish<T: Serialize>(&self, event: &'static str, value: &T) {
        let data: Arc<str> =
            serde_json::to_string(value).expect("messages hold no map with keys that are no text").into();
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let id = *self.latest.borrow() + 1;
        if ring.len() == RING_MAX {
            ring.pop_front();
        }
        ring.push_back(Message { id, event, data });
        self.latest.send_replace(id);
    }

    /// Returns the id of the newest message.
    #[must_use]
    pub fn latest(&self) -> u64 {
        *self.latest.borrow()
    }

    /// Returns a receiver that sees every new id.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// Returns how many streams are open.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.latest.receiver_count()
    }

    /// Returns what came after a message.
    #[must_use]
    pub fn after(&self, id: u64) -> Resume {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let latest = *self.latest.borrow();
        let oldest = ring.front().map_or(latest + 1, |message| message.id);
        if id > latest || id + 1 < oldest {
            return Resume::Reset(latest);
        }
        Resume::Messages(ring.iter().filter(|message| message.id > id).cloned().collect())
    }
}

impl Notices for Hub {
    fn alert(&self, alert: &Alert) {
        self.publish("alert", alert);
    }

    fn evidence(&self, request: &EvidenceRequest) {
        self.publish("evidence", request);
    }

    fn update(&self, order: &UpdateOrder) {
        self.publish("update", order);
    }

    fn stop(&self, stop: &EmergencyStop) {
        self.publish("stop", stop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_what_it_missed_and_a_reset_when_that_is_gone() {
        let hub = Hub::new(100);
        assert_eq!(hub.after(100), Resume::Messages(Vec::new()));
        assert_eq!(hub.after(7), Resume::Reset(100), "an id of an earlier run");
        assert_eq!(hub.after(101), Resume::Reset(100), "an id that was never given");
        for number in 0..RING_MAX {
            hub.publish("alert", &number);
        }
        let Resume::Messages(all) = hub.after(100) else { panic!("the ring still holds everything") };
        assert_eq!((all.len(), all[0].id, &*all[0].data), (RING_MAX, 101, "0"));
        hub.publish("alert", &"one more");
        assert_eq!(hub.after(100), Resume::Reset(100 + RING_MAX as u64 + 1));
        let Resume::Messages(rest) = hub.after(100 + RING_MAX as u64) else { panic!("one message is new") };
        assert_eq!(rest.len(), 1);
    }
}
