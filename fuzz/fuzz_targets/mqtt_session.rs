//! Whatever a client sends, the property `mqtt_session` of the server's tests holds.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/6-app/outrider-server/tests/server/mqtt_property.rs"]
mod mqtt_property;

fuzz_target!(|bytes: &[u8]| {
    mqtt_property::mqtt_session(bytes);
});
