//! Who talks to whom, and how much.

use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::limits;
use super::model::{Flow, Lists, SegmentFacts, SegmentModel};
use super::packet::{Packet, Peer, strike};
use super::table::Table;
use crate::fold::Fold;
use crate::observation::Fields;

/// Width of the windows in which volume is counted, in microseconds.
const WINDOW_US: u64 = 1_000_000;

/// What came in the window at hand.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    number: u32,
    bytes: u32,
    packets: u32,
}

impl Window {
    fn add(&mut self, at: VehicleMicros, bytes: u32) {
        let number = u32::try_from((at.0 / WINDOW_US) & u64::from(u32::MAX)).unwrap_or(0);
        if number != self.number {
            *self = Self { number, bytes: 0, packets: 0 };
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.packets = self.packets.saturating_add(1);
    }

    /// Returns whether this packet took the window over its limit; later ones of the window do not.
    const fn passes(&self, limit: Limit, bytes: u32) -> bool {
        let before =
            self.bytes.saturating_sub(bytes) > limit.bytes || self.packets.saturating_sub(1) > limit.packets;
        let now = self.bytes > limit.bytes || self.packets > limit.packets;
        now && !before
    }
}

#[derive(Debug, Clone, Copy)]
struct Limit {
    bytes: u32,
    packets: u32,
}

const fn limit(bytes_max: u32, packets_max: u32) -> Limit {
    Limit {
        bytes: bytes_max.saturating_mul(limits::VOLUME_FACTOR).saturating_add(limits::VOLUME_BYTES),
        packets: packets_max.saturating_mul(limits::VOLUME_FACTOR).saturating_add(limits::VOLUME_PACKETS),
    }
}

/// Flows of one segment.
#[derive(Debug, Clone)]
pub(super) struct Flows {
    facts: SegmentFacts,
    flows: Table<Flow, { Lists::Flows.limit() }>,
    windows: [Window; Lists::Flows.limit()],
    segment: Window,
}

impl Flows {
    pub(super) fn load(model: &SegmentModel<'_>) -> Self {
        Self {
            facts: model.facts(),
            flows: Table::load(model),
            windows: [Window::default(); Lists::Flows.limit()],
            segment: Window::default(),
        }
    }

    /// Counts a frame, IP or not, towards the segment's volume.
    pub(super) fn frame(&mut self, at: VehicleMicros, bytes: usize, fold: &mut Fold<Peer>) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.segment.add(at, bytes);
        let limit = limit(self.facts.bytes_max, self.facts.packets_max);
        if self.segment.passes(limit, bytes) {
            let fields = volume(Fields::new(), &self.segment, limit);
            strike(fold, at, event::ETH_VOLUME_ANOMALY, Peer::Segment, Severity::Medium, fields);
        }
    }

    /// Takes a packet.
    pub(super) fn packet(&mut self, packet: &Packet<'_>, fold: &mut Fold<Peer>) {
        if !self.facts.is_closed || is_housekeeping(packet) {
            return;
        }
        let probe = Flow {
            source: packet.source,
            destination: packet.destination,
            protocol: packet.protocol,
            port: packet.service_port(),
            bytes_max: 0,
            packets_max: 0,
        };
        let Some(index) = self.flows.position(&probe) else {
            let peer = Peer::Ip(packet.source);
            strike(fold, packet.at, event::ETH_UNEXPECTED_FLOW, peer, Severity::Medium, packet.fields());
            return;
        };
        let (Some(flow), Some(window)) = (self.flows.row(index), self.windows.get_mut(index)) else { return };
        window.add(packet.at, packet.bytes);
        let limit = limit(flow.bytes_max, flow.packets_max);
        if window.passes(limit, packet.bytes) {
            let fields = volume(packet.fields(), window, limit);
            let peer = Peer::Ip(packet.source);
            strike(fold, packet.at, event::ETH_VOLUME_ANOMALY, peer, Severity::Low, fields);
        }
    }
}

fn volume(fields: Fields, window: &Window, limit: Limit) -> Fields {
    fields
        .int(field::RATE_HZ, window.packets.into())
        .int(field::RATE_LIMIT_HZ, limit.packets.into())
        .int(field::SIZE_BYTES, window.bytes.into())
}

/// Returns whether a packet only keeps the network together: group membership and neighbour discovery. Later fragments
/// have no ports and are counted with the segment.
pub(crate) fn is_housekeeping(packet: &Packet<'_>) -> bool {
    const IGMP: u8 = 2;
    const ICMPV6: u8 = 58;
    const HOP_BY_HOP: u8 = 0;
    packet.protocol == IGMP
        || packet.protocol == HOP_BY_HOP
        || packet.protocol == ICMPV6 && packet.destination.is_group()
        || packet.ports.is_none() && matches!(packet.protocol, 6 | 17)
}
