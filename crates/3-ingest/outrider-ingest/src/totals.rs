//! Sums over lanes, vehicles and rows, for screens: small enough to be added up over a fleet at each look.

use outrider_types::{EventTime, IngestTime, Lane, UnixMicros};
use outrider_wire::DropReason;

use crate::ledger::{Account, Balancing};

/// Buckets of the lag: the first ends at one second, each further one at twice that of the one before; 26 reach two years.
const LAG_BUCKETS: usize = 27;

/// Counts of one lane over some boots.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LaneTotals {
    /// Rows received.
    pub rows: u64,
    /// Observations folded into them.
    pub folded: u64,
    /// Rows declared lost and not received.
    pub lost: u64,
    /// Numbers missing, still in time.
    pub open: u64,
    /// Numbers missing for too long.
    pub overdue: u64,
    /// Boots whose account balances to the last observation.
    pub balanced: u64,
    /// Boots of which something is still to come.
    pub waiting: u64,
    /// Boots that are whole but not exact.
    pub inexact: u64,
    /// Boots that do not balance.
    pub mismatched: u64,
}

impl LaneTotals {
    pub(crate) const fn add_account(&mut self, account: &Account) {
        self.folded = self.folded.saturating_add(account.folded);
        match account.state {
            Balancing::Balanced => self.balanced += 1,
            Balancing::Waiting => self.waiting += 1,
            Balancing::Inexact => self.inexact += 1,
            Balancing::Mismatch(_) => self.mismatched += 1,
        }
    }

    fn add(&mut self, other: &Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.folded = self.folded.saturating_add(other.folded);
        self.lost = self.lost.saturating_add(other.lost);
        self.open = self.open.saturating_add(other.open);
        self.overdue = self.overdue.saturating_add(other.overdue);
        self.balanced += other.balanced;
        self.waiting += other.waiting;
        self.inexact += other.inexact;
        self.mismatched += other.mismatched;
    }
}

/// Counts of a vehicle or of a fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Vehicles.
    pub vehicles: u64,
    /// By lane, in the order of [`Lane::ALL`].
    pub lanes: [LaneTotals; 3],
    /// Gaps: open, overdue, declared lost.
    pub gaps: [u64; 3],
    /// Rows declared lost by reason, in the order of [`DropReason::ALL`]; last those without a reason that is known.
    pub lost_by_reason: [u64; DropReason::ALL.len() + 1],
    /// Tombstones that the device key signed, and others.
    pub tombstones: [u64; 2],
    /// Statements of the cloud about it.
    pub statements: u64,
}

impl Totals {
    /// Returns the counts of a lane.
    #[must_use]
    pub fn lane_mut(&mut self, lane: Lane) -> &mut LaneTotals {
        let [critical, batched, deferred] = &mut self.lanes;
        match lane {
            Lane::Critical => critical,
            Lane::Batched => batched,
            Lane::Deferred => deferred,
        }
    }

    /// Adds the counts of another.
    pub fn add(&mut self, other: &Self) {
        self.vehicles += other.vehicles;
        self.lanes.iter_mut().zip(&other.lanes).for_each(|(mine, theirs)| mine.add(theirs));
        let sums = self.gaps.iter_mut().zip(&other.gaps);
        let sums = sums.chain(self.lost_by_reason.iter_mut().zip(&other.lost_by_reason));
        sums.chain(self.tombstones.iter_mut().zip(&other.tombstones))
            .for_each(|(mine, theirs)| *mine = mine.saturating_add(*theirs));
        self.statements = self.statements.saturating_add(other.statements);
    }

    /// Returns how many numbers are missing.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.lanes.iter().map(|lane| lane.open.saturating_add(lane.overdue)).sum()
    }
}

/// How late rows came: ingest time less event time, since the program began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    buckets: [u64; LAG_BUCKETS],
}

impl Lag {
    pub(crate) fn note(&mut self, time: EventTime, ingest: IngestTime) {
        let lag_s = ingest.0.micros_since(time.best).max(0).unsigned_abs() / 1_000_000;
        let bucket = (u64::BITS - lag_s.leading_zeros()) as usize;
        if let Some(slot) = self.buckets.get_mut(bucket.min(LAG_BUCKETS - 1)) {
            *slot = slot.saturating_add(1);
        }
    }

    /// Returns rows counted.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Returns the seconds below which this share of rows came, in thousandths; a power of two, rounded up. `None`
    /// before the first row.
    #[must_use]
    pub fn below_s(&self, per_mille: u64) -> Option<u64> {
        let rows = self.rows();
        let wanted = rows.saturating_mul(per_mille).div_ceil(1000).max(1);
        let mut seen = 0;
        let reached = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        reached.filter(|_| rows > 0).map(|bucket| 1u64 << bucket)
    }
}

/// Vehicles by when they were last heard of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contacts {
    /// Within five minutes, an hour, a day, a week, thirty days, and longer ago.
    pub vehicles: [u64; 6],
}

/// Ends of the ages in [`Contacts`], in seconds.
pub const CONTACT_AGES_S: [i64; 5] = [300, 3600, 86_400, 604_800, 2_592_000];

impl Contacts {
    pub(crate) fn note(&mut self, contact: UnixMicros, now: UnixMicros) {
        let age_s = now.micros_since(contact) / 1_000_000;
        let class = CONTACT_AGES_S.iter().take_while(|end| age_s > **end).count();
        if let Some(slot) = self.vehicles.get_mut(class) {
            *slot += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_told_to_a_power_of_two() {
        let mut lag = Lag::default();
        assert_eq!(lag.below_s(500), None);
        let ingest = IngestTime(UnixMicros(1_000_000_000_000));
        for (seconds, times) in [(0, 90), (3, 9), (1_000_000, 1)] {
            let time = EventTime { best: ingest.0.saturating_add(-seconds * 1_000_000), error_us: 0 };
            (0..times).for_each(|_| lag.note(time, ingest));
        }
        assert_eq!(
            (lag.below_s(900), lag.below_s(901), lag.below_s(1000)),
            (Some(1), Some(4), Some(1 << 20))
        );
        lag.note(EventTime { best: UnixMicros(i64::MIN), error_us: 0 }, ingest);
        assert_eq!((lag.rows(), lag.below_s(1000)), (101, Some(1 << 26)), "the last bucket takes the rest");
    }

    #[test]
    fn contacts_fall_into_the_class_whose_end_they_do_not_pass() {
        let (mut contacts, now) = (Contacts::default(), UnixMicros(4_000_000_000_000_000));
        for age_s in [0, 300, 301, 2_592_000, 2_592_001] {
            contacts.note(now.saturating_add(-age_s * 1_000_000), now);
        }
        assert_eq!(contacts.vehicles, [2, 1, 0, 0, 1, 1]);
    }
}
