//! Schedule tables and who follows them.

use outrider_types::VehicleMicros;

use super::repr::Pid;

/// Most slots of a schedule table; tables of real LIN clusters have below fifty.
pub const SLOTS_MAX: usize = 64;

/// One slot of a schedule table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Slot {
    /// Whose header is sent.
    pub pid: Pid,
    /// Data bytes of the response, 1 to 8, or 0 if it may be any (diagnostic and event-triggered frames).
    pub bytes: u8,
    /// Time until the next slot, in microseconds.
    pub length_us: u32,
}

/// Schedule table: what the master sends, in order, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    slots: [Slot; SLOTS_MAX],
    len: usize,
}

impl Schedule {
    /// Creates a table, or returns `None` if there is no slot or more than [`SLOTS_MAX`].
    #[must_use]
    pub fn new(slots: &[Slot]) -> Option<Self> {
        if slots.is_empty() {
            return None;
        }
        let mut all = [Slot::default(); SLOTS_MAX];
        all.get_mut(..slots.len())?.copy_from_slice(slots);
        Some(Self { slots: all, len: slots.len() })
    }

    /// Returns the slots in order.
    #[must_use]
    pub fn slots(&self) -> &[Slot] {
        self.slots.get(..self.len).unwrap_or(&[])
    }

    /// Returns the time of one round, in microseconds.
    #[must_use]
    pub fn round_us(&self) -> u64 {
        self.slots().iter().fold(0, |sum, slot| sum.saturating_add(slot.length_us.into()))
    }
}

/// How a header fits the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Occurrence {
    /// The first one: the place in the table is now known.
    Locked,
    /// The slot that was due.
    InOrder,
    /// A slot of the table, but not the one that was due: the master skipped or went back.
    OutOfOrder {
        /// Slots passed over.
        skipped: u8,
    },
    /// The slot that was due, more than the tolerance too early.
    Early {
        /// By how much, in microseconds.
        by_us: u64,
    },
    /// An identifier that the table does not have.
    Foreign,
}

/// Follows the headers on a bus along a table; O(slots) a header.
#[derive(Debug, Clone, Copy)]
pub struct Follower {
    schedule: Schedule,
    /// Slot seen last and when.
    last: Option<(usize, VehicleMicros)>,
}

impl Follower {
    /// Creates a follower that does not know its place yet.
    #[must_use]
    pub const fn new(schedule: Schedule) -> Self {
        Self { schedule, last: None }
    }

    /// Takes one header. Early means by more than an eighth of the slot, which covers the jitter that ISO 17987 allows
    /// a master.
    pub fn receive(&mut self, at: VehicleMicros, pid: Pid) -> Occurrence {
        let slots = self.schedule.slots();
        let first = self.last.map_or(0, |(index, _)| index.saturating_add(1));
        let count = slots.len();
        let found = (0..count).find_map(|step| {
            let index = first.saturating_add(step).checked_rem(count)?;
            slots.get(index).filter(|slot| slot.pid == pid).map(|_| (step, index))
        });
        let Some((step, index)) = found else { return Occurrence::Foreign };
        let Some((before, then)) = self.last.replace((index, at)) else { return Occurrence::Locked };
        if step > 0 {
            return Occurrence::OutOfOrder { skipped: u8::try_from(step).unwrap_or(u8::MAX) };
        }
        let due = slots.get(before).map_or(0, |slot| u64::from(slot.length_us));
        let by_us = due.saturating_sub(at.micros_since(then));
        if by_us > due >> 3 { Occurrence::Early { by_us } } else { Occurrence::InOrder }
    }
}
