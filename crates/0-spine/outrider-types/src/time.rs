//! Three kinds of time that never mix (TIME-1).

use core::fmt;

/// Microseconds since 1970-01-01T00:00:00Z without leap seconds; negative before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMicros(pub i64);

impl UnixMicros {
    /// Returns this time moved by `micros`, held at the ends of the range.
    #[must_use]
    pub const fn saturating_add(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Returns the signed distance `self - earlier` in microseconds, held at the ends of the range.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for UnixMicros {
    /// Writes RFC 3339 in UTC with microseconds, `2026-01-05T00:00:00.000000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = self.0.div_euclid(86_400_000_000);
        let rest = self.0.rem_euclid(86_400_000_000);
        let (year, month, date) = civil_from_days(day);
        let (seconds, micros) = (rest.div_euclid(1_000_000), rest.rem_euclid(1_000_000));
        let (hour, minute, second) =
            (seconds.div_euclid(3600), seconds.div_euclid(60).rem_euclid(60), seconds.rem_euclid(60));
        write!(f, "{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

/// Turns days since 1970-01-01 into year, month and day of the proleptic Gregorian calendar.
///
/// The caller's range is i64 microseconds, so a day is within ±106,751,992 and nothing can overflow
/// (algorithm: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
#[expect(clippy::arithmetic_side_effects, reason = "the range of days is bounded by i64 microseconds")]
const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

/// Microseconds since the boot of the vehicle's gateway: monotonic, per [`crate::BootEpoch`], in no calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct VehicleMicros(pub u64);

impl VehicleMicros {
    /// Returns the distance `self - earlier`, or 0 if `earlier` is later.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns this time moved forward, held at the end of the range.
    #[must_use]
    pub const fn saturating_add(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

/// When the cloud received an event. Never used to detect, only to measure lateness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct IngestTime(pub UnixMicros);

/// Best estimate of when something happened in the world, with half the width of the interval around it.
///
/// The true time lies in `best ± error_us`; a wide interval says "not known better", it never means "now".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EventTime {
    /// Middle of the interval.
    pub best: UnixMicros,
    /// Half the width of the interval, in microseconds.
    pub error_us: u64,
}

impl EventTime {
    /// Returns the earliest time the event can have happened.
    #[must_use]
    pub fn earliest(self) -> UnixMicros {
        UnixMicros(self.best.0.saturating_sub_unsigned(self.error_us))
    }

    /// Returns the latest time the event can have happened.
    #[must_use]
    pub fn latest(self) -> UnixMicros {
        UnixMicros(self.best.0.saturating_add_unsigned(self.error_us))
    }
}

/// Where a vehicle took its wall time from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClockSource {
    /// Nobody said; the error is whatever the vehicle claims, and at least a day.
    Unknown,
    /// The gateway's own real-time clock.
    RealTimeClock,
    /// The mobile network (NITZ or NTP over it).
    Network,
    /// A satellite receiver.
    Gnss,
    /// The answer of the cloud during the TLS session.
    Cloud,
}

impl ClockSource {
    /// All sources, least trusted first.
    pub const ALL: [Self; 5] = [Self::Unknown, Self::RealTimeClock, Self::Network, Self::Gnss, Self::Cloud];

    /// Returns the number on the wire.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::RealTimeClock => 1,
            Self::Network => 2,
            Self::Gnss => 3,
            Self::Cloud => 4,
        }
    }

    /// Returns the source of a wire number; numbers of a later version are `Unknown`.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::RealTimeClock,
            2 => Self::Network,
            3 => Self::Gnss,
            4 => Self::Cloud,
            _ => Self::Unknown,
        }
    }
}

/// One reading of both clocks at the same moment; the only bridge from [`VehicleMicros`] to [`EventTime`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClockFix {
    /// Monotonic reading.
    pub mono: VehicleMicros,
    /// Wall reading at the same moment.
    pub wall: UnixMicros,
    /// Half the width of the wall reading's interval, in microseconds.
    pub error_us: u64,
    /// Where the wall reading came from.
    pub source: ClockSource,
}

impl ClockFix {
    /// Drift of an automotive crystal without temperature compensation, in parts per million: the limit
    /// that common parts state over -40 to +105 °C is 100 (guess: no vehicle is worse).
    pub const DRIFT_PPM: u64 = 100;

    /// Returns the event time of a monotonic reading of the same boot.
    ///
    /// The error grows with the distance from the fix by [`Self::DRIFT_PPM`], rounded up: an interval that is too narrow
    /// states what is not so.
    #[must_use]
    pub fn event_time(&self, mono: VehicleMicros) -> EventTime {
        let (best, distance) = if mono >= self.mono {
            let distance = mono.micros_since(self.mono);
            (self.wall.0.saturating_add_unsigned(distance), distance)
        } else {
            let distance = self.mono.micros_since(mono);
            (self.wall.0.saturating_sub_unsigned(distance), distance)
        };
        let drift = distance.div_ceil(1_000_000).saturating_mul(Self::DRIFT_PPM);
        EventTime { best: UnixMicros(best), error_us: self.error_us.saturating_add(drift) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    extern crate std;
    use std::string::ToString;

    #[test]
    fn event_time_widens_with_the_distance_from_the_fix_on_both_sides() {
        let fix = ClockFix {
            mono: VehicleMicros(10_000_000),
            wall: UnixMicros(1_000_000_000),
            error_us: 50,
            source: ClockSource::Gnss,
        };
        assert_eq!(fix.event_time(VehicleMicros(10_000_000)), EventTime { best: fix.wall, error_us: 50 });
        let later = fix.event_time(VehicleMicros(20_000_000));
        assert_eq!(later, EventTime { best: UnixMicros(1_010_000_000), error_us: 1050 });
        let before = fix.event_time(VehicleMicros(0));
        assert_eq!(before, EventTime { best: UnixMicros(990_000_000), error_us: 1050 });
        assert_eq!(later.earliest(), UnixMicros(1_009_998_950));
        assert_eq!(later.latest(), UnixMicros(1_010_001_050));
    }

    #[test]
    fn extremes_saturate() {
        let fix = ClockFix {
            mono: VehicleMicros(0),
            wall: UnixMicros(i64::MAX),
            error_us: u64::MAX,
            source: ClockSource::Unknown,
        };
        let time = fix.event_time(VehicleMicros(u64::MAX));
        assert_eq!(time.best, UnixMicros(i64::MAX));
        assert_eq!(time.earliest(), UnixMicros(i64::MAX.saturating_sub_unsigned(u64::MAX)));
    }

    #[test]
    fn unix_micros_print_as_rfc_3339() {
        assert_eq!(UnixMicros(0).to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(UnixMicros(-1).to_string(), "1969-12-31T23:59:59.999999Z");
        assert_eq!(UnixMicros(1_709_210_096_000_007).to_string(), "2024-02-29T12:34:56.000007Z");
    }
}
