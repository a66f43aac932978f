//! Any bytes are an Ethernet model that detectors can be made of, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use outrider_ids::ethernet::EthernetDetector;
use outrider_ids::ethernet::model::EthernetModel;

fuzz_target!(|bytes: &[u8]| {
    let Ok(model) = EthernetModel::parse(bytes) else { return };
    for segment in model.segments() {
        let detector = Box::new(EthernetDetector::new(&segment));
        assert_eq!(detector.bus(), segment.facts().bus);
    }
});
