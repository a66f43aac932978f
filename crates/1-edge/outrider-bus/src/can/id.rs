//! Identifiers of 11 and 29 bits.

use core::fmt;
use core::str::FromStr;

/// Flag bit of an extended identifier in a SocketCAN id word.
const EXTENDED: u32 = 0x8000_0000;
const STANDARD_MASK: u32 = 0x7FF;
const EXTENDED_MASK: u32 = 0x1FFF_FFFF;

/// CAN identifier of 11 bits (standard) or 29 bits (extended).
///
/// Standard 0x100 and extended 0x100 are different identifiers. Order: all standard before all extended, each
/// by value. Text form: three or eight upper-case hexadecimal digits; the number of digits tells which.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CanId(u32);

impl CanId {
    /// Standard identifier 0, which wins every arbitration.
    pub const LOWEST: Self = Self(0);

    /// Returns the standard identifier of a value, or `None` above 0x7FF.
    #[must_use]
    pub const fn standard(value: u32) -> Option<Self> {
        if value <= STANDARD_MASK { Some(Self(value)) } else { None }
    }

    /// Returns the extended identifier of a value, or `None` above 0x1FFF_FFFF.
    #[must_use]
    pub const fn extended(value: u32) -> Option<Self> {
        if value <= EXTENDED_MASK { Some(Self(value | EXTENDED)) } else { None }
    }

    /// Returns the identifier of a word whose bit 31 says extended, as SocketCAN and DBC files have it; `None`
    /// if the value does not fit the kind.
    #[must_use]
    pub const fn from_word(word: u32) -> Option<Self> {
        if word & EXTENDED == 0 { Self::standard(word) } else { Self::extended(word & !EXTENDED) }
    }

    /// Returns the word whose bit 31 says extended.
    #[must_use]
    pub const fn word(self) -> u32 {
        self.0
    }

    /// Returns the identifier's bits without the kind.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0 & EXTENDED_MASK
    }

    /// Returns whether the identifier has 29 bits.
    #[must_use]
    pub const fn is_extended(self) -> bool {
        self.0 & EXTENDED != 0
    }
}

impl fmt::Display for CanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_extended() { write!(f, "{:08X}", self.value()) } else { write!(f, "{:03X}", self.value()) }
    }
}

impl fmt::Debug for CanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CanId({self})")
    }
}

/// Error of reading an identifier from text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseCanIdError {
    /// The text has no hexadecimal digits, more than eight, or something else between them.
    Digits,
    /// The value does not fit the kind that the number of digits says.
    Range,
}

impl fmt::Display for ParseCanIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Digits => "expected one to eight hexadecimal digits",
            Self::Range => "value too large for an identifier of this kind",
        })
    }
}

impl core::error::Error for ParseCanIdError {}

impl FromStr for CanId {
    type Err = ParseCanIdError;

    /// Reads up to four hexadecimal digits as a standard identifier, five to eight as an extended one.
    fn from_str(text: &str) -> Result<Self, ParseCanIdError> {
        if text.is_empty() || text.len() > 8 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ParseCanIdError::Digits);
        }
        let value = u32::from_str_radix(text, 16).map_err(|_| ParseCanIdError::Digits)?;
        let id = if text.len() <= 4 { Self::standard(value) } else { Self::extended(value) };
        id.ok_or(ParseCanIdError::Range)
    }
}
