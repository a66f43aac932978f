//! The vehicle's program as one synchronous machine: detectors, gateway, rolling capture, commands.
//!
//! **In:** frames and time, as arguments. **Out:** frames for the cloud through a [`CloudLink`]. **Never:** a clock or a
//! socket of its own; a command obeyed before every check has passed and its number is durable.
//! **Start reading** at [`Vehicle`].

mod commands;
mod config;
mod costs;
mod evidence;
pub mod hardware;
pub mod ids;
mod index;
mod key_change;
mod listening;
mod observed;
mod parts;
mod remote;
pub mod report;
pub mod seal;
mod sections;
mod sensed;
#[cfg(test)]
mod tests;
mod trusted;
mod vehicle;
pub mod workshop;

pub use commands::{Job, Jobs};
pub use config::{BatchKey, ConfigError, VehicleConfig, VehicleKeys};
pub use costs::{LaneSection, UplinkSection};
pub use index::{EventIndex, Happened};
pub use key_change::KeyChanges;
pub use parts::{CloudLink, OpenError, Status, VehicleParts};
pub use report::{Habits, Report, ReportError, STALE_S};
pub use sections::{SandboxConfig, Sections};
pub use vehicle::Vehicle;
