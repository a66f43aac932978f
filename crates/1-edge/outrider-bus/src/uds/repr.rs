//! Messages read as requests, responses and refusals.

use core::fmt;

use super::codes::{Nrc, ServiceId, Session};
use crate::bytes::{u8_at, u16_at};

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
