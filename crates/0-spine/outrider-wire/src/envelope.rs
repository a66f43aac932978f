//! Envelope of an uplink batch: fixed header, compressed rows, signature over every byte before it.
//!
//! ```text
//!  0  magic "ORTB"            20  vehicle          52  raw_bytes u32
//!  4  envelope_version u16    36  epoch u64        56  payload_bytes u32
//!  6  suite_id u16            44  batch_number u64 60  payload
//!  8  dict_id u32                                  ..  signature, 64 bytes
//! 12  catalogue_id u32
//! 16  tenant u32              all numbers little endian
//! ```

use outrider_types::{BootEpoch, TenantId, VehicleId};

use crate::fixed::{Cursor, FrameError, Signer, Verifier, check, put_preamble, seal, split_signature, widen};
use crate::limits::{FRAME_BYTES_MAX, RAW_BYTES_MAX};
use crate::pb::{Sink, SliceSink};
use crate::{DictId, SIGNATURE_BYTES};

/// First bytes of an uplink batch.
pub const BATCH_MAGIC: [u8; 4] = *b"ORTB";
/// Version that this crate writes and reads.
pub const ENVELOPE_VERSION: u16 = 1;
/// Bytes before the payload.
pub const ENVELOPE_HEADER_BYTES: usize = 60;

/// What stands outside the compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvelopeHeader {
    /// How the payload is coded.
    pub dict: DictId,
    /// Version of the event catalogue that numbers the event types and fields.
    pub catalogue_id: u32,
    /// Owner of the vehicle.
    pub tenant: TenantId,
    /// Vehicle that sends.
    pub vehicle: VehicleId,
    /// Boot that all rows belong to; not always the current one.
    pub epoch: BootEpoch,
    /// Number of the batch, growing within the sender's boot. Diagnostic; rows are told apart by their own numbers.
    pub batch_number: u64,
    /// Length of the rows before compression.
    pub raw_bytes: u32,
}

/// A batch whose structure was checked but not its signature; shows the header so that the key can be found.
#[derive(Debug, Clone, Copy)]
pub struct SealedEnvelope<'a> {
    header: EnvelopeHeader,
    payload: &'a [u8],
    signed: &'a [u8],
    signature: &'a [u8; SIGNATURE_BYTES],
}

/// A batch whose signature was checked.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// What stands outside the compression.
    pub header: EnvelopeHeader,
    /// Coded rows; see [`DictId`].
    pub payload: &'a [u8],
}

impl<'a> SealedEnvelope<'a> {
    /// Checks lengths, versions and caps.
    ///
    /// # Errors
    /// [`FrameError`]: too long or short, wrong magic, unknown version or suite, a length that lies, or `raw_bytes`
    /// above [`RAW_BYTES_MAX`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(FrameError::Cap { offset: 0, max: widen(FRAME_BYTES_MAX), got: widen(bytes.len()) });
        }
        let mut cursor = Cursor::new(bytes);
        cursor.preamble(BATCH_MAGIC, ENVELOPE_VERSION)?;
        let header = EnvelopeHeader {
            dict: DictId(cursor.u32()?),
            catalogue_id: cursor.u32()?,
            tenant: TenantId(cursor.u32()?),
            vehicle: VehicleId(cursor.array()?),
            epoch: BootEpoch(cursor.u64()?),
            batch_number: cursor.u64()?,
            raw_bytes: cursor.u32()?,
        };
        if header.raw_bytes > RAW_BYTES_MAX {
            let (max, got) = (u64::from(RAW_BYTES_MAX), u64::from(header.raw_bytes));
            return Err(FrameError::Cap { offset: 52, max, got });
        }
        let payload_bytes = cursor.capped_u32(FRAME_BYTES_MAX)?;
        let expected = cursor.remaining().saturating_sub(SIGNATURE_BYTES);
        if cursor.remaining() < SIGNATURE_BYTES || payload_bytes != expected {
            return Err(FrameError::Length { offset: 56, expected, got: payload_bytes });
        }
        let payload = cursor.take(payload_bytes)?;
        if header.dict == DictId::STORED && widen(payload.len()) != u64::from(header.raw_bytes) {
            let got = usize::try_from(header.raw_bytes).unwrap_or(usize::MAX);
            return Err(FrameError::Length { offset: 52, expected: payload.len(), got });
        }
        let (signed, signature) = split_signature(bytes)?;
        Ok(Self { header, payload, signed, signature })
    }

    /// Returns the header as it claims to be; trust it only to look up the key.
    #[must_use]
    pub const fn claimed(&self) -> &EnvelopeHeader {
        &self.header
    }

    /// Checks the signature and gives out the payload.
    ///
    /// # Errors
    /// [`FrameError::Signature`], or [`FrameError::Suite`] if the key is of another suite.
    pub fn open(self, verifier: &dyn Verifier) -> Result<Envelope<'a>, FrameError> {
        check(verifier, self.signed, self.signature)?;
        Ok(Envelope { header: self.header, payload: self.payload })
    }
}

impl Envelope<'_> {
    /// Returns the length of the frame around a payload.
    #[must_use]
    pub const fn frame_bytes(payload_bytes: usize) -> usize {
        payload_bytes.saturating_add(ENVELOPE_HEADER_BYTES).saturating_add(SIGNATURE_BYTES)
    }

    /// Writes and signs the frame into `out`; returns its length.
    ///
    /// # Errors
    /// [`FrameError`] if `out` is too small, a cap is exceeded or the signer refuses.
    pub fn emit(&self, signer: &dyn Signer, out: &mut [u8]) -> Result<usize, FrameError> {
        let frame = Self::frame_bytes(self.payload.len());
        let cap =
            |offset, max: usize, got: usize| FrameError::Cap { offset, max: widen(max), got: widen(got) };
        let payload_bytes = match u32::try_from(self.payload.len()) {
            Ok(length) if frame <= FRAME_BYTES_MAX => length,
            Ok(_) | Err(_) => return Err(cap(0, FRAME_BYTES_MAX, frame)),
        };
        if self.header.raw_bytes > RAW_BYTES_MAX {
            let (max, got) = (u64::from(RAW_BYTES_MAX), u64::from(self.header.raw_bytes));
            return Err(FrameError::Cap { offset: 52, max, got });
        }
        let mut sink = SliceSink::new(out);
        put_preamble(&mut sink, BATCH_MAGIC, ENVELOPE_VERSION, signer.suite())?;
        sink.put(&self.header.dict.0.to_le_bytes())?;
        sink.put(&self.header.catalogue_id.to_le_bytes())?;
        sink.put(&self.header.tenant.0.to_le_bytes())?;
        sink.put(&self.header.vehicle.0)?;
        sink.put(&self.header.epoch.0.to_le_bytes())?;
        sink.put(&self.header.batch_number.to_le_bytes())?;
        sink.put(&self.header.raw_bytes.to_le_bytes())?;
        sink.put(&payload_bytes.to_le_bytes())?;
        sink.put(self.payload)?;
        seal(sink, signer)
    }
}
