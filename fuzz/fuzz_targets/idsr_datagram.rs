//! Any datagram becomes events or counted refusals, with and without separation headers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_agent::runtime::ids::{Idsr, IdsrSection, SevNames};
use outrider_types::VehicleMicros;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, datagram)) = bytes.split_first() else { return };
    let section = IdsrSection {
        listen: ([127, 0, 0, 1], 0).into(),
        allow_remote: false,
        instances: (0..512).collect(),
        separation_header: first & 1 == 1,
        extract: None,
        public_key: None,
        event: Vec::new(),
    };
    let mut idsr = Idsr::new(&section, SevNames::default()).expect("a good section");
    let mut events = 0;
    idsr.receive(datagram, VehicleMicros(1), &mut |_| events += 1);
    let counts = idsr.counts();
    assert!(counts.holds() && counts.accepted == events);
});
