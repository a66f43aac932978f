//! A borrowed IDS frame whose lengths were checked.

use core::fmt;

use super::repr::IdsVersion;

/// Length of the event part, which every frame has.
pub const EVENT_BYTES: usize = 8;
/// Length of the timestamp part.
pub const TIMESTAMP_BYTES: usize = 8;

const FLAG_CONTEXT: u8 = 0b0001;
const FLAG_TIMESTAMP: u8 = 0b0010;
const FLAG_SIGNATURE: u8 = 0b0100;

/// Why bytes are no IDS frame, or values make none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdsFrameError {
    /// The frame ends before a part of it.
    Truncated {
        /// Where the part starts.
        offset: usize,
        /// Bytes the part needs.
        needed: usize,
        /// Bytes there are.
        got: usize,
    },
    /// The protocol version is neither 1 nor 2.
    Version {
        /// Version found, 0 to 15.
        got: u8,
    },
    /// The event definition id is the invalid one, 0xFFFF [SWS_IdsM_00604].
    Event,
    /// The count is 0, or does not fit 16 bits; it starts at 1 [PRS_Ids_00018].
    Count,
    /// An instance is out of range: IdsM 0 to 1023, sensor 0 to 63 [PRS_Ids_00013, 00014].
    Instance,
    /// A nanosecond part of a second or more, or a value of more bits than its place has.
    Timestamp,
    /// A context of no bytes, of 2^31 or more, or with a layout where its version of the protocol has none.
    Context,
    /// A signature of no bytes or of 65,536 or more.
    Signature,
    /// The output is too small.
    Full {
        /// Bytes the frame needs.
        needed: usize,
    },
}

impl IdsFrameError {
    /// Returns the error's stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Truncated { .. } => "ids_frame.truncated",
            Self::Version { .. } => "ids_frame.version",
            Self::Event => "ids_frame.event",
            Self::Count => "ids_frame.count",
            Self::Instance => "ids_frame.instance",
            Self::Timestamp => "ids_frame.timestamp",
            Self::Context => "ids_frame.context",
            Self::Signature => "ids_frame.signature",
            Self::Full { .. } => "ids_frame.output_full",
        }
    }
}

impl fmt::Display for IdsFrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { offset, needed, got } => {
                write!(f, "IDS frame ends early: {needed} bytes needed at offset {offset}, {got} there")
            }
            Self::Version { got } => write!(f, "IDS protocol version {got}, known are 1 and 2"),
            Self::Event => f.write_str("event definition id is the invalid one"),
            Self::Count => f.write_str("count is out of range"),
            Self::Instance => f.write_str("IdsM or sensor instance is out of range"),
            Self::Timestamp => f.write_str("timestamp is out of range"),
            Self::Context => f.write_str("context is out of range"),
            Self::Signature => f.write_str("signature is out of range"),
            Self::Full { needed } => write!(f, "output is too small, {needed} bytes are needed"),
        }
    }
}

impl core::error::Error for IdsFrameError {}

/// Context part as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextView<'a> {
    /// Version of its layout with the altered bit on top; `None` in protocol version 1.
    pub layout: Option<u16>,
    /// The context itself.
    pub bytes: &'a [u8],
}

/// Borrowed IDS frame: its parts lie inside the bytes, what they say is not judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdsView<'a> {
    version: IdsVersion,
    event: [u8; EVENT_BYTES],
    timestamp: Option<u64>,
    context: Option<ContextView<'a>>,
    signature: Option<&'a [u8]>,
    signed: &'a [u8],
}

/// Reads forward; every step says where it was.
struct Cursor<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, needed: usize) -> Result<&'a [u8], IdsFrameError> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        let part = rest.get(..needed).ok_or(IdsFrameError::Truncated {
            offset: self.offset,
            needed,
            got: rest.len(),
        })?;
        self.offset = self.offset.saturating_add(needed);
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], IdsFrameError> {
        let offset = self.offset;
        let part = self.take(N)?;
        part.first_chunk().copied().ok_or(IdsFrameError::Truncated { offset, needed: N, got: part.len() })
    }

    /// Reads the length of a context: one byte, or four if the top bit is set.
    fn context_length(&mut self) -> Result<usize, IdsFrameError> {
        let first = self.bytes.get(self.offset).copied().unwrap_or(0);
        let length = if first & 0x80 == 0 {
            let [short] = self.array::<1>()?;
            u32::from(short)
        } else {
            u32::from_be_bytes(self.array::<4>()?) & 0x7FFF_FFFF
        };
        usize::try_from(length).map_err(|_| IdsFrameError::Context)
    }
}

impl<'a> IdsView<'a> {
    /// Views the frame at the beginning of `bytes` and returns what stands behind it; O(1), allocates nothing.
    ///
    /// # Errors
    /// [`IdsFrameError::Truncated`], [`IdsFrameError::Version`].
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), IdsFrameError> {
        let mut cursor = Cursor { bytes, offset: 0 };
        let event: [u8; EVENT_BYTES] = cursor.array()?;
        let [head, ..] = event;
        let version = IdsVersion::from_code(head >> 4)?;
        let timestamp = if head & FLAG_TIMESTAMP == 0 {
            None
        } else {
            Some(u64::from_be_bytes(cursor.array::<TIMESTAMP_BYTES>()?))
        };
        let context = if head & FLAG_CONTEXT == 0 {
            None
        } else {
            let layout = match version {
                IdsVersion::V1 => None,
                IdsVersion::V2 => Some(u16::from_be_bytes(cursor.array::<2>()?)),
            };
            let length = cursor.context_length()?;
            Some(ContextView { layout, bytes: cursor.take(length)? })
        };
        let signed = bytes.get(..cursor.offset).unwrap_or_default();
        let signature = if head & FLAG_SIGNATURE == 0 {
            None
        } else {
            let length = u16::from_be_bytes(cursor.array::<2>()?);
            Some(cursor.take(usize::from(length))?)
        };
        let rest = bytes.get(cursor.offset..).unwrap_or_default();
        Ok((Self { version, event, timestamp, context, signature, signed }, rest))
    }

    /// Returns the protocol version [PRS_Ids_00008].
    #[must_use]
    pub const fn version(&self) -> IdsVersion {
        self.version
    }

    /// Returns the IdsM instance, 0 to 1023 [PRS_Ids_00013].
    #[must_use]
    pub const fn instance(&self) -> u16 {
        let [_, high, low, ..] = self.event;
        u16::from_be_bytes([high, low]) >> 6
    }

    /// Returns the sensor instance, 0 to 63 [PRS_Ids_00014].
    #[must_use]
    pub const fn sensor(&self) -> u8 {
        let [_, _, low, ..] = self.event;
        low & 0x3F
    }

    /// Returns the event definition id [PRS_Ids_00017].
    #[must_use]
    pub const fn event(&self) -> u16 {
        let [_, _, _, high, low, ..] = self.event;
        u16::from_be_bytes([high, low])
    }

    /// Returns how often the event happened; 0 is illegal [PRS_Ids_00018].
    #[must_use]
    pub const fn count(&self) -> u16 {
        let [_, _, _, _, _, high, low, _] = self.event;
        u16::from_be_bytes([high, low])
    }

    /// Returns the 64 bits of the timestamp.
    #[must_use]
    pub const fn timestamp(&self) -> Option<u64> {
        self.timestamp
    }

    /// Returns the context.
    #[must_use]
    pub const fn context(&self) -> Option<ContextView<'a>> {
        self.context
    }

    /// Returns the signature; what it is of depends on the vehicle's configuration.
    #[must_use]
    pub const fn signature(&self) -> Option<&'a [u8]> {
        self.signature
    }

    /// Returns the bytes that a signature covers: from the event part to the end of the context.
    #[must_use]
    pub const fn signed(&self) -> &'a [u8] {
        self.signed
    }
}
