//! Acknowledgement: the cloud's signed watermark per boot and lane. Nothing else frees the vehicle's spool.
//!
//! ```text
//!  0  magic "ORTA"      8  vehicle             32  answers, 16 bytes; not in version 1
//!  4  version u16      24  issued i64 (µs)     48  watermark_count u16
//!  6  suite_id u16                             50  watermarks
//!                                              ..  signature, 64 bytes
//! watermark: epoch u64, lane u8, contiguous u64, hole_count u16, then (first u64, last u64) a hole
//! ```

use outrider_types::{BootEpoch, Lane, Seq, UnixMicros, VehicleId};

use crate::SIGNATURE_BYTES;
use crate::fixed::{Cursor, FrameError, Signer, Verifier, check, put_preamble, seal, split_signature, widen};
use crate::limits::{HOLES_MAX, WATERMARKS_MAX};
use crate::pb::{Sink, SliceSink};
use crate::rows::SeqRange;

/// First bytes of an acknowledgement.
pub const ACK_MAGIC: [u8; 4] = *b"ORTA";
/// Version that answers a frame.
pub const ACK_VERSION: u16 = 2;
/// Version that says what is durable and answers nothing.
const ACK_VERSION_UNBOUND: u16 = 1;

/// First 16 bytes of the SHA-256 over an uplink frame as it was sent: which frame an acknowledgement answers.
pub type FrameDigest = [u8; 16];

/// What the cloud durably has of one lane of one boot, as a writer gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark<'a> {
    /// Boot.
    pub epoch: BootEpoch,
    /// Lane.
    pub lane: Lane,
    /// All numbers up to this one are durable or known to be lost; 0 if none.
    pub contiguous: u64,
    /// Missing numbers above it that the cloud wants; ascending, disjoint, at most [`HOLES_MAX`].
    pub holes: &'a [SeqRange],
}

/// What the cloud durably has of one lane of one boot, as a reader sees it.
#[derive(Debug, Clone, Copy)]
pub struct WatermarkView<'a> {
    /// Boot.
    pub epoch: BootEpoch,
    /// Lane.
    pub lane: Lane,
    /// All numbers up to this one are durable or known to be lost; 0 if none.
    pub contiguous: u64,
    holes: &'a [u8],
}

impl<'a> WatermarkView<'a> {
    /// Returns the wanted holes, ascending and disjoint.
    pub fn holes(&self) -> impl Iterator<Item = SeqRange> + use<'a> {
        let mut cursor = Cursor::new(self.holes);
        core::iter::from_fn(move || {
            let (first, last) = (cursor.u64().ok()?, cursor.u64().ok()?);
            SeqRange::new(Seq(first), Seq(last))
        })
    }
}

/// An acknowledgement whose structure was checked but not its signature.
#[derive(Debug, Clone, Copy)]
pub struct SealedAck<'a> {
    ack: Ack<'a>,
    signed: &'a [u8],
    signature: &'a [u8; SIGNATURE_BYTES],
}

/// An acknowledgement whose signature was checked.
#[derive(Debug, Clone, Copy)]
pub struct Ack<'a> {
    /// Vehicle it is for. The reader compares it with its own.
    pub vehicle: VehicleId,
    /// When the cloud signed it.
    pub issued: UnixMicros,
    /// The frame that it answers: what that frame stated beside rows is durable. `None` if it only says what is durable.
    pub answers: Option<FrameDigest>,
    watermarks: &'a [u8],
}

impl<'a> SealedAck<'a> {
    /// Checks lengths, versions, caps and the order of holes.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let (signed, signature) = split_signature(bytes)?;
        let mut cursor = Cursor::new(signed);
        let is_unbound = cursor.preamble(ACK_MAGIC, ACK_VERSION_UNBOUND).is_ok();
        if !is_unbound {
            cursor = Cursor::new(signed);
            cursor.preamble(ACK_MAGIC, ACK_VERSION)?;
        }
        let vehicle = VehicleId(cursor.array()?);
        let issued = UnixMicros(cursor.i64()?);
        let answers = if is_unbound { None } else { Some(cursor.array()?) };
        let count = cursor.capped_u16(WATERMARKS_MAX)?;
        let mut rest = cursor;
        for _ in 0..count {
            watermark(&mut cursor)?;
        }
        if cursor.remaining() != 0 {
            let expected = rest.remaining().saturating_sub(cursor.remaining());
            return Err(FrameError::Length { offset: cursor.at, expected, got: rest.remaining() });
        }
        let watermarks = rest.take(rest.remaining())?;
        Ok(Self { ack: Ack { vehicle, issued, answers, watermarks }, signed, signature })
    }

    /// Checks the signature and gives out the content.
    ///
    /// # Errors
    /// [`FrameError::Signature`], or [`FrameError::Suite`] if the key is of another suite.
    pub fn open(self, verifier: &dyn Verifier) -> Result<Ack<'a>, FrameError> {
        check(verifier, self.signed, self.signature)?;
        Ok(self.ack)
    }
}

impl<'a> Ack<'a> {
    /// Returns the watermarks.
    pub fn watermarks(&self) -> impl Iterator<Item = WatermarkView<'a>> + use<'a> {
        let mut cursor = Cursor::new(self.watermarks);
        core::iter::from_fn(move || watermark(&mut cursor).ok())
    }

    /// Returns the length of the frame for these watermarks; one that answers nothing is 16 bytes shorter.
    #[must_use]
    pub fn frame_bytes(watermarks: &[Watermark<'_>]) -> usize {
        watermarks.iter().fold(50usize.saturating_add(SIGNATURE_BYTES), |sum, mark| {
            sum.saturating_add(19).saturating_add(mark.holes.len().saturating_mul(16))
        })
    }

    /// Writes and signs an acknowledgement into `out` that answers no frame; returns its length.
    ///
    /// # Errors
    /// As [`Ack::emit_answer`].
    pub fn emit(
        vehicle: VehicleId,
        issued: UnixMicros,
        watermarks: &[Watermark<'_>],
        signer: &dyn Signer,
        out: &mut [u8],
    ) -> Result<usize, FrameError> {
        Self::put((vehicle, issued, None), watermarks, signer, out)
    }

    /// Writes and signs an acknowledgement of a frame into `out`; returns its length.
    ///
    /// # Errors
    /// [`FrameError`] if `out` is too small, there are too many watermarks or holes, holes are not ascending and
    /// above the contiguous number, or the signer refuses.
    pub fn emit_answer(
        (vehicle, issued, answers): (VehicleId, UnixMicros, FrameDigest),
        watermarks: &[Watermark<'_>],
        signer: &dyn Signer,
        out: &mut [u8],
    ) -> Result<usize, FrameError> {
        Self::put((vehicle, issued, Some(answers)), watermarks, signer, out)
    }

    fn put(
        (vehicle, issued, answers): (VehicleId, UnixMicros, Option<FrameDigest>),
        watermarks: &[Watermark<'_>],
        signer: &dyn Signer,
        out: &mut [u8],
    ) -> Result<usize, FrameError> {
        let mut sink = SliceSink::new(out);
        let version = if answers.is_some() { ACK_VERSION } else { ACK_VERSION_UNBOUND };
        put_preamble(&mut sink, ACK_MAGIC, version, signer.suite())?;
        sink.put(&vehicle.0)?;
        sink.put(&issued.0.to_le_bytes())?;
        if let Some(answers) = answers {
            sink.put(&answers)?;
        }
        sink.put(&capped(sink.used(), watermarks.len(), WATERMARKS_MAX)?)?;
        for mark in watermarks {
            sink.put(&mark.epoch.0.to_le_bytes())?;
            sink.put(&[mark.lane.code()])?;
            sink.put(&mark.contiguous.to_le_bytes())?;
            sink.put(&capped(sink.used(), mark.holes.len(), HOLES_MAX)?)?;
            let mut below = mark.contiguous;
            for hole in mark.holes {
                if hole.first().0 <= below {
                    return Err(FrameError::Value { offset: sink.used(), got: hole.first().0 });
                }
                below = hole.last().0;
                sink.put(&hole.first().0.to_le_bytes())?;
                sink.put(&hole.last().0.to_le_bytes())?;
            }
        }
        seal(sink, signer)
    }
}

fn capped(offset: usize, got: usize, max: usize) -> Result<[u8; 2], FrameError> {
    match u16::try_from(got) {
        Ok(count) if got <= max => Ok(count.to_le_bytes()),
        Ok(_) | Err(_) => Err(FrameError::Cap { offset, max: widen(max), got: widen(got) }),
    }
}

fn watermark<'a>(cursor: &mut Cursor<'a>) -> Result<WatermarkView<'a>, FrameError> {
    let epoch = BootEpoch(cursor.u64()?);
    let offset = cursor.at;
    let number = cursor.u8()?;
    let lane = Lane::from_code(number).ok_or(FrameError::Value { offset, got: u64::from(number) })?;
    let contiguous = cursor.u64()?;
    let count = cursor.capped_u16(HOLES_MAX)?;
    let offset = cursor.at;
    let holes = cursor.take(count.saturating_mul(16))?;
    let mut below = contiguous;
    let mut pairs = Cursor::new(holes);
    for _ in 0..count {
        let at = offset.saturating_add(pairs.at);
        let (first, last) = (pairs.u64()?, pairs.u64()?);
        if first <= below || last < first {
            return Err(FrameError::Value { offset: at, got: first });
        }
        below = last;
    }
    Ok(WatermarkView { epoch, lane, contiguous, holes })
}
