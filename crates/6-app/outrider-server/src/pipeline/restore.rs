//! What a worker begins with: the last checkpoint, and what was stated and stored after it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use outrider_detect::{Detector, Spotter};
use outrider_ingest::Worker;
use outrider_model::{LogOffset, OwnerEpoch};

use super::detection::{Detection, Spots};
use super::parts::{PipelineError, PipelineParts};
use super::places::{Place, Places};
use crate::store::{SavedProgress, Scope};

/// States as of the last checkpoint.
pub(super) struct Restored {
    pub(super) detection: Detection,
    pub(super) places: Places,
    /// Findings that were stated after the checkpoint, with the offset they were stated at.
    pub(super) unconfirmed: BTreeMap<String, LogOffset>,
}

impl Restored {
    /// Reads the checkpoint of all partitions; `ingest` becomes as it was then.
    ///
    /// # Errors
    /// [`PipelineError`]; `ingest` is as it was before.
    pub(super) fn read(
        parts: &mut PipelineParts,
        ingest: &Mutex<Worker>,
        epoch: OwnerEpoch,
    ) -> Result<Self, PipelineError> {
        let scope = Scope { tenant: parts.tenant, now: parts.clock.now() };
        let (rules, limits) = (Arc::clone(&parts.rules), parts.detector.clone());
        let mut detection = match &parts.sightings {
            None => Detection::Whole(Box::new(Detector::new(rules, limits))),
            Some(log) => Detection::Spots(Box::new(Spots::new(Spotter::new(rules, limits), log.clone()))),
        };
        let (mut worker, mut places, mut vehicles) = (Worker::default(), Vec::new(), 0);
        for partition in parts.partitions.iter().copied() {
            let saved = parts.runtime.block_on(parts.store.saved_progress(scope, partition))?;
            load(&saved, &mut detection, &mut worker)?;
            vehicles += saved.vehicles.len();
            let (lake_next, replay_end) = (parts.sink.next_offset(partition)?, parts.log.end(partition)?);
            places.push(Place { partition, next: saved.next, lake_next, replay_end, ingested: None });
        }
        let places = Places::new(places);
        let (next, lake) = (places.total_next(), places.total_lake());
        let unconfirmed = match &detection {
            Detection::Whole(_) => {
                parts.runtime.block_on(parts.store.findings_stated(scope, next))?.into_iter().collect()
            }
            // Correlators take the same steps again, and so say the same.
            Detection::Spots(_) => BTreeMap::new(),
        };
        tracing::info!(
            partitions = places.len(),
            epoch = epoch.0,
            offset = next.0,
            lake = lake.0,
            vehicles,
            "worker restored"
        );
        *ingest.lock().unwrap_or_else(PoisonError::into_inner) = worker;
        Ok(Self { detection, places, unconfirmed })
    }
}

/// Takes over the saved state of a partition.
fn load(saved: &SavedProgress, detection: &mut Detection, worker: &mut Worker) -> Result<(), PipelineError> {
    if let Some(state) = &saved.detect {
        detection.load(state)?;
    }
    for (vehicle, state) in &saved.vehicles {
        worker.load_vehicle(*vehicle, state)?;
    }
    for (name, state) in &saved.feeds {
        worker.load_feeds(name, state)?;
    }
    Ok(())
}
