extern crate std;
mod jumps;

use std::vec::Vec;

use outrider_bus::can::CanId;
use outrider_types::VehicleMicros;

use super::law::changed_bytes;
use super::split::split;
use super::*;

/// A payload of a bus whose calibration has seen a quiet minute.
struct Bench {
    payload: Payload,
    calibration: Calibration,
    histories: Histories,
    signals: Signals,
}

impl Bench {
    fn new() -> Self {
        Self {
            payload: Payload::EMPTY,
            calibration: Calibration::new(),
            histories: Histories::new(),
            signals: Signals::new(),
        }
    }

    fn receive(&mut self, at_us: u64, data: &[u8]) -> Option<Finding> {
        let Self { payload, calibration, histories, signals } = self;
        let (mut novel, mut withdrawn) = (false, false);
        let (novel, withdrawn) = (&mut novel, &mut withdrawn);
        let context =
            Context { follows: true, learns: true, calibration, novel, withdrawn, histories, signals };
        let finding = payload.receive(at_us, data, context);
        payload.settle(at_us, histories, signals);
        calibration.advance(VehicleMicros(at_us), true);
        finding
    }
}

/// Payloads of a frame with a counter, a sum and a number that wanders with noise, one every 20 ms.
struct Sender {
    state: u64,
    count: u64,
    value: i64,
}

impl Sender {
    fn new() -> Self {
        Self { state: 7, count: 0, value: 30_000 }
    }

    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.state >> 33
    }

    fn value(&mut self) -> u16 {
        // Up and down like a speed, with noise.
        let slope = if (self.count / 150).is_multiple_of(2) { 9 } else { -9 };
        let step = i64::try_from(self.random() % 23).expect("small") - 11 + slope;
        self.value = (self.value + step).clamp(28_000, 36_000);
        u16::try_from(self.value).expect("clamped")
    }

    fn seal(&mut self, value: u16) -> [u8; 8] {
        let [high, low] = value.to_be_bytes();
        let mut data = [0x12, high, low, 0, 0, 0x40, u8::try_from(self.count & 15).expect("a nibble"), 0];
        data[7] = data.iter().fold(0x21, |sum: u8, byte| sum.wrapping_add(*byte));
        self.count += 1;
        data
    }
}

fn run(
    bench: &mut Bench,
    sender: &mut Sender,
    frames: u64,
    change: impl Fn(u64, u16) -> u16,
) -> Vec<(u64, Finding)> {
    let mut found = Vec::new();
    for n in 0..frames {
        let value = sender.value();
        let data = sender.seal(change(n, value));
        let finding = bench.receive(sender.count * 20_000, &data);
        found.extend(finding.map(|finding| (n, finding)));
    }
    found
}

fn learned() -> (Bench, Sender) {
    let (mut bench, mut sender) = (Bench::new(), Sender::new());
    let found = run(&mut bench, &mut sender, 3000, |_, value| value);
    assert_eq!(found, [], "ordinary payloads are silent");
    (bench, sender)
}

#[test]
fn counter_checksum_and_number_are_told_apart() {
    let (Bench { payload, .. }, _) = learned();
    assert_eq!(payload.counters.mask(), 15 << 8);
    let check = payload.checks[0].expect("there is one");
    assert_eq!((check.sum, check.byte, check.mask), (check::Sum::Add, 7, 0xFF));
    assert!(
        payload.fields[..usize::from(payload.len)]
            .iter()
            .any(|field| field.bits() & 0x00FF_FF00_0000_0000 != 0)
    );
}

#[test]
fn a_value_that_jumps_or_loses_its_noise_is_found_and_a_large_step_is_not() {
    let alarm =
        |found: &[(u64, Finding)]| found.iter().find(|(_, one)| one.alarm).map(|(n, one)| (*n, one.detector));
    let (mut bench, mut sender) = learned();
    let found = run(&mut bench, &mut sender, 50, |n, value| if n >= 10 { 50_000 } else { value });
    assert_eq!(alarm(&found), Some((10, Detector::Payload)));
    assert!(found.iter().filter(|(n, _)| *n >= 10).count() >= 40, "the rest is suspect");
    let (mut bench, mut sender) = learned();
    let found = run(&mut bench, &mut sender, 100, |n, value| if n >= 10 { 32_000 } else { value });
    assert!(alarm(&found).is_some_and(|(n, _)| n < 60), "{found:?}");
    let (mut bench, mut sender) = learned();
    let found = run(&mut bench, &mut sender, 100, |n, value| if n == 10 { value + 50 } else { value });
    assert_eq!(alarm(&found), None);
    // Back and forth by more than it ever moved, though by far less than it spans.
    let (mut bench, mut sender) = learned();
    let found = run(&mut bench, &mut sender, 40, |n, value| if n % 2 == 1 { value + 150 } else { value });
    assert_eq!(alarm(&found).map(|(_, detector)| detector), Some(Detector::Payload));
}

#[test]
fn a_broken_checksum_or_counter_is_found_at_the_second_frame() {
    let (mut bench, mut sender) = learned();
    let mut spoil = |at: usize| {
        let findings: Vec<Option<Finding>> = (0..3)
            .map(|_| {
                let value = sender.value();
                let mut data = sender.seal(value);
                data[at] ^= 0x55;
                bench.receive(sender.count * 20_000, &data)
            })
            .collect();
        findings.iter().map(|one| one.map(|one| (one.detector, one.alarm))).collect::<Vec<_>>()
    };
    assert_eq!(spoil(7)[..2], [Some((Detector::Checksum, false)), Some((Detector::Checksum, true))]);
    assert!(spoil(6).iter().flatten().any(|(_, alarm)| *alarm));
}

#[test]
fn bits_are_counted_as_in_a_database() {
    assert_eq!(Field::new(48, 16, false).start_bit(), 7);
    assert_eq!(Field::new(40, 8, false).start_bit(), 23);
    assert_eq!(Field::new(12, 12, true).start_bit(), 12);
    assert_eq!(Field::new(12, 12, true).bits(), 0x0000_F0FF_0000_0000 << 8 & 0x00F0_FF00_0000_0000);
}

#[test]
fn a_number_is_found_in_either_byte_order() {
    for little in [false, true] {
        let mut sender = Sender::new();
        let word = |value: u16| {
            let mut bytes = [0x11u8, 0, 0, 0, 0, 0, 0, 0];
            let value = if little { value.to_le_bytes() } else { value.to_be_bytes() };
            bytes[2..4].copy_from_slice(&value);
            u64::from_be_bytes(bytes)
        };
        let payloads: Vec<u64> =
            (0..32).map(|_| (0..9).map(|_| sender.value()).last().map_or(0, word)).collect();
        let (fields, count) = split(&payloads, 8, 0);
        assert!(count >= 1, "{fields:?}");
        assert_eq!(fields[0].little, little);
        assert_eq!(fields[0].value(word(30_200)) - fields[0].value(word(30_000)), 200);
    }
}

#[test]
fn a_number_that_grows_takes_the_bits_above_in() {
    let mut field = Field::new(8, 4, false);
    let word = |value: u64| value << 8;
    let mut before = word(1);
    for value in (1..40).chain((20..40).rev()) {
        field.grow(before, word(value), 0);
        field.add(word(value), 0, true, |moved| moved.excess() > Excess::EVEN);
        before = word(value);
    }
    assert_eq!((field.width, field.low, field.high, field.step_max), (6, 1, 39, 1));
}

#[test]
fn noise_is_told_from_numbers() {
    let mut sender = Sender::new();
    let payloads: Vec<u64> =
        (0..32).map(|_| sender.random() & 0xFFFF | (sender.random() & 0xFFFF) << 16).collect();
    let (fields, count) = split(&payloads, 8, 0);
    assert!(fields[..count].iter().all(|field| field.rough), "{fields:?}");
}

#[test]
fn a_track_stays_small() {
    assert!(size_of::<Payload>() <= 500, "{}", size_of::<Payload>());
}

#[test]
fn a_payload_that_had_no_part_at_first_is_taken_apart_when_it_moves() {
    let mut bench = Bench::new();
    let mut at_us = 0;
    let mut send = |bench: &mut Bench, data: [u8; 8]| {
        at_us += 20_000;
        bench.receive(at_us, &data);
    };
    // A switch of one bit is no number.
    (0..1500u64).for_each(|n| send(&mut bench, [0, 0, 0, 0, 0, 0, 0, u8::from(n / 7 % 2 == 0)]));
    assert_eq!((bench.payload.len, bench.payload.wants), (0, false));
    let mut sender = Sender::new();
    for _ in 0..1500 {
        let [high, low] = sender.value().to_be_bytes();
        sender.count += 1;
        send(&mut bench, [0, high, low, 0, 0, 0, 0, 0]);
    }
    assert!(bench.payload.len > 0, "the number is found");
}

#[test]
fn a_clock_set_back_does_not_keep_habits_from_being_judged() {
    let (mut bench, mut sender) = learned();
    bench.calibration.restart(VehicleMicros(0));
    sender.count = 0;
    let found = run(&mut bench, &mut sender, 400, |n, value| if n >= 300 { 50_000 } else { value });
    let jump =
        |(n, one): &(u64, Finding)| *n >= 300 && one.surprise.is_some_and(|told| told >= Surprise::ALARM);
    assert!(found.iter().any(jump), "{found:?}");
}

/// Payloads of temperatures, 20 times a second: each moves by one now and then; the second is what `change` makes of it.
fn temperatures(
    bench: &mut Bench,
    from: u64,
    frames: u64,
    change: impl Fn(u64, u8) -> u8,
) -> Vec<(u64, Finding)> {
    let mut found = Vec::new();
    for n in from..from + frames {
        // Every second or so, one step along a slow wave.
        let wave =
            |n: u64, phase: u64| u8::try_from(60 + ((n / 22 + phase) % 24).abs_diff(12)).expect("small");
        let data = [wave(n, 0), 0, change(n - from, wave(n, 5)), 0, wave(n, 11), 0, 0, 0];
        let finding = bench.receive(n * 50_000, &data);
        found.extend(finding.map(|finding| (n - from, finding)));
    }
    found
}

#[test]
fn a_number_that_goes_value_by_value_may_not_leave_some_out() {
    let mut bench = Bench::new();
    assert_eq!(temperatures(&mut bench, 0, 1600, |_, value| value), []);
    let found = temperatures(&mut bench, 1600, 40, |_, value| value + 9);
    let (frame, finding) = *found.first().expect("it is found");
    assert!(frame == 0 && finding.detector == Detector::Payload && finding.flagged, "{found:?}");
    let mut bench = Bench::new();
    temperatures(&mut bench, 0, 1600, |_, value| value);
    let found = temperatures(&mut bench, 1600, 40, |_, value| value + 2);
    assert!(!found.iter().any(|(_, finding)| finding.flagged), "two at once happen: {found:?}");
}

#[test]
fn small_steps_at_the_beginning_do_not_excuse_larger_ones_that_follow() {
    let mut bench = Bench::new();
    temperatures(&mut bench, 0, 1600, |_, value| value);
    // Two, four, eight beyond: each would be no more than twice the largest before.
    let found = temperatures(&mut bench, 1600, 30, |n, value| match n {
        0..4 => value + 2,
        4..8 => value - 2,
        8..12 => value + 6,
        _ => value - 6,
    });
    assert!(found.iter().any(|(_, finding)| finding.flagged), "{found:?}");
}

#[test]
fn what_leaves_rest_ever_faster_is_no_jump() {
    let mut bench = Bench::new();
    let send = |bench: &mut Bench, n: u64, value: u64| {
        let [high, low] = u16::try_from(value).expect("small").to_be_bytes();
        bench.receive(n * 20_000, &[0x10, high, low, 0, 0, 0, 0, 0])
    };
    // It creeps, and then speeds up without noise.
    let mut found = Vec::new();
    for n in 0..3000u64 {
        found.extend(send(&mut bench, n, 1000 + (n / 25 % 60).abs_diff(30)));
    }
    let (mut value, mut speed) = (1000 + (2999 / 25 % 60u64).abs_diff(30), 0);
    for n in 3000..3300u64 {
        speed += u64::from(n % 4 == 0);
        value += speed;
        found.extend(send(&mut bench, n, value));
    }
    assert_eq!(found, []);
}

#[test]
fn a_slow_counter_is_no_number_once_it_has_proven_itself() {
    let mut bench = Bench::new();
    for n in 0..200u64 {
        // Every half second; the number beside it walks.
        let data =
            [0, u8::try_from(100 + (n / 3 % 20)).expect("small"), 0, u8::try_from(n % 16).expect("a nibble")];
        bench.receive(n * 500_000, &data);
    }
    let Bench { payload, .. } = bench;
    assert!(payload.counters.is_ready() && payload.counters.mask() != 0);
    let overlaps = |field: &Field| field.bits() & payload.counters.mask() != 0;
    assert!(!payload.fields[..usize::from(payload.len)].iter().any(overlaps));
}

#[test]
fn a_number_said_twice_is_no_checksum() {
    let mut bench = Bench::new();
    let mut found = Vec::new();
    for n in 0..3000u64 {
        // Two wheels; after a minute they turn fast enough to carry into the upper bytes.
        let speed = if n < 2900 { 0x1600 + (n / 3 % 400).abs_diff(200) } else { 0x16C0 + (n - 2900) };
        let [high, low] = u16::try_from(speed).expect("small").to_be_bytes();
        found.extend(bench.receive(n * 20_000, &[high, low, high, low]));
    }
    assert!(!found.iter().any(|finding| finding.detector == Detector::Checksum), "{found:?}");
}

#[test]
fn bytes_that_changed_are_told_one_by_one() {
    for byte in 0..8u32 {
        for bit in 0..8u32 {
            assert_eq!(changed_bytes(1 << (byte * 8 + bit)).count_ones(), 1);
        }
    }
    assert_eq!(changed_bytes(0), 0);
    assert_eq!(changed_bytes(0x0100_8000_0010_0001).count_ones(), 4);
    assert_eq!(changed_bytes(u64::MAX), 0xFF);
}

#[test]
fn a_value_that_stands_for_none_is_no_habit_and_no_jump_when_it_ends() {
    let mut bench = Bench::new();
    temperatures(&mut bench, 0, 1600, |_, value| value);
    // The sensor is away while the ECU starts, and answers again.
    let mut data = bench.payload.last.to_be_bytes();
    data[2] = 0xFF;
    bench.payload.pass(&data);
    let found = temperatures(&mut bench, 1600, 60, |n, value| if n < 30 { 0xFF } else { value });
    assert_eq!(found, []);
    let found = temperatures(&mut bench, 1660, 10, |_, value| value + 9);
    assert!(found.iter().any(|(_, finding)| finding.flagged), "its habits are what they were: {found:?}");
}

/// A payload of what a model would say of another, on a bus as quiet as the other's.
fn restarted(bench: &Bench) -> Bench {
    let habit = bench.payload.stored(CanId::standard(0x123).expect("eleven bits")).expect("much is known");
    let payload = Payload::of_model(&habit);
    assert_eq!(payload.stored(habit.id), None, "what is on trial is nobody's knowledge");
    Bench {
        payload,
        calibration: bench.calibration.clone(),
        histories: Histories::new(),
        signals: Signals::new(),
    }
}

#[test]
fn a_model_gives_back_what_was_learned_and_judges_after_a_trial_of_eight_frames() {
    let (before, mut sender) = learned();
    let mut bench = restarted(&before);
    let found = run(&mut bench, &mut sender, 9, |_, value| value);
    assert_eq!((found, bench.payload.origin()), (std::vec![], Origin::Model { strange: 0 }));
    let id = CanId::standard(1).expect("eleven bits");
    let same = |payload: &Payload| {
        let habit = payload.stored(id).expect("much is known");
        let parts = habit
            .fields
            .map(|field| field.map(|field| (field.shift, field.width, field.low, field.step_max)));
        (habit.bytes, habit.counters, habit.checks, habit.mapped, parts)
    };
    assert_eq!(same(&bench.payload), same(&before.payload));
    let found = run(&mut bench, &mut sender, 3, |_, value| value + 9000);
    assert!(found.iter().any(|(n, found)| *n == 0 && found.flagged), "{found:?}");
    let mut unlearned = Bench::new();
    assert_eq!(run(&mut unlearned, &mut sender, 12, |n, value| if n < 9 { value } else { value + 9000 }), []);
}

#[test]
fn the_checksum_of_a_model_is_a_law_from_the_ninth_frame_on() {
    let (before, mut sender) = learned();
    let mut bench = restarted(&before);
    run(&mut bench, &mut sender, 9, |_, value| value);
    let wrong = |bench: &mut Bench, sender: &mut Sender| {
        let value = sender.value();
        let mut data = sender.seal(value);
        data[7] ^= 1;
        bench.receive(sender.count * 20_000, &data).map(|found| (found.detector, found.alarm))
    };
    assert_eq!(wrong(&mut bench, &mut sender), Some((Detector::Checksum, false)));
    assert_eq!(wrong(&mut bench, &mut sender), Some((Detector::Checksum, true)));
}

#[test]
fn another_split_is_learned_anew_without_a_word() {
    let (before, mut sender) = learned();
    let mut bench = restarted(&before);
    // Another release sends the number elsewhere, and no sum.
    for n in 0..3000 {
        let value = sender.value().to_be_bytes();
        sender.count += 1;
        let data = [value[0], 0, 0, 0, value[1], 0x40, 0, 0];
        assert_eq!(bench.receive(sender.count * 20_000, &data), None, "{n}");
    }
    assert_eq!(bench.payload.origin(), Origin::Refused);
    assert!(bench.payload.len > 0, "it was learned again");
}

#[test]
fn another_length_is_learned_anew_and_single_frames_of_one_forget_nothing() {
    let (before, mut sender) = learned();
    let mut bench = restarted(&before);
    run(&mut bench, &mut sender, 9, |_, value| value);
    for _ in 0..20 {
        bench.receive(sender.count * 20_000, &[1, 2, 3]);
        assert_eq!(run(&mut bench, &mut sender, 2, |_, value| value), []);
    }
    assert_eq!((bench.payload.origin(), bench.payload.bytes), (Origin::Model { strange: 0 }, 8));
    for n in 0..9 {
        bench.receive(sender.count * 20_000 + n, &[1, 2, 3]);
    }
    assert_eq!((bench.payload.origin(), bench.payload.bytes), (Origin::Refused, 3));
}

#[test]
fn a_patient_attacker_widens_no_habit_faster_than_without_a_model() {
    // Every two seconds a step a twentieth larger than the largest so far, and back.
    let widened = |bench: &mut Bench, sender: &mut Sender| {
        let largest =
            |bench: &Bench| bench.payload.fields.iter().map(|field| field.step_max).max().unwrap_or(0);
        let begin = largest(bench);
        for _ in 0..100 {
            let step = u16::try_from(largest(bench) * 21 / 20).expect("small");
            run(bench, sender, 100, |n, value| if n < 50 { value } else { value.saturating_add(step) });
        }
        largest(bench) * 100 / begin
    };
    let (mut before, mut sender) = learned();
    let mut bench = restarted(&before);
    let mut again = Sender { ..sender };
    let (by_model, anew) = (widened(&mut bench, &mut sender), widened(&mut before, &mut again));
    assert!(by_model <= anew, "{by_model} % of what was usual, {anew} % without");
}

#[test]
fn every_frame_of_values_without_order_is_flagged_and_few_behind_them() {
    let mut bench = Bench::new();
    temperatures(&mut bench, 0, 1600, |_, value| value);
    // Between 0 and 30 beyond, in an order of its own; the field is the attacker's for forty frames.
    let storm =
        |n: u64, value: u8| if n < 40 { value + u8::try_from(n * 17 % 31).expect("small") } else { value };
    let found = temperatures(&mut bench, 1600, 120, storm);
    let flagged = |range: core::ops::Range<u64>| {
        found.iter().filter(|(frame, finding)| range.contains(frame) && finding.flagged).count()
    };
    assert!(flagged(0..40) >= 36, "{}", flagged(0..40));
    assert!(flagged(40..120) <= usize::from(jump::STORM_OVER_FRAMES), "{}", flagged(40..120));
}
