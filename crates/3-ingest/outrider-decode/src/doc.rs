//! The neutral shape between a reader and a mapping: a tree of values with bounds.

/// A value read from foreign bytes.
///
/// Maps keep the order of the input; a reader keeps the first of two equal keys and counts the other as a reject or
/// ignores it, as its format says.
#[derive(Debug, Clone, PartialEq)]
pub enum Doc {
    /// No value.
    Null,
    /// Truth value.
    Bool(bool),
    /// Integer; what does not fit becomes `Float`, or `Text` where digits must not be lost.
    Int(i64),
    /// Floating point, never infinite or not a number.
    Float(f64),
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// Values in order.
    List(Vec<Doc>),
    /// Named values in order of the input.
    Map(Vec<(String, Doc)>),
}

impl Doc {
    /// Returns the value under a name, of a map.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(key, _)| key == name).map(|(_, value)| value),
            Self::Null
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Text(_)
            | Self::Bytes(_)
            | Self::List(_) => None,
        }
    }

    /// Returns about how many bytes it takes, its names and parts included.
    pub(crate) fn weight(&self) -> usize {
        // The depth is bounded by the reader's.
        32 + match self {
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) => 0,
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::List(values) => values.iter().map(Self::weight).sum(),
            Self::Map(entries) => entries.iter().map(|(name, value)| name.len() + value.weight()).sum(),
        }
    }

    /// Returns the text, of a text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Bytes(_)
            | Self::List(_)
            | Self::Map(_) => None,
        }
    }
}

/// Bounds of one input; every reader keeps to them and counts what goes beyond as a reject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    /// Most documents of one input.
    pub documents_max: usize,
    /// Most values of one document.
    pub values_max: usize,
    /// Most values inside values.
    pub depth_max: usize,
    /// Most bytes of texts and byte strings of one document.
    pub bytes_max: usize,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self {
            // A batch of a thousandth of a large fleet's second is 1,200 events; ten times that (guess).
            documents_max: 16_384,
            // The largest vendor event seen in public samples has about 300 fields (guess: ten times that).
            values_max: 4_096,
            depth_max: 32,
            // As much context as a wire batch may carry.
            bytes_max: 1 << 20,
        }
    }
}

/// Part of an input that no document could be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// Reason from the closed list of the reader, `format.fact`, such as `json.syntax`.
    pub reason: &'static str,
    /// Where and why, in words; never holds the input's texts.
    pub place: String,
}

impl ReadError {
    /// Creates an error.
    #[must_use]
    pub fn new(reason: &'static str, place: impl Into<String>) -> Self {
        Self { reason, place: place.into() }
    }
}

/// One document of an input, with the bytes that it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Item<'a> {
    /// Its bytes: evidence, and what a better decoder reads again. An error without bytes is a note about a document that
    /// was read all the same.
    pub raw: &'a [u8],
    /// What was read.
    pub doc: Result<Doc, ReadError>,
}

/// Turns bytes into documents; cannot fail as a whole: a bad part is an item with an error, and reading goes on behind it
/// where the format allows.
pub trait Reader: std::fmt::Debug + Send + Sync {
    /// Reads all documents of `bytes`, at most `limits.documents_max`; what is beyond is one error
    /// `read.too_many`.
    fn read<'a>(&self, bytes: &'a [u8], limits: &ReadLimits) -> Vec<Item<'a>>;

    /// Returns the input without what stands before its first line, if it is JSON with a document a line.
    fn json_lines<'a>(&self, _bytes: &'a [u8], _limits: &ReadLimits) -> Option<&'a [u8]> {
        None
    }
}
