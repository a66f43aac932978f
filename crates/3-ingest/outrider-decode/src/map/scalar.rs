//! Values that are not made of others, borrowed: what mappings read, whether a document was built or not.

use std::borrow::Cow;

use super::convert::{Literal, hex};
use crate::doc::Doc;

/// A value as a mapping sees it; what is made of others has no word and no number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar<'a> {
    /// No value.
    Null,
    /// Truth value.
    Bool(bool),
    /// Integer.
    Int(i64),
    /// Floating point, finite.
    Float(f64),
    /// Text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A list or a map.
    Composite,
}

impl<'a> From<&'a Doc> for Scalar<'a> {
    fn from(doc: &'a Doc) -> Self {
        match doc {
            Doc::Null => Self::Null,
            Doc::Bool(value) => Self::Bool(*value),
            Doc::Int(value) => Self::Int(*value),
            Doc::Float(value) => Self::Float(*value),
            Doc::Text(value) => Self::Text(value),
            Doc::Bytes(value) => Self::Bytes(value),
            Doc::List(_) | Doc::Map(_) => Self::Composite,
        }
    }
}

impl<'a> From<&'a Literal> for Scalar<'a> {
    fn from(literal: &'a Literal) -> Self {
        match literal {
            Literal::Bool(value) => Self::Bool(*value),
            Literal::Int(value) => Self::Int(*value),
            Literal::Float(value) => Self::Float(*value),
            Literal::Text(value) => Self::Text(value),
        }
    }
}

impl<'a> Scalar<'a> {
    /// Returns the text, of a text.
    pub(crate) const fn as_text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) | Self::Bytes(_) | Self::Composite => {
                None
            }
        }
    }

    /// Returns the text of a value that is not made of others; bytes as hexadecimal digits.
    pub(crate) fn word(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Bool(value) => Some(Cow::Borrowed(if value { "true" } else { "false" })),
            Self::Int(value) => Some(Cow::Owned(value.to_string())),
            Self::Float(value) => Some(Cow::Owned(value.to_string())),
            Self::Text(value) => Some(Cow::Borrowed(value)),
            Self::Bytes(value) => Some(Cow::Owned(hex(value))),
            Self::Null | Self::Composite => None,
        }
    }
}

/// Where a mapping finds its values: a document, or a line that none was made of.
pub(crate) trait Source {
    /// Returns the value at a path; an empty text, null and a missing value are all `None`.
    fn find(&self, path: &super::Path) -> Option<Scalar<'_>>;

    /// Returns the text of the value at a path.
    fn word(&self, path: &super::Path) -> Option<Cow<'_, str>> {
        self.find(path).and_then(Scalar::word)
    }

    /// Returns the words at some paths as one; `None` if one of them has none. A source that has them joined already knows
    /// only those of the table's key.
    fn joined(&self, paths: &[super::Path]) -> Option<Cow<'_, str>> {
        let mut text = String::new();
        join(paths, &mut text, |path| self.word(path))?;
        Some(Cow::Owned(text))
    }

    /// Returns the number of the first path from `from` on that may have a value; `None` if no other has.
    fn next_filled(&self, from: usize) -> Option<usize> {
        Some(from)
    }
}

/// Appends the words at some paths to a text, with a separator between them; `None` if one of them has none.
pub(crate) fn join<'a>(
    paths: &[super::Path],
    out: &mut String,
    word: impl Fn(&super::Path) -> Option<Cow<'a, str>>,
) -> Option<()> {
    for (index, path) in paths.iter().enumerate() {
        if index > 0 {
            out.push('\u{1f}');
        }
        out.push_str(&word(path)?);
    }
    Some(())
}

impl Source for Doc {
    fn find(&self, path: &super::Path) -> Option<Scalar<'_>> {
        path.find(self).map(Scalar::from)
    }
}

/// Cuts a text to at most `bytes_max` bytes, between characters.
pub(crate) fn cut_short(text: Cow<'_, str>, bytes_max: usize) -> Cow<'_, str> {
    if text.len() <= bytes_max {
        return text;
    }
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..text.floor_char_boundary(bytes_max)]),
        Cow::Owned(text) => Cow::Owned(super::convert::cut(text, bytes_max)),
    }
}
