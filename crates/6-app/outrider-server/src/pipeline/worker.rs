//! The worker's thread.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outrider_detect::Detector;
use outrider_ingest::{Quarantined, Worker};
use outrider_model::{EventBatch, Finding, LogOffset, LogRecord, Partition, RuleId, Stage, Watermark};
use outrider_types::{IngestTime, VehicleId};

use super::card::cards;
use super::doorbell::Doorbell;
use super::intake::{Intake, take};
use super::parts::{PipelineError, PipelineParts};
use super::places::{Place, Places};
use super::status::{BusyTimes, Lap, PipelineStatus};
use crate::store::{Activity, FindingInput, Progress, QuarantineEntry, RuleCard, SavedProgress, Scope};

/// A worker that runs.
pub struct RunningPipeline {
    ingest: Arc<Mutex<Worker>>,
    status: Arc<Mutex<PipelineStatus>>,
    stop: Arc<AtomicBool>,
    doorbell: Arc<Doorbell>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl RunningPipeline {
    /// Returns the state after the last step.
    #[must_use]
    pub fn status(&self) -> PipelineStatus {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        // Only a bug ends it; `stop` takes the thread out first.
        if thread.as_ref().is_some_and(std::thread::JoinHandle::is_finished) {
            status.trouble = Some("the worker has ended by itself; restart the server".to_owned());
        }
        status
    }

    /// Reads the ingestion state: gaps and deliveries of vehicles.
    pub fn with_ingest<T>(&self, read: impl FnOnce(&Worker) -> T) -> T {
        read(&self.ingest.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Finishes the step at hand, writes a checkpoint and ends the thread. Must not run on the runtime's own thread.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.doorbell.ring();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("worker thread panicked");
        }
    }
}

/// Restores the last checkpoint and starts the worker.
///
/// # Errors
/// [`PipelineError`].
pub fn start(parts: PipelineParts) -> Result<RunningPipeline, PipelineError> {
    let ingest = Arc::new(Mutex::new(Worker::default()));
    let status = Arc::new(Mutex::new(PipelineStatus::default()));
    let stop = Arc::new(AtomicBool::new(false));
    let doorbell = Arc::clone(&parts.doorbell);
    let mut run = Run::restore(parts, Arc::clone(&ingest), Arc::clone(&status))?;
    let stopped = Arc::clone(&stop);
    let thread = std::thread::Builder::new().name("worker".to_owned()).spawn(move || run.run(&stopped))?;
    Ok(RunningPipeline { ingest, status, stop, doorbell, thread: Mutex::new(Some(thread)) })
}

struct Run {
    parts: PipelineParts,
    ingest: Arc<Mutex<Worker>>,
    status: Arc<Mutex<PipelineStatus>>,
    detector: Detector,
    cards: BTreeMap<RuleId, RuleCard>,
    places: Places,
    /// What the next checkpoint will say besides the states.
    progress: Progress,
    ingested: Option<IngestTime>,
    busy: BusyTimes,
    /// Findings that were stated after the last checkpoint and before a crash, with the offset they were stated at. The
    /// replay takes other steps; what it does not state again was true only between two steps of the first run.
    unconfirmed: BTreeMap<String, LogOffset>,
    /// Whether the states hold records that the lake may lack. Such states are never written down: a replay would
    /// take those records for duplicates (LOG-3).
    is_torn: bool,
}

impl Run {
    fn restore(
        mut parts: PipelineParts,
        ingest: Arc<Mutex<Worker>>,
        status: Arc<Mutex<PipelineStatus>>,
    ) -> Result<Self, PipelineError> {
        let scope = Scope { tenant: parts.tenant, now: parts.clock.now() };
        let mut detector = Detector::new(Arc::clone(&parts.rules), parts.detector.clone());
        let (mut places, mut vehicles) = (Vec::new(), 0);
        for partition in (0..parts.log.partitions()).map(Partition) {
            let saved = parts.runtime.block_on(parts.store.saved_progress(scope, partition))?;
            load(&saved, &mut detector, &ingest)?;
            vehicles += saved.vehicles.len();
            let (lake_next, replay_end) = (parts.sink.next_offset(partition)?, parts.log.end(partition)?);
            places.push(Place { partition, next: saved.next, lake_next, replay_end, ingested: None });
        }
        let places = Places::new(places);
        let (next, lake) = (places.total_next(), places.total_lake());
        let stated = parts.store.findings_stated(scope, next);
        let unconfirmed = parts.runtime.block_on(stated)?.into_iter().collect();
        let cards = cards(&parts.rules);
        tracing::info!(
            partitions = places.len(),
            offset = next.0,
            lake = lake.0,
            vehicles,
            "worker restored"
        );
        let run = Self {
            parts,
            ingest,
            status,
            detector,
            cards,
            places,
            progress: Progress::default(),
            ingested: None,
            busy: BusyTimes::default(),
            unconfirmed,
            is_torn: false,
        };
        run.publish(None);
        Ok(run)
    }

    fn run(&mut self, stop: &AtomicBool) {
        let mut checkpointed = std::time::Instant::now();
        // Of a large state the checkpoints take a tenth of the time at most.
        let mut pause = self.parts.config.checkpoint_every;
        let mut dirty = false;
        while !stop.load(Ordering::SeqCst) {
            let (bytes, trouble) = self.round(stop);
            dirty |= bytes > 0;
            match trouble {
                Some(error) => self.trouble(&error),
                None if bytes == 0 => self.parts.doorbell.wait(self.parts.config.idle),
                None if bytes < self.parts.config.bytes_max / 4 => {
                    std::thread::park_timeout(self.parts.config.linger);
                }
                None => {}
            }
            if dirty && !self.is_torn && checkpointed.elapsed() >= pause {
                let begun = std::time::Instant::now();
                match self.checkpoint() {
                    Ok(()) => dirty = false,
                    Err(error) => self.trouble(&error),
                }
                checkpointed = std::time::Instant::now();
                pause = self.parts.config.checkpoint_every.max(begun.elapsed() * 9);
            }
        }
        if dirty
            && !self.is_torn
            && let Err(error) = self.checkpoint()
        {
            tracing::error!(%error, "last checkpoint failed; the rest of the log is replayed at the next start");
        }
    }

    fn trouble(&self, error: &PipelineError) {
        tracing::error!(%error, "worker waits to try again");
        self.publish(Some(error.to_string()));
        self.parts.doorbell.wait(Duration::from_secs(1));
    }

    /// One step of each partition; returns the bytes worked off and the last error: what stops one partition does not
    /// stop the others.
    fn round(&mut self, stop: &AtomicBool) -> (usize, Option<PipelineError>) {
        let (mut bytes, mut trouble) = (0, None);
        for index in 0..self.places.len() {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            match self.step(index, stop) {
                Ok(step) => bytes += step,
                Err(error) => trouble = Some(error),
            }
        }
        if bytes == 0 && trouble.is_none() {
            self.publish(None);
        }
        (bytes, trouble)
    }

    /// Works off the next records of a partition; returns their bytes, 0 if there are none.
    fn step(&mut self, index: usize, stop: &AtomicBool) -> Result<usize, PipelineError> {
        let place = self.places.at(index);
        let mut lap = Lap::begin();
        let records = match take(&*self.parts.log, place, &self.parts.config)? {
            Intake::Records(records) => records,
            Intake::Vacant(to) => return self.step_over(index, to, stop),
            Intake::Nothing => return Ok(0),
        };
        let Some(last) = records.last() else { return Ok(0) };
        let next = LogOffset(last.offset.0 + 1);
        let bytes = records.iter().map(|record| record.bytes.len()).sum();
        let now = records.iter().map(|record| record.ingest).max().unwrap_or_default();
        self.is_torn = true;
        lap.end(&mut self.busy.read);
        let (total, is_replayed) =
            (self.places.total_with(index, next), self.places.is_replayed_with(index, next));
        let (batch, quarantined) = self.decode(&records);
        lap.end(&mut self.busy.decode);
        let findings = self.detect(&batch, now);
        lap.end(&mut self.busy.detect);
        // From here on the states are ahead of the checkpoint; each write is repeated until it succeeds, because
        // the records cannot be taken a second time.
        self.until_done(stop, |run| run.record(&findings, total))?;
        self.until_done(stop, |run| run.withdraw_unconfirmed(&findings, total, is_replayed))?;
        lap.end(&mut self.busy.record);
        let is_stored = place.covered() > 0;
        if !is_stored {
            self.until_done(stop, |run| {
                run.parts.sink.store(place.partition, next, &batch)?;
                run.places.at_mut(index).lake_next = next;
                Ok(())
            })?;
        }
        lap.end(&mut self.busy.store);
        self.note(&batch, &findings, quarantined, now);
        let place = self.places.at_mut(index);
        (place.next, place.ingested) = (next, place.ingested.max(Some(now.0)));
        self.is_torn = false;
        self.ingested = Some(now);
        self.count(&batch, &findings, !is_stored);
        Ok(bytes)
    }

    /// Goes on behind offsets that hold no record.
    fn step_over(&mut self, index: usize, to: LogOffset, stop: &AtomicBool) -> Result<usize, PipelineError> {
        let (total, is_replayed) =
            (self.places.total_with(index, to), self.places.is_replayed_with(index, to));
        self.until_done(stop, |run| run.withdraw_unconfirmed(&[], total, is_replayed))?;
        let place = self.places.at_mut(index);
        (place.next, place.lake_next) = (to, place.lake_next.max(to));
        self.publish(None);
        // Something may stand right behind.
        Ok(self.parts.config.bytes_max)
    }

    fn decode(&self, records: &[LogRecord]) -> (EventBatch, Vec<Quarantined>) {
        let (mut batch, mut quarantined) = (EventBatch::new(), Vec::new());
        let mut worker = self.ingest.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = self.parts.directory.as_ref();
        worker.set_feeds(self.parts.feeds.current());
        for record in records {
            worker.receive(record, directory, directory, &mut batch, &mut quarantined);
        }
        batch.seal();
        (batch, quarantined)
    }

    fn detect(&mut self, batch: &EventBatch, now: IngestTime) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.detector.on_batch(batch, now, &mut findings);
        self.detector.on_watermark(Watermark(now.0), now, &mut findings);
        findings
    }

    /// Repeats a write until it succeeds or the program stops; a stop leaves the checkpoint where it was.
    fn until_done(
        &mut self,
        stop: &AtomicBool,
        mut write: impl FnMut(&mut Self) -> Result<(), PipelineError>,
    ) -> Result<(), PipelineError> {
        loop {
            match write(self) {
                Ok(()) => return Ok(()),
                Err(error) if stop.load(Ordering::SeqCst) => return Err(error),
                Err(error) => self.trouble(&error),
            }
        }
    }

    fn record(&mut self, findings: &[Finding], next: LogOffset) -> Result<(), PipelineError> {
        let inputs: Vec<FindingInput<'_>> = findings
            .iter()
            .filter_map(|finding| Some(FindingInput { finding, rule: self.cards.get(&finding.rule)? }))
            .collect();
        if inputs.is_empty() {
            return Ok(());
        }
        let scope = self.scope();
        let changed = self.parts.runtime.block_on(self.parts.store.record_findings(scope, &inputs, next))?;
        changed.iter().for_each(|alert| self.parts.notices.alert(alert));
        Ok(())
    }

    /// Takes back what the run before a crash stated up to here and the replay did not.
    fn withdraw_unconfirmed(
        &mut self,
        findings: &[Finding],
        next: LogOffset,
        is_replayed: bool,
    ) -> Result<(), PipelineError> {
        if self.unconfirmed.is_empty() {
            return Ok(());
        }
        for finding in findings {
            self.unconfirmed.remove(&finding.id.to_string());
        }
        // The replay takes the partitions in another order: with several, only its end says what it did not state.
        if self.places.len() > 1 && !is_replayed {
            return Ok(());
        }
        let over = self.unconfirmed.iter().filter(|(_, stated)| **stated <= next);
        let ghosts: Vec<String> = over.map(|(id, _)| id.clone()).collect();
        if ghosts.is_empty() {
            return Ok(());
        }
        let scope = self.scope();
        let changed = self.parts.runtime.block_on(self.parts.store.withdraw_findings(scope, &ghosts))?;
        tracing::info!(findings = ghosts.len(), "findings of steps that a crash undid were taken back");
        changed.iter().for_each(|alert| self.parts.notices.alert(alert));
        self.unconfirmed.retain(|_, stated| *stated > next);
        Ok(())
    }

    /// Collects what the next checkpoint says of vehicles, rates and bad input.
    fn note(
        &mut self,
        batch: &EventBatch,
        findings: &[Finding],
        quarantined: Vec<Quarantined>,
        now: IngestTime,
    ) {
        let minute = now.0.0.div_euclid(60_000_000);
        let rate = self.progress.rate.entry(minute).or_default();
        rate.0 += batch.rows() as u64;
        rate.1 += findings.len() as u64;
        for row in 0..batch.rows() {
            let view = batch.row(row);
            let (at, seen) = (view.time().best, view.ingest().0);
            let activity = self.progress.activity.entry(batch.vehicle[row]).or_insert(Activity {
                events: 0,
                last_event: None,
                last_seen: seen,
            });
            activity.events += 1;
            activity.last_event = activity.last_event.max(Some(at));
            activity.last_seen = activity.last_seen.max(seen);
        }
        self.progress.quarantine.extend(quarantined.into_iter().map(|entry| QuarantineEntry {
            at: entry.ingest.0,
            vehicle: entry.vehicle,
            reason: entry.reason.to_owned(),
            place: entry.place,
            content: entry.bytes,
            units: entry.units,
            foreign: entry.foreign,
        }));
    }

    fn count(&self, batch: &EventBatch, findings: &[Finding], stored: bool) {
        {
            let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
            status.findings += findings.len() as u64;
            status.late_findings += findings.iter().filter(|finding| finding.late).count() as u64;
            status.lake.receive(batch.rows() as u64);
            if stored {
                status.lake.pass(batch.rows() as u64);
                status.lake_at = Some(self.parts.clock.now());
            } else {
                status.lake.drop_for("stored_before", batch.rows() as u64);
            }
        }
        self.publish(None);
    }

    fn publish(&self, trouble: Option<String>) {
        let (rows, batches) = {
            let worker = self.ingest.lock().unwrap_or_else(PoisonError::into_inner);
            (worker.rows().clone(), worker.batches().clone())
        };
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.rows = rows;
        status.batches = batches;
        status.detect = self.detector.balance();
        status.rules = self.detector.loads();
        status.degraded =
            self.detector.degraded().into_iter().map(|(rule, count)| (rule.to_string(), count)).collect();
        let idle = self.detector.not_evaluated().iter();
        status.not_evaluated = idle.map(|note| (note.rule.to_string(), note.reason.to_owned())).collect();
        status.next = self.places.total_next();
        status.lake_next = self.places.total_lake();
        status.busy = self.busy;
        status.partitions = self.places.statuses();
        status.trouble = trouble;
    }

    fn checkpoint(&mut self) -> Result<(), PipelineError> {
        let mut lap = Lap::begin();
        let done = self.write_checkpoint();
        lap.end(&mut self.busy.checkpoint);
        done
    }

    /// Writes offset, ingestion state and detection state in one transaction, then lets the log forget.
    fn write_checkpoint(&mut self) -> Result<(), PipelineError> {
        let mut detect = Vec::new();
        self.detector.save(&mut detect);
        // States of vehicles that a failed attempt took out stay in `progress` until an attempt succeeds.
        let (changed, feeds) = {
            let mut worker = self.ingest.lock().unwrap_or_else(PoisonError::into_inner);
            self.progress.replayed.extend(worker.take_replayed());
            (worker.save_changed(), worker.save_feeds())
        };
        let mut memory: BTreeMap<String, Vec<u8>> =
            std::mem::take(&mut self.progress.feeds).into_iter().collect();
        memory.extend(feeds);
        self.progress.feeds = memory.into_iter().collect();
        let taken = std::mem::take(&mut self.progress.vehicles);
        let mut vehicles: BTreeMap<VehicleId, Vec<u8>> =
            taken.into_iter().map(|(_, vehicle, state)| (vehicle, state)).collect();
        vehicles.extend(changed);
        let partitions = self.parts.log.partitions();
        let with_partition = |(vehicle, state)| (Partition::of(vehicle, partitions), vehicle, state);
        self.progress.vehicles = vehicles.into_iter().map(with_partition).collect();
        self.progress.next = self.places.next();
        self.progress.detect = Some(detect);
        let scope = self.scope();
        self.parts.runtime.block_on(self.parts.store.commit_progress(scope, &self.progress))?;
        self.progress = Progress::default();
        self.status.lock().unwrap_or_else(PoisonError::into_inner).checkpoint = self.places.total_next();
        for place in self.places.iter() {
            self.parts.log.release(place.partition, place.next.min(place.lake_next))?;
        }
        Ok(())
    }

    fn scope(&self) -> Scope {
        Scope {
            tenant: self.parts.tenant,
            now: self.ingested.map_or_else(|| self.parts.clock.now(), |at| at.0),
        }
    }
}

/// Takes over the saved state of a partition.
fn load(saved: &SavedProgress, detector: &mut Detector, ingest: &Mutex<Worker>) -> Result<(), PipelineError> {
    if let Some(state) = &saved.detect {
        detector.load(state)?;
    }
    let mut worker = ingest.lock().unwrap_or_else(PoisonError::into_inner);
    for (vehicle, state) in &saved.vehicles {
        worker.load_vehicle(*vehicle, state)?;
    }
    for (name, state) in &saved.feeds {
        worker.load_feeds(name, state)?;
    }
    Ok(())
}
