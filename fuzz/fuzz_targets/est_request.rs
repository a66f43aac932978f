//! Any body of a request to enrol is judged; what passes has a key of a kind that is certified.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The two files that judge a request, without the server around them and its database.
#[path = "../../crates/6-app/outrider-server/src/vehicle/est/request.rs"]
#[allow(dead_code, reason = "one function of several")]
mod request;
#[path = "../../crates/6-app/outrider-server/src/vehicle/suite.rs"]
#[allow(dead_code, reason = "one function of several")]
mod suite;
/// Where `request` looks for the suites.
mod vehicle {
    pub(crate) use crate::suite;
}

use request::{EST_BODY_BYTES_MAX, EnrolRequest};

fuzz_target!(|bytes: &[u8]| {
    let request = EnrolRequest::parse(bytes);
    let _ = EnrolRequest::parse_der(bytes);
    if let Ok(request) = request {
        assert!(bytes.len() <= EST_BODY_BYTES_MAX);
        assert!(request.key.suite().row().is_issued);
    }
});
