//! The correlator of one part: from a partition of the sightings' topic to findings, alerts and checkpoint.
//!
//! **Never:** a loss or a repetition, whenever it is killed: sightings are elements of sets, and each record is a step of
//! its own, so that a replay from the checkpoint states what was stated, and nothing else.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use outrider_detect::{Correlator, DetectorConfig, Route, SightingsRecord};
use outrider_model::{
    Balance, EventLog, Finding, LogOffset, LogRecord, OwnerEpoch, Partition, RuleId, Watermark,
};
use outrider_rules::RuleSet;
use outrider_types::{Clock, IngestTime, TenantId, UnixMicros};
use tokio::runtime::Handle;

use super::card::cards;
use super::doorbell::Doorbell;
use super::intake::{Intake, take};
use super::parts::{End, PipelineConfig, PipelineError};
use super::places::Place;
use super::running::{RunningPipeline, spawn};
use super::status::{BusyTimes, Lap, PartitionStatus, PipelineStatus};
use crate::notices::Notices;
use crate::store::{FindingInput, FindingOwner, PartProgress, RuleCard, Scope, Store, Watermarks};

/// What a correlator needs.
#[derive(Clone)]
pub struct CorrelatorParts {
    /// Where workers write what counts.
    pub sightings: Arc<dyn EventLog>,
    /// The part: a partition of it.
    pub part: Partition,
    /// Partitions of the event log, each of which has a watermark.
    pub sources: u16,
    /// Where findings and checkpoints go.
    pub store: Arc<dyn Store>,
    /// Rules.
    pub rules: Arc<RuleSet>,
    /// Limits of detection.
    pub detector: DetectorConfig,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Live stream.
    pub notices: Arc<dyn Notices>,
    /// Runs the store.
    pub runtime: Handle,
    /// Owner of the rows.
    pub tenant: TenantId,
    /// Pace.
    pub config: PipelineConfig,
}

/// State of a correlator.
struct Run {
    parts: CorrelatorParts,
    status: Arc<Mutex<PipelineStatus>>,
    doorbell: Arc<Doorbell>,
    correlator: Correlator,
    cards: BTreeMap<RuleId, RuleCard>,
    epoch: OwnerEpoch,
    next: LogOffset,
    watermarks: Watermarks,
    /// What the slowest source promised.
    watermark: Option<UnixMicros>,
    ingested: Option<IngestTime>,
    records: Balance,
    findings: (u64, u64),
    rate: BTreeMap<i64, (u64, u64)>,
    busy: BusyTimes,
    /// Whether the state holds sightings of which the findings are not written. Such a state is never written down: a replay
    /// would take those sightings for known, and say nothing.
    is_torn: bool,
}

/// Takes over a part, restores its last checkpoint and starts the correlator. Blocks.
///
/// # Errors
/// [`PipelineError`].
pub fn start(parts: CorrelatorParts) -> Result<RunningPipeline, PipelineError> {
    let doorbell = Arc::new(Doorbell::default());
    let status = Arc::new(Mutex::new(PipelineStatus::default()));
    let mut run = Run::begin(parts, Arc::clone(&status), Arc::clone(&doorbell))?;
    spawn("correlator", (Arc::default(), status, doorbell), move |stop| run.work(stop))
}

impl Run {
    fn begin(
        parts: CorrelatorParts,
        status: Arc<Mutex<PipelineStatus>>,
        doorbell: Arc<Doorbell>,
    ) -> Result<Self, PipelineError> {
        let scope = Scope { tenant: parts.tenant, now: parts.clock.now() };
        let wait = |future| parts.runtime.block_on(future);
        let epoch = parts.runtime.block_on(parts.store.take_over_part(scope, parts.part))?;
        let saved = wait(parts.store.saved_part(scope, parts.part))?;
        let mut correlator = Correlator::new(&parts.rules, parts.detector.clone());
        match &saved.detect {
            Some(state) => correlator.load(state)?,
            None => inherit(&parts, scope, &mut correlator)?,
        }
        let (part, offset) = (parts.part.0, saved.next.0);
        tracing::info!(part, epoch = epoch.0, offset, "correlator restored");
        let run = Self {
            cards: cards(&parts.rules),
            status,
            doorbell,
            correlator,
            epoch,
            next: saved.next,
            watermark: slowest(&saved.watermarks, parts.sources),
            watermarks: saved.watermarks,
            ingested: None,
            records: Balance::default(),
            findings: (0, 0),
            rate: BTreeMap::new(),
            busy: BusyTimes::default(),
            is_torn: false,
            parts,
        };
        run.publish(None);
        Ok(run)
    }

    fn work(&mut self, stop: &AtomicBool) {
        let mut checkpointed = Instant::now();
        // Of a large state the checkpoints take a tenth of the time at most.
        let mut pause = self.parts.config.checkpoint_every;
        let mut dirty = false;
        while !stop.load(Ordering::SeqCst) {
            let done = self.round(stop).and_then(|moved| {
                dirty |= moved;
                if dirty && checkpointed.elapsed() >= pause {
                    let begun = Instant::now();
                    self.checkpoint()?;
                    dirty = false;
                    checkpointed = Instant::now();
                    pause = self.parts.config.checkpoint_every.max(begun.elapsed() * 9);
                }
                Ok(moved)
            });
            match done {
                Ok(true) => {}
                Ok(false) => self.doorbell.wait(self.parts.config.idle),
                Err(error) if error.end() == Some(End::Fenced) => return self.give_up(&error),
                Err(error) => self.trouble(&error),
            }
        }
        if dirty
            && !self.is_torn
            && let Err(error) = self.checkpoint()
        {
            tracing::error!(%error, "last checkpoint failed; the rest is replayed at the next start");
        }
    }

    /// Counts what stands next in the topic; false if there is nothing.
    fn round(&mut self, stop: &AtomicBool) -> Result<bool, PipelineError> {
        let mut lap = Lap::begin();
        let place = Place {
            partition: self.parts.part,
            next: self.next,
            lake_next: LogOffset(0),
            replay_end: LogOffset(0),
            ingested: None,
        };
        let records = match take(&*self.parts.sightings, place, &self.parts.config)? {
            Intake::Records(records) => records,
            Intake::Vacant(to) => {
                self.next = to;
                return Ok(true);
            }
            Intake::Nothing => {
                self.publish(None);
                return Ok(false);
            }
        };
        lap.end(&mut self.busy.read);
        for record in &records {
            self.step(record, stop)?;
        }
        self.publish(None);
        Ok(true)
    }

    /// Counts one record.
    fn step(&mut self, record: &LogRecord, stop: &AtomicBool) -> Result<(), PipelineError> {
        let mut lap = Lap::begin();
        let mut findings = Vec::new();
        self.records.receive(1);
        self.is_torn = true;
        match SightingsRecord::decode(&record.bytes) {
            Ok(said) => {
                self.records.pass(1);
                self.correlator.on_sightings(&said.sightings, record.ingest, &mut findings);
                self.heed(&said, record.ingest, &mut findings);
            }
            Err(error) => {
                self.records.quarantine_for(error.code(), 1);
                let (part, offset) = (self.parts.part.0, record.offset.0);
                tracing::error!(part, offset, %error, "a record of sightings cannot be read; passed over");
            }
        }
        lap.end(&mut self.busy.detect);
        let next = LogOffset(record.offset.0 + 1);
        // The sightings are counted; each write is repeated until it succeeds.
        while let Err(error) = self.record(&findings, record.ingest, next) {
            if error.end().is_some() || stop.load(Ordering::SeqCst) {
                return Err(error);
            }
            self.trouble(&error);
        }
        lap.end(&mut self.busy.record);
        self.findings.0 += findings.len() as u64;
        self.findings.1 += findings.iter().filter(|finding| finding.late).count() as u64;
        self.rate.entry(record.ingest.0.0.div_euclid(60_000_000)).or_default().1 += findings.len() as u64;
        (self.next, self.ingested, self.is_torn) = (next, Some(record.ingest), false);
        Ok(())
    }

    /// Takes what a worker promised; time goes on when the slowest of them has.
    fn heed(&mut self, said: &SightingsRecord, now: IngestTime, findings: &mut Vec<Finding>) {
        if said.source.0 >= self.parts.sources {
            return;
        }
        let mark = self.watermarks.entry(said.source).or_insert(said.watermark);
        *mark = said.watermark.max(*mark);
        let slowest = slowest(&self.watermarks, self.parts.sources);
        if slowest > self.watermark
            && let Some(at) = slowest
        {
            self.watermark = slowest;
            self.correlator.on_watermark(Watermark(at), now, findings);
        }
    }

    fn record(&self, findings: &[Finding], now: IngestTime, next: LogOffset) -> Result<(), PipelineError> {
        let inputs: Vec<FindingInput<'_>> = findings
            .iter()
            .filter_map(|finding| Some(FindingInput { finding, rule: self.cards.get(&finding.rule)? }))
            .collect();
        if inputs.is_empty() {
            return Ok(());
        }
        let scope = Scope { tenant: self.parts.tenant, now: now.0 };
        let owner = FindingOwner::Part(self.parts.part, self.epoch);
        let stated = self.parts.store.record_findings(scope, owner, &inputs, next);
        self.parts.runtime.block_on(stated)?.iter().for_each(|alert| self.parts.notices.alert(alert));
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), PipelineError> {
        let mut lap = Lap::begin();
        let mut detect = Vec::new();
        self.correlator.save(&mut detect);
        let progress = PartProgress {
            part: self.parts.part,
            epoch: self.epoch,
            next: self.next,
            watermarks: self.watermarks.clone(),
            detect,
            rate: self.rate.clone(),
        };
        let scope = Scope { tenant: self.parts.tenant, now: self.parts.clock.now() };
        self.parts.runtime.block_on(self.parts.store.commit_part(scope, &progress))?;
        self.rate.clear();
        self.status.lock().unwrap_or_else(PoisonError::into_inner).checkpoint = self.next;
        self.parts.sightings.release(self.parts.part, self.next)?;
        lap.end(&mut self.busy.checkpoint);
        Ok(())
    }

    fn give_up(&self, error: &PipelineError) {
        tracing::error!(%error, "another correlator has taken over; this one has ended");
        self.publish(Some(error.to_string()));
        self.status.lock().unwrap_or_else(PoisonError::into_inner).is_fenced = true;
    }

    fn trouble(&self, error: &PipelineError) {
        tracing::error!(%error, "correlator waits to try again");
        self.publish(Some(error.to_string()));
        self.doorbell.wait(Duration::from_secs(1));
    }

    fn publish(&self, trouble: Option<String>) {
        let mut sum = self.correlator.strangers().clone();
        self.correlator.balances().for_each(|(_, balance)| sum.merge(balance));
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.batches = self.records.clone();
        status.detect = sum;
        status.rules = self.correlator.loads();
        let degraded = self.correlator.degraded().into_iter();
        status.degraded = degraded.map(|(rule, count)| (rule.to_string(), count)).collect();
        let idle = self.correlator.not_evaluated().iter();
        status.not_evaluated = idle.map(|note| (note.rule.to_string(), note.reason.to_owned())).collect();
        (status.findings, status.late_findings) = self.findings;
        (status.next, status.lake_next) = (self.next, self.next);
        status.owned = 1;
        status.partitions = vec![PartitionStatus {
            partition: self.parts.part,
            next: self.next,
            lake_next: self.next,
            ingested_at: self.ingested.map(|at| at.0),
        }];
        status.busy = self.busy;
        status.trouble = trouble;
    }
}

/// Returns what the slowest source promised; `None` until all of them have.
fn slowest(watermarks: &Watermarks, sources: u16) -> Option<UnixMicros> {
    (0..sources).map(|source| watermarks.get(&Partition(source)).copied()).min().flatten()
}

/// Takes the part's groups out of the state that a process with all roles left.
fn inherit(parts: &CorrelatorParts, scope: Scope, correlator: &mut Correlator) -> Result<(), PipelineError> {
    let Some(whole) = parts.runtime.block_on(parts.store.whole_detection(scope))? else { return Ok(()) };
    let mut next = LogOffset(0);
    for source in (0..parts.sources).map(Partition) {
        next.0 += parts.runtime.block_on(parts.store.saved_progress(scope, source))?.next.0;
    }
    if !parts.runtime.block_on(parts.store.findings_stated(scope, next))?.is_empty() {
        return Err(PipelineError::Unfinished);
    }
    let count = NonZeroU32::new(u32::from(parts.sightings.partitions())).unwrap_or(NonZeroU32::MIN);
    let groups = Route::range(u32::from(parts.part.0), count);
    Ok(correlator.import(&groups, &whole)?)
}
