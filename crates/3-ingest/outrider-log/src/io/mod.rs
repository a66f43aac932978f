//! Everything of this crate that touches files.

mod embedded;
mod engine;

pub use embedded::{EmbeddedConfig, EmbeddedLog};
