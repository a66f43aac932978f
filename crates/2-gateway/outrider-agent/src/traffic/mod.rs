//! Generates plausible traffic of a vehicle from its network description, for simulation, demos and benches.
//!
//! **In:** a [`DbcModel`], a seed and a [`Drive`]. **Out:** an endless-or-bounded iterator of frames in the order
//! of time: cycles with jitter, counters that count, checksums that hold, signals that fit the drive. **Never:** an
//! ambient clock or ambient randomness. **Start reading** at [`generate`].
//!
//! Conventions of `content/vehicles/outrider-demo.dbc`: names of messages begin with `Pt` on bus 0 and with `Bd` on
//! bus 1; signals whose names end in `Counter` and `Checksum` are an alive counter and a CRC-8 (SAE J1850) over
//! the bytes before it; `Freshness` and `Mac` are a SecOC freshness value and an authenticator (a keyed checksum
//! that stands for one, not cryptography). Messages without a cycle come when something happens.

mod bits;
mod drive;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use outrider_bus::can::{CanId, Frame, TimedFrame};
use outrider_types::{BusId, Seed, VehicleMicros};

use crate::io::dbc::{self, DbcMessage, DbcModel, DbcSignal};
#[cfg(test)]
pub(crate) use bits::crc8;
use drive::Motion;
pub use drive::{Drive, DriveProfile};

/// Network description of the simulated vehicles.
pub const DEMO_DBC: &str = include_str!("../../../../../content/vehicles/outrider-demo.dbc");

/// Time one frame takes on a 500 kbit/s bus, in microseconds.
const FRAME_US: u64 = 244;
/// Mean time between two occurrences of an event message, in microseconds (guess: a user does something with
/// doors or lights that often).
const EVENT_US: u64 = 12_000_000;
/// Frames of one occurrence: the event and its repeats.
const EVENT_REPEATS: u32 = 3;
/// Time between those, in microseconds.
const EVENT_GAP_US: u64 = 20_000;

/// Returns the network description of the simulated vehicles.
///
/// # Panics
/// Never: a test reads the file that is compiled in.
#[must_use]
pub fn demo_network() -> DbcModel {
    dbc::parse(DEMO_DBC.as_bytes()).expect("the file in content is a network description, as a test shows")
}

/// Returns the bus of a message by the convention of this module.
#[must_use]
pub fn bus_of(message: &DbcMessage) -> BusId {
    BusId(u8::from(message.name.starts_with("Bd")))
}

/// Returns whether a message is protected by SecOC by the convention of this module.
#[must_use]
pub fn is_protected(message: &DbcMessage) -> bool {
    let has = |suffix: &str| message.signals.iter().any(|signal| signal.name.ends_with(suffix));
    has("Freshness") && has("Mac")
}

/// Generates the traffic of one drive.
#[must_use]
pub fn generate(model: &DbcModel, seed: u64, drive: &Drive) -> Traffic {
    let seed = Seed::new(seed);
    let mut senders: Vec<Sender> =
        model.messages.iter().filter_map(|message| Sender::new(message, seed)).collect();
    senders.sort_by_key(|sender| sender.id);
    let mut due = BTreeSet::new();
    for (index, sender) in senders.iter_mut().enumerate() {
        due.insert((drive.start.0.saturating_add(sender.first_us()), index));
    }
    Traffic { senders, due, drive: *drive, motion: Motion::new(drive, seed), free_at: [0; 2] }
}

/// What a signal is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Counter,
    Checksum,
    Freshness,
    Mac,
    Value,
}

fn role(signal: &DbcSignal) -> Role {
    let ends = |suffix: &str| signal.name.ends_with(suffix);
    if ends("Counter") {
        Role::Counter
    } else if ends("Checksum") {
        Role::Checksum
    } else if ends("Freshness") {
        Role::Freshness
    } else if ends("Mac") {
        Role::Mac
    } else {
        Role::Value
    }
}

/// One message and its state.
#[derive(Debug)]
struct Sender {
    id: CanId,
    bus: BusId,
    bytes: usize,
    cycle_us: Option<u64>,
    /// Part of the cycle at which the first frame comes, and the drift of the sender's clock.
    phase_us: u64,
    nominal: u64,
    repeats: u32,
    signals: Vec<(Role, DbcSignal, Walk)>,
    sent: u64,
    seed: Seed,
}

/// Value of a signal that the drive does not determine.
#[derive(Debug)]
struct Walk {
    value: f64,
}

impl Sender {
    fn new(message: &DbcMessage, seed: Seed) -> Option<Self> {
        let mut own = seed.fork(message.id.word().into());
        let bytes = usize::from(message.bytes);
        Frame::classic(message.id, &[0; 8]).ok().filter(|_| bytes <= 8)?;
        let cycle_us = message.cycle_ms.map(|ms| u64::from(ms) * 1000);
        let phase_us = own.below(cycle_us.unwrap_or(EVENT_US));
        let signals = message
            .signals
            .iter()
            .filter(|signal| signal.fits(message.bytes))
            .map(|signal| (role(signal), signal.clone(), Walk { value: drive::rest(signal, &mut own) }))
            .collect();
        Some(Self {
            id: message.id,
            bus: bus_of(message),
            bytes,
            cycle_us,
            phase_us,
            nominal: 0,
            repeats: 0,
            signals,
            sent: 0,
            seed: own,
        })
    }

    fn first_us(&mut self) -> u64 {
        self.nominal = self.phase_us;
        self.phase_us
    }

    /// Time from the start of the drive to the next frame.
    fn next_us(&mut self) -> u64 {
        match self.cycle_us {
            Some(cycle) => {
                self.nominal = self.nominal.saturating_add(cycle);
                // Two per cent of the cycle, at most a millisecond: what tasks of an ECU's scheduler vary by.
                let jitter = (cycle / 50).min(1000);
                self.nominal.saturating_add(self.seed.below(jitter + 1))
            }
            None if self.repeats < EVENT_REPEATS - 1 => {
                self.repeats += 1;
                self.nominal = self.nominal.saturating_add(EVENT_GAP_US);
                self.nominal
            }
            None => {
                self.repeats = 0;
                self.nominal = self.nominal.saturating_add(EVENT_US / 2 + self.seed.below(EVENT_US));
                self.nominal
            }
        }
    }

    fn frame(&mut self, motion: &Motion) -> Option<Frame> {
        let mut data = [0u8; 8];
        let payload = data.get_mut(..self.bytes)?;
        for (role, signal, walk) in &mut self.signals {
            let raw = match role {
                Role::Counter | Role::Freshness => self.sent,
                Role::Value => motion.raw(signal, &mut walk.value, &mut self.seed),
                Role::Checksum | Role::Mac => continue,
            };
            bits::put(payload, signal, raw);
        }
        for (role, signal, _) in &self.signals {
            let at = usize::from(signal.start_bit) / 8;
            let covered = payload.get(..at).unwrap_or(&[]);
            let raw = match role {
                Role::Checksum => u64::from(bits::crc8(covered)),
                Role::Mac => bits::authenticator(self.id.word(), self.sent, covered),
                Role::Counter | Role::Freshness | Role::Value => continue,
            };
            bits::put(payload, signal, raw);
        }
        self.sent += 1;
        Frame::classic(self.id, payload).ok()
    }
}

/// Frames of a drive in the order of time; see [`generate`].
#[derive(Debug)]
pub struct Traffic {
    senders: Vec<Sender>,
    /// When each sender is due; of equals the lower identifier wins, as on a bus.
    due: BTreeSet<(u64, usize)>,
    drive: Drive,
    motion: Motion,
    free_at: [u64; 2],
}

impl Traffic {
    /// Returns the speed of the vehicle at the latest frame, in km/h.
    #[must_use]
    pub const fn speed_kmh(&self) -> f64 {
        self.motion.speed_kmh()
    }
}

impl Iterator for Traffic {
    type Item = TimedFrame;

    fn next(&mut self) -> Option<TimedFrame> {
        loop {
            let (due, index) = self.due.pop_first()?;
            if due >= self.drive.start.0.saturating_add(self.drive.length_us) {
                self.due.clear();
                return None;
            }
            let sender = self.senders.get_mut(index)?;
            let free_at = self.free_at.get_mut(usize::from(sender.bus.0))?;
            if *free_at > due {
                // The bus is busy: try again when it is free, against whoever waits then.
                self.due.insert((*free_at, index));
                continue;
            }
            *free_at = due.saturating_add(FRAME_US);
            self.motion.advance(due.saturating_sub(self.drive.start.0));
            let frame = sender.frame(&self.motion);
            let bus = sender.bus;
            let next = self.drive.start.0.saturating_add(sender.next_us()).max(due.saturating_add(1));
            self.due.insert((next, index));
            if let Some(frame) = frame {
                return Some(TimedFrame { at: VehicleMicros(due), bus, frame });
            }
        }
    }
}
