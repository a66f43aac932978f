//! Any body of a request to enrol is judged; what passes has a key of a kind that is certified.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_server::vehicle::est::{EST_BODY_BYTES_MAX, EnrolRequest};

fuzz_target!(|bytes: &[u8]| {
    let request = EnrolRequest::parse(bytes);
    let _ = EnrolRequest::parse_der(bytes);
    if let Ok(request) = request {
        assert!(bytes.len() <= EST_BODY_BYTES_MAX);
        assert!(request.key.suite().row().is_issued);
    }
});
