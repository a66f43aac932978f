//! Decoder of Outrider's own rows, wire format v1.

use std::ops::Range;

use outrider_model::{DecodeContext, Decoded, Decoder, EventBatch, EventRow, FieldValue, Reject, catalogue};
use outrider_types::{EventId, FieldKey, Severity};
use outrider_wire::{Batch, BatchError, EventView, Field, RowError, Value};

use crate::finding::CLOUD_TYPES;

/// Decodes the uncompressed rows of a wire v1 batch.
#[derive(Debug, Default)]
pub struct RowsDecoder;

impl Decoder for RowsDecoder {
    fn decode(&mut self, bytes: &[u8], context: &mut DecodeContext<'_>, batch: &mut EventBatch) -> Decoded {
        match ReadRows::parse(bytes) {
            Ok(rows) => rows.decode(context, batch),
            Err(error) => {
                let reject = Reject { reason: error.code(), place: error.to_string(), units: 1 };
                Decoded { rejects: vec![reject], ..Decoded::default() }
            }
        }
    }
}

/// A batch whose events are read: once, for all who look at them.
pub(crate) struct ReadRows<'a> {
    pub(crate) batch: Batch<'a>,
    events: Vec<ReadRow<'a>>,
    /// Fields of all events.
    fields: Vec<Field<'a>>,
}

struct ReadRow<'a> {
    event: Result<EventView<'a>, RowError>,
    /// Where its fields stand.
    fields: Range<usize>,
}

impl<'a> ReadRows<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let batch = Batch::parse(bytes)?;
        let count = usize::try_from(batch.event_count()).unwrap_or(0);
        let (mut rows, mut fields) = (Vec::with_capacity(count), Vec::new());
        let mut events = batch.events();
        loop {
            let from = fields.len();
            let Some(event) = events.next_with(|field| fields.push(field)) else { break };
            rows.push(ReadRow { event, fields: from..fields.len() });
        }
        Ok(Self { batch, events: rows, fields })
    }

    /// Returns each event with its fields, in the order of the batch; those of a bad one mean nothing.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&Result<EventView<'a>, RowError>, &[Field<'a>])> {
        let fields = |range: &Range<usize>| self.fields.get(range.clone()).unwrap_or_default();
        self.events.iter().map(move |row| (&row.event, fields(&row.fields)))
    }

    /// Returns the good events.
    pub(crate) fn good(&self) -> impl Iterator<Item = &EventView<'a>> {
        self.events.iter().filter_map(|row| row.event.as_ref().ok())
    }

    /// Appends the rows to `batch`.
    pub(crate) fn decode(&self, context: &mut DecodeContext<'_>, batch: &mut EventBatch) -> Decoded {
        let mut decoded = Decoded::default();
        let mut read: u32 = 0;
        for (event, fields) in self.rows() {
            read = read.saturating_add(1);
            match event {
                Ok(event) => take(event, fields, context, batch, &mut decoded),
                Err(error) => {
                    // After a fatal error the rest of the rows is lost with it.
                    let count = self.batch.event_count();
                    let rest = if error.is_fatal() { count.saturating_sub(read) } else { 0 };
                    decoded.rejects.push(Reject {
                        reason: error.code(),
                        place: error.to_string(),
                        units: 1 + u64::from(rest),
                    });
                }
            }
        }
        decoded
    }
}

fn take(
    event: &EventView<'_>,
    fields: &[Field<'_>],
    context: &mut DecodeContext<'_>,
    batch: &mut EventBatch,
    decoded: &mut Decoded,
) {
    let head = &event.head;
    if CLOUD_TYPES.contains(&head.event_type.0) {
        let place = format!("lane {}, number {}", head.lane, head.seq);
        decoded.rejects.push(Reject { reason: "row.reserved_type", place, units: 1 });
        return;
    }
    if !(context.is_new)(head.lane, head.seq) {
        decoded.duplicates += 1;
        return;
    }
    let entry = catalogue::event_type(head.event_type);
    let severity = head.severity.or_else(|| entry.map(|entry| entry.severity)).unwrap_or(Severity::Info);
    batch.push(&EventRow {
        tenant: context.tenant,
        id: EventId { vehicle: context.vehicle, epoch: context.epoch, lane: head.lane, seq: head.seq },
        event_type: head.event_type,
        severity,
        time: (context.event_time)(head.first),
        ingest: context.ingest,
        mono: head.first,
        count: u32::try_from(head.count).unwrap_or(u32::MAX),
        span: (head.first, head.last),
        bus: head.bus,
        context: event.context,
    });
    for field in fields {
        let value = match field.value {
            Value::Flag(value) => FieldValue::Bool(value),
            Value::Uint(value) => FieldValue::Int(i64::try_from(value).unwrap_or(i64::MAX)),
            Value::Sint(value) => FieldValue::Int(value),
            Value::Double(value) => FieldValue::Float(value),
            Value::Text(value) => FieldValue::Text(value),
            Value::Bytes(value) => {
                extend(batch, field.key, &hex(value));
                continue;
            }
        };
        if !batch.set_field(field.key, value) {
            extend(batch, field.key, &text(value));
        }
    }
    let ecu =
        if head.ecu.0 == 0 { None } else { context.record.and_then(|record| record.ecu_name(head.ecu)) };
    batch.enrich_last(context.record, ecu);
    decoded.rows += 1;
}

/// Keeps a field that the catalogue does not have, or has with another type, in its own namespace.
fn extend(batch: &mut EventBatch, key: FieldKey, value: &str) {
    batch.set_extension(&format!("wire.field_{key}"), value);
}

fn text(value: FieldValue<'_>) -> String {
    match value {
        FieldValue::Int(value) => value.to_string(),
        FieldValue::Float(value) => value.to_string(),
        FieldValue::Text(value) => value.to_owned(),
        FieldValue::Bool(value) => value.to_string(),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
