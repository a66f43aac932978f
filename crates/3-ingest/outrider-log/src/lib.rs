#![doc = include_str!("../README.md")]

mod error;
mod group;
mod io;

pub use error::{ErrorClass, OpenError};
#[cfg(feature = "kafka")]
pub use io::kafka;
pub use io::{EmbeddedConfig, EmbeddedLog};
