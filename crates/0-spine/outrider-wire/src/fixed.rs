//! Fixed little-endian coding of the frames that are signed as they stand.

use core::fmt;

use crate::pb::{Full, Sink, SliceSink};
use crate::{SIGNATURE_BYTES, SUITE_ECDSA_P256, SUITE_ED25519};

/// Fault in a fixed frame: envelope, acknowledgement, command, receipt or reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// The frame ends before a field.
    Truncated {
        /// Where the field starts.
        offset: usize,
        /// Bytes the field needs.
        needed: usize,
        /// Bytes there are.
        got: usize,
    },
    /// The first four bytes are not those of this kind of frame.
    Magic {
        /// What this kind of frame starts with.
        expected: [u8; 4],
        /// What is there.
        got: [u8; 4],
    },
    /// The frame is of a version that this reader does not know.
    Version {
        /// Highest version known.
        expected: u16,
        /// Version found.
        got: u16,
    },
    /// The signature suite is unknown, or not that of the key.
    Suite {
        /// Suite known, or that of the key.
        expected: u16,
        /// Suite found.
        got: u16,
    },
    /// A stated length does not fit the frame.
    Length {
        /// Where the length stands.
        offset: usize,
        /// Length the frame has.
        expected: usize,
        /// Length it states.
        got: usize,
    },
    /// A count, length or size is above its cap.
    Cap {
        /// Where it stands.
        offset: usize,
        /// Highest value allowed.
        max: u64,
        /// Value found.
        got: u64,
    },
    /// A value has no meaning here, such as lane 7.
    Value {
        /// Where it stands.
        offset: usize,
        /// Value found.
        got: u64,
    },
    /// The signature does not belong to the bytes and the key.
    Signature,
    /// The output is too small.
    Full(Full),
    /// The signer could not sign.
    Signer,
}

impl FrameError {
    /// Returns the error's stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "frame.truncated",
            Self::Magic { .. } => "frame.magic",
            Self::Version { .. } => "frame.version",
            Self::Suite { .. } => "frame.suite",
            Self::Length { .. } => "frame.length",
            Self::Cap { .. } => "frame.cap",
            Self::Value { .. } => "frame.value",
            Self::Signature => "frame.signature",
            Self::Full(_) => "frame.output_full",
            Self::Signer => "frame.signer",
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { offset, needed, got } => {
                write!(f, "frame ends early: {needed} bytes needed at offset {offset}, {got} there")
            }
            Self::Magic { expected, got } => {
                write!(f, "frame starts with {got:02x?}, expected {expected:02x?}")
            }
            Self::Version { expected, got } => write!(f, "frame version {got}, known up to {expected}"),
            Self::Suite { expected, got } => write!(f, "signature suite {got}, expected {expected}"),
            Self::Length { offset, expected, got } => {
                write!(f, "length at offset {offset} states {got}, the frame has {expected}")
            }
            Self::Cap { offset, max, got } => {
                write!(f, "value {got} at offset {offset} is above the cap {max}")
            }
            Self::Value { offset, got } => write!(f, "value {got} at offset {offset} has no meaning"),
            Self::Signature => f.write_str("signature does not belong to the frame and the key"),
            Self::Full(full) => full.fmt(f),
            Self::Signer => f.write_str("signer could not sign"),
        }
    }
}

impl core::error::Error for FrameError {}

impl From<Full> for FrameError {
    fn from(full: Full) -> Self {
        Self::Full(full)
    }
}

/// How a frame is signed. The number is part of the signed bytes, so that no signature passes for another suite's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// [`SUITE_ED25519`].
    Ed25519,
    /// [`SUITE_ECDSA_P256`].
    EcdsaP256,
}

impl Suite {
    /// Returns the number in frames.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Ed25519 => SUITE_ED25519,
            Self::EcdsaP256 => SUITE_ECDSA_P256,
        }
    }

    /// Returns the suite of a number.
    #[must_use]
    pub const fn from_code(code: u16) -> Option<Self> {
        match code {
            SUITE_ED25519 => Some(Self::Ed25519),
            SUITE_ECDSA_P256 => Some(Self::EcdsaP256),
            _ => None,
        }
    }
}

/// Creates the signature of a message; the key stays with the implementation.
pub trait Signer {
    /// Returns the suite of its signatures.
    fn suite(&self) -> Suite {
        Suite::Ed25519
    }

    /// Returns the 64-byte signature of `message`.
    ///
    /// # Errors
    /// [`SignerError`] if the key store refuses.
    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES], SignerError>;
}

/// The key store refused to sign or is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignerError;

impl fmt::Display for SignerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("key store refused to sign")
    }
}

impl core::error::Error for SignerError {}

/// Checks a signature with one public key, strictly: one spelling of each signature. Ed25519 without small-order keys and
/// with canonical encodings only, ECDSA with s in the lower half only.
pub trait Verifier {
    /// Returns the suite of the key; a frame of another one is refused before its signature is looked at.
    fn suite(&self) -> Suite {
        Suite::Ed25519
    }

    /// Returns true if `signature` is that of `message` under this key.
    fn verify(&self, message: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> bool;
}

/// Cursor over a fixed frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0 }
    }

    pub(crate) const fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], FrameError> {
        let short = FrameError::Truncated { offset: self.at, needed: len, got: self.rest.len() };
        let (head, tail) = self.rest.split_at_checked(len).ok_or(short)?;
        self.rest = tail;
        self.at = self.at.saturating_add(len);
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let mut out = [0u8; N];
        for (slot, byte) in out.iter_mut().zip(self.take(N)?) {
            *slot = *byte;
        }
        Ok(out)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, FrameError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, FrameError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, FrameError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, FrameError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64, FrameError> {
        self.array().map(i64::from_le_bytes)
    }

    /// Reads magic, version and suite, the first eight bytes of every signed frame.
    pub(crate) fn preamble(&mut self, magic: [u8; 4], version: u16) -> Result<(), FrameError> {
        self.magic(magic, version)?;
        let got = self.u16()?;
        match Suite::from_code(got) {
            Some(_) => Ok(()),
            None => Err(FrameError::Suite { expected: SUITE_ED25519, got }),
        }
    }

    /// Reads magic and version.
    pub(crate) fn magic(&mut self, magic: [u8; 4], version: u16) -> Result<(), FrameError> {
        let got = self.array::<4>()?;
        if got != magic {
            return Err(FrameError::Magic { expected: magic, got });
        }
        let got = self.u16()?;
        if got == version { Ok(()) } else { Err(FrameError::Version { expected: version, got }) }
    }

    /// Reads a number and refuses one above `max`.
    pub(crate) fn capped_u16(&mut self, max: usize) -> Result<usize, FrameError> {
        let offset = self.at;
        let got = usize::from(self.u16()?);
        if got > max {
            return Err(FrameError::Cap { offset, max: widen(max), got: widen(got) });
        }
        Ok(got)
    }

    /// Reads a length and refuses one above `max`.
    pub(crate) fn capped_u32(&mut self, max: usize) -> Result<usize, FrameError> {
        let offset = self.at;
        let got = self.u32()?;
        match usize::try_from(got) {
            Ok(len) if len <= max => Ok(len),
            Ok(_) | Err(_) => Err(FrameError::Cap { offset, max: widen(max), got: u64::from(got) }),
        }
    }
}

/// Widens a length; a slice is never longer than `u64`.
pub(crate) fn widen(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Splits a signed frame into the bytes that are signed and the signature.
pub(crate) fn split_signature(bytes: &[u8]) -> Result<(&[u8], &[u8; SIGNATURE_BYTES]), FrameError> {
    bytes.split_last_chunk::<SIGNATURE_BYTES>().ok_or(FrameError::Truncated {
        offset: 0,
        needed: SIGNATURE_BYTES,
        got: bytes.len(),
    })
}

/// Appends the signature over everything written and returns the length of the frame.
pub(crate) fn seal(mut sink: SliceSink<'_>, signer: &dyn Signer) -> Result<usize, FrameError> {
    let signature = signer.sign(sink.written()).map_err(|SignerError| FrameError::Signer)?;
    sink.put(&signature)?;
    Ok(sink.used())
}

/// Where the suite stands in every signed frame: after magic and version.
const SUITE_OFFSET: usize = 6;

/// Checks the signature over `signed`, and before that that the frame names the suite of the key.
pub(crate) fn check(
    verifier: &dyn Verifier,
    signed: &[u8],
    signature: &[u8; SIGNATURE_BYTES],
) -> Result<(), FrameError> {
    let mut cursor = Cursor::new(signed);
    cursor.take(SUITE_OFFSET)?;
    let (expected, got) = (verifier.suite().code(), cursor.u16()?);
    if got != expected {
        return Err(FrameError::Suite { expected, got });
    }
    if verifier.verify(signed, signature) { Ok(()) } else { Err(FrameError::Signature) }
}

pub(crate) fn put_preamble(
    sink: &mut SliceSink<'_>,
    magic: [u8; 4],
    version: u16,
    suite: Suite,
) -> Result<(), FrameError> {
    sink.put(&magic)?;
    sink.put(&version.to_le_bytes())?;
    sink.put(&suite.code().to_le_bytes())?;
    Ok(())
}
