//! One packet as the detectors see it, and what their episodes are about.

use outrider_bus::can::CanId;
use outrider_bus::ether::{EtherView, IpAddress, Mac, PROTOCOL_TCP, PROTOCOL_UDP, PortsView};
use outrider_types::{EventTypeId, Severity, VehicleMicros};
use outrider_wire::catalogue::field;

use crate::fold::{Fold, Strike, Subject};
use crate::observation::{FieldValue, Fields};

/// Lowest port that is picked at random (RFC 6335).
pub(super) const DYNAMIC_PORT: u16 = 49152;

/// What an episode is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// The segment as a whole.
    Segment,
    /// A station.
    Host(Mac),
    /// An address.
    Ip(IpAddress),
    /// A diagnostic tester's logical address.
    Tester(u16),
    /// A rule of charging sessions or of a shared line, by its reason.
    Rule(&'static str),
}

impl Subject for Peer {
    fn can_id(self) -> Option<CanId> {
        None
    }
}

/// Addresses and payload of a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet<'a> {
    pub(super) at: VehicleMicros,
    pub(super) source_mac: Mac,
    pub(super) destination_mac: Mac,
    pub(super) source: IpAddress,
    pub(super) destination: IpAddress,
    pub(super) protocol: u8,
    pub(super) ports: Option<PortsView<'a>>,
    /// Bytes of the frame as captured.
    pub(super) bytes: u32,
}

impl<'a> Packet<'a> {
    /// Takes the parts of a frame that carries IP.
    pub(super) fn new(at: VehicleMicros, frame: &EtherView<'a>, bytes: usize) -> Option<Self> {
        let ip = frame.ip()?;
        Some(Self {
            at,
            source_mac: frame.source(),
            destination_mac: frame.destination(),
            source: ip.source(),
            destination: ip.destination(),
            protocol: ip.protocol(),
            ports: ip.ports(),
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        })
    }

    /// Returns the packet without its payload.
    pub(super) fn bare(&self) -> Packet<'static> {
        let Packet { at, source_mac, destination_mac, source, destination, protocol, ports, bytes } = *self;
        let ports = ports.map(|PortsView { source, destination, is_tcp, tcp, payload: _ }| PortsView {
            source,
            destination,
            is_tcp,
            tcp,
            payload: &[],
        });
        Packet { at, source_mac, destination_mac, source, destination, protocol, ports, bytes }
    }

    /// Returns the port that names the service, 0 without ports.
    pub(super) fn service_port(&self) -> u16 {
        self.ports.as_ref().map_or(0, super::service_port)
    }

    /// Returns whether either port is this one.
    pub(super) fn has_port(&self, port: u16) -> bool {
        self.ports.is_some_and(|ports| ports.source == port || ports.destination == port)
    }

    /// Fields that name both ends.
    pub(super) fn fields(&self) -> Fields {
        let fields = Fields::new()
            .with(field::SOURCE_IP, FieldValue::Ip(self.source))
            .with(field::DESTINATION_IP, FieldValue::Ip(self.destination));
        let protocol = match self.protocol {
            PROTOCOL_TCP => "tcp",
            PROTOCOL_UDP => "udp",
            1 => "icmp",
            58 => "icmpv6",
            _ => "other",
        };
        let fields = fields.text(field::PROTOCOL, protocol);
        match self.ports {
            Some(ports) => fields
                .int(field::SOURCE_PORT, ports.source.into())
                .int(field::DESTINATION_PORT, ports.destination.into()),
            None => fields,
        }
    }

    /// The source as a field.
    pub(super) fn source_field(&self) -> Fields {
        Fields::new().with(field::SOURCE_IP, FieldValue::Ip(self.source))
    }
}

/// Strikes for something a packet did.
pub(super) fn strike(
    fold: &mut Fold<Peer>,
    at: VehicleMicros,
    event_type: EventTypeId,
    peer: Peer,
    severity: Severity,
    fields: Fields,
) {
    fold.strike(at, Strike { event_type, can_id: peer, severity, fields });
}
