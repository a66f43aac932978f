//! Discovery of a charging station (ISO 15118-2, clause 7.10).

use crate::bytes::{array, u8_at, u16_at};

/// UDP port of discovery.
pub const PORT: u16 = 15118;

/// Where is a charging station?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request {
    /// Whether the car wants TLS.
    pub tls: bool,
}

/// Here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Response {
    /// Address of the station.
    pub ip: [u8; 16],
    /// Port of the station.
    pub port: u16,
    /// Whether it wants TLS.
    pub tls: bool,
}

/// Byte that says no TLS.
const NO_TLS: u8 = 0x10;

impl Request {
    /// Reads a payload, or returns `None` if it is no request over TCP.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let tls = tls(u8_at(payload, 0)?)?;
        (payload.len() == 2 && u8_at(payload, 1) == Some(0)).then_some(Self { tls })
    }

    /// Writes the payload.
    #[must_use]
    pub const fn emit(self) -> [u8; 2] {
        [if self.tls { 0 } else { NO_TLS }, 0]
    }
}

impl Response {
    /// Reads a payload, or returns `None` if it is no response over TCP.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let response =
            Self { ip: array(payload, 0)?, port: u16_at(payload, 16)?, tls: tls(u8_at(payload, 18)?)? };
        (payload.len() == 20 && u8_at(payload, 19) == Some(0)).then_some(response)
    }

    /// Writes the payload.
    #[must_use]
    pub fn emit(self) -> [u8; 20] {
        let mut out = [0; 20];
        let [high, low] = self.port.to_be_bytes();
        let tail = [high, low, if self.tls { 0 } else { NO_TLS }, 0];
        for (slot, byte) in out.iter_mut().zip(self.ip.iter().chain(&tail)) {
            *slot = *byte;
        }
        out
    }
}

const fn tls(byte: u8) -> Option<bool> {
    match byte {
        0 => Some(true),
        NO_TLS => Some(false),
        _ => None,
    }
}
