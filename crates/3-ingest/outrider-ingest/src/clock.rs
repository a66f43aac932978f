//! From the vehicle's time to event time, with an honest interval.

use outrider_model::SaveError;
use outrider_types::{ClockFix, ClockSource, EventTime, IngestTime, UnixMicros, VehicleMicros};

use crate::interval::StateCursor;

/// No event of this system happened before 2020-01-01T00:00:00Z; an earlier wall clock was never set.
pub const EARLIEST_PLAUSIBLE: UnixMicros = UnixMicros(1_577_836_800_000_000);
/// How far a wall clock may run ahead of the cloud before its fix is disbelieved: five minutes, as for X.509
/// validity checks in common use (guess).
pub(crate) const AHEAD_MAX_US: i64 = 5 * 60 * 1_000_000;
/// Width of the interval without any belief: a vehicle may be offline for weeks.
const UNKNOWN_WIDTH_US: i64 = 30 * 24 * 3600 * 1_000_000;
/// Fixes kept a boot.
const FIXES_MAX: usize = 8;

/// Returns the time of what says nothing about its time: the weeks before it came.
pub(crate) const fn unknown_time(ingest: IngestTime) -> EventTime {
    let half = UNKNOWN_WIDTH_US / 2;
    EventTime { best: ingest.0.saturating_add(-half), error_us: half.unsigned_abs() }
}

/// Fixes of one boot that were believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClockState {
    fixes: Vec<ClockFix>,
    /// Fixes that were disbelieved.
    pub refused: u64,
}

/// When a boot began, as far as other boots and the times of ingest say: no fix of its own is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartBounds {
    /// Not before this, if an earlier boot says so.
    pub earliest: Option<UnixMicros>,
    /// Not after this.
    pub latest: UnixMicros,
}

impl StartBounds {
    /// Bounds that the time of ingest alone gives: a reading of `mono` was sent by then.
    #[must_use]
    pub fn of_ingest(mono: VehicleMicros, ingest: IngestTime) -> Self {
        Self { earliest: None, latest: earlier(ingest.0, mono) }
    }

    /// Returns whether an interval of the boot's beginning can be true.
    fn allow(&self, start: EventTime) -> bool {
        start.earliest() <= self.latest.saturating_add(AHEAD_MAX_US)
            && self.earliest.is_none_or(|earliest| start.latest() >= earliest)
    }

    /// Returns the interval of the boot's beginning. Without an earlier boot it is as wide as a vehicle may be offline.
    #[must_use]
    pub fn start(&self) -> EventTime {
        let unknown = self.latest.saturating_add(-UNKNOWN_WIDTH_US);
        // Bounds that contradict each other mean that an anchor lied: nothing is known.
        let earliest = self.earliest.filter(|earliest| *earliest <= self.latest).unwrap_or(unknown);
        let width = self.latest.micros_since(earliest).max(0);
        EventTime { best: earliest.saturating_add(width / 2), error_us: (width - width / 2).unsigned_abs() }
    }
}

/// How a boot's time is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClockQuality {
    /// Not at all: only that it was before it came.
    Unknown,
    /// Between the boots around it.
    Bounded,
    /// By a fix of its own.
    Anchored(ClockSource),
}

/// Error that drift adds to a time of this length, rounded up: an interval that is too narrow states what is not so.
fn drift_us(length_us: u64) -> u64 {
    length_us.div_ceil(1_000_000).saturating_mul(ClockFix::DRIFT_PPM)
}

/// Returns the latest time at which a boot can have begun of which a reading is not after `wall`.
#[must_use]
pub fn earlier(wall: UnixMicros, mono: VehicleMicros) -> UnixMicros {
    UnixMicros(wall.0.saturating_sub_unsigned(mono.0.saturating_sub(drift_us(mono.0))))
}

impl ClockState {
    /// Returns the narrowest interval of the boot's beginning that a trusted fix gives: of the network, a satellite or
    /// the cloud. A vehicle's own clock may have been set to anything.
    #[must_use]
    pub fn trusted_start(&self) -> Option<EventTime> {
        let trusted = self.fixes.iter().filter(|fix| fix.source >= ClockSource::Network);
        trusted.map(|fix| fix.event_time(VehicleMicros(0))).min_by_key(|time| time.error_us)
    }

    /// Returns the fix that is believed at a reading: the one with the narrowest interval among those that `bounds`
    /// allow.
    fn believed(&self, mono: VehicleMicros, bounds: &StartBounds) -> Option<(EventTime, ClockSource)> {
        let allowed = self.fixes.iter().filter(|fix| bounds.allow(fix.event_time(VehicleMicros(0))));
        allowed
            .map(|fix| (fix.event_time(mono), fix.source))
            .min_by_key(|(time, source)| (time.error_us, std::cmp::Reverse(*source)))
    }

    /// Returns event time and quality of a reading of this boot. See [`StartBounds`] for a boot without a fix.
    #[must_use]
    pub fn event_time_within(&self, mono: VehicleMicros, bounds: &StartBounds) -> (EventTime, ClockQuality) {
        if let Some((time, source)) = self.believed(mono, bounds) {
            return (time, ClockQuality::Anchored(source));
        }
        let start = bounds.start();
        let time = EventTime {
            best: UnixMicros(start.best.0.saturating_add_unsigned(mono.0)),
            error_us: start.error_us.saturating_add(drift_us(mono.0)),
        };
        let is_bounded = bounds.earliest.is_some_and(|earliest| earliest <= bounds.latest);
        (time, if is_bounded { ClockQuality::Bounded } else { ClockQuality::Unknown })
    }

    /// Returns how many believed fixes the bounds contradict: a clock that was set back, or another vehicle's.
    #[must_use]
    pub fn contradicted(&self, bounds: &StartBounds) -> usize {
        self.fixes.iter().filter(|fix| !bounds.allow(fix.event_time(VehicleMicros(0)))).count()
    }

    /// Returns whether two readings that were believed exclude each other: at least one of them claimed what is not so.
    #[must_use]
    pub fn disagrees(&self) -> bool {
        let starts: Vec<EventTime> = self.fixes.iter().map(|fix| fix.event_time(VehicleMicros(0))).collect();
        let latest_begin = starts.iter().map(|start| start.earliest()).max();
        let earliest_end = starts.iter().map(|start| start.latest()).min();
        latest_begin.zip(earliest_end).is_some_and(|(begin, end)| begin > end)
    }

    /// Returns whether a reading of this boot cannot have been made by the time at which it came, whichever fix is right.
    #[must_use]
    pub fn is_ahead(&self, mono: VehicleMicros, ingest: IngestTime) -> bool {
        let earliest = self.fixes.iter().map(|fix| fix.event_time(mono).earliest()).min();
        earliest.is_some_and(|earliest| earliest.micros_since(ingest.0) > AHEAD_MAX_US)
    }

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

    fn alone(mono: u64) -> StartBounds {
        StartBounds::of_ingest(VehicleMicros(mono), NOW)
    }

    #[test]
    fn without_a_fix_the_interval_is_wide_and_ends_at_ingest() {
        let (time, quality) = ClockState::default().event_time_within(VehicleMicros(5), &alone(5));
        assert_eq!(quality, ClockQuality::Unknown);
        // Up to what a clock may drift in a second, rounded up.
        let drift = i64::try_from(ClockFix::DRIFT_PPM).expect("small");
        assert!((0..=2 * drift).contains(&time.latest().micros_since(NOW.0)), "{time:?}");
        assert_eq!(time.error_us, 15 * 24 * 3600 * 1_000_000 + ClockFix::DRIFT_PPM);
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
        let at = |state: &ClockState| state.event_time_within(VehicleMicros(0), &alone(0)).0;
        assert_eq!(at(&forth), at(&back));
        assert_eq!(at(&forth).best, UnixMicros(1_799_999_090_000_000));
    }

    #[test]
    fn a_fix_that_the_boots_around_it_contradict_is_not_used() {
        let mut state = ClockState::default();
        // The battery was disconnected: the clock says 2021 and is sure of it.
        assert!(state.take(fix(0, 1_609_459_200_000_000, 1_000, ClockSource::RealTimeClock), NOW));
        let bounds = StartBounds { earliest: Some(UnixMicros(NOW.0.0 - 7_200_000_000)), latest: NOW.0 };
        let (time, quality) = state.event_time_within(VehicleMicros(0), &bounds);
        assert_eq!((quality, state.contradicted(&bounds)), (ClockQuality::Bounded, 1));
        assert_eq!((time.earliest(), time.latest()), (UnixMicros(NOW.0.0 - 7_200_000_000), NOW.0));
    }

    #[test]
    fn bounds_that_exclude_each_other_say_nothing() {
        let bounds = StartBounds { earliest: Some(UnixMicros(NOW.0.0 + 1)), latest: NOW.0 };
        assert_eq!(bounds.start().latest(), NOW.0);
        let (_, quality) = ClockState::default().event_time_within(VehicleMicros(0), &bounds);
        assert_eq!(quality, ClockQuality::Unknown);
    }
}
