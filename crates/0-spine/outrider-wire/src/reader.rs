//! Zero-copy reader of `EventBatch` (see `proto/outrider/wire/v1/batch.proto`).
//!
//! Two kinds of fault are told apart. A row whose *structure* is broken ends the reading, because the numbers of the
//! rows after it depend on it. A row whose *content* is not allowed (unknown lane, too long a text, broken UTF-8) is
//! rejected with its identity, and the rows after it are read.

mod lanes;

use outrider_types::{
    BusId, ClockFix, ClockSource, EcuId, EventTypeId, FieldKey, Lane, Seq, Severity, UnixMicros,
    VehicleMicros,
};

pub use self::lanes::LaneHeadView;
use self::lanes::{gap, head};
use crate::fault::{BatchError, RowError, RowFault};
use crate::limits::{
    ANCHORS_MAX, BOOTS_MAX, CONTEXT_BYTES_MAX, EVENTS_MAX, FIELDS_MAX, FIXES_MAX, GAPS_MAX, HEADS_MAX,
    LOST_BOOTS_MAX, PROOFS_MAX, TOMBSTONES_MAX, VALUE_BYTES_MAX,
};
use crate::lost_boots::{self, LostBootsView};
use crate::pb::{RawValue, Reader, unzigzag};
use crate::rows::{EventHead, Field, Gap, ShortProof, Value};
use crate::statement::{self, AnchorStatement, BootView, TombstoneView};

/// A batch whose outermost structure and entry counts were checked. Borrowed; costs no memory.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    bytes: &'a [u8],
    events: u32,
}

impl<'a> Batch<'a> {
    /// Checks the outermost structure and the caps of an uncompressed batch. O(number of entries).
    ///
    /// # Errors
    /// [`BatchError`] if an entry overruns the bytes or a cap is exceeded.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let mut counts = [0u32; 9];
        let [events, fixes, heads, gaps] = [EVENTS_MAX, FIXES_MAX, HEADS_MAX, GAPS_MAX];
        let [proofs, tombstones, lost] = [PROOFS_MAX, TOMBSTONES_MAX, LOST_BOOTS_MAX];
        let caps = [events, fixes, heads, gaps, proofs, tombstones, ANCHORS_MAX, BOOTS_MAX, lost];
        let mut reader = Reader::new(bytes, 0);
        while let Some(field) = reader.field()? {
            for ((number, max), count) in (1u32..).zip(caps).zip(&mut counts) {
                if field.number != number {
                    continue;
                }
                let RawValue::Bytes { .. } = field.value else {
                    return Err(field.mismatch().into());
                };
                *count = count.saturating_add(1);
                if *count > max {
                    return Err(BatchError::TooMany { field: number, max });
                }
            }
        }
        let [events, ..] = counts;
        Ok(Self { bytes, events })
    }

    /// Returns the number of event rows, good and bad.
    #[must_use]
    pub const fn event_count(&self) -> u32 {
        self.events
    }

    /// Returns the events in the order of the batch.
    #[must_use]
    pub fn events(&self) -> Events<'a> {
        Events { entries: self.entries(1), state: DeltaState::default(), ended: false }
    }

    /// Returns the clock fixes.
    pub fn fixes(&self) -> impl Iterator<Item = Result<ClockFix, RowError>> + 'a {
        self.entries(2).map(|entry| fix(&entry).map_err(|fault| entry.error(fault)))
    }

    /// Returns the lane heads with their drops.
    pub fn heads(&self) -> impl Iterator<Item = Result<LaneHeadView<'a>, RowError>> + 'a {
        self.entries(3).map(|entry| head(&entry).map_err(|fault| entry.error(fault)))
    }

    /// Returns the gaps.
    pub fn gaps(&self) -> impl Iterator<Item = Result<Gap, RowError>> + 'a {
        self.entries(4).map(|entry| gap(&entry).map_err(|fault| entry.error(fault)))
    }

    /// Returns the tombstones.
    pub fn tombstones(&self) -> impl Iterator<Item = Result<TombstoneView<'a>, RowError>> + 'a {
        self.entries(6)
            .map(|entry| statement::tombstone(entry.bytes, entry.start).map_err(|fault| entry.error(fault)))
    }

    /// Returns what the anchor says.
    pub fn anchors(&self) -> impl Iterator<Item = Result<AnchorStatement<'a>, RowError>> + 'a {
        self.entries(7)
            .map(|entry| statement::anchor(entry.bytes, entry.start).map_err(|fault| entry.error(fault)))
    }

    /// Returns which boot the vehicle was in, if it says so.
    pub fn boots(&self) -> impl Iterator<Item = Result<BootView<'a>, RowError>> + 'a {
        self.entries(8)
            .map(|entry| statement::boot(entry.bytes, entry.start).map_err(|fault| entry.error(fault)))
    }

    /// Returns the closing accounts of boots of which nothing is held any more.
    pub fn lost_boots(&self) -> impl Iterator<Item = Result<LostBootsView<'a>, RowError>> + 'a {
        self.entries(9)
            .map(|entry| lost_boots::read(entry.bytes, entry.start).map_err(|fault| entry.error(fault)))
    }

    /// Returns what it says of rows that went before it in short frames.
    pub fn proofs(&self) -> impl Iterator<Item = Result<ShortProof, RowError>> + 'a {
        self.entries(5)
            .map(|entry| statement::proof(entry.bytes, entry.start).map_err(|fault| entry.error(fault)))
    }

    const fn entries(&self, number: u32) -> Entries<'a> {
        Entries { reader: Reader::new(self.bytes, 0), number, index: 0 }
    }
}

/// Entries of one field number; the outermost structure was checked before.
#[derive(Debug, Clone, Copy)]
struct Entries<'a> {
    reader: Reader<'a>,
    number: u32,
    index: u32,
}

#[derive(Debug, Clone, Copy)]
struct Entry<'a> {
    index: u32,
    start: usize,
    bytes: &'a [u8],
}

impl Entry<'_> {
    const fn error(&self, fault: RowFault) -> RowError {
        RowError { index: self.index, offset: self.start, id: None, fault }
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        loop {
            let field = self.reader.field().ok()??;
            if field.number == self.number
                && let RawValue::Bytes { start, bytes } = field.value
            {
                let index = self.index;
                self.index = self.index.saturating_add(1);
                return Some(Entry { index, start, bytes });
            }
        }
    }
}

/// What the delta coding remembers between rows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DeltaState {
    pub(crate) seqs: [u64; 3],
    pub(crate) mono: u64,
}

impl DeltaState {
    pub(crate) fn seq_mut(&mut self, lane: Lane) -> &mut u64 {
        let [critical, batched, deferred] = &mut self.seqs;
        match lane {
            Lane::Critical => critical,
            Lane::Batched => batched,
            Lane::Deferred => deferred,
        }
    }
}

/// Iterator over the events of a batch; ends after a fatal [`RowError`].
#[derive(Debug, Clone)]
pub struct Events<'a> {
    entries: Entries<'a>,
    state: DeltaState,
    ended: bool,
}

impl<'a> Events<'a> {
    /// Returns the next event and hands its fields to `each` as they are read, for who wants them all: what
    /// [`EventView::fields`] would read again. Fields of an event that turns out to be bad are handed over as well.
    pub fn next_with(&mut self, each: impl FnMut(Field<'a>)) -> Option<Result<EventView<'a>, RowError>> {
        if self.ended {
            return None;
        }
        let entry = self.entries.next()?;
        let result = event(&entry, &mut self.state, each);
        self.ended = result.as_ref().is_err_and(RowError::is_fatal);
        Some(result)
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<EventView<'a>, RowError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_with(|_| {})
    }
}

/// One event, borrowed from the batch.
#[derive(Debug, Clone, Copy)]
pub struct EventView<'a> {
    /// Identity, place, time and count.
    pub head: EventHead,
    /// Raw bytes seen the first time; may be empty.
    pub context: &'a [u8],
    /// Fields whose value is of a later version's kind; they are not among [`Self::fields`].
    pub unread_fields: u16,
    fields: &'a [u8],
}

impl<'a> EventView<'a> {
    /// Returns the fields in the order of the row; a key may repeat.
    #[must_use]
    pub const fn fields(&self) -> Fields<'a> {
        Fields { reader: Reader::new(self.fields, 0) }
    }
}

/// Iterator over the fields of an event; they were checked when the event was read.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        loop {
            let raw = self.reader.field().ok()??;
            if raw.number == 10
                && let RawValue::Bytes { start, bytes } = raw.value
                && let Ok(Some(field)) = field(bytes, start)
            {
                return Some(field);
            }
        }
    }
}

#[derive(Debug, Default)]
struct RawEvent<'a> {
    event_type: u64,
    lane: u64,
    seq_step: u64,
    mono_step: i64,
    severity: u64,
    bus: u64,
    ecu: u64,
    repeats: u64,
    span_us: u64,
    context: &'a [u8],
}

fn event<'a>(
    entry: &Entry<'a>,
    state: &mut DeltaState,
    mut each: impl FnMut(Field<'a>),
) -> Result<EventView<'a>, RowError> {
    let mut raw = RawEvent::default();
    let mut fields = 0u16;
    let mut unread_fields = 0u16;
    let mut content = None;
    let mut reader = Reader::new(entry.bytes, entry.start);
    // From the first field on: who reads the fields again need not read the numbers before them.
    let mut from_first_field: &[u8] = &[];
    loop {
        let rest = reader.rest();
        let part = match reader.field() {
            Ok(Some(part)) => part,
            Ok(None) => break,
            Err(error) => return Err(entry.error(RowFault::Structure(error))),
        };
        match (part.number, part.value) {
            (1, RawValue::Varint(value)) => raw.event_type = value,
            (2, RawValue::Varint(value)) => raw.lane = value,
            (3, RawValue::Varint(value)) => raw.seq_step = value,
            (4, RawValue::Varint(value)) => raw.mono_step = unzigzag(value),
            (5, RawValue::Varint(value)) => raw.severity = value,
            (6, RawValue::Varint(value)) => raw.bus = value,
            (7, RawValue::Varint(value)) => raw.ecu = value,
            (8, RawValue::Varint(value)) => raw.repeats = value,
            (9, RawValue::Varint(value)) => raw.span_us = value,
            (10, RawValue::Bytes { start, bytes }) => {
                if fields == 0 {
                    from_first_field = rest;
                }
                fields = fields.saturating_add(1);
                if fields > FIELDS_MAX {
                    content = content.or(Some(RowFault::Fields { max: FIELDS_MAX }));
                    continue;
                }
                match field(bytes, start) {
                    Ok(Some(field)) => each(field),
                    Ok(None) => unread_fields = unread_fields.saturating_add(1),
                    Err(RowFault::Structure(error)) => return Err(entry.error(RowFault::Structure(error))),
                    Err(fault) => content = content.or(Some(fault)),
                }
            }
            (11, RawValue::Bytes { bytes, .. }) => raw.context = bytes,
            (1..=11, _) => return Err(entry.error(RowFault::Structure(part.mismatch()))),
            _ => {}
        }
    }
    if raw.context.len() > CONTEXT_BYTES_MAX {
        content = content.or(Some(RowFault::Length { max: CONTEXT_BYTES_MAX, got: raw.context.len() }));
    }
    let head = event_head(&raw, state).map_err(|(id, fault)| RowError { id, ..entry.error(fault) })?;
    match content {
        Some(fault) => Err(RowError { id: Some((head.lane, head.seq)), ..entry.error(fault) }),
        None => Ok(EventView { head, context: raw.context, unread_fields, fields: from_first_field }),
    }
}

type HeadError = (Option<(Lane, Seq)>, RowFault);

/// Applies the delta coding, then judges the numbers; the deltas of a rejected row count for the rows after it.
fn event_head(raw: &RawEvent<'_>, state: &mut DeltaState) -> Result<EventHead, HeadError> {
    let first = state.mono.checked_add_signed(raw.mono_step).ok_or((None, RowFault::Overflow))?;
    state.mono = first;
    let lane = u8::try_from(raw.lane)
        .ok()
        .and_then(Lane::from_code)
        .ok_or((None, RowFault::Lane { got: raw.lane }))?;
    let last_seq = state.seq_mut(lane);
    let seq = last_seq
        .checked_add(1)
        .and_then(|next| next.checked_add(raw.seq_step))
        .ok_or((None, RowFault::Overflow))?;
    *last_seq = seq;
    let id = Some((lane, Seq(seq)));
    let event_type = match u16::try_from(raw.event_type) {
        Ok(number) if number != 0 => EventTypeId(number),
        Ok(_) | Err(_) => return Err((id, RowFault::EventType { got: raw.event_type })),
    };
    let bus = match raw.bus.checked_sub(1) {
        None => None,
        Some(number) => {
            Some(BusId(u8::try_from(number).map_err(|_| (id, RowFault::Place { got: raw.bus }))?))
        }
    };
    let ecu = EcuId(u16::try_from(raw.ecu).map_err(|_| (id, RowFault::Place { got: raw.ecu }))?);
    let count = raw.repeats.checked_add(1).ok_or((id, RowFault::Count))?;
    let last = first.checked_add(raw.span_us).ok_or((id, RowFault::Count))?;
    Ok(EventHead {
        event_type,
        lane,
        seq: Seq(seq),
        severity: u8::try_from(raw.severity).ok().and_then(Severity::from_code),
        bus,
        ecu,
        first: VehicleMicros(first),
        last: VehicleMicros(last),
        count,
    })
}

/// Reads one field; `None` if its value is of a later version's kind.
fn field(bytes: &[u8], at: usize) -> Result<Option<Field<'_>>, RowFault> {
    let mut key = 0u64;
    let mut value = None;
    let mut reader = Reader::new(bytes, at);
    while let Some(part) = reader.field().map_err(RowFault::Structure)? {
        match (part.number, part.value) {
            (1, RawValue::Varint(number)) => key = number,
            (2, RawValue::Varint(number)) => value = Some(Value::Uint(number)),
            (3, RawValue::Varint(number)) => value = Some(Value::Sint(unzigzag(number))),
            (4, RawValue::Bytes { bytes, .. }) => {
                let text = core::str::from_utf8(bounded(bytes)?).map_err(|_| RowFault::Utf8)?;
                value = Some(Value::Text(text));
            }
            (5, RawValue::Bytes { bytes, .. }) => value = Some(Value::Bytes(bounded(bytes)?)),
            (6, RawValue::Fixed64(bits)) => value = Some(Value::Double(f64::from_bits(bits))),
            (7, RawValue::Varint(flag)) => value = Some(Value::Flag(flag != 0)),
            (1..=7, _) => return Err(RowFault::Structure(part.mismatch())),
            _ => {}
        }
    }
    match u16::try_from(key) {
        Ok(number) if number != 0 => Ok(value.map(|value| Field { key: FieldKey(number), value })),
        Ok(_) | Err(_) => Err(RowFault::Key { got: key }),
    }
}

const fn bounded(bytes: &[u8]) -> Result<&[u8], RowFault> {
    if bytes.len() > VALUE_BYTES_MAX {
        return Err(RowFault::Length { max: VALUE_BYTES_MAX, got: bytes.len() });
    }
    Ok(bytes)
}

fn fix(entry: &Entry<'_>) -> Result<ClockFix, RowFault> {
    let (mut mono, mut wall, mut error_us, mut source) = (0, 0, 0, 0u64);
    let mut reader = Reader::new(entry.bytes, entry.start);
    while let Some(part) = reader.field().map_err(RowFault::Structure)? {
        match (part.number, part.value) {
            (1, RawValue::Varint(value)) => mono = value,
            (2, RawValue::Varint(value)) => wall = unzigzag(value),
            (3, RawValue::Varint(value)) => error_us = value,
            (4, RawValue::Varint(value)) => source = value,
            (1..=4, _) => return Err(RowFault::Structure(part.mismatch())),
            _ => {}
        }
    }
    Ok(ClockFix {
        mono: VehicleMicros(mono),
        wall: UnixMicros(wall),
        error_us,
        source: u8::try_from(source).map_or(ClockSource::Unknown, ClockSource::from_code),
    })
}
