//! Detectors under observation: what they said when, and of which frames.

use std::collections::BTreeMap;

use outrider_bus::can::{CanId, TimedFrame};
use outrider_ids::{FieldValue, Mode, Observation, Phase};
use outrider_types::{BusId, EventTypeId, Severity, VehicleMicros};
use outrider_wire::catalogue::field;

use crate::edge::Edge;
use crate::io::capture::Record;
use crate::scheduled::ScheduledEdge;

/// Time between two ticks of the detectors, in microseconds, as a vehicle's timer gives them.
const TICK_US: u64 = 100_000;

/// How sure a detector is, comparable over all detectors: more is surer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(pub u32);

impl Score {
    /// What counts as an alarm when nobody asks for another threshold: severity medium, which is what a vehicle
    /// reports at once.
    pub const ALARM: Self = Self::of_severity(Severity::Medium);

    const fn of_severity(severity: Severity) -> Self {
        Self(severity.code() as u32 * 1000)
    }

    /// Returns the score of an observation: a thousand times its severity, and ten for every bit of its p-value.
    #[must_use]
    pub fn of(seen: &Observation) -> Self {
        let Self(severity) = Self::of_severity(seen.severity);
        let Some(FieldValue::Int(ppb)) = seen.fields.value(field::P_VALUE_PPB) else { return Self(severity) };
        let p_value = f64::from(u32::try_from(ppb).unwrap_or(u32::MAX).max(1)) * 1e-9;
        let bits = (-p_value.log2() * 10.0).clamp(0.0, 999.0);
        // At most 299 of 999: a p-value is at least 10⁻⁹.
        Self(severity.saturating_add(format!("{bits:.0}").parse().unwrap_or(0)))
    }
}

/// A moment at which an episode reached a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// When.
    pub at: VehicleMicros,
    /// The score.
    pub score: Score,
    /// The bus.
    pub bus: BusId,
    /// Number of the episode on its bus.
    pub episode: u32,
    /// What it is.
    pub event_type: EventTypeId,
    /// Identifier it is about.
    pub can_id: Option<CanId>,
    /// Operating mode of the vehicle then, as the detectors told it.
    pub mode: Mode,
}

impl Alarm {
    /// What makes two alarms the same, whatever the time.
    pub(super) const fn key(&self) -> (BusId, EventTypeId, Option<CanId>) {
        (self.bus, self.event_type, self.can_id)
    }
}

/// Whose detectors are observed.
#[derive(Debug, Clone)]
pub enum Watched {
    /// Those of CAN buses.
    Can(Edge),
    /// Those of LIN and FlexRay.
    Scheduled(Box<ScheduledEdge>),
}

impl Watched {
    fn tick(&mut self, now: VehicleMicros) {
        match self {
            Self::Can(edge) => edge.tick(now),
            Self::Scheduled(edge) => edge.tick(now),
        }
    }

    fn pop(&mut self) -> Option<Observation> {
        match self {
            Self::Can(edge) => edge.pop(),
            Self::Scheduled(edge) => edge.pop(),
        }
    }

    /// Returns the operating mode; the detectors of LIN and FlexRay know none, so that all their time is awake.
    fn mode(&self) -> Mode {
        match self {
            Self::Can(edge) => edge.mode(),
            Self::Scheduled(_) => Mode::Awake,
        }
    }
}

/// Detectors and everything they said.
#[derive(Debug, Clone)]
pub struct Probe {
    edge: Watched,
    next_tick: VehicleMicros,
    /// Open episodes: their score and identifier.
    open: BTreeMap<(BusId, u32), (Score, Option<CanId>)>,
    alarms: Vec<Alarm>,
    /// Time with at least one open alarm, and since when.
    alarmed_us: u64,
    alarmed_since: Option<VehicleMicros>,
    /// Time in each operating mode as told by the detectors, up to the latest tick.
    modes: BTreeMap<Mode, u64>,
    ticked: Option<VehicleMicros>,
    now: VehicleMicros,
}

impl Probe {
    /// Observes the detectors of CAN buses from now on.
    #[must_use]
    pub const fn new(edge: Edge) -> Self {
        Self::of(Watched::Can(edge))
    }

    /// Observes detectors from now on.
    #[must_use]
    pub const fn of(edge: Watched) -> Self {
        Self {
            edge,
            next_tick: VehicleMicros(0),
            open: BTreeMap::new(),
            alarms: Vec::new(),
            alarmed_us: 0,
            alarmed_since: None,
            modes: BTreeMap::new(),
            ticked: None,
            now: VehicleMicros(0),
        }
    }

    /// Takes one frame and returns whether the detectors hold it for an attacker's.
    pub fn receive(&mut self, timed: &TimedFrame) -> bool {
        self.pass_time(timed.at);
        let flagged = match &mut self.edge {
            Watched::Can(edge) => edge.receive(timed).is_flagged(),
            Watched::Scheduled(_) => false,
        };
        self.drain();
        flagged
    }

    /// Takes one record and returns whether the detectors hold it for an attacker's; what is not their bus's is passed
    /// over.
    pub fn record(&mut self, record: &Record) -> bool {
        if let Record::Can(timed) = record {
            return self.receive(timed);
        }
        self.pass_time(record.at());
        let flagged = match (&mut self.edge, record) {
            (Watched::Scheduled(edge), Record::Lin(heard)) => edge.lin(heard).is_flagged(),
            (Watched::Scheduled(edge), Record::FlexRay(heard)) => edge.flexray(heard).is_flagged(),
            (Watched::Can(_) | Watched::Scheduled(_), _) => false,
        };
        self.drain();
        flagged
    }

    fn pass_time(&mut self, at: VehicleMicros) {
        self.now = self.now.max(at);
        if at >= self.next_tick || at.saturating_add(TICK_US) < self.next_tick {
            self.pass(at);
            self.next_tick = at.saturating_add(TICK_US);
        }
    }

    /// Lets time pass without a frame.
    pub fn tick(&mut self, now: VehicleMicros) {
        self.now = self.now.max(now);
        self.pass(now);
        self.next_tick = now.saturating_add(TICK_US);
        self.drain();
    }

    fn pass(&mut self, to: VehicleMicros) {
        let past_us = self.ticked.map_or(0, |ticked| to.micros_since(ticked));
        self.ticked = Some(to);
        *self.modes.entry(self.edge.mode()).or_default() += past_us;
        self.edge.tick(to);
    }

    /// Returns the operating mode of the vehicle as the detectors tell it.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.edge.mode()
    }

    /// Returns the time spent in each operating mode, in microseconds.
    #[must_use]
    pub const fn modes(&self) -> &BTreeMap<Mode, u64> {
        &self.modes
    }

    /// Returns the detectors of CAN buses.
    #[must_use]
    pub const fn edge(&self) -> Option<&Edge> {
        match &self.edge {
            Watched::Can(edge) => Some(edge),
            Watched::Scheduled(_) => None,
        }
    }

    /// Returns the alarms so far, in the order in which they were said; an episode that turns out worse is there
    /// once for every score.
    #[must_use]
    pub fn alarms(&self) -> &[Alarm] {
        &self.alarms
    }

    /// Forgets the alarms said so far; open episodes stay open.
    pub fn forget(&mut self) {
        self.alarms.clear();
        self.alarmed_us = 0;
        self.modes.clear();
        self.alarmed_since = self.alarmed_since.map(|_| self.now);
    }

    /// Returns the time during which an alarm was open, in microseconds.
    #[must_use]
    pub fn alarmed_us(&self) -> u64 {
        let open = self.alarmed_since.map_or(0, |since| self.now.micros_since(since));
        self.alarmed_us.saturating_add(open)
    }

    fn drain(&mut self) {
        while let Some(seen) = self.edge.pop() {
            self.fold(&seen);
        }
    }

    fn fold(&mut self, seen: &Observation) {
        let key = (seen.bus, seen.episode);
        let score = Score::of(seen);
        let before = self.open.get(&key).map(|(score, _)| *score);
        match seen.phase {
            Phase::Closed => {
                self.open.remove(&key);
            }
            Phase::Opened | Phase::Escalated | Phase::Ongoing => {
                self.open.insert(key, (before.map_or(score, |before| before.max(score)), seen.can_id));
            }
        }
        if seen.phase != Phase::Closed && before.is_none_or(|before| before < score) {
            self.alarms.push(Alarm {
                at: seen.at,
                score,
                bus: seen.bus,
                episode: seen.episode,
                event_type: seen.event_type,
                can_id: seen.can_id,
                mode: self.edge.mode(),
            });
        }
        let alarmed = self.open.values().any(|(score, _)| *score >= Score::ALARM);
        match (alarmed, self.alarmed_since) {
            (true, None) => self.alarmed_since = Some(self.now),
            (false, Some(since)) => {
                self.alarmed_us = self.alarmed_us.saturating_add(self.now.micros_since(since));
                self.alarmed_since = None;
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
}
