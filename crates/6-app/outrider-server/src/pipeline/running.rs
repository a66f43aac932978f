//! The worker's thread as the server holds it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use outrider_ingest::Worker;

use super::doorbell::Doorbell;
use super::parts::{PipelineError, PipelineParts};
use super::status::PipelineStatus;
use super::worker::Run;

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
        // Only another worker or a bug ends it; `stop` takes the thread out first.
        if !status.is_fenced && thread.as_ref().is_some_and(std::thread::JoinHandle::is_finished) {
            status.trouble = Some("the worker has ended by itself; restart the server".to_owned());
        }
        status
    }

    /// Reads the ingestion state: gaps and deliveries of vehicles.
    pub fn with_ingest<T>(&self, read: impl FnOnce(&Worker) -> T) -> T {
        read(&self.ingest.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns whether its thread has ended by itself.
    pub(super) fn is_over(&self) -> bool {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        thread.as_ref().is_none_or(std::thread::JoinHandle::is_finished)
    }

    /// Tells the thread to end, and does not wait for it.
    pub(super) fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.doorbell.ring();
    }

    /// Finishes the step at hand, writes a checkpoint and ends the thread. Must not run on the runtime's own thread.
    pub fn stop(&self) {
        self.ask_to_stop();
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
    let doorbell = Arc::clone(&parts.doorbell);
    let mut run = Run::begin(parts, Arc::clone(&ingest), Arc::clone(&status))?;
    spawn("worker", (ingest, status, doorbell), move |stop| run.work(stop))
}

/// What a thread shows of itself, and what wakes it.
pub(super) type Shown = (Arc<Mutex<Worker>>, Arc<Mutex<PipelineStatus>>, Arc<Doorbell>);

/// Starts a thread that works until it is told to stop.
///
/// # Errors
/// [`PipelineError::Thread`].
pub(super) fn spawn(
    name: &str,
    (ingest, status, doorbell): Shown,
    mut work: impl FnMut(&AtomicBool) + Send + 'static,
) -> Result<RunningPipeline, PipelineError> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&stopped))?;
    Ok(RunningPipeline { ingest, status, stop, doorbell, thread: Mutex::new(Some(thread)) })
}
