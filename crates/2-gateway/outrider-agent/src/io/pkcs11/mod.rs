//! A PKCS#11 token as anchor and key store, through the library that its maker gives (PKCS#11 2.40 and later).
//!
//! The library is foreign code in this process: it is loaded from a path that the configuration names, and nothing else.
//! A static program cannot load libraries, so builds for musl have no tokens and say so.

#[cfg(not(target_env = "musl"))]
mod anchor;
#[cfg(not(target_env = "musl"))]
mod keys;
mod pin;
#[cfg(not(target_env = "musl"))]
mod token;

#[cfg(not(target_env = "musl"))]
pub use self::anchor::TokenAnchor;
#[cfg(not(target_env = "musl"))]
pub use self::keys::TokenStore;
pub use self::pin::{PinSource, read_pin};
#[cfg(not(target_env = "musl"))]
pub use self::token::{Token, TokenError};
