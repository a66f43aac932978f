//! Any bytes as a part of a decoder package are refused, or decode any input to an end.
//!
//! Input: a letter that chooses the part, then its text, a zero byte and an input; or a packed package. Property
//! `decoder_package` of the decoders' tests.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/3-ingest/outrider-decode/tests/packages/hold.rs"]
mod hold;

fuzz_target!(|bytes: &[u8]| {
    let _ = hold::decoder_package(bytes);
});
