//! Bytes of one direction of a connection, put in order.
//!
//! A ring holds what was handed out last and what came too early. **First wins:** a byte that is there is never
//! replaced; another one for its place is a conflict. Offsets are differences of sequence numbers, so that their
//! wrapping does not show.

/// Bytes of the ring, a power of two (guess: nearly three full segments, of which a path seldom reorders two).
pub(super) const WINDOW_BYTES: usize = 4096;
/// A byte may come this much too early and is kept; the rest of the ring holds what repeats are compared with.
pub(super) const AHEAD_MAX: u32 = 3072;
/// A segment further back than this is no late repeat but another connection (guess: larger than windows of ECUs).
const BEHIND_MAX: u32 = 1 << 20;
/// Bits of one word of the map of early bytes.
const WORD_BITS: usize = 32;
/// Mask of a place in the ring.
const PLACE: usize = WINDOW_BYTES - 1;

/// Where a segment lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It begins at the next byte, or before it: what was new has been handed out.
    Next,
    /// It is behind a hole and was kept.
    Early,
    /// Nothing of it is new.
    Repeat,
    /// It fits neither what was there nor what may be kept, and was not taken.
    Elsewhere,
}

/// What became of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) place: Place,
    /// A byte was not the one that had been there.
    pub(super) conflict: bool,
}

/// Bytes in order, and early ones.
#[derive(Debug, Clone)]
pub(super) struct Window {
    ring: [u8; WINDOW_BYTES],
    /// Which bytes behind the next one are there already.
    early: [u32; WINDOW_BYTES / WORD_BITS],
    next: u32,
    /// End of the furthest early byte, counted from the next byte.
    ahead: u32,
    /// Bytes in front of the next one that were handed out and are in the ring, unless early ones took their places.
    kept: u32,
}

/// Difference of two sequence numbers as a distance forwards or backwards.
const fn distance(from: u32, to: u32) -> (u32, bool) {
    let ahead = to.wrapping_sub(from);
    if ahead <= u32::MAX >> 1 { (ahead, true) } else { (from.wrapping_sub(to), false) }
}

fn count(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Window {
    pub(super) const EMPTY: Self =
        Self { ring: [0; WINDOW_BYTES], early: [0; WINDOW_BYTES / WORD_BITS], next: 0, ahead: 0, kept: 0 };

    /// Begins anew at a sequence number.
    pub(super) fn begin(&mut self, next: u32) {
        self.early = [0; WINDOW_BYTES / WORD_BITS];
        (self.next, self.ahead, self.kept) = (next, 0, 0);
    }

    /// Returns the sequence number of the next byte.
    pub(super) const fn next(&self) -> u32 {
        self.next
    }

    /// Returns whether bytes wait behind a hole.
    pub(super) const fn waits(&self) -> bool {
        self.ahead > 0
    }

    /// Returns whether a segment that begins here is one of this direction, as far as can be told.
    pub(super) const fn has(&self, sequence: u32) -> bool {
        let (by, is_ahead) = distance(self.next, sequence);
        if is_ahead { by <= AHEAD_MAX } else { by <= BEHIND_MAX }
    }

    /// Returns whether a segment that begins here would be handed out, or is a repeat.
    pub(super) const fn is_due(&self, sequence: u32) -> bool {
        let (by, is_ahead) = distance(self.next, sequence);
        if is_ahead { by == 0 } else { by <= BEHIND_MAX }
    }

    /// Takes a segment and hands out what is in order now; work in proportion to its length.
    pub(super) fn take(&mut self, sequence: u32, payload: &[u8], deliver: &mut impl FnMut(&[u8])) -> Taken {
        let (by, is_ahead) = distance(self.next, sequence);
        if is_ahead && by > 0 {
            if by.saturating_add(count(payload)) > AHEAD_MAX {
                return Taken { place: Place::Elsewhere, conflict: false };
            }
            return Taken { place: Place::Early, conflict: self.keep(sequence, payload) };
        }
        if by > BEHIND_MAX {
            return Taken { place: Place::Elsewhere, conflict: false };
        }
        let (old, fresh) = payload.split_at(size(by).min(payload.len()));
        let mut conflict = self.differs(sequence, old);
        if fresh.is_empty() {
            return Taken { place: Place::Repeat, conflict };
        }
        let mut rest = fresh;
        if self.ahead > 0 {
            let (covered, _) = fresh.split_at(size(self.ahead).min(fresh.len()));
            conflict |= self.keep(self.next, covered);
            let run = self.release(deliver);
            rest = fresh.get(size(run)..).unwrap_or(&[]);
        }
        if !rest.is_empty() {
            deliver(rest);
            self.append(rest);
        }
        Taken { place: Place::Next, conflict }
    }

    /// Gives the hole up as far as the first early byte, but not beyond `limit`; hands out what is in order then.
    pub(super) fn give_up(&mut self, limit: Option<u32>, deliver: &mut impl FnMut(&[u8])) {
        let first = (0..self.ahead).find(|&offset| self.is_early(self.next.wrapping_add(offset)));
        let known = limit.map(|limit| limit.wrapping_sub(self.next));
        let Some(by) = first.map_or(known, |first| Some(known.map_or(first, |known| known.min(first))))
        else {
            return;
        };
        self.next = self.next.wrapping_add(by);
        self.ahead = self.ahead.saturating_sub(by);
        self.kept = 0;
        self.release(deliver);
    }

    fn place(sequence: u32) -> (usize, u32) {
        let place = size(sequence) & PLACE;
        (place / WORD_BITS, 1u32.rotate_left(sequence & 31))
    }

    fn is_early(&self, sequence: u32) -> bool {
        let (word, bit) = Self::place(sequence);
        self.early.get(word).is_some_and(|word| word & bit != 0)
    }

    fn byte(&self, sequence: u32) -> Option<u8> {
        self.ring.get(size(sequence) & PLACE).copied()
    }

    /// Keeps bytes that are not in order yet and returns whether one of them was there and different.
    fn keep(&mut self, sequence: u32, bytes: &[u8]) -> bool {
        let mut at = sequence;
        let mut conflict = false;
        for &byte in bytes {
            let (word, bit) = Self::place(at);
            if self.is_early(at) {
                conflict |= self.byte(at) != Some(byte);
            } else if let (Some(slot), Some(word)) =
                (self.ring.get_mut(size(at) & PLACE), self.early.get_mut(word))
            {
                *slot = byte;
                *word |= bit;
            }
            at = at.wrapping_add(1);
        }
        self.ahead = self.ahead.max(at.wrapping_sub(self.next));
        conflict
    }

    /// Hands out early bytes that are in order now and returns how many.
    fn release(&mut self, deliver: &mut impl FnMut(&[u8])) -> u32 {
        let mut released = 0u32;
        loop {
            let start = size(self.next) & PLACE;
            let mut end = start;
            while end < WINDOW_BYTES && self.clear(self.next) {
                self.next = self.next.wrapping_add(1);
                end = end.saturating_add(1);
            }
            let Some(run) = self.ring.get(start..end).filter(|run| !run.is_empty()) else { break };
            deliver(run);
            released = released.saturating_add(count(run));
        }
        self.ahead = self.ahead.saturating_sub(released);
        self.kept = self.kept.saturating_add(released).min(count(&self.ring));
        released
    }

    /// Takes the mark of an early byte away and returns whether it was there.
    fn clear(&mut self, sequence: u32) -> bool {
        let (word, bit) = Self::place(sequence);
        let Some(word) = self.early.get_mut(word) else { return false };
        let was = *word & bit != 0;
        *word &= !bit;
        was
    }

    /// Notes bytes that were handed out; nothing waits.
    fn append(&mut self, bytes: &[u8]) {
        let end = self.next.wrapping_add(count(bytes));
        let last = bytes.get(bytes.len().saturating_sub(WINDOW_BYTES)..).unwrap_or(bytes);
        let start = size(end.wrapping_sub(count(last))) & PLACE;
        let (front, back) = last.split_at(WINDOW_BYTES.saturating_sub(start).min(last.len()));
        for (at, part) in [(start, front), (0, back)] {
            if let Some(slots) = self.ring.get_mut(at..at.saturating_add(part.len())) {
                slots.copy_from_slice(part);
            }
        }
        self.next = end;
        self.kept = self.kept.saturating_add(count(bytes)).min(count(&self.ring));
    }

    /// Returns whether bytes differ from those that were handed out in their place, as far as these are still there.
    fn differs(&self, sequence: u32, bytes: &[u8]) -> bool {
        let there = self.kept.min(count(&self.ring).saturating_sub(self.ahead));
        let mut at = sequence;
        bytes.iter().any(|&byte| {
            let is_there = self.next.wrapping_sub(at) <= there;
            let differs = is_there && self.byte(at) != Some(byte);
            at = at.wrapping_add(1);
            differs
        })
    }
}
