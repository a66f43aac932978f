//! The vehicles' side of the server: certificates, listener, acknowledgements, commands, evidence.
//!
//! **In:** TLS connections with client certificates of the installation's own vehicle CA. **Out:** records in the
//! event log, signed watermarks and commands, captures in the evidence vault. **Never:** an acknowledgement before
//! the bytes are durable (LOG-2), a signature under a command that no permit stands behind (RSP-1).

mod accept;
pub mod admission;
pub mod bench;
pub mod broker;
mod ca;
mod directory;
mod evidence;
mod exchange;
mod keys;
mod link;
mod listener;
pub mod mqtt;
mod short;

pub use accept::{ListenerConfig, RunningListener};
pub use ca::{CaError, TlsFiles, VehicleCa};
pub use directory::Directory;
pub use evidence::{EVIDENCE_BYTES_MAX, EvidenceError, EvidenceVault};
pub use exchange::{Exchange, ExchangeParts, Refusal};
pub use keys::{AckKey, CommandKey, KeyError, Keys};
pub use link::{LinkFinding, Links, Places, VehicleLinkStatus};
pub use listener::Listener;
pub use short::{SHORT_PROPERTY, SHORT_VERSION, ends_session};
