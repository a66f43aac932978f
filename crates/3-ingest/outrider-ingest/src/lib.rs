#![doc = include_str!("../README.md")]

mod accept;
mod clock;
mod decode;
mod interval;
mod open;
mod received;
mod worker;

pub use accept::{Accepted, Acceptor, lane_watermarks};
pub use clock::{ClockState, EARLIEST_PLAUSIBLE};
pub use decode::RowsDecoder;
pub use interval::IntervalSet;
pub use open::{IngestError, KeyRing, Opened, Opener};
pub use received::{LaneReceived, LaneWatermark, Received};
pub use worker::{GapState, LaneGap, Quarantined, Worker};
