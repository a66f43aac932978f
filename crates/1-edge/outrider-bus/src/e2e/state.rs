//! Counters from message to message.

use super::repr::{E2eError, Protection};

/// Returns how many steps a counter of `values` values went on, 0 for a repeated one.
#[must_use]
pub const fn counter_gap(previous: u16, current: u16, values: u32) -> u32 {
    let (previous, current) = (previous as u32, current as u32);
    if current >= previous {
        current.saturating_sub(previous)
    } else {
        values.saturating_sub(previous).saturating_add(current)
    }
}

/// What a message is, after its check and by its counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// The first good one: there is nothing to compare its counter with.
    Initial,
    /// The next one.
    Ok,
    /// Some before it are missing, no more than allowed.
    SomeLost {
        /// Missing messages.
        lost: u32,
    },
    /// The counter did not move.
    Repeated,
    /// More are missing than allowed, or the counter went back.
    WrongSequence {
        /// Counter expected next.
        expected: u16,
        /// Counter seen.
        got: u16,
    },
    /// The check failed; the counter is not looked at.
    Error(E2eError),
}

/// Receiver of one protected message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receiver {
    protection: Protection,
    /// Largest step of the counter that is no wrong sequence.
    step_max: u32,
    last: Option<u16>,
}

impl Receiver {
    /// Creates a receiver; `step_max` is the largest step that counts as ordinary loss, at least 1.
    #[must_use]
    pub const fn new(protection: Protection, step_max: u32) -> Self {
        Self { protection, step_max: if step_max == 0 { 1 } else { step_max }, last: None }
    }

    /// Checks one message, O(n).
    pub fn receive(&mut self, data: &[u8]) -> Status {
        let counter = match self.protection.check(data) {
            Ok(counter) => counter,
            Err(error) => return Status::Error(error),
        };
        let Some(last) = self.last.replace(counter) else { return Status::Initial };
        let values = self.protection.counter_values();
        match counter_gap(last, counter, values) {
            0 => Status::Repeated,
            1 => Status::Ok,
            gap if gap <= self.step_max => Status::SomeLost { lost: gap.saturating_sub(1) },
            _ => {
                let next = u32::from(last).saturating_add(1);
                let expected = if next >= values { 0 } else { next };
                Status::WrongSequence { expected: u16::try_from(expected).unwrap_or(0), got: counter }
            }
        }
    }
}
