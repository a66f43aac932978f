//! Recovery of a spool from any bytes: the fuzz target's property, and its corpus as an ordinary test.

use outrider_gateway::spool::{Spool, SpoolConfig};
use outrider_gateway::{MemoryStorage, SegmentId, Storage};
use outrider_types::{BootEpoch, Lane};

/// Opens a spool on a medium whose segments hold `bytes`: byte 0 is the lane, bytes 1 and 2 split the rest over two
/// segments. Returns the number of rows found.
pub fn recover(bytes: &[u8]) -> u64 {
    let Some(([lane, low, high], rest)) = bytes.split_first_chunk::<3>() else { return 0 };
    let lane = Lane::from_code(lane % 3).unwrap_or(Lane::Critical);
    let split = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
    let (first, second) = rest.split_at(split);
    let mut storage = MemoryStorage::new();
    for (number, bytes) in [(1, first), (2, second)] {
        let id = SegmentId { number, lane };
        storage.create(id).expect("fresh name");
        storage.append(id, bytes).expect("no faults");
    }
    let (mut spool, recovery) =
        Spool::open(storage, SpoolConfig::default(), BootEpoch(1), 7).expect("damage never stops a start");
    assert_eq!(recovery.epoch, BootEpoch(3));
    let mut rows = 0;
    for epoch in spool.epochs() {
        for lane in Lane::ALL {
            let mut after = 0;
            while let Some(seq) = spool.next_held(epoch, lane, after) {
                assert!(spool.read(epoch, lane, seq).expect("healthy medium").is_some());
                after = seq.0;
                rows += 1;
            }
        }
    }
    assert_eq!(rows, recovery.rows);
    rows
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use outrider_gateway::SecurityEvent;
    use outrider_types::{EventTypeId, VehicleMicros};

    use super::*;

    fn folder() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus/spool_recovery")
    }

    #[test]
    fn corpus_files_are_recovered_and_some_hold_rows() {
        let mut counts = Vec::new();
        for entry in fs::read_dir(folder()).expect("the corpus is part of the repository") {
            let path = entry.expect("readable folder").path();
            counts.push(recover(&fs::read(path).expect("readable file")));
        }
        assert!(counts.contains(&0) && counts.iter().any(|rows| *rows > 1), "{counts:?}");
    }

    /// Run by hand to begin the corpus; a file that exists is never touched.
    #[test]
    #[ignore = "writes corpus files that are missing"]
    fn write_missing_corpus_files() {
        let (mut spool, _) = Spool::open(MemoryStorage::new(), SpoolConfig::default(), BootEpoch(1), 7)
            .expect("the medium can be written");
        for at in 0..5 {
            spool
                .append(&SecurityEvent {
                    lane: Lane::Critical,
                    ..SecurityEvent::new(EventTypeId(100), VehicleMicros(at))
                })
                .expect("room");
        }
        let id = SegmentId { number: 1, lane: Lane::Critical };
        let segment = spool.storage().read(id, 0, usize::MAX).expect("in memory");
        let split = u16::try_from(segment.len()).expect("a small segment").to_le_bytes();
        let whole = [&[0, split[0], split[1]], segment.as_slice()].concat();
        let mut damaged = whole.clone();
        damaged[150] ^= 0xFF;
        let torn = whole[..whole.len() - 9].to_vec();
        let files = [("whole", whole), ("damaged", damaged), ("torn", torn), ("zeros", vec![0; 200])];
        fs::create_dir_all(folder()).expect("the repository is writable");
        for (name, bytes) in files {
            if !folder().join(name).exists() {
                fs::write(folder().join(name), bytes).expect("the repository is writable");
            }
        }
    }
}
