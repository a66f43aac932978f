//! Any bytes are a frame of CAN XL, LIN, FlexRay, KWP2000, OBD, SecOC or E2E, or none; what is read is written again.
#![no_main]

#[allow(dead_code, reason = "each target uses one of the properties")]
#[path = "../../crates/1-edge/outrider-bus/tests/properties/mod.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = properties::bus_frame(bytes);
});
