//! Everything of this crate that touches files and sockets.

mod embedded;
mod engine;
#[cfg(feature = "kafka")]
pub mod kafka;

pub use embedded::{EmbeddedConfig, EmbeddedLog};
