//! Checked model, read in place.

use core::cmp::Ordering;
use core::marker::PhantomData;

use outrider_types::BusId;

use super::repr::{
    Binding, EtherTypeFact, Flow, Host, Method, Record, SegmentFacts, Service, Subscription, TesterFact, Vlan,
};
use super::{KIND, Lists, SEGMENT_BYTES};
use crate::model::bytes::{u8_at, u16_at, u32_at};
use crate::model::envelope::Envelope;
use crate::model::signature::Signatures;
use crate::model::{ModelError, ModelHead};

/// Where a segment record counts its lists.
const COUNTS_AT: usize = 4;
/// Bytes of a segment record that are in use; the rest is zero.
const SEGMENT_USED: usize = 30;

/// Checked model.
#[derive(Debug, Clone, Copy)]
pub struct EthernetModel<'a> {
    envelope: Envelope<'a>,
}

impl<'a> EthernetModel<'a> {
    /// Checks bytes, O(n). Signatures may follow the model; who made them is for the caller to find out.
    ///
    /// # Errors
    /// [`ModelError`] for each way they are no model.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ModelError> {
        let envelope = Envelope::open(bytes, &KIND)?;
        let (bytes, end) = (envelope.bytes, envelope.end());
        let mut next = envelope.parts_at();
        let mut previous = None;
        for index in 0..envelope.records {
            let record = envelope.record_at(index);
            let bus = u8_at(bytes, record);
            if previous.is_some_and(|previous| previous >= bus) {
                return Err(ModelError::Order { offset: record });
            }
            previous = Some(bus);
            let flags_at = record.saturating_add(1);
            if u8_at(bytes, flags_at) > 1 {
                return Err(ModelError::Value { offset: flags_at });
            }
            let spare = record.saturating_add(SEGMENT_USED)..record.saturating_add(SEGMENT_BYTES);
            if bytes.get(spare.clone()).is_none_or(|rest| rest.iter().any(|&byte| byte != 0)) {
                return Err(ModelError::Value { offset: spare.start });
            }
            next = SegmentModel { bytes, record, begin: next }.check(end)?;
        }
        if next == end { Ok(Self { envelope }) } else { Err(ModelError::Layout { offset: next }) }
    }

    /// Returns what the model says about itself.
    #[must_use]
    pub const fn head(&self) -> &ModelHead {
        &self.envelope.head
    }

    /// Returns the version of the layout it was written in.
    #[must_use]
    pub const fn version(&self) -> u16 {
        self.envelope.version
    }

    /// Returns the bytes of the model, without signatures.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        self.envelope.bytes.len()
    }

    /// Returns the signatures that follow the model; nobody has checked them.
    #[must_use]
    pub const fn signatures(&self) -> Signatures<'a> {
        self.envelope.signatures
    }

    /// Returns the segments in ascending order.
    pub fn segments(&self) -> impl Iterator<Item = SegmentModel<'a>> + use<'a> {
        let envelope = self.envelope;
        let mut begin = envelope.parts_at();
        (0..envelope.records).map(move |index| {
            let segment = SegmentModel { bytes: envelope.bytes, record: envelope.record_at(index), begin };
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

    const fn count_at(&self, list: Lists) -> usize {
        let at = COUNTS_AT.saturating_add(list.index().saturating_mul(2));
        self.record.saturating_add(at)
    }

    fn count(&self, list: Lists) -> usize {
        usize::from(u16_at(self.bytes, self.count_at(list)))
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

    fn check(&self, end: usize) -> Result<usize, ModelError> {
        for list in Lists::ALL {
            if self.count(list) > list.limit() {
                return Err(ModelError::TooMany {
                    offset: self.count_at(list),
                    got: self.count(list),
                    limit: list.limit(),
                });
            }
        }
        if self.end() > end {
            return Err(ModelError::Truncated { needed: self.end(), got: end });
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

    fn check_list<R: Record>(&self) -> Result<(), ModelError> {
        let begin = self.offset(R::LIST);
        let mut previous: Option<R> = None;
        for index in 0..self.count(R::LIST) {
            let offset = begin.saturating_add(index.saturating_mul(R::BYTES));
            let record = read::<R>(self.bytes, offset).ok_or(ModelError::Value { offset })?;
            if previous.is_some_and(|previous| previous.order(&record) != Ordering::Less) {
                return Err(ModelError::Order { offset });
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
