//! What the vehicle program claims of the machine's wall clock: no more than it can know.
//!
//! **In:** readings of both clocks, and what the kernel says of the wall clock. **Out:** a [`ClockFix`], or none.
//! **Never:** a narrow interval for a clock that nobody synchronised.

use outrider_types::{ClockFix, ClockSource, UnixMicros, VehicleMicros};

const DAY_US: u64 = 86_400_000_000;

/// No program of this version ran before 2026-01-01T00:00:00Z: a clock that shows less was never set.
pub const EARLIEST: UnixMicros = UnixMicros(1_767_225_600_000_000);
/// Nor will it run twenty years later: a clock that shows more is broken.
pub const LATEST: UnixMicros = UnixMicros(EARLIEST.0 + 20 * 366 * 86_400_000_000);
/// Error of a synchronised clock besides what the kernel says: the reading is taken between other work (guess).
pub const SYNCHRONISED_ERROR_US: u64 = 5_000_000;
/// Error of a clock that nobody synchronised. A crystal of 100 ppm is an hour off after a year, local time half a day;
/// that somebody set it wrongly by days is what the rest is for (guess).
pub const UNSYNCHRONISED_ERROR_US: u64 = 7 * DAY_US;

/// What the kernel says of its wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KernelClock {
    /// Something keeps it synchronised, and it is.
    pub is_synchronised: bool,
    /// Longest error that the kernel reckons with, in microseconds.
    pub error_us: u64,
}

/// Returns what may be claimed of a reading; `None` if the wall clock shows what cannot be. A kernel that does not say counts
/// as one that is not synchronised.
#[must_use]
pub fn claim(mono: VehicleMicros, wall: UnixMicros, kernel: Option<KernelClock>) -> Option<ClockFix> {
    if !(EARLIEST..=LATEST).contains(&wall) {
        return None;
    }
    let (error_us, source) = match kernel.filter(|kernel| kernel.is_synchronised) {
        // Still the machine's own clock: it bounds no other boot (ADR 0003).
        Some(kernel) => (SYNCHRONISED_ERROR_US.max(kernel.error_us), ClockSource::RealTimeClock),
        None => (UNSYNCHRONISED_ERROR_US, ClockSource::Unknown),
    };
    Some(ClockFix { mono, wall, error_us, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(is_synchronised: bool, error_us: u64) -> Option<KernelClock> {
        Some(KernelClock { is_synchronised, error_us })
    }

    #[test]
    fn only_a_synchronised_clock_is_good_to_seconds() {
        let claimed =
            |kernel| claim(VehicleMicros(7), EARLIEST, kernel).map(|fix| (fix.error_us, fix.source));
        assert_eq!(claimed(kernel(true, 900)), Some((SYNCHRONISED_ERROR_US, ClockSource::RealTimeClock)));
        assert_eq!(claimed(kernel(true, 16_000_000)), Some((16_000_000, ClockSource::RealTimeClock)));
        let wide = Some((UNSYNCHRONISED_ERROR_US, ClockSource::Unknown));
        assert_eq!((claimed(kernel(false, 900)), claimed(None)), (wide, wide));
    }

    #[test]
    fn a_clock_that_shows_what_cannot_be_claims_nothing() {
        for wall in [0, EARLIEST.0 - 1, LATEST.0 + 1, i64::MAX, i64::MIN] {
            assert_eq!(claim(VehicleMicros(0), UnixMicros(wall), kernel(true, 0)), None, "{wall}");
        }
        assert!(claim(VehicleMicros(0), LATEST, kernel(true, 0)).is_some());
    }
}
