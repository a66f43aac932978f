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
    let mut run = Run::begin(parts, Arc::clone(&ingest), Arc::clone(&status))?;
    let stopped = Arc::clone(&stop);
    let thread = std::thread::Builder::new().name("worker".to_owned()).spawn(move || run.work(&stopped))?;
    Ok(RunningPipeline { ingest, status, stop, doorbell, thread: Mutex::new(Some(thread)) })
}
