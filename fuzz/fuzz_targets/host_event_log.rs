//! Any bytes are an event log of a firmware or an error; lines of `/proc` and of IMA end likewise.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_host::parse::{event_log, mapping, measurement, socket_line};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(log) = event_log(bytes) {
        assert!(log.registers.len() <= 24 && log.events <= bytes.len());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = (measurement(text), mapping(text), socket_line(text));
    }
});
