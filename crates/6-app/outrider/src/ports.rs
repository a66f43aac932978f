//! The real world behind the ports: clock, random source, cryptography.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use outrider_server::port::{Ports, Random};
use outrider_types::{Clock, UnixMicros};

/// The system's wall clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixMicros {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => UnixMicros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)),
            Err(before) => UnixMicros(-i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX)),
        }
    }
}

/// The system's random source.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // Without a random source nothing that needs one may go on.
        getrandom::fill(bytes).expect("the system has a random source");
    }
}

/// Returns the ports of a program in the real world, with a clock of the caller's choice.
pub(crate) fn system(clock: Arc<dyn Clock>) -> Ports {
    Ports {
        clock,
        random: Arc::new(SystemRandom),
        crypto: Arc::new(rustls::crypto::ring::default_provider()),
    }
}
