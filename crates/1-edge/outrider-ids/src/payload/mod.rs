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
mod jump;
mod law;
#[cfg(test)]
mod properties;
mod split;
mod stored;
#[cfg(test)]
mod tests;

pub(crate) use check::{CHECKS_MAX, Check, POLYNOMIALS};
pub(crate) use counter::Counters;
pub(crate) use field::{Field, WIDTH_MAX};
use field::{Move, When};
use gather::Place;
pub(crate) use gather::{Histories, SPLITS_MAX};
use jump::{Jump, NOBODY, Suspect};
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
/// Time after which what fields did for the first time becomes usual, if nobody held it against them, as the power of
/// two of microseconds: at the end of each such stretch, two seconds long.
const HELD_LOG2_US: u32 = 21;
/// Frames without evidence between two alarms that are two.
const QUIET_FRAMES: u8 = 100;

/// Number of the stretch in which a time lies.
fn stretch_of(at_us: u64) -> u8 {
    u8::try_from(at_us >> HELD_LOG2_US & 0xFF).unwrap_or(0)
}

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

/// What the fields of a frame did.
struct Habits {
    worst: Option<Finding>,
    /// What was said of the frame before was a start.
    started: bool,
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
    /// Set if what was said of the frame before turned out to be a start of motion.
    pub(crate) withdrawn: &'a mut bool,
    /// Where payloads are kept until they are taken apart.
    pub(crate) histories: &'a mut Histories,
    /// Numbers that are compared with each other.
    pub(crate) signals: &'a mut Signals,
}

/// Payloads of one identifier; about 300 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Payload {
    last: u64,
    bytes: u8,
    seen: bool,
    evidence: u8,
    suspect: Option<Suspect>,
    jumped: Jump,
    /// Place of the field whose jump was told in the latest frame, [`NOBODY`] for none.
    said: u8,
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
        jumped: Jump::NONE,
        said: NOBODY,
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
        let Context { follows, learns, calibration, histories, novel, withdrawn, signals } = context;
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
        let stretch = stretch_of(at_us);
        if learns && core::mem::replace(&mut self.stretch, stretch) != stretch {
            self.accept(stretch, calibration);
        }
        if learns && self.wants && !self.pending {
            self.gather(at_us, before, now, histories);
        }
        let settled = self.len > 0 && at_us >= self.judged_us;
        let Habits { worst: habit, started } =
            self.habit(at_us, (before, now), learns, settled.then_some(&mut *calibration), novel);
        *withdrawn |= started;
        let conflict =
            if settled && habit.is_none() { self.compare(now, learns, calibration, signals) } else { None };
        match law {
            Some(law) => self.weigh(law),
            None => self.settled(at_us, habit.or(conflict)),
        }
    }

    /// Takes what fields did for the first time as usual, but for what may be an attack's beginning.
    fn accept(&mut self, stretch: u8, calibration: &mut Calibration) {
        self.jumped.pass(stretch, calibration);
        let fields = (0..NOBODY).zip(self.fields.iter_mut().take(usize::from(self.len)));
        fields.filter(|(place, _)| *place != self.jumped.field()).for_each(|(_, field)| field.accept());
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
        let field = self.fields.get(suspect.field())?;
        if suspect.is_over(field.step_last) || suspect.is_old(stretch_of(at_us)) {
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
        self.jumped = Jump::NONE;
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
        (before, now): (u64, u64),
        learns: bool,
        mut calibration: Option<&mut Calibration>,
        novel: &mut bool,
    ) -> Habits {
        if learns && (before ^ now) & !self.mapped != 0 {
            self.grow(before, now);
        }
        let rest = (before ^ now) & !self.mapped;
        let (stretch, jumped) = (stretch_of(at_us), &mut self.jumped);
        let said = core::mem::replace(&mut self.said, NOBODY);
        let (mut worst, mut started): (Option<Finding>, bool) = (None, false);
        let (mut broken, mut noisy) = (false, false);
        for (index, field) in (0..NOBODY).zip(self.fields.iter_mut().take(usize::from(self.len))) {
            let (mut told, mut confirmed) = (None, false);
            field.add(now, rest, learns, |moved| {
                let Some(calibration) = calibration.as_deref_mut() else { return false };
                if said == index && moved.when == When::Before {
                    confirmed = moved.size > 0;
                    started |= !confirmed;
                    return false;
                }
                if moved.size <= moved.usual {
                    if learns {
                        calibration.keep(moved.habit, moved.size, moved.usual);
                    }
                    return false;
                }
                let excess = moved.excess();
                let (surprise, refuses) = jumped.weigh(&moved, (index, stretch), learns, calibration);
                *novel |= excess >= Excess::NOVEL;
                if surprise >= Surprise::HINT {
                    told = Some((moved, surprise, refuses));
                }
                refuses
            });
            if confirmed {
                // Said once, it is known.
                field.forgive();
            }
            noisy |= field.is_noisy();
            broken |= field.may_be_broken();
            let Some((moved, surprise, refused)) = told else { continue };
            if worst.is_some_and(|worst| worst.surprise >= Some(surprise)) {
                continue;
            }
            if moved.habit != Habit::Calm && refused {
                self.suspect = Suspect::of(&moved, (index, stretch), field.step_last);
            }
            if refused && moved.when == When::Waits {
                self.said = index;
            }
            worst = Some(told_of(field, &moved, (surprise, refused)));
        }
        if started {
            self.suspect = None;
        }
        if let Some(calibration) = calibration.filter(|_| learns && noisy) {
            calibration.note(Habit::Calm, Excess::NONE);
        }
        if (broken || rest != 0) && worst.is_none() && learns && !self.wants {
            self.watch_rest(before, now);
        }
        Habits { worst, started }
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
fn told_of(field: &mut Field, moved: &Move, (surprise, refused): (Surprise, bool)) -> Finding {
    let stepped = moved.habit != Habit::Calm;
    let finding = Finding {
        detector: if stepped { Detector::Payload } else { Detector::Stuck },
        alarm: true,
        flagged: refused,
        bit: field.start_bit(),
        bits: field.width,
        expected: if stepped { moved.from } else { moved.usual }.into(),
        observed: if stepped { moved.to } else { field.last }.into(),
        surprise: Some(surprise),
    };
    if refused && moved.when != When::Waits {
        // Said once, it is known.
        field.forgive();
    }
    finding
}
