//! Traffic of a FlexRay cluster, drawn by a seed.

use std::collections::VecDeque;

use outrider_bus::flexray::{Channel, Frame, Header, Heard, RecordErrors, TimedFlexRay};
use outrider_types::{BusId, Seed, VehicleMicros};

use crate::inject::pick;

/// Length of a cycle, and of a static slot, in microseconds.
const CYCLE_US: u64 = 5_000;
const SLOT_US: u64 = 50;
/// A frame is damaged, or lost by the capture, once in so many (guess).
const NOISE_ONE_IN: u64 = 100_000;

/// One slot and who sends in it.
#[derive(Debug, Clone, Copy)]
struct Slot {
    slot: u16,
    /// Cycles, one a bit.
    cycles: u64,
    words: u8,
    leads: bool,
    /// Sent on channel B too.
    both: bool,
    /// Dynamic: sent once in so many of its cycles.
    one_in: u64,
    /// Its node has no news once in so many cycles, and sends a null frame.
    null_one_in: u64,
}

/// A cluster with its slots: an endless iterator of what a listener hears, in the order of time.
///
/// Some slots are shared by cycle, some sent on both channels; some nodes send null frames, rare frames come in the
/// dynamic segment, and frames are damaged or missed now and then.
#[derive(Debug)]
pub struct FlexRayTraffic {
    seed: Seed,
    bus: BusId,
    slots: Vec<Slot>,
    cycle: u64,
    waiting: VecDeque<TimedFlexRay>,
}

impl FlexRayTraffic {
    /// Draws a cluster with a number of slots in the static segment, at most 60; the same seed gives the same traffic.
    #[must_use]
    pub fn drawn(seed: u64, bus: BusId, static_slots: u16) -> Self {
        let mut seed = Seed::new(seed).fork(0x464C_5800);
        let words = pick(&[8, 16, 21], &mut seed).unwrap_or(16);
        let static_slots = static_slots.clamp(4, 60);
        let mut slots = Vec::new();
        for slot in 1..=static_slots {
            let leads = slot <= 3;
            // Every seventh slot is free, as reserves for later are.
            if slot % 7 == 0 {
                continue;
            }
            let cycles = if leads {
                u64::MAX
            } else {
                pick(&[u64::MAX, u64::MAX, 0x5555_5555_5555_5555, 0x8888_8888_8888_8888], &mut seed)
                    .unwrap_or(u64::MAX)
            };
            let null_one_in = if seed.chance(1, 4) { 50 } else { 0 };
            slots.push(Slot { slot, cycles, words, leads, both: seed.chance(1, 3), one_in: 1, null_one_in });
        }
        for number in 0..4u16 {
            let one_in = pick(&[5, 20, 200], &mut seed).unwrap_or(20);
            let own = u8::try_from(seed.below(20)).unwrap_or(4);
            slots.push(Slot {
                slot: static_slots + 3 + number * 2,
                cycles: u64::MAX,
                words: own,
                leads: false,
                both: false,
                one_in,
                null_one_in: 0,
            });
        }
        Self { seed, bus, slots, cycle: 0, waiting: VecDeque::new() }
    }

    /// Returns the last slot of the static segment that somebody has, and one of it that nobody has.
    #[must_use]
    pub fn static_slots(&self) -> (u16, Option<u16>) {
        let last = self.slots.iter().filter(|slot| slot.one_in == 1).map(|slot| slot.slot).max().unwrap_or(0);
        let free = (1..=last).find(|number| self.slots.iter().all(|slot| slot.slot != *number));
        (last, free)
    }

    fn cycle(&mut self) {
        let counter = u8::try_from(self.cycle % 64).unwrap_or(0);
        let begin = self.cycle * CYCLE_US;
        self.cycle += 1;
        for index in 0..self.slots.len() {
            let Some(slot) = self.slots.get(index).copied() else { return };
            if slot.cycles >> counter & 1 == 0 || slot.one_in > 1 && !self.seed.chance(1, slot.one_in) {
                continue;
            }
            let is_data = slot.null_one_in == 0 || !self.seed.chance(1, slot.null_one_in);
            let header = Header {
                payload_preamble: false,
                is_data,
                sync: slot.leads,
                startup: slot.leads,
                slot: slot.slot,
                words: slot.words,
                cycle: counter,
            };
            let byte = if is_data { counter } else { 0 };
            let payload = [byte; 254];
            let payload = payload.get(..header.payload_bytes()).unwrap_or(&payload);
            let channels: &[Channel] = if slot.both { &[Channel::A, Channel::B] } else { &[Channel::A] };
            for &channel in channels {
                let heard = if self.seed.chance(1, NOISE_ONE_IN) {
                    Heard::Broken { channel, errors: RecordErrors::FRAME_CRC, slot: Some(slot.slot) }
                } else if self.seed.chance(1, NOISE_ONE_IN) {
                    continue;
                } else {
                    let Ok(frame) = Frame::new(channel, header, payload) else { continue };
                    Heard::Frame(frame)
                };
                let at = VehicleMicros(begin + u64::from(slot.slot) * SLOT_US + self.seed.below(3));
                self.waiting.push_back(TimedFlexRay { at, bus: self.bus, heard });
            }
        }
    }
}

impl Iterator for FlexRayTraffic {
    type Item = TimedFlexRay;

    fn next(&mut self) -> Option<TimedFlexRay> {
        loop {
            if let Some(heard) = self.waiting.pop_front() {
                return Some(heard);
            }
            self.cycle();
        }
    }
}
