use proptest::prelude::*;

use super::pattern::Patterns;
use super::*;
use crate::config::LogConfig;
use crate::outbox::Outbox;
use crate::people::People;
use crate::proc_fs::ProcRoot;
use crate::sensor::{Sensor, Turn};
use crate::{HostEvent, Value};
use outrider_types::VehicleMicros;
use outrider_wire::catalogue::{event, field};

/// Feeds bytes in pieces of every size up to their length and returns tags and texts, which must not depend on it.
fn decode(kind: LogKind, bytes: &[u8]) -> (Vec<(String, String)>, u64) {
    let mut outcome = None;
    for size in [1, 2, 3, 7, 64, bytes.len().max(1)] {
        let mut decoder = Decoder::new(kind);
        let mut records = Vec::new();
        for piece in bytes.chunks(size) {
            decoder.feed(piece, &mut |record| records.push((record.tag, record.text)));
        }
        let now = (records, decoder.rejected);
        assert!(
            outcome.get_or_insert(now.clone()) == &now,
            "pieces of {size} bytes differ: {now:?} {outcome:?}"
        );
    }
    outcome.expect("one size at least")
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(tag, text)| ((*tag).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn lines_of_four_kinds_are_records_or_rejects() {
    let audit =
        b"type=AVC msg=audit(1.2:3): avc:  denied\nnode=a type=SYSCALL msg=audit(1.2:3): arch=1\nrubbish\n\n";
    let expected = pairs(&[("AVC", "avc:  denied"), ("SYSCALL", "arch=1")]);
    assert_eq!(decode(LogKind::Audit, audit), (expected, 1));
    let kernel = b"6,339,5140900,-;NET: Registered\n SUBSYSTEM=x\nno head\n4,340,5140901,c;more\n";
    assert_eq!(
        decode(LogKind::Kernel, kernel),
        (pairs(&[("kernel", "NET: Registered"), ("kernel", "more")]), 1)
    );
    assert_eq!(decode(LogKind::Text, b"one\r\ntwo\nunfinished"), (pairs(&[("", "one"), ("", "two")]), 0));
    let json = b"{\"SYSLOG_IDENTIFIER\":\"sshd\",\"MESSAGE\":\"a\"}\n{\"_COMM\":\"x\",\"MESSAGE\":[104,105]}\n{\"MESSAGE\":null}\n{oops\n";
    assert_eq!(decode(LogKind::JournalJson, json), (pairs(&[("sshd", "a"), ("x", "hi")]), 1));
}

#[test]
fn journal_export_records_may_be_binary() {
    let mut bytes = b"__CURSOR=s\n_COMM=su\nMESSAGE\n".to_vec();
    bytes.extend(7u64.to_le_bytes());
    bytes.extend(b"one\ntwo\n\n_COMM=x\nMESSAGE=three\nSYSLOG_IDENTIFIER=y\n\nPRIORITY=1\n\n");
    let expected = pairs(&[("su", "one\ntwo"), ("y", "three")]);
    assert_eq!(decode(LogKind::JournalExport, &bytes), (expected, 0));
}

#[test]
fn a_record_that_is_too_long_is_one_reject_and_the_next_one_is_read() {
    let mut bytes = vec![b'x'; 3 * RECORD_BYTES_MAX];
    bytes.extend(b"\nafter\n");
    let mut decoder = Decoder::new(LogKind::Text);
    let mut found = Vec::new();
    for piece in bytes.chunks(1000) {
        decoder.feed(piece, &mut |record| found.push(record.text));
        assert!(decoder.buffer.len() <= 2 * RECORD_BYTES_MAX);
    }
    assert_eq!(found, ["after"]);
    assert!(decoder.rejected >= 1);
}

fn dlt(msin: u8, arguments: &[u8], count: u8) -> Vec<u8> {
    let length = u16::try_from(4 + 4 + 10 + arguments.len()).expect("it is short");
    let mut out = vec![0x20 | 0x04 | 0x01, 0];
    out.extend(length.to_be_bytes());
    out.extend(b"ECU1");
    out.extend([msin, count]);
    out.extend(b"SYS\0JOUR");
    out.extend(arguments);
    out
}

#[test]
fn dlt_arguments_become_text_and_other_messages_are_quiet() {
    let mut arguments = 0x200u32.to_le_bytes().to_vec();
    arguments.extend(5u16.to_le_bytes());
    arguments.extend(b"door\0");
    arguments.extend(0x43u32.to_le_bytes());
    arguments.extend(7u32.to_le_bytes());
    arguments.extend(0x21u32.to_le_bytes());
    arguments.push(0xFF);
    arguments.extend(0x11u32.to_le_bytes());
    arguments.push(1);
    let mut bytes = b"DLT\x01".to_vec();
    bytes.extend([0; 12]);
    bytes.extend(dlt(0x41, &arguments, 4));
    bytes.extend(dlt(0x40, &[1, 2, 3, 4], 0));
    bytes.extend(b"DLS\x01");
    bytes.extend(dlt(0x41, &arguments[..11], 1));
    let expected = pairs(&[("SYS JOUR", "door 7 -1 true"), ("SYS JOUR", "door")]);
    assert_eq!(decode(LogKind::Dlt, &bytes), (expected, 0));
    let mut decoder = Decoder::new(LogKind::Dlt);
    let mut found = Vec::new();
    let damaged = [b"\xFF\xFF\xFF\xFF".to_vec(), b"DLS\x01".to_vec(), dlt(0x41, &arguments, 4)].concat();
    decoder.feed(&damaged, &mut |record| found.push(record.text));
    assert_eq!((found.len(), decoder.rejected), (1, 1), "reading goes on at the next header");
}

#[test]
fn every_shipped_pattern_matches_its_samples_and_not_its_near_misses() {
    let patterns = Patterns::shipped();
    let record = |sample: &str| {
        let (tag, text) = sample.split_once('|').expect("a sample has a tag and a text");
        LogRecord { tag: tag.to_owned(), text: text.to_owned() }
    };
    let mut seen = 0;
    for (name, samples, near_misses) in patterns.samples() {
        assert!(!samples.is_empty(), "{name} has no sample");
        for sample in samples {
            assert_eq!(patterns.name_of(&record(sample)), Some(name), "{sample}");
            seen += 1;
        }
        for sample in near_misses {
            assert_ne!(patterns.name_of(&record(sample)), Some(name), "{sample}");
        }
    }
    assert!(seen >= 25, "{seen}");
}

fn judge(tag: &str, text: &str) -> HostEvent {
    let record = LogRecord { tag: tag.to_owned(), text: text.to_owned() };
    Patterns::shipped().judge(&record, VehicleMicros(5)).expect("a pattern matches")
}

#[test]
fn fields_are_taken_from_the_record() {
    let found = judge(
        "kernel",
        "nft-drop IN=eth0 OUT= MAC=02 SRC=192.0.2.7 DST=10.0.0.1 LEN=60 PROTO=TCP SPT=40000 DPT=13400 SYN",
    );
    assert_eq!(found.event_type, event::FW_PACKET_BLOCKED);
    assert_eq!(found.text_of(field::SOURCE_IP), Some("192.0.2.7"));
    assert_eq!(found.text_of(field::PROTOCOL), Some("tcp"));
    assert_eq!(found.value(field::DESTINATION_PORT), Some(&Value::Int(13400)));
    let found =
        judge("", "Nov 22 12:00:00 tcu kernel: [7.1] rootkit: loading out-of-tree module taints kernel.");
    assert_eq!(found.event_type, event::HOST_MODULE_LOADED);
    let found = judge(
        "hsmd",
        "security-event: hsm.key_misuse key_id=\"oem root\" reason=usage nonsense=1 attempts=3",
    );
    assert_eq!(found.event_type, event::HSM_KEY_MISUSE);
    assert_eq!(found.text_of(field::KEY_ID), Some("oem root"));
    assert_eq!(found.value(field::ATTEMPTS), Some(&Value::Int(3)));
    assert_eq!(found.fields.len(), 3);
}

#[test]
fn wrong_patterns_are_refused_by_name() {
    let refused = |text: &str| Patterns::parse(text).expect_err("it is wrong").to_string();
    assert!(refused("[[pattern]]\nname='a'\nevent='no.such'").contains("no.such"));
    assert!(
        refused("[[pattern]]\nname='a'\nevent='host.log_cleared'\nkeys={nothing='x'}").contains("nothing")
    );
    assert!(
        refused("[[pattern]]\nname='a'\nevent='host.log_cleared'\ntemplate='<reason><component>x'")
            .contains("touch")
    );
    assert!(
        refused("[[pattern]]\nname='a'\nevent='host.log_cleared'\nset={user_id='x'}").contains("user_id")
    );
    assert!(refused("[[pattern]]\nname='a'\nevent='host.log_cleared'\nseverity='bad'").contains("severity"));
    assert!(refused("rubbish").contains("rubbish"));
}

/// A log file and what a source says of it.
struct Desk {
    folder: tempfile::TempDir,
    source: LogSource,
    people: People,
    out: Outbox,
    now: u64,
}

impl Desk {
    fn new(from_start: bool) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("audit.log");
        std::fs::write(&path, "type=KERN_MODULE msg=audit(1.2:3): name=\"old\"\n").expect("it writes");
        let config =
            LogConfig { kind: LogKind::Audit, path: Some(path), address: None, from_start, truncates: false };
        let source = LogSource::open(config, std::sync::Arc::new(Patterns::shipped())).expect("it opens");
        let people = People::new(ProcRoot::new(folder.path()));
        Self { folder, source, people, out: Outbox::default(), now: 0 }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("audit.log")
    }

    fn say(&self, name: &str) {
        use std::io::Write as _;
        let mut file =
            std::fs::OpenOptions::new().append(true).create(true).open(self.path()).expect("it opens");
        writeln!(file, "type=KERN_MODULE msg=audit(1.2:3): name=\"{name}\"").expect("it writes");
    }

    /// Returns modules and reasons of what was said since the last time.
    fn hear(&mut self) -> Vec<String> {
        for _ in 0..3 {
            self.now += 3_000_000;
            let now = VehicleMicros(self.now);
            self.source.turn(&mut Turn { now, people: &mut self.people, out: &mut self.out });
        }
        assert!(self.source.state().counts.is_balanced(), "{:?}", self.source.state());
        std::iter::from_fn(|| self.out.pop())
            .filter_map(|event| {
                event.text_of(field::MODULE_NAME).or(event.text_of(field::REASON)).map(str::to_owned)
            })
            .collect()
    }
}

#[test]
fn a_file_is_followed_over_growth_rotation_and_truncation() {
    let mut desk = Desk::new(false);
    assert_eq!(desk.hear(), Vec::<String>::new(), "what was there before is old");
    desk.say("one");
    assert_eq!(desk.hear(), ["one"]);
    desk.say("two");
    std::fs::rename(desk.path(), desk.folder.path().join("audit.log.1")).expect("it moves");
    assert_eq!(desk.hear(), ["two"]);
    desk.say("three");
    assert_eq!(desk.hear(), ["three"], "a rotated file is read from its start");
    std::fs::write(desk.path(), "").expect("it writes");
    assert_eq!(desk.hear(), ["truncated"]);
    desk.say("four");
    assert_eq!(desk.hear(), ["four"]);
    std::fs::remove_file(desk.path()).expect("it is there");
    assert_eq!(desk.hear(), ["deleted", "absent"]);
    assert_eq!(desk.source.state().step, "absent");
}

#[test]
fn a_file_can_be_read_from_its_start() {
    assert_eq!(Desk::new(true).hear(), ["old"]);
}

/// The fuzz corpora, as ordinary tests: names say what comes out.
#[test]
fn corpora_end_in_records_and_counted_rejects() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../fuzz/corpus");
    let read = |target: &str| -> Vec<Vec<u8>> {
        let entries = std::fs::read_dir(folder.join(target)).expect("the corpus is part of the repository");
        entries.map(|entry| std::fs::read(entry.expect("an entry").path()).expect("a file")).collect()
    };
    let (mut records, mut rejected) = (0, 0);
    for bytes in read("host_log") {
        let Some((first, rest)) = bytes.split_first() else { continue };
        let mut decoder = Decoder::new(LogKind::ALL[usize::from(*first) % LogKind::ALL.len()]);
        decoder.feed(rest, &mut |_| records += 1);
        rejected += decoder.rejected;
    }
    assert!(records >= 5 && rejected >= 1, "{records} {rejected}");
    let events: usize = read("host_fanotify")
        .iter()
        .map(|bytes| crate::parse::FileRecords::new(bytes).filter(Result::is_ok).count())
        .sum();
    assert!(events >= 1);
    let logs = read("host_event_log").iter().filter(|bytes| crate::parse::event_log(bytes).is_ok()).count();
    assert!(logs >= 1);
}

proptest! {
    #[test]
    fn any_bytes_of_any_kind_end(kind in 0usize..6, bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut decoder = Decoder::new(LogKind::ALL[kind]);
        let patterns = Patterns::shipped();
        decoder.feed(&bytes, &mut |record| {
            let _ = patterns.judge(&record, VehicleMicros(0));
        });
        prop_assert!(decoder.buffer.len() <= bytes.len());
    }

    #[test]
    fn any_pattern_file_ends(text in "(\\[\\[pattern\\]\\]\n|name='a'\n|event='host.log_cleared'\n|template='[<>_a-z ]{0,12}'\n|has=\\['x'\\]\n){0,8}") {
        if let Ok(patterns) = Patterns::parse(&text) {
            let record = LogRecord { tag: String::new(), text: "x a b".to_owned() };
            let _ = patterns.judge(&record, VehicleMicros(0));
        }
    }

    #[test]
    fn any_stated_event_ends(text in "security-event: hsm.key_misuse [a-z_= \"]{0,60}") {
        let record = LogRecord { tag: String::new(), text };
        let _ = Patterns::shipped().judge(&record, VehicleMicros(0));
    }
}
