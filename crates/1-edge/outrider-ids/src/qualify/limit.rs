//! Limits of the whole instance before the reporter: events and bytes a window.

use super::rules::{ChainConfig, ConfigError, ended, ticks};

/// Why a qualified event is not reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Limited {
    /// The window has its events [SWS_IdsM_01081].
    Rate,
    /// Its bytes do not fit the window any more [SWS_IdsM_01091].
    Traffic,
}

/// What the limits did; offered = sent + rate + traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LimitCounts {
    /// Events that were offered to the reporter.
    pub offered: u64,
    /// Events that it was given.
    pub sent: u64,
    /// Events over the limit of events.
    pub rate: u64,
    /// Events over the limit of bytes.
    pub traffic: u64,
}

impl LimitCounts {
    /// Returns true if every event is in one count (BAL-1).
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.offered == self.sent.saturating_add(self.rate).saturating_add(self.traffic)
    }
}

#[derive(Debug, Clone, Copy)]
struct Window {
    max: u64,
    ticks: u64,
    used: u64,
}

/// Both limits.
#[derive(Debug, Clone)]
pub(super) struct Limiter {
    rate: Option<Window>,
    traffic: Option<Window>,
    pub(super) counts: LimitCounts,
}

impl Limiter {
    pub(super) fn new(config: &ChainConfig) -> Result<Self, ConfigError> {
        let window = |max: u32, window_us| {
            Ok(Window { max: u64::from(max), ticks: ticks(window_us, config.period_us, None)?, used: 0 })
        };
        Ok(Self {
            rate: config.rate.map(|limit| window(limit.events.get(), limit.window_us)).transpose()?,
            traffic: config.traffic.map(|limit| window(limit.bytes.get(), limit.window_us)).transpose()?,
            counts: LimitCounts::default(),
        })
    }

    /// Judges one event. An event that the rate drops does not count as traffic [SWS_IdsM_01005].
    pub(super) fn admit(&mut self, bytes: u64) -> Result<(), Limited> {
        let fits = |window: Option<&mut Window>, more: u64| match window {
            None => true,
            Some(window) => {
                let used = window.used.saturating_add(more);
                let fits = used <= window.max;
                if fits {
                    window.used = used;
                }
                fits
            }
        };
        self.counts.offered = self.counts.offered.saturating_add(1);
        if !fits(self.rate.as_mut(), 1) {
            self.counts.rate = self.counts.rate.saturating_add(1);
            return Err(Limited::Rate);
        }
        if !fits(self.traffic.as_mut(), bytes) {
            self.counts.traffic = self.counts.traffic.saturating_add(1);
            return Err(Limited::Traffic);
        }
        self.counts.sent = self.counts.sent.saturating_add(1);
        Ok(())
    }

    /// Clears the windows that ended.
    pub(super) fn pass_time(&mut self, before: u64, now: u64) {
        for window in [&mut self.rate, &mut self.traffic].into_iter().flatten() {
            if ended(before, now, window.ticks) {
                window.used = 0;
            }
        }
    }
}
