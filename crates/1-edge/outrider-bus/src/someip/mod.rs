//! SOME/IP: message headers, segmented messages (TP) and service discovery (SD).
//!
//! [`Messages`] walks over the messages of a datagram or segment, [`tp::Reassembler`] puts segmented ones together,
//! [`sd::SdView`] reads offers and subscriptions. Source: AUTOSAR FO PRS SOMEIPProtocol and
//! SOMEIPServiceDiscoveryProtocol (R22-11).
//!
//! Read by hand: the crates that exist either collect entries on a heap or bring more than the three headers that a
//! listener needs.

mod repr;
pub mod sd;
#[cfg(test)]
mod tests;
pub mod tp;

pub use repr::{HEADER_BYTES, Header, Message, MessageKind, Messages, ReturnCode, SomeIpError};

/// UDP port of service discovery.
pub const SD_PORT: u16 = 30490;
/// Service identifier of service discovery.
pub const SD_SERVICE: u16 = 0xFFFF;
/// Method identifier of service discovery.
pub const SD_METHOD: u16 = 0x8100;
