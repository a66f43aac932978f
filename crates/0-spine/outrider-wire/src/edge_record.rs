//! Edge record: a row that came in a short frame, as the cloud's edge writes it into the event log.
//!
//! A short frame can be checked by nobody but the edge that held the session's key. The edge signs what it saw, so that
//! whoever reads the log later can tell its records from bytes that somebody put there. A vehicle never sends one.
//!
//! ```text
//!  0  magic "ORTE"      8  catalogue_id u32   32  epoch u64     48  row_bytes u32
//!  4  version u16      12  tenant u32         40  number u64    52  row
//!  6  suite_id u16     16  vehicle                              ..  signature, 64 bytes
//! ```

use outrider_types::{BootEpoch, TenantId, VehicleId};

use crate::SIGNATURE_BYTES;
use crate::fixed::{Cursor, FrameError, Signer, Verifier, check, put_preamble, seal, split_signature, widen};
use crate::limits::EVENT_BYTES_MAX;
use crate::pb::{Sink, SliceSink};

/// First bytes of an edge record.
pub const EDGE_MAGIC: [u8; 4] = *b"ORTE";
/// Version that this crate writes and reads.
pub const EDGE_VERSION: u16 = 1;
/// Bytes before the row.
const HEADER_BYTES: usize = 52;

/// A row and what the edge knows of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EdgeRecord<'a> {
    /// Version of the event catalogue.
    pub catalogue_id: u32,
    /// Owner of the vehicle.
    pub tenant: TenantId,
    /// Vehicle of the session.
    pub vehicle: VehicleId,
    /// Boot of the row.
    pub epoch: BootEpoch,
    /// Number of the short frame in its session. Diagnostic.
    pub number: u64,
    /// The row: an `EventBatch` that holds one event, as it stood in the vehicle's spool.
    pub row: &'a [u8],
}

/// An edge record whose structure was checked but not its signature.
#[derive(Debug, Clone, Copy)]
pub struct SealedEdgeRecord<'a> {
    record: EdgeRecord<'a>,
    signed: &'a [u8],
    signature: &'a [u8; SIGNATURE_BYTES],
}

impl<'a> SealedEdgeRecord<'a> {
    /// Checks lengths, version and caps.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let mut cursor = Cursor::new(bytes);
        cursor.preamble(EDGE_MAGIC, EDGE_VERSION)?;
        let catalogue_id = cursor.u32()?;
        let tenant = TenantId(cursor.u32()?);
        let vehicle = VehicleId(cursor.array()?);
        let epoch = BootEpoch(cursor.u64()?);
        let number = cursor.u64()?;
        let row_bytes = cursor.capped_u32(EVENT_BYTES_MAX.saturating_mul(2))?;
        let expected = cursor.remaining().saturating_sub(SIGNATURE_BYTES);
        if cursor.remaining() < SIGNATURE_BYTES || row_bytes != expected {
            return Err(FrameError::Length { offset: 48, expected, got: row_bytes });
        }
        let record =
            EdgeRecord { catalogue_id, tenant, vehicle, epoch, number, row: cursor.take(row_bytes)? };
        let (signed, signature) = split_signature(bytes)?;
        Ok(Self { record, signed, signature })
    }

    /// Returns the vehicle that it claims to be of, unverified.
    #[must_use]
    pub const fn claimed(&self) -> VehicleId {
        self.record.vehicle
    }

    /// Checks the edge's signature and gives out the record.
    ///
    /// # Errors
    /// [`FrameError::Signature`], or [`FrameError::Suite`] if the key is of another suite.
    pub fn open(self, verifier: &dyn Verifier) -> Result<EdgeRecord<'a>, FrameError> {
        check(verifier, self.signed, self.signature)?;
        Ok(self.record)
    }
}

impl EdgeRecord<'_> {
    /// Returns the length of the record around a row.
    #[must_use]
    pub const fn frame_bytes(row_bytes: usize) -> usize {
        row_bytes.saturating_add(HEADER_BYTES).saturating_add(SIGNATURE_BYTES)
    }

    /// Writes and signs the record into `out`; returns its length.
    ///
    /// # Errors
    /// [`FrameError`] if `out` is too small, the row too long or the signer refuses.
    pub fn emit(&self, signer: &dyn Signer, out: &mut [u8]) -> Result<usize, FrameError> {
        let max = EVENT_BYTES_MAX.saturating_mul(2);
        let cap = FrameError::Cap { offset: 48, max: widen(max), got: widen(self.row.len()) };
        let row_bytes = u32::try_from(self.row.len()).map_err(|_| cap)?;
        if self.row.len() > max {
            return Err(cap);
        }
        let mut sink = SliceSink::new(out);
        put_preamble(&mut sink, EDGE_MAGIC, EDGE_VERSION, signer.suite())?;
        sink.put(&self.catalogue_id.to_le_bytes())?;
        sink.put(&self.tenant.0.to_le_bytes())?;
        sink.put(&self.vehicle.0)?;
        sink.put(&self.epoch.0.to_le_bytes())?;
        sink.put(&self.number.to_le_bytes())?;
        sink.put(&row_bytes.to_le_bytes())?;
        sink.put(self.row)?;
        seal(sink, signer)
    }
}
