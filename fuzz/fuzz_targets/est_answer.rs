//! Any answer of a CA is read or refused, in bounded memory, and no set of roots is taken over without a link.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_agent::identity::{BUNDLE_BYTES_MAX, certificates, renewed_roots};

fuzz_target!(|bytes: &[u8]| {
    let Ok(found) = certificates(bytes) else { return };
    assert!(found.iter().map(Vec::len).sum::<usize>() <= BUNDLE_BYTES_MAX);
    assert!(renewed_roots(&[], &found).is_err(), "who trusts nobody trusts nobody after it");
});
