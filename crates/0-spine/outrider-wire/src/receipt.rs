//! Receipt: the vehicle's signed answer to a command, sent as a frame of its own.
//!
//! ```text
//!  0  magic "ORTR"       24  tenant u32        52  status u16
//!  4  version u16        28  vehicle           54  reason u16
//!  6  suite_id u16       44  sequence u64      56  evidence SHA-256, 32 bytes
//!  8  command id                               88  evidence_bytes u64, then signature, 64 bytes
//! ```

use outrider_types::{TenantId, VehicleId};

use crate::SIGNATURE_BYTES;
use crate::fixed::{Cursor, FrameError, Signer, Verifier, check, put_preamble, seal, split_signature};
use crate::pb::{Sink, SliceSink};

/// First bytes of a receipt.
pub const RECEIPT_MAGIC: [u8; 4] = *b"ORTR";
/// Version that this crate writes and reads.
pub const RECEIPT_VERSION: u16 = 1;
/// Length of every receipt of this version.
pub const RECEIPT_BYTES: usize = 96 + SIGNATURE_BYTES;

/// Number of a command, chosen by the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CommandId(pub [u8; 16]);

/// SHA-256 of an evidence file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EvidenceHash(pub [u8; 32]);

/// Why a vehicle refuses a command; closed list, append-only numbers. Field `reason` of `command.rejected`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefuseReason {
    /// The frame has no valid structure.
    Malformed,
    /// The signature is not that of the command key.
    Signature,
    /// It is for another vehicle.
    WrongVehicle,
    /// It is for another tenant.
    WrongTenant,
    /// The vehicle has no time that it trusts.
    NoTrustedTime,
    /// It is not valid yet.
    NotYetValid,
    /// It is void.
    Expired,
    /// Its window of validity is longer than allowed, or reversed.
    Window,
    /// Its number is not above the last accepted one.
    Sequence,
    /// Its kind is unknown.
    UnknownKind,
    /// Its parameters do not fit its kind.
    Parameters,
    /// It asks for more than the vehicle gives.
    Cap,
    /// What it asks about is not there any more, or never was.
    NotAvailable,
    /// The version is not above all that the vehicle tried.
    Rollback,
    /// The artifact is not signed by a key that the vehicle trusts, or is for another vehicle.
    Untrusted,
    /// The artifact is not what was announced, or cannot be read.
    Artifact,
    /// The vehicle used it, did not stay healthy, and returned to the last good one.
    Unhealthy,
    /// Another configuration is on trial.
    Busy,
}

impl RefuseReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 18] = [
        Self::Malformed,
        Self::Signature,
        Self::WrongVehicle,
        Self::WrongTenant,
        Self::NoTrustedTime,
        Self::NotYetValid,
        Self::Expired,
        Self::Window,
        Self::Sequence,
        Self::UnknownKind,
        Self::Parameters,
        Self::Cap,
        Self::NotAvailable,
        Self::Rollback,
        Self::Untrusted,
        Self::Artifact,
        Self::Unhealthy,
        Self::Busy,
    ];

    /// Returns the number on the wire, from 1.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Malformed => 1,
            Self::Signature => 2,
            Self::WrongVehicle => 3,
            Self::WrongTenant => 4,
            Self::NoTrustedTime => 5,
            Self::NotYetValid => 6,
            Self::Expired => 7,
            Self::Window => 8,
            Self::Sequence => 9,
            Self::UnknownKind => 10,
            Self::Parameters => 11,
            Self::Cap => 12,
            Self::NotAvailable => 13,
            Self::Rollback => 14,
            Self::Untrusted => 15,
            Self::Artifact => 16,
            Self::Unhealthy => 17,
            Self::Busy => 18,
        }
    }

    /// Returns the reason of a wire number, or `None` for one of a later version.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// Returns the word in events, API and screen.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Signature => "signature",
            Self::WrongVehicle => "wrong_vehicle",
            Self::WrongTenant => "wrong_tenant",
            Self::NoTrustedTime => "no_trusted_time",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::Window => "window",
            Self::Sequence => "sequence",
            Self::UnknownKind => "unknown_kind",
            Self::Parameters => "parameters",
            Self::Cap => "cap",
            Self::NotAvailable => "not_available",
            Self::Rollback => "rollback",
            Self::Untrusted => "untrusted",
            Self::Artifact => "artifact",
            Self::Unhealthy => "unhealthy",
            Self::Busy => "busy",
        }
    }
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// All checks passed; the work goes on.
    Accepted,
    /// Refused; `None` is a reason of a later version.
    Refused(Option<RefuseReason>),
    /// Done; the evidence has this hash and length.
    Done {
        /// SHA-256 of the evidence file.
        evidence: EvidenceHash,
        /// Length of the evidence file.
        bytes: u64,
    },
    /// Accepted but could not be done.
    Failed,
}

/// The vehicle's answer to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Command it answers.
    pub command: CommandId,
    /// Owner of the vehicle.
    pub tenant: TenantId,
    /// Vehicle that answers.
    pub vehicle: VehicleId,
    /// Number of the command in the vehicle's series.
    pub sequence: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// A receipt whose structure was checked but not its signature.
#[derive(Debug, Clone, Copy)]
pub struct SealedReceipt<'a> {
    receipt: Receipt,
    signed: &'a [u8],
    signature: &'a [u8; SIGNATURE_BYTES],
}

impl<'a> SealedReceipt<'a> {
    /// Checks length, versions and values.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let (signed, signature) = split_signature(bytes)?;
        let mut cursor = Cursor::new(signed);
        cursor.preamble(RECEIPT_MAGIC, RECEIPT_VERSION)?;
        let command = CommandId(cursor.array()?);
        let tenant = TenantId(cursor.u32()?);
        let vehicle = VehicleId(cursor.array()?);
        let sequence = cursor.u64()?;
        let (status, reason) = (cursor.u16()?, cursor.u16()?);
        let evidence = EvidenceHash(cursor.array()?);
        let length = cursor.u64()?;
        if cursor.remaining() != 0 {
            return Err(FrameError::Length { offset: 0, expected: RECEIPT_BYTES, got: bytes.len() });
        }
        let outcome = match status {
            1 => Outcome::Accepted,
            2 => Outcome::Refused(RefuseReason::from_code(reason)),
            3 => Outcome::Done { evidence, bytes: length },
            4 => Outcome::Failed,
            got => return Err(FrameError::Value { offset: 52, got: u64::from(got) }),
        };
        Ok(Self { receipt: Receipt { command, tenant, vehicle, sequence, outcome }, signed, signature })
    }

    /// Returns the receipt as it claims to be; trust it only to look up the key.
    #[must_use]
    pub const fn claimed(&self) -> &Receipt {
        &self.receipt
    }

    /// Checks the signature and gives out the receipt.
    ///
    /// # Errors
    /// [`FrameError::Signature`], or [`FrameError::Suite`] if the key is of another suite.
    pub fn open(self, verifier: &dyn Verifier) -> Result<Receipt, FrameError> {
        check(verifier, self.signed, self.signature)?;
        Ok(self.receipt)
    }
}

impl Receipt {
    /// Writes and signs the receipt into `out`; returns its length, [`RECEIPT_BYTES`].
    ///
    /// # Errors
    /// [`FrameError`] if `out` is too small or the signer refuses.
    pub fn emit(&self, signer: &dyn Signer, out: &mut [u8]) -> Result<usize, FrameError> {
        let zero = EvidenceHash([0; 32]);
        let (status, reason, evidence, length) = match self.outcome {
            Outcome::Accepted => (1u16, 0, zero, 0),
            Outcome::Refused(reason) => (2, reason.map_or(0, RefuseReason::code), zero, 0),
            Outcome::Done { evidence, bytes } => (3, 0, evidence, bytes),
            Outcome::Failed => (4, 0, zero, 0),
        };
        let mut sink = SliceSink::new(out);
        put_preamble(&mut sink, RECEIPT_MAGIC, RECEIPT_VERSION, signer.suite())?;
        sink.put(&self.command.0)?;
        sink.put(&self.tenant.0.to_le_bytes())?;
        sink.put(&self.vehicle.0)?;
        sink.put(&self.sequence.to_le_bytes())?;
        sink.put(&status.to_le_bytes())?;
        sink.put(&reason.to_le_bytes())?;
        sink.put(&evidence.0)?;
        sink.put(&length.to_le_bytes())?;
        seal(sink, signer)
    }
}
