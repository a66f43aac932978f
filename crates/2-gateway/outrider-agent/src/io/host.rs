//! The host sensors in a thread of their own, behind a bounded queue.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use outrider_gateway::{FieldValue, SecurityEvent};
use outrider_host::{Host, HostEvent, SensorState, Value};
use outrider_types::VehicleMicros;

/// Events that wait at most between the thread and the gateway; the sensors' own queue folds what does not fit.
const EVENTS_MAX: usize = 1024;
/// Longest wait for something to happen.
const WAIT_MS: i32 = 100;

/// Sensors that run.
#[derive(Debug)]
pub struct HostThread {
    events: Receiver<HostEvent>,
    states: Arc<Mutex<HostState>>,
    is_to_end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the sensors said of themselves last.
#[derive(Debug, Clone, Default)]
pub struct HostState {
    /// Every sensor.
    pub sensors: Vec<SensorState>,
    /// Occurrences received by the queue of events, handed out, folded because it was full, and lost.
    pub outbox: [u64; 4],
}

impl HostThread {
    /// Starts the thread. The composition root gives the clock.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "sensors must not wait for the cloud; the agent is a root")]
    pub fn start(host: Host, clock: impl Fn() -> VehicleMicros + Send + 'static) -> Self {
        let (sender, events) = sync_channel(EVENTS_MAX);
        let states = Arc::<Mutex<HostState>>::default();
        let is_to_end = Arc::<AtomicBool>::default();
        let (theirs, end) = (Arc::clone(&states), Arc::clone(&is_to_end));
        let thread = std::thread::spawn(move || watch(host, &clock, &sender, &theirs, &end));
        Self { events, states, is_to_end, thread: Some(thread) }
    }

    /// Returns the next event, if one waits.
    #[must_use]
    pub fn next(&self) -> Option<SecurityEvent> {
        self.events.try_recv().ok().map(security_event)
    }

    /// Returns what the sensors said of themselves last.
    #[must_use]
    pub fn state(&self) -> HostState {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for HostThread {
    fn drop(&mut self) {
        self.is_to_end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn watch(
    mut host: Host,
    clock: &dyn Fn() -> VehicleMicros,
    sender: &SyncSender<HostEvent>,
    states: &Mutex<HostState>,
    is_to_end: &AtomicBool,
) {
    let mut pending = None;
    while !is_to_end.load(Ordering::Relaxed) {
        host.wait(WAIT_MS);
        host.turn(clock());
        while let Some(event) = pending.take().or_else(|| host.pop()) {
            match sender.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    pending = Some(event);
                    break;
                }
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
        let state = HostState { sensors: host.state(), outbox: host.outbox().totals() };
        *states.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// Turns an event of a sensor into one for the gateway.
#[must_use]
pub fn security_event(event: HostEvent) -> SecurityEvent {
    let mut out = SecurityEvent::new(event.event_type, event.first);
    (out.severity, out.last, out.count) = (event.severity, event.last.max(event.first), event.count);
    out.fields = event
        .fields
        .into_iter()
        .map(|(key, value)| {
            let value = match value {
                Value::Int(number) => FieldValue::int(number),
                Value::Text(text) => FieldValue::Text(text),
                Value::Flag(flag) => FieldValue::Flag(flag),
            };
            (key, value)
        })
        .collect();
    out
}
