//! Schedule tables, and which header may follow which.

use super::repr::Pid;

/// Most slots of a schedule table; tables of real LIN clusters have below fifty.
pub const SLOTS_MAX: usize = 64;
/// Identifiers there are.
const IDS: usize = 64;

/// One slot of a schedule table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Slot {
    /// Whose header is sent.
    pub pid: Pid,
    /// The master may leave the slot empty, as it does with sporadic frames.
    pub is_optional: bool,
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

/// Which header may follow which, over all schedule tables of a master, changes of the table included.
///
/// A master changes its table at the end of a slot, and begins the new one at its first slot (ISO 17987-3, schedule
/// table handling). Every question is O(1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// By identifier, the identifiers that may follow, one a bit.
    follows: [u64; IDS],
    /// Identifiers that begin a table.
    firsts: u64,
    /// By identifier, its shortest slot in microseconds; `u32::MAX` without one.
    slot_us: [u32; IDS],
    /// Whether anything is known; without that, any header may follow any.
    is_known: bool,
}

impl Default for Order {
    fn default() -> Self {
        Self::new()
    }
}

impl Order {
    /// Creates the order of a master whose tables are not known: any header may follow any.
    #[must_use]
    pub const fn new() -> Self {
        Self { follows: [0; IDS], firsts: 0, slot_us: [u32::MAX; IDS], is_known: false }
    }

    /// Adds a table, O(slots squared) where all are optional.
    pub fn add(&mut self, schedule: &Schedule) {
        let slots = schedule.slots();
        for slot in slots {
            self.firsts |= bit(slot.pid);
            if !slot.is_optional {
                break;
            }
        }
        let mut behind = slots;
        while let [slot, rest @ ..] = behind {
            self.learn_slot(slot.pid, slot.length_us);
            // The rest of this round, then the next one from its beginning.
            for next in rest.iter().chain(slots) {
                self.learn(slot.pid, next.pid);
                if !next.is_optional {
                    break;
                }
            }
            behind = rest;
        }
    }

    /// Allows one header to follow another.
    pub fn learn(&mut self, before: Pid, after: Pid) {
        self.is_known = true;
        if let Some(follows) = self.follows.get_mut(usize::from(before.id())) {
            *follows |= bit(after);
        }
    }

    /// Notes the length of a slot; the shortest counts.
    pub fn learn_slot(&mut self, pid: Pid, length_us: u32) {
        if let Some(shortest) = self.slot_us.get_mut(usize::from(pid.id())) {
            *shortest = (*shortest).min(length_us);
        }
    }

    /// Returns whether a header may follow another.
    #[must_use]
    pub fn allows(&self, before: Pid, after: Pid) -> bool {
        let follows = self.follows.get(usize::from(before.id())).copied().unwrap_or(0);
        !self.is_known || (follows | self.firsts) & bit(after) != 0
    }

    /// Returns the shortest slot of an identifier in microseconds, or `None` if it has none.
    #[must_use]
    pub fn slot_us(&self, pid: Pid) -> Option<u32> {
        self.slot_us.get(usize::from(pid.id())).copied().filter(|&length_us| length_us != u32::MAX)
    }
}

fn bit(pid: Pid) -> u64 {
    1u64.checked_shl(pid.id().into()).unwrap_or(0)
}
