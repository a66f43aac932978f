//! Artifact: a signed configuration of a vehicle, with the version that its signer counts.
//!
//! ```text
//!  0  magic "ORAF"       12  tenant u32          40  platform, 32 bytes, filled with 0; all 0 is any
//!  4  format u16         16  version u64         72  vehicle, 16 bytes; all 0 is any
//!  6  suite u16          24  made_at i64         88  key id, 8 bytes
//!  8  kind u16           32  payload_bytes u32   96  payload, then signature, 64 bytes
//! 10  reserved u16       36  reserved u32
//! ```
//!
//! The signature is by a person's or a build's key, never by the cloud's command key: a cloud that was taken over can
//! send again what was signed, not sign what it likes.

use outrider_types::{TenantId, UnixMicros, VehicleId};

use crate::SIGNATURE_BYTES;
use crate::fixed::{Cursor, FrameError, Signer, Verifier, check, put_preamble, seal, split_signature};
use crate::limits::ARTIFACT_BYTES_MAX;
use crate::pb::{Sink, SliceSink};

/// First bytes of an artifact.
pub const ARTIFACT_MAGIC: [u8; 4] = *b"ORAF";
/// Format that this crate writes and reads.
pub const ARTIFACT_FORMAT: u16 = 1;
/// Bytes in front of the payload.
pub const ARTIFACT_HEAD_BYTES: usize = 96;

/// What an artifact configures; append-only numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArtifactKind {
    /// Lanes, windows, fair shares, budgets.
    Policy,
    /// Filters of qualification and patterns of logs.
    Rules,
    /// Vehicle model.
    Model,
}

impl ArtifactKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Policy, Self::Rules, Self::Model];

    /// Returns the number on the wire, from 1.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Policy => 1,
            Self::Rules => 2,
            Self::Model => 3,
        }
    }

    /// Returns the kind of a wire number.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Returns the word in events, API, files and screen.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Rules => "rules",
            Self::Model => "model",
        }
    }

    /// Returns the kind of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// Everything in an artifact but its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArtifactHead {
    /// What it configures.
    pub kind: ArtifactKind,
    /// Owner of the vehicles.
    pub tenant: TenantId,
    /// Version, from 1; a vehicle never takes one that is not above all that it tried.
    pub version: u64,
    /// When it was signed, by the signer's clock; for people, no check depends on it.
    pub made_at: UnixMicros,
    /// Platform that it is for, UTF-8 filled with zeros; `None` is any.
    pub platform: Option<[u8; 32]>,
    /// The one vehicle that it is for; `None` is any.
    pub vehicle: Option<VehicleId>,
    /// First eight bytes of the SHA-256 of the signer's public key.
    pub key: [u8; 8],
}

/// An artifact whose structure was checked but not its signature.
#[derive(Debug, Clone, Copy)]
pub struct SealedArtifact<'a> {
    artifact: Artifact<'a>,
    signed: &'a [u8],
    signature: &'a [u8; SIGNATURE_BYTES],
}

/// An artifact whose signature was checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Artifact<'a> {
    /// Everything but the payload.
    pub head: ArtifactHead,
    /// A policy, a rule pack or a model file; nobody has looked into it.
    pub payload: &'a [u8],
}

impl<'a> SealedArtifact<'a> {
    /// Checks lengths, numbers and caps, O(1).
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let (signed, signature) = split_signature(bytes)?;
        let mut cursor = Cursor::new(signed);
        cursor.preamble(ARTIFACT_MAGIC, ARTIFACT_FORMAT)?;
        let number = cursor.u16()?;
        let kind =
            ArtifactKind::from_code(number).ok_or(FrameError::Value { offset: 8, got: u64::from(number) })?;
        zero(u64::from(cursor.u16()?), 10)?;
        let tenant = TenantId(cursor.u32()?);
        let version = cursor.u64()?;
        if version == 0 {
            return Err(FrameError::Value { offset: 16, got: 0 });
        }
        let made_at = UnixMicros(cursor.i64()?);
        let length = cursor.capped_u32(ARTIFACT_BYTES_MAX)?;
        zero(u64::from(cursor.u32()?), 36)?;
        let platform = Some(cursor.array::<32>()?).filter(|text| *text != [0; 32]);
        let vehicle = Some(VehicleId(cursor.array()?)).filter(|vehicle| vehicle.0 != [0; 16]);
        let key = cursor.array()?;
        if length != cursor.remaining() {
            return Err(FrameError::Length { offset: 32, expected: cursor.remaining(), got: length });
        }
        let payload = cursor.take(length)?;
        let head = ArtifactHead { kind, tenant, version, made_at, platform, vehicle, key };
        Ok(Self { artifact: Artifact { head, payload }, signed, signature })
    }

    /// Returns the head as it claims to be; only for naming the artifact in a refusal.
    #[must_use]
    pub const fn claimed(&self) -> &ArtifactHead {
        &self.artifact.head
    }

    /// Checks the signature and gives out the artifact.
    ///
    /// # Errors
    /// [`FrameError::Suite`] if the key is of another suite, [`FrameError::Signature`].
    pub fn open(self, verifier: &dyn Verifier) -> Result<Artifact<'a>, FrameError> {
        check(verifier, self.signed, self.signature)?;
        Ok(self.artifact)
    }
}

/// Refuses what a later format may give a meaning.
const fn zero(got: u64, offset: usize) -> Result<(), FrameError> {
    if got == 0 { Ok(()) } else { Err(FrameError::Value { offset, got }) }
}

impl Artifact<'_> {
    /// Returns the length of the frame with a payload.
    #[must_use]
    pub const fn frame_bytes(payload_bytes: usize) -> usize {
        payload_bytes.saturating_add(ARTIFACT_HEAD_BYTES).saturating_add(SIGNATURE_BYTES)
    }

    /// Writes and signs an artifact into `out`; returns its length, [`Artifact::frame_bytes`].
    ///
    /// # Errors
    /// [`FrameError`] if `out` is too small, the payload too long, or the signer refuses.
    pub fn emit(
        head: &ArtifactHead,
        payload: &[u8],
        signer: &dyn Signer,
        out: &mut [u8],
    ) -> Result<usize, FrameError> {
        let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= ARTIFACT_BYTES_MAX);
        let length = length.ok_or(FrameError::Cap {
            offset: 32,
            max: crate::fixed::widen(ARTIFACT_BYTES_MAX),
            got: crate::fixed::widen(payload.len()),
        })?;
        let mut sink = SliceSink::new(out);
        put_preamble(&mut sink, ARTIFACT_MAGIC, ARTIFACT_FORMAT, signer.suite())?;
        sink.put(&head.kind.code().to_le_bytes())?;
        sink.put(&[0; 2])?;
        sink.put(&head.tenant.0.to_le_bytes())?;
        sink.put(&head.version.to_le_bytes())?;
        sink.put(&head.made_at.0.to_le_bytes())?;
        sink.put(&length.to_le_bytes())?;
        sink.put(&[0; 4])?;
        sink.put(&head.platform.unwrap_or([0; 32]))?;
        sink.put(&head.vehicle.map_or([0; 16], |vehicle| vehicle.0))?;
        sink.put(&head.key)?;
        sink.put(payload)?;
        seal(sink, signer)
    }
}
