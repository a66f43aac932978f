//! Values of a model that cannot be wrong.

use core::fmt;

use outrider_bus::can::CanId;
use outrider_types::BusId;

/// Error of reading a model. Offsets are bytes from the start of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelError {
    /// The bytes end before the model does.
    Truncated {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        got: usize,
    },
    /// The file is longer than it says.
    Trailing {
        /// Bytes the header says.
        said: usize,
        /// Bytes there.
        got: usize,
    },
    /// The first bytes are not those of a model.
    Magic,
    /// Written by a later version.
    Version {
        /// Version in the file.
        got: u16,
    },
    /// The checksum does not match.
    Checksum {
        /// Checksum in the file.
        said: u32,
        /// Checksum of its bytes.
        got: u32,
    },
    /// More records than the format allows.
    TooMany {
        /// Offset of the count.
        offset: usize,
        /// Count in the file.
        got: usize,
        /// Most allowed.
        limit: usize,
    },
    /// A part does not begin where the part before it ends.
    Layout {
        /// Offset of the reference.
        offset: usize,
    },
    /// A value that its field cannot have.
    Value {
        /// Offset of the field.
        offset: usize,
    },
    /// Buses or identifiers not in ascending order, or twice.
    Order {
        /// Offset of the later one.
        offset: usize,
    },
}

impl ModelError {
    /// Returns the stable code of the error.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Truncated { .. } => "model.truncated",
            Self::Trailing { .. } => "model.trailing",
            Self::Magic => "model.magic",
            Self::Version { .. } => "model.version",
            Self::Checksum { .. } => "model.checksum",
            Self::TooMany { .. } => "model.too_many",
            Self::Layout { .. } => "model.layout",
            Self::Value { .. } => "model.value",
            Self::Order { .. } => "model.order",
        }
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { needed, got } => write!(f, "model needs {needed} bytes, got {got}"),
            Self::Trailing { said, got } => write!(f, "model says {said} bytes, file has {got}"),
            Self::Magic => f.write_str("not a vehicle model"),
            Self::Version { got } => write!(f, "model version {got} is not supported"),
            Self::Checksum { said, got } => write!(f, "model checksum {said:#010x}, computed {got:#010x}"),
            Self::TooMany { offset, got, limit } => {
                write!(f, "count {got} at offset {offset} is above {limit}")
            }
            Self::Layout { offset } => write!(f, "part reference at offset {offset} is wrong"),
            Self::Value { offset } => write!(f, "impossible value at offset {offset}"),
            Self::Order { offset } => write!(f, "record at offset {offset} is out of order"),
        }
    }
}

impl core::error::Error for ModelError {}

/// Short text of at most 32 bytes of UTF-8 without control characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text([u8; 32]);

impl Text {
    /// Most bytes of a text.
    pub const BYTES_MAX: usize = 32;

    /// Creates a text, or `None` if it is too long or has control characters.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut bytes = [0u8; Self::BYTES_MAX];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        text.chars().all(|symbol| !symbol.is_control()).then_some(Self(bytes))
    }

    /// Creates a text of its padded bytes, or `None` if they are none.
    #[must_use]
    pub fn from_padded(bytes: [u8; Self::BYTES_MAX]) -> Option<Self> {
        let text = Self(bytes);
        let len = text.len();
        let (used, padding) = bytes.split_at_checked(len)?;
        let used = core::str::from_utf8(used).ok()?;
        (padding.iter().all(|&byte| byte == 0) && used.chars().all(|symbol| !symbol.is_control()))
            .then_some(text)
    }

    /// Returns the padded bytes.
    #[must_use]
    pub const fn padded(&self) -> &[u8; Self::BYTES_MAX] {
        &self.0
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.0.get(..self.len()).unwrap_or(&[])).unwrap_or("")
    }

    fn len(&self) -> usize {
        self.0.iter().position(|&byte| byte == 0).unwrap_or(Self::BYTES_MAX)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// What a model says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ModelHead {
    /// Vehicle platform it is for; empty if nobody said.
    pub platform: Text,
    /// Software release it is for; empty if nobody said.
    pub release: Text,
    /// Frames it was learned from.
    pub learned_frames: u64,
    /// Time it was learned from, in milliseconds, summed over the captures.
    pub learned_ms: u64,
}

/// How an identifier comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum CycleClass {
    /// Named by a database, never seen in training, or seen too rarely to tell.
    #[default]
    Listed,
    /// In a fixed cycle.
    Periodic,
    /// In a fixed cycle for part of the time, with pauses or extra frames.
    Mixed,
    /// When something happens.
    Event,
}

impl CycleClass {
    /// Returns the number in the file.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Listed => 0,
            Self::Periodic => 1,
            Self::Mixed => 2,
            Self::Event => 3,
        }
    }

    /// Returns the class of a number, or `None` for an unknown one.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Listed),
            1 => Some(Self::Periodic),
            2 => Some(Self::Mixed),
            3 => Some(Self::Event),
            _ => None,
        }
    }
}

/// Yes-or-no facts of an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct IdFlags {
    /// A database names it.
    pub in_database: bool,
    /// It came from the beginning to the end of every training capture, without a pause.
    pub steady: bool,
    /// CAN FD frames are allowed.
    pub fd: bool,
    /// Remote frames are allowed.
    pub remote: bool,
}

impl IdFlags {
    pub(super) const fn bits(self) -> u8 {
        (self.in_database as u8) | (self.steady as u8) << 1 | (self.fd as u8) << 2 | (self.remote as u8) << 3
    }

    pub(super) const fn from_bits(bits: u8) -> Option<Self> {
        if bits & 0xF0 != 0 {
            return None;
        }
        Some(Self {
            in_database: bits & 1 != 0,
            steady: bits & 2 != 0,
            fd: bits & 4 != 0,
            remote: bits & 8 != 0,
        })
    }
}

/// Times between frames of one identifier in the training traffic, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct GapFacts {
    /// Shortest.
    pub min_us: u32,
    /// One in twenty is shorter.
    pub p05_us: u32,
    /// Half are shorter.
    pub median_us: u32,
    /// One in twenty is longer.
    pub p95_us: u32,
    /// Longest.
    pub max_us: u32,
}

impl GapFacts {
    /// Returns whether the quantiles ascend.
    #[must_use]
    pub const fn is_ordered(&self) -> bool {
        self.min_us <= self.p05_us
            && self.p05_us <= self.median_us
            && self.median_us <= self.p95_us
            && self.p95_us <= self.max_us
    }
}

/// What is normal for one identifier of a bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdEntry {
    /// The identifier.
    pub id: CanId,
    /// Data length codes it may have: bit n for code n. Empty means any.
    pub dlc_mask: u16,
    /// How it comes.
    pub class: CycleClass,
    /// Yes-or-no facts.
    pub flags: IdFlags,
    /// Times between frames; all zero for a class without a cycle.
    pub gaps: GapFacts,
    /// Most frames ahead of its cycle that it was in training, in 1/65536 frames.
    pub ahead_max_q16: u32,
    /// Frames in training.
    pub frames: u32,
    /// Training captures it was in.
    pub captures: u16,
}

/// Two identifiers of one diagnostic conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiagPair {
    /// What the tester sends.
    pub request: CanId,
    /// What the ECU answers.
    pub response: CanId,
}

/// Where on a bus the vehicle's speed is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpeedSignal {
    /// The identifier.
    pub id: CanId,
    /// First bit, counted as in a DBC file.
    pub start_bit: u16,
    /// Bits, 1 to 32.
    pub bits: u8,
    /// Whether the signal is big endian (Motorola).
    pub big_endian: bool,
    /// Whether the raw value is signed.
    pub signed: bool,
    /// Speed of one raw step, in 10⁻⁹ km/h.
    pub scale_nano_kmh: i64,
    /// Speed of raw 0, in 10⁻⁹ km/h.
    pub offset_nano_kmh: i64,
}

/// What is normal for a whole bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BusFacts {
    /// The bus.
    pub bus: BusId,
    /// Training captures of this bus.
    pub captures: u16,
    /// Mean frame rate in training, in Hz.
    pub rate_hz: u32,
    /// Highest frame rate of any 100 ms in training, in Hz.
    pub rate_max_hz: u32,
    /// Nominal bit rate in bit/s; 0 if nobody said.
    pub bit_rate: u32,
    /// Where the speed is, if on this bus.
    pub speed: Option<SpeedSignal>,
}
