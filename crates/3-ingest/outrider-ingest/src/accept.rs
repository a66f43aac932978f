//! The listener's side: what a batch adds to what is there, and what may be acknowledged.

use std::collections::BTreeMap;

use outrider_types::{BootEpoch, Lane, TenantId, VehicleId};
use outrider_wire::{Batch, SeqRange};

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
    /// Whether it says anything that was not known: a new number, a new loss, a higher announced number, or rows
    /// that cannot be read. A batch without news is acknowledged again but not appended.
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
        let Opened { header, rows } = self.opener.open(bytes, Some(session), keys)?;
        let batch = Batch::parse(&rows).map_err(IngestError::Rows)?;
        let mut received = known;
        let mut has_news = false;
        let mut ranges: BTreeMap<Lane, (u64, u64)> = BTreeMap::new();
        for event in batch.events() {
            match event {
                Ok(event) => {
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
        for (lane, range) in ranges {
            has_news |= note(&mut received, header.epoch, lane, range);
        }
        for head in batch.heads().flatten() {
            has_news |= received.announce(header.epoch, head.head.lane, head.head.last_seq);
        }
        for gap in batch.gaps().flatten() {
            has_news |= received.declare_lost(header.epoch, gap.lane, gap.range) > 0;
        }
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

fn note(received: &mut Received, epoch: BootEpoch, lane: Lane, range: (u64, u64)) -> bool {
    let range = SeqRange::new(outrider_types::Seq(range.0), outrider_types::Seq(range.1));
    range.is_some_and(|range| received.insert(epoch, lane, range) > 0)
}

/// Returns the watermarks to sign for a vehicle after a batch of one boot.
#[must_use]
pub fn lane_watermarks(accepted: &Accepted) -> Vec<LaneWatermark> {
    accepted.received.watermarks(accepted.epoch)
}
