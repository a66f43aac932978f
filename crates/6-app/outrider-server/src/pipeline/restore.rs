//! What a worker begins with: the last checkpoint, and what was stated and stored after it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use outrider_detect::Detector;
use outrider_ingest::Worker;
use outrider_model::{LogOffset, OwnerEpoch, Partition, Stage as _};

use super::parts::{PipelineError, PipelineParts};
use super::places::{Place, Places};
use crate::store::{SavedProgress, Scope};

/// States as of the last checkpoint.
pub(super) struct Restored {
    pub(super) detector: Detector,
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
        let mut detector = Detector::new(Arc::clone(&parts.rules), parts.detector.clone());
        let (mut worker, mut places, mut vehicles) = (Worker::default(), Vec::new(), 0);
        for partition in (0..parts.log.partitions()).map(Partition) {
            let saved = parts.runtime.block_on(parts.store.saved_progress(scope, partition))?;
            load(&saved, &mut detector, &mut worker)?;
            vehicles += saved.vehicles.len();
            let (lake_next, replay_end) = (parts.sink.next_offset(partition)?, parts.log.end(partition)?);
            places.push(Place { partition, next: saved.next, lake_next, replay_end, ingested: None });
        }
        let places = Places::new(places);
        let (next, lake) = (places.total_next(), places.total_lake());
        let stated = parts.store.findings_stated(scope, next);
        let unconfirmed = parts.runtime.block_on(stated)?.into_iter().collect();
        tracing::info!(
            partitions = places.len(),
            epoch = epoch.0,
            offset = next.0,
            lake = lake.0,
            vehicles,
            "worker restored"
        );
        *ingest.lock().unwrap_or_else(PoisonError::into_inner) = worker;
        Ok(Self { detector, places, unconfirmed })
    }
}

/// Takes over the saved state of a partition.
fn load(saved: &SavedProgress, detector: &mut Detector, worker: &mut Worker) -> Result<(), PipelineError> {
    if let Some(state) = &saved.detect {
        detector.load(state)?;
    }
    for (vehicle, state) in &saved.vehicles {
        worker.load_vehicle(*vehicle, state)?;
    }
    for (name, state) in &saved.feeds {
        worker.load_feeds(name, state)?;
    }
    Ok(())
}
