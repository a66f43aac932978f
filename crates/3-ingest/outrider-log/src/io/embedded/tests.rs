use outrider_types::UnixMicros;

use super::*;

const NOW: IngestTime = IngestTime(UnixMicros(1_700_000_000_000_000));
const P0: Partition = Partition(0);
const P1: Partition = Partition(1);

fn open(folder: &tempfile::TempDir) -> EmbeddedLog {
    let config = EmbeddedConfig {
        segment_bytes: 4 * 1_024 * 1_024,
        memtable_bytes: 1_024 * 1_024,
        ..EmbeddedConfig::new(folder.path().join("log"), 2)
    };
    EmbeddedLog::open(config).expect("a fresh folder can be opened")
}

fn texts(records: &[LogRecord]) -> Vec<(u64, String)> {
    records
        .iter()
        .map(|record| (record.offset.0, String::from_utf8_lossy(&record.bytes).into_owned()))
        .collect()
}

#[test]
fn offsets_are_contiguous_per_partition_and_survive_reopening() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = open(&folder);
    assert_eq!(log.append(P0, NOW, &[b"a", b"b"], &[]).expect("appends"), LogOffset(0));
    assert_eq!(log.append(P1, NOW, &[b"x"], &[(b"key", b"one")]).expect("appends"), LogOffset(0));
    assert_eq!(log.append(P0, NOW, &[b"c"], &[(b"key", b"two")]).expect("appends"), LogOffset(2));
    assert_eq!(log.append(P0, NOW, &[], &[(b"only", b"keys")]).expect("appends"), LogOffset(3));
    drop(log);
    let log = open(&folder);
    assert_eq!((log.end(P0).expect("end"), log.end(P1).expect("end")), (LogOffset(3), LogOffset(1)));
    let records = log.read(P0, LogOffset(1), 10, 1_000).expect("reads");
    assert_eq!(texts(&records), [(1, "b".to_owned()), (2, "c".to_owned())]);
    assert_eq!(records[0].ingest, NOW);
    assert_eq!(log.get(b"key").expect("gets"), [b"two".to_vec()]);
    assert_eq!(log.get(b"only").expect("gets"), [b"keys".to_vec()]);
    assert_eq!(log.get(b"none").expect("gets"), Vec::<Vec<u8>>::new());
    assert_eq!(log.append(P0, NOW, &[b"d"], &[]).expect("appends"), LogOffset(3));
}

#[test]
fn reads_keep_to_both_caps_and_give_at_least_one_record() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = open(&folder);
    log.append(P0, NOW, &[&[1; 10], &[2; 10], &[3; 10]], &[]).expect("appends");
    let lengths =
        |records_max, bytes_max| log.read(P0, LogOffset(0), records_max, bytes_max).expect("reads").len();
    assert_eq!(
        [lengths(2, 100), lengths(9, 20), lengths(9, 19), lengths(9, 0), lengths(0, 9)],
        [2, 2, 1, 1, 0]
    );
    assert!(log.read(P0, LogOffset(3), 9, 9).expect("reads").is_empty());
    assert!(matches!(log.read(P0, LogOffset(u64::MAX), 9, 9), Err(AppendError::Beyond { .. })));
}

#[test]
fn what_does_not_fit_is_refused_whole() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = EmbeddedConfig { record_bytes_max: 4, ..EmbeddedConfig::new(folder.path(), 1) };
    let log = EmbeddedLog::open(config).expect("opens");
    let refused = log.append(P0, NOW, &[b"1234", b"12345"], &[(b"k", b"v")]);
    assert!(matches!(refused, Err(AppendError::TooLarge { bytes: 5, limit: 4 })));
    assert!(matches!(log.append(P1, NOW, &[b"1"], &[]), Err(AppendError::Storage(_))));
    assert!(log.read(P1, LogOffset(0), 1, 1).is_err());
    assert_eq!((log.end(P0).expect("end"), log.get(b"k").expect("gets")), (LogOffset(0), Vec::new()));
    assert_eq!(log.append(P0, NOW, &[b"1234"], &[]).expect("appends"), LogOffset(0));
}

#[test]
fn opening_refuses_other_partitions_and_a_second_owner() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = EmbeddedLog::open(EmbeddedConfig::new(folder.path(), 2)).expect("opens");
    let second = EmbeddedLog::open(EmbeddedConfig::new(folder.path(), 2)).expect_err("the log is held");
    assert_eq!((second.code(), second.class()), ("log.in_use", crate::ErrorClass::Transient));
    drop(log);
    let other = EmbeddedLog::open(EmbeddedConfig::new(folder.path(), 3)).expect_err("two is not three");
    assert!(matches!(other, OpenError::Partitions { expected: 3, got: 2, .. }), "{other}");
    let none = EmbeddedLog::open(EmbeddedConfig::new(folder.path(), 0)).expect_err("zero is none");
    assert_eq!((none.code(), none.class()), ("log.no_partition", crate::ErrorClass::Config));
}

#[test]
fn release_hides_at_once_frees_space_and_keeps_the_offsets() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = open(&folder);
    let record = vec![0x5A_u8; 64 * 1_024];
    // Fifty MiB in twelve segments; a memory table holds one of them, the rest is in tables on disk.
    for _ in 0..50 {
        log.append(P0, NOW, &[record.as_slice(); 16], &[]).expect("appends");
    }
    log.append(P1, NOW, &[b"other"], &[]).expect("appends");
    let engine_bytes = || folder_bytes(&folder.path().join("log").join("keyspaces"));
    log.release(P0, LogOffset(10)).expect("releases");
    assert!(matches!(
        log.read(P0, LogOffset(9), 1, 1),
        Err(AppendError::Beyond { start: LogOffset(10), .. })
    ));
    assert_eq!(log.read(P0, LogOffset(10), 1, 1).expect("reads")[0].offset, LogOffset(10));
    let before = engine_bytes();
    assert!(before > 30_000_000, "tables were written: {before}");
    log.release(P0, LogOffset(790)).expect("releases");
    let after = engine_bytes();
    assert!(after < before / 4, "{before} bytes became {after}");
    log.release(P0, LogOffset(5)).expect("an older offset changes nothing");
    drop(log);
    let log = open(&folder);
    let left = log.read(P0, log.start(P0).expect("start"), 100, usize::MAX).expect("reads");
    assert_eq!((left.len(), left[0].offset, left[0].bytes == record), (10, LogOffset(790), true));
    log.release(P0, LogOffset(u64::MAX)).expect("past the end means the end");
    assert!(log.read(P0, LogOffset(800), 100, usize::MAX).expect("reads").is_empty());
    assert_eq!(log.append(P0, NOW, &[b"next"], &[]).expect("appends"), LogOffset(800));
    assert_eq!(log.read(P1, LogOffset(0), 1, 9).expect("reads").len(), 1);
}

#[test]
fn a_base_that_a_power_cut_threw_back_stops_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = open(&folder);
    let record = vec![0x5A_u8; 64 * 1_024];
    for _ in 0..10 {
        log.append(P0, NOW, &[record.as_slice(); 16], &[]).expect("appends");
    }
    log.release(P0, LogOffset(150)).expect("releases");
    let held = log.start(P0).expect("start");
    log.engine.read().expect("no test panics here").engine.as_ref().expect("it is open").forget_base(P0);
    drop(log);
    let log = open(&folder);
    let first = log.start(P0).expect("start");
    assert_eq!(log.read(P0, first, 1, 1).expect("reads what is left")[0].offset, first);
    assert!(first > LogOffset(0) && first <= held, "{first:?} is the first of a segment that is there");
    log.release(P0, LogOffset(160)).expect("releases the rest");
    log.engine.read().expect("no test panics here").engine.as_ref().expect("it is open").forget_base(P0);
    drop(log);
    assert_eq!(open(&folder).append(P0, NOW, &[b"next"], &[]).expect("appends"), LogOffset(160));
}

fn folder_bytes(path: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(path).expect("the folder can be listed");
    entries
        .map(|entry| {
            let entry = entry.expect("the folder can be listed");
            let meta = entry.metadata().expect("the file is there");
            if meta.is_dir() { folder_bytes(&entry.path()) } else { meta.len() }
        })
        .sum()
}

#[test]
fn many_writers_share_flushes_and_get_distinct_contiguous_offsets() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let log = open(&folder);
    let offsets: std::collections::BTreeSet<u64> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..16_u8)
            .map(|writer| {
                let log = &log;
                scope.spawn(move || {
                    (0..20_u8)
                        .map(|turn| {
                            let at = log
                                .append(
                                    P0,
                                    NOW,
                                    &[&[writer, turn], &[writer, turn, 1]],
                                    &[(&[writer], &[turn])],
                                )
                                .expect("appends");
                            let back = log.read(P0, at, 2, 100).expect("reads its own write");
                            assert_eq!(back[0].bytes, [writer, turn]);
                            assert_eq!(back[1].bytes, [writer, turn, 1]);
                            at.0
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        writers.into_iter().flat_map(|writer| writer.join().expect("no writer fails")).collect()
    });
    assert_eq!(offsets, (0..320).map(|append| append * 2).collect());
    assert_eq!(log.get(&[7]).expect("gets"), [vec![19]]);
}
