//! Command: what the cloud asks of a vehicle, signed with the cloud's command key.
//!
//! The reader here checks structure and signature only. Whether the vehicle obeys is decided in the gateway.
//!
//! ```text
//!  0  magic "ORTC"       24  tenant u32          68  kind u16
//!  4  version u16        28  vehicle             70  permit 16 bytes
//!  6  suite_id u16       44  sequence u64        86  intent hash 32 bytes
//!  8  command id         52  not_before i64     118  parameter_bytes u16
//!                        60  expires i64        120  parameters, then signature, 64 bytes
//! ```

use core::fmt;

use outrider_types::{BootEpoch, EventId, Lane, Seq, TenantId, UnixMicros, VehicleId};

use crate::fixed::{Cursor, FrameError, Signer, Verifier, check, put_preamble, seal, split_signature};
use crate::limits::PARAMETER_BYTES_MAX;
use crate::pb::{Sink, SliceSink};
use crate::{ArtifactKind, CommandId, SIGNATURE_BYTES};

/// First bytes of a command.
pub const COMMAND_MAGIC: [u8; 4] = *b"ORTC";
/// Version that this crate writes and reads.
pub const COMMAND_VERSION: u16 = 1;
/// Longest command frame.
pub const COMMAND_BYTES_MAX: usize = 120 + PARAMETER_BYTES_MAX + SIGNATURE_BYTES;

/// Number of a permit of the safety gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PermitId(pub [u8; 16]);

/// SHA-256 of the intent that the permit was given for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct IntentHash(pub [u8; 32]);

/// What a command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameters {
    /// Keep and upload the frames around an observation. Kind 1.
    RequestEvidence(EvidenceWindow),
    /// Fetch a signed configuration and put it to use. Kind 2.
    Update(UpdateOrder),
}

/// Which artifact a vehicle shall put to use. The artifact carries its own signature; this names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpdateOrder {
    /// What it configures.
    pub kind: ArtifactKind,
    /// Its version.
    pub version: u64,
    /// SHA-256 of the whole artifact; also its name at the vehicle listener.
    pub sha256: [u8; 32],
    /// Its length in bytes.
    pub bytes: u32,
}

/// Window of evidence around one event of the vehicle itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvidenceWindow {
    /// Boot of the event.
    pub epoch: BootEpoch,
    /// Lane of the event.
    pub lane: Lane,
    /// Number of the event.
    pub seq: Seq,
    /// Seconds before the event's first time.
    pub before_s: u16,
    /// Seconds after the event's last time.
    pub after_s: u16,
}

impl EvidenceWindow {
    /// Returns the event's full identity in the vehicle that the command is for.
    #[must_use]
    pub const fn event(&self, vehicle: VehicleId) -> EventId {
        EventId { vehicle, epoch: self.epoch, lane: self.lane, seq: self.seq }
    }
}

/// Why the parameters of a well-formed command cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterError {
    /// The kind is of a later version.
    UnknownKind {
        /// Kind found.
        got: u16,
    },
    /// The parameters do not fit the kind.
    Malformed(FrameError),
}

impl ParameterError {
    /// Returns the error's stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownKind { .. } => "command.unknown_kind",
            Self::Malformed(_) => "command.parameters",
        }
    }
}

impl fmt::Display for ParameterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKind { got } => write!(f, "unknown kind of command {got}"),
            Self::Malformed(error) => write!(f, "parameters: {error}"),
        }
    }
}

impl core::error::Error for ParameterError {}

impl Parameters {
    /// Returns the kind's number on the wire.
    #[must_use]
    pub const fn kind(&self) -> u16 {
        match self {
            Self::RequestEvidence(_) => 1,
            Self::Update(_) => 2,
        }
    }

    fn parse(kind: u16, bytes: &[u8]) -> Result<Self, ParameterError> {
        match kind {
            1 => evidence(bytes).map(Self::RequestEvidence).map_err(ParameterError::Malformed),
            2 => update(bytes).map(Self::Update).map_err(ParameterError::Malformed),
            got => Err(ParameterError::UnknownKind { got }),
        }
    }

    fn put(&self, sink: &mut SliceSink<'_>) -> Result<(), FrameError> {
        match self {
            Self::RequestEvidence(window) => {
                sink.put(&21u16.to_le_bytes())?;
                sink.put(&window.epoch.0.to_le_bytes())?;
                sink.put(&[window.lane.code()])?;
                sink.put(&window.seq.0.to_le_bytes())?;
                sink.put(&window.before_s.to_le_bytes())?;
                sink.put(&window.after_s.to_le_bytes())?;
            }
            Self::Update(order) => {
                sink.put(&46u16.to_le_bytes())?;
                sink.put(&order.kind.code().to_le_bytes())?;
                sink.put(&order.version.to_le_bytes())?;
                sink.put(&order.sha256)?;
                sink.put(&order.bytes.to_le_bytes())?;
            }
        }
        Ok(())
    }
}

fn evidence(bytes: &[u8]) -> Result<EvidenceWindow, FrameError> {
    let mut cursor = Cursor::new(bytes);
    let epoch = BootEpoch(cursor.u64()?);
    let number = cursor.u8()?;
    let lane = Lane::from_code(number).ok_or(FrameError::Value { offset: 8, got: u64::from(number) })?;
    let seq = Seq(cursor.u64()?);
    if seq.0 == 0 {
        return Err(FrameError::Value { offset: 9, got: 0 });
    }
    let window = EvidenceWindow { epoch, lane, seq, before_s: cursor.u16()?, after_s: cursor.u16()? };
    match cursor.remaining() {
        0 => Ok(window),
        _ => Err(FrameError::Length { offset: 0, expected: cursor.at, got: bytes.len() }),
    }
}

fn update(bytes: &[u8]) -> Result<UpdateOrder, FrameError> {
    let mut cursor = Cursor::new(bytes);
    let number = cursor.u16()?;
    let kind =
        ArtifactKind::from_code(number).ok_or(FrameError::Value { offset: 0, got: u64::from(number) })?;
    let version = cursor.u64()?;
    if version == 0 {
        return Err(FrameError::Value { offset: 2, got: 0 });
    }
    let order = UpdateOrder { kind, version, sha256: cursor.array()?, bytes: cursor.u32()? };
    match cursor.remaining() {
        0 => Ok(order),
        _ => Err(FrameError::Length { offset: 0, expected: cursor.at, got: bytes.len() }),
    }
}

/// Everything in a command but its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandHead {
    /// Number of the command.
    pub id: CommandId,
    /// Owner of the vehicle.
    pub tenant: TenantId,
    /// The one vehicle it is for.
    pub vehicle: VehicleId,
    /// Number in the vehicle's series of commands, from 1, growing.
    pub sequence: u64,
    /// Earliest time it may be obeyed.
    pub not_before: UnixMicros,
    /// First time at which it is void.
    pub expires: UnixMicros,
    /// Permit it was issued under.
    pub permit: PermitId,
    /// Intent that the permit was given for.
    pub intent: IntentHash,
}

/// A command whose structure was checked but not its signature.
#[derive(Debug, Clone, Copy)]
pub struct SealedCommand<'a> {
    command: Command<'a>,
    signed: &'a [u8],
    signature: &'a [u8; SIGNATURE_BYTES],
}

/// A command whose signature was checked.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    /// Everything but the parameters.
    pub head: CommandHead,
    kind: u16,
    parameters: &'a [u8],
}

impl<'a> SealedCommand<'a> {
    /// Checks lengths, versions and caps. Kind and parameters are not judged yet.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let (signed, signature) = split_signature(bytes)?;
        let mut cursor = Cursor::new(signed);
        cursor.preamble(COMMAND_MAGIC, COMMAND_VERSION)?;
        let id = CommandId(cursor.array()?);
        let tenant = TenantId(cursor.u32()?);
        let vehicle = VehicleId(cursor.array()?);
        let sequence = cursor.u64()?;
        let not_before = UnixMicros(cursor.i64()?);
        let expires = UnixMicros(cursor.i64()?);
        let kind = cursor.u16()?;
        let permit = PermitId(cursor.array()?);
        let intent = IntentHash(cursor.array()?);
        let offset = cursor.at;
        let length = cursor.capped_u16(PARAMETER_BYTES_MAX)?;
        if length != cursor.remaining() {
            return Err(FrameError::Length { offset, expected: cursor.remaining(), got: length });
        }
        let parameters = cursor.take(length)?;
        let head = CommandHead { id, tenant, vehicle, sequence, not_before, expires, permit, intent };
        Ok(Self { command: Command { head, kind, parameters }, signed, signature })
    }

    /// Returns the head as it claims to be; only for naming the command in a refusal.
    #[must_use]
    pub const fn claimed(&self) -> &CommandHead {
        &self.command.head
    }

    /// Checks the signature and gives out the command.
    ///
    /// # Errors
    /// [`FrameError::Signature`], or [`FrameError::Suite`] if the key is of another suite.
    pub fn open(self, verifier: &dyn Verifier) -> Result<Command<'a>, FrameError> {
        check(verifier, self.signed, self.signature)?;
        Ok(self.command)
    }
}

impl Command<'_> {
    /// Returns the kind's number as it stands.
    #[must_use]
    pub const fn kind(&self) -> u16 {
        self.kind
    }

    /// Reads the parameters of the kind.
    ///
    /// # Errors
    /// [`ParameterError`] for an unknown kind or parameters that do not fit it.
    pub fn parameters(&self) -> Result<Parameters, ParameterError> {
        Parameters::parse(self.kind, self.parameters)
    }

    /// Writes and signs a command into `out`; returns its length, at most [`COMMAND_BYTES_MAX`].
    ///
    /// # Errors
    /// [`FrameError`] if `out` is too small or the signer refuses.
    pub fn emit(
        head: &CommandHead,
        parameters: &Parameters,
        signer: &dyn Signer,
        out: &mut [u8],
    ) -> Result<usize, FrameError> {
        let mut sink = SliceSink::new(out);
        put_preamble(&mut sink, COMMAND_MAGIC, COMMAND_VERSION, signer.suite())?;
        sink.put(&head.id.0)?;
        sink.put(&head.tenant.0.to_le_bytes())?;
        sink.put(&head.vehicle.0)?;
        sink.put(&head.sequence.to_le_bytes())?;
        sink.put(&head.not_before.0.to_le_bytes())?;
        sink.put(&head.expires.0.to_le_bytes())?;
        sink.put(&parameters.kind().to_le_bytes())?;
        sink.put(&head.permit.0)?;
        sink.put(&head.intent.0)?;
        parameters.put(&mut sink)?;
        seal(sink, signer)
    }
}
