//! Freshness from PDU to PDU.

use super::view::{Layout, Mac};

/// What an authenticator is computed over: data id, payload and the full freshness value, in this order, network
/// order each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authentic<'a> {
    /// Identifier of the PDU, never sent.
    pub data_id: u16,
    /// What is secured.
    pub payload: &'a [u8],
    /// Full freshness value.
    pub freshness: u64,
}

/// Who has the key.
pub trait Verifier {
    /// Returns whether the authenticator belongs to the data.
    fn verify(&mut self, data: &Authentic<'_>, mac: &Mac) -> bool;
}

/// What a secured PDU turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Authentic and fresh.
    Verified {
        /// Its full freshness value.
        freshness: u64,
    },
    /// Authentic, but with a freshness value that was used before.
    Replayed {
        /// Its full freshness value.
        freshness: u64,
    },
    /// The authenticator fits no freshness value that it could have.
    MacFailure {
        /// The bits of freshness sent.
        freshness: u64,
    },
    /// The freshness counter is at its end.
    Exhausted,
    /// The PDU has no payload.
    Truncated,
}

/// Receiver of one secured PDU.
///
/// At most two verifications a PDU: one for the value it should have, and one that tells a replay from a forgery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receiver {
    data_id: u16,
    layout: Layout,
    latest: Option<u64>,
}

impl Receiver {
    /// Creates a receiver; `latest` is the freshness value verified last, if one is known.
    #[must_use]
    pub const fn new(data_id: u16, layout: Layout, latest: Option<u64>) -> Self {
        Self { data_id, layout, latest }
    }

    /// Returns the freshness value verified last.
    #[must_use]
    pub const fn latest(&self) -> Option<u64> {
        self.latest
    }

    /// Takes one secured PDU.
    pub fn receive(&mut self, pdu: &[u8], verifier: &mut dyn Verifier) -> Outcome {
        let Some(secured) = self.layout.view(pdu) else { return Outcome::Truncated };
        let Some(next) = self.restore(secured.freshness) else { return Outcome::Exhausted };
        let data = Authentic { data_id: self.data_id, payload: secured.payload, freshness: next };
        if verifier.verify(&data, &secured.mac) {
            // Only a freshness value that is sent whole can be restored to an old one.
            if self.latest.is_some_and(|latest| next <= latest) {
                return Outcome::Replayed { freshness: next };
            }
            self.latest = Some(next);
            return Outcome::Verified { freshness: next };
        }
        // The value with the same low bits that is not newer than the latest one.
        let window = 1u64.checked_shl(self.layout.freshness_bits().into());
        let old = match (self.latest, window) {
            (Some(_), Some(window)) => next.checked_sub(window),
            (Some(_) | None, _) => None,
        };
        let Some(freshness) = old else { return Outcome::MacFailure { freshness: secured.freshness } };
        if verifier.verify(&Authentic { freshness, ..data }, &secured.mac) {
            Outcome::Replayed { freshness }
        } else {
            Outcome::MacFailure { freshness: secured.freshness }
        }
    }

    /// Returns the smallest full value above the latest one whose low bits are those sent.
    fn restore(&self, sent: u64) -> Option<u64> {
        let bits = u32::from(self.layout.freshness_bits());
        let Some(latest) = self.latest else { return Some(sent) };
        let Some(window) = 1u64.checked_shl(bits) else {
            return Some(sent);
        };
        let mask = window.saturating_sub(1);
        let candidate = latest & !mask | sent;
        if candidate > latest { Some(candidate) } else { candidate.checked_add(window) }
    }
}
