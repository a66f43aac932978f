//! The fuzz corpora of this crate, as ordinary tests.

mod properties;

use std::path::Path;

use outrider_bus::can::{CanId, FdFlags, Frame};
use outrider_bus::isotp::{Addressing, IsoTpEvent, Reassembler};
use outrider_bus::uds::Message;
use outrider_types::{BusId, VehicleMicros};

/// Gives every file of a target's corpus to `check` and returns how many there are.
fn corpus(target: &str, mut check: impl FnMut(&str, &[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .expect("the corpus is part of the repository")
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    paths.sort();
    for path in &paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        check(&name, &std::fs::read(path).expect("a readable corpus file"));
    }
    paths.len()
}

/// Plays records of gap in 10 ms, identifier, length and payload, and returns messages and rejects.
fn play(bytes: &[u8]) -> (usize, u64) {
    let mut machine = Box::new(Reassembler::<4, 512>::new());
    let (mut rest, mut at, mut messages) = (bytes, 0u64, 0);
    while let [gap, id, len, tail @ ..] = rest {
        let (data, behind) = tail.split_at(usize::from(*len).min(tail.len()).min(64));
        rest = behind;
        at += u64::from(*gap) * 10_000;
        let id = CanId::standard(u32::from(*id)).expect("eight bits fit eleven");
        let Ok(frame) = Frame::classic(id, data).or_else(|_| Frame::fd(id, FdFlags::default(), data)) else {
            continue;
        };
        let event = machine.receive(VehicleMicros(at), BusId(0), &frame, Addressing::Normal);
        messages += usize::from(matches!(event, IsoTpEvent::Pdu(_)));
    }
    (messages, machine.stats().rejected())
}

#[test]
fn isotp_corpus_files_do_what_their_names_say() {
    let mut seen = 0;
    let count = corpus("isotp", |name, bytes| {
        let expected = match name {
            "single.bin" => Some((1, 0)),
            "two_senders.bin" => Some((2, 0)),
            "late.bin" => Some((4, 1)),
            "escapes.bin" => Some((1, 2)),
            _ => None,
        };
        let found = play(bytes);
        if let Some(expected) = expected {
            assert_eq!(found, expected, "{name}");
            seen += 1;
        }
    });
    assert!(count >= 4 && seen == 4);
}

#[test]
fn uds_corpus_files_are_messages_or_errors() {
    let mut messages = 0;
    let count = corpus("uds", |_, bytes| messages += usize::from(Message::parse(bytes).is_ok()));
    assert!(count >= 8 && messages >= 6 && messages < count);
}

/// Runs a property over a corpus: files named `ok_…` are something, files named `bad_…` are not.
fn judge(target: &str, property: fn(&[u8]) -> bool) {
    let (mut good, mut bad) = (0, 0);
    corpus(target, |name, bytes| {
        let is_good = property(bytes);
        if name.starts_with("ok_") {
            good += 1;
            assert!(is_good, "{target}/{name}");
        } else if name.starts_with("bad_") {
            bad += 1;
            assert!(!is_good, "{target}/{name}");
        }
    });
    assert!(good > 0 && bad > 0, "{target}");
}

#[test]
fn frames_of_buses_are_what_their_names_say() {
    judge("bus_frame", properties::bus_frame);
}

#[test]
fn messages_over_ip_are_what_their_names_say() {
    judge("doip", properties::doip_messages);
    judge("someip", properties::someip_messages);
    judge("v2g", properties::v2g_messages);
}
