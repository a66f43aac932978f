//! Enrolment over Secure Transport (RFC 7030, RFC 8951): how a vehicle gets its certificate, and the next one.
//!
//! **In:** TLS sessions of strangers, with or without a client certificate; PKCS#10 requests. **Out:** certificates with
//! the pseudonym as the only name, and a line in the identity log for each and for each refusal. **Never:** a
//! certificate for a key that nobody proved to hold, for a vehicle that is not active, or with a name that the request
//! chose. **Start reading** at [`EnrolmentDesk`].
//!
//! Supported are `cacerts`, `simpleenroll`, `simplereenroll` and `csrattrs`, each without a label. Full CMC and keys made
//! by the server are not. The request is not linked to the TLS session (RFC 7030, 3.5): TLS 1.3 has no `tls-unique`, and
//! a vehicle's HTTP client cannot ask for an exporter before the request is sent.

mod answer;
mod desk;
mod listener;
mod request;

pub use answer::{CSR_ATTRIBUTES, certificates_only};
pub use desk::{EnrolmentDesk, EnrolmentPolicy, EstRefusal, Proof, factory_hash, token_hash};
pub use listener::{EstConfig, EstListener};
pub use request::{EST_BODY_BYTES_MAX, EnrolRequest, RequestError};
