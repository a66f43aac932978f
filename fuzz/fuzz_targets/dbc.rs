//! Any bytes are a network description or an error, and every signal can be asked for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_agent::io::dbc::parse;

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = parse(bytes) else { return };
    for signal in model.messages.iter().flat_map(|message| &message.signals) {
        let _ = signal.physical(&[0xFF; 64]);
    }
});
