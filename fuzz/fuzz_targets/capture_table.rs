//! Any bytes under the extension `csv` are read to their end, and every record is accounted for.
#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use outrider_agent::io::capture::{ReadOptions, read};

fuzz_target!(|bytes: &[u8]| {
    let reader = Box::new(Cursor::new(bytes.to_vec()));
    let Ok(mut capture) = read(reader, Some("csv"), &ReadOptions::default()) else { return };
    while capture.next().is_some() {}
    assert!(capture.stats().is_balanced());
});
