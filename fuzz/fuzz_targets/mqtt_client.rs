//! Any bytes from an MQTT server, in any pieces, end in messages or one fault.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_agent::io::mqtt::Version;
use outrider_agent::io::mqtt::client::{Client, Identity};

fuzz_target!(|bytes: &[u8]| {
    for version in [Version::V3, Version::V5] {
        let identity = Identity {
            version,
            client_id: "v".to_owned(),
            up: "v1/up".to_owned(),
            down: "v1/down".to_owned(),
            keep_alive_s: 60,
        };
        let (mut client, _) = Client::new(identity).expect("legal strings");
        let piece = bytes.first().map_or(1, |byte| usize::from(*byte).max(1));
        for piece in bytes.chunks(piece) {
            if client.receive(piece).is_err() {
                break;
            }
        }
    }
});
