//! Short frames at the edge, and what later batches prove of their rows (ADR 0013).
//!
//! The edge that holds the session's key opens a short frame ([`ShortSession::open`]), judges its row as it would one of a
//! batch ([`Acceptor::accept_short`]), and writes an edge record into the event log, which the worker opens like a batch.

mod ledger;
#[cfg(test)]
mod tests;

use hmac::{Hmac, KeyInit as _, Mac as _};
use outrider_types::{BootEpoch, TenantId, VehicleId};
use outrider_wire::limits::EVENT_BYTES_MAX;
use outrider_wire::short_row::{SHAPES_V1, unpack};
use outrider_wire::{
    Batch, BatchWriter, DictId, EdgeRecord, EnvelopeHeader, FrameError, Opening, SHORT_TAG_BYTES,
    SealedEdgeRecord, SealedShort, ShortCoding, ShortPlace, Signer, Tagger, dictionary,
};
use sha2::Sha256;
use zeroize::Zeroizing;

pub use self::ledger::{ShortLedger, ShortVerdict};
use crate::accept::frame_digest;
use crate::accept::{Accepted, Acceptor, compare, note};
use crate::content::Again;
use crate::open::{IngestError, KeyRing, Opened};
use crate::received::Received;

/// Magic, frame header and window of the zstd frame that short frames leave out (RFC 8878, 3.1.1).
const FRAME_HEAD: [u8; 6] = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x38];
/// Tag of `EventBatch.events`.
const EVENT_TAG: u8 = 0x0A;

struct SessionKey(Zeroizing<[u8; 32]>);

impl Tagger for SessionKey {
    fn tag(&self, parts: [&[u8]; 4]) -> [u8; SHORT_TAG_BYTES] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("HMAC takes keys of any length");
        parts.iter().for_each(|part| mac.update(part));
        let whole = mac.finalize().into_bytes();
        let mut tag = [0; SHORT_TAG_BYTES];
        for (slot, byte) in tag.iter_mut().zip(whole) {
            *slot = byte;
        }
        tag
    }
}

/// The edge's end of a vehicle's session. About 70 bytes.
pub struct ShortSession {
    key: SessionKey,
    vehicle: VehicleId,
    number: u64,
    opening: Option<Opening>,
}

impl std::fmt::Debug for ShortSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShortSession").field("vehicle", &self.vehicle).field("number", &self.number).finish()
    }
}

/// A row that came in a short frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShortRow {
    /// Digest of its frame, which the acknowledgement answers.
    pub digest: outrider_wire::FrameDigest,
    /// Vehicle of the session.
    pub vehicle: VehicleId,
    /// Boot.
    pub epoch: BootEpoch,
    /// Version of the event catalogue.
    pub catalogue_id: u32,
    /// Number of the frame in its session.
    pub number: u64,
    /// The row as a batch of one event, byte for byte as in the vehicle's spool.
    pub row: Vec<u8>,
}

impl ShortSession {
    /// Begins with the key that the TLS exporter gave for [`outrider_wire::SHORT_EXPORTER_LABEL`].
    #[must_use]
    pub fn new(vehicle: VehicleId, key: [u8; 32]) -> Self {
        Self { key: SessionKey(Zeroizing::new(key)), vehicle, number: 0, opening: None }
    }

    /// Opens the session's next short frame.
    ///
    /// A frame with the right tag counts, whatever becomes of it: the vehicle counted it when it wrote it.
    ///
    /// # Errors
    /// [`IngestError`]. After [`FrameError::Signature`] or a broken structure both ends may count differently: the session
    /// has to be closed.
    pub fn open(&mut self, bytes: &[u8]) -> Result<ShortRow, IngestError> {
        let place = ShortPlace { vehicle: self.vehicle, number: self.number };
        let sealed = SealedShort::parse(bytes).map_err(IngestError::Frame)?;
        let frame = sealed.open(&self.key, place).map_err(IngestError::Frame)?;
        self.number += 1;
        self.opening = frame.opening.or(self.opening);
        let Some(Opening { epoch, catalogue_id }) = self.opening else {
            return Err(IngestError::Frame(FrameError::Value { offset: 0, got: u64::from(bytes[0]) }));
        };
        let row = decode(frame.coding, frame.row)?;
        let digest = frame_digest(bytes);
        Ok(ShortRow { vehicle: self.vehicle, epoch, catalogue_id, number: place.number, digest, row })
    }
}

fn decode(coding: ShortCoding, coded: &[u8]) -> Result<Vec<u8>, IngestError> {
    let failed = |reason: String| IngestError::Decompress { expected: 0, reason };
    let event = match coding {
        ShortCoding::COMPACT_V1 => {
            let mut buffer = vec![0; EVENT_BYTES_MAX];
            let mut writer = BatchWriter::new(&mut buffer);
            unpack(SHAPES_V1, coded, &mut writer).map_err(IngestError::Frame)?;
            return Ok(writer.finish().to_vec());
        }
        ShortCoding::STORED => coded.to_vec(),
        ShortCoding::BLOCK_V1 => {
            // Type 2, compressed, and the last block (RFC 8878, 3.1.1.2); a short frame's length fits.
            let word = u32::try_from(coded.len()).unwrap_or(u32::MAX) << 3 | 5;
            let [low, middle, high, _] = word.to_le_bytes();
            let frame = [&FRAME_HEAD[..], &[low, middle, high], coded].concat();
            zstd::bulk::Decompressor::with_dictionary(dictionary::SHORT_V1.bytes)
                .and_then(|mut zstd| zstd.decompress(&frame, EVENT_BYTES_MAX))
                .map_err(|error| failed(error.to_string()))?
        }
        other => return Err(failed(format!("unknown coding {}", other.number()))),
    };
    let mut row = vec![EVENT_TAG];
    let mut length = event.len();
    while length >= 0x80 {
        row.push(u8::try_from(length & 0x7F).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    row.push(u8::try_from(length).unwrap_or(0));
    row.extend_from_slice(&event);
    Ok(row)
}

impl ShortRow {
    /// Returns the record for the event log, signed by the edge.
    ///
    /// # Errors
    /// [`FrameError`] if the row is too long for a record, or the signer refuses.
    pub fn record(&self, tenant: TenantId, signer: &dyn Signer) -> Result<Vec<u8>, FrameError> {
        let mut out = vec![0; EdgeRecord::frame_bytes(self.row.len())];
        let record = EdgeRecord {
            catalogue_id: self.catalogue_id,
            tenant,
            vehicle: self.vehicle,
            epoch: self.epoch,
            number: self.number,
            row: &self.row,
        };
        let length = record.emit(signer, &mut out)?;
        out.truncate(length);
        Ok(out)
    }
}

impl Acceptor {
    /// Judges a row that came in a short frame as [`Acceptor::accept`] judges a batch; nothing is stored here.
    ///
    /// # Errors
    /// [`IngestError`]: the vehicle is not registered, or the row cannot be read. It must not be stored then.
    pub fn accept_short(
        &self,
        row: &ShortRow,
        keys: &dyn KeyRing,
        known: Received,
    ) -> Result<Accepted, IngestError> {
        let vehicle = row.vehicle;
        let Some((tenant, _)) = keys.batch_key(vehicle) else {
            return Err(IngestError::UnknownVehicle { vehicle });
        };
        let batch = Batch::parse(&row.row).map_err(IngestError::Rows)?;
        let mut received = known;
        let mut rows = batch.events();
        let (Some(Ok(event)), None) = (rows.next(), rows.next()) else {
            return Err(IngestError::Decompress { expected: 1, reason: "not one whole row".to_owned() });
        };
        let seq = event.head.seq.0;
        let differs = compare(&mut received, row.epoch, &event, &mut Again::default());
        let has_news = note(&mut received, row.epoch, event.head.lane, (seq, seq)) || differs;
        Ok(Accepted { tenant, vehicle, epoch: row.epoch, rows: 1, has_news, received })
    }
}

/// Opens an edge record of the event log as if it were a batch.
///
/// # Errors
/// [`IngestError`]: no edge key is known here, the signature is wrong, or the vehicle is not registered to the tenant.
pub(crate) fn open_record(bytes: &[u8], keys: &dyn KeyRing) -> Result<Opened, IngestError> {
    let sealed = SealedEdgeRecord::parse(bytes).map_err(IngestError::Frame)?;
    let edge = keys.edge_key().ok_or(IngestError::Frame(FrameError::Signature))?;
    let record = sealed.open(edge.as_ref()).map_err(IngestError::Frame)?;
    let Some((tenant, _)) = keys.batch_key(record.vehicle) else {
        return Err(IngestError::UnknownVehicle { vehicle: record.vehicle });
    };
    if tenant != record.tenant {
        return Err(IngestError::WrongTenant { expected: tenant, got: record.tenant });
    }
    Batch::parse(record.row).map_err(IngestError::Rows)?;
    let header = EnvelopeHeader {
        dict: DictId::STORED,
        catalogue_id: record.catalogue_id,
        tenant,
        vehicle: record.vehicle,
        epoch: record.epoch,
        batch_number: record.number,
        raw_bytes: u32::try_from(record.row.len()).unwrap_or(u32::MAX),
    };
    Ok(Opened { header, rows: record.row.to_vec(), is_short: true })
}
