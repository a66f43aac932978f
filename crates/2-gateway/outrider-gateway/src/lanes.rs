//! The lane policy in use: what the catalogue says, changed by what a signed policy says.

use std::collections::BTreeMap;

use outrider_types::{EventTypeId, Lane, Severity};
use outrider_wire::FrameError;
use outrider_wire::catalogue;
use outrider_wire::policy::{
    LanePolicy, Policy, PolicyHead, PolicyRule, ROWS_MAX, WINDOW_MS_MAX, lane_rank, may_take,
};

use crate::SecurityEvent;
use crate::fold::FoldConfig;

/// What is to be done with one event. There is no value that drops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handling {
    /// Lane that it travels in.
    pub lane: Lane,
    /// How long its repeats are folded.
    pub window_us: u64,
    /// Whether it passes whatever its sensor's share.
    pub keep: bool,
}

/// Policy of a vehicle, owned and ready to be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LanePolicies {
    head: PolicyHead,
    rules: BTreeMap<EventTypeId, Vec<PolicyRule>>,
}

impl LanePolicies {
    /// Reads the payload of an artifact of kind policy, O(n); n is at most 512 rules.
    ///
    /// # Errors
    /// [`FrameError`] as [`Policy::parse`].
    pub fn parse(bytes: &[u8]) -> Result<Self, FrameError> {
        let policy = Policy::parse(bytes)?;
        let mut rules: BTreeMap<EventTypeId, Vec<PolicyRule>> = BTreeMap::new();
        for rule in policy.rules() {
            rules.entry(rule.event_type).or_default().push(rule);
        }
        Ok(Self { head: policy.head, rules })
    }

    /// Takes the windows of a folding, and the usual rest.
    #[must_use]
    pub fn with_windows(fold: &FoldConfig) -> Self {
        let mut policies = Self::default();
        for (lane, window_us) in policies.head.lanes.iter_mut().zip(fold.window_us) {
            lane.window_ms = u32::try_from(window_us / 1000).unwrap_or(u32::MAX);
        }
        policies
    }

    /// Lifts the limits of every sensor's share, for load tests.
    #[must_use]
    pub fn without_shares(mut self) -> Self {
        for lane in &mut self.head.lanes {
            (lane.rows_per_hour, lane.burst_rows, lane.lane_rows_per_second) = (ROWS_MAX, ROWS_MAX, ROWS_MAX);
        }
        self
    }

    /// Returns what holds for lanes and uplink.
    #[must_use]
    pub const fn head(&self) -> &PolicyHead {
        &self.head
    }

    /// Returns what holds for one lane.
    #[must_use]
    pub const fn lane(&self, lane: Lane) -> &LanePolicy {
        let [critical, batched, deferred] = &self.head.lanes;
        match lane {
            Lane::Critical => critical,
            Lane::Batched => batched,
            Lane::Deferred => deferred,
        }
    }

    /// Decides about an event; O(rules of its type). Among rules that hold, one for its bus goes before one for any bus,
    /// and a higher severity before a lower one.
    #[must_use]
    pub fn handling(&self, event: &SecurityEvent) -> Handling {
        let severity = event
            .severity
            .or_else(|| catalogue::defaults(event.event_type).map(|defaults| defaults.severity))
            .unwrap_or(Severity::Medium);
        let rules = self.rules.get(&event.event_type).map(Vec::as_slice).unwrap_or_default();
        let holds = |rule: &&PolicyRule| {
            rule.bus.is_none_or(|bus| event.bus.is_some_and(|of| of.0 == bus))
                && rule.severity.is_none_or(|least| least <= severity)
        };
        let rule = rules.iter().filter(holds).max_by_key(|rule| (rule.bus.is_some(), rule.severity));
        let lane = rule.and_then(|rule| rule.lane).filter(|lane| may_take(event.event_type, *lane));
        let lane = lane.unwrap_or(event.lane);
        let window_ms = rule.and_then(|rule| rule.window_ms).unwrap_or(self.lane(lane).window_ms);
        let longest = WINDOW_MS_MAX.get(lane_rank(lane)).copied().unwrap_or(0);
        Handling {
            lane,
            window_us: u64::from(window_ms.min(longest)) * 1000,
            keep: rule.is_some_and(|rule| rule.keep),
        }
    }
}

#[cfg(test)]
mod tests {
    use outrider_types::{BusId, VehicleMicros};
    use outrider_wire::catalogue::event;
    use outrider_wire::policy::POLICY_BYTES_MAX;

    use super::*;

    fn policies(rules: &[PolicyRule]) -> LanePolicies {
        let mut out = [0; POLICY_BYTES_MAX];
        let length = Policy::emit(&PolicyHead::default(), rules, &mut out).expect("legal rules");
        LanePolicies::parse(&out[..length]).expect("just written")
    }

    fn lane_of(policies: &LanePolicies, bus: Option<u8>, severity: Option<Severity>) -> Lane {
        let mut seen = SecurityEvent::new(event::CAN_UNKNOWN_ID, VehicleMicros(0));
        (seen.bus, seen.severity) = (bus.map(BusId), severity);
        policies.handling(&seen).lane
    }

    #[test]
    fn a_rule_for_the_bus_goes_before_one_for_any_and_a_severity_narrows_it() {
        let any = PolicyRule {
            event_type: event::CAN_UNKNOWN_ID,
            bus: None,
            severity: None,
            lane: Some(Lane::Deferred),
            window_ms: None,
            keep: false,
        };
        let high =
            PolicyRule { bus: Some(1), severity: Some(Severity::High), lane: Some(Lane::Critical), ..any };
        let policies = policies(&[high, any]);
        assert_eq!(lane_of(&policies, None, None), Lane::Deferred);
        assert_eq!(lane_of(&policies, Some(1), None), Lane::Deferred, "unknown identifiers are medium");
        assert_eq!(lane_of(&policies, Some(1), Some(Severity::High)), Lane::Critical);
        assert_eq!(lane_of(&policies, Some(2), Some(Severity::Critical)), Lane::Deferred);
    }

    #[test]
    fn without_a_policy_the_catalogue_decides() {
        let seen = SecurityEvent::new(event::CAN_FLOOD, VehicleMicros(0));
        let handling = LanePolicies::default().handling(&seen);
        assert_eq!(handling, Handling { lane: Lane::Critical, window_us: 1_000_000, keep: false });
    }
}
