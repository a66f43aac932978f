//! Golden vectors: what release 1 wrote is written and read for ever.

use std::fs;
use std::path::{Path, PathBuf};

use outrider_wire::{DictId, EvidenceHash, Outcome, RefuseReason};

use crate::{frames, properties, rows, short};

type Read = fn(&[u8]) -> bool;

/// Every vector of v1: file, bytes as written today, and what reads it.
fn vectors() -> Vec<(&'static str, Vec<u8>, Read)> {
    let rows = rows::sample();
    let raw_bytes = u32::try_from(rows.len()).expect("a small batch");
    let done = Outcome::Done { evidence: EvidenceHash([0xEE; 32]), bytes: 4096 };
    vec![
        (
            "batch_stored.hex",
            frames::envelope(frames::header(DictId::STORED, raw_bytes), &rows),
            properties::envelope,
        ),
        ("rows.hex", rows, properties::rows),
        ("statements.hex", rows::statement_sample(), properties::rows),
        ("short_first.hex", short::first(), properties::short),
        ("short_next.hex", short::frame(None, 1), properties::short),
        ("short_compact.hex", short::compact(), properties::short),
        ("edge_record.hex", short::record(), properties::short),
        ("ack.hex", frames::ack(), properties::ack),
        ("reply.hex", frames::reply(), properties::ack),
        ("command_request_evidence.hex", frames::command(), properties::command),
        ("receipt_done.hex", frames::receipt(done), properties::command),
        (
            "receipt_refused.hex",
            frames::receipt(Outcome::Refused(Some(RefuseReason::Expired))),
            properties::command,
        ),
    ]
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1")
}

fn hex(bytes: &[u8]) -> String {
    let lines: Vec<String> =
        bytes.chunks(32).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
    lines.join("\n") + "\n"
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| {
        let text = std::str::from_utf8(pair).expect("ascii digits");
        u8::from_str_radix(text, 16).expect("hexadecimal digits")
    };
    digits.chunks(2).map(pair).collect()
}

#[test]
fn golden_vectors_are_written_and_read_as_ever() {
    for (name, bytes, read) in vectors() {
        let text = fs::read_to_string(folder().join(name)).expect("the vector is part of the repository");
        assert_eq!(unhex(&text), bytes, "{name} is written differently now");
        assert!(read(&bytes), "{name} is not read any more");
    }
    let files = fs::read_dir(folder()).expect("the folder is part of the repository").count();
    assert_eq!(files, vectors().len(), "a vector that no test reads");
}

/// Run by hand when a vector is added; one that exists is never touched.
#[test]
#[ignore = "writes vectors that are missing"]
fn write_missing_vectors() {
    for (name, bytes, _) in vectors() {
        let path = folder().join(name);
        if !path.exists() {
            fs::write(path, hex(&bytes)).expect("the repository is writable");
        }
    }
}
