//! Known identifiers of one bus and what is going on with each.

use outrider_bus::can::CanId;
use outrider_types::VehicleMicros;

use super::limits;
use crate::meter::{CycleMeter, Leak, Meter, ONE_Q16};
use crate::model::{BusModel, CycleClass, IDS_MAX, IdEntry};

/// Marks a place without an identifier, and an identifier without a track.
pub(crate) const NONE: u16 = u16::MAX;
/// Marks an identifier without protection.
pub(crate) const UNPROTECTED: u8 = u8::MAX;
/// Number of standard identifiers.
const STANDARD: usize = 2048;
/// Places for extended identifiers: a power of two, and three times as many as there can be, so that a search ends
/// soon.
const HASHED: usize = 2048;
const _: () = assert!(HASHED > 2 * IDS_MAX && HASHED.is_power_of_two(), "a search must find room");
/// Longest search for an extended identifier; one that would need more is not learned.
const PROBES_MAX: usize = 32;

/// How sure the table is of one identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// First seen on the road and not yet judged.
    Learning,
    /// Learned on the road or in the model.
    Known,
}

/// One known identifier.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) id: CanId,
    /// Allowed data length codes; 0 allows all.
    pub(crate) dlc_mask: u16,
    /// Place of its track, which learns and judges payloads, or [`NONE`].
    pub(crate) track: u16,
    pub(crate) trust: Trust,
    /// Place of what protects it, or [`UNPROTECTED`].
    pub(crate) protected: u8,
    pub(crate) fd: bool,
    pub(crate) remote: bool,
    /// One of a diagnostic pair of the model.
    pub(crate) diagnostic: bool,
    /// Whether enough traffic, not only a database, tells about it.
    pub(crate) seen_often: bool,
    pub(crate) class: CycleClass,
    /// Frames in a row without a pause, held at 255.
    pub(crate) streak: u8,
    pub(crate) overdue: bool,
    pub(crate) struck: bool,
    /// Expected at all times, so that its absence counts from the start.
    pub(crate) always: bool,
    /// Learned on the road, not in a model.
    pub(crate) learned: bool,
    pub(crate) cycle: Option<CycleMeter>,
    pub(crate) cycle_us: u32,
    pub(crate) ahead_limit_q16: u32,
    /// Silence that is too long, in microseconds; 0 if it may be silent.
    pub(crate) silence_us: u32,
    /// Longest gap so far, in microseconds.
    pub(crate) gap_max_us: u32,
    pub(crate) rate: Meter,
    pub(crate) rate_leak: Leak,
    pub(crate) flood: Meter,
    pub(crate) flood_leak: Leak,
    pub(crate) last: Option<VehicleMicros>,
    pub(crate) overdue_since: VehicleMicros,
}

/// How an identifier comes, as far as its timing is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    pub(crate) class: CycleClass,
    /// Its cycle, or the mean time between frames of one without; 0 if unknown.
    pub(crate) cycle_us: u32,
    /// Longest time between two frames so far.
    pub(crate) gap_max_us: u32,
    /// Most frames ahead of its cycle so far, in 1/65536.
    pub(crate) ahead_max_q16: u32,
    /// Frames it was seen in.
    pub(crate) frames: u32,
    /// Never pauses.
    pub(crate) steady: bool,
}

impl Slot {
    const EMPTY: Self = Self {
        id: CanId::LOWEST,
        dlc_mask: 0,
        track: NONE,
        trust: Trust::Learning,
        protected: UNPROTECTED,
        fd: false,
        remote: false,
        diagnostic: false,
        seen_often: false,
        class: CycleClass::Listed,
        streak: 0,
        overdue: false,
        struck: false,
        always: false,
        learned: false,
        cycle: None,
        cycle_us: 0,
        ahead_limit_q16: 0,
        silence_us: 0,
        gap_max_us: 0,
        rate: Meter::EMPTY,
        rate_leak: Leak::per_seconds(limits::EVENT_HZ, 1),
        flood: Meter::EMPTY,
        flood_leak: Leak::per_seconds(limits::FLOOD_HZ_MIN, 1),
        last: None,
        overdue_since: VehicleMicros(0),
    };

    fn of_entry(entry: &IdEntry) -> Self {
        let mut slot = Self {
            id: entry.id,
            dlc_mask: entry.dlc_mask,
            trust: Trust::Known,
            fd: entry.flags.fd,
            remote: entry.flags.remote,
            seen_often: entry.frames >= 10,
            ..Self::EMPTY
        };
        slot.set_pace(&Pace {
            class: entry.class,
            cycle_us: entry.gaps.median_us,
            gap_max_us: entry.gaps.max_us,
            ahead_max_q16: entry.ahead_max_q16,
            frames: entry.frames,
            steady: entry.flags.steady,
        });
        slot.always = entry.flags.steady && entry.frames >= 20 && slot.cycle_us <= limits::SUSPEND_FAST_US;
        slot
    }

    /// Draws the limits that follow from how the identifier comes; forgets what was counted against others.
    pub(crate) fn set_pace(&mut self, pace: &Pace) {
        let cyclic = match pace.class {
            CycleClass::Periodic | CycleClass::Mixed => pace.cycle_us > 0,
            CycleClass::Listed | CycleClass::Event => false,
        };
        let own_hz = 1_000_000u32.checked_div(pace.cycle_us).unwrap_or(0);
        let margin = limits::AHEAD_MARGIN_FRAMES.saturating_mul(ONE_Q16);
        let cycle_us = if cyclic { pace.cycle_us } else { 0 };
        if self.cycle_us != cycle_us || self.cycle.is_some() != cyclic {
            self.cycle = cyclic.then(|| CycleMeter::new(cycle_us));
        }
        self.class = pace.class;
        self.cycle_us = cycle_us;
        self.ahead_limit_q16 = ahead_frames(pace)
            .saturating_mul(ONE_Q16)
            .max(pace.ahead_max_q16.min(ONE_Q16 << 10).saturating_add(margin));
        if self.learned && pace.frames < limits::AHEAD_YOUNG_GAPS {
            self.ahead_limit_q16 =
                self.ahead_limit_q16.max(limits::AHEAD_YOUNG_FRAMES.saturating_mul(ONE_Q16));
        }
        self.gap_max_us = pace.gap_max_us;
        self.silence_us = silence_limit(pace);
        self.rate_leak = Leak::per_seconds(event_hz(own_hz), 1);
        self.flood_leak = Leak::per_seconds(self.flood_hz(), 1);
    }

    /// Rate above which it floods, in Hz.
    pub(crate) fn flood_hz(&self) -> u32 {
        let own_hz = 1_000_000u32.checked_div(self.cycle_us).unwrap_or(0);
        let limit_hz = own_hz.saturating_mul(limits::FLOOD_FACTOR).max(limits::FLOOD_HZ_MIN);
        if self.learned { limit_hz.min(limits::FLOOD_LEARNED_HZ_MAX) } else { limit_hz }
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

fn event_hz(own_hz: u32) -> u32 {
    own_hz.saturating_mul(3).max(limits::EVENT_HZ)
}

/// Frames ahead that are an injection: fewer for an identifier that keeps its cycle to the letter.
fn ahead_frames(pace: &Pace) -> u32 {
    let strict = pace.class == CycleClass::Periodic
        && pace.frames >= limits::AHEAD_STRICT_AFTER
        && pace.ahead_max_q16 <= ONE_Q16;
    if strict { limits::AHEAD_STRICT_FRAMES } else { limits::AHEAD_FRAMES }
}

/// Returns the silence that is too long for an identifier, 0 if it may be silent.
fn silence_limit(pace: &Pace) -> u32 {
    let cycle = pace.cycle_us;
    if !pace.steady || cycle > limits::SUSPEND_SLOW_US || cycle == 0 {
        return 0;
    }
    let (_, cycles_q4) = limits::SUSPEND_CYCLES
        .into_iter()
        .find(|(up_to_us, _)| cycle <= *up_to_us)
        .unwrap_or((0, limits::SUSPEND_SLOW_CYCLES_Q4));
    let by_cycle = (cycle / 4).saturating_mul(cycles_q4);
    by_cycle.max(pace.gap_max_us.saturating_mul(2)).saturating_add(limits::SUSPEND_GRACE_US)
}

/// Fixed table of known identifiers, filled from a model or on the road; O(1) for every identifier.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    standard: [u16; STANDARD],
    hashed: [u16; HASHED],
    slots: [Slot; IDS_MAX],
    len: usize,
}

impl Table {
    pub(crate) const fn empty() -> Self {
        Self { standard: [NONE; STANDARD], hashed: [NONE; HASHED], slots: [Slot::EMPTY; IDS_MAX], len: 0 }
    }

    /// Forgets every identifier.
    pub(crate) fn clear(&mut self) {
        self.standard.fill(NONE);
        self.hashed.fill(NONE);
        self.len = 0;
    }

    /// Loads a model; `track` gives each identifier that traffic showed its track.
    pub(crate) fn load(&mut self, model: &BusModel<'_>, mut track: impl FnMut() -> Option<u16>) {
        for entry in model.ids() {
            let track = if entry.frames > 0 { track().unwrap_or(NONE) } else { NONE };
            self.add(Slot { track, ..Slot::of_entry(&entry) });
        }
        for pair in model.pairs() {
            for id in [pair.request, pair.response] {
                if let Some(slot) = self.find(id).and_then(|index| self.slot_mut(index)) {
                    slot.diagnostic = true;
                }
            }
        }
    }

    /// Adds an identifier met on the road and returns its place, or `None` if the table is full.
    pub(crate) fn learn(&mut self, id: CanId, track: u16) -> Option<usize> {
        self.add(Slot { id, track, learned: true, ..Slot::EMPTY })
    }

    fn add(&mut self, slot: Slot) -> Option<usize> {
        let index = self.len;
        let name = u16::try_from(index).ok()?;
        if index >= IDS_MAX {
            return None;
        }
        let place = self.place(slot.id)?;
        *place = name;
        *self.slots.get_mut(index)? = slot;
        self.len = index.saturating_add(1);
        Some(index)
    }

    /// Empty place in the indexes for an identifier that is not there yet.
    fn place(&mut self, id: CanId) -> Option<&mut u16> {
        if !id.is_extended() {
            return self.standard.get_mut(usize::try_from(id.value()).ok()?);
        }
        let start = hash(id);
        let index = (0..PROBES_MAX)
            .map(|step| start.wrapping_add(step) & (HASHED - 1))
            .find(|&index| self.hashed.get(index) == Some(&NONE))?;
        self.hashed.get_mut(index)
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
        let start = hash(id);
        for step in 0..PROBES_MAX {
            let name = *self.hashed.get(start.wrapping_add(step) & (HASHED - 1))?;
            if name == NONE {
                return None;
            }
            let index = usize::from(name);
            if self.slots.get(index).is_some_and(|slot| slot.id == id) {
                return Some(index);
            }
        }
        None
    }

    #[inline]
    pub(crate) fn slot_mut(&mut self, index: usize) -> Option<&mut Slot> {
        self.slots.get_mut(index).filter(|_| index < self.len)
    }

    pub(crate) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().take(self.len)
    }

    pub(crate) fn slots_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut().take(self.len)
    }

    pub(crate) fn restart(&mut self) {
        self.slots_mut().for_each(Slot::restart);
    }

    /// Number of identifiers whose stop is watched.
    pub(crate) fn watched(&self) -> u32 {
        let count = crate::count_of(self.slots.iter().take(self.len).filter(|slot| slot.silence_us > 0));
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

/// Multiplicative hash (Knuth) of an extended identifier, below [`HASHED`].
fn hash(id: CanId) -> usize {
    usize::try_from(id.word().wrapping_mul(0x9E37_79B1) >> 21).unwrap_or(0) & (HASHED - 1)
}
