//! The vehicle program: capture adapters, detectors, gateway and uplink.

pub mod bench;
pub mod cli;
pub mod clock;
pub mod edge;
pub mod eval;
pub mod identity;
pub mod inject;
pub mod io;
pub mod keystore;
pub mod learn;
pub mod model_file;
pub mod net;
pub mod remote;
pub mod replay;

pub mod runtime;
pub mod scheduled;
pub mod traffic;
