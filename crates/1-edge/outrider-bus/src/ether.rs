//! Ethernet, VLAN tags, IPv4/IPv6 and ports: just enough to say who talks to whom.
//!
//! Views only: nothing is reassembled, checksums are not checked, IPv6 extension headers are followed up to
//! [`IPV6_EXTENSIONS_MAX`]. Sources: IEEE 802.3 and 802.1Q; RFC 791, RFC 8200, RFC 768, RFC 9293.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::bytes::{ByteOrder, array, u8_at, u16_at, u32_at};

/// EtherType of IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// EtherType of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86DD;
/// EtherType of HomePlug management messages.
pub const ETHERTYPE_HOMEPLUG: u16 = 0x88E1;
/// Most VLAN tags that are read; a third one is left in front of the payload.
pub const VLAN_TAGS_MAX: usize = 2;
/// Most IPv6 extension headers that are followed; real traffic has one or two.
pub const IPV6_EXTENSIONS_MAX: usize = 8;
/// IP protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// IP protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;
/// IP protocol number of ICMPv6, which carries neighbour discovery.
pub const PROTOCOL_ICMPV6: u8 = 58;

/// Hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Returns whether the address is one of a group, broadcast among them.
    #[must_use]
    pub const fn is_group(self) -> bool {
        let [first, ..] = self.0;
        first & 1 != 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Borrowed Ethernet frame behind its preamble, without the checksum.
#[derive(Debug, Clone, Copy)]
pub struct EtherView<'a> {
    bytes: &'a [u8],
    tags: usize,
}

impl<'a> EtherView<'a> {
    /// Views a frame whose header and VLAN tags are complete, or returns `None`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let mut tags = 0usize;
        while tags < VLAN_TAGS_MAX {
            match u16_at(bytes, Self::type_offset(tags))? {
                0x8100 | 0x88A8 => tags = tags.saturating_add(1),
                _ => break,
            }
        }
        u16_at(bytes, Self::type_offset(tags)).map(|_| Self { bytes, tags })
    }

    const fn type_offset(tags: usize) -> usize {
        tags.saturating_mul(4).saturating_add(12)
    }

    /// Returns the destination address.
    #[must_use]
    pub fn destination(&self) -> Mac {
        Mac(array(self.bytes, 0).unwrap_or_default())
    }

    /// Returns the source address.
    #[must_use]
    pub fn source(&self) -> Mac {
        Mac(array(self.bytes, 6).unwrap_or_default())
    }

    /// Returns the VLAN numbers, outermost first.
    pub fn vlans(&self) -> impl Iterator<Item = u16> + use<'a> {
        let bytes = self.bytes;
        (0..self.tags)
            .filter_map(move |tag| u16_at(bytes, Self::type_offset(tag).saturating_add(2)))
            .map(|control| control & 0x0FFF)
    }

    /// Returns the EtherType behind the tags; up to 1500 it is a length (IEEE 802.3).
    #[must_use]
    pub fn ethertype(&self) -> u16 {
        u16_at(self.bytes, Self::type_offset(self.tags)).unwrap_or(0)
    }

    /// Returns the bytes behind the EtherType.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(Self::type_offset(self.tags).saturating_add(2)..).unwrap_or(&[])
    }

    /// Returns the IP packet inside, or `None` if there is none or it is cut or malformed.
    #[must_use]
    pub fn ip(&self) -> Option<IpView<'a>> {
        match self.ethertype() {
            ETHERTYPE_IPV4 => IpView::v4(self.payload()),
            ETHERTYPE_IPV6 => IpView::v6(self.payload()),
            _ => None,
        }
    }
}

/// Address of IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpAddress {
    /// IPv4.
    V4([u8; 4]),
    /// IPv6.
    V6([u8; 16]),
}

impl IpAddress {
    /// Returns whether the address is one of a group, the IPv4 broadcast among them.
    #[must_use]
    pub const fn is_group(self) -> bool {
        match self {
            Self::V4([255, 255, 255, 255]) => true,
            Self::V4([first, ..]) => first & 0xF0 == 0xE0,
            Self::V6([first, ..]) => first == 0xFF,
        }
    }

    /// Returns whether the address is good on its own link only: no router forwards it (RFC 3927, RFC 4291).
    #[must_use]
    pub const fn is_link_local(self) -> bool {
        match self {
            Self::V4([first, second, ..]) => first == 169 && second == 254,
            Self::V6([first, second, ..]) => first == 0xFE && second & 0xC0 == 0x80,
        }
    }

    /// Returns whether the address stands for none.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::V4([0; 4]) || self == Self::V6([0; 16])
    }
}

impl fmt::Display for IpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4(bytes) => Ipv4Addr::from(bytes).fmt(f),
            Self::V6(bytes) => Ipv6Addr::from(bytes).fmt(f),
        }
    }
}

/// Borrowed IP packet.
#[derive(Debug, Clone, Copy)]
pub struct IpView<'a> {
    source: IpAddress,
    destination: IpAddress,
    protocol: u8,
    later_fragment: bool,
    payload: &'a [u8],
}

impl<'a> IpView<'a> {
    /// Views an IPv4 packet, or returns `None` if the header is cut or says impossible lengths.
    #[must_use]
    pub fn v4(bytes: &'a [u8]) -> Option<Self> {
        let first = u8_at(bytes, 0)?;
        let header = usize::from(first & 0x0F).saturating_mul(4);
        let total = usize::from(u16_at(bytes, 2)?);
        if first >> 4 != 4 || header < 20 || total < header {
            return None;
        }
        Some(Self {
            source: IpAddress::V4(array(bytes, 12)?),
            destination: IpAddress::V4(array(bytes, 16)?),
            protocol: u8_at(bytes, 9)?,
            later_fragment: u16_at(bytes, 6)? & 0x1FFF != 0,
            payload: bytes.get(header..total.min(bytes.len()))?,
        })
    }

    /// Views an IPv6 packet behind its extension headers, or returns `None` if a header is cut.
    #[must_use]
    pub fn v6(bytes: &'a [u8]) -> Option<Self> {
        if u8_at(bytes, 0)? >> 4 != 6 {
            return None;
        }
        let end = usize::from(u16_at(bytes, 4)?).saturating_add(40).min(bytes.len());
        let mut protocol = u8_at(bytes, 6)?;
        let mut payload = bytes.get(40..end)?;
        let mut later_fragment = false;
        for _ in 0..IPV6_EXTENSIONS_MAX {
            let skip = match protocol {
                0 | 43 | 60 => usize::from(u8_at(payload, 1)?).saturating_add(1).saturating_mul(8),
                44 => {
                    later_fragment |= u16_at(payload, 2)? & 0xFFF8 != 0;
                    8
                }
                _ => break,
            };
            protocol = u8_at(payload, 0)?;
            payload = payload.get(skip..)?;
        }
        Some(Self {
            source: IpAddress::V6(array(bytes, 8)?),
            destination: IpAddress::V6(array(bytes, 24)?),
            protocol,
            later_fragment,
            payload,
        })
    }

    /// Returns the source address.
    #[must_use]
    pub const fn source(&self) -> IpAddress {
        self.source
    }

    /// Returns the destination address.
    #[must_use]
    pub const fn destination(&self) -> IpAddress {
        self.destination
    }

    /// Returns the protocol number of the payload.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Returns whether this is a second or later fragment, which has no ports.
    #[must_use]
    pub const fn is_later_fragment(&self) -> bool {
        self.later_fragment
    }

    /// Returns the bytes behind the headers, without link padding, as far as they were captured.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Returns ports and payload of UDP or TCP, or `None` for other protocols, fragments and cut headers.
    #[must_use]
    pub fn ports(&self) -> Option<PortsView<'a>> {
        if self.later_fragment {
            return None;
        }
        let is_tcp = self.protocol == PROTOCOL_TCP;
        let header = match self.protocol {
            PROTOCOL_UDP => 8,
            PROTOCOL_TCP => usize::from(u8_at(self.payload, 12)? >> 4).saturating_mul(4).max(20),
            _ => return None,
        };
        let flags = if is_tcp { u8_at(self.payload, 13)? } else { 0 };
        let number = |at| if is_tcp { u32_at(self.payload, at, ByteOrder::Big) } else { Some(0) };
        Some(PortsView {
            source: u16_at(self.payload, 0)?,
            destination: u16_at(self.payload, 2)?,
            is_tcp,
            tcp: TcpFacts { flags, sequence: number(4)?, acknowledgement: number(8)? },
            payload: self.payload.get(header..)?,
        })
    }
}

/// Ports and payload of a UDP datagram or TCP segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortsView<'a> {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Whether it is TCP.
    pub is_tcp: bool,
    /// What a TCP header says beside the ports; zeros for UDP.
    pub tcp: TcpFacts,
    /// Bytes behind the header.
    pub payload: &'a [u8],
}

/// What a TCP header says beside the ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TcpFacts {
    /// Flags as written: FIN 1, SYN 2, RST 4, PSH 8, ACK 16.
    pub flags: u8,
    /// Sequence number of the first byte.
    pub sequence: u32,
    /// Number of the next byte that the sender waits for; says nothing without [`Self::acknowledges`].
    pub acknowledgement: u32,
}

impl TcpFacts {
    /// Returns whether the segment opens a connection.
    #[must_use]
    pub const fn is_opening(self) -> bool {
        self.flags & 0x12 == 0x02
    }

    /// Returns whether the segment opens its direction of a connection, asking or answering.
    #[must_use]
    pub const fn is_synchronising(self) -> bool {
        self.flags & 0x02 != 0
    }

    /// Returns whether the segment breaks a connection off.
    #[must_use]
    pub const fn is_reset(self) -> bool {
        self.flags & 0x04 != 0
    }

    /// Returns whether the segment says what its sender has.
    #[must_use]
    pub const fn acknowledges(self) -> bool {
        self.flags & 0x10 != 0
    }

    /// Returns whether the segment ends a connection.
    #[must_use]
    pub const fn is_ending(self) -> bool {
        self.flags & 0x05 != 0
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    use super::*;

    fn udp_v4(tagged: bool) -> Vec<u8> {
        let mut bytes = vec![0xFF; 6];
        bytes.extend([2, 0, 0, 0, 0, 1]);
        if tagged {
            bytes.extend([0x81, 0x00, 0x20, 0x07]);
        }
        bytes.extend([0x08, 0x00]);
        bytes.extend([0x45, 0, 0, 31, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        bytes.extend([0x34, 0x58, 0x12, 0x34, 0, 11, 0, 0, 1, 2, 3]);
        bytes.extend([0; 15]);
        bytes
    }

    #[test]
    fn ports_and_payload_come_out_with_and_without_a_tag_and_padding_stays_away() {
        for tagged in [false, true] {
            let bytes = udp_v4(tagged);
            let ether = EtherView::new(&bytes).expect("whole header");
            assert_eq!(ether.vlans().collect::<Vec<_>>(), if tagged { vec![7] } else { vec![] });
            assert_eq!(ether.source(), Mac([2, 0, 0, 0, 0, 1]));
            let ip = ether.ip().expect("IPv4");
            assert_eq!(ip.destination(), IpAddress::V4([10, 0, 0, 2]));
            let ports = ip.ports().expect("UDP");
            assert_eq!((ports.source, ports.destination, ports.is_tcp), (13400, 0x1234, false));
            assert_eq!(ports.payload, [1, 2, 3]);
        }
    }

    #[test]
    fn a_later_fragment_has_no_ports() {
        let mut bytes = udp_v4(false);
        bytes[14 + 7] = 1;
        let ip = EtherView::new(&bytes).and_then(|ether| ether.ip()).expect("IPv4");
        assert!(ip.is_later_fragment());
        assert_eq!(ip.ports(), None);
    }

    #[test]
    fn ipv6_extension_headers_are_followed() {
        let mut bytes = vec![0; 12];
        bytes.extend([0x86, 0xDD, 0x60, 0, 0, 0, 0, 18, 0, 64]);
        bytes.extend([0xFE; 16]);
        bytes.extend([0xFF; 16]);
        bytes.extend([17, 0, 0, 0, 0, 0, 0, 0]);
        bytes.extend([0x3B, 0x0E, 0x3B, 0x0F, 0, 10, 0, 0, 9, 9]);
        let ip = EtherView::new(&bytes).and_then(|ether| ether.ip()).expect("IPv6");
        let ports = ip.ports().expect("UDP behind hop-by-hop");
        assert_eq!((ports.source, ports.payload), (0x3B0E, [9u8, 9].as_slice()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_viewed_without_harm(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), kind in 0u8..4) {
            if bytes.len() > 14 {
                let head: [u8; 3] = [[8, 0, 0x45], [0x86, 0xDD, 0x60], [0x81, 0, 0], [0x88, 0xE1, 0]][usize::from(kind)];
                bytes[12..15].copy_from_slice(&head);
            }
            if let Some(ether) = EtherView::new(&bytes) {
                let inside = ether.ip().map(|ip| ip.payload().len());
                prop_assert!(inside.unwrap_or(0) <= ether.payload().len());
                let _ = ether.ip().and_then(|ip| ip.ports());
            }
        }
    }
}
