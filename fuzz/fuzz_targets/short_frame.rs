//! Any bytes keep the property `short` of the wire format's tests.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/0-spine/outrider-wire/tests/wire/properties.rs"]
#[allow(dead_code, reason = "one property of several")]
mod properties;

fuzz_target!(|bytes: &[u8]| {
    properties::short(bytes);
});
