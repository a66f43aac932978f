//! Any bytes are walked as charging messages to their end.
#![no_main]

#[allow(dead_code, reason = "each target uses one of the properties")]
#[path = "../../crates/1-edge/outrider-bus/tests/properties/mod.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = properties::v2g_messages(bytes);
});
