//! Who is on the segment and who has which address.

use outrider_bus::ether::{EtherView, IpAddress, Mac};
use outrider_bus::neighbour::{Claim, claim};
use outrider_types::{Severity, VehicleMicros};
use outrider_wire::catalogue::{event, field};

use super::limits;
use super::model::{Binding, EtherTypeFact, Host, Lists, SegmentModel, Vlan};
use super::packet::{Packet, Peer, strike};
use super::table::{Recent, Table};
use crate::fold::Fold;
use crate::observation::{FieldValue, Fields};

/// Largest length field of IEEE 802.3; what is above is an EtherType.
const LENGTH_MAX: u16 = 1500;

/// Stations, types, VLANs and bindings.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    is_closed: bool,
    hosts: Table<Host, { Lists::Hosts.limit() }>,
    ethertypes: Table<EtherTypeFact, { Lists::EtherTypes.limit() }>,
    vlans: Table<Vlan, { Lists::Vlans.limit() }>,
    bindings: Table<Binding, { Lists::Bindings.limit() }>,
    claims: Recent<IpAddress, Mac, 64>,
    /// Who sent from an address that no router forwards.
    on_link: Recent<IpAddress, Mac, 16>,
}

impl Addresses {
    pub(super) fn load(model: &SegmentModel<'_>) -> Self {
        Self {
            is_closed: model.facts().is_closed,
            hosts: Table::load(model),
            ethertypes: Table::load(model),
            vlans: Table::load(model),
            bindings: Table::load(model),
            claims: Recent::new(),
            on_link: Recent::new(),
        }
    }

    /// Takes the addresses of a frame.
    pub(super) fn frame(&mut self, at: VehicleMicros, frame: &EtherView<'_>, fold: &mut Fold<Peer>) {
        let mac = frame.source();
        let kind = if frame.ethertype() <= LENGTH_MAX { 0 } else { frame.ethertype() };
        let about = |fields: Fields| fields.with(field::MAC_ADDRESS, FieldValue::Mac(mac));
        if self.is_closed && !self.hosts.has(&Host { mac }) {
            let fields = about(Fields::new()).int(field::ETHERTYPE, kind.into());
            strike(fold, at, event::ETH_UNKNOWN_HOST, Peer::Host(mac), Severity::Medium, fields);
        }
        if !self.ethertypes.has(&EtherTypeFact { ethertype: kind }) {
            let fields = about(Fields::new().int(field::ETHERTYPE, kind.into()));
            strike(fold, at, event::ETH_UNKNOWN_ETHERTYPE, Peer::Host(mac), Severity::Low, fields);
        }
        for vlan in frame.vlans() {
            if !self.vlans.has(&Vlan { vlan }) {
                let fields = about(Fields::new().int(field::VLAN_ID, vlan.into()));
                strike(fold, at, event::ETH_VLAN_VIOLATION, Peer::Host(mac), Severity::Medium, fields);
            }
        }
        if let Some(claim) = claim(frame) {
            self.claim(at, mac, claim, fold);
        }
    }

    /// Takes the addresses of a packet: an address that the model binds must come from where it is bound, and a
    /// link-local one, which no router forwards, from one station at a time.
    pub(super) fn packet(&mut self, packet: &Packet<'_>, fold: &mut Fold<Peer>) {
        if packet.source.is_none() {
            return;
        }
        let claim = Claim { mac: packet.source_mac, ip: packet.source };
        let bound = if self.is_closed { self.owner_other_than(claim.ip, claim.mac) } else { None };
        if let Some(owner) = bound {
            spoofed(packet.at, claim, owner, "packet", Severity::High, fold);
            return;
        }
        if !packet.source.is_link_local() {
            return;
        }
        let before = self.on_link.find(claim.ip);
        self.on_link.put(packet.at, claim.ip, claim.mac);
        let other = before.filter(|&(mac, then)| {
            mac != claim.mac && packet.at.micros_since(then) < limits::TWO_STATIONS_US
        });
        if let Some((owner, _)) = other {
            spoofed(packet.at, claim, owner, "two_stations", Severity::High, fold);
        }
    }

    /// Returns who has an address by the model, if `mac` is not among them.
    fn owner_other_than(&self, ip: IpAddress, mac: Mac) -> Option<Mac> {
        if self.bindings.has(&Binding { ip, mac }) {
            return None;
        }
        self.bindings.first(|row| row.ip < ip).filter(|row| row.ip == ip).map(|row| row.mac)
    }

    fn claim(&mut self, at: VehicleMicros, sender: Mac, claim: Claim, fold: &mut Fold<Peer>) {
        let bound = if self.is_closed { self.owner_other_than(claim.ip, claim.mac) } else { None };
        let recent = self.claims.find(claim.ip);
        let moved =
            recent.filter(|&(mac, then)| mac != claim.mac && at.micros_since(then) < limits::CLAIM_US);
        self.claims.put(at, claim.ip, claim.mac);
        if let Some(owner) = bound {
            spoofed(at, claim, owner, "binding", Severity::High, fold);
        } else if let Some((owner, _)) = moved {
            spoofed(at, claim, owner, "moved", Severity::High, fold);
        } else if sender != claim.mac {
            spoofed(at, claim, sender, "sender", Severity::Medium, fold);
        }
    }
}

fn spoofed(
    at: VehicleMicros,
    claim: Claim,
    expected: Mac,
    detector: &'static str,
    severity: Severity,
    fold: &mut Fold<Peer>,
) {
    let fields = Fields::new()
        .text(field::DETECTOR, detector)
        .with(field::SOURCE_IP, FieldValue::Ip(claim.ip))
        .with(field::MAC_ADDRESS, FieldValue::Mac(claim.mac))
        .with(field::EXPECTED, FieldValue::Mac(expected))
        .with(field::OBSERVED, FieldValue::Mac(claim.mac));
    strike(fold, at, event::ETH_ARP_SPOOFING, Peer::Ip(claim.ip), severity, fields);
}
