//! Any bytes of any log format, in pieces, end in records, events and counted rejects.
//!
//! Input: the format (one byte modulo six), then the log.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_host::parse::{Decoder, LogKind, Patterns};
use outrider_types::VehicleMicros;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let mut decoder = Decoder::new(LogKind::ALL[usize::from(*first) % LogKind::ALL.len()]);
    let patterns = Patterns::shipped();
    for piece in rest.chunks(61) {
        decoder.feed(piece, &mut |record| {
            if let Some(event) = patterns.judge(&record, VehicleMicros(1)) {
                assert!(event.count == 1 && event.fields.len() < 64);
            }
        });
    }
    assert!(decoder.taken + decoder.rejected <= rest.len() as u64);
});
