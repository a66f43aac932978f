//! Load of a bus.

use outrider_types::VehicleMicros;

use super::limits;
use crate::meter::{Leak, TimedMeter};

/// Frames of the whole bus against the most it should carry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    pub(super) meter: TimedMeter,
    leak: Leak,
    pub(super) limit_hz: u32,
    /// Highest rate seen, in Hz; 0 if it comes from a model.
    rate_max_hz: u32,
    window: VehicleMicros,
    count: u32,
}

/// Width of the windows in which the highest frame rate of a bus is looked for, in microseconds.
const WINDOW_US: u64 = 100_000;

impl Load {
    /// Creates it for the highest rate of the model, or for one that is yet to be seen.
    pub(super) const fn new(rate_max_hz: Option<u32>) -> Self {
        let rate = match rate_max_hz {
            Some(rate) => rate,
            None => limits::BUS_RATE_UNKNOWN_HZ,
        };
        let limit_hz = rate.saturating_mul(limits::BUS_FLOOD_PERCENT) / 100;
        Self {
            meter: TimedMeter::EMPTY,
            leak: Leak::per_seconds(limit_hz, 1),
            limit_hz,
            rate_max_hz: 0,
            window: VehicleMicros(0),
            count: 0,
        }
    }

    /// Counts a frame and returns whether the bus is flooded; `widens` lets it raise the highest rate.
    #[inline]
    pub(super) fn add(&mut self, at: VehicleMicros, widens: bool) -> bool {
        let full = self.meter.add(at, self.leak, limits::BUS_FLOOD_FRAMES);
        self.count = self.count.saturating_add(1);
        if at.micros_since(self.window) >= WINDOW_US {
            let rate = self.count.saturating_mul(10);
            if widens && !full && rate > self.rate_max_hz {
                self.rate_max_hz = rate;
                let limit = rate.saturating_mul(limits::BUS_FLOOD_PERCENT) / 100;
                self.limit_hz = limit.max(limits::BUS_FLOOD_HZ_MIN);
                self.leak = Leak::per_seconds(self.limit_hz, 1);
            }
            self.window = at;
            self.count = 0;
        }
        full
    }
}
