//! Any bytes on a spool's medium never stop a start; every row that is found can be read, and none is invented.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/2-gateway/outrider-gateway/tests/recovery.rs"]
#[allow(dead_code, reason = "the file holds the corpus test as well")]
mod recovery;

fuzz_target!(|bytes: &[u8]| {
    recovery::recover(bytes);
});
