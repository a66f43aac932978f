//! Folds the strikes of the detectors into episodes, and queues what is to be said.

use outrider_bus::can::CanId;
use outrider_types::{BusId, EventTypeId, Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use crate::budget::{Admission, Budget, PER_HOUR, Turn, Used};
use crate::gates::{Gate, Gates, Kind};
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
    kind: Kind,
    strike: Strike<S>,
    /// Gravest severity that was withheld: no more of it makes the episode worse.
    withheld: Severity,
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
    pub(crate) gates: Gates<S>,
    pub(crate) budget: Budget,
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
            gates: Gates::open(),
            budget: Budget::new(),
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

    /// Counts one occurrence: opens an episode, makes an open one worse, or only adds to its count. The mode of the bus
    /// and the budget of the detector may lower it.
    pub(crate) fn strike(&mut self, at: VehicleMicros, mut strike: Strike<S>) {
        let kind = Kind::of(strike.event_type, &strike.fields);
        match self.gates.gate(at, kind, strike.can_id, &strike.fields) {
            Gate::Judges | Gate::LowIfAsked => {}
            Gate::Off => {
                self.gates.gated = self.gates.gated.saturating_add(1);
                return;
            }
            Gate::Low if strike.severity > Severity::Low => {
                self.gates.gated = self.gates.gated.saturating_add(1);
                strike.severity = Severity::Low;
            }
            Gate::Low => {}
        }
        let index = self.position(strike.event_type, strike.can_id);
        let episode = index.and_then(|index| self.open.get(index)?.as_ref());
        let before = episode.map(|open| open.strike.severity.max(open.withheld));
        let asked = strike.severity;
        if asked > before.unwrap_or(Severity::Low).max(Severity::Low) && !self.admit(at, kind, &strike) {
            strike.severity = Severity::Low;
        }
        let withheld = if asked > strike.severity { asked } else { Severity::Info };
        match index {
            Some(index) => self.again(at, index, &strike, withheld),
            None => self.begin(at, kind, strike, withheld),
        }
    }

    /// Asks the budget of a detector for an alarm; says once that it has none left.
    fn admit(&mut self, at: VehicleMicros, kind: Kind, strike: &Strike<S>) -> bool {
        match self.budget.admit(at, kind, strike.can_id.can_id(), strike.severity) {
            Admission::Said => true,
            Admission::Withheld => false,
            Admission::WithheldFirst => {
                let number = self.tell(at, kind, event::SENSOR_OVER_BUDGET);
                self.budget.noted(kind, false, number);
                false
            }
        }
    }

    fn again(&mut self, at: VehicleMicros, index: usize, strike: &Strike<S>, withheld: Severity) {
        let Some(Some(episode)) = self.open.get_mut(index) else { return };
        episode.count = episode.count.saturating_add(1);
        episode.last = at;
        episode.withheld = episode.withheld.max(withheld);
        let worse = strike.severity > episode.strike.severity && strike.severity > episode.withheld;
        let phase = if worse {
            if episode.strike.severity <= Severity::Low {
                self.alarms = self.alarms.saturating_add(1);
                self.budget.opened(at, episode.kind, true);
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

    fn begin(&mut self, at: VehicleMicros, kind: Kind, strike: Strike<S>, withheld: Severity) {
        let Some(index) = self.room(at, kind, strike.severity) else {
            self.dropped = self.dropped.saturating_add(1);
            return;
        };
        let number = self.number();
        let Some(slot) = self.open.get_mut(index) else { return };
        let episode = Episode { number, kind, strike, withheld, first: at, last: at, said: at, count: 1 };
        *slot = Some(episode);
        self.open_count = self.open_count.saturating_add(1);
        if strike.severity > Severity::Low {
            self.alarms = self.alarms.saturating_add(1);
            self.budget.opened(at, kind, true);
        }
        let observation = Self::observation(self.bus, &episode, at, Phase::Opened);
        self.push(observation);
    }

    /// Place for a new episode. If all are taken, an alarm takes that of the least grave one, of a detector by habit
    /// before one by rule: nobody fills the table with small things before he begins with a large one.
    fn room(&mut self, at: VehicleMicros, kind: Kind, severity: Severity) -> Option<usize> {
        if let Some(index) = self.open.iter().position(Option::is_none) {
            return Some(index);
        }
        let rank = |severity: Severity, kind: Kind| (severity, kind.budgeted().is_none());
        let open = (0..EPISODES).filter_map(|index| Some((index, self.open.get(index)?.as_ref()?)));
        let (index, rank_least) = open
            .map(|(index, open)| (index, (rank(open.strike.severity, open.kind), open.last)))
            .min_by_key(|(_, key)| *key)
            .map(|(index, (rank, _))| (index, rank))?;
        if rank_least >= rank(severity, kind) {
            return None;
        }
        self.dropped = self.dropped.saturating_add(1);
        self.end_if_quiet(index, at, 0);
        Some(index)
    }

    fn number(&mut self) -> u32 {
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        number
    }

    /// Says something about a detector; returns the number of the episode, which ends with [`Self::end_told`].
    fn tell(&mut self, at: VehicleMicros, kind: Kind, event_type: EventTypeId) -> u32 {
        let number = self.number();
        self.told(at, kind, event_type, number, Phase::Opened);
        number
    }

    fn told(&mut self, at: VehicleMicros, kind: Kind, event_type: EventTypeId, number: u32, phase: Phase) {
        let used = kind.budgeted().and_then(|index| self.budget.used(at).get(index).copied());
        let used = used.unwrap_or_default();
        let fields = Fields::new()
            .text(field::DETECTOR, kind.word())
            .int(field::ALARMS, used.alarms.into())
            .int(field::WITHHELD, used.withheld.into())
            .int(field::ALARM_BUDGET_PER_HOUR, PER_HOUR.into())
            .int(field::ALARMED_US, used.alarmed_us);
        self.push(Observation {
            episode: number,
            phase,
            at,
            first: at,
            last: at,
            count: 1,
            bus: self.bus,
            event_type,
            severity: Severity::Low,
            can_id: None,
            fields,
        });
    }

    /// Follows the accounts of the detectors by habit; `demoted` is called with each identifier whose alarm is low from
    /// now on, because the detector was always on.
    pub(crate) fn settle_budget(&mut self, now: VehicleMicros, mut demoted: impl FnMut(S)) {
        // Every turn takes something away that made it one; two a detector is all there can be.
        for _ in 0..Kind::BUDGETED.saturating_mul(2) {
            let Some((kind, turn)) = self.budget.tick(now) else { return };
            match turn {
                Turn::Recovered(number) => {
                    self.told(now, kind, event::SENSOR_OVER_BUDGET, number, Phase::Closed);
                }
                Turn::Promoted(number) => {
                    self.told(now, kind, event::SENSOR_ALWAYS_ON, number, Phase::Closed);
                }
                Turn::Demote => {
                    if !self.budget.is_demoted(kind) {
                        let number = self.tell(now, kind, event::SENSOR_ALWAYS_ON);
                        self.budget.noted(kind, true, number);
                    }
                    self.demote(now, kind, &mut demoted);
                }
            }
        }
    }

    /// Ends the alarms of a detector and goes on with them as low ones.
    fn demote(&mut self, now: VehicleMicros, kind: Kind, demoted: &mut impl FnMut(S)) {
        for index in 0..EPISODES {
            let open = self.open.get(index).and_then(Option::as_ref);
            let Some(mut episode) =
                open.filter(|open| open.kind == kind && open.strike.severity > Severity::Low).copied()
            else {
                continue;
            };
            demoted(episode.strike.can_id);
            self.end_if_quiet(index, now, 0);
            episode.withheld = episode.withheld.max(episode.strike.severity);
            episode.strike.severity = Severity::Low;
            episode.number = self.number();
            (episode.first, episode.said, episode.count) = (now, now, 0);
            if let Some(slot) = self.open.get_mut(index) {
                *slot = Some(episode);
                self.open_count = self.open_count.saturating_add(1);
            }
            let observation = Self::observation(self.bus, &episode, now, Phase::Opened);
            self.push(observation);
        }
    }

    /// Returns what each detector by habit has used.
    pub(crate) fn used(&self, now: VehicleMicros) -> [Used; Kind::BUDGETED] {
        self.budget.used(now)
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
        let (alarm, kind) = (episode.strike.severity > Severity::Low, episode.kind);
        *slot = None;
        if alarm {
            self.alarms = self.alarms.saturating_sub(1);
            self.budget.opened(now, kind, false);
        }
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
    #[inline]
    pub(crate) fn pop(&mut self) -> Option<Observation> {
        if self.queued == 0 { None } else { self.take() }
    }

    fn take(&mut self) -> Option<Observation> {
        let observation = self.queue.get_mut(self.head)?.take();
        self.head = self.head.saturating_add(1).checked_rem(QUEUE).unwrap_or(0);
        self.queued = self.queued.saturating_sub(1);
        observation
    }
}

#[cfg(test)]
mod tests;
