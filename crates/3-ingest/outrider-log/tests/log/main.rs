//! Every event log against one suite, and what a killed process leaves behind.

mod conformance;
mod crash;
mod embedded;
#[cfg(feature = "kafka")]
mod kafka;
