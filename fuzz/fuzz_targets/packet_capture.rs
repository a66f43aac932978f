//! Any bytes are read as records of the packet capture to their end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_agent::io::packets::KeptPacket;
use outrider_agent::io::rolling::Kept;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Some((packet, length)) = KeptPacket::decode(rest) {
        let mut again = Vec::new();
        packet.encode(&mut again);
        assert_eq!(again, &rest[..length]);
        rest = &rest[length..];
    }
});
