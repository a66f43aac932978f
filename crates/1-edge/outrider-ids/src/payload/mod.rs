//! Payloads of one identifier: what their parts are, and whether a frame keeps to them.
//!
//! The first payloads, taken apart in time, are kept and split: counters, a checksum, numbers that move smoothly.
//! From then on each frame is held against them. Counters and checksums are laws: two breaches are an attack.
//! How a number moves is habit: a step far beyond every step so far, or noise that is gone, is evidence that adds up.

mod check;
mod counter;
mod field;
mod split;
#[cfg(test)]
mod tests;

pub(crate) use check::{CHECKS_MAX, Check};
pub(crate) use counter::Counters;
pub(crate) use field::Field;
pub(crate) use split::FIELDS_MAX;

use field::Move;
use split::split;

use crate::judgement::Detector;

/// Payloads that are kept to be split.
const HISTORY: usize = 32;
/// Shortest time between two of them while checksums are looked for, in microseconds: two seconds in all.
const CHECK_GAP_US: u64 = 60_000;
/// The same while numbers are looked for: eight seconds in all, so that slow ones have moved.
const HISTORY_GAP_US: u64 = 240_000;
/// Time after a payload was split before its habits are held against it, in microseconds.
const SETTLE_US: u64 = 5_000_000;
/// Times that a law is broken, with peace between, after which it is none.
const LAW_ALARMS_MAX: u8 = 3;
/// Frames with a move in bits that belong to no field, after which the payload is split anew.
const UNMAPPED_MAX: u8 = 24;
/// Frames with new values, not only another count, that must keep a checksum before one that does not is held
/// against it.
const CHECK_PROOFS: u8 = 16;
/// Times that a payload is split anew; one that never fits has no order.
const SPLITS_MAX: u8 = 8;
/// Evidence that is an attack: two wrong checksums, three counts missed in a row, or one jump.
const ALARM: u8 = 6;
/// Evidence of a wrong checksum, of a count missed (ECUs that restart a message miss one or two), of a large step
/// and of a jump.
const LAW: u8 = 5;
const COUNT: u8 = 2;
const LARGE: u8 = 3;
const JUMP: u8 = 6;
/// Frames after a jump during which its field is suspect, if it does not jump back.
const SUSPECT_FRAMES: u16 = 300;
/// Alarms by habit after which what was held against an identifier becomes usual: said once, it is known.
const HABIT_ALARMS_MAX: u8 = 0;
/// Frames without evidence between two alarms that are two.
const QUIET_FRAMES: u8 = 100;

/// Why a payload is held against its identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) detector: Detector,
    /// Enough to say it aloud.
    pub(crate) alarm: bool,
    /// Whether the frame itself is held to be an attacker's.
    pub(crate) flagged: bool,
    /// First bit as in a DBC file, and width; 0 bits if it is about the whole payload.
    pub(crate) bit: u8,
    pub(crate) bits: u8,
    pub(crate) expected: u64,
    pub(crate) observed: u64,
}

/// In what circumstances a frame came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    /// No frame was lost before it, and it was not an extra one.
    pub(crate) follows: bool,
    /// What it does may become usual.
    pub(crate) learns: bool,
    /// Habits are held against it; before, everything is habit.
    pub(crate) judges: bool,
}

#[derive(Debug, Clone, Copy)]
enum Layout {
    /// Payloads so far, and when the latest was kept.
    Gathering { history: [u64; HISTORY], len: u8, kept_us: u64 },
    /// Fields.
    Known { fields: [Field; FIELDS_MAX], len: u8, since_us: u64 },
}

/// Payloads of one identifier; about 300 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payload {
    last: u64,
    bytes: u8,
    seen: bool,
    evidence: u8,
    /// Detector of the latest evidence that made an alarm, for the frames that follow.
    suspect: Option<Detector>,
    suspect_frames: u16,
    unmapped: u8,
    splits: u8,
    /// Enough was gathered to split.
    pending: bool,
    /// Checksums were looked for.
    checked: bool,
    law_alarms: u8,
    check_proofs: u8,
    /// Bits that belong to a part that is known, or to one that moves without any order.
    mapped: u64,
    counters: Counters,
    checks: [Option<Check>; CHECKS_MAX],
    habit_alarms: u8,
    /// Frames without evidence since the latest alarm by habit.
    quiet_frames: u8,
    layout: Layout,
}

impl Payload {
    pub(crate) const EMPTY: Self = Self {
        last: 0,
        bytes: 0,
        seen: false,
        evidence: 0,
        suspect: None,
        suspect_frames: 0,
        unmapped: 0,
        splits: 0,
        pending: false,
        checked: false,
        law_alarms: 0,
        check_proofs: 0,
        mapped: 0,
        counters: Counters::EMPTY,
        checks: [None; CHECKS_MAX],
        habit_alarms: 0,
        quiet_frames: QUIET_FRAMES,
        layout: Layout::Gathering { history: [0; HISTORY], len: 0, kept_us: 0 },
    };

    /// Returns the first eight bytes as one number, most significant first.
    #[inline]
    pub(crate) fn word(data: &[u8]) -> u64 {
        let mut bytes = [0u8; 8];
        for (slot, byte) in bytes.iter_mut().zip(data) {
            *slot = *byte;
        }
        u64::from_be_bytes(bytes)
    }

    /// Takes the payload of the next frame.
    #[inline]
    pub(crate) fn receive(&mut self, at_us: u64, data: &[u8], context: Context) -> Option<Finding> {
        let Context { follows, learns, judges } = context;
        let now = Self::word(data);
        let bytes = u8::try_from(data.len()).unwrap_or(u8::MAX);
        let before = core::mem::replace(&mut self.last, now);
        if bytes != self.bytes || !self.seen {
            // Variants by length are rare; each begins anew rather than being compared with another.
            self.seen = true;
            if self.bytes != bytes {
                *self = Self { last: now, bytes, seen: true, ..Self::EMPTY };
            }
            return None;
        }
        let law = self.law(before, now, follows, learns);
        let habit = match &mut self.layout {
            Layout::Gathering { .. } => {
                if learns {
                    self.gather(at_us, now);
                }
                None
            }
            Layout::Known { since_us, .. } => {
                let judges = judges && at_us.saturating_sub(*since_us) >= SETTLE_US;
                self.habit(before, now, learns, judges)
            }
        };
        self.weigh(law, habit)
    }

    /// Takes the payload of a frame that neither teaches nor breaks a habit, as while ECUs boot; only its checksum is
    /// judged. What comes next is compared with it.
    pub(crate) fn pass(&mut self, data: &[u8]) -> Option<Finding> {
        let now = Self::word(data);
        if !self.seen || u8::try_from(data.len()) != Ok(self.bytes) {
            return None;
        }
        let before = core::mem::replace(&mut self.last, now);
        if let Layout::Known { fields, len, .. } = &mut self.layout {
            fields.iter_mut().take(usize::from(*len)).for_each(|field| field.pass(now));
        }
        let law = self.law(before, now, false, false);
        law.and_then(|law| self.weigh(Some(law), None))
    }

    /// Adds up the evidence of one frame.
    fn weigh(&mut self, law: Option<Finding>, habit: Option<(Finding, u8)>) -> Option<Finding> {
        let (finding, weight) = match (law, habit) {
            (Some(law), _) => (law, if law.detector == Detector::Counter { COUNT } else { LAW }),
            (None, Some(habit)) => habit,
            (None, None) => {
                self.evidence = self.evidence.saturating_sub(1);
                self.quiet_frames = self.quiet_frames.saturating_add(1);
                return self.still_suspect();
            }
        };
        self.evidence = self.evidence.saturating_add(weight).min(ALARM.saturating_mul(2));
        let alarm = self.evidence >= ALARM;
        if alarm {
            let back = self.suspect == Some(Detector::Payload) && finding.detector == Detector::Payload;
            let jumped = finding.detector == Detector::Payload && weight == JUMP;
            self.suspect = if jumped && !back { Some(Detector::Payload) } else { None };
            self.suspect_frames = SUSPECT_FRAMES;
            let anew = u8::from(self.quiet_frames >= QUIET_FRAMES);
            if weight == LAW || weight == COUNT {
                self.law_alarms = self.law_alarms.saturating_add(anew);
                self.quiet_frames = 0;
                if self.law_alarms > LAW_ALARMS_MAX {
                    self.retire(finding.detector);
                    return None;
                }
            } else {
                self.habit_alarms = self.habit_alarms.saturating_add(anew);
                self.quiet_frames = 0;
                if self.habit_alarms > HABIT_ALARMS_MAX {
                    self.widen();
                }
            }
        }
        Some(Finding { alarm, flagged: alarm || weight > LARGE || weight == COUNT, ..finding })
    }

    /// A field that jumped and has not come back is still what the attacker says.
    fn still_suspect(&mut self) -> Option<Finding> {
        let detector = self.suspect?;
        self.suspect_frames = self.suspect_frames.saturating_sub(1);
        if self.suspect_frames == 0 {
            self.suspect = None;
        }
        Some(Finding { detector, alarm: false, flagged: true, bit: 0, bits: 0, expected: 0, observed: 0 })
    }

    /// Takes what was held against the identifier as usual after all: many others did the same at once.
    pub(crate) fn forgive(&mut self) {
        self.evidence = 0;
        self.suspect = None;
        self.widen();
    }

    /// Lets the fields do again what was held against them.
    fn widen(&mut self) {
        if let Layout::Known { fields, len, .. } = &mut self.layout {
            fields.iter_mut().take(usize::from(*len)).for_each(Field::forgive);
        }
    }

    /// Gives up a law that is broken again and again: it was chance.
    fn retire(&mut self, law: Detector) {
        self.evidence = 0;
        self.suspect = None;
        self.law_alarms = 0;
        if law == Detector::Counter {
            self.counters.exclude(u64::MAX);
        } else {
            self.checks = [None; CHECKS_MAX];
        }
    }

    /// Checks counter and checksum.
    fn law(&mut self, before: u64, now: u64, follows: bool, learns: bool) -> Option<Finding> {
        if follows && !self.counters.is_ready() && learns {
            self.counters.learn(before, now);
        }
        let found = |detector, expected, observed| {
            Some(Finding { detector, alarm: false, flagged: true, bit: 0, bits: 0, expected, observed })
        };
        if let Some((expected, observed)) = self.checksum(before, now) {
            return found(Detector::Checksum, expected.into(), observed.into());
        }
        if !follows {
            return None;
        }
        let (expected, observed) = self.counters.check(before, now)?;
        found(Detector::Counter, expected, observed)
    }

    /// Returns the checksum expected and observed if it is wrong.
    fn checksum(&mut self, before: u64, now: u64) -> Option<(u8, u8)> {
        let bytes = self.bytes;
        let first = self.checks.iter().flatten().next().copied()?;
        if self.checks.iter().flatten().any(|check| check.holds(now, bytes)) {
            // Of several explanations, those that no longer explain are gone.
            for slot in &mut self.checks {
                *slot = slot.filter(|check| check.holds(now, bytes));
            }
            if (before ^ now) & !(self.counters.mask() | first.bits()) != 0 {
                self.check_proofs = self.check_proofs.saturating_add(1);
            }
            return None;
        }
        if self.check_proofs < CHECK_PROOFS {
            // It was chance, or too little moved to tell.
            self.checks = [None; CHECKS_MAX];
            self.check_proofs = 0;
            return None;
        }
        Some(first.expected(now))
    }

    /// Holds the fields against their habits.
    fn habit(&mut self, before: u64, now: u64, learns: bool, judges: bool) -> Option<(Finding, u8)> {
        let Layout::Known { fields, len, .. } = &mut self.layout else { return None };
        let mut worst: Option<(Finding, u8)> = None;
        for field in fields.iter_mut().take(usize::from(*len)) {
            if learns && (before ^ now) & !self.mapped != 0 {
                field.grow(before, now, self.mapped);
                self.mapped |= field.bits();
            }
            let (last, limit) = (field.last, field.jump_limit());
            let moved = field.add(now, learns);
            if !judges {
                field.forgive();
                continue;
            }
            let (detector, weight, expected) = match moved {
                Move::Usual => continue,
                Move::Large => (Detector::Payload, LARGE, last),
                Move::Jump => (Detector::Payload, JUMP, last),
                Move::Calm => (Detector::Stuck, JUMP, limit),
            };
            if worst.is_none_or(|(_, other)| other < weight) {
                let finding = Finding {
                    detector,
                    alarm: false,
                    flagged: true,
                    bit: field.start_bit(),
                    bits: field.width,
                    expected: expected.into(),
                    observed: field.last.into(),
                };
                worst = Some((finding, weight));
            }
        }
        let broken = fields.iter().take(usize::from(*len)).any(Field::is_broken);
        if worst.is_none() && learns && (broken || (before ^ now) & !self.mapped != 0) {
            self.unmapped = self.unmapped.saturating_add(1);
            if self.unmapped >= UNMAPPED_MAX && self.splits < SPLITS_MAX {
                self.splits = self.splits.saturating_add(1);
                // The payload does what it did not do while it was split: split it again.
                self.layout = Self::EMPTY.layout;
                self.unmapped = 0;
            }
        }
        worst
    }

    /// Bits of every explanation of the checksum.
    fn check_bits(&self) -> u64 {
        self.checks.iter().flatten().fold(0, |bits, check| bits | check.bits())
    }

    fn gather(&mut self, at_us: u64, now: u64) {
        let Layout::Gathering { history, len, kept_us } = &mut self.layout else { return };
        if self.pending {
            return;
        }
        let spacing = if self.checked { HISTORY_GAP_US } else { CHECK_GAP_US };
        if *len > 0 && at_us.saturating_sub(*kept_us) < spacing {
            return;
        }
        let Some(slot) = history.get_mut(usize::from(*len)) else { return };
        *slot = now;
        *kept_us = at_us;
        *len = len.saturating_add(1);
        if usize::from(*len) < HISTORY {
            return;
        }
        if self.counters.is_ready() {
            self.pending = true;
        } else {
            history.rotate_left(HISTORY / 2);
            *len = len.saturating_sub(u8::try_from(HISTORY / 2).unwrap_or(0));
        }
    }

    /// Splits the payload if enough of it was gathered and returns whether it did; a few microseconds of work, which
    /// is why no frame waits for it.
    pub(crate) fn settle(&mut self, at_us: u64) -> bool {
        let Layout::Gathering { history, .. } = &self.layout else { return false };
        if !self.pending {
            return false;
        }
        self.pending = false;
        let history = *history;
        self.arrange(at_us, &history);
        true
    }

    fn arrange(&mut self, at_us: u64, history: &[u64; HISTORY]) {
        let now = self.last;
        if !self.checked {
            self.checked = true;
            self.checks = Check::find(history, self.bytes);
            self.check_proofs = 0;
            self.counters.exclude(self.check_bits());
            self.layout = Self::EMPTY.layout;
            return;
        }
        let taken = self.counters.mask() | self.check_bits();
        let moved = history.iter().fold(0, |moved, payload| moved | (payload ^ now));
        if moved == 0 {
            // Constant so far: go on waiting, nothing can be split.
            self.layout = Self::EMPTY.layout;
            return;
        }
        let (fields, count) = split(history, self.bytes, taken);
        let bits = fields.iter().take(count).fold(0, |bits, field| bits | field.bits());
        self.mapped = taken | moved | bits;
        self.layout = Layout::Known { fields, len: u8::try_from(count).unwrap_or(0), since_us: at_us };
    }
}
