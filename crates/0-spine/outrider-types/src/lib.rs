//! Identities, times, units and seeds shared by vehicle and cloud.
//!
//! **In:** nothing. **Out:** small `Copy` types that every other crate speaks. **Never:** allocation, I/O, a
//! wall clock of its own, a panic on input. **Start reading** at [`EventId`] and [`EventTime`].
//!
//! Two invariants of `docs/invariants.md` live in these types: LOG-1 (an event's identity is given by the
//! vehicle and never changes) and TIME-1 (vehicle time, event time and ingest time are different types, and
//! only [`ClockFix`] converts between the first two).
#![no_std]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core
)]

mod clock;
mod id;
mod lane;
mod seed;
mod severity;
mod time;

pub use clock::{Clock, ManualClock};
pub use id::{
    BootEpoch, BusId, EcuId, EventId, EventTypeId, FieldKey, HexError, ParseIdError, Seq, TenantId,
    VehicleId, hex_decode,
};
pub use lane::Lane;
pub use seed::Seed;
pub use severity::Severity;
pub use time::{ClockFix, ClockSource, EventTime, IngestTime, UnixMicros, VehicleMicros};
