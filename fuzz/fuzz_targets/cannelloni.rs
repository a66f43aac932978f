//! Any datagram ends in frames and counted rejects.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_agent::io::live::cannelloni::parse;

fuzz_target!(|bytes: &[u8]| {
    let mut frames = 0;
    let rejected = parse(bytes, |frame| {
        frames += 1;
        assert!(frame.data().len() <= 64);
    });
    assert!(frames + rejected <= 2 + bytes.len() as u64 / 5);
    assert!(frames + rejected > 0 || bytes == [2, 0, bytes[2], 0, 0]);
});
