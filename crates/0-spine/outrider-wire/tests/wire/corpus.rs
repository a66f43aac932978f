//! The fuzz corpora as an ordinary test.

use std::fs;
use std::path::Path;

use crate::{frames, policy, properties, rows, short};

/// Gives every file of a corpus to `check`. A file named `ok-…` must be accepted, one named `bad-…` must not.
fn run(target: &str, check: fn(&[u8]) -> bool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus").join(target);
    let (mut accepted, mut refused) = (0, 0);
    for entry in fs::read_dir(&folder).expect("the corpus is part of the repository") {
        let path = entry.expect("readable folder").path();
        let name =
            path.file_name().map(|name| name.to_string_lossy().into_owned()).expect("files have names");
        let result = check(&fs::read(&path).expect("readable file"));
        assert!(result || !name.starts_with("ok-"), "{target}/{name} is refused");
        assert!(!result || !name.starts_with("bad-"), "{target}/{name} is accepted");
        accepted += usize::from(result);
        refused += usize::from(!result);
    }
    assert!(accepted > 0 && refused > 0, "{target}: {accepted} accepted, {refused} refused");
}

#[test]
fn corpora_hold_every_property() {
    run("wire_rows", properties::rows);
    run("wire_envelope", properties::envelope);
    run("wire_command", properties::command);
    run("wire_ack", properties::ack);
    run("wire_ids_frames", properties::ids_frames);
    run("wire_policy", properties::policy);
    run("wire_artifact", properties::artifact);
    run("short_frame", properties::short);
}

/// Run by hand to begin a corpus; a file that exists is never touched.
#[test]
#[ignore = "writes corpus files that are missing"]
fn write_missing_corpus_files() {
    let rows = rows::sample();
    let mut seeds: Vec<(&str, &str, Vec<u8>)> = vec![
        ("wire_rows", "ok-one-of-everything", rows.clone()),
        ("wire_rows", "ok-statements", rows::statement_sample()),
        ("wire_rows", "bad-empty", Vec::new()),
        ("wire_rows", "bad-length-lies", rows[..rows.len() - 1].to_vec()),
        ("wire_rows", "bad-wire-type", vec![0x0A, 5, 0x0D, 1, 2, 3, 4]),
        ("wire_rows", "bad-endless-varint", vec![0x80; 16]),
        ("short_frame", "ok-first", short::first()),
        ("short_frame", "ok-next", short::frame(None, 1)),
        ("short_frame", "ok-compact", short::compact()),
        ("short_frame", "ok-edge-record", short::record()),
        ("short_frame", "bad-version", vec![0x90; 40]),
        ("short_frame", "bad-endless-opening", vec![0x88; 40]),
        ("short_frame", "bad-no-row", vec![0x80; 9]),
        ("wire_ack", "ok-reply", frames::reply()),
        ("wire_command", "ok-receipt", frames::receipt(outrider_wire::Outcome::Accepted)),
    ];
    let raw_bytes = u32::try_from(rows.len()).expect("a small batch");
    let envelope = frames::envelope(frames::header(outrider_wire::DictId::STORED, raw_bytes), &rows);
    let (policy, artifact) = (policy::sample(), policy::artifact(&policy::sample()));
    let mut lowered = policy.clone();
    lowered[88 + 24 + 5] = 2;
    seeds.push(("wire_policy", "bad-lowers-a-failed-boot", lowered));
    seeds.push(("wire_command", "ok-update", frames::update()));
    for (target, good) in [
        ("wire_envelope", envelope),
        ("wire_ack", frames::ack()),
        ("wire_command", frames::command()),
        ("wire_policy", policy),
        ("wire_artifact", artifact),
    ] {
        let mut version = good.clone();
        version[4] = 2;
        seeds.push((target, "bad-version", version));
        seeds.push((target, "bad-cut", good[..good.len() - 70].to_vec()));
        seeds.push((target, "ok-whole", good));
    }
    for (target, name, bytes) in seeds {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus").join(target);
        fs::create_dir_all(&folder).expect("the repository is writable");
        if !folder.join(name).exists() {
            fs::write(folder.join(name), bytes).expect("the repository is writable");
        }
    }
}
