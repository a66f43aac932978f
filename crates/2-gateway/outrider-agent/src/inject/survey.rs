//! What the traffic of one bus offers to an attacker.

use std::collections::BTreeMap;

use outrider_bus::can::{CanId, TimedFrame};
use outrider_types::BusId;

/// One identifier and its cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdSurvey {
    /// The identifier.
    pub id: CanId,
    /// Median time between its frames, in microseconds; 0 if there are fewer than two.
    pub cycle_us: u64,
    /// Its frames.
    pub frames: u64,
    /// Whether nine of ten gaps are within a quarter of the median, and none is twice as long.
    pub is_periodic: bool,
}

/// All identifiers of the busiest bus.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) bus: BusId,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) ids: BTreeMap<CanId, IdSurvey>,
}

impl Survey {
    /// Surveys a capture; `None` without a frame.
    pub(super) fn of(frames: &[TimedFrame]) -> Option<Self> {
        let mut loads: BTreeMap<BusId, u64> = BTreeMap::new();
        frames.iter().for_each(|timed| *loads.entry(timed.bus).or_default() += 1);
        let bus =
            loads.iter().max_by_key(|&(bus, load)| (*load, std::cmp::Reverse(*bus))).map(|(bus, _)| *bus)?;
        let own = || frames.iter().filter(|timed| timed.bus == bus);
        let mut times: BTreeMap<CanId, Vec<u64>> = BTreeMap::new();
        for timed in own() {
            if let Some(id) = timed.frame.id() {
                times.entry(id).or_default().push(timed.at.0);
            }
        }
        let first = own().map(|timed| timed.at.0).min()?;
        let last = own().map(|timed| timed.at.0).max()?;
        let ids = times.into_iter().map(|(id, times)| (id, sum_up(id, &times))).collect();
        Some(Self { bus, first, last, ids })
    }

    pub(super) fn id(&self, id: CanId) -> Option<IdSurvey> {
        self.ids.get(&id).copied()
    }

    pub(super) fn periodic(&self, cycle_us_max: u64) -> impl Iterator<Item = IdSurvey> + '_ {
        self.ids.values().copied().filter(move |id| id.is_periodic && id.cycle_us <= cycle_us_max)
    }

    pub(super) fn is_free(&self, id: CanId) -> bool {
        !self.ids.contains_key(&id)
    }
}

fn sum_up(id: CanId, times: &[u64]) -> IdSurvey {
    let mut gaps: Vec<u64> =
        times.iter().zip(times.iter().skip(1)).map(|(a, b)| b.saturating_sub(*a)).collect();
    gaps.sort_unstable();
    let cycle_us = gaps.get(gaps.len() / 2).copied().unwrap_or(0);
    let near = gaps.iter().filter(|gap| gap.abs_diff(cycle_us) * 4 <= cycle_us).count();
    let pauses = gaps.last().is_some_and(|&gap| gap > cycle_us * 2);
    let is_periodic = gaps.len() >= 10 && cycle_us > 0 && !pauses && near * 10 >= gaps.len() * 9;
    IdSurvey { id, cycle_us, frames: times.len() as u64, is_periodic }
}
