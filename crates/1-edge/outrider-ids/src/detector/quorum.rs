//! Holds suspicions for a moment: what many identifiers do at once is the vehicle, not an attacker.
//!
//! A masquerade changes one identifier, or the few of one ECU. A vehicle that starts, stops or falls asleep changes
//! many at once. So a suspicion waits until others have had time to follow, and is only said aloud if they have not.

use outrider_types::{EventTypeId, Severity, VehicleMicros};

use super::limits;
use crate::fold::{Fold, Strike};

/// Suspicions that wait at once; more at once are many identifiers anyway.
const WAITING_MAX: usize = 12;
/// Latest suspects that are remembered.
const RECENT_MAX: usize = 24;

#[derive(Debug, Clone, Copy)]
struct Waiting {
    track: u16,
    since: VehicleMicros,
    due: VehicleMicros,
    strike: Strike,
}

/// Suspicions of one bus.
#[derive(Debug, Clone)]
pub(super) struct Quorum {
    waiting: [Option<Waiting>; WAITING_MAX],
    count: usize,
    recent: [(u16, VehicleMicros); RECENT_MAX],
    next: usize,
}

/// What became of a suspicion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) track: u16,
    /// Whether so many did the same that it was the vehicle.
    pub(super) forgiven: bool,
}

impl Quorum {
    pub(super) const fn new() -> Self {
        Self {
            waiting: [None; WAITING_MAX],
            count: 0,
            recent: [(u16::MAX, VehicleMicros(0)); RECENT_MAX],
            next: 0,
        }
    }

    /// Notes that an identifier does what it never did, which is no suspicion yet.
    pub(super) fn note(&mut self, at: VehicleMicros, track: u16) {
        let known = self.recent.iter_mut().find(|(recent, _)| *recent == track);
        if let Some((_, when)) = known {
            *when = at;
        } else if let Some(slot) = self.recent.get_mut(self.next) {
            *slot = (track, at);
            self.next = self.next.saturating_add(1).checked_rem(RECENT_MAX).unwrap_or(0);
        }
    }

    /// Takes a suspicion that is to be said after `wait_us`.
    pub(super) fn suspect(&mut self, at: VehicleMicros, track: u16, strike: Strike, wait_us: u64) {
        self.note(at, track);
        if self.waiting.iter().flatten().any(|waiting| waiting.track == track) {
            return;
        }
        if let Some(slot) = self.waiting.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(Waiting { track, since: at, due: at.saturating_add(wait_us), strike });
            self.count = self.count.saturating_add(1);
        }
    }

    /// Takes back what was suspected of an identifier: it was not what it seemed.
    pub(super) fn withdraw(&mut self, track: u16, event_type: EventTypeId) {
        let is_it = |waiting: &Waiting| waiting.track == track && waiting.strike.event_type == event_type;
        for slot in self.waiting.iter_mut().filter(|slot| slot.as_ref().is_some_and(is_it)) {
            *slot = None;
            self.count = self.count.saturating_sub(1);
        }
    }

    /// Number of other identifiers that were suspect at about the same time.
    fn others(&self, track: u16, since: VehicleMicros) -> usize {
        let near = |(other, at): &&(u16, VehicleMicros)| {
            *other != track && *other != u16::MAX && since.micros_since(*at) <= limits::QUORUM_US
        };
        crate::count_of(self.recent.iter().filter(near))
    }

    /// Says what has waited long enough; at most one a frame.
    #[inline]
    pub(super) fn settle(&mut self, now: VehicleMicros, fold: &mut Fold) -> Option<Settled> {
        if self.count == 0 {
            return None;
        }
        let index = self.waiting.iter().position(|slot| slot.is_some_and(|waiting| waiting.due <= now))?;
        let waiting = self.waiting.get_mut(index)?.take()?;
        self.count = self.count.saturating_sub(1);
        let forgiven = self.others(waiting.track, waiting.since) >= limits::QUORUM_IDS;
        let strike = if forgiven {
            // Said once for the bus, not for each.
            Strike { can_id: None, severity: Severity::Info, ..waiting.strike }
        } else {
            waiting.strike
        };
        fold.strike(now, strike);
        Some(Settled { track: waiting.track, forgiven })
    }
}
