//! Short frames: single critical rows over an open session, and what a later batch proves of them (ADR 0013).

use std::collections::VecDeque;

use outrider_types::{BootEpoch, Lane, Seq, VehicleMicros};
use outrider_wire::limits::PROOFS_MAX;
use outrider_wire::{Opening, SHORT_FRAME_BYTES_MAX, SeqRange, ShortFrame, ShortPlace, ShortProof};
use sha2::{Digest, Sha256};

use super::{BuildError, Frame, InFlight, Lanes, Uplink};
use crate::short::SessionTagger;
use crate::spool::Spool;
use crate::storage::Storage;

/// Most critical rows that go one by one; from four rows on, a batch with its 124 bytes of envelope is shorter.
const ROWS_MAX: u64 = 3;

/// An open session whose two ends share a key.
#[derive(Debug, Clone)]
pub struct ShortSession {
    /// Number that no two sessions of a transport share.
    pub id: u64,
    /// Key of the session.
    pub tagger: SessionTagger,
}

/// What the uplink knows of the session.
#[derive(Debug)]
pub(super) struct OpenSession {
    session: ShortSession,
    /// Short frames written so far.
    frames: u64,
    /// Boot that the other end was told.
    told: Option<BootEpoch>,
    /// A short frame failed here: rows go in batches until there is another session.
    is_spoilt: bool,
}

/// A row in a short frame that waits for its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShortRow {
    pub(super) lane: Lane,
    pub(super) seq: Seq,
    pub(super) hash: [u8; 32],
}

/// Rows that went in short frames and are in no signed batch yet. At most [`PROOFS_MAX`] runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Proofs(VecDeque<(BootEpoch, ShortProof)>);

/// Returns the hash of a chain with one more row.
fn extend(chain: [u8; 32], row: [u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(chain).chain_update(row).finalize().into()
}

impl Proofs {
    pub(super) fn add(&mut self, epoch: BootEpoch, row: ShortRow) {
        let Some(one) = SeqRange::new(row.seq, row.seq) else { return };
        let last = self.0.iter_mut().rev().find(|(of, proof)| *of == epoch && proof.lane == row.lane);
        if let Some((_, proof)) = last
            && proof.range.last().0.checked_add(1) == Some(row.seq.0)
            && let Some(range) = SeqRange::new(proof.range.first(), row.seq)
        {
            *proof = ShortProof { range, chain: extend(proof.chain, row.hash), ..*proof };
            return;
        }
        let chain = extend([0; 32], row.hash);
        self.0.push_back((epoch, ShortProof { lane: row.lane, range: one, chain }));
    }

    fn is_full(&self) -> bool {
        self.0.len() >= usize::try_from(PROOFS_MAX).unwrap_or(usize::MAX)
    }

    pub(super) fn of(&self, epoch: BootEpoch) -> impl Iterator<Item = &ShortProof> {
        self.0.iter().filter(move |(of, _)| *of == epoch).map(|(_, proof)| proof)
    }

    pub(super) fn first_epoch(&self) -> Option<BootEpoch> {
        self.0.front().map(|(epoch, _)| *epoch)
    }

    /// Drops what a batch of the boot has proved.
    pub(super) fn settle(&mut self, epoch: BootEpoch, proved: &[ShortProof]) {
        self.0.retain(|(of, proof)| *of != epoch || !proved.contains(proof));
    }

    pub(super) fn rows(&self) -> u64 {
        self.0.iter().map(|(_, proof)| proof.range.count()).fold(0, u64::saturating_add)
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        out.push(u8::try_from(self.0.len()).unwrap_or(u8::MAX));
        for (epoch, proof) in self.0.iter().take(usize::from(u8::MAX)) {
            out.extend_from_slice(&epoch.0.to_le_bytes());
            out.push(proof.lane.code());
            out.extend_from_slice(&proof.range.first().0.to_le_bytes());
            out.extend_from_slice(&proof.range.last().0.to_le_bytes());
            out.extend_from_slice(&proof.chain);
        }
    }

    pub(super) fn load(bytes: &[u8]) -> Option<Self> {
        const ONE: usize = 8 + 1 + 8 + 8 + 32;
        let (count, rest) = bytes.split_first()?;
        if rest.len() != usize::from(*count) * ONE || u32::from(*count) > PROOFS_MAX {
            return None;
        }
        let mut proofs = VecDeque::new();
        for one in rest.chunks_exact(ONE) {
            let number = |at: usize| Some(u64::from_le_bytes(one.get(at..at + 8)?.try_into().ok()?));
            let range = SeqRange::new(Seq(number(9)?), Seq(number(17)?))?;
            let (lane, chain) = (Lane::from_code(*one.get(8)?)?, one.get(25..)?.try_into().ok()?);
            proofs.push_back((BootEpoch(number(0)?), ShortProof { lane, range, chain }));
        }
        Some(Self(proofs))
    }
}

impl Uplink {
    /// Tells the session that is open now, if both of its ends hold a key.
    pub fn set_session(&mut self, session: Option<ShortSession>) {
        let is_same = match (&self.session, &session) {
            (Some(open), Some(session)) => open.session.id == session.id,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if !is_same {
            self.session =
                session.map(|session| OpenSession { session, frames: 0, told: None, is_spoilt: false });
        }
    }

    /// Gives up short frames in this session, as the two ends may count differently by now. The row is not to blame: it
    /// goes in a batch.
    pub(super) const fn spoil_session(&mut self) {
        if let Some(open) = &mut self.session {
            open.is_spoilt = true;
        }
    }

    /// Returns the rows that went in short frames and are in no signed batch yet.
    #[must_use]
    pub fn unproved_rows(&self) -> u64 {
        self.proofs.rows()
    }

    /// Builds a short frame, if that is what should be sent: few critical rows and nothing else, over a session with a key.
    pub(super) fn build_short<S: Storage>(
        &mut self,
        spool: &mut Spool<S>,
        epoch: BootEpoch,
        lanes: Lanes,
    ) -> Result<Option<Frame>, BuildError> {
        let lane = Lane::Critical;
        let sent = self.sent(epoch, lane);
        let knows_clock = spool.fixes(epoch).last() == self.fixes_sent.get(&epoch);
        let wants = self.wanted.iter().any(|(of, _, _)| *of == epoch);
        let (rows, _) = spool.held_after(epoch, lane, sent);
        if lanes.any() || wants || !knows_clock || self.proofs.is_full() || !(1..=ROWS_MAX).contains(&rows) {
            return Ok(None);
        }
        let open = self.session.as_mut().filter(|open| !open.is_spoilt);
        let (Some(open), Some(seq)) = (open, spool.next_held(epoch, lane, sent)) else {
            return Ok(None);
        };
        let Some(row) = spool.read(epoch, lane, seq).map_err(BuildError::Storage)? else { return Ok(None) };
        let Some((coding, coded)) = self.codec.encode(&row) else { return Ok(None) };
        let opening = Opening { epoch, catalogue_id: self.config.catalogue_id };
        let opening = (open.told != Some(epoch)).then_some(opening);
        let place = ShortPlace { vehicle: self.config.vehicle, number: open.frames };
        let mut bytes = vec![0; SHORT_FRAME_BYTES_MAX];
        let frame = ShortFrame { opening, coding, row: &coded };
        // A row that is too long for it goes in a batch.
        let Ok(length) = frame.emit(&open.session.tagger, place, &mut bytes) else { return Ok(None) };
        bytes.truncate(length);
        open.frames += 1;
        open.told = Some(epoch);
        let raw_bytes = u32::try_from(row.len()).unwrap_or(u32::MAX);
        self.counters.frames += 1;
        self.counters.short_frames += 1;
        self.counters.rows += 1;
        self.counters.raw_bytes += u64::from(raw_bytes);
        self.counters.frame_bytes += length as u64;
        let mut flight = InFlight { epoch, rows: 1, ..InFlight::default() };
        flight.sent.insert(lane, seq.0);
        flight.count(lane);
        flight.short = Some(ShortRow { lane, seq, hash: Sha256::digest(&row).into() });
        self.in_flight = Some(flight);
        Ok(Some(Frame { bytes, epoch, rows: 1, raw_bytes }))
    }

    /// Returns what has to survive a restart: the day's account, and what is still to be proved.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let mut out = SAVED_HEAD.to_vec();
        self.budget.save(&mut out);
        self.proofs.save(&mut out);
        out
    }

    /// Takes what [`Self::save`] gave; false if the bytes are none of this version, and nothing has changed then.
    pub fn restore(&mut self, bytes: &[u8], now: VehicleMicros) -> bool {
        let Some(rest) = bytes.strip_prefix(&SAVED_HEAD) else { return false };
        let Some((budget, proofs)) = rest.split_at_checked(super::Budget::SAVED_BYTES) else { return false };
        match (super::Budget::load(budget, now), Proofs::load(proofs)) {
            (Some(budget), Some(proofs)) => {
                (self.budget, self.proofs) = (budget, proofs);
                true
            }
            (None, _) | (_, None) => false,
        }
    }
}

/// First bytes of the saved form: name and version.
const SAVED_HEAD: [u8; 6] = *b"ORUL\x01\0";
