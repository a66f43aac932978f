//! Protobuf primitives: varints, tags and lengths, read from a slice and written to a sink.

use core::fmt;

/// The output has no room for what was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// Bytes the output would have needed in all, as far as known.
    pub needed: usize,
    /// Bytes the output has in all.
    pub capacity: usize,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "output of {} bytes is full, at least {} needed", self.capacity, self.needed)
    }
}

impl core::error::Error for Full {}

impl Full {
    /// Returns the error's stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "wire.output_full"
    }
}

/// Fault in the structure of a protobuf message, with the offset from the start of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StructureError {
    /// Fewer bytes remain than a length or a fixed value asks for.
    Truncated {
        /// Where the value starts.
        offset: usize,
        /// Bytes asked for.
        needed: u64,
        /// Bytes there are.
        got: usize,
    },
    /// A varint is longer than 64 bits or does not end.
    Varint {
        /// Where the varint starts.
        offset: usize,
    },
    /// The field number is 0 or above 2^29 - 1.
    FieldNumber {
        /// Where the tag starts.
        offset: usize,
    },
    /// The wire type is a group or undefined, or not the one that the known field has.
    WireType {
        /// Where the tag starts.
        offset: usize,
        /// Field number.
        field: u32,
        /// Wire type found.
        got: u8,
    },
}

impl StructureError {
    /// Returns the error's stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "wire.truncated",
            Self::Varint { .. } => "wire.varint",
            Self::FieldNumber { .. } => "wire.field_number",
            Self::WireType { .. } => "wire.wire_type",
        }
    }

    /// Returns where the fault is, in bytes from the start of the batch.
    #[must_use]
    pub const fn offset(&self) -> usize {
        match *self {
            Self::Truncated { offset, .. }
            | Self::Varint { offset }
            | Self::FieldNumber { offset }
            | Self::WireType { offset, .. } => offset,
        }
    }
}

impl fmt::Display for StructureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { offset, needed, got } => {
                write!(f, "value at offset {offset} needs {needed} bytes, {got} remain")
            }
            Self::Varint { offset } => write!(f, "no valid varint at offset {offset}"),
            Self::FieldNumber { offset } => write!(f, "field number out of range at offset {offset}"),
            Self::WireType { offset, field, got } => {
                write!(f, "field {field} at offset {offset} has wire type {got}")
            }
        }
    }
}

impl core::error::Error for StructureError {}

/// One field as it stands in the bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct RawField<'a> {
    pub(crate) number: u32,
    pub(crate) offset: usize,
    pub(crate) value: RawValue<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum RawValue<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes { start: usize, bytes: &'a [u8] },
    Fixed32,
}

impl RawField<'_> {
    /// Returns the error for a known field with an unexpected wire type.
    pub(crate) const fn mismatch(&self) -> StructureError {
        let got = match self.value {
            RawValue::Varint(_) => 0,
            RawValue::Fixed64(_) => 1,
            RawValue::Bytes { .. } => 2,
            RawValue::Fixed32 => 5,
        };
        StructureError::WireType { offset: self.offset, field: self.number, got }
    }
}

/// Cursor over a message; `at` counts from the start of the whole batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(rest: &'a [u8], at: usize) -> Self {
        Self { rest, at }
    }

    /// Returns what has not been read.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline(always)]
    fn take(&mut self, len: u64) -> Result<&'a [u8], StructureError> {
        let short = StructureError::Truncated { offset: self.at, needed: len, got: self.rest.len() };
        let len = usize::try_from(len).map_err(|_| short)?;
        let (head, tail) = self.rest.split_at_checked(len).ok_or(short)?;
        self.rest = tail;
        self.at = self.at.saturating_add(len);
        Ok(head)
    }

    /// Reads a varint. Nearly all are one or two bytes long; what is longer or broken is left to a function of its own,
    /// so that this one is small enough to become part of its callers.
    #[inline(always)]
    fn varint(&mut self) -> Result<u64, StructureError> {
        match *self.rest {
            [first @ ..0x80, ref tail @ ..] => {
                self.rest = tail;
                self.at = self.at.saturating_add(1);
                Ok(u64::from(first))
            }
            [first, second @ ..0x80, ref tail @ ..] => {
                self.rest = tail;
                self.at = self.at.saturating_add(2);
                Ok(u64::from(first & 0x7f) | u64::from(second) << 7)
            }
            _ => self.long_varint(),
        }
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, StructureError> {
        let offset = self.at;
        let mut value = 0u64;
        for index in 0..10u32 {
            let Some((&byte, tail)) = self.rest.split_first() else {
                return Err(StructureError::Varint { offset });
            };
            self.rest = tail;
            self.at = self.at.saturating_add(1);
            if index == 9 && byte > 1 {
                return Err(StructureError::Varint { offset });
            }
            value |= u64::from(byte & 0x7f) << index.saturating_mul(7);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(StructureError::Varint { offset })
    }

    /// Reads a bare varint, outside of any field.
    pub(crate) fn number(&mut self) -> Result<u64, StructureError> {
        self.varint()
    }

    /// Returns the next field, or `None` at the end of the message.
    #[inline(always)]
    pub(crate) fn field(&mut self) -> Result<Option<RawField<'a>>, StructureError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let offset = self.at;
        let tag = self.varint()?;
        let number = match u32::try_from(tag >> 3) {
            Ok(number) if number != 0 && number < (1 << 29) => number,
            Ok(_) | Err(_) => return Err(StructureError::FieldNumber { offset }),
        };
        let value = match tag & 7 {
            0 => RawValue::Varint(self.varint()?),
            1 => {
                let bytes = self.take(8)?;
                let mut word = [0u8; 8];
                for (slot, byte) in word.iter_mut().zip(bytes) {
                    *slot = *byte;
                }
                RawValue::Fixed64(u64::from_le_bytes(word))
            }
            2 => {
                let len = self.varint()?;
                RawValue::Bytes { start: self.at, bytes: self.take(len)? }
            }
            5 => {
                self.take(4)?;
                RawValue::Fixed32
            }
            3 | 4 | 6.. => {
                let got = [3, 4, 6, 7].into_iter().find(|&kind| u64::from(kind) == tag & 7).unwrap_or(7u8);
                return Err(StructureError::WireType { offset, field: number, got });
            }
        };
        Ok(Some(RawField { number, offset, value }))
    }
}

/// Reverses the zigzag coding of signed numbers.
pub(crate) const fn unzigzag(value: u64) -> i64 {
    let magnitude = (value >> 1).cast_signed();
    let sign = (value & 1).cast_signed();
    magnitude ^ sign.wrapping_neg()
}

const fn zigzag(value: i64) -> u64 {
    (value.wrapping_shl(1) ^ (value >> 63)).cast_unsigned()
}

/// Where a coder writes to.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full>;

    #[inline]
    fn varint(&mut self, mut value: u64) -> Result<(), Full> {
        let mut buffer = [0u8; 10];
        let mut used = 0usize;
        for slot in &mut buffer {
            used = used.saturating_add(1);
            let low = value.to_le_bytes()[0] & 0x7f;
            value >>= 7;
            if value == 0 {
                *slot = low;
                break;
            }
            *slot = low | 0x80;
        }
        self.put(buffer.get(..used).unwrap_or_default())
    }

    #[inline]
    fn tag(&mut self, number: u32, kind: u8) -> Result<(), Full> {
        self.varint((u64::from(number) << 3) | u64::from(kind))
    }

    /// Writes an unsigned field unless it is 0.
    fn uint(&mut self, number: u32, value: u64) -> Result<(), Full> {
        if value == 0 {
            return Ok(());
        }
        self.tag(number, 0)?;
        self.varint(value)
    }

    /// Writes a zigzag field unless it is 0.
    fn sint(&mut self, number: u32, value: i64) -> Result<(), Full> {
        self.uint(number, zigzag(value))
    }

    /// Writes a member of a oneof, which is there even when it is 0.
    fn present(&mut self, number: u32, value: u64) -> Result<(), Full> {
        self.tag(number, 0)?;
        self.varint(value)
    }

    fn present_sint(&mut self, number: u32, value: i64) -> Result<(), Full> {
        self.present(number, zigzag(value))
    }

    fn bytes(&mut self, number: u32, value: &[u8]) -> Result<(), Full> {
        self.tag(number, 2)?;
        self.varint(u64::try_from(value.len()).unwrap_or(u64::MAX))?;
        self.put(value)
    }
}

/// Sink that only counts.
#[derive(Debug, Default)]
pub(crate) struct Counter(pub(crate) usize);

impl Sink for Counter {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.0 = self.0.saturating_add(bytes.len());
        Ok(())
    }
}

/// Sink into a caller's slice.
#[derive(Debug)]
pub(crate) struct SliceSink<'b> {
    out: &'b mut [u8],
    used: usize,
}

impl<'b> SliceSink<'b> {
    pub(crate) const fn new(out: &'b mut [u8]) -> Self {
        Self { out, used: 0 }
    }

    pub(crate) const fn used(&self) -> usize {
        self.used
    }

    pub(crate) fn rewind(&mut self, used: usize) {
        self.used = self.used.min(used);
    }

    pub(crate) fn into_written(self) -> &'b [u8] {
        self.out.get(..self.used).unwrap_or_default()
    }

    pub(crate) fn written(&self) -> &[u8] {
        self.out.get(..self.used).unwrap_or_default()
    }

    pub(crate) fn remaining(&self) -> usize {
        self.out.len().saturating_sub(self.used)
    }
}

impl Sink for SliceSink<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let needed = self.used.saturating_add(bytes.len());
        let capacity = self.out.len();
        let slot = self.out.get_mut(self.used..needed).ok_or(Full { needed, capacity })?;
        slot.copy_from_slice(bytes);
        self.used = needed;
        Ok(())
    }
}
