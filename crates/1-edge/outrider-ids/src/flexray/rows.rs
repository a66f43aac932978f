//! The slots of a cluster: whose they are, and what was seen in them lately.

use outrider_bus::flexray::Header;

use super::limits;
use super::model::{ROWS_MAX, SlotFacts, flag};

/// Slot of the table.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Row {
    pub(super) facts: SlotFacts,
    /// Cycle, counted from the start, in which it was seen last.
    pub(super) last: u32,
    /// Frames, held at the end of the range.
    pub(super) seen: u16,
    /// Null frames in a row.
    pub(super) nulls: u16,
    /// Null frames, whenever they came.
    pub(super) has_nulls: bool,
}

impl Row {
    /// Cycles from one turn to the next, on average.
    fn period(&self) -> u32 {
        64u32.checked_div(self.facts.cycles.count_ones()).unwrap_or(64)
    }

    /// Returns how many turns in a row it missed by a cycle.
    pub(super) fn missed(&self, cycle: u32) -> u32 {
        let since = cycle.saturating_sub(self.last);
        if since < limits::MISSED_CYCLES_MIN {
            return 0;
        }
        since.checked_div(self.period()).unwrap_or(0)
    }

    /// Returns whether it belongs to somebody in a cycle.
    pub(super) fn is_in(&self, cycle: u8) -> bool {
        self.facts.cycles & bit(cycle) != 0
    }

    /// Takes it as normal that the slot is used as a header says.
    pub(super) fn learn(&mut self, header: &Header) {
        self.facts.cycles |= bit(header.cycle);
        self.facts.words = self.facts.words.max(header.words);
        self.facts.flags |= flags(header);
    }
}

/// Returns the flags of a header as a slot has them.
pub(super) const fn flags(header: &Header) -> u8 {
    (if header.sync { flag::SYNC } else { 0 }) | (if header.startup { flag::STARTUP } else { 0 })
}

fn bit(cycle: u8) -> u64 {
    1u64.checked_shl(cycle.into()).unwrap_or(0)
}

/// Slots by number.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    rows: [Row; ROWS_MAX],
    len: usize,
}

impl Rows {
    pub(super) const fn new() -> Self {
        const EMPTY: Row = Row {
            facts: SlotFacts { slot: 0, words: 0, flags: 0, cycles: 0 },
            last: 0,
            seen: 0,
            nulls: 0,
            has_nulls: false,
        };
        Self { rows: [EMPTY; ROWS_MAX], len: 0 }
    }

    /// Adds the slots of a model, which ascend.
    pub(super) fn load(&mut self, facts: impl Iterator<Item = SlotFacts>) {
        for (row, facts) in self.rows.iter_mut().zip(facts) {
            *row = Row { facts, ..Row::default() };
            self.len = self.len.saturating_add(1);
        }
    }

    pub(super) fn all(&self) -> &[Row] {
        self.rows.get(..self.len).unwrap_or(&[])
    }

    /// Returns the row of a slot, O(log n).
    pub(super) fn of(&mut self, slot: u16) -> Option<&mut Row> {
        let index = self.all().binary_search_by_key(&slot, |row| row.facts.slot).ok()?;
        self.rows.get_mut(index)
    }

    /// Returns the row of a slot, added if there is room for it; O(n) once a slot.
    pub(super) fn entry(&mut self, slot: u16) -> Option<&mut Row> {
        let index = match self.all().binary_search_by_key(&slot, |row| row.facts.slot) {
            Ok(index) => index,
            Err(index) => {
                if self.len >= ROWS_MAX {
                    return None;
                }
                self.len = self.len.saturating_add(1);
                let facts = SlotFacts { slot, ..SlotFacts::default() };
                let mut carried = Row { facts, ..Row::default() };
                for row in self.rows.iter_mut().skip(index).take(self.len.saturating_sub(index)) {
                    core::mem::swap(row, &mut carried);
                }
                index
            }
        };
        self.rows.get_mut(index)
    }

    /// Returns the last slot of the static segment, as what was learned shows it: up to there every slot has the same
    /// length and was used in nearly all of its cycles.
    pub(super) fn static_slots(&self) -> u16 {
        let words = self.all().first().map_or(0, |row| row.facts.words);
        let rounds = limits::WARM_UP_CYCLES / 64;
        let is_static = |row: &&Row| {
            let wanted =
                row.facts.cycles.count_ones().saturating_mul(rounds).saturating_mul(limits::STATIC_EIGHTHS);
            row.facts.words == words && u32::from(row.seen).saturating_mul(8) >= wanted
        };
        self.all().iter().take_while(is_static).last().map_or(0, |row| row.facts.slot)
    }
}
