//! One line, read without building a document.

use std::borrow::Cow;

use super::scan::{self, Number, StringEnd};
use super::shape::{Cursor, Fate, NodeId, Shape};
use crate::doc::ReadLimits;
use crate::map::{EXTENSIONS_MAX, EventRef, Path, Scalar, Source, TEXT_BYTES_MAX, cut_short, join};

/// A value as it was read, in two numbers, so that it is copied in registers: its kind, where its text begins and ends, and
/// the value of a number.
#[derive(Debug, Clone, Copy)]
struct Token {
    head: u64,
    value: u64,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    False,
    True,
    /// Its text are its digits.
    Int,
    Float,
    /// Text as it stands in the line.
    Text,
    /// Text whose escapes were replaced; its places are in [`Line::unescaped`].
    Unescaped,
}

/// Bits of a place in a line.
const PLACE_BITS: u32 = 28;
/// Longest line whose places fit.
const LINE_BYTES_MAX: usize = 1 << PLACE_BITS;

impl Token {
    const NULL: Self = Self::new(Kind::Null, 0, 0);

    /// Both places are at most [`LINE_BYTES_MAX`].
    const fn new(kind: Kind, start: usize, end: usize) -> Self {
        Self { head: (kind as u64) << (2 * PLACE_BITS) | (start as u64) << PLACE_BITS | end as u64, value: 0 }
    }

    const fn kind(self) -> Kind {
        match self.head >> (2 * PLACE_BITS) {
            1 => Kind::False,
            2 => Kind::True,
            3 => Kind::Int,
            4 => Kind::Float,
            5 => Kind::Text,
            6 => Kind::Unescaped,
            _ => Kind::Null,
        }
    }

    const fn range(self) -> std::ops::Range<usize> {
        const MASK: u64 = (1 << PLACE_BITS) - 1;
        (self.head >> PLACE_BITS & MASK) as usize..(self.head & MASK) as usize
    }

    /// Returns whether it is null or an empty text.
    fn is_empty(self) -> bool {
        match self.kind() {
            Kind::Null => true,
            Kind::Text | Kind::Unescaped => self.range().is_empty(),
            Kind::False | Kind::True | Kind::Int | Kind::Float => false,
        }
    }
}

/// What a mapping needs of one line; reused from line to line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    limits: ReadLimits,
    line: &'a str,
    /// By the numbers of the table's paths; those of earlier lines stay until they are overwritten.
    slots: Vec<Token>,
    /// Which of them this line has, null and empty texts left out: one bit each.
    filled: Vec<u64>,
    /// What may stay a foreign field, in the order of the line.
    rest: Vec<(NodeId, Fate, Token)>,
    unescaped: String,
    /// Words of several paths in a row.
    joined: Option<String>,
    /// Bytes of the longest text that may stay a foreign field.
    longest: usize,
    stack: Vec<Frame>,
    values: usize,
}

/// A map or list that is not closed yet.
#[derive(Debug, Clone, Copy)]
struct Frame {
    cursor: Cursor,
    is_map: bool,
}

impl Source for Line<'_> {
    fn find(&self, path: &Path) -> Option<Scalar<'_>> {
        self.token(path).map(|token| self.scalar(token))
    }

    fn word(&self, path: &Path) -> Option<Cow<'_, str>> {
        self.token(path).and_then(|token| self.text(token))
    }

    fn joined(&self, _: &[Path]) -> Option<Cow<'_, str>> {
        self.joined.as_deref().map(Cow::Borrowed)
    }

    fn next_filled(&self, from: usize) -> Option<usize> {
        let mut place = from / 64;
        let mut word = self.filled.get(place)? & (u64::MAX << (from % 64));
        while word == 0 {
            place += 1;
            word = *self.filled.get(place)?;
        }
        Some(place * 64 + word.trailing_zeros() as usize)
    }
}

impl<'a> Line<'a> {
    pub(super) fn new(paths: usize, limits: ReadLimits) -> Self {
        Self {
            limits,
            line: "",
            slots: vec![Token::NULL; paths],
            filled: vec![0; paths.div_ceil(64)],
            rest: Vec::new(),
            unescaped: String::new(),
            joined: None,
            longest: 0,
            stack: Vec::new(),
            values: 0,
        }
    }

    /// Joins the words of some paths, which the source then has as one.
    pub(super) fn join(&mut self, paths: &[Path]) {
        let mut joined = self.joined.take().unwrap_or_default();
        joined.clear();
        let is_whole = join(paths, &mut joined, |path| self.word(path)).is_some();
        self.joined = is_whole.then_some(joined);
    }

    /// Returns the bytes of the longest text that may stay a foreign field.
    pub(super) const fn longest(&self) -> usize {
        self.longest
    }

    fn token(&self, path: &Path) -> Option<Token> {
        let slot = path.slot();
        let is_filled = self.filled.get(slot / 64).is_some_and(|word| word >> (slot % 64) & 1 == 1);
        if is_filled { self.slots.get(slot).copied() } else { None }
    }

    /// Returns the text of a value, as [`Scalar::word`] does.
    fn text(&self, token: Token) -> Option<Cow<'_, str>> {
        if token.kind() == Kind::Int {
            let digits = self.line.get(token.range()).unwrap_or_default();
            // What the standard allows as digits is what a number is printed as, but for this one.
            return Some(Cow::Borrowed(if digits == "-0" { "0" } else { digits }));
        }
        self.scalar(token).word()
    }

    fn scalar(&self, token: Token) -> Scalar<'_> {
        match token.kind() {
            Kind::Null => Scalar::Null,
            Kind::False => Scalar::Bool(false),
            Kind::True => Scalar::Bool(true),
            Kind::Int => Scalar::Int(token.value.cast_signed()),
            Kind::Float => Scalar::Float(f64::from_bits(token.value)),
            Kind::Text => Scalar::Text(self.line.get(token.range()).unwrap_or_default()),
            Kind::Unescaped => Scalar::Text(self.unescaped.get(token.range()).unwrap_or_default()),
        }
    }

    /// Returns the foreign fields of an event made of this line, with the numbers of their members. `is_all` says that every
    /// value that a field of the table was to take was taken.
    pub(super) fn extensions<'s>(
        &'s self,
        shape: &'s Shape<'_>,
        event: &'s EventRef<'_>,
        is_all: bool,
    ) -> impl Iterator<Item = (NodeId, &'s str, Cow<'s, str>)> {
        let is_given = |key| event.fields.iter().any(|(have, _)| *have == key);
        self.rest.iter().filter_map(move |(node, fate, token)| {
            let is_kept = match fate {
                Fate::Kept => true,
                Fate::Dropped => false,
                Fate::Own if is_all => false,
                Fate::Own | Fate::Asked => shape.is_kept(*node, is_given),
            };
            if !is_kept {
                return None;
            }
            let text = self.text(*token).filter(|text| !text.is_empty())?;
            Some((*node, shape.extension(*node), cut_short(text, TEXT_BYTES_MAX)))
        })
    }

    /// Returns how many of the first `count` paths of the table the line has a value for.
    pub(super) fn filled(&self, count: usize) -> usize {
        let words = self.filled.iter().enumerate().map(|(place, word)| {
            let bits = count.saturating_sub(place * 64);
            if bits >= 64 { *word } else { word & !(u64::MAX << bits) }
        });
        words.map(|word| word.count_ones() as usize).sum()
    }

    /// Reads a line. `None` if it is no object, has anything that is rare, or goes beyond a bound: such a line is read the
    /// other way, which says what is wrong with it.
    pub(super) fn read(&mut self, text: &'a str, shape: &mut Shape<'_>) -> Option<()> {
        // Texts and keys together are shorter than the line.
        if text.len() > self.limits.bytes_max.min(LINE_BYTES_MAX) || self.limits.depth_max == 0 {
            return None;
        }
        shape.begin();
        self.line = text;
        self.filled.fill(0);
        self.rest.clear();
        self.unescaped.clear();
        self.longest = 0;
        self.stack.clear();
        self.values = 1;
        let bytes = text.as_bytes();
        let mut at = scan::skip_blanks(bytes, 0);
        if bytes.get(at) != Some(&b'{') {
            return None;
        }
        self.stack.push(Frame { cursor: Cursor::new(NodeId::ROOT), is_map: true });
        at = scan::skip_blanks(bytes, at + 1);
        if bytes.get(at) != Some(&b'}') {
            loop {
                at = self.member(text, at, shape)?;
                // Up through every container that ends here.
                loop {
                    at = scan::skip_blanks(bytes, at);
                    match (bytes.get(at)?, self.stack.last()?.is_map) {
                        (b',', _) => break,
                        (b'}', true) | (b']', false) => self.stack.pop()?,
                        _ => return None,
                    };
                    at += 1;
                    if self.stack.is_empty() {
                        return self.end(bytes, at);
                    }
                }
                at += 1;
            }
        }
        self.end(bytes, at + 1)
    }

    /// Checks that nothing follows the document, and that it kept to its bounds.
    fn end(&self, bytes: &[u8], at: usize) -> Option<()> {
        let is_end = scan::skip_blanks(bytes, at) == bytes.len();
        (is_end && self.values <= self.limits.values_max && self.rest.len() <= EXTENSIONS_MAX).then_some(())
    }

    /// Reads a member of the innermost container: its value, or the beginning of a container that is not empty, and what
    /// is its first member in turn.
    fn member(&mut self, text: &'a str, mut at: usize, shape: &mut Shape<'_>) -> Option<usize> {
        let bytes = text.as_bytes();
        loop {
            let frame = self.stack.last_mut()?;
            let node;
            (node, at) = if frame.is_map {
                key(text, at, &mut frame.cursor, shape)?
            } else {
                (shape.place(&mut frame.cursor)?, at)
            };
            at = scan::skip_blanks(bytes, at);
            self.values += 1;
            let (open, close) = match bytes.get(at)? {
                b'{' => (true, b'}'),
                b'[' => (false, b']'),
                _ => return self.value(text, at, node, shape),
            };
            let of = shape.node(node);
            // A path that ends here, or a field that might take it, is not common enough to be followed.
            let is_rare = of.slot != u32::MAX || matches!(of.fate, Fate::Own | Fate::Asked);
            if is_rare || self.stack.len() >= self.limits.depth_max {
                return None;
            }
            at = scan::skip_blanks(bytes, at + 1);
            if bytes.get(at) == Some(&close) {
                return Some(at + 1);
            }
            self.stack.push(Frame { cursor: Cursor::new(node), is_map: open });
        }
    }

    /// Reads a value that holds no other, and returns the place behind it.
    fn value(&mut self, text: &'a str, at: usize, node: NodeId, shape: &Shape<'_>) -> Option<usize> {
        let bytes = text.as_bytes();
        let of = shape.node(node);
        let (kind, start, close, end, value) = match bytes.get(at)? {
            b'"' => match scan::string_end(bytes, at + 1)? {
                StringEnd::Plain(close) => (Kind::Text, at + 1, close, close + 1, 0),
                StringEnd::Escaped(close) => {
                    let plain: String = serde_json::from_str(text.get(at..=close)?).ok()?;
                    let start = self.unescaped.len();
                    self.unescaped.push_str(&plain);
                    (Kind::Unescaped, start, self.unescaped.len(), close + 1, 0)
                }
            },
            b'-' | b'0'..=b'9' if !of.is_read() => return scan::number_end(text, at),
            b'-' | b'0'..=b'9' => match scan::number(text, at)? {
                (Number::Int(value), end) => (Kind::Int, at, end, end, value.cast_unsigned()),
                (Number::Float(value), end) => (Kind::Float, at, end, end, value.to_bits()),
            },
            b't' if bytes.get(at..)?.starts_with(b"true") => (Kind::True, at, at, at + 4, 0),
            b'f' if bytes.get(at..)?.starts_with(b"false") => (Kind::False, at, at, at + 5, 0),
            b'n' if bytes.get(at..)?.starts_with(b"null") => (Kind::Null, at, at, at + 4, 0),
            _ => return None,
        };
        let token = Token { value, ..Token::new(kind, start, close) };
        if of.slot != u32::MAX && !token.is_empty() {
            self.fill(of.slot, token)?;
            if of.has_more {
                shape.slots(node).iter().try_for_each(|slot| self.fill(*slot, token))?;
            }
        }
        if of.fate != Fate::Dropped && kind != Kind::Null {
            if self.rest.len() > EXTENSIONS_MAX {
                return None;
            }
            // No number is printed with more than the first.
            self.longest = self.longest.max(if kind == Kind::Float { TEXT_BYTES_MAX } else { close - start });
            self.rest.push((node, of.fate, token));
        }
        Some(end)
    }

    fn fill(&mut self, slot: u32, token: Token) -> Option<()> {
        let slot = slot as usize;
        *self.slots.get_mut(slot)? = token;
        *self.filled.get_mut(slot / 64)? |= 1 << (slot % 64);
        Some(())
    }
}

/// Reads a key and the colon behind it.
fn key(text: &str, at: usize, cursor: &mut Cursor, shape: &mut Shape<'_>) -> Option<(NodeId, usize)> {
    let bytes = text.as_bytes();
    let at = scan::skip_blanks(bytes, at);
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    if let Some((node, length)) = shape.expected(cursor, bytes.get(at + 1..)?)? {
        return Some((node, at + 1 + length));
    }
    let StringEnd::Plain(end) = scan::string_end(bytes, at + 1)? else { return None };
    let node = shape.other(cursor, text.get(at + 1..end)?)?;
    let colon = scan::skip_blanks(bytes, end + 1);
    (bytes.get(colon) == Some(&b':')).then_some((node, colon + 1))
}
