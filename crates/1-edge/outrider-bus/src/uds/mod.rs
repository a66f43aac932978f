//! UDS (ISO 14229-1:2020): what a diagnostic message says.
//!
//! [`Message::parse`] takes a whole message, as [`crate::isotp`] or DoIP deliver it. Unknown service
//! identifiers, response codes and sub-functions keep their numbers; nothing is lost by reading.

mod codes;
mod repr;
#[cfg(test)]
mod tests;

pub use codes::{Nrc, Owner, ServiceId, Session};
pub use repr::{
    MemoryRange, Message, Request, Response, SecurityAccess, SecurityStep, SubFunction, UdsError,
};
