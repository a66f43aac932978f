//! The embedded log against the suite.

use outrider_log::{EmbeddedConfig, EmbeddedLog};
use outrider_model::{AppendError, EventLog, LogOffset, Partition};
use outrider_types::{IngestTime, UnixMicros};

use crate::conformance::{CASES, PARTITIONS, RECORD_BYTES_MAX, Subject};

struct Embedded(tempfile::TempDir);

impl Subject for Embedded {
    fn open(&self) -> Box<dyn EventLog> {
        let config = EmbeddedConfig {
            record_bytes_max: RECORD_BYTES_MAX,
            segment_bytes: 1_024 * 1_024,
            memtable_bytes: 1_024 * 1_024,
            ..EmbeddedConfig::new(self.0.path().join("log"), PARTITIONS)
        };
        Box::new(EmbeddedLog::open(config).expect("it opens"))
    }
}

#[test]
fn the_embedded_log_conforms() {
    for (name, case) in CASES {
        let subject = Embedded(tempfile::tempdir().expect("a temporary folder"));
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&subject)));
        assert!(ran.is_ok(), "{name}");
    }
}

#[test]
fn a_log_that_holds_as_much_as_it_may_is_busy_until_something_is_released() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = EmbeddedConfig {
        segment_bytes: 256 * 1_024,
        held_bytes_max: 2 * 1_024 * 1_024,
        ..EmbeddedConfig::new(folder.path().join("log"), 1)
    };
    let open = || EmbeddedLog::open(config.clone()).expect("it opens");
    let (p0, now, record) = (Partition(0), IngestTime(UnixMicros(1)), vec![0x5A_u8; 64 * 1_024]);
    let mut log = open();
    let fill = |log: &EmbeddedLog| {
        let mut taken = 0_u64;
        loop {
            match log.append(p0, now, &[&record], &[]) {
                Ok(_) => taken += 1,
                Err(AppendError::Busy(_)) => return taken,
                Err(other) => panic!("{other}"),
            }
            assert!(taken < 1_000, "the bound is never reached");
        }
    };
    let taken = fill(&log);
    assert!((24..=33).contains(&taken), "{taken} records of 64 KiB in 2 MiB");
    let end = log.end(p0).expect("end");
    assert_eq!(end, LogOffset(taken), "what was refused is not there");
    assert_eq!(log.read(p0, LogOffset(0), 1, 1).expect("reads go on").len(), 1);
    drop(log);
    log = open();
    assert!(fill(&log) <= 4, "the bound holds after opening again");
    log.release(p0, LogOffset(taken - 2)).expect("releases");
    assert!(fill(&log) > 10, "there is room again");
}
