//! The vehicle's identity: its certificate, when the next one is due, and whom it trusts.
//!
//! **In:** what the certificate says, both clocks, answers of the CA. **Out:** requests to the CA, and files that are
//! switched at once. **Never:** a new root that no old root has signed, or a step that leaves the vehicle without a
//! certificate that worked. Nothing here opens a connection: `io::est` does.

mod batch_key;
mod bundle;
mod clock;
mod files;
mod renewal;
mod request;
mod trust;

pub use batch_key::{BatchKeyFiles, BatchSigner, NextKey};
pub use bundle::{BUNDLE_BYTES_MAX, BundleError, certificates};
pub use clock::{Belief, Validity, belief};
pub use files::{IdentityFiles, wipe};
pub(crate) use files::{pem, read_certificates, write_whole};
pub use renewal::{Renewal, Step};
pub use request::{IdentityKey, RequestError, request};
pub use trust::{TrustError, renewed_roots, signed_by};
