//! HomePlug management messages (EtherType 0x88E1): how car and charging station find each other (SLAC).
//!
//! Layout: version (1), type (2, little endian; the low two bits say request, confirmation, indication or response),
//! fragmentation (2, from version 1), body. Source: HomePlug Green PHY 1.1; ISO 15118-3, annex A.

use crate::bytes::{array, u8_at};
use crate::codes::code_enum;

code_enum! {
    /// What a message is about: its type without the low two bits.
    Topic: u16 {
        /// Sets the key of a network; meant for the sender's own modem.
        SetKey = 0x6008,
        /// Parameters of a matching.
        SlacParameters = 0x6064,
        /// A matching's sounding begins.
        StartAttenuation = 0x6068,
        /// What the station heard of the sounds.
        AttenuationCharacteristic = 0x606C,
        /// A sound.
        Sound = 0x6074,
        /// Proof by toggling the control pilot.
        Validate = 0x6078,
        /// Car and station choose each other; the confirmation carries the network's key.
        Match = 0x607C,
        /// What a modem heard of a sound.
        AttenuationProfile = 0x6084,
    }
}

/// Which part of an exchange a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Asks.
    Request,
    /// Answers a request.
    Confirmation,
    /// Says something unasked.
    Indication,
    /// Answers an indication.
    Response,
}

/// Borrowed management message.
#[derive(Debug, Clone, Copy)]
pub struct HomePlugView<'a> {
    bytes: &'a [u8],
}

impl<'a> HomePlugView<'a> {
    /// Views the payload of an Ethernet frame, or returns `None` if its header is cut.
    #[must_use]
    pub fn new(payload: &'a [u8]) -> Option<Self> {
        let header = if u8_at(payload, 0)? == 0 { 3 } else { 5 };
        (payload.len() >= header).then_some(Self { bytes: payload })
    }

    /// Returns the type as written.
    #[must_use]
    pub fn type_code(&self) -> u16 {
        array(self.bytes, 1).map_or(0, u16::from_le_bytes)
    }

    /// Returns what the message is about. Types from 0xA000 are a maker's own.
    #[must_use]
    pub fn topic(&self) -> Topic {
        Topic::from_code(self.type_code() & 0xFFFC)
    }

    /// Returns which part of an exchange it is.
    #[must_use]
    pub fn part(&self) -> Part {
        match self.type_code() & 3 {
            0 => Part::Request,
            1 => Part::Confirmation,
            2 => Part::Indication,
            _ => Part::Response,
        }
    }

    /// Returns the number of a matching's run, which car and station must both use, or `None` for another message or a
    /// cut one.
    #[must_use]
    pub fn run_id(&self) -> Option<[u8; 8]> {
        let offset = match (self.topic(), self.part()) {
            (Topic::SlacParameters, Part::Request) => 7usize,
            (Topic::SlacParameters, Part::Confirmation) => 22,
            (Topic::StartAttenuation, Part::Indication) => 16,
            (Topic::Match, Part::Request | Part::Confirmation) => 66,
            _ => return None,
        };
        array(self.bytes, offset)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn topic_and_part_come_from_one_number() {
        let message = [1, 0x7D, 0x60, 0, 0];
        let view = HomePlugView::new(&message).expect("a header");
        assert_eq!((view.topic(), view.part(), view.run_id()), (Topic::Match, Part::Confirmation, None));
        let mut request = [0u8; 15];
        request[..3].copy_from_slice(&[1, 0x64, 0x60]);
        request[7..].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
        let view = HomePlugView::new(&request).expect("a header");
        assert_eq!((view.topic(), view.run_id()), (Topic::SlacParameters, Some([1, 2, 3, 4, 5, 6, 7, 8])));
        assert!(HomePlugView::new(&[1, 0x64, 0x60, 0]).is_none());
        assert!(HomePlugView::new(&[0, 0x64, 0xA0]).is_some());
        assert!(HomePlugView::new(&[]).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_viewed_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..90)) {
            if let Some(view) = HomePlugView::new(&bytes) {
                prop_assert_eq!(view.topic().code() | view.type_code() & 3, view.type_code());
                let _ = view.run_id();
            }
        }
    }
}
