//! Balance counters: received = passed + dropped + quarantined, for every stage (BAL-1).

use std::collections::BTreeMap;
use std::fmt;

/// Name of a stage in counters, metrics and on the health page.
pub type StageName = &'static str;

/// Counters of one stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Balance {
    received: u64,
    passed: u64,
    dropped: BTreeMap<&'static str, u64>,
    quarantined: BTreeMap<&'static str, u64>,
}

impl Balance {
    /// Counts units that came in.
    pub fn receive(&mut self, units: u64) {
        self.received = self.received.saturating_add(units);
    }

    /// Counts units that went on.
    pub fn pass(&mut self, units: u64) {
        self.passed = self.passed.saturating_add(units);
    }

    /// Counts units that were dropped on purpose, such as duplicates; the reason is from a closed list.
    pub fn drop_for(&mut self, reason: &'static str, units: u64) {
        let counter = self.dropped.entry(reason).or_default();
        *counter = counter.saturating_add(units);
    }

    /// Counts units that were set aside with their bytes; the reason is from a closed list.
    pub fn quarantine_for(&mut self, reason: &'static str, units: u64) {
        let counter = self.quarantined.entry(reason).or_default();
        *counter = counter.saturating_add(units);
    }

    /// Returns the units that came in.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Returns the units that went on.
    #[must_use]
    pub const fn passed(&self) -> u64 {
        self.passed
    }

    /// Returns the dropped units by reason.
    #[must_use]
    pub const fn dropped(&self) -> &BTreeMap<&'static str, u64> {
        &self.dropped
    }

    /// Returns the quarantined units by reason.
    #[must_use]
    pub const fn quarantined(&self) -> &BTreeMap<&'static str, u64> {
        &self.quarantined
    }

    /// Returns received − (passed + dropped + quarantined); 0 when the stage balances.
    #[must_use]
    pub fn difference(&self) -> i128 {
        let left: u64 = self.dropped.values().chain(self.quarantined.values()).sum();
        i128::from(self.received) - i128::from(self.passed) - i128::from(left)
    }

    /// Adds the counters of another balance of the same stage.
    pub fn merge(&mut self, other: &Self) {
        self.receive(other.received);
        self.pass(other.passed);
        other.dropped.iter().for_each(|(reason, units)| self.drop_for(reason, *units));
        other.quarantined.iter().for_each(|(reason, units)| self.quarantine_for(reason, *units));
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "received {} = passed {}", self.received, self.passed)?;
        self.dropped.iter().try_for_each(|(reason, units)| write!(f, " + dropped {reason} {units}"))?;
        self.quarantined.iter().try_for_each(|(reason, units)| write!(f, " + quarantined {reason} {units}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_is_nowhere_shows_as_a_difference() {
        let mut balance = Balance::default();
        balance.receive(3);
        balance.pass(1);
        balance.drop_for("duplicate", 1);
        assert_eq!(balance.difference(), 1);
        balance.quarantine_for("decode", 1);
        assert_eq!(balance.difference(), 0);
        assert_eq!(balance.to_string(), "received 3 = passed 1 + dropped duplicate 1 + quarantined decode 1");
    }
}
