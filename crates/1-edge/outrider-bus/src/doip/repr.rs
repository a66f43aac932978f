//! What messages say.

use core::fmt;

use super::codes::{ActivationCode, DiagnosticNackCode, HeaderNackCode, PayloadType};
use crate::bytes::{ByteOrder, NoSpace, Writer, array, u8_at, u16_at, u32_at};
use crate::tp_header::TpHeader;

/// Bytes of a VIN.
const VIN_BYTES: usize = 17;

/// Vehicle identification number as sent; printed only on purpose, because it names a person's car.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vin([u8; VIN_BYTES]);

impl Vin {
    /// Takes the bytes as sent.
    #[must_use]
    pub const fn new(bytes: [u8; VIN_BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes as sent; a place that shows them needs a reason.
    #[must_use]
    pub const fn expose(&self) -> &[u8; VIN_BYTES] {
        &self.0
    }

    /// Returns whether the bytes are a VIN: digits and capital letters without I, O and Q.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        self.0.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase() && !b"IOQ".contains(byte))
    }
}

impl fmt::Debug for Vin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vin(…)")
    }
}

/// Why a payload does not say what its type promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DoipError {
    /// The message ends before its payload does.
    Truncated {
        /// Bytes the header says.
        needed: u32,
        /// Bytes there.
        got: usize,
    },
    /// No payload of this type has this length.
    Length {
        /// The type.
        payload_type: PayloadType,
        /// Bytes there.
        got: usize,
    },
}

impl fmt::Display for DoipError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { needed, got } => write!(f, "message needs {needed} bytes, got {got}"),
            Self::Length { payload_type, got } => write!(f, "no {payload_type:?} has {got} bytes"),
        }
    }
}

impl core::error::Error for DoipError {}

/// Who a vehicle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Announcement {
    /// Its VIN.
    pub vin: Vin,
    /// Logical address of the entity.
    pub entity: u16,
    /// Identifier of the entity, usually its Ethernet address.
    pub eid: [u8; 6],
    /// Identifier of its group.
    pub gid: [u8; 6],
    /// What has to be done next: 0 nothing, 0x10 activate routing.
    pub further_action: u8,
    /// Whether VIN and group are in step, where the entity says so.
    pub sync_status: Option<u8>,
}

/// How busy an entity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityStatus {
    /// 0 gateway, 1 node.
    pub node_type: u8,
    /// Connections it takes at once.
    pub sockets_max: u8,
    /// Connections open.
    pub sockets_open: u8,
    /// Longest message it takes, where it says so.
    pub message_bytes_max: Option<u32>,
}

/// What one message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A header was refused.
    HeaderNack(HeaderNackCode),
    /// Who is there?
    IdentificationRequest,
    /// Is this entity there?
    IdentificationRequestEid([u8; 6]),
    /// Is this vehicle there?
    IdentificationRequestVin(Vin),
    /// A vehicle says who it is.
    Announcement(Announcement),
    /// A tester wants messages to be routed.
    ActivationRequest {
        /// The tester's logical address.
        tester: u16,
        /// 0 default, 1 for regulated diagnosis, 0xE0 central security, others the car maker's.
        activation_type: u8,
        /// Bytes of the car maker.
        oem: Option<u32>,
    },
    /// The entity's answer.
    ActivationResponse {
        /// The tester's logical address.
        tester: u16,
        /// The entity's logical address.
        entity: u16,
        /// Outcome.
        code: ActivationCode,
        /// Bytes of the car maker.
        oem: Option<u32>,
    },
    /// Are you still there?
    AliveCheckRequest,
    /// The tester with this address is.
    AliveCheckResponse(u16),
    /// How many connections are there?
    EntityStatusRequest,
    /// So many.
    EntityStatusResponse(EntityStatus),
    /// Is the vehicle ready for diagnosis?
    PowerModeRequest,
    /// 0 not ready, 1 ready, 2 not supported.
    PowerModeResponse(u8),
    /// A diagnostic message, UDS in most vehicles.
    Diagnostic {
        /// Sender.
        source: u16,
        /// Receiver.
        target: u16,
        /// The message, at least one byte.
        data: &'a [u8],
    },
    /// A diagnostic message was taken.
    DiagnosticAck {
        /// Who took it.
        source: u16,
        /// Whose it was.
        target: u16,
        /// 0: taken.
        code: u8,
        /// The message's beginning.
        previous: &'a [u8],
    },
    /// A diagnostic message was refused.
    DiagnosticNack {
        /// Who refused it.
        source: u16,
        /// Whose it was.
        target: u16,
        /// Why.
        code: DiagnosticNackCode,
        /// The message's beginning.
        previous: &'a [u8],
    },
    /// A type this crate does not know.
    Unknown {
        /// The type.
        payload_type: u16,
        /// The payload.
        payload: &'a [u8],
    },
}

impl<'a> Message<'a> {
    /// Reads a whole payload.
    ///
    /// # Errors
    /// [`DoipError::Length`] if no payload of this type has this length.
    pub fn parse(payload_type: PayloadType, payload: &'a [u8]) -> Result<Self, DoipError> {
        let bad = DoipError::Length { payload_type, got: payload.len() };
        let is = |lengths: &[usize]| if lengths.contains(&payload.len()) { Ok(()) } else { Err(bad) };
        let byte = |at| u8_at(payload, at).ok_or(bad);
        let word = |at| u16_at(payload, at).ok_or(bad);
        let oem = |at| u32_at(payload, at, ByteOrder::Big);
        match payload_type {
            PayloadType::HeaderNack => {
                is(&[1])?;
                Ok(Self::HeaderNack(HeaderNackCode::from_code(byte(0)?)))
            }
            PayloadType::IdentificationRequest => is(&[0]).map(|()| Self::IdentificationRequest),
            PayloadType::IdentificationRequestEid => {
                is(&[6])?;
                Ok(Self::IdentificationRequestEid(array(payload, 0).ok_or(bad)?))
            }
            PayloadType::IdentificationRequestVin => {
                is(&[VIN_BYTES])?;
                Ok(Self::IdentificationRequestVin(Vin(array(payload, 0).ok_or(bad)?)))
            }
            PayloadType::Announcement => is(&[32, 33]).and_then(|()| announcement(payload).ok_or(bad)),
            PayloadType::ActivationRequest => {
                is(&[7, 11])?;
                Ok(Self::ActivationRequest { tester: word(0)?, activation_type: byte(2)?, oem: oem(7) })
            }
            PayloadType::ActivationResponse => {
                is(&[9, 13])?;
                let code = ActivationCode::from_code(byte(4)?);
                Ok(Self::ActivationResponse { tester: word(0)?, entity: word(2)?, code, oem: oem(9) })
            }
            PayloadType::AliveCheckRequest => is(&[0]).map(|()| Self::AliveCheckRequest),
            PayloadType::AliveCheckResponse => {
                is(&[2])?;
                Ok(Self::AliveCheckResponse(word(0)?))
            }
            PayloadType::EntityStatusRequest => is(&[0]).map(|()| Self::EntityStatusRequest),
            PayloadType::EntityStatusResponse => {
                is(&[3, 7])?;
                Ok(Self::EntityStatusResponse(EntityStatus {
                    node_type: byte(0)?,
                    sockets_max: byte(1)?,
                    sockets_open: byte(2)?,
                    message_bytes_max: oem(3),
                }))
            }
            PayloadType::PowerModeRequest => is(&[0]).map(|()| Self::PowerModeRequest),
            PayloadType::PowerModeResponse => {
                is(&[1])?;
                Ok(Self::PowerModeResponse(byte(0)?))
            }
            PayloadType::Diagnostic => {
                let data = payload.get(4..).filter(|data| !data.is_empty()).ok_or(bad)?;
                Ok(Self::Diagnostic { source: word(0)?, target: word(2)?, data })
            }
            PayloadType::DiagnosticAck => {
                let previous = payload.get(5..).ok_or(bad)?;
                Ok(Self::DiagnosticAck { source: word(0)?, target: word(2)?, code: byte(4)?, previous })
            }
            PayloadType::DiagnosticNack => {
                let previous = payload.get(5..).ok_or(bad)?;
                let code = DiagnosticNackCode::from_code(byte(4)?);
                Ok(Self::DiagnosticNack { source: word(0)?, target: word(2)?, code, previous })
            }
            PayloadType::Unknown(payload_type) => Ok(Self::Unknown { payload_type, payload }),
        }
    }

    /// Returns the message's type.
    #[must_use]
    pub const fn payload_type(&self) -> PayloadType {
        match self {
            Self::HeaderNack(_) => PayloadType::HeaderNack,
            Self::IdentificationRequest => PayloadType::IdentificationRequest,
            Self::IdentificationRequestEid(_) => PayloadType::IdentificationRequestEid,
            Self::IdentificationRequestVin(_) => PayloadType::IdentificationRequestVin,
            Self::Announcement(_) => PayloadType::Announcement,
            Self::ActivationRequest { .. } => PayloadType::ActivationRequest,
            Self::ActivationResponse { .. } => PayloadType::ActivationResponse,
            Self::AliveCheckRequest => PayloadType::AliveCheckRequest,
            Self::AliveCheckResponse(_) => PayloadType::AliveCheckResponse,
            Self::EntityStatusRequest => PayloadType::EntityStatusRequest,
            Self::EntityStatusResponse(_) => PayloadType::EntityStatusResponse,
            Self::PowerModeRequest => PayloadType::PowerModeRequest,
            Self::PowerModeResponse(_) => PayloadType::PowerModeResponse,
            Self::Diagnostic { .. } => PayloadType::Diagnostic,
            Self::DiagnosticAck { .. } => PayloadType::DiagnosticAck,
            Self::DiagnosticNack { .. } => PayloadType::DiagnosticNack,
            Self::Unknown { payload_type, .. } => PayloadType::from_code(*payload_type),
        }
    }

    /// Writes header and payload and returns their length in bytes. Reserved bytes are zero.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer is too small.
    pub fn emit(&self, version: u8, out: &mut [u8]) -> Result<usize, NoSpace> {
        let mut counter = Writer::new(&mut []);
        self.put(&mut counter);
        let length = counter.finish().unwrap_or_else(|error| error.needed);
        let mut writer = Writer::new(out);
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        TpHeader::new(version, self.payload_type().code(), length).put(&mut writer);
        self.put(&mut writer);
        writer.finish()
    }

    fn put(&self, writer: &mut Writer<'_>) {
        match self {
            Self::HeaderNack(code) => writer.put(&[code.code()]),
            Self::IdentificationRequest
            | Self::AliveCheckRequest
            | Self::EntityStatusRequest
            | Self::PowerModeRequest => {}
            Self::IdentificationRequestEid(eid) => writer.put(eid),
            Self::IdentificationRequestVin(vin) => writer.put(vin.expose()),
            Self::Announcement(announcement) => put_announcement(announcement, writer),
            Self::ActivationRequest { tester, activation_type, oem } => {
                writer.put(&tester.to_be_bytes());
                writer.put(&[*activation_type, 0, 0, 0, 0]);
                put_optional(*oem, writer);
            }
            Self::ActivationResponse { tester, entity, code, oem } => {
                writer.put(&tester.to_be_bytes());
                writer.put(&entity.to_be_bytes());
                writer.put(&[code.code(), 0, 0, 0, 0]);
                put_optional(*oem, writer);
            }
            Self::AliveCheckResponse(tester) => writer.put(&tester.to_be_bytes()),
            Self::EntityStatusResponse(status) => {
                writer.put(&[status.node_type, status.sockets_max, status.sockets_open]);
                put_optional(status.message_bytes_max, writer);
            }
            Self::PowerModeResponse(mode) => writer.put(&[*mode]),
            Self::Diagnostic { source, target, data } => put_diagnostic(*source, *target, &[], data, writer),
            Self::DiagnosticAck { source, target, code, previous } => {
                put_diagnostic(*source, *target, &[*code], previous, writer);
            }
            Self::DiagnosticNack { source, target, code, previous } => {
                put_diagnostic(*source, *target, &[code.code()], previous, writer);
            }
            Self::Unknown { payload, .. } => writer.put(payload),
        }
    }
}

fn put_optional(value: Option<u32>, writer: &mut Writer<'_>) {
    if let Some(value) = value {
        writer.put(&value.to_be_bytes());
    }
}

fn put_diagnostic(source: u16, target: u16, code: &[u8], data: &[u8], writer: &mut Writer<'_>) {
    writer.put(&source.to_be_bytes());
    writer.put(&target.to_be_bytes());
    writer.put(code);
    writer.put(data);
}

fn put_announcement(announcement: &Announcement, writer: &mut Writer<'_>) {
    writer.put(announcement.vin.expose());
    writer.put(&announcement.entity.to_be_bytes());
    writer.put(&announcement.eid);
    writer.put(&announcement.gid);
    writer.put(&[announcement.further_action]);
    if let Some(status) = announcement.sync_status {
        writer.put(&[status]);
    }
}

fn announcement(payload: &[u8]) -> Option<Message<'_>> {
    Some(Message::Announcement(Announcement {
        vin: Vin(array(payload, 0)?),
        entity: u16_at(payload, 17)?,
        eid: array(payload, 19)?,
        gid: array(payload, 25)?,
        further_action: u8_at(payload, 31)?,
        sync_status: u8_at(payload, 32),
    }))
}
