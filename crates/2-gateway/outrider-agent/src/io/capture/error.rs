//! What can be wrong with a capture, and the counts.

use std::collections::BTreeMap;
use std::fmt;

/// Most problems kept with their place; the others are only counted.
pub const FIRST_PROBLEMS_MAX: usize = 32;

/// Whose fault an error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// What was read is wrong.
    Input,
    /// Trying again may help.
    Transient,
}

/// Why a capture cannot be read, or not any further.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The operating system refused.
    #[error("capture cannot be read")]
    Io(#[source] std::io::Error),
    /// There are no bytes.
    #[error("capture is empty")]
    Empty,
    /// Neither content nor extension tell the format.
    #[error("capture is of no known format")]
    UnknownFormat,
    /// A format that is known but not read.
    #[error("{format} captures are not supported")]
    UnsupportedFormat {
        /// Its name.
        format: &'static str,
    },
    /// A version of the format that is not known.
    #[error("version {version:?} of the format is not known, line {line}")]
    Version {
        /// The version as written, at most 16 characters.
        version: String,
        /// Line that says so.
        line: u64,
    },
    /// The capture is longer than the options allow.
    #[error("capture is longer than {bytes_max} bytes")]
    TooLarge {
        /// Bytes allowed.
        bytes_max: u64,
    },
    /// The compressed bytes expand too far to be a capture.
    #[error("compressed capture expands more than {ratio_max} times")]
    Expansion {
        /// Ratio allowed.
        ratio_max: u64,
    },
    /// The compressed bytes are damaged.
    #[error("compressed capture is damaged near byte {offset} of its content")]
    Compression {
        /// Bytes that could be decompressed.
        offset: u64,
    },
    /// The file header is cut or wrong.
    #[error("file header is wrong at byte {offset}: {expected}")]
    Header {
        /// Where.
        offset: u64,
        /// What should be there.
        expected: &'static str,
    },
    /// A record's length cannot be true, so the next record cannot be found.
    #[error("record at byte {offset} says impossible length {length}")]
    Framing {
        /// Where the record begins.
        offset: u64,
        /// The length it says.
        length: u64,
    },
}

impl CaptureError {
    /// Returns the error's code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "capture.io",
            Self::Empty => "capture.empty",
            Self::UnknownFormat => "capture.unknown_format",
            Self::UnsupportedFormat { .. } => "capture.unsupported_format",
            Self::Version { .. } => "capture.version",
            Self::TooLarge { .. } => "capture.too_large",
            Self::Expansion { .. } => "capture.expansion",
            Self::Compression { .. } => "capture.compression",
            Self::Header { .. } => "capture.header",
            Self::Framing { .. } => "capture.framing",
        }
    }

    /// Returns whose fault it is.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Io(_) => ErrorClass::Transient,
            Self::Empty
            | Self::UnknownFormat
            | Self::UnsupportedFormat { .. }
            | Self::Version { .. }
            | Self::TooLarge { .. }
            | Self::Expansion { .. }
            | Self::Compression { .. }
            | Self::Header { .. }
            | Self::Framing { .. } => ErrorClass::Input,
        }
    }
}

/// Where in a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Line of a text file, from 1.
    Line(u64),
    /// Offset of a record in a binary file, in bytes from 0, after decompression.
    Offset(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Offset(offset) => write!(f, "byte {offset}"),
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident => $code:literal, $text:literal;)*) => {
        /// Why a line or record was passed over.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ProblemReason {
            $($(#[$doc])* $variant,)*
        }

        impl ProblemReason {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the reason's code.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }
        }

        impl fmt::Display for ProblemReason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $text,)*
                })
            }
        }
    };
}

reasons! {
    /// A line longer than the bound.
    LineTooLong => "line_too_long", "line is too long";
    /// Fewer fields than the format has.
    Fields => "fields", "fields are missing";
    /// No number where the time should be, or one out of range.
    Time => "time", "time is no number in range";
    /// No identifier where one should be, or one out of range.
    Identifier => "identifier", "identifier is wrong";
    /// No channel where one should be.
    Channel => "channel", "channel is wrong";
    /// More channels than there are bus numbers.
    Channels => "channels", "too many channels";
    /// No length where one should be, or one no frame has.
    Length => "length", "length is wrong";
    /// Fewer payload bytes than the length says.
    DataMissing => "data_missing", "payload is shorter than its length";
    /// More payload bytes than the length says.
    DataSurplus => "data_surplus", "payload is longer than its length";
    /// A payload byte that is none.
    Data => "data", "payload byte is no number";
    /// A record of an unknown type.
    Type => "type", "record type is unknown";
    /// The capture ends inside a record.
    Truncated => "truncated", "capture ends inside the record";
    /// A packet of a link type that is not read.
    LinkType => "link_type", "link type is not supported";
    /// A packet of an interface nobody described.
    Interface => "interface", "interface is not described";
    /// A block whose inside does not fit its length.
    Block => "block", "block is malformed";
    /// A record longer than the bound.
    RecordTooLong => "record_too_long", "record is too long";
    /// Packet bytes that are no frame of their link type.
    Frame => "frame", "packet is no frame";
    /// A CAN XL frame where only CAN and CAN FD are taken, or in a form that is not known.
    CanXl => "can_xl", "CAN XL frame is not supported here";
}

/// One line or record that was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// Why.
    pub reason: ProblemReason,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

/// Counts of a capture. Blank lines, comments and headers are no records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CaptureStats {
    /// Lines or records that could have been a frame.
    pub records: u64,
    /// CAN frames that came out.
    pub frames: u64,
    /// Ethernet frames that came out.
    pub packets: u64,
    /// CAN XL frames that came out.
    pub xl: u64,
    /// Frames, faults and signals of LIN that came out.
    pub lin: u64,
    /// Frames, faults and symbols of FlexRay that came out.
    pub flexray: u64,
    /// Records that were understood and are no frame: statistics, status changes, notes, metadata.
    pub skipped: u64,
    /// Records passed over, by reason.
    pub problems: BTreeMap<ProblemReason, u64>,
    /// The first problems with their places, at most [`FIRST_PROBLEMS_MAX`].
    pub first_problems: Vec<Problem>,
    /// Frames and packets that state a time before the capture's beginning; they come out at its beginning.
    pub early: u64,
}

impl CaptureStats {
    /// Returns the number of problems of all reasons.
    #[must_use]
    pub fn problems_total(&self) -> u64 {
        self.problems.values().sum()
    }

    /// Returns whether every record is accounted for once. Holds between any two calls of the iterator.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.records == self.taken() + self.skipped + self.problems_total()
    }

    /// Returns how many records of all kinds came out.
    #[must_use]
    pub const fn taken(&self) -> u64 {
        self.frames + self.packets + self.xl + self.lin + self.flexray
    }

    pub(super) fn problem(&mut self, place: Place, reason: ProblemReason) {
        *self.problems.entry(reason).or_default() += 1;
        if self.first_problems.len() < FIRST_PROBLEMS_MAX {
            self.first_problems.push(Problem { place, reason });
        }
    }
}
