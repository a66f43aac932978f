//! What policy and account let the uplink send.

use outrider_types::{Lane, UnixMicros, VehicleMicros};

use super::{Budget, BudgetSpent, Link, PolicyError, Uplink, UplinkPolicy};

impl Uplink {
    /// Returns what the link is said to cost now.
    #[must_use]
    pub const fn link(&self) -> Link {
        self.link
    }

    /// Sets what may be sent when; the day's account stays as it is.
    ///
    /// # Errors
    /// [`PolicyError`]; the policy before stays.
    pub fn set_policy(&mut self, policy: UplinkPolicy) -> Result<(), PolicyError> {
        policy.check()?;
        self.policy = policy;
        Ok(())
    }

    /// Returns what may be sent when.
    #[must_use]
    pub const fn policy(&self) -> &UplinkPolicy {
        &self.policy
    }

    /// Returns the day's account.
    #[must_use]
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Returns true if nothing is tried now because the last exchange failed.
    #[must_use]
    pub fn is_waiting(&self, now: VehicleMicros) -> bool {
        !self.backoff.is_open(now)
    }

    /// Lets the account's time pass; `wall` is trusted time, if there is any. Call it before exchanges.
    pub fn turn(&mut self, now: VehicleMicros, wall: Option<UnixMicros>) {
        self.budget.turn(now, wall);
    }

    /// Returns the lanes whose bytes of the day were used up since the last call.
    pub fn take_spent(&mut self) -> Vec<BudgetSpent> {
        self.budget.take_spent(&self.policy)
    }

    /// Returns true if policy, link, hour and budget let a lane be sent.
    pub(super) fn may_go(&self, lane: Lane) -> bool {
        match lane {
            Lane::Critical => self.critical_goes,
            Lane::Batched | Lane::Deferred => self.budget.allows(&self.policy, lane, self.link),
        }
    }

    /// Decides whether critical rows go although the day's bytes are spent.
    pub(super) fn admit_critical(&mut self, now: VehicleMicros) {
        let is_spent = self.link == Link::Metered && self.budget.is_spent(&self.policy, Lane::Critical);
        let window_us = self.config.report_window_us;
        let is_long_ago = self.beyond_at.is_none_or(|at| now.micros_since(at) >= window_us);
        // A report that goes anyway takes them along.
        let is_reporting = now.micros_since(self.reported_at) >= window_us;
        self.critical_goes = !is_spent || is_long_ago || is_reporting;
        if !is_spent {
            self.beyond_at = None;
        }
    }

    /// Enters what an exchange cost, in proportion to the rows; one without rows is the critical lane's.
    pub(super) fn charge(&mut self, bytes: u64, now: VehicleMicros) {
        if self.link > Link::Metered {
            return;
        }
        let by_lane = self.in_flight.as_ref().map_or([0; 3], |flight| flight.by_lane);
        let rows: u64 = by_lane.iter().sum();
        if self.budget.is_spent(&self.policy, Lane::Critical) && by_lane.first().is_some_and(|rows| *rows > 0)
        {
            self.beyond_at = Some(now);
        }
        let mut rest = bytes;
        for lane in [Lane::Deferred, Lane::Batched] {
            let own = by_lane.get(usize::from(lane.code())).copied().unwrap_or(0);
            let part = bytes.saturating_mul(own).checked_div(rows).unwrap_or(0);
            self.budget.charge(lane, part);
            rest = rest.saturating_sub(part);
        }
        self.budget.charge(Lane::Critical, rest);
    }
}
