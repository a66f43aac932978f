//! An anchor in a thread of its own, so that a slow counter never stalls frames.
//!
//! The first raising, at the start, is waited for: nothing comes in yet. After [`AnchorThread::start`] the rest is begun by
//! the spool and finished when it polls.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use outrider_gateway::spool::{Anchor, AnchorError, AnchorKind, Attestation, Raise};

type Boxed = Box<dyn Anchor + Send + Sync>;

/// What the thread is to do.
#[derive(Debug, Clone, Copy)]
enum Job {
    Raise([u8; 32]),
    Read,
}

struct State {
    /// Taken out while the thread works with it.
    anchor: Option<Boxed>,
    job: Option<Job>,
    done: Option<Result<Attestation, AnchorError>>,
    /// Last value known; `None` after a failure, until it was read again.
    counter: Option<u64>,
    failed: Option<AnchorError>,
    is_started: bool,
    is_over: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The anchor as the spool has it.
pub struct Background {
    shared: Arc<Shared>,
    kind: AnchorKind,
}

/// Starts the thread once the program is in its sandbox.
pub struct AnchorThread(Arc<Shared>);

impl Background {
    /// Wraps an anchor.
    #[must_use]
    pub fn new(anchor: Boxed) -> (Self, AnchorThread) {
        let kind = anchor.kind();
        let state = State {
            anchor: Some(anchor),
            job: None,
            done: None,
            counter: None,
            failed: None,
            is_started: false,
            is_over: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), wake: Condvar::new() });
        (Self { shared: Arc::clone(&shared), kind }, AnchorThread(shared))
    }

    fn away() -> AnchorError {
        AnchorError { reason: "away", detail: "the anchor has not answered yet".to_owned() }
    }
}

impl AnchorThread {
    /// Starts the thread, which ends with the spool.
    #[expect(clippy::disallowed_methods, reason = "a slow anchor needs a thread; the agent is a root")]
    pub fn start(self) {
        let shared = self.0;
        shared.lock().is_started = true;
        std::thread::spawn(move || work(&shared));
    }
}

fn work(shared: &Shared) {
    loop {
        let mut state = shared.lock();
        while state.job.is_none() && !state.is_over {
            state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.is_over {
            return;
        }
        let (Some(job), Some(mut anchor)) = (state.job, state.anchor.take()) else { return };
        drop(state);
        let result = match job {
            Job::Raise(head) => anchor.increment().and_then(|_| anchor.attest(&head)).map(Some),
            Job::Read => Ok(None),
        };
        let counter = match (&result, job) {
            (Ok(Some(attestation)), _) => Ok(attestation.counter),
            (Ok(None), _) | (Err(_), _) => anchor.read(),
        };
        let mut state = shared.lock();
        state.failed = counter.as_ref().err().cloned();
        state.counter = counter.ok();
        if let Some(result) = result.transpose() {
            state.done = Some(result);
        }
        state.anchor = Some(anchor);
        state.job = None;
    }
}

impl Anchor for Background {
    fn kind(&self) -> AnchorKind {
        self.kind
    }

    fn is_new(&self) -> bool {
        self.shared.lock().anchor.as_ref().is_some_and(|anchor| anchor.is_new())
    }

    fn read(&self) -> Result<u64, AnchorError> {
        let mut state = self.shared.lock();
        if !state.is_started {
            return state.anchor.as_ref().map_or_else(|| Err(Self::away()), |anchor| anchor.read());
        }
        if state.counter.is_none() && state.job.is_none() {
            state.job = Some(Job::Read);
            self.shared.wake.notify_one();
        }
        let failed = state.failed.clone();
        state.counter.ok_or_else(|| failed.unwrap_or_else(Self::away))
    }

    fn increment(&mut self) -> Result<u64, AnchorError> {
        let mut state = self.shared.lock();
        let anchor = state.anchor.as_mut().ok_or_else(Self::away)?;
        anchor.increment()
    }

    fn attest(&self, head: &[u8; 32]) -> Result<Attestation, AnchorError> {
        let state = self.shared.lock();
        state.anchor.as_ref().ok_or_else(Self::away)?.attest(head)
    }

    fn raise(&mut self, head: &[u8; 32]) -> Result<Raise, AnchorError> {
        let mut state = self.shared.lock();
        if !state.is_started {
            let anchor = state.anchor.as_mut().ok_or_else(Self::away)?;
            anchor.increment()?;
            let attestation = anchor.attest(head)?;
            state.counter = Some(attestation.counter);
            return Ok(Raise::Done(attestation));
        }
        if state.job.is_some() {
            return Err(Self::away());
        }
        state.job = Some(Job::Raise(*head));
        // Not known until the thread says it.
        state.counter = None;
        self.shared.wake.notify_one();
        Ok(Raise::Begun)
    }

    fn poll(&mut self) -> Option<Result<Attestation, AnchorError>> {
        self.shared.lock().done.take()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.wake.notify_one();
    }
}

#[cfg(test)]
mod tests;
