//! Sightings of another process: any bytes are read or refused, and what is read can be counted, parted and written.
#![no_main]

use core::num::NonZeroU32;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use outrider_detect::{Correlator, DetectorConfig, Sightings, SightingsRecord};
use outrider_rules::{RuleFile, load};
use outrider_types::{IngestTime, UnixMicros};

fuzz_target!(|body: &[u8]| {
    // The head that a record of the topic has before them.
    if let Ok(record) = SightingsRecord::decode(body) {
        assert_eq!(SightingsRecord::decode(&record.encode()), Ok(record));
    }
    // With its checksum, so that the checks behind it are reached.
    let mut bytes = body.to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
    let Ok(sightings) = Sightings::decode(&bytes) else { return };
    assert_eq!(Sightings::decode(&sightings.encode()), Ok(sightings.clone()));
    let parts = sightings.split(NonZeroU32::new(3).expect("not 0"));
    assert_eq!(parts.iter().map(|(_, part)| part.len()).sum::<usize>(), sightings.len());
    let rules = include_str!("../corpus/detect_snapshot.yml");
    let rules = Arc::new(load(&[RuleFile { name: "fuzz.yml", text: rules }]).rules);
    let mut correlator = Correlator::new(&rules, DetectorConfig::default());
    correlator.on_sightings(&sightings, IngestTime(UnixMicros(1 << 52)), &mut Vec::new());
});
