//! Protected identifiers, checksums and frames.

use core::fmt;

use crate::bytes::{NoSpace, Writer};

/// Most payload bytes of a frame.
pub const DATA_BYTES_MAX: usize = 8;

/// Protected identifier: six bits of identifier and two of parity, always consistent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Pid(u8);

impl Pid {
    /// Returns the protected identifier of an identifier, or `None` above 63.
    #[must_use]
    pub const fn new(id: u8) -> Option<Self> {
        if id > 0x3F {
            return None;
        }
        let p0 = (id ^ id >> 1 ^ id >> 2 ^ id >> 4) & 1;
        let p1 = !(id >> 1 ^ id >> 3 ^ id >> 4 ^ id >> 5) & 1;
        Some(Self(id | p0 << 6 | p1 << 7))
    }

    /// Reads the byte of a header.
    ///
    /// # Errors
    /// [`LinError::Parity`] if the parity bits do not belong to the identifier.
    pub const fn parse(byte: u8) -> Result<Self, LinError> {
        match Self::new(byte & 0x3F) {
            Some(pid) if pid.0 == byte => Ok(pid),
            Some(Self(expected)) => Err(LinError::Parity { expected, got: byte }),
            None => Err(LinError::Parity { expected: 0, got: byte }),
        }
    }

    /// Returns the identifier, 0 to 63.
    #[must_use]
    pub const fn id(self) -> u8 {
        self.0 & 0x3F
    }

    /// Returns the byte on the wire.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// Returns whether the frame is diagnostic (identifiers 60 and 61), whose checksum is always classic.
    #[must_use]
    pub const fn is_diagnostic(self) -> bool {
        matches!(self.id(), 0x3C | 0x3D)
    }
}

/// What the checksum is computed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum ChecksumKind {
    /// The data (LIN 1.x, and diagnostic frames of every version).
    Classic,
    /// The protected identifier and the data (from LIN 2.0).
    #[default]
    Enhanced,
}

/// Returns the inverted sum with carry over data, and over the protected identifier if it is enhanced.
#[must_use]
pub fn checksum(kind: ChecksumKind, pid: Pid, data: &[u8]) -> u8 {
    let start = match kind {
        ChecksumKind::Enhanced if !pid.is_diagnostic() => u16::from(pid.byte()),
        ChecksumKind::Enhanced | ChecksumKind::Classic => 0,
    };
    let sum = data.iter().fold(start, |sum, &byte| {
        let sum = sum.saturating_add(byte.into());
        if sum > 0xFF { sum.saturating_sub(0xFF) } else { sum }
    });
    let [_, low] = sum.to_be_bytes();
    !low
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinError {
    /// The parity bits do not belong to the identifier.
    Parity {
        /// The right byte.
        expected: u8,
        /// The byte there.
        got: u8,
    },
    /// No data, or more than eight bytes.
    Length {
        /// Data bytes.
        got: usize,
    },
    /// The checksum fits neither kind.
    Checksum {
        /// The enhanced one, of a diagnostic frame the classic one.
        expected: u8,
        /// The byte there.
        got: u8,
    },
}

impl fmt::Display for LinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Parity { expected, got } => {
                write!(f, "protected identifier {got:#04x}, expected {expected:#04x}")
            }
            Self::Length { got } => write!(f, "no LIN frame has {got} data bytes"),
            Self::Checksum { expected, got } => write!(f, "checksum {got:#04x}, expected {expected:#04x}"),
        }
    }
}

impl core::error::Error for LinError {}

/// One frame with a response, by value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frame {
    pid: Pid,
    kind: ChecksumKind,
    len: u8,
    data: [u8; DATA_BYTES_MAX],
}

impl Frame {
    /// Creates a frame of 1 to 8 bytes. The checksum of a diagnostic frame is classic whatever `kind` says.
    ///
    /// # Errors
    /// [`LinError::Length`] for another number of bytes.
    pub fn new(pid: Pid, kind: ChecksumKind, payload: &[u8]) -> Result<Self, LinError> {
        let bad = LinError::Length { got: payload.len() };
        if payload.is_empty() {
            return Err(bad);
        }
        let mut data = [0; DATA_BYTES_MAX];
        data.get_mut(..payload.len()).ok_or(bad)?.copy_from_slice(payload);
        let kind = if pid.is_diagnostic() { ChecksumKind::Classic } else { kind };
        Ok(Self { pid, kind, len: u8::try_from(payload.len()).map_err(|_| bad)?, data })
    }

    /// Reads protected identifier, data and checksum; the kind is the one that fits, enhanced if both do.
    ///
    /// # Errors
    /// [`LinError`] for each way the bytes are no frame.
    pub fn parse(bytes: &[u8]) -> Result<Self, LinError> {
        let bad = LinError::Length { got: bytes.len().saturating_sub(2) };
        let (&pid, rest) = bytes.split_first().ok_or(bad)?;
        let (&got, data) = rest.split_last().ok_or(bad)?;
        let pid = Pid::parse(pid)?;
        let frame = Self::new(pid, ChecksumKind::Enhanced, data)?;
        let expected = frame.checksum();
        if expected == got {
            return Ok(frame);
        }
        let classic = Self::new(pid, ChecksumKind::Classic, data)?;
        if classic.checksum() == got { Ok(classic) } else { Err(LinError::Checksum { expected, got }) }
    }

    /// Writes protected identifier, data and checksum and returns the length in bytes.
    ///
    /// # Errors
    /// [`NoSpace`] if the buffer is too small.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoSpace> {
        let mut writer = Writer::new(out);
        writer.put(&[self.pid.byte()]);
        writer.put(self.data());
        writer.put(&[self.checksum()]);
        writer.finish()
    }

    /// Returns the protected identifier.
    #[must_use]
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// Returns what the checksum is computed over.
    #[must_use]
    pub const fn kind(&self) -> ChecksumKind {
        self.kind
    }

    /// Returns the data, 1 to 8 bytes.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.data.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Returns the checksum.
    #[must_use]
    pub fn checksum(&self) -> u8 {
        checksum(self.kind, self.pid, self.data())
    }
}
