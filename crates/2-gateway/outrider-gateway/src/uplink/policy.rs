//! What the link may cost: bytes a day, kinds of link, hours. Plain values; [`super::budget`] keeps the account.

use outrider_types::{Lane, UnixMicros};

use super::Link;

const HOUR_US: i64 = 3600 * 1_000_000;

/// Hours of the day, UTC, from the first until before the second; across midnight if the first is the later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// First hour, 0 to 23.
    pub from: u8,
    /// Hour in which it is over, 0 to 23.
    pub to: u8,
}

impl Hours {
    /// Returns true if the hour of the day is in it.
    #[must_use]
    pub fn contain(self, wall: UnixMicros) -> bool {
        let hour = u8::try_from(wall.0.div_euclid(HOUR_US).rem_euclid(24)).unwrap_or(0);
        if self.from < self.to {
            (self.from..self.to).contains(&hour)
        } else {
            hour >= self.from || hour < self.to
        }
    }
}

/// When a lane that is not critical may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LanePolicy {
    /// Bytes a day over a metered link; none is no bound of its own.
    pub bytes_a_day: Option<u64>,
    /// The least link that it is sent on.
    pub link: Link,
    /// Hours in which it is sent over a metered link; none is always. Without trusted time it waits.
    pub hours: Option<Hours>,
}

/// What the uplink may cost. The critical lane has no windows: it can be bounded, but not silenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UplinkPolicy {
    /// Bytes a day of all lanes over a metered link; none is no bound.
    pub bytes_a_day: Option<u64>,
    /// Part of [`Self::bytes_a_day`] that only the critical lane may use. It may use all of it; once nothing is left, one
    /// frame of critical rows goes in every report window.
    pub critical_bytes_a_day: u64,
    /// The batched lane.
    pub batched: LanePolicy,
    /// The deferred lane.
    pub deferred: LanePolicy,
}

/// Why a policy cannot be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The critical lane's part is larger than the whole.
    #[error("critical_bytes_a_day is above bytes_a_day")]
    Reserve,
    /// A bound is set, but the critical lane has no part of its own.
    #[error("bytes_a_day needs critical_bytes_a_day above 0")]
    NoReserve,
    /// An hour above 23, or a window from an hour to itself.
    #[error("hours are 0 to 23, and two different ones")]
    Hours,
}

impl Default for UplinkPolicy {
    /// No bounds; deferred rows wait for a link that costs nothing.
    fn default() -> Self {
        let open = LanePolicy { bytes_a_day: None, link: Link::Metered, hours: None };
        Self {
            bytes_a_day: None,
            critical_bytes_a_day: 0,
            batched: open,
            deferred: LanePolicy { link: Link::Unmetered, ..open },
        }
    }
}

impl UplinkPolicy {
    /// Checks that it can be kept.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn check(&self) -> Result<(), PolicyError> {
        match self.bytes_a_day {
            Some(all) if self.critical_bytes_a_day > all => return Err(PolicyError::Reserve),
            Some(_) if self.critical_bytes_a_day == 0 => return Err(PolicyError::NoReserve),
            Some(_) | None => {}
        }
        let bad = |hours: Hours| hours.from > 23 || hours.to > 23 || hours.from == hours.to;
        if [self.batched, self.deferred].into_iter().filter_map(|lane| lane.hours).any(bad) {
            return Err(PolicyError::Hours);
        }
        Ok(())
    }

    /// Returns the policy of a lane that is not critical.
    #[must_use]
    pub const fn lane(&self, lane: Lane) -> Option<&LanePolicy> {
        match lane {
            Lane::Critical => None,
            Lane::Batched => Some(&self.batched),
            Lane::Deferred => Some(&self.deferred),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_would_silence_the_critical_lane_is_refused() {
        let policy =
            UplinkPolicy { bytes_a_day: Some(100), critical_bytes_a_day: 40, ..UplinkPolicy::default() };
        assert_eq!(policy.check(), Ok(()));
        assert_eq!(UplinkPolicy::default().check(), Ok(()));
        assert_eq!(UplinkPolicy { critical_bytes_a_day: 0, ..policy }.check(), Err(PolicyError::NoReserve));
        assert_eq!(UplinkPolicy { critical_bytes_a_day: 101, ..policy }.check(), Err(PolicyError::Reserve));
        for (from, to) in [(24, 3), (3, 24), (5, 5)] {
            let batched = LanePolicy { hours: Some(Hours { from, to }), ..policy.batched };
            assert_eq!(UplinkPolicy { batched, ..policy }.check(), Err(PolicyError::Hours));
        }
    }

    #[test]
    fn hours_run_across_midnight_and_end_before_their_end() {
        let at = |hour: i64| UnixMicros(1_767_571_200_000_000 + hour * HOUR_US);
        let night = Hours { from: 22, to: 6 };
        let day = Hours { from: 6, to: 22 };
        for hour in 0..24 {
            assert_eq!(night.contain(at(hour)), !(6..22).contains(&hour), "{hour}");
            assert_eq!(day.contain(at(hour)), (6..22).contains(&hour), "{hour}");
        }
    }
}
