//! Charging communication: V2GTP, SDP, and what the messages of DIN 70121 and ISO 15118-2 say about their session.
//!
//! [`V2gtpView`] reads the 8-byte header, [`sdp`] the discovery of a charging station, [`Facts`] the beginning of an
//! EXI-coded message: session, kind, notification, the car's identifier, and [`Values`] the numbers of precharge and
//! charging loop. The rest of a message needs the schemas and is left alone, as is everything under TLS. Sources: ISO 15118-2:2014, DIN SPEC 70121:2014; W3C EXI 1.0.

mod bits;
mod exi;
mod kind;
pub mod sdp;
#[cfg(test)]
mod tests;
mod values;
mod view;

pub use crate::tp_header::HEADER_BYTES;
pub use exi::{Facts, Schema, SessionId};
pub use kind::Kind;
pub use values::{Milli, Values};
pub use view::{
    Messages, PayloadType, V2gtpError, V2gtpView, emit, is_message_type, payload_bytes, payload_type,
};
