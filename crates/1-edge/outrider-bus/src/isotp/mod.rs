//! ISO-TP (ISO 15765-2:2016), listened to rather than spoken.
//!
//! [`PciView`] reads the protocol control bytes of one frame, [`Reassembler`] puts messages together from what
//! passes by, in a fixed table. It never answers: flow control frames are reported, not sent.
//!
//! Nothing in a CAN frame says that it carries ISO-TP; the caller feeds only the identifiers it knows to be
//! diagnostic. Feeding others is harmless, but yields rejects and chance messages.

mod events;
mod state;
#[cfg(test)]
mod tests;
mod view;

pub use events::{IsoTpEvent, IsoTpStats, Link, Pdu, Reject};
pub use state::{MESSAGE_BYTES_MAX, N_CR_TIMEOUT_US, Reassembler};
pub use view::{Addressing, FlowStatus, Pci, PciError, PciView};
