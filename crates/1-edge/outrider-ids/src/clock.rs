//! The time of one bus, from stamps that may go back.

use outrider_types::VehicleMicros;

use crate::detector::limits::CLOCK_STEP_US;

/// Time of the latest thing taken.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Clock(Option<VehicleMicros>);

/// How a stamp stands to the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// There was none before.
    First(VehicleMicros),
    /// Not earlier.
    On(VehicleMicros),
    /// A little earlier, as of a reader that reorders: the time before is held.
    Held(VehicleMicros),
    /// Much earlier: the clock was set back, and what was going on ends at `from`.
    Back { from: VehicleMicros, at: VehicleMicros },
}

impl Stamp {
    /// Returns the time to use.
    pub(crate) const fn at(self) -> VehicleMicros {
        match self {
            Self::First(at) | Self::On(at) | Self::Held(at) | Self::Back { at, .. } => at,
        }
    }
}

impl Clock {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    /// Returns the time, zero before the first stamp.
    pub(crate) fn now(self) -> VehicleMicros {
        self.0.unwrap_or_default()
    }

    /// Returns whether a time lies before the latest stamp.
    pub(crate) fn is_past(self, at: VehicleMicros) -> bool {
        self.0.is_some_and(|last| last > at)
    }

    /// Returns the time since the latest stamp, in microseconds; `None` before the first.
    pub(crate) fn since_us(self, now: VehicleMicros) -> Option<u64> {
        self.0.map(|last| now.micros_since(last))
    }

    /// Takes a stamp.
    #[inline]
    pub(crate) fn stamp(&mut self, at: VehicleMicros) -> Stamp {
        let stamp = match self.0 {
            None => Stamp::First(at),
            Some(last) if at >= last => Stamp::On(at),
            Some(last) if last.micros_since(at) > CLOCK_STEP_US => Stamp::Back { from: last, at },
            Some(last) => Stamp::Held(last),
        };
        self.0 = Some(stamp.at());
        stamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_steps_back_are_held_and_large_ones_are_told() {
        let mut clock = Clock::new();
        let [early, first, later] = [1_000_000, 5_000_000, 5_000_500].map(VehicleMicros);
        assert_eq!(clock.stamp(first), Stamp::First(first));
        assert_eq!(clock.stamp(later), Stamp::On(later));
        assert_eq!(clock.stamp(first), Stamp::Held(later));
        assert!(clock.is_past(first) && !clock.is_past(later));
        assert_eq!(clock.stamp(early), Stamp::Back { from: later, at: early });
        assert_eq!((clock.now(), clock.since_us(first)), (early, Some(4_000_000)));
    }
}
