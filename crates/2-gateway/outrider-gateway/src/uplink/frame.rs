//! Building one frame from the spool's rows.

use outrider_types::{BootEpoch, Lane, Seq};
use outrider_wire::limits::FIXES_MAX;
use outrider_wire::{Batch, BatchWriter, Envelope, EnvelopeHeader, Signer};

use super::{BuildError, Frame, InFlight, Lanes, Uplink};
use crate::spool::Spool;
use crate::storage::{Storage, StorageError};

impl Uplink {
    pub(super) fn build<S: Storage>(
        &mut self,
        spool: &mut Spool<S>,
        epoch: BootEpoch,
        lanes: Lanes,
        signer: &dyn Signer,
    ) -> Result<Frame, BuildError> {
        let mut buffer = vec![0; self.config.batch_bytes_max];
        let mut writer = BatchWriter::new(&mut buffer);
        let mut flight = InFlight { epoch, with_heads: lanes.any(), ..InFlight::default() };
        self.put_state(spool, &mut flight, &mut writer);
        let mut unread = self.put_wanted(spool, &mut flight, &mut writer).err();
        for (lane, due) in
            [(Lane::Critical, true), (Lane::Batched, lanes.batched), (Lane::Deferred, lanes.deferred)]
        {
            let mut after = self.sent(epoch, lane).max(flight.sent.get(&lane).copied().unwrap_or(0));
            if lane == Lane::Critical && !self.critical_goes {
                continue;
            }
            while due && writer.events() < self.rows_max {
                let Some(seq) = spool.next_held(epoch, lane, after) else { break };
                match put_row(spool, epoch, lane, seq, &mut writer) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        // Numbers of a lane stay in order: what follows the row waits for it.
                        unread = Some(error);
                        break;
                    }
                }
                after = seq.0;
                flight.sent.insert(lane, after);
                flight.count(lane);
            }
        }
        flight.rows = writer.events();
        if let Some(error) = unread.filter(|_| flight.rows == 0) {
            return Err(BuildError::Storage(error));
        }
        let raw = writer.finish();
        let frame = self.seal(epoch, flight.rows, raw, signer)?;
        self.in_flight = Some(flight);
        Ok(frame)
    }

    /// Writes proofs, heads, gaps and new clock fixes, as far as they fit.
    fn put_state<S: Storage>(&self, spool: &Spool<S>, flight: &mut InFlight, writer: &mut BatchWriter<'_>) {
        let epoch = flight.epoch;
        flight.proved.extend(self.proofs.of(epoch).take_while(|proof| writer.proof(proof).is_ok()));
        let mut whole = self.put_gaps(spool, flight, writer);
        if flight.with_heads {
            for (head, drops) in Lane::ALL.into_iter().filter_map(|lane| spool.head(epoch, lane)) {
                whole &= writer.head(&head, &drops).is_ok();
            }
            whole &= self.put_beginning(spool, flight, writer);
            flight.with_heads = whole;
            if epoch == spool.epoch() {
                // Those that do not fit go with the next frame.
                Self::put_lost(spool, flight, writer);
            }
        }
        let fixes = spool.fixes(epoch);
        let latest = fixes.last().copied();
        if latest != self.fixes_sent.get(&epoch).copied() {
            let skip = fixes.len().saturating_sub(usize::try_from(FIXES_MAX).unwrap_or(usize::MAX));
            if fixes.iter().skip(skip).all(|fix| writer.fix(fix).is_ok()) {
                flight.fix = latest;
            }
        }
    }

    /// Writes wanted rows. They are below the lane's cursor, so the numbers of a lane stay in order.
    fn put_wanted<S: Storage>(
        &mut self,
        spool: &mut Spool<S>,
        flight: &mut InFlight,
        writer: &mut BatchWriter<'_>,
    ) -> Result<(), StorageError> {
        let epoch = flight.epoch;
        let rows: Vec<_> = self.wanted.iter().filter(|(of, _, _)| *of == epoch).copied().collect();
        for row @ (_, lane, seq) in rows {
            if writer.events() >= self.rows_max {
                break;
            }
            if !self.may_go(lane) {
                continue;
            }
            let held =
                seq.0.checked_sub(1).and_then(|before| spool.next_held(epoch, lane, before)) == Some(seq);
            if !held || put_row(spool, epoch, lane, seq, writer)? {
                flight.count(lane);
                // Freed, lost or written: it need not be looked at again once this frame is answered.
                flight.again.insert(row);
            } else {
                break;
            }
        }
        Ok(())
    }

    fn seal(
        &mut self,
        epoch: BootEpoch,
        rows: u32,
        raw: &[u8],
        signer: &dyn Signer,
    ) -> Result<Frame, BuildError> {
        let (dict, payload) = self.encoder.encode(raw).map_err(BuildError::Compress)?;
        self.batch_number += 1;
        let raw_bytes = u32::try_from(raw.len()).unwrap_or(u32::MAX);
        let header = EnvelopeHeader {
            dict,
            catalogue_id: self.config.catalogue_id,
            tenant: self.config.tenant,
            vehicle: self.config.vehicle,
            epoch,
            batch_number: self.batch_number,
            raw_bytes,
        };
        let mut bytes = vec![0; Envelope::frame_bytes(payload.len())];
        let length =
            Envelope { header, payload: &payload }.emit(signer, &mut bytes).map_err(BuildError::Frame)?;
        bytes.truncate(length);
        self.counters.frames += 1;
        self.counters.rows += u64::from(rows);
        self.counters.raw_bytes += u64::from(raw_bytes);
        self.counters.frame_bytes += length as u64;
        Ok(Frame { bytes, epoch, rows, raw_bytes })
    }
}

/// Copies a row from the spool into the batch. False if the batch is full; a row that cannot be read is a gap by now
/// and counts as written.
///
/// # Errors
/// [`StorageError`] if the medium does not answer; the row stays.
fn put_row<S: Storage>(
    spool: &mut Spool<S>,
    epoch: BootEpoch,
    lane: Lane,
    seq: Seq,
    writer: &mut BatchWriter<'_>,
) -> Result<bool, StorageError> {
    let Some(row) = spool.read(epoch, lane, seq)? else { return Ok(true) };
    let Some(event) = Batch::parse(&row).ok().and_then(|batch| batch.events().next()).and_then(Result::ok)
    else {
        spool.give_up(epoch, lane, seq);
        return Ok(true);
    };
    Ok(writer.event(&event.head, event.fields(), event.context).is_ok())
}
