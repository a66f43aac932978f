//! Measures the edge: time, allocations and memory of the detectors over generated traffic.

use std::time::Instant;

/// Times of many single frames, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Nanos {
    /// Half were faster.
    pub p50: u64,
    /// One in a hundred was slower.
    pub p99: u64,
    /// One in a thousand was slower.
    pub p999: u64,
    /// Frames timed.
    pub samples: u64,
}

/// Buckets of one nanosecond; slower frames share the last one.
const BUCKETS: usize = 100_000;

/// Histogram of single short times, less the time that reading the clock takes.
#[derive(Debug)]
pub struct Stopwatch {
    buckets: Vec<u64>,
    overhead: u64,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch is about real time")]
fn now() -> Instant {
    Instant::now()
}

fn nanos_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

impl Stopwatch {
    /// Creates a stopwatch and measures what reading the clock takes.
    #[must_use]
    pub fn new() -> Self {
        let mut pairs: Vec<u64> = (0..1001).map(|_| nanos_since(now())).collect();
        pairs.sort_unstable();
        let overhead = pairs.get(pairs.len() / 2).copied().unwrap_or(0);
        Self { buckets: vec![0; BUCKETS], overhead }
    }

    /// Runs something once and notes how long it took; does not allocate.
    pub fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = now();
        let result = work();
        let took = nanos_since(start).saturating_sub(self.overhead);
        let bucket = usize::try_from(took).unwrap_or(usize::MAX).min(BUCKETS - 1);
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
        result
    }

    /// Returns the quantiles.
    #[must_use]
    pub fn finish(&self) -> Nanos {
        let samples: u64 = self.buckets.iter().sum();
        let quantile = |thousandths: u64| {
            let rank = samples.saturating_mul(thousandths) / 1000;
            let mut seen = 0;
            let found = self.buckets.iter().position(|count| {
                seen += count;
                seen > rank
            });
            found.map_or(0, |bucket| bucket as u64)
        };
        Nanos { p50: quantile(500), p99: quantile(990), p999: quantile(999), samples }
    }
}
