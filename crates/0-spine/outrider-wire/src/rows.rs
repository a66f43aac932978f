//! Values of the rows: events, fields, lane heads and gaps, as readers yield and writers take them.

use outrider_types::{BusId, EcuId, EventTypeId, FieldKey, Lane, Seq, Severity, VehicleMicros};

/// Value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Unsigned number.
    Uint(u64),
    /// Signed number.
    Sint(i64),
    /// UTF-8 text of at most [`crate::limits::VALUE_BYTES_MAX`] bytes.
    Text(&'a str),
    /// Raw bytes, same cap.
    Bytes(&'a [u8]),
    /// Floating-point number; any bit pattern.
    Double(f64),
    /// Truth value.
    Flag(bool),
}

/// One typed field of an event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field<'a> {
    /// Key in the catalogue.
    pub key: FieldKey,
    /// Value.
    pub value: Value<'a>,
}

/// The fixed part of a row: identity within the boot, place, time and count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHead {
    /// Number in the event catalogue, never 0.
    pub event_type: EventTypeId,
    /// Lane the event travels in.
    pub lane: Lane,
    /// Number in lane and boot, from 1.
    pub seq: Seq,
    /// Severity, or `None` for the catalogue's default.
    pub severity: Option<Severity>,
    /// Bus it was seen on, if any.
    pub bus: Option<BusId>,
    /// ECU it is about; 0 means unknown.
    pub ecu: EcuId,
    /// When it was first seen.
    pub first: VehicleMicros,
    /// When it was last seen; never before `first`.
    pub last: VehicleMicros,
    /// How often it was seen, at least 1.
    pub count: u64,
}

/// Why the gateway lost an observation or a row. Append-only numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// The lane's quota in the spool was full.
    QuotaFull,
    /// The device had no space left.
    DeviceFull,
    /// The device failed to write.
    DeviceError,
    /// The row was longer than a row may be.
    TooLarge,
    /// A row with a number was evicted for a newer one of its own lane.
    Evicted,
    /// A row with a number could not be read back.
    Corrupt,
    /// More different events at once than the folding table holds.
    TooManyKeys,
}

impl DropReason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::QuotaFull,
        Self::DeviceFull,
        Self::DeviceError,
        Self::TooLarge,
        Self::Evicted,
        Self::Corrupt,
        Self::TooManyKeys,
    ];

    /// Returns the number on the wire; 0 is unspecified.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::QuotaFull => 1,
            Self::DeviceFull => 2,
            Self::DeviceError => 3,
            Self::TooLarge => 4,
            Self::Evicted => 5,
            Self::Corrupt => 6,
            Self::TooManyKeys => 7,
        }
    }

    /// Returns the reason of a wire number, or `None` for one of a later version.
    #[must_use]
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| u64::from(reason.code()) == code)
    }

    /// Returns the word in metrics, API and reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::QuotaFull => "quota_full",
            Self::DeviceFull => "device_full",
            Self::DeviceError => "device_error",
            Self::TooLarge => "too_large",
            Self::Evicted => "evicted",
            Self::Corrupt => "corrupt",
            Self::TooManyKeys => "too_many_keys",
        }
    }
}

/// How many were lost for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DropCount {
    /// Reason, or `None` for one of a later version.
    pub reason: Option<DropReason>,
    /// How many.
    pub count: u64,
}

/// State and balance of one lane in one boot (BAL-1): `received = last_seq + folded + drops without a number`,
/// where drops for [`DropReason::Evicted`] and [`DropReason::Corrupt`] had a number and are listed as [`Gap`]s too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneHead {
    /// Lane.
    pub lane: Lane,
    /// Lowest number that the spool still holds; `last_seq + 1` if none.
    pub first_seq: u64,
    /// Highest number given; 0 if none.
    pub last_seq: u64,
    /// Observations handed to the lane.
    pub received: u64,
    /// Observations folded into another's row.
    pub folded: u64,
}

/// Numbers that were given but whose rows will never arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// Lane.
    pub lane: Lane,
    /// First and last missing number.
    pub range: SeqRange,
    /// Reason, or `None` for one of a later version.
    pub reason: Option<DropReason>,
}

/// What a signed batch says of rows that went before it in short frames: rows `first` to `last` of a lane, each of which
/// was answered. It is there so that the batch key covers them, too.
///
/// `chain` is SHA-256 over the chain before and the SHA-256 of the row, row by row by growing number; the chain before the
/// first row is 32 zero bytes. A row is hashed as an `EventBatch` that holds it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortProof {
    /// Lane.
    pub lane: Lane,
    /// First and last number.
    pub range: SeqRange,
    /// Hash after the last row.
    pub chain: [u8; 32],
}

/// Closed range of sequence numbers, `first <= last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeqRange {
    first: Seq,
    last: Seq,
}

impl SeqRange {
    /// Creates a range, or `None` if it is empty or holds the number 0, which no event has.
    #[must_use]
    pub const fn new(first: Seq, last: Seq) -> Option<Self> {
        if first.0 == 0 || first.0 > last.0 { None } else { Some(Self { first, last }) }
    }

    /// Returns the first number.
    #[must_use]
    pub const fn first(self) -> Seq {
        self.first
    }

    /// Returns the last number.
    #[must_use]
    pub const fn last(self) -> Seq {
        self.last
    }

    /// Returns how many numbers it holds.
    #[must_use]
    pub const fn count(self) -> u64 {
        self.last.0.saturating_sub(self.first.0).saturating_add(1)
    }

    /// Returns true if it holds `seq`.
    #[must_use]
    pub const fn contains(self, seq: Seq) -> bool {
        self.first.0 <= seq.0 && seq.0 <= self.last.0
    }
}
