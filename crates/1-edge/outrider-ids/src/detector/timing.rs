//! Timing of known identifiers: injection, flood and suspension.

use outrider_bus::can::CanId;
use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::limits;
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

/// Takes one frame of a known identifier. `calm` says that no flood distorts the timing of the bus.
#[inline]
pub(super) fn frame(
    at: VehicleMicros,
    slot: &mut Slot,
    calm: bool,
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
    if slot.flood.add(gap, slot.flood_leak, FLOOD_CAP_Q16) >= limits::FLOOD_FRAMES.saturating_mul(ONE_Q16) {
        fold.strike(at, flood_strike(Some(slot.id), slot.flood_hz()));
        if let Some(cycle) = &mut slot.cycle {
            cycle.clear();
        }
        return Timed { verdict: Verdict::Flood, gap_us: None, ahead_q16: 0 };
    }
    if !calm {
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

/// Watchdog over all identifiers of a bus, two of them a frame.
#[derive(Debug, Clone)]
pub(super) struct Silence {
    cursor: usize,
    /// Identifiers now overdue.
    overdue: u32,
    watched: u32,
    /// From when silence counts: the start, or the end of a silence of the whole bus.
    since: VehicleMicros,
    latest: VehicleMicros,
    /// Longest silence of the whole bus so far, not counting those that were a stop.
    usual_us: u64,
}

impl Silence {
    pub(super) const fn new(watched: u32) -> Self {
        let (since, latest) = (VehicleMicros(0), VehicleMicros(0));
        Self { cursor: 0, overdue: 0, watched, since, latest, usual_us: 0 }
    }

    /// Says how many identifiers are watched now.
    pub(super) const fn watch(&mut self, watched: u32) {
        self.watched = watched;
    }

    /// Watches one identifier more, or one less.
    pub(super) const fn watch_one(&mut self, more: bool) {
        self.watched = if more { self.watched.saturating_add(1) } else { self.watched.saturating_sub(1) };
    }

    /// Longest silence of the bus that is none of anybody in particular.
    fn stall_us(&self) -> u64 {
        self.usual_us
            .saturating_mul(limits::BUS_SILENCE_FACTOR)
            .clamp(limits::BUS_SILENCE_MIN_US, limits::BUS_SILENCE_US)
    }

    /// Returns the end of the latest silence of the whole bus.
    pub(super) const fn since(&self) -> VehicleMicros {
        self.since
    }

    pub(super) const fn restart(&mut self, at: VehicleMicros) {
        self.overdue = 0;
        self.since = at;
        self.latest = at;
    }

    /// Notes a frame of the bus: after a silence of everybody, nobody in particular is missed.
    #[inline]
    pub(super) fn bus_frame(&mut self, last: VehicleMicros, at: VehicleMicros) {
        let gap = at.micros_since(last);
        if gap > self.usual_us {
            if gap > self.stall_us() {
                self.since = at;
            }
            self.usual_us = gap.min(limits::BUS_SILENCE_US / limits::BUS_SILENCE_FACTOR);
        }
        self.latest = at;
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
        distorted_until: VehicleMicros,
        table: &mut Table,
        fold: &mut Fold,
    ) {
        for _ in 0..2 {
            let next = self.cursor.saturating_add(1);
            self.cursor = if next < table.len() { next } else { 0 };
            if let Some(slot) = table.slot_mut(self.cursor) {
                self.check(at, distorted_until, slot, fold);
            }
        }
    }

    pub(super) fn check_all(
        &mut self,
        now: VehicleMicros,
        distorted_until: VehicleMicros,
        table: &mut Table,
        fold: &mut Fold,
    ) {
        for index in 0..table.len() {
            if let Some(slot) = table.slot_mut(index) {
                self.check(now, distorted_until, slot, fold);
            }
        }
    }

    #[inline]
    fn check(
        &mut self,
        now: VehicleMicros,
        distorted_until: VehicleMicros,
        slot: &mut Slot,
        fold: &mut Fold,
    ) {
        if slot.silence_us == 0 {
            return;
        }
        let quiet_bus = now.micros_since(self.latest) > self.stall_us();
        let since = self.since.max(distorted_until);
        let (silent, limit) = match slot.last {
            Some(last) if slot.streak >= limits::SUSPEND_ARM_FRAMES => {
                (now.micros_since(last.max(since)), u64::from(slot.silence_us))
            }
            Some(_) => return,
            None if slot.always => {
                (now.micros_since(since), limits::ABSENT_US.saturating_add(slot.silence_us.into()))
            }
            None => return,
        };
        if quiet_bus || silent <= limit {
            return;
        }
        if !slot.overdue {
            slot.overdue = true;
            slot.overdue_since = now;
            self.overdue = self.overdue.saturating_add(1);
        } else if slot.struck {
            self.follow(now, slot, silent, fold);
        } else if now.micros_since(slot.overdue_since) >= limits::SUSPEND_CONFIRM_US {
            slot.struck = true;
            self.strike(now, slot, silent, fold);
        }
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
        fold.extend(now, event::CAN_SUSPENSION, Some(slot.id), |fields| fields.set(field::GAP_US, gap));
        fold.extend(now, event::CAN_SUSPENSION, None, |_| {});
    }
}
