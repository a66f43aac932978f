//! Linux host sensors: what programs, files, sockets, memory, boot and logs of an ECU say about an intrusion.
//!
//! **In:** a [`HostConfig`] and the kernel's interfaces, asked in turns; time is an argument. **Out:** [`HostEvent`]s of
//! the event catalogue, and for each sensor what it received, reported, found quiet, rejected and lost
//! ([`SensorState`]). **Never:** a host that waits for a sensor (nothing here is a permission event), an unbounded
//! queue, a loss that is not counted, a right that a sensor does not need. **Start reading** at [`Host`].
//!
//! I/O is this crate's trade. What judges is apart from what reads: each sensor is a pure part that takes bytes or
//! lines, and a thin part that fetches them. `unsafe` is in `sys` alone.

mod boot;
mod catalogue;
pub mod config;
pub mod confine;
mod event;
mod files;
mod host;
mod known;
mod logs;
mod memory;
mod modules;
mod outbox;
mod people;
mod proc_fs;
mod process;
mod sensor;
mod sockets;
mod sys;
mod syscalls;
mod usage;

pub use config::HostConfig;
pub use event::{HostEvent, Kind, TEXT_BYTES_MAX, Value};
pub use host::{Host, HostError};
pub use outbox::{EVENTS_MAX, Outbox};
pub use sensor::{Counts, SensorState};
pub use usage::Usage;

/// Parsers of untrusted bytes, for fuzzing: every input ends in records and counted rejects.
pub mod parse {
    pub use crate::boot::event_log::{EventLog, EventLogError, parse as event_log};
    pub use crate::boot::measurements::{Measured, parse as measurement};
    pub use crate::files::event::{FileRecord, FileRecords, RecordError};
    pub use crate::logs::pattern::{PatternError, Patterns};
    pub use crate::logs::{Decoder, LogKind, LogRecord};
    pub use crate::proc_fs::{Mapping, SocketLine, mapping, socket_line};
    pub use crate::process::event::{ProcessFact, facts};
}

/// Opens a CAN interface for reading; see `linux/can/raw.h` for what the reads return.
///
/// # Errors
/// No such interface, or a kernel without CAN (`EAFNOSUPPORT`).
pub fn can_socket(interface: &str, timeout_ms: u32) -> std::io::Result<std::fs::File> {
    sys::socketcan::open(interface, timeout_ms)
}
