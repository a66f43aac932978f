//! The fuzzing corpus of snapshots, without checksums, as an ordinary test.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use outrider_model::{Stage, Watermark};
use outrider_rules::{RuleFile, load};
use outrider_types::{IngestTime, UnixMicros};

use super::events::{Event, SECOND, START, eager, run};
use crate::{Detector, DetectorConfig};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus")
}

fn detector(config: DetectorConfig) -> Detector {
    let text =
        std::fs::read_to_string(folder().join("detect_snapshot.yml")).expect("the rules of the target");
    let loaded = load(&[RuleFile { name: "detect_snapshot.yml", text: &text }]);
    assert_eq!((loaded.errors().count(), loaded.rules.correlations().len()), (0, 3), "{:?}", loaded.problems);
    Detector::new(Arc::new(loaded.rules), config)
}

/// Returns snapshots of each shape: empty, lists, sets.
fn shapes() -> [(&'static str, Vec<u8>); 3] {
    let events: Vec<Event> = (0..8u32)
        .map(|number| Event {
            service: i64::from(number % 3),
            ..Event::new(number % 4, u64::from(number) + 1, START + i64::from(number) * SECOND)
        })
        .collect();
    let filled = |config: DetectorConfig, events: &[Event]| {
        let mut source = detector(config);
        run(&mut source, &[events.to_vec()]);
        let mut bytes = Vec::new();
        source.save(&mut bytes);
        bytes.truncate(bytes.len() - 4);
        bytes
    };
    [
        ("empty", filled(DetectorConfig::default(), &[])),
        ("lists", filled(DetectorConfig::default(), &events)),
        ("sets", filled(eager(), &events)),
    ]
}

fn load_body(body: &[u8]) -> bool {
    let mut bytes = body.to_vec();
    bytes.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
    let mut target = detector(DetectorConfig::default());
    let loads = target.load(&bytes).is_ok();
    if loads {
        let now = UnixMicros(1 << 52);
        target.on_watermark(Watermark(now), IngestTime(now), &mut Vec::new());
    }
    loads
}

#[test]
fn every_snapshot_of_the_corpus_loads_or_is_refused() {
    let files =
        std::fs::read_dir(folder().join("detect_snapshot")).expect("the corpus is part of the repository");
    let mut results = [0usize; 2];
    for file in files {
        let body = std::fs::read(file.expect("a readable folder").path()).expect("a readable file");
        results[usize::from(load_body(&body))] += 1;
    }
    assert!(results.iter().all(|count| *count >= 3), "{results:?}");
}

#[test]
fn the_corpus_holds_every_shape_of_today() {
    for (name, body) in shapes() {
        assert!(load_body(&body), "{name}");
        let file = folder().join("detect_snapshot").join(name);
        assert_eq!(
            std::fs::read(file).ok(),
            Some(body),
            "write it anew: cargo test -p outrider-detect -- --ignored write_corpus"
        );
    }
}

#[test]
#[ignore = "writes the corpus"]
fn write_corpus() {
    let folder = folder().join("detect_snapshot");
    std::fs::create_dir_all(&folder).expect("a writable folder");
    for (name, body) in shapes() {
        let mut damaged = body.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x80;
        std::fs::write(folder.join(name), &body).expect("a writable folder");
        std::fs::write(folder.join(format!("{name}-damaged")), &damaged).expect("a writable folder");
        std::fs::write(folder.join(format!("{name}-cut")), &body[..middle]).expect("a writable folder");
    }
}
