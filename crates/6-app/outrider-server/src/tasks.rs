//! Tasks that a shutdown waits for.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

/// Tasks of one server.
#[derive(Debug)]
pub(crate) struct Tasks {
    stop: watch::Sender<bool>,
    running: Mutex<JoinSet<()>>,
}

/// Tells a task that it shall end.
#[derive(Debug, Clone)]
pub(crate) struct Stopped(watch::Receiver<bool>);

impl Default for Tasks {
    fn default() -> Self {
        Self { stop: watch::Sender::new(false), running: Mutex::new(JoinSet::new()) }
    }
}

impl Stopped {
    /// Waits until the server stops.
    pub(crate) async fn wait(&mut self) {
        // A sender that is gone means the same.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

impl Tasks {
    /// Starts a task.
    pub(crate) fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).spawn(async move {
            task.await;
            tracing::debug!(task = name, "task ended");
        });
    }

    /// Returns the sign to stop, for a new task.
    #[must_use]
    pub(crate) fn stopped(&self) -> Stopped {
        Stopped(self.stop.subscribe())
    }

    /// Tells every task to end, waits for at most `patience`, then ends the rest.
    pub(crate) async fn stop(&self, patience: Duration) {
        self.stop.send_replace(true);
        let mut running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!("tasks did not end in time");
            running.shutdown().await;
        }
    }
}
