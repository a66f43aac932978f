//! Payloads out of a vehicle model, and into one.
//!
//! What a model says is not believed at once: another software release may send the same identifier with another
//! layout, and its numbers would look like attacks for as long as it drives. So the first frames are a trial, which
//! neither teaches nor judges. An identifier that fails it is learned on the road like any other, and is counted.

use outrider_bus::can::CanId;

use super::check::Sum;
use super::field::{FALLS, RISES};
use super::{CHECKS_MAX, Check, Counters, FIELDS_MAX, Field, Payload, Signals};
use crate::model::habits::{CRC, CheckHabit, FieldHabit, NIBBLES, PayloadHabit};

/// Frames of the trial: below a tenth of a second for what matters most, a second for slow ones.
const TRIAL_FRAMES: u8 = 8;
/// Frames that do not fit, of these, with which the trial is lost; a value that jumps there and back makes two.
const ODD_MAX: u8 = 3;
/// Frames of another length in a row after which the length is another one. Single ones do not make a payload that is
/// known forget everything.
const LENGTHS_MAX: u8 = 8;
/// Steps this many times larger than usual do not fit.
const ODD_FACTOR: u32 = 4;

/// Where the parts of a payload come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Its own frames.
    Road,
    /// A model, which is not believed yet: frames of the trial that are left, and those that did not fit.
    Trial { left: u8, odd: u8 },
    /// A model; frames of another length since the latest of this one.
    Model { strange: u8 },
    /// Its own frames, since what the model says did not fit.
    Refused,
}

impl Origin {
    pub(super) const fn is_trial(self) -> bool {
        matches!(self, Self::Trial { .. })
    }

    /// Notes a frame of another length and returns whether all that is known is of no use.
    pub(super) const fn strange(&mut self) -> bool {
        match self {
            Self::Road | Self::Refused => true,
            Self::Trial { left, odd } => {
                *left = left.saturating_sub(1);
                *odd = odd.saturating_add(1);
                *odd >= ODD_MAX
            }
            Self::Model { strange } => {
                *strange = strange.saturating_add(1);
                *strange >= LENGTHS_MAX
            }
        }
    }

    /// Notes a frame of the right length.
    #[inline]
    pub(super) const fn usual(&mut self) {
        if let Self::Model { strange } = self {
            *strange = 0;
        }
    }

    /// Returns what it is once the parts did not fit.
    pub(super) const fn refused(self) -> Self {
        match self {
            Self::Road => Self::Road,
            Self::Trial { .. } | Self::Model { .. } | Self::Refused => Self::Refused,
        }
    }
}

impl Payload {
    /// Returns what a model says of the payload, or `None` if nothing is known of it.
    pub(crate) fn stored(&self, id: CanId) -> Option<PayloadHabit> {
        let (mut fields, mut checks) = ([None; FIELDS_MAX], [None; CHECKS_MAX]);
        let known = self.fields.iter().take(usize::from(self.len));
        fields.iter_mut().zip(known).for_each(|(slot, field)| *slot = Some(field.stored()));
        let known = self.checks.iter().flatten();
        checks.iter_mut().zip(known).for_each(|(slot, check)| *slot = Some(stored_check(check)));
        let habit = PayloadHabit {
            id,
            bytes: self.bytes,
            counters: self.counters.lanes(),
            checked: self.checked,
            wants: self.wants,
            check_proofs: self.check_proofs,
            splits: self.splits,
            varied: self.varied,
            mapped: self.mapped,
            fields,
            checks,
        };
        let says = self.len > 0 || self.counters.mask() != 0 || self.check_bits() != 0;
        (says && !self.origin.is_trial() && habit.is_consistent()).then_some(habit)
    }

    /// Creates a payload of what a model says, on trial.
    pub(crate) fn of_model(habit: &PayloadHabit) -> Self {
        let mut payload = Self {
            bytes: habit.bytes,
            checked: habit.checked,
            wants: habit.wants,
            check_proofs: habit.check_proofs,
            splits: habit.splits,
            varied: habit.varied,
            mapped: habit.mapped,
            counters: habit.counters.map_or(Counters::EMPTY, Counters::of_lanes),
            origin: Origin::Trial { left: TRIAL_FRAMES, odd: 0 },
            ..Self::EMPTY
        };
        for (slot, field) in payload.fields.iter_mut().zip(habit.fields.iter().flatten()) {
            *slot = Field::of_model(field);
            payload.len = payload.len.saturating_add(1);
        }
        for (slot, check) in payload.checks.iter_mut().zip(habit.checks.iter().flatten()) {
            *slot = Some(check_of(check, habit.bytes));
        }
        payload
    }

    /// Returns where its parts come from.
    pub(crate) const fn origin(&self) -> Origin {
        self.origin
    }

    /// Gives one of its numbers the name under which it is compared; returns whether there is such a number.
    pub(crate) fn enlist(&mut self, place: u8, name: u8) -> bool {
        let field = self.fields.get_mut(usize::from(place)).filter(|_| place < self.len);
        field.map(|field| field.signal = name).is_some()
    }

    /// Returns the names of its numbers, by their places.
    pub(crate) fn names(&self) -> impl Iterator<Item = (u8, u8)> + '_ {
        (0..u8::MAX).zip(self.fields.iter().take(usize::from(self.len)).map(|field| field.signal))
    }

    /// Forgets the latest payload, so that the next is not compared with it; what was learned stays.
    pub(crate) const fn part(&mut self) {
        self.seen = false;
    }

    /// Takes the first payload, with which the next is compared.
    pub(super) fn begin(&mut self, now: u64) {
        self.last = now;
        self.seen = true;
        self.fields.iter_mut().take(usize::from(self.len)).for_each(|field| field.pass(now));
    }

    /// Holds a frame of the trial against the model: one that does not fit neither teaches nor is an attack's yet.
    pub(super) fn try_model(&mut self, before: u64, now: u64, follows: bool) {
        let Origin::Trial { left, odd } = self.origin else { return };
        let fields = self.fields.iter().take(usize::from(self.len));
        let jumps = crate::count_of(fields.filter(|field| field.is_far(now, ODD_FACTOR))) > 0;
        let checks = || self.checks.iter().flatten();
        let unchecked = checks().next().is_some() && !checks().any(|check| check.holds(now, self.bytes));
        let miscounts = follows && self.counters.check(before, now).is_some();
        let odd = odd.saturating_add(u8::from(jumps || unchecked || miscounts));
        self.fields.iter_mut().take(usize::from(self.len)).for_each(|field| field.pass(now));
        let left = left.saturating_sub(1);
        self.origin = match (odd >= ODD_MAX, left) {
            (true, _) => Origin::Refused,
            (false, 0) => Origin::Model { strange: 0 },
            (false, _) => Origin::Trial { left, odd },
        };
    }

    /// Forgets what does not fit and learns the payload anew.
    pub(super) fn learn_anew(&mut self, now: u64, bytes: u8, signals: &mut Signals) {
        self.retire_names(signals);
        *self = Self { last: now, bytes, seen: true, origin: self.origin.refused(), ..Self::EMPTY };
    }
}

impl Field {
    fn stored(&self) -> FieldHabit {
        let seen = self.frames > 0;
        FieldHabit {
            shift: self.shift,
            width: self.width,
            reach: self.reach,
            little: self.little,
            rough: self.rough,
            rises: self.ways & RISES != 0,
            falls: self.ways & FALLS != 0,
            low: if seen { self.low } else { 0 },
            high: self.high,
            step_max: self.step_max,
            travel: self.travel,
            run_max: self.run_max,
            moves: self.moves,
            frames: self.frames,
        }
    }

    fn of_model(habit: &FieldHabit) -> Self {
        let mut field = Self::new(habit.shift, habit.width, habit.little);
        if habit.frames > 0 {
            (field.low, field.high) = (habit.low, habit.high);
        }
        (field.reach, field.rough) = (habit.reach, habit.rough);
        field.ways = if habit.rises { RISES } else { 0 } | if habit.falls { FALLS } else { 0 };
        (field.step_max, field.travel, field.run_max) = (habit.step_max, habit.travel, habit.run_max);
        (field.moves, field.frames) = (habit.moves, habit.frames);
        field
    }
}

fn stored_check(check: &Check) -> CheckHabit {
    let kind = match check.sum {
        Sum::Xor => 0,
        Sum::Add => 1,
        Sum::Negative => 2,
        Sum::Nibbles => NIBBLES,
        Sum::Crc(which) => CRC.saturating_add(which),
    };
    CheckHabit { kind, byte: check.byte, mask: check.mask, constant: check.constant }
}

const fn check_of(habit: &CheckHabit, bytes: u8) -> Check {
    let sum = match habit.kind {
        0 => Sum::Xor,
        1 => Sum::Add,
        2 => Sum::Negative,
        NIBBLES => Sum::Nibbles,
        _ => Sum::Crc(habit.kind.saturating_sub(CRC)),
    };
    Check { sum, byte: habit.byte, mask: habit.mask, constant: habit.constant, bytes }
}
