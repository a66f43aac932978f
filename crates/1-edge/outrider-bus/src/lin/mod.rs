//! LIN (ISO 17987-3): frames, checksums and schedules.
//!
//! [`LinView`] reads the records of pcap link type 212, [`Frame`] is the checked value, [`Heard`] what a listener takes
//! in whatever the capture's format, [`Order`] which header may follow which by [`Schedule`]s. Source: ISO 17987-3:2016;
//! libpcap `LINKTYPE_LIN`.

mod heard;
mod repr;
mod schedule;
#[cfg(test)]
mod tests;
mod view;

pub use heard::{Fault, Heard, TimedLin};
pub use repr::{ChecksumKind, DATA_BYTES_MAX, Frame, LinError, Pid, checksum};
pub use schedule::{Order, SLOTS_MAX, Schedule, Slot};
pub use view::{BusEvent, LinRecord, LinView, RecordErrors};
