//! When the next certificate is due: a state machine over the monotonic clock.

use outrider_types::{Seed, UnixMicros, VehicleMicros};

use super::clock::{Belief, Validity, belief};

/// First look after the start: not in the storm of a fleet that wakes up (guess).
const FIRST_US: u64 = 60_000_000;
/// Looks at a clock that is believed cost nothing.
const LOOK_US: u64 = 3_600_000_000;
/// A CA is asked for the time once a week of running if the clock is not believed.
const ASK_US: u64 = 7 * 24 * 3_600_000_000;
/// Waits after failures: from ten minutes, doubled, to a day.
const RETRY_US: (u64, u64) = (600_000_000, 24 * 3_600_000_000);

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet.
    Wait,
    /// Fetch the next certificate.
    Renew,
    /// The clock is not believed: ask the CA for the time, and renew if by that time it is due.
    Ask,
}

/// Decides when to renew.
#[derive(Debug, Clone)]
pub struct Renewal {
    own: Validity,
    jitter_ppm: u64,
    next: VehicleMicros,
    retry_us: u64,
    seed: Seed,
}

impl Renewal {
    /// Starts at a boot with the certificate that is there. `seed` differs between vehicles.
    #[must_use]
    pub fn new(own: Validity, mut seed: Seed, now: VehicleMicros) -> Self {
        let jitter_ppm = seed.next_u64() % 50_000;
        let first = FIRST_US + seed.next_u64() % FIRST_US;
        Self { own, jitter_ppm, next: now.saturating_add(first), retry_us: RETRY_US.0, seed }
    }

    /// Returns when the next certificate is due: at two thirds of this one's validity, and up to a twentieth of it
    /// later, so that vehicles that were made in one week do not come in one hour.
    #[must_use]
    pub fn due_at(&self) -> UnixMicros {
        let length = self.own.not_after.micros_since(self.own.not_before).max(0);
        let jitter = i64::try_from(self.jitter_ppm).unwrap_or(0).saturating_mul(length / 1_000_000);
        self.own.not_before.saturating_add(length / 3 * 2).saturating_add(jitter)
    }

    /// Says what to do now; after anything but [`Step::Wait`] comes [`Self::done`] or [`Self::failed`].
    pub fn tick(&mut self, now: VehicleMicros, wall: UnixMicros) -> Step {
        if now < self.next {
            return Step::Wait;
        }
        self.next = now.saturating_add(LOOK_US);
        match belief(wall, Some(self.own)) {
            Belief::Believed if wall < self.due_at() => Step::Wait,
            Belief::Believed => Step::Renew,
            Belief::TooEarly | Belief::TooLate => Step::Ask,
        }
    }

    /// Notes that the CA has answered: with a new certificate, or with a time at which none is due.
    pub fn done(&mut self, own: Validity, now: VehicleMicros, wall: UnixMicros) {
        self.own = own;
        self.retry_us = RETRY_US.0;
        // Whatever the clock says then, the CA is not asked again at once.
        let pause = if belief(wall, Some(own)) == Belief::Believed { LOOK_US } else { ASK_US };
        self.next = now.saturating_add(pause);
    }

    /// Notes that there was no answer, or no certificate in it; the old one goes on.
    pub fn failed(&mut self, now: VehicleMicros) {
        let wait = self.retry_us + self.seed.next_u64() % self.retry_us;
        self.next = now.saturating_add(wait);
        self.retry_us = (self.retry_us * 2).min(RETRY_US.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000_000;

    fn own() -> Validity {
        Validity { not_before: UnixMicros(20_000 * DAY), not_after: UnixMicros(20_365 * DAY) }
    }

    fn at(seconds: u64) -> VehicleMicros {
        VehicleMicros(seconds * 1_000_000)
    }

    /// Times at which something is asked for in some days of running, looking every ten minutes.
    fn asked(
        renewal: &mut Renewal,
        wall: impl Fn(u64) -> UnixMicros,
        days: u64,
        answer: bool,
    ) -> Vec<(u64, Step)> {
        let mut steps = Vec::new();
        for turn in 0..days * 144 {
            let now = at(turn * 600);
            match renewal.tick(now, wall(turn)) {
                Step::Wait => {}
                step @ (Step::Renew | Step::Ask) => {
                    steps.push((turn / 144, step));
                    if answer { renewal.done(own(), now, wall(turn)) } else { renewal.failed(now) }
                }
            }
        }
        steps
    }

    #[test]
    fn nothing_is_asked_for_before_two_thirds_and_vehicles_differ() {
        let mut due = Vec::new();
        for seed in 0..50 {
            let renewal = Renewal::new(own(), Seed::new(seed), at(0));
            let day = renewal.due_at().micros_since(own().not_before) / DAY;
            assert!((243..=261).contains(&day), "day {day}");
            due.push(renewal.due_at());
        }
        due.dedup();
        assert_eq!(due.len(), 50);
        let mut renewal = Renewal::new(own(), Seed::new(1), at(0));
        let wall = |_| UnixMicros(20_100 * DAY);
        assert_eq!(asked(&mut renewal, wall, 3, true), []);
    }

    #[test]
    fn a_ca_that_is_away_is_asked_ever_less_often_and_never_forgotten() {
        let mut renewal = Renewal::new(own(), Seed::new(1), at(0));
        let steps = asked(&mut renewal, |_| UnixMicros(20_300 * DAY), 30, false);
        assert!(steps.iter().all(|(_, step)| *step == Step::Renew));
        assert!((15..60).contains(&steps.len()), "{}", steps.len());
        let last: Vec<_> = steps.iter().rev().take(2).map(|(day, _)| *day).collect();
        assert!(last[0] - last[1] >= 1 && last[0] >= 28, "{last:?}");
    }

    #[test]
    fn a_clock_at_1970_or_2099_asks_for_the_time_once_a_week_and_not_more() {
        for wall in [UnixMicros(0), UnixMicros(47_000 * DAY)] {
            let mut renewal = Renewal::new(own(), Seed::new(1), at(0));
            let steps = asked(&mut renewal, |_| wall, 28, true);
            let days: Vec<_> = steps.iter().map(|(day, _)| *day).collect();
            assert_eq!(days, [0, 7, 14, 21], "{wall:?}");
            assert!(steps.iter().all(|(_, step)| *step == Step::Ask));
        }
    }
}
