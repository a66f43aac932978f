//! Where a value stands in a document: `data.signals[2].raw`.

use serde::Deserialize;

use crate::doc::Doc;

/// Most steps of a path: more than any reader's depth.
const STEPS_MAX: usize = 32;

/// A path into a document: names separated by dots, indices in brackets; a name with a dot in it stands in double quotes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Path {
    text: String,
    steps: Vec<Step>,
    /// Number among the paths of its table.
    slot: usize,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into a map.
    Name(String),
    /// Into a list, from 0.
    Index(usize),
}

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no path: {reason} at byte {at}")]
pub struct PathError {
    text: String,
    reason: &'static str,
    at: usize,
}

impl TryFrom<String> for Path {
    type Error = PathError;

    fn try_from(text: String) -> Result<Self, PathError> {
        let fail = |reason, at| PathError { text: text.clone(), reason, at };
        let mut steps = Vec::new();
        let mut rest = text.as_str();
        loop {
            let at = text.len() - rest.len();
            if steps.len() == STEPS_MAX {
                return Err(fail("more than 32 steps", at));
            }
            if let Some(after) = rest.strip_prefix('[') {
                let (digits, after) = after.split_once(']').ok_or_else(|| fail("no closing bracket", at))?;
                steps.push(Step::Index(digits.parse().map_err(|_| fail("no index", at))?));
                rest = after;
            } else if let Some(after) = rest.strip_prefix('"') {
                let (name, after) = after.split_once('"').ok_or_else(|| fail("no closing quote", at))?;
                steps.push(Step::Name(name.to_owned()));
                rest = after;
            } else {
                let end = rest.find(['.', '[', '"']).unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                if name.is_empty() {
                    return Err(fail("a name is missing", at));
                }
                steps.push(Step::Name(name.to_owned()));
                rest = after;
            }
            match rest.as_bytes().first() {
                None => break,
                Some(b'.') => rest = &rest[1..],
                Some(b'[') => {}
                Some(_) => return Err(fail("a dot is missing", text.len() - rest.len())),
            }
        }
        Ok(Self { text, steps, slot: 0 })
    }
}

impl Path {
    /// Returns the value at the path; an empty text, null and a missing value are all `None`.
    #[must_use]
    pub fn find<'a>(&self, doc: &'a Doc) -> Option<&'a Doc> {
        let found = self.steps.iter().try_fold(doc, |doc, step| match (step, doc) {
            (Step::Name(name), doc) => doc.get(name),
            (Step::Index(index), Doc::List(values)) => values.get(*index),
            (Step::Index(_), _) => None,
        })?;
        (*found != Doc::Null && found.as_text() != Some("")).then_some(found)
    }

    /// Returns the steps.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns the number among the paths of its table.
    pub(crate) const fn slot(&self) -> usize {
        self.slot
    }

    pub(super) fn set_slot(&mut self, slot: usize) {
        self.slot = slot;
    }

    /// Returns the path as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> Result<Path, PathError> {
        Path::try_from(text.to_owned())
    }

    #[test]
    fn names_indices_and_quoted_names_are_followed() {
        let doc = Doc::Map(vec![
            ("a".to_owned(), Doc::List(vec![Doc::Null, Doc::Map(vec![("b.c".to_owned(), Doc::Int(7))])])),
            ("e".to_owned(), Doc::Text(String::new())),
        ]);
        assert_eq!(path("a[1].\"b.c\"").expect("a path").find(&doc), Some(&Doc::Int(7)));
        for absent in ["a[0]", "a[2]", "a.b", "e", "x", "e[0]"] {
            assert_eq!(path(absent).expect("a path").find(&doc), None, "{absent}");
        }
        for bad in ["", ".", "a.", "a..b", "a[", "a[x]", "a[-1]", "\"a", "a\"b\"", "[0]x"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_path_or_not(text in "\\PC{0,40}") {
            if let Ok(path) = path(&text) {
                prop_assert_eq!(path.find(&Doc::Null), None);
                prop_assert_eq!(path.text(), text);
            }
        }
    }
}
