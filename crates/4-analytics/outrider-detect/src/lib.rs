#![doc = include_str!("../README.md")]

mod cell;
mod codec;
mod compact;
mod config;
mod correlator;
mod detector;
mod facts;
mod intern;
mod moved;
mod names;
mod plan;
pub mod reason;
mod route;
mod sighting;
mod snapshot;
mod spec;
mod spotter;
mod summary;
mod sweep;
mod table;
#[cfg(test)]
mod tests;

pub use config::DetectorConfig;
pub use correlator::{BelowThreshold, Correlator, RuleLoad};
pub use detector::Detector;
pub use plan::{NotEvaluated, RuleVersion};
pub use route::Route;
pub use sighting::{Sightings, SightingsError, SightingsRecord};
pub use spotter::Spotter;
