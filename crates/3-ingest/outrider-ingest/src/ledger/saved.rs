//! The saved form of a lane's books.

use outrider_model::SaveError;
use outrider_types::{EventTypeId, Seq, Severity, UnixMicros, VehicleMicros};
use outrider_wire::{DropReason, LostRows, SeqRange};

use super::{HeadAt, LaneTombstone, Ledger, OpenGap};
use crate::interval::{IntervalSet, StateCursor, put_count};

fn put(out: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_le_bytes()));
}

fn put_lost(out: &mut Vec<u8>, lost: &[LostRows]) {
    put_count(out, lost.len());
    for lost in lost {
        put(out, &[u64::from(lost.event_type.0), lost.severity.map_or(0, |it| u64::from(it.code()))]);
        put(out, &[lost.rows, lost.observations]);
    }
}

fn get_lost(cursor: &mut StateCursor<'_>) -> Result<Vec<LostRows>, SaveError> {
    let mut lost = Vec::new();
    for _ in 0..cursor.u32()? {
        let event_type = u16::try_from(cursor.u64()?).map_err(|_| cursor.damaged())?;
        let severity = u8::try_from(cursor.u64()?).ok().and_then(Severity::from_code);
        let (rows, observations) = (cursor.u64()?, cursor.u64()?);
        lost.push(LostRows { event_type: EventTypeId(event_type), severity, rows, observations });
    }
    Ok(lost)
}

impl Ledger {
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        put_count(out, self.heads.len());
        for head in &self.heads {
            put(out, &[head.order.0, head.order.1]);
            put(out, &head.counts());
            put(out, &[head.unsure]);
        }
        put(out, &[self.observations, self.unreadable, self.late, self.kept, u64::from(self.is_partial)]);
        put_count(out, self.reasons.len());
        for (code, set) in &self.reasons {
            out.push(*code);
            set.save(out);
        }
        put_count(out, self.tombstones.len());
        for tombstone in &self.tombstones {
            let (range, span) = (tombstone.range, tombstone.span);
            put(out, &[range.0, range.1, span.0.0, span.1.0]);
            out.push(tombstone.reason.map_or(0, DropReason::code));
            out.push(u8::from(tombstone.is_signed));
            put_lost(out, &tombstone.lost);
        }
        put_lost(out, &self.settled);
        put(out, &[self.settled_to]);
        out.push(u8::from(self.end.is_some()));
        put(out, &[self.end.unwrap_or(0)]);
        put_count(out, self.open.len());
        for gap in &self.open {
            put(out, &[gap.range.0, gap.range.1, gap.since.0.cast_unsigned()]);
        }
    }

    pub(crate) fn load(cursor: &mut StateCursor<'_>) -> Result<Self, SaveError> {
        let mut ledger = Self::default();
        for _ in 0..cursor.u32()? {
            let order = (cursor.u64()?, cursor.u64()?);
            let (last_seq, received, folded) = (cursor.u64()?, cursor.u64()?, cursor.u64()?);
            let (unnumbered, unsure) = (cursor.u64()?, cursor.u64()?);
            ledger.heads.push(HeadAt { order, last_seq, received, folded, unnumbered, unsure });
        }
        ledger.observations = cursor.u64()?;
        ledger.unreadable = cursor.u64()?;
        ledger.late = cursor.u64()?;
        ledger.kept = cursor.u64()?;
        ledger.is_partial = cursor.u64()? == 1;
        for _ in 0..cursor.u32()? {
            let code = cursor.u8()?;
            ledger.reasons.insert(code, IntervalSet::load(cursor)?);
        }
        for _ in 0..cursor.u32()? {
            let range = (cursor.u64()?, cursor.u64()?);
            let span = (VehicleMicros(cursor.u64()?), VehicleMicros(cursor.u64()?));
            let reason = DropReason::from_code(u64::from(cursor.u8()?));
            let is_signed = cursor.u8()? == 1;
            let lost = get_lost(cursor)?;
            ledger.tombstones.push(LaneTombstone { range, reason, span, lost, is_signed });
        }
        ledger.settled = get_lost(cursor)?;
        ledger.settled_to = cursor.u64()?;
        let has_end = cursor.u8()? == 1;
        let end = cursor.u64()?;
        ledger.end = has_end.then_some(end);
        for _ in 0..cursor.u32()? {
            let range = (cursor.u64()?, cursor.u64()?);
            let since = UnixMicros(cursor.u64()?.cast_signed());
            if range.0 > range.1 || SeqRange::new(Seq(range.0), Seq(range.1)).is_none() {
                return Err(cursor.damaged());
            }
            ledger.open.push(OpenGap { range, since });
        }
        Ok(ledger)
    }
}
