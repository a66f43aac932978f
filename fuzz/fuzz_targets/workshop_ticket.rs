//! Any bytes are a ticket under a key that takes everything, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_agent::runtime::workshop::Ticket;
use outrider_gateway::Ed25519Signer;
use outrider_wire::Verifier;

struct Anything;

impl Verifier for Anything {
    fn verify(&self, _: &[u8], _: &[u8; 64]) -> bool {
        true
    }
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(ticket) = Ticket::open(bytes, &Anything) {
        let again = ticket.emit(&Ed25519Signer::new(&[1; 32])).expect("it signs");
        assert_eq!(again[..48], bytes[..48]);
    }
});
