//! Detectors of one LIN bus.
//!
//! **In:** what a listener hears ([`Heard`]) in the order of time, and a [`LinModel`] from the bus's description; without
//! one, twenty seconds of the bus's own traffic tell what is normal. **Out:** the same [`Observation`]s that a CAN bus
//! gives, and a [`Verdict`] on each. **Never:** allocation, a panic on input, more than a fixed amount of work at a
//! time, a payload judged beyond diagnosis and commands to sleep. **Start reading** at [`LinDetector::receive`].
//!
//! Only one node may send headers, so an attacker either sends headers of his own (into the slots of others, or of
//! identifiers that no table has), or answers headers that are not his (of another length or checksum, or against the
//! slave that answers too), or makes slaves sleep, wake or fall silent. Source: ISO 17987-2 and -3:2016.

mod limits;
pub mod model;
mod row;
#[cfg(test)]
mod tests;
mod timeline;
mod watch;

use outrider_bus::can::CanId;
use outrider_bus::lin::{Frame, Heard, Order, Pid};
use outrider_types::{BusId, EventTypeId, Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use crate::clock::{Clock, Stamp};
use crate::detector::Basis;
use crate::evidence::{Evidence, Ladder};
use crate::fold::{Fold, Strike, Subject};
use crate::observation::{Fields, Observation};
use crate::verdict::{Rule, Verdict};
use model::LinModel;
use row::{Odd, Row};
use timeline::{Fit, Timeline};
use watch::Watch;

/// Counts of one bus since the detector was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinStats {
    /// Whole frames.
    pub frames: u64,
    /// Headers nobody answered.
    pub silent: u64,
    /// Responses and headers that were damaged.
    pub damaged: u64,
    /// Headers of identifiers that are not known.
    pub unknown: u64,
    /// Wake-up signals and reports of sleep.
    pub signals: u64,
    /// Steps back of the clock.
    pub clock_steps: u64,
    /// Observations lost because nobody fetched them, or because too many episodes were open.
    pub dropped: u64,
}

/// What an episode is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// The bus as a whole, and why.
    Bus(&'static str),
    /// An identifier.
    Id(u8),
}

impl Subject for Target {
    fn can_id(self) -> Option<CanId> {
        None
    }
}

/// Sixteen episodes are a quarter of all identifiers a bus can have.
type LinFold = Fold<Target, 16, 24>;

/// All detectors of one LIN bus, below 32 KiB by value: put it into a `static` or a box.
#[derive(Debug, Clone)]
pub struct LinDetector {
    bus: BusId,
    basis: Basis,
    rows: [Row; 64],
    order: Order,
    timeline: Timeline,
    watch: Watch,
    /// Headers and when the first one came, while the basis may still change.
    headers: u32,
    begun: Option<VehicleMicros>,
    strangers: u32,
    early: Evidence,
    disorder: Evidence,
    intrusions: Evidence,
    headers_broken: Evidence,
    fold: LinFold,
    workshop: bool,
    clock: Clock,
    stats: LinStats,
}

impl LinDetector {
    /// Creates the detectors of one bus from its model.
    #[must_use]
    pub fn new(model: &LinModel) -> Self {
        let mut detector = Self::untrained(model.bus);
        detector.basis = Basis::Matching;
        for (row, facts) in detector.rows.iter_mut().zip(&model.frames) {
            *row = Row::new(*facts);
        }
        detector.order = model.order;
        detector
    }

    /// Creates detectors that learn a bus on the road.
    #[must_use]
    pub const fn untrained(bus: BusId) -> Self {
        Self {
            bus,
            basis: Basis::WarmUp,
            rows: [Row::new(None); 64],
            order: Order::new(),
            timeline: Timeline::new(),
            watch: Watch::new(),
            headers: 0,
            begun: None,
            strangers: 0,
            early: Evidence::NONE,
            disorder: Evidence::NONE,
            intrusions: Evidence::NONE,
            headers_broken: Evidence::NONE,
            fold: Fold::new(bus),
            workshop: false,
            clock: Clock::new(),
            stats: LinStats {
                frames: 0,
                silent: 0,
                damaged: 0,
                unknown: 0,
                signals: 0,
                clock_steps: 0,
                dropped: 0,
            },
        }
    }

    /// Gives detectors that wait for a bus its number.
    pub fn name(&mut self, bus: BusId) {
        self.bus = bus;
        self.fold = Fold::new(bus);
    }

    /// Returns the bus.
    #[must_use]
    pub const fn bus(&self) -> BusId {
        self.bus
    }

    /// Returns by what the bus is judged.
    #[must_use]
    pub const fn basis(&self) -> Basis {
        self.basis
    }

    /// Returns the counts.
    #[must_use]
    pub const fn stats(&self) -> LinStats {
        let mut stats = self.stats;
        stats.dropped = self.fold.dropped;
        stats
    }

    /// Tells whether a workshop is at work; its diagnosis is then no event.
    pub const fn set_workshop(&mut self, workshop: bool) {
        self.workshop = workshop;
    }

    /// Takes what was heard and judges it; bounded work, no allocation.
    pub fn receive(&mut self, at: VehicleMicros, heard: &Heard) -> Verdict {
        let at = self.advance(at);
        let mut verdict = Verdict::ORDINARY;
        match heard {
            Heard::Frame { frame, has_checksum } => {
                self.stats.frames = self.stats.frames.saturating_add(1);
                self.header(at, frame.pid(), heard, &mut verdict);
                self.response(at, frame, *has_checksum, &mut verdict);
                self.command(at, frame, &mut verdict);
            }
            Heard::Fault { pid, fault } => {
                self.header(at, *pid, heard, &mut verdict);
                self.fault(at, *pid, *fault, &mut verdict);
            }
            Heard::Header => self.broken_header(at, &mut verdict),
            Heard::WakeUp | Heard::Asleep => self.signal(at, heard, &mut verdict),
        }
        self.fold.sweep_one(at);
        verdict
    }

    /// Lets time pass without anything heard. A few times a second is enough.
    pub fn tick(&mut self, now: VehicleMicros) {
        if self.clock.is_past(now) {
            return;
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
            self.timeline.restart();
        }
        stamp.at()
    }

    fn row(&mut self, pid: Pid) -> Option<&mut Row> {
        self.rows.get_mut(usize::from(pid.id()))
    }

    /// Whether what is seen is held against anything: not while it is still learned.
    fn judges(&self) -> bool {
        match self.basis {
            Basis::Matching | Basis::Model | Basis::Learned => true,
            Basis::WarmUp => false,
        }
    }

    /// Strikes if a count is high enough; a model that may be another bus's raises no alarm.
    fn strike(
        &mut self,
        at: VehicleMicros,
        (event_type, target): (EventTypeId, Target),
        (ladder, count): (Ladder, u32),
        fields: Fields,
    ) -> bool {
        let Some(severity) = ladder.severity(count) else { return false };
        let is_sure = self.basis != Basis::Matching;
        let severity = if is_sure { severity } else { Severity::Low };
        self.fold.strike(at, Strike { event_type, can_id: target, severity, fields });
        true
    }

    /// Decides whether a model fits its bus, and when a bus is learned.
    fn settle(&mut self, at: VehicleMicros) {
        let begun = *self.begun.get_or_insert(at);
        self.headers = self.headers.saturating_add(1);
        match self.basis {
            Basis::Matching if self.headers >= limits::MATCH_HEADERS => {
                if self.strangers >= self.headers / 2 {
                    self.rows = [Row::new(None); 64];
                    self.order = Order::new();
                    self.timeline.restart();
                    (self.basis, self.headers, self.begun) = (Basis::WarmUp, 0, None);
                } else {
                    self.basis = Basis::Model;
                }
            }
            Basis::WarmUp
                if at.micros_since(begun) >= limits::WARM_UP_US
                    && self.headers >= limits::WARM_UP_HEADERS =>
            {
                self.basis = Basis::Learned;
            }
            Basis::Matching | Basis::WarmUp | Basis::Model | Basis::Learned => {}
        }
    }

    fn header(&mut self, at: VehicleMicros, pid: Pid, heard: &Heard, verdict: &mut Verdict) {
        self.settle(at);
        self.watch.header();
        if !self.judges() {
            self.learn_header(at, pid, heard);
            return;
        }
        let is_known = self.row(pid).is_some_and(|row| row.facts.is_some());
        let fit = self.timeline.header(at, pid, heard, &self.order);
        if !is_known && !pid.is_diagnostic() {
            self.unknown(at, pid, fit, verdict);
        }
        match fit {
            Fit::Locked => {}
            Fit::Early { gap_us, slot_us } => self.early(at, pid, (gap_us, slot_us), verdict),
            Fit::OnTime { before, intruder } => {
                if let Some(intruder) = intruder {
                    self.intruder(at, intruder, verdict);
                }
                // Diagnosis may come at the end of any table.
                if is_known
                    && !pid.is_diagnostic()
                    && !before.is_diagnostic()
                    && !self.order.allows(before, pid)
                {
                    self.disorder(at, before, pid, verdict);
                }
            }
        }
    }

    /// Takes a header of a bus that is still learned.
    fn learn_header(&mut self, at: VehicleMicros, pid: Pid, heard: &Heard) {
        // Without slots nothing is early, and each header follows the one before it.
        if let Fit::OnTime { before, .. } = self.timeline.header(at, pid, heard, &Order::new()) {
            self.order.learn(before, pid);
            if let Some(gap_us) = self.watch.gap_us(at) {
                self.order.learn_slot(before, u32::try_from(gap_us).unwrap_or(u32::MAX));
            }
        }
        self.watch.at(at);
        if let Some(row) = self.row(pid) {
            row.facts.get_or_insert_default();
        }
    }

    fn unknown(&mut self, at: VehicleMicros, pid: Pid, fit: Fit, verdict: &mut Verdict) {
        self.stats.unknown = self.stats.unknown.saturating_add(1);
        self.strangers = self.strangers.saturating_add(1);
        let is_learned = self.basis == Basis::Learned;
        let intrudes = matches!(fit, Fit::Early { .. });
        let Some(row) = self.row(pid) else { return };
        row.strange = if intrudes { 0 } else { row.strange.saturating_add(1) };
        if is_learned && row.strange > limits::ADOPTED {
            *row = Row::new(Some(model::FrameFacts { may_be_silent: true, ..Default::default() }));
            return;
        }
        let count = row.unknown.add(at, limits::WINDOW_US);
        // A table that comes for the first time breaks nobody's slot.
        let ladder = if is_learned && !intrudes { limits::UNKNOWN_LEARNED } else { limits::UNKNOWN };
        let fields = Fields::new().int(field::LIN_ID, pid.id().into()).int(field::FRAMES, count.into());
        if self.strike(at, (event::LIN_UNKNOWN_FRAME, Target::Id(pid.id())), (ladder, count), fields) {
            *verdict = verdict.or(Rule::Unknown);
        }
    }

    fn early(&mut self, at: VehicleMicros, pid: Pid, (gap_us, slot_us): (u64, u64), verdict: &mut Verdict) {
        let count = self.early.add(at, limits::WINDOW_US);
        let fields = Fields::new()
            .text(field::REASON, "early")
            .int(field::LIN_ID, pid.id().into())
            .int(field::GAP_US, gap_us)
            .int(field::GAP_EXPECTED_US, slot_us);
        if self.strike(
            at,
            (event::LIN_SCHEDULE_VIOLATION, Target::Bus("early")),
            (limits::EARLY, count),
            fields,
        ) {
            *verdict = verdict.or(Rule::Schedule);
        }
    }

    /// Strikes for a header inside of a slot after which the master went on as if there were none.
    fn intruder(&mut self, at: VehicleMicros, intruder: Pid, verdict: &mut Verdict) {
        let count = self.intrusions.add(at, limits::WINDOW_US);
        if let Some(row) = self.row(intruder) {
            row.strange = 0;
        }
        let fields = Fields::new().int(field::LIN_ID, intruder.id().into()).int(field::FRAMES, count.into());
        let what = (event::LIN_SECOND_MASTER, Target::Bus("second_master"));
        // The header at hand is the honest one; the verdict says that its bus is under attack all the same.
        if self.strike(at, what, (limits::INTRUSIONS, count), fields) && count >= limits::INTRUSIONS.medium {
            *verdict = verdict.or(Rule::Schedule);
        }
    }

    fn disorder(&mut self, at: VehicleMicros, before: Pid, pid: Pid, verdict: &mut Verdict) {
        if self.basis == Basis::Learned {
            // A table may come for the first time.
            self.order.learn(before, pid);
        }
        let count = self.disorder.add(at, limits::WINDOW_US);
        let ladder = match self.basis {
            Basis::Learned => Ladder { medium: u32::MAX, ..limits::ORDER },
            Basis::Matching | Basis::Model | Basis::WarmUp => limits::ORDER,
        };
        let fields = Fields::new()
            .text(field::REASON, "order")
            .int(field::LIN_ID, pid.id().into())
            .int(field::LIN_ID_BEFORE, before.id().into());
        if self.strike(at, (event::LIN_SCHEDULE_VIOLATION, Target::Bus("order")), (ladder, count), fields) {
            *verdict = verdict.or(Rule::Schedule);
        }
    }

    fn response(&mut self, at: VehicleMicros, frame: &Frame, has_checksum: bool, verdict: &mut Verdict) {
        let judges = self.judges();
        let pid = frame.pid();
        let Some(row) = self.row(pid) else { return };
        let before = row.last.replace(at);
        row.silent = 0;
        if !judges {
            row.learn(frame, has_checksum);
            row.answered = row.answered.saturating_add(1);
            return;
        }
        row.answered = row.answered.saturating_add(1);
        let header_us = limits::HEADER_BITS.saturating_mul(limits::BIT_US);
        let is_double = before.is_some_and(|before| at.micros_since(before) < header_us);
        let odd = row.odd(frame, has_checksum);
        if is_double {
            let count = row.double.add(at, limits::WINDOW_US);
            self.collision(at, pid, "two_responses", (limits::DOUBLE, count), verdict);
        }
        let Some(odd) = odd else { return };
        let Some(count) = self.row(pid).map(|row| row.odd.add(at, limits::WINDOW_US)) else { return };
        let fields = Fields::new().int(field::LIN_ID, pid.id().into());
        let fields = match odd {
            Odd::Length { expected } => fields
                .text(field::REASON, "length")
                .int(field::DATA_BYTES_EXPECTED, expected.into())
                .int(field::DATA_BYTES_OBSERVED, u64::try_from(frame.data().len()).unwrap_or(0)),
            Odd::Checksum => fields.text(field::REASON, "checksum_model"),
        };
        let what = (event::LIN_PUBLISHER_MISMATCH, Target::Id(pid.id()));
        if self.strike(at, what, (limits::PUBLISHER, count), fields) {
            *verdict = verdict.or(Rule::Response);
        }
    }

    fn collision(
        &mut self,
        at: VehicleMicros,
        pid: Pid,
        reason: &'static str,
        evidence: (Ladder, u32),
        verdict: &mut Verdict,
    ) {
        let fields = Fields::new()
            .text(field::REASON, reason)
            .int(field::LIN_ID, pid.id().into())
            .int(field::FRAMES, evidence.1.into());
        if self.strike(at, (event::LIN_RESPONSE_COLLISION, Target::Id(pid.id())), evidence, fields) {
            *verdict = verdict.or(Rule::Response);
        }
    }
}
