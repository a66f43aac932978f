//! From the vehicle's time to event time, with an honest interval.

use outrider_model::SaveError;
use outrider_types::{ClockFix, ClockSource, EventTime, IngestTime, UnixMicros, VehicleMicros};

use crate::interval::StateCursor;

/// No event of this system happened before 2020-01-01T00:00:00Z; an earlier wall clock was never set.
pub const EARLIEST_PLAUSIBLE: UnixMicros = UnixMicros(1_577_836_800_000_000);
/// How far a wall clock may run ahead of the cloud before its fix is disbelieved: five minutes, as for X.509
/// validity checks in common use (guess).
const AHEAD_MAX_US: i64 = 5 * 60 * 1_000_000;
/// Width of the interval without any belief: a vehicle may be offline for weeks.
const UNKNOWN_WIDTH_US: i64 = 30 * 24 * 3600 * 1_000_000;
/// Fixes kept a boot.
const FIXES_MAX: usize = 8;

/// Fixes of one boot that were believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClockState {
    fixes: Vec<ClockFix>,
    /// Fixes that were disbelieved.
    pub refused: u64,
}

impl ClockState {
    /// Takes a fix; a wall time before [`EARLIEST_PLAUSIBLE`] or ahead of the cloud is counted and not believed.
    ///
    /// Returns whether it was believed.
    pub fn take(&mut self, fix: ClockFix, ingest: IngestTime) -> bool {
        let error = i64::try_from(fix.error_us).unwrap_or(i64::MAX);
        let earliest = UnixMicros(fix.wall.0.saturating_sub(error));
        let ahead = earliest.micros_since(ingest.0) > AHEAD_MAX_US;
        if fix.wall < EARLIEST_PLAUSIBLE || ahead {
            self.refused = self.refused.saturating_add(1);
            return false;
        }
        // A source that names itself unknown cannot promise less than a day.
        let floor = if fix.source == ClockSource::Unknown { 24 * 3600 * 1_000_000 } else { 0 };
        let fix = ClockFix { error_us: fix.error_us.max(floor), ..fix };
        if self.fixes.contains(&fix) {
            return true;
        }
        let place =
            self.fixes.partition_point(|known| (known.error_us, known.mono) < (fix.error_us, fix.mono));
        self.fixes.insert(place, fix);
        self.fixes.truncate(FIXES_MAX);
        true
    }

    /// Returns the event time of a reading of this boot: by the fix that gives the narrowest interval, or, without
    /// any, the whole time in which a vehicle may have been offline. Never later than the time of ingest plus error.
    #[must_use]
    pub fn event_time(&self, mono: VehicleMicros, ingest: IngestTime) -> EventTime {
        let best = self
            .fixes
            .iter()
            .map(|fix| (fix.event_time(mono), fix.source))
            .min_by_key(|(time, source)| (time.error_us, std::cmp::Reverse(*source)));
        match best {
            Some((time, _)) if time.earliest() <= ingest.0.saturating_add(AHEAD_MAX_US) => time,
            _ => EventTime {
                best: ingest.0.saturating_add(-UNKNOWN_WIDTH_US / 2),
                error_us: (UNKNOWN_WIDTH_US / 2).unsigned_abs(),
            },
        }
    }

    /// Returns the fix with the narrowest interval, if any was believed.
    #[must_use]
    pub fn best_fix(&self) -> Option<&ClockFix> {
        self.fixes.first()
    }

    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.refused.to_le_bytes());
        out.extend_from_slice(&u32::try_from(self.fixes.len()).expect("fixes are bounded").to_le_bytes());
        for fix in &self.fixes {
            out.extend_from_slice(&fix.mono.0.to_le_bytes());
            out.extend_from_slice(&fix.wall.0.to_le_bytes());
            out.extend_from_slice(&fix.error_us.to_le_bytes());
            out.push(fix.source.code());
        }
    }

    pub(crate) fn load(cursor: &mut StateCursor<'_>) -> Result<Self, SaveError> {
        let refused = cursor.u64()?;
        let mut fixes = Vec::new();
        let count = cursor.u32()?;
        if count as usize > FIXES_MAX {
            return Err(cursor.damaged());
        }
        for _ in 0..count {
            fixes.push(ClockFix {
                mono: VehicleMicros(cursor.u64()?),
                wall: UnixMicros(cursor.array().map(i64::from_le_bytes)?),
                error_us: cursor.u64()?,
                source: ClockSource::from_code(cursor.u8()?),
            });
        }
        Ok(Self { fixes, refused })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: IngestTime = IngestTime(UnixMicros(1_800_000_000_000_000));

    fn fix(mono: u64, wall: i64, error_us: u64, source: ClockSource) -> ClockFix {
        ClockFix { mono: VehicleMicros(mono), wall: UnixMicros(wall), error_us, source }
    }

    #[test]
    fn a_clock_that_was_never_set_or_runs_ahead_is_not_believed() {
        let mut state = ClockState::default();
        assert!(!state.take(fix(0, 0, 10, ClockSource::RealTimeClock), NOW));
        assert!(!state.take(fix(0, NOW.0.0 + AHEAD_MAX_US + 11, 10, ClockSource::RealTimeClock), NOW));
        assert!(state.take(fix(0, NOW.0.0 + AHEAD_MAX_US + 10, 10, ClockSource::RealTimeClock), NOW));
        assert_eq!(state.refused, 2);
    }

    #[test]
    fn without_a_fix_the_interval_is_wide_and_ends_at_ingest() {
        let time = ClockState::default().event_time(VehicleMicros(5), NOW);
        assert_eq!(time.latest(), NOW.0);
        assert_eq!(time.error_us, 15 * 24 * 3600 * 1_000_000);
    }

    #[test]
    fn the_narrowest_fix_wins_whatever_the_order_of_arrival() {
        let fixes = [
            fix(0, 1_799_999_000_000_000, 2_000_000, ClockSource::RealTimeClock),
            fix(10_000_000, 1_799_999_100_000_000, 50_000, ClockSource::Cloud),
        ];
        let mut forth = ClockState::default();
        fixes.iter().for_each(|fix| assert!(forth.take(*fix, NOW)));
        let mut back = ClockState::default();
        fixes.iter().rev().for_each(|fix| assert!(back.take(*fix, NOW)));
        let (one, two) = (forth.event_time(VehicleMicros(0), NOW), back.event_time(VehicleMicros(0), NOW));
        assert_eq!(one, two);
        assert_eq!(one.best, UnixMicros(1_799_999_090_000_000));
    }
}
