//! What a worker does with what its rules match: count it here, or tell the correlators.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outrider_detect::{Detector, Sightings, SightingsRecord, Spotter};
use outrider_model::{
    AppendError, EventBatch, EventLog, Finding, Partition, SaveError, Stage as _, Watermark,
};
use outrider_types::{IngestTime, UnixMicros};

use super::status::PipelineStatus;

/// How often an owner of partitions tells the correlators the time, also when nothing counts.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// How much later than its ingest time a record may come into the log: clocks of listeners differ, and an append may wait.
const IN_FLIGHT_US: i64 = 300_000_000;

/// Detection as far as this process does it.
pub(super) enum Detection {
    /// Both stages, over all partitions.
    Whole(Box<Detector>),
    /// The first stage.
    Spots(Box<Spots>),
}

/// What came of a batch.
#[derive(Default)]
pub(super) struct Detected {
    /// Statements of both stages.
    pub(super) findings: Vec<Finding>,
    /// Records for the correlators.
    pub(super) sightings: Vec<(Partition, Vec<u8>)>,
}

/// The first stage and its way to the second.
pub(super) struct Spots {
    spotter: Spotter,
    correlators: Arc<dyn EventLog>,
    parts: NonZeroU32,
    /// When each source's time was told last.
    told: BTreeMap<Partition, (Instant, UnixMicros)>,
}

impl Spots {
    pub(super) fn new(spotter: Spotter, correlators: Arc<dyn EventLog>) -> Self {
        let parts = NonZeroU32::new(u32::from(correlators.partitions())).unwrap_or(NonZeroU32::MIN);
        Self { spotter, correlators, parts, told: BTreeMap::new() }
    }

    /// Returns the records that say what counts of a batch.
    fn of_batch(
        &mut self,
        source: Partition,
        batch: &EventBatch,
        now: IngestTime,
    ) -> Vec<(Partition, Vec<u8>)> {
        let watermark = now.0.saturating_add(-IN_FLIGHT_US);
        let cut = self.spotter.on_batch(batch).into_iter().flat_map(|some| some.split(self.parts));
        cut.map(|(part, sightings)| (number(part), SightingsRecord { source, watermark, sightings }.encode()))
            .collect()
    }

    /// Returns the records that tell all correlators how far a source has come.
    fn of_time(&mut self, source: Partition, now: UnixMicros) -> Vec<(Partition, Vec<u8>)> {
        let watermark = now.saturating_add(-IN_FLIGHT_US);
        let told = self.told.insert(source, (Instant::now(), watermark));
        if told.is_some_and(|(_, told)| told >= watermark) {
            return Vec::new();
        }
        let record = SightingsRecord { source, watermark, sightings: Sightings::default() }.encode();
        (0..self.parts.get()).map(|part| (number(part), record.clone())).collect()
    }
}

impl Detection {
    /// Returns the state of both stages, if they are here.
    pub(super) fn save(&self) -> Option<Vec<u8>> {
        let Self::Whole(detector) = self else { return None };
        let mut state = Vec::new();
        detector.save(&mut state);
        Some(state)
    }

    /// Takes over a saved state; that of a process with both stages means nothing to the first alone.
    ///
    /// # Errors
    /// [`SaveError`].
    pub(super) fn load(&mut self, state: &[u8]) -> Result<(), SaveError> {
        match self {
            Self::Whole(detector) => detector.load(state),
            Self::Spots(_) => Ok(()),
        }
    }

    /// Takes a batch of one partition.
    pub(super) fn take(&mut self, source: Partition, batch: &EventBatch, now: IngestTime) -> Detected {
        match self {
            Self::Whole(detector) => {
                let mut findings = Vec::new();
                detector.on_batch(batch, now, &mut findings);
                detector.on_watermark(Watermark(now.0), now, &mut findings);
                Detected { findings, sightings: Vec::new() }
            }
            Self::Spots(spots) => {
                Detected { findings: Vec::new(), sightings: spots.of_batch(source, batch, now) }
            }
        }
    }

    /// Returns whether it is time to tell the correlators how far a source has come.
    pub(super) fn is_due(&self, source: Partition) -> bool {
        let Self::Spots(spots) = self else { return false };
        spots.told.get(&source).is_none_or(|(at, _)| at.elapsed() >= TELL_EVERY)
    }

    /// Tells the correlators how far a source has come: everything accepted before `now` is worked off.
    ///
    /// # Errors
    /// [`AppendError`]; it is told again later.
    pub(super) fn tell(&mut self, source: Partition, now: UnixMicros) -> Result<(), AppendError> {
        let Self::Spots(spots) = self else { return Ok(()) };
        let records = spots.of_time(source, now);
        self.send(&records, IngestTime(now))
    }

    /// Sends records to the correlators, durably. Sending them again changes nothing there.
    ///
    /// # Errors
    /// [`AppendError`].
    pub(super) fn send(&self, records: &[(Partition, Vec<u8>)], now: IngestTime) -> Result<(), AppendError> {
        let Self::Spots(spots) = self else { return Ok(()) };
        for (part, record) in records {
            spots.correlators.append(*part, now, &[record], &[])?;
        }
        Ok(())
    }

    /// Writes what health pages show of it.
    pub(super) fn describe(&self, status: &mut PipelineStatus) {
        let (balance, idle) = match self {
            Self::Whole(detector) => {
                status.rules = detector.loads();
                let degraded = detector.degraded().into_iter();
                status.degraded = degraded.map(|(rule, count)| (rule.to_string(), count)).collect();
                (detector.balance(), detector.not_evaluated())
            }
            Self::Spots(spots) => {
                let mut sum = outrider_model::Balance::default();
                spots.spotter.balances().for_each(|(_, balance)| sum.merge(balance));
                (sum, spots.spotter.not_evaluated())
            }
        };
        status.detect = balance;
        let idle = idle.iter().map(|note| (note.rule.to_string(), note.reason.to_owned()));
        status.not_evaluated = idle.collect();
    }
}

fn number(part: u32) -> Partition {
    Partition(u16::try_from(part).expect("a log has at most so many partitions"))
}
