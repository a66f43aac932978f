//! Detectors of one FlexRay cluster.
//!
//! **In:** what a listener hears ([`Heard`]) in the order of time, and a [`FlexRayModel`] from the cluster's description;
//! without one, ten rounds of its own cycles tell what is normal. **Out:** the same [`Observation`]s that a CAN bus gives,
//! and a [`Verdict`] on each. **Never:** allocation, a panic on input, a look at a payload, work over all slots outside
//! of [`FlexRayDetector::tick`]. **Start reading** at [`FlexRayDetector::receive`].
//!
//! Time is divided: each slot of each cycle belongs to one node or to nobody. An attacker sends where nobody does,
//! in the place of a node that he silenced, with another length, or as if he were one of those whose clocks are
//! followed; or he only disturbs. Source: ISO 17458-2:2013; FlexRay protocol specification 3.0.1.

mod limits;
pub mod model;
mod rows;
#[cfg(test)]
mod tests;

use outrider_bus::can::CanId;
use outrider_bus::flexray::{Channel, Frame, Header, Heard};
use outrider_types::{BusId, EventTypeId, Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use crate::clock::{Clock, Stamp};
use crate::detector::Basis;
use crate::evidence::{Evidence, Ladder};
use crate::fold::{Fold, Strike, Subject};
use crate::observation::{Fields, Observation};
use crate::verdict::{Rule, Verdict};
use model::{FlexRayModel, flag};
use rows::Rows;

/// Counts of one cluster since the detector was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FlexRayStats {
    /// Whole frames.
    pub frames: u64,
    /// Of those, null frames.
    pub nulls: u64,
    /// Damaged frames.
    pub damaged: u64,
    /// Frames in slots that belong to nobody.
    pub unknown: u64,
    /// Symbols.
    pub symbols: u64,
    /// Cycles.
    pub cycles: u64,
    /// Steps back of the clock.
    pub clock_steps: u64,
    /// Observations lost because nobody fetched them, or because too many episodes were open.
    pub dropped: u64,
}

/// What an episode is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// The cluster as a whole, and why.
    Cluster(&'static str),
    /// A slot, and why.
    Slot(u16, &'static str),
}

impl Subject for Target {
    fn can_id(self) -> Option<CanId> {
        None
    }
}

/// Sixteen episodes: an attacker of more slots at once is one of the whole cluster.
type FlexRayFold = Fold<Target, 16, 24>;

/// All detectors of one cluster, below 32 KiB by value: put it into a `static` or a box.
#[derive(Debug, Clone)]
pub struct FlexRayDetector {
    bus: BusId,
    basis: Basis,
    rows: Rows,
    static_slots: u16,
    /// Counter of the cycle at hand, and when its first frame came.
    cycle: Option<(u8, VehicleMicros)>,
    /// Cycles since the start.
    cycles: u32,
    /// The cycle in which the cluster started last.
    started: u32,
    /// Latest slot of the cycle at hand, by channel.
    slots: [u16; 2],
    jumps: u8,
    strangers: u32,
    frames: u32,
    order: Evidence,
    errors: Evidence,
    symbols: Evidence,
    fold: FlexRayFold,
    clock: Clock,
    stats: FlexRayStats,
}

impl FlexRayDetector {
    /// Creates the detectors of one cluster from its model, O(slots).
    #[must_use]
    pub fn new(model: &FlexRayModel<'_>) -> Self {
        let mut detector = Self::untrained(model.bus);
        detector.basis = Basis::Matching;
        detector.rows.load(model.rows());
        detector.static_slots = model.static_slots;
        detector
    }

    /// Creates detectors that learn a cluster on the road.
    #[must_use]
    pub const fn untrained(bus: BusId) -> Self {
        Self {
            bus,
            basis: Basis::WarmUp,
            rows: Rows::new(),
            static_slots: 0,
            cycle: None,
            cycles: 0,
            started: 0,
            slots: [0; 2],
            jumps: 0,
            strangers: 0,
            frames: 0,
            order: Evidence::NONE,
            errors: Evidence::NONE,
            symbols: Evidence::NONE,
            fold: Fold::new(bus),
            clock: Clock::new(),
            stats: FlexRayStats {
                frames: 0,
                nulls: 0,
                damaged: 0,
                unknown: 0,
                symbols: 0,
                cycles: 0,
                clock_steps: 0,
                dropped: 0,
            },
        }
    }

    /// Gives detectors that wait for a cluster its number.
    pub fn name(&mut self, bus: BusId) {
        self.bus = bus;
        self.fold = Fold::new(bus);
    }

    /// Returns the cluster.
    #[must_use]
    pub const fn bus(&self) -> BusId {
        self.bus
    }

    /// Returns by what the cluster is judged.
    #[must_use]
    pub const fn basis(&self) -> Basis {
        self.basis
    }

    /// Returns the counts.
    #[must_use]
    pub const fn stats(&self) -> FlexRayStats {
        let mut stats = self.stats;
        stats.dropped = self.fold.dropped;
        stats
    }

    /// Takes what was heard and judges it; bounded work, no allocation.
    pub fn receive(&mut self, at: VehicleMicros, heard: &Heard) -> Verdict {
        let at = self.advance(at);
        let mut verdict = Verdict::ORDINARY;
        match heard {
            Heard::Frame(frame) => self.frame(at, frame, &mut verdict),
            Heard::Broken { slot, .. } => {
                self.stats.damaged = self.stats.damaged.saturating_add(1);
                let count = self.errors.add(at, limits::WINDOW_US);
                let fields = Fields::new().text(field::REASON, "damaged").int(field::FRAMES, count.into());
                let fields = slot.map_or(fields, |slot| fields.int(field::FLEXRAY_SLOT, slot.into()));
                let what = (event::FLEXRAY_ERROR_BURST, Target::Cluster("damaged"));
                if self.strike(at, what, (limits::ERRORS, count), fields) {
                    verdict = verdict.or(Rule::Errors);
                }
            }
            Heard::Symbol { .. } => {
                self.stats.symbols = self.stats.symbols.saturating_add(1);
                let count = self.symbols.add(at, limits::WINDOW_US);
                let fields = Fields::new().text(field::REASON, "symbols").int(field::FRAMES, count.into());
                let what = (event::FLEXRAY_ERROR_BURST, Target::Cluster("symbols"));
                if self.strike(at, what, (limits::SYMBOLS, count), fields) {
                    verdict = verdict.or(Rule::Errors);
                }
            }
        }
        self.fold.sweep_one(at);
        verdict
    }

    /// Lets time pass, O(slots). A few times a second is enough.
    pub fn tick(&mut self, now: VehicleMicros) {
        if self.clock.is_past(now) {
            return;
        }
        self.settle();
        let is_running = self.clock.since_us(now).is_some_and(|since_us| since_us < limits::STOPPED_US);
        if is_running && matches!(self.basis, Basis::Model | Basis::Learned) {
            for index in 0..self.rows.all().len() {
                self.missing(now, index);
            }
        }
        self.fold.sweep(now);
    }

    /// Ends every open episode, as at the end of a capture.
    pub fn finish(&mut self) {
        self.fold.finish(self.clock.now());
    }

    /// Takes the oldest observation not yet fetched.
    pub fn pop(&mut self) -> Option<Observation> {
        self.fold.pop()
    }

    /// Returns the time to use: small steps back are held, large ones end what was going on.
    fn advance(&mut self, at: VehicleMicros) -> VehicleMicros {
        let stamp = self.clock.stamp(at);
        if let Stamp::Back { from, .. } = stamp {
            self.stats.clock_steps = self.stats.clock_steps.saturating_add(1);
            self.fold.finish(from);
            self.cycle = None;
        }
        stamp.at()
    }

    /// Decides whether a model fits its cluster, and when a cluster is learned, O(slots) once.
    fn settle(&mut self) {
        match self.basis {
            Basis::Matching if self.cycles >= limits::MATCH_CYCLES => {
                if self.strangers >= self.frames / 2 {
                    self.rows = Rows::new();
                    (self.basis, self.cycles, self.started, self.static_slots) = (Basis::WarmUp, 0, 0, 0);
                } else {
                    self.basis = Basis::Model;
                }
            }
            Basis::WarmUp if self.cycles >= limits::WARM_UP_CYCLES => {
                self.static_slots = self.rows.static_slots();
                self.basis = Basis::Learned;
            }
            Basis::Matching | Basis::WarmUp | Basis::Model | Basis::Learned => {}
        }
    }

    fn strike(
        &mut self,
        at: VehicleMicros,
        (event_type, target): (EventTypeId, Target),
        (ladder, count): (Ladder, u32),
        fields: Fields,
    ) -> bool {
        let Some(severity) = ladder.severity(count).filter(|_| self.basis != Basis::WarmUp) else {
            return false;
        };
        let severity = if self.basis == Basis::Matching { Severity::Low } else { severity };
        self.fold.strike(at, Strike { event_type, can_id: target, severity, fields });
        true
    }

    /// Strikes for a slot; what repeats while the episode is open is graver.
    fn slot(
        &mut self,
        at: VehicleMicros,
        event_type: EventTypeId,
        (reason, header): (&'static str, &Header),
        ladder: Ladder,
        fields: Fields,
    ) -> bool {
        let target = Target::Slot(header.slot, reason);
        let count = self.fold.count(event_type, target).saturating_add(1);
        let fields = fields
            .text(field::REASON, reason)
            .int(field::FLEXRAY_SLOT, header.slot.into())
            .int(field::FLEXRAY_CYCLE, header.cycle.into());
        self.strike(at, (event_type, target), (ladder, count), fields)
    }

    fn frame(&mut self, at: VehicleMicros, frame: &Frame, verdict: &mut Verdict) {
        let header = *frame.header();
        self.stats.frames = self.stats.frames.saturating_add(1);
        self.stats.nulls = self.stats.nulls.saturating_add(u64::from(!header.is_data));
        self.frames = self.frames.saturating_add(1);
        if let Some(reason) = self.place(at, &header, frame.channel()) {
            let count = self.order.add(at, limits::WINDOW_US);
            let fields = Fields::new()
                .text(field::REASON, reason)
                .int(field::FLEXRAY_SLOT, header.slot.into())
                .int(field::FLEXRAY_CYCLE, header.cycle.into());
            let what = (event::FLEXRAY_ORDER_VIOLATION, Target::Cluster(reason));
            if self.strike(at, what, (limits::ORDER, count), fields) {
                *verdict = verdict.or(Rule::Schedule);
            }
            return;
        }
        if self.basis == Basis::WarmUp {
            if let Some(row) = self.rows.entry(header.slot) {
                row.learn(&header);
            }
        } else {
            self.judge(at, &header, verdict);
        }
        let cycles = self.cycles;
        if let Some(row) = self.rows.of(header.slot) {
            row.last = cycles;
            row.seen = row.seen.saturating_add(1);
            row.nulls = if header.is_data { 0 } else { row.nulls.saturating_add(1) };
        }
    }

    /// Follows cycle and slot; returns why a frame cannot be where it is, if it cannot.
    fn place(&mut self, at: VehicleMicros, header: &Header, channel: Channel) -> Option<&'static str> {
        let channel = usize::from(channel == Channel::B);
        let Some((cycle, since)) = self.cycle else {
            self.start(at, header.cycle);
            return None;
        };
        let steps = header.cycle.wrapping_sub(cycle) & 0x3F;
        if at.micros_since(since) > limits::LOST_US {
            self.start(at, header.cycle);
        } else if steps > limits::CYCLES_LOST_MAX {
            self.jumps = self.jumps.saturating_add(1);
            if self.jumps < limits::JUMPS_MAX {
                return Some("cycle");
            }
            self.start(at, header.cycle);
        } else if steps > 0 {
            self.cycle = Some((header.cycle, at));
            self.cycles = self.cycles.saturating_add(steps.into());
            self.stats.cycles = self.stats.cycles.saturating_add(steps.into());
            self.slots = [0; 2];
        }
        self.jumps = 0;
        let latest = self.slots.get_mut(channel)?;
        let before = *latest;
        *latest = before.max(header.slot);
        match header.slot.cmp(&before) {
            core::cmp::Ordering::Greater => None,
            core::cmp::Ordering::Equal => Some("repeated"),
            core::cmp::Ordering::Less => Some("backward"),
        }
    }

    /// The cluster starts, or the capture lost so much that it may have.
    fn start(&mut self, at: VehicleMicros, cycle: u8) {
        self.cycle = Some((cycle, at));
        self.cycles = self.cycles.saturating_add(1);
        self.started = self.cycles;
        self.slots = [0; 2];
        self.jumps = 0;
    }

    /// Holds a frame against the slot it is in.
    fn judge(&mut self, at: VehicleMicros, header: &Header, verdict: &mut Verdict) {
        let is_learned = self.basis == Basis::Learned;
        let is_loose = is_learned && header.slot > self.static_slots;
        let Some(row) = self.rows.of(header.slot).copied().filter(|row| row.facts.cycles != 0) else {
            self.nobodys(at, header, is_loose, verdict);
            return;
        };
        let mut found = None;
        if !row.is_in(header.cycle) {
            if is_loose {
                self.adopt(header);
            } else {
                self.strangers = self.strangers.saturating_add(1);
                let what = (event::FLEXRAY_SLOT_VIOLATION, "foreign_cycle");
                found = self
                    .slot(at, what.0, (what.1, header), limits::SLOT, Fields::new())
                    .then_some(Rule::Schedule);
            }
        }
        let is_static = header.slot <= self.static_slots;
        if header.words > row.facts.words || is_static && header.words != row.facts.words {
            if is_loose {
                self.adopt(header);
            } else {
                let fields = Fields::new()
                    .int(field::DATA_BYTES_EXPECTED, u64::from(row.facts.words).saturating_mul(2))
                    .int(field::DATA_BYTES_OBSERVED, u64::from(header.words).saturating_mul(2));
                let is_said =
                    self.slot(at, event::FLEXRAY_LENGTH_VIOLATION, ("length", header), limits::FRAME, fields);
                found = found.or(is_said.then_some(Rule::Length));
            }
        }
        if let Some(reason) = self.odd_flags(header, row.facts.flags) {
            let is_said =
                self.slot(at, event::FLEXRAY_FLAG_VIOLATION, (reason, header), limits::FRAME, Fields::new());
            found = found.or(is_said.then_some(Rule::Flags));
        }
        self.nulls(at, header, &row);
        if let Some(rule) = found {
            *verdict = verdict.or(rule);
        }
    }

    /// Returns which flag a frame has that its slot does not; with a description that is silent about flags they are
    /// learned first.
    fn odd_flags(&mut self, header: &Header, known: u8) -> Option<&'static str> {
        let extra = rows::flags(header) & !known;
        if extra == 0 {
            return None;
        }
        let is_known = known & flag::FLAGS_KNOWN != 0 || self.basis == Basis::Learned;
        if !is_known && self.cycles < limits::WARM_UP_CYCLES {
            if let Some(row) = self.rows.of(header.slot) {
                row.facts.flags |= extra;
            }
            return None;
        }
        Some(if extra & flag::STARTUP != 0 { "startup" } else { "sync" })
    }

    /// Takes a frame in a slot that belongs to nobody.
    fn nobodys(&mut self, at: VehicleMicros, header: &Header, is_loose: bool, verdict: &mut Verdict) {
        self.stats.unknown = self.stats.unknown.saturating_add(1);
        self.strangers = self.strangers.saturating_add(1);
        let what = (event::FLEXRAY_SLOT_VIOLATION, "unknown_slot");
        let mut ladder = limits::SLOT;
        if is_loose {
            // Rare frames of the dynamic segment may come for the first time; the row counts them until they are usual.
            ladder = limits::SLOT_DYNAMIC;
            let seen = self.rows.entry(header.slot).map_or(0, |row| u32::from(row.seen));
            if seen >= limits::ADOPTED {
                self.adopt(header);
                return;
            }
            if seen.saturating_add(1) < ladder.low {
                return;
            }
            ladder.low = 1;
        }
        if self.slot(at, what.0, (what.1, header), ladder, Fields::new()) {
            *verdict = verdict.or(Rule::Unknown);
        }
    }

    /// Takes what a frame of the dynamic segment does for normal.
    fn adopt(&mut self, header: &Header) {
        if let Some(row) = self.rows.entry(header.slot) {
            row.learn(header);
        }
    }

    /// Strikes for a slot that had data in every frame and has none any more.
    fn nulls(&mut self, at: VehicleMicros, header: &Header, row: &rows::Row) {
        if header.is_data {
            return;
        }
        let is_steady = !row.has_nulls && row.seen > 64;
        if !is_steady {
            if let Some(row) = self.rows.of(header.slot) {
                row.has_nulls = true;
            }
            return;
        }
        let nulls = u32::from(row.nulls).saturating_add(1);
        if nulls >= limits::NULLS.low {
            let fields = Fields::new().int(field::FRAMES, nulls.into());
            let ladder = Ladder { low: 1, ..limits::NULLS };
            self.slot(at, event::FLEXRAY_FRAME_MISSING, ("null_frames", header), ladder, fields);
        }
    }

    /// Strikes for the owner of a slot of the static segment that missed its turns.
    fn missing(&mut self, now: VehicleMicros, index: usize) {
        let Some(row) = self.rows.all().get(index).copied() else { return };
        // An owner that has not spoken since the cluster started may start later.
        let is_judged = row.facts.slot <= self.static_slots && row.seen > 0 && row.last > self.started;
        let missed = row.missed(self.cycles);
        if !is_judged || missed < limits::MISSED.low {
            return;
        }
        let fields = Fields::new()
            .text(field::REASON, "missing")
            .int(field::FLEXRAY_SLOT, row.facts.slot.into())
            .int(field::FRAMES, missed.into());
        let target = Target::Slot(row.facts.slot, "missing");
        self.strike(now, (event::FLEXRAY_FRAME_MISSING, target), (limits::MISSED, missed), fields);
    }
}
