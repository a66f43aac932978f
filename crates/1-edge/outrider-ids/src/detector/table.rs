//! Known identifiers of one bus and what is going on with each.

use outrider_bus::can::CanId;
use outrider_types::VehicleMicros;

use super::limits;
use crate::meter::{CycleMeter, Leak, Meter, ONE_Q16};
use crate::model::{BusModel, CycleClass, IDS_MAX, IdEntry};

/// Marks a standard identifier that the model does not have.
const NONE: u16 = u16::MAX;
/// Number of standard identifiers.
const STANDARD: usize = 2048;

/// One known identifier.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) id: CanId,
    /// Allowed data length codes; 0 allows all.
    pub(crate) dlc_mask: u16,
    pub(crate) fd: bool,
    pub(crate) remote: bool,
    /// One of a diagnostic pair of the model.
    pub(crate) diagnostic: bool,
    /// Whether training traffic, not only a database, tells about it.
    pub(crate) seen_often: bool,
    pub(crate) class: CycleClass,
    /// Frames in a row without a pause, held at 255.
    pub(crate) streak: u8,
    pub(crate) overdue: bool,
    pub(crate) struck: bool,
    /// Expected at all times, so that its absence counts from the start.
    pub(crate) always: bool,
    pub(crate) cycle: Option<CycleMeter>,
    pub(crate) cycle_us: u32,
    pub(crate) ahead_limit_q16: u32,
    /// Silence that is too long, in microseconds; 0 if it may be silent.
    pub(crate) silence_us: u32,
    pub(crate) rate: Meter,
    pub(crate) rate_leak: Leak,
    pub(crate) rate_limit_hz: u32,
    pub(crate) flood: Meter,
    pub(crate) flood_leak: Leak,
    pub(crate) flood_hz: u32,
    pub(crate) last: Option<VehicleMicros>,
    pub(crate) overdue_since: VehicleMicros,
}

impl Slot {
    fn new(entry: &IdEntry) -> Self {
        let cyclic = match entry.class {
            CycleClass::Periodic | CycleClass::Mixed => entry.gaps.median_us > 0,
            CycleClass::Listed | CycleClass::Event => false,
        };
        let cycle_us = if cyclic { entry.gaps.median_us } else { 0 };
        let own_hz = if entry.gaps.median_us == 0 {
            0
        } else {
            1_000_000u32.checked_div(entry.gaps.median_us).unwrap_or(0)
        };
        let flood_hz = own_hz.saturating_mul(limits::FLOOD_FACTOR).max(limits::FLOOD_HZ_MIN);
        let rate_limit_hz = own_hz.saturating_mul(3).max(limits::EVENT_HZ);
        let margin = limits::AHEAD_MARGIN_FRAMES.saturating_mul(ONE_Q16);
        Self {
            id: entry.id,
            dlc_mask: entry.dlc_mask,
            fd: entry.flags.fd,
            remote: entry.flags.remote,
            diagnostic: false,
            seen_often: entry.frames >= 10,
            class: entry.class,
            streak: 0,
            overdue: false,
            struck: false,
            always: entry.flags.steady && entry.frames >= 20 && cycle_us <= limits::SUSPEND_FAST_US,
            cycle: cyclic.then(|| CycleMeter::new(cycle_us)),
            cycle_us,
            ahead_limit_q16: limits::AHEAD_FRAMES
                .saturating_mul(ONE_Q16)
                .max(entry.ahead_max_q16.min(ONE_Q16 << 10).saturating_add(margin)),
            silence_us: silence_limit(entry),
            rate: Meter::default(),
            rate_leak: Leak::per_seconds(rate_limit_hz, 1),
            rate_limit_hz,
            flood: Meter::default(),
            flood_leak: Leak::per_seconds(flood_hz, 1),
            flood_hz,
            last: None,
            overdue_since: VehicleMicros(0),
        }
    }

    /// Forgets what was, keeps what is expected.
    pub(crate) fn restart(&mut self) {
        self.streak = 0;
        self.overdue = false;
        self.struck = false;
        self.last = None;
        if let Some(cycle) = &mut self.cycle {
            cycle.clear();
        }
        self.rate.clear();
        self.flood.clear();
    }
}

/// Returns the silence that is too long for an identifier, 0 if it may be silent.
fn silence_limit(entry: &IdEntry) -> u32 {
    let cycle = entry.gaps.median_us;
    if !entry.flags.steady || entry.class != CycleClass::Periodic || cycle > limits::SUSPEND_SLOW_US {
        return 0;
    }
    let (cycles, pauses) = if cycle <= limits::SUSPEND_FAST_US {
        (limits::SUSPEND_FAST_CYCLES, 2)
    } else {
        (limits::SUSPEND_SLOW_CYCLES, 3)
    };
    let by_cycle = cycle.saturating_mul(cycles);
    by_cycle.max(entry.gaps.max_us.saturating_mul(pauses)).saturating_add(limits::SUSPEND_GRACE_US)
}

/// Fixed table of known identifiers; O(1) for standard ones, O(log n) for extended ones.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    standard: [u16; STANDARD],
    slots: [Option<Slot>; IDS_MAX],
    len: usize,
    /// Place of the first extended identifier; the rest of the table is ascending.
    extended_from: usize,
}

impl Table {
    pub(crate) const fn empty() -> Self {
        Self { standard: [NONE; STANDARD], slots: [None; IDS_MAX], len: 0, extended_from: 0 }
    }

    pub(crate) fn load(&mut self, model: &BusModel<'_>) {
        for entry in model.ids() {
            let Some(slot) = self.slots.get_mut(self.len) else { return };
            *slot = Some(Slot::new(&entry));
            if !entry.id.is_extended() {
                let place = usize::try_from(entry.id.value()).unwrap_or(usize::MAX);
                if let Some(index) = self.standard.get_mut(place) {
                    *index = u16::try_from(self.len).unwrap_or(NONE);
                }
                self.extended_from = self.len.saturating_add(1);
            }
            self.len = self.len.saturating_add(1);
        }
        for pair in model.pairs() {
            for id in [pair.request, pair.response] {
                if let Some(slot) = self.find(id).and_then(|index| self.slot_mut(index)) {
                    slot.diagnostic = true;
                }
            }
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn find(&self, id: CanId) -> Option<usize> {
        if !id.is_extended() {
            let place = usize::try_from(id.value()).ok()?;
            return self.standard.get(place).filter(|&&index| index != NONE).map(|&index| usize::from(index));
        }
        let extended = self.slots.get(self.extended_from..self.len)?;
        let found =
            extended.binary_search_by_key(&Some(id), |slot| slot.as_ref().map(|slot| slot.id)).ok()?;
        Some(found.saturating_add(self.extended_from))
    }

    #[inline]
    pub(crate) fn slot_mut(&mut self, index: usize) -> Option<&mut Slot> {
        self.slots.get_mut(index)?.as_mut()
    }

    pub(crate) fn restart(&mut self) {
        self.slots.iter_mut().flatten().for_each(Slot::restart);
    }

    /// Number of identifiers whose stop is watched.
    pub(crate) fn watched(&self) -> u32 {
        let count = self.slots.iter().flatten().filter(|slot| slot.silence_us > 0).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}
