//! What a partition gives the worker next.

use outrider_model::{AppendError, EventLog, LogOffset, LogRecord};

use super::parts::PipelineConfig;
use super::places::Place;

/// Next of a partition.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Intake {
    /// Records, in order, at least one; the lake has all of them or none.
    Records(Vec<LogRecord>),
    /// No record stands before this offset any more, or ever did: go on there.
    Vacant(LogOffset),
    /// Nothing is there yet.
    Nothing,
}

/// Reads the next records of a partition. Offsets may have gaps, anywhere.
///
/// # Errors
/// [`AppendError`]; what was released before it was read is no error, but said loudly.
pub(super) fn take(log: &dyn EventLog, place: Place, config: &PipelineConfig) -> Result<Intake, AppendError> {
    let (partition, next) = (place.partition, place.next);
    // After a crash the lake may be ahead of the checkpoint: what it has goes through detection only.
    let covered = place.covered();
    let records_max = if covered > 0 { covered.min(config.records_max) } else { config.records_max };
    let mut records = match log.read(partition, next, records_max, config.bytes_max) {
        Err(AppendError::Beyond { from, start, .. }) if start > from => {
            // The database is older than the log. Counting what the lake covers from here must begin at what is there.
            let (partition, from, to) = (partition.0, from.0, start.0);
            tracing::error!(partition, from, to, "records were released before they were read");
            return Ok(Intake::Vacant(start));
        }
        read => read?,
    };
    if records.is_empty() {
        let vacant = log.vacant_until(partition, next)?;
        return Ok(if vacant > next { Intake::Vacant(vacant) } else { Intake::Nothing });
    }
    if covered > 0 {
        // What the lake lacks must not ride along with what it has.
        records.retain(|record| record.offset < place.lake_next);
        if records.is_empty() {
            return Ok(Intake::Vacant(place.lake_next));
        }
    }
    Ok(Intake::Records(records))
}

#[cfg(test)]
mod tests {
    use outrider_model::Partition;
    use outrider_types::IngestTime;

    use super::*;

    const P0: Partition = Partition(0);

    /// A log that holds these offsets and ends at `end`; it knows that nothing stands at its end.
    struct Gapped {
        offsets: Vec<u64>,
        start: u64,
        end: u64,
    }

    impl EventLog for Gapped {
        fn partitions(&self) -> u16 {
            1
        }
        fn append(
            &self,
            _: Partition,
            _: IngestTime,
            _: &[&[u8]],
            _: &[(&[u8], &[u8])],
        ) -> Result<LogOffset, AppendError> {
            unreachable!("it is only read")
        }
        fn get(&self, _: &[u8]) -> Result<Vec<Vec<u8>>, AppendError> {
            Ok(Vec::new())
        }
        fn stamp(&self, _: &[u8]) -> u64 {
            0
        }
        fn read(
            &self,
            partition: Partition,
            from: LogOffset,
            records_max: usize,
            _: usize,
        ) -> Result<Vec<LogRecord>, AppendError> {
            if from.0 < self.start || from.0 > self.end {
                let (start, end) = (LogOffset(self.start), LogOffset(self.end));
                return Err(AppendError::Beyond { partition, from, start, end });
            }
            let record = |offset: &u64| LogRecord {
                offset: LogOffset(*offset),
                ingest: IngestTime::default(),
                bytes: vec![1],
            };
            let offsets = self.offsets.iter().filter(|offset| **offset >= from.0);
            Ok(offsets.take(records_max).map(record).collect())
        }
        fn start(&self, _: Partition) -> Result<LogOffset, AppendError> {
            Ok(LogOffset(self.start))
        }
        fn end(&self, _: Partition) -> Result<LogOffset, AppendError> {
            Ok(LogOffset(self.end))
        }
        fn vacant_until(&self, _: Partition, from: LogOffset) -> Result<LogOffset, AppendError> {
            let next = self.offsets.iter().find(|offset| **offset >= from.0);
            Ok(LogOffset(next.copied().unwrap_or(self.end)))
        }
        fn release(&self, _: Partition, _: LogOffset) -> Result<(), AppendError> {
            Ok(())
        }
        fn bytes(&self) -> u64 {
            0
        }
    }

    fn taken(log: &Gapped, next: u64, lake_next: u64) -> Result<Vec<u64>, Intake> {
        let place = Place {
            partition: P0,
            next: LogOffset(next),
            lake_next: LogOffset(lake_next),
            replay_end: LogOffset(0),
            ingested: None,
        };
        match take(log, place, &PipelineConfig::default()).expect("it reads") {
            Intake::Records(records) => Ok(records.iter().map(|record| record.offset.0).collect()),
            other @ (Intake::Vacant(_) | Intake::Nothing) => Err(other),
        }
    }

    #[test]
    fn gaps_anywhere_are_stepped_over() {
        let log = Gapped { offsets: vec![3, 4, 10, 11], start: 2, end: 14 };
        let vacant = |to| Err(Intake::Vacant(LogOffset(to)));
        assert_eq!(taken(&log, 0, 0), vacant(2), "released");
        assert_eq!(taken(&log, 2, 0), Ok(vec![3, 4, 10, 11]), "a gap before and within");
        assert_eq!(taken(&log, 2, 5), Ok(vec![3, 4]), "what the lake has");
        assert_eq!(taken(&log, 2, 4), Ok(vec![3]), "its end is exact");
        assert_eq!(taken(&log, 5, 8), vacant(8), "the lake's end is within a gap");
        assert_eq!(taken(&log, 5, 10), vacant(10), "and at its end");
        assert_eq!(taken(&log, 5, 11), Ok(vec![10]));
        assert_eq!(taken(&log, 12, 0), vacant(14), "a gap at the log's end");
        assert_eq!(taken(&log, 12, 13), vacant(14), "also where the lake is ahead");
        assert_eq!(taken(&log, 14, 0), Err(Intake::Nothing));
        let far = Gapped { offsets: vec![], start: 0, end: 0 };
        assert!(
            take(&far, Place { next: LogOffset(1), ..place_at_0() }, &PipelineConfig::default()).is_err()
        );
    }

    fn place_at_0() -> Place {
        let zero = LogOffset(0);
        Place { partition: P0, next: zero, lake_next: zero, replay_end: zero, ingested: None }
    }
}
