//! Folds the strikes of the detectors into episodes, and queues what is to be said.

use outrider_bus::can::CanId;
use outrider_types::{BusId, EventTypeId, Severity, VehicleMicros};

use crate::observation::{Fields, Observation, Phase};

/// Most episodes at once. One attack is one episode; forty-eight at once are a broken model.
const EPISODES_MAX: usize = 48;
/// Most observations not yet fetched.
const QUEUE_MAX: usize = 64;
/// Quiet time that ends an episode, in microseconds: longer than the second in which most cycles repeat.
pub(crate) const HOLD_OFF_US: u64 = 3_000_000;
/// Time between two signs of life of a long episode, in microseconds.
const ONGOING_US: u64 = 60_000_000;

/// What an episode is about; one kind of event about one subject is one episode.
pub(crate) trait Subject: Copy + PartialEq {
    /// Returns the identifier, if the subject is one.
    fn can_id(self) -> Option<CanId>;
}

impl Subject for Option<CanId> {
    fn can_id(self) -> Option<CanId> {
        self
    }
}

/// One occurrence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strike<S = Option<CanId>> {
    pub(crate) event_type: EventTypeId,
    /// What it is about: on CAN an identifier, elsewhere whatever the detector tells apart.
    pub(crate) can_id: S,
    pub(crate) severity: Severity,
    pub(crate) fields: Fields,
}

#[derive(Debug, Clone, Copy)]
struct Episode<S> {
    number: u32,
    strike: Strike<S>,
    first: VehicleMicros,
    last: VehicleMicros,
    said: VehicleMicros,
    count: u32,
}

/// Open episodes of one bus and the queue behind them.
#[derive(Debug, Clone)]
pub(crate) struct Fold<
    S = Option<CanId>,
    const EPISODES: usize = EPISODES_MAX,
    const QUEUE: usize = QUEUE_MAX,
> {
    bus: BusId,
    open: [Option<Episode<S>>; EPISODES],
    open_count: usize,
    /// Open episodes above low.
    alarms: usize,
    next_number: u32,
    cursor: usize,
    queue: [Option<Observation>; QUEUE],
    head: usize,
    queued: usize,
    /// Observations and episodes lost because a table was full.
    pub(crate) dropped: u64,
}

impl<S: Subject, const EPISODES: usize, const QUEUE: usize> Fold<S, EPISODES, QUEUE> {
    pub(crate) const fn new(bus: BusId) -> Self {
        Self {
            bus,
            open: [None; EPISODES],
            open_count: 0,
            alarms: 0,
            next_number: 1,
            cursor: 0,
            queue: [None; QUEUE],
            head: 0,
            queued: 0,
            dropped: 0,
        }
    }

    fn position(&self, event_type: EventTypeId, can_id: S) -> Option<usize> {
        if self.open_count == 0 {
            return None;
        }
        self.open.iter().position(|slot| {
            slot.as_ref()
                .is_some_and(|open| open.strike.event_type == event_type && open.strike.can_id == can_id)
        })
    }

    /// Returns how often the open episode was struck, 0 if there is none.
    pub(crate) fn count(&self, event_type: EventTypeId, can_id: S) -> u32 {
        let index = self.position(event_type, can_id);
        index.and_then(|index| self.open.get(index)?.as_ref()).map_or(0, |episode| episode.count)
    }

    /// Returns whether an episode above low is open: what is learned then would teach the attack.
    #[inline]
    pub(crate) const fn is_alarmed(&self) -> bool {
        self.alarms > 0
    }

    /// Returns whether an episode is open.
    pub(crate) fn is_open(&self, event_type: EventTypeId, can_id: S) -> bool {
        self.position(event_type, can_id).is_some()
    }

    /// Counts one occurrence: opens an episode, makes an open one worse, or only adds to its count.
    pub(crate) fn strike(&mut self, at: VehicleMicros, strike: Strike<S>) {
        let Some(index) = self.position(strike.event_type, strike.can_id) else {
            self.begin(at, strike);
            return;
        };
        let Some(Some(episode)) = self.open.get_mut(index) else { return };
        episode.count = episode.count.saturating_add(1);
        episode.last = at;
        let phase = if strike.severity > episode.strike.severity {
            if episode.strike.severity <= Severity::Low {
                self.alarms = self.alarms.saturating_add(1);
            }
            episode.strike.severity = strike.severity;
            episode.strike.fields = strike.fields;
            Phase::Escalated
        } else if at.micros_since(episode.said) >= ONGOING_US {
            Phase::Ongoing
        } else {
            return;
        };
        episode.said = at;
        let observation = Self::observation(self.bus, episode, at, phase);
        self.push(observation);
    }

    fn begin(&mut self, at: VehicleMicros, strike: Strike<S>) {
        let Some(slot) = self.open.iter_mut().find(|slot| slot.is_none()) else {
            self.dropped = self.dropped.saturating_add(1);
            return;
        };
        let episode = Episode { number: self.next_number, strike, first: at, last: at, said: at, count: 1 };
        *slot = Some(episode);
        self.open_count = self.open_count.saturating_add(1);
        self.alarms = self.alarms.saturating_add(usize::from(strike.severity > Severity::Low));
        self.next_number = self.next_number.wrapping_add(1);
        let observation = Self::observation(self.bus, &episode, at, Phase::Opened);
        self.push(observation);
    }

    /// Keeps an open episode alive without counting, and lets its fields follow.
    pub(crate) fn extend(
        &mut self,
        at: VehicleMicros,
        event_type: EventTypeId,
        can_id: S,
        update: impl FnOnce(&mut Fields),
    ) {
        let index = self.position(event_type, can_id);
        if let Some(Some(episode)) = index.and_then(|index| self.open.get_mut(index)) {
            episode.last = at;
            update(&mut episode.strike.fields);
        }
    }

    /// Looks at one open episode and ends it if it was quiet for long enough; O(1).
    #[inline]
    pub(crate) fn sweep_one(&mut self, now: VehicleMicros) {
        if self.open_count == 0 {
            return;
        }
        self.cursor =
            if self.cursor.saturating_add(1) < EPISODES { self.cursor.saturating_add(1) } else { 0 };
        self.end_if_quiet(self.cursor, now, HOLD_OFF_US);
    }

    /// Ends every episode that was quiet for long enough.
    pub(crate) fn sweep(&mut self, now: VehicleMicros) {
        if self.open_count > 0 {
            (0..EPISODES).for_each(|index| self.end_if_quiet(index, now, HOLD_OFF_US));
        }
    }

    /// Ends every episode.
    pub(crate) fn finish(&mut self, now: VehicleMicros) {
        (0..EPISODES).for_each(|index| self.end_if_quiet(index, now, 0));
    }

    fn end_if_quiet(&mut self, index: usize, now: VehicleMicros, quiet_us: u64) {
        let Some(slot) = self.open.get_mut(index) else { return };
        let Some(episode) = slot.as_ref().filter(|open| now.micros_since(open.last) >= quiet_us) else {
            return;
        };
        let observation = Self::observation(self.bus, episode, now, Phase::Closed);
        let alarm = episode.strike.severity > Severity::Low;
        *slot = None;
        self.alarms = self.alarms.saturating_sub(usize::from(alarm));
        self.open_count = self.open_count.saturating_sub(1);
        self.push(observation);
    }

    fn observation(bus: BusId, episode: &Episode<S>, at: VehicleMicros, phase: Phase) -> Observation {
        Observation {
            episode: episode.number,
            phase,
            at,
            first: episode.first,
            last: episode.last,
            count: episode.count,
            bus,
            event_type: episode.strike.event_type,
            severity: episode.strike.severity,
            can_id: episode.strike.can_id.can_id(),
            fields: episode.strike.fields,
        }
    }

    fn push(&mut self, observation: Observation) {
        let index = self.head.saturating_add(self.queued).checked_rem(QUEUE).unwrap_or(0);
        match self.queue.get_mut(index) {
            Some(slot) if self.queued < QUEUE => {
                *slot = Some(observation);
                self.queued = self.queued.saturating_add(1);
            }
            _ => self.dropped = self.dropped.saturating_add(1),
        }
    }

    /// Takes the oldest observation, or `None` if there is none.
    pub(crate) fn pop(&mut self) -> Option<Observation> {
        if self.queued == 0 {
            return None;
        }
        let observation = self.queue.get_mut(self.head)?.take();
        self.head = self.head.saturating_add(1).checked_rem(QUEUE).unwrap_or(0);
        self.queued = self.queued.saturating_sub(1);
        observation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: EventTypeId = EventTypeId(1);

    fn strike(severity: Severity) -> Strike {
        Strike { event_type: KIND, can_id: None, severity, fields: Fields::new() }
    }

    #[test]
    fn repeats_fold_a_rise_is_said_and_quiet_ends() {
        let mut fold = <Fold>::new(BusId(3));
        for n in 0..10 {
            fold.strike(VehicleMicros(n * 1000), strike(Severity::Low));
        }
        fold.strike(VehicleMicros(10_000), strike(Severity::High));
        fold.strike(VehicleMicros(11_000), strike(Severity::Low));
        fold.sweep(VehicleMicros(11_000 + HOLD_OFF_US - 1));
        let phases: [_; 3] = core::array::from_fn(|_| fold.pop().map(|seen| (seen.phase, seen.count)));
        assert_eq!(phases, [Some((Phase::Opened, 1)), Some((Phase::Escalated, 11)), None]);
        fold.sweep(VehicleMicros(11_000 + HOLD_OFF_US));
        let closed = fold.pop().expect("the hold-off is over");
        assert_eq!((closed.phase, closed.count, closed.severity), (Phase::Closed, 12, Severity::High));
        assert_eq!((closed.first, closed.last), (VehicleMicros(0), VehicleMicros(11_000)));
        assert!(!fold.is_open(KIND, None));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut fold = <Fold>::new(BusId(0));
        for n in 0..200u32 {
            let can_id = CanId::standard(n);
            fold.strike(VehicleMicros(0), Strike { can_id, ..strike(Severity::Low) });
        }
        assert_eq!(fold.dropped, 200 - 48);
        fold.finish(VehicleMicros(1));
        assert_eq!(core::iter::from_fn(|| fold.pop()).count(), 64);
        assert_eq!(fold.dropped, 200 - 48 + 2 * 48 - 64);
    }
}
