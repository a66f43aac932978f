//! What all sensors share: turns, counts, declared degradation.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;

use outrider_types::VehicleMicros;
use outrider_wire::catalogue::{event, field};

use crate::known::Known;
use crate::outbox::Outbox;
use crate::people::People;
use crate::{HostEvent, Value};

/// One turn of a sensor.
pub(crate) struct Turn<'a> {
    pub(crate) now: VehicleMicros,
    /// Who runs on this host.
    pub(crate) people: &'a mut People,
    pub(crate) out: &'a mut Outbox,
}

/// A sensor: does a bounded amount of work a turn.
pub(crate) trait Sensor: Send {
    /// Returns its name, `host.` and a word.
    fn name(&self) -> &'static str;

    /// Returns the descriptor that becomes readable when there is something to do, if it has one.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Takes what there is, up to its bound.
    fn turn(&mut self, turn: &mut Turn<'_>);

    /// Returns what it did so far.
    fn state(&self) -> SensorState;
}

/// What became of everything that a sensor received, in occurrences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Events, records or lines received.
    pub received: u64,
    /// Of those, reported, folded ones included.
    pub reported: u64,
    /// Of those, understood and found normal or none of its business.
    pub quiet: u64,
    /// Of those, malformed.
    pub rejected: u64,
    /// Of those, waiting to be judged.
    pub waiting: u64,
    /// Never received because something overflowed, where the source tells how many; else the number of times.
    pub lost: u64,
}

impl Counts {
    /// Returns whether everything received is accounted for.
    #[must_use]
    pub const fn is_balanced(&self) -> bool {
        let seen = self.reported.saturating_add(self.quiet);
        self.received == seen.saturating_add(self.rejected).saturating_add(self.waiting)
    }
}

/// State of one sensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SensorState {
    /// Name, `host.` and a word, and for a log its place.
    pub name: String,
    /// Step of its declared degradation: `full`, or a word of the book's table.
    pub step: &'static str,
    /// Why it does not run at all, if so.
    pub off: Option<String>,
    /// What became of what it received.
    pub counts: Counts,
    /// Further numbers by name.
    pub details: BTreeMap<&'static str, u64>,
}

impl SensorState {
    /// Creates the state of a sensor without further numbers.
    pub(crate) fn new(name: &str, step: &'static str, counts: Counts) -> Self {
        Self { name: name.to_owned(), step, off: None, counts, details: BTreeMap::new() }
    }

    /// Adds how much is known, and whether more is learned.
    pub(crate) fn with_known(self, known: &Known) -> Self {
        self.with("known", known.len() as u64).with("learning", u64::from(known.is_learning()))
    }

    /// Adds a number.
    pub(crate) fn with(mut self, name: &'static str, number: u64) -> Self {
        self.details.insert(name, number);
        self
    }
}

/// When a sensor that looks, rather than listens, looks again.
#[derive(Debug)]
pub(crate) struct Period {
    length_us: u64,
    looked: Option<VehicleMicros>,
}

impl Period {
    /// Creates a period whose first look is due at once.
    pub(crate) const fn of_us(length_us: u64) -> Self {
        Self { length_us, looked: None }
    }

    /// Returns whether a look is due, and takes it as done.
    pub(crate) fn is_due(&mut self, now: VehicleMicros) -> bool {
        let is_due = self.looked.is_none_or(|looked| now.micros_since(looked) >= self.length_us);
        if is_due {
            self.looked = Some(now);
        }
        is_due
    }
}

/// Steps of a sensor's degradation. Every change is an event with what was dropped in the step that ended.
#[derive(Debug)]
pub(crate) struct Degradation {
    component: &'static str,
    step: &'static str,
    since: VehicleMicros,
    dropped: u64,
    /// Changes so far.
    pub(crate) changes: u64,
}

/// The step in which nothing is left out.
pub(crate) const FULL: &str = "full";

impl Degradation {
    pub(crate) const fn new(component: &'static str) -> Self {
        Self { component, step: FULL, since: VehicleMicros(0), dropped: 0, changes: 0 }
    }

    pub(crate) const fn step(&self) -> &'static str {
        self.step
    }

    /// Counts what the present step left out.
    pub(crate) const fn drop(&mut self, count: u64) {
        self.dropped = self.dropped.saturating_add(count);
    }

    /// Goes to a step and says so, if it is another one.
    pub(crate) fn set(&mut self, step: &'static str, now: VehicleMicros, out: &mut Outbox) {
        if step == self.step {
            return;
        }
        let mut event = HostEvent::new(event::HOST_SENSOR_DEGRADED, now)
            .text(field::COMPONENT, self.component)
            .text(field::REASON, step)
            .with(field::DROPPED, Value::count(self.dropped));
        if self.step != FULL {
            event = event.with(field::DURATION_US, Value::count(now.micros_since(self.since)));
        }
        if step == FULL {
            event.severity = Some(outrider_types::Severity::Info);
        }
        out.push(event);
        (self.step, self.since, self.dropped) = (step, now, 0);
        self.changes = self.changes.saturating_add(1);
    }
}
