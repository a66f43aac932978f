//! LIN (ISO 17987-3): frames, checksums and schedules.
//!
//! [`LinView`] reads the records of pcap link type 212, [`Frame`] is the checked value, [`Follower`] compares the
//! headers on the bus with a [`Schedule`]. Source: ISO 17987-3:2016; libpcap `LINKTYPE_LIN`.

mod repr;
mod schedule;
#[cfg(test)]
mod tests;
mod view;

pub use repr::{ChecksumKind, DATA_BYTES_MAX, Frame, LinError, Pid, checksum};
pub use schedule::{Follower, Occurrence, SLOTS_MAX, Schedule, Slot};
pub use view::{LinRecord, LinView, RecordErrors};
