//! Timing of known identifiers: injection, flood and suspension.

use outrider_bus::can::CanId;
use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::limits;
use super::pool::Pool;
use super::stamps::Stamps;
use super::table::{Slot, Table, Trust};
use super::unknown::flood_strike;
use crate::fold::{Fold, Strike};
use crate::meter::ONE_Q16;
use crate::observation::{FieldValue, Fields};

const EVENT_CAP_Q16: u32 = (limits::EVENT_FRAMES + 1) * ONE_Q16;
const LEARNING_CAP_Q16: u32 = limits::AHEAD_LEARNED_MAX * ONE_Q16;
const FLOOD_CAP_Q16: u32 = (limits::FLOOD_FRAMES + 1) * ONE_Q16;

/// What the timing of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Ordinary,
    /// Its identifier is attacked; the load it makes is accounted for.
    Struck,
    /// It is part of a flood, which distorts everybody's timing.
    Flood,
}

/// What the timing of a frame says, and what there is to learn from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timed {
    pub(super) verdict: Verdict,
    /// Time since the frame before of the identifier; `None` for the first and while a flood distorts it.
    pub(super) gap_us: Option<u64>,
    /// How far the identifier is ahead of its cycle, in 1/65536 frames.
    pub(super) ahead_q16: u32,
}

impl Timed {
    const fn ordinary(gap_us: Option<u64>) -> Self {
        Self { verdict: Verdict::Ordinary, gap_us, ahead_q16: 0 }
    }
}

/// What may distort the times of frames now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weather {
    /// Nothing.
    Calm,
    /// A flood was here a moment ago.
    AfterFlood,
    /// Frames come all at once that a stall of the bus or its logger held back.
    Backlog,
}

/// Takes one frame of a known identifier.
#[inline]
pub(super) fn frame(
    at: VehicleMicros,
    slot: &mut Slot,
    weather: Weather,
    silence: &mut Silence,
    fold: &mut Fold,
) -> Timed {
    if slot.overdue {
        silence.returned(slot);
    }
    let Some(last) = slot.last.replace(at) else {
        slot.streak = 1;
        return Timed::ordinary(None);
    };
    slot.streak = slot.streak.saturating_add(1);
    let gap = at.micros_since(last);
    if slot.silence_us > 0 && gap > usual_us(slot, 0) {
        silence.late = at;
    }
    if weather == Weather::Backlog {
        slot.rate.clear();
        if let Some(cycle) = &mut slot.cycle {
            cycle.clear();
        }
        return Timed::ordinary(None);
    }
    if slot.flood.add(gap, slot.flood_leak, FLOOD_CAP_Q16) >= limits::FLOOD_FRAMES.saturating_mul(ONE_Q16) {
        fold.strike(at, flood_strike(Some(slot.id), slot.flood_hz()));
        if let Some(cycle) = &mut slot.cycle {
            cycle.clear();
        }
        return Timed { verdict: Verdict::Flood, gap_us: None, ahead_q16: 0 };
    }
    if weather == Weather::AfterFlood {
        // Frames that a flood held back come all at once when it ends.
        slot.rate.clear();
        if let Some(cycle) = &mut slot.cycle {
            cycle.clear();
        }
        return Timed::ordinary(None);
    }
    let known = slot.trust == Trust::Known;
    match &mut slot.cycle {
        Some(cycle) => {
            let limit = if known { slot.ahead_limit_q16 } else { LEARNING_CAP_Q16 };
            let ahead_q16 = cycle.add(gap, limit.saturating_add(ONE_Q16));
            let struck = known && ahead_q16 >= limit;
            if struck {
                fold.strike(at, ahead(slot.id, gap, slot.cycle_us, "cycle_cusum"));
            }
            let verdict = if struck { Verdict::Struck } else { Verdict::Ordinary };
            Timed { verdict, gap_us: Some(gap), ahead_q16 }
        }
        None => {
            let level = slot.rate.add(gap, slot.rate_leak, EVENT_CAP_Q16);
            let struck = known && level >= limits::EVENT_FRAMES.saturating_mul(ONE_Q16);
            if struck {
                let expected = slot.rate_leak.period_us();
                fold.strike(at, ahead(slot.id, gap, expected, "event_rate"));
            }
            let verdict = if struck { Verdict::Struck } else { Verdict::Ordinary };
            Timed { verdict, gap_us: Some(gap), ahead_q16: 0 }
        }
    }
}

fn ahead(id: CanId, gap_us: u64, expected_us: u32, detector: &'static str) -> Strike {
    let fields = Fields::new()
        .text(field::DETECTOR, detector)
        .int(field::CAN_ID, id.value().into())
        .int(field::GAP_US, gap_us)
        .int(field::GAP_EXPECTED_US, expected_us.into());
    Strike { event_type: event::CAN_CYCLE_TIME, can_id: Some(id), severity: Severity::Medium, fields }
}

/// What the watchdog must know of the bus.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hearing<'a> {
    pub(super) stamps: &'a Stamps,
    /// Before this time a flood distorts everybody's timing.
    pub(super) distorted_until: VehicleMicros,
    /// Whether errors may explain who falls silent, which says more than the silence alone.
    pub(super) has_errors: bool,
}

impl Hearing<'_> {
    /// Returns whether the whole bus is silent.
    pub(super) fn is_quiet(&self, now: VehicleMicros) -> bool {
        self.stamps.is_quiet(now)
    }

    /// Returns from when silence counts.
    pub(super) fn since(&self) -> VehicleMicros {
        self.stamps.since().max(self.stamps.backlog_until()).max(self.distorted_until)
    }
}

/// Watchdog over all identifiers of a bus, two of them a frame.
#[derive(Debug, Clone)]
pub(super) struct Silence {
    cursor: usize,
    /// Identifiers now overdue.
    overdue: u32,
    watched: u32,
    /// When the latest frame came of a watched identifier that was late.
    late: VehicleMicros,
    /// What the steady identifiers of the bus show together.
    pool: Pool,
}

impl Silence {
    pub(super) const fn new(watched: u32) -> Self {
        Self { cursor: 0, overdue: 0, watched, late: VehicleMicros(0), pool: Pool::EMPTY }
    }

    /// Says how many identifiers are watched now.
    pub(super) const fn watch(&mut self, watched: u32) {
        self.watched = watched;
    }

    /// Watches one identifier more, or one less.
    pub(super) const fn watch_one(&mut self, more: bool) {
        self.watched = if more { self.watched.saturating_add(1) } else { self.watched.saturating_sub(1) };
    }

    /// Forgets who is overdue.
    pub(super) const fn restart(&mut self) {
        self.overdue = 0;
        self.late = VehicleMicros(0);
    }

    /// Counts a gap of a steady identifier that is learned.
    #[inline]
    pub(super) fn learn(&mut self, cycle_us: u32, gap_us: u64) {
        self.pool.add(cycle_us, u32::try_from(gap_us).unwrap_or(u32::MAX));
    }

    /// Returns how many identifiers are watched.
    pub(super) const fn watched(&self) -> u32 {
        self.watched
    }

    /// Takes note that somebody else has said that an identifier is silent.
    pub(super) fn claim(&mut self, now: VehicleMicros, slot: &mut Slot) {
        if !slot.overdue {
            slot.overdue = true;
            slot.overdue_since = now;
            self.overdue = self.overdue.saturating_add(1);
        }
        slot.struck = true;
    }

    fn returned(&mut self, slot: &mut Slot) {
        slot.overdue = false;
        slot.struck = false;
        slot.streak = 0;
        self.overdue = self.overdue.saturating_sub(1);
    }

    #[inline]
    pub(super) fn step(
        &mut self,
        at: VehicleMicros,
        hearing: &Hearing<'_>,
        table: &mut Table,
        fold: &mut Fold,
    ) {
        for _ in 0..2 {
            let next = self.cursor.saturating_add(1);
            self.cursor = if next < table.len() { next } else { 0 };
            self.check(at, hearing, self.cursor, table, fold);
        }
    }

    pub(super) fn check_all(
        &mut self,
        now: VehicleMicros,
        hearing: &Hearing<'_>,
        table: &mut Table,
        fold: &mut Fold,
    ) {
        self.pool.settle();
        for index in 0..table.len() {
            self.check(now, hearing, index, table, fold);
        }
    }

    #[inline]
    fn check(
        &mut self,
        now: VehicleMicros,
        hearing: &Hearing<'_>,
        index: usize,
        table: &mut Table,
        fold: &mut Fold,
    ) {
        let Some(slot) = table.slot_mut(index) else { return };
        if slot.silence_us == 0 {
            return;
        }
        let since = hearing.since();
        let grain_us = hearing.stamps.grain_us();
        let pooled = if slot.learned { self.pool.silence_us(slot.cycle_us) } else { None };
        let pooled = pooled.filter(|_| slot.cycle_us <= limits::SUSPEND_FAST_US);
        let (silent, limit) = match slot.last {
            Some(last) if slot.streak >= limits::SUSPEND_ARM_FRAMES => {
                (now.micros_since(last.max(since)), silence_us(slot, pooled, grain_us))
            }
            Some(_) => return,
            None if slot.always => {
                (now.micros_since(since), limits::ABSENT_US.saturating_add(slot.silence_us.into()))
            }
            None => return,
        };
        if silent <= limit || hearing.is_quiet(now) {
            return;
        }
        if slot.struck && slot.overdue {
            self.follow(now, slot, silent, fold);
            return;
        }
        if !slot.overdue {
            slot.overdue = true;
            slot.overdue_since = now;
            self.overdue = self.overdue.saturating_add(1);
        }
        let has_waited = now.micros_since(slot.overdue_since) >= self.confirm_us();
        // Who is missed by what the bus itself shows, while all others have been on time, need not wait for company.
        let was_on_time = slot.last.is_some_and(|last| self.late <= last);
        let may_wait = pooled.is_none() || self.overdue > 1 || hearing.has_errors || !was_on_time;
        if !has_waited && (may_wait || is_late(now, since, grain_us, index, table)) {
            return;
        }
        let Some(slot) = table.slot_mut(index) else { return };
        slot.struck = true;
        self.strike(now, slot, silent, fold);
    }

    /// Time that others get to follow: less if nobody did.
    const fn confirm_us(&self) -> u64 {
        if self.overdue > 1 { limits::SUSPEND_CONFIRM_US } else { limits::SUSPEND_ALONE_US }
    }

    fn is_group(&self) -> bool {
        self.overdue > limits::SUSPEND_SINGLE_MAX
    }

    fn strike(&self, now: VehicleMicros, slot: &Slot, silent: u64, fold: &mut Fold) {
        let event_type = event::CAN_SUSPENSION;
        if self.is_group() || fold.is_open(event_type, None) {
            // A quarter of a bus at once is a network that goes to sleep, less is one ECU.
            let asleep = self.overdue.saturating_mul(4) > self.watched;
            let severity = if asleep { Severity::Low } else { Severity::Medium };
            let detector = if asleep { "network_silence" } else { "group_silence" };
            let fields = Fields::new().text(field::DETECTOR, detector);
            fold.strike(now, Strike { event_type, can_id: None, severity, fields });
            return;
        }
        let absent = slot.last.is_none();
        let severity =
            if absent || slot.cycle_us > limits::SUSPEND_FAST_US { Severity::Medium } else { Severity::High };
        let fields = Fields::new()
            .text(field::DETECTOR, if absent { "absence" } else { "silence" })
            .int(field::CAN_ID, slot.id.value().into())
            .int(field::GAP_US, silent)
            .int(field::GAP_EXPECTED_US, slot.cycle_us.into());
        fold.strike(now, Strike { event_type, can_id: Some(slot.id), severity, fields });
    }

    fn follow(&self, now: VehicleMicros, slot: &Slot, silent: u64, fold: &mut Fold) {
        let gap = FieldValue::Int(i64::try_from(silent).unwrap_or(i64::MAX));
        for event_type in [event::CAN_SUSPENSION, event::CAN_BUS_OFF] {
            fold.extend(now, event_type, Some(slot.id), |fields| fields.set(field::GAP_US, gap));
        }
        fold.extend(now, event::CAN_SUSPENSION, None, |_| {});
    }
}

/// Silence that is too long: as the bus shows it if it was learned on the road, else as its own model says.
#[inline]
fn silence_us(slot: &Slot, pooled: Option<u32>, grain_us: u32) -> u64 {
    let limit = pooled.map_or(slot.silence_us, |limit| limit.max(slot.gap_max_us.saturating_mul(2)));
    u64::from(limit.saturating_add(grain_us.saturating_mul(2)))
}

/// Time between two frames above which the second one is late, in microseconds: one is lost, or a task hung.
#[inline]
fn usual_us(slot: &Slot, grain_us: u32) -> u64 {
    let usual = slot.cycle_us.saturating_add(slot.cycle_us / 2).saturating_add(grain_us.saturating_mul(2));
    u64::from(usual.saturating_add(limits::SUSPEND_GRACE_US))
}

/// Returns whether a watched identifier other than one is late, and not yet said to be silent: what delays it may
/// delay more than one. O(identifiers), for the one identifier that is overdue.
fn is_late(now: VehicleMicros, since: VehicleMicros, grain_us: u32, index: usize, table: &mut Table) -> bool {
    let Some(one) = table.slot_mut(index).map(|slot| slot.id) else { return false };
    table.slots_mut().any(|slot| {
        slot.silence_us > 0
            && slot.id != one
            && !slot.struck
            && slot.streak >= limits::SUSPEND_ARM_FRAMES
            && slot.last.is_some_and(|last| now.micros_since(last.max(since)) > usual_us(slot, grain_us))
    })
}
