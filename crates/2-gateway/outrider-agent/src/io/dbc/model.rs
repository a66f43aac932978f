//! What a DBC file says, owned and checked.

use std::collections::BTreeMap;
use std::fmt;

use outrider_bus::can::{ByteOrder, CanId};

use super::order;

/// Why a file could not be read as DBC at all.
#[derive(Debug, thiserror::Error)]
pub enum DbcError {
    /// The operating system refused.
    #[error("DBC file cannot be read")]
    Io(#[source] std::io::Error),
    /// There is nothing in it.
    #[error("DBC file is empty")]
    Empty,
    /// It is longer than the bound.
    #[error("DBC file has {bytes} bytes, at most {bytes_max} are read")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The bound.
        bytes_max: u64,
    },
    /// Not one statement was understood.
    #[error("no DBC statement was understood, first problem in line {line}")]
    NotDbc {
        /// Line of the first problem.
        line: u64,
    },
}

impl DbcError {
    /// Returns the error's code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "dbc.io",
            Self::Empty => "dbc.empty",
            Self::TooLarge { .. } => "dbc.too_large",
            Self::NotDbc { .. } => "dbc.not_dbc",
        }
    }
}

/// Why a statement was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DbcReason {
    /// It does not follow the grammar.
    Syntax,
    /// Its end is missing.
    Unterminated,
    /// It begins with no known keyword.
    Keyword,
    /// The message identifier is out of range.
    Identifier,
    /// A size or position is out of range.
    Length,
    /// A message or signal of that identity has been described before.
    Duplicate,
    /// It is about a message or signal that is not described.
    Orphan,
    /// The signal has bits outside its message; it is kept.
    Outside,
}

impl DbcReason {
    /// Returns the reason in words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Syntax => "statement is malformed",
            Self::Unterminated => "statement has no end",
            Self::Keyword => "keyword is unknown",
            Self::Identifier => "identifier is out of range",
            Self::Length => "size is out of range",
            Self::Duplicate => "described twice",
            Self::Orphan => "belongs to nothing",
            Self::Outside => "signal has bits outside its message",
        }
    }
}

/// One statement that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbcProblem {
    /// Line it begins in, from 1.
    pub line: u64,
    /// Why.
    pub reason: DbcReason,
    /// What it was about, or what was expected; at most 200 characters.
    pub detail: String,
}

impl fmt::Display for DbcProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason.word())?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

/// A network description.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DbcModel {
    /// ECUs, in the order of the file.
    pub nodes: Vec<String>,
    /// Messages, in the order of the file, identifiers unique.
    pub messages: Vec<DbcMessage>,
    /// Statements that were refused, in the order of the file.
    pub problems: Vec<DbcProblem>,
    /// Statements of kinds that are not used, counted by keyword.
    pub ignored: BTreeMap<String, u64>,
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct DbcMessage {
    /// Its identifier.
    pub id: CanId,
    /// Its name.
    pub name: String,
    /// Payload bytes.
    pub bytes: u16,
    /// Milliseconds from one to the next (`GenMsgCycleTime`), or `None` if it is not cyclic or nobody said.
    pub cycle_ms: Option<u32>,
    /// ECUs that send it; empty if nobody said.
    pub transmitters: Vec<String>,
    /// Signals, in the order of the file, names unique.
    pub signals: Vec<DbcSignal>,
    /// Line it begins in.
    pub line: u64,
}

/// What the bits of a signal are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DbcValueKind {
    /// Whole number from 0.
    Unsigned,
    /// Whole number in two's complement.
    Signed,
    /// IEEE 754 binary32.
    Float32,
    /// IEEE 754 binary64.
    Float64,
}

/// A signal's part in a multiplexed message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Multiplex {
    /// None: it is always there.
    Plain,
    /// It selects.
    Selector,
    /// It is there when the selector has this value.
    Selected(u64),
    /// Both.
    SelectedSelector(u64),
}

/// One signal.
#[derive(Debug, Clone, PartialEq)]
pub struct DbcSignal {
    /// Its name.
    pub name: String,
    /// First bit as DBC files number them: the lowest bit in little order, the highest in big.
    pub start_bit: u16,
    /// Number of bits, 1 to 64.
    pub bits: u16,
    /// Order of its bytes.
    pub order: ByteOrder,
    /// What the bits are.
    pub kind: DbcValueKind,
    /// Physical value = raw value * factor + offset.
    pub factor: f64,
    /// See `factor`.
    pub offset: f64,
    /// Smallest physical value, as stated; often both limits are 0, which says nothing.
    pub min: f64,
    /// Largest physical value, as stated.
    pub max: f64,
    /// Unit, as written.
    pub unit: String,
    /// ECUs that read it.
    pub receivers: Vec<String>,
    /// Part in a multiplexed message.
    pub multiplex: Multiplex,
    /// Names of raw values.
    pub values: BTreeMap<i64, String>,
}

impl DbcSignal {
    /// Turns the parser's signal into ours, or returns `None` if a size is out of range.
    pub(super) fn from_parsed(signal: can_dbc::Signal) -> Option<Self> {
        use can_dbc::MultiplexIndicator as Indicator;
        let bits = u16::try_from(signal.size).ok().filter(|bits| (1..=64).contains(bits))?;
        Some(Self {
            name: signal.name,
            start_bit: u16::try_from(signal.start_bit).ok()?,
            bits,
            order: order(signal.byte_order),
            kind: match signal.value_type {
                can_dbc::ValueType::Signed => DbcValueKind::Signed,
                can_dbc::ValueType::Unsigned => DbcValueKind::Unsigned,
            },
            factor: signal.factor,
            offset: signal.offset,
            min: float(signal.min),
            max: float(signal.max),
            unit: signal.unit,
            receivers: signal.receivers,
            multiplex: match signal.multiplexer_indicator {
                Indicator::Plain => Multiplex::Plain,
                Indicator::Multiplexor => Multiplex::Selector,
                Indicator::MultiplexedSignal(value) => Multiplex::Selected(value),
                Indicator::MultiplexorAndMultiplexedSignal(value) => Multiplex::SelectedSelector(value),
            },
            values: BTreeMap::new(),
        })
    }

    /// Applies an extended value type.
    pub(super) const fn refine(&mut self, kind: can_dbc::SignalExtendedValueType) {
        match kind {
            can_dbc::SignalExtendedValueType::SignedOrUnsignedInteger => {}
            can_dbc::SignalExtendedValueType::IEEEfloat32Bit => self.kind = DbcValueKind::Float32,
            can_dbc::SignalExtendedValueType::IEEEdouble64bit => self.kind = DbcValueKind::Float64,
        }
    }

    /// Returns the signal's bits as positions `8 * byte + bit`, most significant first.
    fn positions(&self) -> impl Iterator<Item = usize> + '_ {
        let start = usize::from(self.start_bit);
        let bits = usize::from(self.bits);
        // In big order the bits run down inside a byte and on to the next byte's highest bit.
        let linear = start - start % 8 + 7 - start % 8;
        (0..bits).map(move |index| match self.order {
            ByteOrder::Little => start + bits - 1 - index,
            ByteOrder::Big => {
                let at = linear + index;
                at - at % 8 + 7 - at % 8
            }
        })
    }

    /// Returns whether every bit lies within a payload of `bytes`.
    #[must_use]
    pub fn fits(&self, bytes: u16) -> bool {
        self.positions().all(|position| position < usize::from(bytes) * 8)
    }

    /// Returns the signal's bits in a payload, or `None` if some lie outside.
    #[must_use]
    pub fn raw(&self, payload: &[u8]) -> Option<u64> {
        let mut raw = 0u64;
        for position in self.positions() {
            let byte = payload.get(position / 8)?;
            raw = raw << 1 | u64::from(byte >> (position % 8) & 1);
        }
        Some(raw)
    }

    /// Returns the physical value in a payload, or `None` if some bits lie outside.
    ///
    /// Multiplexed signals mean something only while their selector says so; that is the caller's to check.
    #[must_use]
    pub fn physical(&self, payload: &[u8]) -> Option<f64> {
        let raw = self.raw(payload)?;
        let value = match self.kind {
            DbcValueKind::Unsigned => raw as f64,
            DbcValueKind::Signed => {
                let shift = 64 - u32::from(self.bits);
                ((raw << shift).cast_signed() >> shift) as f64
            }
            DbcValueKind::Float32 => f64::from(f32::from_bits(u32::try_from(raw).ok()?)),
            DbcValueKind::Float64 => f64::from_bits(raw),
        };
        Some(value * self.factor + self.offset)
    }
}

fn float(value: can_dbc::NumericValue) -> f64 {
    match value {
        can_dbc::NumericValue::Uint(value) => value as f64,
        can_dbc::NumericValue::Int(value) => value as f64,
        can_dbc::NumericValue::Double(value) => value,
    }
}
