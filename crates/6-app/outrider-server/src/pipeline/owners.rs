//! Partitions that come and go: one worker or correlator for each that is this process's.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use outrider_model::{OwnerEpoch, Partition, PartitionOwner};

use super::parts::PipelineError;
use super::running::RunningPipeline;
use super::status::PipelineStatus;

/// A partition whose worker did not start, or was fenced, is tried again after this.
const AGAIN: Duration = Duration::from_secs(3);

/// Starts the worker of a partition.
type Start = Box<dyn Fn(Partition) -> Result<RunningPipeline, PipelineError> + Send + Sync>;

/// One partition that is this process's.
struct Owned {
    /// Its worker, if it has started.
    running: Option<RunningPipeline>,
    tried: Option<Instant>,
    trouble: Option<String>,
}

/// The partitions of this process.
///
/// Who may write is decided by the epoch in the case database, which each start raises; the group of consumers only says
/// who should. A former owner that starts too late therefore takes a partition away for a moment, and gives it back: its
/// group tells it so, and the owner that was fenced starts again.
pub struct Owners {
    start: Start,
    owned: Mutex<BTreeMap<Partition, Owned>>,
}

impl Owners {
    /// Creates the owner of nothing.
    pub fn new(
        start: impl Fn(Partition) -> Result<RunningPipeline, PipelineError> + Send + Sync + 'static,
    ) -> Self {
        Self { start: Box::new(start), owned: Mutex::default() }
    }

    fn owned(&self) -> MutexGuard<'_, BTreeMap<Partition, Owned>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts what should run and does not. To be called again and again; blocks while a checkpoint is read.
    pub fn tend(&self) {
        for (partition, owned) in self.owned().iter_mut() {
            if owned.running.as_ref().is_some_and(|running| !running.is_over())
                || owned.tried.is_some_and(|tried| tried.elapsed() < AGAIN)
            {
                continue;
            }
            owned.tried = Some(Instant::now());
            if let Some(over) = owned.running.take() {
                over.stop();
            }
            match (self.start)(*partition) {
                Ok(running) => (owned.running, owned.trouble) = (Some(running), None),
                Err(error) => {
                    tracing::error!(partition = partition.0, %error, "it does not start; tried again");
                    owned.trouble = Some(error.to_string());
                }
            }
        }
    }

    /// Returns the state of each partition that is this process's.
    #[must_use]
    pub fn statuses(&self) -> BTreeMap<Partition, PipelineStatus> {
        let status = |owned: &Owned| match &owned.running {
            Some(running) => running.status(),
            None => PipelineStatus { trouble: owned.trouble.clone(), ..PipelineStatus::default() },
        };
        self.owned().iter().map(|(partition, owned)| (*partition, status(owned))).collect()
    }

    fn give_up(&self, partitions: &[Partition]) {
        let mut owned = self.owned();
        let gone: Vec<Owned> = partitions.iter().filter_map(|partition| owned.remove(partition)).collect();
        drop(owned);
        // All of them end their step at the same time.
        gone.iter().filter_map(|owned| owned.running.as_ref()).for_each(RunningPipeline::ask_to_stop);
        gone.iter().filter_map(|owned| owned.running.as_ref()).for_each(RunningPipeline::stop);
    }

    /// Ends all of them, with a last checkpoint each.
    pub fn stop(&self) {
        let all: Vec<Partition> = self.owned().keys().copied().collect();
        self.give_up(&all);
    }
}

impl PartitionOwner for Owners {
    fn acquire(&self, partition: Partition, _: OwnerEpoch) {
        self.owned().entry(partition).or_insert(Owned { running: None, tried: None, trouble: None });
    }

    fn hand_over(&self, partitions: &[Partition]) {
        self.give_up(partitions);
    }

    fn lose(&self, partitions: &[Partition]) {
        // What it still writes is refused: the new owner has a higher epoch. If there is none yet, it is good.
        self.give_up(partitions);
    }
}
