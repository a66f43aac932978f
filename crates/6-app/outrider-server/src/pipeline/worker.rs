//! The worker: what its thread does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outrider_ingest::{Quarantined, Worker};
use outrider_model::{EventBatch, Finding, LogOffset, LogRecord, OwnerEpoch, Partition, RuleId};
use outrider_types::{IngestTime, VehicleId};
use tracing::field::Empty;

use super::card::cards;
use super::detection::{Detected, Detection};
use super::intake::{Intake, take};
use super::parts::{End, PipelineError, PipelineParts};
use super::places::Places;
use super::restore::Restored;
use super::status::{BusyTimes, Lap, PipelineStatus};
use crate::store::{Activity, FindingInput, FindingOwner, Progress, QuarantineEntry, RuleCard, Scope};

/// State of a worker, and what it works with.
pub(super) struct Run {
    parts: PipelineParts,
    ingest: Arc<Mutex<Worker>>,
    status: Arc<Mutex<PipelineStatus>>,
    detection: Detection,
    cards: BTreeMap<RuleId, RuleCard>,
    /// Right to write, until another worker takes over.
    epoch: OwnerEpoch,
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
    /// Takes over its partitions and begins at their last checkpoint.
    pub(super) fn begin(
        mut parts: PipelineParts,
        ingest: Arc<Mutex<Worker>>,
        status: Arc<Mutex<PipelineStatus>>,
    ) -> Result<Self, PipelineError> {
        let scope = Scope { tenant: parts.tenant, now: parts.clock.now() };
        if parts.sightings.is_none() && parts.runtime.block_on(parts.store.is_correlated(scope))? {
            return Err(PipelineError::Correlators);
        }
        let epoch = parts.runtime.block_on(parts.store.take_over(scope, &parts.partitions))?;
        let restored = Restored::read(&mut parts, &ingest, epoch)?;
        let cards = cards(&parts.rules);
        let run = Self {
            parts,
            ingest,
            status,
            detection: restored.detection,
            cards,
            epoch,
            places: restored.places,
            progress: Progress::default(),
            ingested: None,
            busy: BusyTimes::default(),
            unconfirmed: restored.unconfirmed,
            is_torn: false,
        };
        run.publish(None);
        Ok(run)
    }

    /// Works until it is stopped or another worker is the owner.
    pub(super) fn work(&mut self, stop: &AtomicBool) {
        while self.run(stop) == End::Overtaken {
            while let Err(error) = self.begin_again() {
                if error.end() == Some(End::Fenced) {
                    return self.give_up(&error);
                }
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                self.trouble(&error);
            }
        }
    }

    /// Goes back to the last checkpoint, if that is still this worker's: the states hold rows that another has stored.
    fn begin_again(&mut self) -> Result<(), PipelineError> {
        let scope = self.scope();
        for place in self.places.iter() {
            let checked = self.parts.store.check_owner(scope, place.partition, self.epoch);
            self.parts.runtime.block_on(checked)?;
        }
        let restored = Restored::read(&mut self.parts, &self.ingest, self.epoch)?;
        (self.detection, self.places) = (restored.detection, restored.places);
        self.unconfirmed = restored.unconfirmed;
        (self.progress, self.ingested, self.is_torn) = (Progress::default(), None, false);
        self.publish(None);
        Ok(())
    }

    fn give_up(&self, error: &PipelineError) {
        tracing::error!(%error, "another worker has taken over; this one has ended");
        self.publish(Some(format!("another worker has taken over; this one has ended: {error}")));
        self.status.lock().unwrap_or_else(PoisonError::into_inner).is_fenced = true;
    }

    fn run(&mut self, stop: &AtomicBool) -> End {
        let mut checkpointed = std::time::Instant::now();
        // Of a large state the checkpoints take a tenth of the time at most.
        let mut pause = self.parts.config.checkpoint_every;
        let mut dirty = false;
        while !stop.load(Ordering::SeqCst) {
            let (bytes, trouble) = self.round(stop);
            dirty |= bytes > 0;
            match trouble {
                Some(error) => {
                    if let Some(end) = self.face(&error) {
                        return end;
                    }
                }
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
                    Err(error) => {
                        if let Some(end) = self.face(&error) {
                            return end;
                        }
                    }
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
        End::Stopped
    }

    /// Waits to try again, or returns what the error is the end of.
    fn face(&self, error: &PipelineError) -> Option<End> {
        match error.end() {
            Some(End::Fenced) => self.give_up(error),
            Some(End::Overtaken) => {
                tracing::warn!(%error, "worker begins again at its checkpoint");
            }
            Some(End::Stopped) => {}
            None => self.trouble(error),
        }
        error.end()
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
            match self.step(index, stop).and_then(|step| self.tell(index, step)) {
                Ok(step) => bytes += step,
                Err(error) => {
                    let is_over = error.end().is_some();
                    trouble = Some(error);
                    if is_over {
                        break;
                    }
                }
            }
        }
        if bytes == 0 && trouble.is_none() {
            self.publish(None);
        }
        (bytes, trouble)
    }

    /// Tells the correlators how far a partition has come; returns the bytes of its step.
    fn tell(&mut self, index: usize, bytes: usize) -> Result<usize, PipelineError> {
        let place = self.places.at(index);
        if !self.detection.is_due(place.partition) {
            return Ok(bytes);
        }
        // Where nothing waits, whatever comes is accepted now or later.
        let now = self.parts.clock.now();
        let waits = self.parts.log.end(place.partition)? > place.next;
        if let Some(at) = if waits { place.ingested } else { Some(now) } {
            self.detection.tell(place.partition, at)?;
        }
        Ok(bytes)
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
        let bytes: usize = records.iter().map(|record| record.bytes.len()).sum();
        let now = records.iter().map(|record| record.ingest).max().unwrap_or_default();
        self.is_torn = true;
        lap.end(&mut self.busy.read);
        let (total, is_replayed) =
            (self.places.total_with(index, next), self.places.is_replayed_with(index, next));
        let span = tracing::debug_span!(
            "batch",
            partition = place.partition.0,
            offset = last.offset.0,
            records = records.len(),
            bytes,
            rows = Empty,
            findings = Empty
        );
        let _batch = span.enter();
        let (batch, quarantined) = tracing::debug_span!("decode").in_scope(|| self.decode(&records));
        lap.end(&mut self.busy.decode);
        let detected =
            tracing::debug_span!("detect").in_scope(|| self.detection.take(place.partition, &batch, now));
        let Detected { findings, sightings } = detected;
        span.record("rows", batch.rows()).record("findings", findings.len());
        lap.end(&mut self.busy.detect);
        // From here on the states are ahead of the checkpoint; each write is repeated until it succeeds, because
        // the records cannot be taken a second time.
        tracing::debug_span!("record").in_scope(|| {
            self.until_done(stop, |run| run.record(&findings, total))?;
            self.until_done(stop, |run| run.withdraw_unconfirmed(&findings, total, is_replayed))?;
            self.until_done(stop, |run| Ok(run.detection.send(&sightings, now)?))
        })?;
        lap.end(&mut self.busy.record);
        let is_stored = place.covered() > 0;
        if !is_stored {
            tracing::debug_span!("store").in_scope(|| {
                self.until_done(stop, |run| {
                    run.parts.sink.store(place.partition, next, &batch)?;
                    run.places.at_mut(index).lake_next = next;
                    Ok(())
                })
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

    /// Repeats a write until it succeeds or the program stops; a stop leaves the checkpoint where it was.
    fn until_done(
        &mut self,
        stop: &AtomicBool,
        mut write: impl FnMut(&mut Self) -> Result<(), PipelineError>,
    ) -> Result<(), PipelineError> {
        loop {
            match write(self) {
                Ok(()) => return Ok(()),
                Err(error) if stop.load(Ordering::SeqCst) || error.end().is_some() => return Err(error),
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
        let changed = self.parts.runtime.block_on(self.parts.store.record_findings(
            scope,
            FindingOwner::Whole(self.epoch),
            &inputs,
            next,
        ))?;
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
        let changed =
            self.parts.runtime.block_on(self.parts.store.withdraw_findings(scope, self.epoch, &ghosts))?;
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
        let (rows, batches, (bodies, documents)) = {
            let worker = self.ingest.lock().unwrap_or_else(PoisonError::into_inner);
            (worker.rows().clone(), worker.batches().clone(), worker.feed_totals())
        };
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.rows = rows;
        status.batches = batches;
        (status.bodies, status.documents) = (bodies, documents);
        self.detection.describe(&mut status);
        status.next = self.places.total_next();
        status.lake_next = self.places.total_lake();
        status.busy = self.busy;
        status.partitions = self.places.statuses();
        status.owned = status.partitions.len();
        status.trouble = trouble;
    }

    fn checkpoint(&mut self) -> Result<(), PipelineError> {
        let mut lap = Lap::begin();
        let done = tracing::debug_span!("checkpoint").in_scope(|| self.write_checkpoint());
        lap.end(&mut self.busy.checkpoint);
        done
    }

    /// Writes offset, ingestion state and detection state in one transaction, then lets the log forget.
    fn write_checkpoint(&mut self) -> Result<(), PipelineError> {
        let detect = self.detection.save();
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
        self.progress.epoch = self.epoch;
        self.progress.next = self.places.next();
        self.progress.detect = detect;
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
