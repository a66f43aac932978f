#![doc = include_str!("../README.md")]

mod cell;
mod codec;
mod compact;
mod config;
mod detector;
mod intern;
mod names;
mod snapshot;
mod spec;
mod summary;
mod sweep;
mod table;
#[cfg(test)]
mod tests;

pub use config::DetectorConfig;
pub use detector::{BelowThreshold, Detector, NotEvaluated, RuleLoad, reason};
