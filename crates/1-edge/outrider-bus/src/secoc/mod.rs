//! AUTOSAR SecOC: secured PDUs, their freshness and what a verification says.
//!
//! [`Layout`] cuts a secured PDU into payload, truncated freshness and truncated authenticator; [`Receiver`] restores
//! the full freshness and asks a [`Verifier`] that the caller provides, because keys and ciphers do not belong here.
//! Source: AUTOSAR CP SWS SecureOnboardCommunication (R22-11), chapter 7; FO PRS SecOC protocol.

mod state;
#[cfg(test)]
mod tests;
mod view;

pub use state::{Authentic, Outcome, Receiver, Verifier};
pub use view::{FRESHNESS_BITS_MAX, Layout, MAC_BITS_MAX, Mac, SecuredPdu};
