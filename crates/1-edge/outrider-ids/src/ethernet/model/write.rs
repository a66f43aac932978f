//! Model written into a buffer of the caller.

use core::fmt;

use super::repr::{
    Binding, EtherTypeFact, Flow, Host, Method, Record, SegmentFacts, Service, Subscription, TesterFact, Vlan,
};
use super::view::{CHECKSUM_BYTES, EthernetModel, EthernetModelError};
use super::{HEADER_BYTES, Lists, MAGIC, SEGMENT_BYTES, SEGMENTS_MAX, VERSION};
use crate::crc::crc32c;
use crate::model::ModelHead;

/// One segment to be written; lists ascending, without repeats.
#[derive(Debug, Clone, Copy, Default)]
pub struct SegmentDraft<'a> {
    /// What is normal for the whole segment.
    pub facts: SegmentFacts,
    /// Stations.
    pub hosts: &'a [Host],
    /// EtherTypes.
    pub ethertypes: &'a [EtherTypeFact],
    /// VLANs.
    pub vlans: &'a [Vlan],
    /// Who has which address.
    pub bindings: &'a [Binding],
    /// Offered services.
    pub services: &'a [Service],
    /// Subscribed event groups.
    pub subscriptions: &'a [Subscription],
    /// Methods and events.
    pub methods: &'a [Method],
    /// Diagnostic testers.
    pub testers: &'a [TesterFact],
    /// Flows.
    pub flows: &'a [Flow],
}

impl SegmentDraft<'_> {
    const fn count(&self, list: Lists) -> usize {
        match list {
            Lists::Hosts => self.hosts.len(),
            Lists::EtherTypes => self.ethertypes.len(),
            Lists::Vlans => self.vlans.len(),
            Lists::Bindings => self.bindings.len(),
            Lists::Services => self.services.len(),
            Lists::Subscriptions => self.subscriptions.len(),
            Lists::Methods => self.methods.len(),
            Lists::Testers => self.testers.len(),
            Lists::Flows => self.flows.len(),
        }
    }
}

/// Error of writing a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WriteError {
    /// The buffer is smaller than [`encoded_bytes`] said.
    Space {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        got: usize,
    },
    /// More segments or records than the format allows.
    TooMany {
        /// Count given.
        got: usize,
        /// Most allowed.
        limit: usize,
    },
    /// The facts contradict each other, as a reader of the result would find.
    Facts(EthernetModelError),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Space { needed, got } => write!(f, "model needs {needed} bytes, buffer has {got}"),
            Self::TooMany { got, limit } => write!(f, "{got} records, at most {limit} fit a model"),
            Self::Facts(error) => write!(f, "facts are inconsistent: {error}"),
        }
    }
}

impl core::error::Error for WriteError {}

/// Returns the size of a model in bytes.
#[must_use]
pub fn encoded_bytes(segments: &[SegmentDraft<'_>]) -> usize {
    let fixed = HEADER_BYTES.saturating_add(CHECKSUM_BYTES);
    segments.iter().fold(fixed, |sum, segment| {
        Lists::ALL.into_iter().fold(sum.saturating_add(SEGMENT_BYTES), |sum, list| {
            sum.saturating_add(segment.count(list).saturating_mul(list.record_bytes()))
        })
    })
}

/// Cursor over a buffer that is large enough.
struct Cursor<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Cursor<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.at.saturating_add(bytes.len());
        if let Some(slot) = self.out.get_mut(self.at..end) {
            slot.copy_from_slice(bytes);
        }
        self.at = end;
    }

    fn count(&mut self, count: usize) {
        self.put(&u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
    }

    fn list<R: Record>(&mut self, records: &[R]) {
        for record in records {
            let end = self.at.saturating_add(R::BYTES);
            if let Some(slot) = self.out.get_mut(self.at..end) {
                record.put(slot);
            }
            self.at = end;
        }
    }
}

/// Writes a model and returns its size in bytes; the result has been read back and is whole.
///
/// # Errors
/// [`WriteError`] for a small buffer, too many records or facts that no reader accepts.
pub fn write(head: &ModelHead, segments: &[SegmentDraft<'_>], out: &mut [u8]) -> Result<usize, WriteError> {
    let needed = encoded_bytes(segments);
    let got = out.len();
    check_count(segments.len(), SEGMENTS_MAX)?;
    for segment in segments {
        for list in Lists::ALL {
            check_count(segment.count(list), list.limit())?;
        }
    }
    let out = out.get_mut(..needed).ok_or(WriteError::Space { needed, got })?;
    let mut cursor = Cursor { out, at: 0 };
    cursor.put(&MAGIC);
    cursor.put(&VERSION.to_le_bytes());
    cursor.count(segments.len());
    cursor.put(&u32::try_from(needed).unwrap_or(u32::MAX).to_le_bytes());
    cursor.put(&head.learned_frames.to_le_bytes());
    cursor.put(&head.learned_ms.to_le_bytes());
    cursor.put(head.platform.padded());
    cursor.put(head.release.padded());
    for segment in segments {
        let facts = &segment.facts;
        let begin = cursor.at;
        cursor.put(&[facts.bus.0, u8::from(facts.is_closed)]);
        cursor.put(&facts.captures.to_le_bytes());
        Lists::ALL.into_iter().for_each(|list| cursor.count(segment.count(list)));
        cursor.put(&facts.packets_max.to_le_bytes());
        cursor.put(&facts.bytes_max.to_le_bytes());
        let used = cursor.at.saturating_sub(begin);
        cursor.put([0; SEGMENT_BYTES].get(used..).unwrap_or(&[]));
    }
    for segment in segments {
        cursor.list(segment.hosts);
        cursor.list(segment.ethertypes);
        cursor.list(segment.vlans);
        cursor.list(segment.bindings);
        cursor.list(segment.services);
        cursor.list(segment.subscriptions);
        cursor.list(segment.methods);
        cursor.list(segment.testers);
        cursor.list(segment.flows);
    }
    let checksum = crc32c(cursor.out.get(..cursor.at).unwrap_or(&[]));
    cursor.put(&checksum.to_le_bytes());
    EthernetModel::parse(cursor.out).map_err(WriteError::Facts)?;
    Ok(needed)
}

const fn check_count(got: usize, limit: usize) -> Result<(), WriteError> {
    if got > limit { Err(WriteError::TooMany { got, limit }) } else { Ok(()) }
}
