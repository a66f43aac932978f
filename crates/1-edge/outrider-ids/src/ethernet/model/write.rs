//! Model written into a buffer of the caller.

use super::repr::{
    Binding, EtherTypeFact, Flow, Host, Method, Record, SegmentFacts, Service, Subscription, TesterFact, Vlan,
};
use super::view::EthernetModel;
use super::{KIND, Lists, SEGMENT_BYTES};
use crate::model::bytes::Cursor;
use crate::model::envelope::check_count;
use crate::model::{ModelHead, WriteError};

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

/// Returns the size of a model in bytes.
#[must_use]
pub fn encoded_bytes(segments: &[SegmentDraft<'_>]) -> usize {
    let parts = segments.iter().fold(0, |sum, segment| {
        Lists::ALL.into_iter().fold(sum, |sum: usize, list| {
            sum.saturating_add(segment.count(list).saturating_mul(list.record_bytes()))
        })
    });
    KIND.encoded_bytes(segments.len(), parts)
}

fn put_list<R: Record>(cursor: &mut Cursor<'_>, records: &[R]) {
    records.iter().for_each(|record| record.put(cursor.slot(R::BYTES)));
}

/// Writes a model and returns its size in bytes; the result has been read back and is whole.
///
/// # Errors
/// [`WriteError`] for a small buffer, too many records or facts that no reader accepts.
pub fn write(head: &ModelHead, segments: &[SegmentDraft<'_>], out: &mut [u8]) -> Result<usize, WriteError> {
    for segment in segments {
        for list in Lists::ALL {
            check_count(segment.count(list), list.limit())?;
        }
    }
    let needed = encoded_bytes(segments);
    KIND.write(head, segments.len(), needed, out, |cursor| {
        segments.iter().for_each(|segment| put_record(cursor, segment));
        segments.iter().for_each(|segment| put_lists(cursor, segment));
    })?;
    EthernetModel::parse(out.get(..needed).unwrap_or(&[])).map_err(WriteError::Facts)?;
    Ok(needed)
}

fn put_record(cursor: &mut Cursor<'_>, segment: &SegmentDraft<'_>) {
    let facts = &segment.facts;
    let begin = cursor.at();
    cursor.put(&[facts.bus.0, u8::from(facts.is_closed)]);
    cursor.put(&facts.captures.to_le_bytes());
    Lists::ALL.into_iter().for_each(|list| cursor.count(segment.count(list)));
    cursor.put(&facts.packets_max.to_le_bytes());
    cursor.put(&facts.bytes_max.to_le_bytes());
    let used = cursor.at().saturating_sub(begin);
    cursor.put([0; SEGMENT_BYTES].get(used..).unwrap_or(&[]));
}

fn put_lists(cursor: &mut Cursor<'_>, segment: &SegmentDraft<'_>) {
    put_list(cursor, segment.hosts);
    put_list(cursor, segment.ethertypes);
    put_list(cursor, segment.vlans);
    put_list(cursor, segment.bindings);
    put_list(cursor, segment.services);
    put_list(cursor, segment.subscriptions);
    put_list(cursor, segment.methods);
    put_list(cursor, segment.testers);
    put_list(cursor, segment.flows);
}
