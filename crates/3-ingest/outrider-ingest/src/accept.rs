//! The listener's side: what a batch adds to what is there, and what may be acknowledged.

use std::collections::BTreeMap;

use outrider_types::{BootEpoch, Lane, TenantId, VehicleId};
use outrider_wire::{Batch, EventView, FrameDigest, SeqRange};
use sha2::{Digest as _, Sha256};

use crate::content::{Again, Content, RowHash};
use crate::open::{IngestError, KeyRing, Opened, Opener};
use crate::received::{LaneWatermark, Received};

/// Separate stretches of numbers that a lane may have in one boot. A gateway sends in order and fills holes, so a few
/// are usual; the bound keeps a vehicle that skips every second number from growing without end.
const STRETCHES_MAX: usize = 16_384;

/// A batch that the listener may append to the event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// Owner.
    pub tenant: TenantId,
    /// Vehicle.
    pub vehicle: VehicleId,
    /// Boot of the rows.
    pub epoch: BootEpoch,
    /// Rows in the batch, good and bad.
    pub rows: u32,
    /// Whether it says anything that was not known: a new number, another row under a known number, a new loss, a new
    /// statement beside the rows, or rows that cannot be read. A batch without news is acknowledged again but not appended.
    pub has_news: bool,
    /// The vehicle's state after the batch.
    pub received: Received,
}

/// Checks batches at the listener.
#[derive(Debug, Default)]
pub struct Acceptor {
    opener: Opener,
}

impl Acceptor {
    /// Checks a batch of the session's vehicle against what is there already.
    ///
    /// `known` is the vehicle's state before the batch. Nothing is stored here: the caller appends the bytes and the
    /// new state in one durable write, and only then acknowledges (LOG-2).
    ///
    /// # Errors
    /// [`IngestError`]; the batch must not be stored.
    pub fn accept(
        &mut self,
        bytes: &[u8],
        session: VehicleId,
        keys: &dyn KeyRing,
        known: Received,
    ) -> Result<Accepted, IngestError> {
        let Opened { header, rows, .. } = self.opener.open(bytes, Some(session), keys)?;
        let batch = Batch::parse(&rows).map_err(IngestError::Rows)?;
        let mut received = known;
        let mut has_news = is_heard_first(&mut received, header.epoch, &batch);
        let mut again = Again::default();
        let mut ranges: BTreeMap<Lane, (u64, u64)> = BTreeMap::new();
        for event in batch.events() {
            match event {
                Ok(event) => {
                    has_news |= compare(&mut received, header.epoch, &event, &mut again);
                    let seq = event.head.seq.0;
                    let range = ranges.entry(event.head.lane).or_insert((seq, seq));
                    if range.1.checked_add(1) == Some(seq) {
                        range.1 = seq;
                    } else if *range != (seq, seq) {
                        has_news |= note(&mut received, header.epoch, event.head.lane, *range);
                        *range = (seq, seq);
                    }
                }
                // A row that cannot be read keeps its number if it has one: asking for it again would not mend it.
                Err(error) => {
                    if let Some((lane, seq)) = error.id.filter(|(_, seq)| seq.0 > 0) {
                        has_news |= note(&mut received, header.epoch, lane, (seq.0, seq.0));
                    }
                    has_news |= error.is_fatal();
                }
            }
        }
        has_news |= !received.contents.compare(header.epoch, &again).is_empty();
        for (lane, range) in ranges {
            has_news |= note(&mut received, header.epoch, lane, range);
        }
        for head in batch.heads().flatten() {
            has_news |= received.announce(header.epoch, head.head.lane, head.head.last_seq);
        }
        for gap in batch.gaps().flatten() {
            has_news |= received.declare_lost(header.epoch, gap.lane, gap.range) > 0;
        }
        for lost in batch.lost_boots().flatten() {
            for one in lost.each() {
                received.end_boot(header.epoch, (one.epoch, lost.lane), one.counts.numbers);
            }
            for run in lost.runs() {
                received.end_boots(header.epoch, lost.lane, run);
            }
        }
        received.settle(header.epoch);
        // What it proves of rows in short frames is for the worker, which reads the log.
        has_news |= batch.proofs().next().is_some();
        let scattered = received.lanes().find(|(_, _, state)| state.durable.intervals() > STRETCHES_MAX);
        if let Some((_, lane, _)) = scattered {
            return Err(IngestError::Scattered { lane, limit: STRETCHES_MAX });
        }
        Ok(Accepted {
            tenant: header.tenant,
            vehicle: header.vehicle,
            epoch: header.epoch,
            rows: batch.event_count(),
            has_news,
            received,
        })
    }
}

/// Compares a row with what came before under its number. A row that is not the same is news: the worker has to see it.
/// So is one of which nothing is held although it should be, which is how a listener that began anew learns.
pub(crate) fn compare(
    received: &mut Received,
    epoch: BootEpoch,
    event: &EventView<'_>,
    again: &mut Again,
) -> bool {
    let (lane, seq) = (event.head.lane, event.head.seq);
    let is_known = received.contains(epoch, lane, seq);
    let hash = RowHash::of(event, event.fields());
    match received.contents.note(epoch, (lane, seq), hash, (is_known, true)) {
        Content::Different(_) => true,
        Content::New => is_known,
        Content::Same => false,
        Content::NotHeld => {
            if is_known {
                received.contents.collect(epoch, (lane, seq), hash, again);
            }
            false
        }
    }
}

/// Returns whether a batch states something beside its rows that was not heard lately: a reading of the clock, a
/// balance, a tombstone, an account of lost boots, what the anchor says, how the boot began.
fn is_heard_first(received: &mut Received, epoch: BootEpoch, batch: &Batch<'_>) -> bool {
    let words = |bytes: &[u8]| -> Vec<u64> {
        let word = |chunk: &[u8]| chunk.iter().fold(0u64, |word, byte| (word << 8) | u64::from(*byte));
        bytes.chunks(8).map(word).collect()
    };
    let mut has_news = false;
    let mut hear = |kind: u64, parts: Vec<u64>| {
        has_news |= received.heard.is_news([kind, epoch.0].into_iter().chain(parts));
    };
    for fix in batch.fixes().flatten() {
        let wall = fix.wall.0.cast_unsigned();
        hear(2, vec![fix.mono.0, wall, fix.error_us, u64::from(fix.source.code())]);
    }
    for view in batch.heads().flatten() {
        let head = view.head;
        let mut parts = vec![u64::from(head.lane.code()), head.last_seq, head.received, head.folded];
        parts.extend(
            view.drops().flat_map(|drop| [drop.reason.map_or(0, |it| u64::from(it.code())), drop.count]),
        );
        hear(3, parts);
    }
    for proof in batch.proofs().flatten() {
        let mut parts = vec![u64::from(proof.lane.code()), proof.range.first().0, proof.range.last().0];
        parts.extend(words(&proof.chain));
        hear(5, parts);
    }
    for view in batch.tombstones().flatten() {
        let range = view.head.range;
        let mut parts = vec![u64::from(view.head.lane.code()), range.first().0, range.last().0];
        parts.extend(view.lost().flat_map(|lost| [lost.rows, lost.observations]));
        parts.extend(words(&view.head.signature));
        hear(6, parts);
    }
    for anchor in batch.anchors().flatten() {
        let mut parts = vec![u64::from(anchor.kind), anchor.counter];
        parts.extend(words(&anchor.head));
        hear(7, parts);
    }
    for lost in batch.lost_boots().flatten() {
        let hash: [u8; 32] = Sha256::digest(lost.text).into();
        hear(9, words(&hash).into_iter().chain(words(&lost.signature)).collect());
    }
    for view in batch.boots().flatten() {
        let mut parts = vec![view.head.current.0];
        parts.extend(view.head.previous.iter().flat_map(|head| words(head)));
        parts.extend(view.ends().flat_map(|end| [end.epoch.0, u64::from(end.lane.code()), end.last_seq]));
        hear(8, parts);
    }
    has_news
}

pub(crate) fn note(received: &mut Received, epoch: BootEpoch, lane: Lane, range: (u64, u64)) -> bool {
    let range = SeqRange::new(outrider_types::Seq(range.0), outrider_types::Seq(range.1));
    range.is_some_and(|range| received.insert(epoch, lane, range) > 0)
}

/// Returns what an acknowledgement says of the frame that it answers.
#[must_use]
pub fn frame_digest(frame: &[u8]) -> FrameDigest {
    let hash: [u8; 32] = Sha256::digest(frame).into();
    hash.first_chunk().copied().unwrap_or_default()
}

/// Returns the watermarks to sign for a vehicle after a batch of one boot.
#[must_use]
pub fn lane_watermarks(accepted: &Accepted) -> Vec<LaneWatermark> {
    accepted.received.watermarks(accepted.epoch)
}
