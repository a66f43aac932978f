//! Traffic of a LIN bus, drawn by a seed.

use std::collections::VecDeque;

use outrider_bus::lin::{ChecksumKind, Fault, Frame, Heard, Pid, TimedLin};
use outrider_types::{BusId, Seed, VehicleMicros};

use crate::inject::pick;

/// Bits of a header and of each byte behind it, at 19.2 kbit/s.
const HEADER_BITS: u64 = 34;
const BIT_US: u64 = 52;
/// A response is damaged or missing once in so many frames: what a plug with a bad contact does (guess).
const NOISE_ONE_IN: u64 = 20_000;
/// Time between two visits of the diagnostic table, in microseconds.
const DIAGNOSIS_US: u64 = 90_000_000;
/// Time awake, and time asleep, in microseconds.
const AWAKE_US: u64 = 900_000_000;
const ASLEEP_US: u64 = 30_000_000;

/// One slot of a table.
#[derive(Debug, Clone, Copy)]
struct Slot {
    id: u8,
    bytes: u8,
    length_us: u64,
    /// Sporadic: sent once in so many rounds.
    one_in: u64,
}

/// A bus with its master's tables: an endless iterator of what a listener hears, in the order of time.
///
/// It sleeps now and then, visits its diagnostic table, has slots that stay empty, and noise; a real bus of a body
/// controller does all of that.
#[derive(Debug)]
pub struct LinTraffic {
    seed: Seed,
    bus: BusId,
    kind: ChecksumKind,
    usual: Vec<Slot>,
    diagnosis: Vec<Slot>,
    /// Jitter of the master, in microseconds.
    jitter_us: u64,
    /// Whether the capture stamps the end of a frame or its beginning.
    stamps_end: bool,
    now: u64,
    at: usize,
    is_diagnosis: bool,
    next_diagnosis: u64,
    sleeps: u64,
    counter: u8,
    waiting: VecDeque<TimedLin>,
}

impl LinTraffic {
    /// Draws a bus; the same seed gives the same traffic.
    #[must_use]
    pub fn drawn(seed: u64, bus: BusId) -> Self {
        let mut seed = Seed::new(seed).fork(0x4C49_4E00);
        let count = 6 + seed.below(9);
        let mut ids: Vec<u8> = (0..60).collect();
        let usual: Vec<Slot> = (0..count)
            .map(|index| {
                let at = usize::try_from(seed.below(ids.len() as u64)).unwrap_or(0);
                let id = ids.swap_remove(at);
                let bytes = pick(&[1, 2, 2, 4, 4, 8, 8], &mut seed).unwrap_or(8);
                let length_us = pick(&[10_000, 10_000, 15_000, 20_000], &mut seed).unwrap_or(10_000);
                // The last one is sporadic.
                let one_in = if index + 1 == count { 40 } else { 1 };
                Slot { id, bytes, length_us, one_in }
            })
            .collect();
        let slot = |id, one_in| Slot { id, bytes: 8, length_us: 10_000, one_in };
        let kind = if seed.chance(1, 4) { ChecksumKind::Classic } else { ChecksumKind::Enhanced };
        Self {
            bus,
            kind,
            usual,
            diagnosis: vec![slot(0x3C, 1), slot(0x3D, 1)],
            jitter_us: 50 + seed.below(400),
            stamps_end: seed.chance(1, 2),
            now: seed.below(10_000),
            at: 0,
            is_diagnosis: false,
            next_diagnosis: DIAGNOSIS_US,
            sleeps: AWAKE_US,
            counter: 0,
            waiting: VecDeque::new(),
            seed,
        }
    }

    /// Returns the identifiers of its frames, the sporadic one last.
    #[must_use]
    pub fn ids(&self) -> Vec<u8> {
        self.usual.iter().map(|slot| slot.id).collect()
    }

    fn hear(&mut self, at: u64, heard: Heard) {
        let bytes = match &heard {
            Heard::Frame { frame, .. } => frame.data().len() as u64 + 1,
            Heard::Fault { .. } | Heard::Header | Heard::WakeUp | Heard::Asleep => 0,
        };
        let late = if self.stamps_end { (HEADER_BITS + bytes * 10) * BIT_US } else { 0 };
        self.waiting.push_back(TimedLin { at: VehicleMicros(at + late), bus: self.bus, heard });
    }

    /// Sends the header of a slot and what becomes of it.
    fn slot(&mut self, slot: Slot) {
        let at = self.now + self.seed.below(self.jitter_us);
        self.now += slot.length_us;
        if slot.one_in > 1 && !self.seed.chance(1, slot.one_in) {
            return;
        }
        let Some(pid) = Pid::new(slot.id) else { return };
        let is_answer = slot.id == 0x3D;
        let heard = if self.seed.chance(1, NOISE_ONE_IN) {
            let fault = pick(&[Fault::Checksum, Fault::Framing, Fault::Silence], &mut self.seed);
            Heard::Fault { pid, fault: fault.unwrap_or(Fault::Checksum) }
        } else if is_answer && self.seed.chance(1, 2) {
            Heard::Fault { pid, fault: Fault::Silence }
        } else {
            self.counter = self.counter.wrapping_add(1);
            let mut data = [self.counter; 8];
            data[0] = if slot.id >= 0x3C { 0x0A } else { self.counter & 0x0F };
            let payload = data.get(..usize::from(slot.bytes)).unwrap_or(&data);
            let Ok(frame) = Frame::new(pid, self.kind, payload) else { return };
            Heard::Frame { frame, has_checksum: true }
        };
        self.hear(at, heard);
    }

    /// The master sends the bus to sleep; a node wakes it later.
    fn sleep(&mut self) {
        let command = [0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
        let frame = Pid::new(0x3C).and_then(|pid| Frame::new(pid, ChecksumKind::Classic, &command).ok());
        if let Some(frame) = frame {
            self.hear(self.now, Heard::Frame { frame, has_checksum: true });
        }
        self.now += ASLEEP_US + self.seed.below(ASLEEP_US);
        for _ in 0..=self.seed.below(3) {
            self.hear(self.now, Heard::WakeUp);
            self.now += 200_000;
        }
        self.sleeps = self.now + AWAKE_US;
        (self.at, self.is_diagnosis) = (0, false);
    }
}

impl Iterator for LinTraffic {
    type Item = TimedLin;

    fn next(&mut self) -> Option<TimedLin> {
        loop {
            if let Some(heard) = self.waiting.pop_front() {
                return Some(heard);
            }
            let table = if self.is_diagnosis { &self.diagnosis } else { &self.usual };
            if let Some(slot) = table.get(self.at).copied() {
                self.at += 1;
                self.slot(slot);
                continue;
            }
            self.at = 0;
            self.is_diagnosis = !self.is_diagnosis && self.now >= self.next_diagnosis;
            if self.is_diagnosis {
                self.next_diagnosis = self.now + DIAGNOSIS_US;
            }
            if self.now >= self.sleeps {
                self.sleep();
            }
        }
    }
}
