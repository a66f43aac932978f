//! Any bytes are an answer of a TPM, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_agent::io::tpm::response::read_all;

fuzz_target!(|bytes: &[u8]| {
    let _ = read_all(bytes);
});
