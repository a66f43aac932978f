//! What is normal on a vehicle's Ethernet: learned once, written to a file, read in place.
//!
//! All numbers are little endian, addresses in network order. Layout: the header of the CAN model with another
//! magic, one record of [`SEGMENT_BYTES`] a segment, then for each segment its lists in the order of [`Lists`], each ascending and without
//! repeats, and a CRC-32C over everything before it. Nothing lies between these parts, and nothing but
//! [signatures](crate::model::signature) behind them.

mod repr;
#[cfg(test)]
mod tests;
mod view;
mod write;

use crate::model::envelope;

pub use repr::{
    Binding, EtherTypeFact, Flow, Host, Method, Record, SegmentFacts, Service, Subscription, TesterFact, Vlan,
};
pub use view::{EthernetModel, List, SegmentModel};
pub use write::{SegmentDraft, encoded_bytes, write};

/// First bytes of a model.
pub const MAGIC: [u8; 8] = *b"OUTRETHM";
/// Version of the layout that this crate reads and writes.
pub const VERSION: u16 = 1;
/// Bytes of a segment record.
pub const SEGMENT_BYTES: usize = 64;
/// Most segments of a model: interfaces of a gateway.
pub const SEGMENTS_MAX: usize = 8;

/// Which list a record belongs to, in the order of the file, and how many records it may have.
///
/// The bounds are those of the detector's tables: twice to four times what published vehicle networks have (guess).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lists {
    /// Ethernet addresses.
    Hosts,
    /// EtherTypes.
    EtherTypes,
    /// VLANs.
    Vlans,
    /// IP addresses with their Ethernet addresses.
    Bindings,
    /// Offered services.
    Services,
    /// Subscribed event groups.
    Subscriptions,
    /// Methods and events.
    Methods,
    /// Diagnostic testers.
    Testers,
    /// Flows.
    Flows,
}

impl Lists {
    /// Every list in the order of the file.
    pub const ALL: [Self; 9] = [
        Self::Hosts,
        Self::EtherTypes,
        Self::Vlans,
        Self::Bindings,
        Self::Services,
        Self::Subscriptions,
        Self::Methods,
        Self::Testers,
        Self::Flows,
    ];

    /// Returns the most records of the list.
    #[must_use]
    pub const fn limit(self) -> usize {
        match self {
            Self::Hosts => 256,
            Self::EtherTypes => 32,
            Self::Vlans => 64,
            Self::Bindings | Self::Services | Self::Subscriptions => 512,
            Self::Methods | Self::Flows => 1024,
            Self::Testers => 32,
        }
    }

    /// Returns the bytes of a record of the list.
    #[must_use]
    pub const fn record_bytes(self) -> usize {
        match self {
            Self::Hosts => Host::BYTES,
            Self::EtherTypes => EtherTypeFact::BYTES,
            Self::Vlans => Vlan::BYTES,
            Self::Bindings => Binding::BYTES,
            Self::Services => Service::BYTES,
            Self::Subscriptions => Subscription::BYTES,
            Self::Methods => Method::BYTES,
            Self::Testers => TesterFact::BYTES,
            Self::Flows => Flow::BYTES,
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

/// What tells an Ethernet model from others.
const KIND: envelope::Kind = envelope::Kind {
    magic: MAGIC,
    versions: 1..=VERSION,
    records_max: SEGMENTS_MAX,
    record_bytes: SEGMENT_BYTES,
};
