//! What is normal for one vehicle: learned once, written to a file, read in place.
//!
//! [`VehicleModel`] borrows the bytes, checks them once and then hands out [`BusModel`]s and [`IdEntry`]s;
//! [`write()`] is the way back. The file states facts of the training traffic only. What follows from them, such
//! as limits, is decided by the detectors, so that a better detector needs no new learning.
//!
//! All numbers are little endian. Layout: header of [`HEADER_BYTES`], one record of [`BUS_BYTES`] a bus, then for
//! each bus its identifiers ([`ID_BYTES`] each, ascending), its diagnostic pairs ([`PAIR_BYTES`] each) and its list of
//! sections, then the list of sections that belong to no CAN bus, and a CRC-32C over everything before it. Nothing lies
//! between these parts, and nothing but [`signature`]s behind them. Version 1 had no sections and is still read.

pub(crate) mod bytes;
pub(crate) mod envelope;
pub mod habits;
pub mod protection;
mod repr;
mod sections;
pub mod signature;
#[cfg(test)]
mod tests;
mod view;
mod write;

pub use repr::{
    BusFacts, CycleClass, DiagPair, GapFacts, IdEntry, IdFlags, ModelError, ModelHead, SpeedSignal, Text,
};
pub use sections::{SECTION_BYTES_MAX, SECTIONS_MAX, SectionDraft, SectionKind, Sections};
pub use view::{BusModel, VehicleModel};
pub use write::{BusDraft, ModelDraft, WriteError, encoded_bytes, write};

/// First bytes of a model.
pub const MAGIC: [u8; 8] = *b"OUTRVMDL";
/// Version of the layout that this crate writes; it reads this one and all before.
pub const VERSION: u16 = 2;
/// First version of the layout that has sections.
const VERSION_SECTIONS: u16 = 2;
/// Bytes of the header.
pub const HEADER_BYTES: usize = envelope::HEADER_BYTES;
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

/// What tells a CAN model from others.
const KIND: envelope::Kind =
    envelope::Kind { magic: MAGIC, versions: 1..=VERSION, records_max: BUSES_MAX, record_bytes: BUS_BYTES };
