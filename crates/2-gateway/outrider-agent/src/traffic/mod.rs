//! Generates plausible traffic of a vehicle from its network description, for simulation, demos and benches.
//!
//! **In:** a [`DbcModel`], a seed and a [`Drive`]; or a [`Platform`], which is drawn, and the hours it lives.
//! **Out:** an endless-or-bounded iterator of frames in the order of time: cycles with jitter, counters that count,
//! checksums that hold, signals that fit the drive. **Never:** an ambient clock or ambient randomness, or all frames
//! in memory. **Start reading** at [`generate`], or at [`Life`] for a vehicle that sleeps, drives and is serviced;
//! [`LinTraffic`] and [`FlexRayTraffic`] are buses of their own.
//!
//! Conventions of `content/vehicles/outrider-demo.dbc`: names of messages begin with `Pt` on bus 0 and with `Bd` on
//! bus 1; signals whose names end in `Counter` and `Checksum` are an alive counter and a CRC-8 (SAE J1850) over
//! the bytes before it; `Freshness` and `Mac` are a SecOC freshness value and an authenticator (a keyed checksum
//! that stands for one, not cryptography). Messages without a cycle come when something happens.

mod bits;
mod drive;
mod flexray;
mod life;
mod lin;
mod platform;
mod sender;
mod tester;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use outrider_bus::can::TimedFrame;
use outrider_types::{BusId, Seed, VehicleMicros};

use crate::io::dbc::{self, DbcMessage, DbcModel};
#[cfg(test)]
pub(crate) use bits::crc8;
use drive::Motion;
pub use drive::{Drive, DriveProfile};
pub use flexray::FlexRayTraffic;
pub use life::{DRIVE_US_MAX, Life, Mode, drive};
pub use lin::LinTraffic;
pub use platform::Platform;
use sender::{Habits, Sender};

/// Network description of the simulated vehicles.
pub const DEMO_DBC: &str = include_str!("../../../../../content/vehicles/outrider-demo.dbc");

/// Time one frame takes on a 500 kbit/s bus, in microseconds.
const FRAME_US: u64 = 244;
/// Buses of a network.
const BUSES: usize = 2;
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
    let mut traffic = Traffic::asleep(model, Seed::new(seed), drive, Habits::PLAIN);
    for (index, sender) in traffic.senders.iter_mut().enumerate() {
        traffic.due.insert((drive.start.0.saturating_add(sender.first_us()), index));
    }
    traffic
}

/// Frames of a drive in the order of time; see [`generate`].
#[derive(Debug)]
pub struct Traffic {
    senders: Vec<Sender>,
    /// When each sender is due; of equals the lower identifier wins, as on a bus.
    due: BTreeSet<(u64, usize)>,
    drive: Drive,
    motion: Motion,
    free_at: [u64; BUSES],
}

impl Traffic {
    /// Creates the senders of a network, of which none is due.
    fn asleep(model: &DbcModel, seed: Seed, drive: &Drive, habits: Habits) -> Self {
        let mut senders: Vec<Sender> =
            model.messages.iter().filter_map(|message| Sender::new(message, seed, habits)).collect();
        senders.sort_by_key(|sender| sender.id);
        let motion = Motion::new(drive, seed);
        Self { senders, due: BTreeSet::new(), drive: *drive, motion, free_at: [0; BUSES] }
    }

    /// Returns the speed of the vehicle at the latest frame, in km/h.
    #[must_use]
    pub const fn speed_kmh(&self) -> f64 {
        self.motion.speed_kmh()
    }

    /// Takes a bus for one frame of somebody else, or returns until when it is busy.
    fn busy_until(&mut self, bus: usize, at: u64) -> Option<u64> {
        let free_at = self.free_at.get_mut(bus)?;
        if *free_at > at {
            return Some(*free_at);
        }
        *free_at = at.saturating_add(FRAME_US);
        None
    }

    /// Returns the next frame, unless none is due before `end`.
    fn next_before(&mut self, end: u64) -> Option<TimedFrame> {
        loop {
            if self.due.first()?.0 >= end {
                return None;
            }
            let (due, index) = self.due.pop_first()?;
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

impl Iterator for Traffic {
    type Item = TimedFrame;

    fn next(&mut self) -> Option<TimedFrame> {
        self.next_before(self.drive.start.0.saturating_add(self.drive.length_us))
    }
}
