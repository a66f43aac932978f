//! What the link may cost: bytes a day, kinds of link, hours. Plain values; [`super::budget`] keeps the account.

use outrider_types::{Lane, UnixMicros};
use outrider_wire::policy::{NO_LIMIT, PolicyHead};

use super::Link;

const HOUR_US: i64 = 3600 * 1_000_000;
const MINUTE_US: i64 = 60 * 1_000_000;

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

/// Minutes of the day, UTC, from the first until before the second; across midnight if the first is not the earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minutes {
    /// First minute, 0 to 1439.
    pub from: u16,
    /// Minute in which it is over, 0 to 1440.
    pub to: u16,
}

impl Minutes {
    /// Returns true if the minute of the day is in it.
    #[must_use]
    pub fn contain(self, wall: UnixMicros) -> bool {
        let minute = u16::try_from(wall.0.div_euclid(MINUTE_US).rem_euclid(1440)).unwrap_or(0);
        if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
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
    /// Minutes in which it is sent over a metered link, beside [`Self::hours`]: both must hold.
    pub minutes: Option<Minutes>,
}

impl LanePolicy {
    /// Returns what holds if a policy is to be kept, too.
    fn within(self, head: &PolicyHead, lane: Lane) -> Self {
        let place = usize::from(lane.code());
        let is_set = |lanes: &[bool; 3]| lanes.get(place).copied().unwrap_or(false);
        let mut link = self.link;
        if is_set(&head.hours.unmetered_only) {
            link = link.max(Link::Unmetered);
        }
        if is_set(&head.hours.workshop_only) {
            link = link.max(Link::Workshop);
        }
        let (from, to) = (head.hours.from_min, head.hours.to_min);
        // From midnight to midnight is always.
        let minutes = if (from, to) == (0, 1440) { self.minutes } else { Some(Minutes { from, to }) };
        Self { bytes_a_day: tighter(self.bytes_a_day, head, lane), link, minutes, ..self }
    }
}

/// Returns the smaller one of a bound and a policy's.
fn tighter(own: Option<u64>, head: &PolicyHead, lane: Lane) -> Option<u64> {
    let policy = head.lanes.get(usize::from(lane.code())).map(|lane| lane.bytes_per_day);
    match (own, policy.filter(|bytes| *bytes != NO_LIMIT)) {
        (Some(own), Some(policy)) => Some(own.min(policy)),
        (own, policy) => own.or(policy),
    }
}

/// What the uplink may cost. The critical lane has no windows: it can be bounded, but not silenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UplinkPolicy {
    /// Bytes a day of all lanes over a metered link; none is no bound.
    pub bytes_a_day: Option<u64>,
    /// Part of [`Self::bytes_a_day`] that only the critical lane may use. It may use all of it; once nothing is left, one
    /// frame of critical rows goes in every report window.
    pub critical_bytes_a_day: u64,
    /// Bytes a day of the critical lane over a metered link; none is no bound of its own. Behind it, too, one frame goes in
    /// every report window.
    pub critical_bytes_a_day_max: Option<u64>,
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
        let open = LanePolicy { bytes_a_day: None, link: Link::Metered, hours: None, minutes: None };
        Self {
            bytes_a_day: None,
            critical_bytes_a_day: 0,
            critical_bytes_a_day_max: None,
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

    /// Returns what holds if the budgets and hours of a policy from the cloud are to be kept, too. The tighter one holds each
    /// time: what the vehicle was provisioned with is its owner's contract, which nobody loosens from afar.
    #[must_use]
    pub fn within(self, head: &PolicyHead) -> Self {
        Self {
            critical_bytes_a_day_max: tighter(self.critical_bytes_a_day_max, head, Lane::Critical),
            batched: self.batched.within(head, Lane::Batched),
            deferred: self.deferred.within(head, Lane::Deferred),
            ..self
        }
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

    #[test]
    fn a_policy_tightens_and_never_loosens() {
        let usual = UplinkPolicy::default();
        assert_eq!(usual.within(&PolicyHead::default()), usual, "a policy without budgets changes nothing");
        let mut head = PolicyHead::default();
        head.lanes[0].bytes_per_day = 70_000;
        head.lanes[1].bytes_per_day = 500;
        head.hours.workshop_only = [false, true, false];
        (head.hours.from_min, head.hours.to_min) = (1350, 330);
        let batched = LanePolicy { bytes_a_day: Some(400), ..usual.batched };
        let within = UplinkPolicy { batched, ..usual }.within(&head);
        assert_eq!(within.critical_bytes_a_day_max, Some(70_000));
        assert_eq!((within.batched.bytes_a_day, within.batched.link), (Some(400), Link::Workshop));
        assert_eq!((within.deferred.bytes_a_day, within.deferred.link), (None, Link::Unmetered));
        let night = Minutes { from: 1350, to: 330 };
        assert_eq!((within.batched.minutes, within.deferred.minutes), (Some(night), Some(night)));
        let at = |minute: i64| UnixMicros(1_767_571_200_000_000 + minute * MINUTE_US);
        for (minute, is_in) in [(0, true), (329, true), (330, false), (1349, false), (1350, true)] {
            assert_eq!(night.contain(at(minute)), is_in, "{minute}");
        }
    }
}
