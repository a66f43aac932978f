//! Messages read as requests, responses and refusals.

use core::fmt;

use super::codes::{Nrc, Owner, ServiceId, Session};
use crate::bytes::{NoSpace, Writer, u8_at, u16_at, uint_be};

/// First byte of a negative response.
const NEGATIVE: u8 = 0x7F;
/// Bit that tells a response from a request.
const RESPONSE_BIT: u8 = 0x40;
/// Bit of a sub-function that asks for silence on success.
const SUPPRESS_BIT: u8 = 0x80;

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UdsError {
    /// There are none.
    Empty,
    /// A negative response that has not exactly three bytes.
    NegativeLength {
        /// Bytes there.
        got: usize,
    },
    /// The service needs a sub-function and there is none.
    NoSubFunction {
        /// The service.
        service: ServiceId,
    },
}

impl fmt::Display for UdsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("empty message"),
            Self::NegativeLength { got } => write!(f, "negative response has 3 bytes, got {got}"),
            Self::NoSubFunction { service } => {
                write!(f, "service {:#04x} needs a sub-function", service.code())
            }
        }
    }
}

impl core::error::Error for UdsError {}

/// Sub-function of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubFunction {
    /// Its number, 0 to 127.
    pub value: u8,
    /// Whether the tester wants silence on success.
    pub suppress_positive: bool,
}

/// Which half of a security access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecurityStep {
    /// The tester asks for a challenge.
    RequestSeed,
    /// The tester answers it.
    SendKey,
}

/// A security access and the level it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecurityAccess {
    /// Level: 1 for sub-functions 1 and 2, 2 for 3 and 4, and so on.
    pub level: u8,
    /// Which half.
    pub step: SecurityStep,
}

impl SecurityAccess {
    /// Returns who gives the level its meaning (ISO 14229-1:2020, table 42); levels of the standard are those of
    /// end-of-life activation, the rest of its range belongs to the car maker.
    #[must_use]
    pub const fn owner(self) -> Owner {
        match self.level {
            0x01..=0x21 => Owner::VehicleMaker,
            0x31..=0x3F => Owner::Supplier,
            _ => Owner::Standard,
        }
    }
}

/// Stretch of an ECU's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoryRange {
    /// First address.
    pub address: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A tester asks.
    Request(Request<'a>),
    /// An ECU does what it was asked.
    Positive(Response<'a>),
    /// An ECU refuses.
    Negative {
        /// What it refuses.
        service: ServiceId,
        /// Why.
        nrc: Nrc,
    },
}

/// A request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// The service.
    pub service: ServiceId,
    /// The sub-function of services that have one, else `None`.
    pub sub_function: Option<SubFunction>,
    /// Everything behind them.
    pub payload: &'a [u8],
}

/// A positive response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response<'a> {
    /// The service that was asked for.
    pub service: ServiceId,
    /// Everything behind the service byte, an echoed sub-function among it.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Reads a whole message.
    ///
    /// # Errors
    /// [`UdsError`] for each way the bytes are no message.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, UdsError> {
        let (&first, rest) = bytes.split_first().ok_or(UdsError::Empty)?;
        if first == NEGATIVE {
            return match rest {
                &[service, nrc] => {
                    Ok(Self::Negative { service: ServiceId::from_code(service), nrc: Nrc::from_code(nrc) })
                }
                _ => Err(UdsError::NegativeLength { got: bytes.len() }),
            };
        }
        if first & RESPONSE_BIT != 0 {
            let service = ServiceId::from_code(first & !RESPONSE_BIT);
            return Ok(Self::Positive(Response { service, payload: rest }));
        }
        let service = ServiceId::from_code(first);
        if !service.has_sub_function() {
            return Ok(Self::Request(Request { service, sub_function: None, payload: rest }));
        }
        let (&raw, payload) = rest.split_first().ok_or(UdsError::NoSubFunction { service })?;
        let sub_function =
            SubFunction { value: raw & !SUPPRESS_BIT, suppress_positive: raw & SUPPRESS_BIT != 0 };
        Ok(Self::Request(Request { service, sub_function: Some(sub_function), payload }))
    }

    /// Writes the message and returns its length in bytes; what it writes, [`Self::parse`] reads.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer is too small.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoSpace> {
        let mut writer = Writer::new(out);
        match self {
            Self::Request(request) => {
                writer.put(&[request.service.code()]);
                if let Some(sub) = request.sub_function {
                    let suppress = if sub.suppress_positive { SUPPRESS_BIT } else { 0 };
                    writer.put(&[sub.value & !SUPPRESS_BIT | suppress]);
                }
                writer.put(request.payload);
            }
            Self::Positive(response) => {
                writer.put(&[response.service.code() | RESPONSE_BIT]);
                writer.put(response.payload);
            }
            Self::Negative { service, nrc } => writer.put(&[NEGATIVE, service.code(), nrc.code()]),
        }
        writer.finish()
    }

    /// Returns the service the message is about.
    #[must_use]
    pub const fn service(&self) -> ServiceId {
        match self {
            Self::Request(request) => request.service,
            Self::Positive(response) => response.service,
            Self::Negative { service, .. } => *service,
        }
    }
}

impl<'a> Request<'a> {
    /// Returns the session asked for, or `None` for another service.
    #[must_use]
    pub fn session(&self) -> Option<Session> {
        let sub = self.of(ServiceId::DiagnosticSessionControl)?;
        Some(Session::from_code(sub.value))
    }

    /// Returns the security access asked for, or `None` for another service or the reserved sub-function 0.
    #[must_use]
    pub fn security_access(&self) -> Option<SecurityAccess> {
        let value = self.of(ServiceId::SecurityAccess)?.value;
        let step = if value & 1 == 1 { SecurityStep::RequestSeed } else { SecurityStep::SendKey };
        let level = value.saturating_add(1) >> 1;
        (value != 0).then_some(SecurityAccess { level, step })
    }

    /// Returns control type and identifier of a routine control, or `None` for another service or a cut one.
    #[must_use]
    pub fn routine(&self) -> Option<(u8, u16)> {
        let sub = self.of(ServiceId::RoutineControl)?;
        Some((sub.value, u16_at(self.payload, 0)?))
    }

    /// Returns the reset kind of an ECU reset, or `None` for another service.
    #[must_use]
    pub fn reset(&self) -> Option<u8> {
        self.of(ServiceId::EcuReset).map(|sub| sub.value)
    }

    /// Returns the data identifiers of a read, write or input/output control; a cut last one is left out.
    pub fn data_identifiers(&self) -> impl Iterator<Item = u16> + use<'a> {
        let many = self.service == ServiceId::ReadDataByIdentifier;
        let one = matches!(
            self.service,
            ServiceId::WriteDataByIdentifier
                | ServiceId::InputOutputControlByIdentifier
                | ServiceId::ReadScalingDataByIdentifier
        );
        let limit = if many { usize::MAX } else { usize::from(one) };
        self.payload.chunks_exact(2).take(limit).filter_map(|pair| u16_at(pair, 0))
    }

    /// Returns the memory a read, write, download or upload is about, or `None` for another service, a cut request
    /// or an address or size of more than eight bytes.
    #[must_use]
    pub fn memory(&self) -> Option<MemoryRange> {
        let plain = matches!(self.service, ServiceId::ReadMemoryByAddress | ServiceId::WriteMemoryByAddress);
        let transfer = matches!(self.service, ServiceId::RequestDownload | ServiceId::RequestUpload);
        if !plain && !transfer {
            return None;
        }
        // A transfer names its data format first.
        let format_at = usize::from(transfer);
        let format = u8_at(self.payload, format_at)?;
        let (address_bytes, size_bytes) = (usize::from(format & 0x0F), usize::from(format >> 4));
        let address_at = format_at.saturating_add(1);
        let address = uint_be(self.payload, address_at, address_bytes)?;
        let bytes = uint_be(self.payload, address_at.saturating_add(address_bytes), size_bytes)?;
        Some(MemoryRange { address, bytes })
    }

    /// Returns the group of trouble codes to be cleared (0xFFFFFF means all), or `None` for another service or a
    /// cut request.
    #[must_use]
    pub fn cleared_group(&self) -> Option<u32> {
        if self.service != ServiceId::ClearDiagnosticInformation {
            return None;
        }
        u32::try_from(uint_be(self.payload, 0, 3)?).ok()
    }

    /// Returns whether the service changes the ECU: writes, programs, resets, moves an output or silences it.
    #[must_use]
    pub const fn is_intrusive(&self) -> bool {
        matches!(
            self.service,
            ServiceId::EcuReset
                | ServiceId::ClearDiagnosticInformation
                | ServiceId::CommunicationControl
                | ServiceId::WriteDataByIdentifier
                | ServiceId::InputOutputControlByIdentifier
                | ServiceId::RoutineControl
                | ServiceId::RequestDownload
                | ServiceId::RequestFileTransfer
                | ServiceId::WriteMemoryByAddress
                | ServiceId::ControlDtcSetting
        )
    }

    fn of(&self, service: ServiceId) -> Option<SubFunction> {
        if self.service == service { self.sub_function } else { None }
    }
}

impl Response<'_> {
    /// Returns the session that is now on, or `None` for another service.
    #[must_use]
    pub fn session(&self) -> Option<Session> {
        if self.service != ServiceId::DiagnosticSessionControl {
            return None;
        }
        u8_at(self.payload, 0).map(|raw| Session::from_code(raw & !SUPPRESS_BIT))
    }

    /// Returns the security level just unlocked, or `None` if this response unlocks none.
    #[must_use]
    pub fn unlocked_level(&self) -> Option<u8> {
        if self.service != ServiceId::SecurityAccess {
            return None;
        }
        let value = u8_at(self.payload, 0)? & !SUPPRESS_BIT;
        (value != 0 && value & 1 == 0).then_some(value >> 1)
    }
}
