//! The thread of a source, and its counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use outrider_bus::can::TimedFrame;
use outrider_types::{BusId, VehicleMicros};

use super::LiveSource;

/// Frames that wait at most: four seconds of a fully loaded bus, while an exchange with the cloud takes its time.
const FRAMES_MAX: usize = 16_384;

/// Counts of a source: received = taken by the detectors + waiting + dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LiveCounts {
    /// Frames received.
    pub received: u64,
    /// Frames dropped because the queue was full.
    pub dropped: u64,
    /// Pieces that were no frames.
    pub rejected: u64,
    /// Frames or datagrams that were lost before, where the source can tell.
    pub lost: u64,
    /// Whether the source has ended or broken.
    pub has_ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    received: AtomicU64,
    dropped: AtomicU64,
    rejected: AtomicU64,
    lost: AtomicU64,
    has_ended: AtomicBool,
    is_to_end: AtomicBool,
}

/// A source in a thread of its own.
#[derive(Debug)]
pub struct Pump {
    /// Where the frames come from, as it was configured.
    pub name: String,
    frames: Receiver<TimedFrame>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Pump {
    /// Starts the thread. The composition root gives the clock.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "a bus that waits for frames needs a thread; the agent is a root"
    )]
    pub fn start(
        name: String,
        source: Box<dyn LiveSource>,
        clock: impl Fn() -> VehicleMicros + Send + 'static,
    ) -> Self {
        let (sender, frames) = sync_channel(FRAMES_MAX);
        let shared = Arc::<Shared>::default();
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || pump(source, &clock, &sender, &theirs));
        Self { name, frames, shared, thread: Some(thread) }
    }

    /// Returns the next frame, if one waits.
    #[must_use]
    pub fn next(&self) -> Option<TimedFrame> {
        self.frames.try_recv().ok()
    }

    /// Returns the counts.
    #[must_use]
    pub fn counts(&self) -> LiveCounts {
        let number = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LiveCounts {
            received: number(&self.shared.received),
            dropped: number(&self.shared.dropped),
            rejected: number(&self.shared.rejected),
            lost: number(&self.shared.lost),
            has_ended: self.shared.has_ended.load(Ordering::Acquire),
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.shared.is_to_end.store(true, Ordering::Relaxed);
        // A source on a pipe may wait for ever; its thread ends with the program.
        if self.shared.has_ended.load(Ordering::Acquire)
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn pump(
    mut source: Box<dyn LiveSource>,
    clock: &dyn Fn() -> VehicleMicros,
    sender: &SyncSender<TimedFrame>,
    shared: &Shared,
) {
    let count = |counter: &AtomicU64, number| counter.fetch_add(number, Ordering::Relaxed);
    while !shared.is_to_end.load(Ordering::Relaxed) {
        let outcome = source.receive(&mut |bus: BusId, frame| {
            count(&shared.received, 1);
            match sender.try_send(TimedFrame { at: clock(), bus, frame }) {
                Ok(()) => {}
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                    count(&shared.dropped, 1);
                }
            }
        });
        let Ok(received) = outcome else { break };
        count(&shared.rejected, received.rejected);
        count(&shared.lost, received.lost);
        if !received.goes_on {
            break;
        }
    }
    shared.has_ended.store(true, Ordering::Release);
}
