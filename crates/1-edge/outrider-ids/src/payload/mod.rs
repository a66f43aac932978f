//! Payloads of one identifier: what their parts are, and whether a frame keeps to them.
//!
//! The first payloads, taken apart in time, are kept and split: counters, a checksum, numbers that move smoothly.
//! From then on each frame is held against them. Counters and checksums are laws: two breaches are an attack.
//! How a number moves is habit: what it never did before is held against what the whole bus does for the first time
//! ([`crate::calibrate`]).

mod check;
mod counter;
mod field;
mod gather;
mod law;
#[cfg(test)]
mod properties;
mod split;
mod stored;
#[cfg(test)]
mod tests;

pub(crate) use check::{CHECKS_MAX, Check, POLYNOMIALS};
pub(crate) use counter::Counters;
use field::Move;
pub(crate) use field::{Field, WIDTH_MAX};
use gather::Place;
pub(crate) use gather::{Histories, SPLITS_MAX};
pub(crate) use split::FIELDS_MAX;
pub(crate) use stored::Origin;

use crate::calibrate::{Calibration, Excess, Habit, Surprise};
use crate::judgement::Detector;
use crate::signals::{NO_SIGNAL, Signals};

/// Time after a payload was split before its habits are held against it, in microseconds: nearly everything that a
/// number does in its first seconds, it does for the first time.
const SETTLE_US: u64 = 3_000_000;
/// Times that a law is broken, with peace between, after which it is none.
const LAW_ALARMS_MAX: u8 = 3;
/// Frames with new values, not only another count, that must keep a checksum before one that does not is held
/// against it.
const CHECK_PROOFS: u8 = 16;
/// Evidence that is an attack: two wrong checksums, or three counts missed in a row.
const ALARM: u8 = 6;
/// Evidence of a wrong checksum, and of a count missed (ECUs that restart a message miss one or two).
const LAW: u8 = 5;
const COUNT: u8 = 2;
/// Time after a jump during which its field is suspect, if it does not jump back, in microseconds (published attacks
/// last up to half a minute).
const SUSPECT_US: u64 = 20_000_000;
/// Time after which what fields did for the first time becomes usual, if nobody held it against them, as the power of
/// two of microseconds: at the end of each such stretch, two seconds long.
const HELD_LOG2_US: u32 = 21;
/// Frames within which a large step follows another in a storm: no ECU replaces a value for so short a time …
const STORM_FRAMES: u8 = 4;
/// … and frames without one after which it is over.
const STORM_OVER_FRAMES: u8 = 8;
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
    /// How unlikely it is by chance; `None` for a law.
    pub(crate) surprise: Option<Surprise>,
}

/// In what circumstances a frame came.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// No frame was lost before it, and it was not an extra one.
    pub(crate) follows: bool,
    /// What it does may become usual.
    pub(crate) learns: bool,
    /// What this bus does for the first time now and then.
    pub(crate) calibration: &'a mut Calibration,
    /// Set if the identifier does something markedly beyond what it did before, though perhaps not beyond what
    /// identifiers of this bus do.
    pub(crate) novel: &'a mut bool,
    /// Where payloads are kept until they are taken apart.
    pub(crate) histories: &'a mut Histories,
    /// Numbers that are compared with each other.
    pub(crate) signals: &'a mut Signals,
}

/// A field that an attacker may speak through, since it jumped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Suspect {
    field: u8,
    /// The latest large step, as it was, and the frames since, held at 255.
    rises: bool,
    size: u32,
    frames: u8,
    /// Large steps follow each other: values without any order.
    storms: bool,
    until_us: u64,
}

impl Suspect {
    /// Takes the next step of the field and returns whether it says again what its own sender does: it went back after a
    /// while, or the storm is over.
    fn is_over(&mut self, step: i32) -> bool {
        self.frames = self.frames.saturating_add(1);
        if step.unsigned_abs() < self.size / 2 {
            return self.storms && self.frames >= STORM_OVER_FRAMES;
        }
        let rises = step > 0;
        let soon = self.frames <= STORM_FRAMES;
        let back = rises != self.rises && !soon && !self.storms;
        (self.rises, self.frames, self.storms) = (rises, 0, self.storms || soon);
        back
    }
}

/// Payloads of one identifier; about 300 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payload {
    last: u64,
    bytes: u8,
    seen: bool,
    evidence: u8,
    suspect: Option<Suspect>,
    unmapped: u8,
    splits: u8,
    /// Enough was gathered to split.
    pending: bool,
    /// Checksums were looked for.
    checked: bool,
    law_alarms: u8,
    check_proofs: u8,
    /// Bytes that moved while the checksum held: what follows from one other byte alone is that byte said twice.
    varied: u8,
    /// Bits that belong to a part that is known, or to one that moves without any order.
    mapped: u64,
    counters: Counters,
    checks: [Option<Check>; CHECKS_MAX],
    /// Frames without evidence since the latest alarm.
    quiet_frames: u8,
    /// Parts that are numbers, and from when on their habits are judged.
    fields: [Field; FIELDS_MAX],
    len: u8,
    judged_us: u64,
    /// Number of the stretch in which the latest frame came; what was new in one before is usual.
    stretch: u8,
    /// The payload is to be taken apart, and where it is kept meanwhile.
    wants: bool,
    place: Option<Place>,
    origin: Origin,
}

impl Payload {
    pub(crate) const EMPTY: Self = Self {
        last: 0,
        bytes: 0,
        seen: false,
        evidence: 0,
        suspect: None,
        unmapped: 0,
        splits: 0,
        pending: false,
        checked: false,
        law_alarms: 0,
        check_proofs: 0,
        varied: 0,
        mapped: 0,
        counters: Counters::EMPTY,
        checks: [None; CHECKS_MAX],
        quiet_frames: QUIET_FRAMES,
        fields: [Field::EMPTY; FIELDS_MAX],
        len: 0,
        judged_us: 0,
        stretch: 0,
        wants: true,
        place: None,
        origin: Origin::Road,
    };

    /// Returns the first eight bytes as one number, most significant first.
    #[inline]
    pub(crate) fn word(data: &[u8]) -> u64 {
        if let Some(bytes) = data.first_chunk() {
            return u64::from_be_bytes(*bytes);
        }
        let mut bytes = [0u8; 8];
        for (slot, byte) in bytes.iter_mut().zip(data) {
            *slot = *byte;
        }
        u64::from_be_bytes(bytes)
    }

    /// Takes the payload of the next frame.
    #[inline]
    pub(crate) fn receive(&mut self, at_us: u64, data: &[u8], context: Context<'_>) -> Option<Finding> {
        let Context { follows, learns, calibration, histories, novel, signals } = context;
        let now = Self::word(data);
        let bytes = u8::try_from(data.len()).unwrap_or(u8::MAX);
        let before = core::mem::replace(&mut self.last, now);
        if bytes != self.bytes {
            // Variants by length are rare; each begins anew rather than being compared with another.
            self.last = before;
            if self.origin.strange() {
                self.place.into_iter().for_each(|place| histories.give_back(place));
                self.learn_anew(now, bytes, signals);
            }
            return None;
        }
        if !self.seen {
            self.begin(now);
            return None;
        }
        self.origin.usual();
        if self.origin.is_trial() {
            self.try_model(before, now, follows);
            if self.origin == Origin::Refused {
                self.learn_anew(now, bytes, signals);
            }
            return None;
        }
        // A clock that was set back must not keep the habits from being judged until it has caught up.
        self.judged_us = self.judged_us.min(at_us.saturating_add(SETTLE_US));
        let counts = self.counters.is_ready();
        let law = self.law(before, now, follows, learns);
        if self.counters.is_ready() != counts {
            // A slow counter proves itself after its payload was taken apart.
            self.drop_broken(signals);
        }
        let stretch = u8::try_from(at_us >> HELD_LOG2_US & 0xFF).unwrap_or(0);
        if learns && core::mem::replace(&mut self.stretch, stretch) != stretch {
            self.fields.iter_mut().take(usize::from(self.len)).for_each(Field::accept);
        }
        if learns && self.wants && !self.pending {
            self.gather(at_us, before, now, histories);
        }
        let settled = self.len > 0 && at_us >= self.judged_us;
        let habit = self.habit(at_us, before, now, learns, settled.then_some(calibration), novel);
        let conflict =
            if settled && habit.is_none() { self.compare(now, learns, calibration, signals) } else { None };
        match law {
            Some(law) => self.weigh(law),
            None => self.settled(at_us, habit.or(conflict)),
        }
    }

    /// Takes the payload of a frame that neither teaches nor breaks a habit, as while ECUs boot; only its checksum is
    /// judged. What comes next is compared with it.
    pub(crate) fn pass(&mut self, data: &[u8]) -> Option<Finding> {
        let now = Self::word(data);
        if !self.seen || self.origin.is_trial() || u8::try_from(data.len()) != Ok(self.bytes) {
            return None;
        }
        let before = core::mem::replace(&mut self.last, now);
        self.fields.iter_mut().take(usize::from(self.len)).for_each(|field| field.pass(now));
        let law = self.law(before, now, false, false)?;
        self.weigh(law)
    }

    /// Adds up the evidence against a law.
    fn weigh(&mut self, finding: Finding) -> Option<Finding> {
        let weight = if finding.detector == Detector::Counter { COUNT } else { LAW };
        self.evidence = self.evidence.saturating_add(weight).min(ALARM.saturating_mul(2));
        let alarm = self.evidence >= ALARM;
        if alarm {
            self.law_alarms = self.law_alarms.saturating_add(u8::from(self.quiet_frames >= QUIET_FRAMES));
            self.quiet_frames = 0;
            if self.law_alarms > LAW_ALARMS_MAX {
                self.retire(finding.detector);
                return None;
            }
        }
        Some(Finding { alarm, flagged: true, ..finding })
    }

    /// Takes a frame that keeps to the laws, and what is held against its habits.
    fn settled(&mut self, at_us: u64, habit: Option<Finding>) -> Option<Finding> {
        self.evidence = self.evidence.saturating_sub(1);
        self.quiet_frames = self.quiet_frames.saturating_add(1);
        habit.or_else(|| self.still_suspect(at_us))
    }

    /// A field that jumped and has not come back is still what the attacker says.
    fn still_suspect(&mut self, at_us: u64) -> Option<Finding> {
        let suspect = self.suspect.as_mut()?;
        let field = self.fields.get(usize::from(suspect.field))?;
        if suspect.is_over(field.step_last) || at_us >= suspect.until_us {
            self.suspect = None;
            return None;
        }
        Some(Finding {
            detector: Detector::Payload,
            alarm: false,
            flagged: true,
            bit: 0,
            bits: 0,
            expected: 0,
            observed: 0,
            surprise: None,
        })
    }

    /// Takes what was held against the identifier as usual after all: many others did the same at once.
    pub(crate) fn forgive(&mut self, signals: &mut Signals) {
        self.evidence = 0;
        self.suspect = None;
        self.widen();
        let fields = self.fields.iter().take(usize::from(self.len));
        fields.for_each(|field| signals.forgive(field.signal));
    }

    /// Lets the fields do again what was held against them.
    fn widen(&mut self) {
        self.fields.iter_mut().take(usize::from(self.len)).for_each(Field::forgive);
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

    /// Holds the fields against their habits; without a calibration, whatever they do becomes usual.
    fn habit(
        &mut self,
        at_us: u64,
        before: u64,
        now: u64,
        learns: bool,
        mut calibration: Option<&mut Calibration>,
        novel: &mut bool,
    ) -> Option<Finding> {
        if learns && (before ^ now) & !self.mapped != 0 {
            self.grow(before, now);
        }
        let mut worst: Option<Finding> = None;
        let (mut broken, mut noisy) = (false, false);
        for (index, field) in (0u8..).zip(self.fields.iter_mut().take(usize::from(self.len))) {
            let (last, mut told) = (field.last, None);
            field.add(now, learns, |moved| {
                let Some(calibration) = calibration.as_deref_mut() else { return false };
                if moved.size <= moved.usual {
                    if learns {
                        calibration.keep(moved.habit, moved.size, moved.usual);
                    }
                    return false;
                }
                let excess = moved.excess();
                let (surprise, refuses) = calibration.weigh(moved.habit, excess, learns);
                *novel |= excess >= Excess::NOVEL;
                if surprise >= Surprise::HINT {
                    told = Some((moved, surprise, refuses));
                }
                refuses
            });
            noisy |= field.is_noisy();
            broken |= field.may_be_broken();
            let Some((moved, surprise, refused)) = told else { continue };
            if worst.is_some_and(|worst| worst.surprise >= Some(surprise)) {
                continue;
            }
            if moved.habit != Habit::Calm && refused {
                let until_us = at_us.saturating_add(SUSPECT_US);
                let (rises, size) = (field.last > last, field.last.abs_diff(last));
                self.suspect =
                    Some(Suspect { field: index, rises, size, frames: 0, storms: false, until_us });
            }
            worst = Some(told_of(field, last, &moved, (surprise, refused)));
        }
        if let Some(calibration) = calibration.filter(|_| learns && noisy) {
            calibration.note(Habit::Calm, Excess::NONE);
        }
        let rest = (before ^ now) & !self.mapped != 0;
        if (broken || rest) && worst.is_none() && learns && !self.wants {
            self.watch_rest(before, now);
        }
        worst
    }

    /// Lets the fields take in the bits above that they carry into.
    #[inline(never)]
    fn grow(&mut self, before: u64, now: u64) {
        for field in self.fields.iter_mut().take(usize::from(self.len)) {
            if (before ^ now) & !self.mapped == 0 {
                return;
            }
            field.grow(before, now, self.mapped);
            self.mapped |= field.bits();
        }
    }

    /// Holds the numbers against those of other payloads, and against what they said before.
    fn compare(
        &mut self,
        now: u64,
        learns: bool,
        calibration: &mut Calibration,
        signals: &mut Signals,
    ) -> Option<Finding> {
        let mut worst: Option<Finding> = None;
        let fields = self.fields.iter().take(usize::from(self.len));
        for field in fields.filter(|field| field.signal != NO_SIGNAL) {
            let observed = field.value(now);
            if field.is_none(observed) {
                continue;
            }
            let Some(conflict) = signals.receive(field.signal, observed, learns, calibration) else {
                continue;
            };
            if worst.is_some_and(|worst| worst.surprise >= Some(conflict.surprise)) {
                continue;
            }
            let echo = conflict.habit == Habit::Echo;
            worst = Some(Finding {
                detector: if echo { Detector::Playback } else { Detector::Masquerade },
                alarm: true,
                flagged: conflict.alarm,
                bit: field.start_bit(),
                bits: field.width,
                expected: conflict.expected.into(),
                observed: observed.into(),
                surprise: Some(conflict.surprise),
            });
        }
        worst
    }

    /// Takes its numbers out of those that are compared.
    fn retire_names(&self, signals: &mut Signals) {
        let fields = self.fields.iter().take(usize::from(self.len));
        fields.for_each(|field| signals.release(field.signal));
    }

    /// Takes its numbers among those that are compared with each other.
    pub(crate) fn enroll(&mut self, signals: &mut Signals) {
        for field in self.fields.iter_mut().take(usize::from(self.len)) {
            if field.signal == NO_SIGNAL
                && let Some(bits) = field.comparable_bits()
            {
                field.signal = signals.enroll(bits).unwrap_or(NO_SIGNAL);
            }
        }
    }

    /// Bits of every explanation of the checksum.
    fn check_bits(&self) -> u64 {
        self.checks.iter().flatten().fold(0, |bits, check| bits | check.bits())
    }
}

/// What is said of a field that moved in a way that it never did.
#[cold]
#[inline(never)]
fn told_of(field: &mut Field, last: u32, moved: &Move, (surprise, refused): (Surprise, bool)) -> Finding {
    let stepped = moved.habit != Habit::Calm;
    let finding = Finding {
        detector: if stepped { Detector::Payload } else { Detector::Stuck },
        alarm: true,
        flagged: refused,
        bit: field.start_bit(),
        bits: field.width,
        expected: if stepped { last } else { moved.usual }.into(),
        observed: field.last.into(),
        surprise: Some(surprise),
    };
    if refused {
        // Said once, it is known.
        field.forgive();
    }
    finding
}
