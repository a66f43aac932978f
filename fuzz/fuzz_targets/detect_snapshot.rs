//! Snapshots of the detector: any bytes load or are refused, and what loads can be used and saved again.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use outrider_detect::{Detector, DetectorConfig};
use outrider_model::{Stage, Watermark};
use outrider_rules::{RuleFile, load};
use outrider_types::{IngestTime, UnixMicros};

fuzz_target!(|body: &[u8]| {
    let rules = include_str!("../corpus/detect_snapshot.yml");
    let rules = Arc::new(load(&[RuleFile { name: "fuzz.yml", text: rules }]).rules);
    let mut detector = Detector::new(rules, DetectorConfig::default());
    // With its checksum, so that the checks behind it are reached.
    let mut bytes = body.to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
    if detector.load(&bytes).is_ok() {
        let now = UnixMicros(1 << 52);
        detector.on_watermark(Watermark(now), IngestTime(now), &mut Vec::new());
        let mut again = Vec::new();
        detector.save(&mut again);
        assert_eq!(detector.load(&again), Ok(()));
    }
});
