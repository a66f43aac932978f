#![doc = include_str!("../README.md")]

mod error;
mod group;
mod io;

pub use error::{ErrorClass, OpenError};
pub use io::{EmbeddedConfig, EmbeddedLog};
