//! Who has which address: ARP (RFC 826) and IPv6 neighbour discovery (RFC 4861).
//!
//! [`ArpPacket`] is a whole request or answer, [`claim`] gives the binding of an Ethernet frame's packet, whatever
//! protocol states them. Only claims about the sender or its own target are given: they are what poisons a cache.

use core::fmt;

use crate::bytes::{NoSpace, Writer, array, u8_at, u16_at};
use crate::ether::{ETHERTYPE_ARP, EtherView, IpAddress, Mac, PROTOCOL_ICMPV6};

/// Bytes of an ARP packet for Ethernet and IPv4.
pub const ARP_BYTES: usize = 28;
/// Most options of a neighbour discovery message that are read; real ones have one or two.
pub const OPTIONS_MAX: usize = 8;

/// What an ARP packet does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Who has the target's address?
    Request,
    /// The sender has it.
    Reply,
    /// Another number, as of reverse ARP.
    Other(u16),
}

/// Why bytes are no ARP packet for Ethernet and IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArpError {
    /// The bytes end before the packet does.
    Truncated {
        /// Bytes there.
        got: usize,
    },
    /// Other kinds or lengths of addresses.
    Addresses,
}

impl fmt::Display for ArpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { got } => write!(f, "packet needs {ARP_BYTES} bytes, got {got}"),
            Self::Addresses => f.write_str("not for Ethernet and IPv4"),
        }
    }
}

impl core::error::Error for ArpError {}

/// ARP packet for Ethernet and IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArpPacket {
    /// What it does.
    pub operation: Operation,
    /// Ethernet address that the sender states.
    pub sender_mac: Mac,
    /// IPv4 address that the sender states.
    pub sender_ip: [u8; 4],
    /// Ethernet address of the target, zeros in a request.
    pub target_mac: Mac,
    /// IPv4 address of the target.
    pub target_ip: [u8; 4],
}

impl ArpPacket {
    /// Reads a packet; bytes behind it are padding.
    ///
    /// # Errors
    /// [`ArpError`] for each way the bytes are none.
    pub fn parse(bytes: &[u8]) -> Result<Self, ArpError> {
        let short = ArpError::Truncated { got: bytes.len() };
        let target_ip = array(bytes, 24).ok_or(short)?;
        if array(bytes, 0) != Some([0, 1, 8, 0, 6, 4]) {
            return Err(ArpError::Addresses);
        }
        Ok(Self {
            operation: match u16_at(bytes, 6).ok_or(short)? {
                1 => Operation::Request,
                2 => Operation::Reply,
                other => Operation::Other(other),
            },
            sender_mac: Mac(array(bytes, 8).ok_or(short)?),
            sender_ip: array(bytes, 14).ok_or(short)?,
            target_mac: Mac(array(bytes, 18).ok_or(short)?),
            target_ip,
        })
    }

    /// Writes the packet and returns its length in bytes.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer is too small.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoSpace> {
        let operation = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
            Operation::Other(number) => number,
        };
        let mut writer = Writer::new(out);
        writer.put(&[0, 1, 8, 0, 6, 4]);
        writer.put(&operation.to_be_bytes());
        writer.put(&self.sender_mac.0);
        writer.put(&self.sender_ip);
        writer.put(&self.target_mac.0);
        writer.put(&self.target_ip);
        writer.finish()
    }

    /// Returns whether the sender speaks about itself without being asked.
    #[must_use]
    pub fn is_gratuitous(&self) -> bool {
        self.sender_ip == self.target_ip
    }
}

/// A stated binding of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    /// Who is said to have it.
    pub mac: Mac,
    /// The address.
    pub ip: IpAddress,
}

/// Returns the binding that a frame states, or `None` if it states none: no ARP or neighbour discovery, an address
/// that stands for none (a probe), or a cut packet.
#[must_use]
pub fn claim(frame: &EtherView<'_>) -> Option<Claim> {
    if frame.ethertype() == ETHERTYPE_ARP {
        let packet = ArpPacket::parse(frame.payload()).ok()?;
        let states = packet.sender_ip != [0; 4] && packet.sender_mac != Mac([0; 6]);
        return states.then_some(Claim { mac: packet.sender_mac, ip: IpAddress::V4(packet.sender_ip) });
    }
    let ip = frame.ip().filter(|ip| ip.protocol() == PROTOCOL_ICMPV6 && !ip.is_later_fragment())?;
    let payload = ip.payload();
    match u8_at(payload, 0)? {
        // A solicitation states the source's own address (option 1), an advertisement the target's (option 2).
        135 => Some(Claim { mac: link_option(payload, 24, 1)?, ip: stated(ip.source())? }),
        136 => {
            let target = IpAddress::V6(array(payload, 8)?);
            Some(Claim { mac: link_option(payload, 24, 2)?, ip: stated(target)? })
        }
        _ => None,
    }
}

fn stated(ip: IpAddress) -> Option<IpAddress> {
    (ip != IpAddress::V6([0; 16])).then_some(ip)
}

/// Finds the link-layer address option of a kind.
fn link_option(payload: &[u8], begin: usize, wanted: u8) -> Option<Mac> {
    let mut rest = payload.get(begin..)?;
    for _ in 0..OPTIONS_MAX {
        let (kind, units) = (u8_at(rest, 0)?, u8_at(rest, 1)?);
        if kind == wanted && units == 1 {
            return array(rest, 2).map(Mac);
        }
        if units == 0 {
            return None;
        }
        rest = rest.get(usize::from(units).saturating_mul(8)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

    fn arp(operation: Operation) -> ArpPacket {
        ArpPacket {
            operation,
            sender_mac: MAC,
            sender_ip: [10, 0, 0, 1],
            target_mac: Mac([0; 6]),
            target_ip: [10, 0, 0, 2],
        }
    }

    fn frame(ethertype: u16, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0xFF; 12];
        bytes.extend(ethertype.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn requests_and_replies_claim_their_sender_and_probes_claim_nothing() {
        let mut out = [0; ARP_BYTES];
        let claimed = |packet: ArpPacket, out: &mut [u8; ARP_BYTES]| {
            packet.emit(out).expect("fits");
            let bytes = frame(ETHERTYPE_ARP, out);
            claim(&EtherView::new(&bytes).expect("a frame"))
        };
        let expected = Claim { mac: MAC, ip: IpAddress::V4([10, 0, 0, 1]) };
        assert_eq!(claimed(arp(Operation::Request), &mut out), Some(expected));
        assert_eq!(claimed(arp(Operation::Reply), &mut out), Some(expected));
        assert_eq!(claimed(ArpPacket { sender_ip: [0; 4], ..arp(Operation::Request) }, &mut out), None);
        out[4] = 5;
        assert_eq!(ArpPacket::parse(&out), Err(ArpError::Addresses));
        assert_eq!(ArpPacket::parse(&out[..27]), Err(ArpError::Truncated { got: 27 }));
        assert!(ArpPacket { target_ip: [10, 0, 0, 1], ..arp(Operation::Reply) }.is_gratuitous());
    }

    #[test]
    fn a_neighbour_advertisement_claims_its_target() {
        let mut packet = vec![0x60, 0, 0, 0, 0, 32, 58, 255];
        packet.extend([0xFE; 16]);
        packet.extend([0xFF; 16]);
        packet.extend([136, 0, 0, 0, 0x60, 0, 0, 0]);
        packet.extend([0xFD; 16]);
        packet.extend([14, 1, 9, 9, 9, 9, 9, 9, 2, 1, 2, 0, 0, 0, 0, 1]);
        let bytes = frame(0x86DD, &packet);
        let view = EtherView::new(&bytes).expect("a frame");
        assert_eq!(claim(&view), None, "the length leaves the second option out");
        packet.truncate(40 + 24);
        packet.extend([2, 1, 2, 0, 0, 0, 0, 1]);
        let bytes = frame(0x86DD, &packet);
        let view = EtherView::new(&bytes).expect("a frame");
        assert_eq!(claim(&view), Some(Claim { mac: MAC, ip: IpAddress::V6([0xFD; 16]) }));
    }

    proptest! {
        #[test]
        fn every_packet_survives_the_wire(operation: u16, macs: [[u8; 6]; 2], ips: [[u8; 4]; 2]) {
            let operation = match operation { 1 => Operation::Request, 2 => Operation::Reply, other => Operation::Other(other) };
            let packet = ArpPacket {
                operation, sender_mac: Mac(macs[0]), sender_ip: ips[0], target_mac: Mac(macs[1]), target_ip: ips[1],
            };
            let mut out = [0; ARP_BYTES];
            packet.emit(&mut out).expect("fits");
            prop_assert_eq!(ArpPacket::parse(&out), Ok(packet));
        }

        #[test]
        fn any_bytes_claim_something_or_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..120), v6: bool) {
            let mut payload = bytes;
            if v6 && payload.len() > 7 { payload[0] = 0x60; payload[6] = 58; }
            let bytes = frame(if v6 { 0x86DD } else { ETHERTYPE_ARP }, &payload);
            if let Some(view) = EtherView::new(&bytes) { let _ = claim(&view); }
        }
    }
}
