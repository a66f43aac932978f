//! Formats that a package describes by their bits: a small interpreter that always ends.
//!
//! Every step reads input, is one of a bounded number, or fails: there are no jumps, no arithmetic beyond
//! `field × times + add`, and no loop that does not move on.

mod bits;
mod spec;

use serde::{Deserialize, Serialize};
pub use spec::LayoutError;

use crate::doc::{Doc, Item, ReadError, ReadLimits, Reader};
use bits::Bits;
use spec::{Field, Length, Shape, Size, Spec, Times, When};

/// Most types inside types.
const DEPTH_MAX: usize = 16;
/// Most numbers that can be referred to at once: 512 fields of a type, sixteen types deep, would be 8,192.
const SCOPE_MAX: usize = 8_192;
/// Most values of one input, all its documents together: sixty-four bytes each are 64 MiB.
const INPUT_VALUES_MAX: usize = 1 << 20;
/// Most bytes of one input that are kept, in documents' largest sizes: `at` lets a layout read the same bytes again for
/// each document.
const INPUT_BYTES_FACTOR: usize = 4;

/// Every reason that an error of a layout has, without the caps that all readers have.
pub(crate) const REASONS: &[&str] = &[
    "layout.depth",
    "layout.mismatch",
    "layout.reference",
    "layout.short",
    "layout.size",
    "layout.standstill",
];

/// Option of a reader that a package describes by its bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayoutSpec {
    /// File with the layout.
    pub file: String,
}

/// A format described by a package; the text is TOML, see the book's chapter on decoders.
#[derive(Debug)]
pub struct Layout {
    spec: Spec,
}

impl Layout {
    /// Reads and checks a layout.
    ///
    /// # Errors
    /// [`LayoutError`].
    pub fn parse(text: &str) -> Result<Self, LayoutError> {
        spec::parse(text).map(|spec| Self { spec })
    }
}

impl Reader for Layout {
    fn read<'a>(&self, bytes: &'a [u8], limits: &ReadLimits) -> Vec<Item<'a>> {
        let mut items = Vec::new();
        let mut rest = bytes;
        let mut run =
            Run { spec: &self.spec, limits, scope: Vec::new(), values: 0, bytes: 0, before: (0, 0) };
        loop {
            if items.len() == limits.documents_max {
                let doc = Err(ReadError::new(
                    "read.too_many",
                    format!("more than {} documents", limits.documents_max),
                ));
                items.push(Item { raw: rest, doc });
                return items;
            }
            run.begin();
            let mut bits = Bits::new(rest);
            let doc = run.read_type(self.spec.root, &mut bits, 0);
            let used = bits.used_bytes();
            match doc {
                Ok(doc) => {
                    // Without `repeat` what follows the root belongs to nothing; with it, a root without bytes would stand
                    // for ever.
                    let (raw, after) = rest.split_at(used.min(rest.len()));
                    let is_last = !self.spec.repeat || after.is_empty() || used == 0;
                    items.push(Item { raw: if is_last { rest } else { raw }, doc: Ok(doc) });
                    if is_last {
                        return items;
                    }
                    rest = after;
                }
                Err(error) => {
                    // Where the next one begins is not known.
                    items.push(Item { raw: rest, doc: Err(error) });
                    return items;
                }
            }
        }
    }
}

struct Run<'a> {
    spec: &'a Spec,
    limits: &'a ReadLimits,
    /// Numbers read so far, with their names; of types that ended they are gone.
    scope: Vec<(&'a str, i64)>,
    values: usize,
    bytes: usize,
    /// Values and bytes of the documents before.
    before: (usize, usize),
}

type Outcome<T> = Result<T, ReadError>;

fn at(field: &Field, reason: &'static str, bits: &Bits<'_>, why: &str) -> ReadError {
    ReadError::new(reason, format!("{} at bit {}: {why}", field.name, bits.position()))
}

impl<'a> Run<'a> {
    fn begin(&mut self) {
        self.before = (self.before.0 + self.values, self.before.1 + self.bytes);
        (self.values, self.bytes) = (0, 0);
        self.scope.clear();
    }

    fn read_type(&mut self, index: usize, bits: &mut Bits<'_>, depth: usize) -> Outcome<Doc> {
        let Some(fields) = self.spec.types.get(index).filter(|_| depth < DEPTH_MAX) else {
            return Err(ReadError::new("layout.depth", format!("more than {DEPTH_MAX} types inside types")));
        };
        let outer = self.scope.len();
        let mut entries = Vec::new();
        for field in fields {
            if let Some(when) = &field.when
                && !self
                    .holds(when)
                    .ok_or_else(|| at(field, "layout.reference", bits, "no such number before it"))?
            {
                continue;
            }
            let before = field.at.as_ref().map(|to| self.jump(field, to, bits)).transpose()?;
            let doc = self.read_field(field, bits, depth)?;
            if let Some(before) = before {
                bits.seek(before);
            }
            if let Some(doc) = doc {
                entries.push((field.name.clone(), doc));
            }
        }
        self.scope.truncate(outer);
        Ok(Doc::Map(entries))
    }

    /// Goes to a place counted in bytes from the type's input and returns where it was.
    fn jump(&self, field: &Field, to: &Size, bits: &mut Bits<'_>) -> Outcome<usize> {
        let to = self.size(field, to, bits)?;
        let before = bits.position();
        if !bits.seek_byte(to) {
            return Err(at(field, "layout.short", bits, "the place is behind the end"));
        }
        Ok(before)
    }

    fn read_field(&mut self, field: &'a Field, bits: &mut Bits<'_>, depth: usize) -> Outcome<Option<Doc>> {
        let count = match &field.times {
            Times::Once => return self.read_sized(field, bits, depth),
            Times::Count(count) => Some(self.size(field, count, bits)?),
            Times::UntilEnd => None,
        };
        let (mut list, mut read) = (Vec::new(), 0);
        while count.is_none_or(|count| read < count) && (count.is_some() || !bits.is_empty()) {
            let before = bits.position();
            // A pad makes nothing, and counts all the same.
            list.extend(self.read_sized(field, bits, depth)?);
            read += 1;
            if count.is_none() && bits.position() == before {
                return Err(at(field, "layout.standstill", bits, "an element without bits, until the end"));
            }
        }
        // Bits that mean nothing have no name, however often they come.
        Ok((!matches!(field.shape, Shape::Pad(_))).then_some(Doc::List(list)))
    }

    /// Reads one element, inside of its own bytes if it has a size.
    fn read_sized(&mut self, field: &'a Field, bits: &mut Bits<'_>, depth: usize) -> Outcome<Option<Doc>> {
        let Some(size) = &field.size else { return self.read_one(field, bits, depth) };
        let size = self.size(field, size, bits)?;
        let mut inner =
            bits.take(size).ok_or_else(|| at(field, "layout.short", bits, "the input ends inside of it"))?;
        self.read_one(field, &mut inner, depth)
    }

    fn read_one(&mut self, field: &'a Field, bits: &mut Bits<'_>, depth: usize) -> Outcome<Option<Doc>> {
        self.values += 1;
        if self.values > self.limits.values_max || self.before.0 + self.values > INPUT_VALUES_MAX {
            return Err(at(field, "read.values", bits, "too many values"));
        }
        let short = |bits: &Bits<'_>| at(field, "layout.short", bits, "the input ends inside of it");
        match &field.shape {
            Shape::Uint(width) => {
                let raw = bits.uint(*width, field.endian).ok_or_else(|| short(bits))?;
                self.number(field, i64::try_from(raw).ok(), raw_float(raw), bits).map(Some)
            }
            Shape::Int(width) => {
                let raw = bits.int(*width, field.endian).ok_or_else(|| short(bits))?;
                #[expect(clippy::cast_precision_loss, reason = "used only where a factor makes it physical")]
                self.number(field, Some(raw), raw as f64, bits).map(Some)
            }
            Shape::Float(width) => {
                let raw = bits.uint(*width, field.endian).ok_or_else(|| short(bits))?;
                let value = if *width == 32 {
                    f64::from(f32::from_bits(u32::try_from(raw).unwrap_or(0)))
                } else {
                    f64::from_bits(raw)
                };
                let (scale, offset) = field.linear.unwrap_or((1.0, 0.0));
                let value = value.mul_add(scale, offset);
                // Infinite and not a number are values of the wire, and no values of a field.
                Ok(Some(if value.is_finite() { Doc::Float(value) } else { Doc::Null }))
            }
            Shape::Bool => {
                let raw = bits.uint(1, field.endian).ok_or_else(|| short(bits))?;
                self.note(&field.name, i64::from(raw == 1));
                Ok(Some(Doc::Bool(raw == 1)))
            }
            Shape::Pad(size) => {
                let size = self.size(field, size, bits)?;
                bits.skip(size).ok_or_else(|| short(bits))?;
                Ok(None)
            }
            Shape::Text(length) => {
                let bytes = self.bytes(field, length, bits)?;
                let text = String::from_utf8_lossy(&bytes);
                Ok(Some(Doc::Text(text.trim_end_matches('\0').to_owned())))
            }
            Shape::Bytes(length) => self.bytes(field, length, bits).map(|bytes| Some(Doc::Bytes(bytes))),
            Shape::Type(index) => self.read_type(*index, bits, depth + 1).map(Some),
            Shape::Switch { on, cases, default } => {
                let value = self.lookup(on);
                let value =
                    value.ok_or_else(|| at(field, "layout.reference", bits, "no such number before it"))?;
                match cases.get(&value).or(default.as_ref()) {
                    Some(index) => self.read_type(*index, bits, depth + 1).map(Some),
                    // An unknown kind is kept as it is.
                    None => self.bytes(field, &Length::Rest, bits).map(|bytes| Some(Doc::Bytes(bytes))),
                }
            }
        }
    }

    fn number(&mut self, field: &'a Field, raw: Option<i64>, physical: f64, bits: &Bits<'_>) -> Outcome<Doc> {
        if let Some(expected) = field.equals
            && raw != Some(expected)
        {
            return Err(at(field, "layout.mismatch", bits, "not the number that stands in the layout"));
        }
        if let Some(raw) = raw {
            self.note(&field.name, raw);
        }
        if let Some(literal) = raw.and_then(|raw| field.values.get(&raw)) {
            return Ok(Doc::from(literal));
        }
        Ok(match (field.linear, raw) {
            (Some((scale, offset)), _) => {
                let value = physical.mul_add(scale, offset);
                if value.is_finite() { Doc::Float(value) } else { Doc::Null }
            }
            (None, Some(raw)) => Doc::Int(raw),
            (None, None) => Doc::Float(physical),
        })
    }

    fn bytes(&mut self, field: &Field, length: &Length, bits: &mut Bits<'_>) -> Outcome<Vec<u8>> {
        let short = |bits: &Bits<'_>| at(field, "layout.short", bits, "the input ends inside of it");
        let bytes = match length {
            Length::Size(size) => {
                let size = self.size(field, size, bits)?;
                bits.bytes(size).ok_or_else(|| short(bits))?
            }
            Length::Rest => bits.rest(),
            Length::Zero => bits.until_zero().ok_or_else(|| short(bits))?,
        };
        self.bytes += bytes.len();
        let all_max = self.limits.bytes_max.saturating_mul(INPUT_BYTES_FACTOR);
        if self.bytes > self.limits.bytes_max || self.before.1 + self.bytes > all_max {
            return Err(at(field, "read.bytes", bits, "too many bytes"));
        }
        Ok(bytes)
    }

    fn note(&mut self, name: &'a str, value: i64) {
        if self.scope.len() < SCOPE_MAX {
            self.scope.push((name, value));
        }
    }

    fn lookup(&self, name: &str) -> Option<i64> {
        self.scope.iter().rev().find(|(have, _)| *have == name).map(|(_, value)| *value)
    }

    fn holds(&self, when: &When) -> Option<bool> {
        let value = self.lookup(&when.field)? & when.mask;
        Some(match (when.equals, when.not) {
            (None, None) => value != 0,
            (equals, not) => equals.is_none_or(|equals| value == equals) && not != Some(value),
        })
    }

    fn size(&self, field: &Field, size: &Size, bits: &Bits<'_>) -> Outcome<usize> {
        match size {
            Size::Fixed(size) => Ok(*size as usize),
            Size::From { field: from, times, add } => {
                let value = self.lookup(from);
                let value =
                    value.ok_or_else(|| at(field, "layout.reference", bits, "no such number before it"))?;
                let size = value.checked_mul(*times).and_then(|value| value.checked_add(*add));
                size.and_then(|size| usize::try_from(size).ok())
                    .ok_or_else(|| at(field, "layout.size", bits, "the size is below zero or too large"))
            }
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "used where a factor makes it physical, or for what i64 cannot hold"
)]
fn raw_float(raw: u64) -> f64 {
    raw as f64
}

#[cfg(test)]
mod tests;
