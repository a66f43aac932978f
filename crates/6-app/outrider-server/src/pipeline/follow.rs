//! A process that serves pages while others work: it reads what they write down, and tells the live stream of alerts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use outrider_ingest::Worker;
use outrider_model::{LogOffset, Partition};
use outrider_types::{Clock, TenantId};
use tokio::runtime::Handle;

use super::doorbell::Doorbell;
use super::parts::PipelineError;
use super::running::{RunningPipeline, spawn};
use super::status::{PartitionStatus, PipelineStatus};
use crate::notices::Notices;
use crate::store::{AlertChange, Scope, Store};

/// How often it looks; a checkpoint is written every two seconds.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Alerts that are told at once; the rest of a burst follows at the next look.
const ALERTS_A_LOOK: u32 = 500;

/// What it needs.
pub struct FollowParts {
    /// Partitions of the event log.
    pub partitions: u16,
    /// Where workers write checkpoints.
    pub store: Arc<dyn Store>,
    /// Live stream.
    pub notices: Arc<dyn Notices>,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Runs the store.
    pub runtime: Handle,
    /// Owner of the rows.
    pub tenant: TenantId,
}

/// State of the follower.
struct Run {
    parts: FollowParts,
    ingest: Arc<Mutex<Worker>>,
    status: Arc<Mutex<PipelineStatus>>,
    doorbell: Arc<Doorbell>,
    /// Newest offset read, of each partition that has a checkpoint.
    seen: BTreeMap<Partition, LogOffset>,
    /// Newest change of an alert that was told; what was there at the start is not news.
    told: Option<AlertChange>,
}

/// Reads all checkpoints and follows them from then on. Blocks until they are read once.
///
/// # Errors
/// [`PipelineError`].
pub fn follow(parts: FollowParts) -> Result<RunningPipeline, PipelineError> {
    let ingest: Arc<Mutex<Worker>> = Arc::default();
    let status: Arc<Mutex<PipelineStatus>> = Arc::default();
    let doorbell = Arc::new(Doorbell::default());
    parts.runtime.block_on(parts.store.prepare_to_follow())?;
    let shown = (Arc::clone(&ingest), Arc::clone(&status), Arc::clone(&doorbell));
    let mut run = Run { parts, ingest, status, doorbell, seen: BTreeMap::new(), told: None };
    run.look()?;
    spawn("follower", shown, move |stop| run.work(stop))
}

impl Run {
    fn work(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) {
            self.doorbell.wait(LOOK_EVERY);
            let trouble = self.look().err().map(|error| {
                tracing::error!(%error, "checkpoints of the workers are not read");
                error.to_string()
            });
            self.status.lock().unwrap_or_else(PoisonError::into_inner).trouble = trouble;
        }
    }

    /// Reads what is new.
    fn look(&mut self) -> Result<(), PipelineError> {
        let scope = Scope { tenant: self.parts.tenant, now: self.parts.clock.now() };
        for partition in (0..self.parts.partitions).map(Partition) {
            let seen = self.seen.get(&partition).copied();
            let since = self.parts.store.progress_since(scope, partition, seen);
            let news = self.parts.runtime.block_on(since)?;
            let mut ingest = self.ingest.lock().unwrap_or_else(PoisonError::into_inner);
            for (vehicle, state) in &news.vehicles {
                ingest.load_vehicle(*vehicle, state)?;
            }
            if news.next > seen.unwrap_or_default() {
                self.seen.insert(partition, news.next);
            }
        }
        let changed = self.parts.store.alerts_changed(scope, self.told, ALERTS_A_LOOK);
        let (alerts, last) = self.parts.runtime.block_on(changed)?;
        alerts.iter().for_each(|alert| self.parts.notices.alert(alert));
        self.told = Some(last);
        self.publish();
        Ok(())
    }

    fn publish(&self) {
        let next = |partition| self.seen.get(&partition).copied().unwrap_or_default();
        let total = LogOffset(self.seen.values().map(|next| next.0).sum());
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        // A checkpoint is never ahead of the lake.
        (status.next, status.lake_next, status.checkpoint) = (total, total, total);
        status.partitions = (0..self.parts.partitions)
            .map(Partition)
            .map(|partition| PartitionStatus {
                partition,
                next: next(partition),
                lake_next: next(partition),
                ingested_at: None,
            })
            .collect();
    }
}
