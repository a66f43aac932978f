//! Events on their way out: bounded, and counted when the bound is met.

use std::collections::VecDeque;

use outrider_types::VehicleMicros;

use crate::HostEvent;

/// Most events that wait. A reader that asks ten times a second gets 40,000 a second; beyond it events of one type
/// become a count.
pub const EVENTS_MAX: usize = 4096;

/// Bounded queue of events. Nothing is lost in it: received = passed + folded + waiting + lost, in occurrences, and
/// `lost` only counts what found no event of its own type to fold into.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: VecDeque<HostEvent>,
    received: u64,
    passed: u64,
    folded: u64,
    lost: u64,
}

impl Outbox {
    /// Takes an event; with a full queue it becomes part of the newest event of its type.
    pub fn push(&mut self, event: HostEvent) {
        self.received = self.received.saturating_add(event.count);
        if self.queue.len() < EVENTS_MAX {
            self.queue.push_back(event);
            return;
        }
        match self.queue.iter_mut().rev().find(|waiting| waiting.event_type == event.event_type) {
            Some(waiting) => {
                waiting.count = waiting.count.saturating_add(event.count);
                waiting.last = waiting.last.max(event.last);
                waiting.severity = waiting.severity.max(event.severity);
                self.folded = self.folded.saturating_add(event.count);
            }
            None => self.lost = self.lost.saturating_add(event.count),
        }
    }

    /// Returns the oldest event.
    pub fn pop(&mut self) -> Option<HostEvent> {
        let event = self.queue.pop_front()?;
        self.passed = self.passed.saturating_add(event.count);
        Some(event)
    }

    /// Returns how many events wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Returns occurrences received, handed out, folded because the queue was full, and lost.
    #[must_use]
    pub const fn totals(&self) -> [u64; 4] {
        [self.received, self.passed, self.folded, self.lost]
    }

    /// Returns whether every occurrence is accounted for.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        let waiting: u64 = self.queue.iter().map(|event| event.count).sum();
        self.received == self.passed.saturating_add(waiting).saturating_add(self.lost)
    }

    /// Returns the time of the oldest event that waits.
    #[must_use]
    pub fn oldest(&self) -> Option<VehicleMicros> {
        self.queue.front().map(|event| event.first)
    }
}

#[cfg(test)]
mod tests {
    use outrider_wire::catalogue::event;

    use super::*;

    #[test]
    fn a_full_queue_counts_into_the_same_type_and_says_what_it_lost() {
        let mut outbox = Outbox::default();
        for at in 0..EVENTS_MAX as u64 + 10 {
            outbox.push(HostEvent::new(event::HOST_FILE_MODIFIED, VehicleMicros(at)));
        }
        outbox.push(HostEvent::new(event::HOST_PORT_OPENED, VehicleMicros(1)));
        assert!(outbox.is_balanced());
        assert_eq!(outbox.totals(), [EVENTS_MAX as u64 + 11, 0, 10, 1]);
        let mut sum = 0;
        while let Some(event) = outbox.pop() {
            sum += event.count;
        }
        assert_eq!(sum, EVENTS_MAX as u64 + 10);
        assert!(outbox.is_balanced());
    }
}
