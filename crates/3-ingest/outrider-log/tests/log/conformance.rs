//! What every event log must do, whatever it stands on.

use outrider_model::{AppendError, EventLog, LogOffset, LogRecord, Partition};
use outrider_types::{IngestTime, UnixMicros};

/// Largest record that a subject takes, bytes.
pub(crate) const RECORD_BYTES_MAX: usize = 100_000;
/// Partitions of a subject.
pub(crate) const PARTITIONS: u16 = 3;

const P0: Partition = Partition(0);
const P1: Partition = Partition(1);

/// One kind of log under test: storage that can be opened more than once, one after the other.
pub(crate) trait Subject {
    /// Opens the log; the same records are there every time.
    fn open(&self) -> Box<dyn EventLog>;
}

/// A rule in words, and what shows it.
type Case = (&'static str, fn(&dyn Subject));

/// The suite: each case gets storage of its own.
pub(crate) const CASES: &[Case] = &[
    ("appends are read in order, with time and bytes", order),
    ("reading begins at any offset", any_offset),
    ("a read keeps to both caps and gives at least one record", bounded_reads),
    ("what was acknowledged is there after opening again", restart),
    ("keys belong to their records", keys),
    ("a place outside of the log is an error, not a skip", beyond),
    ("what the log cannot take changes nothing", refusals),
    ("writers at the same time get offsets of their own and keep their order", writers),
    ("any mixture of appends, reads, releases and restarts agrees with a list", model),
];

fn at(number: i64) -> IngestTime {
    IngestTime(UnixMicros(1_700_000_000_000_000 + number))
}

/// Reads everything from an offset to the end, in bounded reads; a log over a network may need several.
pub(crate) fn read_all(log: &dyn EventLog, partition: Partition, from: LogOffset) -> Vec<LogRecord> {
    let end = log.end(partition).expect("end");
    let (mut next, mut found, mut empty) = (from, Vec::new(), 0);
    while next < end {
        let records = log.read(partition, next, 100, 1 << 20).expect("reads");
        assert!(records.windows(2).all(|pair| pair[0].offset < pair[1].offset), "offsets ascend");
        match records.last() {
            Some(last) => {
                assert!(records[0].offset >= next, "nothing before the place that was asked for");
                next = LogOffset(last.offset.0 + 1);
                empty = 0;
            }
            None => empty += 1,
        }
        assert!(empty < 100, "{next:?} of {end:?}: the log gives nothing any more");
        found.extend(records);
    }
    found
}

/// Reads once something is given; a log over a network may need several attempts.
fn read_some(log: &dyn EventLog, from: LogOffset, records_max: usize, bytes_max: usize) -> Vec<LogRecord> {
    for _ in 0..100 {
        let records = log.read(P0, from, records_max, bytes_max).expect("reads");
        if !records.is_empty() {
            return records;
        }
    }
    panic!("the log gives nothing at {from:?}");
}

fn order(subject: &dyn Subject) {
    let log = subject.open();
    assert_eq!(log.partitions(), PARTITIONS);
    for partition in (0..PARTITIONS).map(Partition) {
        assert_eq!(log.start(partition).expect("start"), log.end(partition).expect("end"), "it begins empty");
    }
    let first = log.append(P0, at(1), &[b"a", b"", b"c"], &[]).expect("appends");
    let second = log.append(P0, at(2), &[&[0xFF; 5_000]], &[]).expect("appends");
    let other = log.append(P1, at(3), &[b"other"], &[]).expect("appends");
    assert!(second > first);
    let records = read_all(&*log, P0, first);
    let bytes: Vec<&[u8]> = records.iter().map(|record| record.bytes.as_slice()).collect();
    assert_eq!(bytes, [b"a".as_slice(), b"", b"c", &[0xFF; 5_000]]);
    assert_eq!(records.iter().map(|record| record.ingest).collect::<Vec<_>>(), [at(1), at(1), at(1), at(2)]);
    assert_eq!((records[0].offset, records[3].offset), (first, second));
    assert_eq!(log.end(P0).expect("end"), LogOffset(second.0 + 1));
    let records = read_all(&*log, P1, other);
    assert_eq!((records.len(), records[0].bytes.as_slice()), (1, b"other".as_slice()));
    assert_eq!(log.end(Partition(2)).expect("end"), log.start(Partition(2)).expect("start"));
    for from in [first, second, log.end(P0).expect("end")] {
        let vacant = log.vacant_until(P0, from).expect("says");
        assert_eq!(vacant, from, "no record is stepped over, and nothing behind the end");
    }
}

fn any_offset(subject: &dyn Subject) {
    let log = subject.open();
    let offsets: Vec<LogOffset> =
        (0..20_u8).map(|number| log.append(P0, at(0), &[&[number]], &[]).expect("appends")).collect();
    // Forwards, backwards and the same again.
    let turns = (0..20).chain((0..20).rev()).chain([7, 7, 19, 0]);
    for turn in turns {
        let records = read_all(&*log, P0, offsets[turn]);
        let numbers: Vec<usize> = records.iter().map(|record| usize::from(record.bytes[0])).collect();
        assert_eq!(numbers, (turn..20).collect::<Vec<_>>());
    }
    let end = log.end(P0).expect("end");
    assert!(log.read(P0, end, 10, 1_000).expect("reads").is_empty(), "at the end there is nothing yet");
    log.append(P0, at(0), &[b"later"], &[]).expect("appends");
    assert_eq!(read_all(&*log, P0, end)[0].bytes, b"later");
}

fn bounded_reads(subject: &dyn Subject) {
    let log = subject.open();
    let first = log.append(P0, at(0), &[&[1; 10], &[2; 10], &[3; 10]], &[]).expect("appends");
    assert_eq!(read_all(&*log, P0, first).len(), 3);
    let most = |records_max, bytes_max| read_some(&*log, first, records_max, bytes_max).len();
    assert!(most(2, 100) <= 2);
    assert!(most(9, 20) <= 2);
    assert_eq!([most(9, 19), most(9, 0), most(1, 100)], [1, 1, 1]);
    assert!(log.read(P0, first, 0, 100).expect("reads").is_empty());
}

fn restart(subject: &dyn Subject) {
    let mut sent: Vec<Vec<u8>> = Vec::new();
    let mut first = None;
    for turn in 0..4_u8 {
        let log = subject.open();
        for number in 0..10_u8 {
            let bytes = vec![turn * 10 + number; usize::from(number) * 100 + 1];
            let offset = log.append(P0, at(0), &[&bytes], &[]).expect("appends");
            first.get_or_insert(offset);
            sent.push(bytes);
        }
        let found = read_all(&*log, P0, first.expect("something was appended"));
        assert_eq!(found.into_iter().map(|record| record.bytes).collect::<Vec<_>>(), sent);
    }
}

fn keys(subject: &dyn Subject) {
    let newest = |log: &dyn EventLog, key: &[u8]| {
        let values = log.get(key).expect("gets");
        assert!(values.len() <= 1, "one writer has one value");
        values.into_iter().next()
    };
    let log = subject.open();
    assert_eq!(newest(&*log, b"none"), None);
    log.append(P0, at(0), &[b"x"], &[(b"key", b"one"), (b"also", b"")]).expect("appends");
    let stamp = log.stamp(b"key");
    log.append(P1, at(0), &[b"y"], &[(b"key", b"two")]).expect("appends");
    log.append(P0, at(0), &[], &[(b"only", b"keys")]).expect("appends");
    assert_eq!(log.stamp(b"key"), stamp, "one's own writes are not another's");
    let check = |log: &dyn EventLog| {
        assert_eq!(newest(log, b"key").as_deref(), Some(b"two".as_slice()));
        assert_eq!(newest(log, b"also").as_deref(), Some(b"".as_slice()));
        assert_eq!(newest(log, b"only").as_deref(), Some(b"keys".as_slice()));
        assert_eq!(newest(log, b"ke"), None);
        assert_eq!(read_all(log, P0, log.start(P0).expect("start")).len(), 1, "a key is no record");
    };
    check(&*log);
    drop(log);
    check(&*subject.open());
}

fn beyond(subject: &dyn Subject) {
    let log = subject.open();
    let offsets: Vec<LogOffset> =
        (0..10_u8).map(|number| log.append(P0, at(0), &[&[number]], &[]).expect("appends")).collect();
    log.release(P0, offsets[4]).expect("releases");
    log.release(P0, offsets[2]).expect("an older place changes nothing");
    let end = log.end(P0).expect("end");
    let refused = |from| match log.read(P0, from, 10, 100) {
        Err(AppendError::Beyond { partition, from: asked, start, end }) => {
            assert_eq!((partition, asked), (P0, from));
            (start, end)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(offsets[0]), (offsets[4], end));
    assert_eq!(refused(offsets[3]), (offsets[4], end));
    assert_eq!(refused(LogOffset(end.0 + 1)), (offsets[4], end));
    assert_eq!(refused(LogOffset(u64::MAX)), (offsets[4], end));
    assert_eq!(log.start(P0).expect("start"), offsets[4]);
    assert_eq!(read_all(&*log, P0, offsets[4]).len(), 6);
    drop(log);
    let log = subject.open();
    assert_eq!(log.start(P0).expect("start"), offsets[4], "what was released stays released");
    log.release(P0, LogOffset(u64::MAX)).expect("past the end means the end");
    assert_eq!((log.start(P0).expect("start"), log.end(P0).expect("end")), (end, end));
    assert!(log.append(P0, at(0), &[b"next"], &[]).expect("appends") >= end);
    assert_eq!(read_all(&*log, P0, end)[0].bytes, b"next");
}

fn refusals(subject: &dyn Subject) {
    let log = subject.open();
    log.append(P0, at(0), &[&[7; RECORD_BYTES_MAX]], &[(b"key", b"one")]).expect("the largest record");
    let end = log.end(P0).expect("end");
    let large = vec![7; RECORD_BYTES_MAX + 1];
    match log.append(P0, at(0), &[b"small", &large], &[(b"key", b"two")]) {
        Err(AppendError::TooLarge { bytes, limit }) => {
            assert_eq!((bytes, limit), (RECORD_BYTES_MAX + 1, RECORD_BYTES_MAX));
        }
        other => panic!("{other:?}"),
    }
    let unknown = Partition(PARTITIONS);
    assert!(matches!(log.append(unknown, at(0), &[b"x"], &[(b"key", b"two")]), Err(AppendError::Storage(_))));
    assert!(matches!(log.read(unknown, LogOffset(0), 1, 1), Err(AppendError::Storage(_))));
    assert!(matches!(log.end(unknown), Err(AppendError::Storage(_))));
    assert!(matches!(log.start(unknown), Err(AppendError::Storage(_))));
    assert!(matches!(log.release(unknown, LogOffset(0)), Err(AppendError::Storage(_))));
    assert_eq!(log.end(P0).expect("end"), end, "nothing was appended");
    assert_eq!(log.get(b"key").expect("gets"), [b"one".to_vec()], "nor put");
}

fn writers(subject: &dyn Subject) {
    const WRITERS: u8 = 8;
    const TURNS: u8 = 25;
    let log = subject.open();
    let log: &dyn EventLog = &*log;
    let offsets: Vec<u64> = std::thread::scope(|scope| {
        let run = |writer: u8| {
            (0..TURNS)
                .map(|turn| {
                    let record = [writer, turn];
                    let key = [writer];
                    log.append(P0, at(0), &[&record], &[(&key, &[turn])]).expect("appends").0
                })
                .collect::<Vec<_>>()
        };
        let running: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || run(writer))).collect();
        running.into_iter().flat_map(|writer| writer.join().expect("no writer fails")).collect()
    });
    let distinct: std::collections::BTreeSet<u64> = offsets.iter().copied().collect();
    assert_eq!(distinct.len(), usize::from(WRITERS) * usize::from(TURNS));
    let records = read_all(log, P0, log.start(P0).expect("start"));
    assert_eq!(records.len(), distinct.len());
    for writer in 0..WRITERS {
        let turns = records.iter().filter(|record| record.bytes[0] == writer).map(|record| record.bytes[1]);
        assert!(turns.eq(0..TURNS), "the order of a writer is kept");
        assert_eq!(log.get(&[writer]).expect("gets"), [vec![TURNS - 1]]);
    }
}

/// Numbers that look drawn, the same every time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn model(subject: &dyn Subject) {
    let mut draw = Draw(7);
    let mut log = subject.open();
    let mut list: Vec<(LogOffset, Vec<u8>)> = Vec::new();
    let mut start = 0_usize;
    for step in 0..120_u64 {
        match draw.below(10) {
            0 => {
                drop(log);
                log = subject.open();
            }
            1 if !list.is_empty() => {
                start = start.max(usize::try_from(draw.below(list.len() as u64)).expect("small"));
                log.release(P0, list[start].0).expect("releases");
            }
            2..6 => {
                let bytes: Vec<Vec<u8>> = (0..=draw.below(3))
                    .map(|part| {
                        let length = usize::try_from(draw.below(2_000)).expect("small");
                        [vec![step.to_le_bytes()[0], part.to_le_bytes()[0]], vec![9; length]].concat()
                    })
                    .collect();
                let parts: Vec<&[u8]> = bytes.iter().map(Vec::as_slice).collect();
                let first = log.append(P0, at(0), &parts, &[]).expect("appends");
                list.extend((first.0..).map(LogOffset).zip(bytes));
            }
            _ if start < list.len() => {
                let from = start + usize::try_from(draw.below((list.len() - start) as u64)).expect("small");
                let found = read_all(&*log, P0, list[from].0);
                let found: Vec<_> = found.into_iter().map(|record| (record.offset, record.bytes)).collect();
                assert_eq!(found, list[from..], "step {step}");
            }
            _ => {}
        }
    }
    assert!(list.len() > 50 && start > 0, "the draw appended and released");
}
