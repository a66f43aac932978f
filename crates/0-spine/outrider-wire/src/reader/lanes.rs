//! What a batch says of its lanes: heads and gaps.

use outrider_types::{Lane, Seq};

use super::Entry;
use crate::fault::RowFault;
use crate::limits::DROPS_MAX;
use crate::pb::{RawField, RawValue, Reader};
use crate::rows::{DropCount, DropReason, Gap, LaneHead, SeqRange};

fn lane(got: u64) -> Result<Lane, RowFault> {
    u8::try_from(got).ok().and_then(Lane::from_code).ok_or(RowFault::Lane { got })
}

/// A lane head with its drops, borrowed from the batch.
#[derive(Debug, Clone, Copy)]
pub struct LaneHeadView<'a> {
    /// State and balance.
    pub head: LaneHead,
    bytes: &'a [u8],
}

impl LaneHeadView<'_> {
    /// Returns the losses by reason.
    pub fn drops(&self) -> impl Iterator<Item = DropCount> {
        let mut reader = Reader::new(self.bytes, 0);
        core::iter::from_fn(move || {
            loop {
                let part = reader.field().ok()??;
                if part.number == 6
                    && let Ok(drop) = drop_count(&part)
                {
                    return Some(drop);
                }
            }
        })
    }
}

fn drop_count(part: &RawField<'_>) -> Result<DropCount, RowFault> {
    let RawValue::Bytes { start, bytes } = part.value else {
        return Err(RowFault::Structure(part.mismatch()));
    };
    let (mut reason, mut count) = (0, 0);
    let mut reader = Reader::new(bytes, start);
    while let Some(part) = reader.field().map_err(RowFault::Structure)? {
        match (part.number, part.value) {
            (1, RawValue::Varint(value)) => reason = value,
            (2, RawValue::Varint(value)) => count = value,
            (1..=2, _) => return Err(RowFault::Structure(part.mismatch())),
            _ => {}
        }
    }
    Ok(DropCount { reason: DropReason::from_code(reason), count })
}

pub(super) fn head<'a>(entry: &Entry<'a>) -> Result<LaneHeadView<'a>, RowFault> {
    let mut numbers = [0u64; 5];
    let mut drops = 0u16;
    let mut reader = Reader::new(entry.bytes, entry.start);
    while let Some(part) = reader.field().map_err(RowFault::Structure)? {
        match (part.number, part.value) {
            (1..=5, RawValue::Varint(value)) => {
                for (_, slot) in (1u32..).zip(&mut numbers).filter(|(number, _)| *number == part.number) {
                    *slot = value;
                }
            }
            (6, RawValue::Bytes { .. }) => {
                drop_count(&part)?;
                drops = drops.saturating_add(1);
                if drops > DROPS_MAX {
                    return Err(RowFault::Fields { max: DROPS_MAX });
                }
            }
            (1..=6, _) => return Err(RowFault::Structure(part.mismatch())),
            _ => {}
        }
    }
    let [number, first_seq, last_seq, received, folded] = numbers;
    let head = LaneHead { lane: lane(number)?, first_seq, last_seq, received, folded };
    Ok(LaneHeadView { head, bytes: entry.bytes })
}

pub(super) fn gap(entry: &Entry<'_>) -> Result<Gap, RowFault> {
    let (mut number, mut first, mut last, mut reason) = (0, 0, 0, 0);
    let mut reader = Reader::new(entry.bytes, entry.start);
    while let Some(part) = reader.field().map_err(RowFault::Structure)? {
        match (part.number, part.value) {
            (1, RawValue::Varint(value)) => number = value,
            (2, RawValue::Varint(value)) => first = value,
            (3, RawValue::Varint(value)) => last = value,
            (4, RawValue::Varint(value)) => reason = value,
            (1..=4, _) => return Err(RowFault::Structure(part.mismatch())),
            _ => {}
        }
    }
    let range = SeqRange::new(Seq(first), Seq(last)).ok_or(RowFault::Range)?;
    Ok(Gap { lane: lane(number)?, range, reason: DropReason::from_code(reason) })
}
