//! The account of what the link cost today.
//!
//! A day is a UTC day where trusted time is known. Without it, a day is 24 hours in which the program ran: time that
//! passed while it was off is not counted, so a wrong clock can make a day too long, never too short. A clock that goes
//! back to an earlier day opens no new one.

use outrider_types::{Lane, UnixMicros, VehicleMicros};

use super::{Link, UplinkPolicy};

const DAY_US: u64 = 24 * 3600 * 1_000_000;

/// What an exchange costs besides frame and reply: TLS records and the heads of TCP and IP (guess).
pub(super) const EXCHANGE_BYTES: u64 = 200;

/// A lane's bound was reached; told once a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetSpent {
    /// Lane that waits now. A critical lane goes on with one frame in every report window.
    pub lane: Lane,
    /// Bytes that it used today.
    pub spent: u64,
    /// Bytes that it may use.
    pub bound: u64,
}

/// What was spent today.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    spent: [u64; 3],
    told: [bool; 3],
    /// Days since 1970, where trusted time has said so.
    day: Option<i64>,
    elapsed_us: u64,
    at: VehicleMicros,
    wall: Option<UnixMicros>,
}

impl Budget {
    /// Lets time pass; `wall` is trusted time, if there is any.
    pub(super) fn turn(&mut self, now: VehicleMicros, wall: Option<UnixMicros>) {
        self.elapsed_us = self.elapsed_us.saturating_add(now.micros_since(self.at));
        self.at = now;
        self.wall = wall;
        let today = wall.map(|wall| wall.0.div_euclid(DAY_US.cast_signed()));
        let is_over = match (self.day, today) {
            (Some(day), Some(today)) => today > day,
            // The first trusted time says which day it has been all along.
            (None, Some(_)) | (_, None) => self.elapsed_us >= DAY_US,
        };
        if is_over {
            *self = Self { day: today, at: now, wall, ..Self::default() };
        } else if self.day.is_none() {
            self.day = today;
        }
    }

    pub(super) fn charge(&mut self, lane: Lane, bytes: u64) {
        if let Some(spent) = self.spent.get_mut(usize::from(lane.code())) {
            *spent = spent.saturating_add(bytes);
        }
    }

    /// Returns the bytes that a lane used today over a metered link.
    #[must_use]
    pub fn spent(&self, lane: Lane) -> u64 {
        self.spent.get(usize::from(lane.code())).copied().unwrap_or(0)
    }

    /// Returns the bytes that a lane may use today; none is no bound.
    #[must_use]
    pub fn bound(&self, policy: &UplinkPolicy, lane: Lane) -> Option<u64> {
        let others = |of: &[Lane]| of.iter().map(|lane| self.spent(*lane)).fold(0, u64::saturating_add);
        let whole = policy.bytes_a_day;
        match lane {
            Lane::Critical => {
                let left = whole.map(|all| all.saturating_sub(others(&[Lane::Batched, Lane::Deferred])));
                match (policy.critical_bytes_a_day_max, left) {
                    (Some(own), Some(left)) => Some(own.min(left)),
                    (own, left) => own.or(left),
                }
            }
            Lane::Batched | Lane::Deferred => {
                let own = policy.lane(lane).and_then(|lane| lane.bytes_a_day);
                let beside = if lane == Lane::Batched { Lane::Deferred } else { Lane::Batched };
                // What critical rows took beyond their own part is missing here.
                let critical = policy.critical_bytes_a_day.max(self.spent(Lane::Critical));
                let shared = whole.map(|all| all.saturating_sub(critical).saturating_sub(self.spent(beside)));
                match (own, shared) {
                    (Some(own), Some(shared)) => Some(own.min(shared)),
                    (own, shared) => own.or(shared),
                }
            }
        }
    }

    /// Returns true if the lane's bytes of today are used up.
    #[must_use]
    pub fn is_spent(&self, policy: &UplinkPolicy, lane: Lane) -> bool {
        self.bound(policy, lane).is_some_and(|bound| self.spent(lane) >= bound)
    }

    /// Returns true if a lane that is not critical may be sent on this link now.
    #[must_use]
    pub(super) fn allows(&self, policy: &UplinkPolicy, lane: Lane, link: Link) -> bool {
        let Some(of) = policy.lane(lane) else { return true };
        if link < of.link {
            return false;
        }
        if link > Link::Metered {
            return true;
        }
        let in_hours = of.hours.is_none_or(|hours| self.wall.is_some_and(|wall| hours.contain(wall)));
        let in_minutes = of.minutes.is_none_or(|minutes| self.wall.is_some_and(|wall| minutes.contain(wall)));
        in_hours && in_minutes && !self.is_spent(policy, lane)
    }

    /// Returns the lanes whose bound was reached since they were last told.
    pub(super) fn take_spent(&mut self, policy: &UplinkPolicy) -> Vec<BudgetSpent> {
        let mut all = Vec::new();
        for lane in Lane::ALL {
            let Some(bound) = self.bound(policy, lane).filter(|bound| self.spent(lane) >= *bound) else {
                continue;
            };
            let Some(told) = self.told.get_mut(usize::from(lane.code())).filter(|told| !**told) else {
                continue;
            };
            *told = true;
            let spent = self.spent(lane);
            // A lane that never used a byte waits because the others used them all, and they are told.
            if spent > 0 {
                all.push(BudgetSpent { lane, spent, bound });
            }
        }
        all
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        self.spent.iter().for_each(|spent| out.extend_from_slice(&spent.to_le_bytes()));
        out.extend(self.told.iter().map(|told| u8::from(*told)));
        out.extend_from_slice(&self.day.unwrap_or(i64::MIN).to_le_bytes());
        out.extend_from_slice(&self.elapsed_us.to_le_bytes());
    }

    pub(super) const SAVED_BYTES: usize = 3 * 8 + 3 + 8 + 8;

    /// Reads what was saved; `bytes` has [`Self::SAVED_BYTES`].
    pub(super) fn load(bytes: &[u8], now: VehicleMicros) -> Option<Self> {
        let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let told = |at: usize| bytes.get(at).map(|byte| *byte != 0);
        Some(Self {
            spent: [number(0)?, number(8)?, number(16)?],
            told: [told(24)?, told(25)?, told(26)?],
            day: Some(number(27)?.cast_signed()).filter(|day| *day != i64::MIN),
            elapsed_us: number(35)?,
            at: now,
            wall: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uplink::{Hours, LanePolicy, Minutes};

    const HOUR_US: u64 = 3600 * 1_000_000;

    fn policy() -> UplinkPolicy {
        UplinkPolicy { bytes_a_day: Some(1000), critical_bytes_a_day: 300, ..UplinkPolicy::default() }
    }

    #[test]
    fn other_lanes_leave_the_critical_part_and_critical_rows_may_use_all() {
        let (policy, mut budget) = (policy(), Budget::default());
        assert_eq!(budget.bound(&policy, Lane::Batched), Some(700));
        budget.charge(Lane::Batched, 700);
        assert!(!budget.allows(&policy, Lane::Batched, Link::Metered));
        assert!(budget.allows(&policy, Lane::Batched, Link::Unmetered), "Wi-Fi costs nothing");
        assert_eq!(budget.bound(&policy, Lane::Critical), Some(300));
        let mut budget = Budget::default();
        budget.charge(Lane::Critical, 900);
        assert!(!budget.is_spent(&policy, Lane::Critical));
        assert_eq!(budget.bound(&policy, Lane::Batched), Some(100));
        let told = budget.take_spent(&policy);
        assert!(told.is_empty(), "{told:?}");
        budget.charge(Lane::Critical, 100);
        let spent = BudgetSpent { lane: Lane::Critical, spent: 1000, bound: 1000 };
        assert_eq!(budget.take_spent(&policy), [spent]);
        assert_eq!(budget.take_spent(&policy), [], "once a day");
    }

    #[test]
    fn a_day_is_a_utc_day_or_24_hours_of_running_and_no_clock_shortens_it() {
        let mut budget = Budget::default();
        let day = |days: i64| Some(UnixMicros(days * DAY_US.cast_signed() + 5));
        budget.turn(VehicleMicros(0), None);
        budget.charge(Lane::Batched, 5);
        budget.turn(VehicleMicros(23 * HOUR_US), None);
        assert_eq!(budget.spent(Lane::Batched), 5);
        budget.turn(VehicleMicros(23 * HOUR_US + 1), day(20_000));
        assert_eq!(budget.spent(Lane::Batched), 5, "trusted time names the day that it is");
        budget.turn(VehicleMicros(23 * HOUR_US + 2), day(0));
        assert_eq!(budget.spent(Lane::Batched), 5, "1970 opens no new day");
        let mut saved = Vec::new();
        budget.save(&mut saved);
        assert_eq!(saved.len(), Budget::SAVED_BYTES);
        let mut budget = Budget::load(&saved, VehicleMicros(0)).expect("own bytes");
        assert_eq!(budget.spent(Lane::Batched), 5, "a restart opens none");
        budget.turn(VehicleMicros(HOUR_US), None);
        assert_eq!(budget.spent(Lane::Batched), 0, "24 hours of running");
        budget.turn(VehicleMicros(HOUR_US), day(20_000));
        budget.charge(Lane::Batched, 5);
        budget.turn(VehicleMicros(HOUR_US + 1), day(20_001));
        assert_eq!(budget.spent(Lane::Batched), 0, "the next UTC day");
    }

    #[test]
    fn windows_hold_a_lane_back_until_link_and_hour_fit() {
        let lane = LanePolicy { bytes_a_day: None, link: Link::Workshop, hours: None, minutes: None };
        let night = LanePolicy { hours: Some(Hours { from: 0, to: 6 }), link: Link::Metered, ..lane };
        let policy = UplinkPolicy { batched: night, deferred: lane, ..UplinkPolicy::default() };
        let mut budget = Budget::default();
        assert!(!budget.allows(&policy, Lane::Deferred, Link::Unmetered));
        assert!(budget.allows(&policy, Lane::Deferred, Link::Workshop));
        assert!(!budget.allows(&policy, Lane::Batched, Link::Metered), "nobody knows the hour");
        budget.turn(VehicleMicros(1), Some(UnixMicros(HOUR_US.cast_signed())));
        assert!(budget.allows(&policy, Lane::Batched, Link::Metered));
        budget.turn(VehicleMicros(2), Some(UnixMicros(7 * HOUR_US.cast_signed())));
        assert!(!budget.allows(&policy, Lane::Batched, Link::Metered));
        assert!(budget.allows(&policy, Lane::Batched, Link::Unmetered));
    }

    #[test]
    fn minutes_hold_beside_hours_and_the_critical_lane_has_a_bound_of_its_own() {
        let hours = Some(Hours { from: 0, to: 6 });
        let minutes = Some(Minutes { from: 330, to: 720 });
        let lane = LanePolicy { bytes_a_day: None, link: Link::Metered, hours, minutes };
        let policy =
            UplinkPolicy { batched: lane, critical_bytes_a_day_max: Some(200), ..UplinkPolicy::default() };
        let mut budget = Budget::default();
        assert!(!budget.allows(&policy, Lane::Batched, Link::Metered), "nobody knows the minute");
        for (minute, is_sent) in [(329, false), (330, true), (359, true), (360, false)] {
            let wall = UnixMicros(minute * 60_000_000);
            budget.turn(VehicleMicros(1), Some(wall));
            assert_eq!(budget.allows(&policy, Lane::Batched, Link::Metered), is_sent, "{minute}");
        }
        assert!(budget.allows(&policy, Lane::Batched, Link::Unmetered));
        assert_eq!(budget.bound(&policy, Lane::Critical), Some(200));
        let whole = UplinkPolicy { bytes_a_day: Some(150), critical_bytes_a_day: 50, ..policy };
        assert_eq!(budget.bound(&whole, Lane::Critical), Some(150), "the smaller one");
        budget.charge(Lane::Critical, 200);
        assert!(budget.is_spent(&policy, Lane::Critical));
    }
}
