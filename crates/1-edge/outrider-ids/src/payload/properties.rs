//! What must hold for any payloads of an identifier.

extern crate std;

use std::boxed::Box;
use std::vec::Vec;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use outrider_types::VehicleMicros;

use super::gather::SPLITS_MAX;
use super::*;

/// One frame of any identifier: what it adds to the payload before, so that numbers and counters come about, and in what
/// circumstances.
#[derive(Debug, Clone)]
struct Turn {
    gap_us: u32,
    bytes: usize,
    add: u64,
    mix: u64,
    follows: bool,
    learns: bool,
}

fn turn() -> impl Strategy<Value = Turn> {
    let bytes = prop_oneof![20 => Just(8usize), 1 => 0usize..65];
    let add = prop_oneof![4 => 0u64..4, 2 => (0u32..64).prop_map(|bit| 1 << bit), 1 => any::<u64>()];
    let mix = prop_oneof![6 => Just(0u64), 1 => any::<u64>()];
    // Mostly as on a quiet bus, so that payloads are learned, split and judged.
    let truth = || prop_oneof![8 => Just(true), 1 => Just(false)];
    (0u32..400_000, bytes, add, mix, truth(), truth()).prop_map(
        |(gap_us, bytes, add, mix, follows, learns)| Turn { gap_us, bytes, add, mix, follows, learns },
    )
}

/// What must hold between frames.
fn check(payload: &Payload) {
    assert!(
        payload.evidence <= ALARM * 2 && payload.splits <= SPLITS_MAX && payload.law_alarms <= LAW_ALARMS_MAX
    );
    assert!(usize::from(payload.len) <= FIELDS_MAX);
    let mut used = 0;
    for field in &payload.fields[..usize::from(payload.len)] {
        assert_eq!(field.bits() & used, 0, "two numbers share a bit: {:?}", payload.fields);
        used |= field.bits();
    }
}

/// What a payload needs from its bus.
struct Bus {
    calibration: Calibration,
    histories: Histories,
    signals: Signals,
}

impl Bus {
    fn receive(
        &mut self,
        payload: &mut Payload,
        at_us: u64,
        data: &[u8],
        (follows, learns): (bool, bool),
    ) -> Option<Finding> {
        let Self { calibration, histories, signals } = self;
        let mut novel = false;
        let (novel, withdrawn) = (&mut novel, &mut false);
        let context = Context { follows, learns, calibration, novel, withdrawn, histories, signals };
        let finding = payload.receive(at_us, data, context);
        calibration.advance(VehicleMicros(at_us), true);
        finding
    }

    fn settle(&mut self, payload: &mut Payload, at_us: u64) -> bool {
        payload.enroll(&mut self.signals);
        self.signals.tick(VehicleMicros(at_us), true);
        payload.settle(at_us, &mut self.histories, &mut self.signals)
    }
}

/// Ordinary payload of a turn: a counter, and a number that goes up and down with noise, as a speed does.
fn ordinary(turn: u64) -> u64 {
    let slope = turn % 300;
    let slope = if slope < 150 { slope } else { 300 - slope };
    // As in SplitMix64; a product alone would count.
    let mixed = (turn ^ turn << 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let noise = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB) >> 59;
    (28_000 + slope * 9 + noise) << 40 | turn & 15
}

/// Gives ordinary payloads and then the turns, repeated, to fresh detectors. Returns what they find and how often the
/// payload was split.
fn run(quiet: u64, turns: &[Turn], settles_every: usize) -> (Vec<(usize, Finding)>, usize) {
    let mut payload = Box::new(Payload::EMPTY);
    let mut bus = Box::new(Bus {
        calibration: Calibration::new(),
        histories: Histories::new(),
        signals: Signals::new(),
    });
    let (mut at, mut word, mut found, mut splits) = (0u64, 0u64, Vec::new(), 0);
    for turn in 0..quiet {
        at += 20_000;
        word = ordinary(turn);
        let finding = bus.receive(&mut payload, at, &word.to_be_bytes(), (true, true));
        assert_eq!(finding, None, "ordinary payloads are silent");
        splits += usize::from(turn % 8 == 0 && bus.settle(&mut payload, at));
        check(&payload);
    }
    let endless = turns.iter().cycle().take(turns.len() * 12);
    for (index, turn) in endless.enumerate() {
        at += u64::from(turn.gap_us);
        word = word.wrapping_add(turn.add) ^ turn.mix;
        let mut data = [0u8; 64];
        data[..8].copy_from_slice(&word.to_be_bytes());
        let finding = bus.receive(&mut payload, at, &data[..turn.bytes.min(64)], (turn.follows, turn.learns));
        if let Some(finding) = finding {
            assert!(u16::from(finding.bits) <= 64, "{finding:?}");
            found.push((index, finding));
        }
        if index % settles_every == 0 {
            splits += usize::from(bus.settle(&mut payload, at));
        }
        check(&payload);
    }
    (found, splits)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_payloads_keep_bits_apart_evidence_bounded_and_say_the_same_twice(
        quiet in prop_oneof![Just(0u64), 0u64..1500],
        turns in vec(turn(), 1..48),
        settles_every in 1usize..16,
    ) {
        prop_assert_eq!(run(quiet, &turns, settles_every), run(quiet, &turns, settles_every));
    }
}

#[test]
fn the_generator_reaches_what_it_is_to_test() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut split, mut found) = (0, 0);
    for _ in 0..64 {
        let turns = vec(turn(), 16..48).new_tree(&mut runner).expect("no filter").current();
        let (findings, splits) = run(1500, &turns, 4);
        split += usize::from(splits > 1);
        found += usize::from(!findings.is_empty());
    }
    assert!(split > 5 && found > 5, "{split} split, {found} with findings");
}
