//! Partitions that come and go: one worker or correlator for each that is this process's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    running: Option<Arc<RunningPipeline>>,
    tried: Option<Instant>,
    trouble: Option<String>,
}

impl Owned {
    fn status(&self) -> PipelineStatus {
        match &self.running {
            Some(running) => running.status(),
            None => PipelineStatus { trouble: self.trouble.clone(), ..PipelineStatus::default() },
        }
    }
}

/// What a process has, is giving back and had.
#[derive(Default)]
struct State {
    owned: BTreeMap<Partition, Owned>,
    /// Workers that end their last step.
    leaving: Vec<Arc<RunningPipeline>>,
    /// What workers counted that have ended: a counter of the process never falls.
    past: PipelineStatus,
}

/// The partitions of this process.
///
/// Who may write is decided by the epoch in the case database, which each start raises; the group of consumers only says
/// who should. A former owner that starts too late therefore takes a partition away for a moment, and gives it back: its
/// group tells it so, and the owner that was fenced starts again.
pub struct Owners {
    start: Start,
    state: Mutex<State>,
}

impl Owners {
    /// Creates the owner of nothing.
    pub fn new(
        start: impl Fn(Partition) -> Result<RunningPipeline, PipelineError> + Send + Sync + 'static,
    ) -> Self {
        Self { start: Box::new(start), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts what should run and does not. To be called again and again; blocks while a checkpoint is read.
    pub fn tend(&self) {
        let mut state = self.state();
        let State { owned, past, .. } = &mut *state;
        for (partition, owned) in owned {
            if owned.running.as_ref().is_some_and(|running| !running.is_over())
                || owned.tried.is_some_and(|tried| tried.elapsed() < AGAIN)
            {
                continue;
            }
            owned.tried = Some(Instant::now());
            if let Some(over) = owned.running.take() {
                over.stop();
                past.add_counters(&over.status());
            }
            match (self.start)(*partition) {
                Ok(running) => (owned.running, owned.trouble) = (Some(Arc::new(running)), None),
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
        self.state().owned.iter().map(|(partition, owned)| (*partition, owned.status())).collect()
    }

    /// Returns the state of all of them, with what was counted on partitions that went elsewhere since.
    #[must_use]
    pub fn total(&self) -> PipelineStatus {
        let state = self.state();
        let mut total = state.past.clone();
        state.leaving.iter().for_each(|leaving| total.add_counters(&leaving.status()));
        state.owned.values().for_each(|owned| total.add(&owned.status()));
        total
    }

    fn give_up(&self, partitions: &[Partition]) {
        let mut state = self.state();
        let gone: Vec<Arc<RunningPipeline>> =
            partitions.iter().filter_map(|partition| state.owned.remove(partition)?.running).collect();
        state.leaving.extend(gone.iter().cloned());
        drop(state);
        // All of them end their step at the same time.
        gone.iter().for_each(|running| running.ask_to_stop());
        gone.iter().for_each(|running| running.stop());
        let mut state = self.state();
        state.leaving.retain(|leaving| !gone.iter().any(|over| Arc::ptr_eq(over, leaving)));
        gone.iter().for_each(|over| state.past.add_counters(&over.status()));
    }

    /// Ends all of them, with a last checkpoint each.
    pub fn stop(&self) {
        let all: Vec<Partition> = self.state().owned.keys().copied().collect();
        self.give_up(&all);
    }
}

impl PartitionOwner for Owners {
    fn acquire(&self, partition: Partition, _: OwnerEpoch) {
        self.state().owned.entry(partition).or_insert(Owned { running: None, tried: None, trouble: None });
    }

    fn hand_over(&self, partitions: &[Partition]) {
        self.give_up(partitions);
    }

    fn lose(&self, partitions: &[Partition]) {
        // What it still writes is refused: the new owner has a higher epoch. If there is none yet, it is good.
        self.give_up(partitions);
    }
}
