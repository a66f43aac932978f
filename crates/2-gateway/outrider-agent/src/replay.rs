//! Runs recorded traffic through the detectors and folds what they say into events.

use std::collections::BTreeMap;

use outrider_bus::can::{CanId, TimedFrame};
use outrider_ids::{Fields, Observation};
use outrider_types::{BusId, EventTypeId, Severity, VehicleMicros};

use crate::edge::Edge;
use crate::scheduled::ScheduledEdge;

/// Time between two ticks of the detectors while no frame says otherwise, in microseconds.
const TICK_US: u64 = 100_000;

/// One event of a replay: an episode with everything folded into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayEvent {
    /// What it is.
    pub event_type: EventTypeId,
    /// The worst it was.
    pub severity: Severity,
    /// When it was first said, which is when a vehicle would have reported it.
    pub at: VehicleMicros,
    /// When it first reached its severity.
    pub severe_at: VehicleMicros,
    /// The bus.
    pub bus: BusId,
    /// Identifier it is about.
    pub can_id: Option<CanId>,
    /// Occurrences.
    pub count: u32,
    /// First occurrence.
    pub first: VehicleMicros,
    /// Latest occurrence.
    pub last: VehicleMicros,
    /// Details as said last.
    pub fields: Fields,
}

/// Gathers observations into events, one an episode.
#[derive(Debug, Default)]
pub struct Episodes {
    events: BTreeMap<(BusId, u32), ReplayEvent>,
}

/// Feeds frames to an [`Edge`], ticks it by the frames' own time, and gathers its events.
#[derive(Debug)]
pub struct Replay {
    edge: Edge,
    episodes: Episodes,
    next_tick: VehicleMicros,
    frames: u64,
    first: Option<VehicleMicros>,
    last: VehicleMicros,
}

impl Replay {
    /// Creates a replay over fresh detectors.
    #[must_use]
    pub const fn new(edge: Edge) -> Self {
        Self {
            edge,
            episodes: Episodes::new(),
            next_tick: VehicleMicros(0),
            frames: 0,
            first: None,
            last: VehicleMicros(0),
        }
    }

    /// Lets time pass up to the next frame, as the vehicle's timer does.
    pub fn pass_time(&mut self, to: VehicleMicros) {
        if to >= self.next_tick || to.saturating_add(TICK_US) < self.next_tick {
            self.edge.tick(to);
            self.next_tick = to.saturating_add(TICK_US);
        }
    }

    /// Takes one frame.
    pub fn receive(&mut self, timed: &TimedFrame) {
        self.frames += 1;
        self.first.get_or_insert(timed.at);
        self.last = self.last.max(timed.at);
        self.edge.receive(timed);
        while let Some(observation) = self.edge.pop() {
            self.episodes.add(&observation);
        }
    }

    /// Ends the replay and returns its events in the order in which they were said.
    #[must_use]
    pub fn finish(mut self) -> (Vec<ReplayEvent>, Edge) {
        self.edge.finish();
        while let Some(observation) = self.edge.pop() {
            self.episodes.add(&observation);
        }
        (self.episodes.finish(), self.edge)
    }

    /// Returns the detectors.
    #[must_use]
    pub const fn edge(&self) -> &Edge {
        &self.edge
    }

    /// Returns the number of frames taken.
    #[must_use]
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Returns the time from the first to the latest frame, in microseconds.
    #[must_use]
    pub fn span_us(&self) -> u64 {
        self.last.micros_since(self.first.unwrap_or(self.last))
    }
}

/// Feeds what was heard on LIN and FlexRay to a [`ScheduledEdge`], ticks it by the capture's own time, and gathers its
/// events.
#[derive(Debug)]
pub struct ScheduledReplay {
    /// The detectors.
    pub edge: ScheduledEdge,
    episodes: Episodes,
    next_tick: VehicleMicros,
}

impl ScheduledReplay {
    /// Creates a replay over fresh detectors.
    #[must_use]
    pub const fn new(edge: ScheduledEdge) -> Self {
        Self { edge, episodes: Episodes::new(), next_tick: VehicleMicros(0) }
    }

    /// Lets time pass up to what was heard, gives it to the detectors, and returns what they made of it.
    pub fn tick<T>(&mut self, at: VehicleMicros, receive: impl FnOnce(&mut ScheduledEdge) -> T) -> T {
        if at >= self.next_tick || at.saturating_add(TICK_US) < self.next_tick {
            self.edge.tick(at);
            self.next_tick = at.saturating_add(TICK_US);
        }
        let result = receive(&mut self.edge);
        self.drain();
        result
    }

    fn drain(&mut self) {
        while let Some(observation) = self.edge.pop() {
            self.episodes.add(&observation);
        }
    }

    /// Ends the replay and returns its events in the order in which they were said.
    #[must_use]
    pub fn finish(mut self) -> (Vec<ReplayEvent>, ScheduledEdge) {
        self.edge.finish();
        self.drain();
        (self.episodes.finish(), self.edge)
    }
}

impl Episodes {
    /// Creates an empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { events: BTreeMap::new() }
    }

    /// Returns the events in the order in which they were said.
    #[must_use]
    pub fn finish(self) -> Vec<ReplayEvent> {
        let mut events: Vec<ReplayEvent> = self.events.into_values().collect();
        events.sort_by_key(|event| (event.at, event.bus, event.event_type));
        events
    }

    /// Adds an observation to its episode.
    pub fn add(&mut self, seen: &Observation) {
        let event = self.events.entry((seen.bus, seen.episode)).or_insert_with(|| ReplayEvent {
            event_type: seen.event_type,
            severity: seen.severity,
            at: seen.at,
            severe_at: seen.at,
            bus: seen.bus,
            can_id: seen.can_id,
            count: seen.count,
            first: seen.first,
            last: seen.last,
            fields: seen.fields,
        });
        if seen.severity > event.severity {
            event.severity = seen.severity;
            event.severe_at = seen.at;
        }
        event.count = seen.count;
        event.last = seen.last;
        event.fields = seen.fields;
    }
}

/// Replays frames that are all there.
#[must_use]
pub fn replay(edge: Edge, frames: &[TimedFrame]) -> Vec<ReplayEvent> {
    let mut replay = Replay::new(edge);
    for frame in frames {
        replay.pass_time(frame.at);
        replay.receive(frame);
    }
    replay.finish().0
}
