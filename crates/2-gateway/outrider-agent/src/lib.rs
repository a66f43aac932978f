//! The vehicle program: capture adapters, detectors, gateway and uplink.

pub mod io;
