//! Records of a model.

use core::cmp::Ordering;

use outrider_bus::ether::{IpAddress, Mac};
use outrider_types::BusId;

use super::Lists;

/// Bytes of an address: 4 or 6, and sixteen bytes of which IPv4 uses the first four.
const IP_BYTES: usize = 17;

/// Record of a list.
pub trait Record: Copy + Default {
    /// The list it belongs to.
    const LIST: Lists;
    /// Bytes it has in a file.
    const BYTES: usize;
    /// Compares what tells records apart; everything else is a fact about it.
    fn order(&self, other: &Self) -> Ordering;
    /// Reads a record of [`Self::BYTES`], or returns `None` if a value is out of its range.
    fn read(bytes: &[u8]) -> Option<Self>;
    /// Writes the record into [`Self::BYTES`].
    fn put(&self, out: &mut [u8]);
}

/// What is normal for a whole segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SegmentFacts {
    /// The segment.
    pub bus: BusId,
    /// Whether its stations are always the same ones. A charging port is open: each station is a new one.
    pub is_closed: bool,
    /// Captures learned from.
    pub captures: u16,
    /// Most packets in a second.
    pub packets_max: u32,
    /// Most bytes in a second.
    pub bytes_max: u32,
}

macro_rules! records {
    ($($(#[$doc:meta])* $name:ident in $list:ident, $bytes:literal bytes { $($(#[$field_doc:meta])* $field:ident: $kind:ty = $parse:ident,)* } by $($key:ident),*;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $kind,)*
            }

            impl Record for $name {
                const LIST: Lists = Lists::$list;
                const BYTES: usize = $bytes;

                fn order(&self, other: &Self) -> Ordering {
                    ($(&self.$key,)*).cmp(&($(&other.$key,)*))
                }

                fn read(bytes: &[u8]) -> Option<Self> {
                    let mut reader = Reader(bytes);
                    Some(Self { $($field: reader.$parse()?,)* })
                }

                fn put(&self, out: &mut [u8]) {
                    let mut writer = Writer(out);
                    $(writer.$parse(self.$field);)*
                }
            }

            impl Default for $name {
                fn default() -> Self {
                    Self { $($field: Blank::BLANK,)* }
                }
            }
        )*
    };
}

records! {
    /// Station.
    Host in Hosts, 6 bytes {
        /// Its Ethernet address.
        mac: Mac = mac,
    } by mac;
    /// EtherType in use; 0 stands for every length field of IEEE 802.3.
    EtherTypeFact in EtherTypes, 2 bytes {
        /// The type.
        ethertype: u16 = u16,
    } by ethertype;
    /// VLAN in use.
    Vlan in Vlans, 2 bytes {
        /// Its number.
        vlan: u16 = u16,
    } by vlan;
    /// IP address and who has it; an address may have several.
    Binding in Bindings, 23 bytes {
        /// The address.
        ip: IpAddress = ip,
        /// Who has it, or forwards it.
        mac: Mac = mac,
    } by ip, mac;
    /// Offered service instance and where it is.
    Service in Services, 24 bytes {
        /// Service.
        service: u16 = u16,
        /// Instance.
        instance: u16 = u16,
        /// Address of its endpoint.
        ip: IpAddress = ip,
        /// Port of its endpoint.
        port: u16 = u16,
        /// Protocol number of its endpoint.
        protocol: u8 = u8,
    } by service, instance, ip, port, protocol;
    /// Subscribed event group.
    Subscription in Subscriptions, 23 bytes {
        /// Service.
        service: u16 = u16,
        /// Instance.
        instance: u16 = u16,
        /// Event group.
        group: u16 = u16,
        /// Who subscribes.
        ip: IpAddress = ip,
    } by service, instance, group, ip;
    /// Method or event and the size of its messages.
    Method in Methods, 13 bytes {
        /// Service.
        service: u16 = u16,
        /// Method, or event with the highest bit set.
        method: u16 = u16,
        /// Version of the interface.
        interface_version: u8 = u8,
        /// Shortest payload seen, in bytes.
        bytes_min: u32 = u32,
        /// Longest payload seen, in bytes.
        bytes_max: u32 = u32,
    } by service, method;
    /// Diagnostic tester.
    TesterFact in Testers, 19 bytes {
        /// Its logical address.
        address: u16 = u16,
        /// Its IP address.
        ip: IpAddress = ip,
    } by address, ip;
    /// Flow in one direction and how much it carries.
    Flow in Flows, 45 bytes {
        /// Sender.
        source: IpAddress = ip,
        /// Receiver.
        destination: IpAddress = ip,
        /// Protocol number.
        protocol: u8 = u8,
        /// The lower port of both, or 0 where both are picked at random or there are none.
        port: u16 = u16,
        /// Most bytes in a second.
        bytes_max: u32 = u32,
        /// Most packets in a second.
        packets_max: u32 = u32,
    } by source, destination, protocol, port;
}

/// Value of an empty place.
trait Blank {
    const BLANK: Self;
}

impl Blank for u8 {
    const BLANK: Self = 0;
}

impl Blank for u16 {
    const BLANK: Self = 0;
}

impl Blank for u32 {
    const BLANK: Self = 0;
}

impl Blank for Mac {
    const BLANK: Self = Self([0; 6]);
}

impl Blank for IpAddress {
    const BLANK: Self = Self::V4([0; 4]);
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn mac(&mut self) -> Option<Mac> {
        self.take().map(Mac)
    }

    fn ip(&mut self) -> Option<IpAddress> {
        let [kind, bytes @ ..] = self.take::<IP_BYTES>()?;
        match (kind, bytes) {
            (4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) => Some(IpAddress::V4([a, b, c, d])),
            (6, bytes) => Some(IpAddress::V6(bytes)),
            _ => None,
        }
    }
}

struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    fn give(&mut self, bytes: &[u8]) {
        let whole = core::mem::take(&mut self.0);
        if let Some((slot, rest)) = whole.split_at_mut_checked(bytes.len()) {
            slot.copy_from_slice(bytes);
            self.0 = rest;
        }
    }

    fn u8(&mut self, value: u8) {
        self.give(&[value]);
    }

    fn u16(&mut self, value: u16) {
        self.give(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.give(&value.to_le_bytes());
    }

    fn mac(&mut self, value: Mac) {
        self.give(&value.0);
    }

    fn ip(&mut self, value: IpAddress) {
        match value {
            IpAddress::V4(bytes) => {
                self.give(&[4]);
                self.give(&bytes);
                self.give(&[0; 12]);
            }
            IpAddress::V6(bytes) => {
                self.give(&[6]);
                self.give(&bytes);
            }
        }
    }
}
