//! Any bytes as a record of a feed, and as the body of one, are accounted for.
//!
//! Property `feed_record` of the ingestion's tests.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/3-ingest/outrider-ingest/tests/feeds/hold.rs"]
mod hold;

fuzz_target!(|bytes: &[u8]| {
    let _ = hold::feed_record(bytes);
});
