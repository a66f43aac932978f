//! One argument of a verbose message.

use super::fibex::Coding;
use super::{Cursor, without_nul};
use crate::read::budget::{Budget, Fields};
use crate::{Doc, ReadError};

const BOOL: u32 = 1 << 4;
const SINT: u32 = 1 << 5;
const UINT: u32 = 1 << 6;
const FLOA: u32 = 1 << 7;
const ARAY: u32 = 1 << 8;
const STRG: u32 = 1 << 9;
const RAWD: u32 = 1 << 10;
const VARI: u32 = 1 << 11;
const FIXP: u32 = 1 << 12;
const TRAI: u32 = 1 << 13;
const STRU: u32 = 1 << 14;
/// The bits that say which type it is; exactly one is set.
const TYPES: u32 = BOOL | SINT | UINT | FLOA | ARAY | STRG | RAWD | TRAI | STRU;

/// An argument as it stands.
pub(super) struct Argument<'a> {
    kind: &'static str,
    name: Option<&'a [u8]>,
    unit: Option<&'a [u8]>,
    scale: Option<Scale>,
    value: Plain<'a>,
}

/// Fixed point: value = raw × quantisation + offset.
#[derive(Clone, Copy)]
struct Scale {
    quantisation: f32,
    offset: i128,
}

enum Plain<'a> {
    Truth(bool),
    Int(i128),
    Unsigned(u128),
    Float(f64),
    Text(&'a [u8]),
    Raw(&'a [u8]),
}

/// Reads numbers in the byte order of the payload.
struct Order<'c, 'a> {
    cursor: &'c mut Cursor<'a>,
    is_big: bool,
}

impl<'a> Order<'_, 'a> {
    /// Reads 1, 2, 4, 8 or 16 bytes as an integer without sign.
    fn unsigned(&mut self, bytes: usize) -> Option<u128> {
        let taken = self.cursor.take(bytes)?;
        let mut wide = [0; 16];
        if self.is_big {
            wide.get_mut(16usize.checked_sub(bytes)?..)?.copy_from_slice(taken);
            Some(u128::from_be_bytes(wide))
        } else {
            wide.get_mut(..bytes)?.copy_from_slice(taken);
            Some(u128::from_le_bytes(wide))
        }
    }

    /// Reads an integer with sign.
    fn signed(&mut self, bytes: usize) -> Option<i128> {
        let unsigned = self.unsigned(bytes)?;
        let unused = 128u32.checked_sub(u32::try_from(bytes).ok()?.checked_mul(8)?)?;
        // Up to the top and back again, with the sign.
        Some(unsigned.checked_shl(unused)?.cast_signed() >> unused)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.unsigned(2)?).ok()
    }

    fn text(&mut self, length: usize) -> Option<&'a [u8]> {
        self.cursor.take(length).map(without_nul)
    }
}

/// Cuts the argument that begins here; `None` if it is cut, reserved, an array or a structure, which no logger that we
/// know of writes.
pub(super) fn cut<'a>(cursor: &mut Cursor<'a>, is_big: bool) -> Option<Argument<'a>> {
    let mut order = Order { cursor, is_big };
    let info = u32::try_from(order.unsigned(4)?).ok()?;
    let has_name = info & VARI != 0;
    let mut argument = Argument { kind: "", name: None, unit: None, scale: None, value: Plain::Truth(false) };
    let size = match info & 0xF {
        1 => 1,
        2 => 2,
        3 => 4,
        4 => 8,
        5 => 16,
        _ => 0,
    };
    match info & TYPES {
        BOOL => {
            argument.kind = "bool";
            if has_name {
                let length = order.length()?;
                argument.name = Some(order.text(length)?);
            }
            // A boolean has 8 bits; some loggers leave the length out.
            argument.value = Plain::Truth(order.unsigned(size.max(1))? != 0);
        }
        kind @ (SINT | UINT | FLOA) => {
            if size == 0 {
                return None;
            }
            if has_name {
                let (name, unit) = (order.length()?, order.length()?);
                argument.name = Some(order.text(name)?);
                argument.unit = Some(order.text(unit)?);
            }
            if info & FIXP != 0 && kind != FLOA {
                let quantisation = f32::from_bits(u32::try_from(order.unsigned(4)?).ok()?);
                let offset = order.signed(size.max(4))?;
                argument.scale = Some(Scale { quantisation, offset });
            }
            (argument.kind, argument.value) = number(&mut order, kind, size)?;
        }
        kind @ (STRG | RAWD | TRAI) => {
            let length = order.length()?;
            if has_name {
                let length = order.length()?;
                argument.name = Some(order.text(length)?);
            }
            (argument.kind, argument.value) = if kind == RAWD {
                ("raw", Plain::Raw(order.cursor.take(length)?))
            } else {
                (if kind == STRG { "string" } else { "trace" }, Plain::Text(order.text(length)?))
            };
        }
        _ => return None,
    }
    Some(argument)
}

/// Cuts a value whose type a description says; `None` if it is cut.
pub(super) fn described<'a: 'n, 'n>(
    cursor: &mut Cursor<'a>,
    is_big: bool,
    coding: Coding,
    name: Option<&'n str>,
) -> Option<Argument<'n>> {
    let mut order = Order { cursor, is_big };
    let (kind, value) = match coding {
        Coding::Truth => ("bool", Plain::Truth(order.unsigned(1)? != 0)),
        Coding::Signed(size) => number(&mut order, SINT, size)?,
        Coding::Unsigned(size) => number(&mut order, UINT, size)?,
        Coding::Float(size) => number(&mut order, FLOA, size)?,
        Coding::Text => {
            let length = order.length()?;
            ("string", Plain::Text(order.text(length)?))
        }
        Coding::Raw => {
            let length = order.length()?;
            ("raw", Plain::Raw(order.cursor.take(length)?))
        }
    };
    Some(Argument { kind, name: name.map(str::as_bytes), unit: None, scale: None, value })
}

/// Returns a constant text of a description.
pub(super) const fn constant(text: &str) -> Argument<'_> {
    Argument { kind: "text", name: None, unit: None, scale: None, value: Plain::Text(text.as_bytes()) }
}

fn number<'a>(order: &mut Order<'_, 'a>, kind: u32, size: usize) -> Option<(&'static str, Plain<'a>)> {
    const SIGNED: [&str; 5] = ["int8", "int16", "int32", "int64", "int128"];
    const UNSIGNED: [&str; 5] = ["uint8", "uint16", "uint32", "uint64", "uint128"];
    let place = usize::try_from(size.trailing_zeros()).ok()?;
    Some(match kind {
        SINT => (SIGNED.get(place)?, Plain::Int(order.signed(size)?)),
        UINT => (UNSIGNED.get(place)?, Plain::Unsigned(order.unsigned(size)?)),
        _ => match size {
            4 => {
                let value = f32::from_bits(u32::try_from(order.unsigned(4)?).ok()?);
                ("float32", Plain::Float(f64::from(value)))
            }
            8 => ("float64", Plain::Float(f64::from_bits(u64::try_from(order.unsigned(8)?).ok()?))),
            _ => return None,
        },
    })
}

impl Argument<'_> {
    pub(super) fn into_doc(self, budget: &mut Budget, outer: usize) -> Result<Doc, ReadError> {
        let mut doc = Fields::begin(budget, outer)?;
        doc.text(budget, "type", self.kind)?;
        for (key, text) in [("name", self.name), ("unit", self.unit)] {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                let text = budget.text_or_bytes(text)?;
                doc.put(budget, key, text)?;
            }
        }
        let value = match self.value {
            Plain::Truth(value) => budget.truth(value)?,
            Plain::Int(value) => budget.int(value)?,
            Plain::Unsigned(value) => match i128::try_from(value) {
                Ok(value) => budget.int(value)?,
                Err(_) => budget.text(&value.to_string())?,
            },
            Plain::Float(value) => budget.float(value)?,
            Plain::Text(text) => budget.text_or_bytes(text)?,
            Plain::Raw(bytes) => budget.blob(bytes)?,
        };
        let physical = match (self.scale, &value) {
            (Some(scale), Doc::Int(raw)) => {
                #[expect(clippy::cast_precision_loss, reason = "a physical value is a floating point number")]
                let physical = *raw as f64 * f64::from(scale.quantisation) + scale.offset as f64;
                Some(budget.float(physical)?)
            }
            (Some(_) | None, _) => None,
        };
        match physical {
            Some(physical) => {
                doc.put(budget, "value", physical)?;
                doc.put(budget, "raw", value)?;
            }
            None => doc.put(budget, "value", value)?,
        }
        Ok(doc.end())
    }
}
