//! What is normal for one vehicle: learned once, written to a file, read in place.
//!
//! [`VehicleModel`] borrows the bytes, checks them once and then hands out [`BusModel`]s and [`IdEntry`]s;
//! [`write()`] is the way back. The file states facts of the training traffic only. What follows from them, such
//! as limits, is decided by the detectors, so that a better detector needs no new learning.
//!
//! All numbers are little endian. Layout: header of [`HEADER_BYTES`], one record of [`BUS_BYTES`] a bus, then for
//! each bus its identifiers ([`ID_BYTES`] each, ascending) and its diagnostic pairs ([`PAIR_BYTES`] each), and a
//! CRC-32C over everything before it. Nothing lies between or behind these parts.

mod repr;
#[cfg(test)]
mod tests;
mod view;
mod write;

pub use repr::{
    BusFacts, CycleClass, DiagPair, GapFacts, IdEntry, IdFlags, ModelError, ModelHead, SpeedSignal, Text,
};
pub use view::{BusModel, VehicleModel};
pub use write::{BusDraft, WriteError, encoded_bytes, write};

/// First bytes of a model.
pub const MAGIC: [u8; 8] = *b"OUTRVMDL";
/// Version of the layout that this crate reads and writes.
pub const VERSION: u16 = 1;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 96;
/// Bytes of a bus record.
pub const BUS_BYTES: usize = 64;
/// Bytes of an identifier record.
pub const ID_BYTES: usize = 40;
/// Bytes of a diagnostic pair.
pub const PAIR_BYTES: usize = 8;
/// Most buses of a model: one more than the CAN controllers of common gateway processors (guess).
pub const BUSES_MAX: usize = 16;
/// Most identifiers of a bus. Databases of production buses stay below 500; the detectors' tables are sized
/// for this number.
pub const IDS_MAX: usize = 512;
/// Most diagnostic pairs of a bus, more than ECUs on any.
pub const PAIRS_MAX: usize = 256;
