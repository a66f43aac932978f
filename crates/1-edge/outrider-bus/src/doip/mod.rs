//! DoIP (ISO 13400-2:2019): diagnosis over IP, port 13400.
//!
//! [`Messages`] walks over the messages of one datagram or segment, [`Message`] says what one says and is written by
//! [`Message::emit`]. The 8-byte header is read by hand: two bytes of version, two of type, four of length.

mod codes;
mod repr;
#[cfg(test)]
mod tests;
mod view;

pub use crate::tp_header::HEADER_BYTES;
pub use codes::{ActivationCode, DiagnosticNackCode, HeaderNackCode, PayloadType};
pub use repr::{Announcement, DoipError, EntityStatus, Message, Vin};
pub use view::{HeaderError, HeaderView, Messages};

/// UDP and TCP port of DoIP.
pub const PORT: u16 = 13400;
/// TCP port of DoIP under TLS, whose messages cannot be read.
pub const PORT_TLS: u16 = 3496;
