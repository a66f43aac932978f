//! Sizes of the spool and what it is sealed with.

use std::fmt;

use outrider_types::{BootEpoch, Lane};
use outrider_wire::Signer;
use zeroize::Zeroizing;

use super::anchor::{Anchor, SoftwareAnchor};
use super::record::HEADER_BYTES;
use super::seal::{Key, derive};
use crate::Ed25519Signer;

/// Bytes in front of the slots, for two copies of the keys a page apart, so that one torn page cannot take both.
pub(super) const KEY_AREA_BYTES: u64 = 8192;

/// Sizes of the spool. A medium is laid out with them; other sizes make its rows unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolConfig {
    /// Bytes reserved for each lane: critical, batched, deferred. At least two segments each.
    pub quota_bytes: [u64; 3],
    /// Bytes of a segment, between 1 KiB and 64 KiB: what is evicted at once, and what one signature covers.
    pub segment_bytes: u64,
    /// Bytes reserved for balances and tombstones, from which eviction pays. At least six segments.
    pub journal_bytes: u64,
}

impl Default for SpoolConfig {
    /// Three weeks of an ordinary vehicle (guess): 4, 8 and 16 MiB in segments of 32 KiB, and 2 MiB of journal, twice
    /// the state of 730 boots.
    fn default() -> Self {
        Self { quota_bytes: [4 << 20, 8 << 20, 16 << 20], segment_bytes: 32 << 10, journal_bytes: 2 << 20 }
    }
}

impl SpoolConfig {
    /// Brings the sizes within their bounds.
    pub(super) fn bounded(mut self) -> Self {
        self.segment_bytes = self.segment_bytes.clamp(1024, 64 << 10).max(2 * HEADER_BYTES as u64);
        for quota in &mut self.quota_bytes {
            *quota = (*quota).clamp(2 * self.segment_bytes, 1 << 32);
        }
        self.journal_bytes = self.journal_bytes.clamp(6 * self.segment_bytes, 1 << 32);
        self
    }

    /// Returns the bytes reserved for a lane.
    #[must_use]
    pub const fn quota(&self, lane: Lane) -> u64 {
        let [critical, batched, deferred] = self.quota_bytes;
        match lane {
            Lane::Critical => critical,
            Lane::Batched => batched,
            Lane::Deferred => deferred,
        }
    }

    pub(super) fn lane_slots(&self, lane: Lane) -> u64 {
        self.quota(lane) / self.segment_bytes
    }

    pub(super) const fn journal_slots(&self) -> u64 {
        self.journal_bytes / self.segment_bytes
    }

    pub(super) fn slots(&self) -> u64 {
        Lane::ALL.into_iter().map(|lane| self.lane_slots(lane)).sum::<u64>() + self.journal_slots()
    }

    /// Returns the bytes that the medium must have.
    #[must_use]
    pub fn device_bytes(&self) -> u64 {
        let bounded = self.bounded();
        KEY_AREA_BYTES + bounded.slots() * bounded.segment_bytes
    }
}

/// Keys of the spool.
pub struct SpoolKeys {
    /// Device key: signs segment heads and tombstones.
    pub(super) signer: Box<dyn Signer + Send + Sync>,
    /// Encrypts rows and the current seal keys; stays on the vehicle.
    pub(super) secret: Key,
    /// K0: root of the seal keys of a fresh medium. Not kept.
    pub(super) root: Key,
}

impl fmt::Debug for SpoolKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpoolKeys(..)")
    }
}

impl SpoolKeys {
    /// Takes the device key, the vehicle's secret and K0, which the verifier keeps in escrow and the vehicle should
    /// forget once a medium was begun with it.
    #[must_use]
    pub fn new(signer: Box<dyn Signer + Send + Sync>, secret: [u8; 32], root: [u8; 32]) -> Self {
        Self { signer, secret: Zeroizing::new(secret), root: Zeroizing::new(root) }
    }

    /// Derives all keys from one secret. Whoever has that secret can compute K0: sealing then holds only against those
    /// who do not have it.
    #[must_use]
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        Self {
            signer: Box::new(Ed25519Signer::new(secret)),
            secret: derive(secret, b"outrider spool secret", &[]),
            root: derive(secret, b"outrider spool root", &[]),
        }
    }

    /// Takes K0 from escrow instead of deriving it.
    #[must_use]
    pub fn with_root(self, root: [u8; 32]) -> Self {
        Self { root: Zeroizing::new(root), ..self }
    }

    /// Returns the vehicle's secret and K0, for [`super::Verifying`].
    #[must_use]
    pub fn escrow(&self) -> ([u8; 32], [u8; 32]) {
        (*self.secret, *self.root)
    }
}

/// What a boot of the spool begins with.
pub struct Boot {
    /// Lowest epoch to use, such as a hardware boot counter; it protects against a wiped medium.
    pub floor: BootEpoch,
    /// A number that differs between boots; an attacker should not be able to choose it.
    pub salt: u64,
    /// Keys.
    pub keys: SpoolKeys,
    /// Counter outside of the medium.
    pub anchor: Box<dyn Anchor + Send + Sync>,
}

impl fmt::Debug for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Boot").field("floor", &self.floor).finish_non_exhaustive()
    }
}

impl Boot {
    /// Begins with keys derived from one secret and a counter in memory: for tests and the simulator.
    #[must_use]
    pub fn in_memory(floor: BootEpoch, salt: u64, secret: &[u8; 32]) -> Self {
        let anchor = Box::new(SoftwareAnchor::in_memory(0));
        Self { floor, salt, keys: SpoolKeys::from_secret(secret), anchor }
    }
}
