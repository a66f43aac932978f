//! What the catalogue does not have: kept under the source's names.

use outrider_types::FieldKey;

use super::convert::{TEXT_BYTES_MAX, cut, word};
use crate::doc::Doc;

/// Most foreign fields of one record (guess: the largest vendor events have about 300 fields, most of them mapped or
/// empty); what is beyond is counted in `NAMESPACE._more`.
pub(crate) const EXTENSIONS_MAX: usize = 128;
/// Longest name of a foreign field, bytes (guess).
const NAME_BYTES_MAX: usize = 128;

/// Returns whether a text may be the namespace of foreign fields: 1 to 32 of `a-z`, `0-9` and `_`, beginning with a letter.
pub(crate) fn is_namespace(text: &str) -> bool {
    text.len() <= 32
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Returns the name under which a foreign field is kept.
pub(super) fn extension_name(namespace: &str, path: &str) -> String {
    cut(format!("{namespace}.{path}"), NAME_BYTES_MAX)
}

/// Adds the name of a value in a map to the map's path.
pub(crate) fn push_name(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(name);
}

/// Adds the place of a value in a list to the list's path.
pub(crate) fn push_index(path: &mut String, index: usize) {
    path.push_str(&format!("[{index}]"));
}

/// Collects the leaves of a document as foreign fields.
pub(crate) struct Rest<'a> {
    namespace: &'a str,
    /// Says which paths were mapped, or are left out on purpose.
    is_taken: &'a dyn Fn(&str) -> bool,
    fields: Vec<(String, String)>,
    more: u64,
}

impl<'a> Rest<'a> {
    pub(crate) fn new(namespace: &'a str, is_taken: &'a dyn Fn(&str) -> bool) -> Self {
        Self { namespace, is_taken, fields: Vec::new(), more: 0 }
    }

    /// Takes the leaves of `doc` that are not taken yet.
    pub(crate) fn collect(mut self, doc: &Doc) -> Vec<(String, String)> {
        self.walk(doc, &mut String::new());
        if self.more > 0 {
            self.fields.push((format!("{}._more", self.namespace), self.more.to_string()));
        }
        self.fields
    }

    // The depth is bounded by that of the reader's documents.
    fn walk(&mut self, doc: &Doc, path: &mut String) {
        if (self.is_taken)(path.as_str()) {
            return;
        }
        let length = path.len();
        match doc {
            Doc::Map(entries) => {
                for (name, value) in entries {
                    push_name(path, name);
                    self.walk(value, path);
                    path.truncate(length);
                }
            }
            Doc::List(values) => {
                for (index, value) in values.iter().enumerate() {
                    push_index(path, index);
                    self.walk(value, path);
                    path.truncate(length);
                }
            }
            Doc::Null => {}
            Doc::Bool(_) | Doc::Int(_) | Doc::Float(_) | Doc::Text(_) | Doc::Bytes(_) => {
                if self.fields.len() == EXTENSIONS_MAX {
                    self.more += 1;
                } else if let Some(text) = word(doc).filter(|text| !text.is_empty()) {
                    self.fields.push((extension_name(self.namespace, path), cut(text, TEXT_BYTES_MAX)));
                }
            }
        }
    }
}

/// Whether a value is kept as a foreign field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is.
    Always,
    /// It is mapped or left out.
    Never,
    /// It is, unless one of these fields took it.
    Unless(Vec<FieldKey>),
}
