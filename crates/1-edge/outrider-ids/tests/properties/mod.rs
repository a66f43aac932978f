//! What must hold for any input, for the tests of this crate and the fuzz targets alike.

use std::sync::OnceLock;

use outrider_bus::can::{CanId, Dlc, ErrorClass, FdFlags, Frame};
use outrider_ids::model::habits::{
    LineHabit, PAYLOAD_BYTES_MAX, POOL_BYTES_MAX, PayloadHabit, payload_head, pool_head, together_head,
};
use outrider_ids::model::{
    BusDraft, BusModel, GapFacts, IdEntry, ModelDraft, SectionDraft, SectionKind, VehicleModel,
    encoded_bytes, write,
};
use outrider_ids::{Basis, BusDetector, BusStats, Observation, Phase, SpeedReading};
use outrider_types::{BusId, VehicleMicros};

/// Most frames of one input: enough for a warm-up, for payloads to be split, and for their habits to be judged.
const FRAMES_MAX: u64 = 12_000;
/// Most observations that wait to be fetched.
const QUEUE_MAX: usize = 64;
/// Identifiers of the model, from 0x100 on.
const MODEL_IDS: u8 = 24;
/// Cycle of every identifier of the model, in microseconds.
const MODEL_CYCLE_US: u32 = 20_000;
/// A model whose records serve as patterns, so that this file need not know their fields.
const PATTERN: &[u8] = include_bytes!("../../../../../fuzz/corpus/vehicle_model/whole.bin");

/// What the detectors of a bus came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) stats: BusStats,
    pub(crate) basis: Basis,
    pub(crate) flagged: u64,
    /// Everything said, if it was fetched as it was said.
    pub(crate) said: Vec<Observation>,
}

/// Runs the detectors of one bus over what the bytes describe, twice, and checks what must hold.
///
/// The first byte's lowest bit asks for a model, the next one lets nobody fetch what is said, the third gives the model
/// habits. Then steps, each behind a byte whose low three bits say what it is: see [`Bus::step`].
pub(crate) fn bus_detector(bytes: &[u8]) -> Outcome {
    let outcome = run(bytes);
    assert_eq!(run(bytes), outcome, "the same input, the same outcome");
    outcome
}

fn run(bytes: &[u8]) -> Outcome {
    let mut input = Input { rest: bytes };
    let head = input.byte();
    let detector = match (head & 1 != 0, head & 4 != 0) {
        (false, _) => Box::new(BusDetector::untrained(BusId(3))),
        (true, false) => trained(&[]),
        (true, true) => taught(),
    };
    let mut bus = Bus::new(detector, head & 2 == 0);
    while !input.rest.is_empty() && bus.frames < FRAMES_MAX {
        bus.step(&mut input);
    }
    bus.finish()
}

/// Bytes that never end: behind them are zeros.
struct Input<'a> {
    rest: &'a [u8],
}

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        first
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }
}

struct Bus {
    detector: Box<BusDetector>,
    at: u64,
    frames: u64,
    flagged: u64,
    fetches: bool,
    said: Vec<Observation>,
    /// Turns of each sender so far, for its counter.
    turns: [u64; 256],
    random: u64,
}

impl Bus {
    fn new(detector: Box<BusDetector>, fetches: bool) -> Self {
        Self { detector, at: 0, frames: 0, flagged: 0, fetches, said: Vec::new(), turns: [0; 256], random: 9 }
    }

    /// Does one step: a frame, an error frame, a remote frame, a rhythm of frames, time, another clock, or a call.
    fn step(&mut self, input: &mut Input<'_>) {
        let what = input.byte();
        match what & 7 {
            0 => {
                let (id, length) = (id_of(input.byte()), usize::from(what >> 4));
                let data: Vec<u8> = (0..length).map(|_| input.byte()).collect();
                let classic = Frame::classic(id, &data).or_else(|_| Frame::classic(id, &data[..8]));
                self.receive(&classic.expect("eight bytes fit"));
            }
            1 => {
                let (id, length) = (id_of(input.byte()), usize::from(input.byte() % 65));
                let data: Vec<u8> = (0..length).map(|_| input.byte()).collect();
                let flags = FdFlags { brs: what & 8 != 0, esi: what & 16 != 0 };
                if let Ok(frame) = Frame::fd(id, flags, &data) {
                    self.receive(&frame);
                }
            }
            2 => {
                let class = ErrorClass::new(u32::from(input.word())).expect("sixteen bits fit");
                for _ in 0..=what >> 3 {
                    self.receive(&Frame::error(class, &[0; 8]).expect("eight bytes fit"));
                }
            }
            3 => {
                let dlc = Dlc::new(what >> 4).expect("four bits");
                self.receive(&Frame::remote(id_of(input.byte()), dlc));
            }
            4 => self.rhythm(what >> 3, input),
            5 => {
                self.at = self.at.saturating_add(u64::from(input.word()) * 1000);
                if what & 8 == 0 {
                    self.tick();
                }
            }
            6 => {
                let far = u64::from(input.word());
                self.at = match what >> 6 {
                    0 => self.at.saturating_sub(far * 1000),
                    1 => self.at.saturating_add(far * 1_000_000),
                    2 => far << 48,
                    _ => u64::MAX - far,
                };
            }
            _ => self.call(what >> 3, input),
        }
    }

    /// Several senders take turns: how many, the first of them, cycle in milliseconds, turns. `kind` picks the payload.
    fn rhythm(&mut self, kind: u8, input: &mut Input<'_>) {
        let (senders, first) = (input.byte() & 31, input.byte());
        let (cycle_ms, turns) = (u64::from(input.byte()), input.byte());
        let pause_us = cycle_ms * 1000 / (u64::from(senders) + 1);
        for turn in 0..turns {
            for sender in 0..=senders {
                let name = first.wrapping_add(sender);
                let data = self.payload(kind, name);
                let frame = Frame::classic(id_of(name), &data).expect("eight bytes fit");
                self.at = self.at.saturating_add(pause_us);
                self.receive(&frame);
            }
            if turn % 8 == 0 {
                self.tick();
            }
            if self.frames >= FRAMES_MAX {
                return;
            }
        }
    }

    /// Payload of a sender's next turn: a number of sixteen bits with noise, a counter and a sum, and what `kind` spoils.
    fn payload(&mut self, kind: u8, name: u8) -> [u8; 8] {
        let turns = &mut self.turns[usize::from(name)];
        *turns += 1;
        let turn = *turns;
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let noise = self.random >> 59;
        // Up for 150 turns, down for 150, like a speed.
        let slope = turn % 300;
        let slope = if slope < 150 { slope } else { 300 - slope };
        let value = match kind & 3 {
            0 => 28_000 + slope * 9 + noise,
            1 => 28_700,
            2 => self.random >> 48,
            _ => 36_000 - slope * 9 + noise,
        };
        let count = if kind & 4 == 0 { turn & 15 } else { (turn * 7) & 15 };
        let [.., high, low] = value.to_be_bytes();
        let mut data = [name, high, low, 0, 0x40, 0, count.to_be_bytes()[7], 0];
        let sum = data.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        data[7] = if kind & 8 == 0 { sum } else { !sum };
        data
    }

    /// Does what the detectors' owner may do between frames.
    fn call(&mut self, what: u8, input: &mut Input<'_>) {
        let at = VehicleMicros(self.at);
        match what & 3 {
            0 => self.detector.observe_speed(SpeedReading { at, kmh: input.word() }),
            1 => self.detector.set_workshop(what & 4 != 0),
            2 => self.detector.segment_violation(at, id_of(input.byte()), BusId(1)),
            _ => self.detector.name(BusId(input.byte())),
        }
        self.fetch();
    }

    fn receive(&mut self, frame: &Frame) {
        let judgement = self.detector.receive(VehicleMicros(self.at), frame);
        assert!(!judgement.is_flagged() || frame.id().is_some(), "nobody sent an error frame");
        self.frames += 1;
        self.flagged += u64::from(judgement.is_flagged());
        let stats = self.detector.stats();
        assert_eq!(stats.frames, self.frames);
        assert_eq!(stats.frames, stats.known + stats.unknown + stats.errors, "{stats:?}");
        self.fetch();
    }

    fn tick(&mut self) {
        self.detector.tick(VehicleMicros(self.at));
        self.fetch();
    }

    fn fetch(&mut self) {
        if self.fetches {
            self.said.extend(std::iter::from_fn(|| self.detector.pop()));
        }
    }

    fn finish(mut self) -> Outcome {
        let waiting = std::iter::from_fn(|| self.detector.pop()).count();
        assert!(waiting <= QUEUE_MAX, "{waiting} observations waited");
        self.detector.finish();
        self.said.extend(std::iter::from_fn(|| self.detector.pop()));
        let stats = self.detector.stats();
        if self.fetches && stats.dropped == 0 {
            episodes(&self.said);
        }
        let Self { detector, flagged, said, .. } = self;
        Outcome { stats, basis: detector.basis(), flagged, said }
    }
}

/// Every episode is opened once, only grows, and is closed once, with nothing behind.
fn episodes(said: &[Observation]) {
    let mut latest: std::collections::BTreeMap<u32, &Observation> = std::collections::BTreeMap::new();
    for one in said {
        assert!(one.first <= one.last, "{one:?}");
        let before = latest.insert(one.episode, one);
        let Some(before) = before else {
            assert_eq!((one.phase, one.episode > 0), (Phase::Opened, true), "{one:?}");
            continue;
        };
        assert!(before.phase != Phase::Closed && one.phase != Phase::Opened, "{before:?} {one:?}");
        assert!(before.count <= one.count && before.severity <= one.severity, "{before:?} {one:?}");
        assert_eq!((before.event_type, before.can_id, before.first), (one.event_type, one.can_id, one.first));
    }
    let open = latest.values().find(|one| one.phase != Phase::Closed);
    assert_eq!(open, None, "every episode is over");
}

/// Identifier of a sender: the model's first, diagnostic ones, other standard ones, extended ones.
fn id_of(name: u8) -> CanId {
    let id = match name {
        0..=61 => CanId::standard(0x100 + u32::from(name)),
        62 => CanId::standard(0x7E0),
        63 => CanId::standard(0x7E8),
        64..=127 => CanId::standard(u32::from(name) << 4),
        _ => CanId::extended(u32::from(name) << 20 | 0xDAF1),
    };
    id.expect("in range")
}

/// Detectors of a bus with [`MODEL_IDS`] identifiers.
fn trained(sections: &[SectionDraft<'_>]) -> Box<BusDetector> {
    let bytes = model(sections);
    let model = VehicleModel::parse(&bytes).expect("just written");
    Box::new(BusDetector::new(&model.buses().next().expect("just written")))
}

/// The same, which know the habits of their bus.
fn taught() -> Box<BusDetector> {
    static TAUGHT: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = TAUGHT.get_or_init(model_with_habits);
    let model = VehicleModel::parse(bytes).expect("just written");
    Box::new(BusDetector::new(&model.buses().next().expect("just written")))
}

/// Model of the bus after a minute of its own rhythm.
pub(crate) fn model_with_habits() -> Vec<u8> {
    let mut bus = Bus::new(Box::new(BusDetector::pupil(BusId(3))), true);
    for turn in 0..3000u64 {
        for name in 0..MODEL_IDS {
            let data = bus.payload(0, name);
            bus.at += u64::from(MODEL_CYCLE_US) / u64::from(MODEL_IDS);
            bus.receive(&Frame::classic(id_of(name), &data).expect("eight bytes fit"));
        }
        if turn % 5 == 0 {
            bus.tick();
        }
    }
    let mut payloads: Vec<PayloadHabit> = bus.detector.payload_habits().collect();
    payloads.sort_by_key(|habit| habit.id);
    let mut first = payload_head(payloads.len()).expect("few").to_vec();
    for habit in &payloads {
        let mut record = [0; PAYLOAD_BYTES_MAX];
        let size = habit.write(&mut record);
        first.extend(&record[..size]);
    }
    let mut numbers: Vec<_> = bus.detector.number_habits().map(|(name, number)| (number, name)).collect();
    numbers.sort_unstable();
    let place = |name| {
        u8::try_from(numbers.iter().position(|(_, other)| *other == name).expect("named")).expect("few")
    };
    let mut lines: Vec<LineHabit> = bus
        .detector
        .line_habits()
        .map(|line| LineHabit { target: place(line.target), source: place(line.source), ..line })
        .collect();
    lines.sort_by_key(|line| (line.target, line.source));
    let mut second = together_head(numbers.len(), lines.len()).expect("bounded").to_vec();
    numbers.iter().for_each(|(number, _)| second.extend(number.record()));
    lines.iter().for_each(|line| second.extend(line.record()));
    let pools: Vec<_> = bus.detector.pool_habits().collect();
    let mut third = pool_head(pools.len()).expect("few").to_vec();
    for pool in &pools {
        let mut record = [0; POOL_BYTES_MAX];
        let size = pool.write(&mut record);
        third.extend(&record[..size]);
    }
    model(&[
        (SectionKind::PAYLOAD, &first),
        (SectionKind::TOGETHER, &second),
        (SectionKind::CALIBRATION, &third),
    ])
}

fn model(sections: &[SectionDraft<'_>]) -> Vec<u8> {
    let pattern = VehicleModel::parse(PATTERN).expect("a whole model");
    let bus: BusModel<'_> = pattern.buses().next().expect("it has a bus");
    let like: IdEntry = bus.ids().next().expect("it has an identifier");
    let cycle = MODEL_CYCLE_US;
    let gaps = GapFacts {
        min_us: cycle - cycle / 20,
        p05_us: cycle,
        median_us: cycle,
        p95_us: cycle,
        max_us: cycle + cycle / 20,
    };
    let ids: Vec<IdEntry> =
        (0..MODEL_IDS).map(|name| IdEntry { id: id_of(name), dlc_mask: 1 << 8, gaps, ..like }).collect();
    let buses = [BusDraft { facts: bus.facts(), ids: &ids, pairs: &[], sections }];
    let draft = ModelDraft { head: *pattern.head(), buses: &buses, sections: &[] };
    let mut bytes = vec![0; encoded_bytes(&draft)];
    write(&draft, &mut bytes).expect("consistent facts");
    bytes
}
