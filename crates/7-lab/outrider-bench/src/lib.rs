#![doc = include_str!("../README.md")]

mod events;
mod ingest;

pub use events::Events;
pub use ingest::{Figures, Ingest, IngestError, RULES, TENZIR_NORMALISED, TENZIR_RULES_ONLY, package};
