//! A TPM 2.0 as anchor and key store, spoken to in its own commands.
//!
//! No C library: `libtss2` is not on a fresh machine, and a static agent cannot link it. A dozen commands are enough
//! (`docs/adr/0015-hardware-anchors.md`). One connection serves anchor and keys, one command at a time.

mod anchor;
mod channel;
mod command;
mod device;
mod keys;
pub mod response;

pub use self::anchor::TpmAnchor;
pub use self::channel::TpmPlace;
pub use self::device::{Tpm, TpmError};
pub use self::keys::TpmStore;
