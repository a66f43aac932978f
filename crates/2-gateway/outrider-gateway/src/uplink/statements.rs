//! What a frame says of the spool beside rows: gaps with their tombstones, the anchor, how the boot began.

use std::collections::BTreeSet;

use outrider_types::{BootEpoch, Lane};
use outrider_wire::limits::{GAPS_MAX, LOST_BOOTS_MAX, TOMBSTONES_MAX};
use outrider_wire::{AnchorStatement, BatchWriter, BootHead, LostRows, SeqRange, TombstoneHead};

use super::{InFlight, Uplink};
use crate::spool::{Spool, Tombstone};
use crate::storage::Storage;

/// Statements that an answered frame brought to the cloud. They are told once; a tombstone that grew is told again.
#[derive(Debug, Default)]
pub(super) struct Told {
    tombstones: BTreeSet<(BootEpoch, Lane, SeqRange)>,
    anchor: Option<u64>,
    beginning: bool,
}

impl Told {
    /// Takes over what an answered frame told.
    pub(super) fn settle(&mut self, frame: Self) {
        self.tombstones.extend(frame.tombstones);
        self.anchor = frame.anchor.or(self.anchor);
        self.beginning |= frame.beginning;
    }

    /// Forgets boots of which nothing is left to say.
    pub(super) fn retain(&mut self, epochs: &BTreeSet<BootEpoch>) {
        self.tombstones.retain(|(epoch, _, _)| epochs.contains(epoch));
    }
}

impl Uplink {
    /// Writes gaps, each with the tombstones behind it that the cloud does not have: once a gap is acknowledged the
    /// vehicle forgets both. Returns whether all fit.
    pub(super) fn put_gaps<S: Storage>(
        &self,
        spool: &Spool<S>,
        flight: &mut InFlight,
        writer: &mut BatchWriter<'_>,
    ) -> bool {
        let epoch = flight.epoch;
        let (mut gaps, mut tombstones) = (0, 0);
        for gap in spool.gaps(epoch) {
            gaps += 1;
            if gaps > GAPS_MAX {
                return false;
            }
            let behind = spool.tombstones(epoch).filter(|tombstone| {
                let (one, other) = (tombstone.range, gap.range);
                tombstone.lane == gap.lane && one.first() <= other.last() && other.first() <= one.last()
            });
            for tombstone in behind {
                let key = (epoch, tombstone.lane, tombstone.range);
                if self.told.tombstones.contains(&key) || flight.told.tombstones.contains(&key) {
                    continue;
                }
                tombstones += 1;
                if tombstones > TOMBSTONES_MAX || !put_tombstone(tombstone, writer) {
                    return false;
                }
                flight.told.tombstones.insert(key);
            }
            if writer.gap(&gap).is_err() {
                return false;
            }
        }
        true
    }

    /// Writes what is left to say of boots of which nothing is held any more. Returns whether all fit.
    pub(super) fn put_lost<S: Storage>(
        spool: &Spool<S>,
        flight: &mut InFlight,
        writer: &mut BatchWriter<'_>,
    ) -> bool {
        for lost in spool.lost_boots() {
            let is_full = flight.lost.len() as u64 >= u64::from(LOST_BOOTS_MAX);
            if is_full || writer.lost_boots(&lost.text(), &lost.signature).is_err() {
                return false;
            }
            flight.lost.push(lost.clone());
        }
        true
    }

    /// Writes which boot the vehicle is in, and, until it was answered once, how that boot began and what the anchor
    /// says. Returns whether all fit.
    pub(super) fn put_beginning<S: Storage>(
        &self,
        spool: &Spool<S>,
        flight: &mut InFlight,
        writer: &mut BatchWriter<'_>,
    ) -> bool {
        let current = spool.epoch();
        let is_new = flight.epoch == current && !self.told.beginning;
        let (previous, ends) = spool.beginning();
        let head = BootHead { current, previous: is_new.then_some(previous) };
        let ends = if is_new { ends } else { &[] };
        if writer.boot(&head, ends.iter().copied()).is_err() {
            return false;
        }
        flight.told.beginning = is_new;
        let anchor = spool.attestation().filter(|_| flight.epoch == current);
        let Some(anchor) = anchor.filter(|anchor| self.told.anchor != Some(anchor.counter)) else {
            return true;
        };
        let statement = AnchorStatement {
            kind: anchor.kind.code(),
            counter: anchor.counter,
            head: anchor.head,
            proof: &anchor.proof,
        };
        flight.told.anchor = Some(anchor.counter);
        writer.anchor(&statement).is_ok()
    }
}

fn put_tombstone(tombstone: &Tombstone, writer: &mut BatchWriter<'_>) -> bool {
    let head = TombstoneHead {
        lane: tombstone.lane,
        range: tombstone.range,
        reason: Some(tombstone.reason),
        first: tombstone.first,
        last: tombstone.last,
        last_tag: tombstone.last_tag,
        signature: tombstone.signature,
    };
    let lost = tombstone.lost.iter().map(|lost| LostRows {
        event_type: lost.event_type,
        severity: lost.severity,
        rows: lost.rows,
        observations: lost.observations,
    });
    writer.tombstone(&head, lost).is_ok()
}
