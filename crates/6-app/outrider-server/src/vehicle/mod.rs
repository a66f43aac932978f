//! The vehicles' side of the server: certificates, listener, acknowledgements, commands, evidence, artifacts.
//!
//! **In:** TLS connections with client certificates of the vehicle CA. **Out:** records in the
//! event log, signed watermarks and commands, captures in the evidence vault. **Never:** a session for a vehicle that
//! [`Directory::admit`] does not let in, an acknowledgement before the bytes are durable (LOG-2), a signature under a command that no permit stands behind (RSP-1).

mod accept;
pub mod admission;
mod artifact;
mod batch_key;
pub mod bench;
pub mod broker;
mod ca;
mod directory;
mod download;
pub mod est;
mod evidence;
mod exchange;
mod key_change;
mod keys;
mod link;
mod listener;
pub mod mqtt;
mod receipt;
mod short;
mod snapshot;
mod stripe;
mod suite;
mod tls;

pub use accept::{ListenerConfig, RunningListener};
pub use artifact::{ArtifactError, ArtifactVault, PIECE_BYTES_MAX, Wanted, read_artifact};
pub use ca::pem;
pub(crate) use ca::write_secret;
pub use ca::{CaError, Issued, Serial, TlsFiles, VEHICLE_DAYS, VehicleCa};
pub use directory::{Admitted, Denied, Directory, Stranger};
pub use download::Piece;
pub use evidence::{EVIDENCE_BYTES_MAX, EvidenceError, EvidenceVault};
pub use exchange::{Exchange, ExchangeParts, Refusal};
pub use keys::{AckKey, CommandKey, KeyError, Keys, open_name_key};
pub use link::{LinkFinding, Links, Places, VehicleLinkStatus};
pub use listener::Listener;
pub use short::{SHORT_PROPERTY, SHORT_VERSION, ends_session};
pub use suite::{SUITES, Suite, SuiteRow, VehicleKey};
pub use tls::{ClientPolicy, ListenerTls};
