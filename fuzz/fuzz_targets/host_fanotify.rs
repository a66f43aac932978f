//! Any bytes of a fanotify group end in events and one error at most; the same for the process connector.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_host::parse::{FileRecords, facts};

fuzz_target!(|bytes: &[u8]| {
    let outcomes: Vec<_> = FileRecords::new(bytes).collect();
    assert!(outcomes.iter().rev().skip(1).all(Result::is_ok));
    assert!(outcomes.len() <= bytes.len() / 24 + 1);
    let mut found = 0;
    let (quiet, rejected) = facts(bytes, |_| found += 1);
    assert!(found + quiet + rejected <= bytes.len() as u64 / 16 + 1);
});
