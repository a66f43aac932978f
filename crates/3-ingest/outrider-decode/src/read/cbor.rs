//! CBOR (RFC 8949), one item or a sequence of them (RFC 8742).
//!
//! A document is a map or a list. Keys are texts: an integer becomes its decimal digits, bytes their hexadecimal ones.
//! Tags are passed over and their value is kept, a time (tags 0 and 1) like any other; a bignum (tags 2 and 3) of at most
//! 32 bytes becomes an integer or the text of its digits. `undefined` is null; an unknown simple value n is the text
//! `simple(n)`. Item heads are read by `ciborium-ll`, which knows no recursion and takes no memory.

use ciborium_ll::{Decoder, Header};
use serde::{Deserialize, Serialize};

use super::budget::{Budget, Items, unique};
use crate::{Doc, Item, ReadError, ReadLimits, Reader};

/// Own reasons of this reader.
pub(super) const REASONS: &[&str] = &[
    "cbor.syntax",
    "cbor.end",
    "cbor.utf8",
    "cbor.key",
    "cbor.break",
    "cbor.not_object",
    "cbor.trailing",
    "cbor.duplicate_key",
];

/// Longest bignum that becomes digits, which takes time by the square of its length: 256 bits, as long as a hash. A
/// longer one stays bytes.
const BIGNUM_BYTES_MAX: usize = 32;

/// Options of the CBOR reader.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CborSpec {
    /// How items follow each other.
    pub framing: CborFraming,
}

/// How CBOR items follow each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CborFraming {
    /// One behind the other (RFC 8742). Behind a bad one nothing can be told.
    #[default]
    Sequence,
    /// One item and nothing behind it.
    Single,
}

impl Reader for CborSpec {
    fn read<'a>(&self, bytes: &'a [u8], limits: &ReadLimits) -> Vec<Item<'a>> {
        let mut items = Items::new(limits);
        let mut at = 0;
        while at < bytes.len() && !items.is_full(&bytes[at..]) {
            let start = at;
            let mut walk = Walk { bytes, at, budget: Budget::new(limits), repeated: 0, is_bignum: None };
            match walk.item() {
                Err(error) => {
                    items.push(&bytes[start..], Err(error));
                    break;
                }
                Ok(doc) => {
                    at = walk.at;
                    if self.framing == CborFraming::Single && at < bytes.len() {
                        let error = ReadError::new("cbor.trailing", format!("byte {at}"));
                        items.push(&bytes[start..], Err(error));
                        break;
                    }
                    add(&bytes[start..at], start, doc, walk.repeated, &mut items);
                }
            }
        }
        items.into_items()
    }
}

fn add<'a>(raw: &'a [u8], start: usize, doc: Doc, repeated: usize, items: &mut Items<'a>) {
    let number = items.next();
    if !matches!(doc, Doc::Map(_) | Doc::List(_)) {
        items.push(raw, Err(ReadError::new("cbor.not_object", format!("byte {start}"))));
        return;
    }
    items.push(raw, Ok(doc));
    if repeated > 0 {
        let place = format!("{repeated} repeated keys in document {number}; the first of each counts");
        items.note(ReadError::new("cbor.duplicate_key", place));
    }
}

/// A container that is not complete; `left` is what is still to come, `None` up to a break.
enum Open {
    List { values: Vec<Doc>, left: Option<usize> },
    Map { entries: Vec<(String, Doc)>, key: Option<String>, left: Option<usize> },
}

impl Open {
    /// Adds a value; returns true if nothing more is to come.
    fn add(&mut self, value: Doc) -> bool {
        let left = match self {
            Self::List { values, left } => {
                values.push(value);
                left
            }
            Self::Map { entries, key, left } => {
                entries.push((key.take().unwrap_or_default(), value));
                left
            }
        };
        *left = left.map(|left| left.saturating_sub(1));
        *left == Some(0)
    }
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    budget: Budget,
    repeated: usize,
    /// Whether the last head was the tag of a bignum, and of a negative one.
    is_bignum: Option<bool>,
}

impl<'a> Walk<'a> {
    fn error(&self, reason: &'static str) -> ReadError {
        ReadError::new(reason, format!("byte {}", self.at))
    }

    fn head(&mut self) -> Result<Header, ReadError> {
        let mut decoder = Decoder::from(self.bytes.get(self.at..).unwrap_or_default());
        match decoder.pull() {
            Ok(header) => {
                self.at += decoder.offset();
                Ok(header)
            }
            Err(ciborium_ll::Error::Io(_)) => Err(self.error("cbor.end")),
            Err(ciborium_ll::Error::Syntax(_)) => Err(self.error("cbor.syntax")),
        }
    }

    /// Reads an item with all that is in it.
    fn item(&mut self) -> Result<Doc, ReadError> {
        let mut stack: Vec<Open> = Vec::new();
        loop {
            let header = self.head()?;
            if let Header::Tag(tag) = header {
                self.is_bignum = match tag {
                    2 => Some(false),
                    3 => Some(true),
                    _ => None,
                };
                continue;
            }
            let is_bignum = self.is_bignum.take();
            if let Some(Open::Map { key: key @ None, .. }) = stack.last_mut()
                && header != Header::Break
            {
                *key = Some(self.key(header)?);
                continue;
            }
            let mut value = match header {
                Header::Array(left) => {
                    self.open(&stack)?;
                    stack.push(Open::List { values: Vec::new(), left });
                    if left != Some(0) {
                        continue;
                    }
                    self.close(stack.pop())?
                }
                Header::Map(left) => {
                    self.open(&stack)?;
                    stack.push(Open::Map { entries: Vec::new(), key: None, left });
                    if left != Some(0) {
                        continue;
                    }
                    self.close(stack.pop())?
                }
                Header::Break => match stack.pop() {
                    Some(
                        open @ (Open::List { left: None, .. } | Open::Map { left: None, key: None, .. }),
                    ) => self.close(Some(open))?,
                    Some(_) | None => return Err(self.error("cbor.break")),
                },
                Header::Positive(_)
                | Header::Negative(_)
                | Header::Float(_)
                | Header::Simple(_)
                | Header::Tag(_)
                | Header::Bytes(_)
                | Header::Text(_) => self.scalar(header, is_bignum)?,
            };
            loop {
                match stack.last_mut() {
                    None => return Ok(value),
                    Some(open) => {
                        if !open.add(value) {
                            break;
                        }
                        value = self.close(stack.pop())?;
                    }
                }
            }
        }
    }

    fn open(&mut self, stack: &[Open]) -> Result<(), ReadError> {
        self.budget.depth(stack.len())?;
        self.budget.value()
    }

    fn close(&mut self, open: Option<Open>) -> Result<Doc, ReadError> {
        match open {
            Some(Open::List { values, .. }) => Ok(Doc::List(values)),
            Some(Open::Map { entries, .. }) => {
                let (entries, repeated) = unique(entries);
                self.repeated += repeated;
                Ok(Doc::Map(entries))
            }
            None => Err(self.error("cbor.break")),
        }
    }

    fn scalar(&mut self, header: Header, is_bignum: Option<bool>) -> Result<Doc, ReadError> {
        match header {
            Header::Positive(value) => self.budget.int(value),
            Header::Negative(value) => self.budget.int(-1 - i128::from(value)),
            Header::Float(value) => self.budget.float(value),
            Header::Simple(20) => self.budget.truth(false),
            Header::Simple(21) => self.budget.truth(true),
            Header::Simple(22 | 23) => {
                self.budget.value()?;
                Ok(Doc::Null)
            }
            Header::Simple(number) => self.budget.text(&format!("simple({number})")),
            Header::Bytes(length) => {
                let bytes = self.string(length, false)?;
                match is_bignum {
                    Some(is_negative) if bytes.len() <= BIGNUM_BYTES_MAX => self.bignum(&bytes, is_negative),
                    Some(_) | None => {
                        self.budget.value()?;
                        Ok(Doc::Bytes(bytes))
                    }
                }
            }
            Header::Text(length) => {
                let text = self.text(length)?;
                self.budget.value()?;
                Ok(Doc::Text(text))
            }
            Header::Tag(_) | Header::Break | Header::Array(_) | Header::Map(_) => {
                Err(self.error("cbor.syntax"))
            }
        }
    }

    fn key(&mut self, header: Header) -> Result<String, ReadError> {
        let key = match header {
            Header::Text(length) => return self.text(length),
            Header::Positive(value) => value.to_string(),
            Header::Negative(value) => (-1 - i128::from(value)).to_string(),
            Header::Bytes(length) => {
                self.string(length, false)?.iter().map(|byte| format!("{byte:02x}")).collect()
            }
            Header::Float(_)
            | Header::Simple(_)
            | Header::Tag(_)
            | Header::Break
            | Header::Array(_)
            | Header::Map(_) => return Err(self.error("cbor.key")),
        };
        self.budget.bytes(key.len())?;
        Ok(key)
    }

    fn text(&mut self, length: Option<usize>) -> Result<String, ReadError> {
        let place = self.at;
        String::from_utf8(self.string(length, true)?)
            .map_err(|_| ReadError::new("cbor.utf8", format!("text at byte {place}")))
    }

    /// Reads the bytes of a string, in one piece or several up to a break; asks the budget before it takes memory.
    fn string(&mut self, length: Option<usize>, is_text: bool) -> Result<Vec<u8>, ReadError> {
        if let Some(length) = length {
            return self.piece(length).map(<[u8]>::to_vec);
        }
        let mut whole = Vec::new();
        loop {
            match self.head()? {
                Header::Break => return Ok(whole),
                Header::Text(Some(length)) if is_text => whole.extend_from_slice(self.piece(length)?),
                Header::Bytes(Some(length)) if !is_text => whole.extend_from_slice(self.piece(length)?),
                Header::Text(_)
                | Header::Bytes(_)
                | Header::Positive(_)
                | Header::Negative(_)
                | Header::Float(_)
                | Header::Simple(_)
                | Header::Tag(_)
                | Header::Array(_)
                | Header::Map(_) => return Err(self.error("cbor.syntax")),
            }
        }
    }

    fn piece(&mut self, length: usize) -> Result<&'a [u8], ReadError> {
        let end = self.at.checked_add(length);
        let piece = end.and_then(|end| self.bytes.get(self.at..end)).ok_or_else(|| self.error("cbor.end"))?;
        self.budget.bytes(length)?;
        self.at += length;
        Ok(piece)
    }

    /// Makes digits of a bignum: its value, or -1 minus it (clause 3.4.3).
    fn bignum(&mut self, bytes: &[u8], is_negative: bool) -> Result<Doc, ReadError> {
        // Decimal digits, lowest first; all that fits 256 bits has 78 at most.
        let mut digits: Vec<u8> = vec![0];
        for &byte in bytes {
            let mut carry = u32::from(byte);
            for digit in &mut digits {
                let sum = u32::from(*digit) * 256 + carry;
                *digit = u8::try_from(sum % 10).unwrap_or(0);
                carry = sum / 10;
            }
            while carry > 0 {
                digits.push(u8::try_from(carry % 10).unwrap_or(0));
                carry /= 10;
            }
        }
        if is_negative {
            let end = digits.iter().position(|&digit| digit < 9).unwrap_or(digits.len());
            digits[..end].fill(0);
            match digits.get_mut(end) {
                Some(digit) => *digit += 1,
                None => digits.push(1),
            }
        }
        let mut text = String::from(if is_negative { "-" } else { "" });
        text.extend(digits.iter().rev().map(|digit| char::from(b'0' + digit)));
        match text.parse::<i64>() {
            Ok(value) => self.budget.int(value),
            Err(_) => self.budget.text(&text),
        }
    }
}
