//! Qualification of the vehicle's own events, and IDS frames of other ECUs in and out.
//!
//! **In:** events of sensors, datagrams, time. **Out:** qualified events for the gateway, IDS frames for another
//! reporter. **Never:** a socket, a clock, an event that is in none of the counts. **Start reading** at [`IdsLayer`].
//!
//! ```text
//! sensors ──► filter chain ──► gateway (spool, never limited)
//!                         └──► rate and traffic limit ──► IDS frames ──► another IDS reporter
//! other ECUs' IDS frames ──► checked, named ──► gateway
//! ```
//! What other ECUs report has passed the filter chain of their own IdsM, so it does not pass a second one.

mod idsm;
mod idsr;
mod names;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use outrider_gateway::{FieldValue, SecurityEvent};
use outrider_ids::qualify::{self, BlockState, Body, Chain, InternalEvent};
use outrider_types::{ClockFix, Severity, VehicleMicros};
use outrider_wire::catalogue::{self, event, field};

pub use idsm::{Idsm, IdsmCounts, IdsmSection};
pub use idsr::{DATAGRAM_BYTES_MAX, Idsr, IdsrCounts, IdsrSection};
pub use names::{EventName, SevNames};
pub use plan::{EventSection, QualifySection, WindowedCount};

/// Types of events that a chain holds: the catalogue has about a hundred.
const SEVS: usize = 256;
/// Reports between two main functions: what eight buses with a scan each give in 100 ms.
const BUFFERS: usize = 256;

/// An event on its way through the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Sensed(pub SecurityEvent);

impl Body for Sensed {
    fn has_context(&self) -> bool {
        !self.0.fields.is_empty() || !self.0.context.is_empty()
    }

    fn drop_context(&mut self) {
        self.0.fields.clear();
        self.0.context.clear();
    }

    fn fold(&mut self, later: &Self) {
        self.0.last = self.0.last.max(later.0.last);
        self.0.first = self.0.first.min(later.0.first);
        if severity(&later.0) > severity(&self.0) {
            self.0.severity = later.0.severity;
        }
    }
}

/// Severity of an event, the catalogue's if it has none of its own.
fn severity(event: &SecurityEvent) -> Option<Severity> {
    event.severity.or_else(|| Some(catalogue::defaults(event.event_type)?.severity))
}

/// The chain of one vehicle.
pub type SevChain = Chain<Sensed, SEVS, BUFFERS>;

/// What `outrider-agent` is told of qualification and of IDS frames, sections `[qualify]`, `[idsr]` and `[idsm]`.
#[derive(Debug, Default)]
pub struct IdsLayer {
    chain: Option<Box<SevChain>>,
    idsr: Option<Idsr>,
    idsm: Option<Idsm>,
    fix: Option<ClockFix>,
    qualified: VecDeque<SecurityEvent>,
}

impl IdsLayer {
    /// Creates a layer; without a chain every event passes at once.
    #[must_use]
    pub fn new(chain: Option<Box<SevChain>>, idsr: Option<Idsr>, idsm: Option<Idsm>) -> Self {
        Self { chain, idsr, idsm, fix: None, qualified: VecDeque::new() }
    }

    /// Puts another chain in the place of the one in use, whose waiting events are qualified first.
    pub fn set_chain(&mut self, chain: Option<Box<SevChain>>) {
        let mut qualified = Vec::new();
        if let Some(chain) = &mut self.chain {
            chain.flush(&mut |_, count, sensed| qualified.push(counted(sensed, count)));
        }
        qualified.into_iter().for_each(|event| self.offer(event));
        self.chain = chain;
    }

    /// Takes a reading of both clocks, for the times in frames that go out.
    pub const fn add_fix(&mut self, fix: ClockFix) {
        self.fix = Some(fix);
    }

    /// Takes an event of a sensor of this machine.
    pub fn report(&mut self, event: SecurityEvent) {
        let Some(chain) = &mut self.chain else {
            self.offer(event);
            return;
        };
        let count = u32::try_from(event.count).unwrap_or(u32::MAX);
        match chain.report(event.event_type, count, Sensed(event.clone())) {
            Ok(()) => {}
            // Lost and counted; the chain says so itself by an event.
            Err(qualify::Refused::NoEventBuffer) => {}
            // An event type newer than the rules must not vanish because nobody wrote a rule for it.
            Err(qualify::Refused::Unlisted) => self.offer(event),
        }
    }

    /// Takes a datagram of another ECU.
    pub fn datagram(&mut self, bytes: &[u8], now: VehicleMicros) {
        if let Some(idsr) = &mut self.idsr {
            idsr.receive(bytes, now, &mut |event| self.qualified.push_back(event));
        }
    }

    /// Lets time pass; `is_driving` is what the speed on the buses says, if anything does.
    pub fn tick(&mut self, now: VehicleMicros, is_driving: Option<bool>) {
        let mut qualified = Vec::new();
        if let Some(chain) = &mut self.chain {
            chain.set_state(Some(state(is_driving)));
            chain.tick(now, &mut |_, count, sensed| qualified.push(counted(sensed, count)));
        }
        qualified.into_iter().for_each(|event| self.offer(event));
        self.internal(now);
        if let Some(idsr) = &mut self.idsr {
            idsr.tick(now, &mut |event| self.qualified.push_back(event));
        }
    }

    /// Qualifies all that waits, before a shutdown.
    pub fn flush(&mut self, now: VehicleMicros) {
        let mut qualified = Vec::new();
        if let Some(chain) = &mut self.chain {
            chain.flush(&mut |_, count, sensed| qualified.push(counted(sensed, count)));
        }
        qualified.into_iter().for_each(|event| self.offer(event));
        self.internal(now);
        if let Some(idsr) = &mut self.idsr {
            idsr.flush(now, &mut |event| self.qualified.push_back(event));
        }
    }

    /// Takes the next event for the gateway.
    pub fn pop(&mut self) -> Option<SecurityEvent> {
        self.qualified.pop_front()
    }

    /// Takes the next frame for another reporter.
    pub fn pop_frame(&mut self) -> Option<Vec<u8>> {
        self.idsm.as_mut().and_then(Idsm::pop)
    }

    /// Says that a frame could not be sent.
    pub fn send_failed(&mut self) {
        if let Some(idsm) = &mut self.idsm {
            idsm.send_failed();
        }
        if let Some(chain) = &mut self.chain {
            chain.raise(InternalEvent::CommunicationError);
        }
    }

    /// Returns where the reports of the own sensors went; `None` without a chain.
    #[must_use]
    pub fn chain_counts(&self) -> Option<(qualify::Counts, qualify::LimitCounts)> {
        self.chain.as_ref().map(|chain| (chain.counts(), chain.limits()))
    }

    /// Returns what came from other ECUs; `None` if nobody listens.
    #[must_use]
    pub fn idsr_counts(&self) -> Option<IdsrCounts> {
        self.idsr.as_ref().map(Idsr::counts)
    }

    /// Returns what went to another reporter; `None` if there is none.
    #[must_use]
    pub fn idsm_counts(&self) -> Option<IdsmCounts> {
        self.idsm.as_ref().map(Idsm::counts)
    }

    /// Gives a qualified event to the gateway and, within the limits, to the reporter.
    fn offer(&mut self, event: SecurityEvent) {
        if let Some(idsm) = &mut self.idsm
            && let Some(frame) = idsm.frame(&event, self.fix.as_ref())
        {
            let admitted = self.chain.as_mut().is_none_or(|chain| chain.admit(frame.len()).is_ok());
            if admitted { idsm.push(frame) } else { idsm.limited() }
        }
        self.qualified.push_back(event);
    }

    /// Turns what the chain says of itself into events.
    fn internal(&mut self, now: VehicleMicros) {
        while let Some((internal, count)) = self.chain.as_mut().and_then(|chain| chain.take_internal()) {
            let event_type = match internal {
                InternalEvent::NoEventBuffer => event::IDS_NO_EVENT_BUFFER,
                InternalEvent::NoContextBuffer => event::IDS_NO_CONTEXT_BUFFER,
                InternalEvent::TrafficLimitExceeded => event::IDS_TRAFFIC_LIMITED,
                InternalEvent::CommunicationError => event::IDS_COMMUNICATION_ERROR,
            };
            let event =
                SecurityEvent::new(event_type, now).with(field::DROPPED, FieldValue::Uint(u64::from(count)));
            self.qualified.push_back(event);
        }
    }
}

/// Names of the states in which a rule may block, by number.
pub const STATES: [&str; 3] = ["unknown", "standing", "driving"];

fn state(is_driving: Option<bool>) -> BlockState {
    let number = match is_driving {
        None => 0,
        Some(false) => 1,
        Some(true) => 2,
    };
    BlockState::new(number).unwrap_or_default()
}

fn counted(sensed: Sensed, count: u32) -> SecurityEvent {
    SecurityEvent { count: u64::from(count.max(1)), ..sensed.0 }
}
