//! Any traffic, at any times, is judged by the detectors of a bus, with a model and without.
#![no_main]

#[path = "../../crates/1-edge/outrider-ids/tests/properties/mod.rs"]
mod properties;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = properties::bus_detector(bytes);
});
