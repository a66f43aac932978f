//! Payloads kept for a while, to see which of their bits belong together.
//!
//! A pool for the whole bus: an identifier borrows a place while its payloads are taken apart and gives it back.

use super::split::split;
use super::{Check, FIELDS_MAX, Field, Jump, Payload, SETTLE_US};
use crate::signals::Signals;

/// Payloads that are kept to be split.
pub(crate) const HISTORY: usize = 24;
/// Identifiers taken apart at the same time; the others wait a few seconds (guess: a seventh of the largest bus).
const PLACES: usize = 36;
/// Time without a new payload after which a place goes to somebody else, in microseconds.
const IDLE_US: u64 = 10_000_000;

/// Shortest time between two of them while checksums are looked for, in microseconds: two seconds in all.
const CHECK_GAP_US: u64 = 60_000;
/// The same while numbers are looked for: four seconds in all, so that slow ones have moved.
const HISTORY_GAP_US: u64 = 120_000;
/// Payloads that are enough …
const HISTORY_MIN: usize = 8;
/// … after this time, in microseconds: a number that moves once a second is split, too.
const PATIENCE_US: u64 = 6_000_000;
const CHECK_PATIENCE_US: u64 = 3_000_000;
/// Frames with a move in bits that belong to no field, after which the payload is split anew.
const UNMAPPED_MAX: u8 = 12;
/// Times that a payload is split anew; one that never fits has no order.
pub(crate) const SPLITS_MAX: u8 = 8;

/// Number of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u8);

/// Payloads of one identifier, taken apart in time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct History {
    pub(crate) payloads: [u64; HISTORY],
    pub(crate) len: u8,
    used: bool,
    /// When the first and the latest were kept.
    pub(crate) since_us: u64,
    pub(crate) kept_us: u64,
}

impl History {
    const EMPTY: Self = Self { payloads: [0; HISTORY], len: 0, used: false, since_us: 0, kept_us: 0 };

    /// Returns what was kept, in order.
    pub(crate) fn payloads(&self) -> &[u64] {
        self.payloads.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Keeps a payload; without effect if it is full.
    pub(crate) fn keep(&mut self, at_us: u64, payload: u64) {
        if self.len == 0 {
            self.since_us = at_us;
        }
        if let Some(slot) = self.payloads.get_mut(usize::from(self.len)) {
            *slot = payload;
            self.kept_us = at_us;
            self.len = self.len.saturating_add(1);
        }
    }

    /// Forgets the older half.
    pub(crate) fn halve(&mut self) {
        self.payloads.rotate_left(HISTORY / 2);
        self.len = self.len.saturating_sub(u8::try_from(HISTORY / 2).unwrap_or(0));
    }

    /// Returns whether nothing new came for long.
    pub(crate) fn is_idle(&self, at_us: u64) -> bool {
        at_us.saturating_sub(self.kept_us) >= IDLE_US
    }
}

/// Fixed pool of histories.
#[derive(Debug, Clone)]
pub(crate) struct Histories {
    places: [History; PLACES],
}

impl Histories {
    pub(crate) const fn new() -> Self {
        Self { places: [History::EMPTY; PLACES] }
    }

    /// Lends a place, or `None` if all are lent.
    pub(crate) fn lend(&mut self) -> Option<Place> {
        let (name, place) = (0u8..).zip(&mut self.places).find(|(_, place)| !place.used)?;
        *place = History { used: true, ..History::EMPTY };
        Some(Place(name))
    }

    pub(crate) fn get_mut(&mut self, place: Place) -> Option<&mut History> {
        self.places.get_mut(usize::from(place.0))
    }

    /// Takes a place back.
    pub(crate) fn give_back(&mut self, place: Place) {
        if let Some(place) = self.get_mut(place) {
            place.used = false;
        }
    }

    /// Takes all places back.
    pub(crate) fn clear(&mut self) {
        self.places.iter_mut().for_each(|place| place.used = false);
    }
}

impl Payload {
    /// Has the payload taken apart anew when bits that belong to no part move, or a part turns out to be none.
    #[inline(never)]
    pub(super) fn watch_rest(&mut self, before: u64, now: u64) {
        let broken = self.fields.iter().take(usize::from(self.len)).any(Field::is_broken);
        if broken || (before ^ now) & !self.mapped != 0 {
            self.unmapped = self.unmapped.saturating_add(1);
            if self.unmapped >= UNMAPPED_MAX && self.splits < SPLITS_MAX {
                self.splits = self.splits.saturating_add(1);
                self.unmapped = 0;
                self.wants = true;
            }
        }
    }

    /// Bits of the parts that stay what they are.
    fn kept_bits(&self) -> u64 {
        let kept = self.fields.iter().take(usize::from(self.len)).filter(|field| !field.is_broken());
        kept.fold(self.counters.mask() | self.check_bits(), |bits, field| bits | field.bits())
    }

    /// Keeps a payload that differs from the latest one kept in more than the parts that are known.
    pub(super) fn gather(&mut self, at_us: u64, before: u64, now: u64, histories: &mut Histories) {
        let taken = self.kept_bits();
        let Some(place) = self.place else {
            if (before ^ now) & !taken != 0 {
                self.place = histories.lend();
            }
            return;
        };
        let Some(history) = histories.get_mut(place) else { return };
        let (spacing, patience) =
            if self.checked { (HISTORY_GAP_US, PATIENCE_US) } else { (CHECK_GAP_US, CHECK_PATIENCE_US) };
        let latest = history.payloads().last();
        let differs = latest.is_none_or(|latest| (latest ^ now) & !taken != 0);
        if differs && (history.len == 0 || at_us.saturating_sub(history.kept_us) >= spacing) {
            history.keep(at_us, now);
        } else if history.len > 0 && history.is_idle(at_us) {
            // It hardly moves: others make better use of the place.
            self.place = None;
            histories.give_back(place);
            return;
        }
        let kept = usize::from(history.len);
        let late = kept >= HISTORY_MIN && at_us.saturating_sub(history.since_us) >= patience;
        if kept >= HISTORY && !self.counters.is_ready() && !late {
            history.halve();
        } else {
            self.pending = late || kept >= HISTORY;
        }
    }

    /// Splits the payload if enough of it was gathered and returns whether it did; a few microseconds of work, which
    /// is why no frame waits for it.
    pub(crate) fn settle(&mut self, at_us: u64, histories: &mut Histories, signals: &mut Signals) -> bool {
        let Some(place) = self.place.filter(|_| self.pending) else { return false };
        self.pending = false;
        self.place = None;
        if let Some(history) = histories.get_mut(place) {
            self.arrange(at_us, history.payloads(), signals);
        }
        histories.give_back(place);
        true
    }

    fn arrange(&mut self, at_us: u64, history: &[u64], signals: &mut Signals) {
        let now = self.last;
        if !self.checked {
            self.checked = true;
            self.checks = Check::find(history, self.bytes);
            (self.check_proofs, self.varied) = (0, 0);
            self.counters.exclude(self.check_bits());
            return;
        }
        self.drop_broken(signals);
        let taken = self.kept_bits();
        let moved = history.iter().fold(0, |moved, payload| moved | (payload ^ now));
        if moved & !taken == 0 {
            return;
        }
        if self.len == 0 {
            // Numbers that are known go on being judged; new ones have to ripen in any case.
            self.judged_us = at_us.saturating_add(SETTLE_US);
        }
        let (found, count) = split(history, self.bytes, taken);
        for field in found.iter().take(count) {
            if let Some(slot) = self.fields.get_mut(usize::from(self.len)) {
                *slot = *field;
                slot.stretch(taken | moved);
                self.len = self.len.saturating_add(1);
            }
        }
        // What moved once only may be the beginning of a slow number: it is looked at again.
        let flips = history.iter().zip(history.iter().skip(1)).map(|(one, next)| one ^ next);
        let (_, again) = flips.fold((0, 0), |(once, again), flips| (once | flips, again | once & flips));
        // Bits without a number are asked for again while there is hope.
        let stray = if self.splits >= SPLITS_MAX / 2 { again } else { 0 };
        self.mapped = self.kept_bits() | stray;
        self.wants = false;
    }

    /// Removes the parts that turned out to be none, or part of a counter.
    pub(super) fn drop_broken(&mut self, signals: &mut Signals) {
        let (mut fields, mut len) = ([Field::EMPTY; FIELDS_MAX], 0u8);
        let counted = self.counters.mask();
        for field in self.fields.iter().take(usize::from(self.len)) {
            if field.is_broken() || field.bits() & counted != 0 {
                signals.release(field.signal);
            } else if let Some(slot) = fields.get_mut(usize::from(len)) {
                *slot = *field;
                len = len.saturating_add(1);
            }
        }
        if len < self.len {
            self.origin = self.origin.refused();
        }
        (self.fields, self.len) = (fields, len);
        self.suspect = None;
        self.jumped = Jump::NONE;
    }
}
