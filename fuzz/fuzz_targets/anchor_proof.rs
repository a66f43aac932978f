//! Any bytes are a proof of an anchor under a key that takes everything, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/2-gateway/outrider-gateway/tests/proofs.rs"]
#[allow(dead_code, reason = "the file holds the corpus test as well")]
mod proofs;

fuzz_target!(|bytes: &[u8]| {
    proofs::read(bytes);
});
