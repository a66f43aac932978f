//! Any bytes are a description or an error; what is described can be reported and learned from. Corpus: FIBEX.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_agent::io::network::{json, parse, text};

fuzz_target!(|bytes: &[u8]| {
    let Ok(description) = parse(bytes) else { return };
    let _ = (text(&description), json(&description));
    for signal in description.into_can().messages.iter().flat_map(|message| &message.signals) {
        let _ = signal.physical(&[0xFF; 64]);
    }
});
