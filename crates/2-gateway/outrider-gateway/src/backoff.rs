//! Waiting between failed exchanges.

use outrider_types::{Seed, VehicleMicros};

/// Exponential waiting with jitter, so that a fleet does not return in one second.
#[derive(Debug, Clone)]
pub struct Backoff {
    base_us: u64,
    max_us: u64,
    failures: u32,
    until: VehicleMicros,
    seed: Seed,
}

impl Backoff {
    /// Creates one that waits about `base_us` after the first failure, twice as long after each further one, and never
    /// longer than `max_us`.
    #[must_use]
    pub const fn new(base_us: u64, max_us: u64, seed: Seed) -> Self {
        Self { base_us, max_us, failures: 0, until: VehicleMicros(0), seed }
    }

    /// Returns true if an exchange may be tried.
    #[must_use]
    pub fn is_open(&self, now: VehicleMicros) -> bool {
        now >= self.until
    }

    /// Returns the time of the next attempt.
    #[must_use]
    pub const fn until(&self) -> VehicleMicros {
        self.until
    }

    /// Records a success.
    pub const fn succeed(&mut self) {
        self.failures = 0;
        self.until = VehicleMicros(0);
    }

    fn step(&mut self) -> u64 {
        let step = self.base_us.saturating_mul(1 << self.failures.min(32)).min(self.max_us);
        self.failures = self.failures.saturating_add(1);
        step
    }

    /// Records a failure of a connection and returns the time of the next attempt: anywhere in the current step. That
    /// spreads a fleet that lost its connections in one moment better than the upper half of the step does.
    pub fn fail_anywhere(&mut self, now: VehicleMicros) -> VehicleMicros {
        let step = self.step();
        self.until = now.saturating_add(self.seed.below(step.saturating_add(1)));
        self.until
    }

    /// Records a failure: the wait is between half and the whole of the current step.
    pub fn fail(&mut self, now: VehicleMicros) {
        let step = self.step();
        let half = step / 2;
        let wait = half.saturating_add(self.seed.below(step.saturating_sub(half).saturating_add(1)));
        self.until = now.saturating_add(wait);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_their_jitter_up_to_the_cap_and_start_again_after_success() {
        let mut backoff = Backoff::new(1000, 6000, Seed::new(1));
        for step in [1000, 2000, 4000, 6000, 6000] {
            backoff.fail(VehicleMicros(10));
            let wait = backoff.until().0 - 10;
            assert!((step / 2..=step).contains(&wait), "{wait} for step {step}");
            assert!(!backoff.is_open(VehicleMicros(9 + wait)) && backoff.is_open(VehicleMicros(10 + wait)));
        }
        let waits: Vec<u64> = (0..64).map(|_| backoff.fail_anywhere(VehicleMicros(10)).0 - 10).collect();
        assert!(waits.iter().all(|wait| *wait <= 6000) && waits.iter().any(|wait| *wait < 3000), "{waits:?}");
        backoff.succeed();
        assert!(backoff.is_open(VehicleMicros(0)));
        let mut other = Backoff::new(1000, 6000, Seed::new(2));
        other.fail(VehicleMicros(10));
        backoff.fail(VehicleMicros(10));
        assert_ne!(other.until(), backoff.until(), "another vehicle waits another time");
    }
}
