//! Frames as they happen: adapters that wait for a bus, each in a thread of its own behind a bounded queue.
//!
//! **In:** a place such as `cannelloni:0.0.0.0:20000`, `socketcan:can0` or `stdin`. **Out:** frames with the time at which
//! they came. **Never:** a bus that waits for the detectors; a frame that is dropped or refused without being counted.

pub mod cannelloni;
mod pump;
#[cfg(feature = "socketcan")]
mod socketcan;
mod stdin;
#[cfg(test)]
mod tests;

use std::io;
use std::str::FromStr;

use outrider_bus::can::Frame;
use outrider_types::BusId;

pub use pump::{LiveCounts, Pump};

/// Longest time that a source waits for a frame before it looks whether it is to end.
const WAIT_MS: u32 = 200;

/// A bus adapter.
pub trait LiveSource: Send {
    /// Waits at most some tenths of a second and gives what came to `take`, with the channel where the source has
    /// several; returns whether more may come, and how many pieces were no frames.
    ///
    /// # Errors
    /// The source is broken; it is not asked again.
    fn receive(&mut self, take: &mut dyn FnMut(BusId, Frame)) -> io::Result<Received>;
}

/// What one wait brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Whether more may come.
    pub goes_on: bool,
    /// Pieces that were no frames.
    pub rejected: u64,
    /// Frames that the operating system dropped, where it says so.
    pub lost: u64,
}

impl Received {
    /// Nothing unusual.
    const QUIET: Self = Self { goes_on: true, rejected: 0, lost: 0 };
}

/// Where frames come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// UDP datagrams of cannelloni, on this address.
    Cannelloni(std::net::SocketAddr),
    /// A CAN interface of this host.
    SocketCan(String),
    /// Lines of candump on standard input.
    Stdin,
}

/// A place with the bus that it is, `1=socketcan:can0`; without a number the buses are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePlace {
    /// Bus, if stated.
    pub bus: Option<BusId>,
    /// Where.
    pub place: Place,
    /// As it was written.
    pub text: String,
}

impl FromStr for LivePlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (bus, rest) = match text.split_once('=') {
            Some((bus, rest)) => {
                (Some(BusId(bus.parse().map_err(|_| format!("{bus:?} is no bus number"))?)), rest)
            }
            None => (None, text),
        };
        let place = match rest.split_once(':') {
            None if rest == "stdin" => Place::Stdin,
            Some(("cannelloni", address)) => {
                Place::Cannelloni(address.parse().map_err(|_| format!("{address:?} is no address:port"))?)
            }
            Some(("socketcan", interface)) if !interface.is_empty() => Place::SocketCan(interface.to_owned()),
            _ => return Err("expected cannelloni:ADDRESS:PORT, socketcan:INTERFACE or stdin".to_owned()),
        };
        Ok(Self { bus, place, text: text.to_owned() })
    }
}

impl LivePlace {
    /// Opens the source.
    ///
    /// # Errors
    /// The place cannot be opened, or this program was built without it.
    pub fn open(&self, bus: BusId) -> io::Result<Box<dyn LiveSource>> {
        Ok(match &self.place {
            Place::Cannelloni(address) => Box::new(cannelloni::Cannelloni::open(*address, bus)?),
            #[cfg(feature = "socketcan")]
            Place::SocketCan(interface) => Box::new(socketcan::SocketCan::open(interface, bus)?),
            #[cfg(not(feature = "socketcan"))]
            Place::SocketCan(_) => {
                let text = "this program was built without the feature `socketcan`";
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
            Place::Stdin => Box::new(stdin::Stdin::new(Box::new(io::BufReader::new(io::stdin())), bus)),
        })
    }
}
