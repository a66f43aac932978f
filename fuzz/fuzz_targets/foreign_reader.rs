//! Any bytes of any foreign format end in documents and rejects within the caps.
//!
//! Input: a byte that chooses the reader, then the bytes. Property `foreign_reader` of the decoders' tests.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/3-ingest/outrider-decode/tests/readers/hold.rs"]
mod hold;

fuzz_target!(|bytes: &[u8]| {
    let _ = hold::foreign_reader(bytes);
});
