//! Health of a configuration on trial: a pure judgement of counts and time.

use outrider_types::VehicleMicros;

use super::pointer::ReturnReason;

/// Time for which a configuration must do no harm: detectors have seen each periodic message of a vehicle many times.
pub const TRIAL_US: u64 = 60 * 1_000_000;
/// Time within which the cloud must have answered (guess: a tunnel, a car park). The order came over the same link.
const LINK_US: u64 = 15 * 60 * 1_000_000;
/// Longest time between two turns of the program: an exchange with a cloud that does not answer takes a minute.
const GAP_US: u64 = 90 * 1_000_000;
/// Times as many events as before that are taken for a mistake of the configuration.
pub const RATE_FACTOR: u64 = 10;
/// Events that are never too many in a trial: what a new model has to say at first (guess).
pub const RATE_ALLOWANCE: u64 = 200;

/// Counts of the vehicle since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Observations that came to the gateway.
    pub events: u64,
    /// Answers of the cloud with its signature.
    pub answers: u64,
}

/// What is to be done with what is on trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Too early to say.
    Waiting,
    /// Healthy but for an answer of the cloud.
    Quiet,
    /// Good.
    Good,
    /// To be taken back.
    Bad(ReturnReason),
}

/// A trial that runs in this process.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    begun: VehicleMicros,
    turned: VehicleMicros,
    before: Counts,
    usual_per_hour: u64,
}

impl Trial {
    /// Begins when the configuration was put to use.
    #[must_use]
    pub const fn begin(now: VehicleMicros, before: Counts, usual_per_hour: u64) -> Self {
        Self { begun: now, turned: now, before, usual_per_hour }
    }

    /// Judges at a turn of the program.
    pub fn turn(&mut self, now: VehicleMicros, counts: Counts) -> Health {
        let gap = now.micros_since(self.turned);
        self.turned = now;
        if gap > GAP_US {
            return Health::Bad(ReturnReason::Watchdog);
        }
        let lasted = now.micros_since(self.begun);
        let events = counts.events.saturating_sub(self.before.events);
        let hours_of = |us: u64| u128::from(self.usual_per_hour) * u128::from(us) / 3_600_000_000;
        let usual = u64::try_from(hours_of(lasted)).unwrap_or(u64::MAX);
        if events > RATE_ALLOWANCE.saturating_add(usual.saturating_mul(RATE_FACTOR)) {
            return Health::Bad(ReturnReason::EventRate);
        }
        if lasted < TRIAL_US {
            return Health::Waiting;
        }
        if counts.answers > self.before.answers {
            return Health::Good;
        }
        if lasted >= LINK_US { Health::Bad(ReturnReason::UplinkSilent) } else { Health::Quiet }
    }

    /// Returns when it began.
    #[must_use]
    pub const fn begun(&self) -> VehicleMicros {
        self.begun
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> VehicleMicros {
        VehicleMicros(seconds * 1_000_000)
    }

    fn run(to: u64, events: u64, answers: u64) -> Health {
        let mut trial = Trial::begin(at(100), Counts { events: 50, answers: 7 }, 3600);
        let counts = Counts { events: 50 + events, answers: 7 + answers };
        for second in 100..100 + to {
            if let Health::Bad(reason) = trial.turn(at(second), counts) {
                return Health::Bad(reason);
            }
        }
        trial.turn(at(100 + to), counts)
    }

    #[test]
    fn good_is_a_minute_without_harm_and_an_answer() {
        assert_eq!(run(59, 0, 1), Health::Waiting);
        assert_eq!(run(60, 0, 1), Health::Good);
        assert_eq!(run(60, 0, 0), Health::Quiet);
        assert_eq!(run(899, 0, 0), Health::Quiet);
        assert_eq!(run(900, 0, 0), Health::Bad(ReturnReason::UplinkSilent));
    }

    #[test]
    fn ten_times_the_usual_rate_and_the_allowance_are_the_limit() {
        assert_eq!(run(60, RATE_ALLOWANCE, 1), Health::Good);
        // At the very begin nothing is usual yet, so one more than the allowance is too much.
        assert_eq!(run(60, RATE_ALLOWANCE + 1, 1), Health::Bad(ReturnReason::EventRate));
    }

    #[test]
    fn a_program_that_stood_still_is_not_healthy() {
        let mut trial = Trial::begin(at(0), Counts::default(), 0);
        assert_eq!(trial.turn(at(90), Counts { events: 0, answers: 1 }), Health::Good);
        let mut trial = Trial::begin(at(0), Counts::default(), 0);
        assert_eq!(trial.turn(at(91), Counts { events: 0, answers: 1 }), Health::Bad(ReturnReason::Watchdog));
    }
}
