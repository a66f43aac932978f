//! What one group saw in one pane of event time.

use std::collections::BTreeSet;

use roaring::RoaringBitmap;

use crate::names::{EventKey, Names};
use outrider_model::Evidence;
use outrider_types::{EventId, VehicleId};

/// One event of a cell; ordered by value first, so that distinct values are found by their neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// Number of the counted value; 0 where events are counted.
    pub(crate) value: u32,
    /// Microseconds since the start of the pane.
    pub(crate) time: u32,
    pub(crate) event: EventKey,
}

/// What a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Distinct events.
    Events,
    /// Distinct vehicles.
    Vehicles,
    /// Distinct values of a field, or tuples of several.
    Values,
    /// Distinct rules that match.
    Steps,
    /// All rules, one after the other.
    OrderedSteps,
}

impl Counted {
    /// Returns whether the same event may be there once for each value.
    pub(crate) const fn is_by_rule(self) -> bool {
        matches!(self, Self::Steps | Self::OrderedSteps)
    }
}

/// How cells of one rule behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CellShape {
    pub(crate) counted: Counted,
    /// Distinct values above which a cell turns into sets; at least the rule's threshold.
    pub(crate) dense_above: usize,
    /// Entries of a sparse cell at most.
    pub(crate) entries_max: usize,
}

/// Result of an insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inserted {
    New,
    Duplicate,
    Full,
}

/// Events of one group in one pane.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    /// Distinct counted things.
    pub(crate) distinct: u32,
    /// Whether some event's time is uncertain by more than a pane.
    pub(crate) uncertain: bool,
    /// Model line of all events.
    pub(crate) model: Agreed,
    pub(crate) body: Body,
}

/// A model line on which all events agree; merging is in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Agreed(pub(crate) u32);

impl Agreed {
    /// No event yet.
    pub(crate) const NONE: Self = Self(0);
    /// Different model lines.
    pub(crate) const MIXED: Self = Self(u32::MAX);

    /// Returns the agreement of one event.
    pub(crate) const fn on(model: u32) -> Self {
        Self(model + 1)
    }

    pub(crate) fn and(self, other: Self) -> Self {
        if self == other || other == Self::NONE {
            self
        } else if self == Self::NONE {
            other
        } else {
            Self::MIXED
        }
    }

    /// Returns the number of the model line.
    pub(crate) fn model(self) -> Option<u32> {
        if self == Self::MIXED { None } else { self.0.checked_sub(1) }
    }
}

/// Representation of a cell; which one depends only on the set of events, never on their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    /// Every event with its exact time.
    Sparse(Vec<Entry>),
    /// Sets, and exact times only where a window edge can matter.
    Dense(Box<Dense>),
}

/// A cell with more distinct values than the threshold.
///
/// A window that contains the whole pane qualifies by this cell alone. Only where a window begins or ends
/// inside the pane do times matter, and then those of the `dense_above` latest or earliest values are enough:
/// if more values than these lie inside, the window qualifies anyway.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Dense {
    pub(crate) firsts: Extreme,
    pub(crate) lasts: Extreme,
    pub(crate) values: RoaringBitmap,
    pub(crate) vehicles: RoaringBitmap,
    pub(crate) events: BTreeSet<EventKey>,
    /// Lowest events and vehicles, ascending by identity.
    pub(crate) low_events: Vec<(EventId, EventKey)>,
    pub(crate) low_vehicles: Vec<VehicleId>,
}

/// The earliest or latest times by key, bounded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Extreme {
    pub(crate) earliest: bool,
    pub(crate) cap: usize,
    /// Ascending by key.
    pub(crate) items: Vec<(u64, u32)>,
    /// Worst time that is kept; meaningful when full.
    pub(crate) worst: u32,
}

impl Extreme {
    pub(crate) fn new(earliest: bool, cap: usize) -> Self {
        Self { earliest, cap, items: Vec::new(), worst: 0 }
    }

    const fn better(&self, left: u32, right: u32) -> bool {
        if self.earliest { left < right } else { left > right }
    }

    /// Takes a time of a key. The kept set depends on the times alone, except among equals of the worst.
    pub(crate) fn offer(&mut self, key: u64, time: u32) {
        match self.items.binary_search_by_key(&key, |item| item.0) {
            Ok(place) => {
                if self.better(time, self.items[place].1) {
                    self.items[place].1 = time;
                    self.find_worst();
                }
            }
            Err(place) if self.items.len() < self.cap => {
                self.items.insert(place, (key, time));
                self.find_worst();
            }
            Err(place) if self.better(time, self.worst) => {
                self.items.insert(place, (key, time));
                let worst = self.worst;
                if let Some(out) = self.items.iter().position(|item| item.1 == worst) {
                    self.items.remove(out);
                }
                self.find_worst();
            }
            Err(_) => {}
        }
    }

    pub(crate) fn find_worst(&mut self) {
        let times = self.items.iter().map(|item| item.1);
        self.worst = if self.earliest { times.max() } else { times.min() }.unwrap_or(0);
    }
}

impl Cell {
    pub(crate) const fn new() -> Self {
        Self { distinct: 0, uncertain: false, model: Agreed::NONE, body: Body::Sparse(Vec::new()) }
    }

    /// Adds an event; the same event again changes nothing.
    pub(crate) fn insert(
        &mut self,
        entry: Entry,
        vehicle: u32,
        shape: &CellShape,
        names: &Names,
    ) -> Inserted {
        match &mut self.body {
            Body::Sparse(entries) => {
                let Err(place) = entries.binary_search(&entry) else { return Inserted::Duplicate };
                if entries.len() >= shape.entries_max {
                    return Inserted::Full;
                }
                let same = |place: usize| entries.get(place).is_some_and(|other| other.value == entry.value);
                let known = shape.counted != Counted::Events
                    && (same(place) || place.checked_sub(1).is_some_and(same));
                if entries.len() == entries.capacity() {
                    // A quarter, not twice: most cells never grow again.
                    entries.reserve_exact(entries.len() / 4 + 2);
                }
                entries.insert(place, entry);
                self.distinct += u32::from(!known);
                if self.distinct as usize > shape.dense_above {
                    self.condense(shape, names);
                }
                Inserted::New
            }
            Body::Dense(dense) => {
                if !dense.insert(entry, vehicle, shape, names) {
                    return Inserted::Duplicate;
                }
                self.distinct = dense.distinct(shape.counted);
                Inserted::New
            }
        }
    }

    fn condense(&mut self, shape: &CellShape, names: &Names) {
        let Body::Sparse(entries) = &self.body else { return };
        let mut dense = Dense::new(shape);
        for entry in entries {
            dense.insert(*entry, names.vehicle_of(entry.event.stream), shape, names);
        }
        self.distinct = dense.distinct(shape.counted);
        self.body = Body::Dense(Box::new(dense));
    }

    /// Returns whether this event is there already.
    pub(crate) fn holds(&self, entry: &Entry) -> bool {
        match &self.body {
            Body::Sparse(entries) => entries.binary_search(entry).is_ok(),
            Body::Dense(dense) => dense.events.contains(&entry.event),
        }
    }

    /// Returns the number of events.
    pub(crate) fn events(&self) -> usize {
        match &self.body {
            Body::Sparse(entries) => entries.len(),
            Body::Dense(dense) => dense.events.len(),
        }
    }

    /// Appends the points of time that decide which windows qualify.
    pub(crate) fn points(&self, start: i64, counted: Counted, out: &mut Vec<(i64, u64)>) {
        match &self.body {
            Body::Sparse(entries) => {
                out.extend(entries.iter().map(|it| (start + i64::from(it.time), key_of(it, counted))));
            }
            Body::Dense(dense) => {
                let items = dense.firsts.items.iter().chain(&dense.lasts.items);
                out.extend(items.map(|(key, time)| (start + i64::from(*time), *key)));
            }
        }
    }

    /// Returns the earliest and latest offset in the pane.
    pub(crate) fn extent(&self) -> Option<(u32, u32)> {
        match &self.body {
            Body::Sparse(entries) => {
                let times = || entries.iter().map(|entry| entry.time);
                Some((times().min()?, times().max()?))
            }
            Body::Dense(dense) => {
                let first = dense.firsts.items.iter().map(|item| item.1).min()?;
                Some((first, dense.lasts.items.iter().map(|item| item.1).max()?))
            }
        }
    }
}

/// Returns what counts once.
pub(crate) fn key_of(entry: &Entry, counted: Counted) -> u64 {
    match counted {
        Counted::Events => entry.event.word(),
        Counted::Vehicles | Counted::Values | Counted::Steps | Counted::OrderedSteps => {
            u64::from(entry.value)
        }
    }
}

impl Dense {
    pub(crate) fn new(shape: &CellShape) -> Self {
        Self {
            firsts: Extreme::new(true, shape.dense_above),
            lasts: Extreme::new(false, shape.dense_above),
            values: RoaringBitmap::new(),
            vehicles: RoaringBitmap::new(),
            events: BTreeSet::new(),
            low_events: Vec::new(),
            low_vehicles: Vec::new(),
        }
    }

    fn insert(&mut self, entry: Entry, vehicle: u32, shape: &CellShape, names: &Names) -> bool {
        if !self.events.insert(entry.event) {
            return false;
        }
        let key = key_of(&entry, shape.counted);
        self.firsts.offer(key, entry.time);
        self.lasts.offer(key, entry.time);
        if shape.counted == Counted::Values {
            self.values.insert(entry.value);
        }
        let id = names.event_id(entry.event);
        keep_lowest(&mut self.low_events, (id, entry.event), Evidence::EVENTS_MAX);
        if self.vehicles.insert(vehicle) {
            keep_lowest(&mut self.low_vehicles, id.vehicle, Evidence::VEHICLES_MAX);
        }
        true
    }

    pub(crate) fn distinct(&self, counted: Counted) -> u32 {
        let count = match counted {
            Counted::Events => self.events.len() as u64,
            Counted::Vehicles => self.vehicles.len(),
            Counted::Values | Counted::Steps | Counted::OrderedSteps => self.values.len(),
        };
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// Inserts into an ascending list that keeps its lowest `max` items.
pub(crate) fn keep_lowest<T: Ord>(list: &mut Vec<T>, item: T, max: usize) {
    if list.len() >= max && list.last().is_some_and(|worst| *worst <= item) {
        return;
    }
    if let Err(place) = list.binary_search(&item) {
        list.insert(place, item);
        list.truncate(max);
    }
}
