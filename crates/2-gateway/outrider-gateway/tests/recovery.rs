//! Recovery of a spool from any bytes: the fuzz target's property, and its corpus as an ordinary test.

use outrider_gateway::spool::{Audit, Boot, Spool, SpoolConfig, SpoolKeys, Verifying};
use outrider_gateway::{Ed25519Signer, Ed25519Verifier, MemoryStorage, SecurityEvent};
use outrider_types::{BootEpoch, EventTypeId, Lane, VehicleMicros};

const CONFIG: SpoolConfig =
    SpoolConfig { quota_bytes: [2 << 10; 3], segment_bytes: 1 << 10, journal_bytes: 6 << 10 };
/// What the keys of every case are derived from.
const SECRET: [u8; 32] = [7; 32];

/// A spool of five rows, as it stands on its medium.
fn sealed() -> MemoryStorage {
    let boot = Boot::in_memory(BootEpoch(1), 7, &SECRET);
    let (mut spool, _) = Spool::open(MemoryStorage::new(), CONFIG, boot).expect("the medium can be written");
    for at in 0..5 {
        let event = SecurityEvent::new(EventTypeId(100), VehicleMicros(at));
        spool.append(&SecurityEvent { lane: Lane::Critical, ..event }).expect("room");
    }
    spool.sync().expect("no faults");
    spool.into_storage()
}

/// Puts pieces of bytes over a sealed spool and opens it: each piece is an offset (u16), a length (u8) and that many
/// bytes. A first byte of 1 puts them on an empty medium. Returns the number of rows found.
pub fn recover(bytes: &[u8]) -> u64 {
    let Some((kind, mut rest)) = bytes.split_first() else { return 0 };
    let mut storage = if *kind == 1 { MemoryStorage::new() } else { sealed() };
    while let Some(([low, high, length], tail)) = rest.split_first_chunk::<3>() {
        let (piece, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        let offset = u64::from(u16::from_le_bytes([*low, *high])) % CONFIG.device_bytes();
        storage.put(offset, piece);
        rest = tail;
    }
    let boot = Boot::in_memory(BootEpoch(1), 8, &SECRET);
    let (mut spool, recovery) = Spool::open(storage, CONFIG, boot).expect("damage never stops a start");
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
    assert!(rows <= 5, "nobody can write a row without the key");
    let device = Ed25519Verifier::new(&Ed25519Signer::new(&SECRET).public_key()).expect("a real key");
    let (secret, root) = SpoolKeys::from_secret(&SECRET).escrow();
    let with = Verifying { secret, root, device: &device, counter: None, anchor: None };
    let audit = Audit::of(spool.storage(), CONFIG, &with).expect("in memory");
    assert!(audit.rows.len() as u64 >= rows);
    rows
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

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
        assert!(counts.contains(&0) && counts.contains(&5), "{counts:?}");
        assert!(counts.iter().any(|rows| (1..5).contains(rows)), "{counts:?}");
    }

    /// Run by hand to begin the corpus; a file that exists is never touched.
    #[test]
    #[ignore = "writes corpus files that are missing"]
    fn write_missing_corpus_files() {
        let piece = |offset: u16, bytes: &[u8]| {
            let length = u8::try_from(bytes.len()).expect("a small piece");
            [offset.to_le_bytes().as_slice(), &[length], bytes].concat()
        };
        // Slots: six of the journal from 8192 on, then the critical lane's first.
        let lane = 8192 + 6 * 1024;
        let files = [
            ("sealed", vec![0]),
            ("record_damaged", [vec![0], piece(lane + 400, &[0xFF])].concat()),
            ("tail_zeros", [vec![0], piece(lane + 600, &[0; 250])].concat()),
            ("head_gone", [vec![0], piece(lane, &[0xAA; 172]), piece(lane + 172, &[0xAA; 172])].concat()),
            ("keys_gone", [vec![0], piece(0, &[1; 40]), piece(4096, &[1; 40])].concat()),
            ("journal_gone", [vec![0], piece(8192, &[0xEE; 255]), piece(8192 + 255, &[0xEE; 255])].concat()),
            (
                "noise",
                [vec![1], piece(0, b"ORSK"), piece(8192, b"ORSG\x02\0\0\0"), piece(lane, b"ORSG")].concat(),
            ),
        ];
        fs::create_dir_all(folder()).expect("the repository is writable");
        for (name, bytes) in files {
            if !folder().join(name).exists() {
                fs::write(folder().join(name), bytes).expect("the repository is writable");
            }
        }
    }
}
