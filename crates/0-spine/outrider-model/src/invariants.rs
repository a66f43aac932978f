//! The invariants of `docs/invariants.md` as pure functions: used by tests, simulator and debug assertions.

use std::collections::{BTreeMap, BTreeSet};

use outrider_types::{BootEpoch, EventId, Lane, Seq, VehicleId};

use crate::balance::Balance;
use crate::finding::Finding;

/// A broken invariant: its id, and what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Id in `docs/invariants.md`, such as `LOG-3`.
    pub invariant: &'static str,
    /// What was seen.
    pub seen: String,
}

/// LOG-3: each event is stored exactly once. Returns (lost, duplicated) against what the vehicles sent.
#[must_use]
pub fn exactly_once(sent: &BTreeSet<EventId>, stored: &[EventId]) -> (u64, u64) {
    let distinct: BTreeSet<EventId> = stored.iter().copied().collect();
    let lost = sent.difference(&distinct).count();
    let duplicated = stored.len() - distinct.len();
    (lost as u64, duplicated as u64)
}

/// LOG-4: a lane's numbers start at 1 and have no gap up to the highest. Returns each (vehicle, epoch, lane)
/// with missing numbers and how many are missing.
#[must_use]
pub fn gaps(stored: &BTreeSet<EventId>) -> BTreeMap<(VehicleId, BootEpoch, Lane), u64> {
    let mut lanes: BTreeMap<(VehicleId, BootEpoch, Lane), (u64, Seq)> = BTreeMap::new();
    for id in stored {
        let entry = lanes.entry((id.vehicle, id.epoch, id.lane)).or_insert((0, Seq(0)));
        entry.0 += 1;
        entry.1 = entry.1.max(id.seq);
    }
    lanes
        .into_iter()
        .filter_map(|(lane, (count, highest))| {
            let missing = highest.0.saturating_sub(count);
            (missing > 0).then_some((lane, missing))
        })
        .collect()
}

/// BAL-1: every stage balances.
///
/// # Errors
/// The first stage that does not.
pub fn balanced<'a>(stages: impl IntoIterator<Item = (&'a str, &'a Balance)>) -> Result<(), Violation> {
    for (stage, balance) in stages {
        if balance.difference() != 0 {
            return Err(Violation { invariant: "BAL-1", seen: format!("{stage}: {balance}") });
        }
    }
    Ok(())
}

/// DET-1: two runs over the same events in another order, with duplicates, state the same findings. Revision,
/// lateness and detection time may differ; rule, group, window, value, counts and evidence may not. Findings
/// whose newest revision withdraws them do not count.
///
/// # Errors
/// The first difference.
pub fn same_findings(left: &[Finding], right: &[Finding]) -> Result<(), Violation> {
    let newest = |findings: &[Finding]| -> BTreeMap<_, Finding> {
        let mut map: BTreeMap<_, Finding> = BTreeMap::new();
        for finding in findings {
            let slot = map.entry(finding.id).or_insert_with(|| finding.clone());
            if finding.revision >= slot.revision {
                *slot = finding.clone();
            }
        }
        map.retain(|_, finding| !finding.withdrawn);
        map.values_mut().for_each(|finding| {
            finding.revision = 0;
            finding.late = false;
            finding.detected_at = outrider_types::UnixMicros(0);
        });
        map
    };
    let (left, right) = (newest(left), newest(right));
    for (id, finding) in &left {
        if right.get(id) != Some(finding) {
            return Err(Violation {
                invariant: "DET-1",
                seen: format!("{finding:?} against {:?}", right.get(id)),
            });
        }
    }
    match right.keys().find(|id| !left.contains_key(id)) {
        Some(id) => {
            Err(Violation { invariant: "DET-1", seen: format!("only on the right: {:?}", right[id]) })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(seq: u64) -> EventId {
        EventId { vehicle: VehicleId([0; 16]), epoch: BootEpoch(1), lane: Lane::Critical, seq: Seq(seq) }
    }

    #[test]
    fn lost_and_duplicated_are_told_apart() {
        let sent = BTreeSet::from([id(1), id(2), id(3)]);
        assert_eq!(exactly_once(&sent, &[id(1), id(2), id(2)]), (1, 1));
        assert_eq!(exactly_once(&sent, &[id(3), id(2), id(1)]), (0, 0));
    }

    #[test]
    fn a_gap_below_the_highest_number_is_seen() {
        let stored = BTreeSet::from([id(1), id(4)]);
        assert_eq!(gaps(&stored).values().copied().collect::<Vec<_>>(), [2]);
        assert!(gaps(&BTreeSet::from([id(1), id(2)])).is_empty());
    }

    #[test]
    fn a_stage_that_does_not_balance_is_named() {
        let mut balance = Balance::default();
        balance.receive(1);
        let violation = balanced([("decode", &balance)]).expect_err("one unit is nowhere");
        assert!(violation.seen.starts_with("decode"), "{violation:?}");
    }
}
