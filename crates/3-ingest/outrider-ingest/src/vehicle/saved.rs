//! The saved form of a vehicle's state.

use outrider_model::SaveError;
use outrider_types::{BootEpoch, Lane, Seq, UnixMicros};

use super::VehicleState;
use crate::boots::BootBook;
use crate::clock::ClockState;
use crate::content::Contents;
use crate::interval::{StateCursor, put_count};
use crate::ledger::{GapEnd, Ledger};
use crate::received::Received;
use crate::short::ShortLedger;

/// Version that is written. Version 2 is read: it did not know of proofs of anchors. Version 1 is read: it had neither contents nor books, so of what came under it nothing can
/// be compared or balanced, and accounts of its boots wait or are inexact.
const VERSION: u32 = 3;

impl VehicleState {
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&VERSION.to_le_bytes());
        self.received.save(out);
        self.received.contents.save(out);
        put_count(out, self.boots.iter().count());
        for (epoch, book) in self.boots.iter() {
            out.extend_from_slice(&epoch.0.to_le_bytes());
            book.save(out);
        }
        put_count(out, self.ledgers.len());
        for ((epoch, lane), ledger) in &self.ledgers {
            out.extend_from_slice(&epoch.0.to_le_bytes());
            out.push(lane.code());
            ledger.save(out);
        }
        put_count(out, self.gap_ends.len());
        for end in &self.gap_ends {
            out.push(end.lane.code());
            let times = [end.since.0, end.until.0].map(i64::cast_unsigned);
            for number in [end.epoch.0, end.range.0, end.range.1, times[0], times[1], end.filled, end.lost] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        put_count(out, self.stated.len());
        for (epoch, seq) in &self.stated {
            out.extend_from_slice(&epoch.0.to_le_bytes());
            out.extend_from_slice(&seq.0.to_le_bytes());
        }
        for number in [self.statements, self.unstated, self.contact.0.cast_unsigned()] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        self.shorts.save(out);
    }

    pub(crate) fn load(bytes: &[u8]) -> Result<Self, SaveError> {
        let mut cursor = StateCursor::new(bytes);
        let state = match cursor.u32()? {
            1 => Self::load_1(&mut cursor)?,
            2 => Self::load_since_2(&mut cursor, false)?,
            VERSION => Self::load_since_2(&mut cursor, true)?,
            got => return Err(SaveError::Version { expected: VERSION, got }),
        };
        if cursor.is_at_end() { Ok(state) } else { Err(cursor.damaged()) }
    }

    fn load_1(cursor: &mut StateCursor<'_>) -> Result<Self, SaveError> {
        let mut state = Self { received: Received::load_from(cursor)?, ..Self::default() };
        let mut clocks = std::collections::BTreeMap::new();
        for _ in 0..cursor.u32()? {
            let epoch = BootEpoch(cursor.u64()?);
            clocks.insert(epoch, ClockState::load(cursor)?);
        }
        for _ in 0..cursor.u32()? {
            let epoch = BootEpoch(cursor.u64()?);
            let since = UnixMicros(cursor.array().map(i64::from_le_bytes)?);
            state.contact = state.contact.max(since);
            let clock = clocks.remove(&epoch).unwrap_or_default();
            state.boots.insert(epoch, BootBook::of_version_1(clock, since));
        }
        for (epoch, clock) in clocks {
            state.boots.insert(epoch, BootBook::of_version_1(clock, state.contact));
        }
        Ok(state)
    }

    fn load_since_2(cursor: &mut StateCursor<'_>, has_proofs: bool) -> Result<Self, SaveError> {
        let mut state = Self { received: Received::load_from(cursor)?, ..Self::default() };
        state.received.contents = Contents::load(cursor)?;
        for _ in 0..cursor.u32()? {
            let epoch = BootEpoch(cursor.u64()?);
            state.boots.insert(epoch, BootBook::load(cursor, has_proofs)?);
        }
        let lane = |cursor: &mut StateCursor<'_>| Lane::from_code(cursor.u8()?).ok_or(cursor.damaged());
        for _ in 0..cursor.u32()? {
            let epoch = BootEpoch(cursor.u64()?);
            let lane = lane(cursor)?;
            state.ledgers.insert((epoch, lane), Ledger::load(cursor)?);
        }
        for _ in 0..cursor.u32()? {
            let lane = lane(cursor)?;
            let epoch = BootEpoch(cursor.u64()?);
            let range = (cursor.u64()?, cursor.u64()?);
            let (since, until) = (cursor.u64()?.cast_signed(), cursor.u64()?.cast_signed());
            let (filled, lost) = (cursor.u64()?, cursor.u64()?);
            let (since, until) = (UnixMicros(since), UnixMicros(until));
            state.gap_ends.push_back(GapEnd { epoch, lane, range, since, until, filled, lost });
        }
        for _ in 0..cursor.u32()? {
            let epoch = BootEpoch(cursor.u64()?);
            state.stated.insert((epoch, Seq(cursor.u64()?)));
        }
        state.statements = cursor.u64()?;
        state.unstated = cursor.u64()?;
        state.contact = UnixMicros(cursor.u64()?.cast_signed());
        state.shorts = ShortLedger::load(cursor)?;
        Ok(state)
    }
}
