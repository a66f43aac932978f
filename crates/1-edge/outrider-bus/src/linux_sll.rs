//! Linux cooked captures (pcap link type 113), as far as CAN and Ethernet payloads need them.
//!
//! Header of 16 bytes in network order: packet type (2), ARPHRD type (2), address length (2), address (8),
//! protocol (2). Source: libpcap, `pcap-linktype(7)`, `LINKTYPE_LINUX_SLL`.

use crate::bytes::u16_at;

/// Bytes of the header.
pub const SLL_HEADER_BYTES: usize = 16;
/// ARPHRD type of a CAN interface.
pub const ARPHRD_CAN: u16 = 280;

/// What the header says the payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SllPayload {
    /// SocketCAN struct, classic.
    Can,
    /// SocketCAN struct, CAN FD.
    CanFd,
    /// CAN XL.
    CanXl,
    /// EtherType of what follows.
    EtherType(u16),
}

/// Borrowed cooked packet.
#[derive(Debug, Clone, Copy)]
pub struct SllView<'a> {
    bytes: &'a [u8],
}

impl<'a> SllView<'a> {
    /// Views a packet whose header is complete, or returns `None`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() < SLL_HEADER_BYTES { None } else { Some(Self { bytes }) }
    }

    /// Returns the packet type: 0 to us, 1 broadcast, 2 multicast, 3 to somebody else, 4 sent by us.
    #[must_use]
    pub fn packet_type(&self) -> u16 {
        u16_at(self.bytes, 0).unwrap_or(0)
    }

    /// Returns the ARPHRD type of the interface.
    #[must_use]
    pub fn hardware_type(&self) -> u16 {
        u16_at(self.bytes, 2).unwrap_or(0)
    }

    /// Returns what the payload is (`ETH_P_CAN` 12, `ETH_P_CANFD` 13, `ETH_P_CANXL` 14, else an EtherType).
    #[must_use]
    pub fn protocol(&self) -> SllPayload {
        match u16_at(self.bytes, 14).unwrap_or(0) {
            0x000C => SllPayload::Can,
            0x000D => SllPayload::CanFd,
            0x000E => SllPayload::CanXl,
            other => SllPayload::EtherType(other),
        }
    }

    /// Returns the bytes behind the header.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(SLL_HEADER_BYTES..).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocol_numbers_below_an_ethertype_name_can() {
        let mut packet = [0u8; 17];
        packet[3] = 24;
        packet[2] = 1;
        for (number, expected) in
            [(0x0C, SllPayload::Can), (0x0D, SllPayload::CanFd), (0x0E, SllPayload::CanXl)]
        {
            packet[15] = number;
            let view = SllView::new(&packet).expect("long enough");
            assert_eq!((view.protocol(), view.hardware_type()), (expected, ARPHRD_CAN));
            assert_eq!(view.payload(), [0]);
        }
        packet[14] = 8;
        packet[15] = 0;
        let view = SllView::new(&packet).expect("long enough");
        assert_eq!(view.protocol(), SllPayload::EtherType(0x0800));
        assert!(SllView::new(&packet[..15]).is_none());
    }
}
