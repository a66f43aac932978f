//! Rows of short frames that wait for the batch that proves them.

use std::collections::BTreeMap;

use outrider_model::SaveError;
use outrider_types::{BootEpoch, IngestTime, Lane, Seq, UnixMicros};
use outrider_wire::ShortProof;
use sha2::{Digest, Sha256};

use crate::interval::StateCursor;

/// Rows of a vehicle that wait: a gateway proves every quarter of an hour, or after 64 runs. The oldest gives way.
const ROWS_MAX: usize = 1024;

type Place = (BootEpoch, Lane, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Waiting {
    hash: [u8; 32],
    since: IngestTime,
}

/// What a signed batch says of rows that came in short frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShortVerdict {
    /// They are what the vehicle sent.
    Proved,
    /// They are not: somebody between vehicle and log wrote other rows under these numbers.
    Forged,
    /// Some of them never came in a short frame, came in a batch as well, or waited for too long.
    Unknown,
}

/// Rows of one vehicle that came in short frames and that no signed batch has proved yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShortLedger(BTreeMap<Place, Waiting>);

impl ShortLedger {
    /// Enters a row, as a batch of one event. What came first under a number stays.
    pub fn note(&mut self, epoch: BootEpoch, lane: Lane, seq: Seq, row: &[u8], since: IngestTime) {
        let waiting = Waiting { hash: Sha256::digest(row).into(), since };
        self.0.entry((epoch, lane, seq.0)).or_insert(waiting);
        if self.0.len() > ROWS_MAX {
            self.0.pop_first();
        }
    }

    /// Compares rows with what a signed batch of the boot says, and forgets them unless some are unknown.
    pub fn check(&mut self, epoch: BootEpoch, proof: &ShortProof) -> ShortVerdict {
        let (first, last) = (proof.range.first().0, proof.range.last().0);
        let place = |seq| (epoch, proof.lane, seq);
        let mut chain = [0u8; 32];
        let mut rows = 0u64;
        for waiting in self.0.range(place(first)..=place(last)).map(|(_, waiting)| waiting) {
            chain = Sha256::new().chain_update(chain).chain_update(waiting.hash).finalize().into();
            rows += 1;
        }
        if rows != proof.range.count() {
            return ShortVerdict::Unknown;
        }
        self.0.retain(|(of, lane, seq), _| {
            *of != epoch || *lane != proof.lane || !(first..=last).contains(seq)
        });
        if chain == proof.chain { ShortVerdict::Proved } else { ShortVerdict::Forged }
    }

    /// Returns how many rows wait, and since when the longest does.
    #[must_use]
    pub fn waiting(&self) -> (usize, Option<IngestTime>) {
        (self.0.len(), self.0.values().map(|waiting| waiting.since).min())
    }

    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&u32::try_from(self.0.len()).expect("rows are bounded").to_le_bytes());
        for ((epoch, lane, seq), waiting) in &self.0 {
            out.extend_from_slice(&epoch.0.to_le_bytes());
            out.push(lane.code());
            out.extend_from_slice(&seq.to_le_bytes());
            out.extend_from_slice(&waiting.since.0.0.to_le_bytes());
            out.extend_from_slice(&waiting.hash);
        }
    }

    pub(crate) fn load(cursor: &mut StateCursor<'_>) -> Result<Self, SaveError> {
        let mut ledger = Self::default();
        for _ in 0..cursor.u32()? {
            let epoch = BootEpoch(cursor.u64()?);
            let lane = Lane::from_code(cursor.array::<1>()?[0]).ok_or_else(|| cursor.damaged())?;
            let seq = cursor.u64()?;
            let since = IngestTime(UnixMicros(cursor.array().map(i64::from_le_bytes)?));
            ledger.0.insert((epoch, lane, seq), Waiting { hash: cursor.array()?, since });
        }
        Ok(ledger)
    }
}
