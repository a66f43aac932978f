//! Writer of `EventBatch` into a caller's buffer; allocates nothing.

use core::fmt;

use outrider_types::ClockFix;

use crate::SIGNATURE_BYTES;
use crate::limits::{CONTEXT_BYTES_MAX, EVENTS_MAX, FIELDS_MAX, VALUE_BYTES_MAX};
use crate::lost_boots;
use crate::pb::{Counter, Full, Sink, SliceSink};
use crate::reader::DeltaState;
use crate::rows::{DropCount, EventHead, Field, Gap, LaneHead, ShortProof, Value};
use crate::statement::{
    AnchorStatement, BootEnd, BootHead, LostRows, TombstoneHead, put_anchor, put_boot, put_tombstone,
};

/// Why a row was not written; the batch is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteError {
    /// The buffer has no room for the row: send the batch and begin another.
    Full(Full),
    /// The batch has as many rows as a batch may have.
    TooMany,
    /// The row breaks a cap or rule of the format, and no reader would take it.
    Refused(Refusal),
}

/// Rule of the format that a row breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Event type 0, number 0, count 0 or a last time before the first.
    Head,
    /// The number is not above that of the row before it in the lane.
    Order,
    /// More than [`FIELDS_MAX`] fields, or key 0.
    Fields,
    /// A text, bytes field or context is too long.
    Length,
}

impl WriteError {
    /// Returns the error's stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Full(_) => "wire.output_full",
            Self::TooMany => "wire.too_many",
            Self::Refused(Refusal::Head) => "row.head",
            Self::Refused(Refusal::Order) => "row.order",
            Self::Refused(Refusal::Fields) => "row.fields",
            Self::Refused(Refusal::Length) => "row.length",
        }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(full) => full.fmt(f),
            Self::TooMany => f.write_str("batch has as many rows as allowed"),
            Self::Refused(Refusal::Head) => f.write_str("row has a zero or reversed number in its head"),
            Self::Refused(Refusal::Order) => f.write_str("row is not above the one before it in its lane"),
            Self::Refused(Refusal::Fields) => f.write_str("row has too many fields or a field without key"),
            Self::Refused(Refusal::Length) => f.write_str("row has a value that is too long"),
        }
    }
}

impl core::error::Error for WriteError {}

impl From<Full> for WriteError {
    fn from(full: Full) -> Self {
        Self::Full(full)
    }
}

/// Writes one batch, row by row, into a buffer.
///
/// A row that does not fit leaves the batch as it was, so that the caller can send it and begin anew.
///
/// ```
/// use outrider_types::{EcuId, EventTypeId, FieldKey, Lane, Seq, VehicleMicros};
/// use outrider_wire::{Batch, BatchWriter, EventHead, Field, Value};
///
/// let head = EventHead {
///     event_type: EventTypeId(7), lane: Lane::Critical, seq: Seq(1), severity: None, bus: None,
///     ecu: EcuId(0), first: VehicleMicros(10), last: VehicleMicros(10), count: 1,
/// };
/// let fields = [Field { key: FieldKey(3), value: Value::Uint(0x7df) }];
/// let mut buffer = [0u8; 256];
/// let mut writer = BatchWriter::new(&mut buffer);
/// writer.event(&head, fields.into_iter(), b"\x02\x10\x03")?;
/// let bytes = writer.finish();
///
/// let event = Batch::parse(bytes).expect("just written").events().next().expect("one event");
/// assert_eq!(event.expect("well formed").head, head);
/// # Ok::<(), outrider_wire::WriteError>(())
/// ```
#[derive(Debug)]
pub struct BatchWriter<'b> {
    sink: SliceSink<'b>,
    state: DeltaState,
    events: u32,
}

impl<'b> BatchWriter<'b> {
    /// Starts an empty batch in `out`.
    #[must_use]
    pub const fn new(out: &'b mut [u8]) -> Self {
        Self { sink: SliceSink::new(out), state: DeltaState { seqs: [0; 3], mono: 0 }, events: 0 }
    }

    /// Returns the bytes written so far.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.sink.used()
    }

    /// Returns the bytes left in the buffer.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.sink.remaining()
    }

    /// Returns the number of events written so far.
    #[must_use]
    pub const fn events(&self) -> u32 {
        self.events
    }

    /// Ends the batch and returns its bytes.
    #[must_use]
    pub fn finish(self) -> &'b [u8] {
        self.sink.into_written()
    }

    /// Appends an event.
    ///
    /// # Errors
    /// [`WriteError`]; the batch is then unchanged.
    pub fn event<'f>(
        &mut self,
        head: &EventHead,
        fields: impl Iterator<Item = Field<'f>> + Clone,
        context: &[u8],
    ) -> Result<(), WriteError> {
        if self.events >= EVENTS_MAX {
            return Err(WriteError::TooMany);
        }
        check(fields.clone(), context)?;
        let steps = Steps::new(head, &mut self.state.clone())?;
        let mut length = Counter::default();
        put_event(&mut length, head, &steps, fields.clone(), context)?;
        self.entry(1, length.0, |sink| put_event(sink, head, &steps, fields.clone(), context))?;
        Steps::new(head, &mut self.state)?;
        self.events = self.events.saturating_add(1);
        Ok(())
    }

    /// Appends a clock fix.
    ///
    /// # Errors
    /// [`WriteError::Full`]; the batch is then unchanged.
    pub fn fix(&mut self, fix: &ClockFix) -> Result<(), WriteError> {
        let mut length = Counter::default();
        put_fix(&mut length, fix)?;
        self.entry(2, length.0, |sink| put_fix(sink, fix))
    }

    /// Appends a lane head with its losses; losses for an unknown reason are written as unspecified.
    ///
    /// # Errors
    /// [`WriteError::Full`]; the batch is then unchanged.
    pub fn head(&mut self, head: &LaneHead, drops: &[DropCount]) -> Result<(), WriteError> {
        let mut length = Counter::default();
        put_head(&mut length, head, drops)?;
        self.entry(3, length.0, |sink| put_head(sink, head, drops))
    }

    /// Appends a gap.
    ///
    /// # Errors
    /// [`WriteError::Full`]; the batch is then unchanged.
    pub fn gap(&mut self, gap: &Gap) -> Result<(), WriteError> {
        let mut length = Counter::default();
        put_gap(&mut length, gap)?;
        self.entry(4, length.0, |sink| put_gap(sink, gap))
    }

    /// Appends a tombstone with its counts.
    ///
    /// # Errors
    /// [`WriteError::Full`]; the batch is then unchanged.
    pub fn tombstone(
        &mut self,
        head: &TombstoneHead,
        lost: impl Iterator<Item = LostRows> + Clone,
    ) -> Result<(), WriteError> {
        let mut length = Counter::default();
        put_tombstone(&mut length, head, lost.clone())?;
        self.entry(6, length.0, |sink| put_tombstone(sink, head, lost))
    }

    /// Appends what the anchor says.
    ///
    /// # Errors
    /// [`WriteError::Full`]; the batch is then unchanged.
    pub fn anchor(&mut self, anchor: &AnchorStatement<'_>) -> Result<(), WriteError> {
        let mut length = Counter::default();
        put_anchor(&mut length, anchor)?;
        self.entry(7, length.0, |sink| put_anchor(sink, anchor))
    }

    /// Appends which boot the vehicle is in, with the ends of past boots.
    ///
    /// # Errors
    /// [`WriteError::Full`]; the batch is then unchanged.
    pub fn boot(
        &mut self,
        head: &BootHead,
        ends: impl Iterator<Item = BootEnd> + Clone,
    ) -> Result<(), WriteError> {
        let mut length = Counter::default();
        put_boot(&mut length, head, ends.clone())?;
        self.entry(8, length.0, |sink| put_boot(sink, head, ends))
    }

    /// Appends the closing account of boots: its text and the device key's signature.
    ///
    /// # Errors
    /// [`WriteError::Full`]; the batch is then unchanged.
    pub fn lost_boots(&mut self, text: &[u8], signature: &[u8; SIGNATURE_BYTES]) -> Result<(), WriteError> {
        let mut length = Counter::default();
        lost_boots::put(&mut length, text, signature)?;
        self.entry(9, length.0, |sink| lost_boots::put(sink, text, signature))
    }

    /// Appends what is to be proved of rows that went in short frames.
    ///
    /// # Errors
    /// [`WriteError::Full`]; the batch is then unchanged.
    pub fn proof(&mut self, proof: &ShortProof) -> Result<(), WriteError> {
        let mut length = Counter::default();
        put_proof(&mut length, proof)?;
        self.entry(5, length.0, |sink| put_proof(sink, proof))
    }

    fn entry(
        &mut self,
        number: u32,
        length: usize,
        put: impl FnOnce(&mut SliceSink<'b>) -> Result<(), Full>,
    ) -> Result<(), WriteError> {
        let before = self.sink.used();
        let written = put_length(&mut self.sink, number, length).and_then(|()| put(&mut self.sink));
        if let Err(full) = written {
            self.sink.rewind(before);
            return Err(full.into());
        }
        Ok(())
    }
}

fn check<'f>(fields: impl Iterator<Item = Field<'f>>, context: &[u8]) -> Result<(), WriteError> {
    if context.len() > CONTEXT_BYTES_MAX {
        return Err(WriteError::Refused(Refusal::Length));
    }
    let mut count = 0u16;
    for field in fields {
        count = count.saturating_add(1);
        if count > FIELDS_MAX || field.key.0 == 0 {
            return Err(WriteError::Refused(Refusal::Fields));
        }
        let length = match field.value {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Uint(_) | Value::Sint(_) | Value::Double(_) | Value::Flag(_) => 0,
        };
        if length > VALUE_BYTES_MAX {
            return Err(WriteError::Refused(Refusal::Length));
        }
    }
    Ok(())
}

/// Numbers of a row relative to the rows before it.
struct Steps {
    seq: u64,
    mono: i64,
    repeats: u64,
    span_us: u64,
}

impl Steps {
    fn new(head: &EventHead, state: &mut DeltaState) -> Result<Self, WriteError> {
        let refused = WriteError::Refused(Refusal::Head);
        if head.event_type.0 == 0 {
            return Err(refused);
        }
        let repeats = head.count.checked_sub(1).ok_or(refused)?;
        let span_us = head.last.0.checked_sub(head.first.0).ok_or(refused)?;
        let mono = head.first.0.wrapping_sub(state.mono).cast_signed();
        if state.mono.checked_add_signed(mono) != Some(head.first.0) {
            return Err(refused);
        }
        let before = state.seq_mut(head.lane);
        let seq = head
            .seq
            .0
            .checked_sub(*before)
            .and_then(|step| step.checked_sub(1))
            .ok_or(WriteError::Refused(Refusal::Order))?;
        *before = head.seq.0;
        state.mono = head.first.0;
        Ok(Self { seq, mono, repeats, span_us })
    }
}

fn put_length<S: Sink>(sink: &mut S, number: u32, length: usize) -> Result<(), Full> {
    sink.tag(number, 2)?;
    sink.varint(u64::try_from(length).unwrap_or(u64::MAX))
}

fn put_event<'f, S: Sink>(
    sink: &mut S,
    head: &EventHead,
    steps: &Steps,
    fields: impl Iterator<Item = Field<'f>>,
    context: &[u8],
) -> Result<(), Full> {
    sink.uint(1, u64::from(head.event_type.0))?;
    sink.uint(2, u64::from(head.lane.code()))?;
    sink.uint(3, steps.seq)?;
    sink.sint(4, steps.mono)?;
    sink.uint(5, head.severity.map_or(0, |severity| u64::from(severity.code())))?;
    sink.uint(6, head.bus.map_or(0, |bus| u64::from(bus.0).saturating_add(1)))?;
    sink.uint(7, u64::from(head.ecu.0))?;
    sink.uint(8, steps.repeats)?;
    sink.uint(9, steps.span_us)?;
    for field in fields {
        let mut length = Counter::default();
        put_field(&mut length, &field)?;
        put_length(sink, 10, length.0)?;
        put_field(sink, &field)?;
    }
    if context.is_empty() { Ok(()) } else { sink.bytes(11, context) }
}

fn put_field<S: Sink>(sink: &mut S, field: &Field<'_>) -> Result<(), Full> {
    sink.uint(1, u64::from(field.key.0))?;
    match field.value {
        Value::Uint(value) => sink.present(2, value),
        Value::Sint(value) => sink.present_sint(3, value),
        Value::Text(text) => sink.bytes(4, text.as_bytes()),
        Value::Bytes(bytes) => sink.bytes(5, bytes),
        Value::Double(value) => {
            sink.tag(6, 1)?;
            sink.put(&value.to_bits().to_le_bytes())
        }
        Value::Flag(flag) => sink.present(7, u64::from(flag)),
    }
}

fn put_fix<S: Sink>(sink: &mut S, fix: &ClockFix) -> Result<(), Full> {
    sink.uint(1, fix.mono.0)?;
    sink.sint(2, fix.wall.0)?;
    sink.uint(3, fix.error_us)?;
    sink.uint(4, u64::from(fix.source.code()))
}

fn put_head<S: Sink>(sink: &mut S, head: &LaneHead, drops: &[DropCount]) -> Result<(), Full> {
    sink.uint(1, u64::from(head.lane.code()))?;
    sink.uint(2, head.first_seq)?;
    sink.uint(3, head.last_seq)?;
    sink.uint(4, head.received)?;
    sink.uint(5, head.folded)?;
    for drop in drops {
        let mut length = Counter::default();
        put_drop(&mut length, drop)?;
        put_length(sink, 6, length.0)?;
        put_drop(sink, drop)?;
    }
    Ok(())
}

fn put_drop<S: Sink>(sink: &mut S, drop: &DropCount) -> Result<(), Full> {
    sink.uint(1, drop.reason.map_or(0, |reason| u64::from(reason.code())))?;
    sink.uint(2, drop.count)
}

fn put_gap<S: Sink>(sink: &mut S, gap: &Gap) -> Result<(), Full> {
    sink.uint(1, u64::from(gap.lane.code()))?;
    sink.uint(2, gap.range.first().0)?;
    sink.uint(3, gap.range.last().0)?;
    sink.uint(4, gap.reason.map_or(0, |reason| u64::from(reason.code())))
}

fn put_proof<S: Sink>(sink: &mut S, proof: &ShortProof) -> Result<(), Full> {
    sink.uint(1, u64::from(proof.lane.code()))?;
    sink.uint(2, proof.range.first().0)?;
    sink.uint(3, proof.range.last().0)?;
    sink.bytes(4, &proof.chain)
}
