use super::*;
use outrider_bus::can::Frame;

use crate::traffic::{Drive, DriveProfile, demo_network, generate};

fn traffic() -> Vec<TimedFrame> {
    let drive = Drive { profile: DriveProfile::City, start: VehicleMicros(0), length_us: 6_000_000 };
    generate(&demo_network(), 5, &drive).collect()
}

fn plan(attack: Attack, seed: u64) -> AttackPlan {
    AttackPlan::new(attack, seed)
}

#[test]
fn labels_account_for_every_frame_and_the_same_seed_gives_the_same_frames() {
    let clean = traffic();
    for attack in Attack::ALL {
        let (frames, labels) = inject(&clean, &plan(attack, 9)).expect("a target");
        assert!(labels.injected + labels.altered + labels.removed > 0, "{attack:?}");
        assert_eq!(frames.len() as u64 + labels.removed, clean.len() as u64 + labels.injected, "{attack:?}");
        assert!(frames.is_sorted_by_key(|timed| timed.at), "{attack:?}");
        assert_eq!(inject(&clean, &plan(attack, 9)).expect("a target").0, frames, "{attack:?}");
        let before = |frames: &[TimedFrame]| frames.iter().filter(|timed| timed.at < labels.start).count();
        assert_eq!(before(&frames), before(&clean), "{attack:?}");
    }
}

#[test]
fn a_suspended_identifier_is_gone_and_others_are_as_they_were() {
    let clean = traffic();
    let (frames, labels) = inject(&clean, &plan(Attack::Suspend, 1)).expect("a target");
    let target = labels.ids[0];
    let is_target = |timed: &&TimedFrame| timed.frame.id() == Some(target);
    assert!(frames.iter().filter(is_target).all(|timed| timed.at < labels.start || timed.at > labels.end));
    let others = |frames: &[TimedFrame]| frames.iter().filter(|timed| !is_target(timed)).count();
    assert_eq!(others(&frames), others(&clean));
}

#[test]
fn a_flood_leaves_no_room_for_two_frames_at_once() {
    let (frames, labels) = inject(&traffic(), &plan(Attack::Flood, 1)).expect("a target");
    let own: Vec<_> = frames
        .iter()
        .filter(|timed| timed.bus == labels.bus && timed.at >= labels.start && timed.at <= labels.end)
        .collect();
    assert!(own.windows(2).all(|pair| pair[1].at.0 - pair[0].at.0 >= 200));
}

#[test]
fn plans_that_do_not_fit_are_refused() {
    let clean = traffic();
    assert_eq!(inject(&[], &plan(Attack::Flood, 1)), Err(InjectError::NoFrames));
    let late = AttackPlan { start_us: Some(60_000_000), ..plan(Attack::Flood, 1) };
    assert!(matches!(inject(&clean, &late), Err(InjectError::Start { .. })));
    let absent = CanId::standard(0x7AB).expect("eleven bits");
    let absent = AttackPlan { id: Some(absent), ..plan(Attack::Suspend, 1) };
    assert!(matches!(inject(&clean, &absent), Err(InjectError::Id { .. })));
    let much = AttackPlan { rate_hz: Some(u32::MAX), ..plan(Attack::Fabricate, 1) };
    assert!(matches!(inject(&clean, &much), Err(InjectError::TooManyFrames { .. })));
    let short = AttackPlan { length_us: Some(0), ..plan(Attack::Flood, 1) };
    assert_eq!(inject(&clean, &short), Err(InjectError::Length));
}

fn stretch(clean: &[TimedFrame], attack: Attack, seed: u64) -> Stretch {
    let injector = Injector::new(clean).expect("frames");
    injector.attack(&plan(attack, seed)).unwrap_or_else(|error| panic!("{attack:?}: {error}"))
}

#[test]
fn every_frame_has_a_truth_and_only_the_attackers_frames_differ() {
    let clean = traffic();
    for attack in Attack::ALL {
        let stretch = stretch(&clean, attack, 4);
        assert_eq!(stretch.frames.len(), stretch.truth.len(), "{attack:?}");
        let mut honest = clean[stretch.from..stretch.to].iter();
        for (timed, truth) in stretch.frames.iter().zip(&stretch.truth) {
            match truth {
                // A flood delays honest frames and suspends some; what is left keeps its content.
                Truth::Clean => assert!(
                    honest.any(|own| own.frame == timed.frame) || attack == Attack::Flood,
                    "{attack:?} {timed:?}"
                ),
                Truth::Altered => assert!(
                    honest.any(|own| own.at == timed.at
                        && own.frame.id() == timed.frame.id()
                        && own.frame != timed.frame),
                    "{attack:?} {timed:?}"
                ),
                Truth::Added | Truth::Answer => {}
            }
        }
        let labels = &stretch.labels;
        assert!(labels.first >= labels.start && labels.first <= labels.end, "{attack:?}");
        let attacked = stretch.truth.iter().filter(|truth| truth.is_attack()).count();
        match attack {
            Attack::Suspend | Attack::BusOff => assert!(labels.removed > 0 && attacked == 0),
            Attack::Masquerade(_) | Attack::Modify => {
                assert_eq!((labels.injected, labels.removed), (0, 0));
                assert!(labels.altered == attacked as u64 && attacked > 0);
            }
            Attack::Fabricate
            | Attack::Replay
            | Attack::Fuzz
            | Attack::Flood
            | Attack::UdsBruteForce
            | Attack::UdsScan => assert!(attacked > 0, "{attack:?}"),
        }
    }
}

/// One identifier every 10 ms: a signal that moves, an alive counter, a CRC-8.
fn protected() -> Vec<TimedFrame> {
    let id = CanId::standard(0x120).expect("eleven bits");
    let frame = |step: u64| {
        let [.., high, low] = ((step % 700).abs_diff(350) * 31 + step % 5).to_be_bytes();
        let mut data = [high, low, 0x40, 0, 0, 0, (step % 16) as u8, 0];
        data[7] = crate::traffic::crc8(&data[..7]);
        let frame = Frame::classic(id, &data).expect("eight bytes");
        TimedFrame { at: VehicleMicros(step * 10_000), bus: BusId(0), frame }
    };
    (0..1500).map(frame).collect()
}

#[test]
fn a_masquerade_keeps_times_counters_and_checksums_and_a_modification_breaks_the_checksum() {
    let clean = protected();
    let holds = |timed: &TimedFrame| timed.frame.data()[7] == crate::traffic::crc8(&timed.frame.data()[..7]);
    for seed in 0..4 {
        for how in Masquerade::ALL {
            let attack = Attack::Masquerade(how);
            let kept = stretch(&clean, attack, seed);
            let pairs = || kept.frames.iter().zip(&clean[kept.from..kept.to]);
            assert!(kept.frames.iter().all(holds), "{how:?}");
            assert!(pairs().all(|(new, old)| new.at == old.at && new.frame.data()[6] == old.frame.data()[6]));
            assert!(pairs().filter(|(new, old)| new != old).count() * 2 >= kept.frames.len(), "{how:?}");
            let plan = AttackPlan { breaks_checks: true, ..plan(attack, seed) };
            let broken = Injector::new(&clean).expect("frames").attack(&plan).expect("a target");
            assert!(broken.frames.iter().any(|timed| !holds(timed)), "{how:?}");
        }
        assert!(!stretch(&clean, Attack::Modify, seed).frames.iter().all(holds));
    }
}

#[test]
fn a_bus_off_forces_32_errors_and_then_the_target_is_gone() {
    let clean = traffic();
    let stretch = stretch(&clean, Attack::BusOff, 2);
    let errors: Vec<_> = stretch.frames.iter().filter(|timed| timed.frame.id().is_none()).collect();
    assert_eq!(errors.len(), 32);
    let after = |timed: &&TimedFrame| timed.at > errors[31].at;
    let ids = &stretch.labels.ids;
    assert!(
        stretch.frames.iter().filter(after).all(|timed| !ids.contains(&timed.frame.id().expect("no error")))
    );
    assert!(
        clean[stretch.from..stretch.to].iter().filter(after).any(|timed| timed.frame.id() == Some(ids[0]))
    );
}

#[test]
fn a_replay_sends_what_was_there_and_a_fuzzer_what_never_was() {
    let clean = traffic();
    let replayed = stretch(&clean, Attack::Replay, 3);
    let before = &clean[..replayed.from];
    for (timed, truth) in replayed.frames.iter().zip(&replayed.truth) {
        assert!(*truth == Truth::Clean || before.iter().any(|own| own.frame == timed.frame));
    }
    let fuzzed = stretch(&clean, Attack::Fuzz, 3);
    let added = fuzzed.frames.iter().zip(&fuzzed.truth).filter(|(_, truth)| **truth == Truth::Added);
    let payloads: std::collections::BTreeSet<&[u8]> = added.map(|(timed, _)| timed.frame.data()).collect();
    assert!(payloads.len() > 50, "{}", payloads.len());
}

#[test]
fn checksums_are_found_if_they_hold_for_all_and_not_if_they_do_not() {
    let mut seed = Seed::new(1);
    type Checksum<'a> = &'a dyn Fn(&[u8]) -> u8;
    let payloads = |check: Checksum<'_>, seed: &mut Seed| -> Vec<Vec<u8>> {
        let mut payloads = Vec::new();
        for _ in 0..40 {
            let mut data = seed.next_u64().to_be_bytes().to_vec();
            data[7] = check(&data[..7]);
            payloads.push(data);
        }
        payloads
    };
    let xor = |data: &[u8]| data.iter().fold(0x5A, |sum, byte| sum ^ byte);
    let sum = |data: &[u8]| data.iter().fold(0x33u8, |sum, byte| sum.wrapping_add(*byte));
    let crc = |data: &[u8]| crate::traffic::crc8(data);
    let nibbles = |data: &[u8]| {
        data.iter().fold(9u8, |sum, byte| sum.wrapping_add(byte >> 4).wrapping_add(byte & 15)) & 15
    };
    let checks: [Checksum<'_>; 4] = [&xor, &sum, &crc, &nibbles];
    for check in checks {
        let mut own = payloads(check, &mut seed);
        let slices: Vec<&[u8]> = own.iter().map(Vec::as_slice).collect();
        let found = checks::Check::find(&slices).expect("it holds for all");
        let mut changed = own[0].clone();
        changed[2] ^= 0x41;
        found.apply(&mut changed);
        assert_eq!(changed[7], check(&changed[..7]));
        own[5][7] ^= 1;
        let slices: Vec<&[u8]> = own.iter().map(Vec::as_slice).collect();
        assert_eq!(checks::Check::find(&slices), None);
    }
}

#[test]
fn fields_are_told_apart_by_how_often_their_bits_flip() {
    let payloads: Vec<Vec<u8>> = (0..200u16)
        .map(|step| {
            let [high, low] = (step % 60).abs_diff(30).saturating_mul(step % 7 + 20).to_be_bytes();
            vec![high, low, 0x7F, u8::try_from(step % 16).expect("small"), u8::from(step > 100)]
        })
        .collect();
    let slices: Vec<&[u8]> = payloads.iter().map(Vec::as_slice).collect();
    let found = fields::split(&slices);
    let kind =
        |start: usize| found.iter().find(|field| field.start <= start && start < field.start + field.bits);
    assert_eq!(kind(15).map(|field| field.kind), Some(fields::FieldKind::Signal), "{found:?}");
    assert_eq!(
        kind(31).map(|field| (field.kind, field.bits)),
        Some((fields::FieldKind::Counter, 4)),
        "{found:?}"
    );
    assert_eq!(kind(39).map(|field| field.kind), Some(fields::FieldKind::Switch), "{found:?}");
    assert!(kind(16).is_none() && kind(20).is_none());
}
