extern crate std;
use std::vec::Vec;

use super::*;

/// Numbers of one motion, at 50 Hz: a speed that goes up and down, two that follow from it with noise, and one of its
/// own.
struct Motion {
    state: u64,
    frame: u64,
    speed: i64,
}

impl Motion {
    const fn new() -> Self {
        Self { state: 11, frame: 0, speed: 3000 }
    }

    fn noise(&mut self, width: u64) -> i64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        i64::try_from(self.state >> 33).expect("31 bits") % i64::try_from(width).expect("small")
    }

    fn next(&mut self) -> [u32; 4] {
        self.frame += 1;
        let wave = [14, 6, -9, -12, 11, -7, 3, -8];
        self.speed += wave[usize::try_from(self.frame / 90 % 8).expect("below eight")];
        self.speed = self.speed.clamp(500, 9000);
        let raw = |value: i64| u32::try_from(value.clamp(0, 65_535)).expect("clamped");
        let own = 20_000 + (i64::try_from(self.frame % 400).expect("small") - 200).abs() * 40;
        let [a, b, c] = [self.noise(9), self.noise(15), self.noise(40)];
        [raw(self.speed + a), raw(self.speed * 2 + 700 + b), raw(9500 - self.speed + a), raw(own + c)]
    }
}

struct Bench {
    signals: Signals,
    calibration: Calibration,
    motion: Motion,
    at_us: u64,
}

impl Bench {
    fn new() -> Self {
        let mut signals = Signals::new();
        (0..4).for_each(|name| assert_eq!(signals.enroll(16), Some(name)));
        Self { signals, calibration: Calibration::new(), motion: Motion::new(), at_us: 0 }
    }

    /// Lives for some frames; `change` is what an attacker makes of the first number.
    fn live(&mut self, frames: u64, mut change: impl FnMut(u64, u32) -> u32) -> Vec<(u64, u8, Conflict)> {
        let mut found = Vec::new();
        for frame in 0..frames {
            self.at_us += 20_000;
            let mut values = self.motion.next();
            values[0] = change(frame, values[0]);
            for (name, value) in (0u8..).zip(values) {
                let conflict = self.signals.receive(name, value, true, &mut self.calibration);
                found.extend(conflict.map(|conflict| (frame, name, conflict)));
            }
            self.calibration.advance(VehicleMicros(self.at_us), true);
            self.signals.tick(VehicleMicros(self.at_us), true);
        }
        found
    }

    fn learned() -> Self {
        let mut bench = Self::new();
        let found = bench.live(15_000, |_, value| value);
        let alarms = found.iter().filter(|(_, _, conflict)| conflict.surprise >= Surprise::ALARM);
        assert_eq!(alarms.count(), 0, "ordinary motion raises nothing");
        bench
    }
}

fn first_alarm(found: &[(u64, u8, Conflict)]) -> Option<(u64, u8, Habit)> {
    let alarm = found.iter().find(|(_, _, conflict)| conflict.surprise >= Surprise::ALARM);
    alarm.map(|(frame, name, conflict)| (*frame, *name, conflict.habit))
}

#[test]
fn numbers_of_one_motion_find_each_other_and_the_stranger_stays_alone() {
    let bench = Bench::learned();
    let others = |name: usize| {
        bench.signals.signals[name].predictors.iter().filter_map(Predictor::other).collect::<Vec<_>>()
    };
    assert_eq!(others(3), [], "nothing predicts it");
    for name in 0..3 {
        assert_eq!(others(name).len(), 2, "{name}: {:?}", others(name));
        assert!(!others(name).contains(&3));
    }
}

#[test]
fn an_offset_a_drift_and_a_value_held_are_found_at_the_number_that_lies() {
    type Change = fn(u64, u32) -> u32;
    let offset: Change = |_, value| value + 900;
    let drift: Change = |frame, value| value + u32::try_from(frame).expect("small") * 9;
    let held: Change = |_, _| 4100;
    for (what, change) in [("offset", offset), ("drift", drift), ("held", held)] {
        let mut bench = Bench::learned();
        let found = bench.live(600, change);
        let (frame, name, habit) = first_alarm(&found).unwrap_or_else(|| panic!("{what}: {found:?}"));
        assert_eq!((name, habit), (0, Habit::Discord), "{what}");
        assert!(frame < 600, "{what}: {frame}");
    }
}

#[test]
fn a_recording_played_back_is_an_echo_though_it_moves_as_ever() {
    let mut bench = Bench::new();
    let mut recorded = Vec::new();
    bench.live(1500, |_, value| {
        recorded.push(value);
        value
    });
    let found = bench.live(200, |frame, _| recorded[usize::try_from(frame).expect("small") + 900]);
    let echo = found.iter().find(|(_, name, conflict)| {
        *name == 0 && conflict.habit == Habit::Echo && conflict.surprise >= Surprise::ALARM
    });
    assert!(echo.is_some_and(|(frame, _, _)| *frame < 120), "{found:?}");
}

#[test]
fn everything_is_bounded_and_nothing_is_said_of_names_that_are_none() {
    let mut signals = Signals::new();
    let names: Vec<_> = (0..200).map_while(|_| signals.enroll(24)).collect();
    assert_eq!(names.len(), SIGNALS_MAX);
    let mut calibration = Calibration::new();
    assert_eq!(signals.receive(NO_SIGNAL, 1, true, &mut calibration), None);
    for n in 0..300u64 {
        for &name in &names {
            signals.receive(name, u32::MAX, n % 2 == 0, &mut calibration);
            signals.receive(name, 0, n % 3 == 0, &mut calibration);
        }
        signals.tick(VehicleMicros(n * 100_000), true);
    }
    assert!(size_of::<Signals>() <= 32 * 1024, "{}", size_of::<Signals>());
}

#[test]
fn a_name_given_back_is_free_again_and_predicts_nobody() {
    let mut bench = Bench::learned();
    bench.signals.release(0);
    let all = bench.signals.signals.iter().flat_map(|signal| &signal.predictors);
    assert_eq!(all.filter(|predictor| predictor.other() == Some(0)).count(), 0);
    assert_eq!(bench.signals.enroll(16), Some(0));
    assert_eq!(bench.signals.enroll(16), Some(4));
}

#[test]
fn a_start_driven_twice_the_same_way_is_no_echo() {
    let (mut signals, mut calibration) = (Signals::new(), Calibration::new());
    let name = signals.enroll(16).expect("there is room");
    let mut found = Vec::new();
    let mut at_us = 0;
    for drive in 0..20u32 {
        let (mut value, mut speed) = (0u32, 0);
        for frame in 0..100u32 {
            // The first drives differ, the last ones do not.
            speed += 1 + frame * drive.min(12) % 13;
            value += speed;
            found.extend(signals.receive(name, value, true, &mut calibration));
            at_us += 20_000;
            calibration.advance(VehicleMicros(at_us), true);
        }
    }
    assert!(!found.iter().any(|conflict| conflict.surprise >= Surprise::ALARM), "{found:?}");
}
