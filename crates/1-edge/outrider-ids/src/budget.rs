//! How often a detector by habit may raise its voice, and for how long.
//!
//! Three rules, for each of [`Kind::HABITS`] on its own, so that none can use up another's:
//!
//! 1. *Budget:* [`PER_HOUR`] alarms an hour, [`BURST`] at once. What goes beyond is withheld: it becomes low and is
//!    counted, and one event says which detector is over its budget.
//! 2. *First word:* the first alarm of a detector about an identifier in a drive, and a graver one than before, is said
//!    whatever the budget. An attack on an identifier is never hidden by noise elsewhere, nor by noise of its own:
//!    what is withheld is only ever a repetition.
//! 3. *Duty:* a detector whose alarms are open for more than a tenth of the time ([`DUTY_WINDOW_US`]) is demoted: its
//!    open alarms become low, learning goes on, and what it held against the identifiers becomes usual.
//!
//! Detectors by rule and by specification have no budget.

use outrider_bus::can::CanId;
use outrider_types::{Severity, VehicleMicros};

use crate::gates::Kind;

/// Alarms an hour of one detector by habit on one bus, beyond first ones about an identifier.
pub const PER_HOUR: u32 = 1;
/// Alarms at once: an attack that pauses and comes back is said twice (guess).
pub(crate) const BURST: u32 = 2;
/// Time over which the share of time with an open alarm is held, in microseconds: ten minutes, so that an attack of the
/// usual length (recordings: seconds to half a minute) is never cut short, and a detector that is always on is silent
/// before the second reader has looked at it.
pub(crate) const DUTY_WINDOW_US: u64 = 600_000_000;
/// Share of it that may be alarmed, as a divisor: a minute in ten.
pub(crate) const DUTY_DIVISOR: u64 = 10;
/// Alarmed time that is too much, in microseconds.
pub(crate) const DUTY_MAX_US: u64 = DUTY_WINDOW_US / DUTY_DIVISOR;
/// Time that pays for one alarm, in microseconds.
const PRICE_US: u64 = 3_600_000_000 / PER_HOUR as u64;
/// Identifiers whose alarms of a drive are remembered; beyond, every alarm counts as the first and is said.
const SPOKEN_MAX: usize = 128;

/// What one detector has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    /// Alarms said.
    pub alarms: u32,
    /// Alarms withheld: said as low.
    pub withheld: u32,
    /// Alarms that may still be said at once, beyond first ones.
    pub left: u32,
    /// Whether it has used up its budget.
    pub is_over: bool,
    /// Whether it is demoted because it was always on.
    pub is_demoted: bool,
    /// Time with an open alarm, in microseconds.
    pub alarmed_us: u64,
}

/// One detector's account.
#[derive(Debug, Clone, Copy)]
struct Account {
    alarms: u32,
    withheld: u32,
    /// Time that is not paid yet, in microseconds, and when it was counted.
    owed_us: u64,
    owed_at: VehicleMicros,
    /// Number of the episode that says that it is over its budget, or demoted.
    over: Option<u32>,
    demoted: Option<u32>,
    /// Open alarms, and how much of the allowed time they have used.
    open: u16,
    duty_us: u64,
    alarmed_us: u64,
}

impl Account {
    const EMPTY: Self = Self {
        alarms: 0,
        withheld: 0,
        owed_us: 0,
        owed_at: VehicleMicros(0),
        over: None,
        demoted: None,
        open: 0,
        duty_us: 0,
        alarmed_us: 0,
    };

    const fn owed_us(&self, now: VehicleMicros) -> u64 {
        self.owed_us.saturating_sub(now.micros_since(self.owed_at))
    }

    /// Alarms that may be said at once.
    fn left(&self, now: VehicleMicros) -> u32 {
        let used = self.owed_us(now).div_ceil(PRICE_US);
        BURST.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX))
    }

    /// Pays for one alarm. First ones are said on credit, but no more than a burst of it is kept: a storm of them costs
    /// no more than two quiet hours.
    fn pay(&mut self, at: VehicleMicros) {
        let most = PRICE_US.saturating_mul(BURST.into());
        self.owed_us = self.owed_us(at).saturating_add(PRICE_US).min(most);
        self.owed_at = at;
    }
}

/// What was said of one identifier in this drive: two bits a detector, its gravest severity above low.
#[derive(Debug, Clone, Copy)]
struct Spoken {
    id: Option<CanId>,
    gravest: u16,
}

/// Accounts of all detectors by habit of one bus.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    accounts: [Account; Kind::BUDGETED],
    spoken: [Spoken; SPOKEN_MAX],
    spoken_len: usize,
    /// Up to when duty is counted.
    counted: VehicleMicros,
}

/// What becomes of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is said.
    Said,
    /// It becomes low.
    Withheld,
    /// It becomes low, and it is the first that does: say why.
    WithheldFirst,
}

/// What changed in an account with time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It has alarms to say again; the number of the episode that said that it had not.
    Recovered(u32),
    /// It was always on: demote it.
    Demote,
    /// It was quiet for long enough; the number of the episode that said that it was demoted.
    Promoted(u32),
}

/// Severity above low in two bits, so that a graver alarm is told from one more of the same.
const fn gravity(severity: Severity) -> u16 {
    match severity {
        Severity::Info | Severity::Low => 0,
        Severity::Medium => 1,
        Severity::High => 2,
        Severity::Critical => 3,
    }
}

impl Budget {
    pub(crate) const fn new() -> Self {
        Self {
            accounts: [Account::EMPTY; Kind::BUDGETED],
            spoken: [Spoken { id: None, gravest: 0 }; SPOKEN_MAX],
            spoken_len: 0,
            counted: VehicleMicros(0),
        }
    }

    /// Begins a new drive: every first alarm is one again.
    pub(crate) const fn begin_drive(&mut self) {
        self.spoken_len = 0;
    }

    /// Takes an alarm above low that is not open yet, or not so grave.
    pub(crate) fn admit(
        &mut self,
        at: VehicleMicros,
        kind: Kind,
        id: Option<CanId>,
        severity: Severity,
    ) -> Admission {
        let Some(index) = kind.budgeted() else { return Admission::Said };
        let is_first = self.is_first(index, id, severity);
        let Some(account) = self.accounts.get_mut(index) else { return Admission::Said };
        let is_demoted = account.demoted.is_some();
        if is_first || account.left(at) > 0 && !is_demoted {
            account.pay(at);
            account.alarms = account.alarms.saturating_add(1);
            return Admission::Said;
        }
        account.withheld = account.withheld.saturating_add(1);
        if account.over.is_none() && !is_demoted { Admission::WithheldFirst } else { Admission::Withheld }
    }

    /// Notes an alarm, and returns whether it is the first so grave about its identifier in this drive.
    fn is_first(&mut self, index: usize, id: Option<CanId>, severity: Severity) -> bool {
        let shift = u32::try_from(index).unwrap_or(0).saturating_mul(2);
        let gravity = gravity(severity);
        let place =
            self.spoken.get(..self.spoken_len).unwrap_or(&[]).iter().position(|spoken| spoken.id == id);
        let Some(spoken) = self.spoken.get_mut(place.unwrap_or(self.spoken_len)) else { return true };
        if place.is_none() {
            *spoken = Spoken { id, gravest: 0 };
            self.spoken_len = self.spoken_len.saturating_add(1);
        }
        let before = spoken.gravest.checked_shr(shift).unwrap_or(0) & 3;
        if gravity <= before {
            return false;
        }
        spoken.gravest &= !3u16.checked_shl(shift).unwrap_or(0);
        spoken.gravest |= gravity.checked_shl(shift).unwrap_or(0);
        true
    }

    /// Notes the number of the episode that says that a detector is over its budget or demoted.
    pub(crate) const fn noted(&mut self, kind: Kind, demoted: bool, number: u32) {
        let Some(index) = kind.budgeted() else { return };
        let Some((_, rest)) = self.accounts.split_at_mut_checked(index) else { return };
        let Some(account) = rest.first_mut() else { return };
        if demoted {
            account.demoted = Some(number);
        } else {
            account.over = Some(number);
        }
    }

    /// Returns whether a detector is demoted.
    pub(crate) fn is_demoted(&self, kind: Kind) -> bool {
        let account = kind.budgeted().and_then(|index| self.accounts.get(index));
        account.is_some_and(|account| account.demoted.is_some())
    }

    /// Notes that an alarm of a kind opened or ended.
    #[inline]
    pub(crate) fn opened(&mut self, at: VehicleMicros, kind: Kind, is_open: bool) {
        let Some(index) = kind.budgeted() else { return };
        self.count(at);
        if let Some(account) = self.accounts.get_mut(index) {
            account.open =
                if is_open { account.open.saturating_add(1) } else { account.open.saturating_sub(1) };
        }
    }

    /// Counts alarmed time up to now.
    fn count(&mut self, now: VehicleMicros) {
        let past_us = now.micros_since(self.counted);
        self.counted = self.counted.max(now);
        for account in &mut self.accounts {
            account.duty_us = account.duty_us.saturating_sub(past_us / DUTY_DIVISOR);
            if account.open > 0 {
                account.duty_us = account.duty_us.saturating_add(past_us).min(DUTY_MAX_US);
                account.alarmed_us = account.alarmed_us.saturating_add(past_us);
            }
        }
    }

    /// Lets time pass and returns one thing that changed; call it until there is none. O(detectors).
    pub(crate) fn tick(&mut self, now: VehicleMicros) -> Option<(Kind, Turn)> {
        if now > self.counted {
            self.count(now);
        }
        for (kind, account) in Kind::HABITS.into_iter().zip(&mut self.accounts) {
            if account.open > 0 && account.duty_us >= DUTY_MAX_US {
                return Some((kind, Turn::Demote));
            }
            // Half way down: a detector at the edge does not come and go.
            if account.duty_us <= DUTY_MAX_US / 2
                && let Some(number) = account.demoted.take()
            {
                return Some((kind, Turn::Promoted(number)));
            }
            if account.left(now) > 0
                && let Some(number) = account.over.take()
            {
                return Some((kind, Turn::Recovered(number)));
            }
        }
        None
    }

    /// Returns what each detector has used, in the order of [`Kind::HABITS`].
    pub(crate) fn used(&self, now: VehicleMicros) -> [Used; Kind::BUDGETED] {
        self.accounts.map(|account| Used {
            alarms: account.alarms,
            withheld: account.withheld,
            left: account.left(now),
            is_over: account.over.is_some(),
            is_demoted: account.demoted.is_some(),
            alarmed_us: account.alarmed_us,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    const HOUR: u64 = 3600 * SECOND;

    fn id(value: u32) -> Option<CanId> {
        CanId::standard(value)
    }

    fn admit(budget: &mut Budget, at: u64, kind: Kind, value: u32) -> Admission {
        budget.admit(VehicleMicros(at), kind, id(value), Severity::Medium)
    }

    #[test]
    fn repetitions_beyond_the_budget_are_withheld_and_an_hour_gives_one_more() {
        let mut budget = Budget::new();
        let said: [_; 4] = core::array::from_fn(|_| admit(&mut budget, SECOND, Kind::Payload, 1));
        use Admission::{Said, Withheld, WithheldFirst};
        assert_eq!(said, [Said, Said, WithheldFirst, WithheldFirst], "the first word, and one more");
        budget.noted(Kind::Payload, false, 7);
        assert_eq!(admit(&mut budget, 2 * SECOND, Kind::Payload, 1), Withheld);
        assert_eq!(budget.tick(VehicleMicros(HOUR / 2)), None);
        assert_eq!(budget.tick(VehicleMicros(HOUR + 2 * SECOND)), Some((Kind::Payload, Turn::Recovered(7))));
        assert_eq!(admit(&mut budget, HOUR + 2 * SECOND, Kind::Payload, 1), Said);
        let used = budget.used(VehicleMicros(HOUR + 2 * SECOND))[1];
        assert_eq!((used.alarms, used.withheld, used.left), (3, 3, 0));
    }

    #[test]
    fn the_first_alarm_about_an_identifier_and_a_graver_one_are_said_whatever_the_budget() {
        let mut budget = Budget::new();
        admit(&mut budget, SECOND, Kind::Stuck, 0);
        admit(&mut budget, SECOND, Kind::Stuck, 0);
        for value in 1..100 {
            assert_eq!(admit(&mut budget, SECOND, Kind::Stuck, value), Admission::Said, "{value}");
            assert_ne!(admit(&mut budget, SECOND, Kind::Stuck, 0), Admission::Said, "said before");
        }
        let graver = budget.admit(VehicleMicros(SECOND), Kind::Stuck, id(0), Severity::High);
        assert_eq!(graver, Admission::Said);
        assert_ne!(budget.admit(VehicleMicros(SECOND), Kind::Stuck, id(0), Severity::High), Admission::Said);
        budget.begin_drive();
        assert_eq!(admit(&mut budget, SECOND, Kind::Stuck, 0), Admission::Said, "another drive");
    }

    #[test]
    fn more_identifiers_than_are_remembered_are_all_said() {
        let mut budget = Budget::new();
        let many = u32::try_from(SPOKEN_MAX).expect("small") * 2;
        for round in 0..2 {
            for value in 0..many {
                let admission = admit(&mut budget, SECOND, Kind::Stuck, value);
                let remembered = value < many / 2;
                assert_eq!(admission == Admission::Said, round == 0 || !remembered, "{value}");
            }
        }
    }

    #[test]
    fn one_detector_cannot_use_up_the_budget_of_another_and_rules_have_none() {
        let mut budget = Budget::new();
        // Identifier 1 was spoken of by every detector, so that no first word helps it.
        for kind in Kind::HABITS {
            admit(&mut budget, 0, kind, 1);
        }
        let later = 10 * HOUR;
        for _ in 0..1000 {
            admit(&mut budget, later, Kind::Payload, 1);
        }
        assert_ne!(admit(&mut budget, later, Kind::Payload, 1), Admission::Said);
        for kind in Kind::HABITS.into_iter().filter(|kind| *kind != Kind::Payload) {
            assert_eq!(admit(&mut budget, later, kind, 1), Admission::Said, "{kind:?}");
        }
        for kind in [Kind::Flood, Kind::UnknownId, Kind::Checksum, Kind::Segment, Kind::Cycle, Kind::Silence]
        {
            assert!((0..1000).all(|_| admit(&mut budget, later, kind, 1) == Admission::Said), "{kind:?}");
        }
    }

    #[test]
    fn a_detector_that_is_always_on_is_demoted_and_comes_back_when_it_was_quiet() {
        let mut budget = Budget::new();
        budget.opened(VehicleMicros(0), Kind::Masquerade, true);
        let demoted = (1..=600).find(|n| budget.tick(VehicleMicros(n * SECOND)).is_some());
        // Nine tenths of a second a second, up to a minute.
        assert_eq!(demoted, Some(67));
        assert_eq!(budget.tick(VehicleMicros(67 * SECOND)), Some((Kind::Masquerade, Turn::Demote)));
        budget.noted(Kind::Masquerade, true, 3);
        budget.opened(VehicleMicros(67 * SECOND), Kind::Masquerade, false);
        assert_eq!(budget.tick(VehicleMicros(300 * SECOND)), None);
        let back = (300..900).find_map(|n| budget.tick(VehicleMicros(n * SECOND)));
        assert_eq!(back, Some((Kind::Masquerade, Turn::Promoted(3))));
    }

    #[test]
    fn attacks_of_the_usual_length_are_never_demoted() {
        let mut budget = Budget::new();
        // Half a minute, every ten minutes, for a day.
        for turn in 0..144u64 {
            let at = turn * 600;
            budget.opened(VehicleMicros(at * SECOND), Kind::Stuck, true);
            for second in 0..30 {
                assert_eq!(budget.tick(VehicleMicros((at + second) * SECOND)), None);
            }
            budget.opened(VehicleMicros((at + 30) * SECOND), Kind::Stuck, false);
            assert_eq!(budget.tick(VehicleMicros((at + 599) * SECOND)), None);
        }
    }
}
