//! Checked model, read in place.

use core::cmp::Ordering;
use core::fmt;
use core::marker::PhantomData;

use outrider_types::BusId;

use super::repr::{
    Binding, EtherTypeFact, Flow, Host, Method, Record, SegmentFacts, Service, Subscription, TesterFact, Vlan,
};
use super::{HEADER_BYTES, Lists, MAGIC, SEGMENT_BYTES, SEGMENTS_MAX, VERSION};
use crate::crc::crc32c;
use crate::model::{ModelHead, Text};

/// Bytes of the checksum at the end.
pub(super) const CHECKSUM_BYTES: usize = 4;
/// Where a segment record counts its lists.
const COUNTS_AT: usize = 4;
/// Bytes of a segment record that are in use; the rest is zero.
const SEGMENT_USED: usize = 30;

/// Why bytes are no Ethernet model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EthernetModelError {
    /// The first bytes are not [`MAGIC`].
    Magic,
    /// Another version of the layout.
    Version {
        /// The version.
        got: u16,
    },
    /// The bytes end before the model does, or go on behind it.
    Size {
        /// Bytes the model says, or its parts need.
        expected: usize,
        /// Bytes there.
        got: usize,
    },
    /// The bytes changed since they were written.
    Checksum,
    /// More segments or records than the format allows.
    TooMany {
        /// Count given.
        got: usize,
        /// Most allowed.
        limit: usize,
    },
    /// A value out of its range.
    Value {
        /// Where.
        offset: usize,
    },
    /// Records that do not ascend.
    Order {
        /// Where.
        offset: usize,
    },
}

impl EthernetModelError {
    /// Returns the error's code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Magic => "ethernet_model.magic",
            Self::Version { .. } => "ethernet_model.version",
            Self::Size { .. } => "ethernet_model.size",
            Self::Checksum => "ethernet_model.checksum",
            Self::TooMany { .. } => "ethernet_model.too_many",
            Self::Value { .. } => "ethernet_model.value",
            Self::Order { .. } => "ethernet_model.order",
        }
    }
}

impl fmt::Display for EthernetModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Magic => f.write_str("no Ethernet model"),
            Self::Version { got } => write!(f, "layout version {got}, expected {VERSION}"),
            Self::Size { expected, got } => write!(f, "model of {expected} bytes, got {got}"),
            Self::Checksum => f.write_str("checksum does not fit"),
            Self::TooMany { got, limit } => write!(f, "{got} records, at most {limit}"),
            Self::Value { offset } => write!(f, "value out of range at offset {offset}"),
            Self::Order { offset } => write!(f, "record out of order at offset {offset}"),
        }
    }
}

impl core::error::Error for EthernetModelError {}

fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    bytes.get(offset..).and_then(<[u8]>::first_chunk).copied().map_or(0, u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..).and_then(<[u8]>::first_chunk).copied().map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    bytes.get(offset..).and_then(<[u8]>::first_chunk).copied().map_or(0, u64::from_le_bytes)
}

/// Checked model.
#[derive(Debug, Clone, Copy)]
pub struct EthernetModel<'a> {
    bytes: &'a [u8],
    head: ModelHead,
    segments: usize,
}

impl<'a> EthernetModel<'a> {
    /// Checks bytes, O(n).
    ///
    /// # Errors
    /// [`EthernetModelError`] for each way they are no model.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EthernetModelError> {
        if bytes.get(..8) != Some(MAGIC.as_slice()) {
            return Err(EthernetModelError::Magic);
        }
        let version = u16_at(bytes, 8);
        if version != VERSION {
            return Err(EthernetModelError::Version { got: version });
        }
        let said = usize::try_from(u32_at(bytes, 12)).unwrap_or(usize::MAX);
        let smallest = HEADER_BYTES.saturating_add(CHECKSUM_BYTES);
        if said != bytes.len() || said < smallest {
            return Err(EthernetModelError::Size { expected: said.max(smallest), got: bytes.len() });
        }
        let end = said.saturating_sub(CHECKSUM_BYTES);
        if u32_at(bytes, end) != crc32c(bytes.get(..end).unwrap_or(&[])) {
            return Err(EthernetModelError::Checksum);
        }
        let segments = usize::from(u16_at(bytes, 10));
        if segments > SEGMENTS_MAX {
            return Err(EthernetModelError::TooMany { got: segments, limit: SEGMENTS_MAX });
        }
        let text = |offset: usize| {
            let padded = bytes.get(offset..).and_then(<[u8]>::first_chunk).copied();
            padded.and_then(Text::from_padded).ok_or(EthernetModelError::Value { offset })
        };
        let head = ModelHead {
            learned_frames: u64_at(bytes, 16),
            learned_ms: u64_at(bytes, 24),
            platform: text(32)?,
            release: text(64)?,
        };
        let model = Self { bytes, head, segments };
        model.check(end)?;
        Ok(model)
    }

    fn check(&self, end: usize) -> Result<(), EthernetModelError> {
        let mut next = HEADER_BYTES.saturating_add(self.segments.saturating_mul(SEGMENT_BYTES));
        if next > end {
            return Err(EthernetModelError::Size { expected: next, got: end });
        }
        let mut previous = None;
        for index in 0..self.segments {
            let record = HEADER_BYTES.saturating_add(index.saturating_mul(SEGMENT_BYTES));
            let bus = self.bytes.get(record).copied().unwrap_or(0);
            if previous.is_some_and(|previous| previous >= bus) {
                return Err(EthernetModelError::Order { offset: record });
            }
            previous = Some(bus);
            let flags_at = record.saturating_add(1);
            if self.bytes.get(flags_at).is_none_or(|&flags| flags > 1) {
                return Err(EthernetModelError::Value { offset: flags_at });
            }
            let spare = record.saturating_add(SEGMENT_USED)..record.saturating_add(SEGMENT_BYTES);
            if self.bytes.get(spare.clone()).is_none_or(|rest| rest.iter().any(|&byte| byte != 0)) {
                return Err(EthernetModelError::Value { offset: spare.start });
            }
            next = SegmentModel { bytes: self.bytes, record, begin: next }.check(end)?;
        }
        if next == end { Ok(()) } else { Err(EthernetModelError::Size { expected: next, got: end }) }
    }

    /// Returns what the model says about itself.
    #[must_use]
    pub const fn head(&self) -> &ModelHead {
        &self.head
    }

    /// Returns the segments in ascending order.
    pub fn segments(&self) -> impl Iterator<Item = SegmentModel<'a>> + use<'a> {
        let (bytes, count) = (self.bytes, self.segments);
        let mut begin = HEADER_BYTES.saturating_add(count.saturating_mul(SEGMENT_BYTES));
        (0..count).map(move |index| {
            let record = HEADER_BYTES.saturating_add(index.saturating_mul(SEGMENT_BYTES));
            let segment = SegmentModel { bytes, record, begin };
            begin = segment.end();
            segment
        })
    }
}

/// One segment of a checked model.
#[derive(Debug, Clone, Copy)]
pub struct SegmentModel<'a> {
    bytes: &'a [u8],
    record: usize,
    begin: usize,
}

impl<'a> SegmentModel<'a> {
    /// Returns what is normal for the whole segment.
    #[must_use]
    pub fn facts(&self) -> SegmentFacts {
        let at = |offset: usize| self.record.saturating_add(offset);
        SegmentFacts {
            bus: BusId(self.bytes.get(self.record).copied().unwrap_or(0)),
            is_closed: self.bytes.get(at(1)) == Some(&1),
            captures: u16_at(self.bytes, at(2)),
            packets_max: u32_at(self.bytes, at(22)),
            bytes_max: u32_at(self.bytes, at(26)),
        }
    }

    fn count(&self, list: Lists) -> usize {
        let at = COUNTS_AT.saturating_add(list.index().saturating_mul(2));
        usize::from(u16_at(self.bytes, self.record.saturating_add(at)))
    }

    /// Returns where a list begins.
    fn offset(&self, list: Lists) -> usize {
        let before = Lists::ALL.into_iter().take(list.index());
        before.fold(self.begin, |sum, list| {
            sum.saturating_add(self.count(list).saturating_mul(list.record_bytes()))
        })
    }

    fn end(&self) -> usize {
        let last = Lists::Flows;
        self.offset(last).saturating_add(self.count(last).saturating_mul(last.record_bytes()))
    }

    fn check(&self, end: usize) -> Result<usize, EthernetModelError> {
        for list in Lists::ALL {
            if self.count(list) > list.limit() {
                return Err(EthernetModelError::TooMany { got: self.count(list), limit: list.limit() });
            }
        }
        if self.end() > end {
            return Err(EthernetModelError::Size { expected: self.end(), got: end });
        }
        self.check_list::<Host>()?;
        self.check_list::<EtherTypeFact>()?;
        self.check_list::<Vlan>()?;
        self.check_list::<Binding>()?;
        self.check_list::<Service>()?;
        self.check_list::<Subscription>()?;
        self.check_list::<Method>()?;
        self.check_list::<TesterFact>()?;
        self.check_list::<Flow>()?;
        Ok(self.end())
    }

    fn check_list<R: Record>(&self) -> Result<(), EthernetModelError> {
        let begin = self.offset(R::LIST);
        let mut previous: Option<R> = None;
        for index in 0..self.count(R::LIST) {
            let offset = begin.saturating_add(index.saturating_mul(R::BYTES));
            let record = read::<R>(self.bytes, offset).ok_or(EthernetModelError::Value { offset })?;
            if previous.is_some_and(|previous| previous.order(&record) != Ordering::Less) {
                return Err(EthernetModelError::Order { offset });
            }
            previous = Some(record);
        }
        Ok(())
    }

    /// Returns the records of a list, ascending.
    #[must_use]
    pub fn list<R: Record>(&self) -> List<'a, R> {
        let begin = self.offset(R::LIST);
        let end = begin.saturating_add(self.count(R::LIST).saturating_mul(R::BYTES));
        List { rest: self.bytes.get(begin..end).unwrap_or(&[]), kind: PhantomData }
    }
}

fn read<R: Record>(bytes: &[u8], offset: usize) -> Option<R> {
    R::read(bytes.get(offset..offset.saturating_add(R::BYTES))?)
}

/// Records of one list.
#[derive(Debug, Clone)]
pub struct List<'a, R> {
    rest: &'a [u8],
    kind: PhantomData<R>,
}

impl<R: Record> Iterator for List<'_, R> {
    type Item = R;

    fn next(&mut self) -> Option<R> {
        let record = read(self.rest, 0)?;
        self.rest = self.rest.get(R::BYTES..)?;
        Some(record)
    }
}
