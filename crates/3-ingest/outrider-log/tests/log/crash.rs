//! Kills a writing process again and again and looks at what it leaves behind.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use outrider_log::{EmbeddedConfig, EmbeddedLog};
use outrider_model::{AppendError, EventLog, LogOffset, Partition};
use outrider_types::{IngestTime, UnixMicros};

const FOLDER: &str = "OUTRIDER_LOG_CRASH_FOLDER";
const WRITERS: u8 = 4;
const KILLS: u64 = 12;

fn open(folder: &Path) -> EmbeddedLog {
    // Small tables and segments, so that kills also hit flushes, new segments and dropped ones.
    let config = EmbeddedConfig {
        segment_bytes: 512 * 1_024,
        memtable_bytes: 256 * 1_024,
        ..EmbeddedConfig::new(folder, 2)
    };
    EmbeddedLog::open(config).expect("a killed log opens")
}

/// Length and bytes of a record follow from its writer and number alone.
fn record(writer: u8, number: u64) -> Vec<u8> {
    let length = 20 + usize::try_from(number % 7 * 1_000).expect("small");
    let mut bytes = vec![writer ^ number.to_le_bytes()[0]; length];
    bytes[0] = writer;
    bytes[1..9].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn number_of(bytes: &[u8]) -> (u8, u64) {
    (bytes[0], u64::from_le_bytes(bytes[1..9].try_into().expect("eight bytes")))
}

/// Appends until it is killed and says each acknowledged number; runs only as a child of the test below.
#[test]
#[expect(clippy::disallowed_methods, reason = "the parent tells its child where to write")]
fn writer_process() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let log = open(Path::new(&folder));
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let log = &log;
            scope.spawn(move || {
                let key = [writer];
                let stored = log
                    .get(&key)
                    .expect("reads")
                    .pop()
                    .map(|value| u64::from_le_bytes(value.try_into().expect("u64")));
                let partition = Partition(u16::from(writer % 2));
                for number in stored.map_or(0, |last| last + 1).. {
                    let bytes = record(writer, number);
                    let puts: &[(&[u8], &[u8])] = &[(&key, &number.to_le_bytes())];
                    log.append(partition, IngestTime(UnixMicros(1)), &[&bytes], puts).expect("appends");
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "ack {writer} {number}")
                        .and_then(|()| out.flush())
                        .expect("the parent listens");
                    if number % 200 == 199 {
                        let end = log.end(partition).expect("end");
                        log.release(partition, LogOffset(end.0.saturating_sub(300))).expect("releases");
                    }
                }
            });
        }
    });
}

/// Reads everything and returns the numbers of each writer in order of offset.
fn contents(log: &EmbeddedLog) -> BTreeMap<u8, Vec<u64>> {
    let mut found: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
    for partition in [Partition(0), Partition(1)] {
        let end = log.end(partition).expect("end");
        let mut from = None;
        loop {
            let place = from.unwrap_or(log.start(partition).expect("start"));
            let records = log.read(partition, place, 64, 1 << 20).expect("reads");
            let Some(last) = records.last() else { break };
            if let Some(from) = from {
                assert_eq!(records[0].offset, from, "no gap between reads");
            }
            from = Some(LogOffset(last.offset.0 + 1));
            for entry in &records {
                let (writer, number) = number_of(&entry.bytes);
                assert_eq!(entry.bytes, record(writer, number), "no damaged record");
                assert_eq!(partition, Partition(u16::from(writer % 2)));
                found.entry(writer).or_default().push(number);
            }
        }
        assert!(from.is_none_or(|from| from == end), "the last record is the one before the end");
    }
    found
}

#[test]
#[expect(clippy::print_stdout, reason = "the counts show that the kills hit something")]
fn a_killed_writer_leaves_everything_acknowledged_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("log");
    let mut acknowledged: BTreeMap<u8, u64> = BTreeMap::new();
    let (mut total, mut unacknowledged) = (0, 0);
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().expect("the test knows itself"))
            .args(["--exact", "crash::writer_process", "--nocapture"])
            .env(FOLDER, &path)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test can start itself");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        // Killed after a number of acknowledgements that differs each time: some while opening, some mid-way.
        let quota = (kill * 211) % 900;
        let mut heard = 0;
        let mut hear = |line: String, heard: &mut u64| {
            if let Some((_, ack)) = line.split_once("ack ")
                && let Some((writer, number)) = ack.split_once(' ')
            {
                acknowledged.insert(writer.parse().expect("writer"), number.parse().expect("number"));
                *heard += 1;
            }
        };
        while heard < quota {
            hear(lines.next().expect("the child writes until it is killed").expect("text"), &mut heard);
        }
        child.kill().expect("the child is alive until now");
        child.wait().expect("the child is gone");
        // What was acknowledged but not read yet counts too; the last line may be cut off.
        for line in lines.map_while(Result::ok) {
            hear(line, &mut heard);
        }
        total += heard;
        let log = open(&path);
        let found = contents(&log);
        for (writer, last) in &acknowledged {
            let numbers = &found[writer];
            let newest = *numbers.last().expect("something is never released");
            assert!(newest >= *last, "kill {kill}: writer {writer} was told {last}, the log has {newest}");
            // One append may be on disk without its answer having arrived.
            assert!(newest <= last + 1, "kill {kill}: writer {writer} never sent {newest} after {last}");
            unacknowledged += newest - last;
            assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "no number twice, none missing");
            let key = log.get(&[*writer]).expect("reads").pop().expect("put with the record");
            assert_eq!(key, newest.to_le_bytes(), "the key is as new as the record");
        }
    }
    assert!(total > KILLS * 300, "only {total} acknowledgements: the children hardly ran");
    println!("{total} acknowledged appends, {KILLS} kills, {unacknowledged} on disk without answer");
}

/// A file system of 80 MiB for the time of one test; needs root.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=80m", "tmpfs"])
            .arg(folder.path())
            .stderr(Stdio::null())
            .status();
        mount.is_ok_and(|status| status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn a_full_disk_refuses_appends_and_damages_nothing() {
    let Some(disk) = SmallDisk::mount() else {
        println!("SKIPPED: a small file system cannot be mounted here");
        return;
    };
    let path = disk.0.path().join("log");
    let log = open(&path);
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![1; 40 << 20]).expect("the disk has room for the ballast");
    let now = IngestTime(UnixMicros(1));
    let mut written = 0_u64;
    let refused = loop {
        let bytes = [record(0, written), vec![7; 100_000]].concat();
        match log.append(Partition(0), now, &[&bytes], &[(b"last", &written.to_le_bytes())]) {
            Ok(offset) => assert_eq!(offset, LogOffset(written)),
            Err(error) => break error,
        }
        written += 1;
        assert!(written < 2_000, "the disk never filled");
    };
    assert!(matches!(refused, AppendError::Storage(_)), "{refused}");
    assert!(written > 10, "the disk was full from the start");
    assert_eq!(log.end(Partition(0)).expect("end"), LogOffset(written));
    let check = |log: &EmbeddedLog, at_least: u64| {
        let mut next = 0;
        while let Some(last) = log.read(Partition(0), LogOffset(next), 10, usize::MAX).expect("reads").last()
        {
            assert_eq!(number_of(&last.bytes).1, last.offset.0);
            next = last.offset.0 + 1;
        }
        assert!(next >= at_least, "{next} of {at_least}");
        let last = log.get(b"last").expect("reads").pop().expect("put with the first record");
        assert_eq!(last, (next - 1).to_le_bytes(), "keys and records belong together");
        next
    };
    check(&log, written);
    std::fs::remove_file(&ballast).expect("the ballast goes");
    // The engine is opened again by itself; no restart.
    let end = log.end(Partition(0)).expect("end").0;
    let offset = log
        .append(Partition(0), now, &[&record(0, end)], &[(b"last", &end.to_le_bytes())])
        .expect("there is room again");
    drop(log);
    assert_eq!(check(&open(&path), written), offset.0 + 1);
}
