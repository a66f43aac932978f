//! Any bytes are walked as DoIP messages to their end; what is read is written again.
#![no_main]

#[allow(dead_code, reason = "each target uses one of the properties")]
#[path = "../../crates/1-edge/outrider-bus/tests/properties/mod.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = properties::doip_messages(bytes);
});
