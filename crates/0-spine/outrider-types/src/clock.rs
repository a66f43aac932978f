//! Time as an argument.

use core::sync::atomic::{AtomicI64, Ordering};

use crate::UnixMicros;

/// Source of wall time, passed in by the composition root.
pub trait Clock: Send + Sync {
    /// Returns the wall time now.
    fn now(&self) -> UnixMicros;
}

/// Clock that stands still until it is told otherwise; for tests and the simulator.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Creates a clock that shows `now`.
    #[must_use]
    pub const fn new(now: UnixMicros) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Sets the time shown, forwards or backwards.
    pub fn set(&self, now: UnixMicros) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMicros {
        UnixMicros(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_shows_what_it_was_set_to() {
        let clock = ManualClock::new(UnixMicros(5));
        clock.set(UnixMicros(3));
        assert_eq!(clock.now(), UnixMicros(3));
    }
}
