//! One message: when it comes and what is in it.

use outrider_bus::can::{CanId, Frame};
use outrider_types::{BusId, Seed};

use super::bits;
use super::drive::{self, Motion, Physical};
use crate::io::dbc::{DbcMessage, DbcSignal};

/// Mean time between two occurrences of an event message, in microseconds (guess: a user does something with
/// doors or lights that often).
const EVENT_US: u64 = 12_000_000;
/// Frames of one occurrence: the event and its repeats.
const EVENT_REPEATS: u32 = 3;
/// Time between those, in microseconds.
const EVENT_GAP_US: u64 = 20_000;

/// How the ECUs of a platform keep their times and measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Habits {
    /// A frame comes up to this part of its cycle late, in thousandths …
    pub(super) jitter_permille: u64,
    /// … and at most this late, in microseconds.
    pub(super) jitter_us_max: u64,
    /// Clocks are wrong by at most this many millionths, each by its own amount.
    pub(super) drift_ppm: u64,
    /// One frame in so many is late by up to a whole cycle (a task that overran); 0 never.
    pub(super) late_one_in: u64,
    /// One frame in so many is sent once more at once, because a value changed; 0 never.
    pub(super) extra_one_in: u64,
    /// Mean time between two occurrences of an event message, in microseconds.
    pub(super) event_us: u64,
    /// Measured values differ from the truth by up to this many steps.
    pub(super) noise_steps: u32,
    /// Measured values are all ones ("not available") in so many frames after a reset, at most.
    pub(super) invalid_frames: u64,
}

impl Habits {
    /// Two per cent of the cycle, at most a millisecond: what tasks of an ECU's scheduler vary by.
    pub(super) const PLAIN: Self = Self {
        jitter_permille: 20,
        jitter_us_max: 1000,
        drift_ppm: 0,
        late_one_in: 0,
        extra_one_in: 0,
        event_us: EVENT_US,
        noise_steps: 0,
        invalid_frames: 0,
    };
}

/// What a signal is for.
#[derive(Debug, Clone, Copy)]
enum Role {
    Counter,
    Checksum(fn(&[u8]) -> u8),
    Freshness,
    Mac,
    /// Follows from the motion; measured with noise or not.
    Physical(Physical, bool),
    /// Says which page of a multiplexed message follows; there are as many as the signal's largest value.
    Selector,
    /// One value a page, each its own.
    Paged,
    /// Walks by itself.
    Walk,
}

fn role(signal: &DbcSignal) -> Role {
    let name = signal.name.as_str();
    let physical = |name: &str| Physical::of(name);
    if name.ends_with("Counter") {
        Role::Counter
    } else if name.ends_with("ChecksumXor") {
        Role::Checksum(bits::xor)
    } else if name.ends_with("ChecksumSum") {
        Role::Checksum(bits::sum)
    } else if name.ends_with("Checksum") {
        Role::Checksum(bits::crc8)
    } else if name.ends_with("Freshness") {
        Role::Freshness
    } else if name.ends_with("Mac") {
        Role::Mac
    } else if name.ends_with("Selector") {
        Role::Selector
    } else if name.starts_with("Paged") {
        Role::Paged
    } else if let Some(known) = physical(name) {
        Role::Physical(known, false)
    } else if let Some(known) = name.split_once("Measured").and_then(|(name, _)| physical(name)) {
        Role::Physical(known, true)
    } else {
        Role::Walk
    }
}

/// A signal, its role, and the value of its walk.
#[derive(Debug)]
struct Slot {
    role: Role,
    signal: DbcSignal,
    walk: f64,
}

/// One message and its state.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) id: CanId,
    pub(super) bus: BusId,
    /// Name in the network description.
    pub(super) name: String,
    bytes: usize,
    cycle_us: Option<u64>,
    /// Part of the cycle at which the first frame comes.
    phase_us: u64,
    nominal: u64,
    repeats: u32,
    habits: Habits,
    slots: Vec<Slot>,
    sent: u64,
    /// Frames after the latest reset without measured values.
    invalid_frames: u64,
    seed: Seed,
}

impl Sender {
    pub(super) fn new(message: &DbcMessage, seed: Seed, habits: Habits) -> Option<Self> {
        let mut own = seed.fork(message.id.word().into());
        let bytes = usize::from(message.bytes);
        Frame::classic(message.id, &[0; 8]).ok().filter(|_| bytes <= 8)?;
        let cycle_us = message.cycle_ms.map(|ms| u64::from(ms) * 1000);
        let phase_us = own.below(cycle_us.unwrap_or(habits.event_us));
        let slots = message
            .signals
            .iter()
            .filter(|signal| signal.fits(message.bytes))
            .map(|signal| Slot {
                role: role(signal),
                signal: signal.clone(),
                walk: drive::rest(signal, &mut own),
            })
            .collect();
        let drift = |cycle: u64, own: &mut Seed| {
            let ppm = own.below(habits.drift_ppm * 2 + 1);
            cycle.saturating_add(cycle * ppm / 1_000_000).saturating_sub(cycle * habits.drift_ppm / 1_000_000)
        };
        Some(Self {
            id: message.id,
            bus: super::bus_of(message),
            name: message.name.clone(),
            bytes,
            cycle_us: if habits.drift_ppm == 0 {
                cycle_us
            } else {
                cycle_us.map(|cycle| drift(cycle, &mut own))
            },
            phase_us,
            nominal: 0,
            repeats: 0,
            habits,
            slots,
            sent: 0,
            invalid_frames: 0,
            seed: own,
        })
    }

    pub(super) const fn first_us(&mut self) -> u64 {
        self.nominal = self.phase_us;
        self.phase_us
    }

    /// Starts again as after a reset: counters at zero, the first frame after the phase and some time to boot.
    pub(super) const fn wake(&mut self, at_us: u64, boot_us: u64) -> u64 {
        self.sent = 0;
        self.invalid_frames = self.seed.below(self.habits.invalid_frames + 1);
        self.repeats = 0;
        self.nominal = at_us.saturating_add(boot_us).saturating_add(self.phase_us);
        self.nominal
    }

    /// Time from the start of the drive to the next frame.
    pub(super) fn next_us(&mut self) -> u64 {
        let habits = self.habits;
        match self.cycle_us {
            Some(_)
                if habits.extra_one_in > 0
                    && self.repeats == 0
                    && self.seed.chance(1, habits.extra_one_in) =>
            {
                self.repeats = 1;
                self.nominal.saturating_add(EVENT_GAP_US / 4 + self.seed.below(EVENT_GAP_US))
            }
            Some(cycle) => {
                self.repeats = 0;
                self.nominal = self.nominal.saturating_add(cycle);
                let jitter = (cycle * habits.jitter_permille / 1000).min(habits.jitter_us_max);
                let mut late = self.seed.below(jitter + 1);
                if habits.late_one_in > 0 && self.seed.chance(1, habits.late_one_in) {
                    late = self.seed.below(cycle);
                }
                self.nominal.saturating_add(late)
            }
            None if self.repeats < EVENT_REPEATS - 1 => {
                self.repeats += 1;
                self.nominal = self.nominal.saturating_add(EVENT_GAP_US);
                self.nominal
            }
            None => {
                self.repeats = 0;
                let wait = habits.event_us / 2 + self.seed.below(habits.event_us);
                self.nominal = self.nominal.saturating_add(wait);
                self.nominal
            }
        }
    }

    pub(super) fn frame(&mut self, motion: &Motion) -> Option<Frame> {
        let mut data = [0u8; 8];
        let payload = data.get_mut(..self.bytes)?;
        let is_invalid = self.sent < self.invalid_frames;
        let mut page = 0;
        for slot in &mut self.slots {
            let raw = match slot.role {
                Role::Counter | Role::Freshness => self.sent,
                Role::Physical(_, true) if is_invalid => u64::MAX,
                Role::Selector => {
                    page = self.sent % drive::encode(&slot.signal, slot.signal.max).max(1);
                    page
                }
                Role::Paged => {
                    // Serial numbers, versions, limits: nearly constant.
                    let epoch = self.sent / 5_000;
                    Seed::new(self.id.word().into()).fork(page).fork(epoch).next_u64()
                }
                Role::Physical(physical, is_measured) => {
                    let mut value = motion.physical(physical);
                    if is_measured && self.habits.noise_steps > 0 {
                        let noise = drive::draw(&mut self.seed, self.habits.noise_steps * 2 + 1);
                        value += slot.signal.factor * (noise - f64::from(self.habits.noise_steps));
                    }
                    drive::encode(&slot.signal, value)
                }
                Role::Walk => walk(slot, &mut self.seed),
                Role::Checksum(_) | Role::Mac => continue,
            };
            bits::put(payload, &slot.signal, raw);
        }
        for slot in &self.slots {
            let at = usize::from(slot.signal.start_bit) / 8;
            let covered = payload.get(..at).unwrap_or(&[]);
            let raw = match slot.role {
                Role::Checksum(check) => u64::from(check(covered)),
                Role::Mac => bits::authenticator(self.id.word(), self.sent, covered),
                Role::Counter
                | Role::Freshness
                | Role::Physical(..)
                | Role::Selector
                | Role::Paged
                | Role::Walk => continue,
            };
            bits::put(payload, &slot.signal, raw);
        }
        self.sent += 1;
        Frame::classic(self.id, payload).ok()
    }
}

/// The next step of a signal's own slow walk.
fn walk(slot: &mut Slot, seed: &mut Seed) -> u64 {
    let signal = &slot.signal;
    if signal.bits > 2 && seed.chance(1, 20) {
        let step = signal.factor * (drive::draw(seed, 3) - 1.0);
        slot.walk = (slot.walk + step).clamp(signal.min, signal.max.max(signal.min));
    } else if signal.bits <= 2 && seed.chance(1, 2000) {
        slot.walk = signal.min + drive::draw(seed, 1 << signal.bits.min(2));
    }
    drive::encode(signal, slot.walk)
}
