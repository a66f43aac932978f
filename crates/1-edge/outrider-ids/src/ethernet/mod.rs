//! Detectors of one Ethernet segment.
//!
//! **In:** frames in the order of their times, and an [`model::EthernetModel`] that says who is there and who does what.
//! **Out:** the same [`Observation`]s that a CAN bus gives. **Never:** allocation, a panic on input, more than a fixed
//! amount of work a frame, more than twelve streams and four segmented service messages put together. **Start reading**
//! at [`EthernetDetector::receive`].
//!
//! What is judged by the model alone (stations, bindings, flows) is judged on closed segments only: on a charging port
//! each station is a new one, and there the rules of the protocols are what is left.

mod addresses;
mod charge;
mod doip;
mod flows;
pub mod limits;
mod line;
pub mod model;
mod packet;
mod someip;
mod streams;
mod supply;
mod table;
#[cfg(test)]
mod tests;

use outrider_bus::ether::{ETHERTYPE_HOMEPLUG, EtherView, PortsView};
use outrider_bus::plca::{Reading, Tracker};
use outrider_types::{BusId, Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use crate::clock::{Clock, Stamp};
use crate::detector::SpeedReading;
use crate::fold::Fold;
use crate::observation::Observation;
use crate::policy::Situation;
use addresses::Addresses;
use charge::Charge;
use doip::Doip;
use flows::Flows;
use model::SegmentModel;
use packet::{Packet, Peer, strike};
use someip::SomeIp;
use streams::{Framed, Framing, Receiver, StreamKey, Streams, Trouble};

/// Counts of one segment since the detector was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EthernetStats {
    /// Frames taken.
    pub frames: u64,
    /// Frames whose header is cut.
    pub malformed: u64,
    /// Frames with a whole IP header.
    pub packets: u64,
    /// Packets of diagnosis, services or charging.
    pub applications: u64,
    /// Steps back of the clock.
    pub clock_steps: u64,
    /// Observations lost because nobody fetched them, or because too many episodes were open.
    pub dropped: u64,
}

/// All detectors of one segment, below 256 KiB by value: put it into a `static` or a box.
#[derive(Debug, Clone)]
pub struct EthernetDetector {
    bus: BusId,
    addresses: Addresses,
    flows: Flows,
    doip: Doip,
    someip: SomeIp,
    charge: Charge,
    streams: Streams,
    line: Tracker,
    fold: Fold<Peer>,
    situation: Situation,
    clock: Clock,
    stats: EthernetStats,
}

impl EthernetDetector {
    /// Creates the detectors of one segment from its model, O(records).
    #[must_use]
    pub fn new(model: &SegmentModel<'_>) -> Self {
        let bus = model.facts().bus;
        Self {
            bus,
            addresses: Addresses::load(model),
            flows: Flows::load(model),
            doip: Doip::load(model),
            someip: SomeIp::load(model),
            charge: Charge::new(),
            streams: Streams::new(),
            line: Tracker::new(),
            fold: Fold::new(bus),
            situation: Situation { speed: None, expects_speed: false, workshop: false, flashing: false },
            clock: Clock::new(),
            stats: EthernetStats::default(),
        }
    }

    /// Returns the segment.
    #[must_use]
    pub const fn bus(&self) -> BusId {
        self.bus
    }

    /// Returns the counts.
    #[must_use]
    pub const fn stats(&self) -> EthernetStats {
        let mut stats = self.stats;
        stats.dropped = self.fold.dropped;
        stats
    }

    /// Tells the speed that a bus or sensor has.
    pub const fn observe_speed(&mut self, reading: SpeedReading) {
        self.situation.speed = Some(reading);
    }

    /// Tells whether a workshop is at work; what it may change is then no event.
    pub const fn set_workshop(&mut self, workshop: bool) {
        self.situation.workshop = workshop;
    }

    /// Returns whether a car and a station speak on the segment.
    #[must_use]
    pub fn is_charging(&self, now: VehicleMicros) -> bool {
        self.charge.heard().is_some_and(|at| now.micros_since(at) < limits::CHARGING_US)
    }

    /// Takes one frame, from the destination address on and without checksum; bounded work, no allocation. Returns
    /// whether the frame keeps the network together or carries diagnosis, services or charging, of which evidence is made.
    pub fn receive(&mut self, at: VehicleMicros, bytes: &[u8]) -> bool {
        let at = self.advance(at);
        self.stats.frames = self.stats.frames.saturating_add(1);
        let Self { addresses, flows, doip, someip, charge, streams, fold, situation, .. } = self;
        flows.frame(at, bytes.len(), fold);
        let Some(frame) = EtherView::new(bytes) else {
            self.stats.malformed = self.stats.malformed.saturating_add(1);
            return true;
        };
        let mut is_evidence = frame.ip().is_none();
        addresses.frame(at, &frame, fold);
        if frame.ethertype() == ETHERTYPE_HOMEPLUG {
            charge.match_making(at, &frame, fold);
        }
        if let Some(packet) = Packet::new(at, &frame, bytes.len()) {
            self.stats.packets = self.stats.packets.saturating_add(1);
            addresses.packet(&packet, fold);
            flows.packet(&packet, fold);
            let framing = if doip.packet(&packet, *situation, fold) {
                Some(Framing::Doip)
            } else if someip.packet(&packet, fold) {
                Some(Framing::SomeIp)
            } else if charge.packet(&packet, fold) || charge.is_station(&packet) {
                Some(Framing::V2gtp)
            } else {
                None
            };
            let mut is_application = framing.is_some();
            if let Some(key) = StreamKey::of(&packet) {
                let (framing, is_known) = (framing.unwrap_or(Framing::V2gtp), framing.is_some());
                let mut judges = Judges { doip, someip, charge, situation: *situation, fold };
                streams.receive(&packet, framing, is_known, &mut judges);
                is_application = is_application || streams.follows(key, framing);
            }
            self.stats.applications = self.stats.applications.saturating_add(is_application.into());
            is_evidence = is_application || flows::is_housekeeping(&packet);
        }
        let mut judges = Judges { doip, someip, charge, situation: *situation, fold };
        streams.settle_one(at, &mut judges);
        doip.settle(at, fold);
        fold.sweep_one(at);
        is_evidence
    }

    /// Takes a reading of the segment's 10BASE-T1S PHY.
    pub fn line(&mut self, at: VehicleMicros, reading: Reading) {
        let at = self.advance(at);
        line::reading(&mut self.line, at, reading, &mut self.fold);
    }

    /// Lets time pass without a frame. A few times a second is enough.
    pub fn tick(&mut self, now: VehicleMicros) {
        if self.clock.is_past(now) {
            return;
        }
        let Self { doip, someip, charge, streams, fold, situation, .. } = self;
        streams.settle(now, &mut Judges { doip, someip, charge, situation: *situation, fold });
        doip.settle(now, fold);
        fold.sweep(now);
    }

    /// Ends every open episode, as at the end of a capture.
    pub fn finish(&mut self) {
        let now = self.clock.now();
        self.tick(now);
        self.doip.finish(&mut self.fold);
        self.fold.finish(now);
    }

    /// Takes the oldest observation not yet fetched.
    pub fn pop(&mut self) -> Option<Observation> {
        self.fold.pop()
    }

    /// Returns the time to use: small steps back are held, large ones end what was going on.
    fn advance(&mut self, at: VehicleMicros) -> VehicleMicros {
        let stamp = self.clock.stamp(at);
        if let Stamp::Back { from, .. } = stamp {
            self.stats.clock_steps = self.stats.clock_steps.saturating_add(1);
            self.fold.finish(from);
        }
        stamp.at()
    }
}

/// The judges of what streams carry.
struct Judges<'a> {
    doip: &'a mut Doip,
    someip: &'a mut SomeIp,
    charge: &'a mut Charge,
    situation: Situation,
    fold: &'a mut Fold<Peer>,
}

impl Receiver for Judges<'_> {
    fn message(&mut self, framing: Framing, packet: &Packet<'_>, message: Framed<'_>) {
        match framing {
            Framing::Doip => self.doip.framed(packet, message, self.situation, self.fold),
            Framing::SomeIp => self.someip.framed(packet, message, self.fold),
            Framing::V2gtp => self.charge.framed(packet, message, self.fold),
        }
    }

    fn trouble(&mut self, packet: &Packet<'_>, trouble: Trouble) {
        let (what, severity, reason) = match trouble {
            Trouble::Conflict => (event::ETH_STREAM_CONFLICT, Severity::High, "overlap"),
            Trouble::Lost => (event::ETH_STREAM_GAP, Severity::Low, "lost"),
            Trouble::Missing => (event::ETH_STREAM_GAP, Severity::Low, "missing"),
            Trouble::Unframed => (event::ETH_STREAM_GAP, Severity::Low, "unframed"),
            Trouble::Crowded => (event::ETH_STREAM_GAP, Severity::Low, "crowded"),
        };
        let fields = packet.fields().text(field::REASON, reason);
        strike(self.fold, packet.at, what, Peer::Ip(packet.source), severity, fields);
    }
}

/// Returns the port that names a packet's service, as models have it: the lower one of both, or 0 where both are picked
/// at random.
#[must_use]
pub const fn service_port(ports: &PortsView<'_>) -> u16 {
    let port = if ports.source < ports.destination { ports.source } else { ports.destination };
    if port >= packet::DYNAMIC_PORT { 0 } else { port }
}
